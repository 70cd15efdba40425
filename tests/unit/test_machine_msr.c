/* SPDX-License-Identifier: MIT */
/* HV_X64_MSR_VP_RUNTIME, _RESET and the crash MSRs: what the guest reads, what the VMM is told. */
#include "partition_fixture.h"

#include <errno.h>
#include <string.h>
#include "hv/hypercall.h"
#include "hv/register_names.h"
#include "msr/synthetic.h"
#include "registers/registers.h"

#define PORT_VMM 0x3f8
#define NOTIFY	 (UINT64_C(1) << 63)
#define MESSAGE	 (UINT64_C(1) << 62)
#define HERE	 UINT64_C(0x1000)
#define WRMSR(index, value)                                                      \
	{                                                                        \
		.kind = FAKE_WRMSR, .msr = (index), .data = (value), .length = 2 \
	}
#define VMM                                                                \
	{                                                                  \
		.kind = FAKE_OUT, .port = PORT_VMM, .size = 1, .length = 2 \
	}

static struct kvm_run *run(struct guest *g)
{
	struct kvm_run *run;

	assert_int_equal(vsm_vcpu_run(g->vp, &run), 0);
	return run;
}

static uint64_t rip(struct guest *g)
{
	return fake_vcpu_regs(g->x.fake, vsm_vcpu_fd(g->vp, 0))->rip;
}

/* The guest goes on behind the instruction if the VMM lets it; 0 is nothing, others are refused. */
static void test_reset(void **state)
{
	const struct fake_step steps[] = {WRMSR(HV_MSR_RESET, 0), WRMSR(HV_MSR_RESET, 1), VMM};
	struct guest g;
	struct kvm_run *r;
	uint64_t value = 1;

	(void)state;
	guest_start(&g, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	assert_int_equal(synthetic_write(g.vp, 0, HV_MSR_RESET, 2), -EINVAL);
	assert_int_equal(synthetic_read(g.vp, 0, HV_MSR_RESET, &value), 0);
	assert_int_equal(value, 0);
	fake_vcpu_script(g.x.fake, vsm_vcpu_fd(g.vp, 0), steps, ARRAY_SIZE(steps));
	r = run(&g);
	assert_int_equal(r->exit_reason, KVM_EXIT_SYSTEM_EVENT);
	assert_int_equal(r->system_event.type, KVM_SYSTEM_EVENT_RESET);
	assert_int_equal(r->system_event.ndata, 1);
	assert_int_equal(r->system_event.data[0], 0);
	assert_int_equal(rip(&g), HERE + 4);
	assert_false(vcpu_active(g.vp)->cpu.unfinished);
	assert_int_equal(run(&g)->exit_reason, KVM_EXIT_IO);
	assert_true(fake_kvm_script_done(g.x.fake));
	guest_stop(&g);
}

/* Each VTL has its own report. */
static void test_crash(void **state)
{
	const struct fake_step steps[] = {
		WRMSR(HV_MSR_CRASH_P0, 10), WRMSR(HV_MSR_CRASH_P0 + 4, 14),
		WRMSR(HV_MSR_CRASH_CTL, 0), WRMSR(HV_MSR_CRASH_CTL, NOTIFY | MESSAGE | 5), VMM};
	struct guest g;
	struct kvm_run *r;
	uint64_t value;

	(void)state;
	guest_start(&g, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	assert_int_equal(synthetic_read(g.vp, 0, HV_MSR_CRASH_CTL, &value), 0);
	assert_int_equal(value, NOTIFY | MESSAGE);
	assert_int_equal(synthetic_write(g.vp, 1, HV_MSR_CRASH_P0, 99), 0);
	fake_vcpu_script(g.x.fake, vsm_vcpu_fd(g.vp, 0), steps, ARRAY_SIZE(steps));
	r = run(&g);
	assert_int_equal(r->exit_reason, KVM_EXIT_SYSTEM_EVENT);
	assert_int_equal(r->system_event.type, KVM_SYSTEM_EVENT_CRASH);
	assert_int_equal(r->system_event.ndata, 7);
	assert_int_equal(r->system_event.data[0], 0);
	assert_int_equal(r->system_event.data[1], NOTIFY | MESSAGE | 5);
	assert_int_equal(r->system_event.data[2], 10);
	assert_int_equal(r->system_event.data[6], 14);
	assert_int_equal(rip(&g), HERE + 8);
	assert_int_equal(run(&g)->exit_reason, KVM_EXIT_IO);
	assert_int_equal(synthetic_read(g.vp, 0, HV_MSR_CRASH_P0, &value), 0);
	assert_int_equal(value, 10);
	assert_int_equal(synthetic_read(g.vp, 1, HV_MSR_CRASH_P0, &value), 0);
	assert_int_equal(value, 99);
	guest_stop(&g);
}

/* As a register, and of another VTL. */
static void test_crash_register(void **state)
{
	const struct hv_register_value p1 = {.low = 21}, control = {.low = NOTIFY};
	struct guest g;
	struct kvm_run *r;

	(void)state;
	guest_start(&g, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	assert_int_equal(register_set(g.vp, 1, 1, HV_REGISTER_GUEST_CRASH_P0 + 1, &p1), 0);
	assert_int_equal(register_set(g.vp, 1, 1, HV_REGISTER_GUEST_CRASH_CTL, &control), 0);
	r = run(&g);
	assert_int_equal(r->exit_reason, KVM_EXIT_SYSTEM_EVENT);
	assert_int_equal(r->system_event.data[0], 1);
	assert_int_equal(r->system_event.data[3], 21);
	guest_stop(&g);
}

/* It grows while the VP has a thread, and never goes back. */
static void test_runtime(void **state)
{
	uint64_t first, value;
	struct guest g;

	(void)state;
	guest_start(&g, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	assert_int_equal(synthetic_write(g.vp, 0, HV_MSR_VP_RUNTIME, 1), -EINVAL);
	assert_int_equal(synthetic_read(g.vp, 0, HV_MSR_VP_RUNTIME, &first), 0);
	assert_int_equal(first, 0);
	atomic_store(&g.vp->thread, 1);
	assert_int_equal(synthetic_read(g.vp, 0, HV_MSR_VP_RUNTIME, &first), 0);
	assert_int_equal(first, g.x.host->ops->clock_ns(g.x.host) / 100);
	fake_kvm_advance_clock(g.x.fake, 1000);
	assert_int_equal(synthetic_read(g.vp, 1, HV_MSR_VP_RUNTIME, &value), 0);
	assert_int_equal(value, first + 10);
	/* A thread that has had less time, and none that can be asked. */
	fake_kvm_set_clock(g.x.fake, 1);
	assert_int_equal(synthetic_read(g.vp, 0, HV_MSR_VP_RUNTIME, &value), 0);
	assert_int_equal(value, first + 10);
	fake_kvm_fail(g.x.fake, FAKE_OP_thread_time_ns, 1, EINVAL);
	assert_int_equal(synthetic_read(g.vp, 0, HV_MSR_VP_RUNTIME, &value), 0);
	assert_int_equal(value, first + 10);
	atomic_store(&g.vp->thread, 0);
	guest_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_crash),
		cmocka_unit_test(test_crash_register),
		cmocka_unit_test(test_runtime),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
