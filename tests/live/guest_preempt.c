/* SPDX-License-Identifier: MIT */
/*
 * Local APIC timers of two VTLs: VTL1's preempts VTL0, whether that spins with interrupts off or is
 * halted; VTL0's waits while VTL1 runs (TLFS vsm.md, "Virtual Interrupt Controller"). And
 * interrupts that VTL1 asserts in VTL0 (HvCallAssertVirtualInterrupt).
 */
#include "cpu.h"
#include "entered.h"
#include "guest.h"
#include "trap.h"
#include "vtl.h"
#include "x2apic.h"

#define MSR_LVT_TIMER 0x832
#define MSR_COUNT     0x838
#define MSR_DIVIDE    0x83e
#define DIVIDE_BY_1   0xb
#define VECTOR(vtl)   (0xe0 + (vtl)) /* the VTLs share their table of handlers */
#define MS	      1000000	     /* timer ticks; VTL0's in KVM's APIC may differ a little */
#define REF_MS	      10000	     /* 100 ns */
#define PATIENCE      100000000	     /* loops */

enum request {
	REQUEST_ARM = 1,
	REQUEST_SPIN,
	REQUEST_ASSERT,
};

/* HvCallAssertVirtualInterrupt */
#define ASSERT_EVERYONE UINT64_C(0xffffffff)
#define ASSERT_INIT	5

static struct {
	uint64_t partition, control, destination;
	uint32_t vector;
	uint8_t vtl, reserved[3];
} message __attribute__((aligned(32)));

static volatile unsigned ticks[2]; /* by VTL */
static volatile bool wakes;	   /* VTL1's timer sends VTL0 an interrupt */

static void count(unsigned vtl)
{
	ticks[vtl]++;
	x2apic_eoi();
}

static void apic_setup(unsigned vtl, trap_handler handler)
{
	x2apic_enable();
	trap_handle((uint8_t)VECTOR(vtl), handler);
}

static void arm(unsigned vtl, uint64_t ticks_from_now)
{
	wrmsr(MSR_LVT_TIMER, VECTOR(vtl));
	wrmsr(MSR_DIVIDE, DIVIDE_BY_1);
	wrmsr(MSR_COUNT, ticks_from_now);
}

/* A vector of VTL0's handler, in a VTL of everyone or of one APIC. */
static uint64_t assert_in(uint8_t vtl, uint64_t control, uint64_t destination)
{
	message.partition = HV_PARTITION_SELF;
	message.control = control;
	message.destination = destination;
	message.vector = VECTOR(0);
	message.vtl = vtl;
	return hv_call(HV_ASSERT_INTERRUPT, (uint64_t)&message, 0);
}

/* --- VTL1 --- */

static void on_timer1(struct trap_frame *frame)
{
	(void)frame;
	count(1);
	if (wakes)
		CHECK_EQUAL(assert_in(0, 0, ASSERT_EVERYONE), HV_SUCCESS);
}

static void serve(const struct vtl_frame *f)
{
	uint64_t end;

	if (f->r8 == REQUEST_ARM) {
		arm(1, f->r9);
		return;
	}
	if (f->r8 == REQUEST_ASSERT) {
		CHECK_EQUAL(assert_in(0, 0, f->r9), HV_SUCCESS);
		CHECK_EQUAL(assert_in(0, ASSERT_INIT, f->r9), HV_OPERATION_DENIED);
		CHECK_EQUAL(ticks[0], 0);
		return;
	}
	/* VTL0's timer expires meanwhile, and must not be noticed there: nobody runs there. */
	for (end = now() + f->r9; now() < end;)
		pause();
	CHECK_EQUAL(ticks[0], 0);
}

static void start1(void)
{
	apic_setup(1, on_timer1);
}

uint64_t vtl_entered(struct vtl_frame *f)
{
	static const struct entered e = {start1, serve, &ticks[1]};

	return entered(&e, f);
}

/* --- VTL0 --- */

static void on_timer0(struct trap_frame *frame)
{
	(void)frame;
	count(0);
}

static void request(enum request what, uint64_t argument)
{
	struct vtl_frame f = {.r8 = what, .r9 = argument};

	vtl_call(&f);
}

/* No exits, interrupts off. */
static void preempts_spinning(void)
{
	request(REQUEST_ARM, 2 * MS);
	while (!ticks[1])
		pause();
	CHECK_EQUAL(ticks[1], 1);
}

/* Nothing of VTL0's own ends its halt: a VTL1 that is not entered leaves it there for good. */
static void preempts_halted(void)
{
	ticks[0] = ticks[1] = 0;
	wakes = true;
	request(REQUEST_ARM, 5 * MS);
	while (!ticks[0])
		trap_halt();
	wakes = false;
	CHECK_EQUAL(ticks[1], 1);
}

static void lower_waits(void)
{
	ticks[0] = 0;
	arm(0, 2 * MS);
	request(REQUEST_SPIN, 50 * REF_MS);
	while (!ticks[0])
		__asm__ volatile("sti\n\tnop\n\tcli" : : : "memory");
	CHECK_EQUAL(ticks[0], 1);
}

/* The interrupt is taken once VTL0 runs and lets it in. */
static void taken_once(void)
{
	interrupts_on();
	for (unsigned i = 0; !ticks[0] && i < PATIENCE; i++)
		pause();
	interrupts_off();
	CHECK_EQUAL(ticks[0], 1);
	ticks[0] = 0;
}

static void asserted(void)
{
	uint64_t id = rdmsr(MSR_X2APIC_ID);

	ticks[0] = 0;
	request(REQUEST_ASSERT, id);
	taken_once();
	request(REQUEST_ASSERT, ASSERT_EVERYONE);
	taken_once();
	CHECK_EQUAL(assert_in(0, 0, id), HV_SUCCESS);
	taken_once();
	CHECK_EQUAL(assert_in(1, 0, id), HV_ACCESS_DENIED);
	/* For nobody. */
	CHECK_EQUAL(assert_in(0, 0, id + 3), HV_SUCCESS);
	CHECK_EQUAL(ticks[0], 0);
}

int guest_main(void)
{
	vtl_begin(&vtl_own_image);
	apic_setup(0, on_timer0);
	preempts_spinning();
	preempts_halted();
	lower_waits();
	asserted();
	return 0;
}
