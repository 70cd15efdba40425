/* SPDX-License-Identifier: MIT */
/*
 * The VMM lets its guest take up MAPPINGS host mappings (vsm-run --max-mappings), two for each
 * range that is protected apart. VTL1 protects every second page until that is used up: the
 * hypercall says so, with the reps that were done, exactly those pages are closed, and what is
 * opened again can be used again.
 */
#include "cpu.h"
#include "guest.h"
#include "vtl.h"

#define MAPPINGS     60
#define FIT	     (MAPPINGS / 2)
#define PAGES	     (2 * FIT) /* wanted, and as many left open between them */
#define HEADER	     2	       /* words before the elements */
#define REP_START(n) ((uint64_t)(n) << 48)

static uint8_t area[2 * PAGES][PAGE_SIZE] PAGE_ALIGNED;
static uint64_t input[HEADER + PAGES] PAGE_ALIGNED;
static uint64_t output[2 * PAGES] PAGE_ALIGNED;

static uint64_t page_number(unsigned i)
{
	return (uint64_t)area[i] / PAGE_SIZE;
}

/* Pages [start, end) of those wanted. */
static uint64_t protect(unsigned start, unsigned end, uint32_t mask)
{
	input[0] = HV_PARTITION_SELF;
	input[1] = mask | (uint64_t)HV_VTL(0) << 32;
	for (unsigned i = 0; i < PAGES; i++)
		input[HEADER + i] = page_number(2 * i);
	return hv_call(HV_MODIFY_PROTECTION_MASK | HV_REPS(end) | REP_START(start), (uint64_t)input,
		       0);
}

static bool readable(unsigned page)
{
	input[0] = HV_PARTITION_SELF;
	input[1] = HV_VTL(0) | HV_R << 8;
	input[HEADER] = page_number(page);
	CHECK_EQUAL(hv_call(HV_CHECK_ACCESS | HV_REPS(1), (uint64_t)input, (uint64_t)output),
		    HV_REPS(1));
	return !output[0];
}

/* Of those wanted, [first, end) are closed; all between them are open. */
static void check_closed(unsigned first, unsigned end)
{
	for (unsigned i = 0; i < PAGES; i++) {
		CHECK_EQUAL(readable(2 * i), i < first || i >= end);
		CHECK(readable(2 * i + 1));
	}
}

void vtl_on_start(void)
{
	const uint64_t full = HV_INSUFFICIENT_MEMORY;

	hv_protections_on();
	CHECK_EQUAL(protect(0, PAGES, HV_NO_ACCESS), HV_REPS(FIT) | full);
	check_closed(0, FIT);
	/* Going on where it stopped does not help, nor does a page that is closed already hurt. */
	CHECK_EQUAL(protect(FIT, PAGES, HV_NO_ACCESS), HV_REPS(FIT) | full);
	CHECK_EQUAL(protect(0, FIT, HV_NO_ACCESS), HV_REPS(FIT));
	check_closed(0, FIT);
	CHECK_EQUAL(protect(0, 5, HV_RWX), HV_REPS(5));
	CHECK_EQUAL(protect(FIT, PAGES, HV_NO_ACCESS), HV_REPS(FIT + 5) | full);
	check_closed(5, FIT + 5);
}

static volatile unsigned intercepts;

void vtl_on_intercept(const struct hv_intercept *m)
{
	CHECK_EQUAL(m->gpa, (uint64_t)area[2 * 5]);
	CHECK_EQUAL(HV_STATUS(hv_protect(area[2 * 5], 1, HV_RWX)), HV_SUCCESS);
	intercepts++;
}

int guest_main(void)
{
	vtl_begin(&vtl_own_image);
	/* The processor sees it as the hypercalls do. */
	for (unsigned i = 0; i < PAGES; i++) {
		*(volatile uint8_t *)area[2 * i + 1] = 1;
		if (i < 5 || i >= FIT + 5)
			*(volatile uint8_t *)area[2 * i] = 1;
	}
	CHECK_EQUAL(intercepts, 0);
	CHECK_EQUAL(*(volatile uint8_t *)area[2 * 5], 0);
	CHECK_EQUAL(intercepts, 1);
	return 0;
}
