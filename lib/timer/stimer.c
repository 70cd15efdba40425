/* SPDX-License-Identifier: MIT */
/*
 * Synthetic timers.
 *
 * A timer runs on reference time, which is the guest's TSC where its frequency is known. The
 * instant on the host's clock is computed once, when the timer is set, and looked at with no kernel
 * call; when it comes, reference time is read and has the last word: a signal is never early.
 */
#include "timer/stimer.h"

#include "msr/ref_tsc.h"
#include "msr/synthetic.h"
#include "vcpu/vcpu.h"

#define CONFIG_ENABLED	    (UINT64_C(1) << 0)
#define CONFIG_PERIODIC	    (UINT64_C(1) << 1)
#define CONFIG_LAZY	    (UINT64_C(1) << 2)
#define CONFIG_AUTO_ENABLE  (UINT64_C(1) << 3)
#define CONFIG_VECTOR_SHIFT 4
#define CONFIG_VECTOR	    UINT64_C(0xff)
#define CONFIG_DIRECT	    (UINT64_C(1) << 12)
#define CONFIG_SINT_SHIFT   16
#define CONFIG_SINT	    UINT64_C(0xf)
#define CONFIG_VALID	    UINT64_C(0xf1fff) /* the rest "should be set to zero" */

#define NS_PER_UNIT	    100
/*
 * A periodic timer's shortest period, or a guest could keep the host busy with it: the local APIC
 * timer's.
 */
#define PERIOD_MIN (LAPIC_TIMER_MIN_PERIOD / NS_PER_UNIT)
/* Periods missed that shorter ones make up for; more are skipped (TLFS, "Periodic Timers"). */
#define CATCH_UP_MAX 8
/* When reference time cannot be read it is tried again. */
#define RETRY_NS 1000000

_Static_assert(STIMER_COUNT == SYNIC_TIMERS, "a message buffer for each timer");

void stimer_reset(struct stimer *timers)
{
	for (unsigned i = 0; i < STIMER_COUNT; i++)
		timers[i] = (struct stimer){.due_ns = STIMER_NONE};
}

/* --- setting --- */

static uint64_t add(uint64_t a, uint64_t b)
{
	return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

static uint64_t period(const struct stimer *t)
{
	return t->count < PERIOD_MIN ? PERIOD_MIN : t->count;
}

/* The only place where one is made to run: `timer_runs` is never false then. */
static void run_until(struct vsm_vcpu *vp, unsigned vtl, unsigned index, uint64_t due_ns)
{
	vp->vtls[vtl].stimers[index].due_ns = due_ns;
	vp->vtls[vtl].timer_runs = true;
}

/* Rounded so that it is not before t->due: the clock is read after reference time was. */
static void run_until_due(struct vsm_vcpu *vp, unsigned vtl, unsigned index, uint64_t now)
{
	const struct kvm_host *h = vp->partition->host;
	struct stimer *t = &vp->vtls[vtl].stimers[index];
	uint64_t left = t->due > now ? t->due - now : 0;

	if (left < (STIMER_NONE - 1) / NS_PER_UNIT)
		run_until(vp, vtl, index, add(h->ops->clock_ns(h), left * NS_PER_UNIT));
	else
		t->due_ns = STIMER_NONE;
}

/* Starts or stops the timer as its registers say. */
static int apply(struct vsm_vcpu *vp, unsigned vtl, unsigned index)
{
	struct stimer *t = &vp->vtls[vtl].stimers[index];
	uint64_t now;
	int r;

	t->due_ns = STIMER_NONE;
	if (!(t->config & CONFIG_ENABLED) || !t->count)
		return 0;
	r = ref_tsc_now(vp, vtl, &now);
	if (r)
		return r;
	t->expiration = t->config & CONFIG_PERIODIC ? add(now, period(t)) : t->count;
	t->due = t->expiration;
	run_until_due(vp, vtl, index, now);
	return 0;
}

static unsigned sint_of(const struct stimer *t)
{
	return (unsigned)(t->config >> CONFIG_SINT_SHIFT & CONFIG_SINT);
}

static void write_config(struct stimer *t, uint64_t value)
{
	t->config = value & CONFIG_VALID;
	/* SINT 0 is the hypervisor's: "the timer will be marked disabled immediately." */
	if (!(t->config & CONFIG_DIRECT) && !sint_of(t))
		t->config &= ~CONFIG_ENABLED;
}

static void write_count(struct stimer *t, uint64_t value)
{
	t->count = value;
	if (!value)
		t->config &= ~CONFIG_ENABLED;
	else if ((t->config & CONFIG_AUTO_ENABLE) && ((t->config & CONFIG_DIRECT) || sint_of(t)))
		t->config |= CONFIG_ENABLED;
}

int stimer_msr_write(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value)
{
	unsigned n = (index - HV_MSR_STIMER0_CONFIG) / 2;
	struct stimer *t = &vp->vtls[vtl].stimers[n], before = *t;
	int r;

	if ((index - HV_MSR_STIMER0_CONFIG) % 2)
		write_count(t, value);
	else
		write_config(t, value);
	r = apply(vp, vtl, n);
	if (r)
		*t = before;
	else
		synic_cancel_timer(vp, vtl, n); /* of what the timer was before */
	return r;
}

int stimer_msr_read(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value)
{
	const struct stimer *t = &vp->vtls[vtl].stimers[(index - HV_MSR_STIMER0_CONFIG) / 2];

	*value = (index - HV_MSR_STIMER0_CONFIG) % 2 ? t->count : t->config;
	return 0;
}

/* --- running --- */

uint64_t stimer_deadline(struct vsm_vcpu *vp, unsigned vtl)
{
	struct vp_vtl *v = &vp->vtls[vtl];
	uint64_t first = STIMER_NONE;

	for (unsigned i = 0; i < STIMER_COUNT; i++)
		if (v->stimers[i].due_ns < first)
			first = v->stimers[i].due_ns;
	v->timer_runs = first != STIMER_NONE;
	return first;
}

static void signal_guest(struct vsm_vcpu *vp, unsigned vtl, unsigned index, uint64_t expiration)
{
	const struct stimer *t = &vp->vtls[vtl].stimers[index];

	if (t->config & CONFIG_DIRECT)
		synic_interrupt(vp, vtl,
				(uint8_t)(t->config >> CONFIG_VECTOR_SHIFT & CONFIG_VECTOR), false);
	else
		synic_post_timer(vp, vtl, index, sint_of(t), expiration);
}

/*
 * The next period, on the grid of the first. A few that were missed come at half the distance until
 * time is caught up; more of them, and all of a lazy timer, are skipped.
 */
static void next_period(struct stimer *t, uint64_t now)
{
	uint64_t missed;

	t->expiration = add(t->expiration, period(t));
	t->due = t->expiration;
	if (t->expiration > now)
		return;
	missed = (now - t->expiration) / period(t) + 1;
	if ((t->config & CONFIG_LAZY) || missed > CATCH_UP_MAX) {
		t->expiration = add(t->expiration, missed * period(t));
		t->due = t->expiration;
	} else {
		t->due = add(now, period(t) / 2);
	}
}

/*
 * "If it doesn't become available until shortly before the next timer is due to expire, it is
 * skipped entirely."
 */
static bool too_late(const struct stimer *t, uint64_t now)
{
	uint64_t late = (now - t->expiration) % period(t);

	return (t->config & CONFIG_LAZY) && late > period(t) - period(t) / 4;
}

static void expire(struct vsm_vcpu *vp, unsigned vtl, unsigned index, uint64_t now)
{
	struct stimer *t = &vp->vtls[vtl].stimers[index];
	uint64_t expiration = t->expiration;
	bool skip = false;

	if (t->config & CONFIG_PERIODIC) {
		skip = too_late(t, now);
		next_period(t, now);
		run_until_due(vp, vtl, index, now);
	} else {
		/* "When a one-shot timer expires, it is automatically marked as disabled." */
		t->config &= ~CONFIG_ENABLED;
		t->due_ns = STIMER_NONE;
	}
	if (!skip)
		signal_guest(vp, vtl, index, expiration);
}

static void look_at(struct vsm_vcpu *vp, unsigned vtl, unsigned index, uint64_t now_ns)
{
	uint64_t now;

	if (ref_tsc_now(vp, vtl, &now))
		run_until(vp, vtl, index, add(now_ns, RETRY_NS));
	else if (now < vp->vtls[vtl].stimers[index].due)
		run_until_due(vp, vtl, index, now);
	else
		expire(vp, vtl, index, now);
}

void stimer_expire(struct vsm_vcpu *vp, uint64_t now_ns)
{
	for (unsigned vtl = 0; vtl < vp->partition->vtl_count; vtl++)
		for (unsigned i = 0; i < STIMER_COUNT; i++)
			if (vp->vtls[vtl].stimers[i].due_ns <= now_ns)
				look_at(vp, vtl, i, now_ns);
}
