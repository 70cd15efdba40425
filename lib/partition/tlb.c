/* SPDX-License-Identifier: MIT */
/* TLB flushes across VPs, and TLB locks. */
#include "partition/tlb.h"
#include "kvm/path.h"

#include "partition/hold.h"
#include "vcpu/vcpu.h"

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

RUN_PATH void tlb_release(struct vsm_vcpu *vp, unsigned holder)
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

/* Who waits sleeps, or has not looked since it began to. */
void tlb_unlocked(struct vsm_partition *p)
{
	p->tlb_unlocks++;
	for (uint32_t i = 0; i < p->max_vps; i++)
		if (p->vps[i] && vcpu_active(p->vps[i])->awaits_tlb)
			partition_wake_vp(p->vps[i]);
}

void tlb_wait(struct vsm_vcpu *vp, uint64_t rip)
{
	struct vp_vtl *v = vcpu_active(vp);

	v->awaits_tlb = true;
	v->tlb_wait = (struct tlb_wait){.rip = rip, .unlocks = vp->partition->tlb_unlocks};
}

bool tlb_waiting(const struct vsm_vcpu *vp, uint64_t *rip)
{
	const struct vp_vtl *v = &vp->vtls[vp->active_vtl];

	*rip = v->tlb_wait.rip;
	return v->awaits_tlb && v->tlb_wait.unlocks == vp->partition->tlb_unlocks;
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
