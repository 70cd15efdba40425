/* SPDX-License-Identifier: MIT */
/*
 * The window in which a page is open for one instruction, as an attacker in VTL0 sees it: nothing
 * else runs in it, and nothing it leaves behind stays.
 */
#include "window_fixture.h"

static void test_only_the_instruction(void **state)
{
	static const struct fake_step store = STORE;

	(void)state;
	put_store();
	assert_int_equal(vtl_cpu_write_msr(&t.g.vp->vtls[0].cpu, MSR_LSTAR, LSTAR), 0);
	script(&store, 1);
	run_to_vmm(0);
	assert_int_equal(t.open_runs, 1);
	assert_true(t.debug.control & KVM_GUESTDBG_BLOCKIRQ);
	assert_int_equal(t.g.vp->stats.steps, 1);
	/* SYSCALL's way out is watched, whatever the instruction was when it was decoded. */
	assert_true(t.debug.control & KVM_GUESTDBG_USE_HW_BP);
	assert_int_equal(t.debug.arch.debugreg[0], LSTAR);
	assert_int_equal(t.debug.arch.debugreg[7], 0x40a);
}

/* An IDT whose addresses wrap: vectors below 128 are in the last page. */
static void test_idt_wraps(void **state)
{
	static const struct fake_step store = STORE;

	(void)state;
	put_store();
	fake_vcpu_sregs(t.g.x.fake, fd())->idt.base = TOP_PAGE + 0x800;
	script(&store, 1);
	run_to_vmm(0);
	assert_int_equal(t.open_runs, 1);
}

/* --- not the instruction that was decoded --- */

static int write_table(struct fake_guest *g, void *ctx)
{
	(void)g;
	(void)ctx;
	assert_int_equal(access_to(PD), KVM_MAP_READ_WRITE);
	put(PD + 8, LARGE | 0x200000);
	return FAKE_NEXT;
}

/* A table that VTL0 may only read is open while it is walked; what is written then is undone. */
static void test_table_is_put_back(void **state)
{
	(void)state;
	memcpy(t.g.x.mem + CODE, (const uint8_t[]){0x89, 0x03}, 2);
	fake_vcpu_regs(t.g.x.fake, fd())->rbx = STACK;
	limit(PD, READ_ONLY);
	limit(PAGE, NO_CODE);
	script_inside((struct fake_step){.kind = FAKE_CALL, .fn = write_table, .length = 2});
	run_to_vmm(1);
	assert_int_equal(word(PD + 8), 0);
	assert_int_equal(word(PD), LARGE);
	assert_int_equal(access_to(PD), KVM_MAP_READ);
	assert_int_equal(t.g.vp->stats.memory_intercepts, 1);
}

/* What was remembered for a step that the host refused is not put back by another one. */
static void test_refused_step_keeps_nothing(void **state)
{
	static const struct fake_step store = STORE;

	(void)state;
	memcpy(t.g.x.mem + CODE, (const uint8_t[]){0x89, 0x03}, 2);
	fake_vcpu_regs(t.g.x.fake, fd())->rbx = STACK;
	limit(PML4, READ_ONLY); /* the first page of the step's */
	limit(PAGE, NO_CODE);
	script_inside(store);
	fake_kvm_fail(t.g.x.fake, FAKE_OP_set_guest_debug, 1, ENOMEM);
	run_to_vmm(1);
	assert_int_equal(t.g.vp->stats.memory_intercepts, 1);
	vcpu_activate(t.g.vp, 0);
	limit(PML4, PROT_ALL);
	put_store();
	run_to_vmm(0);
	assert_int_equal(word(PAGE), 1);
	assert_int_equal(t.g.vp->stats.memory_intercepts, 1);
}

static int write_page(struct fake_guest *g, void *ctx)
{
	(void)g;
	(void)ctx;
	assert_int_equal(access_to(PAGE), KVM_MAP_READ);
	put(PAGE, LSTAR);
	return FAKE_NEXT;
}

/* What others, a device say, write meanwhile to a page that is open for reading stays. */
static void test_page_read_is_kept(void **state)
{
	(void)state;
	memcpy(t.g.x.mem + CODE, (const uint8_t[]){0x8b, 0x03}, 2);
	fake_vcpu_regs(t.g.x.fake, fd())->rbx = PAGE;
	limit(PAGE, PROT_R);
	script_inside((struct fake_step){.kind = FAKE_CALL, .fn = write_page, .length = 2});
	run_to_vmm(0);
	assert_int_equal(t.open_runs, 1);
	assert_int_equal(word(PAGE), LSTAR);
}

/* --- events and signals in the window --- */

static int page_fault(struct fake_guest *g, void *ctx)
{
	struct kvm_vcpu_events *e = fake_vcpu_events(g->f, g->vcpu_fd);

	(void)ctx;
	assert_true(is_open(PAGE));
	e->exception.injected = 1;
	e->exception.nr = VECTOR_PF;
	e->exception.has_error_code = 1;
	e->exception.error_code = 2;
	return -EFAULT;
}

/* The instruction faults by itself: its handler finds the page closed. */
static void test_exception_inside(void **state)
{
	struct fake_event event;

	(void)state;
	put_store();
	script_inside((struct fake_step){.kind = FAKE_CALL, .fn = page_fault});
	run_to_vmm(0);
	assert_int_equal(t.open_runs, 1);
	assert_int_equal(fake_vcpu_delivered(t.g.x.fake, fd(), &event, 1), 1);
	assert_int_equal(event.vector, VECTOR_PF);
	assert_int_equal(t.g.vp->stats.memory_intercepts, 0);
}

static int signalled(struct fake_guest *g, void *ctx)
{
	(void)g;
	assert_true(is_open(PAGE));
	t.g.vp->nudged = true;
	t.g.p->step_overdue = ctx;
	return -EINTR;
}

/* Who comes out of the window has to look again; not for ever. */
static void test_interrupted(void **state)
{
	static const struct fake_step steps[] = {
		{.kind = FAKE_CALL, .fn = walk_fails, .length = 0},
		{.kind = FAKE_CALL, .fn = signalled, .length = 0},
		STORE,
	};

	(void)state;
	put_store();
	script(steps, ARRAY_SIZE(steps));
	run_to_vmm(0);
	assert_int_equal(t.open_runs, 2);
	assert_int_equal(t.g.vp->stats.memory_intercepts, 0);
}

static void test_overdue(void **state)
{
	static const struct fake_step steps[] = {
		{.kind = FAKE_CALL, .fn = walk_fails, .length = 0},
		{.kind = FAKE_CALL, .fn = signalled, .ctx = &t, .length = 0},
		{.kind = FAKE_CALL, .fn = walk_fails, .length = 0},
	};

	(void)state;
	put_store();
	script(steps, ARRAY_SIZE(steps));
	run_to_vmm(1);
	assert_int_equal(t.open_runs, 1);
	assert_int_equal(t.g.vp->stats.memory_intercepts, 1);
	assert_false(t.g.p->step_overdue);
}

/* What runs is a hypercall's `out` by now: an exit as any other. */
static void test_hypercall_inside(void **state)
{
	(void)state;
	put_store();
	script_inside((struct fake_step){
		.kind = FAKE_OUT, .port = t.g.p->hypercall_port, .size = 1, .length = 2});
	run_to_vmm(0);
	assert_int_equal(t.open_runs, 1);
}

/* The same pages, opened once more, would do no better. */
static void test_no_progress(void **state)
{
	(void)state;
	put_store();
	script_inside((struct fake_step){.kind = FAKE_CALL, .fn = walk_fails});
	run_to_vmm(1);
	assert_int_equal(t.open_runs, 1);
	assert_int_equal(t.g.vp->stats.memory_intercepts, 1);
}

/* The store of put_store(), as it is found at RIP. */
static struct violation locate_store(void)
{
	struct violation v;

	assert_int_equal(intercept_locate(t.g.vp, &v), 0);
	assert_true(v.allowed_here);
	assert_int_equal(v.open_count, 1);
	return v;
}

static bool steps(const struct violation *v)
{
	assert_int_equal(step_access(t.g.vp, v), 0);
	return t.g.vp->vtls[0].stepping;
}

/* Only the same instruction with the same pages has had its try. */
static void test_other_tries(void **state)
{
	struct page_step *last = &vcpu_rare(t.g.vp)->step;
	struct violation v;

	(void)state;
	put_store();
	v = locate_store();
	assert_true(steps(&v));
	assert_int_equal(step_stop(t.g.vp, true), 0);
	last->rip += 2;
	assert_true(steps(&v));
	assert_int_equal(step_stop(t.g.vp, true), 0);
	last->open_count = 2;
	assert_true(steps(&v));
	assert_int_equal(step_stop(t.g.vp, false), 0);
	assert_true(steps(&v));
	assert_int_equal(step_stop(t.g.vp, true), 0);
	assert_false(steps(&v));
	assert_int_equal(t.g.vp->stats.memory_intercepts, 1);
	/* What might not end with its trap is not begun. */
	last->failed = false;
	v.unbounded = true;
	assert_false(steps(&v));
	assert_int_equal(t.g.vp->stats.memory_intercepts, 2);
}

static void expect_hit(bool exception, bool nmi, bool interrupt)
{
	struct vtl_cpu *cpu = &t.g.vp->vtls[0].cpu;
	struct kvm_vcpu_events *e = fake_vcpu_events(t.g.x.fake, fd());

	e->exception.injected = exception;
	e->nmi.injected = nmi;
	e->interrupt.injected = interrupt;
	vtl_cpu_forget(cpu);
	assert_int_equal(window_hit_by_event(t.g.vp), exception || nmi || interrupt);
}

static void test_hit_by_event(void **state)
{
	(void)state;
	expect_hit(false, false, false);
	expect_hit(true, false, false);
	expect_hit(false, true, false);
	expect_hit(false, false, true);
	expect_hit(false, false, false);
}

static void test_one_steps_at_a_time(void **state)
{
	struct vsm_vcpu *other = calloc(1, sizeof(*other));
	struct violation v;

	(void)state;
	put_store();
	v = locate_store();
	t.g.p->stepper = other;
	assert_false(steps(&v));
	step_give_up(t.g.vp);
	assert_ptr_equal(t.g.p->stepper, other);
	assert_false(is_open(PAGE));
	free(other);
	/* Who was late before is not any more. */
	t.g.p->stepper = NULL;
	t.g.p->step_overdue = true;
	assert_true(steps(&v));
	assert_false(t.g.p->step_overdue);
	assert_int_equal(step_stop(t.g.vp, false), 0);
	assert_null(t.g.p->stepper);
}

static void script_shutdown_inside(uint8_t vector)
{
	static uint8_t which;

	which = vector;
	put_store();
	script_inside((struct fake_step){.kind = FAKE_CALL, .fn = shutdown, .ctx = &which});
}

static void shutdown_inside(uint8_t vector)
{
	script_shutdown_inside(vector);
	run_to_vmm(0);
	assert_int_equal(t.open_runs, 1);
	assert_int_equal(t.g.vp->stats.memory_intercepts, 0);
}

/* The IDT that the step has shut was in the way: the exception finds the pages closed. */
static void test_shutdown_inside(void **state)
{
	struct fake_event event;

	(void)state;
	shutdown_inside(VECTOR_UD);
	assert_int_equal(fake_vcpu_delivered(t.g.x.fake, fd(), &event, 1), 1);
	assert_int_equal(event.vector, VECTOR_UD);
}

static int shutdown_real(struct fake_guest *g, void *ctx)
{
	g->sregs->cr0 &= ~(CPU_CR0_PE | CPU_CR0_PG);
	g->sregs->efer = 0;
	g->sregs->idt.limit = 0;
	return shutdown(g, ctx);
}

/*
 * In real mode, where KVM looks at no limit; but a KVM on a processor that delivers, and resets the
 * vCPU, shows real mode after any triple fault.
 */
static void test_shutdown_in_real_mode(void **state)
{
	struct fake_event event;
	struct kvm_run *run;

	(void)state;
	t.g.p->emulated = true;
	put_store();
	script_inside((struct fake_step){
		.kind = FAKE_CALL, .fn = shutdown_real, .ctx = &(uint8_t){VECTOR_GP}});
	run_to_vmm(0);
	assert_int_equal(t.open_runs, 1);
	assert_int_equal(fake_vcpu_delivered(t.g.x.fake, fd(), &event, 1), 1);
	assert_int_equal(event.vector, VECTOR_GP);
	t.g.p->emulated = false;
	fake_vcpu_long_mode(t.g.x.fake, fd(), fake_vcpu_sregs(t.g.x.fake, fd())->cr3, CODE, STACK);
	script_inside((struct fake_step){
		.kind = FAKE_CALL, .fn = shutdown_real, .ctx = &(uint8_t){VECTOR_GP}});
	assert_int_equal(vsm_vcpu_run(t.g.vp, &run), 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_SHUTDOWN);
	assert_false(is_open(PAGE));
}

/* Without an IDT it is the end, but not one with pages open. */
static void test_reset_inside(void **state)
{
	struct kvm_run *run;

	(void)state;
	fake_vcpu_sregs(t.g.x.fake, fd())->idt.limit = 0;
	script_shutdown_inside(VECTOR_UD);
	assert_int_equal(vsm_vcpu_run(t.g.vp, &run), 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_SHUTDOWN);
	assert_int_equal(t.open_runs, 1);
	assert_false(is_open(PAGE));
	assert_null(t.g.p->stepper);
}

/* It was the step's own trap. */
static void test_trap_inside(void **state)
{
	(void)state;
	shutdown_inside(VECTOR_DB);
	assert_int_equal(fake_vcpu_delivered(t.g.x.fake, fd(), NULL, 0), 0);
}

/* A guest that steps itself gets its own trap, and goes on doing so. */
static void test_guest_steps_itself(void **state)
{
	static const struct fake_step store = STORE;
	struct kvm_debugregs debugregs;
	struct fake_event event;

	(void)state;
	t.g.vp->vtls[0].debugregs_known = true;
	put_store();
	fake_vcpu_regs(t.g.x.fake, fd())->rflags |= CPU_RFLAGS_TF;
	script(&store, 1);
	run_to_vmm(0);
	assert_int_equal(fake_vcpu_delivered(t.g.x.fake, fd(), &event, 1), 1);
	assert_int_equal(event.vector, VECTOR_DB);
	assert_int_equal(event.rip, CODE + 2);
	assert_true(fake_vcpu_regs(t.g.x.fake, fd())->rflags & CPU_RFLAGS_TF);
	assert_false(t.g.vp->vtls[0].debugregs_known);
	assert_int_equal(t.g.x.host->ops->get_debugregs(t.g.x.host, fd(), &debugregs), 0);
	assert_int_equal(debugregs.dr6 & 0x4000, 0x4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_only_the_instruction), TEST(test_idt_wraps),
		TEST(test_table_is_put_back),	 TEST(test_exception_inside),
		TEST(test_page_read_is_kept),	 TEST(test_refused_step_keeps_nothing),
		TEST(test_interrupted),		 TEST(test_overdue),
		TEST(test_hypercall_inside),	 TEST(test_guest_steps_itself),
		TEST(test_shutdown_inside),	 TEST(test_shutdown_in_real_mode),
		TEST(test_trap_inside),		 TEST(test_reset_inside),
		TEST(test_no_progress),		 TEST(test_other_tries),
		TEST(test_one_steps_at_a_time),	 TEST(test_hit_by_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
