/* SPDX-License-Identifier: MIT */
/*
 * A rep call that is made in pieces, by the rep start index, gives what one call gives: the same
 * output and effect, the same status at the same element, reps done that are exact, and nothing
 * written before the start or past what is done. Pieces and contents are drawn by lot.
 */
#include "cpu.h"
#include "guest.h"
#include "vtl.h"

#define ROUNDS 10
#define HEADER 2 /* words before the elements */
/* More pages than HvCallModifyVtlProtectionMask does at once: it continues by itself, too. */
#define REPS_MAX	       80
#define PAGES		       80
#define UNTOUCHED	       UINT64_C(0xeeeeeeeeeeeeeeee)
#define REP_START(n)	       ((uint64_t)(n) << 48)
#define NO_PAGE		       (UINT64_C(1) << 52)
#define NO_RAM		       UINT64_C(0xc0000)
#define NO_NAME		       0x00021234
#define NO_APIC_ID	       0x77
#define OWN		       0 /* VP and VTL of a header: see HEADER_WORD */
#define HEADER_WORD(low, high) ((uint64_t)(low) | (uint64_t)(high) << 32)

/* How a call is made up of elements; `bad` is where one is wrong, or its rep count. */
struct kind {
	uint16_t code;
	unsigned output; /* words of an element's output */
	uint16_t status; /* of a bad element */
	void (*fill)(uint64_t *in, unsigned reps, unsigned bad);
	void (*begin)(void);		/* makes the effects of earlier calls undone */
	void (*effect)(uint64_t *into); /* reads them: REPS_MAX words */
};

static uint64_t input[PAGE_SIZE / 8] PAGE_ALIGNED, output[PAGE_SIZE / 8] PAGE_ALIGNED;
static uint64_t whole[2 * REPS_MAX], pieces[2 * REPS_MAX];
static uint64_t whole_effect[REPS_MAX], pieces_effect[REPS_MAX];
static uint8_t pages[PAGES][PAGE_SIZE] PAGE_ALIGNED;

static unsigned lot(unsigned below)
{
	static uint64_t state = 0x9e3779b97f4a7c15;

	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(state >> 33) % below;
}

/* --- kinds --- */

static const uint32_t names[] = {
	0x00080005, 0x00080006, 0x00080007, 0x00080008, /* SYSENTER_*, STAR */
	0x00080009, 0x0008000a, 0x0008000b, 0x00080002, /* LSTAR, CSTAR, SFMASK, KERNEL_GS_BASE */
	0x00050000, 0x00050001, 0x00050002, 0x00050003, /* DR0..3 */
};
#define NAMES (sizeof(names) / sizeof(names[0]))

static uint32_t some_name(unsigned element)
{
	return names[element % NAMES];
}

static void fill_get(uint64_t *in, unsigned reps, unsigned bad)
{
	uint32_t *name = (uint32_t *)(in + HEADER);

	in[1] = HEADER_WORD(HV_VP_SELF, HV_VTL(0));
	for (unsigned i = 0; i < reps; i++)
		name[i] = i == bad ? NO_NAME : some_name(i + (unsigned)in[0]);
}

static void fill_set(uint64_t *in, unsigned reps, unsigned bad)
{
	in[1] = HEADER_WORD(HV_VP_SELF, HV_VTL(0));
	for (unsigned i = 0; i < reps; i++) {
		uint64_t *element = in + HEADER + 4 * i;

		element[0] = i == bad ? NO_NAME : some_name(i);
		element[1] = element[3] = 0;
		element[2] = 0x100 + lot(0x1000);
	}
}

static uint64_t page_number(unsigned i)
{
	return (uint64_t)pages[i] / PAGE_SIZE;
}

static void fill_access(uint64_t *in, unsigned reps, unsigned bad)
{
	in[1] = HV_VTL(0) | (HV_R | HV_W) << 8;
	for (unsigned i = 0; i < reps; i++)
		in[HEADER + i] = i == bad ? NO_PAGE : page_number(lot(PAGES));
}

static void fill_protect(uint64_t *in, unsigned reps, unsigned bad)
{
	in[1] = HEADER_WORD(HV_R | HV_X, HV_VTL(0));
	for (unsigned i = 0; i < reps; i++)
		in[HEADER + i] = i == bad ? NO_RAM : page_number(lot(PAGES));
}

static void fill_index(uint64_t *in, unsigned reps, unsigned bad)
{
	in[1] = OWN;
	for (unsigned i = 0; i < reps; i++)
		in[HEADER + i] = i == bad ? NO_APIC_ID : 0;
}

static void nothing(void)
{
}

static void no_effect(uint64_t *into)
{
	memset(into, 0, sizeof(whole_effect));
}

static void open_pages(void)
{
	CHECK_EQUAL(HV_STATUS(hv_protect(pages, PAGES, HV_RWX)), HV_SUCCESS);
}

/* For reading back: a page apart, so that the call under test keeps its input. */
static uint64_t probe_input[HEADER + REPS_MAX] __attribute__((aligned(1024)));

static void read_pages(uint64_t *into)
{
	static uint64_t out[REPS_MAX] __attribute__((aligned(1024)));

	probe_input[0] = HV_PARTITION_SELF;
	probe_input[1] = HV_VTL(0) | (HV_R | HV_W) << 8;
	for (unsigned i = 0; i < PAGES; i++)
		probe_input[HEADER + i] = page_number(i);
	CHECK_EQUAL(hv_call(HV_CHECK_ACCESS | HV_REPS(PAGES), (uint64_t)probe_input, (uint64_t)out),
		    HV_REPS(PAGES));
	memcpy(into, out, sizeof(out));
}

static void clear_registers(void)
{
	for (unsigned i = 0; i < NAMES; i++)
		CHECK_EQUAL(hv_set_register(HV_VTL(0), names[i], 0), HV_SUCCESS);
}

static void read_registers(uint64_t *into)
{
	memset(into, 0, sizeof(whole_effect));
	for (unsigned i = 0; i < NAMES; i++)
		CHECK_EQUAL(hv_get_register(HV_VTL(0), names[i], &into[i]), HV_SUCCESS);
}

static const struct kind kinds[] = {
	{HV_GET_VP_REGISTERS, 2, HV_INVALID_PARAMETER, fill_get, nothing, no_effect},
	{HV_SET_VP_REGISTERS, 0, HV_INVALID_PARAMETER, fill_set, clear_registers, read_registers},
	{HV_CHECK_ACCESS, 1, HV_INVALID_PARAMETER, fill_access, nothing, no_effect},
	{HV_MODIFY_PROTECTION_MASK, 0, HV_INVALID_PARAMETER, fill_protect, open_pages, read_pages},
	{HV_GET_VP_INDEX, 1, HV_INVALID_PARAMETER, fill_index, nothing, no_effect},
};

/* --- the property --- */

static uint64_t call(const struct kind *k, unsigned start, unsigned end)
{
	for (unsigned i = 0; i < 2 * REPS_MAX; i++)
		output[i] = UNTOUCHED;
	return hv_call(k->code | HV_REPS(end) | REP_START(start), (uint64_t)input,
		       (uint64_t)output);
}

/* What is done, and no more: [first, done) is output, all else as it was. */
static void check_output(const struct kind *k, unsigned first, unsigned done)
{
	for (unsigned i = 0; i < 2 * REPS_MAX; i++)
		if (i < first * k->output || i >= done * k->output)
			CHECK_EQUAL(output[i], UNTOUCHED);
}

/* One call with [start, end): the status and reps done there must be. */
static bool piece(const struct kind *k, unsigned start, unsigned end, unsigned bad)
{
	bool fails = bad < end;
	unsigned done = fails ? bad : end;

	CHECK_EQUAL(call(k, start, end), HV_REPS(done) | (fails ? k->status : HV_SUCCESS));
	check_output(k, start, done);
	return !fails;
}

static void in_one(const struct kind *k, unsigned reps, unsigned bad)
{
	k->begin();
	piece(k, 0, reps, bad);
	memcpy(whole, output, sizeof(whole));
	k->effect(whole_effect);
}

static void in_pieces(const struct kind *k, unsigned reps, unsigned bad)
{
	unsigned start = 0;
	bool more = true;

	k->begin();
	for (unsigned i = 0; i < 2 * REPS_MAX; i++)
		pieces[i] = UNTOUCHED;
	while (more && start < reps) {
		unsigned end = start + 1 + lot(reps - start);

		more = piece(k, start, end, bad);
		for (unsigned i = start * k->output; i < end * k->output; i++)
			pieces[i] = output[i];
		start = end;
	}
	k->effect(pieces_effect);
}

static void try_kind(const struct kind *k)
{
	unsigned most = k->code == HV_SET_VP_REGISTERS ? NAMES : REPS_MAX;
	unsigned reps = 1 + lot(most);
	unsigned bad = lot(2) ? lot(reps) : reps;

	memset(input, 0, HEADER * 8);
	input[0] = lot(NAMES);
	k->fill(input, reps, bad);
	input[0] = HV_PARTITION_SELF;
	in_one(k, reps, bad);
	in_pieces(k, reps, bad);
	CHECK(memcmp(pieces, whole, sizeof(whole)) == 0);
	CHECK(memcmp(pieces_effect, whole_effect, sizeof(whole_effect)) == 0);
}

void vtl_on_start(void)
{
	hv_protections_on();
	for (unsigned i = 0; i < PAGES; i += 3)
		CHECK_EQUAL(hv_protect(pages[i], 1, HV_R | HV_X), HV_REPS(1));
	for (unsigned round = 0; round < ROUNDS; round++)
		for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
			try_kind(&kinds[i]);
}

int guest_main(void)
{
	vtl_begin(&vtl_own_image);
	return 0;
}
