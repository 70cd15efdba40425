/* SPDX-License-Identifier: MIT */
/*
 * Three VTLs: a call goes to the next higher VTL, a return to the next lower; the protections of
 * two higher VTLs combine, and the lowest that forbids an access is told; what a VTL may read and
 * write of another, and how it names it; protections of VTL2 on VTL1.
 */
#include "cpu.h"
#include "guest.h"
#include "trap.h"
#include "vtl.h"

#define VALUE(vtl)	  (UINT64_C(0x10000) * ((vtl) + 1)) /* LSTAR of each */
#define CHANGED		  UINT64_C(0x77000)
#define EXECUTION_VTL(m)  ((m)->execution_state >> 7 & 0xf)
#define STATUS_ACTIVE(s)  ((s)&0xf)
#define STATUS_ENABLED(s) ((s) >> 16 & 0xffff)
#define DENIED(mask, by)  (UINT64_C(1) | (uint64_t)(mask) << 8 | (uint64_t)(by) << 16)
#define TRAIL_MAX	  16

enum command {
	GO_UP,	      /* VTL1 calls VTL2 */
	WRITE_CLOSED, /* VTL1 writes to what VTL2 closed to it */
	REGISTERS,
	ACCESSES,
};

struct access_input {
	uint64_t partition;
	uint8_t vtl, access, reserved[6];
	uint64_t pages[2];
};

/* What VTL2 alone closes to VTL0; what both do, in two ways; what VTL2 closes to VTL1. */
static uint8_t by_two[PAGE_SIZE] PAGE_ALIGNED, mixed[PAGE_SIZE] PAGE_ALIGNED,
	by_both[PAGE_SIZE] PAGE_ALIGNED, from_one[PAGE_SIZE] PAGE_ALIGNED;

static volatile enum command command;
/* The VTLs that were entered, in order. */
static volatile uint8_t trail[TRAIL_MAX];
static volatile unsigned trail_length;
static volatile unsigned intercepts[3];
static volatile uint64_t last_gpa;
static volatile unsigned last_vtl; /* that was intercepted */

static void enter(uint8_t vtl)
{
	CHECK(trail_length < TRAIL_MAX);
	trail[trail_length++] = vtl;
}

static void check_trail(const uint8_t *expected, unsigned length)
{
	CHECK_EQUAL(trail_length, length);
	for (unsigned i = 0; i < length; i++)
		CHECK_EQUAL(trail[i], expected[i]);
	trail_length = 0;
}
#define CHECK_TRAIL(...) \
	check_trail((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static uint64_t protect(unsigned vtl, const void *page, uint32_t mask)
{
	return hv_protect_from((uint8_t)HV_VTL(vtl), page, 1, mask);
}

static void turn_protections_on(void)
{
	hv_protections_on();
}

static void expect_register(uint8_t vtl, uint32_t name, uint64_t expected)
{
	uint64_t value = ~expected;

	CHECK_EQUAL(hv_get_register(vtl, name, &value), HV_SUCCESS);
	CHECK_EQUAL(value, expected);
}

static void expect_active(unsigned vtl)
{
	uint64_t status = 0;

	CHECK_EQUAL(hv_get_register(HV_OWN_VTL, HV_REGISTER_VP_STATUS, &status), HV_SUCCESS);
	CHECK_EQUAL(STATUS_ACTIVE(status), vtl);
	CHECK_EQUAL(STATUS_ENABLED(status), 7);
}

static void call_up(void *unused)
{
	struct vtl_frame none = {0};

	(void)unused;
	vtl_call(&none);
}

/* --- VTL2 --- */

void vtl2_on_start(void)
{
	enter(2);
	expect_active(2);
	wrmsr(MSR_LSTAR, VALUE(2));
	turn_protections_on();
	CHECK_EQUAL(protect(0, by_two, HV_R | HV_X), HV_REPS(1));
	CHECK_EQUAL(protect(0, mixed, HV_NO_ACCESS), HV_REPS(1));
	CHECK_EQUAL(protect(0, by_both, HV_R | HV_X), HV_REPS(1));
	CHECK_EQUAL(protect(1, from_one, HV_R | HV_X), HV_REPS(1));
}

/* Lower VTLs by name; itself by its name, by none, and by a number that is not to be used. */
static void registers_from_above(void)
{
	uint64_t value;

	for (unsigned vtl = 0; vtl < 3; vtl++)
		expect_register((uint8_t)HV_VTL(vtl), HV_REGISTER_LSTAR, VALUE(vtl));
	expect_register(HV_OWN_VTL, HV_REGISTER_LSTAR, VALUE(2));
	expect_register(1, HV_REGISTER_LSTAR, VALUE(2));
	CHECK_EQUAL(hv_get_register(HV_VTL(3), HV_REGISTER_LSTAR, &value), HV_ACCESS_DENIED);
	/* Both wait inside the hypercall page, behind their calls. */
	for (unsigned vtl = 0; vtl < 2; vtl++) {
		CHECK_EQUAL(hv_get_register((uint8_t)HV_VTL(vtl), HV_REGISTER_RIP, &value),
			    HV_SUCCESS);
		CHECK_EQUAL(value, (uint64_t)hv_vtl_call_entry + 2);
	}
	CHECK_EQUAL(hv_set_register(HV_VTL(0), HV_REGISTER_LSTAR, CHANGED), HV_SUCCESS);
	CHECK_EQUAL(hv_set_register(HV_VTL(1), HV_REGISTER_LSTAR, CHANGED + 1), HV_SUCCESS);
}

/* Of what two VTLs forbid the lower is named, as it would be told. */
static void accesses_from_above(void)
{
	static struct access_input in __attribute__((aligned(32)));
	static uint64_t out[2] __attribute__((aligned(16)));

	in = (struct access_input){
		.partition = HV_PARTITION_SELF,
		.vtl = HV_VTL(0),
		.access = HV_R | HV_W,
		.pages = {(uint64_t)by_both / PAGE_SIZE, (uint64_t)from_one / PAGE_SIZE}};
	CHECK_EQUAL(hv_call(HV_CHECK_ACCESS | HV_REPS(2), (uint64_t)&in, (uint64_t)out),
		    HV_REPS(2));
	CHECK_EQUAL(out[0], DENIED(HV_W, 1));
	CHECK_EQUAL(out[1], 0);
	in.vtl = HV_VTL(1);
	CHECK_EQUAL(hv_call(HV_CHECK_ACCESS | HV_REPS(2), (uint64_t)&in, (uint64_t)out),
		    HV_REPS(2));
	CHECK_EQUAL(out[0], 0);
	CHECK_EQUAL(out[1], DENIED(HV_W, 2));
}

void vtl2_on_call(struct vtl_frame *frame)
{
	(void)frame;
	enter(2);
	expect_active(2);
	CHECK_EQUAL(trap_try(call_up, NULL, NULL), TRAP_UD);
	if (command == REGISTERS)
		registers_from_above();
	else if (command == ACCESSES)
		accesses_from_above();
}

static void record(unsigned vtl, const struct hv_intercept *message)
{
	enter((uint8_t)vtl);
	expect_active(vtl);
	intercepts[vtl]++;
	last_gpa = message->gpa;
	last_vtl = EXECUTION_VTL(message);
}

void vtl2_on_intercept(const struct hv_intercept *message)
{
	record(2, message);
	CHECK_EQUAL(protect(last_vtl, (const void *)message->gpa, HV_RWX), HV_REPS(1));
}

/* --- VTL1 --- */

void vtl_on_start(void)
{
	struct vtl_frame none = {0};

	enter(1);
	wrmsr(MSR_LSTAR, VALUE(1));
	turn_protections_on();
	CHECK_EQUAL(protect(0, mixed, HV_R | HV_X), HV_REPS(1));
	CHECK_EQUAL(protect(0, by_both, HV_R | HV_X), HV_REPS(1));
	CHECK_EQUAL(vtl_enable_at(2, &vtl2_own_image), HV_SUCCESS);
	vtl_call(&none);
	enter(1);
	expect_active(1);
}

static void registers_from_between(void)
{
	uint64_t value;

	CHECK_EQUAL(hv_get_register(HV_VTL(2), HV_REGISTER_LSTAR, &value), HV_ACCESS_DENIED);
	CHECK_EQUAL(hv_set_register(HV_VTL(2), HV_REGISTER_LSTAR, 0), HV_ACCESS_DENIED);
	expect_register(HV_VTL(0), HV_REGISTER_LSTAR, VALUE(0));
}

void vtl_on_call(struct vtl_frame *frame)
{
	(void)frame;
	enter(1);
	expect_active(1);
	if (command == WRITE_CLOSED) {
		*(volatile uint8_t *)from_one = 1;
		CHECK_EQUAL(*(volatile uint8_t *)from_one, 1);
		enter(1);
		return;
	}
	if (command == REGISTERS)
		registers_from_between();
	if (command == ACCESSES)
		CHECK_EQUAL(protect(2, by_two, HV_R), HV_ACCESS_DENIED);
	call_up(NULL);
	enter(1);
	expect_active(1);
	if (command == REGISTERS)
		CHECK_EQUAL(rdmsr(MSR_LSTAR), CHANGED + 1);
}

void vtl_on_intercept(const struct hv_intercept *message)
{
	record(1, message);
	CHECK_EQUAL(protect(0, (const void *)message->gpa, HV_RWX), HV_REPS(1));
}

/* --- VTL0 --- */

static void tell(enum command what)
{
	struct vtl_frame none = {0};

	command = what;
	vtl_call(&none);
	expect_active(0);
}

static void expect_intercepts(unsigned one, unsigned two, const void *page, unsigned of)
{
	CHECK_EQUAL(intercepts[1], one);
	CHECK_EQUAL(intercepts[2], two);
	CHECK_EQUAL(last_gpa, (uint64_t)page + 8);
	CHECK_EQUAL(last_vtl, of);
	expect_active(0);
	intercepts[1] = intercepts[2] = 0;
}

static void write_page(uint8_t *page)
{
	*(volatile uint8_t *)(page + 8) = 0x5a;
	CHECK_EQUAL(*(volatile uint8_t *)(page + 8), 0x5a);
}

static void protections(void)
{
	write_page(from_one);
	CHECK_TRAIL();
	write_page(by_two);
	expect_intercepts(0, 1, by_two, 0);
	CHECK_TRAIL(2);
	/* Reading is forbidden by VTL2 alone; writing by VTL1, once VTL2 no longer does. */
	CHECK_EQUAL(*(volatile uint8_t *)(mixed + 8), 0);
	expect_intercepts(0, 1, mixed, 0);
	CHECK_TRAIL(2);
	write_page(mixed);
	expect_intercepts(1, 0, mixed, 0);
	CHECK_TRAIL(1);
	/* Both forbid it: VTL1 is told, and when it gives way VTL2 is. */
	write_page(by_both);
	expect_intercepts(1, 1, by_both, 0);
	CHECK_TRAIL(1, 2);
}

int guest_main(void)
{
	uint64_t value;

	vtl_begin(&vtl_own_image);
	CHECK_TRAIL(1, 2, 1);
	wrmsr(MSR_LSTAR, VALUE(0));
	tell(GO_UP);
	CHECK_TRAIL(1, 2, 1);
	tell(REGISTERS);
	CHECK_TRAIL(1, 2, 1);
	CHECK_EQUAL(rdmsr(MSR_LSTAR), CHANGED);
	CHECK_EQUAL(hv_get_register(HV_VTL(1), HV_REGISTER_LSTAR, &value), HV_ACCESS_DENIED);
	tell(ACCESSES);
	CHECK_TRAIL(1, 2, 1);
	protections();
	tell(WRITE_CLOSED);
	CHECK_TRAIL(1, 2, 1);
	CHECK_EQUAL(intercepts[2], 1);
	CHECK_EQUAL(last_vtl, 1);
	CHECK_EQUAL(last_gpa, (uint64_t)from_one);
	return 0;
}
