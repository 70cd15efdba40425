/* SPDX-License-Identifier: MIT */
/* vsm_partition_reset(): every VTL above 0 is gone, and what it kept secret with it. */
#include "partition_fixture.h"

#include <errno.h>
#include <string.h>
#include "hv/register_names.h"
#include "msr/synthetic.h"
#include "registers/registers.h"

#define SCATTERED 32u /* pages */

/* VTL1 is active, has pages shown, a secret, and an interest in LSTAR. */
static void start(struct guest *g, size_t i, uint64_t config)
{
	const struct hv_register_value control = {.low = 1 << 6};

	guest_start(g, guest_combinations[i].topology, guest_combinations[i].enforcement);
	guest_enable_vtl1(g);
	for (unsigned vtl = 0; vtl < 2; vtl++) {
		assert_int_equal(synthetic_write(g->vp, vtl, HV_MSR_GUEST_OS_ID, 1), 0);
		assert_int_equal(synthetic_write(g->vp, vtl, HV_MSR_HYPERCALL, PAGE_CODE | 1), 0);
		assert_int_equal(synthetic_write(g->vp, vtl, HV_MSR_SIMP, PAGE_SIMP | 1), 0);
		assert_int_equal(
			synthetic_write(g->vp, vtl, HV_MSR_VP_ASSIST_PAGE, PAGE_ASSIST | 1), 0);
	}
	assert_int_equal(memory_limit_default(&g->p->memory, 1, PROT_ALL), 0);
	assert_int_equal(
		memory_limit(&g->p->memory, 1, 0, PAGE_SECRET >> 12, (PAGE_SECRET >> 12) + 1, 0),
		0);
	assert_int_equal(register_set(g->vp, 1, 1, HV_REGISTER_CR_INTERCEPT_CONTROL, &control), 0);
	g->p->vtls[1].config = config;
	vcpu_activate(g->vp, 1);
	g->vp->vtls[1].entry_pending = true;
	g->x.mem[PAGE_SECRET] = 42;
}

static void everything_is_as_new(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(guest_combinations); i++) {
		struct guest g;
		struct kvm_run *run;
		const struct fake_step steps[] = {
			{.kind = FAKE_WRMSR, .msr = 0xc0000082, .data = 7, .length = 2},
			{.kind = FAKE_LOAD, .gva = PAGE_SECRET, .size = 8, .length = 3},
			{.kind = FAKE_LOAD, .gva = PAGE_CODE, .size = 8, .length = 3},
			{.kind = FAKE_OUT, .port = 0x3f8, .size = 1, .length = 2},
		};

		start(&g, i, HV_PARTITION_CONFIG_ZERO_ON_RESET);
		g.x.mem[PAGE_CODE] = 42;
		assert_int_equal(vsm_partition_reset(g.p), 0);
		assert_int_equal(g.p->enabled_vtls, 1);
		assert_int_equal(g.vp->enabled_vtls, 1);
		assert_int_equal(vsm_vcpu_active_vtl(g.vp), 0);
		assert_int_equal(g.p->vtls[1].config, 0);
		assert_int_equal(g.x.mem[PAGE_SECRET], 0);
		for (unsigned vtl = 0; vtl < 2; vtl++) {
			assert_int_equal(g.p->vtls[vtl].guest_os_id, 0);
			assert_int_equal(g.vp->vtls[vtl].synic.simp, 0);
			assert_int_equal(g.vp->vtls[vtl].assist_msr, 0);
			assert_int_equal(g.p->memory.shown_count[vtl], 0);
		}
		/* VTL0 goes on: nothing is intercepted, closed or covered. */
		fake_vcpu_script(g.x.fake, vsm_vcpu_fd(g.vp, 0), steps, ARRAY_SIZE(steps));
		assert_int_equal(vsm_vcpu_run(g.vp, &run), 0);
		assert_int_equal(run->exit_reason, KVM_EXIT_IO);
		assert_int_equal(vsm_vcpu_active_vtl(g.vp), 0);
		assert_int_equal(fake_vcpu_regs(g.x.fake, vsm_vcpu_fd(g.vp, 0))->rax, 0);
		assert_true(fake_kvm_script_done(g.x.fake));
		guest_stop(&g);
	}
}

static void memory_stays_if_the_vtl_wants_it(void **state)
{
	struct guest g;

	(void)state;
	start(&g, 3, 0);
	assert_int_equal(vsm_partition_reset(g.p), 0);
	assert_int_equal(g.x.mem[PAGE_SECRET], 42);
	/* Without a VTL above 0 there is nothing to keep from anyone. */
	assert_int_equal(vsm_partition_reset(g.p), 0);
	assert_int_equal(g.x.mem[PAGE_SECRET], 42);
	guest_stop(&g);
}

/* Every other page of `pages`, and all of `others`. */
static void scatter(struct memory *m, unsigned setter, uint64_t pages, uint64_t others)
{
	assert_int_equal(memory_limit(m, setter, 0, others, others + SCATTERED, 0), 0);
	for (uint64_t page = pages; page < pages + SCATTERED; page += 2)
		assert_int_equal(memory_limit(m, setter, 0, page, page + 1, 0), 0);
}

/*
 * Each of two VTLs hides what the other has scattered. With one of them gone there are more slots
 * to show than a view may have, which a guest must not be able to make a reset fail with.
 */
static void what_two_vtls_hide(void **state)
{
	struct vsm_partition_options o;
	struct memory *m;
	struct guest g;

	(void)state;
	fixture_start(&g.x, RAM_MIB);
	o = guest_options(&g);
	o.enforcement = VSM_ENFORCEMENT_SLOTS;
	o.max_vtl = 2;
	guest_start_with(&g, &o);
	m = &g.p->memory;
	m->slot_limit = SCATTERED / 2;
	for (unsigned setter = 1; setter < 3; setter++)
		assert_int_equal(memory_limit_default(m, setter, PROT_ALL), 0);
	assert_int_equal(memory_limit(m, 2, 0, 0x100, 0x100 + SCATTERED, 0), 0);
	scatter(m, 1, 0x100, 0x200);
	scatter(m, 2, 0x200, 0x100);
	for (unsigned setter = 1; setter < 3; setter++) {
		assert_int_equal(memory_limit_drop(m, setter), -ENOSPC);
		assert_true(m->limits_on[setter]);
		assert_int_equal(memory_rights(m, 0, 0x101).prot, 0);
		assert_int_equal(memory_rights(m, 0, 0x201).prot, 0);
	}
	assert_int_equal(vsm_partition_reset(g.p), 0);
	assert_null(vsm_partition_death(g.p));
	assert_int_equal(memory_lowest_setter(m, 0), 0);
	assert_int_equal(memory_rights(m, 0, 0x100).prot, PROT_ALL);
	assert_int_equal(memory_limit_drop_all(m), 0);
	guest_stop(&g);
}

/* With nobody left to ask for MBEC, masks mean what they did: nothing runs by UX alone. */
static void masks_keep_their_meaning(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, VSM_TOPOLOGY_DEFAULT, VSM_ENFORCEMENT_DEFAULT);
	guest_enable_vtl1(&g);
	assert_int_equal(memory_limit_default(&g.p->memory, 1, PROT_ALL), 0);
	assert_int_equal(memory_limit(&g.p->memory, 1, 0, 0x20, 0x21, PROT_R | PROT_UX), 0);
	assert_int_equal(vsm_vcpu_reset(g.vp), 0);
	assert_int_equal(g.vp->enabled_vtls, 1);
	assert_false(memory_allows(&g.p->memory, 0, 0x20, MEM_EXECUTE, true, NULL));
	guest_stop(&g);
}

static void errors(void **state)
{
	struct guest g;

	(void)state;
	assert_int_equal(vsm_partition_reset(NULL), -EINVAL);
	start(&g, 3, HV_PARTITION_CONFIG_ZERO_ON_RESET);
	atomic_store(&g.vp->thread, 1);
	assert_int_equal(vsm_partition_reset(g.p), -EBUSY);
	assert_int_equal(g.x.mem[PAGE_SECRET], 42);
	assert_int_equal(g.p->enabled_vtls, 3);
	atomic_store(&g.vp->thread, 0);
	fake_kvm_fail(g.x.fake, FAKE_OP_set_msr_filter, 1, EIO);
	assert_int_equal(vsm_partition_reset(g.p), -EIO);
	assert_int_equal(g.x.mem[PAGE_SECRET], 0);
	assert_non_null(vsm_partition_death(g.p));
	guest_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_as_new),
		cmocka_unit_test(memory_stays_if_the_vtl_wants_it),
		cmocka_unit_test(what_two_vtls_hide),
		cmocka_unit_test(masks_keep_their_meaning),
		cmocka_unit_test(errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
