/* SPDX-License-Identifier: MIT */
/*
 * While one legal access to a closed page is carried out, nothing but that instruction may profit: not the
 * handler of an exception it raises, not the instruction behind one that holds debug traps up.
 */
#include "cpu.h"
#include "guest.h"
#include "trap.h"
#include "vtl.h"

#define DATA	 0x100		       /* offset of data in the page, behind the code */
#define UNMAPPED UINT64_C(0x200000000) /* linear: no translation */

static uint8_t page[2 * PAGE_SIZE] PAGE_ALIGNED;
static volatile unsigned count;
static volatile enum hv_access last_access;
static volatile uint64_t result;
static volatile int fetched; /* how the handler's fetch ended: -1 nothing stopped it */

void vtl_on_start(void)
{
	hv_protections_on();
}

/* RBX: a page, RDX: its new mask */
void vtl_on_call(struct vtl_frame *f)
{
	CHECK_EQUAL(HV_STATUS(hv_protect((void *)f->rbx, 1, (uint32_t)f->rdx)), HV_SUCCESS);
}

void vtl_on_intercept(const struct hv_intercept *m)
{
	last_access = (enum hv_access)m->access;
	count++;
	CHECK_EQUAL(hv_inject(HV_VTL(0), TRAP_GP), HV_SUCCESS);
}

static void set_mask(void *at, uint32_t mask)
{
	struct vtl_frame f = {.rbx = (uint64_t)at, .rdx = mask};

	vtl_call(&f);
	count = 0;
}

static void run_page(void *unused)
{
	uint64_t rax = 0;

	(void)unused;
	__asm__ volatile("call *%1" : "+a"(rax) : "r"(page) : "memory");
	result = rax;
}

static void on_fault(struct trap_frame *f)
{
	fetched = trap_try(run_page, NULL, NULL);
	f->rip += 2; /* past the MOVSQ */
}

/* Reads the closed page, which is legal, and writes where nothing is mapped. */
static void handler_of_a_fault(void)
{
	uint64_t from = (uint64_t)page + DATA, to = UNMAPPED;

	trap_handle(TRAP_PF, on_fault);
	result = 0;
	fetched = -2;
	__asm__ volatile("movsq" : "+S"(from), "+D"(to) : : "memory");
	trap_handle(TRAP_PF, NULL);
	CHECK_EQUAL(fetched, TRAP_GP);
	CHECK_EQUAL(result, 0);
	CHECK_EQUAL(count, 1);
	CHECK_EQUAL(last_access, HV_ACCESS_EXECUTE);
	count = 0;
}

/* The instruction behind MOV SS runs before the trap: it must not find the page open. */
static void behind_mov_ss(void *counter)
{
	__asm__ volatile("call *%0"
			 :
			 : "r"(page + PAGE_SIZE - 2), "D"(page + PAGE_SIZE + DATA), "S"(counter)
			 : "memory");
}

static void handler_of_mov_ss(void)
{
	volatile uint32_t executed = 0;

	CHECK_EQUAL(trap_try(behind_mov_ss, (void *)&executed, NULL), TRAP_GP);
	CHECK_EQUAL(executed, 0);
	CHECK(count > 0);
	count = 0;
}

static void on_undefined(struct trap_frame *f)
{
	f->rip += 2;
	fetched = trap_try(run_page, NULL, NULL);
}

/*
 * An event's frame goes to a closed page: its handler must not find that open. With `deliver` on the command
 * line: with enforcement slots, and where KVM emulates, such a delivery fails as a whole.
 */
static void stack_of_a_handler(void)
{
	result = 0;
	fetched = -2;
	trap_handle(TRAP_UD, on_undefined);
	__asm__ volatile("mov %%rsp, %%rbx\n\t"
			 "mov %0, %%rsp\n\t"
			 "ud2\n\t"
			 "mov %%rbx, %%rsp"
			 :
			 : "r"(page + PAGE_SIZE)
			 : "rbx", "memory");
	CHECK_EQUAL(fetched, TRAP_GP);
	CHECK_EQUAL(result, 0);
	CHECK_EQUAL(count, 1);
	CHECK_EQUAL(last_access, HV_ACCESS_EXECUTE);
	count = 0;
}

int guest_main(void)
{
	memcpy(page, "\xb8\x2a\0\0\0\xc3", 6);	      /* mov $42, %eax; ret */
	memcpy(page + PAGE_SIZE - 2, "\x8e\x17", 2);  /* mov (%rdi), %ss */
	memcpy(page + PAGE_SIZE, "\xff\x06\xc3", 3);  /* incl (%rsi); ret */
	memcpy(page + PAGE_SIZE + DATA, "\x10\0", 2); /* a data segment */
	vtl_begin(&vtl_own_image);
	set_mask(page, HV_R | HV_W);
	handler_of_a_fault();
	if (guest_has_option("deliver"))
		stack_of_a_handler();
	set_mask(page, HV_RWX);
	memcpy(page + PAGE_SIZE - 2, "\x8e\x17", 2);
	set_mask(page + PAGE_SIZE, HV_R | HV_W);
	handler_of_mov_ss();
	return 0;
}
