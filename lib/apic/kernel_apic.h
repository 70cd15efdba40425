/* SPDX-License-Identifier: MIT */
/* VTL0's local APIC where it is KVM's: what reaches it from the library. */
#ifndef VSM_LIB_APIC_KERNEL_APIC_H
#define VSM_LIB_APIC_KERNEL_APIC_H

#include <stdbool.h>
#include <stdint.h>

struct lapic_ipi;
struct vsm_partition;
struct vsm_vcpu;

/*
 * Interrupts of SINTs with AutoEOI that were given to KVM's APIC of a VP. KVM knows no such thing:
 * they go in service, and are ended for the guest when the VP comes out after that.
 */
struct kernel_eoi {
	uint32_t vectors[8]; /* not ended yet */
	uint64_t look_ns;    /* when to come out and look; KVM_NEVER */
	uint64_t interval_ns;
};

/*
 * The message, as a device would send it: KVM finds out who it is for and wakes them. Shorthands
 * have no meaning here. 0 or more: vCPUs it reached; else the errno of KVM_SIGNAL_MSI, -EPERM where
 * it is for nobody.
 */
int kernel_apic_signal(struct vsm_partition *p, const struct lapic_ipi *message);

/* kernel_apic_signal() of a vector that ends by itself to the VP. */
int kernel_apic_signal_auto_eoi(struct vsm_vcpu *vp, uint8_t vector);

/* Is there one that has not ended? */
bool kernel_apic_expects(const struct vsm_vcpu *vp);

/*
 * On the VP's thread, outside KVM_RUN: ends what has gone in service, and sets look_ns. 0 or the
 * errno of the kernel.
 */
int kernel_apic_end(struct vsm_vcpu *vp, uint64_t now_ns);

#endif
