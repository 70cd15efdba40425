/* SPDX-License-Identifier: MIT */
/*
 * EFAULT at an instruction that loads the four entries of PAE paging, as of an Intel processor: the
 * page they are in is what the limits forbid, or what is to be opened.
 */
#include "intercept_fixture.h"
#include "intercept/intercept.h"

#define CODE32	  0xb
#define CR0	  0x80000001
#define CR4	  0x20
#define POINTERS  0x50000u /* in use */
#define DIRECTORY 0x51000u
#define TARGET	  0x60020u /* not of a page's beginning */
#define READ_ONLY ((prot_t)(PROT_R | PROT_KX | PROT_UX))
#define DATA_ONLY ((prot_t)(PROT_R | PROT_W))

static const uint8_t to_cr3[] = {0x0f, 0x22, 0xd8}; /* mov cr3, eax */
static const uint8_t to_cr0[] = {0x0f, 0x22, 0xc0};
static const uint8_t to_cr4[] = {0x0f, 0x22, 0xe0};
static const uint8_t to_cr2[] = {0x0f, 0x22, 0xd0};
static const uint8_t from_cr3[] = {0x0f, 0x20, 0xd8};
static const uint8_t to_ecx[] = {0x89, 0xc1}; /* mov ecx, eax */

static int start(void **state)
{
	static struct scene s;
	struct kvm_sregs *sregs;

	scene_start(&s, VSM_ENFORCEMENT_ALIAS, VSM_EXEC_STRICT);
	*(uint64_t *)(s.x.mem + POINTERS) = DIRECTORY | PTE_P;
	*(uint64_t *)(s.x.mem + DIRECTORY) = 0xe7; /* 2 MiB */
	sregs = scene_sregs(&s);
	sregs->cr0 = CR0;
	sregs->cr3 = POINTERS;
	sregs->cr4 = CR4;
	sregs->efer = 0;
	sregs->cs.l = 0;
	sregs->cs.db = 1;
	/* Of CR3 the lower bits are not the pointers', and of RAX the upper half is not there. */
	scene_regs(&s)->rax = UINT64_C(0xffffffff00000000) | TARGET | 0x18;
	*state = &s;
	return 0;
}

static int stop(void **state)
{
	scene_stop(*state);
	return 0;
}

static struct violation locate(struct scene *s, const uint8_t *code, size_t size)
{
	struct violation v;

	scene_code(s, CODE, code, size);
	memset(&v, 0xff, sizeof(v));
	assert_int_equal(intercept_locate(&s->vp, &v), 0);
	return v;
}

#define LOCATE(s, code) locate(s, code, sizeof(code))

static void assert_caught(const struct violation *v, uint64_t gpa)
{
	assert_int_equal(v->setter, 1);
	assert_int_equal(v->access, MEM_READ);
	assert_int_equal(v->gpa.addr, gpa);
	assert_false(v->gva_valid || v->walking || v->allowed_here || v->overlay);
	assert_int_equal(v->insn_length, sizeof(to_cr3));
}

static void test_closed(void **state)
{
	struct scene *s = *state;
	struct violation v;

	scene_limit(s, TARGET, 0);
	v = LOCATE(s, to_cr3);
	assert_caught(&v, TARGET);
	/* It uses those. */
	scene_limit(s, TARGET, PROT_ALL);
	v = LOCATE(s, to_cr3);
	assert_int_equal(v.setter, 0);
}

/* They load what CR3 has. What is in use is walked, too, by a processor that keeps nothing. */
static void test_other_registers(void **state)
{
	struct scene *s = *state;
	struct insn_context c = {.regs = scene_regs(s), .sregs = scene_sregs(s)};
	struct insn insn;

	assert_int_equal(insn_decode(&c, to_cr0, sizeof(to_cr0), &insn), 0);
	assert_true(insn.loads_pointers);
	assert_int_equal(insn.pointers.addr, POINTERS);
	assert_int_equal(insn_decode(&c, to_cr4, sizeof(to_cr4), &insn), 0);
	assert_true(insn.loads_pointers);
	assert_int_equal(insn.pointers.addr, POINTERS);
}

static void test_nothing_loaded(void **state)
{
	struct scene *s = *state;
	struct insn_context c = {.regs = scene_regs(s), .sregs = scene_sregs(s)};
	struct insn insn;

	assert_int_equal(insn_decode(&c, to_cr2, sizeof(to_cr2), &insn), 0);
	assert_false(insn.loads_pointers);
	assert_int_equal(insn_decode(&c, from_cr3, sizeof(from_cr3), &insn), 0);
	assert_false(insn.loads_pointers);
	assert_int_equal(insn_decode(&c, to_ecx, sizeof(to_ecx), &insn), 0);
	assert_false(insn.loads_pointers);
	scene_sregs(s)->cr4 = 0;
	assert_int_equal(insn_decode(&c, to_cr3, sizeof(to_cr3), &insn), 0);
	assert_false(insn.loads_pointers);
}

static void assert_opens(const struct violation *v, uint64_t gpa)
{
	bool found = false;

	assert_int_equal(v->setter, 0);
	assert_true(v->allowed_here);
	for (unsigned i = 0; i < v->open_count; i++)
		found |= v->open[i].page == gpa >> 12;
	assert_true(found);
}

/* Allowed, but closed for its execute permission: stepped. */
static void test_stepped(void **state)
{
	struct scene *s = *state;
	struct violation v;

	scene_limit(s, TARGET, DATA_ONLY);
	v = LOCATE(s, to_cr3);
	assert_opens(&v, TARGET);
	assert_int_equal(v.open_count, 1);
	assert_false(v.guessed);
	scene_limit(s, TARGET, READ_ONLY);
	v = LOCATE(s, to_cr3);
	assert_int_equal(v.setter, 0);
}

/* Where there is no memory, that is the VMM's business. */
static void test_outside(void **state)
{
	struct scene *s = *state;
	struct violation v;

	scene_limit(s, TARGET, 0);
	scene_regs(s)->rax = SCENE_HOLE << 12;
	v = LOCATE(s, to_cr3);
	assert_int_equal(v.setter, 0);
	assert_false(v.allowed_here || v.overlay);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_closed, start, stop),
		cmocka_unit_test_setup_teardown(test_other_registers, start, stop),
		cmocka_unit_test_setup_teardown(test_nothing_loaded, start, stop),
		cmocka_unit_test_setup_teardown(test_stepped, start, stop),
		cmocka_unit_test_setup_teardown(test_outside, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
