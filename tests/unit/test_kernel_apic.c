/* SPDX-License-Identifier: MIT */
/* AutoEOI of a VTL0 with KVM's local APIC: what is ended for the guest, when, and what is not. */
#include "smp_fixture.h"

#include <sched.h>

#include "apic/kernel_apic.h"
#include "msr/synthetic.h"
#include "vsm/synic.h"

#define PAGE_ISR   0x100
#define PAGE_IRR   0x200
#define PAGE_BYTES 0x80
#define LOW	   0x41
#define AUTO	   0x61
#define OTHER	   0x6f
#define HIGH	   0x81
#define FIRST_NS   100000
#define LAST_NS	   12800000

struct bits {
	unsigned count;
	uint8_t vectors[3];
};

static char *lapic_page(struct smp *s, unsigned page)
{
	return fake_vcpu_lapic(s->x.fake, smp_fd(s, 0, 0))->regs + page;
}

static void fill(char *page, const struct bits *b)
{
	memset(page, 0, PAGE_BYTES);
	for (unsigned i = 0; i < b->count; i++)
		page[b->vectors[i] / 32 * 0x10 + b->vectors[i] % 32 / 8] |=
			(char)(1 << b->vectors[i] % 8);
}

static void set(struct smp *s, unsigned page, const struct bits *b)
{
	fill(lapic_page(s, page), b);
}

static void expect_in_service(struct smp *s, const struct bits *b)
{
	char wanted[PAGE_BYTES];

	fill(wanted, b);
	assert_memory_equal(lapic_page(s, PAGE_ISR), wanted, PAGE_BYTES);
}

static int look(struct smp *s, uint64_t now)
{
	int r;

	pthread_mutex_lock(&s->p->lock);
	r = kernel_apic_end(s->vp[0], now);
	pthread_mutex_unlock(&s->p->lock);
	return r;
}

static void expect_vector(struct smp *s, uint8_t vector)
{
	pthread_mutex_lock(&s->p->lock);
	s->vp[0]->kernel_eoi.vectors[vector / 32] |= 1u << vector % 32;
	s->vp[0]->kernel_eoi.interval_ns = FIRST_NS;
	pthread_mutex_unlock(&s->p->lock);
}

static void start(struct smp *s, bool x2apic)
{
	smp_start_with(s, 1, VSM_VCPU_STARTED,
		       &(struct vsm_partition_options){.flags = SMP_KERNEL_APIC});
	if (x2apic)
		fake_vcpu_sregs(s->x.fake, smp_fd(s, 0, 0))->apic_base |= UINT64_C(3) << 10;
}

static const struct {
	const char *what;
	struct bits expected, isr, irr, left;
	bool looks_again;
} cases[] = {
	{"in service", {1, {AUTO}}, {1, {AUTO}}, {0}, {0}, false},
	{"not delivered", {1, {AUTO}}, {0}, {1, {AUTO}}, {0}, true},
	{"again while in service", {1, {AUTO}}, {1, {AUTO}}, {1, {AUTO}}, {0}, true},
	{"over another's", {1, {AUTO}}, {2, {LOW, AUTO}}, {0}, {1, {LOW}}, false},
	{"under another's", {1, {AUTO}}, {2, {AUTO, HIGH}}, {0}, {2, {AUTO, HIGH}}, true},
	{"two", {2, {LOW, AUTO}}, {2, {LOW, AUTO}}, {0}, {0}, false},
	{"one over two", {2, {LOW, HIGH}}, {3, {LOW, AUTO, HIGH}}, {0}, {2, {LOW, AUTO}}, true},
	{"the guest's EOI was another's", {1, {AUTO}}, {1, {LOW}}, {0}, {0}, false},
	{"that will be paid back", {1, {AUTO}}, {2, {LOW, HIGH}}, {0}, {2, {LOW, HIGH}}, true},
	{"another's of the same class", {1, {AUTO}}, {1, {OTHER}}, {0}, {1, {OTHER}}, true},
	{"gone, and nothing in service", {1, {AUTO}}, {0}, {0}, {0}, false},
};

static void test_what_is_ended(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct smp s;

		start(&s, true);
		set(&s, PAGE_ISR, &cases[i].isr);
		set(&s, PAGE_IRR, &cases[i].irr);
		for (unsigned j = 0; j < cases[i].expected.count; j++)
			expect_vector(&s, cases[i].expected.vectors[j]);
		assert_int_equal(look(&s, 1000), 0);
		if (kernel_apic_expects(s.vp[0]) != cases[i].looks_again)
			fail_msg("%s: expects %d", cases[i].what, kernel_apic_expects(s.vp[0]));
		assert_true(s.vp[0]->kernel_eoi.look_ns ==
			    (cases[i].looks_again ? 1000 + FIRST_NS : KVM_NEVER));
		expect_in_service(&s, &cases[i].left);
		smp_stop(&s);
	}
}

/* What the guest ended with nothing else in service is forgotten: the vector may have another source later. */
static void test_forgets(void **state)
{
	static const struct bits in_service = {1, {AUTO}};
	struct smp s;

	(void)state;
	start(&s, true);
	expect_vector(&s, AUTO);
	assert_int_equal(look(&s, 0), 0);
	set(&s, PAGE_ISR, &in_service);
	assert_int_equal(look(&s, 0), 0);
	expect_in_service(&s, &in_service);
	smp_stop(&s);
}

/* A vector that cannot be delivered is looked at ever more seldom. */
static void test_looks_more_seldom(void **state)
{
	static const struct bits waits = {1, {AUTO}};
	uint64_t now = 0;
	struct smp s;

	(void)state;
	start(&s, true);
	set(&s, PAGE_IRR, &waits);
	expect_vector(&s, AUTO);
	for (uint64_t interval = FIRST_NS; interval < 100 * (uint64_t)LAST_NS; interval *= 2) {
		assert_int_equal(look(&s, now), 0);
		assert_true(s.vp[0]->kernel_eoi.look_ns - now ==
			    (interval < LAST_NS ? interval : LAST_NS));
		now = s.vp[0]->kernel_eoi.look_ns;
	}
	expect_vector(&s, AUTO);
	assert_int_equal(look(&s, now), 0);
	assert_true(s.vp[0]->kernel_eoi.look_ns - now == FIRST_NS);
	/* While VTL1 runs nothing is delivered to VTL0. */
	smp_enable_vtl1(&s, 0);
	s.vp[0]->active_vtl = 1;
	assert_int_equal(look(&s, now), 0);
	assert_true(s.vp[0]->kernel_eoi.look_ns == KVM_NEVER);
	assert_true(kernel_apic_expects(s.vp[0]));
	smp_stop(&s);
}

/* Signalled again, the vector no longer tells what became of the one before: it is looked at first. */
static void test_again(void **state)
{
	static const struct bits in_service = {1, {LOW}}, none = {0};
	struct smp s;
	int r;

	(void)state;
	start(&s, true);
	expect_vector(&s, AUTO);
	set(&s, PAGE_ISR, &in_service); /* LOW's EOI ended AUTO */
	pthread_mutex_lock(&s.p->lock);
	r = kernel_apic_signal_auto_eoi(s.vp[0], AUTO);
	pthread_mutex_unlock(&s.p->lock);
	assert_int_equal(r, 1);
	expect_in_service(&s, &none);
	assert_true(kernel_apic_expects(s.vp[0]));
	/* What KVM does not deliver is not expected. */
	assert_int_equal(look(&s, 0), 0);
	assert_false(kernel_apic_expects(s.vp[0]));
	fake_kvm_fail(s.x.fake, FAKE_OP_signal_msi, 1, EINVAL);
	pthread_mutex_lock(&s.p->lock);
	r = kernel_apic_signal_auto_eoi(s.vp[0], AUTO);
	pthread_mutex_unlock(&s.p->lock);
	assert_int_equal(r, -EINVAL);
	assert_false(kernel_apic_expects(s.vp[0]));
	smp_stop(&s);
}

/* In xAPIC mode the way is KVM's own synthetic MSR; without it the guest has to end it. */
static void test_xapic(void **state)
{
	static const struct bits in_service = {1, {AUTO}}, none = {0};
	struct smp s;

	(void)state;
	start(&s, false);
	set(&s, PAGE_ISR, &in_service);
	expect_vector(&s, AUTO);
	assert_int_equal(look(&s, 0), 0);
	assert_false(kernel_apic_expects(s.vp[0]));
	assert_true(s.vp[0]->kernel_eoi.look_ns == KVM_NEVER);
	expect_in_service(&s, &in_service);
	fake_kvm_add_msr(s.x.fake, HV_MSR_EOI, 0);
	expect_vector(&s, AUTO);
	assert_int_equal(look(&s, 0), 0);
	expect_in_service(&s, &none);
	smp_stop(&s);
}

static void test_kernel_fails(void **state)
{
	struct kvm_run *run;
	struct smp s;

	(void)state;
	start(&s, true);
	SMP_SCRIPT(&s, 0, 0, VMM_OUT);
	expect_vector(&s, AUTO);
	fake_kvm_fail(s.x.fake, FAKE_OP_get_lapic, 1, ENOMEM);
	assert_int_equal(vsm_vcpu_run(s.vp[0], &run), -ENOMEM);
	assert_int_equal(vsm_vcpu_run(s.vp[0], &run), 0);
	smp_stop(&s);
}

static atomic_bool delivered;

/* KVM delivers it: the vCPU is in KVM_RUN. */
static int deliver(struct fake_guest *g, void *ctx)
{
	static const struct bits in_service = {1, {AUTO}}, none = {0};

	(void)g;
	set(ctx, PAGE_IRR, &none);
	set(ctx, PAGE_ISR, &in_service);
	atomic_store(&delivered, true);
	return FAKE_NEXT;
}

/* A VP that does not exit comes out when the SINT is raised, and again to have it ended. */
static void test_running(void **state)
{
	static const struct bits waits = {1, {AUTO}}, none = {0};
	struct smp s;

	(void)state;
	atomic_store(&delivered, false);
	start(&s, true);
	assert_int_equal(synthetic_write(s.vp[0], 0, HV_MSR_SCONTROL, 1), 0);
	assert_int_equal(synthetic_write(s.vp[0], 0, HV_MSR_SINT0 + 2, AUTO | 1u << 17), 0);
	SMP_SCRIPT(&s, 0, 0, SPIN, {.kind = FAKE_CALL, .fn = deliver, .ctx = &s, .length = 1}, SPIN,
		   VMM_OUT);
	smp_run(&s, 0);
	smp_wait_spinning(&s, 0, 0);
	set(&s, PAGE_IRR, &waits);
	assert_int_equal(vsm_synic_raise(s.vp[0], 0, 2), 0);
	while (!atomic_load(&delivered))
		sched_yield();
	smp_wait_spinning(&s, 0, 0);
	fake_kvm_advance_clock(s.x.fake, FIRST_NS);
	smp_expect_vmm(&s, 0, 0);
	expect_in_service(&s, &none);
	assert_false(kernel_apic_expects(s.vp[0]));
	smp_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_ended),
		cmocka_unit_test(test_forgets),
		cmocka_unit_test(test_looks_more_seldom),
		cmocka_unit_test(test_xapic),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_kernel_fails),
		cmocka_unit_test(test_running),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
