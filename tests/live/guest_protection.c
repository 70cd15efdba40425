/* SPDX-License-Identifier: MIT */
/* HvCallModifyVtlProtectionMask: who may, what counts as done, and memory in two regions. */
#include "cpu.h"
#include "guest.h"
#include "vtl.h"

#define HOLE	 0xa0000 /* a PC's, between its two regions of RAM */
#define LOW_END	 0x9f000
#define HIGH	 0x100000
#define NO_WHERE UINT64_C(0x7ffffff000)

static struct hv_protection input PAGE_ALIGNED;
static uint8_t victim[4 * PAGE_SIZE] PAGE_ALIGNED;
/* VTL1 changes them while VTL0 runs. */
static volatile unsigned intercepts;
static volatile uint64_t last_gpa;

static uint64_t protect(uint32_t mask, uint64_t reps, uint64_t a, uint64_t b, uint64_t c)
{
	input = (struct hv_protection){
		.partition = HV_PARTITION_SELF,
		.mask = mask,
		.vtl = HV_VTL(0),
		.pages = {a / PAGE_SIZE, b / PAGE_SIZE, c / PAGE_SIZE},
	};
	return hv_call(HV_MODIFY_PROTECTION_MASK | reps, (uint64_t)&input, 0);
}

void vtl_on_start(void)
{
	uint64_t page = (uint64_t)victim;

	/* Nothing before EnableVtlProtection. */
	CHECK(HV_STATUS(protect(HV_R, HV_REPS(1), page, 0, 0)) != HV_SUCCESS);
	hv_protections_on();
	CHECK_EQUAL(protect(HV_R | HV_X, HV_REPS(3), page, page + PAGE_SIZE, page), HV_REPS(3));
	/* A page that is no memory ends the list: what came before is done. */
	CHECK_EQUAL(protect(HV_R | HV_X, HV_REPS(3), LOW_END - PAGE_SIZE, HOLE, HIGH),
		    HV_REPS(1) | HV_INVALID_PARAMETER);
	CHECK_EQUAL(protect(HV_R | HV_X, HV_REPS(2), LOW_END, HOLE, 0),
		    HV_REPS(1) | HV_INVALID_PARAMETER);
	CHECK_EQUAL(protect(HV_R | HV_X, HV_REPS(2), HIGH, NO_WHERE, 0),
		    HV_REPS(1) | HV_INVALID_PARAMETER);
	CHECK_EQUAL(protect(HV_RWX, HV_REPS(2), HIGH, LOW_END - PAGE_SIZE, 0), HV_REPS(2));
	CHECK_EQUAL(protect(HV_R | HV_X, HV_REPS(2), LOW_END, HIGH, 0), HV_REPS(2));
	/* No reading means no access at all; write alone is no mask. */
	CHECK(HV_STATUS(protect(HV_W, HV_REPS(1), page, 0, 0)) != HV_SUCCESS);
}

void vtl_on_intercept(const struct hv_intercept *m)
{
	uint64_t page = m->gpa - m->gpa % PAGE_SIZE;

	intercepts++;
	last_gpa = m->gpa;
	CHECK_EQUAL(m->access, HV_ACCESS_WRITE);
	CHECK_EQUAL(protect(HV_RWX, HV_REPS(1), page, 0, 0), HV_REPS(1));
}

static void write_at(uint64_t gpa, unsigned expected_intercepts)
{
	volatile uint8_t *p = (volatile uint8_t *)gpa;
	uint8_t old = *p;

	*p = (uint8_t)(old + 1);
	CHECK_EQUAL(*p, (uint8_t)(old + 1));
	CHECK_EQUAL(intercepts, expected_intercepts);
	*p = old;
}

int guest_main(void)
{
	uint64_t page = (uint64_t)victim;

	vtl_begin(&vtl_own_image);
	write_at(page + 5, 1);
	CHECK_EQUAL(last_gpa, page + 5);
	write_at(page + 5, 1);
	write_at(page + PAGE_SIZE, 2);
	write_at(page + 2 * PAGE_SIZE, 2);
	write_at(LOW_END + 8, 3);
	write_at(LOW_END - 8, 3);
	write_at(HIGH + 8, 4);
	CHECK_EQUAL(last_gpa, HIGH + 8);
	CHECK_EQUAL(HV_STATUS(protect(HV_RWX, HV_REPS(1), page, 0, 0)) != HV_SUCCESS, 1);
	return 0;
}
