/* SPDX-License-Identifier: MIT */
/* VPs that KVM does not let go of, because its emulator cannot read a descriptor. */
#include "smp_fixture.h"

#include "event/watch.h"

#define GDT 0x20000u /* two pages: the descriptor of FAR is in the second */
#define FAR 0x1000u

static const struct vsm_partition_options emulated = {.flags = VSM_PARTITION_VMM_EVENTS |
							       SMP_EMULATES};

/* VTL0 in front of a load of ES with `selector`; VTL1 closes the GDT's first page. */
static void start(struct smp *s, const struct vsm_partition_options *o, uint16_t selector)
{
	static const uint8_t code[] = {0x8e, 0xc0}; /* mov %eax, %es */
	struct memory *m;

	smp_start_with(s, 1, VSM_VCPU_STARTED, o);
	smp_enable_vtl1(s, 0);
	memcpy(s->x.mem + 0x1000, code, sizeof(code));
	fake_vcpu_regs(s->x.fake, smp_fd(s, 0, 0))->rax = selector;
	fake_vcpu_sregs(s->x.fake, smp_fd(s, 0, 0))->gdt =
		(struct kvm_dtable){.base = GDT, .limit = 0x1fff};
	m = &s->p->memory;
	assert_int_equal(memory_limit_default(m, 1, PROT_ALL), 0);
	assert_int_equal(memory_limit(m, 1, 0, GDT >> 12, (GDT >> 12) + 1, 0), 0);
}

/* A look at the VPs is due. */
static void tick(struct smp *s)
{
	fake_kvm_advance_clock(s->x.fake, WATCH_NS);
	assert_int_equal(vsm_partition_run_events(s->p), 0);
}

static uint64_t runs(struct smp *s)
{
	uint64_t n;

	pthread_mutex_lock(&s->p->lock);
	n = s->vp[0]->stats.runs;
	pthread_mutex_unlock(&s->p->lock);
	return n;
}

/* The VP was brought out, and is inside again. */
static void wait_run(struct smp *s, uint64_t n)
{
	while (runs(s) < n)
		sched_yield();
	smp_wait_spinning(s, 0, 0);
}

/* One look, and what it leads to: a VP brought out of its FAKE_SPIN is inside the next one. */
static bool look(struct smp *s)
{
	const struct vp_watch *w = &s->vp[0]->watch;
	uint64_t before;
	bool due;

	pthread_mutex_lock(&s->p->lock);
	before = s->vp[0]->stats.runs;
	due = w->run == before && w->ticks + 1 > w->patience;
	pthread_mutex_unlock(&s->p->lock);
	tick(s);
	return due;
}

static void look_inside(struct smp *s)
{
	uint64_t before = runs(s);

	if (look(s))
		wait_run(s, before + 1);
}

/* Seen inside, seen there again and looked at; the same once more, and it has not moved. */
static void test_stuck(void **state)
{
	struct kvm_regs *regs;
	struct smp s;

	(void)state;
	start(&s, &emulated, 0x10);
	SMP_SCRIPT(&s, 0, 0, SPIN, SPIN);
	SMP_SCRIPT(&s, 0, 1, VMM_OUT);
	smp_run(&s, 0);
	smp_wait_spinning(&s, 0, 0);
	for (unsigned i = 0; i < 3; i++)
		look_inside(&s);
	assert_int_equal(runs(&s), 2);
	assert_true(look(&s));
	smp_expect_vmm(&s, 0, 1);
	assert_int_equal(s.vp[0]->stats.memory_intercepts, 1);
	assert_int_equal(vtl_cpu_regs(&s.vp[0]->vtls[0].cpu, &regs), 0);
	assert_int_equal(regs->rip, 0x1000);
	smp_stop(&s);
}

#define SPINS 8

/* Looked at again and again, more and more seldom, and never stopped. */
static void runs_on(struct smp *s)
{
	SMP_SCRIPT(s, 0, 0, SPIN, SPIN, SPIN, SPIN, SPIN, SPIN, SPIN, SPIN, VMM_OUT);
	smp_run(s, 0);
	smp_wait_spinning(s, 0, 0);
	while (runs(s) < SPINS)
		look_inside(s);
	assert_int_equal(s->vp[0]->watch.patience, WATCH_PATIENCE);
	while (!look(s))
		;
	smp_expect_vmm(s, 0, 0);
	assert_int_equal(s->vp[0]->stats.memory_intercepts, 0);
	smp_stop(s);
}

/* The descriptor is in an open page: the VP waits for something else. */
static void test_open(void **state)
{
	struct smp s;

	(void)state;
	start(&s, &emulated, FAR);
	runs_on(&s);
}

/* Null selectors name no descriptor. */
static void test_null(void **state)
{
	struct smp s;

	(void)state;
	start(&s, &emulated, 0);
	runs_on(&s);
}

/* Looks until the VP is brought out, that one included. */
static unsigned looks(struct smp *s)
{
	unsigned n = 1;

	while (!look(s))
		n++;
	return n;
}

/*
 * How often: the first look at a run only sees the VP there, and each that found nothing, the VP
 * where it was, makes the library leave out about twice as many. One that has moved may have got
 * stuck since.
 */
static void test_backs_off(void **state)
{
	static const unsigned expected[] = {
		2, 2, 3, 5, 9, 17, 2 + WATCH_PATIENCE, 2 + WATCH_PATIENCE, 2};
	struct smp s;

	(void)state;
	start(&s, &emulated, FAR);
	SMP_SCRIPT(&s, 0, 0, SPIN, SPIN, SPIN, SPIN, SPIN, SPIN, SPIN,
		   {.kind = FAKE_SET, .reg = FAKE_RBX, .data = 1}, SPIN, SPIN, VMM_OUT);
	smp_run(&s, 0);
	smp_wait_spinning(&s, 0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		if (i)
			wait_run(&s, i + 1);
		assert_int_equal(looks(&s), expected[i]);
	}
	smp_expect_vmm(&s, 0, 0);
	smp_stop(&s);
}

#define IDT UINT64_C(0x30000)

/* An interrupt that KVM cannot deliver, and emulates on: where the VP is does not matter. */
static void test_put_aside(void **state)
{
	struct kvm_vcpu_events *e;
	struct smp s;

	(void)state;
	start(&s, &emulated, FAR);
	assert_int_equal(memory_limit(&s.p->memory, 1, 0, IDT >> 12, (IDT >> 12) + 1, 0), 0);
	fake_vcpu_sregs(s.x.fake, smp_fd(&s, 0, 0))->idt =
		(struct kvm_dtable){.base = IDT, .limit = 0x7ff};
	SMP_SCRIPT(&s, 0, 0, SPIN);
	SMP_SCRIPT(&s, 0, 1, VMM_OUT);
	smp_run(&s, 0);
	smp_wait_spinning(&s, 0, 0);
	e = fake_vcpu_events(s.x.fake, smp_fd(&s, 0, 0));
	e->interrupt.injected = 1;
	e->interrupt.nr = 0x40;
	assert_false(look(&s));
	assert_true(look(&s));
	smp_expect_vmm(&s, 0, 1);
	assert_int_equal(s.vp[0]->stats.memory_intercepts, 1);
	smp_stop(&s);
}

/* A processor that runs the guest's code itself tells of what it cannot reach. */
static void not_watched(enum vsm_enforcement enforcement)
{
	const struct vsm_partition_options o = {.enforcement = enforcement,
						.flags = VSM_PARTITION_VMM_EVENTS};
	struct smp s;

	start(&s, &o, 0x10);
	assert_false(s.p->emulated);
	SMP_SCRIPT(&s, 0, 0, SPIN, VMM_OUT);
	smp_run(&s, 0);
	smp_wait_spinning(&s, 0, 0);
	for (unsigned i = 0; i < 10; i++)
		tick(&s);
	assert_int_equal(runs(&s), 1);
	vsm_vcpu_kick(s.vp[0]);
	assert_int_equal(smp_join(&s, 0), -EINTR);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 0);
	smp_stop(&s);
}

static void test_not_watched(void **state)
{
	(void)state;
	not_watched(VSM_ENFORCEMENT_SLOTS);
	not_watched(VSM_ENFORCEMENT_ALIAS);
}

/* One without virtualization extensions leaves it to KVM's emulator. */
static void test_emulating_host(void **state)
{
	static const enum vsm_enforcement each[] = {VSM_ENFORCEMENT_SLOTS, VSM_ENFORCEMENT_ALIAS};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct vsm_partition_options o = emulated;
		struct smp s;

		o.enforcement = each[i];
		smp_start_with(&s, 1, VSM_VCPU_STARTED, &o);
		assert_true(s.p->emulated);
		smp_stop(&s);
	}
}

/* Nobody restricts the VTL, or not any more: nothing is armed. */
static void test_no_limits(void **state)
{
	struct smp s;

	(void)state;
	start(&s, &emulated, 0x10);
	assert_int_equal(memory_limit_drop(&s.p->memory, 1), 0);
	SMP_SCRIPT(&s, 0, 0, VMM_OUT);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 0);
	assert_int_equal(s.p->watch_ns, 0);
	smp_stop(&s);
}

/* Watching ends with the last VP inside. */
static void test_ends(void **state)
{
	struct smp s;

	(void)state;
	start(&s, &emulated, 0x10);
	SMP_SCRIPT(&s, 0, 0, VMM_OUT);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 0);
	assert_int_not_equal(s.p->watch_ns, 0);
	tick(&s);
	assert_int_equal(s.p->watch_ns, 0);
	smp_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stuck),	       cmocka_unit_test(test_put_aside),
		cmocka_unit_test(test_open),	       cmocka_unit_test(test_null),
		cmocka_unit_test(test_backs_off),      cmocka_unit_test(test_not_watched),
		cmocka_unit_test(test_no_limits),      cmocka_unit_test(test_ends),
		cmocka_unit_test(test_emulating_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
