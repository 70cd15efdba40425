/* SPDX-License-Identifier: MIT */
/*
 * Memory intercepts, for many kinds of instruction: VTL1 hears of the access once, with its address
 * and kind, and can let the instruction run, step over it, or answer with an exception.
 */
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "trap.h"
#include "vtl.h"

#define AT     0x80  /* offset of an operand in its page */
#define WINDOW 0x100 /* bytes before and after the closed page's start: what operations touch */
#define VALUE  UINT64_C(0x1122334455667788)

enum answer {
	ALLOW,
	SKIP,
	INJECT,
	ANSWERS,
};

/* An instruction on memory at `at`; what it leaves in registers is its result. */
struct operation {
	const char *name;
	uint64_t (*run)(uint8_t *at);
	int offset; /* of `at` from the start of the closed page */
	uint32_t mask;
	enum hv_access access;
	bool on_stack; /* RSP is in the closed page: no exception can be delivered there */
};

/* The page in the middle is closed; the one before it is for operands that cross into it. */
static uint8_t pages[2 * PAGE_SIZE] PAGE_ALIGNED, reference[2 * PAGE_SIZE] PAGE_ALIGNED;
static uint8_t *const closed = pages + PAGE_SIZE;
static uint8_t before[2 * WINDOW];

static volatile enum answer answer;
static struct hv_intercept seen;
static volatile unsigned count;

#define STORE(name, instruction)                                                        \
	static uint64_t name(uint8_t *at)                                               \
	{                                                                               \
		__asm__ volatile(instruction : : "r"(at), "a"(VALUE) : "memory", "cc"); \
		return 0;                                                               \
	}
#define CHANGE(name, instruction)                                                                 \
	static uint64_t name(uint8_t *at)                                                         \
	{                                                                                         \
		uint64_t rax = VALUE;                                                             \
		__asm__ volatile(instruction : "+a"(rax) : "r"(at), "d"(VALUE) : "memory", "cc"); \
		return rax;                                                                       \
	}

STORE(store8, "movb %%al, (%0)")
STORE(store16, "movw %%ax, (%0)")
STORE(store32, "movl %%eax, (%0)")
STORE(store64, "movq %%rax, (%0)")
STORE(store_immediate, "movl $0x12345678, 8(%0)")
STORE(add_to, "addq %%rax, (%0)")
STORE(set_bit, "lock btsl $7, (%0)")
STORE(store_vector, "movups %%xmm0, (%0)")
CHANGE(load8, "movzbl (%1), %%eax")
CHANGE(load64, "movq (%1), %%rax")
CHANGE(compare, "cmpq %%rax, (%1)\n\tsete %%al")
CHANGE(exchange, "xchgq %%rax, (%1)")
CHANGE(exchange_add, "lock xaddl %%eax, (%1)")
CHANGE(compare_exchange, "movq $0, %%rax\n\tlock cmpxchgq %%rdx, (%1)")

static uint64_t push(uint8_t *at)
{
	__asm__ volatile("mov %%rsp, %%rbx\n\t"
			 "lea 8(%0), %%rsp\n\t"
			 "push %%rax\n\t"
			 "mov %%rbx, %%rsp"
			 :
			 : "r"(at), "a"(VALUE)
			 : "memory", "rbx");
	return 0;
}

static uint64_t pop(uint8_t *at)
{
	uint64_t value = VALUE;

	__asm__ volatile("mov %%rsp, %%rbx\n\t"
			 "mov %1, %%rsp\n\t"
			 "pop %%rax\n\t"
			 "mov %%rbx, %%rsp"
			 : "+a"(value)
			 : "r"(at)
			 : "memory", "rbx");
	return value;
}

static uint64_t copy_to(uint8_t *at)
{
	static const char text[] = "moved by a string";
	const char *from = text;
	uint64_t n = sizeof(text);

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(n) : : "memory");
	return 0;
}

static uint64_t fill_words(uint8_t *at)
{
	uint64_t n = 4;

	__asm__ volatile("rep stosq" : "+D"(at), "+c"(n) : "a"(VALUE) : "memory");
	return 0;
}

static uint64_t run_code(uint8_t *at)
{
	uint64_t rax = 0;

	__asm__ volatile("call *%1" : "+a"(rax) : "r"(at) : "memory");
	return rax;
}

#define WRITES(function)                                                     \
	{                                                                    \
#function, function, AT, HV_R | HV_X, HV_ACCESS_WRITE, false \
	}
#define READS(function)                                                      \
	{                                                                    \
#function, function, AT, HV_NO_ACCESS, HV_ACCESS_READ, false \
	}

static const struct operation operations[] = {
	WRITES(store8),
	WRITES(store16),
	WRITES(store32),
	WRITES(store64),
	WRITES(store_immediate),
	WRITES(store_vector),
	WRITES(add_to),
	WRITES(set_bit),
	WRITES(exchange),
	WRITES(exchange_add),
	WRITES(compare_exchange),
	{"push", push, AT, HV_R | HV_X, HV_ACCESS_WRITE, true},
	WRITES(copy_to),
	WRITES(fill_words),
	READS(load8),
	READS(load64),
	READS(compare),
	{"pop", pop, AT, HV_NO_ACCESS, HV_ACCESS_READ, true},
	{"store64 at no access", store64, AT, HV_NO_ACCESS, HV_ACCESS_WRITE, false},
	{"store64 across pages", store64, -4, HV_R | HV_X, HV_ACCESS_WRITE, false},
	{"load64 across pages", load64, -4, HV_NO_ACCESS, HV_ACCESS_READ, false},
	{"run_code", run_code, 0, HV_NO_ACCESS, HV_ACCESS_EXECUTE, false},
};

/* --- VTL1 --- */

void vtl_on_start(void)
{
	hv_protections_on();
}

/* RDX: the page's new mask */
void vtl_on_call(struct vtl_frame *f)
{
	CHECK_EQUAL(HV_STATUS(hv_protect(closed, 1, (uint32_t)f->rdx)), HV_SUCCESS);
}

void vtl_on_intercept(const struct hv_intercept *m)
{
	unsigned length = m->instruction_length & 0xf;

	memcpy(&seen, m, sizeof(seen));
	count++;
	CHECK(count < 10);
	if (answer == ALLOW)
		CHECK_EQUAL(HV_STATUS(hv_protect(closed, 1, HV_RWX)), HV_SUCCESS);
	else if (answer == SKIP)
		CHECK_EQUAL(hv_set_register(HV_VTL(0), HV_REGISTER_RIP, m->rip + length),
			    HV_SUCCESS);
	else
		CHECK_EQUAL(hv_inject(HV_VTL(0), TRAP_GP), HV_SUCCESS);
}

/* --- VTL0 --- */

static void set_mask(uint32_t mask)
{
	struct vtl_frame f = {.rdx = mask};

	vtl_call(&f);
}

static const struct operation *current;
static uint64_t result;

static void run_current(void *at)
{
	result = current->run(at);
}

/* The closed page starts with a function that returns 42, then numbers. */
static void fill_memory(uint8_t *start)
{
	static const uint8_t code[] = {0xb8, 42, 0, 0, 0, 0xc3};

	for (int i = -WINDOW; i < WINDOW; i++)
		start[i] = (uint8_t)(i * 5 + 3);
	memcpy(start, code, sizeof(code));
}

static void check_message(void)
{
	const uint8_t *at = closed + current->offset;
	uint64_t low = (uint64_t)(current->offset < 0 ? closed : at);

	CHECK_EQUAL(seen.access, current->access);
	CHECK(seen.gpa >= low && seen.gpa < low + 16);
	/* Only --intercept-gva names the other address. */
	CHECK_EQUAL(seen.access_info, 0);
	CHECK_EQUAL(seen.gva, 0);
	if (current->access == HV_ACCESS_EXECUTE)
		CHECK_EQUAL(seen.rip, (uint64_t)at);
	else
		CHECK(seen.instruction_length & 0xf);
}

static void check_answer(int vector)
{
	CHECK_EQUAL(vector, answer == INJECT ? TRAP_GP : -1);
	CHECK_EQUAL(count, 1);
	check_message();
	if (answer == ALLOW) {
		CHECK_EQUAL(memcmp(closed - WINDOW, reference + PAGE_SIZE - WINDOW, 2 * WINDOW), 0);
	} else {
		/* Of a store across pages, KVM's emulator has already made the first part. */
		CHECK_EQUAL(memcmp(closed, before + WINDOW, WINDOW), 0);
	}
}

static void try_operation(void)
{
	uint64_t expected;
	int vector;

	fill_memory(closed);
	fill_memory(reference + PAGE_SIZE);
	memcpy(before, closed - WINDOW, sizeof(before));
	run_current(reference + PAGE_SIZE + current->offset);
	expected = result;
	count = 0;
	set_mask(current->mask);
	vector = trap_try(run_current, closed + current->offset, NULL);
	set_mask(HV_RWX);
	if (answer == ALLOW)
		CHECK_EQUAL(result, expected);
	check_answer(vector);
}

static bool makes_sense(const struct operation *o, enum answer a)
{
	/* A fetch has no instruction to step over. */
	return !(a == SKIP && o->access == HV_ACCESS_EXECUTE) && !(a == INJECT && o->on_stack);
}

int guest_main(void)
{
	vtl_begin(&vtl_own_image);
	for (unsigned i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		current = &operations[i];
		for (answer = ALLOW; answer < ANSWERS; answer++) {
			if (!makes_sense(current, answer))
				continue;
			print("%s, answer %d\n", current->name, (int)answer);
			try_operation();
		}
	}
	return 0;
}
