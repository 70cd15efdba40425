/* SPDX-License-Identifier: MIT */
/* A local APIC in a test, and its registers by offset in either mode. */
#ifndef VSM_TESTS_UNIT_LAPIC_FIXTURE_H
#define VSM_TESTS_UNIT_LAPIC_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "apic/lapic.h"

enum { /* offsets in the page */
	APIC_ID = 0x20,
	APIC_VERSION = 0x30,
	APIC_TPR = 0x80,
	APIC_APR = 0x90,
	APIC_PPR = 0xa0,
	APIC_EOI = 0xb0,
	APIC_REMOTE_READ = 0xc0,
	APIC_LDR = 0xd0,
	APIC_DFR = 0xe0,
	APIC_SPIV = 0xf0,
	APIC_ISR = 0x100,
	APIC_TMR = 0x180,
	APIC_IRR = 0x200,
	APIC_ESR = 0x280,
	APIC_ICR = 0x300,
	APIC_ICR_HIGH = 0x310,
	APIC_TIMER = 0x320,
	APIC_THERMAL = 0x330,
	APIC_PERF = 0x340,
	APIC_LINT0 = 0x350,
	APIC_LINT1 = 0x360,
	APIC_ERROR = 0x370,
	APIC_INITIAL = 0x380,
	APIC_CURRENT = 0x390,
	APIC_DIVIDE = 0x3e0,
	APIC_SELF_IPI = 0x3f0,
};

#define BASE_XAPIC    (LAPIC_BASE_DEFAULT | LAPIC_BASE_ENABLE)
#define BASE_X2APIC   (BASE_XAPIC | LAPIC_BASE_X2APIC)
#define BASE_DISABLED LAPIC_BASE_DEFAULT

#define ESR_SEND      0x20
#define ESR_RECEIVE   0x40
#define ESR_ADDRESS   0x80

/* 2 GHz, so that a TSC tick is half a ns. */
static struct lapic_clock now = {.now_ns = 1000, .now_tsc = 5000, .tsc_khz = 2000000};
static struct lapic_effects effects;

/* Software-enabled, in xAPIC mode. */
static inline struct lapic apic_new(uint32_t id)
{
	struct lapic l = {0};

	lapic_reset(&l, id, id == 0, true);
	assert_true(lapic_valid(&l));
	return l;
}

static inline uint32_t page_read(struct lapic *l, uint32_t offset)
{
	uint32_t value = 0xdeadbeef;

	assert_int_equal(lapic_mmio_read(l, gpa_from(LAPIC_BASE_DEFAULT + offset), 4, &now, &value),
			 0);
	return value;
}

static inline void page_write(struct lapic *l, uint32_t offset, uint32_t value)
{
	assert_int_equal(lapic_mmio_write(l, gpa_from(LAPIC_BASE_DEFAULT + offset), 4, &value, &now,
					  &effects),
			 0);
	assert_true(lapic_valid(l));
}

static inline int msr_write(struct lapic *l, uint32_t index, uint64_t value)
{
	int ret = lapic_msr_write(l, index, value, &now, &effects);

	assert_true(lapic_valid(l));
	return ret;
}

/* Fails the test unless the MSR can be read. */
static inline uint64_t msr_read(struct lapic *l, uint32_t index)
{
	uint64_t value = 0xdeadbeef;

	assert_int_equal(lapic_msr_read(l, index, &now, &value), 0);
	return value;
}

/* The register's MSR in x2APIC mode. */
static inline uint32_t msr_of(uint32_t offset)
{
	return LAPIC_MSR_X2APIC_FIRST + offset / 16;
}

static inline struct lapic x2apic_new(uint32_t id)
{
	struct lapic l = apic_new(id);

	assert_int_equal(msr_write(&l, LAPIC_MSR_BASE, BASE_X2APIC), 0);
	return l;
}

/* What the ESR shows after the write that latches it. */
static inline uint32_t esr(struct lapic *l)
{
	if (lapic_x2apic(l)) {
		assert_int_equal(msr_write(l, msr_of(APIC_ESR), 0), 0);
		return (uint32_t)msr_read(l, msr_of(APIC_ESR));
	}
	page_write(l, APIC_ESR, 0);
	return page_read(l, APIC_ESR);
}

#endif
