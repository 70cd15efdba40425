/* SPDX-License-Identifier: MIT */
/*
 * A step among other VPs that want something of the partition meanwhile: it ends, and so does what
 * they wait for. Steps wait for each other by the real clock (step_wait()), so the model's is ahead
 * of it: no wait ends by itself.
 */
#include "smp_fixture.h"

#include <time.h>
#include <unistd.h>

#include "apic/bus.h"
#include "partition/hold.h"

#define FAR_S	 3600
#define NS_PER_S UINT64_C(1000000000)
#define SLICE_NS 1000000 /* longer than any view's */
#define VALUE	 0x11223344

/* mov %eax, (%rbx) at 0x1000, to a page that VTL0 may not execute. */
#define STORE_IF(optional)                                                                     \
	{                                                                                      \
		.kind = FAKE_STORE, .gva = PAGE_SECRET, .size = 4, .data = VALUE, .length = 2, \
		.flags = optional                                                              \
	}
#define STORE STORE_IF(0)

static struct smp s;

/* VP `stepper` is to make the store. */
static void start(unsigned stepper, enum vsm_topology topology, enum vsm_enforcement enforcement)
{
	static const uint8_t code[] = {0x89, 0x03};
	const uint64_t page = PAGE_SECRET >> VSM_PAGE_SHIFT;
	struct timespec now;

	smp_start_with(
		&s, 2, VSM_VCPU_STARTED,
		&(struct vsm_partition_options){.topology = topology, .enforcement = enforcement});
	clock_gettime(CLOCK_MONOTONIC, &now);
	fake_kvm_set_clock(s.x.fake, ((uint64_t)now.tv_sec + FAR_S) * NS_PER_S);
	assert_int_equal(memory_limit_default(&s.p->memory, 1, PROT_ALL), 0);
	assert_int_equal(memory_limit(&s.p->memory, 1, 0, page, page + 1, PROT_R | PROT_W), 0);
	memcpy(s.x.mem + 0x1000, code, sizeof(code));
	fake_vcpu_regs(s.x.fake, smp_fd(&s, stepper, 0))->rax = VALUE;
	fake_vcpu_regs(s.x.fake, smp_fd(&s, stepper, 0))->rbx = PAGE_SECRET;
}

static int secret_access(void)
{
	return fake_kvm_guest_access(s.x.fake, partition_space(s.p, 0)->vm_fd, PAGE_SECRET);
}

static bool stored(void)
{
	uint32_t value;

	memcpy(&value, s.x.mem + PAGE_SECRET, sizeof(value));
	return value == VALUE;
}

static void stop(void)
{
	assert_null(s.p->stepper);
	for (unsigned i = 0; i < SMP_VPS; i++)
		assert_true(!s.vp[i] || !s.vp[i]->holds);
	assert_int_equal(s.p->memory.opening_count[0], 0);
	smp_stop(&s);
}

/* --- turns in a single VM --- */

/* While VP 0 runs VTL0, VP 1 comes to wait for VTL1's view. */
static int let_wait(struct fake_guest *g, void *ctx)
{
	(void)g, (void)ctx;
	smp_run(&s, 1);
	smp_wait_asleep(&s, 1);
	return FAKE_NEXT;
}

/* What VTL0 is shown for is over when its access turns out to need a step. */
static int end_slice(struct smp *smp, int vcpu_fd)
{
	int r = smp->real->ops->run(smp->real, vcpu_fd);

	if (r == -EFAULT)
		fake_kvm_advance_clock(s.x.fake, SLICE_NS);
	return r;
}

/* Neither waits for the other for ever. */
static void steps_in_turn(enum vsm_enforcement enforcement)
{
	start(0, VSM_TOPOLOGY_SINGLE_VM, enforcement);
	smp_enable_vtl1(&s, 1);
	vcpu_activate(s.vp[1], 1);
	atomic_store(&s.run_hook, end_slice);
	SMP_SCRIPT(&s, 0, 0, {.kind = FAKE_CALL, .fn = let_wait}, STORE, VMM_OUT);
	SMP_SCRIPT(&s, 1, 1, VMM_OUT);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 0);
	smp_expect_vmm(&s, 1, 1);
	assert_true(stored());
	stop();
}

static void test_steps_in_turn(void **state)
{
	(void)state;
	steps_in_turn(VSM_ENFORCEMENT_ALIAS);
	steps_in_turn(VSM_ENFORCEMENT_SLOTS);
}

/* --- what keeps a VP that steps from going on --- */

/* In the other VP's KVM_RUN: the VP makes the store, and comes to wait for that one to leave. */
static void let_step(unsigned stepper)
{
	bool waits;

	smp_run(&s, stepper);
	do {
		pthread_mutex_lock(&s.p->lock);
		waits = s.vp[!stepper]->holds;
		pthread_mutex_unlock(&s.p->lock);
	} while (!waits);
}

static int suspend_stepper(struct fake_guest *g, void *ctx)
{
	(void)g, (void)ctx;
	let_step(1);
	pthread_mutex_lock(&s.p->lock);
	s.vp[1]->vtls[0].suspended = true;
	pthread_mutex_unlock(&s.p->lock);
	return FAKE_NEXT;
}

static int init_stepper(struct fake_guest *g, void *ctx)
{
	const struct lapic_ipi init = {.valid = true, .mode = LAPIC_INIT};
	const unsigned *stepper = ctx;

	(void)g;
	let_step(*stepper);
	pthread_mutex_lock(&s.p->lock);
	bus_give(s.vp[*stepper], 0, &init);
	pthread_mutex_unlock(&s.p->lock);
	return FAKE_NEXT;
}

/* VP 1 sleeps without a step, or all VPs would wait for it; VP 0 went on. */
static void expect_asleep(void)
{
	smp_expect_vmm(&s, 0, 0);
	smp_wait_asleep(&s, 1);
	assert_false(stored());
	assert_null(s.p->stepper);
	assert_int_equal(s.p->memory.opening_count[0], 0);
}

static void test_suspended(void **state)
{
	(void)state;
	start(1, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	SMP_SCRIPT(&s, 0, 0, {.kind = FAKE_CALL, .fn = suspend_stepper}, VMM_OUT);
	SMP_SCRIPT(&s, 1, 0, STORE, VMM_OUT);
	smp_run(&s, 0);
	expect_asleep();
	pthread_mutex_lock(&s.p->lock);
	s.vp[1]->vtls[0].suspended = false;
	partition_wake_vp(s.vp[1]);
	pthread_mutex_unlock(&s.p->lock);
	smp_expect_vmm(&s, 1, 0);
	assert_true(stored());
	stop();
}

static void test_waits_for_sipi(void **state)
{
	static unsigned stepper = 1;

	(void)state;
	start(1, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	SMP_SCRIPT(&s, 0, 0, {.kind = FAKE_CALL, .fn = init_stepper, .ctx = &stepper}, VMM_OUT);
	SMP_SCRIPT(&s, 1, 0, STORE_IF(FAKE_OPTIONAL));
	smp_run(&s, 0);
	expect_asleep();
	vsm_vcpu_kick(s.vp[1]);
	assert_int_equal(smp_join(&s, 1), -EINTR);
	stop();
}

/* As a hypercall of VP 0's VTL1 that was let in before it came to wait. */
static int take_page(struct fake_guest *g, void *ctx)
{
	const uint64_t page = PAGE_SECRET >> VSM_PAGE_SHIFT;

	(void)g, (void)ctx;
	let_step(1);
	pthread_mutex_lock(&s.p->lock);
	assert_int_equal(memory_limit(&s.p->memory, 1, 0, page, page + 1, PROT_R), 0);
	pthread_mutex_unlock(&s.p->lock);
	return FAKE_NEXT;
}

/* While the VP waits for the others to leave, the limits change: they hold, and VTL1 is told. */
static void test_limits_change_meanwhile(void **state)
{
	(void)state;
	start(1, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	smp_enable_vtl1(&s, 1);
	SMP_SCRIPT(&s, 0, 0, {.kind = FAKE_CALL, .fn = take_page}, VMM_OUT);
	SMP_SCRIPT(&s, 1, 0, STORE_IF(FAKE_OPTIONAL));
	SMP_SCRIPT(&s, 1, 1, VMM_OUT);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 0);
	smp_expect_vmm(&s, 1, 1);
	assert_false(stored());
	assert_int_equal(s.vp[1]->stats.steps, 0);
	stop();
}

static int open_page(struct fake_guest *g, void *ctx)
{
	(void)g, (void)ctx;
	let_step(1);
	pthread_mutex_lock(&s.p->lock);
	assert_int_equal(memory_limit_drop(&s.p->memory, 1), 0);
	pthread_mutex_unlock(&s.p->lock);
	return FAKE_NEXT;
}

static int look_for_stepper(struct fake_guest *g, void *ctx)
{
	(void)g;
	pthread_mutex_lock(&s.p->lock);
	*(bool *)ctx = s.p->stepper != NULL;
	pthread_mutex_unlock(&s.p->lock);
	return FAKE_NEXT;
}

/* There is nothing left to step: the VP goes on among the others. */
static void test_no_step_needed(void **state)
{
	static bool stepper = true;

	(void)state;
	start(1, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	SMP_SCRIPT(&s, 0, 0, {.kind = FAKE_CALL, .fn = open_page}, VMM_OUT);
	SMP_SCRIPT(&s, 1, 0, STORE, {.kind = FAKE_CALL, .fn = look_for_stepper, .ctx = &stepper},
		   VMM_OUT);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 0);
	smp_expect_vmm(&s, 1, 0);
	assert_true(stored());
	assert_false(stepper);
	assert_int_equal(s.vp[1]->stats.steps, 0);
	stop();
}

/*
 * A hypercall that names the VP brings it out, and the library has found meanwhile that KVM does
 * not get on with the instruction (event/watch.c). The VP waits in front of KVM_RUN, with its page
 * open: that is for limits that have gone since.
 */
static void test_held_before_step(void **state)
{
	const uint64_t page = PAGE_SECRET >> VSM_PAGE_SHIFT;
	struct vp_watch *w;

	(void)state;
	start(0, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	smp_enable_vtl1(&s, 0);
	SMP_SCRIPT(&s, 0, 0, SPIN, STORE_IF(FAKE_OPTIONAL));
	SMP_SCRIPT(&s, 0, 1, VMM_OUT);
	smp_run(&s, 0);
	smp_wait_spinning(&s, 0, 0);
	pthread_mutex_lock(&s.p->lock);
	w = &s.vp[0]->watch;
	w->suspect = true;
	w->regs = *fake_vcpu_regs(s.x.fake, smp_fd(&s, 0, 0));
	partition_hold_vp(s.vp[0]);
	assert_int_not_equal(s.p->memory.opening_count[0], 0);
	assert_int_equal(memory_limit(&s.p->memory, 1, 0, page, page + 1, PROT_R), 0);
	partition_release_vp(s.vp[0]);
	pthread_mutex_unlock(&s.p->lock);
	smp_expect_vmm(&s, 0, 1);
	assert_false(stored());
	assert_int_equal(s.vp[0]->stats.memory_intercepts, 1);
	stop();
}

#define RESET_RIP 0xfff0

static int count_openings(struct fake_guest *g, void *ctx)
{
	(void)g;
	pthread_mutex_lock(&s.p->lock);
	*(unsigned *)ctx = s.p->memory.opening_count[0];
	pthread_mutex_unlock(&s.p->lock);
	return FAKE_NEXT;
}

/* The first processor goes on at the reset vector: not with what the store was to have open. */
static void test_starts_over(void **state)
{
	static unsigned stepper, openings = 1;
	const struct fake_step program[] = {
		{.kind = FAKE_STORE,
		 .rip = 0x1000,
		 .gva = PAGE_SECRET,
		 .size = 4,
		 .length = 2,
		 .flags = FAKE_OPTIONAL},
		{.kind = FAKE_CALL,
		 .rip = RESET_RIP,
		 .fn = count_openings,
		 .ctx = &openings,
		 .length = 1},
		{.kind = FAKE_OUT, .rip = RESET_RIP + 1, .port = PORT_VMM, .size = 1, .length = 2}};

	(void)state;
	start(0, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	SMP_SCRIPT(&s, 1, 0, {.kind = FAKE_CALL, .fn = init_stepper, .ctx = &stepper}, VMM_OUT);
	fake_vcpu_program(s.x.fake, smp_fd(&s, 0, 0), program, ARRAY_SIZE(program));
	smp_run(&s, 1);
	smp_expect_vmm(&s, 1, 0);
	smp_expect_vmm(&s, 0, 0);
	assert_int_equal(openings, 0);
	stop();
}

/* --- a store that waits --- */

#define PAGE_OTHER UINT64_C(0x22000)

static bool resumed, resumed_in_window;

static bool other_stored(void)
{
	return s.x.mem[PAGE_OTHER] == 1;
}

/* In VP 0's step: VP 1 is run, which has a store to finish. */
static int run_other_in_window(struct smp *smp, int vcpu_fd)
{
	if (vcpu_fd != smp_fd(&s, 0, 0) || secret_access() != KVM_MAP_READ_WRITE || resumed)
		return smp->real->ops->run(smp->real, vcpu_fd);
	resumed = true;
	smp_run(&s, 1);
	for (unsigned i = 0; i < 50 && !resumed_in_window; i++) {
		usleep(1000);
		resumed_in_window = other_stored();
	}
	return smp->real->ops->run(smp->real, vcpu_fd);
}

/* It may be the code of the instruction that is stepped. */
static void test_store_waits(void **state)
{
	struct retired_store *store;

	(void)state;
	start(0, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	resumed = resumed_in_window = false;
	atomic_store(&s.run_hook, run_other_in_window);
	store = &s.vp[1]->rare[0].retired;
	store->before.rip = fake_vcpu_regs(s.x.fake, smp_fd(&s, 1, 0))->rip;
	store->after.rip = store->before.rip;
	store->fragment_count = 1;
	store->fragments[0] = (struct retired_fragment){
		.gpa = gpa_from(PAGE_OTHER), .len = 1, .old = {9}, .data = {1}};
	s.vp[1]->vtls[0].store_waits = true;
	SMP_SCRIPT(&s, 0, 0, STORE, VMM_OUT);
	SMP_SCRIPT(&s, 1, 0, VMM_OUT);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 0);
	smp_expect_vmm(&s, 1, 0);
	assert_true(resumed && !resumed_in_window);
	assert_true(stored() && other_stored());
	stop();
}

/* --- a VP that is new --- */

static int create_third(struct fake_guest *g, void *ctx)
{
	struct vsm_vcpu_options o = {
		.size = sizeof(o), .index = 2, .apic_id = 2, .flags = VSM_VCPU_STARTED};

	(void)g, (void)ctx;
	let_step(1);
	assert_int_equal(vsm_vcpu_create(s.p, &o, &s.vp[2]), 0);
	return FAKE_NEXT;
}

/* It is kept out of the guest like the others, and let in like them. */
static void test_created_meanwhile(void **state)
{
	(void)state;
	start(1, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	SMP_SCRIPT(&s, 0, 0, {.kind = FAKE_CALL, .fn = create_third}, VMM_OUT);
	SMP_SCRIPT(&s, 1, 0, STORE, VMM_OUT);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 0);
	smp_expect_vmm(&s, 1, 0);
	assert_true(stored());
	stop();
}

/* --- a host that does not close the page again --- */

static unsigned refused_call; /* of mprotect, when the step has been made; 0: all */
static bool refused;

static int refuse_to_close(struct smp *smp, int vcpu_fd)
{
	int r = smp->real->ops->run(smp->real, vcpu_fd);

	if (r || refused || vcpu_fd != smp_fd(&s, 0, 0) || !stored())
		return r;
	refused = true;
	fake_kvm_fail(s.x.fake, FAKE_OP_protect_memory, refused_call, ENOMEM);
	return 0;
}

/* One mapping too few: the page is closed with those around it, which are opened again. */
static void test_closed_otherwise(void **state)
{
	(void)state;
	start(0, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	refused_call = 1;
	refused = false;
	atomic_store(&s.run_hook, refuse_to_close);
	SMP_SCRIPT(&s, 0, 0, STORE, VMM_OUT);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 0);
	assert_true(refused);
	assert_null(vsm_partition_death(s.p));
	assert_int_equal(secret_access(), KVM_MAP_NONE);
	stop();
}

/* The page stays open: nobody enters the guest any more, or sleeps on. */
static void test_not_closed(void **state)
{
	(void)state;
	start(0, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	refused_call = 0;
	refused = false;
	atomic_store(&s.run_hook, refuse_to_close);
	smp_interrupts_on(&s, 1, 0);
	SMP_SCRIPT(&s, 0, 0, STORE);
	SMP_SCRIPT(&s, 1, 0, HALT);
	smp_run(&s, 1);
	smp_wait_asleep(&s, 1);
	smp_run(&s, 0);
	assert_int_equal(smp_join(&s, 0), -EIO);
	assert_int_equal(smp_join(&s, 1), -EIO);
	assert_non_null(vsm_partition_death(s.p));
	smp_stop(&s);
}

/* --- a step that does not end --- */

#define STEP_NS (NS_PER_S / 10)

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t overdue_after;
static bool refused_end; /* the host does not end the step */
static bool brought_out; /* VP 1 was in the guest before */

/* In VP 0's step: VP 1 wants in, and KVM stays busy until VP 0 is brought out. */
static int stay_in_window(struct smp *smp, int vcpu_fd)
{
	uint64_t begin = now_ns();
	bool overdue = false;

	if (vcpu_fd != smp_fd(&s, 0, 0) || secret_access() != KVM_MAP_READ_WRITE || overdue_after)
		return smp->real->ops->run(smp->real, vcpu_fd);
	fake_kvm_set_clock(s.x.fake, begin);
	if (!brought_out)
		smp_run(&s, 1);
	while (!overdue) {
		usleep(1000);
		pthread_mutex_lock(&s.p->lock);
		overdue = s.p->step_overdue;
		pthread_mutex_unlock(&s.p->lock);
	}
	overdue_after = now_ns() - begin;
	if (refused_end)
		fake_kvm_fail(s.x.fake, FAKE_OP_set_guest_debug, 1, ENOMEM);
	return smp->real->ops->run(smp->real, vcpu_fd);
}

/* It is given time for any instruction, and VTL1 is told. */
static void test_overdue(void **state)
{
	(void)state;
	start(0, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	smp_enable_vtl1(&s, 0);
	overdue_after = 0;
	refused_end = brought_out = false;
	atomic_store(&s.run_hook, stay_in_window);
	SMP_SCRIPT(&s, 0, 0, STORE_IF(FAKE_OPTIONAL));
	SMP_SCRIPT(&s, 0, 1, VMM_OUT);
	SMP_SCRIPT(&s, 1, 0, VMM_OUT);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 1);
	smp_expect_vmm(&s, 1, 0);
	assert_true(overdue_after >= STEP_NS);
	assert_false(stored());
	assert_int_equal(s.vp[0]->stats.memory_intercepts, 1);
	stop();
}

/* As much for one whose others began to wait before it was a step. */
static void test_overdue_after_others(void **state)
{
	(void)state;
	start(0, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	smp_enable_vtl1(&s, 0);
	overdue_after = 0;
	refused_end = false;
	brought_out = true;
	fake_kvm_set_clock(s.x.fake, now_ns());
	atomic_store(&s.run_hook, stay_in_window);
	SMP_SCRIPT(&s, 0, 0, STORE_IF(FAKE_OPTIONAL));
	SMP_SCRIPT(&s, 0, 1, VMM_OUT);
	SMP_SCRIPT(&s, 1, 0, SPIN, VMM_OUT);
	smp_run(&s, 1);
	smp_wait_spinning(&s, 1, 0);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 1);
	smp_expect_vmm(&s, 1, 0);
	/* Some of it was over when they began. */
	assert_true(overdue_after >= STEP_NS / 2);
	stop();
}

/* What brought the VP out then is over with the error: the next call is not interrupted by it. */
static void test_overdue_not_ended(void **state)
{
	(void)state;
	start(0, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	overdue_after = 0;
	refused_end = true;
	brought_out = false;
	atomic_store(&s.run_hook, stay_in_window);
	SMP_SCRIPT(&s, 0, 0, STORE, VMM_OUT);
	SMP_SCRIPT(&s, 1, 0, VMM_OUT);
	smp_run(&s, 0);
	assert_int_equal(smp_join(&s, 0), -ENOMEM);
	smp_expect_vmm(&s, 1, 0);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 0);
	assert_true(stored());
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps_in_turn),
		cmocka_unit_test(test_suspended),
		cmocka_unit_test(test_waits_for_sipi),
		cmocka_unit_test(test_starts_over),
		cmocka_unit_test(test_store_waits),
		cmocka_unit_test(test_created_meanwhile),
		cmocka_unit_test(test_closed_otherwise),
		cmocka_unit_test(test_not_closed),
		cmocka_unit_test(test_overdue),
		cmocka_unit_test(test_overdue_after_others),
		cmocka_unit_test(test_overdue_not_ended),
		cmocka_unit_test(test_limits_change_meanwhile),
		cmocka_unit_test(test_no_step_needed),
		cmocka_unit_test(test_held_before_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
