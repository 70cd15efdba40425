/* SPDX-License-Identifier: MIT */
/*
 * Registers about the VP and the hypervisor: suspension and activity, CPUID's leaves, frequencies,
 * what waits to be delivered, the local APIC's.
 */
#include "hypercall_fixture.h"
#include "smp_fixture.h"

#include "hv/register_names.h"
#include "msr/synthetic.h"
#include "registers/msr.h"
#include "registers/registers.h"
#include "apic/bus.h"

#define CALLER 1

static enum hv_status get(struct hc *h, unsigned vtl, uint32_t name, struct hv_register_value *v)
{
	return register_get(h->vp[0], CALLER, vtl, name, v);
}

static uint64_t low(struct hc *h, unsigned vtl, uint32_t name)
{
	struct hv_register_value v;

	assert_int_equal(get(h, vtl, name, &v), HV_SUCCESS);
	assert_int_equal(v.high, 0);
	return v.low;
}

static enum hv_status set(struct hc *h, unsigned vtl, uint32_t name, uint64_t value)
{
	return register_set(h->vp[0], CALLER, vtl, name, &(struct hv_register_value){.low = value});
}

/* --- suspension --- */

static void suspend_register(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(low(&h, 0, HV_REGISTER_EXPLICIT_SUSPEND), 0);
	assert_int_equal(set(&h, 0, HV_REGISTER_EXPLICIT_SUSPEND, 2), HV_INVALID_REGISTER_VALUE);
	assert_int_equal(set(&h, 0, HV_REGISTER_EXPLICIT_SUSPEND, 1), HV_SUCCESS);
	assert_int_equal(low(&h, 0, HV_REGISTER_EXPLICIT_SUSPEND), 1);
	assert_int_equal(low(&h, 1, HV_REGISTER_EXPLICIT_SUSPEND), 0);
	assert_int_equal(set(&h, 0, HV_REGISTER_EXPLICIT_SUSPEND, 0), HV_SUCCESS);
	assert_int_equal(low(&h, 0, HV_REGISTER_EXPLICIT_SUSPEND), 0);
	for (uint32_t name = HV_REGISTER_INTERCEPT_SUSPEND; name <= HV_REGISTER_DISPATCH_SUSPEND;
	     name += 2) {
		assert_int_equal(low(&h, 0, name), 0);
		assert_int_equal(set(&h, 0, name, 0), HV_SUCCESS);
		assert_int_equal(set(&h, 0, name, 1), HV_INVALID_REGISTER_VALUE);
	}
	hc_stop(&h);
}

static void set_suspended(struct smp *s, unsigned vp, uint64_t value)
{
	const struct hv_register_value v = {.low = value};

	pthread_mutex_lock(&s->p->lock);
	assert_int_equal(register_set(s->vp[vp], 1, 0, HV_REGISTER_EXPLICIT_SUSPEND, &v),
			 HV_SUCCESS);
	pthread_mutex_unlock(&s->p->lock);
}

/* It sleeps, interrupts of its own or not, until it is resumed. */
static void suspended_vtl_does_not_run(void **state)
{
	const struct lapic_ipi ipi = {.valid = true, .vector = 0x51};
	struct smp s;

	(void)state;
	smp_start(&s, 1);
	smp_interrupts_on(&s, 0, 0);
	SMP_SCRIPT(&s, 0, 0, VMM_OUT);
	set_suspended(&s, 0, 1);
	smp_run(&s, 0);
	smp_wait_asleep(&s, 1);
	pthread_mutex_lock(&s.p->lock);
	bus_give(s.vp[0], 0, &ipi);
	pthread_mutex_unlock(&s.p->lock);
	smp_wait_asleep(&s, 1);
	assert_true(lapic_irr_pending(&s.vp[0]->vtls[0].lapic));
	set_suspended(&s, 0, 0);
	smp_expect_vmm(&s, 0, 0);
	smp_stop(&s);
}

/* A higher VTL runs all the same. */
static void higher_vtl_runs(void **state)
{
	const struct lapic_ipi ipi = {.valid = true, .vector = 0x51};
	struct smp s;

	(void)state;
	smp_start(&s, 1);
	smp_enable_vtl1(&s, 0);
	SMP_SCRIPT(&s, 0, 1, VMM_OUT);
	set_suspended(&s, 0, 1);
	smp_run(&s, 0);
	smp_wait_asleep(&s, 1);
	pthread_mutex_lock(&s.p->lock);
	bus_give(s.vp[0], 1, &ipi);
	pthread_mutex_unlock(&s.p->lock);
	smp_expect_vmm(&s, 0, 1);
	smp_stop(&s);
}

static void activity(void **state)
{
	struct kvm_mp_state mp = {KVM_MP_STATE_HALTED};
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(low(&h, 0, HV_REGISTER_INTERNAL_ACTIVITY_STATE), 0);
	assert_int_equal(set(&h, 0, HV_REGISTER_INTERNAL_ACTIVITY_STATE, 0), HV_INVALID_PARAMETER);
	h.vp[0]->started = false;
	h.vp[0]->vtls[1].halted = true;
	assert_int_equal(low(&h, 0, HV_REGISTER_INTERNAL_ACTIVITY_STATE),
			 HV_ACTIVITY_STARTUP_SUSPEND);
	assert_int_equal(low(&h, 1, HV_REGISTER_INTERNAL_ACTIVITY_STATE), HV_ACTIVITY_HALT_SUSPEND);
	hc_stop(&h);
	hc_start_with(&h, &(struct vsm_partition_options){.flags = HC_KERNEL_APIC});
	hc_enter(&h, 0, 1);
	assert_int_equal(h.x.host->ops->set_mp_state(h.x.host, hc_cpu(&h, 0, 0)->fd, &mp), 0);
	assert_int_equal(low(&h, 0, HV_REGISTER_INTERNAL_ACTIVITY_STATE), HV_ACTIVITY_HALT_SUSPEND);
	mp.mp_state = KVM_MP_STATE_UNINITIALIZED;
	assert_int_equal(h.x.host->ops->set_mp_state(h.x.host, hc_cpu(&h, 0, 0)->fd, &mp), 0);
	assert_int_equal(low(&h, 0, HV_REGISTER_INTERNAL_ACTIVITY_STATE),
			 HV_ACTIVITY_STARTUP_SUSPEND);
	fake_kvm_fail(h.x.fake, FAKE_OP_get_mp_state, 1, EIO);
	assert_int_equal(
		get(&h, 0, HV_REGISTER_INTERNAL_ACTIVITY_STATE, &(struct hv_register_value){0}),
		HV_INVALID_VP_STATE);
	hc_stop(&h);
}

/* --- what CPUID and MSRs say too --- */

static void cpuid_leaves(void **state)
{
	static const uint32_t names[] = {0x100, 0x200, 0x201, 0x202, 0x203};
	union {
		struct kvm_cpuid2 head;
		uint8_t room[sizeof(struct kvm_cpuid2) + 16 * sizeof(struct kvm_cpuid_entry2)];
	} out = {.head.nent = 16};
	const struct kvm_cpuid2 in = {.nent = 0};
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(vsm_partition_compose_cpuid(h.p, &in, &out.head), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct kvm_cpuid_entry2 *e = &out.head.entries[2 + i];
		struct hv_register_value v;

		assert_int_equal(e->function, 0x40000002 + i);
		assert_int_equal(get(&h, 0, names[i], &v), HV_SUCCESS);
		assert_int_equal(v.low, (uint64_t)e->ebx << 32 | e->eax);
		assert_int_equal(v.high, (uint64_t)e->edx << 32 | e->ecx);
		assert_int_equal(set(&h, 0, names[i], 0), HV_INVALID_PARAMETER);
	}
	assert_int_equal(get(&h, 0, 0x204, &(struct hv_register_value){0}), HV_INVALID_PARAMETER);
	hc_stop(&h);
}

static void frequencies(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	h.p->tsc_khz = 2345678;
	assert_int_equal(low(&h, 0, HV_REGISTER_PROCESSOR_CLOCK_FREQUENCY), 2345678);
	assert_int_equal(low(&h, 0, HV_REGISTER_INTERRUPT_CLOCK_FREQUENCY), LAPIC_TIMER_HZ / 1000);
	h.p->tsc_khz = 0;
	assert_int_equal(
		get(&h, 0, HV_REGISTER_PROCESSOR_CLOCK_FREQUENCY, &(struct hv_register_value){0}),
		HV_INVALID_PARAMETER);
	hc_stop(&h);
}

/* --- what waits to be delivered --- */

static void pending_interruption(void **state)
{
	static const struct {
		uint64_t value;
		enum hv_status status;
	} rows[] = {
		{HV_INTERRUPTION(HV_INTERRUPTION_EXCEPTION, 6), HV_SUCCESS},
		{HV_INTERRUPTION(HV_INTERRUPTION_EXCEPTION, 13) |
			 HV_INTERRUPTION_DELIVER_ERROR_CODE | UINT64_C(0x28) << 32,
		 HV_SUCCESS},
		{HV_INTERRUPTION(HV_INTERRUPTION_NMI, 2), HV_SUCCESS},
		{HV_INTERRUPTION(HV_INTERRUPTION_INTERRUPT, 0xef), HV_SUCCESS},
		{0, HV_SUCCESS},
		{1 << 16, HV_INVALID_REGISTER_VALUE},
		{HV_INTERRUPTION(HV_INTERRUPTION_EXCEPTION, 13), HV_INVALID_REGISTER_VALUE},
		{HV_INTERRUPTION(HV_INTERRUPTION_EXCEPTION, 6) | HV_INTERRUPTION_DELIVER_ERROR_CODE,
		 HV_INVALID_REGISTER_VALUE},
		{HV_INTERRUPTION(HV_INTERRUPTION_EXCEPTION, 2), HV_INVALID_REGISTER_VALUE},
		{HV_INTERRUPTION(HV_INTERRUPTION_EXCEPTION, 32), HV_INVALID_REGISTER_VALUE},
		{HV_INTERRUPTION(HV_INTERRUPTION_NMI, 3), HV_INVALID_REGISTER_VALUE},
		{HV_INTERRUPTION(HV_INTERRUPTION_INTERRUPT, 0x100), HV_INVALID_REGISTER_VALUE},
		{HV_INTERRUPTION(HV_INTERRUPTION_INTERRUPT, 0x50) | UINT64_C(1) << 32,
		 HV_INVALID_REGISTER_VALUE},
		{HV_INTERRUPTION(HV_INTERRUPTION_SOFTWARE, 0x80), HV_INVALID_REGISTER_VALUE},
		{HV_INTERRUPTION(1, 0x80), HV_INVALID_REGISTER_VALUE},
		{HV_INTERRUPTION(HV_INTERRUPTION_NMI, 2) | 1 << 9, HV_INVALID_REGISTER_VALUE},
	};
	uint64_t before = 0;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(set(&h, 0, HV_REGISTER_RFLAGS, 0x202), HV_SUCCESS);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(set(&h, 0, HV_REGISTER_PENDING_INTERRUPTION, rows[i].value),
				 rows[i].status);
		before = rows[i].status ? before : rows[i].value;
		assert_int_equal(low(&h, 0, HV_REGISTER_PENDING_INTERRUPTION), before);
		assert_int_equal(low(&h, 1, HV_REGISTER_PENDING_INTERRUPTION), 0);
	}
	hc_stop(&h);
}

/* An interrupt cannot be on its way where interrupts are off, whichever is set last. */
static void interruption_needs_if(void **state)
{
	const uint64_t interrupt = HV_INTERRUPTION(HV_INTERRUPTION_INTERRUPT, 0xef);
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(set(&h, 0, HV_REGISTER_RFLAGS, 2), HV_SUCCESS);
	assert_int_equal(set(&h, 0, HV_REGISTER_PENDING_INTERRUPTION, interrupt),
			 HV_INVALID_REGISTER_VALUE);
	assert_int_equal(low(&h, 0, HV_REGISTER_PENDING_INTERRUPTION), 0);
	assert_int_equal(set(&h, 0, HV_REGISTER_PENDING_INTERRUPTION,
			     HV_INTERRUPTION(HV_INTERRUPTION_EXCEPTION, 6)),
			 HV_SUCCESS);
	assert_int_equal(set(&h, 0, HV_REGISTER_RFLAGS, 0x202), HV_SUCCESS);
	assert_int_equal(set(&h, 0, HV_REGISTER_PENDING_INTERRUPTION, interrupt), HV_SUCCESS);
	assert_int_equal(set(&h, 0, HV_REGISTER_RFLAGS, 2), HV_INVALID_REGISTER_VALUE);
	assert_int_equal(low(&h, 0, HV_REGISTER_RFLAGS), 0x202);
	assert_int_equal(set(&h, 0, HV_REGISTER_PENDING_INTERRUPTION, 0), HV_SUCCESS);
	assert_int_equal(set(&h, 0, HV_REGISTER_RFLAGS, 2), HV_SUCCESS);
	hc_stop(&h);
}

/* --- the local APIC --- */

#define APIC(msr) (HV_REGISTER_APIC_ID + (msr)-0x802)

static void apic_registers(void **state)
{
	struct hv_register_value v;
	struct lapic *l;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	l = &h.vp[0]->vtls[0].lapic;
	assert_int_equal(get(&h, 0, APIC(0x808), &v), HV_INVALID_PARAMETER);
	assert_int_equal(set(&h, 0, APIC(0x808), 0x40), HV_INVALID_PARAMETER);
	l->base |= LAPIC_BASE_X2APIC;
	assert_int_equal(low(&h, 0, APIC(0x802)), 8);
	assert_int_equal(set(&h, 0, APIC(0x802), 0), HV_INVALID_REGISTER_VALUE);
	assert_int_equal(set(&h, 0, APIC(0x808), 0x40), HV_SUCCESS);
	assert_int_equal(l->tpr, 0x40);
	assert_int_equal(low(&h, 0, APIC(0x808)), 0x40);
	assert_int_equal(set(&h, 0, APIC(0x808), 0x100), HV_INVALID_REGISTER_VALUE);
	assert_int_equal(get(&h, 0, APIC(0x804), &v), HV_INVALID_PARAMETER);
	/* An IPI goes to the same VTL of the other VP. */
	h.vp[1]->vtls[0].lapic.spiv = 0x1ff;
	assert_int_equal(set(&h, 0, APIC(0x830), UINT64_C(9) << 32 | 0x51), HV_SUCCESS);
	assert_int_equal(h.vp[1]->vtls[0].lapic.irr[2], 1 << (0x51 - 64));
	l->lvt[LAPIC_LVT_TIMER] = 0x40051;
	assert_int_equal(set(&h, 0, HV_REGISTER_TSC_DEADLINE, INT64_MAX), HV_SUCCESS);
	assert_int_equal(l->tsc_deadline, INT64_MAX);
	hc_stop(&h);
}

/* KVM's APIC has what KVM gives. */
static void kernel_apic_registers(void **state)
{
	struct hv_register_value v;
	struct hc h;

	(void)state;
	hc_start_with(&h, &(struct vsm_partition_options){.flags = HC_KERNEL_APIC});
	hc_enter(&h, 0, 1);
	assert_int_equal(set(&h, 0, HV_REGISTER_TSC_DEADLINE, 5), HV_SUCCESS);
	assert_int_equal(vtl_cpu_read_msr(hc_cpu(&h, 0, 0), LAPIC_MSR_TSC_DEADLINE, &v.low), 0);
	assert_int_equal(v.low, 5);
	assert_int_equal(low(&h, 0, HV_REGISTER_TSC_DEADLINE), 5);
	assert_int_equal(low(&h, 1, HV_REGISTER_TSC_DEADLINE), 0);
	assert_int_equal(get(&h, 0, APIC(0x804), &v), HV_INVALID_PARAMETER);
	hc_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interruption_needs_if),
		cmocka_unit_test(suspend_register),
		cmocka_unit_test(suspended_vtl_does_not_run),
		cmocka_unit_test(higher_vtl_runs),
		cmocka_unit_test(activity),
		cmocka_unit_test(cpuid_leaves),
		cmocka_unit_test(frequencies),
		cmocka_unit_test(pending_interruption),
		cmocka_unit_test(apic_registers),
		cmocka_unit_test(kernel_apic_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
