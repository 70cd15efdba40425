/* SPDX-License-Identifier: MIT */
/*
 * The window in which a page is open for one instruction, as an attacker in VTL0 sees it: nothing
 * else runs in it, and nothing it leaves behind stays. Deliveries that are made in software.
 */
#include "partition_fixture.h"
#include "registers/msr.h"
#include "vcpu/exit.h"
#include "vcpu/step.h"
#include "vcpu/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PML4	  UINT64_C(0x40000)
#define PDPT	  UINT64_C(0x41000)
#define PD	  UINT64_C(0x42000)
#define PDPT_TOP  UINT64_C(0x43000)
#define PD_TOP	  UINT64_C(0x44000)
#define PT_TOP	  UINT64_C(0x45000)
#define IDT	  UINT64_C(0x46000)
#define GDT	  UINT64_C(0x47000)
#define CODE	  UINT64_C(0x1000)
#define STACK	  UINT64_C(0x8000)
#define HANDLER	  UINT64_C(0xffff800000123456)
#define TOP_PAGE  UINT64_C(0xfffffffffffff000)
#define LSTAR	  UINT64_C(0xffffffff81000000)
#define MSR_LSTAR 0xc0000082
#define ENTRY	  UINT64_C(0x23) /* present, writable, accessed */
#define USER	  UINT64_C(4)
#define LEAF	  UINT64_C(0x63) /* and dirty */
#define LARGE	  UINT64_C(0xe3) /* 2 MiB */
#define PAGE	  PAGE_SECRET
#define READ_ONLY ((prot_t)(PROT_R | PROT_KX | PROT_UX))
#define NO_CODE	  ((prot_t)(PROT_R | PROT_W))

static struct {
	struct guest g;
	struct kvm_ops ops;
	struct kvm_host host;
	unsigned open_runs; /* KVM_RUNs with PAGE open */
	unsigned open_idt;  /* of those, with the IDT reachable */
	struct kvm_guest_debug debug;
	bool fresh; /* translations were dropped since the last KVM_RUN */
	bool stale; /* a KVM_RUN with PAGE open was not fresh */
} t;

static int fd(void)
{
	return vsm_vcpu_fd(t.g.vp, 0);
}

static int access_to(uint64_t page)
{
	return fake_kvm_guest_access(t.g.x.fake, partition_space(t.g.p, 0)->vm_fd, page);
}

static bool is_open(uint64_t page)
{
	return access_to(page) == KVM_MAP_READ || access_to(page) == KVM_MAP_READ_WRITE;
}

static int watched_run(const struct kvm_host *h, int vcpu_fd)
{
	if (vcpu_fd == fd() && is_open(PAGE)) {
		t.open_runs++;
		t.open_idt += is_open(IDT);
		t.stale |= !t.fresh;
	}
	t.fresh = false;
	return t.g.x.host->ops->run(h, vcpu_fd);
}

static int watched_debug(const struct kvm_host *h, int vcpu_fd, const struct kvm_guest_debug *debug)
{
	if (debug->control)
		t.debug = *debug;
	return t.g.x.host->ops->set_guest_debug(h, vcpu_fd, debug);
}

static int watched_sregs(const struct kvm_host *h, int vcpu_fd, const struct kvm_sregs *sregs)
{
	t.fresh |= sregs->cr3 != fake_vcpu_sregs(t.g.x.fake, vcpu_fd)->cr3;
	return t.g.x.host->ops->set_sregs(h, vcpu_fd, sregs);
}

static void put(uint64_t at, uint64_t value)
{
	memcpy(t.g.x.mem + at, &value, sizeof(value));
}

static uint64_t word(uint64_t at)
{
	uint64_t value;

	memcpy(&value, t.g.x.mem + at, sizeof(value));
	return value;
}

/* 64-bit mode, the first 2 MiB as they are, the IDT also in the last page of the address space. */
static void put_tables(void)
{
	struct kvm_sregs *s = fake_vcpu_sregs(t.g.x.fake, fd());

	put(PML4, PDPT | ENTRY);
	put(PDPT, PD | ENTRY);
	put(PD, LARGE);
	put(PML4 + 511 * 8, PDPT_TOP | ENTRY);
	put(PDPT_TOP + 511 * 8, PD_TOP | ENTRY);
	put(PD_TOP + 511 * 8, PT_TOP | ENTRY);
	put(PT_TOP + 511 * 8, IDT | LEAF);
	fake_vcpu_long_mode(t.g.x.fake, fd(), PML4, CODE, STACK);
	s = fake_vcpu_sregs(t.g.x.fake, fd());
	s->efer |= 1;
	s->idt = (struct kvm_dtable){.base = IDT, .limit = 0xfff};
	s->gdt = (struct kvm_dtable){.base = GDT, .limit = 0xfff};
	put(GDT + 8, UINT64_C(0x00209b0000000000)); /* 64-bit code */
}

static int start(void **state)
{
	const struct kvm_host *real;
	struct vsm_partition_options o;

	(void)state;
	memset(&t, 0, sizeof(t));
	fixture_start(&t.g.x, RAM_MIB);
	real = t.g.x.host;
	t.ops = *real->ops;
	t.ops.run = watched_run;
	t.ops.set_guest_debug = watched_debug;
	t.ops.set_sregs = watched_sregs;
	t.host = (struct kvm_host){&t.ops, real->ctx};
	o = guest_options(&t.g);
	o.enforcement = VSM_ENFORCEMENT_ALIAS;
	t.g.x.host = &t.host;
	guest_start_with(&t.g, &o);
	t.g.x.host = real;
	guest_enable_vtl1(&t.g);
	assert_int_equal(memory_limit_default(&t.g.p->memory, 1, PROT_ALL), 0);
	put_tables();
	return 0;
}

static int stop(void **state)
{
	(void)state;
	guest_stop(&t.g);
	return 0;
}

static void limit(uint64_t at, prot_t mask)
{
	uint64_t page = at >> VSM_PAGE_SHIFT;

	assert_int_equal(memory_limit(&t.g.p->memory, 1, 0, page, page + 1, mask), 0);
}

static void script(const struct fake_step *steps, size_t count)
{
	fake_vcpu_script(t.g.x.fake, fd(), steps, count);
}

/* To the VMM, from the VTL that ought to be there. */
static const struct fake_step vmm = {.kind = FAKE_OUT, .port = 0x3f8, .size = 1, .length = 2};

static void run_to_vmm(unsigned vtl)
{
	struct kvm_run *run;

	fake_vcpu_script(t.g.x.fake, vsm_vcpu_fd(t.g.vp, vtl), &vmm, 1);
	assert_int_equal(vsm_vcpu_run(t.g.vp, &run), 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(vsm_vcpu_active_vtl(t.g.vp), vtl);
	assert_null(vsm_partition_death(t.g.p));
	assert_false(is_open(PAGE));
	assert_int_equal(t.open_idt, 0);
	assert_false(t.stale);
}

#define STORE                                                                      \
	{                                                                          \
		.kind = FAKE_STORE, .gva = PAGE, .size = 4, .data = 1, .length = 2 \
	}

/* mov %eax, (%rbx), to a page that VTL0 may use but not run. */
static void put_store(void)
{
	static const uint8_t code[] = {0x89, 0x03};

	memcpy(t.g.x.mem + CODE, code, sizeof(code));
	fake_vcpu_regs(t.g.x.fake, fd())->rbx = PAGE;
	limit(PAGE, NO_CODE);
}

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

static int walk_fails(struct fake_guest *g, void *ctx)
{
	(void)g;
	(void)ctx;
	return -EFAULT;
}

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
	static const struct fake_step steps[] = {
		{.kind = FAKE_CALL, .fn = walk_fails, .length = 0},
		{.kind = FAKE_CALL, .fn = write_table, .length = 2},
	};

	(void)state;
	memcpy(t.g.x.mem + CODE, (const uint8_t[]){0x89, 0x03}, 2);
	fake_vcpu_regs(t.g.x.fake, fd())->rbx = STACK;
	limit(PD, READ_ONLY);
	limit(PAGE, NO_CODE);
	script(steps, ARRAY_SIZE(steps));
	run_to_vmm(1);
	assert_int_equal(word(PD + 8), 0);
	assert_int_equal(word(PD), LARGE);
	assert_int_equal(access_to(PD), KVM_MAP_READ);
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
	static const struct fake_step steps[] = {
		{.kind = FAKE_CALL, .fn = walk_fails, .length = 0},
		{.kind = FAKE_CALL, .fn = write_page, .length = 2},
	};

	(void)state;
	memcpy(t.g.x.mem + CODE, (const uint8_t[]){0x8b, 0x03}, 2);
	fake_vcpu_regs(t.g.x.fake, fd())->rbx = PAGE;
	limit(PAGE, PROT_R);
	script(steps, ARRAY_SIZE(steps));
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
	static const struct fake_step steps[] = {
		{.kind = FAKE_CALL, .fn = walk_fails, .length = 0},
		{.kind = FAKE_CALL, .fn = page_fault, .length = 0},
	};
	struct fake_event event;

	(void)state;
	put_store();
	script(steps, ARRAY_SIZE(steps));
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
	const struct fake_step steps[] = {
		{.kind = FAKE_CALL, .fn = walk_fails, .length = 0},
		{.kind = FAKE_OUT, .port = t.g.p->hypercall_port, .size = 1, .length = 2},
	};

	(void)state;
	put_store();
	script(steps, ARRAY_SIZE(steps));
	run_to_vmm(0);
	assert_int_equal(t.open_runs, 1);
}

/* The same pages, opened once more, would do no better. */
static void test_no_progress(void **state)
{
	static const struct fake_step steps[] = {
		{.kind = FAKE_CALL, .fn = walk_fails, .length = 0},
		{.kind = FAKE_CALL, .fn = walk_fails, .length = 0},
	};

	(void)state;
	put_store();
	script(steps, ARRAY_SIZE(steps));
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

/* A KVM that cannot deliver what *ctx says, by software. */
static int shutdown(struct fake_guest *g, void *ctx)
{
	struct kvm_vcpu_events *e = fake_vcpu_events(g->f, g->vcpu_fd);

	e->exception.nr = *(const uint8_t *)ctx;
	g->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return FAKE_TO_USER;
}

#define SHUTDOWN(vector)                                                                  \
	{                                                                                 \
		.kind = FAKE_CALL, .fn = shutdown, .ctx = &(uint8_t){vector}, .length = 0 \
	}

static void script_shutdown_inside(uint8_t vector)
{
	static uint8_t which;
	const struct fake_step steps[] = {
		{.kind = FAKE_CALL, .fn = walk_fails, .length = 0},
		{.kind = FAKE_CALL, .fn = shutdown, .ctx = &which, .length = 0},
	};

	which = vector;
	put_store();
	script(steps, ARRAY_SIZE(steps));
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
	const struct fake_step real[] = {
		{.kind = FAKE_CALL, .fn = walk_fails, .length = 0},
		{.kind = FAKE_CALL, .fn = shutdown_real, .ctx = &(uint8_t){VECTOR_GP}}};
	struct fake_event event;
	struct kvm_run *run;

	(void)state;
	t.g.p->emulated = true;
	put_store();
	script(real, ARRAY_SIZE(real));
	run_to_vmm(0);
	assert_int_equal(t.open_runs, 1);
	assert_int_equal(fake_vcpu_delivered(t.g.x.fake, fd(), &event, 1), 1);
	assert_int_equal(event.vector, VECTOR_GP);
	t.g.p->emulated = false;
	fake_vcpu_long_mode(t.g.x.fake, fd(), fake_vcpu_sregs(t.g.x.fake, fd())->cr3, CODE, STACK);
	script(real, ARRAY_SIZE(real));
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_only_the_instruction),
		TEST(test_idt_wraps),

		TEST(test_table_is_put_back),
		TEST(test_exception_inside),
		TEST(test_page_read_is_kept),
		TEST(test_interrupted),
		TEST(test_overdue),
		TEST(test_hypercall_inside),
		TEST(test_guest_steps_itself),
		TEST(test_delivery),
		TEST(test_delivery_nowhere),
		TEST(test_delivery_shadow_stack),
		TEST(test_delivery_not_present),
		TEST(test_shutdown_inside),
		TEST(test_shutdown_in_real_mode),
		TEST(test_delivery_forbidden),
		TEST(test_trap_inside),
		TEST(test_shutdown_by_limits),
		TEST(test_shutdown_told),
		TEST(test_shutdown_for_the_vmm),
		TEST(test_reset_inside),
		TEST(test_no_progress),
		TEST(test_delivery_failed),
		TEST(test_other_tries),
		TEST(test_one_steps_at_a_time),
		TEST(test_interrupt_ahead),
		TEST(test_hit_by_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
