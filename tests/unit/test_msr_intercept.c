/* SPDX-License-Identifier: MIT */
/* MSR intercepts: which accesses come out, who hears of them, and those nobody decides on. */
#include "partition_fixture.h"

#include <errno.h>
#include <string.h>
#include "hv/hypercall.h"
#include "hv/message.h"
#include "hv/register_names.h"
#include "hypercall/hypercall.h"
#include "msr/intercept.h"
#include "msr/synthetic.h"
#include "registers/registers.h"

#define MSR_MISC_ENABLE 0x1a0
#define MSR_EFER	0xc0000080
#define MSR_LSTAR	0xc0000082
#define MSR_KERNEL_GS	0xc0000102
#define CODE		UINT64_C(0x1000)
#define READS		(UINT64_C(1) << 5 | UINT64_C(1) << 13)
#define WRITES		(UINT64_C(1) << 6 | UINT64_C(1) << 14)
#define MISC_WRITE	(UINT64_C(1) << 4)
#define VMM(at)                                                                      \
	{                                                                            \
		.kind = FAKE_OUT, .port = 0x3f8, .size = 1, .length = 2, .rip = (at) \
	}

static const enum vsm_topology topologies[] = {VSM_TOPOLOGY_SINGLE_VM, VSM_TOPOLOGY_VM_PER_VTL};

static int fd(struct guest *g, unsigned vtl)
{
	return vsm_vcpu_fd(g->vp, vtl);
}

static void start(struct guest *g, enum vsm_topology topology)
{
	guest_start(g, topology, VSM_ENFORCEMENT_ALIAS);
	guest_enable_vtl1(g);
	assert_int_equal(synthetic_write(g->vp, 1, HV_MSR_SIMP, PAGE_SIMP | 1), 0);
	assert_int_equal(synthetic_write(g->vp, 1, HV_MSR_SCONTROL, 1), 0);
}

static unsigned set_control(struct guest *g, uint64_t control)
{
	const struct hv_register_value v = {.low = control};

	return register_set(g->vp, 1, 1, HV_REGISTER_CR_INTERCEPT_CONTROL, &v);
}

static const struct hv_message *message(struct guest *g)
{
	return (const void *)g->vp->vtls[1].synic.message_page->host;
}

static void expect_vmm(struct guest *g, unsigned vtl)
{
	struct kvm_run *run;

	assert_int_equal(vsm_vcpu_run(g->vp, &run), 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(vsm_vcpu_active_vtl(g->vp), vtl);
}

/* VTL1 is entered and has the message; VTL0 is as before its instruction. */
static void intercepted(struct guest *g, const struct fake_step *access, uint32_t index)
{
	const struct fake_step higher[] = {VMM(VTL1_ENTRY)};
	struct kvm_regs before, *after = fake_vcpu_regs(g->x.fake, fd(g, 0));
	const struct hv_msr_intercept *m = (const void *)message(g)->payload;

	after->rflags |= CPU_RFLAGS_TF;
	fake_vcpu_events(g->x.fake, fd(g, 0))->interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	before = *after;
	/* KVM finishes the instruction for the library: it is used up. */
	fake_vcpu_script(g->x.fake, fd(g, 0), access, 1);
	fake_vcpu_script(g->x.fake, fd(g, 1), higher, 1);
	expect_vmm(g, 1);
	assert_memory_equal(after, &before, sizeof(before));
	assert_int_equal(fake_vcpu_events(g->x.fake, fd(g, 0))->interrupt.shadow,
			 KVM_X86_SHADOW_INT_STI);
	assert_int_equal(message(g)->type, HV_MESSAGE_MSR_INTERCEPT);
	assert_int_equal(message(g)->payload_size, 64);
	assert_int_equal(m->index, index);
	assert_int_equal(m->header.access, access->kind == FAKE_WRMSR ? MEM_WRITE : MEM_READ);
	assert_int_equal(m->header.rip, before.rip);
	assert_int_equal(m->header.length_and_cr8 & 0xf, 2);
	assert_int_equal(m->rax, before.rax);
	assert_int_equal(m->rdx, before.rdx);
	assert_int_equal(g->vp->stats.msr_intercepts, 1);
	assert_true(fake_kvm_script_done(g->x.fake));
}

static void a_write_is_told_and_not_made(void **state)
{
	const struct fake_step write = {
		.kind = FAKE_WRMSR, .msr = MSR_LSTAR, .data = 0x7000, .length = 2};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(topologies); i++) {
		struct guest g;

		start(&g, topologies[i]);
		assert_int_equal(set_control(&g, WRITES), HV_SUCCESS);
		intercepted(&g, &write, MSR_LSTAR);
		assert_int_equal(fake_vcpu_msr(g.x.fake, fd(&g, 0), MSR_LSTAR), 0);
		guest_stop(&g);
	}
}

static void a_read_is_told_and_not_made(void **state)
{
	const struct fake_step read = {.kind = FAKE_RDMSR, .msr = MSR_EFER, .length = 2};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(topologies); i++) {
		struct guest g;

		start(&g, topologies[i]);
		assert_int_equal(set_control(&g, READS), HV_SUCCESS);
		fake_vcpu_regs(g.x.fake, fd(&g, 0))->rax = 0x1122334455667788;
		fake_vcpu_regs(g.x.fake, fd(&g, 0))->rdx = 0x99aabbccddeeff00;
		intercepted(&g, &read, MSR_EFER);
		guest_stop(&g);
	}
}

/*
 * The accesses of the VTL that asked, and of a VTL that nobody restricts, are made by the library.
 */
static void others_are_carried_out(void **state)
{
	const struct fake_step own[] = {
		{.kind = FAKE_WRMSR, .msr = MSR_LSTAR, .data = 0x7000, .length = 2},
		{.kind = FAKE_RDMSR, .msr = MSR_LSTAR, .length = 2},
		{.kind = FAKE_SET, .reg = FAKE_RIP, .data = CODE},
		VMM(CODE),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(topologies); i++) {
		struct guest g;

		start(&g, topologies[i]);
		assert_int_equal(set_control(&g, READS | WRITES), HV_SUCCESS);
		vcpu_activate(g.vp, 1);
		fake_vcpu_script(g.x.fake, fd(&g, 1), own, ARRAY_SIZE(own));
		expect_vmm(&g, 1);
		assert_int_equal(fake_vcpu_msr(g.x.fake, fd(&g, 1), MSR_LSTAR), 0x7000);
		assert_int_equal(fake_vcpu_regs(g.x.fake, fd(&g, 1))->rax, 0x7000);
		assert_int_equal(g.vp->stats.msr_intercepts, 0);
		assert_true(fake_kvm_script_done(g.x.fake));
		guest_stop(&g);
	}
}

static void without_a_control_bit_nothing_comes_out(void **state)
{
	const struct fake_step steps[] = {
		{.kind = FAKE_WRMSR, .msr = MSR_LSTAR, .data = 0x7000, .length = 2},
		{.kind = FAKE_SET, .reg = FAKE_RIP, .data = CODE},
		VMM(CODE),
	};
	struct guest g;

	(void)state;
	start(&g, VSM_TOPOLOGY_VM_PER_VTL);
	assert_int_equal(set_control(&g, WRITES), HV_SUCCESS);
	assert_int_equal(set_control(&g, 0), HV_SUCCESS);
	fake_vcpu_script(g.x.fake, fd(&g, 0), steps, ARRAY_SIZE(steps));
	expect_vmm(&g, 0);
	assert_int_equal(g.vp->stats.msr_exits, 0);
	assert_int_equal(fake_vcpu_msr(g.x.fake, fd(&g, 0), MSR_LSTAR), 0x7000);
	guest_stop(&g);
}

static void values_a_guest_may_not_write(void **state)
{
	struct guest g;

	(void)state;
	start(&g, VSM_TOPOLOGY_VM_PER_VTL);
	assert_int_equal(msr_intercept_write(g.vp, 0, MSR_EFER, UINT64_C(1) << 12), -EINVAL);
	assert_int_equal(msr_intercept_write(g.vp, 0, MSR_LSTAR, UINT64_C(1) << 60), -EINVAL);
	assert_int_equal(msr_intercept_write(g.vp, 0, MSR_MISC_ENABLE, 0x81), -EINVAL);
	assert_int_equal(msr_intercept_write(g.vp, 0, MSR_MISC_ENABLE, 0x9), 0);
	assert_int_equal(msr_intercept_write(g.vp, 0, 0x10, 0), -ENOENT);
	assert_int_equal(msr_intercept_write(g.vp, 0, MSR_EFER, 1), 0);
	assert_int_equal(fake_vcpu_sregs(g.x.fake, fd(&g, 0))->efer, 1);
	guest_stop(&g);
}

static void the_mask_selects_bits_of_misc_enable(void **state)
{
	struct guest g;

	(void)state;
	start(&g, VSM_TOPOLOGY_VM_PER_VTL);
	assert_int_equal(set_control(&g, MISC_WRITE), HV_SUCCESS);
	assert_int_equal(msr_intercept_setter(g.vp, 0, MSR_MISC_ENABLE, MEM_WRITE, 1), 1);
	g.vp->vtls[1].cr_intercept_masks[2] = 0x8;
	assert_int_equal(msr_intercept_setter(g.vp, 0, MSR_MISC_ENABLE, MEM_WRITE, 0), 0);
	assert_int_equal(msr_intercept_setter(g.vp, 0, MSR_MISC_ENABLE, MEM_WRITE, 9), 1);
	assert_int_equal(msr_intercept_setter(g.vp, 0, MSR_MISC_ENABLE, MEM_READ, 0), 0);
	guest_stop(&g);
}

static void a_filter_that_cannot_be_set(void **state)
{
	struct guest g;

	(void)state;
	start(&g, VSM_TOPOLOGY_VM_PER_VTL);
	fake_kvm_fail(g.x.fake, FAKE_OP_set_msr_filter, 1, ENOMEM);
	assert_int_equal(set_control(&g, WRITES), HV_INSUFFICIENT_MEMORY);
	assert_int_equal(g.vp->vtls[1].cr_intercept_control, 0);
	fake_kvm_fail(g.x.fake, FAKE_OP_set_msr_filter, 1, ENOMEM);
	assert_int_equal(msr_intercept_install(g.p, 1, MSR_LSTAR, 2), -ENOMEM);
	assert_int_equal(msr_intercept_setter(g.vp, 0, MSR_LSTAR, MEM_WRITE, 0), 0);
	guest_stop(&g);
}

static void unsupported_ones_can_be_accepted(void **state)
{
	struct vsm_partition_options o;
	struct guest g;

	(void)state;
	fixture_start(&g.x, RAM_MIB);
	o = guest_options(&g);
	o.unsupported_intercepts = 2;
	assert_int_equal(partition_create_on(g.x.host, &o, &g.p), -EINVAL);
	o.unsupported_intercepts = VSM_UNSUPPORTED_INTERCEPTS_ACCEPT;
	guest_start_with(&g, &o);
	guest_enable_vtl1(&g);
	assert_int_equal(set_control(&g, HV_CR_INTERCEPT_UNSUPPORTED), HV_SUCCESS);
	assert_int_equal(g.vp->vtls[1].cr_intercept_control, HV_CR_INTERCEPT_UNSUPPORTED);
	guest_stop(&g);
}

/* --- HvCallInstallIntercept --- */

static unsigned install(struct guest *g, uint64_t partition, uint32_t access, uint32_t type,
			uint64_t parameter)
{
	struct hv_install_intercept in = {partition, access, type, parameter};
	struct hypercall_result result = {0};
	struct kvm_sregs *sregs;
	struct kvm_regs *regs;

	memcpy(g->x.mem + 0x40000, &in, sizeof(in));
	assert_int_equal(vtl_cpu_state(&vcpu_active(g->vp)->cpu, &regs, &sregs), 0);
	/* A 32-bit caller: EDX:EAX, EBX:ECX. */
	regs->rdx = 0;
	regs->rax = HV_CALL_INSTALL_INTERCEPT;
	regs->rbx = 0;
	regs->rcx = 0x40000;
	vtl_cpu_dirty(&vcpu_active(g->vp)->cpu, CPU_REGS);
	assert_int_equal(hypercall_execute(g->vp, regs, sregs, &result), 0);
	return result.status;
}

static void installing(void **state)
{
	const uint64_t self = HV_PARTITION_ID_SELF;
	struct guest g;

	(void)state;
	start(&g, VSM_TOPOLOGY_VM_PER_VTL);
	assert_int_equal(install(&g, self, 2, 1, MSR_KERNEL_GS), HV_ACCESS_DENIED);
	vcpu_activate(g.vp, 1);
	assert_int_equal(install(&g, 5, 2, 1, MSR_KERNEL_GS), HV_INVALID_PARTITION_ID);
	assert_int_equal(install(&g, self, 8, 1, MSR_KERNEL_GS), HV_INVALID_PARAMETER);
	assert_int_equal(install(&g, self, 4, 1, MSR_KERNEL_GS), HV_INVALID_PARAMETER);
	assert_int_equal(install(&g, self, 2, 1, UINT64_C(1) << 32), HV_INVALID_PARAMETER);
	assert_int_equal(install(&g, self, 2, 4, 0), HV_INVALID_PARAMETER);
	assert_int_equal(install(&g, self, 2, 32, 0), HV_INVALID_PARAMETER);
	assert_int_equal(install(&g, self, 4, 2, 0x80), HV_OPERATION_DENIED);
	assert_int_equal(install(&g, self, 2, 1, 0x10), HV_OPERATION_DENIED);
	assert_int_equal(install(&g, self, 2, 1, MSR_KERNEL_GS), HV_SUCCESS);
	assert_int_equal(msr_intercept_setter(g.vp, 0, MSR_KERNEL_GS, MEM_WRITE, 0), 1);
	assert_int_equal(msr_intercept_setter(g.vp, 0, MSR_KERNEL_GS, MEM_READ, 0), 0);
	assert_int_equal(msr_intercept_setter(g.vp, 1, MSR_KERNEL_GS, MEM_WRITE, 0), 0);
	assert_int_equal(install(&g, self, 1, 1, MSR_KERNEL_GS), HV_SUCCESS);
	assert_int_equal(msr_intercept_setter(g.vp, 0, MSR_KERNEL_GS, MEM_READ, 0), 1);
	assert_int_equal(install(&g, self, 0, 1, MSR_KERNEL_GS), HV_SUCCESS);
	assert_int_equal(install(&g, self, 0, 1, MSR_KERNEL_GS), HV_SUCCESS);
	assert_int_equal(msr_intercept_setter(g.vp, 0, MSR_KERNEL_GS, MEM_READ, 0), 0);
	for (unsigned i = 0; i < MSR_INTERCEPTS; i++)
		g.p->msr_intercepts[i].setter = 2;
	assert_int_equal(install(&g, self, 1, 1, MSR_KERNEL_GS), HV_INSUFFICIENT_MEMORY);
	guest_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_write_is_told_and_not_made),
		cmocka_unit_test(a_read_is_told_and_not_made),
		cmocka_unit_test(others_are_carried_out),
		cmocka_unit_test(without_a_control_bit_nothing_comes_out),
		cmocka_unit_test(values_a_guest_may_not_write),
		cmocka_unit_test(the_mask_selects_bits_of_misc_enable),
		cmocka_unit_test(a_filter_that_cannot_be_set),
		cmocka_unit_test(unsupported_ones_can_be_accepted),
		cmocka_unit_test(installing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
