/* SPDX-License-Identifier: MIT */
/* Runs a row, or a breach, in a form, and compares what came of it. */
#include "run.h"

#define FAST	      (UINT64_C(1) << 16)
#define VARIABLE(n)   ((uint64_t)(n) << 17)
#define REP_COUNT(n)  ((uint64_t)(n) << 32)
#define REP_START(n)  ((uint64_t)(n) << 48)
#define STATUS(r)     ((uint32_t)((r)&0xffff))
#define REPS_DONE(r)  ((uint32_t)((r) >> 32 & 0xfff))
#define UNTOUCHED_ALL UINT64_C(0xeeeeeeeeeeeeeeee)

static uint64_t input[HCT_PAGESIZE / 8], before[HCT_BLOCK / 8];
static uint64_t output[HCT_PAGESIZE / 8];

/* Guest code may run slowly: no more is touched than is needed, and not byte by byte. */
static void fill(uint64_t *to, uint64_t with, unsigned bytes)
{
	for (unsigned i = 0; i < (bytes + 7) / 8; i++)
		to[i] = with;
}

static void copy(uint64_t *to, const uint64_t *from, unsigned bytes)
{
	for (unsigned i = 0; i < (bytes + 7) / 8; i++)
		to[i] = from[i];
}

static uint64_t word_of(uint64_t word)
{
	uint32_t low = (uint32_t)word;

	if ((word & HCT_TOKEN_MASK) != HCT_TOKEN)
		return word;
	return word >> 32 & 1 ? hct_env_apic_id(low) : hct_env_gpa(low) / HCT_PAGESIZE;
}

void hct_put_words(uint64_t *to, const uint64_t *words, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		to[i] = word_of(words[i]);
}

void hct_place(const struct hct_info *info, unsigned reps, unsigned variable, const uint64_t *words,
	       enum hct_form form, struct hct_call *call)
{
	unsigned size = hct_input_size(info, reps, variable);

	call->mode = HCT_FORM_MODE(form);
	call->control = info->code | VARIABLE(variable) | REP_COUNT(reps);
	for (unsigned i = 0; i < HCT_BLOCK / 8; i++)
		call->block[i] = UNTOUCHED_ALL;
	if (HCT_FORM_FAST(form)) {
		call->control |= FAST;
		__builtin_memcpy(call->block, words, size);
	} else {
		if (hct_output_size(info, reps))
			fill(hct_env_page(HCT_OUTPUT), UNTOUCHED_ALL, hct_env_watched);
		copy(hct_env_page(HCT_INPUT), words, size);
		call->block[0] = hct_env_gpa(HCT_INPUT);
		call->block[1] = hct_env_gpa(HCT_OUTPUT);
	}
}

bool hct_expect(const char *name, enum hct_form form, const char *what, uint64_t got,
		uint64_t wanted)
{
	if (got == wanted)
		return true;
	hct_env_report(name, form, what, got, wanted);
	return false;
}

/* --- a row --- */

bool hct_row_fits(const struct hct_row *row, enum hct_form form)
{
	const struct hct_info *info = hct_info_of(row->code);

	if (row->forms && !(row->forms & HCT_FORM(form)))
		return false;
	return info && hct_fits(info, row->reps, row->variable, form);
}

static void prepare(const struct hct_row *row, enum hct_form form, struct hct_call *call)
{
	*call = (struct hct_call){.vtl = row->caller,
				  .entry = (enum hct_entry)row->entry,
				  .switch_input = row->switch_input};
	fill(input, 0, hct_input_size(hct_info_of(row->code), row->reps, row->variable));
	hct_put_words(input, row->in, row->words);
	if (row->fill)
		row->fill(input);
	hct_place(hct_info_of(row->code), row->reps, row->variable, input, form, call);
	if (row->entry == HCT_ENTRY_HYPERCALL)
		call->control |= REP_START(row->start) | row->control;
	else
		call->control = row->control;
	__builtin_memcpy(before, call->block, sizeof(before));
}

/* Output starts where the next register pair does; what is around it stays. */
static void collect(const struct hct_row *row, enum hct_form form, const struct hct_call *call)
{
	const struct hct_info *info = hct_info_of(row->code);
	unsigned base = (hct_input_size(info, row->reps, row->variable) + 15) / 16 * 16;

	if (!HCT_FORM_FAST(form)) {
		copy(output, hct_env_page(HCT_OUTPUT), hct_env_watched);
		return;
	}
	fill(output, UNTOUCHED_ALL, hct_env_watched);
	copy(output, call->block + base / 8, HCT_BLOCK - base);
}

/* The registers the call has no business with. */
static bool registers_kept(const struct hct_row *row, enum hct_form form,
			   const struct hct_call *call)
{
	const struct hct_info *info = hct_info_of(row->code);
	unsigned base = (hct_input_size(info, row->reps, row->variable) + 15) / 16 * 2;
	bool ok = true;

	if (!HCT_FORM_FAST(form) || !hct_output_size(info, row->reps))
		base = HCT_BLOCK / 8;
	for (unsigned i = 0; i < base; i++)
		ok &= hct_expect(row->name, form, "a register", call->block[i], before[i]);
	return ok;
}

/* Bytes of output that may have been written: [first, *end). */
static unsigned output_range(const struct hct_row *row, unsigned *end)
{
	const struct hct_info *info = hct_info_of(row->code);

	*end = row->status ? 0 : info->output;
	if (info->rep)
		*end = row->done * info->output_element;
	return row->start * info->output_element;
}

static bool output_right(const struct hct_row *row, enum hct_form form)
{
	unsigned end, first = output_range(row, &end);
	bool ok = true;

	for (unsigned i = 0; i < hct_env_watched / 8; i++)
		if ((8 * i < first || 8 * i >= end) && output[i] != UNTOUCHED_ALL)
			return hct_expect(row->name, form, "output outside its range, at", 8 * i,
					  end);
	for (unsigned i = 0; i < row->outs; i++)
		ok &= hct_expect(row->name, form, "output", output[i], word_of(row->out[i]));
	if (row->check && !row->check(output))
		ok = hct_expect(row->name, form, "output", output[0], 0);
	return ok;
}

static bool result_right(const struct hct_row *row, enum hct_form form, const struct hct_call *call)
{
	bool ok = true;

	if (row->status == ST_UD)
		return hct_expect(row->name, form, "#UD", call->ud, true);
	ok &= hct_expect(row->name, form, "#UD", call->ud, false);
	ok &= hct_expect(row->name, form, "intercepts", call->intercepts, 0);
	if (hct_info_of(row->code)->code_page)
		return ok && hct_expect(row->name, form, "VTL reached", call->reached, row->done);
	ok &= hct_expect(row->name, form, "status", STATUS(call->result), row->status);
	ok &= hct_expect(row->name, form, "reps done", REPS_DONE(call->result), row->done);
	return ok & hct_expect(row->name, form, "reserved bits of the result",
			       call->result & ~UINT64_C(0xfff0000ffff), 0);
}

bool hct_run_row(const struct hct_row *row, enum hct_form form)
{
	struct hct_call call;
	bool ok;

	if (row->before)
		row->before(row);
	prepare(row, form, &call);
	hct_env_fault((enum hct_fault)row->fault);
	hct_env_call(&call);
	hct_env_fault(HCT_NO_FAULT);
	ok = result_right(row, form, &call);
	ok &= registers_kept(row, form, &call);
	if (ok && hct_output_size(hct_info_of(row->code), row->reps)) {
		collect(row, form, &call);
		ok = output_right(row, form);
	}
	if (row->after)
		row->after(row);
	return ok;
}

static bool run_row_forms(const struct hct_row *row)
{
	bool ok = true;

	for (unsigned form = 0; form < HCT_FORMS; form++) {
		if (!hct_row_fits(row, (enum hct_form)form))
			continue;
		ok &= hct_run_row(row, (enum hct_form)form);
		if (row->flags & HCT_ONCE)
			break;
	}
	return ok;
}

bool hct_run_state(enum hct_state state, bool relaxed)
{
	bool ok = true;

	for (unsigned f = 0; f < hct_family_count; f++) {
		for (unsigned i = 0; i < *hct_families[f].count; i++) {
			const struct hct_row *row = &hct_families[f].rows[i];

			if (row->state == state && !row->fault &&
			    (relaxed || !(row->flags & HCT_RELAXED)))
				ok &= run_row_forms(row);
		}
	}
	return ok;
}

/* --- what hooks use --- */

uint64_t hct_simple(unsigned vtl, uint16_t code, unsigned reps, const uint64_t *words,
		    unsigned count)
{
	struct hct_call call = {.vtl = (uint8_t)vtl, .control = code | REP_COUNT(reps)};
	uint64_t *to = hct_env_page(HCT_HELPER_INPUT);

	fill(to, 0, hct_input_size(hct_info_of(code), reps, 0));
	hct_put_words(to, words, count);
	call.block[0] = hct_env_gpa(HCT_HELPER_INPUT);
	call.block[1] = hct_env_gpa(HCT_HELPER_OUTPUT);
	hct_env_call(&call);
	return call.result;
}

uint64_t hct_set_register(unsigned vtl, uint32_t name, uint64_t value)
{
	return HCT_SIMPLE(vtl, CALL_SET_REGISTERS, 1, HCT_SELF, HCT_VP_OWN, name, 0, value);
}

uint64_t hct_limit_page(unsigned page, unsigned mask)
{
	return HCT_SIMPLE(1, CALL_PROTECT, 1, HCT_SELF, HCT_VP(mask, HCT_VTL(0)), HCT_GFN(page));
}

uint64_t hct_enable_vp(unsigned by, uint64_t vp, unsigned vtl)
{
	uint64_t words[30] = {HCT_SELF, HCT_VP(vp, vtl)};

	hct_env_context(vtl, words + 2);
	return hct_simple(by, CALL_ENABLE_VP, 0, words, HCT_COUNT(words));
}
