/* SPDX-License-Identifier: MIT */
/* AutoEOI of a VTL0 with KVM's local APIC: by KVM's own SynIC, and without it. */
#include "smp_fixture.h"

#include <sched.h>

#include "apic/kernel_apic.h"
#include "msr/synthetic.h"
#include "vcpu/interrupt.h"
#include "vsm/partition.h"
#include "vsm/synic.h"

#define PAGE_TPR   0x80
#define PAGE_SPIV  0xf0
#define PAGE_ISR   0x100
#define PAGE_IRR   0x200
#define PAGE_BYTES 0x80
#define LOW	   0x41
#define AUTO	   0x61
#define SAME	   0x6f /* of AUTO's class */
#define HIGH	   0x81
#define SINT	   2
#define FIRST_NS   100000
#define LAST_NS	   12800000
#define MASKED	   (UINT64_C(1) << 16)
#define AUTO_EOI   (UINT64_C(1) << 17)
#define POLLING	   (UINT64_C(1) << 18)
#define IF	   CPU_RFLAGS_IF

static struct kvm_lapic_state *apic(struct smp *s)
{
	return fake_vcpu_lapic(s->x.fake, smp_fd(s, 0, 0));
}

static void set_vector(struct smp *s, unsigned page, uint8_t vector)
{
	memset(apic(s)->regs + page, 0, PAGE_BYTES);
	if (vector)
		apic(s)->regs[page + vector / 32 * 0x10 + vector % 32 / 8] =
			(char)(1 << vector % 8);
}

static void start(struct smp *s)
{
	smp_start_with(s, 1, VSM_VCPU_STARTED,
		       &(struct vsm_partition_options){.flags = SMP_KERNEL_APIC});
	apic(s)->regs[PAGE_SPIV] = (char)0xff;
	apic(s)->regs[PAGE_SPIV + 1] = 1;
	assert_int_equal(synthetic_write(s->vp[0], 0, HV_MSR_SCONTROL, 1), 0);
}

static int signal_auto(struct smp *s, uint8_t vector)
{
	int r;

	pthread_mutex_lock(&s->p->lock);
	r = kernel_apic_signal_auto_eoi(s->vp[0], vector);
	pthread_mutex_unlock(&s->p->lock);
	return r;
}

static int deliver(struct smp *s)
{
	int r;

	pthread_mutex_lock(&s->p->lock);
	r = interrupt_deliver(s->vp[0]);
	if (!r)
		r = vtl_cpu_flush(&s->vp[0]->vtls[0].cpu);
	vtl_cpu_forget(&s->vp[0]->vtls[0].cpu);
	pthread_mutex_unlock(&s->p->lock);
	return r;
}

static bool waits(struct smp *s)
{
	bool r;

	pthread_mutex_lock(&s->p->lock);
	r = kernel_apic_waits(s->vp[0]);
	pthread_mutex_unlock(&s->p->lock);
	return r;
}

static struct kvm_vcpu_events *events(struct smp *s)
{
	return fake_vcpu_events(s->x.fake, smp_fd(s, 0, 0));
}

static void write_sint(struct smp *s, unsigned sint, uint64_t value)
{
	pthread_mutex_lock(&s->p->lock);
	assert_int_equal(synthetic_write(s->vp[0], 0, HV_MSR_SINT0 + sint, value), 0);
	pthread_mutex_unlock(&s->p->lock);
}

static int run(struct smp *s)
{
	return vsm_vcpu_run(s->vp[0], &s->run[0]);
}

/* --- by KVM's SynIC --- */

/* Like start(), on a host whose KVM has Hyper-V's interface. */
static void start_synic(struct smp *s)
{
	struct vsm_vcpu_options o = {.size = sizeof(o), .flags = VSM_VCPU_STARTED};

	smp_start_with(s, 0, 0, &(struct vsm_partition_options){.flags = SMP_KERNEL_APIC});
	fake_kvm_set_cap(s->x.fake, KVM_CAP_HYPERV_SYNIC2, 1);
	assert_int_equal(vsm_vcpu_create(s->p, &o, &s->vp[0]), 0);
	fake_vcpu_flat_mode(s->x.fake, smp_fd(s, 0, 0), 0x1000, 0x8000);
}

static uint64_t told(struct smp *s, unsigned sint)
{
	return fake_vcpu_msr(s->x.fake, smp_fd(s, 0, 0), HV_MSR_SINT0 + sint);
}

static const struct {
	uint64_t sint, told;
} sints[] = {
	{AUTO | AUTO_EOI, AUTO | AUTO_EOI},
	{HIGH | AUTO_EOI, HIGH | AUTO_EOI},
	{AUTO, MASKED},
	{AUTO | AUTO_EOI | MASKED, MASKED},
	{AUTO | AUTO_EOI | POLLING, MASKED},
	{AUTO | AUTO_EOI | UINT64_C(1) << 40, AUTO | AUTO_EOI},
	{MASKED, MASKED},
};

/* Before VTL0 runs on, KVM knows. */
static void test_tells_sints(void **state)
{
	struct smp s;

	(void)state;
	start_synic(&s);
	for (size_t i = 0; i < ARRAY_SIZE(sints); i++) {
		SMP_SCRIPT(&s, 0, 0, VMM_OUT);
		write_sint(&s, SINT, sints[i].sint);
		write_sint(&s, 15, sints[i].sint);
		assert_int_equal(run(&s), 0);
		assert_true(told(&s, SINT) == sints[i].told);
		assert_true(told(&s, 15) == sints[i].told);
		assert_true(told(&s, 0) == MASKED);
	}
	/* Only what changed, and nothing else. */
	fake_kvm_reset_calls(s.x.fake);
	SMP_SCRIPT(&s, 0, 0, VMM_OUT, VMM_OUT);
	write_sint(&s, SINT, AUTO | AUTO_EOI);
	assert_int_equal(run(&s), 0);
	assert_int_equal(run(&s), 0);
	assert_int_equal(fake_kvm_calls(s.x.fake, FAKE_OP_set_msrs), 1);
	assert_int_equal(fake_kvm_calls(s.x.fake, FAKE_OP_get_lapic), 0);
	smp_stop(&s);
}

static void test_signal_is_kvms(void **state)
{
	struct kvm_msi msi;
	struct smp s;

	(void)state;
	start_synic(&s);
	assert_int_equal(signal_auto(&s, AUTO), 1);
	assert_false(waits(&s));
	assert_int_equal(fake_kvm_msis(s.x.fake, s.x.vm_fd, &msi), 1);
	assert_int_equal(msi.data, AUTO);
	assert_true(s.vp[0]->kernel_apic.look_ns == KVM_NEVER);
	smp_stop(&s);
}

/* Reset SINTs are masked ones. */
static void test_reset_sints(void **state)
{
	struct smp s;

	(void)state;
	start_synic(&s);
	SMP_SCRIPT(&s, 0, 0, VMM_OUT, VMM_OUT);
	write_sint(&s, SINT, AUTO | AUTO_EOI);
	assert_int_equal(run(&s), 0);
	assert_true(told(&s, SINT) == (AUTO | AUTO_EOI));
	assert_int_equal(vsm_vcpu_reset(s.vp[0]), 0);
	assert_int_equal(run(&s), 0);
	assert_true(told(&s, SINT) == MASKED);
	smp_stop(&s);
}

/* What failed is tried again. */
static void test_telling_fails(void **state)
{
	struct smp s;

	(void)state;
	start_synic(&s);
	SMP_SCRIPT(&s, 0, 0, VMM_OUT);
	write_sint(&s, SINT, AUTO | AUTO_EOI);
	fake_kvm_fail(s.x.fake, FAKE_OP_set_msrs, 1, EFAULT);
	assert_int_equal(run(&s), -EFAULT);
	assert_int_equal(run(&s), 0);
	assert_true(told(&s, SINT) == (AUTO | AUTO_EOI));
	smp_stop(&s);
}

static void test_synic_refused(void **state)
{
	struct vsm_vcpu_options o = {.size = sizeof(o), .flags = VSM_VCPU_STARTED};
	struct vsm_vcpu *vp;
	struct smp s;

	(void)state;
	smp_start_with(&s, 0, 0, &(struct vsm_partition_options){.flags = SMP_KERNEL_APIC});
	fake_kvm_set_cap(s.x.fake, KVM_CAP_HYPERV_SYNIC2, 1);
	fake_kvm_fail(s.x.fake, FAKE_OP_enable_cap, 1, ENOMEM);
	assert_int_equal(vsm_vcpu_create(s.p, &o, &vp), -ENOMEM);
	smp_stop(&s);
}

/* --- without it --- */

/* The state of VTL0 and of its APIC, and whether a vector can be delivered then. */
static const struct {
	const char *what;
	uint8_t tpr, isr, irr, vector;
	uint64_t rflags;
	struct kvm_vcpu_events events;
	bool delivered;
} cases[] = {
	{"nothing else", 0, 0, 0, AUTO, IF, {.flags = 0}, true},
	{"interrupts off", 0, 0, 0, AUTO, 0, {.flags = 0}, false},
	{"lower TPR", 0x5f, 0, 0, AUTO, IF, {.flags = 0}, true},
	{"TPR", 0x60, 0, 0, AUTO, IF, {.flags = 0}, false},
	{"a lower one in service", 0, LOW, 0, AUTO, IF, {.flags = 0}, true},
	{"its class in service", 0, SAME, 0, AUTO, IF, {.flags = 0}, false},
	{"a higher one in service", 0, HIGH, 0, AUTO, IF, {.flags = 0}, false},
	{"a lower one waits", 0, 0, LOW, AUTO, IF, {.flags = 0}, true},
	{"a higher one waits", 0, 0, HIGH, AUTO, IF, {.flags = 0}, false},
	{"an interrupt is queued", 0, 0, 0, AUTO, IF, {.interrupt = {.injected = 1}}, false},
	{"in a shadow", 0, 0, 0, AUTO, IF, {.interrupt = {.shadow = 1}}, false},
	{"an exception is queued", 0, 0, 0, AUTO, IF, {.exception = {.injected = 1}}, false},
	{"an exception waits", 0, 0, 0, AUTO, IF, {.exception = {.pending = 1}}, false},
	{"an NMI is queued", 0, 0, 0, AUTO, IF, {.nmi = {.injected = 1}}, false},
	{"an NMI waits", 0, 0, 0, AUTO, IF, {.nmi = {.pending = 1}}, false},
	{"within an NMI", 0, 0, 0, AUTO, IF, {.nmi = {.masked = 1}}, true},
};

static void test_when_delivered(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct smp s;

		start(&s);
		apic(&s)->regs[PAGE_TPR] = (char)cases[i].tpr;
		set_vector(&s, PAGE_ISR, cases[i].isr);
		set_vector(&s, PAGE_IRR, cases[i].irr);
		fake_vcpu_regs(s.x.fake, smp_fd(&s, 0, 0))->rflags = 2 | cases[i].rflags;
		*events(&s) = cases[i].events;
		assert_int_equal(signal_auto(&s, cases[i].vector), 1);
		assert_int_equal(deliver(&s), 0);
		if (waits(&s) == cases[i].delivered)
			fail_msg("%s: waits %d", cases[i].what, waits(&s));
		if (cases[i].delivered) {
			assert_int_equal(events(&s)->interrupt.injected, 1);
			assert_int_equal(events(&s)->interrupt.nr, cases[i].vector);
		}
		/* Not in service, nor anything else that an EOI would be for. */
		assert_int_equal(fake_kvm_calls(s.x.fake, FAKE_OP_signal_msi), 0);
		assert_int_equal(fake_kvm_calls(s.x.fake, FAKE_OP_set_lapic), 0);
		smp_stop(&s);
	}
}

/* The highest first, each once. */
static void test_order(void **state)
{
	static const uint8_t order[] = {HIGH, SAME, AUTO, LOW};
	struct smp s;

	(void)state;
	start(&s);
	smp_interrupts_on(&s, 0, 0);
	signal_auto(&s, AUTO);
	signal_auto(&s, HIGH);
	signal_auto(&s, LOW);
	signal_auto(&s, SAME);
	signal_auto(&s, AUTO);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		assert_true(waits(&s));
		assert_int_equal(deliver(&s), 0);
		assert_int_equal(events(&s)->interrupt.nr, order[i]);
		events(&s)->interrupt.injected = 0;
	}
	assert_false(waits(&s));
	assert_false(s.vp[0]->kernel_apic.attend);
	assert_true(s.vp[0]->kernel_apic.look_ns == KVM_NEVER);
	smp_stop(&s);
}

static void test_not_taken(void **state)
{
	struct kvm_mp_state mp = {KVM_MP_STATE_INIT_RECEIVED};
	struct smp s;

	(void)state;
	start(&s);
	smp_interrupts_on(&s, 0, 0);
	/* A processor that waits to be started takes it when it has been. */
	assert_int_equal(s.x.host->ops->set_mp_state(s.x.host, smp_fd(&s, 0, 0), &mp), 0);
	signal_auto(&s, AUTO);
	assert_int_equal(deliver(&s), 0);
	assert_true(waits(&s));
	/* Not into the one instruction that has pages open. */
	mp.mp_state = KVM_MP_STATE_RUNNABLE;
	assert_int_equal(s.x.host->ops->set_mp_state(s.x.host, smp_fd(&s, 0, 0), &mp), 0);
	s.vp[0]->vtls[0].stepping = true;
	assert_int_equal(deliver(&s), 0);
	assert_true(waits(&s));
	s.vp[0]->vtls[0].stepping = false;
	/* While VTL1 runs nothing is delivered to VTL0. */
	vcpu_activate(s.vp[0], 1);
	assert_false(waits(&s));
	assert_int_equal(kernel_apic_deliver(s.vp[0]), 0);
	assert_int_equal(kernel_apic_attend(s.vp[0], 1000), 0);
	assert_true(s.vp[0]->kernel_apic.look_ns == KVM_NEVER);
	vcpu_activate(s.vp[0], 0);
	assert_true(waits(&s));
	/* An APIC that software has switched off loses it. */
	apic(&s)->regs[PAGE_SPIV + 1] = 0;
	assert_int_equal(deliver(&s), 0);
	assert_false(waits(&s));
	assert_int_equal(events(&s)->interrupt.injected, 0);
	smp_stop(&s);
}

/* A vector that cannot be delivered is looked at ever more seldom, until another comes. */
static void test_looks_more_seldom(void **state)
{
	struct smp s;
	uint64_t now = 0;

	(void)state;
	start(&s);
	signal_auto(&s, AUTO);
	for (uint64_t interval = FIRST_NS; interval < 100 * (uint64_t)LAST_NS; interval *= 2) {
		assert_int_equal(kernel_apic_attend(s.vp[0], now), 0);
		assert_true(s.vp[0]->kernel_apic.look_ns - now ==
			    (interval < LAST_NS ? interval : LAST_NS));
		now = s.vp[0]->kernel_apic.look_ns;
	}
	signal_auto(&s, LOW);
	assert_int_equal(kernel_apic_attend(s.vp[0], now), 0);
	assert_true(s.vp[0]->kernel_apic.look_ns - now == FIRST_NS);
	smp_stop(&s);
}

static void test_reset_forgets(void **state)
{
	struct smp s;

	(void)state;
	start(&s);
	signal_auto(&s, AUTO);
	assert_int_equal(vsm_vcpu_reset(s.vp[0]), 0);
	assert_false(waits(&s));
	assert_false(s.vp[0]->kernel_apic.attend);
	smp_stop(&s);
}

static void test_kernel_fails(void **state)
{
	static const enum fake_op ops[] = {FAKE_OP_get_lapic, FAKE_OP_get_vcpu_events,
					   FAKE_OP_get_mp_state};
	struct smp s;

	(void)state;
	start(&s);
	smp_interrupts_on(&s, 0, 0);
	signal_auto(&s, AUTO);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		fake_kvm_fail(s.x.fake, ops[i], 1, ENOMEM);
		assert_int_equal(run(&s), -ENOMEM);
		assert_true(waits(&s));
	}
	SMP_SCRIPT(&s, 0, 0, VMM_OUT);
	assert_int_equal(run(&s), 0);
	assert_int_equal(fake_vcpu_delivered(s.x.fake, smp_fd(&s, 0, 0), NULL, 0), 1);
	smp_stop(&s);
}

/* An exit of the VMM's is answered first: no time passes before the interrupt. */
static void test_half_done(void **state)
{
	struct fake_event event;
	struct smp s;

	(void)state;
	start(&s);
	smp_interrupts_on(&s, 0, 0);
	write_sint(&s, SINT, AUTO | AUTO_EOI);
	SMP_SCRIPT(&s, 0, 0, VMM_OUT, VMM_OUT);
	assert_int_equal(run(&s), 0);
	assert_int_equal(vsm_synic_raise(s.vp[0], 0, SINT), 0);
	assert_int_equal(run(&s), 0);
	assert_int_equal(fake_vcpu_delivered(s.x.fake, smp_fd(&s, 0, 0), &event, 1), 1);
	assert_int_equal(event.vector, AUTO);
	assert_int_equal(event.rip, 0x1002);
	/* To the exit; to finish its instruction; with the interrupt. */
	assert_int_equal(s.vp[0]->stats.runs, 3);
	smp_stop(&s);
}

/* A processor halted in KVM is woken. */
static void test_halted(void **state)
{
	struct fake_event event;
	struct smp s;

	(void)state;
	start(&s);
	smp_interrupts_on(&s, 0, 0);
	write_sint(&s, SINT, AUTO | AUTO_EOI);
	SMP_SCRIPT(&s, 0, 0, HALT, VMM_OUT);
	smp_run(&s, 0);
	smp_wait_spinning(&s, 0, 0);
	assert_int_equal(vsm_synic_raise(s.vp[0], 0, SINT), 0);
	smp_expect_vmm(&s, 0, 0);
	assert_int_equal(fake_vcpu_delivered(s.x.fake, smp_fd(&s, 0, 0), &event, 1), 1);
	assert_int_equal(event.vector, AUTO);
	assert_int_equal(event.rip, 0x1001);
	smp_stop(&s);
}

static int interrupts_on(struct fake_guest *g, void *ctx)
{
	(void)ctx;
	g->regs->rflags |= IF;
	return FAKE_NEXT;
}

/* A VP that does not exit comes out when the SINT is raised, and again to see whether it can. */
static void test_running(void **state)
{
	struct smp s;

	(void)state;
	start(&s);
	write_sint(&s, SINT, AUTO | AUTO_EOI);
	SMP_SCRIPT(&s, 0, 0, SPIN, {.kind = FAKE_CALL, .fn = interrupts_on, .length = 1}, SPIN,
		   VMM_OUT);
	smp_run(&s, 0);
	smp_wait_spinning(&s, 0, 0);
	assert_int_equal(vsm_synic_raise(s.vp[0], 0, SINT), 0);
	while (fake_kvm_calls(s.x.fake, FAKE_OP_get_lapic) < 2)
		sched_yield();
	smp_wait_spinning(&s, 0, 0);
	assert_int_equal(fake_vcpu_delivered(s.x.fake, smp_fd(&s, 0, 0), NULL, 0), 0);
	fake_kvm_advance_clock(s.x.fake, FIRST_NS);
	smp_expect_vmm(&s, 0, 0);
	assert_int_equal(fake_vcpu_delivered(s.x.fake, smp_fd(&s, 0, 0), NULL, 0), 1);
	assert_false(waits(&s));
	smp_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tells_sints),
		cmocka_unit_test(test_signal_is_kvms),
		cmocka_unit_test(test_reset_sints),
		cmocka_unit_test(test_telling_fails),
		cmocka_unit_test(test_synic_refused),
		cmocka_unit_test(test_when_delivered),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_not_taken),
		cmocka_unit_test(test_looks_more_seldom),
		cmocka_unit_test(test_reset_forgets),
		cmocka_unit_test(test_kernel_fails),
		cmocka_unit_test(test_half_done),
		cmocka_unit_test(test_halted),
		cmocka_unit_test(test_running),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
