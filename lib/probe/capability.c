// SPDX-License-Identifier: MIT
/*
 * What libvsm uses of KVM, beyond what every KVM has. `since` is the first release in which KVM on
 * x86 answers for the capability: some numbers were given earlier, for other architectures or with
 * the interface but without the answer (KVM_CAP_SET_GUEST_DEBUG).
 */
#include "probe/probe.h"

#define CAP(cap)      .name = #cap, .number = cap

#define SYNC_REGS_ALL (KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)

/* clang-format off */
const struct capability capabilities[] = {
	/* What nothing works without. */
	{CAP(KVM_CAP_USER_MEMORY), .needed = true, .since = "2.6.25",
	 .purpose = "guest memory out of mappings of this process",
	 .loss = "no guest memory"},
	{CAP(KVM_CAP_EXT_CPUID), .needed = true, .since = "2.6.25",
	 .purpose = "the CPUID table with the Hyper-V leaves",
	 .loss = "a guest cannot find VSM"},
	{CAP(KVM_CAP_NR_MEMSLOTS), .needed = true, .since = "2.6.26",
	 .purpose = "how many memslots a VM can have",
	 .loss = "no memslot can be planned for"},
	{CAP(KVM_CAP_VCPU_EVENTS), .needed = true, .since = "2.6.33",
	 .purpose = "exceptions and interrupts in flight, moved and injected",
	 .loss = "no exception can be given to a guest"},
	{CAP(KVM_CAP_DEBUGREGS), .needed = true, .since = "2.6.35",
	 .purpose = "debug registers shared by the VTLs of a VP",
	 .loss = "a VTL switch loses DR0-DR3"},
	{CAP(KVM_CAP_XSAVE), .needed = true, .since = "2.6.36",
	 .purpose = "x87, SSE and AVX state shared by the VTLs of a VP",
	 .loss = "a VTL switch loses floating-point and vector state"},
	{CAP(KVM_CAP_XCRS), .needed = true, .since = "2.6.36",
	 .purpose = "XCR0 shared by the VTLs of a VP",
	 .loss = "a VTL switch loses XCR0"},
	{CAP(KVM_CAP_IMMEDIATE_EXIT), .needed = true, .since = "4.11",
	 .purpose = "finishing an instruction and kicking a vCPU without a race",
	 .loss = "no intercept can be delivered with consistent registers"},
	{CAP(KVM_CAP_X86_USER_SPACE_MSR), .needed = true, .since = "5.10",
	 .purpose = "synthetic MSRs answered by the library",
	 .loss = "a guest cannot reach Hyper-V's MSRs"},
	{CAP(KVM_CAP_X86_MSR_FILTER), .needed = true, .since = "5.10",
	 .purpose = "synthetic MSRs kept from KVM's own Hyper-V emulation",
	 .loss = "KVM answers the MSRs the library must answer"},

	/* What something works without. */
	{CAP(KVM_CAP_SYNC_REGS), .bits = SYNC_REGS_ALL, .since = "4.17",
	 .purpose = "registers exchanged through kvm_run with each entry and exit",
	 .loss = "slower: each exit costs ioctls for the registers"},
	{CAP(KVM_CAP_READONLY_MEM), .since = "3.7",
	 .purpose = "read-only memslots for the VMM's ROM",
	 .loss = "no memory can be mapped read-only"},
	{CAP(KVM_CAP_MAX_VCPUS), .since = "3.2",
	 .purpose = "how many vCPUs a VM can have",
	 .loss = "the number of VPs is not checked in advance"},
	{CAP(KVM_CAP_MAX_VCPU_ID), .since = "4.7",
	 .purpose = "which vCPU ids a VM accepts, for several VTLs in one VM",
	 .loss = "KVM_CAP_MAX_VCPUS is the limit of the ids as well"},
	{CAP(KVM_CAP_XSAVE2), .since = "5.17",
	 .purpose = "vector state larger than 4 KiB (AMX)",
	 .loss = "guests are limited to the state of a 4 KiB image"},
	{CAP(KVM_CAP_SREGS2), .since = "5.14",
	 .purpose = "page-directory pointers (PAE) of one VTL kept from another",
	 .loss = "a VTL that may not read its PAE pointers may keep another VTL's"},
	{CAP(KVM_CAP_SET_GUEST_DEBUG), .since = "5.7",
	 .purpose = "stepping a legal access to a page kept closed",
	 .loss = "no strict execute policy; relaxed works"},
	{CAP(KVM_CAP_SET_GUEST_DEBUG2), .bits = KVM_GUESTDBG_BLOCKIRQ, .since = "5.15",
	 .purpose = "no interrupt while such an access is stepped",
	 .loss = "no strict execute policy; relaxed works"},
	{CAP(KVM_CAP_INTERNAL_ERROR_DATA), .since = "2.6.33",
	 .purpose = "why KVM gave up on an instruction",
	 .loss = "a failed fetch is told apart by decoding alone"},
	{CAP(KVM_CAP_EXIT_ON_EMULATION_FAILURE), .since = "5.14",
	 .purpose = "instructions of user mode that KVM cannot emulate on protected pages",
	 .loss = "user-mode intercepts may be #UD where KVM emulates"},
	{CAP(KVM_CAP_GET_TSC_KHZ), .since = "3.0",
	 .purpose = "the scale of the reference TSC page",
	 .loss = "guests read reference time from the MSR only"},
	{CAP(KVM_CAP_VCPU_ATTRIBUTES), .since = "5.16",
	 .purpose = "one TSC offset for all VTLs of a VP",
	 .loss = "the TSCs of a VP's VTLs may differ"},
	{CAP(KVM_CAP_IRQCHIP), .since = "2.6.24",
	 .purpose = "KVM's in-kernel interrupt controller for VTL0",
	 .loss = "VTL0 must use the library's interrupt controller"},
	{CAP(KVM_CAP_MP_STATE), .since = "2.6.26",
	 .purpose = "start and halt states of vCPUs with the in-kernel interrupt controller",
	 .loss = "VTL0 must use the library's interrupt controller"},
	{CAP(KVM_CAP_SIGNAL_MSI), .since = "3.5",
	 .purpose = "interrupts of the library and the VMM to the in-kernel interrupt controller",
	 .loss = "VTL0 must use the library's interrupt controller"},
	{CAP(KVM_CAP_HYPERV), .since = "2.6.34",
	 .purpose = "MSRs EOI, ICR and TPR of VTL0 with the in-kernel interrupt controller",
	 .loss = "no MSRs EOI, ICR and TPR in VTL0 with KVM's interrupt controller"},
	{CAP(KVM_CAP_HYPERV_SYNIC2), .since = "4.14",
	 .purpose = "AutoEOI in VTL0 with the in-kernel interrupt controller",
	 .loss = "SINTs with AutoEOI of such a VTL0 may be up to 12.8 ms late"},
};
/* clang-format on */

const size_t capability_count = sizeof(capabilities) / sizeof(capabilities[0]);

_Static_assert(sizeof(capabilities) / sizeof(capabilities[0]) <= VSM_PROBE_ENTRIES_MAX,
	       "struct vsm_probe has too few entries");
