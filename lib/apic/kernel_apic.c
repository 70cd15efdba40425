/* SPDX-License-Identifier: MIT */
/* Messages to KVM's local APICs (Intel SDM 3A, "Message Signalled Interrupts"). */
#include "apic/kernel_apic.h"

#include "apic/lapic.h"
#include "partition/partition.h"

#define MSI_ADDRESS    UINT32_C(0xfee00000)
#define MSI_LOGICAL    UINT32_C(0x4)
#define MSI_ID_SHIFT   12
#define MSI_ID_LOW     UINT32_C(0xff) /* the others: KVM_CAP_X2APIC_API */
#define MSI_MODE_SHIFT 8
#define MSI_LEVEL      UINT32_C(0xc000) /* triggered by level, asserted */

int kernel_apic_signal(struct vsm_partition *p, const struct lapic_ipi *message)
{
	const struct kvm_msi msi = {
		.address_lo = MSI_ADDRESS | (message->dest & MSI_ID_LOW) << MSI_ID_SHIFT |
			      (message->logical ? MSI_LOGICAL : 0),
		.address_hi = message->dest & ~MSI_ID_LOW,
		.data = message->vector | (uint32_t)message->mode << MSI_MODE_SHIFT |
			(message->level ? MSI_LEVEL : 0),
	};

	return p->host->ops->signal_msi(p->host, partition_space(p, 0)->vm_fd, &msi);
}
