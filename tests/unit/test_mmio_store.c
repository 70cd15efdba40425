/* SPDX-License-Identifier: MIT */
/* MMIO exits of stores: taken back, and finished later (mmio.c, retired.c). */
#include "mmio_fixture.h"

#include <errno.h>

static void test_store_allowed_later(void **state)
{
	struct scene *s = *state;

	store_to_read_only(s, store_rcx);
	scene_limit(s, DATA, PROT_ALL);
	/* KVM has the registers by then. */
	assert_int_equal(vtl_cpu_flush(scene_cpu(s)), 0);
	resume(s, 0, false, CODE + 3);
	assert_int_equal(memory_at(s, DATA), 0x1122334455667788);
	settle(s);
	vtl_cpu_forget(scene_cpu(s));
	assert_int_equal(scene_regs(s)->rip, CODE + 3);
	/* Once only. */
	memset(s->x.mem + DATA, 0, 8);
	resume(s, 0, false, CODE + 3);
	assert_int_equal(memory_at(s, DATA), 0);
}

/* The processor would take that first, at the store: it comes again if its handler returns. */
static void test_store_after_exception(void **state)
{
	struct scene *s = *state;

	for (unsigned pending = 0; pending < 2; pending++) {
		struct kvm_vcpu_events *events;

		store_to_read_only(s, store_rcx);
		scene_limit(s, DATA, PROT_ALL);
		assert_int_equal(vtl_cpu_events(scene_cpu(s), &events), 0);
		events->exception.pending = pending;
		events->exception.injected = !pending;
		resume(s, 0, false, CODE);
		assert_int_equal(memory_at(s, DATA), OLD);
		events->exception.pending = events->exception.injected = 0;
		settle(s);
	}
}

static void test_store_still_forbidden(void **state)
{
	struct scene *s = *state;
	struct violation first = store_to_read_only(s, store_rcx), again;

	assert_int_equal(intercept_resume(&s->vp, &again), 0);
	assert_memory_equal(&first, &again, sizeof(first));
	assert_true(vcpu_active(&s->vp)->store_waits);
	assert_int_equal(scene_regs(s)->rip, CODE);
	assert_int_equal(memory_at(s, DATA), OLD);
	scene_limit(s, DATA, PROT_ALL);
	resume(s, 0, false, CODE + 3);
	settle(s);
}

/* Another VTL forbids it in the end. */
static void test_store_other_setter(void **state)
{
	struct scene *s = *state;

	store_to_read_only(s, store_rcx);
	scene_limit(s, DATA, PROT_ALL);
	scene_limit_by(s, 2, DATA, READ_ONLY);
	resume(s, 2, true, CODE);
	settle(s);
}

static void test_store_skipped(void **state)
{
	struct scene *s = *state;

	store_to_read_only(s, store_rcx);
	scene_regs(s)->rip = CODE + 3;
	resume(s, 0, false, CODE + 3);
	assert_int_equal(memory_at(s, DATA), OLD);
	settle(s);
}

static void test_store_with_exception(void **state)
{
	struct scene *s = *state;

	store_to_read_only(s, store_rcx);
	scene_limit(s, DATA, PROT_ALL);
	assert_int_equal(vtl_cpu_inject(scene_cpu(s), VECTOR_GP, 0), 0);
	resume(s, 0, false, CODE);
	assert_int_equal(memory_at(s, DATA), OLD);
	settle(s);
}

/* The higher VTL changed an operand: the processor executes the instruction, with that. */
static void test_store_with_other_registers(void **state)
{
	struct scene *s = *state;

	store_to_read_only(s, store_rcx);
	scene_limit(s, DATA, PROT_ALL);
	scene_regs(s)->rcx = 1;
	resume(s, 0, false, CODE);
	assert_int_equal(memory_at(s, DATA), OLD);
	settle(s);
}

/* A sum of what memory held must not overwrite what it holds now. */
static void test_modify_with_other_memory(void **state)
{
	struct scene *s = *state;

	store_to_read_only(s, add_rcx);
	s->x.mem[DATA] = 9;
	scene_limit(s, DATA, PROT_ALL);
	resume(s, 0, false, CODE);
	assert_int_equal(memory_at(s, DATA), (OLD & ~UINT64_C(0xff)) | 9);
	settle(s);
}

static void test_push(void **state)
{
	static const struct fake_step step = {.kind = FAKE_STORE,
					      .gva = STACK - 8,
					      .size = 8,
					      .length = 1,
					      .reg = FAKE_RCX,
					      .effects = {{FAKE_RSP, -8}}};
	struct scene *s = *state;
	struct kvm_regs before;
	struct violation v;

	scene_code(s, CODE, push_rcx, sizeof(push_rcx));
	scene_limit(s, STACK - 8, READ_ONLY);
	scene_regs(s)->rcx = 0x42;
	vtl_cpu_dirty(scene_cpu(s), CPU_REGS);
	before = *scene_regs(s);
	v = run_to_mmio(s, &step);
	assert_violation(&v, MEM_WRITE, STACK - 8, push_rcx, 1);
	assert_memory_equal(scene_regs(s), &before, sizeof(before));
	scene_limit(s, STACK - 8, PROT_ALL);
	resume(s, 0, false, CODE + 1);
	assert_int_equal(scene_regs(s)->rsp, STACK - 8);
	assert_int_equal(memory_at(s, STACK - 8), 0x42);
	settle(s);
}

static void test_call(void **state)
{
	static const struct fake_step step = {.kind = FAKE_STORE,
					      .gva = STACK - 8,
					      .size = 8,
					      .data = CODE + 5,
					      .length = 0,
					      .effects = {{FAKE_RSP, -8}, {FAKE_RIP, 0x100}}};
	struct scene *s = *state;
	struct kvm_regs before;
	struct violation v;

	scene_code(s, CODE, call_near, sizeof(call_near));
	scene_limit(s, STACK - 8, READ_ONLY);
	before = *scene_regs(s);
	v = run_to_mmio(s, &step);
	assert_violation(&v, MEM_WRITE, STACK - 8, call_near, 5);
	assert_memory_equal(scene_regs(s), &before, sizeof(before));
	scene_limit(s, STACK - 8, PROT_ALL);
	resume(s, 0, false, CODE + 0x100);
	assert_int_equal(scene_regs(s)->rsp, STACK - 8);
	assert_int_equal(memory_at(s, STACK - 8), CODE + 5);
	settle(s);
}

/* One iteration, after which RIP is still at the instruction. */
static void test_repeated_store(void **state)
{
	static const struct fake_step step = {.kind = FAKE_STORE,
					      .gva = DATA,
					      .size = 1,
					      .data = 0x33,
					      .length = 0,
					      .effects = {{FAKE_RDI, 1}, {FAKE_RCX, -1}}};
	struct scene *s = *state;
	struct kvm_regs before = *scene_regs(s);
	struct violation v;

	scene_code(s, CODE, rep_stosb, sizeof(rep_stosb));
	scene_limit(s, DATA, READ_ONLY);
	before.rdi = DATA;
	before.rcx = 100;
	before.rax = 0x33;
	set_regs(s, &before);
	v = run_to_mmio(s, &step);
	assert_violation(&v, MEM_WRITE, DATA, rep_stosb, 2);
	assert_memory_equal(scene_regs(s), &before, sizeof(before));
	scene_limit(s, DATA, PROT_ALL);
	resume(s, 0, false, CODE);
	assert_int_equal(scene_regs(s)->rcx, 99);
	assert_int_equal(scene_regs(s)->rdi, DATA + 1);
	assert_int_equal(s->x.mem[DATA], 0x33);
	settle(s);
}

/* KVM stores what a repeated INS has read ahead at once, up to 1024 elements. */
static void ins_to_read_only(struct scene *s, unsigned count, const uint8_t *input)
{
	const struct fake_step step = {.kind = FAKE_STORE,
				       .gva = DATA + 1,
				       .size = (uint16_t)count,
				       .bytes = input,
				       .length = 0,
				       .effects = {{FAKE_RDI, count}, {FAKE_RCX, -(int)count}}};
	struct kvm_regs before = *scene_regs(s);
	struct violation v;

	scene_code(s, CODE, rep_insb, sizeof(rep_insb));
	scene_limit(s, DATA, READ_ONLY);
	memset(s->x.mem + DATA, 0, 4096);
	before.rdi = DATA + 1;
	before.rcx = 5000;
	set_regs(s, &before);
	v = run_to_mmio(s, &step);
	assert_violation(&v, MEM_WRITE, DATA + 1, rep_insb, 2);
	assert_memory_equal(scene_regs(s), &before, sizeof(before));
}

static void test_repeated_input(void **state)
{
	static const unsigned counts[] = {1, 9, 100, 1024};
	static uint8_t input[1024];
	struct scene *s = *state;

	for (unsigned i = 0; i < sizeof(input); i++)
		input[i] = (uint8_t)(i * 7 + 1);
	for (unsigned i = 0; i < 4; i++) {
		ins_to_read_only(s, counts[i], input);
		scene_limit(s, DATA, PROT_ALL);
		resume(s, 0, false, CODE);
		assert_int_equal(scene_regs(s)->rcx, 5000 - counts[i]);
		assert_int_equal(scene_regs(s)->rdi, DATA + 1 + counts[i]);
		assert_memory_equal(s->x.mem + DATA + 1, input, counts[i]);
		assert_int_equal(s->x.mem[DATA + 1 + counts[i]], 0);
	}
	settle(s);
}

static void test_repeated_input_skipped(void **state)
{
	static const uint8_t input[1024] = {1};
	struct scene *s = *state;

	ins_to_read_only(s, 1024, input);
	scene_regs(s)->rip = CODE + 2;
	resume(s, 0, false, CODE + 2);
	assert_int_equal(s->x.mem[DATA + 1], 0);
	settle(s);
}

static const uint8_t pattern[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static void test_wide_store(void **state)
{
	static const struct fake_step step = {
		.kind = FAKE_STORE, .gva = DATA, .size = 16, .length = 3, .bytes = pattern};
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE, store_vector, sizeof(store_vector));
	scene_limit(s, DATA, READ_ONLY);
	v = run_to_mmio(s, &step);
	assert_violation(&v, MEM_WRITE, DATA, store_vector, 3);
	assert_int_equal(vcpu_rare(&s->vp)->retired.fragment_count, 2);
	scene_limit(s, DATA, PROT_ALL);
	resume(s, 0, false, CODE + 3);
	assert_memory_equal(s->x.mem + DATA, pattern, 16);
	settle(s);
}

/* Over a page boundary, to two pages that are not neighbours. */
static void cross(struct scene *s, prot_t first, prot_t second)
{
	scene_code(s, CODE, store_vector, sizeof(store_vector));
	*scene_pte(s, DATA + 0x1000) = FREE | PTE_ALL;
	scene_limit(s, DATA, first);
	scene_limit(s, FREE, second);
	scene_regs(s)->rax = DATA + 0xffb;
	vtl_cpu_dirty(scene_cpu(s), CPU_REGS);
}

static const struct fake_step crossing_step = {
	.kind = FAKE_STORE, .gva = DATA + 0xffb, .size = 16, .length = 3, .bytes = pattern};

static void test_crossing_store(void **state)
{
	struct scene *s = *state;
	struct violation v;

	cross(s, READ_ONLY, READ_ONLY);
	v = run_to_mmio(s, &crossing_step);
	assert_violation(&v, MEM_WRITE, DATA + 0xffb, store_vector, 3);
	assert_int_equal(scene_regs(s)->rip, CODE);
	/* Half allowed is not allowed. */
	scene_limit(s, DATA, PROT_ALL);
	resume(s, 1, true, CODE);
	assert_int_equal(vcpu_rare(&s->vp)->retired.shown.gpa.addr, FREE);
	assert_int_equal(s->x.mem[DATA + 0xffb], 0);
	scene_limit(s, FREE, PROT_ALL);
	resume(s, 0, false, CODE + 3);
	assert_memory_equal(s->x.mem + DATA + 0xffb, pattern, 5);
	assert_memory_equal(s->x.mem + FREE, pattern + 5, 11);
	settle(s);
}

static void test_crossing_store_second_page(void **state)
{
	struct scene *s = *state;
	struct violation v;

	cross(s, PROT_ALL, READ_ONLY);
	v = run_to_mmio(s, &crossing_step);
	assert_violation(&v, MEM_WRITE, FREE, store_vector, 3);
	assert_int_equal(v.gva.addr, DATA + 0x1000);
	assert_int_equal(scene_regs(s)->rip, CODE);
	scene_limit(s, FREE, PROT_ALL);
	resume(s, 0, false, CODE + 3);
	assert_memory_equal(s->x.mem + FREE, pattern + 5, 11);
	settle(s);
}

static void test_crossing_store_first_page(void **state)
{
	struct scene *s = *state;
	struct violation v;

	cross(s, READ_ONLY, PROT_ALL);
	v = run_to_mmio(s, &crossing_step);
	assert_violation(&v, MEM_WRITE, DATA + 0xffb, store_vector, 3);
	scene_limit(s, DATA, PROT_ALL);
	resume(s, 0, false, CODE + 3);
	assert_memory_equal(s->x.mem + DATA + 0xffb, pattern, 5);
	settle(s);
}

/* The instruction is not found: shown as retired, and finished if allowed later, whatever became of
 * the registers. */
static void test_unknown_store(void **state)
{
	static const uint8_t other[] = {0x90, 0x90, 0x90};
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE, other, sizeof(other));
	scene_limit(s, DATA, READ_ONLY);
	scene_regs(s)->rcx = 0x42;
	vtl_cpu_dirty(scene_cpu(s), CPU_REGS);
	v = run_to_mmio(s, &store_step);
	assert_violation(&v, MEM_WRITE, DATA, NULL, 0);
	assert_int_equal(scene_regs(s)->rip, CODE + 3);
	scene_regs(s)->rcx = 1;
	resume(s, 1, true, CODE + 3);
	scene_limit(s, DATA, PROT_ALL);
	resume(s, 0, false, CODE + 3);
	assert_int_equal(memory_at(s, DATA), 0x42);
	assert_int_equal(scene_regs(s)->rcx, 1);
	settle(s);
}

/* What comes next looks like a store of its own, but is not the one that was made. */
static void test_unknown_store_before_another(void **state)
{
	static const uint8_t next[] = {0x90, 0x90, 0x90, 0xf3, 0xaa}; /* rep stosb */
	struct scene *s = *state;
	struct kvm_regs before;
	struct violation v;

	scene_code(s, CODE, next, sizeof(next));
	scene_limit(s, DATA, READ_ONLY);
	scene_regs(s)->rcx = 0x42;
	scene_regs(s)->rdi = STACK;
	vtl_cpu_dirty(scene_cpu(s), CPU_REGS);
	before = *scene_regs(s);
	before.rip = CODE + 3;
	v = run_to_mmio(s, &store_step);
	assert_violation(&v, MEM_WRITE, DATA, NULL, 0);
	assert_memory_equal(scene_regs(s), &before, sizeof(before));
	scene_limit(s, DATA, PROT_ALL);
	resume(s, 0, false, CODE + 3);
	assert_int_equal(memory_at(s, DATA), 0x42);
	assert_memory_equal(scene_regs(s), &before, sizeof(before));
	settle(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_store_allowed_later),
		TEST(test_store_still_forbidden),
		TEST(test_store_after_exception),
		TEST(test_store_other_setter),
		TEST(test_store_skipped),
		TEST(test_store_with_exception),
		TEST(test_store_with_other_registers),
		TEST(test_modify_with_other_memory),
		TEST(test_push),
		TEST(test_call),
		TEST(test_repeated_store),
		TEST(test_repeated_input),
		TEST(test_repeated_input_skipped),
		TEST(test_wide_store),
		TEST(test_crossing_store),
		TEST(test_crossing_store_second_page),
		TEST(test_crossing_store_first_page),
		TEST(test_unknown_store),
		TEST(test_unknown_store_before_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
