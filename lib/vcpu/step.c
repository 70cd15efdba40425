/* SPDX-License-Identifier: MIT */
/*
 * Stepping: an access that the limits allow and the hardware protection does not is made with its
 * pages open, one instruction long and with no other VP in the guest.
 */
#include "vcpu/step.h"

#include <errno.h>
#include <string.h>

#include "intercept/intercept.h"
#include "partition/hold.h"
#include "vcpu/exit.h"
#include "vcpu/vcpu.h"
#include "vcpu/window.h"

/*
 * While pages are open for one VP's instruction they are open for every VP in that VTL: the others
 * stay outside the guest until they are closed again. One VP steps at a time.
 */
static bool take_stepper(struct vsm_vcpu *vp)
{
	struct vsm_partition *p = vp->partition;

	if (p->stepper && p->stepper != vp)
		return false;
	if (p->stepper == vp)
		return true;
	p->stepper = vp;
	for (uint32_t i = 0; i < p->max_vps; i++)
		if (p->vps[i] && p->vps[i] != vp)
			partition_hold_vp(p->vps[i]);
	return true;
}

static void give_up_stepper(struct vsm_vcpu *vp)
{
	struct vsm_partition *p = vp->partition;

	if (p->stepper != vp)
		return;
	p->stepper = NULL;
	for (uint32_t i = 0; i < p->max_vps; i++)
		if (p->vps[i] && p->vps[i] != vp)
			partition_release_vp(p->vps[i]);
}

static int set_stepping(struct vsm_vcpu *vp, const struct kvm_guest_debug *debug)
{
	const struct kvm_host *h = vp->partition->host;
	int r = h->ops->set_guest_debug(h, vcpu_active(vp)->cpu.fd, debug);

	if (!r)
		vcpu_active(vp)->stepping = debug->control;
	return r;
}

/* The same instruction again with the same pages, although they were open: it would never end. */
static bool no_progress(const struct vp_vtl *v, uint64_t rip, const struct violation *now)
{
	const struct page_step *last = &v->step;

	return last->failed && last->rip == rip && last->open_count == now->open_count &&
	       !memcmp(last->open, now->open, now->open_count * sizeof(now->open[0]));
}

static int open_and_step(struct vsm_vcpu *vp, const struct violation *v)
{
	struct memory *m = &vp->partition->memory;
	struct kvm_guest_debug debug;
	unsigned vtl = vp->active_vtl;
	int r = window_prepare(vp, v, &debug);

	for (unsigned i = 0; i < v->open_count && !r; i++)
		r = memory_open_page(m, vtl, v->open[i].page, v->open[i].prot);
	if (!r)
		r = vtl_cpu_flush(&vcpu_active(vp)->cpu);
	if (!r)
		r = set_stepping(vp, &debug);
	if (r && memory_close_openings(m, vtl))
		return partition_die(vp->partition, "closing a page that was not stepped failed");
	return r;
}

/*
 * Opens the pages of an access the limits allow, for one instruction. Waiting for the other VPs may
 * have let them change the limits: the instruction is then looked at again from the start.
 */
int step_access(struct vsm_vcpu *vp, const struct violation *v)
{
	struct vp_vtl *active = vcpu_active(vp);
	struct violation now = *v;
	struct kvm_regs *regs;
	int r = vtl_cpu_regs(&active->cpu, &regs);

	if (r)
		return r;
	if (!v->delivers && no_progress(active, regs->rip, v))
		return violation_refuse(vp, &now);
	if (!take_stepper(vp))
		return EXIT_RESUME;
	if (vp->partition->max_vps > 1) {
		now = (struct violation){0};
		r = intercept_locate(vp, &now);
	}
	if (!r && now.allowed_here) {
		active->step.rip = regs->rip;
		active->step.open_count = now.open_count;
		memcpy(active->step.open, now.open, sizeof(now.open));
		r = now.delivers ? window_deliver(vp, &now) : open_and_step(vp, &now);
	}
	if (!active->stepping)
		give_up_stepper(vp);
	else
		vp->stats.steps++;
	/* Out of slots or mappings: the guest's doing, and no reason for the VMM to stop it. */
	if (r == -EPERM || r == -ENOSPC || r == -ENOMEM)
		return violation_refuse(vp, &now);
	return r ? r : EXIT_RESUME;
}

/* The instruction was stepped, or did not get that far: the pages close again. */
int step_stop(struct vsm_vcpu *vp, bool failed)
{
	struct vsm_partition *p = vp->partition;
	int r = memory_close_openings(&p->memory, vp->active_vtl);

	if (r)
		return partition_die(p, "closing a stepped page failed");
	vcpu_active(vp)->step.failed = failed;
	give_up_stepper(vp);
	return set_stepping(vp, &(struct kvm_guest_debug){.control = 0});
}

int step_end(struct vsm_vcpu *vp)
{
	return vcpu_active(vp)->stepping ? step_stop(vp, false) : 0;
}

int exit_debug(struct vsm_vcpu *vp)
{
	return vcpu_active(vp)->stepping ? step_stop(vp, false) : EXIT_TO_VMM;
}
