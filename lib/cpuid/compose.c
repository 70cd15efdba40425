/* SPDX-License-Identifier: MIT */
/*
 * The guest's CPUID: the VMM's table with the Hyper-V leaves in place of its own hypervisor leaves.
 */
#include "cpuid/compose.h"

#include <errno.h>
#include <string.h>

#include "hv/privileges.h"
#include "msr/apic_msr.h"
#include "partition/partition.h"

#define HYPERVISOR_FIRST   UINT32_C(0x40000000)
#define HYPERVISOR_LAST	   UINT32_C(0x400000ff)

#define FEATURE_LEAF	   1
#define FEATURE_HYPERVISOR (UINT32_C(1) << 31) /* ECX */
#define FEATURE_X2APIC	   (UINT32_C(1) << 21) /* ECX */
/* A nested guest would run on memory that is open for one instruction of its own hypervisor. */
#define FEATURE_VMX	     (UINT32_C(1) << 5) /* ECX of 1 */
#define EXTENDED_LEAF	     UINT32_C(0x80000001)
#define EXTENDED_SVM	     (UINT32_C(1) << 2) /* ECX of 0x80000001 */
#define HV_MAX_LEAF	     UINT32_C(0x40000006)
#define HV_FEATURE_FREQUENCY (UINT32_C(1) << 8) /* EDX of 0x40000003 */
#define HV_FEATURE_XMM_IN    (UINT32_C(1) << 4)
#define HV_FEATURE_CRASH     (UINT32_C(1) << 10)
#define HV_FEATURE_XMM_OUT   (UINT32_C(1) << 15)
#define HV_FEATURE_POLLING   (UINT32_C(1) << 17)
#define HV_FEATURE_MSR_LOCK  (UINT32_C(1) << 18)
#define HV_FEATURE_DIRECT    (UINT32_C(1) << 19) /* synthetic timers */
#define HV_FEATURES                                                                       \
	(HV_FEATURE_CRASH | HV_FEATURE_XMM_IN | HV_FEATURE_XMM_OUT | HV_FEATURE_POLLING | \
	 HV_FEATURE_MSR_LOCK | HV_FEATURE_DIRECT)

/* EAX of 0x40000004: do not use AutoEOI, for which KVM's own local APIC does without APICv. */
#define HV_HINT_NO_AUTO_EOI (UINT32_C(1) << 9)
/* HvCallSendSyntheticClusterIpi, and VP sets of more than 64. */
#define HV_HINT_CLUSTER_IPI	   (UINT32_C(1) << 10)
#define HV_HINT_EX_PROCESSOR_MASKS (UINT32_C(1) << 11)
#define HV_HINTS		   (HV_HINT_NO_AUTO_EOI | HV_HINT_CLUSTER_IPI | HV_HINT_EX_PROCESSOR_MASKS)

/* The build this interface is modelled on: Windows Server 2022's. */
#define HV_VERSION_BUILD 20348
#define HV_VERSION_MAJOR 10
#define HV_VERSION_MINOR 0

/* What every partition has, and what depends on the host. */
static uint64_t privileges(const struct vsm_partition *p)
{
	return HV_PRIVILEGES_GRANTED | (p->tsc_khz ? HV_PRIVILEGE_FREQUENCY_REGS : 0) |
	       (apic_msr_offered(p) ? HV_PRIVILEGE_INTR_CTRL_REGS : 0);
}

/* TLFS feature-discovery.md, one row a leaf. */
static size_t hyperv_leaves(const struct vsm_partition *p, struct kvm_cpuid_entry2 *e)
{
	const struct kvm_cpuid_entry2 leaves[] = {
		/* "Microsoft Hv" */
		{.function = 0x40000000,
		 .eax = HV_MAX_LEAF,
		 .ebx = 0x7263694d,
		 .ecx = 0x666f736f,
		 .edx = 0x76482074},
		{.function = 0x40000001, .eax = 0x31237648}, /* "Hv#1" */
		{.function = 0x40000002,
		 .eax = HV_VERSION_BUILD,
		 .ebx = HV_VERSION_MAJOR << 16 | HV_VERSION_MINOR},
		{.function = 0x40000003,
		 .eax = (uint32_t)privileges(p),
		 .ebx = (uint32_t)(privileges(p) >> 32),
		 .edx = HV_FEATURES | (p->tsc_khz ? HV_FEATURE_FREQUENCY : 0)},
		/* Never notify of long spin waits. */
		{.function = 0x40000004, .eax = HV_HINTS, .ebx = UINT32_MAX},
		{.function = 0x40000005, .eax = p->max_vps, .ebx = p->max_vps},
		{.function = 0x40000006},
	};

	memcpy(e, leaves, sizeof(leaves));
	return sizeof(leaves) / sizeof(leaves[0]);
}

#define HYPERV_LEAVES 7

bool cpuid_hyperv_leaf(const struct vsm_partition *p, __u32 function, struct kvm_cpuid_entry2 *e)
{
	struct kvm_cpuid_entry2 leaves[HYPERV_LEAVES];
	size_t count = hyperv_leaves(p, leaves);

	for (size_t i = 0; i < count; i++)
		if (leaves[i].function == function) {
			*e = leaves[i];
			return true;
		}
	return false;
}

static bool is_hypervisor_leaf(uint32_t function)
{
	return function >= HYPERVISOR_FIRST && function <= HYPERVISOR_LAST;
}

static uint32_t kept_leaves(const struct kvm_cpuid2 *in)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < in->nent; i++)
		kept += !is_hypervisor_leaf(in->entries[i].function);
	return kept;
}

int vsm_partition_compose_cpuid(const struct vsm_partition *partition, const struct kvm_cpuid2 *in,
				struct kvm_cpuid2 *out)
{
	uint32_t need, n = 0;

	if (!partition || !in || !out)
		return -EINVAL;
	need = kept_leaves(in) + HYPERV_LEAVES;
	if (out->nent < need) {
		out->nent = need;
		return -E2BIG;
	}
	for (uint32_t i = 0; i < in->nent; i++) {
		struct kvm_cpuid_entry2 *e = &out->entries[n];

		if (is_hypervisor_leaf(in->entries[i].function))
			continue;
		*e = in->entries[i];
		if (e->function == FEATURE_LEAF)
			e->ecx = (e->ecx & ~FEATURE_VMX) | FEATURE_HYPERVISOR | FEATURE_X2APIC;
		else if (e->function == EXTENDED_LEAF)
			e->ecx &= ~EXTENDED_SVM;
		n++;
	}
	n += (uint32_t)hyperv_leaves(partition, &out->entries[n]);
	out->nent = n;
	return 0;
}
