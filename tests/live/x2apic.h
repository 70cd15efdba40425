/* SPDX-License-Identifier: MIT */
/* The local APIC in x2APIC mode, for guests in tests/live. */
#ifndef VSM_TESTS_LIVE_X2APIC_H
#define VSM_TESTS_LIVE_X2APIC_H

#include "cpu.h"

#define MSR_APIC_BASE	0x1b
#define MSR_X2APIC_ID	0x802
#define MSR_X2APIC_EOI	0x80b
#define MSR_X2APIC_SPIV 0x80f
#define MSR_X2APIC_SELF 0x83f

/* Of the VTL that calls. */
static inline void x2apic_enable(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 0xc00);
	wrmsr(MSR_X2APIC_SPIV, 0x1ff);
}

static inline void x2apic_eoi(void)
{
	wrmsr(MSR_X2APIC_EOI, 0);
}

#endif
