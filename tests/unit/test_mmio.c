/* SPDX-License-Identifier: MIT */
/* MMIO exits on memory: loads taken back, and what is answered or fails (mmio.c). */
#include "mmio_fixture.h"

#include <errno.h>

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
/* An interrupt that waits in KVM is not the load's. */
static void test_load_keeps_interrupt(void **state)
{
	static const struct fake_step load = {
		.kind = FAKE_LOAD, .gva = DATA, .size = 8, .length = 3, .reg = FAKE_RCX};
	struct kvm_vcpu_events *events;
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE, load_rcx, sizeof(load_rcx));
	scene_limit(s, DATA, 0);
	fake_vcpu_regs(s->x.fake, scene_cpu(s)->fd)->rflags |= CPU_RFLAGS_IF;
	scene_script(s, &load, 1);
	assert_int_equal(scene_run(s), 0);
	events = fake_vcpu_events(s->x.fake, scene_cpu(s)->fd);
	events->interrupt.injected = 1;
	events->interrupt.nr = 0x51;
	assert_int_equal(intercept_mmio(&s->vp, &v), 0);
	assert_violation(&v, MEM_READ, DATA, load_rcx, sizeof(load_rcx));
	assert_int_equal(vtl_cpu_flush(scene_cpu(s)), 0);
	assert_int_equal(events->interrupt.injected, 1);
	assert_int_equal(events->interrupt.nr, 0x51);
	settle(s);
}

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_load),
		TEST(test_load_keeps_interrupt),
		TEST(test_vector_load),
		TEST(test_unknown_load),
		TEST(test_load_side_effects),
		TEST(test_load_for_rom),
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
