/* SPDX-License-Identifier: MIT */
/* The MSR filter: which accesses come to user space although KVM could answer them. */
#include <errno.h>
#include <string.h>

#include "apic/lapic.h"
#include "msr/shared_msr.h"
#include "msr/synthetic.h"
#include "partition/partition.h"

#define HYPERV_FIRST 0x40000000
#define HYPERV_COUNT 0x200
#define BITMAP_BYTES (HYPERV_COUNT / 8)

_Static_assert(BITMAP_BYTES <= KVM_MSR_FILTER_MAX_BITMAP_SIZE, "KVM takes it in one range");

/* In a bitmap, 1 is "KVM answers" and 0 "user space answers". */
static void add_range(struct kvm_msr_filter *filter, unsigned *used, uint32_t flags, uint32_t first,
		      uint32_t count, uint8_t *closed)
{
	filter->ranges[(*used)++] = (struct kvm_msr_filter_range){
		.flags = flags,
		.base = first,
		.nmsrs = count,
		.bitmap = closed,
	};
}

int msr_filter_install(struct vsm_partition *p, int vm_fd, bool user_apic)
{
	const struct kvm_enable_cap exits = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR,
		.args[0] = KVM_MSR_EXIT_REASON_FILTER | KVM_MSR_EXIT_REASON_UNKNOWN |
			   KVM_MSR_EXIT_REASON_INVAL,
	};
	const uint32_t both = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE;
	struct kvm_msr_filter filter = {.flags = KVM_MSR_FILTER_DEFAULT_ALLOW};
	uint8_t closed[BITMAP_BYTES] = {0};
	unsigned used = 0;
	int r = p->host->ops->enable_cap(p->host, vm_fd, &exits);

	if (r)
		return r;
	add_range(&filter, &used, both, HYPERV_FIRST, HYPERV_COUNT, closed);
	add_range(&filter, &used, both, HV_MSR_VSM_CAPABILITIES, 1, closed);
	if (user_apic) {
		add_range(&filter, &used, both, LAPIC_MSR_BASE, 1, closed);
		add_range(&filter, &used, both, LAPIC_MSR_TSC_DEADLINE, 1, closed);
	}
	for (size_t i = 0; i < shared_msr_ranges && used < KVM_MSR_FILTER_MAX_RANGES; i++)
		add_range(&filter, &used, KVM_MSR_FILTER_WRITE, shared_msrs[i].first,
			  shared_msrs[i].count, closed);
	return p->host->ops->set_msr_filter(p->host, vm_fd, &filter);
}
