/* SPDX-License-Identifier: MIT */
/*
 * Rows of calls that only tell or ask something, or name VPs: HvCallNotifyLongSpinWait,
 * HvCallSendSyntheticClusterIpi and Ex, HvCallAssertVirtualInterrupt, HvCallGetVpIndexFromApicId,
 * HvExtCallQueryCapabilities.
 */
#include "rows.h"

#define SET_SPARSE     0
#define SET_ALL	       1
#define SET_UNKNOWN    2
#define NO_VP	       0 /* nobody is interrupted: what is looked at here is the status */
#define VECTOR(v, vtl) HCT_VP(v, vtl)

#define SPIN(n, ...)                                                                   \
	{                                                                              \
		.name = "long spin wait: " n, .code = CALL_LONG_SPIN_WAIT, __VA_ARGS__ \
	}
#define IPI(n, ...)                                                              \
	{                                                                        \
		.name = "cluster IPI: " n, .code = CALL_CLUSTER_IPI, __VA_ARGS__ \
	}
#define IPI_EX(n, ...)                                                                 \
	{                                                                              \
		.name = "cluster IPI ex: " n, .code = CALL_CLUSTER_IPI_EX, __VA_ARGS__ \
	}
/* Types of HV_INTERRUPT_CONTROL, and a destination that no APIC has. */
#define FIXED	 0
#define LOWEST	 1
#define SMI	 2
#define INIT	 5
#define LINT0	 8
#define UNKNOWN	 10
#define LEVEL	 (UINT64_C(1) << 32)
#define RESERVED (UINT64_C(1) << 34)
#define NOBODY	 0x77
#define NOWHERE	 (UINT64_C(1) << 32)
#define NOISE	 (UINT64_C(1) << 40) /* in the reserved bytes behind the VTL */

#define ASSERT(n, ...)                                                                     \
	{                                                                                  \
		.name = "assert interrupt: " n, .code = CALL_ASSERT_INTERRUPT, __VA_ARGS__ \
	}
#define INDEX(n, ...)                                                      \
	{                                                                  \
		.name = "VP index: " n, .code = CALL_VP_INDEX, __VA_ARGS__ \
	}
#define CAPS(n, ...)                                                               \
	{                                                                          \
		.name = "capabilities: " n, .code = CALL_CAPABILITIES, __VA_ARGS__ \
	}

const struct hct_row hct_rows_general[] = {
	SPIN("a count", IN(1000)),
	SPIN("all ones", IN(UINT64_MAX)),
	SPIN("by VTL1", IN(1), .state = HCT_ON_VP, .caller = 1),

	IPI("to nobody", IN(VECTOR(0x20, 0), NO_VP)),
	IPI("to VPs that do not exist", IN(VECTOR(0x20, 0), UINT64_C(0xff00000000000000))),
	IPI("lowest vector", IN(VECTOR(16, 0), NO_VP)),
	IPI("highest vector", IN(VECTOR(255, 0), NO_VP)),
	IPI("a higher VTL, which is not enabled", IN(VECTOR(0x20, HCT_VTL(1)), 1)),
	IPI("the highest VTL there can be", IN(VECTOR(0x20, HCT_VTL(2)), NO_VP)),
	IPI("vector 15", IN(VECTOR(15, 0), 1), .status = ST_INVALID_PARAMETER),
	IPI("vector 256", IN(VECTOR(256, 0), 1), .status = ST_INVALID_PARAMETER),
	IPI("a VTL there cannot be", IN(VECTOR(0x20, HCT_VTL(3)), 1),
	    .status = ST_INVALID_PARAMETER),
	IPI("by VTL1", IN(VECTOR(0x20, HCT_VTL(0)), NO_VP), .state = HCT_ON_VP, .caller = 1),

	IPI_EX("to nobody", IN(VECTOR(0x20, 0), SET_SPARSE, 0)),
	IPI_EX("two banks", IN(VECTOR(0x20, 0), SET_SPARSE, 6, 1, 1), .variable = 2),
	IPI_EX("all VPs of a VTL nobody has", IN(VECTOR(0x20, HCT_VTL(2)), SET_ALL)),
	IPI_EX("vector 15", IN(VECTOR(15, 0), SET_ALL), .status = ST_INVALID_PARAMETER),
	IPI_EX("a VTL there cannot be", IN(VECTOR(0x20, HCT_VTL(3)), SET_ALL),
	       .status = ST_INVALID_PARAMETER),
	IPI_EX("unknown set", IN(VECTOR(0x20, 0), SET_UNKNOWN), .status = ST_INVALID_PARAMETER),
	IPI_EX("a bank missing", IN(VECTOR(0x20, 0), SET_SPARSE, 3, 1), .variable = 1,
	       .status = ST_INVALID_HYPERCALL_INPUT),
	IPI_EX("by VTL1", IN(VECTOR(0x20, 0), SET_SPARSE, 0), .state = HCT_ON_VP, .caller = 1),

	ASSERT("fixed", IN(HCT_SELF, FIXED, NOBODY, VECTOR(0x30, 0))),
	ASSERT("level-triggered", IN(HCT_SELF, LOWEST | LEVEL, NOBODY, VECTOR(255, 0))),
	ASSERT("a pin", IN(HCT_SELF, LINT0, NOBODY)),
	ASSERT("by VTL1, in VTL0", IN(HCT_SELF, FIXED, NOBODY, VECTOR(16, 0)), .state = HCT_ON_VP,
	       .caller = 1),
	ASSERT("another partition", IN(1, FIXED, NOBODY, VECTOR(0x30, 0)),
	       .status = ST_INVALID_PARTITION_ID),
	ASSERT("reserved bits", IN(HCT_SELF, RESERVED, NOBODY, VECTOR(0x30, 0)),
	       .status = ST_INVALID_PARAMETER),
	ASSERT("reserved bytes", IN(HCT_SELF, FIXED, NOBODY, NOISE | VECTOR(0x30, 0)),
	       .status = ST_INVALID_PARAMETER),
	ASSERT("no such type", IN(HCT_SELF, UNKNOWN, NOBODY, VECTOR(0x30, 0)),
	       .status = ST_INVALID_PARAMETER),
	ASSERT("no such destination", IN(HCT_SELF, FIXED, NOWHERE, VECTOR(0x30, 0)),
	       .status = ST_INVALID_PARAMETER),
	ASSERT("a VTL there cannot be", IN(HCT_SELF, FIXED, NOBODY, VECTOR(0x30, 3)),
	       .status = ST_INVALID_PARAMETER),
	ASSERT("vector 15", IN(HCT_SELF, FIXED, NOBODY, VECTOR(15, 0)),
	       .status = ST_INVALID_PARAMETER),
	ASSERT("vector 256", IN(HCT_SELF, LOWEST, NOBODY, VECTOR(256, 0)),
	       .status = ST_INVALID_PARAMETER),
	ASSERT("a higher VTL", IN(HCT_SELF, FIXED, NOBODY, VECTOR(0x30, 1)),
	       .status = ST_ACCESS_DENIED),
	ASSERT("SMI", IN(HCT_SELF, SMI, NOBODY), .status = ST_OPERATION_DENIED),
	ASSERT("INIT", IN(HCT_SELF, INIT, NOBODY), .status = ST_OPERATION_DENIED),
	ASSERT("KVM refuses it", IN(HCT_SELF, FIXED, NOBODY, VECTOR(0x30, 0)),
	       .status = ST_INVALID_VP_STATE, .fault = HCT_FAULT_MSI, .flags = HCT_KERNEL_APIC),

	INDEX("own", IN(HCT_SELF, 0, HCT_APIC(0)), .reps = 1, .done = 1, OUT(0)),
	INDEX("both", IN(HCT_SELF, 0, HCT_APIC(1), HCT_APIC(0)), .reps = 2, .done = 2, OUT(1, 0)),
	INDEX("from the second on", IN(HCT_SELF, 0, 0x77, HCT_APIC(1)), .reps = 2, .start = 1,
	      .done = 2, OUT(0xeeeeeeeeeeeeeeee, 1)),
	INDEX("of nobody", IN(HCT_SELF, 0, 0x77), .reps = 1, .status = ST_INVALID_PARAMETER),
	INDEX("of nobody, second", IN(HCT_SELF, 0, HCT_APIC(1), 0x77, HCT_APIC(0)), .reps = 3,
	      .done = 1, .status = ST_INVALID_PARAMETER, OUT(1)),
	INDEX("another partition", IN(1, 0, HCT_APIC(0)), .reps = 1,
	      .status = ST_INVALID_PARTITION_ID),
	INDEX("a higher VTL", IN(HCT_SELF, HCT_VTL(1), HCT_APIC(0)), .reps = 1,
	      .status = ST_ACCESS_DENIED),
	INDEX("by VTL1, of VTL0", IN(HCT_SELF, HCT_VTL(0), HCT_APIC(0)), .reps = 1, .done = 1,
	      OUT(0), .state = HCT_ON_VP, .caller = 1),

	CAPS("none", OUT(0)),
	CAPS("by VTL1", OUT(0), .state = HCT_ON_VP, .caller = 1),
};
const unsigned hct_rows_general_count = HCT_COUNT(hct_rows_general);
