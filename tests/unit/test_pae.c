/* SPDX-License-Identifier: MIT */
/*
 * PAE paging: the entries that CR3 points to, of which KVM keeps a copy, are those that the VTL
 * itself reads there, whatever the VM showed when its registers were set.
 */
#include "partition_fixture.h"

#include <errno.h>
#include <string.h>
#include "msr/synthetic.h"

#define POINTERS  UINT64_C(0x40000)
#define TABLE	  UINT64_C(0x41000)
#define DATA	  0x5000
#define CODE	  0x1000 /* the load, and then an `out` */
#define HANDLER	  0x2000
#define CODE_CALL 0x3000
#define STACK	  0x8000
#define PORT_VMM  0x3f8
#define FS_BASE	  0x123000
#define VALUE	  0x77

#define HYPERCALL_OUT(at)                                                           \
	{                                                                           \
		.kind = FAKE_OUT, .port = 0xe7, .size = 1, .length = 2, .rip = (at) \
	}
#define JUMP(to)                                                \
	{                                                       \
		.kind = FAKE_SET, .reg = FAKE_RIP, .data = (to) \
	}

static int fd(struct guest *g, unsigned vtl)
{
	return vsm_vcpu_fd(g->vp, vtl);
}

static void to_handler(struct fake_guest *g, const struct fake_event *event, void *ctx)
{
	(void)event, (void)ctx;
	g->regs->rip = HANDLER;
}

static void write_program(struct guest *g, unsigned vtl)
{
	const struct fake_step out = {
		.kind = FAKE_OUT, .flags = FAKE_OPTIONAL, .port = PORT_VMM, .size = 1, .length = 2};
	struct fake_step steps[] = {
		{.kind = FAKE_LOAD, .flags = FAKE_OPTIONAL, .gva = DATA, .size = 8, .length = 4},
		out,
		out,
		out};

	steps[0].rip = CODE;
	steps[1].rip = CODE + 4;
	steps[2].rip = HANDLER;
	steps[3].rip = VTL1_ENTRY;
	fake_vcpu_program(g->x.fake, fd(g, vtl), steps, ARRAY_SIZE(steps));
	fake_vcpu_on_event(g->x.fake, fd(g, vtl), to_handler, NULL);
}

/*
 * VTL0 in PAE mode by the VMM's ioctl; the first 2 MiB are mapped, one to one. VTL1 is there,
 * without paging.
 */
static void start(struct guest *g, const struct guest_combination *c, long without_cap)
{
	uint64_t *pointers, *table;

	fixture_start(&g->x, RAM_MIB);
	if (without_cap)
		fake_kvm_set_cap(g->x.fake, without_cap, 0);
	guest_start_with(
		g, &(struct vsm_partition_options){.size = sizeof(struct vsm_partition_options),
						   .kvm_fd = g->x.dev_fd,
						   .vm_fd = g->x.vm_fd,
						   .topology = c->topology,
						   .enforcement = c->enforcement});
	guest_enable_vtl1(g);
	assert_int_equal(memory_limit_default(&g->p->memory, 1, PROT_ALL), 0);
	pointers = (uint64_t *)(g->x.mem + POINTERS);
	table = (uint64_t *)(g->x.mem + TABLE);
	pointers[0] = TABLE | 1;
	table[0] = 0xe3;
	g->x.mem[DATA] = VALUE;
	for (unsigned vtl = 0; vtl < 2; vtl++)
		write_program(g, vtl);
}

/* What a VMM does with KVM_SET_SREGS. */
static void set_up(struct guest *g)
{
	const struct kvm_host *h = g->x.host;
	struct kvm_sregs sregs;

	fake_vcpu_pae_mode(g->x.fake, fd(g, 0), POINTERS, CODE, STACK);
	assert_int_equal(h->ops->get_sregs(h, fd(g, 0), &sregs), 0);
	assert_int_equal(h->ops->set_sregs(h, fd(g, 0), &sregs), 0);
}

static void run(struct guest *g, unsigned vtl)
{
	struct kvm_run *run;

	vcpu_activate(g->vp, vtl);
	assert_int_equal(vsm_vcpu_run(g->vp, &run), 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(run->io.port, PORT_VMM);
}

static void again(struct guest *g)
{
	fake_vcpu_regs(g->x.fake, fd(g, 0))->rip = CODE;
	fake_vcpu_regs(g->x.fake, fd(g, 0))->rax = 0;
}

/* VTL0 runs the load, from memory that its tables map. */
static void expect_mapped(struct guest *g)
{
	run(g, 0);
	assert_int_equal(fake_vcpu_regs(g->x.fake, fd(g, 0))->rax, VALUE);
	assert_int_equal(fake_vcpu_delivered(g->x.fake, fd(g, 0), NULL, 0), 0);
	again(g);
}

static void expect_page_fault(struct guest *g)
{
	struct fake_event event;

	run(g, 0);
	assert_int_equal(fake_vcpu_delivered(g->x.fake, fd(g, 0), &event, 1), 1);
	assert_int_equal(event.kind, FAKE_EXCEPTION);
	assert_int_equal(event.vector, VECTOR_PF);
}

/* A special register of VTL0 is written when VTL1's exit goes to the VMM. */
static void write_from_vtl1(struct guest *g)
{
	struct vtl_cpu *cpu = &g->vp->vtls[0].cpu;
	struct kvm_sregs *sregs;

	assert_int_equal(vtl_cpu_sregs(cpu, &sregs), 0);
	sregs->fs.base = FS_BASE;
	vtl_cpu_dirty(cpu, CPU_SREGS);
	fake_vcpu_regs(g->x.fake, fd(g, 1))->rip = VTL1_ENTRY;
	run(g, 1);
	assert_int_equal(fake_vcpu_sregs(g->x.fake, fd(g, 0))->fs.base, FS_BASE);
}

static void on_all(void (*test)(struct guest *g), long without_cap)
{
	for (size_t i = 0; i < ARRAY_SIZE(guest_combinations); i++) {
		struct guest g;

		start(&g, &guest_combinations[i], without_cap);
		test(&g);
		guest_stop(&g);
	}
}

/* --- */

static void set_up_by_vmm(struct guest *g)
{
	set_up(g);
	expect_mapped(g);
	/* Another time, while VTL1's memory is shown, where the pointers are covered. */
	assert_int_equal(synthetic_write(g->vp, 1, HV_MSR_SIMP, POINTERS | 1), 0);
	run(g, 1);
	set_up(g);
	expect_mapped(g);
}

/* Before the first KVM_RUN there are no memslots at all. */
static void test_set_up_by_vmm(void **state)
{
	(void)state;
	on_all(set_up_by_vmm, 0);
	on_all(set_up_by_vmm, KVM_CAP_SYNC_REGS);
	on_all(set_up_by_vmm, KVM_CAP_SREGS2);
}

static void enable_code_pages(struct guest *g)
{
	for (unsigned vtl = 0; vtl < 2; vtl++) {
		assert_int_equal(synthetic_write(g->vp, vtl, HV_MSR_GUEST_OS_ID, 1), 0);
		assert_int_equal(synthetic_write(g->vp, vtl, HV_MSR_HYPERCALL, PAGE_CODE | 1), 0);
	}
}

/* The VMM brings VTL0 there from another mode. */
static void moved_by_vmm(struct guest *g)
{
	run(g, 0);
	again(g);
	assert_int_equal(synthetic_write(g->vp, 1, HV_MSR_SIMP, POINTERS | 1), 0);
	run(g, 1);
	set_up(g);
	expect_mapped(g);
}

static void limit_pointers(struct guest *g, prot_t mask)
{
	const uint64_t page = POINTERS >> VSM_PAGE_SHIFT;

	assert_int_equal(memory_limit(&g->p->memory, 1, 0, page, page + 1, mask), 0);
}

/* While VTL1 opens the page of the pointers, which the VM does not show yet. */
static void moved_while_opened(struct guest *g)
{
	limit_pointers(g, 0);
	run(g, 0);
	again(g);
	limit_pointers(g, PROT_ALL);
	set_up(g);
	expect_mapped(g);
}

static void moved_while_closed(struct guest *g)
{
	run(g, 0);
	again(g);
	limit_pointers(g, 0);
	set_up(g);
	limit_pointers(g, PROT_ALL);
	expect_mapped(g);
}

static void shut_pointers(struct guest *g)
{
	struct memory *m = &g->p->memory;

	assert_int_equal(memory_shut_page(m, 0, POINTERS >> VSM_PAGE_SHIFT), 0);
	assert_int_equal(space_apply(g->vp->vtls[0].space, m, 0, NULL), 0);
}

/* While another VP has made a step, for which a page was shut, and shown its memory. */
static void moved_during_step(struct guest *g, bool begun)
{
	struct memory *m = &g->p->memory;
	struct space *space = g->vp->vtls[0].space;

	if (begun)
		shut_pointers(g);
	run(g, 0);
	again(g);
	if (!begun)
		shut_pointers(g);
	set_up(g);
	assert_int_equal(memory_close_openings(m, 0), 0);
	assert_int_equal(space_apply(space, m, 0, NULL), 0);
	expect_mapped(g);
}

static void moved_during_whole_step(struct guest *g)
{
	moved_during_step(g, false);
}

static void moved_in_step(struct guest *g)
{
	moved_during_step(g, true);
}

/* It runs again before the step is over, for which it has to wait. */
static void moved_before_step_ends(struct guest *g)
{
	struct kvm_run *kvm_run;

	run(g, 0);
	again(g);
	shut_pointers(g);
	set_up(g);
	vsm_vcpu_kick(g->vp);
	assert_int_equal(vsm_vcpu_run(g->vp, &kvm_run), -EINTR);
	assert_true(g->vp->vtls[0].cpu.pdptes_due);
}

/* While another VP has shown VTL1's memory, and VTL0's again. */
static void moved_during_turn(struct guest *g)
{
	struct memory *m = &g->p->memory;

	assert_int_equal(synthetic_write(g->vp, 1, HV_MSR_SIMP, POINTERS | 1), 0);
	run(g, 0);
	again(g);
	assert_int_equal(space_apply(g->vp->vtls[1].space, m, 1, NULL), 0);
	set_up(g);
	assert_int_equal(space_apply(g->vp->vtls[0].space, m, 0, NULL), 0);
	expect_mapped(g);
}

/* VTL0 was in the guest, but it is VTL1 that came out. */
static void moved_after_call(struct guest *g)
{
	const struct fake_step call[] = {HYPERCALL_OUT(ENTRY_CALL)};

	enable_code_pages(g);
	assert_int_equal(synthetic_write(g->vp, 1, HV_MSR_SIMP, POINTERS | 1), 0);
	fake_vcpu_regs(g->x.fake, fd(g, 0))->rip = ENTRY_CALL;
	fake_vcpu_regs(g->x.fake, fd(g, 0))->rdx = 0; /* as EAX: the control input */
	fake_vcpu_script(g->x.fake, fd(g, 0), call, ARRAY_SIZE(call));
	run(g, 0);
	assert_int_equal(g->vp->active_vtl, 1);
	set_up(g);
	expect_mapped(g);
}

static void test_moved_by_vmm(void **state)
{
	(void)state;
	on_all(moved_by_vmm, 0);
	on_all(moved_by_vmm, KVM_CAP_SYNC_REGS);
	on_all(moved_while_opened, 0);
	on_all(moved_while_closed, 0);
	on_all(moved_during_whole_step, 0);
	on_all(moved_in_step, 0);
	on_all(moved_before_step_ends, 0);
	on_all(moved_after_call, 0);
	on_all(moved_during_turn, 0);
}

static void set_up_after_reset(struct guest *g)
{
	/* Not half-done. */
	const struct fake_step interrupted = {.kind = FAKE_RETURN, .error = EINTR};
	struct kvm_run *kvm_run;

	fake_vcpu_script(g->x.fake, fd(g, 0), &interrupted, 1);
	fake_vcpu_regs(g->x.fake, fd(g, 0))->rip = CODE_CALL;
	assert_int_equal(vsm_vcpu_run(g->vp, &kvm_run), -EINTR);
	assert_int_equal(synthetic_write(g->vp, 1, HV_MSR_SIMP, POINTERS | 1), 0);
	run(g, 1);
	assert_int_equal(vsm_vcpu_reset(g->vp), 0);
	set_up(g);
	expect_mapped(g);
}

static void test_set_up_after_reset(void **state)
{
	(void)state;
	on_all(set_up_after_reset, 0);
}

/* VTL1 has a page of its own where VTL0's pointers are. */
static void covered_in_vtl1(struct guest *g)
{
	set_up(g);
	expect_mapped(g);
	assert_int_equal(synthetic_write(g->vp, 1, HV_MSR_SIMP, POINTERS | 1), 0);
	write_from_vtl1(g);
	expect_mapped(g);
}

static void test_covered_in_vtl1(void **state)
{
	(void)state;
	on_all(covered_in_vtl1, 0);
	on_all(covered_in_vtl1, KVM_CAP_SYNC_REGS);
	on_all(covered_in_vtl1, KVM_CAP_SREGS2);
}

static int write_register(struct fake_guest *fg, void *ctx)
{
	struct guest *g = ctx;
	struct vtl_cpu *cpu = &g->vp->vtls[0].cpu;
	struct kvm_sregs *sregs;

	(void)fg;
	pthread_mutex_lock(&g->p->lock);
	assert_int_equal(vtl_cpu_sregs(cpu, &sregs), 0);
	sregs->fs.base = FS_BASE;
	vtl_cpu_dirty(cpu, CPU_SREGS);
	assert_int_equal(vtl_cpu_flush(cpu), 0);
	pthread_mutex_unlock(&g->p->lock);
	return FAKE_NEXT;
}

/* The same by a hypercall: VTL0 calls VTL1 and goes on, and the VMM hears of none of it. */
static void covered_in_passing(struct guest *g)
{
	const struct fake_step lower[] = {HYPERCALL_OUT(ENTRY_CALL), JUMP(CODE)};
	const struct fake_step higher[] = {
		{.kind = FAKE_CALL, .fn = write_register, .ctx = g, .length = 1},
		{.kind = FAKE_SET, .reg = FAKE_RAX, .data = 1}, /* a fast return */
		JUMP(ENTRY_RETURN),
		HYPERCALL_OUT(ENTRY_RETURN),
	};

	set_up(g);
	enable_code_pages(g);
	assert_int_equal(synthetic_write(g->vp, 1, HV_MSR_SIMP, POINTERS | 1), 0);
	fake_vcpu_regs(g->x.fake, fd(g, 0))->rip = ENTRY_CALL;
	fake_vcpu_regs(g->x.fake, fd(g, 0))->rdx = 0; /* as EAX: the control input */
	fake_vcpu_regs(g->x.fake, fd(g, 1))->rip = CODE_CALL;
	fake_vcpu_script(g->x.fake, fd(g, 0), lower, ARRAY_SIZE(lower));
	fake_vcpu_script(g->x.fake, fd(g, 1), higher, ARRAY_SIZE(higher));
	expect_mapped(g);
	assert_true(fake_kvm_script_done(g->x.fake));
	assert_int_equal(fake_vcpu_sregs(g->x.fake, fd(g, 0))->fs.base, FS_BASE);
}

static void test_covered_in_passing(void **state)
{
	(void)state;
	on_all(covered_in_passing, 0);
	on_all(covered_in_passing, KVM_CAP_SYNC_REGS);
}

/* VTL0 does not get to use what it may not read. */
static void closed_to_vtl0(struct guest *g)
{
	set_up(g);
	limit_pointers(g, 0);
	write_from_vtl1(g);
	expect_page_fault(g);
}

static void test_closed_to_vtl0(void **state)
{
	(void)state;
	on_all(closed_to_vtl0, 0);
	on_all(closed_to_vtl0, KVM_CAP_SYNC_REGS);
}

/* An entry that KVM refuses is not made; the next one is as it should be. */
static void failing(struct guest *g)
{
	static const enum fake_op ops[] = {FAKE_OP_get_sregs, FAKE_OP_set_sregs2};
	struct kvm_run *run;

	set_up(g);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		fake_kvm_fail(g->x.fake, ops[i], 1, ENOMEM);
		assert_int_equal(vsm_vcpu_run(g->vp, &run), -ENOMEM);
		assert_int_equal(fake_vcpu_regs(g->x.fake, fd(g, 0))->rip, CODE);
	}
	expect_mapped(g);
}

static void test_failing(void **state)
{
	(void)state;
	on_all(failing, 0);
}

/* Who has no such paging pays for none of it, be there limits and overlay pages or not. */
static void free_otherwise(struct guest *g)
{
	limit_pointers(g, 0);
	assert_int_equal(synthetic_write(g->vp, 1, HV_MSR_SIMP, POINTERS | 1), 0);
	run(g, 0);
	again(g);
	fake_kvm_reset_calls(g->x.fake);
	run(g, 0);
	assert_int_equal(fake_kvm_calls(g->x.fake, FAKE_OP_get_sregs), 0);
	assert_int_equal(fake_kvm_calls(g->x.fake, FAKE_OP_set_sregs), 0);
	assert_int_equal(fake_kvm_calls(g->x.fake, FAKE_OP_set_sregs2), 0);
}

static void test_free_otherwise(void **state)
{
	(void)state;
	on_all(free_otherwise, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_up_by_vmm),
		cmocka_unit_test(test_set_up_after_reset),
		cmocka_unit_test(test_moved_by_vmm),
		cmocka_unit_test(test_covered_in_vtl1),
		cmocka_unit_test(test_covered_in_passing),
		cmocka_unit_test(test_closed_to_vtl0),
		cmocka_unit_test(test_failing),
		cmocka_unit_test(test_free_otherwise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
