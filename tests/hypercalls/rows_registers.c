/* SPDX-License-Identifier: MIT */
/* Rows of HvCallGetVpRegisters, HvCallSetVpRegisters, HvCallInstallIntercept. */
#include "rows.h"

#define RAX		   0x00020000
#define CR3		   0x00040002
#define CR8		   0x00040004
#define DR0		   0x00050000
#define LSTAR		   0x00080009
#define VP_INDEX	   0x00090003
#define CODE_OFFSETS	   0x000d0002
#define VP_STATUS	   0x000d0003
#define VINA		   0x000d0005
#define PARTITION_CONFIG   0x000d0007
#define CR_INTERCEPT	   0x000e0000
#define UNKNOWN_NAME	   0x00021234

#define OFFSETS		   UINT64_C(0x20016)
#define CR0_WRITES	   1
#define BAD_VINA	   (UINT64_C(1) << 11)

#define ACCESS_WRITE	   2
#define ACCESS_EXECUTE	   4
#define ACCESS_UNKNOWN	   8
#define TYPE_IO_PORT	   0
#define TYPE_MSR	   1
#define TYPE_CPUID	   2
#define TYPE_NONE	   4
#define TYPE_IO_PORTS	   0x11
#define PORT		   UINT64_C(0x2e8) /* that no test's device has */
#define PORTS(first, last) ((uint64_t)(first) | (uint64_t)(last) << 16)
#define ACCESS_BOTH	   3
#define KERNEL_GS_BASE	   0xc0000102
#define TSC		   0x10

/* MSRs that can be intercepted; a partition keeps 32 intercepts of all its VTLs. */
static const uint32_t msrs[] = {
	0x1b,  0x48,  0x8c,  0x8d,	 0x8e,	     0x8f,	 0x174,	     0x175,
	0x176, 0x1d9, 0x277, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000103,
};

static void install_all(uint64_t access)
{
	for (unsigned i = 0; i < 2 * HCT_COUNT(msrs); i++)
		HCT_SIMPLE(1 + i % 2, CALL_INSTALL_INTERCEPT, 0, HCT_SELF, PAIR(access, TYPE_MSR),
			   msrs[i / 2]);
}

static void fill_intercepts(const struct hct_row *row)
{
	(void)row;
	install_all(ACCESS_WRITE);
}

static void empty_intercepts(const struct hct_row *row)
{
	(void)row;
	install_all(0);
}

static void remove_intercept(const struct hct_row *row)
{
	HCT_SIMPLE(row->caller, CALL_INSTALL_INTERCEPT, 0, HCT_SELF, PAIR(0, TYPE_MSR),
		   KERNEL_GS_BASE);
}

static void remove_ports(const struct hct_row *row)
{
	HCT_SIMPLE(row->caller, CALL_INSTALL_INTERCEPT, 0, HCT_SELF, PAIR(0, TYPE_IO_PORTS),
		   PORTS(PORT, PORT + 7));
	HCT_SIMPLE(row->caller, CALL_INSTALL_INTERCEPT, 0, HCT_SELF, PAIR(0, TYPE_IO_PORT), PORT);
}

static bool is_kept_lstar(const uint64_t *out)
{
	return out[0] == 0x123456789000 && !out[1];
}

static void set_lstar(const struct hct_row *row)
{
	hct_set_register(row->caller, LSTAR, 0x123456789000);
}

/* What was set is there. */
static bool lstar_holds(unsigned vtl, uint64_t value)
{
	const uint64_t *out = hct_env_page(HCT_HELPER_OUTPUT);

	HCT_SIMPLE(vtl, CALL_GET_REGISTERS, 1, HCT_SELF, HCT_VP_OWN, LSTAR);
	return out[0] == value;
}

static void expect_lstar(const struct hct_row *row)
{
	if (!lstar_holds(row->caller, 0x1000 + row->done))
		hct_env_report(row->name, HCT_SLOW, "LSTAR", 0, 0x1000 + row->done);
}

/* Every register is LSTAR, and the value tells how many were set. */
static void many_lstars(uint64_t *in)
{
	for (unsigned i = 0; i < 8; i++) {
		in[2 + 4 * i] = LSTAR;
		in[4 + 4 * i] = 0x1001 + i;
	}
}

/* The first value that is too wide for the processor, and the last that is not. */
static void wide_cr3(uint64_t *in)
{
	in[4] = UINT64_C(1) << hct_env_physical_bits();
}

static void widest_cr3(uint64_t *in)
{
	wide_cr3(in);
	in[4] -= HCT_PAGESIZE;
}

static bool is_widest_cr3(const uint64_t *out)
{
	return out[0] == (UINT64_C(1) << hct_env_physical_bits()) - HCT_PAGESIZE && !out[1];
}

/* Of VP 1, which has not been started and so is not in long mode. */
static void set_other_cr3(uint64_t value)
{
	HCT_SIMPLE(0, CALL_SET_REGISTERS, 1, HCT_SELF, HCT_VP(1, 0), CR3, 0, value);
}

static void widen_other_cr3(const struct hct_row *row)
{
	uint64_t in[5];

	(void)row;
	widest_cr3(in);
	set_other_cr3(in[4]);
}

static void reset_other_cr3(const struct hct_row *row)
{
	(void)row;
	set_other_cr3(0);
}

#define GET(n, ...)                                                                  \
	{                                                                            \
		.name = "get registers: " n, .code = CALL_GET_REGISTERS, __VA_ARGS__ \
	}
#define SET(n, ...)                                                                  \
	{                                                                            \
		.name = "set registers: " n, .code = CALL_SET_REGISTERS, __VA_ARGS__ \
	}
#define INSTALL(n, ...)                                                              \
	{                                                                            \
		.name = "intercept: " n, .code = CALL_INSTALL_INTERCEPT, __VA_ARGS__ \
	}
#define AS_VTL1 .state = HCT_ON_VP, .caller = 1

const struct hct_row hct_rows_registers[] = {
	GET("one", IN(HCT_SELF, HCT_VP_OWN, CODE_OFFSETS), .reps = 1, .done = 1, OUT(OFFSETS, 0)),
	GET("two", IN(HCT_SELF, HCT_VP_OWN, PAIR(CODE_OFFSETS, VP_INDEX)), .reps = 2, .done = 2,
	    OUT(OFFSETS, 0, 0, 0)),
	GET("another VP's", IN(HCT_SELF, HCT_VP(1, 0), VP_INDEX), .reps = 1, .done = 1, OUT(1, 0)),
	GET("a value of its own", IN(HCT_SELF, HCT_VP_OWN, LSTAR), .reps = 1, .done = 1,
	    .before = set_lstar, .check = is_kept_lstar),
	GET("from the second on", IN(HCT_SELF, HCT_VP_OWN, PAIR(UNKNOWN_NAME, CODE_OFFSETS)),
	    .reps = 2, .start = 1, .done = 2,
	    OUT(0xeeeeeeeeeeeeeeee, 0xeeeeeeeeeeeeeeee, OFFSETS, 0)),
	GET("VTL0's, by VTL1", IN(HCT_SELF, HCT_VP(HCT_VP_SELF, HCT_VTL(0)), VP_STATUS), .reps = 1,
	    .done = 1, OUT(0x30001, 0), AS_VTL1),
	GET("VTL1's, disabled on the VP", IN(HCT_SELF, HCT_VP(HCT_VP_SELF, HCT_VTL(1)), LSTAR),
	    .reps = 1, .status = ST_INVALID_VTL_STATE, .state = HCT_ONLY_TWO_ON_VP, .caller = 2),
	GET("VTL1's, enabled again", IN(HCT_SELF, HCT_VP_OWN, PAIR(LSTAR, VP_STATUS)), .reps = 2,
	    .done = 2, OUT(0, 0, 0x70001, 0), .state = HCT_AGAIN, .caller = 1),
	GET("a CR3 as wide as can be", IN(HCT_SELF, HCT_VP(1, 0), CR3), .reps = 1, .done = 1,
	    .check = is_widest_cr3, .before = widen_other_cr3, .after = reset_other_cr3),
	GET("another partition", IN(1, HCT_VP_OWN, RAX), .reps = 1,
	    .status = ST_INVALID_PARTITION_ID),
	GET("no such VP", IN(HCT_SELF, HCT_VP(9, 0), RAX), .reps = 1,
	    .status = ST_INVALID_VP_INDEX),
	GET("a higher VTL", IN(HCT_SELF, HCT_VP(HCT_VP_SELF, HCT_VTL(1)), RAX), .reps = 1,
	    .status = ST_ACCESS_DENIED),
	GET("a VTL the VP does not have", IN(HCT_SELF, HCT_VP(1, HCT_VTL(1)), RAX), .reps = 1,
	    .status = ST_INVALID_VTL_STATE, AS_VTL1),
	GET("no such register", IN(HCT_SELF, HCT_VP_OWN, UNKNOWN_NAME), .reps = 1,
	    .status = ST_INVALID_PARAMETER),
	GET("no such register, second",
	    IN(HCT_SELF, HCT_VP_OWN, PAIR(CODE_OFFSETS, UNKNOWN_NAME), CODE_OFFSETS), .reps = 3,
	    .done = 1, .status = ST_INVALID_PARAMETER, OUT(OFFSETS, 0)),
	GET("the kernel fails", IN(HCT_SELF, HCT_VP_OWN, PAIR(VP_INDEX, DR0)), .reps = 2, .done = 1,
	    .status = ST_INVALID_VP_STATE, .fault = HCT_FAULT_DEBUGREGS),

	SET("one", IN(HCT_SELF, HCT_VP_OWN), .fill = many_lstars, .reps = 1, .done = 1,
	    .after = expect_lstar),
	SET("as many as registers hold", IN(HCT_SELF, HCT_VP_OWN), .fill = many_lstars, .reps = 3,
	    .done = 3, .after = expect_lstar),
	SET("eight", IN(HCT_SELF, HCT_VP_OWN), .fill = many_lstars, .reps = 8, .done = 8,
	    .after = expect_lstar),
	SET("from the third on",
	    IN(HCT_SELF, HCT_VP_OWN, UNKNOWN_NAME, 0, 0, 0, UNKNOWN_NAME, 0, 0, 0, LSTAR, 0,
	       0x1003),
	    .reps = 3, .start = 2, .done = 3, .after = expect_lstar),
	SET("another partition", IN(1, HCT_VP_OWN, LSTAR), .reps = 1,
	    .status = ST_INVALID_PARTITION_ID),
	SET("no such VP", IN(HCT_SELF, HCT_VP(9, 0), LSTAR), .reps = 1,
	    .status = ST_INVALID_VP_INDEX),
	SET("a higher VTL", IN(HCT_SELF, HCT_VP(HCT_VP_SELF, HCT_VTL(1)), LSTAR), .reps = 1,
	    .status = ST_ACCESS_DENIED),
	SET("a VTL the VP does not have", IN(HCT_SELF, HCT_VP(1, HCT_VTL(1)), LSTAR), .reps = 1,
	    .status = ST_INVALID_VTL_STATE, AS_VTL1),
	SET("no such register, second",
	    IN(HCT_SELF, HCT_VP_OWN, LSTAR, 0, 0x1001, 0, UNKNOWN_NAME, 0, 0, 0, LSTAR, 0, 7),
	    .reps = 3, .done = 1, .status = ST_INVALID_PARAMETER, .after = expect_lstar),
	SET("read-only", IN(HCT_SELF, HCT_VP_OWN, VP_INDEX), .reps = 1,
	    .status = ST_INVALID_PARAMETER),
	SET("VTL0 has no partition configuration", IN(HCT_SELF, HCT_VP_OWN, PARTITION_CONFIG),
	    .reps = 1, .status = ST_INVALID_PARAMETER),
	SET("bits past its width", IN(HCT_SELF, HCT_VP_OWN, LSTAR, 0, 0, 1), .reps = 1,
	    .status = ST_INVALID_REGISTER_VALUE),
	SET("reserved bits", IN(HCT_SELF, HCT_VP_OWN, VINA, 0, BAD_VINA), .reps = 1,
	    .status = ST_INVALID_REGISTER_VALUE, AS_VTL1),
	SET("a CR3 as wide as can be", IN(HCT_SELF, HCT_VP(1, 0), CR3), .fill = widest_cr3,
	    .reps = 1, .done = 1, .after = reset_other_cr3),
	SET("a CR3 that is too wide", IN(HCT_SELF, HCT_VP(1, 0), CR3), .fill = wide_cr3, .reps = 1,
	    .status = ST_INVALID_REGISTER_VALUE),
	SET("its own CR3, too wide", IN(HCT_SELF, HCT_VP_OWN, CR3), .fill = wide_cr3, .reps = 1,
	    .status = ST_INVALID_REGISTER_VALUE),
	SET("an intercept that cannot be", IN(HCT_SELF, HCT_VP_OWN, CR_INTERCEPT, 0, CR0_WRITES),
	    .reps = 1, .status = ST_OPERATION_DENIED, AS_VTL1),
	SET("the kernel fails", IN(HCT_SELF, HCT_VP_OWN, DR0), .reps = 1,
	    .status = ST_INVALID_VP_STATE, .fault = HCT_FAULT_DEBUGREGS),
	SET("the host is at its limit", IN(HCT_SELF, HCT_VP_OWN, CR_INTERCEPT, 0, UINT64_C(1) << 6),
	    .reps = 1, .status = ST_INSUFFICIENT_MEMORY, .fault = HCT_FAULT_MSR_FILTER, AS_VTL1),

	INSTALL("MSR writes", IN(HCT_SELF, PAIR(ACCESS_WRITE, TYPE_MSR), KERNEL_GS_BASE),
		.after = remove_intercept, AS_VTL1),
	INSTALL("none", IN(HCT_SELF, PAIR(0, TYPE_MSR), KERNEL_GS_BASE), AS_VTL1),
	INSTALL("a port", IN(HCT_SELF, PAIR(ACCESS_WRITE, TYPE_IO_PORT), PORT),
		.after = remove_ports, AS_VTL1),
	INSTALL("ports", IN(HCT_SELF, PAIR(ACCESS_BOTH, TYPE_IO_PORTS), PORTS(PORT, PORT + 7)),
		.after = remove_ports, AS_VTL1),
	INSTALL("no port has that number", IN(HCT_SELF, PAIR(ACCESS_WRITE, TYPE_IO_PORT), 0x10000),
		.status = ST_INVALID_PARAMETER, AS_VTL1),
	INSTALL("ports backwards", IN(HCT_SELF, PAIR(ACCESS_WRITE, TYPE_IO_PORTS), PORTS(PORT, 1)),
		.status = ST_INVALID_PARAMETER, AS_VTL1),
	INSTALL("executing a port", IN(HCT_SELF, PAIR(ACCESS_EXECUTE, TYPE_IO_PORT), PORT),
		.status = ST_INVALID_PARAMETER, AS_VTL1),
	INSTALL("another partition", IN(1, PAIR(ACCESS_WRITE, TYPE_MSR), KERNEL_GS_BASE),
		.status = ST_INVALID_PARTITION_ID, AS_VTL1),
	INSTALL("by VTL0", IN(HCT_SELF, PAIR(ACCESS_WRITE, TYPE_MSR), KERNEL_GS_BASE),
		.status = ST_ACCESS_DENIED),
	INSTALL("no such type", IN(HCT_SELF, PAIR(ACCESS_WRITE, TYPE_NONE)),
		.status = ST_INVALID_PARAMETER, AS_VTL1),
	INSTALL("no such access", IN(HCT_SELF, PAIR(ACCESS_UNKNOWN, TYPE_MSR), KERNEL_GS_BASE),
		.status = ST_INVALID_PARAMETER, AS_VTL1),
	INSTALL("executing an MSR", IN(HCT_SELF, PAIR(ACCESS_EXECUTE, TYPE_MSR), KERNEL_GS_BASE),
		.status = ST_INVALID_PARAMETER, AS_VTL1),
	INSTALL("no MSR has that number",
		IN(HCT_SELF, PAIR(ACCESS_WRITE, TYPE_MSR), UINT64_C(0x100000000)),
		.status = ST_INVALID_PARAMETER, AS_VTL1),
	INSTALL("CPUID", IN(HCT_SELF, PAIR(ACCESS_EXECUTE, TYPE_CPUID)),
		.status = ST_OPERATION_DENIED, AS_VTL1),
	INSTALL("an MSR that cannot be", IN(HCT_SELF, PAIR(ACCESS_WRITE, TYPE_MSR), TSC),
		.status = ST_OPERATION_DENIED, AS_VTL1),
	INSTALL("one too many", IN(HCT_SELF, PAIR(ACCESS_WRITE, TYPE_MSR), KERNEL_GS_BASE),
		.status = ST_INSUFFICIENT_MEMORY, .before = fill_intercepts,
		.after = empty_intercepts, .state = HCT_TWO_ON_VP, .caller = 2),
	INSTALL("the kernel fails", IN(HCT_SELF, PAIR(ACCESS_WRITE, TYPE_MSR), KERNEL_GS_BASE),
		.status = ST_INSUFFICIENT_MEMORY, .fault = HCT_FAULT_MSR_FILTER, AS_VTL1),
};
const unsigned hct_rows_registers_count = HCT_COUNT(hct_rows_registers);
