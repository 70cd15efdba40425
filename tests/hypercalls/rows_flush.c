/* SPDX-License-Identifier: MIT */
/* Rows of HvCallFlushVirtualAddressSpace, HvCallFlushVirtualAddressList and their Ex forms. */
#include "rows.h"

#define SPACE	    0x1000
#define ALL_VPS	    1
#define ALL_SPACES  2
#define NON_GLOBAL  4
#define UNKNOWN	    8
#define NOISE	    UINT64_C(0xdead000000000000) /* flags' upper half is ignored */
#define SET_SPARSE  0
#define SET_ALL	    1
#define SET_UNKNOWN 2
#define RANGE	    0x123000 /* a page; bits 11:0: pages after it */

#define FLUSH(n, ...)                                                            \
	{                                                                        \
		.name = "flush space: " n, .code = CALL_FLUSH_SPACE, __VA_ARGS__ \
	}
#define LIST(n, ...)                                                           \
	{                                                                      \
		.name = "flush list: " n, .code = CALL_FLUSH_LIST, __VA_ARGS__ \
	}
#define SPACE_EX(n, ...)                                                               \
	{                                                                              \
		.name = "flush space ex: " n, .code = CALL_FLUSH_SPACE_EX, __VA_ARGS__ \
	}
#define LIST_EX(n, ...)                                                              \
	{                                                                            \
		.name = "flush list ex: " n, .code = CALL_FLUSH_LIST_EX, __VA_ARGS__ \
	}

const struct hct_row hct_rows_flush[] = {
	FLUSH("this VP", IN(SPACE, 0, 1)),
	FLUSH("all VPs", IN(SPACE, ALL_VPS | ALL_SPACES)),
	FLUSH("non-global only", IN(SPACE, ALL_VPS | NON_GLOBAL)),
	FLUSH("no VP", IN(SPACE, 0, 0)),
	FLUSH("VPs that do not exist", IN(SPACE, 0, UINT64_MAX)),
	FLUSH("noise in the flags", IN(SPACE, NOISE | ALL_VPS)),
	FLUSH("unknown flags", IN(SPACE, UNKNOWN), .status = ST_INVALID_PARAMETER),
	FLUSH("flag 31", IN(SPACE, UINT64_C(1) << 31), .status = ST_INVALID_PARAMETER),
	FLUSH("by VTL1", IN(SPACE, ALL_VPS), .state = HCT_ON_VP, .caller = 1),
	FLUSH("by VTL2", IN(SPACE, ALL_VPS), .state = HCT_TWO_ON_VP, .caller = 2),

	LIST("one", IN(SPACE, ALL_VPS, 0, RANGE), .reps = 1, .done = 1),
	LIST("as many as registers hold", IN(SPACE, 0, 1, RANGE), .reps = 11, .done = 11),
	LIST("a page of them", IN(SPACE, 0, 1, RANGE), .reps = 509, .done = 509),
	LIST("from the third on", IN(SPACE, 0, 1, RANGE), .reps = 4, .start = 2, .done = 4),
	LIST("non-global only", IN(SPACE, NON_GLOBAL), .reps = 1, .status = ST_INVALID_PARAMETER),
	LIST("unknown flags", IN(SPACE, UNKNOWN), .reps = 2, .status = ST_INVALID_PARAMETER),
	LIST("by VTL1", IN(SPACE, 0, 1), .reps = 1, .done = 1, .state = HCT_ON_VP, .caller = 1),

	SPACE_EX("all VPs", IN(SPACE, 0, SET_ALL)),
	SPACE_EX("flag for all VPs", IN(SPACE, ALL_VPS, SET_SPARSE, 0)),
	SPACE_EX("one bank", IN(SPACE, 0, SET_SPARSE, 1, 1), .variable = 1),
	SPACE_EX("three banks", IN(SPACE, 0, SET_SPARSE, 0x8000000000000003, 1, 2, 3),
		 .variable = 3),
	SPACE_EX("as many banks as registers hold",
		 IN(SPACE, 0, SET_SPARSE, 0x3ff, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1), .variable = 10),
	SPACE_EX("noise in the flags", IN(SPACE, NOISE, SET_ALL)),
	SPACE_EX("non-global only", IN(SPACE, NON_GLOBAL, SET_ALL)),
	SPACE_EX("unknown flags", IN(SPACE, UNKNOWN, SET_ALL), .status = ST_INVALID_PARAMETER),
	SPACE_EX("unknown set", IN(SPACE, 0, SET_UNKNOWN), .status = ST_INVALID_PARAMETER),
	SPACE_EX("a bank missing", IN(SPACE, 0, SET_SPARSE, 3, 1), .variable = 1,
		 .status = ST_INVALID_HYPERCALL_INPUT),
	SPACE_EX("a bank too many", IN(SPACE, 0, SET_SPARSE, 1, 1, 1), .variable = 2,
		 .status = ST_INVALID_HYPERCALL_INPUT),
	SPACE_EX("by VTL1", IN(SPACE, 0, SET_ALL), .state = HCT_ON_VP, .caller = 1),

	LIST_EX("all VPs", IN(SPACE, 0, SET_ALL, 0, RANGE), .reps = 1, .done = 1),
	LIST_EX("a bank", IN(SPACE, 0, SET_SPARSE, 1, 1, RANGE), .variable = 1, .reps = 3,
		.done = 3),
	LIST_EX("from the second on", IN(SPACE, 0, SET_SPARSE, 1, 1, RANGE), .variable = 1,
		.reps = 3, .start = 1, .done = 3),
	LIST_EX("non-global only", IN(SPACE, NON_GLOBAL, SET_ALL), .reps = 1,
		.status = ST_INVALID_PARAMETER),
	LIST_EX("unknown set", IN(SPACE, 0, SET_UNKNOWN), .reps = 1,
		.status = ST_INVALID_PARAMETER),
	LIST_EX("a bank missing", IN(SPACE, 0, SET_SPARSE, 3, 1), .variable = 1, .reps = 1,
		.status = ST_INVALID_HYPERCALL_INPUT),
	LIST_EX("by VTL1", IN(SPACE, 0, SET_ALL), .reps = 1, .done = 1, .state = HCT_ON_VP,
		.caller = 1),
};
const unsigned hct_rows_flush_count = HCT_COUNT(hct_rows_flush);
