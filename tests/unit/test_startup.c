/* SPDX-License-Identifier: MIT */
/*
 * Starting VPs: INIT, SIPI and HvCallStartVirtualProcessor, who may, and interrupts to sets of VPs.
 */
#include "hypercall_fixture.h"
#include "initial_context.h"
#include "smp_fixture.h"

#include "msr/synthetic.h"
#include "apic/bus.h"
#include "vtl/startup.h"

#define SIPI_VECTOR 0x9a

static void send(struct smp *s, unsigned vp, unsigned vtl, enum lapic_mode mode, uint8_t vector)
{
	const struct lapic_ipi ipi = {.valid = true, .vector = vector, .mode = (uint8_t)mode};

	pthread_mutex_lock(&s->p->lock);
	bus_give(s->vp[vp], vtl, &ipi);
	pthread_mutex_unlock(&s->p->lock);
}

/*
 * The second VP sleeps until SIPI and starts where that says, in real mode; another SIPI does
 * nothing.
 */
static void test_sipi(void **state)
{
	struct kvm_regs *regs;
	struct smp s;

	(void)state;
	smp_start_with(&s, 2, 0, &(struct vsm_partition_options){0});
	SMP_SCRIPT(&s, 1, 0, VMM_OUT, VMM_OUT);
	smp_run(&s, 1);
	smp_wait_asleep(&s, 1);
	send(&s, 1, 0, LAPIC_INIT, 0);
	smp_wait_asleep(&s, 1);
	send(&s, 1, 0, LAPIC_STARTUP, SIPI_VECTOR);
	smp_expect_vmm(&s, 1, 0);
	regs = fake_vcpu_regs(s.x.fake, smp_fd(&s, 1, 0));
	assert_int_equal(regs->rip, 0);
	assert_int_equal(fake_vcpu_sregs(s.x.fake, smp_fd(&s, 1, 0))->cs.base, SIPI_VECTOR << 12);
	assert_int_equal(fake_vcpu_sregs(s.x.fake, smp_fd(&s, 1, 0))->cs.selector,
			 SIPI_VECTOR << 8);
	assert_int_equal(fake_vcpu_sregs(s.x.fake, smp_fd(&s, 1, 0))->cr0 & 1, 0);
	send(&s, 1, 0, LAPIC_STARTUP, 0x10);
	smp_run(&s, 1);
	smp_expect_vmm(&s, 1, 0);
	assert_int_equal(fake_vcpu_sregs(s.x.fake, smp_fd(&s, 1, 0))->cs.base, SIPI_VECTOR << 12);
	smp_stop(&s);
}

/*
 * INIT takes a running VP back to where it waits, its APIC reset; the first VP goes to the reset
 * vector.
 */
static void test_init_resets(void **state)
{
	struct smp s;

	(void)state;
	smp_start(&s, 2);
	SMP_SCRIPT(&s, 1, 0, SPIN);
	send(&s, 1, 0, LAPIC_FIXED, 0x51);
	smp_run(&s, 1);
	smp_wait_spinning(&s, 1, 0);
	send(&s, 1, 0, LAPIC_INIT, 0);
	smp_wait_asleep(&s, 1);
	vsm_vcpu_kick(s.vp[1]);
	assert_int_equal(smp_join(&s, 1), -EINTR);
	assert_false(s.vp[1]->started);
	assert_int_equal(fake_vcpu_regs(s.x.fake, smp_fd(&s, 1, 0))->rip, 0xfff0);
	assert_int_equal(s.vp[1]->vtls[0].lapic.spiv, 0xff);
	assert_false(lapic_irr_pending(&s.vp[1]->vtls[0].lapic));
	SMP_SCRIPT(&s, 0, 0, VMM_OUT);
	send(&s, 0, 0, LAPIC_INIT, 0);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 0);
	assert_int_equal(fake_vcpu_sregs(s.x.fake, smp_fd(&s, 0, 0))->cs.base, 0xffff0000);
	smp_stop(&s);
}

/* Dropped: for a VTL above 0, on a VP with a higher VTL, and where a higher VTL denied it. */
static void test_dropped(void **state)
{
	struct smp s;

	(void)state;
	smp_start(&s, 3);
	smp_enable_vtl1(&s, 1);
	send(&s, 1, 1, LAPIC_INIT, 0);
	assert_int_equal(s.vp[1]->vtls[1].lapic.events, 0);
	send(&s, 1, 0, LAPIC_INIT, 0);
	assert_int_equal(s.vp[1]->vtls[0].lapic.events, 0);
	send(&s, 2, 0, LAPIC_STARTUP, 1);
	assert_int_equal(s.vp[2]->vtls[0].lapic.events, LAPIC_EVENT_STARTUP);
	s.vp[2]->vtls[0].lapic.events = 0;
	s.p->vtls[1].config |= HV_PARTITION_CONFIG_DENY_LOWER_STARTUP;
	send(&s, 2, 0, LAPIC_STARTUP, 1);
	send(&s, 2, 0, LAPIC_INIT, 0);
	assert_int_equal(s.vp[2]->vtls[0].lapic.events, 0);
	send(&s, 2, 0, LAPIC_NMI, 0);
	assert_int_equal(s.vp[2]->vtls[0].lapic.events, LAPIC_EVENT_NMI);
	smp_stop(&s);
}

/* A VP that has not started is not entered for VTL1 either. */
static void test_not_started(void **state)
{
	struct smp s;

	(void)state;
	smp_start_with(&s, 2, 0, &(struct vsm_partition_options){0});
	smp_enable_vtl1(&s, 1);
	smp_run(&s, 1);
	smp_wait_asleep(&s, 1);
	send(&s, 1, 1, LAPIC_FIXED, 0x51);
	smp_wait_asleep(&s, 1);
	assert_int_equal(vsm_vcpu_active_vtl(s.vp[1]), 0);
	vsm_vcpu_kick(s.vp[1]);
	assert_int_equal(smp_join(&s, 1), -EINTR);
	smp_stop(&s);
}

/*
 * With KVM's local APIC it is KVM that waits for SIPI, in KVM_RUN of VTL0: a message for VTL1 must
 * not make that run first on a VP that nobody started. Started, it does.
 */
static void test_not_started_in_kvm(void **state)
{
	struct kvm_mp_state mp = {KVM_MP_STATE_RUNNABLE};
	struct smp s;

	(void)state;
	smp_start_with(&s, 2, 0, &(struct vsm_partition_options){.flags = SMP_KERNEL_APIC});
	smp_enable_vtl1(&s, 1);
	SMP_SCRIPT(&s, 1, 1, VMM_OUT);
	s.vp[1]->vtls[1].entry_pending = true;
	smp_run(&s, 1);
	assert_true(fake_vcpu_wait_idle(s.x.fake, smp_fd(&s, 1, 0)));
	assert_int_equal(vsm_vcpu_active_vtl(s.vp[1]), 0);
	vsm_vcpu_kick(s.vp[1]);
	assert_int_equal(smp_join(&s, 1), -EINTR);
	assert_int_equal(s.x.host->ops->set_mp_state(s.x.host, smp_fd(&s, 1, 0), &mp), 0);
	smp_run(&s, 1);
	smp_expect_vmm(&s, 1, 1);
	smp_stop(&s);
}

/* --- the hypercall --- */

static struct hv_vp_vtl_context input(unsigned vp, unsigned vtl)
{
	struct hv_vp_vtl_context in = {
		.partition_id = HC_SELF, .vp_index = vp, .target_vtl = (uint8_t)vtl};

	in.context = long_mode_context();
	return in;
}

static unsigned start_vp(struct hc *h, const struct hv_vp_vtl_context *in)
{
	unsigned status;

	pthread_mutex_lock(&h->p->lock);
	status = hc_slow(h, 0, HV_CALL_START_VIRTUAL_PROCESSOR, 0, in, sizeof(*in), NULL, 0);
	pthread_mutex_unlock(&h->p->lock);
	return status;
}

static void test_start_vp(void **state)
{
	struct hv_vp_vtl_context in = input(1, 0);
	struct kvm_regs *regs;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	in.partition_id = 7;
	assert_int_equal(start_vp(&h, &in), HV_INVALID_PARTITION_ID);
	in = input(9, 0);
	assert_int_equal(start_vp(&h, &in), HV_INVALID_VP_INDEX);
	in = input(1, 3);
	assert_int_equal(start_vp(&h, &in), HV_INVALID_PARAMETER);
	in = input(1, 2);
	assert_int_equal(start_vp(&h, &in), HV_ACCESS_DENIED);
	in = input(1, 1);
	assert_int_equal(start_vp(&h, &in), HV_INVALID_VTL_STATE);
	in = input(HV_VP_INDEX_SELF, 0);
	assert_int_equal(start_vp(&h, &in), HV_INVALID_VP_STATE);
	in = input(1, 0);
	in.context.cr0 = 0; /* but 64-bit code */
	assert_int_equal(start_vp(&h, &in), HV_INVALID_REGISTER_VALUE);
	assert_false(h.vp[1]->started);
	in = input(1, 0);
	in.context.rip = 0x4321;
	assert_int_equal(start_vp(&h, &in), HV_SUCCESS);
	assert_true(h.vp[1]->started);
	assert_int_equal(vtl_cpu_regs(hc_cpu(&h, 1, 0), &regs), 0);
	assert_int_equal(regs->rip, 0x4321);
	assert_int_equal(start_vp(&h, &in), HV_INVALID_VP_STATE);
	hc_stop(&h);
}

/* In VTL0 as after a SIPI, but with whatever registers the caller likes; not in VTL1. */
static void test_start_in_real_mode(void **state)
{
	struct hv_vp_vtl_context in = input(1, 0);
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	h.vp[1]->enabled_vtls |= 2;
	in.context = real_mode_context();
	in.context.rip = 0x123;
	in.context.rsp = 0xfffe;
	in.context.ds.base = 0x123450;
	in.target_vtl = 1;
	assert_int_equal(start_vp(&h, &in), HV_INVALID_REGISTER_VALUE);
	assert_false(h.vp[1]->started);
	in.target_vtl = 0;
	assert_int_equal(start_vp(&h, &in), HV_SUCCESS);
	assert_int_equal(h.vp[1]->active_vtl, 1);
	assert_int_equal(vtl_cpu_state(hc_cpu(&h, 1, 0), &regs, &sregs), 0);
	assert_int_equal(regs->rip, 0x123);
	assert_int_equal(regs->rsp, 0xfffe);
	assert_int_equal(sregs->cr0, 0x10);
	assert_int_equal(sregs->efer, 0);
	assert_int_equal(sregs->cs.selector, 0x800);
	assert_int_equal(sregs->cs.base, 0x8000);
	assert_int_equal(sregs->ds.base, 0x123450);
	assert_int_equal(sregs->ss.dpl, 0);
	hc_stop(&h);
}

/* The highest VTL of the VP runs first, whichever was named. */
static void test_start_highest_first(void **state)
{
	struct hv_vp_vtl_context in = input(1, 0);
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	h.vp[1]->enabled_vtls |= 2;
	assert_int_equal(start_vp(&h, &in), HV_SUCCESS);
	assert_int_equal(h.vp[1]->active_vtl, 1);
	hc_stop(&h);
}

static void test_start_denied(void **state)
{
	struct hv_vp_vtl_context in = input(1, 0);
	struct hc h;

	(void)state;
	hc_start(&h);
	h.p->enabled_vtls |= 2;
	h.p->vtls[1].config |= HV_PARTITION_CONFIG_DENY_LOWER_STARTUP;
	assert_int_equal(start_vp(&h, &in), HV_ACCESS_DENIED);
	hc_enter(&h, 0, 1);
	assert_int_equal(start_vp(&h, &in), HV_SUCCESS);
	hc_stop(&h);
}

/* Only where the library has the say is it offered. */
static void test_capability(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	assert_true(vsm_capabilities(h.p) & HV_VSM_CAP_DENY_LOWER_VTL_STARTUP);
	h.p->kernel_irqchip = true;
	assert_false(vsm_capabilities(h.p) & HV_VSM_CAP_DENY_LOWER_VTL_STARTUP);
	h.p->kernel_irqchip = false;
	hc_stop(&h);
}

/* --- cluster IPIs --- */

struct ipi_input {
	struct hv_cluster_ipi head;
	uint64_t mask;
};

struct ipi_ex_input {
	struct hv_cluster_ipi head;
	struct hv_vp_set set;
	uint64_t masks[2];
};

static unsigned send_ipi(struct hc *h, uint32_t vector, uint8_t vtl, uint64_t mask)
{
	const struct ipi_input in = {{.vector = vector, .target_vtl = vtl}, mask};

	return hc_slow(h, 0, HV_CALL_SEND_SYNTHETIC_CLUSTER_IPI, 0, &in, sizeof(in), NULL, 0);
}

static unsigned send_ipi_ex(struct hc *h, const struct ipi_ex_input *in, unsigned masks)
{
	memcpy(hc_mem(h, HC_INPUT), in, sizeof(*in));
	return (unsigned)(hc_call(h, 0,
				  HV_CALL_SEND_SYNTHETIC_CLUSTER_IPI_EX |
					  (uint64_t)masks << HV_CONTROL_VARIABLE_SHIFT,
				  HC_INPUT, 0) &
			  0xffff);
}

/* Which VPs have the vector waiting in that VTL; forgets it. */
static unsigned waiting(struct hc *h, unsigned vtl)
{
	unsigned set = 0;

	for (unsigned i = 0; i < HC_VPS; i++) {
		set |= (unsigned)lapic_irr_pending(&h->vp[i]->vtls[vtl].lapic) << i;
		memset(h->vp[i]->vtls[vtl].lapic.irr, 0, sizeof(h->vp[i]->vtls[vtl].lapic.irr));
	}
	return set;
}

static void ipi_start(struct hc *h)
{
	hc_start(h);
	for (unsigned i = 0; i < HC_VPS; i++)
		h->vp[i]->vtls[0].lapic.spiv = 0x1ff;
	h->p->enabled_vtls |= 2;
	h->vp[1]->enabled_vtls |= 2;
}

static void test_ipi(void **state)
{
	struct hc h;

	(void)state;
	ipi_start(&h);
	assert_int_equal(send_ipi(&h, 0x0f, 0, 1), HV_INVALID_PARAMETER);
	assert_int_equal(send_ipi(&h, 0x100, 0, 1), HV_INVALID_PARAMETER);
	assert_int_equal(send_ipi(&h, 0x51, HV_INPUT_VTL_USE | 3, 1), HV_INVALID_PARAMETER);
	assert_int_equal(send_ipi(&h, 0x51, 0, 3 | UINT64_C(1) << 40), HV_SUCCESS);
	assert_int_equal(waiting(&h, 0), 3);
	assert_int_equal(waiting(&h, 1), 0);
	/* From VTL0 to VTL1, where that is enabled. */
	assert_int_equal(send_ipi(&h, 0x51, HV_INPUT_VTL_USE | 1, 3), HV_SUCCESS);
	assert_int_equal(waiting(&h, 0), 0);
	assert_int_equal(waiting(&h, 1), 2);
	assert_int_equal(
		hc_call(&h, 0, hc_control(HV_CALL_SEND_SYNTHETIC_CLUSTER_IPI, true, 0, 0), 0x51, 2),
		HV_SUCCESS);
	assert_int_equal(waiting(&h, 0), 2);
	hc_stop(&h);
}

static void test_ipi_ex(void **state)
{
	struct ipi_ex_input in = {.head.vector = 0x51, .set.format = HV_VP_SET_ALL};
	struct hc h;

	(void)state;
	ipi_start(&h);
	assert_int_equal(send_ipi_ex(&h, &in, 0), HV_SUCCESS);
	assert_int_equal(waiting(&h, 0), 3);
	in.set = (struct hv_vp_set){HV_VP_SET_SPARSE, 1};
	in.masks[0] = 2;
	assert_int_equal(send_ipi_ex(&h, &in, 1), HV_SUCCESS);
	assert_int_equal(waiting(&h, 0), 2);
	/* The mask of bank 5 comes first only if bank 0 has none. */
	in.set.banks = 1 << 5;
	assert_int_equal(send_ipi_ex(&h, &in, 1), HV_SUCCESS);
	assert_int_equal(waiting(&h, 0), 0);
	in.set.banks = 1 | 1 << 5;
	in.masks[0] = 1;
	in.masks[1] = 2;
	assert_int_equal(send_ipi_ex(&h, &in, 2), HV_SUCCESS);
	assert_int_equal(waiting(&h, 0), 1);
	assert_int_equal(send_ipi_ex(&h, &in, 1), HV_INVALID_HYPERCALL_INPUT);
	in.set.format = 2;
	assert_int_equal(send_ipi_ex(&h, &in, 2), HV_INVALID_PARAMETER);
	hc_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sipi),
		cmocka_unit_test(test_init_resets),
		cmocka_unit_test(test_dropped),
		cmocka_unit_test(test_not_started),
		cmocka_unit_test(test_not_started_in_kvm),
		cmocka_unit_test(test_start_vp),
		cmocka_unit_test(test_start_in_real_mode),
		cmocka_unit_test(test_start_highest_first),
		cmocka_unit_test(test_start_denied),
		cmocka_unit_test(test_capability),
		cmocka_unit_test(test_ipi),
		cmocka_unit_test(test_ipi_ex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
