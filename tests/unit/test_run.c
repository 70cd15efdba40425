/* SPDX-License-Identifier: MIT */
/*
 * The run loop: VTL calls and returns, what is shared and what is private, intercepts, kicks; on
 * all four combinations.
 */
#include "partition_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include "hv/message.h"
#include "hv/vsm.h"
#include "msr/synthetic.h"

#define PORT_VMM 0x3f8
#define OUT(at)                                                                     \
	{                                                                           \
		.kind = FAKE_OUT, .port = 0xe7, .size = 1, .length = 2, .rip = (at) \
	}
#define VMM(at)                                                                         \
	{                                                                               \
		.kind = FAKE_OUT, .port = PORT_VMM, .size = 1, .length = 2, .rip = (at) \
	}
#define JUMP(to)                                                \
	{                                                       \
		.kind = FAKE_SET, .reg = FAKE_RIP, .data = (to) \
	}

struct combination {
	enum vsm_topology topology;
	enum vsm_enforcement enforcement;
	unsigned flags;
};

static const struct combination combinations[] = {
	{VSM_TOPOLOGY_SINGLE_VM, VSM_ENFORCEMENT_SLOTS, 0},
	{VSM_TOPOLOGY_SINGLE_VM, VSM_ENFORCEMENT_ALIAS, 0},
	{VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_SLOTS, 0},
	{VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS, 0},
	{VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS, FAKE_PIO_RIP_PAST},
	{VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS, FAKE_EXIT_REASON_CLEARED},
};

static int fd(struct guest *g, unsigned vtl)
{
	return vsm_vcpu_fd(g->vp, vtl);
}

/* VTL1 ready, with hypercall, assist and message pages shown in both VTLs. */
static void start(struct guest *g, const struct combination *c)
{
	guest_start(g, c->topology, c->enforcement);
	fake_kvm_set_flags(g->x.fake, c->flags);
	guest_enable_vtl1(g);
	for (unsigned vtl = 0; vtl < 2; vtl++) {
		assert_int_equal(synthetic_write(g->vp, vtl, HV_MSR_GUEST_OS_ID, 1), 0);
		assert_int_equal(synthetic_write(g->vp, vtl, HV_MSR_HYPERCALL, PAGE_CODE | 1), 0);
	}
	assert_int_equal(synthetic_write(g->vp, 1, HV_MSR_VP_ASSIST_PAGE, PAGE_ASSIST | 1), 0);
	assert_int_equal(synthetic_write(g->vp, 1, HV_MSR_SIMP, PAGE_SIMP | 1), 0);
	assert_int_equal(synthetic_write(g->vp, 1, HV_MSR_SCONTROL, 1), 0);
	fake_vcpu_regs(g->x.fake, fd(g, 0))->rip = ENTRY_CALL;
	fake_vcpu_regs(g->x.fake, fd(g, 0))->rax = 0;
	fake_vcpu_regs(g->x.fake, fd(g, 0))->rdx = 0;
}

static void on_all(void (*test)(struct guest *g))
{
	for (size_t i = 0; i < ARRAY_SIZE(combinations); i++) {
		struct guest g;

		start(&g, &combinations[i]);
		test(&g);
		assert_true(fake_kvm_script_done(g.x.fake));
		guest_stop(&g);
	}
}

static void expect_vmm(struct guest *g, unsigned vtl)
{
	struct kvm_run *run;

	assert_int_equal(vsm_vcpu_run(g->vp, &run), 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(run->io.port, PORT_VMM);
	assert_int_equal(vsm_vcpu_active_vtl(g->vp), vtl);
	assert_ptr_equal(run, g->vp->vtls[vtl].cpu.run);
}

static const struct hv_vp_vtl_control *control(struct guest *g)
{
	return (const void *)(g->vp->vtls[1].assist_page->host + HV_VP_ASSIST_VTL_CONTROL);
}

static void call_and_return(struct guest *g)
{
	const struct fake_step lower[] = {OUT(ENTRY_CALL), VMM(ENTRY_CALL + 2)};
	const struct fake_step higher[] = {
		VMM(VTL1_ENTRY),
		{.kind = FAKE_SET, .reg = FAKE_RAX, .data = 1}, /* fast return */
		{.kind = FAKE_SET, .reg = FAKE_RBX, .data = 0x5ec},
		{.kind = FAKE_SET, .reg = FAKE_RSP, .data = 0x9100},
		{.kind = FAKE_SET, .reg = FAKE_CR2, .data = 0xc2},
		JUMP(ENTRY_RETURN),
		OUT(ENTRY_RETURN),
	};
	struct vsm_vcpu_stats stats = {.size = sizeof(stats)};
	uint64_t rsp = fake_vcpu_regs(g->x.fake, fd(g, 0))->rsp;

	fake_vcpu_regs(g->x.fake, fd(g, 0))->rbx = 0xb0;
	fake_vcpu_script(g->x.fake, fd(g, 0), lower, ARRAY_SIZE(lower));
	fake_vcpu_script(g->x.fake, fd(g, 1), higher, ARRAY_SIZE(higher));

	expect_vmm(g, 1);
	assert_int_equal(control(g)->entry_reason, HV_VTL_ENTRY_CALL);
	assert_int_equal(fake_vcpu_regs(g->x.fake, fd(g, 1))->rbx, 0xb0);

	expect_vmm(g, 0);
	assert_int_equal(fake_vcpu_regs(g->x.fake, fd(g, 0))->rbx, 0x5ec);
	assert_int_equal(fake_vcpu_regs(g->x.fake, fd(g, 0))->rsp, rsp);
	assert_int_equal(fake_vcpu_sregs(g->x.fake, fd(g, 0))->cr2, 0xc2);
	assert_int_equal(vsm_vcpu_get_stats(g->vp, &stats), 0);
	assert_int_equal(stats.vtl_calls, 1);
	assert_int_equal(stats.vtl_returns, 1);
	assert_int_equal(stats.vmm_exits, 2);
}

static void test_call_and_return(void **state)
{
	(void)state;
	on_all(call_and_return);
}

/* A return that is not fast takes EAX, ECX and EDX of a 32-bit VTL from the assist page. */
static void slow_return(struct guest *g)
{
	const struct fake_step lower[] = {OUT(ENTRY_CALL), VMM(ENTRY_CALL + 2)};
	const struct fake_step higher[] = {VMM(VTL1_ENTRY), JUMP(ENTRY_RETURN), OUT(ENTRY_RETURN)};
	struct hv_vp_vtl_control *page = (struct hv_vp_vtl_control *)control(g);

	fake_vcpu_script(g->x.fake, fd(g, 0), lower, ARRAY_SIZE(lower));
	fake_vcpu_script(g->x.fake, fd(g, 1), higher, ARRAY_SIZE(higher));
	expect_vmm(g, 1);
	page->x86.eax = 0xa;
	page->x86.ecx = 0xc;
	page->x86.edx = 0xd;
	expect_vmm(g, 0);
	assert_int_equal(fake_vcpu_regs(g->x.fake, fd(g, 0))->rax, 0xa);
	assert_int_equal(fake_vcpu_regs(g->x.fake, fd(g, 0))->rcx, 0xc);
	assert_int_equal(fake_vcpu_regs(g->x.fake, fd(g, 0))->rdx, 0xd);
}

static void test_slow_return(void **state)
{
	(void)state;
	on_all(slow_return);
}

/* Every use of the port that is not legal ends in #UD at the instruction. */
static void expect_ud(struct guest *g, uint64_t rip)
{
	struct fake_event event;

	expect_vmm(g, 0);
	assert_int_equal(fake_vcpu_delivered(g->x.fake, fd(g, 0), &event, 1), 1);
	assert_int_equal(event.kind, FAKE_EXCEPTION);
	assert_int_equal(event.vector, VECTOR_UD);
	assert_int_equal(event.rip, rip);
}

static void skip_out(struct fake_guest *guest, const struct fake_event *event, void *ctx)
{
	(void)ctx;
	guest->regs->rip = event->rip + OUT_LENGTH_FAKE;
}

static void one_out(struct guest *g, uint64_t rip)
{
	const struct fake_step lower[] = {OUT(rip), VMM(rip + 2)};

	fake_vcpu_regs(g->x.fake, fd(g, 0))->rip = rip;
	fake_vcpu_on_event(g->x.fake, fd(g, 0), skip_out, NULL);
	fake_vcpu_script(g->x.fake, fd(g, 0), lower, ARRAY_SIZE(lower));
	expect_ud(g, rip);
}

static void call_with_control(struct guest *g)
{
	fake_vcpu_regs(g->x.fake, fd(g, 0))->rax = 4;
	one_out(g, ENTRY_CALL);
}

static void return_from_vtl0(struct guest *g)
{
	one_out(g, ENTRY_RETURN);
}

static void call_without_vtl1(struct guest *g)
{
	g->vp->enabled_vtls = 1;
	one_out(g, ENTRY_CALL);
}

static const uint8_t out_bytes[] = {0xe6, 0xe7};

static void out_elsewhere(struct guest *g)
{
	memcpy(g->x.mem + 0x40000, out_bytes, sizeof(out_bytes));
	one_out(g, 0x40000);
}

static void out_beside_entry(struct guest *g)
{
	/* Where KVM emulates it, RIP is past an `out` that must be there to be found: it is not. */
	fake_kvm_set_flags(g->x.fake, 0);
	one_out(g, PAGE_CODE + 0x100);
}

static void out_from_user(struct guest *g)
{
	struct kvm_sregs *s = fake_vcpu_sregs(g->x.fake, fd(g, 0));

	s->cs.selector |= 3;
	s->cs.dpl = s->ss.dpl = 3;
	one_out(g, ENTRY_CALL);
}

static void page_not_enabled(struct guest *g)
{
	memcpy(g->x.mem + ENTRY_CALL, out_bytes, sizeof(out_bytes));
	assert_int_equal(synthetic_write(g->vp, 0, HV_MSR_GUEST_OS_ID, 0), 0);
	one_out(g, ENTRY_CALL);
}

static void test_illegal_uses(void **state)
{
	(void)state;
	on_all(call_with_control);
	on_all(return_from_vtl0);
	on_all(call_without_vtl1);
	on_all(out_elsewhere);
	on_all(out_beside_entry);
	on_all(out_from_user);
	on_all(page_not_enabled);
}

/* --- intercepts --- */

static const struct hv_message *message(struct guest *g)
{
	return (const void *)g->vp->vtls[1].synic.message_page->host;
}

static void protect_secret(struct guest *g, prot_t mask)
{
	uint64_t page = PAGE_SECRET >> VSM_PAGE_SHIFT;

	assert_int_equal(memory_limit_default(&g->p->memory, 1, PROT_ALL), 0);
	assert_int_equal(memory_limit(&g->p->memory, 1, 0, page, page + 1, mask), 0);
}

/* mov eax, [PAGE_SECRET + 8] at 0x1000 */
static void read_secret_code(struct guest *g)
{
	const uint8_t code[] = {0xa1, 0x08, 0x00, 0x02, 0x00};

	memcpy(g->x.mem + 0x1000, code, sizeof(code));
	fake_vcpu_regs(g->x.fake, fd(g, 0))->rip = 0x1000;
	fake_vcpu_fetch(g->x.fake, fd(g, 0), true);
}

static void check_message(struct guest *g, enum mem_access access)
{
	const struct hv_memory_intercept *m = (const void *)message(g)->payload;
	bool told = g->p->flags & VSM_PARTITION_INTERCEPT_GVA;

	assert_int_equal(message(g)->type, HV_MESSAGE_GPA_INTERCEPT);
	assert_int_equal(m->header.access, access);
	assert_int_equal(m->header.rip, 0x1000);
	assert_int_equal(m->gpa, PAGE_SECRET + 8);
	assert_int_equal(m->gva, told ? PAGE_SECRET + 8 : 0);
	assert_int_equal(m->access_info & HV_ACCESS_INFO_GVA_VALID, told);
	assert_int_equal(m->header.length_and_cr8 & 0xf, 5);
	assert_int_equal(control(g)->entry_reason, HV_VTL_ENTRY_INTERRUPT);
}

/* VTL1 lifts the protection: the instruction runs as if nothing had been. */
static void intercept_allow(struct guest *g)
{
	const struct fake_step lower[] = {
		{.kind = FAKE_LOAD, .gva = PAGE_SECRET + 8, .size = 4, .length = 5, .rip = 0x1000},
		VMM(0x1005),
	};
	const struct fake_step higher[] = {
		VMM(VTL1_ENTRY),
		JUMP(ENTRY_RETURN),
		OUT(ENTRY_RETURN),
	};
	uint32_t secret = 0x5ec5ec;

	g->p->flags |= VSM_PARTITION_INTERCEPT_GVA;
	memcpy(g->x.mem + PAGE_SECRET + 8, &secret, sizeof(secret));
	read_secret_code(g);
	fake_vcpu_program(g->x.fake, fd(g, 0), lower, ARRAY_SIZE(lower));
	fake_vcpu_script(g->x.fake, fd(g, 1), higher, ARRAY_SIZE(higher));
	protect_secret(g, 0);
	expect_vmm(g, 1);
	check_message(g, MEM_READ);
	assert_int_equal(fake_vcpu_regs(g->x.fake, fd(g, 0))->rax, 0);
	protect_secret(g, PROT_ALL);
	expect_vmm(g, 0);
	assert_int_equal(fake_vcpu_regs(g->x.fake, fd(g, 0))->rax, secret);
}

static void test_intercept_allow(void **state)
{
	(void)state;
	on_all(intercept_allow);
}

/* mov [PAGE_SECRET + 8], eax at 0x1000: nothing is stored, whichever way the store surfaces. */
static void intercept_store_skip(struct guest *g)
{
	const uint8_t code[] = {0xa3, 0x08, 0x00, 0x02, 0x00};
	const struct fake_step lower[] = {
		{.kind = FAKE_STORE,
		 .gva = PAGE_SECRET + 8,
		 .size = 4,
		 .length = 5,
		 .rip = 0x1000,
		 .reg = FAKE_RAX,
		 .flags = FAKE_OPTIONAL},
		VMM(0x1005),
	};
	const struct fake_step higher[] = {
		VMM(VTL1_ENTRY),
		{.kind = FAKE_SET, .reg = FAKE_RAX, .data = 1},
		JUMP(ENTRY_RETURN),
		OUT(ENTRY_RETURN),
	};
	struct kvm_regs *regs;

	read_secret_code(g);
	memcpy(g->x.mem + 0x1000, code, sizeof(code));
	memset(g->x.mem + PAGE_SECRET, 0x11, 16);
	fake_vcpu_regs(g->x.fake, fd(g, 0))->rax = 0xbad;
	fake_vcpu_program(g->x.fake, fd(g, 0), lower, ARRAY_SIZE(lower));
	fake_vcpu_script(g->x.fake, fd(g, 1), higher, ARRAY_SIZE(higher));
	protect_secret(g, PROT_R | PROT_KX | PROT_UX);
	expect_vmm(g, 1);
	check_message(g, MEM_WRITE);
	assert_int_equal(vtl_cpu_regs(&g->vp->vtls[0].cpu, &regs), 0);
	assert_int_equal(regs->rip, 0x1000);
	regs->rip += 5;
	vtl_cpu_dirty(&g->vp->vtls[0].cpu, CPU_REGS);
	assert_int_equal(vtl_cpu_flush(&g->vp->vtls[0].cpu), 0);
	expect_vmm(g, 0);
	assert_int_equal(g->x.mem[PAGE_SECRET + 8], 0x11);
}

static void test_intercept_store_skip(void **state)
{
	(void)state;
	on_all(intercept_store_skip);
}

/*
 * With a full slot the message is lost, VTL1 is entered all the same, and nothing is let through.
 */
static void intercept_slot_busy(struct guest *g)
{
	const struct fake_step lower[] = {
		{.kind = FAKE_LOAD,
		 .gva = PAGE_SECRET + 8,
		 .size = 4,
		 .length = 5,
		 .rip = 0x1000,
		 .flags = FAKE_OPTIONAL},
	};
	const struct fake_step higher[] = {VMM(VTL1_ENTRY), JUMP(ENTRY_RETURN), OUT(ENTRY_RETURN),
					   VMM(ENTRY_RETURN + 2)};
	struct vsm_vcpu_stats stats = {.size = sizeof(stats)};

	read_secret_code(g);
	fake_vcpu_program(g->x.fake, fd(g, 0), lower, ARRAY_SIZE(lower));
	fake_vcpu_script(g->x.fake, fd(g, 1), higher, ARRAY_SIZE(higher));
	protect_secret(g, 0);
	expect_vmm(g, 1);
	expect_vmm(g, 1);
	assert_true(message(g)->flags & HV_MESSAGE_FLAG_PENDING);
	assert_int_equal(vsm_vcpu_get_stats(g->vp, &stats), 0);
	assert_int_equal(stats.memory_intercepts, 2);
	assert_int_equal(stats.messages, 1);
	assert_int_equal(stats.messages_dropped, 1);
}

static void test_intercept_slot_busy(void **state)
{
	(void)state;
	on_all(intercept_slot_busy);
}

/* --- kicks and errors --- */

static void kick_before(struct guest *g)
{
	const struct fake_step lower[] = {OUT(ENTRY_CALL)};
	const struct fake_step higher[] = {VMM(VTL1_ENTRY)};
	struct kvm_run *run;

	fake_vcpu_script(g->x.fake, fd(g, 0), lower, ARRAY_SIZE(lower));
	fake_vcpu_script(g->x.fake, fd(g, 1), higher, ARRAY_SIZE(higher));
	vsm_vcpu_kick(g->vp);
	vsm_vcpu_kick(g->vp);
	assert_int_equal(vsm_vcpu_run(g->vp, &run), -EINTR);
	assert_ptr_equal(run, g->vp->vtls[0].cpu.run);
	expect_vmm(g, 1);
}

static void test_kick_before(void **state)
{
	(void)state;
	on_all(kick_before);
}

static void *kick_when_idle(void *arg)
{
	struct guest *g = arg;

	if (fake_vcpu_wait_idle(g->x.fake, fd(g, 0)))
		vsm_vcpu_kick(g->vp);
	return NULL;
}

static void test_kick_inside(void **state)
{
	const struct fake_step lower[] = {{.kind = FAKE_SPIN}, VMM(0x1000)};
	struct vsm_partition_options o;
	struct kvm_run *run;
	pthread_t thread;
	struct guest g;

	(void)state;
	fixture_start(&g.x, RAM_MIB);
	o = guest_options(&g);
	o.kick_signal = SIGUSR1;
	guest_start_with(&g, &o);
	fake_vcpu_script(g.x.fake, fd(&g, 0), lower, ARRAY_SIZE(lower));
	assert_int_equal(pthread_create(&thread, NULL, kick_when_idle, &g), 0);
	assert_int_equal(vsm_vcpu_run(g.vp, &run), -EINTR);
	pthread_join(thread, NULL);
	expect_vmm(&g, 0);
	guest_stop(&g);
}

/* KVM_RUN's own errors come back as they are. */
static void test_errnos(void **state)
{
	const struct fake_step lower[] = {
		{.kind = FAKE_RETURN, .error = ENOMEM, .length = 0},
		{.kind = FAKE_RETURN, .error = EAGAIN, .length = 0},
	};
	const struct fake_step no_memory = {
		.kind = FAKE_RETURN, .error = EFAULT, .length = 0, .rip = 0x1000};
	struct kvm_run *run;
	struct guest g;

	(void)state;
	guest_start(&g, VSM_TOPOLOGY_DEFAULT, VSM_ENFORCEMENT_DEFAULT);
	fake_vcpu_script(g.x.fake, fd(&g, 0), lower, ARRAY_SIZE(lower));
	assert_int_equal(vsm_vcpu_run(NULL, &run), -EINVAL);
	assert_int_equal(vsm_vcpu_run(g.vp, NULL), -EINVAL);
	assert_int_equal(vsm_vcpu_run(g.vp, &run), -ENOMEM);
	assert_int_equal(vsm_vcpu_run(g.vp, &run), -EAGAIN);
	/* A host that never has the memory. */
	fake_vcpu_program(g.x.fake, fd(&g, 0), &no_memory, 1);
	assert_int_equal(vsm_vcpu_run(g.vp, &run), -EFAULT);
	guest_stop(&g);
}

/* A KVM_RUN that fails before it has taken the registers loses none, though they were on their way. */
static void registers_not_taken(struct guest *g)
{
	const struct fake_step lower[] = {OUT(ENTRY_CALL)};
	const struct fake_step higher[] = {VMM(VTL1_ENTRY), JUMP(ENTRY_RETURN), OUT(ENTRY_RETURN)};
	const struct fake_step back = VMM(ENTRY_CALL + 2);
	struct kvm_run *run;

	fake_vcpu_script(g->x.fake, fd(g, 0), lower, ARRAY_SIZE(lower));
	fake_vcpu_script(g->x.fake, fd(g, 1), higher, ARRAY_SIZE(higher));
	fake_vcpu_regs(g->x.fake, fd(g, 0))->rbx = 0x5ec;
	fake_kvm_fail(g->x.fake, FAKE_OP_run, 2, ENOMEM);
	assert_int_equal(vsm_vcpu_run(g->vp, &run), -ENOMEM);
	assert_int_equal(fake_vcpu_regs(g->x.fake, fd(g, 1))->rbx, 0x5ec);
	expect_vmm(g, 1);
	/* An intercept, for all the library knows: it goes on. */
	fake_vcpu_script(g->x.fake, fd(g, 0), &back, 1);
	fake_vcpu_regs(g->x.fake, fd(g, 1))->rbx = 0x5ed;
	fake_kvm_fail(g->x.fake, FAKE_OP_run, 2, EFAULT);
	expect_vmm(g, 0);
	assert_int_equal(fake_vcpu_regs(g->x.fake, fd(g, 0))->rbx, 0x5ed);
}

static void test_registers_not_taken(void **state)
{
	(void)state;
	on_all(registers_not_taken);
}

/* State that cannot be moved must not run: the partition says why, and stays dead. */
static void dies_in_switch(struct guest *g)
{
	const struct fake_step lower[] = {OUT(ENTRY_CALL)};
	struct kvm_run *run;

	fake_vcpu_script(g->x.fake, fd(g, 0), lower, ARRAY_SIZE(lower));
	assert_null(vsm_partition_death(g->p));
	fake_kvm_fail(g->x.fake, FAKE_OP_set_xsave, 1, EINVAL);
	assert_int_equal(vsm_vcpu_run(g->vp, &run), -EIO);
	assert_non_null(strstr(vsm_partition_death(g->p), "EINVAL"));
	assert_int_equal(vsm_vcpu_run(g->vp, &run), -EIO);
}

static void test_dies_in_switch(void **state)
{
	(void)state;
	on_all(dies_in_switch);
}

/* An access nobody protects is the VMM's. */
static void mmio_for_vmm(struct guest *g)
{
	const struct fake_step lower[] = {
		{.kind = FAKE_LOAD, .gva = 0xe0000000, .size = 4, .length = 5, .rip = 0x1000},
		VMM(0x1005),
	};
	struct kvm_run *run;

	fake_vcpu_regs(g->x.fake, fd(g, 0))->rip = 0x1000;
	fake_vcpu_script(g->x.fake, fd(g, 0), lower, ARRAY_SIZE(lower));
	assert_int_equal(vsm_vcpu_run(g->vp, &run), 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(run->mmio.phys_addr, 0xe0000000);
	memcpy(run->mmio.data, &(uint32_t){0x77}, 4);
	expect_vmm(g, 0);
	assert_int_equal(fake_vcpu_regs(g->x.fake, fd(g, 0))->rax, 0x77);
}

static void test_mmio_for_vmm(void **state)
{
	(void)state;
	on_all(mmio_for_vmm);
}

/* An interrupt that KVM reported as queued once must not be queued again by what is written back. */
static void queued_interrupts_are_not_repeated(struct guest *g)
{
	const struct fake_step steps[] = {
		{.kind = FAKE_OUT, .port = 0x80, .size = 1, .length = 2},
		{.kind = FAKE_OUT, .port = 0x80, .size = 1, .length = 2},
	};
	struct kvm_run *run;
	uint64_t *bitmap;

	fake_vcpu_script(g->x.fake, fd(g, 0), steps, ARRAY_SIZE(steps));
	assert_int_equal(vsm_vcpu_run(g->vp, &run), 0);
	bitmap = (uint64_t *)run->s.regs.sregs.interrupt_bitmap;
	bitmap[0] = UINT64_C(1) << 0x20;
	assert_int_equal(vsm_vcpu_run(g->vp, &run), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(run->s.regs.sregs.interrupt_bitmap[i], 0);
}

static void test_queued_interrupts(void **state)
{
	(void)state;
	on_all(queued_interrupts_are_not_repeated);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queued_interrupts),
		cmocka_unit_test(test_call_and_return),
		cmocka_unit_test(test_slow_return),
		cmocka_unit_test(test_illegal_uses),
		cmocka_unit_test(test_intercept_allow),
		cmocka_unit_test(test_intercept_store_skip),
		cmocka_unit_test(test_intercept_slot_busy),
		cmocka_unit_test(test_kick_before),
		cmocka_unit_test(test_kick_inside),
		cmocka_unit_test(test_errnos),
		cmocka_unit_test(test_registers_not_taken),
		cmocka_unit_test(test_dies_in_switch),
		cmocka_unit_test(test_mmio_for_vmm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
