/* SPDX-License-Identifier: MIT */
/*
 * Rows of HvCallModifyVtlProtectionMask, HvCallCheckSparseGpaPageVtlAccess,
 * HvCallTranslateVirtualAddress and Ex.
 */
#include "rows.h"

#define R		    1
#define W		    2
#define X		    12
#define RWX		    15
#define MASK(m, vtl)	    HCT_VP(m, vtl)
#define CHECK(vtl, m)	    ((uint64_t)(vtl) | (uint64_t)(m) << 8)
#define BELOW		    0		      /* no VTL named: the one below */
#define NO_RAM		    UINT64_C(0xc0000) /* a page number */
#define NO_PAGE		    (UINT64_C(1) << 52)
#define PAGE(n)		    HCT_GFN(HCT_RANGE + (n))
#define NAMED(vtl)	    (HCT_VTL(vtl) << 56)
#define DENIED(m, by)	    (1 | (uint64_t)(m) << 8 | (uint64_t)(by) << 16)
#define WRITE_BACK	    PAIR(0, 6)
#define NO_TRANSLATION	    1
#define INTERCEPTED	    8
#define READ		    1
#define WRITE		    2
#define EXECUTE		    4
#define USER_AND_SUPERVISOR 0xc0
#define BOTH_SMAPS	    0x300

/* Pages are open again for the rows that follow. */
static void open_pages(const struct hct_row *row)
{
	uint64_t words[2 + HCT_RANGE_PAGES] = {HCT_SELF, MASK(RWX, HCT_VTL(0))};

	(void)row;
	for (unsigned i = 0; i < HCT_RANGE_PAGES; i++)
		words[2 + i] = PAGE(i);
	hct_simple(1, CALL_PROTECT, HCT_RANGE_PAGES, words, HCT_COUNT(words));
}

static void close_page(const struct hct_row *row)
{
	(void)row;
	hct_limit_page(HCT_RANGE, R | X);
}

static void all_pages(uint64_t *in)
{
	for (unsigned i = 0; i < HCT_RANGE_PAGES; i++)
		in[2 + i] = hct_env_gpa(HCT_RANGE + i) / HCT_PAGESIZE;
}

/* Every second one: each is a run of its own. */
static void scattered_pages(uint64_t *in)
{
	for (unsigned i = 0; i < HCT_RANGE_PAGES / 2; i++)
		in[2 + i] = hct_env_gpa(HCT_RANGE + 2 * i) / HCT_PAGESIZE;
}

#define AS_VTL1	 .state = HCT_PROTECTED, .caller = 1
#define REOPENED .after = open_pages
#define PROTECT(n, ...)                                                  \
	{                                                                \
		.name = "protect: " n, .code = CALL_PROTECT, __VA_ARGS__ \
	}
#define ACCESS(n, ...)                                                             \
	{                                                                          \
		.name = "check access: " n, .code = CALL_CHECK_ACCESS, __VA_ARGS__ \
	}

/* The two translations differ in their output alone. */
#define TRANSLATE(n, ...)                                                          \
	{.name = "translate: " n, .code = CALL_TRANSLATE, __VA_ARGS__},            \
	{                                                                          \
		.name = "translate ex: " n, .code = CALL_TRANSLATE_EX, __VA_ARGS__ \
	}

const struct hct_row hct_rows_memory[] = {
	PROTECT("read-only", IN(HCT_SELF, MASK(R | X, HCT_VTL(0)), PAGE(0), PAGE(1)), .reps = 2,
		.done = 2, AS_VTL1, REOPENED),
	PROTECT("the VTL below, not named", IN(HCT_SELF, MASK(0, BELOW), PAGE(0)), .reps = 1,
		.done = 1, AS_VTL1, REOPENED),
	PROTECT("the VTL below, by its own name", IN(HCT_SELF, MASK(R, HCT_VTL(1)), PAGE(0)),
		.reps = 1, .done = 1, AS_VTL1, REOPENED),
	PROTECT("as many as registers hold", IN(HCT_SELF, MASK(R, HCT_VTL(0))), .reps = 12,
		.done = 12, .fill = all_pages, AS_VTL1, REOPENED),
	PROTECT("more than one execution does", IN(HCT_SELF, MASK(R | W, HCT_VTL(0))),
		.reps = HCT_RANGE_PAGES, .done = HCT_RANGE_PAGES, .fill = all_pages, AS_VTL1,
		REOPENED),
	PROTECT("scattered", IN(HCT_SELF, MASK(0, HCT_VTL(0))), .reps = HCT_RANGE_PAGES / 2,
		.done = HCT_RANGE_PAGES / 2, .fill = scattered_pages, AS_VTL1, REOPENED),
	PROTECT("from the second on", IN(HCT_SELF, MASK(R, HCT_VTL(0)), NO_RAM, PAGE(0)), .reps = 2,
		.start = 1, .done = 2, AS_VTL1, REOPENED),
	PROTECT("another partition", IN(1, MASK(R, HCT_VTL(0)), PAGE(0)), .reps = 1,
		.status = ST_INVALID_PARTITION_ID, AS_VTL1),
	PROTECT("by VTL0", IN(HCT_SELF, MASK(R, BELOW), PAGE(0)), .reps = 1,
		.status = ST_ACCESS_DENIED),
	PROTECT("a higher VTL", IN(HCT_SELF, MASK(R, HCT_VTL(2)), PAGE(0)), .reps = 1,
		.status = ST_ACCESS_DENIED, AS_VTL1),
	PROTECT("nothing without read", IN(HCT_SELF, MASK(W, HCT_VTL(0)), PAGE(0)), .reps = 1,
		.status = ST_INVALID_PARAMETER, AS_VTL1),
	PROTECT("unknown mask", IN(HCT_SELF, MASK(0x10 | R, HCT_VTL(0)), PAGE(0)), .reps = 1,
		.status = ST_INVALID_PARAMETER, AS_VTL1),
	PROTECT("not RAM", IN(HCT_SELF, MASK(R, HCT_VTL(0)), PAGE(0), PAGE(1), NO_RAM, PAGE(2)),
		.reps = 4, .done = 2, .status = ST_INVALID_PARAMETER, AS_VTL1, REOPENED),
	PROTECT("no page", IN(HCT_SELF, MASK(R, HCT_VTL(0)), NO_PAGE), .reps = 1,
		.status = ST_INVALID_PARAMETER, AS_VTL1),
	PROTECT("protections off", IN(HCT_SELF, MASK(R, HCT_VTL(0)), PAGE(0)), .reps = 1,
		.status = ST_INVALID_VTL_STATE, .state = HCT_ON_VP, .caller = 1),
	PROTECT("the host is at its limit", IN(HCT_SELF, MASK(R, HCT_VTL(0)), PAGE(0)), .reps = 1,
		.status = ST_INSUFFICIENT_MEMORY, .fault = HCT_FAULT_PROTECT, AS_VTL1),
	PROTECT("VTL1, by VTL2", IN(HCT_SELF, MASK(R, HCT_VTL(1)), PAGE(9)), .reps = 1, .done = 1,
		.state = HCT_TWO_ON_VP, .caller = 2),
	PROTECT("VTL0, by VTL2", IN(HCT_SELF, MASK(RWX, HCT_VTL(0)), PAGE(9)), .reps = 1, .done = 1,
		.state = HCT_ONLY_TWO, .caller = 2),

	ACCESS("own", IN(HCT_SELF, CHECK(0, RWX), PAGE(0)), .reps = 1, .done = 1, OUT(0)),
	ACCESS("not RAM", IN(HCT_SELF, CHECK(0, RWX), NO_RAM), .reps = 1, .done = 1, OUT(0)),
	ACCESS("closed, and open", IN(HCT_SELF, CHECK(HCT_VTL(0), R | W), PAGE(0), PAGE(1)),
	       .reps = 2, .done = 2, OUT(DENIED(W, 1), 0), .before = close_page, AS_VTL1, REOPENED),
	ACCESS("from the second on",
	       IN(HCT_SELF, CHECK(HCT_VTL(0), R | W), PAGE(1), PAGE(0), PAGE(1)), .reps = 3,
	       .start = 1, .done = 3, OUT(0xeeeeeeeeeeeeeeee, DENIED(W, 1), 0),
	       .before = close_page, AS_VTL1, REOPENED),
	ACCESS("what VTL1 closed before it was disabled on the VP",
	       IN(HCT_SELF, CHECK(HCT_VTL(0), R | W), PAGE(0)), .reps = 1, .done = 1,
	       OUT(DENIED(W, 1)), .state = HCT_ONLY_TWO_ON_VP, .caller = 2,
	       .forms = HCT_FORM(HCT_SLOW)),
	ACCESS("the same, disabled for the partition",
	       IN(HCT_SELF, CHECK(HCT_VTL(0), R | W), PAGE(0)), .reps = 1, .done = 1, OUT(0),
	       .state = HCT_ONLY_TWO, .caller = 2),
	ACCESS("the same, enabled again", IN(HCT_SELF, CHECK(HCT_VTL(0), R | W), PAGE(0)),
	       .reps = 1, .done = 1, OUT(0), .state = HCT_AGAIN, .caller = 1),
	ACCESS("another partition", IN(1, CHECK(0, R), PAGE(0)), .reps = 1,
	       .status = ST_INVALID_PARTITION_ID),
	ACCESS("a higher VTL", IN(HCT_SELF, CHECK(HCT_VTL(1), R), PAGE(0)), .reps = 1,
	       .status = ST_ACCESS_DENIED),
	ACCESS("unknown access", IN(HCT_SELF, CHECK(0, 0x10), PAGE(0)), .reps = 1,
	       .status = ST_INVALID_PARAMETER),
	ACCESS("no page", IN(HCT_SELF, CHECK(0, R), PAGE(0), NO_PAGE, PAGE(0)), .reps = 3,
	       .done = 1, .status = ST_INVALID_PARAMETER, OUT(0)),

	TRANSLATE("own page", IN(HCT_SELF, HCT_VP_OWN, READ | WRITE | EXECUTE, PAGE(0)),
		  OUT(WRITE_BACK)),
	TRANSLATE("another's", IN(HCT_SELF, HCT_VP(0, 0), READ, PAGE(0)), OUT(WRITE_BACK)),
	TRANSLATE("nothing there", IN(HCT_SELF, HCT_VP_OWN, READ, UINT64_C(5) << 27),
		  OUT(NO_TRANSLATION), .forms = HCT_FORM(HCT_SLOW) | HCT_FORM(HCT_FAST)),
	TRANSLATE("VTL0's, by VTL1", IN(HCT_SELF, HCT_VP_OWN, READ | NAMED(0), PAGE(0)),
		  OUT(WRITE_BACK), AS_VTL1),
	TRANSLATE("closed to VTL0", IN(HCT_SELF, HCT_VP_OWN, WRITE | NAMED(0), PAGE(0)),
		  OUT(INTERCEPTED), .before = close_page, AS_VTL1, REOPENED),
	TRANSLATE("another partition", IN(1, HCT_VP_OWN, READ, PAGE(0)),
		  .status = ST_INVALID_PARTITION_ID),
	TRANSLATE("no such VP", IN(HCT_SELF, HCT_VP(9, 0), READ, PAGE(0)),
		  .status = ST_INVALID_VP_INDEX),
	TRANSLATE("a higher VTL", IN(HCT_SELF, HCT_VP_OWN, READ | NAMED(1), PAGE(0)),
		  .status = ST_ACCESS_DENIED),
	TRANSLATE("unknown flag", IN(HCT_SELF, HCT_VP_OWN, 1 << 10, PAGE(0)),
		  .status = ST_INVALID_PARAMETER),
	TRANSLATE("user and supervisor", IN(HCT_SELF, HCT_VP_OWN, USER_AND_SUPERVISOR, PAGE(0)),
		  .status = ST_INVALID_PARAMETER),
	TRANSLATE("both SMAP flags", IN(HCT_SELF, HCT_VP_OWN, BOTH_SMAPS, PAGE(0)),
		  .status = ST_INVALID_PARAMETER),
	TRANSLATE("a VTL the VP does not have",
		  IN(HCT_SELF, HCT_VP(1, 0), READ | NAMED(1), PAGE(0)),
		  .status = ST_INVALID_VTL_STATE, .state = HCT_ON_VP, .caller = 1),
	TRANSLATE("the kernel fails", IN(HCT_SELF, HCT_VP(1, 0), READ, PAGE(0)),
		  .status = ST_INVALID_VP_STATE, .fault = HCT_FAULT_OTHER_REGS),
};
const unsigned hct_rows_memory_count = HCT_COUNT(hct_rows_memory);
