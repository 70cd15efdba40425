/* SPDX-License-Identifier: MIT */
/*
 * Rows of HvCallEnablePartitionVtl, HvCallDisablePartitionVtl, HvCallEnableVpVtl,
 * HvCallDisableVpVtl, HvCallVtlCall, HvCallVtlReturn, HvCallStartVirtualProcessor.
 *
 * Where a call succeeds is mostly where VTL2 is and VTL1 is not: it is the state in which VTL1 can
 * be had and given up again.
 */
#include "rows.h"

#define MBEC		 (1 << 8) /* flags follow the VTL */
#define UNKNOWN_FLAG	 (2 << 8)
#define PARTITION_CONFIG 0x000d0007
#define CONFIG		 UINT64_C(0x3f) /* as state.c has it, and ZeroMemoryOnReset */
#define DENY_STARTUP	 (UINT64_C(1) << 6)

/* Words of the contexts, behind partition id and VP. */
#define CONTEXT 2
#define RFLAGS	(CONTEXT + 2)
#define EFER	(CONTEXT + 23)
#define CR0	(CONTEXT + 24)
#define CR3	(CONTEXT + 25)
#define CS	(CONTEXT + 4) /* its limit, selector and attributes */
#define SS	(CONTEXT + 14)
#define WORDS	28 /* of a context */
#define PE	UINT64_C(1)
#define ET	UINT64_C(0x10)
#define PG	UINT64_C(0x80000000)
#define LME_LMA UINT64_C(0x500)
#define CODE_64 (UINT64_C(0x2000) << 48)
#define CODE_32 (UINT64_C(0x4000) << 48)

static void context1(uint64_t *in)
{
	hct_env_context(1, in + CONTEXT);
}

/* What VP 1 starts with, in VTL0. */
static void context0(uint64_t *in)
{
	hct_env_context(0, in + CONTEXT);
}

static void real_mode(uint64_t *in)
{
	context1(in);
	in[CR0] &= ~PE;
}

/* As after a SIPI with vector 0. */
static void true_real_mode(uint64_t *in)
{
	for (unsigned i = 0; i < WORDS; i++)
		in[CONTEXT + i] = 0;
	in[RFLAGS] = 2;
	in[CS] = UINT64_C(0x9b) << 48 | 0xffff;
	in[SS] = UINT64_C(0x93) << 48 | 0xffff;
	in[CR0] = ET;
}

static void wide_cr3(uint64_t *in)
{
	context1(in);
	in[CR3] = UINT64_C(1) << hct_env_physical_bits();
}

/* KVM would take it. */
static void wide_cr3_without_paging(uint64_t *in)
{
	wide_cr3(in);
	in[CR0] &= ~PG;
	in[EFER] &= ~LME_LMA;
	in[CS] = (in[CS] & ~CODE_64) | CODE_32;
}

static void wide_cr3_in_real_mode(uint64_t *in)
{
	true_real_mode(in);
	in[CR3] = UINT64_C(1) << hct_env_physical_bits();
}

static void reserved_efer(uint64_t *in)
{
	context1(in);
	in[EFER] |= UINT64_C(1) << 9;
}

static void virtual_8086(uint64_t *in)
{
	context1(in);
	in[RFLAGS] |= UINT64_C(1) << 17;
}

static void disable_partition1(const struct hct_row *row)
{
	HCT_SIMPLE(row->caller, CALL_DISABLE_PARTITION, 0, HCT_SELF, 1);
}

static void enable_partition1(const struct hct_row *row)
{
	HCT_SIMPLE(row->caller, CALL_ENABLE_PARTITION, 0, HCT_SELF, 1);
}

static void enable_other1(const struct hct_row *row)
{
	hct_enable_vp(row->caller, 1, 1);
}

static void disable_other1(const struct hct_row *row)
{
	HCT_SIMPLE(row->caller, CALL_DISABLE_VP, 0, HCT_SELF, HCT_VP(1, 1));
}

static void disable_own1(const struct hct_row *row)
{
	HCT_SIMPLE(row->caller, CALL_DISABLE_VP, 0, HCT_SELF, HCT_VP(HCT_VP_SELF, 1));
}

static void deny_startup(const struct hct_row *row)
{
	(void)row;
	hct_set_register(1, PARTITION_CONFIG, CONFIG | DENY_STARTUP);
}

static void allow_startup(const struct hct_row *row)
{
	(void)row;
	hct_set_register(1, PARTITION_CONFIG, CONFIG);
}

#define ENABLE_PARTITION(n, ...)                                                           \
	{                                                                                  \
		.name = "enable partition: " n, .code = CALL_ENABLE_PARTITION, __VA_ARGS__ \
	}
#define DISABLE_PARTITION(n, ...)                                                            \
	{                                                                                    \
		.name = "disable partition: " n, .code = CALL_DISABLE_PARTITION, __VA_ARGS__ \
	}
#define ENABLE_VP(n, ...)                                                    \
	{                                                                    \
		.name = "enable VP: " n, .code = CALL_ENABLE_VP, __VA_ARGS__ \
	}
#define DISABLE_VP(n, ...)                                                     \
	{                                                                      \
		.name = "disable VP: " n, .code = CALL_DISABLE_VP, __VA_ARGS__ \
	}
#define START(n, ...)                                                      \
	{                                                                  \
		.name = "start VP: " n, .code = CALL_START_VP, __VA_ARGS__ \
	}
#define SWITCH(n, ...)                                \
	{                                             \
		.name = "VTL switch: " n, __VA_ARGS__ \
	}

#define CALL_ENTRY   .code = CALL_VTL_CALL, .entry = HCT_ENTRY_VTL_CALL
#define RETURN_ENTRY .code = CALL_VTL_RETURN, .entry = HCT_ENTRY_VTL_RETURN
#define AS(s, vtl)   .state = (s), .caller = (vtl)
/* 32-bit code without paging has no interrupt table that a guest of the tests could use for #UD. */
#define UD_FORMS (HCT_FORM(HCT_SLOW) | HCT_FORM(HCT_SLOW_COMPAT))

const struct hct_row hct_rows_vtl[] = {
	ENABLE_PARTITION("VTL1, by VTL2", IN(HCT_SELF, 1), AS(HCT_ONLY_TWO, 2),
			 .after = disable_partition1),
	ENABLE_PARTITION("another partition", IN(1, 1), .status = ST_INVALID_PARTITION_ID),
	ENABLE_PARTITION("VTL0", IN(HCT_SELF, 0), .status = ST_INVALID_PARAMETER),
	ENABLE_PARTITION("a VTL there cannot be", IN(HCT_SELF, 3), .status = ST_INVALID_PARAMETER),
	ENABLE_PARTITION("unknown flags", IN(HCT_SELF, 1 | UNKNOWN_FLAG),
			 .status = ST_INVALID_PARAMETER),
	ENABLE_PARTITION("MBEC that cannot be", IN(HCT_SELF, 1 | MBEC),
			 .status = ST_INVALID_PARAMETER, .flags = HCT_RELAXED),
	ENABLE_PARTITION("VTL2, by VTL0 past VTL1", IN(HCT_SELF, 2), .status = ST_ACCESS_DENIED,
			 AS(HCT_ON_PARTITION, 0)),
	ENABLE_PARTITION("VTL1, which it has", IN(HCT_SELF, 1), .status = ST_INVALID_VTL_STATE,
			 AS(HCT_ON_PARTITION, 0)),
	ENABLE_PARTITION("its own", IN(HCT_SELF, 1), .status = ST_INVALID_VTL_STATE,
			 AS(HCT_ON_VP, 1)),

	DISABLE_PARTITION("VTL1, by VTL2", IN(HCT_SELF, 1), AS(HCT_ONLY_TWO_ON_VP, 2),
			  .after = enable_partition1),
	DISABLE_PARTITION("another partition", IN(1, 1), .status = ST_INVALID_PARTITION_ID),
	DISABLE_PARTITION("VTL0", IN(HCT_SELF, 0), .status = ST_INVALID_PARAMETER),
	DISABLE_PARTITION("a VTL there cannot be", IN(HCT_SELF, 3), .status = ST_INVALID_PARAMETER),
	DISABLE_PARTITION("a higher VTL", IN(HCT_SELF, 1), .status = ST_ACCESS_DENIED,
			  AS(HCT_ON_VP, 0)),
	DISABLE_PARTITION("enabled on this VP", IN(HCT_SELF, 1), .status = ST_INVALID_VTL_STATE,
			  AS(HCT_ON_VP, 1)),
	DISABLE_PARTITION("not enabled", IN(HCT_SELF, 1), .status = ST_INVALID_VTL_STATE,
			  AS(HCT_ONLY_TWO, 2)),
	DISABLE_PARTITION("the kernel fails", IN(HCT_SELF, 1), .status = ST_INSUFFICIENT_MEMORY,
			  .fault = HCT_FAULT_MSR_FILTER, .flags = HCT_FATAL,
			  AS(HCT_ONLY_TWO_ON_VP, 2)),

	ENABLE_VP("VTL1, by VTL2", IN(HCT_SELF, HCT_VP(HCT_VP_SELF, 1)), .fill = context1,
		  AS(HCT_ONLY_TWO_ON_VP, 2), .after = disable_own1),
	ENABLE_VP("another VP's VTL1, by VTL1", IN(HCT_SELF, HCT_VP(1, 1)), .fill = context1,
		  AS(HCT_ON_VP, 1), .after = disable_other1),
	ENABLE_VP("another partition", IN(1, HCT_VP(HCT_VP_SELF, 1)), .fill = context1,
		  .status = ST_INVALID_PARTITION_ID),
	ENABLE_VP("no such VP", IN(HCT_SELF, HCT_VP(9, 1)), .fill = context1,
		  .status = ST_INVALID_VP_INDEX),
	ENABLE_VP("VTL0", IN(HCT_SELF, HCT_VP(HCT_VP_SELF, 0)), .fill = context1,
		  .status = ST_INVALID_PARAMETER),
	ENABLE_VP("a VTL there cannot be", IN(HCT_SELF, HCT_VP(HCT_VP_SELF, 3)), .fill = context1,
		  .status = ST_INVALID_PARAMETER),
	ENABLE_VP("real mode", IN(HCT_SELF, HCT_VP(HCT_VP_SELF, 1)), .fill = real_mode,
		  .status = ST_INVALID_PARAMETER, AS(HCT_ON_PARTITION, 0)),
	ENABLE_VP("reserved bits in EFER", IN(HCT_SELF, HCT_VP(HCT_VP_SELF, 1)),
		  .fill = reserved_efer, .status = ST_INVALID_PARAMETER, AS(HCT_ON_PARTITION, 0)),
	ENABLE_VP("a CR3 that is too wide", IN(HCT_SELF, HCT_VP(HCT_VP_SELF, 1)), .fill = wide_cr3,
		  .status = ST_INVALID_PARAMETER, AS(HCT_ON_PARTITION, 0)),
	ENABLE_VP("a CR3 that is too wide, without paging", IN(HCT_SELF, HCT_VP(HCT_VP_SELF, 1)),
		  .fill = wide_cr3_without_paging, .status = ST_INVALID_PARAMETER,
		  AS(HCT_ON_PARTITION, 0)),
	ENABLE_VP("virtual-8086 mode", IN(HCT_SELF, HCT_VP(HCT_VP_SELF, 1)), .fill = virtual_8086,
		  .status = ST_INVALID_PARAMETER, AS(HCT_ON_PARTITION, 0)),
	ENABLE_VP("the partition does not have it", IN(HCT_SELF, HCT_VP(HCT_VP_SELF, 1)),
		  .fill = context1, .status = ST_INVALID_VTL_STATE),
	ENABLE_VP("another VP's, from below", IN(HCT_SELF, HCT_VP(1, 1)), .fill = context1,
		  .status = ST_ACCESS_DENIED, AS(HCT_ON_PARTITION, 0)),
	ENABLE_VP("VTL2, by VTL0 past VTL1", IN(HCT_SELF, HCT_VP(HCT_VP_SELF, 2)), .fill = context1,
		  .status = ST_ACCESS_DENIED, AS(HCT_TWO, 0)),
	ENABLE_VP("its own", IN(HCT_SELF, HCT_VP(HCT_VP_SELF, 1)), .fill = context1,
		  .status = ST_VTL_ALREADY_ENABLED, AS(HCT_ON_VP, 1)),
	ENABLE_VP("the kernel fails", IN(HCT_SELF, HCT_VP(HCT_VP_SELF, 1)), .fill = context1,
		  .status = ST_INSUFFICIENT_MEMORY, .fault = HCT_FAULT_SET_SREGS,
		  AS(HCT_ON_PARTITION, 0)),

	DISABLE_VP("another VP's VTL1, by VTL1", IN(HCT_SELF, HCT_VP(1, 1)), AS(HCT_ON_VP, 1),
		   .before = enable_other1),
	DISABLE_VP("another partition", IN(1, HCT_VP(HCT_VP_SELF, 1)),
		   .status = ST_INVALID_PARTITION_ID),
	DISABLE_VP("no such VP", IN(HCT_SELF, HCT_VP(9, 1)), .status = ST_INVALID_VP_INDEX),
	DISABLE_VP("VTL0", IN(HCT_SELF, HCT_VP(HCT_VP_SELF, 0)), .status = ST_INVALID_PARAMETER),
	DISABLE_VP("a VTL there cannot be", IN(HCT_SELF, HCT_VP(HCT_VP_SELF, 3)),
		   .status = ST_INVALID_PARAMETER),
	DISABLE_VP("a higher VTL", IN(HCT_SELF, HCT_VP(HCT_VP_SELF, 1)), .status = ST_ACCESS_DENIED,
		   AS(HCT_ON_VP, 0)),
	DISABLE_VP("its own", IN(HCT_SELF, HCT_VP(HCT_VP_SELF, 1)), .status = ST_INVALID_VTL_STATE,
		   AS(HCT_ON_VP, 1)),
	DISABLE_VP("not enabled", IN(HCT_SELF, HCT_VP(1, 1)), .status = ST_INVALID_VTL_STATE,
		   AS(HCT_ON_VP, 1)),
	DISABLE_VP("the kernel fails", IN(HCT_SELF, HCT_VP(1, 1)), .status = ST_INSUFFICIENT_MEMORY,
		   .fault = HCT_FAULT_EVENTS, .flags = HCT_FATAL, .before = enable_other1,
		   AS(HCT_ON_VP, 1)),

	SWITCH("a call from VTL0 to VTL1", CALL_ENTRY, .done = 1, AS(HCT_ON_VP, 0)),
	SWITCH("a call from VTL0 to VTL2", CALL_ENTRY, .done = 2, AS(HCT_ONLY_TWO, 0)),
	SWITCH("a call from VTL1 to VTL2", CALL_ENTRY, .done = 2, AS(HCT_TWO_ON_VP, 1)),
	SWITCH("a call to VTL1, enabled again", CALL_ENTRY, .done = 1, AS(HCT_AGAIN, 0)),
	SWITCH("a call past VTL1, enabled again", CALL_ENTRY, .done = 2, AS(HCT_AGAIN, 1)),
	SWITCH("a call, by its code", .code = CALL_VTL_CALL, .done = 1, AS(HCT_ON_VP, 0)),
	SWITCH("no VTL above", CALL_ENTRY, .status = ST_UD, .forms = UD_FORMS),
	SWITCH("no VTL above, by its code", .code = CALL_VTL_CALL, .status = ST_UD,
	       .forms = UD_FORMS),
	SWITCH("none above the highest", CALL_ENTRY, .status = ST_UD, .forms = UD_FORMS,
	       AS(HCT_TWO_ON_VP, 2)),
	SWITCH("reserved bits in a call", CALL_ENTRY, .control = 1, .status = ST_UD,
	       .forms = UD_FORMS, AS(HCT_ON_VP, 0)),
	SWITCH("a rep count with a call's code", .code = CALL_VTL_CALL,
	       .control = UINT64_C(1) << 32, .status = ST_UD, .forms = UD_FORMS, AS(HCT_ON_VP, 0)),
	SWITCH("VTL0 cannot return", RETURN_ENTRY, .status = ST_UD, .forms = UD_FORMS,
	       AS(HCT_ON_VP, 0)),
	SWITCH("VTL0 cannot return, by the code", .code = CALL_VTL_RETURN, .status = ST_UD,
	       .forms = UD_FORMS, AS(HCT_ON_VP, 0)),
	SWITCH("reserved bits in a return", RETURN_ENTRY, .control = 2, .status = ST_UD,
	       .forms = UD_FORMS, AS(HCT_ON_VP, 1)),

	START("VTL0, by VTL1", IN(HCT_SELF, HCT_VP(1, 0)), .fill = context0, .flags = HCT_ONCE,
	      AS(HCT_PROTECTED, 1)),
	START("another partition", IN(1, HCT_VP(1, 0)), .fill = context0,
	      .status = ST_INVALID_PARTITION_ID),
	START("no such VP", IN(HCT_SELF, HCT_VP(9, 0)), .fill = context0,
	      .status = ST_INVALID_VP_INDEX),
	START("a VTL there cannot be", IN(HCT_SELF, HCT_VP(1, 3)), .fill = context0,
	      .status = ST_INVALID_PARAMETER),
	START("a higher VTL", IN(HCT_SELF, HCT_VP(1, 1)), .fill = context0,
	      .status = ST_ACCESS_DENIED),
	START("a higher VTL denies it", IN(HCT_SELF, HCT_VP(1, 0)), .fill = context0,
	      .status = ST_ACCESS_DENIED, .before = deny_startup, .after = allow_startup,
	      AS(HCT_PROTECTED, 0)),
	START("a VTL the VP does not have", IN(HCT_SELF, HCT_VP(1, 1)), .fill = context0,
	      .status = ST_INVALID_VTL_STATE, AS(HCT_ON_VP, 1)),
	START("itself", IN(HCT_SELF, HCT_VP(HCT_VP_SELF, 0)), .fill = context0,
	      .status = ST_INVALID_VP_STATE),
	START("reserved bits of EFER", IN(HCT_SELF, HCT_VP(1, 0)), .fill = reserved_efer,
	      .status = ST_INVALID_REGISTER_VALUE),
	START("a CR3 that is too wide", IN(HCT_SELF, HCT_VP(1, 0)), .fill = wide_cr3_in_real_mode,
	      .status = ST_INVALID_REGISTER_VALUE),
	START("real mode in VTL1", IN(HCT_SELF, HCT_VP(1, 1)), .fill = true_real_mode,
	      .status = ST_INVALID_REGISTER_VALUE, .before = enable_other1, .after = disable_other1,
	      AS(HCT_ON_VP, 1)),
	START("the kernel fails", IN(HCT_SELF, HCT_VP(1, 0)), .fill = context0,
	      .status = ST_INVALID_VP_STATE, .fault = HCT_FAULT_SET_SREGS),
};
const unsigned hct_rows_vtl_count = HCT_COUNT(hct_rows_vtl);
