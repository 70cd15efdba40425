/* SPDX-License-Identifier: MIT */
/* HV_REGISTER_NAME -> where it lives, in the order of the names. What is not here a guest cannot
 * name: HV_INVALID_PARAMETER. */
#include "registers/places.h"

#include <stddef.h>

#include "hv/register_names.h"
#include "msr/synthetic.h"
#include "registers/fpu.h"

#define SHARED	      REGISTER_SHARED
#define READ_ONLY     REGISTER_READ_ONLY

#define REGS(member)  offsetof(struct kvm_regs, member)
#define SREGS(member) offsetof(struct kvm_sregs, member)
#define DREGS(member) offsetof(struct kvm_debugregs, member)
#define GPR(n, member)                                    \
	{                                                 \
		n, 1, SHARED, REGS(member), 0, &place_gpr \
	}
#define SEG(n, member)                                    \
	{                                                 \
		n, 1, 0, SREGS(member), 0, &place_segment \
	}
#define MSR(n, index)                         \
	{                                     \
		n, 1, 0, index, 0, &place_msr \
	}
#define SYN(n, index)                               \
	{                                           \
		n, 1, 0, index, 0, &place_synthetic \
	}

#define QWORD sizeof(uint64_t)

const struct register_row register_table[] = {
	{HV_REGISTER_EXPLICIT_SUSPEND, 1, 0, 0, 0, &place_suspend},
	/* Nothing but the caller suspends a VTL here. */
	{HV_REGISTER_INTERCEPT_SUSPEND, 1, 0, 0, 0, &place_zero},
	{HV_REGISTER_DISPATCH_SUSPEND, 1, 0, 0, 0, &place_zero},
	{HV_REGISTER_INTERNAL_ACTIVITY_STATE, 1, 0, 0, 0, &place_activity},
	{HV_REGISTER_HYPERVISOR_VERSION, 1, 0, 0x40000002, 0, &place_cpuid_leaf},
	{HV_REGISTER_PRIVILEGES_AND_FEATURES_INFO, 4, 0, 0x40000003, 1, &place_cpuid_leaf},
	{HV_REGISTER_GUEST_CRASH_P0, 6, 0, HV_MSR_CRASH_P0, 1, &place_synthetic},
	{HV_REGISTER_PROCESSOR_CLOCK_FREQUENCY, 2, 0, HV_MSR_TSC_FREQUENCY, 1, &place_frequency},

	{HV_REGISTER_PENDING_INTERRUPTION, 1, 0, 0, 0, &place_interruption},
	{HV_REGISTER_INTERRUPT_STATE, 1, 0, 0, 0, &place_interrupt_state},
	{HV_REGISTER_PENDING_EVENT0, 1, 0, 0, 0, &place_event0},
	{HV_REGISTER_PENDING_EVENT1, 1, 0, 0, 0, &place_event1},

	GPR(HV_REGISTER_RAX, rax),
	GPR(HV_REGISTER_RCX, rcx),
	GPR(HV_REGISTER_RDX, rdx),
	GPR(HV_REGISTER_RBX, rbx),
	{HV_REGISTER_RSP, 1, 0, REGS(rsp), 0, &place_gpr},
	GPR(HV_REGISTER_RBP, rbp),
	GPR(HV_REGISTER_RSI, rsi),
	GPR(HV_REGISTER_RDI, rdi),
	{HV_REGISTER_R8, 8, SHARED, REGS(r8), QWORD, &place_gpr},
	{HV_REGISTER_RIP, 1, 0, REGS(rip), 0, &place_rip},
	{HV_REGISTER_RFLAGS, 1, 0, REGS(rflags), 0, &place_rflags},

	{HV_REGISTER_XMM0, FPU_XMM_COUNT, SHARED, FPU_XMM0, FPU_REG_SIZE, &place_fp},
	{HV_REGISTER_FP_MMX0, 8, SHARED, FPU_ST0, FPU_REG_SIZE, &place_st},
	{HV_REGISTER_FP_CONTROL_STATUS, 1, SHARED, FPU_CONTROL, 0, &place_fp},
	{HV_REGISTER_XMM_CONTROL_STATUS, 1, SHARED, FPU_MXCSR, 0, &place_fp},

	{HV_REGISTER_CR0, 1, 0, SREGS(cr0), 0, &place_cr0},
	{HV_REGISTER_CR2, 1, SHARED, SREGS(cr2), 0, &place_control},
	{HV_REGISTER_CR3, 1, 0, SREGS(cr3), 0, &place_control},
	{HV_REGISTER_CR4, 1, 0, SREGS(cr4), 0, &place_control},
	{HV_REGISTER_CR8, 1, 0, 0, 0, &place_cr8},
	{HV_REGISTER_XFEM, 1, SHARED, 0, 0, &place_xcr0},

	{HV_REGISTER_DR0, 4, SHARED, DREGS(db), QWORD, &place_debug},
	{HV_REGISTER_DR6, 1, 0, DREGS(dr6), 0, &place_debug},
	{HV_REGISTER_DR7, 1, 0, DREGS(dr7), 0, &place_debug},

	SEG(HV_REGISTER_ES, es),
	SEG(HV_REGISTER_CS, cs),
	SEG(HV_REGISTER_SS, ss),
	SEG(HV_REGISTER_DS, ds),
	SEG(HV_REGISTER_FS, fs),
	SEG(HV_REGISTER_GS, gs),
	SEG(HV_REGISTER_LDTR, ldt),
	{HV_REGISTER_TR, 1, 0, SREGS(tr), 0, &place_task},

	{HV_REGISTER_IDTR, 1, 0, SREGS(idt), 0, &place_table},
	{HV_REGISTER_GDTR, 1, 0, SREGS(gdt), 0, &place_table},

	/* One TSC for all of a VP's VTLs: setting one of them apart is not offered. */
	{HV_REGISTER_TSC, 1, READ_ONLY, 0x10, 0, &place_msr},
	{HV_REGISTER_EFER, 1, 0, SREGS(efer), 0, &place_efer},
	MSR(HV_REGISTER_KERNEL_GS_BASE, 0xc0000102),
	{HV_REGISTER_APIC_BASE, 1, 0, 0, 0, &place_apic_base},
	MSR(HV_REGISTER_PAT, 0x277),
	MSR(HV_REGISTER_SYSENTER_CS, 0x174),
	MSR(HV_REGISTER_SYSENTER_EIP, 0x176),
	MSR(HV_REGISTER_SYSENTER_ESP, 0x175),
	MSR(HV_REGISTER_STAR, 0xc0000081),
	MSR(HV_REGISTER_LSTAR, 0xc0000082),
	MSR(HV_REGISTER_CSTAR, 0xc0000083),
	MSR(HV_REGISTER_SFMASK, 0xc0000084),
	{HV_REGISTER_INITIAL_APIC_ID, 1, READ_ONLY, 0, 0, &place_apic_id},
	{HV_REGISTER_MTRR_CAP, 1, READ_ONLY | SHARED, 0xfe, 0, &place_msr},
	{HV_REGISTER_MTRR_DEF_TYPE, 1, SHARED, 0x2ff, 0, &place_msr},
	{HV_REGISTER_MTRR_PHYS_BASE0, 16, SHARED, 0x200, 2, &place_msr},
	{HV_REGISTER_MTRR_PHYS_MASK0, 16, SHARED, 0x201, 2, &place_msr},
	{HV_REGISTER_MTRR_FIX_64K_00000, 1, SHARED, 0x250, 0, &place_msr},
	{HV_REGISTER_MTRR_FIX_16K_80000, 2, SHARED, 0x258, 1, &place_msr},
	{HV_REGISTER_MTRR_FIX_4K_C0000, 8, SHARED, 0x268, 1, &place_msr},
	MSR(HV_REGISTER_TSC_AUX, 0xc0000103),
	MSR(HV_REGISTER_DEBUG_CTL, 0x1d9),
	MSR(HV_REGISTER_SPEC_CTRL, 0x48),
	MSR(HV_REGISTER_TSX_CTRL, 0x122),
	MSR(HV_REGISTER_XSS, 0xda0),
	MSR(HV_REGISTER_U_CET, 0x6a0),
	MSR(HV_REGISTER_S_CET, 0x6a2),
	{HV_REGISTER_PL0_SSP, 5, 0, 0x6a4, 1, &place_msr},
	{HV_REGISTER_TSC_DEADLINE, 1, 0, LAPIC_MSR_TSC_DEADLINE, 0, &place_apic_msr},
	{HV_REGISTER_TSC_ADJUST, 1, READ_ONLY, 0x3b, 0, &place_msr},
	MSR(HV_REGISTER_UMWAIT_CONTROL, 0xe1),
	MSR(HV_REGISTER_XFD, 0x1c4),
	MSR(HV_REGISTER_XFD_ERR, 0x1c5),
	MSR(HV_REGISTER_MISC_ENABLE, 0x1a0),
	MSR(HV_REGISTER_FEATURE_CONTROL, 0x3a),

	{HV_REGISTER_APIC_ID, 0x3e, 0, 0x802, 1, &place_apic_msr},

	{HV_REGISTER_VP_RUNTIME, 1, READ_ONLY, HV_MSR_VP_RUNTIME, 0, &place_synthetic},
	SYN(HV_REGISTER_HYPERCALL, HV_MSR_HYPERCALL),
	SYN(HV_REGISTER_GUEST_OS_ID, HV_MSR_GUEST_OS_ID),
	{HV_REGISTER_VP_INDEX, 1, READ_ONLY, HV_MSR_VP_INDEX, 0, &place_synthetic},
	{HV_REGISTER_TIME_REF_COUNT, 1, READ_ONLY, HV_MSR_TIME_REF_COUNT, 0, &place_synthetic},
	{HV_REGISTER_SYNTHETIC_EOI, 4, 0, HV_MSR_EOI, 1, &place_synthetic},
	SYN(HV_REGISTER_REFERENCE_TSC, HV_MSR_REFERENCE_TSC),

	{HV_REGISTER_SINT0, 16, 0, HV_MSR_SINT0, 1, &place_synthetic},
	SYN(HV_REGISTER_SCONTROL, HV_MSR_SCONTROL),
	{HV_REGISTER_SVERSION, 1, READ_ONLY, HV_MSR_SVERSION, 0, &place_synthetic},
	SYN(HV_REGISTER_SIEFP, HV_MSR_SIEFP),
	SYN(HV_REGISTER_SIMP, HV_MSR_SIMP),
	SYN(HV_REGISTER_EOM, HV_MSR_EOM),
	{HV_REGISTER_STIMER0_CONFIG, 8, 0, HV_MSR_STIMER0_CONFIG, 1, &place_synthetic},

	{HV_REGISTER_VSM_CODE_PAGE_OFFSETS, 1, 0, 0, 0, &place_code_page_offsets},
	{HV_REGISTER_VSM_VP_STATUS, 1, 0, 0, 0, &place_vp_status},
	{HV_REGISTER_VSM_PARTITION_STATUS, 1, 0, 0, 0, &place_partition_status},
	{HV_REGISTER_VSM_VINA, 1, 0, 0, 0, &place_vina},
	{HV_REGISTER_VSM_CAPABILITIES, 1, 0, 0, 0, &place_capabilities},
	{HV_REGISTER_VSM_PARTITION_CONFIG, 1, 0, 0, 0, &place_partition_config},
	{HV_REGISTER_VSM_VP_SECURE_CONFIG_VTL0, 15, 0, 0, 1, &place_secure_config},

	{HV_REGISTER_CR_INTERCEPT_CONTROL, 1, 0, 0, 0, &place_cr_intercept_control},
	{HV_REGISTER_CR_INTERCEPT_CR0_MASK, 3, 0, 0, 1, &place_cr_intercept_mask},
};

const size_t register_table_size = sizeof(register_table) / sizeof(register_table[0]);
