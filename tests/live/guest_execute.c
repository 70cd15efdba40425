/* SPDX-License-Identifier: MIT */
/*
 * Pages VTL0 may read, or read and write, but not execute. Data accesses work as if nothing were
 * restricted, and a fetch is caught; with `relaxed` on the command line, it is not.
 */
#include "cpu.h"
#include "guest.h"
#include "trap.h"
#include "vtl.h"

#define DATA 0x100 /* offset of data in the page, behind the code */

static uint8_t page[PAGE_SIZE] PAGE_ALIGNED = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov $42, %eax; ret */
static volatile unsigned count;
static volatile enum hv_access last_access;

void vtl_on_start(void)
{
	hv_protections_on();
}

/* RDX: the page's new mask */
void vtl_on_call(struct vtl_frame *f)
{
	CHECK_EQUAL(HV_STATUS(hv_protect(page, 1, (uint32_t)f->rdx)), HV_SUCCESS);
}

void vtl_on_intercept(const struct hv_intercept *m)
{
	CHECK_EQUAL(m->gpa - m->gpa % PAGE_SIZE, (uint64_t)page);
	last_access = (enum hv_access)m->access;
	count++;
	CHECK_EQUAL(hv_inject(HV_VTL(0), TRAP_GP), HV_SUCCESS);
}

static void set_mask(uint32_t mask)
{
	struct vtl_frame f = {.rdx = mask};

	vtl_call(&f);
	count = 0;
}

static volatile uint64_t result;

static void run_page(void *unused)
{
	uint64_t rax = 0;

	(void)unused;
	__asm__ volatile("call *%1" : "+a"(rax) : "r"(page) : "memory");
	result = rax;
}

static void write_page(void *unused)
{
	(void)unused;
	*(volatile uint64_t *)(page + DATA) = 1;
}

static void fetch_is_caught(void)
{
	result = 0;
	if (guest_has_option("relaxed")) {
		CHECK_EQUAL(trap_try(run_page, NULL, NULL), -1);
		CHECK_EQUAL(result, 42);
		CHECK_EQUAL(count, 0);
		return;
	}
	CHECK_EQUAL(trap_try(run_page, NULL, NULL), TRAP_GP);
	CHECK_EQUAL(count, 1);
	CHECK_EQUAL(last_access, HV_ACCESS_EXECUTE);
}

static void data_is_open(void)
{
	volatile uint64_t *data = (volatile uint64_t *)(page + DATA);
	uint8_t *to = page + DATA + 64;
	const char *from = "moved by a string";
	uint64_t n = 18;

	*data = 5;
	*data += 7;
	CHECK_EQUAL(*data, 12);
	__asm__ volatile("lock incq %0" : "+m"(*data));
	CHECK_EQUAL(*data, 13);
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	CHECK(memcmp(page + DATA + 64, "moved by a string", 18) == 0);
	CHECK_EQUAL(count, 0);
}

static void write_is_caught(void)
{
	uint64_t before = *(volatile uint64_t *)(page + DATA);

	CHECK_EQUAL(trap_try(write_page, NULL, NULL), TRAP_GP);
	CHECK_EQUAL(count, 1);
	CHECK_EQUAL(last_access, HV_ACCESS_WRITE);
	CHECK_EQUAL(*(volatile uint64_t *)(page + DATA), before);
	CHECK_EQUAL(count, 1);
	count = 0;
}

int guest_main(void)
{
	vtl_begin(&vtl_own_image);
	set_mask(HV_R | HV_W);
	data_is_open();
	fetch_is_caught();
	set_mask(HV_R);
	write_is_caught();
	fetch_is_caught();
	set_mask(HV_RWX);
	run_page(NULL);
	CHECK_EQUAL(result, 42);
	CHECK_EQUAL(count, 0);
	return 0;
}
