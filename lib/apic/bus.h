/* SPDX-License-Identifier: MIT */
/* The library's local APICs of a partition, a VP's VTL each, and the messages between them. */
#ifndef VSM_LIB_APIC_BUS_H
#define VSM_LIB_APIC_BUS_H

#include "vcpu/vcpu.h"

/* Does this VTL have the library's local APIC (and not KVM's)? */
static inline bool bus_serves(const struct vsm_vcpu *vp, unsigned vtl)
{
	return !vp->partition->kernel_irqchip || vtl > 0;
}

/* This instant for the APIC of `vtl`. The guest's TSC costs an ioctl: 0 unless with_tsc. */
void bus_clock(struct vsm_vcpu *vp, unsigned vtl, bool with_tsc, struct lapic_clock *clock);

/* Carries out what a write to vp's APIC of `vtl` asks for: IPIs go to the same VTL of other VPs. */
void bus_effects(struct vsm_vcpu *vp, unsigned vtl, const struct lapic_effects *effects);

/*
 * Gives a message to one VP's APIC of `vtl`, which must be the library's; a VP it concerns comes to
 * look.
 */
void bus_give(struct vsm_vcpu *vp, unsigned vtl, const struct lapic_ipi *ipi);

/*
 * Gives a message to the APICs of `vtl` that it is for, of VPs that have that VTL. sender: the VP
 * whose APIC it comes from; NULL: none's, as from a device.
 */
void bus_route(struct vsm_partition *p, const struct vsm_vcpu *sender, unsigned vtl,
	       const struct lapic_ipi *ipi);

/*
 * A local source of the VP's APIC of `vtl`, which must be the library's, is asserted: as its LVT
 * entry says, but for an INIT that is to be dropped.
 */
void bus_raise(struct vsm_vcpu *vp, unsigned vtl, enum lapic_lvt lvt);

#endif
