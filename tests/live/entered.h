/* SPDX-License-Identifier: MIT */
/* VTL1 of guests where timers enter it: what it does by the reason of its entry. */
#ifndef VSM_TESTS_LIVE_ENTERED_H
#define VSM_TESTS_LIVE_ENTERED_H

#include "cpu.h"
#include "guest.h"
#include "trap.h"
#include "vtl.h"

#define RETURN_RESTORES 0
#define RETURN_FAST	1

static uint8_t assist[PAGE_SIZE] PAGE_ALIGNED; /* VTL1's VP assist page */

static inline uint64_t now(void)
{
	return rdmsr(HV_MSR_TIME_REF_COUNT);
}

struct entered {
	void (*start)(void);
	void (*serve)(const struct vtl_frame *f);
	volatile unsigned *taken; /* interrupts of VTL1 */
};

static inline void take_interrupt(const volatile unsigned *taken)
{
	unsigned before = *taken;

	interrupts_on();
	while (*taken == before)
		pause();
	interrupts_off();
}

/* For vtl_entered(). An interrupt's return gives back what it interrupted. */
static inline uint64_t entered(const struct entered *e, struct vtl_frame *f)
{
	volatile struct hv_assist *a = (volatile struct hv_assist *)assist;
	static bool started;

	if (!started) {
		started = true;
		hv_setup();
		trap_setup();
		wrmsr(HV_MSR_VP_ASSIST_PAGE, (uint64_t)assist | HV_ENABLE);
		e->start();
		return RETURN_FAST;
	}
	if (a->entry_reason == HV_ENTRY_CALL) {
		e->serve(f);
		return RETURN_FAST;
	}
	take_interrupt(e->taken);
	a->rax = f->rax;
	a->rcx = f->rcx;
	return RETURN_RESTORES;
}

#endif
