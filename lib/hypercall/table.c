/* SPDX-License-Identifier: MIT */
/* The hypercalls there are. docs/hypercalls.md says more about each; a test holds the two
 * together. */
#include "hypercall/call.h"

#include "hv/privileges.h"

/* Sorted by code. */
const struct hypercall_info hypercall_table[] = {
	{
		.code = HV_CALL_FLUSH_VIRTUAL_ADDRESS_SPACE,
		.name = "HvCallFlushVirtualAddressSpace",
		.input = sizeof(struct hv_flush_virtual_address),
		.handle = hypercall_flush_virtual_address,
	},
	{
		.code = HV_CALL_FLUSH_VIRTUAL_ADDRESS_LIST,
		.name = "HvCallFlushVirtualAddressList",
		.rep = true,
		.input = sizeof(struct hv_flush_virtual_address),
		.input_rep = sizeof(uint64_t),
		.handle = hypercall_flush_virtual_address,
	},
	{
		.code = HV_CALL_NOTIFY_LONG_SPIN_WAIT,
		.name = "HvCallNotifyLongSpinWait",
		.input = sizeof(struct hv_notify_long_spin_wait),
		.handle = hypercall_notify_long_spin_wait,
	},
	{
		.code = HV_CALL_SEND_SYNTHETIC_CLUSTER_IPI,
		.name = "HvCallSendSyntheticClusterIpi",
		.input = sizeof(struct hv_cluster_ipi) + sizeof(uint64_t),
		.handle = hypercall_send_cluster_ipi,
	},
	{
		.code = HV_CALL_MODIFY_VTL_PROTECTION_MASK,
		.name = "HvCallModifyVtlProtectionMask",
		.rep = true,
		.input = sizeof(struct hv_modify_vtl_protection_mask),
		.input_rep = sizeof(uint64_t),
		.privileges = HV_PRIVILEGE_VSM,
		.handle = hypercall_modify_vtl_protection_mask,
	},
	{
		.code = HV_CALL_ENABLE_PARTITION_VTL,
		.name = "HvCallEnablePartitionVtl",
		.input = sizeof(struct hv_enable_partition_vtl),
		.privileges = HV_PRIVILEGE_VSM,
		.handle = hypercall_enable_partition_vtl,
	},
	{
		.code = HV_CALL_DISABLE_PARTITION_VTL,
		.name = "HvCallDisablePartitionVtl",
		.input = sizeof(struct hv_disable_partition_vtl),
		.privileges = HV_PRIVILEGE_VSM,
		.handle = hypercall_disable_partition_vtl,
	},
	{
		.code = HV_CALL_ENABLE_VP_VTL,
		.name = "HvCallEnableVpVtl",
		.input = sizeof(struct hv_vp_vtl_context),
		.privileges = HV_PRIVILEGE_VSM,
		.handle = hypercall_enable_vp_vtl,
	},
	{
		.code = HV_CALL_DISABLE_VP_VTL,
		.name = "HvCallDisableVpVtl",
		.input = sizeof(struct hv_disable_vp_vtl),
		.privileges = HV_PRIVILEGE_VSM,
		.handle = hypercall_disable_vp_vtl,
	},
	{
		.code = HV_CALL_VTL_CALL,
		.name = "HvCallVtlCall",
		.privileges = HV_PRIVILEGE_VSM,
		.outcome = HYPERCALL_VTL_CALL,
	},
	{
		.code = HV_CALL_VTL_RETURN,
		.name = "HvCallVtlReturn",
		.privileges = HV_PRIVILEGE_VSM,
		.outcome = HYPERCALL_VTL_RETURN,
	},
	{
		.code = HV_CALL_FLUSH_VIRTUAL_ADDRESS_SPACE_EX,
		.name = "HvCallFlushVirtualAddressSpaceEx",
		.variable = true,
		.input = sizeof(struct hv_flush_virtual_address_ex),
		.handle = hypercall_flush_virtual_address_ex,
	},
	{
		.code = HV_CALL_FLUSH_VIRTUAL_ADDRESS_LIST_EX,
		.name = "HvCallFlushVirtualAddressListEx",
		.rep = true,
		.variable = true,
		.input = sizeof(struct hv_flush_virtual_address_ex),
		.input_rep = sizeof(uint64_t),
		.handle = hypercall_flush_virtual_address_ex,
	},
	{
		.code = HV_CALL_SEND_SYNTHETIC_CLUSTER_IPI_EX,
		.name = "HvCallSendSyntheticClusterIpiEx",
		.variable = true,
		.input = sizeof(struct hv_cluster_ipi) + sizeof(struct hv_vp_set),
		.handle = hypercall_send_cluster_ipi_ex,
	},
	{
		.code = HV_CALL_INSTALL_INTERCEPT,
		.name = "HvCallInstallIntercept",
		.input = sizeof(struct hv_install_intercept),
		.privileges = HV_PRIVILEGE_VSM,
		.handle = hypercall_install_intercept,
	},
	{
		.code = HV_CALL_GET_VP_REGISTERS,
		.name = "HvCallGetVpRegisters",
		.rep = true,
		.input = sizeof(struct hv_vp_registers),
		.input_rep = sizeof(uint32_t),
		.output_rep = sizeof(struct hv_register_value),
		.privileges = HV_PRIVILEGE_VP_REGISTERS,
		.handle = hypercall_get_vp_registers,
	},
	{
		.code = HV_CALL_SET_VP_REGISTERS,
		.name = "HvCallSetVpRegisters",
		.rep = true,
		.input = sizeof(struct hv_vp_registers),
		.input_rep = sizeof(struct hv_register_assignment),
		.privileges = HV_PRIVILEGE_VP_REGISTERS,
		.handle = hypercall_set_vp_registers,
	},
	{
		.code = HV_CALL_TRANSLATE_VIRTUAL_ADDRESS,
		.name = "HvCallTranslateVirtualAddress",
		.input = sizeof(struct hv_translate_virtual_address),
		.output = sizeof(struct hv_translate_output),
		.privileges = HV_PRIVILEGE_VP_REGISTERS,
		.handle = hypercall_translate_virtual_address,
	},
	{
		.code = HV_CALL_POST_MESSAGE,
		.name = "HvCallPostMessage",
		.input = sizeof(struct hv_post_message),
		.privileges = HV_PRIVILEGE_POST_MESSAGES,
		.handle = hypercall_post_message,
	},
	{
		.code = HV_CALL_SIGNAL_EVENT,
		.name = "HvCallSignalEvent",
		.input = sizeof(struct hv_signal_event),
		.privileges = HV_PRIVILEGE_SIGNAL_EVENTS,
		.handle = hypercall_signal_event,
	},
	{
		.code = HV_CALL_ASSERT_VIRTUAL_INTERRUPT,
		.name = "HvCallAssertVirtualInterrupt",
		.input = sizeof(struct hv_assert_virtual_interrupt),
		.privileges = HV_PRIVILEGE_VSM,
		.handle = hypercall_assert_virtual_interrupt,
	},
	{
		.code = HV_CALL_START_VIRTUAL_PROCESSOR,
		.name = "HvCallStartVirtualProcessor",
		.input = sizeof(struct hv_vp_vtl_context),
		.privileges = HV_PRIVILEGE_START_VP,
		.handle = hypercall_start_virtual_processor,
	},
	{
		.code = HV_CALL_GET_VP_INDEX_FROM_APIC_ID,
		.name = "HvCallGetVpIndexFromApicId",
		.rep = true,
		.input = sizeof(struct hv_get_vp_index_from_apic_id),
		.input_rep = sizeof(struct hv_apic_id),
		.output_rep = sizeof(struct hv_vp_index),
		.handle = hypercall_get_vp_index_from_apic_id,
	},
	{
		.code = HV_CALL_TRANSLATE_VIRTUAL_ADDRESS_EX,
		.name = "HvCallTranslateVirtualAddressEx",
		.input = sizeof(struct hv_translate_virtual_address),
		.output = sizeof(struct hv_translate_output_ex),
		.privileges = HV_PRIVILEGE_VP_REGISTERS,
		.handle = hypercall_translate_virtual_address_ex,
	},
	{
		.code = HV_CALL_CHECK_SPARSE_GPA_PAGE_VTL_ACCESS,
		.name = "HvCallCheckSparseGpaPageVtlAccess",
		.rep = true,
		.input = sizeof(struct hv_check_sparse_access),
		.input_rep = sizeof(uint64_t),
		.output_rep = sizeof(uint64_t),
		.privileges = HV_PRIVILEGE_VSM,
		.handle = hypercall_check_sparse_gpa_page_vtl_access,
	},
	{
		.code = HV_CALL_QUERY_CAPABILITIES,
		.name = "HvExtCallQueryCapabilities",
		.output = sizeof(uint64_t),
		.privileges = HV_PRIVILEGE_EXTENDED_HYPERCALLS,
		.handle = hypercall_query_capabilities,
	},
};

const size_t hypercall_table_size = sizeof(hypercall_table) / sizeof(hypercall_table[0]);

void hypercall_index(uint8_t rows[HYPERCALL_HASHES])
{
	for (size_t i = 0; i < hypercall_table_size; i++)
		rows[hypercall_hash(hypercall_table[i].code)] = (uint8_t)i;
}
