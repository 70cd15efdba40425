/* SPDX-License-Identifier: MIT */
/*
 * A flush reaches processors that run without an exit: they read page A through V all the time;
 * V's entry comes to name page B, and after the call that names them they read B.
 */
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "smp.h"

#define V	  (UINT64_C(1) << 39) /* the second entry of the top table, which is free */
#define ENTRY	  3		      /* present, writable */
#define FLUSH_ALL 3		      /* all processors, all address spaces */
#define ROUNDS	  16
#define OTHERS	  (SMP_ALL & ~1u)

struct flush_input {
	uint64_t address_space, flags, word[3];
};

static uint64_t tables[3][PAGE_SIZE / 8] PAGE_ALIGNED;
static uint64_t pages[2][PAGE_SIZE / 8] PAGE_ALIGNED;
extern uint64_t guest_page_tables[];

static struct flush_input input __attribute__((aligned(64)));
static volatile unsigned asked, answered[SMP_VPS];
static volatile uint64_t seen[SMP_VPS];
static volatile bool stop;
static unsigned stale, reads;

static void map(unsigned page)
{
	((volatile uint64_t *)tables[2])[0] = (uint64_t)pages[page] | ENTRY;
}

static uint64_t through_v(void)
{
	return *(volatile uint64_t *)V;
}

/* The other processors. What they touch is in the TLB. */
static void read_on(uint64_t vp)
{
	unsigned answer = 0;

	while (!stop) {
		uint64_t value = through_v();

		if (asked == answer)
			continue;
		value = through_v();
		answer = asked;
		seen[vp] = value;
		answered[vp] = answer;
	}
}

static void ask(void)
{
	asked++;
	for (unsigned vp = 1; vp < SMP_VPS; vp++)
		while (answered[vp] != asked)
			pause();
}

static void by_all(void)
{
	input = (struct flush_input){.flags = FLUSH_ALL};
	CHECK_EQUAL(hv_call(HV_FLUSH_SPACE, (uint64_t)&input, 0), HV_SUCCESS);
}

static void by_mask(void)
{
	input = (struct flush_input){.address_space = read_cr3(), .word = {OTHERS}};
	CHECK_EQUAL(hv_call(HV_FLUSH_SPACE, (uint64_t)&input, 0), HV_SUCCESS);
}

static void one_by_one(void)
{
	for (unsigned vp = 1; vp < SMP_VPS; vp++) {
		input = (struct flush_input){.address_space = read_cr3(), .word = {1u << vp, V}};
		CHECK_EQUAL(hv_call(HV_FLUSH_LIST | HV_REPS(1), (uint64_t)&input, 0), HV_REPS(1));
	}
}

static void by_set(void)
{
	input = (struct flush_input){.address_space = read_cr3(), .word = {0, 1, OTHERS}};
	CHECK_EQUAL(hv_call(HV_FLUSH_SPACE_EX | HV_VARIABLE(1), (uint64_t)&input, 0), HV_SUCCESS);
}

static void check(void (*flush)(void), unsigned page)
{
	map(page);
	ask();
	for (unsigned vp = 1; vp < SMP_VPS; vp++, reads++)
		stale += seen[vp] != pages[page][0];
	flush();
	ask();
	for (unsigned vp = 1; vp < SMP_VPS; vp++)
		CHECK_EQUAL(seen[vp], pages[page][0]);
}

int guest_main(void)
{
	static void (*const flushes[])(void) = {by_all, by_mask, one_by_one, by_set};

	smp_begin_all();
	pages[0][0] = 0x1111;
	pages[1][0] = 0x2222;
	tables[0][0] = (uint64_t)tables[1] | ENTRY;
	tables[1][0] = (uint64_t)tables[2] | ENTRY;
	map(0);
	guest_page_tables[1] = (uint64_t)tables[0] | ENTRY;
	for (unsigned vp = 1; vp < SMP_VPS; vp++)
		smp_run_begin(vp, 0, read_on, vp);
	for (unsigned i = 0; i < ROUNDS; i++)
		check(flushes[i / 2 % 4], !(i & 1));
	stop = true;
	for (unsigned vp = 1; vp < SMP_VPS; vp++)
		smp_run_end(vp);
	print("without the call %u reads of %u were of the old page\n", stale, reads);
	return 0;
}
