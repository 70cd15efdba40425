/* SPDX-License-Identifier: MIT */
/*
 * A hypercall's input and output pages obey the protections of the caller's VTL: a call that may
 * not read the one or write the other is an intercept at the `out`, which has changed nothing; once
 * the page is opened it is made as if nothing had been. VTL1's own calls are free of what it closed
 * to VTL0, and so are calls in registers.
 */
#include "cpu.h"
#include "guest.h"
#include "vtl.h"

#define RAX_BEFORE	  UINT64_C(0x1234567890abcdef)
#define UNTOUCHED	  0xee
#define OUT_LENGTH	  2
#define VALUE		  UINT64_C(0x5000)
#define FAR_PAGE	  UINT64_C(0x4000000) /* RAM that nothing touches, in a 2 MiB page of its own */
#define ACCESSED	  UINT64_C(0x20)
#define READ_AND_SET_BITS 0x11 /* HV_TRANSLATE_GVA_CONTROL_FLAGS */

struct translate_input {
	uint64_t partition;
	uint32_t vp, reserved;
	uint64_t flags, page;
};

struct call {
	uint64_t rax, rcx, rdx, r8;
};

static uint8_t in_page[PAGE_SIZE] PAGE_ALIGNED, out_page[PAGE_SIZE] PAGE_ALIGNED;

/* What VTL1 is told to do, and what it saw. */
static struct {
	uint8_t *page;
	uint32_t mask;
	bool skip;  /* the call, instead of opening the page */
	bool quiet; /* no call of its own */
} volatile orders;
static volatile unsigned intercepts;
static volatile uint64_t last_gpa, last_rip;
static volatile uint8_t last_access, last_length;

/* --- VTL1 --- */

void vtl_on_start(void)
{
	hv_protections_on();
}

static struct hv_vp_register *put_input(uint32_t name, uint64_t value)
{
	struct hv_vp_register *in = (struct hv_vp_register *)in_page;

	*in = (struct hv_vp_register){
		.partition = HV_PARTITION_SELF, .vp = HV_VP_SELF, .name = name, .value = {value}};
	return in;
}

/* Closes the page, and makes a call of its own with it. */
void vtl_on_call(struct vtl_frame *frame)
{
	uint64_t result;

	(void)frame;
	CHECK_EQUAL(hv_protect(orders.page, 1, orders.mask), HV_REPS(1));
	if (orders.quiet)
		return;
	result = hv_call(HV_GET_VP_REGISTERS | HV_REPS(1), (uint64_t)in_page, (uint64_t)out_page);
	CHECK_EQUAL(result, HV_REPS(1));
	memset(out_page, UNTOUCHED, 64);
}

void vtl_on_intercept(const struct hv_intercept *m)
{
	intercepts++;
	last_gpa = m->gpa;
	last_rip = m->rip;
	last_access = m->access;
	last_length = m->instruction_length & 15;
	if (orders.skip)
		CHECK_EQUAL(hv_set_register(HV_VTL(0), HV_REGISTER_RIP, m->rip + OUT_LENGTH),
			    HV_SUCCESS);
	else
		CHECK_EQUAL(hv_protect(orders.page, 1, HV_RWX), HV_REPS(1));
}

/* --- VTL0 --- */

static void make(struct call *c)
{
	register uint64_t r8 __asm__("r8") = c->r8;

	__asm__ volatile("call *%[entry]"
			 : "+a"(c->rax), "+c"(c->rcx), "+d"(c->rdx), "+r"(r8)
			 : [entry] "m"(hv_call_entry)
			 : "memory", "cc");
	c->r8 = r8;
}

static void close_page(uint8_t *page, uint32_t mask, bool skip)
{
	struct vtl_frame none = {0};

	orders.page = page;
	orders.mask = mask;
	orders.skip = skip;
	intercepts = 0;
	vtl_call(&none);
}

static void expect_intercept(const void *at, enum hv_access access)
{
	CHECK_EQUAL(intercepts, 1);
	CHECK_EQUAL(last_gpa, (uint64_t)at);
	CHECK_EQUAL(last_rip, (uint64_t)hv_call_entry);
	CHECK_EQUAL(last_length, OUT_LENGTH);
	CHECK_EQUAL(last_access, access);
}

static void expect_nothing_done(const struct call *before, const struct call *after)
{
	CHECK_EQUAL(after->rax, before->rax);
	CHECK_EQUAL(after->rcx, before->rcx);
	CHECK_EQUAL(after->rdx, before->rdx);
	CHECK_EQUAL(after->r8, before->r8);
	for (unsigned i = 0; i < 64; i++)
		CHECK_EQUAL(((volatile uint8_t *)out_page)[i], UNTOUCHED);
}

/* VTL1 steps over it first, and opens the page the second time. */
static void refused_then_made(uint64_t control, uint8_t *page, uint32_t mask, const void *at,
			      enum hv_access access, uint64_t result)
{
	const struct call before = {RAX_BEFORE, control, (uint64_t)in_page, (uint64_t)out_page};
	struct call c = before;

	memset(out_page, UNTOUCHED, 64);
	close_page(page, mask, true);
	make(&c);
	expect_intercept(at, access);
	close_page(page, HV_RWX, false);
	expect_nothing_done(&before, &c);

	close_page(page, mask, false);
	c = before;
	make(&c);
	expect_intercept(at, access);
	CHECK_EQUAL(c.rax, result);
	CHECK_EQUAL(c.rcx, before.rcx);
	CHECK_EQUAL(c.rdx, before.rdx);
	CHECK_EQUAL(c.r8, before.r8);
}

static void output_is(uint64_t value)
{
	const volatile uint64_t *out = (const volatile uint64_t *)out_page;

	CHECK_EQUAL(out[0], value);
	CHECK_EQUAL(out[1], 0);
	CHECK_EQUAL(((const volatile uint8_t *)out_page)[16], UNTOUCHED);
}

static void reading(void)
{
	const uint64_t get = HV_GET_VP_REGISTERS | HV_REPS(1);

	wrmsr(MSR_LSTAR, VALUE);
	put_input(HV_REGISTER_LSTAR, 0);
	refused_then_made(get, in_page, HV_NO_ACCESS, in_page, HV_ACCESS_READ, HV_REPS(1));
	output_is(VALUE);
	refused_then_made(get, out_page, HV_R | HV_X, out_page, HV_ACCESS_WRITE, HV_REPS(1));
	output_is(VALUE);
	refused_then_made(get, out_page, HV_NO_ACCESS, out_page, HV_ACCESS_WRITE, HV_REPS(1));
	output_is(VALUE);
}

/* A call with an effect: nothing of it is there while its input is closed. */
static void writing(void)
{
	const uint64_t set = HV_SET_VP_REGISTERS | HV_REPS(1);
	struct call c = {RAX_BEFORE, set, (uint64_t)in_page, 0};

	wrmsr(MSR_LSTAR, VALUE);
	put_input(HV_REGISTER_LSTAR, VALUE + 1);
	close_page(in_page, HV_NO_ACCESS, true);
	make(&c);
	expect_intercept(in_page, HV_ACCESS_READ);
	CHECK_EQUAL(c.rax, RAX_BEFORE);
	CHECK_EQUAL(rdmsr(MSR_LSTAR), VALUE);
	close_page(in_page, HV_RWX, false);
	/* Reading is all that is needed of an input page. */
	close_page(in_page, HV_R | HV_X, false);
	make(&c);
	CHECK_EQUAL(intercepts, 0);
	CHECK_EQUAL(c.rax, HV_REPS(1));
	CHECK_EQUAL(rdmsr(MSR_LSTAR), VALUE + 1);
	close_page(in_page, HV_RWX, false);
}

static volatile uint64_t *far_entry(void)
{
	const uint64_t *level3 = (const uint64_t *)(guest_page_tables[0] & ~UINT64_C(0xfff));

	return (volatile uint64_t *)(level3[0] & ~UINT64_C(0xfff)) + FAR_PAGE / 0x200000;
}

/* The same for a closed output: the call looks at it before it does anything. */
static void effect_and_output(void)
{
	const struct call before = {RAX_BEFORE, HV_TRANSLATE, (uint64_t)in_page,
				    (uint64_t)out_page};
	struct call c = before;

	*(struct translate_input *)in_page =
		(struct translate_input){.partition = HV_PARTITION_SELF,
					 .vp = HV_VP_SELF,
					 .flags = READ_AND_SET_BITS,
					 .page = FAR_PAGE / PAGE_SIZE};
	*far_entry() &= ~ACCESSED;
	orders.quiet = true;
	close_page(out_page, HV_R | HV_X, true);
	make(&c);
	expect_intercept(out_page, HV_ACCESS_WRITE);
	CHECK_EQUAL(*far_entry() & ACCESSED, 0);
	CHECK_EQUAL(c.rax, RAX_BEFORE);
	close_page(out_page, HV_R | HV_X, false);
	c = before;
	make(&c);
	expect_intercept(out_page, HV_ACCESS_WRITE);
	CHECK_EQUAL(c.rax, HV_SUCCESS);
	CHECK_EQUAL(*far_entry() & ACCESSED, ACCESSED);
	orders.quiet = false;
}

/* What is refused for another reason, or is in registers, never touches the page. */
static void not_touched(void)
{
	struct call odd = {RAX_BEFORE, HV_GET_VP_REGISTERS | HV_REPS(1), (uint64_t)in_page + 4,
			   (uint64_t)out_page};
	struct call fast = {RAX_BEFORE, HV_LONG_SPIN_WAIT | HV_FAST, (uint64_t)in_page, 0};

	put_input(HV_REGISTER_LSTAR, 0);
	close_page(in_page, HV_NO_ACCESS, false);
	make(&odd);
	CHECK_EQUAL(odd.rax, HV_INVALID_ALIGNMENT);
	make(&fast);
	CHECK_EQUAL(fast.rax, HV_SUCCESS);
	CHECK_EQUAL(intercepts, 0);
	close_page(in_page, HV_RWX, false);
}

int guest_main(void)
{
	put_input(HV_REGISTER_LSTAR, 0);
	vtl_begin(&vtl_own_image);
	reading();
	writing();
	effect_and_output();
	not_touched();
	return 0;
}
