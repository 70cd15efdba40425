/* SPDX-License-Identifier: MIT */
/*
 * A flush hypercall drops translations the processor holds: VTL0 has read page A through V, so its
 * TLB may map V to A; then V's entry names page B, with no INVLPG. After the call, V is B.
 */
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "vtl.h"

#define V	  (UINT64_C(1) << 39) /* the second entry of the top table, which is free */
#define ENTRY	  3		      /* present, writable */
#define GLOBAL	  0x100
#define CR4_PGE	  (UINT64_C(1) << 7)
#define FLUSH_ALL 3 /* all processors, all address spaces */
#define ROUNDS	  64

static uint64_t tables[3][PAGE_SIZE / 8] PAGE_ALIGNED;
static uint64_t pages[2][PAGE_SIZE / 8] PAGE_ALIGNED;

struct flush_input {
	uint64_t address_space, flags;
	union {
		struct {
			uint64_t mask;
			uint64_t range;
		} plain;
		struct {
			uint64_t format, banks;
			uint64_t bank0;
			uint64_t range;
		} sparse;
	};
};

static struct flush_input input __attribute__((aligned(128)));

static void map(unsigned page, uint64_t flags)
{
	((volatile uint64_t *)tables[2])[0] = (uint64_t)pages[page] | ENTRY | flags;
}

static uint64_t through_v(void)
{
	return *(volatile uint64_t *)V;
}

static uint64_t by_mask(uint64_t control, uint64_t flags, uint64_t mask)
{
	input = (struct flush_input){.address_space = read_cr3(), .flags = flags};
	input.plain.mask = mask;
	input.plain.range = V;
	return hv_call(control, (uint64_t)&input, 0);
}

static uint64_t by_set(uint64_t control)
{
	input = (struct flush_input){.address_space = read_cr3()};
	input.sparse.banks = 1;
	input.sparse.bank0 = 1;
	input.sparse.range = V;
	return hv_call(control | HV_VARIABLE(1), (uint64_t)&input, 0);
}

static uint64_t space(void)
{
	return by_mask(HV_FLUSH_SPACE, 0, 1);
}

static uint64_t space_everywhere(void)
{
	return by_mask(HV_FLUSH_SPACE, FLUSH_ALL, 0);
}

static uint64_t list(void)
{
	return by_mask(HV_FLUSH_LIST | HV_REPS(1), 0, 1);
}

static uint64_t space_ex(void)
{
	return by_set(HV_FLUSH_SPACE_EX);
}

static uint64_t list_ex(void)
{
	return by_set(HV_FLUSH_LIST_EX | HV_REPS(1));
}

static unsigned stale;

static void try_call(uint64_t (*call)(void), uint64_t expected, uint64_t flags)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		map(i & 1, flags);
		CHECK_EQUAL(call(), expected);
		CHECK_EQUAL(through_v(), 0x1111 * ((i & 1) + 1));
		map(!(i & 1), flags);
		/*
		 * What the processor gives here is its own business: the old page, or the new one.
		 */
		stale += through_v() == 0x1111 * ((i & 1) + 1);
		CHECK_EQUAL(call(), expected);
		CHECK_EQUAL(through_v(), 0x1111 * (!(i & 1) + 1));
	}
}

int guest_main(void)
{
	static const struct {
		uint64_t (*call)(void);
		uint64_t result;
	} calls[] = {{space, HV_SUCCESS},
		     {space_everywhere, HV_SUCCESS},
		     {list, HV_REPS(1)},
		     {space_ex, HV_SUCCESS},
		     {list_ex, HV_REPS(1)}};

	hv_require_vsm();
	hv_setup();
	pages[0][0] = 0x1111;
	pages[1][0] = 0x2222;
	tables[0][0] = (uint64_t)tables[1] | ENTRY;
	tables[1][0] = (uint64_t)tables[2] | ENTRY;
	guest_page_tables[1] = (uint64_t)tables[0] | ENTRY;
	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		try_call(calls[i].call, calls[i].result, 0);
	write_cr4(read_cr4() | CR4_PGE);
	try_call(space, HV_SUCCESS, GLOBAL);
	/* Where translations are known to be kept, their absence would prove nothing of the calls. */
	CHECK(stale || !guest_has_option("stale"));
	print("without the call %u reads of %u were of the old page\n", stale, 6 * ROUNDS);
	return 0;
}
