/* SPDX-License-Identifier: MIT */
/*
 * Between a local APIC of the library's and its vCPU, which KVM thinks has none: CR8 travels in
 * kvm_run, vectors go in with KVM_INTERRUPT when KVM says it can take one, HLT comes to user space.
 */
#include "vcpu/interrupt.h"

#include <string.h>

#include "apic/bus.h"
#include "hv/vsm.h"
#include "partition/tlb.h"
#include "timer/stimer.h"
#include "vcpu/switch.h"
#include "vcpu/vcpu.h"

bool interrupt_pending(const struct vsm_vcpu *vp, unsigned vtl)
{
	const struct lapic *l = &vp->vtls[vtl].lapic;

	return lapic_highest(l) >= 0 || (l->events & LAPIC_EVENT_NMI);
}

/* --- into the vCPU --- */

/*
 * KVM's word on it is from the last exit. The library may have changed RFLAGS since, or queued an
 * exception; KVM would take the interrupt all the same, so both are looked at here.
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
	vtl_cpu_event_queued(&v->cpu);
	lapic_ack(&v->lapic);
	v->ahead = vp->partition->emulated;
	v->cpu.run->ready_for_interrupt_injection = 0;
	v->cpu.run->request_interrupt_window = lapic_highest(&v->lapic) >= 0;
	return 0;
}

int interrupt_deliver(struct vsm_vcpu *vp)
{
	const struct kvm_host *h = vp->partition->host;
	struct vp_vtl *v = vcpu_active(vp);

	/* In a step a handler would run with the pages open that are for the one instruction. */
	if (!bus_serves(vp, vp->active_vtl))
		return v->stepping ? 0 : kernel_apic_deliver(vp);
	interrupt_clear(v);
	if (v->stepping)
		return 0;
	if (lapic_take(&v->lapic, LAPIC_EVENT_NMI)) {
		int r = h->ops->nmi(h, v->cpu.fd);

		if (r)
			return r;
		vtl_cpu_event_queued(&v->cpu);
	}
	return lapic_highest(&v->lapic) >= 0 ? inject(vp, v) : 0;
}

/* --- HLT --- */

int interrupt_halt(struct vsm_vcpu *vp, bool *interruptible)
{
	struct vp_vtl *v = vcpu_active(vp);
	struct kvm_regs *regs;
	int r = vtl_cpu_regs(&v->cpu, &regs);

	if (r)
		return r;
	v->halted = true;
	v->halt_rip = regs->rip;
	*interruptible = regs->rflags & CPU_RFLAGS_IF;
	return 0;
}

/*
 * What ends a halt or another wait at an instruction: an event that is on its way into the vCPU,
 * and somebody who moved RIP: the VMM, or a higher VTL that gave the lower one something else to
 * do.
 */
static bool disturbed(struct vp_vtl *v, uint64_t rip)
{
	struct kvm_vcpu_events *e;
	struct kvm_regs *regs;

	if (v->lapic.events & LAPIC_EVENT_NMI)
		return true;
	if (vtl_cpu_regs(&v->cpu, &regs) || regs->rip != rip)
		return true;
	if ((regs->rflags & CPU_RFLAGS_IF) && lapic_highest(&v->lapic) >= 0)
		return true;
	return vtl_cpu_events(&v->cpu, &e) || e->exception.injected || e->exception.pending ||
	       e->interrupt.injected || e->nmi.injected || e->nmi.pending;
}

bool interrupt_halted(struct vsm_vcpu *vp)
{
	struct vp_vtl *v = vcpu_active(vp);

	v->halted = v->halted && !disturbed(v, v->halt_rip);
	return v->halted;
}

bool interrupt_waiting(struct vsm_vcpu *vp)
{
	struct vp_vtl *v = vcpu_active(vp);
	uint64_t rip;

	v->awaits_tlb = tlb_waiting(vp, &rip) && !disturbed(v, rip);
	return v->awaits_tlb;
}

/* --- time --- */

static uint64_t expire_apic_timer(struct vsm_vcpu *vp, unsigned vtl)
{
	struct lapic *l = &vp->vtls[vtl].lapic;
	struct lapic_clock clock;

	if (l->expiry_ns == LAPIC_TIMER_NONE && !l->tsc_deadline)
		return KVM_NEVER;
	bus_clock(vp, vtl, l->tsc_deadline, &clock);
	lapic_timer_expire(l, &clock);
	return lapic_timer_deadline(l, &clock);
}

static void sooner(uint64_t *deadline, uint64_t other)
{
	if (other < *deadline)
		*deadline = other;
}

void interrupt_expire_timers(struct vsm_vcpu *vp)
{
	const struct kvm_host *h = vp->partition->host;
	uint64_t deadline = vp->kernel_apic.look_ns;

	stimer_expire(vp, h->ops->clock_ns(h));
	for (unsigned vtl = 0; vtl < vp->partition->vtl_count; vtl++) {
		if (!(vp->enabled_vtls & (1u << vtl)))
			continue;
		sooner(&deadline, expire_apic_timer(vp, vtl));
		sooner(&deadline, stimer_deadline(vp, vtl));
	}
	vp->deadline = deadline;
}

/* --- VINA (TLFS vsm.md, "Virtual Interrupt Notification Assist") --- */

static bool vina_enabled(const struct vp_vtl *v)
{
	return v->vina & HV_VINA_ENABLED;
}

/*
 * The lower VTL would take an interrupt now that it did not have waiting when the higher one was
 * last told, or entered. With KVM's local APIC there is no telling.
 */
static bool has_news(struct vsm_vcpu *vp, unsigned vtl)
{
	struct vp_vtl *v = &vp->vtls[vtl];
	int vector = lapic_highest(&v->lapic);
	struct kvm_regs *regs;
	bool seen;

	if (!bus_serves(vp, vtl) || vector < 0)
		return false;
	if (vtl_cpu_regs(&v->cpu, &regs) || !(regs->rflags & CPU_RFLAGS_IF))
		return false;
	seen = v->vina_irr[vector / 32] >> vector % 32 & 1;
	memcpy(v->vina_irr, v->lapic.irr, sizeof(v->vina_irr));
	return !seen;
}

/* False: it was asserted already. The state is the guest's own, in its VP assist page. */
static bool assert_vina(struct vp_vtl *v)
{
	struct hv_vp_vtl_control *control = switch_vtl_control(v);
	bool asserted = v->vina_asserted;

	v->vina_asserted = true;
	if (control)
		asserted = __atomic_fetch_or(&control->vina_status, HV_VINA_ASSERTED,
					     __ATOMIC_SEQ_CST) &
			   HV_VINA_ASSERTED;
	return !asserted;
}

void interrupt_notify_blocked(struct vsm_vcpu *vp)
{
	struct vp_vtl *v = vcpu_active(vp);
	bool news = false;

	if (!vp->active_vtl || !vina_enabled(v))
		return;
	for (unsigned vtl = 0; vtl < vp->active_vtl; vtl++)
		if (vp->enabled_vtls & (1u << vtl))
			news |= has_news(vp, vtl);
	if (news && assert_vina(v))
		lapic_accept(&v->lapic, (uint8_t)(v->vina & HV_VINA_VECTOR),
			     v->vina & HV_VINA_AUTO_EOI);
}
