/* SPDX-License-Identifier: MIT */
/* include/vsm/interrupt.h: messages of the VMM's devices. */
#include <errno.h>

#include "apic/bus.h"
#include "vcpu/vcpu.h"
#include "vsm/interrupt.h"

#define ADDRESS_FIXED	 UINT64_C(0xfff00000)
#define ADDRESS_APIC	 UINT64_C(0xfee00000)
#define ADDRESS_LOGICAL	 UINT64_C(0x4)
#define ADDRESS_REDIRECT UINT64_C(0x8)
#define ID_SHIFT	 12
#define ID_HIGH_SHIFT	 40
#define DATA_MODE_SHIFT	 8
#define DATA_LEVEL	 UINT32_C(0x8000)

static uint32_t destination(uint64_t address)
{
	uint32_t low = (uint8_t)(address >> ID_SHIFT);
	uint32_t high = (uint32_t)(address >> ID_HIGH_SHIFT);

	return !high && low == 0xff ? LAPIC_BROADCAST : high << 8 | low;
}

/* SDM: the redirection hint lets the processors named logically agree on one of them. */
static uint8_t mode(uint64_t address, uint32_t data)
{
	const uint64_t one_of = ADDRESS_LOGICAL | ADDRESS_REDIRECT;
	uint8_t mode = data >> DATA_MODE_SHIFT & 7;

	return mode == LAPIC_FIXED && (address & one_of) == one_of ? LAPIC_LOWEST : mode;
}

static int signal_kernel_apic(struct vsm_partition *p, uint64_t address, uint32_t data)
{
	const struct kvm_msi msi = {.address_lo = (uint32_t)address,
				    .address_hi = (uint32_t)(address >> 32),
				    .data = data};
	int r = p->host->ops->signal_msi(p->host, partition_space(p, 0)->vm_fd, &msi);

	return r < 0 ? r : 0;
}

int vsm_partition_signal_msi(struct vsm_partition *partition, unsigned vtl, uint64_t address,
			     uint32_t data)
{
	const struct lapic_ipi ipi = {.valid = true,
				      .logical = address & ADDRESS_LOGICAL,
				      .vector = (uint8_t)data,
				      .mode = mode(address, data),
				      .dest = destination(address)};

	if (!partition || vtl >= partition->vtl_count || (data & DATA_LEVEL) ||
	    (address & ADDRESS_FIXED) != ADDRESS_APIC)
		return -EINVAL;
	if (vtl == 0 && partition->kernel_irqchip)
		return signal_kernel_apic(partition, address, data);
	pthread_mutex_lock(&partition->lock);
	bus_route(partition, NULL, vtl, &ipi);
	pthread_mutex_unlock(&partition->lock);
	return 0;
}
