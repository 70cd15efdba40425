/* SPDX-License-Identifier: MIT */
/* MMIO exits on memory: loads and stores taken back, finished or answered (mmio.c, retired.c). */
#include <errno.h>

#include "intercept_fixture.h"
#include "intercept/intercept.h"

#define READ_ONLY  ((prot_t)(PROT_R | PROT_KX | PROT_UX))
#define NO_EXECUTE ((prot_t)(PROT_R | PROT_W))

static struct scene scene;

/* The host with a KVM_RUN that also does what a test wants done inside it. */
static struct kvm_ops hooked_ops;
static struct kvm_host hooked_host;
static void (*run_hook)(struct scene *s, int result);

static int hooked_run(const struct kvm_host *h, int fd)
{
	int r = scene.x.host->ops->run(h, fd);

	if (run_hook)
		run_hook(&scene, r);
	return r;
}

static int start_with(void **state, enum vsm_enforcement enforcement)
{
	run_hook = NULL;
	scene_start(&scene, enforcement, VSM_EXEC_STRICT);
	/* A KVM that emulates guest code gives MMIO exits for closed host pages. */
	fake_kvm_set_flags(scene.x.fake, FAKE_EMULATES);
	hooked_ops = *scene.x.host->ops;
	hooked_ops.run = hooked_run;
	hooked_host = *scene.x.host;
	hooked_host.ops = &hooked_ops;
	scene_cpu(&scene)->host = &hooked_host;
	*state = &scene;
	return 0;
}

static int start(void **state)
{
	return start_with(state, VSM_ENFORCEMENT_SLOTS);
}

static int start_alias(void **state)
{
	return start_with(state, VSM_ENFORCEMENT_ALIAS);
}

static int stop(void **state)
{
	scene_stop(*state);
	return 0;
}

static void set_regs(struct scene *s, const struct kvm_regs *regs)
{
	*scene_regs(s) = *regs;
	vtl_cpu_dirty(scene_cpu(s), CPU_REGS);
}

/* Runs one step to its MMIO exit, and asks. */
static struct violation run_to_mmio(struct scene *s, const struct fake_step *step)
{
	struct violation v;

	memset(&v, 0xff, sizeof(v));
	scene_script(s, step, 1);
	assert_int_equal(scene_run(s), 0);
	assert_int_equal(scene_cpu(s)->run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(intercept_mmio(&s->vp, &v), 0);
	return v;
}

static void assert_violation(const struct violation *v, enum mem_access access, uint64_t gpa,
			     const void *insn, size_t length)
{
	assert_int_equal(v->setter, 1);
	assert_int_equal(v->access, access);
	assert_int_equal(v->gpa.addr, gpa);
	assert_int_equal(v->gva_valid, length != 0);
	assert_int_equal(v->insn_length, length);
	assert_int_equal(v->insn_count, length);
	assert_memory_equal(v->insn_bytes, insn, length);
	assert_false(v->served || v->overlay || v->allowed_here);
}

static uint64_t memory_at(struct scene *s, uint64_t at)
{
	uint64_t value;

	memcpy(&value, s->x.mem + at, sizeof(value));
	return value;
}

/* The guest goes on and halts: what state it has then is KVM's. */
static void settle(struct scene *s)
{
	static const struct fake_step halt = {.kind = FAKE_HLT};
	unsigned exits = 0;

	run_hook = NULL;
	scene_script(s, &halt, 1);
	do
		assert_int_equal(scene_run(s), 0);
	while (scene_cpu(s)->run->exit_reason != KVM_EXIT_HLT && ++exits < 4);
	assert_int_equal(scene_cpu(s)->run->exit_reason, KVM_EXIT_HLT);
}

static const uint8_t load_rcx[] = {0x48, 0x8b, 0x08};	  /* mov rcx, [rax] */
static const uint8_t store_rcx[] = {0x48, 0x89, 0x08};	  /* mov [rax], rcx */
static const uint8_t store_vector[] = {0x0f, 0x11, 0x00}; /* movups [rax], xmm0 */
static const uint8_t load_vector[] = {0x0f, 0x10, 0x00};  /* movups xmm0, [rax] */
static const uint8_t push_rcx[] = {0x51};
static const uint8_t call_near[] = {0xe8, 0xfb, 0x00, 0x00, 0x00}; /* call +0x100 from here */
static const uint8_t rep_stosb[] = {0xf3, 0xaa};
static const uint8_t rep_insb[] = {0xf3, 0x6c};
static const uint8_t movsq[] = {0x48, 0xa5};
static const uint8_t add_rcx[] = {0x48, 0x01, 0x08}; /* add [rax], rcx */

/* --- loads --- */

static void test_load(void **state)
{
	static const struct fake_step step = {
		.kind = FAKE_LOAD, .gva = DATA + 8, .size = 8, .length = 3, .reg = FAKE_RCX};
	struct scene *s = *state;
	struct kvm_regs before;
	struct violation v;

	scene_code(s, CODE, load_rcx, sizeof(load_rcx));
	scene_limit(s, DATA, 0);
	scene_regs(s)->rax = DATA + 8;
	scene_regs(s)->rcx = 0x77;
	vtl_cpu_dirty(scene_cpu(s), CPU_REGS);
	before = *scene_regs(s);
	v = run_to_mmio(s, &step);
	assert_violation(&v, MEM_READ, DATA + 8, load_rcx, 3);
	assert_int_equal(v.gva.addr, DATA + 8);
	assert_memory_equal(scene_regs(s), &before, sizeof(before));
	settle(s);
	assert_memory_equal(scene_regs(s), &before, sizeof(before));
}

/* Vector registers are put back too. */
static void test_vector_load(void **state)
{
	static const struct fake_step step = {
		.kind = FAKE_LOAD, .gva = DATA, .size = 16, .length = 3};
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE, load_vector, sizeof(load_vector));
	scene_limit(s, DATA, 0);
	fake_kvm_reset_calls(s->x.fake);
	s->vp.vtls[0].xsave_known = true;
	v = run_to_mmio(s, &step);
	assert_violation(&v, MEM_READ, DATA, load_vector, 3);
	assert_false(s->vp.vtls[0].xsave_known);
	assert_int_equal(fake_kvm_calls(s->x.fake, FAKE_OP_get_xsave), 1);
	assert_int_equal(fake_kvm_calls(s->x.fake, FAKE_OP_set_xsave), 1);
	assert_int_equal(scene_regs(s)->rip, CODE);
	settle(s);
}

#define APIC_ENABLE 0x800

/* Nor is anything else left behind by an instruction that nobody can tell. */
static void test_unknown_load(void **state)
{
	static const struct fake_step step = {
		.kind = FAKE_LOAD, .gva = DATA, .size = 8, .length = 3};
	static const uint8_t no_code[] = {0x06};
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE, no_code, sizeof(no_code));
	scene_limit(s, DATA, 0);
	fake_kvm_reset_calls(s->x.fake);
	v = run_to_mmio(s, &step);
	assert_violation(&v, MEM_READ, DATA, no_code, 0);
	assert_int_equal(fake_kvm_calls(s->x.fake, FAKE_OP_set_xsave), 1);
	settle(s);
}

/* What KVM does to a string move's destination, to the registers, and to events. */
static void complete_movsq(struct scene *s, int result)
{
	struct kvm_vcpu_events *events = fake_vcpu_events(s->x.fake, scene_cpu(s)->fd);
	struct kvm_sregs *sregs = fake_vcpu_sregs(s->x.fake, scene_cpu(s)->fd);
	struct kvm_sregs *shown = &scene_cpu(s)->run->s.regs.sregs;

	if (result != -EINTR)
		return;
	memset(s->x.mem + FREE, 0, 8);
	fake_vcpu_regs(s->x.fake, scene_cpu(s)->fd)->rdi += 8;
	sregs->fs.base = 0x1234;
	sregs->apic_base ^= APIC_ENABLE;
	*shown = *sregs;
	shown->interrupt_bitmap[1] = 0x10;
	events->exception.injected = 1;
	events->exception.nr = 0;
	events->nmi.pending = 1;
}

static void test_load_side_effects(void **state)
{
	static const struct fake_step step = {
		.kind = FAKE_LOAD, .gva = DATA, .size = 8, .length = 2, .reg = FAKE_R8};
	struct scene *s = *state;
	uint64_t apic_base = scene_sregs(s)->apic_base;
	struct kvm_vcpu_events *events;
	struct kvm_regs before;
	struct violation v;

	scene_code(s, CODE, movsq, sizeof(movsq));
	memset(s->x.mem + FREE, 0x5a, 8);
	scene_limit(s, DATA, 0);
	before = *scene_regs(s);
	before.rsi = DATA;
	before.rdi = FREE;
	set_regs(s, &before);
	run_hook = complete_movsq;
	v = run_to_mmio(s, &step);
	run_hook = NULL;
	assert_violation(&v, MEM_READ, DATA, movsq, 2);
	assert_memory_equal(scene_regs(s), &before, sizeof(before));
	assert_int_equal(scene_sregs(s)->fs.base, 0);
	/* Not the instruction's doing. */
	assert_int_equal(scene_sregs(s)->apic_base, apic_base ^ APIC_ENABLE);
	assert_int_equal(scene_sregs(s)->interrupt_bitmap[1], 0x10);
	assert_int_equal(memory_at(s, FREE), UINT64_C(0x5a5a5a5a5a5a5a5a));
	assert_int_equal(vtl_cpu_events(scene_cpu(s), &events), 0);
	assert_int_equal(events->exception.injected, 0);
	assert_int_equal(events->nmi.pending, 1);
	events->nmi.pending = 0;
	events->flags |= KVM_VCPUEVENT_VALID_NMI_PENDING;
	vtl_cpu_dirty(scene_cpu(s), CPU_EVENTS);
	settle(s);
	assert_int_equal(fake_vcpu_delivered(s->x.fake, scene_cpu(s)->fd, NULL, 0), 0);
	assert_int_equal(fake_vcpu_sregs(s->x.fake, scene_cpu(s)->fd)->fs.base, 0);
}

/* ROM does not get what the string move stores: there is nothing to put back. */
static void test_load_for_rom(void **state)
{
	static const struct fake_step step = {
		.kind = FAKE_LOAD, .gva = DATA, .size = 8, .length = 2, .reg = FAKE_R8};
	struct scene *s = *state;
	struct kvm_regs before;
	struct violation v;

	scene_code(s, CODE, movsq, sizeof(movsq));
	scene_limit(s, DATA, 0);
	before = *scene_regs(s);
	before.rsi = DATA;
	before.rdi = LINEAR_ROM;
	set_regs(s, &before);
	v = run_to_mmio(s, &step);
	assert_violation(&v, MEM_READ, DATA, movsq, 2);
	assert_memory_equal(scene_regs(s), &before, sizeof(before));
	settle(s);
}

/* --- stores --- */

static const struct fake_step store_step = {
	.kind = FAKE_STORE, .gva = DATA, .size = 8, .length = 3, .reg = FAKE_RCX};

#define OLD UINT64_C(0x3c3c3c3c3c3c3c3c) /* what is there before a store */

static struct violation store_to_read_only(struct scene *s, const uint8_t *insn)
{
	struct violation v;

	scene_code(s, CODE, insn, 3);
	scene_limit(s, DATA, READ_ONLY);
	scene_regs(s)->rcx = 0x1122334455667788;
	vtl_cpu_dirty(scene_cpu(s), CPU_REGS);
	memset(s->x.mem + DATA, 0x3c, 8);
	v = run_to_mmio(s, &store_step);
	assert_violation(&v, MEM_WRITE, DATA, insn, 3);
	assert_int_equal(v.gva.addr, DATA);
	assert_int_equal(scene_regs(s)->rip, CODE);
	assert_int_equal(memory_at(s, DATA), OLD);
	assert_true(vcpu_active(&s->vp)->store_waits);
	return v;
}

static void resume(struct scene *s, uint8_t setter, bool armed, uint64_t rip)
{
	struct violation v;

	memset(&v, 0xff, sizeof(v));
	assert_int_equal(intercept_resume(&s->vp, &v), 0);
	assert_int_equal(v.setter, setter);
	assert_int_equal(vcpu_active(&s->vp)->store_waits, armed);
	assert_int_equal(scene_regs(s)->rip, rip);
}

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

/* --- not violations --- */

static void assert_served(const struct violation *v)
{
	assert_int_equal(v->setter, 0);
	assert_true(v->served);
	assert_false(v->overlay || v->allowed_here);
}

/* Closed for want of execute permission, but a load is allowed: memory answers. */
static void test_served_load(void **state)
{
	static const struct fake_step step = {
		.kind = FAKE_LOAD, .gva = DATA + 8, .size = 4, .length = 3, .reg = FAKE_RCX};
	struct scene *s = *state;
	struct violation v;

	memcpy(s->x.mem + DATA + 8, "\x78\x56\x34\x12", 4);
	scene_limit(s, DATA, NO_EXECUTE);
	v = run_to_mmio(s, &step);
	assert_served(&v);
	settle(s);
	assert_int_equal(scene_regs(s)->rcx, 0x12345678);
	assert_int_equal(scene_regs(s)->rip, CODE + 3);
}

static void test_served_store(void **state)
{
	struct scene *s = *state;
	struct violation v;

	scene_limit(s, DATA, NO_EXECUTE);
	scene_regs(s)->rcx = 0x42;
	vtl_cpu_dirty(scene_cpu(s), CPU_REGS);
	v = run_to_mmio(s, &store_step);
	assert_served(&v);
	assert_int_equal(memory_at(s, DATA), 0x42);
	assert_false(vcpu_active(&s->vp)->store_waits);
	settle(s);
}

static void untouched(struct scene *s, uint64_t gva, enum fake_step_kind kind)
{
	const struct fake_step step = {
		.kind = kind, .gva = gva, .size = 4, .length = 3, .reg = FAKE_RCX};
	struct violation v;

	fake_kvm_reset_calls(s->x.fake);
	v = run_to_mmio(s, &step);
	assert_int_equal(v.setter, 0);
	assert_false(v.served || v.overlay || v.allowed_here);
	assert_int_equal(fake_kvm_calls(s->x.fake, FAKE_OP_run), 1);
	settle(s);
}

static void test_hole(void **state)
{
	scene_limit(*state, DATA, 0);
	untouched(*state, LINEAR_HOLE, FAKE_STORE);
	untouched(*state, LINEAR_HOLE, FAKE_LOAD);
}

/* More than the exit has room for: nothing is read or written by it. */
static void test_too_long(void **state)
{
	const struct fake_step step = {
		.kind = FAKE_LOAD, .gva = DATA, .size = 8, .length = 3, .reg = FAKE_RCX};
	struct scene *s = *state;
	struct violation v;

	scene_limit(s, DATA, NO_EXECUTE);
	scene_script(s, &step, 1);
	assert_int_equal(scene_run(s), 0);
	scene_cpu(s)->run->mmio.len = 9;
	assert_int_equal(intercept_mmio(&s->vp, &v), 0);
	assert_false(v.served || v.setter || v.gpa.addr);
	scene_cpu(s)->run->mmio.len = 8;
	settle(s);
}

static void test_rom(void **state)
{
	untouched(*state, LINEAR_ROM, FAKE_STORE);
}

/* A store to an overlay that may not be written: taken back, for the #GP; nothing to finish. */
static void test_overlay(void **state)
{
	struct scene *s = *state;
	struct overlay *o = overlay_create(&s->p.memory, 0, READ_ONLY);
	struct violation v;

	assert_non_null(o);
	assert_int_equal(overlay_enable(&s->p.memory, o, DATA >> 12), 0);
	scene_code(s, CODE, store_rcx, sizeof(store_rcx));
	v = run_to_mmio(s, &store_step);
	assert_int_equal(v.setter, 0);
	assert_true(v.overlay);
	assert_int_equal(scene_regs(s)->rip, CODE);
	assert_false(vcpu_active(&s->vp)->store_waits);
	settle(s);
}

/* --- errors --- */

static void fail_load(struct scene *s, enum fake_op op, unsigned nth)
{
	static const struct fake_step step = {
		.kind = FAKE_LOAD, .gva = DATA, .size = 16, .length = 3};
	struct violation v;

	scene_code(s, CODE, load_vector, sizeof(load_vector));
	scene_limit(s, DATA, 0);
	scene_script(s, &step, 1);
	assert_int_equal(scene_run(s), 0);
	fake_kvm_fail(s->x.fake, op, nth, EIO);
	assert_int_equal(intercept_mmio(&s->vp, &v), -EIO);
	fake_kvm_fail(s->x.fake, op, 0, 0);
	settle(s);
	scene_regs(s)->rip = CODE;
	vtl_cpu_dirty(scene_cpu(s), CPU_REGS);
}

static void test_load_errors(void **state)
{
	struct scene *s = *state;

	fail_load(s, FAKE_OP_get_xsave, 1);
	fail_load(s, FAKE_OP_set_xsave, 1);
	fail_load(s, FAKE_OP_get_vcpu_events, 1);
	fail_load(s, FAKE_OP_get_vcpu_events, 2);
	fail_load(s, FAKE_OP_run, 1);
}

static void test_store_errors(void **state)
{
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE, store_rcx, sizeof(store_rcx));
	scene_limit(s, DATA, READ_ONLY);
	scene_script(s, &store_step, 1);
	assert_int_equal(scene_run(s), 0);
	fake_kvm_fail(s->x.fake, FAKE_OP_run, 1, EIO);
	assert_int_equal(intercept_mmio(&s->vp, &v), -EIO);
	assert_false(vcpu_active(&s->vp)->store_waits);
	settle(s);
}

static void test_resume_errors(void **state)
{
	struct scene *s = *state;
	struct violation v;

	store_to_read_only(s, store_rcx);
	fake_kvm_fail(s->x.fake, FAKE_OP_get_vcpu_events, 1, EIO);
	assert_int_equal(intercept_resume(&s->vp, &v), -EIO);
	assert_true(vcpu_active(&s->vp)->store_waits);
	scene_limit(s, DATA, PROT_ALL);
	resume(s, 0, false, CODE + 3);
	settle(s);
}

/* An instruction that never ends its exits. */
static void again(struct scene *s, int result)
{
	(void)result;
	scene_cpu(s)->run->exit_reason = KVM_EXIT_MMIO;
	scene_cpu(s)->run->mmio.is_write = 1;
	scene_cpu(s)->run->mmio.len = 8;
}

static int endless_run(const struct kvm_host *h, int fd)
{
	(void)h;
	(void)fd;
	again(&scene, 0);
	return 0;
}

static void test_endless_store(void **state)
{
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE, store_rcx, sizeof(store_rcx));
	scene_limit(s, DATA, READ_ONLY);
	scene_script(s, &store_step, 1);
	assert_int_equal(scene_run(s), 0);
	hooked_ops.run = endless_run;
	assert_int_equal(intercept_mmio(&s->vp, &v), -EIO);
	hooked_ops.run = hooked_run;
	settle(s);
}

#define TEST(name)                                            \
	cmocka_unit_test_setup_teardown(name, start, stop),   \
	{                                                     \
#name "_alias", name, start_alias, stop, NULL \
	}
#define TEST_SLOTS(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_load),
		TEST(test_vector_load),
		TEST(test_unknown_load),
		TEST(test_load_side_effects),
		TEST(test_load_for_rom),
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
		TEST(test_served_load),
		TEST(test_served_store),
		TEST(test_hole),
		TEST(test_rom),
		TEST(test_too_long),
		TEST(test_overlay),
		TEST_SLOTS(test_load_errors),
		TEST_SLOTS(test_store_errors),
		TEST_SLOTS(test_resume_errors),
		TEST_SLOTS(test_endless_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
