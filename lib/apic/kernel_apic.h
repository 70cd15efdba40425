/* SPDX-License-Identifier: MIT */
/* VTL0's local APIC where it is KVM's: what reaches it from the library. */
#ifndef VSM_LIB_APIC_KERNEL_APIC_H
#define VSM_LIB_APIC_KERNEL_APIC_H

#include <stdbool.h>
#include <stdint.h>

struct lapic_ipi;
struct vsm_partition;
struct vsm_vcpu;

/* What makes KVM's APIC of a VP's VTL0 end interrupts of SINTs with AutoEOI by itself. */
struct kernel_apic {
	bool attend;	    /* something is to be done before VTL0 next runs */
	bool synic;	    /* KVM does it, with its own SynIC: */
	uint64_t sints[16]; /* what KVM has been told of them */

	/* Otherwise: */
	uint32_t waits[8]; /* vectors that were signalled */
	uint64_t look_ns;  /* when to come out and look; KVM_NEVER */
	uint64_t interval_ns;
};

/*
 * The message, as a device would send it: KVM finds out who it is for and wakes them. Shorthands
 * have no meaning here. 0 or more: vCPUs it reached; else the errno of KVM_SIGNAL_MSI, -EPERM where
 * it is for nobody.
 */
int kernel_apic_signal(struct vsm_partition *p, const struct lapic_ipi *message);

/* For a VP whose VTL0 has KVM's APIC, as it is made. 0 or the errno of KVM_ENABLE_CAP. */
int kernel_apic_init(struct vsm_vcpu *vp);

/* Nothing waits; the SINTs are what they are now. */
void kernel_apic_reset(struct vsm_vcpu *vp);

/* VTL0's SINTs are no longer what they were. */
void kernel_apic_sints_changed(struct vsm_vcpu *vp);

/* kernel_apic_signal() of a vector that ends by itself to the VP. */
int kernel_apic_signal_auto_eoi(struct vsm_vcpu *vp, uint8_t vector);

/* Does one wait here for the active VTL? */
bool kernel_apic_waits(const struct vsm_vcpu *vp);

/*
 * On the VP's thread, outside KVM_RUN, before VTL0 runs: tells KVM of its SINTs, or sets look_ns. 0
 * or the errno of the kernel.
 */
int kernel_apic_attend(struct vsm_vcpu *vp, uint64_t now_ns);

/* The same, no instruction being half-done: queues what VTL0 can take now. */
int kernel_apic_deliver(struct vsm_vcpu *vp);

#endif
