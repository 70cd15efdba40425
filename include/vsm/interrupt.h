/* SPDX-License-Identifier: MIT */
/* Interrupts of the VMM's devices, for VTLs with the library's local APIC and with KVM's. */
#ifndef VSM_INTERRUPT_H
#define VSM_INTERRUPT_H

#include <stdint.h>
#include "vsm/export.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vsm_partition;

/*
 * Sends an interrupt message to the local APICs of one VTL, as a device's MSI or an I/O APIC does.
 * Address and data have the layout of the Intel SDM, volume 3, "Message Signalled Interrupts"; APIC
 * ids above 255 have their bits 31:8 in bits 63:40 of the address. Messages are edge-triggered. A
 * VP they are for comes out of its halt. Any thread, port callbacks included.
 *
 * Where VTL0 has KVM's local APIC this is KVM_SIGNAL_MSI. A message no APIC accepts is lost, as on
 * a PC.
 *
 * -EINVAL partition is NULL, no such VTL, an address outside 0xfee00000-0xfeefffff, a
 * level-triggered message; errors of KVM_SIGNAL_MSI
 *
 * Rests on: Linux Documentation/virt/kvm/api.rst, 4.70 KVM_SIGNAL_MSI and KVM_CAP_X2APIC_API.
 */
VSM_API int vsm_partition_signal_msi(struct vsm_partition *partition, unsigned vtl,
				     uint64_t address, uint32_t data);

#ifdef __cplusplus
}
#endif

#endif
