/* SPDX-License-Identifier: MIT */
/*
 * Five levels of page tables in both VTLs. Everything is mapped a second time at addresses that
 * four levels do not have, and hypercalls, VTL calls and accesses that VTL1 forbids are made there;
 * the topmost table is one of the pages that can be forbidden.
 */
#include "cpu.h"
#include "guest.h"
#include "paging.h"
#include "trap.h"
#include "vtl.h"

#define HIGH	      (UINT64_C(1) << 48) /* the second mapping */
#define NOT_CANONICAL (UINT64_C(1) << 56)
#define VALUE	      0x5a
#define VALUE_SKIPPED 0xa5

enum answer {
	ALLOW,
	SKIP,
};

static volatile uint8_t closed[PAGE_SIZE] PAGE_ALIGNED;
static volatile enum answer answer;
static volatile unsigned calls, intercepts;
static struct hv_intercept seen;

/* What VTL1 takes from VTL0 when it is called: see vtl_on_call(). */
static const void *volatile page;
static volatile uint32_t mask;

static void *high(const volatile void *low)
{
	return (void *)((uint64_t)low + HIGH);
}

/* --- VTL1 --- */

void vtl_on_start(void)
{
	CHECK_EQUAL(read_cr4() & GUEST_CR4, GUEST_CR4);
	hv_protections_on();
}

void vtl_on_call(struct vtl_frame *frame)
{
	(void)frame;
	calls++;
	if (page)
		CHECK_EQUAL(HV_STATUS(hv_protect((const void *)page, 1, mask)), HV_SUCCESS);
}

void vtl_on_intercept(const struct hv_intercept *message)
{
	intercepts++;
	seen = *message;
	if (answer == ALLOW)
		CHECK_EQUAL(HV_STATUS(hv_protect((const void *)page, 1, HV_RWX)), HV_SUCCESS);
	else
		CHECK_EQUAL(hv_set_register(HV_VTL(0), HV_REGISTER_RIP,
					    message->rip + (message->instruction_length & 15)),
			    HV_SUCCESS);
}

/* --- VTL0 --- */

static void protect(const volatile void *at, uint32_t allowed)
{
	struct vtl_frame none = {0};
	unsigned before = calls;

	page = (const void *)at;
	mask = allowed;
	vtl_call(&none);
	CHECK_EQUAL(calls, before + 1);
	page = NULL;
}

static void store(void *at)
{
	*(volatile uint8_t *)at = VALUE;
}

/* A store, made by code above 48 bits to memory there. */
static void check_store(enum answer how, uint8_t result)
{
	void (*store_high)(void *) = (void (*)(void *))high((const void *)store);
	unsigned before = intercepts;

	closed[0] = VALUE_SKIPPED;
	answer = how;
	protect(closed, HV_R | HV_X);
	page = (const void *)closed;
	store_high(high(closed));
	page = NULL;
	CHECK_EQUAL(intercepts, before + 1);
	CHECK_EQUAL(seen.access, HV_ACCESS_WRITE);
	CHECK_EQUAL(seen.gpa, (uint64_t)closed);
	CHECK_EQUAL(seen.gva, (uint64_t)high(closed));
	CHECK_EQUAL(seen.rip & ~UINT64_C(0xff), (uint64_t)store_high & ~UINT64_C(0xff));
	CHECK_EQUAL(closed[0], result);
	protect(closed, HV_RWX);
}

/*
 * The first thing that VTL0 cannot do any more is to come back from the call. A KVM that walks the
 * tables itself makes a page fault of that, which VTL0 cannot take either.
 */
static void check_topmost_table(void)
{
	unsigned before = intercepts;

	answer = ALLOW;
	protect(guest_page_tables, HV_NO_ACCESS);
	CHECK_EQUAL(intercepts, before + 1);
	CHECK_EQUAL(seen.access, HV_ACCESS_READ);
	CHECK_EQUAL(seen.gpa & ~UINT64_C(0xfff), (uint64_t)guest_page_tables);
}

/* And a linear address that has no meaning is the processor's to refuse. */
static void check_not_canonical(void)
{
	unsigned before = intercepts;

	CHECK_EQUAL(trap_try(store, (void *)((uint64_t)closed + NOT_CANONICAL), NULL), TRAP_GP);
	CHECK_EQUAL(intercepts, before);
}

static void check_calls(void)
{
	struct vtl_frame none = {0};
	uint64_t value;

	hv_call_entry = high(hv_call_entry);
	hv_vtl_call_entry = high(hv_vtl_call_entry);
	CHECK_EQUAL(hv_get_register(HV_OWN_VTL, HV_REGISTER_VP_STATUS, &value), HV_SUCCESS);
	vtl_call(&none);
	CHECK_EQUAL(calls, 1);
}

int guest_main(void)
{
	vtl_begin(&vtl_own_image);
	trap_setup();
	guest_page_tables[HIGH >> 48] = guest_page_tables[0];
	check_calls();
	check_store(ALLOW, VALUE);
	check_store(SKIP, VALUE_SKIPPED);
	check_not_canonical();
	if (guest_has_option("walks"))
		check_topmost_table();
	return 0;
}
