/* SPDX-License-Identifier: MIT */
/* Layouts of TLFS vsm.md: the VSM registers and the VP assist page's VTL control. */
#ifndef VSM_LIB_HV_VSM_H
#define VSM_LIB_HV_VSM_H

#include <stddef.h>
#include <stdint.h>

/* HV_REGISTER_VSM_CODE_PAGE_OFFSETS */
#define HV_CODE_PAGE_CALL_SHIFT	  0
#define HV_CODE_PAGE_RETURN_SHIFT 12

/* HV_REGISTER_VSM_VP_STATUS */
#define HV_VP_STATUS_ACTIVE_VTL_MASK   UINT64_C(0xf)
#define HV_VP_STATUS_MBEC_ACTIVE       (UINT64_C(1) << 4)
#define HV_VP_STATUS_ENABLED_SET_SHIFT 16

/* HvRegisterExplicitSuspend, HvRegisterInternalActivityState */
#define HV_EXPLICIT_SUSPEND	    UINT64_C(1)
#define HV_ACTIVITY_STARTUP_SUSPEND UINT64_C(1)
#define HV_ACTIVITY_HALT_SUSPEND    UINT64_C(2)

/* HV_REGISTER_VSM_PARTITION_STATUS */
#define HV_PARTITION_STATUS_ENABLED_SET_SHIFT 0
#define HV_PARTITION_STATUS_MAX_VTL_SHIFT     16
#define HV_PARTITION_STATUS_MBEC_SET_SHIFT    20

/* HV_X64_REGISTER_VSM_CAPABILITIES */
#define HV_VSM_CAP_DENY_LOWER_VTL_STARTUP (UINT64_C(1) << 46)
#define HV_VSM_CAP_MBEC_SHIFT		  47
#define HV_VSM_CAP_DR6_SHARED		  (UINT64_C(1) << 63)

/* HV_REGISTER_VSM_PARTITION_CONFIG */
#define HV_PARTITION_CONFIG_ENABLE_PROTECTION  (UINT64_C(1) << 0)
#define HV_PARTITION_CONFIG_DEFAULT_MASK_SHIFT 1
#define HV_PARTITION_CONFIG_DEFAULT_MASK       (UINT64_C(0xf) << 1)
#define HV_PARTITION_CONFIG_ZERO_ON_RESET      (UINT64_C(1) << 5)
#define HV_PARTITION_CONFIG_DENY_LOWER_STARTUP (UINT64_C(1) << 6)
#define HV_PARTITION_CONFIG_INTERCEPT_STARTUP  (UINT64_C(1) << 9)
#define HV_PARTITION_CONFIG_VALID                                                     \
	(HV_PARTITION_CONFIG_ENABLE_PROTECTION | HV_PARTITION_CONFIG_DEFAULT_MASK |   \
	 HV_PARTITION_CONFIG_ZERO_ON_RESET | HV_PARTITION_CONFIG_DENY_LOWER_STARTUP | \
	 HV_PARTITION_CONFIG_INTERCEPT_STARTUP)

/* HV_REGISTER_VSM_VP_SECURE_VTL_CONFIG */
#define HV_SECURE_CONFIG_MBEC	    (UINT64_C(1) << 0)
#define HV_SECURE_CONFIG_TLB_LOCKED (UINT64_C(1) << 1)

/* HV_REGISTER_VSM_VINA */
#define HV_VINA_VECTOR	   UINT64_C(0xff)
#define HV_VINA_ENABLED	   (UINT64_C(1) << 8)
#define HV_VINA_AUTO_RESET (UINT64_C(1) << 9)
#define HV_VINA_AUTO_EOI   (UINT64_C(1) << 10)
#define HV_VINA_VALID	   (HV_VINA_VECTOR | HV_VINA_ENABLED | HV_VINA_AUTO_RESET | HV_VINA_AUTO_EOI)

/* HV_REGISTER_CR_INTERCEPT_CONTROL: the defined bits */
#define HV_CR_INTERCEPT_VALID ((UINT64_C(1) << 25) - 1)
/* Writes to CR0, CR4 and XCR0; to GDTR, IDTR, LDTR and TR. */
#define HV_CR_INTERCEPT_UNSUPPORTED UINT64_C(0x00078007)

/* HV_VTL_ENTRY_REASON */
enum hv_vtl_entry_reason {
	HV_VTL_ENTRY_CALL = 1,
	HV_VTL_ENTRY_INTERRUPT = 2,
};

/* HV_VP_VTL_CONTROL, at HV_VP_ASSIST_VTL_CONTROL in the VP assist page. */
struct hv_vp_vtl_control {
	uint32_t entry_reason;
	uint8_t vina_status;
	uint8_t reserved0;
	uint16_t reserved1;
	union {
		struct {
			uint64_t rax, rcx;
		} x64;
		struct {
			uint32_t eax, ecx, edx, reserved;
		} x86;
	};
};

#define HV_VP_ASSIST_VTL_CONTROL 8
#define HV_VINA_ASSERTED	 0x01

_Static_assert(sizeof(struct hv_vp_vtl_control) == 24, "TLFS hv_vp_vtl_control");
_Static_assert(offsetof(struct hv_vp_vtl_control, x64.rax) == 8, "TLFS hv_vp_vtl_control");

/* HV_X64_SEGMENT_REGISTER */
struct hv_segment {
	uint64_t base;
	uint32_t limit;
	uint16_t selector;
	uint16_t attributes; /* type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15 */
};

/* HV_X64_TABLE_REGISTER */
struct hv_table {
	uint16_t pad[3];
	uint16_t limit;
	uint64_t base;
};

/* HV_INITIAL_VP_CONTEXT, x64 */
struct hv_initial_vp_context {
	uint64_t rip, rsp, rflags;
	struct hv_segment cs, ds, es, fs, gs, ss, tr, ldtr;
	struct hv_table idtr, gdtr;
	uint64_t efer, cr0, cr3, cr4, msr_cr_pat;
};

_Static_assert(sizeof(struct hv_segment) == 16, "TLFS hv_x64_segment_register");
_Static_assert(sizeof(struct hv_table) == 16, "TLFS hv_x64_table_register");
_Static_assert(sizeof(struct hv_initial_vp_context) == 224, "TLFS hv_initial_vp_context");

#endif
