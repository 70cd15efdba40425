/* SPDX-License-Identifier: MIT */
/* The library's local APICs and the vCPUs they belong to: CR8, injection, IPIs, time. */
#ifndef VSM_LIB_VCPU_INTERRUPT_H
#define VSM_LIB_VCPU_INTERRUPT_H

#include <stdbool.h>

struct lapic_clock;
struct lapic_effects;
struct vsm_vcpu;

/* Does this VTL have the library's local APIC (and not KVM's)? */
bool interrupt_user_apic(const struct vsm_vcpu *vp, unsigned vtl);

/* Before KVM_RUN: gives KVM the active VTL's CR8 and highest interrupt, or asks for a window. 0 or -errno. */
int interrupt_deliver(struct vsm_vcpu *vp);

/* After KVM_RUN: takes over the guest's CR8. */
void interrupt_collect(struct vsm_vcpu *vp);

/* Raises what the timers of the VP's APICs have due. */
void interrupt_expire_timers(struct vsm_vcpu *vp);

/* This instant for the APIC of `vtl`. The guest's TSC costs an ioctl: 0 unless with_tsc. */
void interrupt_clock(struct vsm_vcpu *vp, unsigned vtl, bool with_tsc, struct lapic_clock *clock);

/* Carries out what a write to vp's APIC of `vtl` asks for: IPIs go to the same VTL of other VPs. */
void interrupt_effects(struct vsm_vcpu *vp, unsigned vtl, const struct lapic_effects *effects);

#endif
