// SPDX-License-Identifier: MIT
/*
 * Synthetic timers: VTL1's takes the VP from a VTL0 that spins with interrupts off, VTL0's waits
 * while VTL1 spins, messages come on the period's grid and wait for a slot.
 */
#include "cpu.h"
#include "entered.h"
#include "guest.h"
#include "trap.h"
#include "vtl.h"

#define MS	  10000 /* in 100 ns */
#define ROUNDS	  20

#define APIC	  0xfee00000
#define APIC_EOI  0xb0
#define APIC_SPIV 0xf0

/* The VTLs share their table of handlers. */
#define VECTOR0	      0x60
#define VECTOR1	      0x61
#define SINT	      2
#define TIMER_EXPIRED 0x80000010

struct timer_message {
	volatile uint32_t type;
	uint8_t payload_size;
	volatile uint8_t flags;
	uint16_t reserved;
	uint64_t origin;
	uint32_t timer, reserved2;
	uint64_t expiration, delivery;
	uint8_t rest[216];
};
_Static_assert(sizeof(struct timer_message) == 256, "HV_MESSAGE");

static struct timer_message messages[16] PAGE_ALIGNED;

static volatile unsigned fired[2]; /* by VTL */
static volatile uint64_t fired_at, due;

static void apic_write(unsigned reg, uint32_t value)
{
	*(volatile uint32_t *)(uintptr_t)(APIC + reg) = value;
}

/* --- VTL1 --- */

static void on_timer1(struct trap_frame *f)
{
	(void)f;
	fired_at = now();
	fired[1]++;
	apic_write(APIC_EOI, 0);
}

static void start1(void)
{
	trap_handle(VECTOR1, on_timer1);
}

/* R8: 0 sets VTL1's timer, 1 spins for 3 ms. */
static void serve(const struct vtl_frame *f)
{
	uint64_t end = now() + 3 * MS;

	if (f->r8) {
		interrupts_on();
		while (now() < end)
			pause();
		interrupts_off();
		return;
	}
	due = now() + MS;
	wrmsr(HV_MSR_STIMER_CONFIG(0), HV_STIMER_DIRECT(VECTOR1) | HV_STIMER_AUTO);
	wrmsr(HV_MSR_STIMER_COUNT(0), due);
}

uint64_t vtl_entered(struct vtl_frame *f)
{
	static const struct entered e = {start1, serve, &fired[1]};

	return entered(&e, f);
}

/* --- VTL0 --- */

static void on_timer0(struct trap_frame *f)
{
	(void)f;
	fired[0]++;
	apic_write(APIC_EOI, 0);
}

static void call(uint64_t what)
{
	struct vtl_frame f = {.r8 = what};

	vtl_call(&f);
}

/* Nothing here exits: only the timer can end it. */
static void check_preemption(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned before = fired[1];

		call(0);
		while (fired[1] == before)
			;
		CHECK(fired_at >= due);
	}
	CHECK_EQUAL(fired[1], ROUNDS);
}

static void check_held_while_vtl1_runs(void)
{
	uint64_t start = now();

	wrmsr(HV_MSR_STIMER_CONFIG(0), HV_STIMER_DIRECT(VECTOR0) | HV_STIMER_AUTO);
	wrmsr(HV_MSR_STIMER_COUNT(0), start + MS);
	call(1);
	CHECK_EQUAL(fired[0], 0);
	CHECK(now() >= start + 3 * MS);
	interrupts_on();
	while (!fired[0])
		pause();
	interrupts_off();
	CHECK_EQUAL(fired[0], 1);
	CHECK_EQUAL(rdmsr(HV_MSR_STIMER_CONFIG(0)) & HV_STIMER_ENABLE, 0);
}

static void wait_for_message(const struct timer_message *m)
{
	while (!m->type)
		pause();
	CHECK_EQUAL(m->type, TIMER_EXPIRED);
	CHECK_EQUAL(m->payload_size, 24);
	CHECK_EQUAL(m->timer, 0);
	CHECK(m->delivery >= m->expiration);
	CHECK(m->delivery <= now());
}

static void empty(struct timer_message *m)
{
	m->type = 0;
	__asm__ volatile("mfence" : : : "memory");
	if (m->flags & 1)
		wrmsr(HV_MSR_EOM, 0);
}

/* Some may be skipped on a slow host; those that come are on the grid of the first. */
static void check_periodic_messages(struct timer_message *m)
{
	uint64_t first = 0, last = 0;

	wrmsr(HV_MSR_STIMER_COUNT(0), MS);
	wrmsr(HV_MSR_STIMER_CONFIG(0),
	      HV_STIMER_SINT(SINT) | HV_STIMER_PERIODIC | HV_STIMER_ENABLE);
	for (unsigned i = 0; i < ROUNDS; i++) {
		wait_for_message(m);
		if (!i)
			first = m->expiration;
		CHECK(m->expiration > last);
		CHECK_EQUAL((m->expiration - first) % MS, 0);
		last = m->expiration;
		empty(m);
	}
	wrmsr(HV_MSR_STIMER_CONFIG(0), 0);
	empty(m);
}

static void check_busy_slot(struct timer_message *m)
{
	uint64_t at = now() + MS;

	m->flags = 0;
	m->type = 1;
	wrmsr(HV_MSR_STIMER_CONFIG(0), HV_STIMER_SINT(SINT) | HV_STIMER_AUTO);
	wrmsr(HV_MSR_STIMER_COUNT(0), at);
	while (!(m->flags & 1))
		pause();
	CHECK_EQUAL(m->type, 1);
	empty(m);
	wait_for_message(m);
	CHECK_EQUAL(m->expiration, at);
	empty(m);
}

int guest_main(void)
{
	trap_setup();
	trap_handle(VECTOR0, on_timer0);
	vtl_begin(&vtl_own_image);
	check_preemption();

	apic_write(APIC_SPIV, 0x1ff);
	check_held_while_vtl1_runs();

	wrmsr(HV_MSR_SIMP, (uint64_t)messages | HV_ENABLE);
	wrmsr(HV_MSR_SCONTROL, HV_ENABLE);
	check_periodic_messages(&messages[SINT]);
	check_busy_slot(&messages[SINT]);
	return 0;
}
