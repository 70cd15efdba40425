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

static void wait_for(volatile unsigned *count, unsigned value, bool halted)
{
	while (*count != value) {
		if (halted)
			trap_halt();
		else
			__asm__ volatile("sti\n\tnop\n\tcli" : : : "memory");
	}
}

/* Each is followed by one of the same vector and one that is lower. */
static void each_ends(bool halted)
{
	low = autos = high = 0;
	for (unsigned i = 0; i < ROUNDS; i++) {
		RAISE(SINT);
		wait_for(&autos, 2 * i + 1, halted);
		RAISE(SINT);
		wait_for(&autos, 2 * i + 2, halted);
		wrmsr(MSR_ICR, DEST_SELF | LOW);
		wait_for(&low, i + 1, halted);
	}
}

/* Held back by the TPR, it ends when it has come. */
static void held_back(void)
{
	low = autos = 0;
	for (unsigned i = 0; i < 4; i++) {
		wrmsr(MSR_TPR, AUTO);
		RAISE(SINT);
		interrupts_on();
		for (unsigned n = 0; n < 100000; n++)
			spin();
		interrupts_off();
		CHECK_EQUAL(autos, i);
		wrmsr(MSR_TPR, 0);
		wait_for(&autos, i + 1, false);
		wrmsr(MSR_ICR, DEST_SELF | LOW);
		wait_for(&low, i + 1, false);
	}
}

static void within_others(void)
{
	low = autos = high = 0;
	nested = true;
	for (unsigned i = 0; i < ROUNDS; i++) {
		wrmsr(MSR_ICR, DEST_SELF | LOW);
		wait_for(&low, i + 1, false);
		CHECK_EQUAL(autos, i + 1);
	}
	nested = false;
	wrmsr(MSR_ICR, DEST_SELF | HIGH);
	wait_for(&high, 1, false);
}

int guest_main(void)
{
	hv_require_vsm();
	hv_setup();
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
