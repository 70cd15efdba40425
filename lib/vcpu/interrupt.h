/* SPDX-License-Identifier: MIT */
/* The library's local APICs and the vCPUs they belong to: CR8, injection, time, HLT. */
#ifndef VSM_LIB_VCPU_INTERRUPT_H
#define VSM_LIB_VCPU_INTERRUPT_H

#include "apic/bus.h"
#include "timer/stimer.h"
#include "vcpu/vcpu.h"

/* Does something wait for this VTL that makes it enter, whatever a lower one does? */
bool interrupt_pending(const struct vsm_vcpu *vp, unsigned vtl);

/*
 * Before KVM_RUN: gives KVM the active VTL's CR8 and highest interrupt, or asks for a window. 0 or
 * -errno.
 */
int interrupt_deliver(struct vsm_vcpu *vp);

/* Nothing is to be delivered to *v, which the library's APIC serves. */
static inline void interrupt_clear(struct vp_vtl *v)
{
	v->cpu.run->cr8 = lapic_cr8(&v->lapic);
	v->cpu.run->request_interrupt_window = 0;
}

/*
 * 0: nothing of the VTL's waits. A halted VTL waits for something, and a waiting store wants to be
 * looked at.
 */
static inline uint64_t interrupt_vtl_busy(const struct vp_vtl *v)
{
	return v->attend | lapic_busy(&v->lapic);
}

/*
 * True: nothing waits in any VTL of the VP, nor will by the clock, no VTL is halted, and the active
 * one's vCPU is ready to run. What the run loop otherwise finds out by asking many, which costs
 * more than all else it does at an exit. All is looked at, then decided: nearly always it is
 * nothing.
 */
static inline bool interrupt_none(struct vsm_vcpu *vp)
{
	unsigned count = vp->partition->vtl_count, active = vp->active_vtl;
	uint64_t busy = vp->watch.suspect | vp->kernel_apic.attend;

	for (unsigned vtl = 0; vtl < count; vtl++)
		busy |= interrupt_vtl_busy(&vp->vtls[vtl]);
	if (busy || !vp->started)
		return false;
	vp->deadline = KVM_NEVER;
	if (bus_serves(vp, active))
		interrupt_clear(&vp->vtls[active]);
	return true;
}

/* After KVM_RUN of *v: takes over the guest's CR8. */
static inline void interrupt_collect(struct vsm_vcpu *vp, struct vp_vtl *v)
{
	if (v->cpu.run->cr8 != lapic_cr8(&v->lapic) && bus_serves(vp, vp->active_vtl))
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

/* The active VTL executed HLT. 0 or -errno. */
int interrupt_halt(struct vsm_vcpu *vp, bool *interruptible);

/* Is the active VTL halted, and nothing there that ends it? */
bool interrupt_halted(struct vsm_vcpu *vp);

/* The same for a request of its that waits for a TLB lock to go. */
bool interrupt_waiting(struct vsm_vcpu *vp);

#endif
