/* SPDX-License-Identifier: MIT */
/*
 * The MSR filter: which accesses come to user space although KVM could answer them. MSRs are in two
 * banks, each with a bitmap for reads and one for writes.
 */
#include <errno.h>
#include <string.h>

#include "apic/lapic.h"
#include "msr/intercept.h"
#include "msr/shared_msr.h"
#include "msr/synthetic.h"
#include "partition/partition.h"

#define HYPERV_FIRST 0x40000000
#define HYPERV_COUNT 0x200

#define BANK_COUNT   0x2000
#define BANK_BYTES   (BANK_COUNT / 8)

_Static_assert(BANK_BYTES <= KVM_MSR_FILTER_MAX_BITMAP_SIZE, "KVM takes a bank in one range");

static const uint32_t bank_first[] = {0, 0xc0000000};

#define BANKS (sizeof(bank_first) / sizeof(bank_first[0]))

/* In a bitmap, 1 is "KVM answers" and 0 "user space answers". */
struct bitmaps {
	uint8_t read[BANKS][BANK_BYTES], write[BANKS][BANK_BYTES];
};

static void close_msr(struct bitmaps *b, uint32_t index, uint32_t flags)
{
	for (size_t i = 0; i < BANKS; i++) {
		uint32_t bit = index - bank_first[i];
		uint8_t keep = (uint8_t) ~(1u << (bit % 8));

		if (bit >= BANK_COUNT)
			continue;
		if (flags & KVM_MSR_FILTER_READ)
			b->read[i][bit / 8] &= keep;
		if (flags & KVM_MSR_FILTER_WRITE)
			b->write[i][bit / 8] &= keep;
	}
}

static void close_shared(struct bitmaps *b)
{
	for (size_t i = 0; i < shared_msr_ranges; i++)
		for (uint32_t j = 0; j < shared_msrs[i].count; j++)
			close_msr(b, shared_msrs[i].first + j, KVM_MSR_FILTER_WRITE);
}

/* What VTLs above `vtl` want to decide on. */
static void close_intercepted(const struct vsm_partition *p, unsigned vtl, struct bitmaps *b)
{
	uint32_t index;

	for (unsigned i = 0; msr_intercept_candidate(i, &index); i++) {
		if (msr_intercept_wanted(p, vtl, index, MEM_READ))
			close_msr(b, index, KVM_MSR_FILTER_READ);
		if (msr_intercept_wanted(p, vtl, index, MEM_WRITE))
			close_msr(b, index, KVM_MSR_FILTER_WRITE);
	}
}

static struct kvm_msr_filter_range range(uint32_t flags, uint32_t first, uint32_t count,
					 uint8_t *bitmap)
{
	return (struct kvm_msr_filter_range){
		.flags = flags, .base = first, .nmsrs = count, .bitmap = bitmap};
}

static int set_filter(struct vsm_partition *p, unsigned space, bool user_apic)
{
	const uint32_t both = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE;
	struct kvm_msr_filter filter = {.flags = KVM_MSR_FILTER_DEFAULT_ALLOW};
	uint8_t closed[HYPERV_COUNT / 8] = {0};
	struct bitmaps b;
	unsigned used = 0;

	memset(&b, 0xff, sizeof(b));
	if (user_apic) {
		close_msr(&b, LAPIC_MSR_BASE, both);
		close_msr(&b, LAPIC_MSR_TSC_DEADLINE, both);
	}
	close_shared(&b);
	close_intercepted(p, space, &b);
	filter.ranges[used++] = range(both, HYPERV_FIRST, HYPERV_COUNT, closed);
	filter.ranges[used++] = range(both, HV_MSR_VSM_CAPABILITIES, 1, closed);
	for (size_t i = 0; i < BANKS; i++) {
		filter.ranges[used++] =
			range(KVM_MSR_FILTER_READ, bank_first[i], BANK_COUNT, b.read[i]);
		filter.ranges[used++] =
			range(KVM_MSR_FILTER_WRITE, bank_first[i], BANK_COUNT, b.write[i]);
	}
	return p->host->ops->set_msr_filter(p->host, p->spaces[space].vm_fd, &filter);
}

int msr_filter_install(struct vsm_partition *p, unsigned space, bool user_apic)
{
	const struct kvm_enable_cap exits = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR,
		.args[0] = KVM_MSR_EXIT_REASON_FILTER | KVM_MSR_EXIT_REASON_UNKNOWN |
			   KVM_MSR_EXIT_REASON_INVAL,
	};
	int r = p->host->ops->enable_cap(p->host, p->spaces[space].vm_fd, &exits);

	return r ? r : set_filter(p, space, user_apic);
}

int msr_filter_update(struct vsm_partition *p)
{
	int r = 0;

	for (unsigned i = 0; !r && i < p->space_count; i++)
		r = set_filter(p, i, i || !p->kernel_irqchip);
	return r;
}
