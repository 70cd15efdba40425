/* SPDX-License-Identifier: MIT */
/*
 * The calling convention's errors, for every call (TLFS hypercall-interface.md): what is wrong with
 * a control word, or with the places of input and output, whatever the call; and pages that a
 * higher VTL has closed.
 */
#include "run.h"

#define BIT(n)	     (UINT64_C(1) << (n))
#define FAST	     BIT(16)
#define VARIABLE_ONE BIT(17)
#define COUNT_SHIFT  32
#define START_SHIFT  48
#define COUNT_MASK   (UINT64_C(0xfff) << COUNT_SHIFT)
#define NO_RAM	     UINT64_C(0xc0000000) /* neither RAM nor a device's, in any environment */
#define NO_MEMORY    BIT(62)
#define PAGE_MASK    (HCT_PAGESIZE - 1)

static bool always(const struct hct_info *info, enum hct_form form)
{
	return !info->code_page && hct_fits(info, info->reps, 0, form);
}

static bool simple(const struct hct_info *info, enum hct_form form)
{
	return always(info, form) && !info->rep;
}

static bool rep(const struct hct_info *info, enum hct_form form)
{
	return always(info, form) && info->rep;
}

static bool no_variable(const struct hct_info *info, enum hct_form form)
{
	return always(info, form) && !info->variable;
}

static bool slow_input(const struct hct_info *info, enum hct_form form)
{
	return always(info, form) && !HCT_FORM_FAST(form) && hct_input_size(info, info->reps, 0);
}

static bool slow_output(const struct hct_info *info, enum hct_form form)
{
	return always(info, form) && !HCT_FORM_FAST(form) && hct_output_size(info, info->reps);
}

/* More than a register and a word, or there would be nothing left to cross the page's end. */
static bool long_input(const struct hct_info *info, enum hct_form form)
{
	return slow_input(info, form) && hct_input_size(info, info->reps, 0) > 8;
}

static bool long_output(const struct hct_info *info, enum hct_form form)
{
	return slow_output(info, form) && hct_output_size(info, info->reps) > 8;
}

/* Refused as a fast call: it never fits, or has output and comes from 32-bit code. */
static bool not_fast(const struct hct_info *info, enum hct_form form)
{
	return !info->code_page && HCT_FORM_FAST(form) && !hct_fits(info, info->reps, 0, form);
}

static bool fast_rep(const struct hct_info *info, enum hct_form form)
{
	return rep(info, form) && HCT_FORM_FAST(form);
}

#define RESERVED(n)                                                              \
	static void reserve_##n(const struct hct_info *info, struct hct_call *c) \
	{                                                                        \
		(void)info;                                                      \
		c->control |= BIT(n);                                            \
	}
RESERVED(27)
RESERVED(31)
RESERVED(44)
RESERVED(47)
RESERVED(60)
RESERVED(63)

static void count_one(const struct hct_info *info, struct hct_call *c)
{
	(void)info;
	c->control |= BIT(COUNT_SHIFT);
}

static void start_one(const struct hct_info *info, struct hct_call *c)
{
	(void)info;
	c->control |= BIT(START_SHIFT);
}

static void count_none(const struct hct_info *info, struct hct_call *c)
{
	(void)info;
	c->control &= ~COUNT_MASK;
}

static void start_at_count(const struct hct_info *info, struct hct_call *c)
{
	c->control |= (uint64_t)info->reps << START_SHIFT;
}

static void start_past_count(const struct hct_info *info, struct hct_call *c)
{
	c->control |= (uint64_t)(info->reps + 1) << START_SHIFT;
}

static void with_variable(const struct hct_info *info, struct hct_call *c)
{
	(void)info;
	c->control |= VARIABLE_ONE;
}

static void many_reps(const struct hct_info *info, struct hct_call *c)
{
	(void)info;
	c->control = (c->control & ~COUNT_MASK) | (UINT64_C(15) << COUNT_SHIFT);
}

static void all_reps(const struct hct_info *info, struct hct_call *c)
{
	(void)info;
	c->control |= COUNT_MASK;
}

static bool slow_rep(const struct hct_info *info, enum hct_form form)
{
	return rep(info, form) && !HCT_FORM_FAST(form);
}

static void nothing(const struct hct_info *info, struct hct_call *c)
{
	(void)info, (void)c;
}

static void input_odd(const struct hct_info *info, struct hct_call *c)
{
	(void)info;
	c->block[0] += 4;
}

static void output_odd(const struct hct_info *info, struct hct_call *c)
{
	(void)info;
	c->block[1] += 4;
}

static void input_crosses(const struct hct_info *info, struct hct_call *c)
{
	(void)info;
	c->block[0] = (c->block[0] | PAGE_MASK) - 7;
}

static void output_crosses(const struct hct_info *info, struct hct_call *c)
{
	(void)info;
	c->block[1] = (c->block[1] | PAGE_MASK) - 7;
}

static void input_not_ram(const struct hct_info *info, struct hct_call *c)
{
	(void)info;
	c->block[0] = NO_RAM;
}

static void output_not_ram(const struct hct_info *info, struct hct_call *c)
{
	(void)info;
	c->block[1] = NO_RAM;
}

static void input_nowhere(const struct hct_info *info, struct hct_call *c)
{
	(void)info;
	c->block[0] = NO_MEMORY;
}

static void output_nowhere(const struct hct_info *info, struct hct_call *c)
{
	(void)info;
	c->block[1] = NO_MEMORY;
}

const struct hct_breach hct_breaches[] = {
	{"reserved bit 27", ST_INVALID_HYPERCALL_INPUT, always, reserve_27},
	{"reserved bit 31", ST_INVALID_HYPERCALL_INPUT, always, reserve_31},
	{"reserved bit 44", ST_INVALID_HYPERCALL_INPUT, always, reserve_44},
	{"reserved bit 47", ST_INVALID_HYPERCALL_INPUT, always, reserve_47},
	{"reserved bit 60", ST_INVALID_HYPERCALL_INPUT, always, reserve_60},
	{"reserved bit 63", ST_INVALID_HYPERCALL_INPUT, always, reserve_63},
	{"rep count of a simple call", ST_INVALID_HYPERCALL_INPUT, simple, count_one},
	{"rep start of a simple call", ST_INVALID_HYPERCALL_INPUT, simple, start_one},
	{"no reps", ST_INVALID_HYPERCALL_INPUT, rep, count_none},
	{"rep start at the count", ST_INVALID_HYPERCALL_INPUT, rep, start_at_count},
	{"rep start past the count", ST_INVALID_HYPERCALL_INPUT, rep, start_past_count},
	{"variable header", ST_INVALID_HYPERCALL_INPUT, no_variable, with_variable},
	{"a form it does not have", ST_INVALID_HYPERCALL_INPUT, not_fast, nothing},
	{"more reps than registers", ST_INVALID_HYPERCALL_INPUT, fast_rep, many_reps},
	{"more reps than a page", ST_INVALID_ALIGNMENT, slow_rep, all_reps},
	{"misaligned input", ST_INVALID_ALIGNMENT, slow_input, input_odd},
	{"misaligned output", ST_INVALID_ALIGNMENT, slow_output, output_odd},
	{"input across pages", ST_INVALID_ALIGNMENT, long_input, input_crosses},
	{"output across pages", ST_INVALID_ALIGNMENT, long_output, output_crosses},
	{"input outside RAM", ST_INVALID_ALIGNMENT, slow_input, input_not_ram},
	{"output outside RAM", ST_INVALID_ALIGNMENT, slow_output, output_not_ram},
	{"input outside memory", ST_INVALID_ALIGNMENT, slow_input, input_nowhere},
	{"output outside memory", ST_INVALID_ALIGNMENT, slow_output, output_nowhere},
};
const unsigned hct_breach_count = HCT_COUNT(hct_breaches);

static uint64_t base_words[HCT_PAGESIZE / 8];

static void prepare(const struct hct_info *info, enum hct_form form, struct hct_call *call)
{
	*call = (struct hct_call){0};
	for (unsigned i = 0; i < (hct_input_size(info, info->reps, 0) + 7) / 8; i++)
		base_words[i] = 0;
	hct_put_words(base_words, info->base, info->words);
	if (HCT_FORM_FAST(form) && hct_input_size(info, info->reps, 0) > HCT_BLOCK)
		hct_place(info, 0, 0, base_words, (enum hct_form)(form - 1), call);
	else
		hct_place(info, info->reps, 0, base_words, form, call);
	if (HCT_FORM_FAST(form))
		call->control |= FAST;
}

static bool run_breach(const struct hct_info *info, const struct hct_breach *breach,
		       enum hct_form form)
{
	uint64_t before[HCT_BLOCK / 8];
	struct hct_call call;
	bool ok = true;

	if (!breach->applies(info, form))
		return true;
	prepare(info, form, &call);
	breach->apply(info, &call);
	__builtin_memcpy(before, call.block, sizeof(before));
	hct_env_call(&call);
	ok &= hct_expect(breach->name, form, "result", call.result, breach->status);
	ok &= hct_expect(breach->name, form, "#UD", call.ud, false);
	for (unsigned i = 0; i < HCT_COUNT(before); i++)
		ok &= hct_expect(breach->name, form, "a register", call.block[i], before[i]);
	if (!ok)
		hct_env_report(breach->name, form, "the call was", info->code, info->code);
	return ok;
}

bool hct_run_breaches(const struct hct_info *info)
{
	bool ok = true;

	for (unsigned i = 0; i < hct_breach_count; i++)
		for (unsigned form = 0; form < HCT_FORMS; form++)
			ok &= run_breach(info, &hct_breaches[i], (enum hct_form)form);
	return ok;
}

/* --- codes --- */

static bool run_unknown_code(uint16_t code, enum hct_form form)
{
	struct hct_call call = {0};

	call.mode = HCT_FORM_MODE(form);
	call.control = code | (HCT_FORM_FAST(form) ? FAST : 0);
	call.block[0] = code;
	hct_env_call(&call);
	return hct_expect("an unknown code", form, "result", call.result,
			  ST_INVALID_HYPERCALL_CODE) &&
	       hct_expect("an unknown code", form, "a register", call.block[0], code);
}

bool hct_run_unknown_codes(void)
{
	static const uint16_t far[] = {0x1000, 0x7fff, 0x8000, 0x8002, 0x8003, 0xffff};
	bool ok = true;

	for (uint16_t code = 0; code < 0x180; code++)
		if (!hct_info_of(code))
			ok &= run_unknown_code(code, (enum hct_form)(code % HCT_FORMS));
	for (unsigned i = 0; i < HCT_COUNT(far); i++)
		for (unsigned form = 0; form < HCT_FORMS; form++)
			ok &= run_unknown_code(far[i], (enum hct_form)form);
	return ok;
}

/* --- closed pages --- */

/* The same call with and without: it waits for VTL1, which opens the page, and is then the same. */
static bool run_closed(const struct hct_info *info, enum hct_form form, const char *name,
		       unsigned page, unsigned mask)
{
	struct hct_call open, closed;
	bool ok;

	prepare(info, form, &open);
	hct_env_call(&open);
	prepare(info, form, &closed);
	ok = hct_expect(name, form, "closing it", hct_limit_page(page, mask), BIT(32));
	hct_env_call(&closed);
	ok &= hct_expect(name, form, "intercepts", closed.intercepts, 1);
	ok &= hct_expect(name, form, "result", closed.result, open.result);
	for (unsigned i = 0; i < HCT_COUNT(open.block); i++)
		ok &= hct_expect(name, form, "a register", closed.block[i], open.block[i]);
	if (!ok)
		hct_env_report(name, form, "the call was", info->code, info->code);
	return ok;
}

bool hct_run_closed(const struct hct_info *info)
{
	const unsigned read_only = 0xd; /* and execute */
	bool ok = true;

	for (unsigned form = 0; form < HCT_FORMS; form++) {
		enum hct_form f = (enum hct_form)form;

		if (slow_input(info, f))
			ok &= run_closed(info, f, "input closed", HCT_INPUT, 0);
		if (slow_output(info, f))
			ok &= run_closed(info, f, "output read-only", HCT_OUTPUT, read_only);
		if (slow_output(info, f))
			ok &= run_closed(info, f, "output closed", HCT_OUTPUT, 0);
	}
	return ok;
}
