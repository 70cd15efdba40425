/* SPDX-License-Identifier: MIT */
/* Guests that move their TSC: all VTLs of the VP move, reference time does not. */
#include "synic_fixture.h"

#include <signal.h>
#include "msr/ref_tsc.h"
#include "msr/shared_msr.h"
#include "msr/tsc.h"

#define VPS 2

struct page {
	uint32_t sequence, reserved;
	uint64_t scale;
	int64_t offset;
};

struct tsc {
	struct guest g;
	struct vsm_vcpu *vps[VPS];
};

static void start_on(struct tsc *t, unsigned vps, bool adjust)
{
	struct vsm_partition_options o;

	fixture_start(&t->g.x, RAM_MIB);
	if (!adjust)
		fake_kvm_remove_msr(t->g.x.fake, MSR_TSC_ADJUST);
	o = guest_options(&t->g);
	o.max_vps = VPS;
	o.kick_signal = SIGUSR1;
	guest_start_with(&t->g, &o);
	t->vps[0] = t->g.vp;
	for (uint32_t i = 1; i < vps; i++) {
		struct vsm_vcpu_options v = {.size = sizeof(v), .index = i, .apic_id = i};

		assert_int_equal(vsm_vcpu_create(t->g.p, &v, &t->vps[i]), 0);
	}
}

static void start(struct tsc *t, unsigned vps)
{
	start_on(t, vps, true);
}

static uint64_t tsc_of(struct tsc *t, unsigned vp, unsigned vtl)
{
	return fake_vcpu_msr(t->g.x.fake, vsm_vcpu_fd(t->vps[vp], vtl), MSR_TSC);
}

static uint64_t adjust_of(struct tsc *t, unsigned vp, unsigned vtl)
{
	return fake_vcpu_msr(t->g.x.fake, vsm_vcpu_fd(t->vps[vp], vtl), MSR_TSC_ADJUST);
}

static uint64_t ref(struct tsc *t, unsigned vp)
{
	uint64_t now;

	assert_int_equal(ref_tsc_now(t->vps[vp], 0, &now), 0);
	return now;
}

static struct page *page_of(struct tsc *t)
{
	return (struct page *)t->g.p->vtls[0].ref_tsc_page->host;
}

static uint64_t page_time(struct tsc *t, unsigned vp)
{
	const struct page *p = page_of(t);

	return (uint64_t)(((__uint128_t)tsc_of(t, vp, 0) * p->scale) >> 64) + (uint64_t)p->offset;
}

static void test_moves_all_vtls(void **state)
{
	static const struct {
		uint32_t index;
		uint64_t value;
	} rows[] = {{MSR_TSC, 5},
		    {MSR_TSC, UINT64_C(1) << 60},
		    {MSR_TSC_ADJUST, 0x12345},
		    {MSR_TSC_ADJUST, 0}};
	struct tsc t;

	(void)state;
	start(&t, 2);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t before = tsc_of(&t, 0, 0), adjust = adjust_of(&t, 0, 0);
		uint64_t other = tsc_of(&t, 1, 0);

		assert_int_equal(shared_msr_write(t.vps[0], rows[i].index, rows[i].value), 0);
		assert_int_equal(rows[i].index == MSR_TSC ? tsc_of(&t, 0, 0) : adjust_of(&t, 0, 0),
				 rows[i].value);
		assert_int_equal(tsc_of(&t, 0, 0) - before, adjust_of(&t, 0, 0) - adjust);
		assert_int_equal(tsc_of(&t, 0, 1), tsc_of(&t, 0, 0));
		assert_int_equal(adjust_of(&t, 0, 1), adjust_of(&t, 0, 0));
		assert_int_equal(tsc_of(&t, 1, 0), other);
	}
	guest_stop(&t.g);
}

static void test_by_wrmsr(void **state)
{
	const struct fake_step steps[] = {
		{.kind = FAKE_WRMSR, .msr = MSR_TSC, .data = 0x1000, .length = 2},
		{.kind = FAKE_OUT, .port = 0x80, .size = 1, .length = 2},
	};
	struct kvm_run *run;
	struct tsc t;

	(void)state;
	start(&t, 1);
	fake_vcpu_script(t.g.x.fake, vsm_vcpu_fd(t.vps[0], 0), steps, ARRAY_SIZE(steps));
	assert_int_equal(vsm_vcpu_run(t.vps[0], &run), 0);
	assert_int_equal(tsc_of(&t, 0, 0), 0x1000);
	assert_int_equal(tsc_of(&t, 0, 1), 0x1000);
	guest_stop(&t.g);
}

/* One VP: the page follows at once. */
static void test_reference_time_of_one(void **state)
{
	struct tsc t;
	uint64_t before;

	(void)state;
	start(&t, 1);
	wr(&t.g, 0, HV_MSR_REFERENCE_TSC, PAGE_ASSIST | 1);
	fake_kvm_advance_clock(t.g.x.fake, 123456000);
	before = ref(&t, 0);
	assert_int_equal(page_time(&t, 0), before);
	assert_int_equal(page_of(&t)->sequence, 1);
	assert_int_equal(shared_msr_write(t.vps[0], MSR_TSC, 7), 0);
	assert_int_equal(ref(&t, 0), before);
	assert_int_equal(page_time(&t, 0), before);
	assert_int_equal(page_of(&t)->sequence, 2);
	fake_kvm_advance_clock(t.g.x.fake, 1000000);
	assert_in_range(ref(&t, 0), before + 9999, before + 10001);
	assert_int_equal(page_time(&t, 0), ref(&t, 0));
	guest_stop(&t.g);
}

/* Several: the page cannot be right for all until all have moved alike. */
static void test_reference_time_of_two(void **state)
{
	struct tsc t;
	uint64_t before, moved;

	(void)state;
	start(&t, 2);
	wr(&t.g, 0, HV_MSR_REFERENCE_TSC, PAGE_ASSIST | 1);
	fake_kvm_advance_clock(t.g.x.fake, 123456000);
	before = ref(&t, 0);
	assert_int_equal(shared_msr_write(t.vps[0], MSR_TSC_ADJUST, 1000000), 0);
	moved = 1000000;
	assert_int_equal(page_of(&t)->sequence, 0);
	assert_int_equal(ref(&t, 0), before);
	assert_int_equal(ref(&t, 1), before);
	/* Switching it off and on does not make it usable. */
	wr(&t.g, 0, HV_MSR_REFERENCE_TSC, 0);
	wr(&t.g, 0, HV_MSR_REFERENCE_TSC, PAGE_ASSIST | 1);
	assert_int_equal(page_of(&t)->sequence, 0);
	assert_int_equal(shared_msr_write(t.vps[1], MSR_TSC_ADJUST, moved), 0);
	assert_int_equal(page_of(&t)->sequence, 2);
	assert_int_equal(ref(&t, 0), before);
	assert_int_equal(page_time(&t, 0), before);
	assert_int_equal(page_time(&t, 1), before);
	guest_stop(&t.g);
}

static void test_sequence_is_never_reserved(void **state)
{
	struct tsc t;

	(void)state;
	start(&t, 1);
	wr(&t.g, 0, HV_MSR_REFERENCE_TSC, PAGE_ASSIST | 1);
	t.g.p->ref_sequence = UINT32_MAX - 2;
	for (uint64_t i = 1; i < 5; i++) {
		assert_int_equal(shared_msr_write(t.vps[0], MSR_TSC_ADJUST, i * 1000), 0);
		assert_true(page_of(&t)->sequence != 0 && page_of(&t)->sequence != UINT32_MAX);
	}
	guest_stop(&t.g);
}

/*
 * A failure on the way leaves every VTL where it was; a host that cannot is no reason to stop a
 * guest.
 */
static void test_failures(void **state)
{
	struct tsc t;

	(void)state;
	start(&t, 1);
	for (unsigned nth = 1; nth <= 2; nth++) {
		uint64_t before = tsc_of(&t, 0, 0);

		fake_kvm_fail(t.g.x.fake, FAKE_OP_set_tsc_offset, nth, EIO);
		assert_int_equal(shared_msr_write(t.vps[0], MSR_TSC, 5), -EIO);
		assert_int_equal(tsc_of(&t, 0, 0), before);
		assert_int_equal(tsc_of(&t, 0, 1), before);
		assert_int_equal(adjust_of(&t, 0, 0), 0);
		fake_kvm_fail(t.g.x.fake, FAKE_OP_set_tsc_offset, nth, ENXIO);
		assert_int_equal(shared_msr_write(t.vps[0], MSR_TSC, 5), 0);
		assert_int_equal(tsc_of(&t, 0, 0), before);
		assert_int_equal(tsc_of(&t, 0, 1), before);
	}
	guest_stop(&t.g);
}

static void test_without_adjust(void **state)
{
	struct tsc t;

	(void)state;
	start_on(&t, 1, false);
	assert_int_equal(shared_msr_write(t.vps[0], MSR_TSC_ADJUST, 5), -EINVAL);
	assert_int_equal(shared_msr_write(t.vps[0], MSR_TSC, 5), 0);
	assert_int_equal(tsc_of(&t, 0, 1), 5);
	guest_stop(&t.g);
}

static struct overlay *shown(struct tsc *t, unsigned vtl)
{
	return overlay_at(&t->g.p->memory, vtl, PAGE_ASSIST >> VSM_PAGE_SHIFT);
}

/* A VTL's page is laid over its own view and lower ones, in all or in none. */
static void test_views(void **state)
{
	const uint64_t on = PAGE_ASSIST | 1;
	const struct overlay *own;
	struct tsc t;

	(void)state;
	start(&t, 1);
	wr(&t.g, 0, HV_MSR_REFERENCE_TSC, on);
	assert_non_null(shown(&t, 0));
	assert_null(shown(&t, 1));
	wr(&t.g, 0, HV_MSR_REFERENCE_TSC, 0);
	own = t.g.p->vtls[1].ref_tsc_page;
	for (unsigned nth = 1; nth <= 2; nth++) {
		fake_kvm_fail(t.g.x.fake, FAKE_OP_map_memory, nth, ENOMEM);
		assert_int_equal(synthetic_write(t.g.vp, 1, HV_MSR_REFERENCE_TSC, on), -ENOMEM);
		assert_null(shown(&t, 0));
		assert_null(shown(&t, 1));
		assert_int_equal(rd(&t.g, 1, HV_MSR_REFERENCE_TSC), 0);
	}
	wr(&t.g, 1, HV_MSR_REFERENCE_TSC, on);
	assert_ptr_equal(shown(&t, 1), own);
	assert_int_equal(shown(&t, 0)->pool, own->pool);
	fake_kvm_fail(t.g.x.fake, FAKE_OP_map_memory, 2, ENOMEM);
	assert_int_equal(synthetic_write(t.g.vp, 1, HV_MSR_REFERENCE_TSC, 0), -ENOMEM);
	assert_non_null(shown(&t, 0));
	assert_non_null(shown(&t, 1));
	assert_int_equal(rd(&t.g, 1, HV_MSR_REFERENCE_TSC), on);
	assert_int_equal(vsm_partition_reset(t.g.p), 0);
	assert_null(shown(&t, 0));
	assert_null(shown(&t, 1));
	guest_stop(&t.g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moves_all_vtls),
		cmocka_unit_test(test_by_wrmsr),
		cmocka_unit_test(test_reference_time_of_one),
		cmocka_unit_test(test_reference_time_of_two),
		cmocka_unit_test(test_sequence_is_never_reserved),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_without_adjust),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
