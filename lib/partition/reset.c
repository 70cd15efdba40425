/* SPDX-License-Identifier: MIT */
/* vsm_partition_reset() and vsm_vcpu_reset(). */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "hv/vsm.h"
#include "msr/synthetic.h"
#include "vtl/startup.h"
#include "vcpu/step.h"
#include "vcpu/vcpu.h"
#include "vtl/enable.h"
#include "vtl/reset.h"

static bool someone_runs(const struct vsm_partition *p)
{
	for (uint32_t i = 0; i < p->max_vps; i++)
		if (p->vps[i] && atomic_load(&p->vps[i]->thread))
			return true;
	return false;
}

/* "ZeroMemoryOnReset": what a VTL kept from the others must not be found by them afterwards. */
static bool must_zero(const struct vsm_partition *p)
{
	for (unsigned vtl = 1; vtl < p->vtl_count; vtl++)
		if ((p->enabled_vtls & (1u << vtl)) &&
		    (p->vtls[vtl].config & HV_PARTITION_CONFIG_ZERO_ON_RESET))
			return true;
	return false;
}

static void zero_memory(const struct memory *m)
{
	for (size_t i = 0; i < m->region_count; i++) {
		const struct memory_region *r = &m->regions[i];

		if (!r->read_only)
			memset(r->host, 0, (r->end - r->first) << VSM_PAGE_SHIFT);
	}
}

/*
 * KVM ends an instruction that an exit left half-done with the memory its VM shows: in a single VM
 * another VTL's perhaps, or what the VTL had before something was closed to it.
 */
static int show_view(const struct vsm_vcpu *vp, unsigned vtl)
{
	struct vsm_partition *p = vp->partition;

	if (!vp->vtls[vtl].cpu.unfinished)
		return 0;
	return space_apply(partition_space(p, vtl), &p->memory, vtl, NULL);
}

static int reset_vp(struct vsm_vcpu *vp)
{
	int r = 0;

	vcpu_activate(vp, 0);
	vp->enabled_vtls = 1;
	vp->nudged = false;
	vp->system_event = (struct system_event){0};
	vp->deadline = KVM_NEVER;
	startup_reset(vp);
	for (unsigned vtl = 0; !r && vtl < vp->partition->vtl_count; vtl++) {
		r = show_view(vp, vtl);
		if (!r)
			r = vtl_reset_vp(vp, vtl);
	}
	return r;
}

/* Limits go last: a VTL is never more open than while the one that set them still had its pages. */
static int reset_vtls(struct vsm_partition *p)
{
	int r = 0;

	for (uint32_t i = 0; !r && i < p->max_vps; i++)
		if (p->vps[i])
			r = reset_vp(p->vps[i]);
	for (unsigned vtl = 0; !r && vtl < p->vtl_count; vtl++)
		r = vtl_reset_partition(p, vtl);
	if (!r)
		r = memory_limit_drop_all(&p->memory);
	for (unsigned vtl = 0; !r && vtl < p->vtl_count; vtl++)
		r = memory_set_mbec(&p->memory, vtl, MBEC_OFF);
	p->enabled_vtls = 1;
	return r ? r : msr_filter_update(p);
}

static int reset(struct vsm_partition *p)
{
	int r;

	if (someone_runs(p))
		return -EBUSY;
	if (must_zero(p))
		zero_memory(&p->memory);
	r = reset_vtls(p);
	if (r)
		partition_die(p, "the reset failed: %s", strerrorname_np(-r));
	else
		partition_log(p, VSM_LOG_INFO, "reset");
	return r;
}

int vsm_partition_reset(struct vsm_partition *partition)
{
	int r;

	if (!partition)
		return -EINVAL;
	pthread_mutex_lock(&partition->lock);
	r = reset(partition);
	pthread_mutex_unlock(&partition->lock);
	return r;
}

/* What the VP's higher VTLs had asked for on it counts no more. */
static int reset_one(struct vsm_vcpu *vp)
{
	struct vsm_partition *p = vp->partition;
	int r = reset_vp(vp);

	for (unsigned vtl = 0; !r && vtl < p->vtl_count; vtl++)
		r = vtl_update_mbec(p, vtl);
	if (!r)
		r = msr_filter_update(p);
	if (r)
		partition_die(p, "VP %u: the reset failed: %s", vp->index, strerrorname_np(-r));
	else
		partition_log(p, VSM_LOG_INFO, "VP %u: reset", vp->index);
	return r;
}

/* Does show_view() need the other VPs out of the guest? */
static bool others_in_the_way(const struct vsm_vcpu *vp)
{
	struct vsm_partition *p = vp->partition;

	for (unsigned vtl = 0; vtl < p->vtl_count; vtl++)
		if (vp->vtls[vtl].cpu.unfinished &&
		    !space_shows(partition_space(p, vtl), &p->memory, vtl))
			return p->stepper != vp;
	return false;
}

static int reset_among_others(struct vsm_vcpu *vp)
{
	struct vsm_partition *p = vp->partition;
	int r;

	vp->being_reset = true;
	while (vp->holds || others_in_the_way(vp)) {
		/* Another VP may be looking at this one's state. */
		if (vp->holds)
			pthread_cond_wait(&p->vcpu_moved, &p->lock);
		else if (!step_take(vp))
			step_wait(p);
	}
	r = reset_one(vp);
	step_give_up(vp);
	vp->being_reset = false;
	pthread_cond_broadcast(&p->vcpu_moved);
	return r;
}

int vsm_vcpu_reset(struct vsm_vcpu *vcpu)
{
	struct vsm_partition *p;
	int r;

	if (!vcpu)
		return -EINVAL;
	p = vcpu->partition;
	pthread_mutex_lock(&p->lock);
	while (vcpu->being_reset)
		pthread_cond_wait(&p->vcpu_moved, &p->lock);
	r = atomic_load(&vcpu->thread) ? -EBUSY : reset_among_others(vcpu);
	pthread_mutex_unlock(&p->lock);
	return r;
}
