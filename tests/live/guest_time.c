/* SPDX-License-Identifier: MIT */
/*
 * One clock for all VTLs: the reference counter and, where offered, the reference TSC page. A VTL's
 * page is seen by those below it, and by none above.
 */
#include "cpu.h"
#include "guest.h"
#include "vtl.h"

#define SLACK 10000000 /* 100 ns: what a slow host may take between two readings */

struct tsc_page {
	volatile uint32_t sequence;
	uint32_t reserved;
	volatile uint64_t scale;
	volatile int64_t offset;
};

#define COVERED 0x1d1d1d1d1d1d1d1d

static uint8_t tsc_page[PAGE_SIZE] PAGE_ALIGNED;
static uint64_t higher_page[PAGE_SIZE / 8] PAGE_ALIGNED; /* of VTL0's image, for VTL1's page */

static uint64_t counter(void)
{
	return rdmsr(HV_MSR_TIME_REF_COUNT);
}

/* ((tsc * scale) >> 64) + offset; TLFS timers.md */
static uint64_t tsc_page_time(const struct tsc_page *p)
{
	uint64_t high, low;

	__asm__("mul %[scale]" : "=d"(high), "=a"(low) : "a"(rdtsc()), [scale] "r"(p->scale));
	return high + (uint64_t)p->offset;
}

static void check_tsc_page(void)
{
	struct tsc_page *p = (struct tsc_page *)tsc_page;
	uint64_t before, time;

	wrmsr(HV_MSR_REFERENCE_TSC, (uint64_t)tsc_page | HV_ENABLE);
	if (p->sequence != 0) { /* 0: use the counter */
		before = counter();
		time = tsc_page_time(p);
		CHECK(time + SLACK >= before);
		CHECK(time <= counter() + SLACK);
	}
	wrmsr(HV_MSR_REFERENCE_TSC, 0);
}

void vtl_on_start(void)
{
	check_tsc_page();
}

void vtl_on_call(struct vtl_frame *f)
{
	f->r8 = counter();
	f->r9 = rdtsc();
	if (!f->rdx)
		return;
	wrmsr(HV_MSR_REFERENCE_TSC, f->rdx);
	f->r10 = *(volatile uint64_t *)(f->rdx & ~(uint64_t)HV_ENABLE);
}

/* VTL1 sets its register to `value` and says what it finds at the page. */
static uint64_t higher_register(uint64_t value)
{
	struct vtl_frame f = {.rdx = value};

	vtl_call(&f);
	return f.r10;
}

static void check_views(void)
{
	volatile struct tsc_page *own = (struct tsc_page *)tsc_page;
	volatile struct tsc_page *higher = (struct tsc_page *)higher_page;
	volatile uint64_t *words = higher_page;

	words[0] = COVERED;
	wrmsr(HV_MSR_REFERENCE_TSC, (uint64_t)own | HV_ENABLE);
	higher_register((uint64_t)higher | HV_ENABLE);
	CHECK_EQUAL(higher->sequence, own->sequence);
	CHECK_EQUAL(higher->scale, own->scale);
	CHECK_EQUAL(higher->offset, own->offset);
	CHECK(words[0] != COVERED);
	CHECK_EQUAL(higher_register((uint64_t)higher), COVERED);
	CHECK_EQUAL(words[0], COVERED);
	wrmsr(HV_MSR_REFERENCE_TSC, (uint64_t)higher | HV_ENABLE);
	CHECK(words[0] != COVERED);
	CHECK_EQUAL(higher_register((uint64_t)higher), COVERED);
	wrmsr(HV_MSR_REFERENCE_TSC, 0);
}

int guest_main(void)
{
	struct vtl_frame f = {0};
	uint64_t before, tsc;

	vtl_begin(&vtl_own_image);
	check_tsc_page();
	for (int round = 0; round < 10; round++) {
		f.rcx = 0;
		before = counter();
		tsc = rdtsc();
		vtl_call(&f);
		CHECK(before <= f.r8 && f.r8 <= counter());
		CHECK(tsc < f.r9 && f.r9 < rdtsc());
	}
	check_views();
	return 0;
}
