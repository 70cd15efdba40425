/* SPDX-License-Identifier: MIT */
/* VTL0's local APIC where it is KVM's: what reaches it from the library. */
#ifndef VSM_LIB_APIC_KERNEL_APIC_H
#define VSM_LIB_APIC_KERNEL_APIC_H

struct lapic_ipi;
struct vsm_partition;

/*
 * The message, as a device would send it: KVM finds out who it is for and wakes them. Shorthands
 * have no meaning here. 0 or more: vCPUs it reached; else the errno of KVM_SIGNAL_MSI, -EPERM where
 * it is for nobody.
 */
int kernel_apic_signal(struct vsm_partition *p, const struct lapic_ipi *message);

#endif
