/* SPDX-License-Identifier: MIT */
/* The shortcuts of a VTL switch: a remembered walk to the code page, and comparing only what an XSAVE image says. */
#include "partition_fixture.h"

#include <string.h>
#include "msr/synthetic.h"
#include "vcpu/code_page.h"
#include "vcpu/shared.h"

#define TABLES	     UINT64_C(0x1000) /* one page each of levels 4 to 1 */
#define OTHER_TABLES UINT64_C(0x8000)
#define TABLE_ENTRY  0x67
#define NX	     (UINT64_C(1) << 63)
#define EFER_NXE     (UINT64_C(1) << 11)
#define CR4_SMEP     (UINT64_C(1) << 20)
#define USER	     4
#define XMM0	     160
#define XSTATE_BV    512
#define YMM0_HIGH    576

static void write_tables(struct guest *g, uint64_t at)
{
	uint64_t *t = (uint64_t *)(g->x.mem + at);

	for (unsigned level = 0; level < 3; level++)
		t[level * 512] = (at + (level + 1) * 0x1000) | TABLE_ENTRY;
	for (uint64_t i = 0; i < 512; i++)
		t[3 * 512 + i] = i << 12 | TABLE_ENTRY;
}

static int set_up(void **state)
{
	static struct guest g;

	guest_start(&g, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	guest_enable_vtl1(&g);
	write_tables(&g, TABLES);
	write_tables(&g, OTHER_TABLES);
	fake_vcpu_long_mode(g.x.fake, vsm_vcpu_fd(g.vp, 0), TABLES, ENTRY_CALL, 0x9000);
	assert_int_equal(synthetic_write(g.vp, 0, HV_MSR_GUEST_OS_ID, 1), 0);
	assert_int_equal(synthetic_write(g.vp, 0, HV_MSR_HYPERCALL, PAGE_CODE | 1), 0);
	*state = &g;
	return 0;
}

static int tear_down(void **state)
{
	guest_stop(*state);
	return 0;
}

static struct kvm_sregs *sregs(struct guest *g)
{
	struct kvm_sregs *s;

	assert_int_equal(vtl_cpu_sregs(&g->vp->vtls[0].cpu, &s), 0);
	return s;
}

/* As exit_hypercall.c asks. */
static bool holds_at(struct guest *g, uint64_t rip)
{
	return code_walk_holds(&vcpu_active(g->vp)->code, &g->p->memory, sregs(g), gva_from(rip)) ||
	       code_page_walk(g->vp, sregs(g), gva_from(rip));
}

static bool holds(struct guest *g)
{
	return holds_at(g, ENTRY_CALL);
}

/* The walk is in force, and what follows is decided against it. */
static void remember(struct guest *g)
{
	assert_true(holds(g));
	assert_int_not_equal(vcpu_active(g->vp)->code.changes, 0);
	assert_true(holds(g));
}

static uint64_t *entry(struct guest *g, unsigned level)
{
	uint64_t *table = (uint64_t *)(g->x.mem + TABLES + (4 - level) * 0x1000);

	return &table[level == 1 ? PAGE_CODE >> 12 : 0];
}

static void test_changed_entries(void **state)
{
	struct guest *g = *state;

	for (unsigned level = 1; level <= 4; level++) {
		uint64_t old = *entry(g, level);

		remember(g);
		*entry(g, level) = 0;
		assert_false(holds(g));
		*entry(g, level) = old;
		remember(g);
	}
	remember(g);
	*entry(g, 1) = (PAGE_CODE + 0x1000) | TABLE_ENTRY;
	assert_false(holds(g));
}

static void test_changed_mode(void **state)
{
	struct guest *g = *state;

	*entry(g, 1) |= NX;
	remember(g);
	sregs(g)->efer |= EFER_NXE;
	assert_false(holds(g));
	sregs(g)->efer &= ~EFER_NXE;
	for (unsigned level = 1; level <= 4; level++)
		*entry(g, level) |= USER;
	remember(g);
	sregs(g)->cr4 |= CR4_SMEP;
	assert_false(holds(g));
}

static void test_other_tables_and_page(void **state)
{
	struct guest *g = *state;

	remember(g);
	((uint64_t *)(g->x.mem + OTHER_TABLES + 0x3000))[PAGE_CODE >> 12] = 0;
	sregs(g)->cr3 = OTHER_TABLES;
	assert_false(holds(g));
	sregs(g)->cr3 = TABLES;
	remember(g);
	assert_false(holds_at(g, ENTRY_CALL + 0x1000));
}

static void test_moved_code_page(void **state)
{
	struct guest *g = *state;

	remember(g);
	assert_int_equal(synthetic_write(g->vp, 0, HV_MSR_HYPERCALL, (PAGE_CODE + 0x5000) | 1), 0);
	assert_false(holds(g));
	assert_true(holds_at(g, ENTRY_CALL + 0x5000));
}

static void test_closed_table(void **state)
{
	struct guest *g = *state;

	assert_int_equal(memory_limit_default(&g->p->memory, 1, PROT_ALL), 0);
	remember(g);
	assert_int_equal(
		memory_limit(&g->p->memory, 1, 0, (TABLES >> 12) + 2, (TABLES >> 12) + 3, 0), 0);
	assert_false(holds(g));
	assert_int_equal(
		memory_limit(&g->p->memory, 1, 0, (TABLES >> 12) + 2, (TABLES >> 12) + 3, PROT_ALL),
		0);
	remember(g);
	/* An overlay over a table is another table. */
	assert_int_equal(synthetic_write(g->vp, 0, HV_MSR_VP_ASSIST_PAGE, (TABLES + 0x3000) | 1),
			 0);
	assert_false(holds(g));
}

static void test_without_paging(void **state)
{
	struct guest *g = *state;

	fake_vcpu_flat_mode(g->x.fake, vsm_vcpu_fd(g->vp, 0), ENTRY_CALL, 0x9000);
	assert_true(holds(g));
	assert_int_equal(vcpu_active(g->vp)->code.changes, 0);
	assert_false(holds_at(g, ENTRY_CALL + 0x1000));
}

/* --- the XSAVE image --- */

static void get_image(struct guest *g, unsigned vtl, uint8_t *image)
{
	assert_int_equal(g->x.host->ops->get_xsave(g->x.host, vsm_vcpu_fd(g->vp, vtl), image, 4096),
			 0);
}

static void change_byte(struct guest *g, unsigned vtl, size_t offset, uint8_t bits, uint8_t value)
{
	_Alignas(64) uint8_t image[4096];

	get_image(g, vtl, image);
	image[offset] = value;
	image[XSTATE_BV] = bits;
	assert_int_equal(g->x.host->ops->set_xsave(g->x.host, vsm_vcpu_fd(g->vp, vtl), image), 0);
}

static void expect_moved(struct guest *g, unsigned from, unsigned to, bool moved)
{
	_Alignas(64) uint8_t images[2][4096];
	uint64_t before = g->vp->stats.xsave_moved;

	assert_int_equal(shared_move(g->vp, &g->vp->vtls[from], &g->vp->vtls[to]), 0);
	get_image(g, from, images[0]);
	get_image(g, to, images[1]);
	assert_memory_equal(images[0], images[1], sizeof(images[0]));
	assert_int_equal(g->vp->stats.xsave_moved - before, moved);
}

static void test_image(void **state)
{
	static const struct {
		size_t offset;
		uint8_t bits, value;
	} changes[] = {
		{XMM0, 2, 1},
		{XMM0, 3, 1},
		{XMM0 + 255, 3, 2},
		{YMM0_HIGH, 7, 3},
		{YMM0_HIGH + 255, 7, 4},
		{0, 7, 5},
		{0, 1, 5},
	};
	struct guest *g = *state;

	change_byte(g, 0, XMM0, 3, 0);
	expect_moved(g, 0, 1, true);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		expect_moved(g, 0, 1, false);
		change_byte(g, 0, changes[i].offset, changes[i].bits, changes[i].value);
		expect_moved(g, 0, 1, true);
		expect_moved(g, 1, 0, false);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_changed_entries, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_changed_mode, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_other_tables_and_page, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_moved_code_page, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_closed_table, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_without_paging, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_image, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
