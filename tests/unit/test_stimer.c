/* SPDX-License-Identifier: MIT */
/* Synthetic timers against a clock the test moves: when, how often, and how a signal arrives. */
#include "synic_fixture.h"

#include "hv/register_names.h"
#include "registers/registers.h"
#include "timer/stimer.h"

#define CONFIG(n)   (HV_MSR_STIMER0_CONFIG + 2 * (n))
#define COUNT(n)    (HV_MSR_STIMER0_CONFIG + 2 * (n) + 1)
#define SINT	    3

#define ENABLE	    0x1u
#define PERIODIC    0x2u
#define LAZY	    0x4u
#define AUTO	    0x8u
#define DIRECT	    (0x1000u | VECTOR << 4)
#define TO_SINT	    (SINT << 16)

#define MS_IN_NS    UINT64_C(1000000)
#define MS_IN_UNITS UINT64_C(10000)

struct payload {
	uint32_t timer, reserved;
	uint64_t expiration, delivery;
};

static void start(struct guest *g)
{
	synic_start(g);
	wr(g, VTL, HV_MSR_SINT0 + SINT, VECTOR);
}

static uint64_t now(struct guest *g)
{
	return rd(g, VTL, HV_MSR_TIME_REF_COUNT);
}

static uint64_t clock_ns(struct guest *g)
{
	return g->x.host->ops->clock_ns(g->x.host);
}

/* Time passes, and what watches the clock calls when it has to. */
static void pass(struct guest *g, uint64_t ns)
{
	uint64_t end = clock_ns(g) + ns, next;

	while ((next = stimer_deadline(g->vp, VTL)) <= end) {
		if (next > clock_ns(g))
			fake_kvm_set_clock(g->x.fake, next);
		stimer_expire(g->vp, clock_ns(g));
	}
	fake_kvm_set_clock(g->x.fake, end);
}

/* Signals of a direct timer in a stretch of time, each taken at once. */
static unsigned count_direct(struct guest *g, uint64_t ns)
{
	uint64_t end = clock_ns(g) + ns, next;
	unsigned n = 0;

	while ((next = stimer_deadline(g->vp, VTL)) <= end) {
		if (next > clock_ns(g))
			fake_kvm_set_clock(g->x.fake, next);
		stimer_expire(g->vp, clock_ns(g));
		if (take_interrupt(g, VTL) >= 0) {
			lapic_eoi(&g->vp->vtls[VTL].lapic);
			n++;
		}
	}
	fake_kvm_set_clock(g->x.fake, end);
	return n;
}

static const struct payload *message(struct guest *g)
{
	const struct hv_message *slot = synic_slot(g, SINT);

	assert_int_equal(slot->type, HV_MESSAGE_TIMER_EXPIRED);
	assert_int_equal(slot->payload_size, sizeof(struct payload));
	assert_int_equal(slot->origin, 0);
	return (const struct payload *)slot->payload;
}

static void empty_slot(struct guest *g)
{
	synic_slot(g, SINT)->type = 0;
	wr(g, VTL, HV_MSR_EOM, 0);
}

/* What the enable bit becomes. */
static void test_enabling(void **state)
{
	static const struct {
		uint64_t config, count;
		bool config_first;
		uint64_t config_after;
		bool armed;
	} rows[] = {
		{TO_SINT | ENABLE, 1000000, false, TO_SINT | ENABLE, true},
		{TO_SINT, 1000000, false, TO_SINT, false},
		{TO_SINT, 1000000, true, TO_SINT, false},
		{TO_SINT | AUTO, 1000000, true, TO_SINT | AUTO | ENABLE, true},
		{TO_SINT | AUTO, 1000000, false, TO_SINT | AUTO, false},
		{TO_SINT | ENABLE, 1000000, true, TO_SINT | ENABLE, true},
		{TO_SINT | ENABLE, 0, true, TO_SINT, false},
		{TO_SINT | AUTO | ENABLE, 0, true, TO_SINT | AUTO, false},
		{ENABLE, 1000000, false, 0, false}, /* SINT 0 */
		{AUTO, 1000000, true, AUTO, false}, /* SINT 0 */
		{DIRECT | ENABLE, 1000000, false, DIRECT | ENABLE, true},
		{DIRECT | AUTO, 1000000, true, DIRECT | AUTO | ENABLE, true},
		{UINT64_C(0xfffffffffff00000) | TO_SINT | 0xe000, 1, true, TO_SINT, false},
	};
	struct guest g;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		start(&g);
		for (unsigned step = 0; step < 2; step++) {
			if ((step == 0) == rows[i].config_first)
				wr(&g, VTL, CONFIG(2), rows[i].config);
			else
				wr(&g, VTL, COUNT(2), rows[i].count);
		}
		assert_int_equal(rd(&g, VTL, CONFIG(2)), rows[i].config_after);
		assert_int_equal(rd(&g, VTL, COUNT(2)), rows[i].count);
		if (rows[i].armed)
			assert_true(g.vp->vtls[VTL].timer_runs);
		assert_int_equal(stimer_deadline(g.vp, VTL) != STIMER_NONE, rows[i].armed);
		assert_int_equal(stimer_deadline(g.vp, 0), STIMER_NONE);
		assert_int_equal(g.vp->vtls[VTL].timer_runs, rows[i].armed);
		assert_false(g.vp->vtls[0].timer_runs);
		assert_int_equal(rd(&g, VTL, CONFIG(1)), 0);
		assert_int_equal(rd(&g, 0, CONFIG(2)), 0);
		guest_stop(&g);
	}
}

static void test_one_shot(void **state)
{
	const struct payload *p;
	struct guest g;
	uint64_t at;

	(void)state;
	start(&g);
	at = now(&g) + MS_IN_UNITS;
	wr(&g, VTL, COUNT(1), at);
	wr(&g, VTL, CONFIG(1), TO_SINT | ENABLE);
	pass(&g, MS_IN_NS - 200);
	assert_int_equal(synic_slot(&g, SINT)->type, 0);
	assert_true(rd(&g, VTL, CONFIG(1)) & ENABLE);
	pass(&g, 400);
	p = message(&g);
	assert_int_equal(p->timer, 1);
	assert_int_equal(p->reserved, 0);
	assert_int_equal(p->expiration, at);
	assert_true(p->delivery >= at && p->delivery <= now(&g));
	assert_int_equal(take_interrupt(&g, VTL), VECTOR);
	assert_int_equal(rd(&g, VTL, CONFIG(1)), TO_SINT);
	assert_int_equal(rd(&g, VTL, COUNT(1)), at);
	assert_int_equal(stimer_deadline(g.vp, VTL), STIMER_NONE);
	assert_false(g.vp->vtls[VTL].timer_runs);
	guest_stop(&g);
}

static void test_past_count_expires_at_once(void **state)
{
	struct guest g;

	(void)state;
	start(&g);
	fake_kvm_advance_clock(g.x.fake, MS_IN_NS);
	wr(&g, VTL, CONFIG(0), DIRECT | AUTO);
	wr(&g, VTL, COUNT(0), 1);
	assert_true(stimer_deadline(g.vp, VTL) <= clock_ns(&g));
	stimer_expire(g.vp, clock_ns(&g));
	assert_int_equal(take_interrupt(&g, VTL), VECTOR);
	assert_int_equal(rd(&g, VTL, CONFIG(0)), DIRECT | AUTO);
	guest_stop(&g);
}

/* Asked too early (the host's clock and the TSC need not agree) it is not given. */
static void test_never_early(void **state)
{
	struct guest g;
	uint64_t at;

	(void)state;
	start(&g);
	at = now(&g) + MS_IN_UNITS;
	wr(&g, VTL, CONFIG(0), DIRECT | AUTO);
	wr(&g, VTL, COUNT(0), at);
	stimer_expire(g.vp, clock_ns(&g) + 10 * MS_IN_NS);
	assert_int_equal(take_interrupt(&g, VTL), -1);
	assert_true(rd(&g, VTL, CONFIG(0)) & ENABLE);
	pass(&g, MS_IN_NS + 200);
	assert_int_equal(take_interrupt(&g, VTL), VECTOR);
	guest_stop(&g);
}

/* Whoever calls late does not push the grid. */
static void test_periodic_does_not_drift(void **state)
{
	uint64_t first = 0;
	struct guest g;

	(void)state;
	start(&g);
	wr(&g, VTL, COUNT(0), MS_IN_UNITS);
	wr(&g, VTL, CONFIG(0), TO_SINT | ENABLE | PERIODIC);
	for (unsigned i = 0; i < 1000; i++) {
		fake_kvm_set_clock(g.x.fake, stimer_deadline(g.vp, VTL) + 1000 * (i % 300));
		stimer_expire(g.vp, clock_ns(&g));
		if (!i)
			first = message(&g)->expiration;
		assert_int_equal(message(&g)->expiration, first + i * MS_IN_UNITS);
		empty_slot(&g);
		assert_int_equal(take_interrupt(&g, VTL), VECTOR);
		lapic_eoi(&g.vp->vtls[VTL].lapic);
	}
	assert_int_equal(rd(&g, VTL, CONFIG(0)), TO_SINT | ENABLE | PERIODIC);
	wr(&g, VTL, CONFIG(0), TO_SINT | PERIODIC);
	assert_int_equal(stimer_deadline(g.vp, VTL), STIMER_NONE);
	guest_stop(&g);
}

/*
 * After the VP was away: a few missed periods are made up for, many are skipped, a lazy timer's all
 * are.
 */
static void test_missed_periods(void **state)
{
	static const struct {
		unsigned config;
		unsigned away_ms;
		unsigned at_once, in_10_ms;
	} rows[] = {
		{DIRECT | PERIODIC | ENABLE, 4, 1, 12},
		{DIRECT | PERIODIC | ENABLE, 100, 1, 10},
		{DIRECT | PERIODIC | LAZY | ENABLE, 4, 1, 10},
		{DIRECT | PERIODIC | LAZY | ENABLE, 100, 1, 10},
	};
	struct guest g;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		start(&g);
		wr(&g, VTL, COUNT(0), MS_IN_UNITS);
		wr(&g, VTL, CONFIG(0), rows[i].config);
		fake_kvm_advance_clock(g.x.fake, rows[i].away_ms * MS_IN_NS + MS_IN_NS / 4);
		assert_int_equal(count_direct(&g, 0), rows[i].at_once);
		assert_in_range(count_direct(&g, 10 * MS_IN_NS), rows[i].in_10_ms,
				rows[i].in_10_ms + 2);
		/* Caught up: one a period again. */
		count_direct(&g, 20 * MS_IN_NS);
		assert_int_equal(count_direct(&g, 50 * MS_IN_NS), 50);
		guest_stop(&g);
	}
}

/* Shortly before the next one is due a lazy signal is skipped, others are not. */
static void test_lazy_skips_late_signals(void **state)
{
	static const unsigned lazy[] = {0, LAZY};
	struct guest g;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lazy); i++) {
		start(&g);
		wr(&g, VTL, COUNT(0), MS_IN_UNITS);
		wr(&g, VTL, CONFIG(0), DIRECT | PERIODIC | ENABLE | lazy[i]);
		fake_kvm_advance_clock(g.x.fake, 2 * MS_IN_NS - MS_IN_NS / 10);
		assert_int_equal(count_direct(&g, 0), lazy[i] ? 0 : 1);
		guest_stop(&g);
	}
}

/* A period nobody could keep up with. */
static void test_shortest_period(void **state)
{
	struct guest g;

	(void)state;
	start(&g);
	wr(&g, VTL, COUNT(0), 1);
	wr(&g, VTL, CONFIG(0), DIRECT | PERIODIC | ENABLE);
	assert_int_equal(count_direct(&g, 10 * MS_IN_NS), 10 * MS_IN_NS / LAPIC_TIMER_MIN_PERIOD);
	guest_stop(&g);
}

static void test_huge_counts(void **state)
{
	static const unsigned configs[] = {DIRECT | ENABLE, DIRECT | PERIODIC | ENABLE};
	struct guest g;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(configs); i++) {
		start(&g);
		wr(&g, VTL, COUNT(0), UINT64_MAX);
		wr(&g, VTL, CONFIG(0), configs[i]);
		assert_int_equal(count_direct(&g, 3600 * 1000 * MS_IN_NS), 0);
		guest_stop(&g);
	}
}

/* The slot is taken: the message waits, and is the first one that did. */
static void test_busy_slot(void **state)
{
	struct guest g;
	uint64_t at;

	(void)state;
	start(&g);
	synic_slot(&g, SINT)->type = 0x1234;
	at = now(&g) + MS_IN_UNITS;
	wr(&g, VTL, COUNT(3), at);
	wr(&g, VTL, CONFIG(3), TO_SINT | ENABLE);
	pass(&g, 5 * MS_IN_NS);
	assert_int_equal(synic_slot(&g, SINT)->type, 0x1234);
	assert_int_equal(synic_slot(&g, SINT)->flags, HV_MESSAGE_FLAG_PENDING);
	assert_int_equal(take_interrupt(&g, VTL), -1);
	empty_slot(&g);
	assert_int_equal(message(&g)->timer, 3);
	assert_int_equal(message(&g)->expiration, at);
	assert_int_equal(message(&g)->delivery, now(&g));
	assert_int_equal(synic_slot(&g, SINT)->flags, 0);
	assert_int_equal(take_interrupt(&g, VTL), VECTOR);
	guest_stop(&g);
}

static void test_busy_slot_periodic(void **state)
{
	struct guest g;
	uint64_t first;

	(void)state;
	start(&g);
	synic_slot(&g, SINT)->type = 0x1234;
	first = now(&g) + MS_IN_UNITS;
	wr(&g, VTL, COUNT(0), MS_IN_UNITS);
	wr(&g, VTL, CONFIG(0), TO_SINT | ENABLE | PERIODIC);
	pass(&g, 5 * MS_IN_NS + MS_IN_NS / 2);
	empty_slot(&g);
	assert_int_equal(message(&g)->expiration, first);
	empty_slot(&g);
	assert_int_equal(synic_slot(&g, SINT)->type, 0);
	pass(&g, MS_IN_NS);
	assert_int_equal(message(&g)->expiration, first + 5 * MS_IN_UNITS);
	guest_stop(&g);
}

/* A message that waits is not delivered after the guest has set the timer anew, or stopped it. */
static void test_setting_takes_back(void **state)
{
	static const struct {
		uint32_t index;
		uint64_t value;
	} rows[] = {{CONFIG(0), 0}, {COUNT(0), 0}, {COUNT(0), UINT64_MAX}};
	struct guest g;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		start(&g);
		synic_slot(&g, SINT)->type = 0x1234;
		wr(&g, VTL, CONFIG(0), TO_SINT | AUTO);
		wr(&g, VTL, COUNT(0), 1);
		pass(&g, MS_IN_NS);
		wr(&g, VTL, rows[i].index, rows[i].value);
		empty_slot(&g);
		assert_int_equal(synic_slot(&g, SINT)->type, 0);
		guest_stop(&g);
	}
}

/* Direct timers need no SynIC, and each VTL has its own four. */
static void test_direct_per_vtl(void **state)
{
	struct guest g;

	(void)state;
	start(&g);
	g.vp->vtls[0].lapic.spiv |= LAPIC_SPIV_ENABLE;
	wr(&g, 0, CONFIG(0), DIRECT | AUTO);
	wr(&g, 0, COUNT(0), now(&g) + MS_IN_UNITS);
	assert_int_equal(stimer_deadline(g.vp, VTL), STIMER_NONE);
	fake_kvm_advance_clock(g.x.fake, 2 * MS_IN_NS);
	assert_true(stimer_deadline(g.vp, 0) < clock_ns(&g));
	stimer_expire(g.vp, clock_ns(&g));
	assert_int_equal(take_interrupt(&g, VTL), -1);
	assert_int_equal(take_interrupt(&g, 0), VECTOR);
	guest_stop(&g);
}

/*
 * The kernel does not tell the TSC: the write fails and changes nothing; an expiry is tried again.
 */
static void test_kernel_failures(void **state)
{
	struct guest g;
	uint64_t at;

	(void)state;
	start(&g);
	at = now(&g) + MS_IN_UNITS;
	wr(&g, VTL, COUNT(0), at);
	fake_kvm_fail(g.x.fake, FAKE_OP_get_msrs, 1, EIO);
	assert_int_equal(synthetic_write(g.vp, VTL, CONFIG(0), DIRECT | ENABLE), -EIO);
	assert_int_equal(rd(&g, VTL, CONFIG(0)), 0);
	assert_int_equal(stimer_deadline(g.vp, VTL), STIMER_NONE);
	wr(&g, VTL, CONFIG(0), DIRECT | ENABLE);
	fake_kvm_advance_clock(g.x.fake, 2 * MS_IN_NS);
	fake_kvm_fail(g.x.fake, FAKE_OP_get_msrs, 1, EIO);
	stimer_expire(g.vp, clock_ns(&g));
	assert_int_equal(take_interrupt(&g, VTL), -1);
	pass(&g, 2 * MS_IN_NS);
	assert_int_equal(take_interrupt(&g, VTL), VECTOR);
	guest_stop(&g);
}

/* They have register names too. */
static void test_register_names(void **state)
{
	struct guest g;

	(void)state;
	start(&g);
	for (uint32_t n = 0; n < 2 * STIMER_COUNT; n++) {
		struct hv_register_value value = {.low = (uint64_t)(n + 1) << 16};

		assert_int_equal(
			register_set(g.vp, VTL, VTL, HV_REGISTER_STIMER0_CONFIG + n, &value),
			HV_SUCCESS);
		assert_int_equal(rd(&g, VTL, HV_MSR_STIMER0_CONFIG + n), value.low);
	}
	guest_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_enabling),
		cmocka_unit_test(test_one_shot),
		cmocka_unit_test(test_past_count_expires_at_once),
		cmocka_unit_test(test_never_early),
		cmocka_unit_test(test_periodic_does_not_drift),
		cmocka_unit_test(test_missed_periods),
		cmocka_unit_test(test_lazy_skips_late_signals),
		cmocka_unit_test(test_shortest_period),
		cmocka_unit_test(test_huge_counts),
		cmocka_unit_test(test_busy_slot),
		cmocka_unit_test(test_busy_slot_periodic),
		cmocka_unit_test(test_setting_takes_back),
		cmocka_unit_test(test_direct_per_vtl),
		cmocka_unit_test(test_register_names),
		cmocka_unit_test(test_kernel_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
