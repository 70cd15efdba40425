/* SPDX-License-Identifier: MIT */
/* The hypercall control word, call codes, and the calls' parameter blocks (TLFS
 * hypercall-interface.md and the page of each call under hypercalls/). */
#ifndef VSM_LIB_HV_HYPERCALL_H
#define VSM_LIB_HV_HYPERCALL_H

#include <stddef.h>
#include <stdint.h>
#include "hv/vsm.h"

/* Hypercall input value */
#define HV_CONTROL_CODE		   UINT64_C(0xffff)
#define HV_CONTROL_FAST		   (UINT64_C(1) << 16)
#define HV_CONTROL_VARIABLE_SHIFT  17
#define HV_CONTROL_VARIABLE	   (UINT64_C(0x3ff) << HV_CONTROL_VARIABLE_SHIFT)
#define HV_CONTROL_REP_COUNT_SHIFT 32
#define HV_CONTROL_REP_COUNT	   (UINT64_C(0xfff) << HV_CONTROL_REP_COUNT_SHIFT)
#define HV_CONTROL_REP_START_SHIFT 48
#define HV_CONTROL_REP_START	   (UINT64_C(0xfff) << HV_CONTROL_REP_START_SHIFT)
#define HV_CONTROL_RESERVED                                                                 \
	(~(HV_CONTROL_CODE | HV_CONTROL_FAST | HV_CONTROL_VARIABLE | HV_CONTROL_REP_COUNT | \
	   HV_CONTROL_REP_START))

/* Hypercall result value */
#define HV_RESULT_REPS_SHIFT 32

/* Parameter blocks in memory start on a multiple of this. */
#define HV_PARAMETER_ALIGN 8

/* Bytes of a fast call's parameters: RDX, R8, XMM0..XMM5. */
#define HV_FAST_SIZE	 112
#define HV_FAST_GPR_SIZE 16

enum hv_call_code {
	HV_CALL_FLUSH_VIRTUAL_ADDRESS_SPACE = 0x0002,
	HV_CALL_FLUSH_VIRTUAL_ADDRESS_LIST = 0x0003,
	HV_CALL_NOTIFY_LONG_SPIN_WAIT = 0x0008,
	HV_CALL_SEND_SYNTHETIC_CLUSTER_IPI = 0x000b,
	HV_CALL_MODIFY_VTL_PROTECTION_MASK = 0x000c,
	HV_CALL_ENABLE_PARTITION_VTL = 0x000d,
	HV_CALL_DISABLE_PARTITION_VTL = 0x000e,
	HV_CALL_ENABLE_VP_VTL = 0x000f,
	HV_CALL_DISABLE_VP_VTL = 0x0010,
	HV_CALL_VTL_CALL = 0x0011,
	HV_CALL_VTL_RETURN = 0x0012,
	HV_CALL_FLUSH_VIRTUAL_ADDRESS_SPACE_EX = 0x0013,
	HV_CALL_FLUSH_VIRTUAL_ADDRESS_LIST_EX = 0x0014,
	HV_CALL_SEND_SYNTHETIC_CLUSTER_IPI_EX = 0x0015,
	HV_CALL_INSTALL_INTERCEPT = 0x004d,
	HV_CALL_GET_VP_REGISTERS = 0x0050,
	HV_CALL_SET_VP_REGISTERS = 0x0051,
	HV_CALL_TRANSLATE_VIRTUAL_ADDRESS = 0x0052,
	HV_CALL_POST_MESSAGE = 0x005c,
	HV_CALL_SIGNAL_EVENT = 0x005d,
	HV_CALL_ASSERT_VIRTUAL_INTERRUPT = 0x0094,
	HV_CALL_START_VIRTUAL_PROCESSOR = 0x0099,
	HV_CALL_GET_VP_INDEX_FROM_APIC_ID = 0x009a,
	HV_CALL_TRANSLATE_VIRTUAL_ADDRESS_EX = 0x00ac,
	HV_CALL_CHECK_SPARSE_GPA_PAGE_VTL_ACCESS = 0x00d4,
	HV_CALL_QUERY_CAPABILITIES = 0x8001,
};

/* HV_INPUT_VTL */
#define HV_INPUT_VTL_MASK 0x0f
#define HV_INPUT_VTL_USE  0x10

/* HvCallEnablePartitionVtl */
struct hv_enable_partition_vtl {
	uint64_t partition_id;
	uint8_t target_vtl;
	uint8_t flags;
	uint8_t reserved[6];
};
_Static_assert(sizeof(struct hv_enable_partition_vtl) == 16, "TLFS HvCallEnablePartitionVtl");

#define HV_ENABLE_PARTITION_VTL_MBEC 0x01

/* HvCallEnableVpVtl, HvCallStartVirtualProcessor */
struct hv_vp_vtl_context {
	uint64_t partition_id;
	uint32_t vp_index;
	uint8_t target_vtl;
	uint8_t reserved[3];
	struct hv_initial_vp_context context;
};
_Static_assert(offsetof(struct hv_vp_vtl_context, context) == 16, "TLFS HvCallEnableVpVtl");
_Static_assert(sizeof(struct hv_vp_vtl_context) == 240, "TLFS HvCallEnableVpVtl");

/* HV_VP_SET: header; then a 64-bit mask for each bank whose bit is set. */
struct hv_vp_set {
	uint64_t format; /* HV_VP_SET_* */
	uint64_t banks;
};
_Static_assert(sizeof(struct hv_vp_set) == 16, "TLFS HV_VP_SET");

#define HV_VP_SET_SPARSE 0
#define HV_VP_SET_ALL	 1

/*
 * HvCallSendSyntheticClusterIpi: before the mask; HvCallSendSyntheticClusterIpiEx: before the set
 */
struct hv_cluster_ipi {
	uint32_t vector;
	uint8_t target_vtl; /* HV_INPUT_VTL */
	uint8_t reserved[3];
};
_Static_assert(sizeof(struct hv_cluster_ipi) == 8, "TLFS HvCallSendSyntheticClusterIpi");

/* HvCallAssertVirtualInterrupt */
struct hv_assert_virtual_interrupt {
	uint64_t partition_id;
	uint64_t control; /* HV_INTERRUPT_CONTROL: type 31:0, level 32, logical 33 */
	uint64_t destination;
	uint32_t vector;
	uint8_t target_vtl; /* a plain number */
	uint8_t reserved[3];
};
_Static_assert(sizeof(struct hv_assert_virtual_interrupt) == 32,
	       "TLFS HvCallAssertVirtualInterrupt");

#define HV_INTERRUPT_CONTROL_LEVEL    (UINT64_C(1) << 32)
#define HV_INTERRUPT_CONTROL_LOGICAL  (UINT64_C(1) << 33)
#define HV_INTERRUPT_CONTROL_RESERVED (~UINT64_C(0x3ffffffff))

/* HV_INTERRUPT_TYPE: to 7 the delivery modes of a local APIC */
#define HV_INTERRUPT_TYPE_LINT0 8
#define HV_INTERRUPT_TYPE_LINT1 9

/*
 * HvCallDisablePartitionVtl, HvCallDisableVpVtl: as the calls that enable, without what these set.
 */
struct hv_disable_partition_vtl {
	uint64_t partition_id;
	uint8_t target_vtl;
	uint8_t reserved[7];
};
_Static_assert(sizeof(struct hv_disable_partition_vtl) == 16, "as HvCallEnablePartitionVtl");

struct hv_disable_vp_vtl {
	uint64_t partition_id;
	uint32_t vp_index;
	uint8_t target_vtl;
	uint8_t reserved[3];
};
_Static_assert(sizeof(struct hv_disable_vp_vtl) == 16, "as HvCallEnableVpVtl");

/*
 * HvCallFlushVirtualAddressSpace, HvCallFlushVirtualAddressList: header; elements are GVA ranges.
 */
struct hv_flush_virtual_address {
	uint64_t address_space;
	uint64_t flags;
	uint64_t processor_mask;
};
_Static_assert(sizeof(struct hv_flush_virtual_address) == 24,
	       "TLFS HvCallFlushVirtualAddressSpace");

/* The Ex forms: header, before the HV_VP_SET's bank contents. */
struct hv_flush_virtual_address_ex {
	uint64_t address_space;
	uint64_t flags;
	uint64_t format, valid_banks;
};
_Static_assert(sizeof(struct hv_flush_virtual_address_ex) == 32,
	       "TLFS HvCallFlushVirtualAddressSpaceEx");

#define HV_FLUSH_ALL_PROCESSORS	    (UINT32_C(1) << 0)
#define HV_FLUSH_ALL_ADDRESS_SPACES (UINT32_C(1) << 1)
#define HV_FLUSH_NON_GLOBAL_ONLY    (UINT32_C(1) << 2)

/* HvCallNotifyLongSpinWait */
struct hv_notify_long_spin_wait {
	uint32_t spin_count, reserved;
};

/* HvCallInstallIntercept */
struct hv_install_intercept {
	uint64_t partition_id;
	uint32_t access;
	uint32_t type;
	uint64_t parameter;
};
_Static_assert(sizeof(struct hv_install_intercept) == 24, "TLFS HvCallInstallIntercept");

#define HV_INTERCEPT_ACCESS_READ	UINT32_C(0x1)
#define HV_INTERCEPT_ACCESS_WRITE	UINT32_C(0x2)
#define HV_INTERCEPT_ACCESS_ALL		UINT32_C(0x7)

#define HV_INTERCEPT_TYPE_IO_PORT	0x00000000
#define HV_INTERCEPT_TYPE_MSR		0x00000001
#define HV_INTERCEPT_TYPE_IO_PORT_RANGE 0x00000011
#define HV_INTERCEPT_TYPES		UINT32_C(0x0003ebcf) /* a bit for each there is on x64 */

/* HvCallTranslateVirtualAddress and Ex */
struct hv_translate_virtual_address {
	uint64_t partition_id;
	uint32_t vp_index, reserved;
	uint64_t flags;
	uint64_t gva_page;
};
_Static_assert(sizeof(struct hv_translate_virtual_address) == 32,
	       "TLFS HvCallTranslateVirtualAddress");

/* HV_TRANSLATE_GVA_CONTROL_FLAGS */
#define HV_TRANSLATE_READ	      (UINT64_C(1) << 0)
#define HV_TRANSLATE_WRITE	      (UINT64_C(1) << 1)
#define HV_TRANSLATE_EXECUTE	      (UINT64_C(1) << 2)
#define HV_TRANSLATE_PRIVILEGE_EXEMPT (UINT64_C(1) << 3)
#define HV_TRANSLATE_SET_BITS	      (UINT64_C(1) << 4)
#define HV_TRANSLATE_FLUSH_INHIBIT    (UINT64_C(1) << 5)
#define HV_TRANSLATE_SUPERVISOR	      (UINT64_C(1) << 6)
#define HV_TRANSLATE_USER	      (UINT64_C(1) << 7)
#define HV_TRANSLATE_ENFORCE_SMAP     (UINT64_C(1) << 8)
#define HV_TRANSLATE_OVERRIDE_SMAP    (UINT64_C(1) << 9)
#define HV_TRANSLATE_VALID	      ((UINT64_C(1) << 10) - 1)
#define HV_TRANSLATE_VTL_SHIFT	      56

/* HV_TRANSLATE_GVA_RESULT */
enum hv_translate_code {
	HV_TRANSLATE_SUCCESS = 0,
	HV_TRANSLATE_NOT_PRESENT = 1,
	HV_TRANSLATE_PRIVILEGE_VIOLATION = 2,
	HV_TRANSLATE_GPA_UNMAPPED = 4,
	HV_TRANSLATE_NO_WRITE_ACCESS = 6,
	HV_TRANSLATE_INTERCEPT = 8,
};

struct hv_translate_result {
	uint32_t code; /* enum hv_translate_code */
	uint32_t attributes;
};

#define HV_TRANSLATE_OVERLAY	UINT32_C(0x100)
#define HV_TRANSLATE_WRITE_BACK UINT32_C(6)

struct hv_translate_output {
	struct hv_translate_result result;
	uint64_t gpa_page;
};
_Static_assert(sizeof(struct hv_translate_output) == 16, "TLFS HvCallTranslateVirtualAddress");

/* HV_TRANSLATE_GVA_RESULT_EX holds an HV_X64_PENDING_EVENT, which is 16-byte aligned. */
struct hv_translate_output_ex {
	struct hv_translate_result result;
	uint64_t reserved0;
	uint64_t event[4];
	uint64_t gpa_page;
	uint64_t reserved1;
};
_Static_assert(sizeof(struct hv_translate_output_ex) == 64, "HvCallTranslateVirtualAddressEx");

/* The event of a failed translation: an exception as in register PendingEvent0, or an intercept. */
#define HV_EVENT_TYPE_MEMORY_INTERCEPT	 (UINT64_C(1) << 1)
#define HV_EVENT_INTERCEPT_VTL_SHIFT	 8
#define HV_EVENT_INTERCEPT_ACCESS_SHIFT	 16
#define HV_EVENT_INTERCEPT_GVA_VALID	 (UINT64_C(1) << 24)
#define HV_EVENT_INTERCEPT_BY_GPA_ACCESS (UINT64_C(1) << 25)

/* HvCallCheckSparseGpaPageVtlAccess: header; an element in is a GPA page, one out a word. */
struct hv_check_sparse_access {
	uint64_t partition_id;
	uint8_t target_vtl; /* HV_INPUT_VTL */
	uint8_t access;	    /* HV_MAP_GPA flags: as prot_t */
	uint8_t reserved[6];
};
_Static_assert(sizeof(struct hv_check_sparse_access) == 16, "HvCallCheckSparseGpaPageVtlAccess");

#define HV_CHECK_ACCESS_INTERCEPT    UINT64_C(1) /* result code 7:0 */
#define HV_CHECK_ACCESS_DENIED_SHIFT 8		 /* denied access 15:8 */
#define HV_CHECK_ACCESS_VTL_SHIFT    16		 /* intercepting VTL 19:16 */

/* HvCallModifyVtlProtectionMask: header; elements are GPA page numbers. */
struct hv_modify_vtl_protection_mask {
	uint64_t partition_id;
	uint32_t map_flags;
	uint8_t target_vtl; /* HV_INPUT_VTL */
	uint8_t reserved[3];
};
_Static_assert(sizeof(struct hv_modify_vtl_protection_mask) == 16,
	       "TLFS HvCallModifyVtlProtectionMask");

/* HvCallGetVpRegisters, HvCallSetVpRegisters: header */
struct hv_vp_registers {
	uint64_t partition_id;
	uint32_t vp_index;
	uint8_t target_vtl; /* HV_INPUT_VTL */
	uint8_t reserved[3];
};
_Static_assert(sizeof(struct hv_vp_registers) == 16, "TLFS HvCallGetVpRegisters");

/* HV_REGISTER_VALUE */
struct hv_register_value {
	uint64_t low, high;
};
_Static_assert(sizeof(struct hv_register_value) == 16, "TLFS hv_register_value");

/* HvCallSetVpRegisters: element */
struct hv_register_assignment {
	uint32_t name;
	uint32_t reserved[3];
	struct hv_register_value value;
};
_Static_assert(offsetof(struct hv_register_assignment, value) == 16, "TLFS HvCallSetVpRegisters");
_Static_assert(sizeof(struct hv_register_assignment) == 32, "TLFS HvCallSetVpRegisters");

/* HvCallPostMessage */
struct hv_post_message {
	uint32_t connection_id;
	uint32_t reserved;
	uint32_t type;
	uint32_t payload_size;
	uint8_t payload[240];
};
_Static_assert(sizeof(struct hv_post_message) == 256, "TLFS HvCallPostMessage");

/* HvCallSignalEvent */
struct hv_signal_event {
	uint32_t connection_id;
	uint16_t flag;
	uint16_t reserved;
};
_Static_assert(sizeof(struct hv_signal_event) == 8, "TLFS HvCallSignalEvent");

/* HvCallGetVpIndexFromApicId: header, element in, element out */
struct hv_get_vp_index_from_apic_id {
	uint64_t partition_id;
	uint8_t target_vtl; /* HV_INPUT_VTL */
	uint8_t reserved[7];
};
_Static_assert(sizeof(struct hv_get_vp_index_from_apic_id) == 16,
	       "TLFS HvCallGetVpIndexFromApicId");

struct hv_apic_id {
	uint32_t apic_id, padding;
};

struct hv_vp_index {
	uint32_t vp_index, padding;
};

/*
 * What register PendingEvent0 holds for an exception. The TLFS names it but has no layout; this is
 * Hyper-V's, as in Linux include/hyperv/hvhdk.h: pending 0, event type 3:1 (0: exception), deliver
 * error code 8, vector 31:16, error code 63:32; then the exception's parameter (CR2 for #PF).
 */
#define HV_EVENT_PENDING	    UINT64_C(1)
#define HV_EVENT_TYPE		    (UINT64_C(7) << 1)
#define HV_EVENT_DELIVER_ERROR_CODE (UINT64_C(1) << 8)
#define HV_EVENT_VECTOR_SHIFT	    16
#define HV_EVENT_VECTOR		    (UINT64_C(0xffff) << HV_EVENT_VECTOR_SHIFT)
#define HV_EVENT_ERROR_CODE_SHIFT   32
#define HV_EVENT_ERROR_CODE	    (UINT64_C(0xffffffff) << HV_EVENT_ERROR_CODE_SHIFT)
#define HV_EVENT_EXCEPTION_VALID \
	(HV_EVENT_PENDING | HV_EVENT_DELIVER_ERROR_CODE | HV_EVENT_VECTOR | HV_EVENT_ERROR_CODE)

/*
 * HvRegisterPendingInterruption: pending 0, type 3:1, deliver error code 4, vector 31:16, error
 * code 63:32. As for PendingEvent0 the layout is Hyper-V's (Linux include/hyperv/hvhdk.h).
 */
#define HV_INTERRUPTION_INTERRUPT	   0
#define HV_INTERRUPTION_NMI		   2
#define HV_INTERRUPTION_EXCEPTION	   3
#define HV_INTERRUPTION_SOFTWARE	   4
#define HV_INTERRUPTION_DELIVER_ERROR_CODE (UINT64_C(1) << 4)
#define HV_INTERRUPTION(type, vector) \
	(HV_EVENT_PENDING | (uint64_t)(type) << 1 | (uint64_t)(vector) << HV_EVENT_VECTOR_SHIFT)
#define HV_INTERRUPTION_VALID                                                                      \
	(HV_EVENT_PENDING | HV_EVENT_TYPE | HV_INTERRUPTION_DELIVER_ERROR_CODE | HV_EVENT_VECTOR | \
	 HV_EVENT_ERROR_CODE)

/* HvRegisterInterruptState */
#define HV_INTERRUPT_STATE_SHADOW     UINT64_C(1)
#define HV_INTERRUPT_STATE_NMI_MASKED (UINT64_C(1) << 1)

#endif
