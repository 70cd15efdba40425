/* SPDX-License-Identifier: MIT */
/* The library's local APICs and the vCPUs they belong to: CR8, injection, IPIs, time, HLT. */
#ifndef VSM_LIB_VCPU_INTERRUPT_H
#define VSM_LIB_VCPU_INTERRUPT_H

#include "vcpu/vcpu.h"

/* Does this VTL have the library's local APIC (and not KVM's)? */
static inline bool interrupt_user_apic(const struct vsm_vcpu *vp, unsigned vtl)
{
	return vtl > 0 || !vp->partition->kernel_irqchip;
}

/* Does something wait for this VTL that makes it enter, whatever a lower one does? */
bool interrupt_pending(const struct vsm_vcpu *vp, unsigned vtl);

/*
 * Before KVM_RUN: gives KVM the active VTL's CR8 and highest interrupt, or asks for a window. 0 or
 * -errno.
 */
int interrupt_deliver(struct vsm_vcpu *vp);

/*
 * True: nothing waits in any VTL of the VP, nor will by the clock, no VTL is halted, and the active
 * one's vCPU is ready to run. What the run loop otherwise finds out by asking many, which costs
 * more than all else it does at an exit.
 */
bool interrupt_none(struct vsm_vcpu *vp);

/* After KVM_RUN: takes over the guest's CR8. */
static inline void interrupt_collect(struct vsm_vcpu *vp)
{
	struct vp_vtl *v = vcpu_active(vp);

	if (interrupt_user_apic(vp, vp->active_vtl) && v->cpu.run->cr8 != lapic_cr8(&v->lapic))
		lapic_set_cr8(&v->lapic, v->cpu.run->cr8);
}

/*
 * Raises what the timers of all of the VP's VTLs have due, and sets vp->deadline to when the next
 * one is.
 */
void interrupt_expire_timers(struct vsm_vcpu *vp);

/*
 * Tells the active VTL, if it wants to know (VINA), of an interrupt that a lower one would take
 * now.
 */
void interrupt_notify_blocked(struct vsm_vcpu *vp);

/* This instant for the APIC of `vtl`. The guest's TSC costs an ioctl: 0 unless with_tsc. */
void interrupt_clock(struct vsm_vcpu *vp, unsigned vtl, bool with_tsc, struct lapic_clock *clock);

/* Carries out what a write to vp's APIC of `vtl` asks for: IPIs go to the same VTL of other VPs. */
void interrupt_effects(struct vsm_vcpu *vp, unsigned vtl, const struct lapic_effects *effects);

/*
 * Gives a message to one VP's APIC of `vtl`, which must be the library's; a VP it concerns comes to
 * look.
 */
void interrupt_give(struct vsm_vcpu *vp, unsigned vtl, const struct lapic_ipi *ipi);

/*
 * Gives a message to the APICs of `vtl` that it is for, of VPs that have that VTL. sender: the VP
 * whose APIC it comes from; NULL: none's, as from a device.
 */
void interrupt_route(struct vsm_partition *p, const struct vsm_vcpu *sender, unsigned vtl,
		     const struct lapic_ipi *ipi);

/*
 * A local source of the VP's APIC of `vtl`, which must be the library's, is asserted: as its LVT
 * entry says, but for an INIT that is to be dropped.
 */
void interrupt_raise(struct vsm_vcpu *vp, unsigned vtl, enum lapic_lvt lvt);

/* The active VTL executed HLT. 0 or -errno. */
int interrupt_halt(struct vsm_vcpu *vp, bool *interruptible);

/* Is the active VTL halted, and nothing there that ends it? */
bool interrupt_halted(struct vsm_vcpu *vp);

/* The same for a request of its that waits for a TLB lock to go. */
bool interrupt_waiting(struct vsm_vcpu *vp);

#endif
