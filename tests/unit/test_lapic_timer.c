/* SPDX-License-Identifier: MIT */
/* The local APIC's timer: one-shot, periodic, TSC-deadline, and changes between them. */
#include "lapic_fixture.h"

#define ONE_SHOT 0x00000
#define PERIODIC 0x20000
#define DEADLINE 0x40000
#define RESERVED 0x60000
#define VECTOR	 0xe1
#define DIVIDE_1 0xb

static void at(uint64_t ns)
{
	now.now_ns = ns;
	now.now_tsc = ns * 2;
}

static struct lapic timer_new(uint32_t timer_mode, uint32_t divide)
{
	struct lapic l = apic_new(0);

	at(1000);
	page_write(&l, APIC_TIMER, timer_mode | VECTOR);
	page_write(&l, APIC_DIVIDE, divide);
	return l;
}

/* Whether the timer fires now, its vector taken and ended. */
static bool fires(struct lapic *l)
{
	bool fired = lapic_timer_expire(l, &now);

	assert_true(lapic_valid(l));
	assert_int_equal(lapic_ack(l), fired ? VECTOR : -1);
	if (fired)
		assert_int_equal(lapic_eoi(l), -1);
	return fired;
}

static void one_shot(void **state)
{
	struct lapic l = timer_new(ONE_SHOT, DIVIDE_1);

	(void)state;
	assert_int_equal(lapic_timer_deadline(&l, &now), LAPIC_TIMER_NONE);
	page_write(&l, APIC_INITIAL, 500);
	assert_int_equal(lapic_timer_deadline(&l, &now), 1500);
	assert_int_equal(page_read(&l, APIC_CURRENT), 500);
	at(1400);
	assert_int_equal(page_read(&l, APIC_CURRENT), 100);
	assert_false(fires(&l));
	at(1600);
	assert_int_equal(page_read(&l, APIC_CURRENT), 0);
	assert_int_equal(lapic_timer_deadline(&l, &now), 1600);
	assert_true(fires(&l));
	assert_false(fires(&l));
	assert_int_equal(lapic_timer_deadline(&l, &now), LAPIC_TIMER_NONE);
	assert_int_equal(page_read(&l, APIC_CURRENT), 0);
	assert_int_equal(page_read(&l, APIC_INITIAL), 500);
	page_write(&l, APIC_INITIAL, 500);
	page_write(&l, APIC_INITIAL, 0); /* stops it */
	assert_int_equal(lapic_timer_deadline(&l, &now), LAPIC_TIMER_NONE);
}

static void divisors(void **state)
{
	static const struct {
		uint32_t config;
		unsigned divisor;
	} cases[] = {{0x0, 2},	{0x1, 4},  {0x2, 8},   {0x3, 16},
		     {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lapic l = timer_new(ONE_SHOT, cases[i].config | 0xfffffff4);

		assert_int_equal(page_read(&l, APIC_DIVIDE), cases[i].config);
		page_write(&l, APIC_INITIAL, UINT32_MAX);
		assert_int_equal(lapic_timer_deadline(&l, &now),
				 1000 + (uint64_t)UINT32_MAX * cases[i].divisor);
		at(1000 + 10 * cases[i].divisor);
		assert_int_equal(page_read(&l, APIC_CURRENT), UINT32_MAX - 10);
	}
}

static void divide_changes_midway(void **state)
{
	struct lapic l = timer_new(ONE_SHOT, DIVIDE_1);

	(void)state;
	page_write(&l, APIC_INITIAL, 1000);
	at(1600);
	page_write(&l, APIC_DIVIDE, 0); /* 2 */
	assert_int_equal(page_read(&l, APIC_CURRENT), 400);
	assert_int_equal(lapic_timer_deadline(&l, &now), 1600 + 800);
}

static void periodic_without_drift(void **state)
{
	struct lapic l = timer_new(PERIODIC, DIVIDE_1);

	(void)state;
	page_write(&l, APIC_INITIAL, 1000000);
	assert_int_equal(lapic_timer_deadline(&l, &now), 1001000);
	at(1001234); /* late */
	assert_int_equal(page_read(&l, APIC_CURRENT), 1000000 - 234);
	assert_true(fires(&l));
	assert_int_equal(lapic_timer_deadline(&l, &now), 2001000);
	assert_int_equal(page_read(&l, APIC_CURRENT), 1000000 - 234);
	at(2001000);
	assert_true(fires(&l));
	assert_int_equal(lapic_timer_deadline(&l, &now), 3001000);

	/* Many periods late: one interrupt, and still in step. */
	at(UINT64_C(1000000000000001000) + 77);
	assert_int_equal(page_read(&l, APIC_CURRENT), 1000000 - 77);
	assert_true(fires(&l));
	assert_false(fires(&l));
	assert_int_equal(lapic_timer_deadline(&l, &now), UINT64_C(1000000000001001000));
}

static void periodic_has_a_least_period(void **state)
{
	struct lapic l = timer_new(PERIODIC, DIVIDE_1);

	(void)state;
	page_write(&l, APIC_INITIAL, 1);
	assert_int_equal(lapic_timer_deadline(&l, &now), 1000 + LAPIC_TIMER_MIN_PERIOD);
	assert_int_equal(page_read(&l, APIC_CURRENT), 1);
	at(1000 + LAPIC_TIMER_MIN_PERIOD);
	assert_true(fires(&l));
	assert_int_equal(lapic_timer_deadline(&l, &now), 1000 + 2 * LAPIC_TIMER_MIN_PERIOD);
}

static void end_of_time(void **state)
{
	struct lapic l = timer_new(PERIODIC, DIVIDE_1);

	(void)state;
	at(UINT64_MAX - 300000);
	page_write(&l, APIC_INITIAL, 200000);
	at(UINT64_MAX - 1);
	assert_true(fires(&l));
	assert_int_equal(lapic_timer_deadline(&l, &now), LAPIC_TIMER_NONE);
}

static void masked(void **state)
{
	struct lapic l = timer_new(ONE_SHOT | LAPIC_LVT_MASKED, DIVIDE_1);

	(void)state;
	page_write(&l, APIC_INITIAL, 500);
	assert_int_equal(lapic_timer_deadline(&l, &now), LAPIC_TIMER_NONE);
	at(1200);
	assert_int_equal(page_read(&l, APIC_CURRENT), 300); /* it counts all the same */
	page_write(&l, APIC_TIMER, ONE_SHOT | VECTOR);
	assert_int_equal(lapic_timer_deadline(&l, &now), 1500);
	page_write(&l, APIC_TIMER, ONE_SHOT | LAPIC_LVT_MASKED | VECTOR);
	at(1600);
	page_write(&l, APIC_TIMER, ONE_SHOT | VECTOR); /* what it missed is gone */
	assert_false(fires(&l));
}

/* What is due as the guest masks or stops the timer has happened before. */
static void due_before_the_write(void **state)
{
	static const struct {
		uint32_t reg, value;
	} writes[] = {
		{APIC_TIMER, LAPIC_LVT_MASKED | VECTOR},
		{APIC_TIMER, DEADLINE | VECTOR},
		{APIC_INITIAL, 0},
		{APIC_DIVIDE, 0},
		{APIC_SPIV, 0xff},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
		struct lapic l = timer_new(ONE_SHOT, DIVIDE_1);

		page_write(&l, APIC_INITIAL, 500);
		at(1500);
		page_write(&l, writes[i].reg, writes[i].value);
		assert_int_equal(lapic_ack(&l), VECTOR);
		assert_int_equal(lapic_timer_deadline(&l, &now), LAPIC_TIMER_NONE);
	}
}

static void counting_modes_swap(void **state)
{
	struct lapic l = timer_new(ONE_SHOT, DIVIDE_1);

	(void)state;
	page_write(&l, APIC_INITIAL, 1000000);
	at(500000);
	page_write(&l, APIC_TIMER, PERIODIC | VECTOR); /* goes on counting */
	assert_int_equal(lapic_timer_deadline(&l, &now), 1001000);
	at(1001000);
	assert_true(fires(&l));
	assert_int_equal(lapic_timer_deadline(&l, &now), 2001000);
	page_write(&l, APIC_TIMER, ONE_SHOT | VECTOR);
	at(2001000);
	assert_true(fires(&l));
	page_write(&l, APIC_TIMER, PERIODIC | VECTOR); /* an expired count stays at zero */
	assert_int_equal(page_read(&l, APIC_CURRENT), 0);
	assert_int_equal(lapic_timer_deadline(&l, &now), LAPIC_TIMER_NONE);
}

static void tsc_deadline(void **state)
{
	struct lapic l = timer_new(DEADLINE, DIVIDE_1);

	(void)state;
	page_write(&l, APIC_INITIAL, 500); /* ignored */
	assert_int_equal(page_read(&l, APIC_INITIAL), 0);
	assert_int_equal(page_read(&l, APIC_CURRENT), 0);
	assert_int_equal(lapic_timer_deadline(&l, &now), LAPIC_TIMER_NONE);

	assert_int_equal(msr_write(&l, LAPIC_MSR_TSC_DEADLINE, 3001), 0);
	assert_int_equal(msr_read(&l, LAPIC_MSR_TSC_DEADLINE), 3001);
	assert_int_equal(lapic_timer_deadline(&l, &now), 1501); /* rounded up */
	at(1500);
	assert_false(fires(&l));
	at(1501);
	assert_true(fires(&l));
	assert_int_equal(msr_read(&l, LAPIC_MSR_TSC_DEADLINE), 0);
	assert_false(fires(&l));

	assert_int_equal(msr_write(&l, LAPIC_MSR_TSC_DEADLINE, 1), 0); /* in the past */
	assert_int_equal(lapic_ack(&l), VECTOR);
	assert_int_equal(lapic_eoi(&l), -1);
	assert_int_equal(lapic_timer_deadline(&l, &now), LAPIC_TIMER_NONE);

	assert_int_equal(msr_write(&l, LAPIC_MSR_TSC_DEADLINE, 5000), 0);
	assert_int_equal(msr_write(&l, LAPIC_MSR_TSC_DEADLINE, 0), 0); /* disarms */
	at(10000);
	assert_false(fires(&l));
}

static void tsc_conversions(void **state)
{
	static const struct {
		uint64_t deadline, khz, expected;
	} cases[] = {
		{2000, 1000000, 1000}, /* now */
		{1, 1000000, 1000},    /* past */
		{2001, 1000000, 1001},
		{2001, 3000000, 1001}, /* a third of a ns, rounded up */
		{2003, 3000000, 1001},
		{2004, 3000000, 1002},
		{UINT64_MAX, 1, LAPIC_TIMER_NONE},
		{UINT64_MAX, UINT64_MAX, 1001000},
		{UINT64_MAX, 1000000, LAPIC_TIMER_NONE - 1000},
		{3000, 0, LAPIC_TIMER_NONE}, /* unknown frequency */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lapic l = timer_new(DEADLINE, DIVIDE_1);
		struct lapic_clock clock = {1000, 2000, cases[i].khz};

		l.tsc_deadline = cases[i].deadline;
		assert_int_equal(lapic_timer_deadline(&l, &clock), cases[i].expected);
	}
}

static void mode_switch_disarms(void **state)
{
	static const uint32_t modes[] = {ONE_SHOT, PERIODIC, DEADLINE, RESERVED};

	(void)state;
	for (size_t from = 0; from < 4; from++) {
		for (size_t to = 0; to < 4; to++) {
			bool stays = from == to || (from < 2 && to < 2);
			struct lapic l = timer_new(modes[from], DIVIDE_1);
			bool armed;

			page_write(&l, APIC_INITIAL, 1000000);
			assert_int_equal(msr_write(&l, LAPIC_MSR_TSC_DEADLINE, 1000000), 0);
			armed = lapic_timer_deadline(&l, &now) != LAPIC_TIMER_NONE;
			assert_int_equal(armed, from < 3);
			page_write(&l, APIC_TIMER, modes[to] | VECTOR);
			assert_int_equal(lapic_timer_deadline(&l, &now) != LAPIC_TIMER_NONE,
					 armed && stays);
		}
	}
}

static void deadline_msr_in_other_modes(void **state)
{
	struct lapic l = timer_new(ONE_SHOT, DIVIDE_1);

	(void)state;
	assert_int_equal(msr_write(&l, LAPIC_MSR_TSC_DEADLINE, 1), 0);
	assert_int_equal(msr_read(&l, LAPIC_MSR_TSC_DEADLINE), 0);
	assert_false(fires(&l));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_shot),
		cmocka_unit_test(divisors),
		cmocka_unit_test(divide_changes_midway),
		cmocka_unit_test(periodic_without_drift),
		cmocka_unit_test(periodic_has_a_least_period),
		cmocka_unit_test(end_of_time),
		cmocka_unit_test(masked),
		cmocka_unit_test(due_before_the_write),
		cmocka_unit_test(counting_modes_swap),
		cmocka_unit_test(tsc_deadline),
		cmocka_unit_test(tsc_conversions),
		cmocka_unit_test(mode_switch_disarms),
		cmocka_unit_test(deadline_msr_in_other_modes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
