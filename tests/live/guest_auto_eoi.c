/* SPDX-License-Identifier: MIT */
/*
 * SINTs with AutoEOI (TLFS virtual-interrupts.md): a handler that never ends its interrupt is no
 * obstacle to the next of the same or a lower vector, and leaves those in service alone that it
 * interrupted.
 */
#include "cpu.h"
#include "guest.h"
#include "trap.h"
#include "vtl.h"

#define MSR_APIC_BASE  0x1b
#define MSR_TPR	       0x808
#define MSR_X2APIC_EOI 0x80b
#define MSR_SPIV       0x80f
#define MSR_ISR	       0x810
#define MSR_ICR	       0x830
#define X2APIC	       0xc00
#define SPIV	       0x1ff
#define DEST_SELF      0x40000

#define DEVICE	       0x3000 /* the VMM's test device: raise a SINT of the first processor */
#define RAISE(sint)    out32(DEVICE, 3 << 16 | (sint))

#define LOW	       0x41 /* vectors, by priority */
#define AUTO	       0x61
#define HIGH	       0x81
#define SINT	       3
#define ROUNDS	       20

static volatile unsigned low, autos, high;
static volatile bool nested;
static bool repeats; /* the host takes some interrupts twice (tests/stock/README.md) */

/* At a PAUSE, QEMU lets its other processors run for as long as they like. */
static void spin(void)
{
	__asm__ volatile("" : : : "memory");
}

/* KVM's local APIC does not show it on every host. */
static bool low_in_service(void)
{
	return rdmsr(MSR_ISR + LOW / 32) & 1u << LOW % 32;
}

static void on_low(struct trap_frame *f)
{
	(void)f;
	low++;
	if (nested) {
		unsigned before = autos;
		bool shown = low_in_service();

		RAISE(SINT);
		interrupts_on();
		while (autos == before)
			spin();
		interrupts_off();
		CHECK_EQUAL(low_in_service(), shown);
	}
	wrmsr(MSR_X2APIC_EOI, 0);
}

static void on_auto(struct trap_frame *f)
{
	(void)f;
	autos++;
}

static void on_high(struct trap_frame *f)
{
	(void)f;
	high++;
	wrmsr(MSR_X2APIC_EOI, 0);
}

static void expect(const volatile unsigned *count, unsigned value)
{
	if (!repeats)
		CHECK_EQUAL(*count, value);
}

/* One more than before it was raised. */
static void wait_for_one(const volatile unsigned *count, unsigned before, bool halted)
{
	while (*count == before) {
		if (halted)
			trap_halt();
		else
			__asm__ volatile("sti\n\tnop\n\tcli" : : : "memory");
	}
	expect(count, before + 1);
}

static void take_auto(bool halted)
{
	unsigned before = autos;

	RAISE(SINT);
	wait_for_one(&autos, before, halted);
}

static void take_other(uint8_t vector, const volatile unsigned *count, bool halted)
{
	unsigned before = *count;

	wrmsr(MSR_ICR, DEST_SELF | vector);
	wait_for_one(count, before, halted);
}

/* Each is followed by one of the same vector and one that is lower. */
static void each_ends(bool halted)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		take_auto(halted);
		take_auto(halted);
		take_other(LOW, &low, halted);
	}
}

/* Held back by the TPR, it ends when it has come. */
static void held_back(void)
{
	for (unsigned i = 0; i < 4; i++) {
		unsigned before = autos;

		wrmsr(MSR_TPR, AUTO);
		RAISE(SINT);
		interrupts_on();
		for (unsigned n = 0; n < 100000; n++)
			spin();
		interrupts_off();
		expect(&autos, before);
		wrmsr(MSR_TPR, 0);
		wait_for_one(&autos, before, false);
		take_other(LOW, &low, false);
	}
}

static void within_others(void)
{
	nested = true;
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned before = autos;

		take_other(LOW, &low, false);
		expect(&autos, before + 1);
	}
	nested = false;
	take_other(HIGH, &high, false);
}

int guest_main(void)
{
	hv_require_vsm();
	hv_setup();
	repeats = guest_has_option("repeats");
	trap_handle(LOW, on_low);
	trap_handle(AUTO, on_auto);
	trap_handle(HIGH, on_high);
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | X2APIC);
	wrmsr(MSR_SPIV, SPIV);
	wrmsr(HV_MSR_SCONTROL, HV_ENABLE);
	wrmsr(HV_MSR_SINT0 + SINT, AUTO | HV_SINT_AUTO_EOI);
	each_ends(false);
	each_ends(true);
	held_back();
	within_others();
	return 0;
}
