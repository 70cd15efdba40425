/* SPDX-License-Identifier: MIT */
/* The local APIC's timer: one-shot, periodic and TSC-deadline. */
#include "apic/lapic_private.h"

enum timer_mode { /* bits 18:17 of the LVT entry; 3 is reserved, and a timer that is off */
	TIMER_ONE_SHOT,
	TIMER_PERIODIC,
	TIMER_DEADLINE,
};

static unsigned mode_of(uint32_t lvt)
{
	return (lvt & LVT_TIMER_MODE) >> 17;
}

static unsigned mode(const struct lapic *l)
{
	return mode_of(l->lvt[LAPIC_LVT_TIMER]);
}

static bool counts(unsigned m)
{
	return m == TIMER_ONE_SHOT || m == TIMER_PERIODIC;
}

/* Bits 3, 1, 0 of the divide configuration: 0 divides by 2, 6 by 128, 7 by 1. */
static uint64_t divisor(const struct lapic *l)
{
	uint32_t v = (l->divide_config & 3) | (l->divide_config >> 1 & 4);

	return UINT64_C(1) << ((v + 1) & 7);
}

static uint64_t add(uint64_t a, uint64_t b)
{
	return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

static uint64_t period(const struct lapic *l)
{
	uint64_t ns = l->initial_count * divisor(l);

	return ns < LAPIC_TIMER_MIN_PERIOD ? LAPIC_TIMER_MIN_PERIOD : ns;
}

void timer_stop(struct lapic *l)
{
	l->initial_count = 0;
	l->expiry_ns = LAPIC_TIMER_NONE;
	l->tsc_deadline = 0;
}

bool timer_valid(const struct lapic *l)
{
	if (l->divide_config & ~DIVIDE_WRITABLE)
		return false;
	if (l->tsc_deadline && mode(l) != TIMER_DEADLINE)
		return false;
	if (l->initial_count && !counts(mode(l)))
		return false;
	return l->expiry_ns == LAPIC_TIMER_NONE || l->initial_count;
}

/* Rounded up: 0 is for the timer that has expired. A periodic one goes on by itself. */
uint32_t timer_current_count(const struct lapic *l, const struct lapic_clock *clock)
{
	uint64_t left, ticks;

	if (l->expiry_ns == LAPIC_TIMER_NONE)
		return 0;
	if (clock->now_ns < l->expiry_ns)
		left = l->expiry_ns - clock->now_ns;
	else if (mode(l) == TIMER_PERIODIC)
		left = period(l) - (clock->now_ns - l->expiry_ns) % period(l);
	else
		return 0;
	ticks = left / divisor(l) + (left % divisor(l) != 0);
	return ticks < l->initial_count ? (uint32_t)ticks : l->initial_count;
}

/* A switch between counting and TSC-deadline disarms (SDM, "TSC-Deadline Mode"). */
void timer_write_lvt(struct lapic *l, uint32_t value, const struct lapic_clock *clock)
{
	unsigned now = mode_of(value);

	/* What was due under the old entry stays so. */
	lapic_timer_expire(l, clock);
	if (counts(now) ? !counts(mode(l)) : now != mode(l))
		timer_stop(l);
	l->lvt[LAPIC_LVT_TIMER] = value;
}

/* Without effect in TSC-deadline mode. */
void timer_write_initial(struct lapic *l, uint32_t value, const struct lapic_clock *clock)
{
	uint64_t ns;

	if (!counts(mode(l)))
		return;
	lapic_timer_expire(l, clock);
	l->initial_count = value;
	ns = mode(l) == TIMER_PERIODIC ? period(l) : value * divisor(l);
	l->expiry_ns = value ? add(clock->now_ns, ns) : LAPIC_TIMER_NONE;
}

/* The count goes on from where it is, at the new rate. */
void timer_write_divide(struct lapic *l, uint32_t value, const struct lapic_clock *clock)
{
	uint32_t count;

	lapic_timer_expire(l, clock);
	count = timer_current_count(l, clock);
	l->divide_config = value;
	if (l->expiry_ns != LAPIC_TIMER_NONE)
		l->expiry_ns = add(clock->now_ns, count * divisor(l));
}

/* Out of TSC-deadline mode the MSR reads as zero and ignores writes. */
void timer_write_deadline(struct lapic *l, uint64_t value, const struct lapic_clock *clock)
{
	if (mode(l) != TIMER_DEADLINE)
		return;
	lapic_timer_expire(l, clock);
	l->tsc_deadline = value;
	lapic_timer_expire(l, clock);
}

uint64_t timer_read_deadline(const struct lapic *l, const struct lapic_clock *clock)
{
	return l->tsc_deadline > clock->now_tsc ? l->tsc_deadline : 0;
}

/* Rounded up, so that the TSC is never short of the deadline when the time comes. */
static uint64_t deadline_ns(const struct lapic *l, const struct lapic_clock *clock)
{
	unsigned __int128 ns;

	if (l->tsc_deadline <= clock->now_tsc)
		return clock->now_ns;
	if (!clock->tsc_khz)
		return LAPIC_TIMER_NONE;
	ns = (unsigned __int128)(l->tsc_deadline - clock->now_tsc) * 1000000;
	ns = (ns + clock->tsc_khz - 1) / clock->tsc_khz;
	return ns > UINT64_MAX ? LAPIC_TIMER_NONE : add(clock->now_ns, (uint64_t)ns);
}

uint64_t lapic_timer_deadline(const struct lapic *l, const struct lapic_clock *clock)
{
	if (l->lvt[LAPIC_LVT_TIMER] & LAPIC_LVT_MASKED)
		return LAPIC_TIMER_NONE;
	if (l->tsc_deadline)
		return deadline_ns(l, clock);
	return l->expiry_ns > clock->now_ns ? l->expiry_ns : clock->now_ns;
}

bool lapic_timer_expire(struct lapic *l, const struct lapic_clock *clock)
{
	if (mode(l) == TIMER_DEADLINE) {
		if (!l->tsc_deadline || l->tsc_deadline > clock->now_tsc)
			return false;
		l->tsc_deadline = 0;
		return lapic_raise(l, LAPIC_LVT_TIMER);
	}
	if (l->expiry_ns == LAPIC_TIMER_NONE || l->expiry_ns > clock->now_ns)
		return false;
	if (mode(l) == TIMER_PERIODIC) {
		uint64_t late = clock->now_ns - l->expiry_ns;

		l->expiry_ns = add(clock->now_ns, period(l) - late % period(l));
	} else {
		l->expiry_ns = LAPIC_TIMER_NONE;
	}
	return lapic_raise(l, LAPIC_LVT_TIMER);
}
