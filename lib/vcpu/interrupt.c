/* SPDX-License-Identifier: MIT */
/*
 * Between a local APIC of the library's and its vCPU, which KVM thinks has none: CR8 travels in kvm_run,
 * vectors go in with KVM_INTERRUPT when KVM says it can take one.
 */
#include "vcpu/interrupt.h"

#include "msr/ref_tsc.h"
#include "partition/hold.h"
#include "vcpu/vcpu.h"

bool interrupt_user_apic(const struct vsm_vcpu *vp, unsigned vtl)
{
	return vtl > 0 || !vp->partition->kernel_irqchip;
}

/*
 * KVM's word on it is from the last exit. The library may have changed RFLAGS since, or queued an exception; KVM
 * would take the interrupt all the same, so both are looked at here.
 */
static bool can_inject(const struct vtl_cpu *cpu, const struct kvm_regs *regs)
{
	return cpu->run->ready_for_interrupt_injection && (regs->rflags & CPU_RFLAGS_IF) &&
	       !(cpu->dirty & CPU_EVENTS);
}

static int inject(struct vsm_vcpu *vp, struct vp_vtl *v)
{
	const struct kvm_host *h = vp->partition->host;
	struct kvm_regs *regs;
	int r = vtl_cpu_regs(&v->cpu, &regs);

	if (r)
		return r;
	if (!can_inject(&v->cpu, regs)) {
		v->cpu.run->request_interrupt_window = 1;
		return 0;
	}
	r = h->ops->interrupt(h, v->cpu.fd, (uint32_t)lapic_highest(&v->lapic));
	if (r)
		return r;
	lapic_ack(&v->lapic);
	v->cpu.run->ready_for_interrupt_injection = 0;
	v->cpu.run->request_interrupt_window = lapic_highest(&v->lapic) >= 0;
	return 0;
}

int interrupt_deliver(struct vsm_vcpu *vp)
{
	const struct kvm_host *h = vp->partition->host;
	struct vp_vtl *v = vcpu_active(vp);

	if (!interrupt_user_apic(vp, vp->active_vtl))
		return 0;
	v->cpu.run->cr8 = lapic_cr8(&v->lapic);
	if (lapic_take(&v->lapic, LAPIC_EVENT_NMI)) {
		int r = h->ops->nmi(h, v->cpu.fd);

		if (r)
			return r;
	}
	if (lapic_highest(&v->lapic) >= 0)
		return inject(vp, v);
	v->cpu.run->request_interrupt_window = 0;
	return 0;
}

void interrupt_collect(struct vsm_vcpu *vp)
{
	struct vp_vtl *v = vcpu_active(vp);

	if (interrupt_user_apic(vp, vp->active_vtl) && v->cpu.run->cr8 != lapic_cr8(&v->lapic))
		lapic_set_cr8(&v->lapic, v->cpu.run->cr8);
}

void interrupt_clock(struct vsm_vcpu *vp, unsigned vtl, bool with_tsc, struct lapic_clock *clock)
{
	const struct vsm_partition *p = vp->partition;

	*clock = (struct lapic_clock){.now_ns = p->host->ops->clock_ns(p->host)};
	if (with_tsc && !ref_tsc_guest_tsc(vp, vtl, &clock->now_tsc))
		clock->tsc_khz = p->tsc_khz;
}

void interrupt_expire_timers(struct vsm_vcpu *vp)
{
	for (unsigned vtl = 0; vtl < vp->partition->vtl_count; vtl++) {
		struct lapic *l = &vp->vtls[vtl].lapic;
		struct lapic_clock clock;

		if (l->expiry_ns == LAPIC_TIMER_NONE && !l->tsc_deadline)
			continue;
		interrupt_clock(vp, vtl, l->tsc_deadline, &clock);
		lapic_timer_expire(l, &clock);
	}
}

/* Gives the message to one VP's APIC; a VP in the guest comes out to look. */
static void deliver(struct vsm_vcpu *sender, struct vsm_vcpu *vp, struct lapic *l,
		    const struct lapic_ipi *ipi)
{
	if (lapic_deliver(l, ipi) && vp != sender && vp->inside)
		partition_nudge_vp(vp);
}

static void route(struct vsm_vcpu *sender, unsigned vtl, const struct lapic_ipi *ipi)
{
	struct vsm_partition *p = sender->partition;
	struct vsm_vcpu *best_vp = NULL;
	struct lapic *best = NULL;

	for (uint32_t i = 0; i < p->max_vps; i++) {
		struct vsm_vcpu *vp = p->vps[i];
		struct lapic *l = vp ? &vp->vtls[vtl].lapic : NULL, *better;

		if (!vp || !lapic_matches(l, ipi, vp == sender))
			continue;
		if (ipi->mode != LAPIC_LOWEST) {
			deliver(sender, vp, l, ipi);
			continue;
		}
		better = lapic_arbitrate(best, l);
		if (better != best)
			best_vp = vp;
		best = better;
	}
	if (best)
		deliver(sender, best_vp, best, ipi);
}

void interrupt_effects(struct vsm_vcpu *vp, unsigned vtl, const struct lapic_effects *effects)
{
	if (effects->ipi.valid)
		route(vp, vtl, &effects->ipi);
}
