/* SPDX-License-Identifier: MIT */
/* Events whose delivery meets closed pages: made in software, or told. */
#include "window_fixture.h"

/* --- deliveries --- */

static void put_gate(unsigned vector, uint64_t target)
{
	put(IDT + 16 * vector,
	    (target & 0xffff) | 8 << 16 | UINT64_C(0x8e00) << 32 | (target & 0xffff0000) << 32);
	put(IDT + 16 * vector + 8, target >> 32);
}

static int deliver(struct fake_guest *g, void *ctx)
{
	struct kvm_vcpu_events *e = fake_vcpu_events(g->f, g->vcpu_fd);

	(void)ctx;
	e->exception.injected = 1;
	e->exception.nr = VECTOR_PF;
	e->exception.has_error_code = 1;
	e->exception.error_code = 6;
	return -EFAULT;
}

static const struct fake_step delivery = {.kind = FAKE_CALL, .fn = deliver, .length = 0};

/* The IDT is in a page that may be used but not run: what the processor would do, without it. */
static void test_delivery(void **state)
{
	(void)state;
	put_gate(VECTOR_PF, HANDLER);
	limit(IDT, NO_CODE);
	limit(PAGE, NO_CODE);
	script(&delivery, 1);
	run_to_vmm(0);
	assert_int_equal(fake_vcpu_delivered(t.g.x.fake, fd(), NULL, 0), 0);
	assert_int_equal(fake_vcpu_regs(t.g.x.fake, fd())->rip, HANDLER);
	assert_int_equal(fake_vcpu_regs(t.g.x.fake, fd())->rsp, STACK - 48);
	assert_int_equal(word(STACK - 48), 6);
	assert_int_equal(word(STACK - 40), CODE);
	assert_int_equal(word(STACK - 16), STACK);
}

/*
 * A load from the IDT's page, which is shut in a step, cannot be stepped. The exception that VTL1
 * answers with needs the same page at the same instruction, and is delivered.
 */
static void test_delivery_after_step(void **state)
{
	const struct fake_step steps[] = {{.kind = FAKE_CALL, .fn = walk_fails, .length = 0},
					  {.kind = FAKE_CALL, .fn = walk_fails, .length = 0},
					  delivery};

	(void)state;
	memcpy(t.g.x.mem + CODE, (const uint8_t[]){0x8b, 0x03}, 2);
	fake_vcpu_regs(t.g.x.fake, fd())->rbx = IDT;
	put_gate(VECTOR_PF, HANDLER);
	limit(IDT, NO_CODE);
	limit(PAGE, NO_CODE);
	script(steps, ARRAY_SIZE(steps));
	run_to_vmm(1);
	assert_int_equal(t.g.vp->stats.memory_intercepts, 1);
	vcpu_activate(t.g.vp, 0);
	run_to_vmm(0);
	assert_int_equal(fake_vcpu_regs(t.g.x.fake, fd())->rip, HANDLER);
	assert_int_equal(t.g.vp->stats.memory_intercepts, 1);
}

/* INT n in user mode through a gate of ring 0: #GP, and nobody is told. */
static void test_delivery_forbidden(void **state)
{
	static const uint8_t code[] = {0xcd, 0x40};
	static const struct fake_step fault = {.kind = FAKE_RETURN, .error = EFAULT};
	struct kvm_sregs *sregs = fake_vcpu_sregs(t.g.x.fake, fd());
	struct fake_event event;

	(void)state;
	memcpy(t.g.x.mem + CODE, code, sizeof(code));
	put_gate(0x40, HANDLER);
	for (unsigned i = 0; i < 3; i++)
		put((uint64_t[]){PML4, PDPT, PD}[i], word((uint64_t[]){PML4, PDPT, PD}[i]) | USER);
	sregs->cs.dpl = sregs->ss.dpl = 3;
	limit(IDT, NO_CODE);
	limit(PAGE, NO_CODE);
	script(&fault, 1);
	run_to_vmm(0);
	assert_int_equal(fake_vcpu_delivered(t.g.x.fake, fd(), &event, 1), 1);
	assert_int_equal(event.vector, VECTOR_GP);
	assert_int_equal(event.error_code, 0x40 << 3 | 2);
	assert_int_equal(event.rip, CODE);
	assert_int_equal(t.g.vp->stats.memory_intercepts, 0);
}

static const struct fake_step no_delivery = SHUTDOWN(VECTOR_UD);

static void test_shutdown_by_limits(void **state)
{
	(void)state;
	put_gate(VECTOR_UD, HANDLER);
	limit(IDT, NO_CODE);
	limit(PAGE, NO_CODE);
	script(&no_delivery, 1);
	run_to_vmm(0);
	assert_int_equal(fake_vcpu_regs(t.g.x.fake, fd())->rip, HANDLER);
	assert_int_equal(fake_vcpu_regs(t.g.x.fake, fd())->rsp, STACK - 40);
}

#define UD_GATE_END (16 * VECTOR_UD + 15)

static void test_shutdown_told(void **state)
{
	(void)state;
	put_gate(VECTOR_UD, HANDLER);
	limit(STACK - 8, READ_ONLY);
	limit(PAGE, NO_CODE);
	fake_vcpu_sregs(t.g.x.fake, fd())->idt.limit = UD_GATE_END;
	script(&no_delivery, 1);
	run_to_vmm(1);
	assert_int_equal(t.g.vp->stats.memory_intercepts, 1);
}

static void test_shutdown_for_the_vmm(void **state)
{
	struct kvm_vcpu_events *e;
	struct kvm_run *run;

	(void)state;
	put_gate(VECTOR_UD, HANDLER);
	script(&no_delivery, 1);
	assert_int_equal(vsm_vcpu_run(t.g.vp, &run), 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_SHUTDOWN);
	assert_int_equal(vtl_cpu_events(&t.g.vp->vtls[0].cpu, &e), 0);
	assert_int_equal(e->exception.injected, 0);
	/* A guest that resets itself. */
	limit(IDT, NO_CODE);
	fake_vcpu_sregs(t.g.x.fake, fd())->idt.limit = UD_GATE_END - 1;
	script(&no_delivery, 1);
	assert_int_equal(vsm_vcpu_run(t.g.vp, &run), 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_SHUTDOWN);
	assert_int_equal(fake_vcpu_events(t.g.x.fake, fd())->exception.injected, 0);
}

/* Linux 6.14 and kvm_intel say so when they cannot reach what a delivery needs. */
static int fail_delivery(struct fake_guest *g, void *ctx)
{
	deliver(g, ctx);
	g->run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	g->run->internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
	g->run->internal.ndata = 0;
	return FAKE_TO_USER;
}

static void test_delivery_failed(void **state)
{
	static const struct fake_step step = {.kind = FAKE_CALL, .fn = fail_delivery, .length = 0};

	(void)state;
	put_gate(VECTOR_PF, HANDLER);
	limit(STACK - 8, READ_ONLY);
	limit(PAGE, NO_CODE);
	script(&step, 1);
	run_to_vmm(1);
	assert_int_equal(t.g.vp->stats.memory_intercepts, 1);
}

static void expect_ahead(unsigned setter)
{
	struct vp_vtl *v = &t.g.vp->vtls[0];
	struct violation found = {0};

	v->ahead = true;
	assert_int_equal(violation_ahead(t.g.vp, &found), 0);
	assert_int_equal(found.setter, setter);
}

/* An interrupt's frame is looked at before it is delivered, but not in the middle of something. */
static void test_interrupt_ahead(void **state)
{
	struct vp_vtl *v = &t.g.vp->vtls[0];

	(void)state;
	put_gate(0x40, HANDLER);
	limit(STACK - 8, READ_ONLY);
	fake_vcpu_events(t.g.x.fake, fd())->interrupt.injected = 1;
	fake_vcpu_events(t.g.x.fake, fd())->interrupt.nr = 0x40;
	t.g.p->emulated = true;
	expect_ahead(1);
	v->cpu.unfinished = true;
	expect_ahead(0);
	v->cpu.unfinished = false;
	v->stepping = true;
	expect_ahead(0);
	v->stepping = false;
	expect_ahead(1);
	t.g.p->emulated = false;
	expect_ahead(0);
	assert_false(v->ahead);
}

/* What a processor would not take is left to VTL1. */
static void refused(void)
{
	limit(IDT, NO_CODE);
	limit(PAGE, NO_CODE);
	script(&delivery, 1);
	run_to_vmm(1);
	assert_int_equal(t.g.vp->stats.memory_intercepts, 1);
	assert_int_equal(fake_vcpu_regs(t.g.x.fake, fd())->rip, CODE);
	assert_int_equal(word(STACK - 8), 0);
}

static void test_delivery_nowhere(void **state)
{
	(void)state;
	put_gate(VECTOR_PF, UINT64_C(0x0000800000000000));
	refused();
}

static void test_delivery_shadow_stack(void **state)
{
	(void)state;
	put_gate(VECTOR_PF, HANDLER);
	fake_vcpu_sregs(t.g.x.fake, fd())->cr4 |= 1 << 23;
	refused();
}

static void test_delivery_not_present(void **state)
{
	(void)state;
	put_gate(VECTOR_PF, HANDLER);
	t.g.x.mem[IDT + 16 * VECTOR_PF + 5] = 0;
	refused();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_delivery),
		TEST(test_delivery_nowhere),
		TEST(test_delivery_shadow_stack),
		TEST(test_delivery_not_present),
		TEST(test_delivery_forbidden),
		TEST(test_delivery_after_step),
		TEST(test_shutdown_by_limits),
		TEST(test_shutdown_told),
		TEST(test_shutdown_for_the_vmm),
		TEST(test_delivery_failed),
		TEST(test_interrupt_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
