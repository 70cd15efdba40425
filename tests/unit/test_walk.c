/* SPDX-License-Identifier: MIT */
/* Page-table walks in every paging mode (walk.c). */
#include <errno.h>

#include "intercept_fixture.h"
#include "intercept/intercept.h"

#define PTE_PS 0x80u
#define PTE_NX (UINT64_C(1) << 63)

enum paging_mode {
	NONE,
	LEGACY,
	PAE,
	FOUR,
	FIVE
};

static struct kvm_sregs mode_sregs(enum paging_mode mode)
{
	static const uint64_t cr4[] = {
		[LEGACY] = 0x10, [PAE] = 0x20, [FOUR] = 0x20, [FIVE] = 0x1020};

	return (struct kvm_sregs){.cr0 = mode == NONE ? 1 : UINT64_C(0x80010001),
				  .cr3 = PML4,
				  .cr4 = cr4[mode],
				  .efer = mode == FOUR || mode == FIVE ? 0xd00
					  : mode == PAE		       ? 0x800
								       : 0,
				  .cs = {.l = mode >= FOUR, .db = mode < FOUR}};
}

static void put64(struct scene *s, uint64_t at, uint64_t value)
{
	memcpy(s->x.mem + at, &value, sizeof(value));
}

static void put32(struct scene *s, uint64_t at, uint32_t value)
{
	memcpy(s->x.mem + at, &value, sizeof(value));
}

static int start(void **state)
{
	static struct scene scene;

	scene_start(&scene, VSM_ENFORCEMENT_ALIAS, VSM_EXEC_STRICT);
	memset(scene.x.mem, 0, 0x10000);
	*state = &scene;
	return 0;
}

static int stop(void **state)
{
	scene_stop(*state);
	return 0;
}

static int look(struct scene *s, enum paging_mode mode, uint64_t gva, enum mem_access access,
		bool user, struct walk_result *result)
{
	struct kvm_sregs sregs = mode_sregs(mode);

	return walk(&s->p.memory, 0, &sregs, gva_from(gva), access, user, result, NULL);
}

static void assert_goes(struct scene *s, enum paging_mode mode, uint64_t gva, uint64_t gpa)
{
	struct walk_result w;

	assert_int_equal(look(s, mode, gva, MEM_READ, false, &w), 0);
	assert_int_equal(w.gpa.addr, gpa);
}

static void assert_refused(struct scene *s, enum paging_mode mode, uint64_t gva,
			   enum mem_access access, bool user)
{
	struct walk_result w;

	assert_int_equal(look(s, mode, gva, access, user, &w), -ENOENT);
}

static void test_no_paging(void **state)
{
	assert_goes(*state, NONE, 0x1234, 0x1234);
	assert_goes(*state, NONE, UINT64_C(0x500001234), 0x1234);
}

static void test_legacy(void **state)
{
	struct scene *s = *state;
	struct kvm_sregs sregs = mode_sregs(LEGACY);
	struct walk_result w;

	put32(s, PML4 + 4 * 1, PT | PTE_ALL);
	put32(s, PT + 4 * 5, 0x7000 | PTE_ALL);
	put32(s, PML4 + 4 * 2, 0x00400000 | PTE_PS | PTE_ALL);
	/* PSE-36: bit 13 is address bit 32. */
	put32(s, PML4 + 4 * 3, 0x00800000 | 1 << 13 | PTE_PS | PTE_ALL);
	assert_goes(s, LEGACY, 0x405123, 0x7123);
	assert_goes(s, LEGACY, 0x812345, 0x412345);
	assert_goes(s, LEGACY, 0xc12345, UINT64_C(0x100812345));
	assert_refused(s, LEGACY, 0x406000, MEM_READ, false);
	/* Without PSE the bit is ignored: a table, which is empty. */
	sregs.cr4 = 0;
	assert_int_equal(
		walk(&s->p.memory, 0, &sregs, gva_from(0x800000), MEM_READ, false, &w, NULL),
		-EFAULT);
}

static void test_pae(void **state)
{
	struct scene *s = *state;

	/* The entries at the top have neither rights nor accessed bits. */
	put64(s, PML4 + 8 * 3, PD | PTE_P);
	put64(s, PD, PT | PTE_ALL);
	put64(s, PT + 8 * 2, 0x8000 | PTE_ALL);
	put64(s, PD + 8, 0x200000 | PTE_PS | PTE_ALL);
	put64(s, PD + 16, 0x200000 | PTE_PS | PTE_ALL | PTE_NX);
	assert_goes(s, PAE, 0xc0002abc, 0x8abc);
	assert_goes(s, PAE, 0xc0234567, 0x234567);
	assert_refused(s, PAE, 0xc0400000, MEM_EXECUTE, false);
	assert_refused(s, PAE, 0x1000, MEM_READ, false);
}

static void test_four_levels(void **state)
{
	struct scene *s = *state;

	put64(s, PML4 + 8 * 256, PDPT | PTE_ALL);
	put64(s, PDPT + 8, PD | PTE_ALL);
	put64(s, PDPT + 16, UINT64_C(0x40000000) | PTE_PS | PTE_ALL);
	put64(s, PD + 8, PT | PTE_ALL);
	put64(s, PD + 16, 0x400000 | PTE_PS | PTE_ALL);
	put64(s, PT + 8, 0x9000 | PTE_ALL);
	assert_goes(s, FOUR, UINT64_C(0xffff800040201def), 0x9def);
	assert_goes(s, FOUR, UINT64_C(0xffff800040412345), 0x412345);
	assert_goes(s, FOUR, UINT64_C(0xffff800092345678), UINT64_C(0x52345678));
	/* not canonical */
	assert_refused(s, FOUR, UINT64_C(0x0000800040201def), MEM_READ, false);
	assert_refused(s, FOUR, UINT64_C(0x8000000000000000), MEM_READ, false);
}

static void test_five_levels(void **state)
{
	struct scene *s = *state;

	put64(s, PML4 + 8 * 256, 0x5000 | PTE_ALL);
	put64(s, 0x5000 + 8, PDPT | PTE_ALL);
	put64(s, PDPT, PD | PTE_ALL);
	put64(s, PD, PT | PTE_ALL);
	put64(s, PT, 0x9000 | PTE_ALL);
	assert_goes(s, FIVE, UINT64_C(0xff00008000000abc), 0x9abc);
	assert_refused(s, FIVE, UINT64_C(0xfe00008000000abc), MEM_READ, false);
}

struct permission {
	uint64_t entry;
	uint64_t cr0_clear, cr4_set, efer_clear;
	enum mem_access access;
	bool user, allowed;
};

#define WP   (UINT64_C(1) << 16)
#define SMEP (UINT64_C(1) << 20)
#define NXE  (UINT64_C(1) << 11)
#define RO   (PTE_P | PTE_A | PTE_D)

static const struct permission permissions[] = {
	{RO, 0, 0, 0, MEM_READ, false, true},
	{RO, 0, 0, 0, MEM_READ, true, false},
	{RO | PTE_U, 0, 0, 0, MEM_READ, true, true},
	{RO, 0, 0, 0, MEM_WRITE, false, false},
	{RO, WP, 0, 0, MEM_WRITE, false, true},
	{RO | PTE_U, WP, 0, 0, MEM_WRITE, true, false},
	{RO | PTE_W, 0, 0, 0, MEM_WRITE, false, true},
	{RO | PTE_W | PTE_U, 0, 0, 0, MEM_WRITE, true, true},
	{RO, 0, 0, 0, MEM_EXECUTE, false, true},
	{RO | PTE_NX, 0, 0, 0, MEM_EXECUTE, false, false},
	{RO | PTE_NX, 0, 0, NXE, MEM_EXECUTE, false, true},
	{RO | PTE_U, 0, 0, 0, MEM_EXECUTE, false, true},
	{RO | PTE_U, 0, SMEP, 0, MEM_EXECUTE, false, false},
	{RO | PTE_U, 0, SMEP, 0, MEM_EXECUTE, true, true},
	{0, 0, 0, 0, MEM_READ, false, false},
};

static void test_permissions(void **state)
{
	struct scene *s = *state;

	scene_tables(s);
	for (size_t i = 0; i < ARRAY_SIZE(permissions); i++) {
		const struct permission *p = &permissions[i];
		struct kvm_sregs sregs = mode_sregs(FOUR);
		struct walk_result w;

		sregs.cr0 &= ~p->cr0_clear;
		sregs.cr4 |= p->cr4_set;
		sregs.efer &= ~p->efer_clear;
		*scene_pte(s, DATA) = DATA | p->entry;
		assert_int_equal(
			walk(&s->p.memory, 0, &sregs, gva_from(DATA), p->access, p->user, &w, NULL),
			p->allowed ? 0 : -ENOENT);
	}
}

/* Rights are those of all levels together. */
static void test_combined(void **state)
{
	struct scene *s = *state;
	struct walk_result w;

	scene_tables(s);
	assert_int_equal(look(s, FOUR, DATA, MEM_READ, false, &w), 0);
	assert_true(w.writable && w.user && w.executable);
	put64(s, PD, PT | PTE_P | PTE_A | PTE_NX);
	assert_int_equal(look(s, FOUR, DATA, MEM_READ, false, &w), 0);
	assert_false(w.writable || w.user || w.executable);
	assert_int_equal(w.table_count, 4);
	assert_int_equal(w.tables[0].entry.addr, PML4);
	assert_int_equal(w.tables[3].entry.addr, PT + 8 * (DATA >> 12));
	assert_false(w.tables[3].updated);
}

static void assert_fault(struct scene *s, enum mem_access access, uint64_t gpa,
			 enum mem_access fault_access)
{
	struct kvm_sregs sregs = mode_sregs(FOUR);
	struct access_fault fault = {0};
	struct walk_result w;

	assert_int_equal(walk(&s->p.memory, 0, &sregs, gva_from(DATA), access, false, &w, &fault),
			 -EACCES);
	assert_int_equal(fault.gpa.addr, gpa);
	assert_int_equal(fault.access, fault_access);
	assert_int_equal(fault.setter, 1);
}

/* A table page the VTL may not read, or whose accessed and dirty bits it may not set. */
static void test_closed_tables(void **state)
{
	struct scene *s = *state;
	uint64_t entry = PT + 8 * (DATA >> 12);
	struct walk_result w;

	scene_tables(s);
	scene_limit(s, PDPT, 0);
	assert_fault(s, MEM_READ, PDPT, MEM_READ);
	scene_limit(s, PDPT, PROT_ALL);
	scene_limit(s, PT, PROT_R);
	assert_int_equal(look(s, FOUR, DATA, MEM_WRITE, false, &w), 0);
	*scene_pte(s, DATA) &= ~(uint64_t)PTE_D;
	assert_int_equal(look(s, FOUR, DATA, MEM_READ, false, &w), 0);
	assert_fault(s, MEM_WRITE, entry, MEM_WRITE);
	*scene_pte(s, DATA) &= ~(uint64_t)PTE_A;
	assert_fault(s, MEM_READ, entry, MEM_WRITE);
	scene_limit(s, PT, PROT_R | PROT_W);
	assert_int_equal(look(s, FOUR, DATA, MEM_READ, false, &w), 0);
	assert_true(w.tables[3].updated);
}

/* Tables outside memory, and updates of tables in ROM. */
static void test_tables_outside(void **state)
{
	struct scene *s = *state;
	struct walk_result w;

	scene_tables(s);
	put64(s, PD, (SCENE_HOLE << 12) | PTE_ALL);
	assert_int_equal(look(s, FOUR, DATA, MEM_READ, false, &w), -EFAULT);
	put64(s, PD, (SCENE_ROM << 12) | PTE_ALL);
	put64(s, (SCENE_PAGES << 12) + 8 * (DATA >> 12), DATA | PTE_P | PTE_W);
	assert_int_equal(look(s, FOUR, DATA, MEM_READ, false, &w), -EFAULT);
	put64(s, (SCENE_PAGES << 12) + 8 * (DATA >> 12), DATA | PTE_ALL);
	assert_int_equal(look(s, FOUR, DATA, MEM_READ, false, &w), 0);
}

static void test_fetch(void **state)
{
	struct scene *s = *state;
	struct kvm_sregs sregs = mode_sregs(FOUR);
	struct access_fault fault = {0};
	uint8_t bytes[8];
	size_t got;

	scene_tables(s);
	scene_code(s, CODE + 0xffc, "\1\2\3\4", 4);
	scene_code(s, FREE, "\5\6\7\10", 4);
	*scene_pte(s, CODE + 0x1000) = FREE | PTE_ALL;
	assert_int_equal(
		walk_fetch(&s->p.memory, 0, &sregs, gva_from(CODE + 0xffc), bytes, 8, &got, &fault),
		0);
	assert_int_equal(got, 8);
	assert_memory_equal(bytes, "\1\2\3\4\5\6\7\10", 8);
	scene_limit(s, FREE, PROT_R | PROT_W);
	assert_int_equal(
		walk_fetch(&s->p.memory, 0, &sregs, gva_from(CODE + 0xffc), bytes, 8, &got, &fault),
		-EACCES);
	assert_int_equal(got, 4);
	assert_int_equal(fault.gpa.addr, FREE);
	assert_int_equal(fault.access, MEM_EXECUTE);
	/* The relaxed policy does not catch fetches. */
	s->p.memory.exec_policy = VSM_EXEC_RELAXED;
	assert_int_equal(
		walk_fetch(&s->p.memory, 0, &sregs, gva_from(CODE + 0xffc), bytes, 8, &got, &fault),
		0);
	*scene_pte(s, CODE + 0x1000) = 0;
	assert_int_equal(
		walk_fetch(&s->p.memory, 0, &sregs, gva_from(CODE + 0xffc), bytes, 8, &got, &fault),
		-ENOENT);
	assert_int_equal(got, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_paging, start, stop),
		cmocka_unit_test_setup_teardown(test_legacy, start, stop),
		cmocka_unit_test_setup_teardown(test_pae, start, stop),
		cmocka_unit_test_setup_teardown(test_four_levels, start, stop),
		cmocka_unit_test_setup_teardown(test_five_levels, start, stop),
		cmocka_unit_test_setup_teardown(test_permissions, start, stop),
		cmocka_unit_test_setup_teardown(test_combined, start, stop),
		cmocka_unit_test_setup_teardown(test_closed_tables, start, stop),
		cmocka_unit_test_setup_teardown(test_tables_outside, start, stop),
		cmocka_unit_test_setup_teardown(test_fetch, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
