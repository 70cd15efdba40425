/* SPDX-License-Identifier: MIT */
/* The hypercall page: an overlay, not writable, and only good in place and at CPL0. */
#include "cpu.h"
#include "guest.h"
#include "trap.h"
#include "vtl.h"

#define CPUID_ADDRESSES 0x80000008

static uint8_t covered[PAGE_SIZE] PAGE_ALIGNED;
static uint8_t copied[PAGE_SIZE] PAGE_ALIGNED;

static bool is_filled(const volatile uint8_t *page, uint8_t with)
{
	for (unsigned i = 0; i < PAGE_SIZE; i++)
		if (page[i] != with)
			return false;
	return true;
}

static void covered_memory_comes_back(void)
{
	memset(covered, 0x5a, sizeof(covered));
	wrmsr(HV_MSR_HYPERCALL, (uint64_t)covered | HV_ENABLE);
	CHECK(!is_filled(covered, 0x5a));
	memcpy(copied, covered, sizeof(copied));
	wrmsr(HV_MSR_HYPERCALL, (uint64_t)hv_page | HV_ENABLE);
	CHECK(is_filled(covered, 0x5a));
	CHECK(memcmp(copied, hv_page, PAGE_SIZE) == 0);
	wrmsr(HV_MSR_HYPERCALL, 0);
	CHECK(is_filled(hv_page, 0));
	wrmsr(HV_MSR_HYPERCALL, (uint64_t)hv_page | HV_ENABLE);
	CHECK(memcmp(copied, hv_page, PAGE_SIZE) == 0);
}

static void write_page(void *unused)
{
	(void)unused;
	*(volatile uint8_t *)hv_page = 0;
}

static void page_is_not_writable(void)
{
	CHECK_EQUAL(trap_try(write_page, NULL, NULL), TRAP_GP);
	CHECK(memcmp(copied, hv_page, PAGE_SIZE) == 0);
}

static void enable_at(void *page)
{
	wrmsr(HV_MSR_HYPERCALL, *(const uint64_t *)page | HV_ENABLE);
}

/* KVM has no memory there: the write fails, and nothing else. */
static void page_is_within_addresses(void)
{
	uint64_t end = UINT64_C(1) << (cpuid(CPUID_ADDRESSES).eax & 0xff), last = end - PAGE_SIZE;

	CHECK_EQUAL(trap_try(enable_at, &end, NULL), TRAP_GP);
	CHECK(memcmp(copied, hv_page, PAGE_SIZE) == 0);
	CHECK_EQUAL(trap_try(enable_at, &last, NULL), -1);
	CHECK(is_filled(hv_page, 0));
	wrmsr(HV_MSR_HYPERCALL, (uint64_t)hv_page | HV_ENABLE);
}

static void call(void *page)
{
	__asm__ volatile("call *%0" : : "r"(page), "c"(0), "d"(0) : "memory", "rax", "r8");
}

/* #UD, by the page's own instruction. */
static void expect_ud(void (*fn)(void *), void *arg, const uint8_t *page, unsigned cpl)
{
	struct trap trap;

	CHECK_EQUAL(trap_try(fn, arg, &trap), TRAP_UD);
	CHECK_EQUAL(trap.rip - trap.rip % PAGE_SIZE, (uint64_t)page);
	CHECK_EQUAL(trap.cs & 3, cpl);
}

static void copy_does_not_call(void)
{
	expect_ud(call, copied, copied, 0);
}

static void user_mode_does_not_call(void)
{
	expect_ud(trap_user, hv_page, hv_page, 3);
}

static void call_vtl(void *frame)
{
	vtl_call(frame);
}

static void vtl_calls_are_checked(void)
{
	struct vtl_frame f = {0};

	/* VTL1 is not enabled, and there is no VTL below this one. */
	expect_ud(call_vtl, &f, hv_page, 0);
	expect_ud(call, hv_vtl_return_entry, hv_page, 0);
	vtl_begin(&vtl_own_image);
	f = (struct vtl_frame){.rcx = 1};
	expect_ud(call_vtl, &f, hv_page, 0);
	expect_ud(trap_user, hv_vtl_call_entry, hv_page, 3);
	f = (struct vtl_frame){0};
	CHECK_EQUAL(trap_try(call_vtl, &f, NULL), -1);
}

int guest_main(void)
{
	hv_require_vsm();
	hv_setup();
	covered_memory_comes_back();
	page_is_not_writable();
	page_is_within_addresses();
	copy_does_not_call();
	user_mode_does_not_call();
	vtl_calls_are_checked();
	return 0;
}
