/* SPDX-License-Identifier: MIT */
/*
 * Virtual Interrupt Notification Assist (TLFS vsm.md): VTL1, while it runs, is told once of an
 * interrupt VTL0 would take; again when it has cleared the state, or was entered anew.
 */
#include "cpu.h"
#include "guest.h"
#include "trap.h"
#include "vtl.h"
#include "x2apic.h"

#define HV_SEND_CLUSTER_IPI 0x0b
#define HV_REGISTER_VINA    0x000d0005
#define VINA_ENABLED	    (1 << 8)
#define VINA_AUTO_RESET	    (1 << 9)
#define VECTOR_VINA	    0xe8
#define VECTOR0		    0xd0  /* and the two above: VTL0's */
#define MS		    10000 /* in 100 ns */
#define RETURN_RESTORES	    0

enum request {
	NOTIFIED,
	NOT_NOTIFIED,
	TIMED,
};

static uint8_t assist[PAGE_SIZE] PAGE_ALIGNED;
static volatile unsigned notified, taken;

static uint64_t now(void)
{
	return rdmsr(HV_MSR_TIME_REF_COUNT);
}

/* --- VTL1 --- */

static volatile struct hv_assist *page(void)
{
	return (volatile struct hv_assist *)assist;
}

static void on_vina(struct trap_frame *f)
{
	(void)f;
	notified++;
	CHECK_EQUAL(page()->vina & 0xff, 1);
	x2apic_eoi();
}

static void send_to_vtl0(unsigned vector)
{
	CHECK_EQUAL(HV_STATUS(hv_call(HV_SEND_CLUSTER_IPI | HV_FAST,
				      vector | (uint64_t)HV_VTL(0) << 32, 1)),
		    HV_SUCCESS);
}

static void stay(uint64_t time)
{
	uint64_t end = now() + time;

	while (now() < end)
		pause();
}

static void serve_notified(void)
{
	unsigned before = notified;

	send_to_vtl0(VECTOR0);
	while (notified == before)
		pause();
	send_to_vtl0(VECTOR0 + 1);
	stay(MS);
	CHECK_EQUAL(notified, before + 1);
	/* The two that wait are not told again. */
	page()->vina = 0;
	stay(MS);
	CHECK_EQUAL(notified, before + 1);
	send_to_vtl0(VECTOR0 + 2);
	while (notified == before + 1)
		pause();
	stay(MS);
	CHECK_EQUAL(notified, before + 2);
}

/* VTL0's interrupts are off: it would not take any. */
static void serve_not_notified(void)
{
	unsigned before = notified;

	send_to_vtl0(VECTOR0);
	stay(MS);
	CHECK_EQUAL(notified, before);
}

/* VTL0's timer comes while VTL1 runs, or was too early. */
static void serve_timed(void)
{
	while (!notified)
		pause();
	notified = 0;
}

static void (*const serve[])(void) = {
	[NOTIFIED] = serve_notified,
	[NOT_NOTIFIED] = serve_not_notified,
	[TIMED] = serve_timed,
};

static void start(void)
{
	hv_setup();
	wrmsr(HV_MSR_VP_ASSIST_PAGE, (uint64_t)assist | HV_ENABLE);
	trap_setup();
	trap_handle(VECTOR_VINA, on_vina);
	x2apic_enable();
	CHECK_EQUAL(hv_set_register(HV_OWN_VTL, HV_REGISTER_VINA,
				    VECTOR_VINA | VINA_ENABLED | VINA_AUTO_RESET),
		    HV_SUCCESS);
}

uint64_t vtl_entered(struct vtl_frame *f)
{
	static bool started;

	if (!started) {
		started = true;
		start();
	} else if (!taken) {
		CHECK_EQUAL(page()->entry_reason, HV_ENTRY_CALL);
		/* AutoReset, unless the timer was faster. */
		CHECK(f->r8 == TIMED || !(page()->vina & 0xff));
		interrupts_on();
		serve[f->r8]();
		interrupts_off();
		CHECK_EQUAL(taken, 0);
	}
	page()->rax = f->rax;
	page()->rcx = f->rcx;
	return RETURN_RESTORES;
}

/* --- VTL0 --- */

static void on_vtl0(struct trap_frame *f)
{
	(void)f;
	taken++;
	x2apic_eoi();
}

static void request(enum request what)
{
	struct vtl_frame f = {.r8 = what};

	vtl_call(&f);
}

static void expect(unsigned interrupts)
{
	interrupts_on();
	while (taken != interrupts)
		pause();
	interrupts_off();
	taken = 0;
}

int guest_main(void)
{
	vtl_begin(&vtl_own_image);
	for (unsigned i = 0; i < 3; i++)
		trap_handle((uint8_t)(VECTOR0 + i), on_vtl0);
	x2apic_enable();
	for (unsigned i = 0; i < 5; i++) {
		request(NOT_NOTIFIED);
		expect(1);
		/* VTL0's interrupts are on in VTL1's eyes: CLI follows the call. */
		interrupts_on();
		request(NOTIFIED);
		interrupts_off();
		expect(3);
		notified = 0;
		wrmsr(HV_MSR_STIMER_CONFIG(0), HV_STIMER_DIRECT(VECTOR0) | HV_STIMER_AUTO);
		wrmsr(HV_MSR_STIMER_COUNT(0), now() + 5 * MS);
		interrupts_on();
		request(TIMED);
		interrupts_off();
		expect(1);
	}
	return 0;
}
