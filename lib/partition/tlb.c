/* SPDX-License-Identifier: MIT */
/* TLB flushes across VPs, and TLB locks. */
#include "partition/tlb.h"

#include <time.h>

#include "partition/hold.h"
#include "vcpu/vcpu.h"

#define NS_PER_S UINT64_C(1000000000)
#define WAIT_NS	 (NS_PER_S / 1000)

bool tlb_locked(const struct vsm_vcpu *vp, unsigned vtl)
{
	for (unsigned higher = vtl + 1; higher < vp->partition->vtl_count; higher++) {
		const struct vp_vtl *v = &vp->vtls[higher];

		if ((vp->enabled_vtls & (1u << higher)) &&
		    ((v->secure_config[vtl] & HV_SECURE_CONFIG_TLB_LOCKED) || v->inhibitor[vtl]))
			return true;
	}
	return false;
}

void tlb_inhibit(struct vsm_vcpu *vp, unsigned holder, struct vsm_vcpu *target, unsigned vtl)
{
	target->vtls[holder].inhibitor[vtl] = vp;
	vp->vtls[holder].inhibits = true;
}

/* What `vp` inhibited on `target`, if anything. */
static void end_inhibits(const struct vsm_vcpu *vp, unsigned holder, struct vsm_vcpu *target)
{
	for (unsigned vtl = 0; vtl < holder; vtl++)
		if (target->vtls[holder].inhibitor[vtl] == vp)
			target->vtls[holder].inhibitor[vtl] = NULL;
}

void tlb_release(struct vsm_vcpu *vp, unsigned holder)
{
	struct vsm_partition *p = vp->partition;
	struct vp_vtl *v = &vp->vtls[holder];
	bool any = v->inhibits;

	for (unsigned vtl = 0; vtl < holder; vtl++) {
		any = any || (v->secure_config[vtl] & HV_SECURE_CONFIG_TLB_LOCKED);
		v->secure_config[vtl] &= ~HV_SECURE_CONFIG_TLB_LOCKED;
	}
	for (uint32_t i = 0; v->inhibits && i < p->max_vps; i++)
		if (p->vps[i])
			end_inhibits(vp, holder, p->vps[i]);
	v->inhibits = false;
	if (any)
		tlb_unlocked(p);
}

void tlb_unlocked(struct vsm_partition *p)
{
	p->tlb_unlocks++;
	pthread_cond_broadcast(&p->vcpu_moved);
}

void tlb_wait(struct vsm_partition *p)
{
	uint64_t before = p->tlb_unlocks, until = p->host->ops->clock_ns(p->host) + WAIT_NS;
	const struct timespec end = {.tv_sec = (time_t)(until / NS_PER_S),
				     .tv_nsec = (long)(until % NS_PER_S)};
	int r = 0;

	while (!r && p->tlb_unlocks == before)
		r = pthread_cond_clockwait(&p->vcpu_moved, &p->lock, CLOCK_MONOTONIC, &end);
}

void tlb_mark(struct vsm_vcpu *vp, unsigned vtl)
{
	for (unsigned v = 0; v <= vtl; v++)
		vtl_cpu_flush_tlb(&vp->vtls[v].cpu);
}

void tlb_bring_out(struct vsm_vcpu *vp, unsigned vtl)
{
	if (!vp->inside || vp->active_vtl > vtl)
		return;
	partition_hold_vp(vp);
	partition_release_vp(vp);
}
