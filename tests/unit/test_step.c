/* SPDX-License-Identifier: MIT */
/*
 * Strict execute policy: while a page that VTL0 may use but not run is open for one VP's access,
 * no other VP is in the guest; afterwards it is closed again.
 */
#include "partition/hold.h"
#include "partition_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define PAGE	 PAGE_SECRET
#define VALUE	 UINT64_C(0x1122334455667788)

#define FAR_S	 3600
#define NS_PER_S UINT64_C(1000000000)

static struct {
	struct guest g;
	struct vsm_vcpu *other;
	struct kvm_ops ops;
	struct kvm_host host;
	int stepper_fd;
	unsigned open_runs; /* KVM_RUNs with the page open */
	bool shared;	    /* one of them with another VP in the guest, or by another VP */
	bool holding; /* in one of them, a third VP's hypercall is to have held the other VP */
	bool held, held_in_window;
	pthread_t holder;
} t;

static int page_access(void)
{
	return fake_kvm_guest_access(t.g.x.fake, partition_space(t.g.p, 0)->vm_fd, PAGE);
}

static bool page_open(void)
{
	return page_access() == KVM_MAP_READ || page_access() == KVM_MAP_READ_WRITE;
}

/* As a hypercall that names the other VP. */
static void *hold_other(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&t.g.p->lock);
	partition_hold_vp(t.other);
	t.held = true;
	partition_release_vp(t.other);
	pthread_mutex_unlock(&t.g.p->lock);
	return NULL;
}

/* The pages are open: does a hypercall go on? */
static void hold_in_window(void)
{
	unsigned holds;

	t.holding = false;
	assert_int_equal(pthread_create(&t.holder, NULL, hold_other, NULL), 0);
	do {
		pthread_mutex_lock(&t.g.p->lock);
		holds = t.other->holds;
		t.held_in_window = t.held;
		pthread_mutex_unlock(&t.g.p->lock);
	} while (!t.held_in_window && holds < 2); /* the step's own is one */
}

/* KVM_RUN, with a look at who is in the guest. */
static int watched_run(const struct kvm_host *h, int vcpu_fd)
{
	if (page_open()) {
		t.open_runs++;
		if (vcpu_fd != t.stepper_fd ||
		    fake_vcpu_running(t.g.x.fake, vsm_vcpu_fd(t.other, 0)))
			t.shared = true;
		if (t.holding)
			hold_in_window();
	}
	return t.g.x.host->ops->run(h, vcpu_fd);
}

/*
 * The library waits for the end of a step by the real clock, until a time of the model's: that is
 * to be so far off that no wait ends by itself, or the step counts as failed.
 */
static void set_far_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	fake_kvm_set_clock(t.g.x.fake, ((uint64_t)now.tv_sec + FAR_S) * NS_PER_S);
}

static void start(enum vsm_topology topology, enum vsm_enforcement enforcement)
{
	struct vsm_vcpu_options vo = {
		.size = sizeof(vo), .index = 1, .apic_id = 1, .flags = VSM_VCPU_STARTED};
	const struct kvm_host *real;
	struct vsm_partition_options o;

	memset(&t, 0, sizeof(t));
	fixture_start(&t.g.x, RAM_MIB);
	set_far_clock();
	real = t.g.x.host;
	t.ops = *real->ops;
	t.ops.run = watched_run;
	t.host = (struct kvm_host){&t.ops, real->ctx};
	t.stepper_fd = -1;
	o = guest_options(&t.g);
	o.topology = topology;
	o.enforcement = enforcement;
	o.max_vps = 2;
	o.kick_signal = SIGUSR1;
	t.g.x.host = &t.host;
	guest_start_with(&t.g, &o);
	t.g.x.host = real;
	assert_int_equal(vsm_vcpu_create(t.g.p, &vo, &t.other), 0);
	fake_vcpu_flat_mode(t.g.x.fake, vsm_vcpu_fd(t.other, 0), 0x1000, 0x8000);
	t.stepper_fd = vsm_vcpu_fd(t.g.vp, 0);
}

static void *run_other(void *arg)
{
	struct kvm_run *run;
	int r;

	(void)arg;
	do
		r = vsm_vcpu_run(t.other, &run);
	while (r == -EINTR);
	assert_int_equal(r, 0);
	return NULL;
}

/*
 * VTL1 takes the page's execute permission from VTL0, which will store there, once
 * or, if FAKE_OPTIONAL, perhaps not: mov %eax, (%rbx)
 */
static void prepare_store(uint32_t flags)
{
	static const uint8_t code[] = {0x89, 0x03};
	const struct fake_step store[] = {
		{.kind = FAKE_STORE,
		 .gva = PAGE,
		 .size = 4,
		 .data = (uint32_t)VALUE,
		 .length = 2,
		 .flags = flags},
		{.kind = FAKE_OUT, .port = 0x3f8, .size = 1, .length = 2, .flags = flags}};

	assert_int_equal(memory_limit_default(&t.g.p->memory, 1, PROT_ALL), 0);
	assert_int_equal(memory_limit(&t.g.p->memory, 1, 0, PAGE >> VSM_PAGE_SHIFT,
				      (PAGE >> VSM_PAGE_SHIFT) + 1, PROT_R | PROT_W),
			 0);
	memcpy(t.g.x.mem + 0x1000, code, sizeof(code));
	fake_vcpu_regs(t.g.x.fake, t.stepper_fd)->rbx = PAGE;
	fake_vcpu_regs(t.g.x.fake, t.stepper_fd)->rax = (uint32_t)VALUE;
	fake_vcpu_script(t.g.x.fake, t.stepper_fd, store, ARRAY_SIZE(store));
}

static void steps_alone(enum vsm_topology topology, enum vsm_enforcement enforcement)
{
	static const struct fake_step spin[] = {
		{.kind = FAKE_SPIN}, {.kind = FAKE_OUT, .port = 0x3f8, .size = 1, .length = 2}};
	struct kvm_run *run;
	pthread_t thread;

	start(topology, enforcement);
	prepare_store(0);
	fake_vcpu_script(t.g.x.fake, vsm_vcpu_fd(t.other, 0), spin, ARRAY_SIZE(spin));
	assert_int_equal(pthread_create(&thread, NULL, run_other, NULL), 0);
	assert_true(fake_vcpu_wait_idle(t.g.x.fake, vsm_vcpu_fd(t.other, 0)));
	assert_int_equal(vsm_vcpu_run(t.g.vp, &run), 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_IO);
	vsm_vcpu_kick(t.other);
	pthread_join(thread, NULL);
	assert_memory_equal(t.g.x.mem + PAGE, &(uint32_t){(uint32_t)VALUE}, 4);
	assert_false(t.shared);
	assert_false(page_open());
	assert_int_equal(t.open_runs, 1);
	guest_stop(&t.g);
}

static void test_steps_alone(void **state)
{
	(void)state;
	steps_alone(VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	steps_alone(VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_SLOTS);
	steps_alone(VSM_TOPOLOGY_SINGLE_VM, VSM_ENFORCEMENT_ALIAS);
	steps_alone(VSM_TOPOLOGY_SINGLE_VM, VSM_ENFORCEMENT_SLOTS);
}

/*
 * Who is in a hypercall about yet another VP, and has got the lock, waits for the end of the step.
 */
static void test_nobody_goes_on(void **state)
{
	struct kvm_run *run;

	(void)state;
	start(VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	prepare_store(0);
	t.holding = true;
	assert_int_equal(vsm_vcpu_run(t.g.vp, &run), 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(t.open_runs, 1);
	pthread_join(t.holder, NULL);
	assert_true(t.held);
	assert_false(t.held_in_window);
	assert_int_equal(t.other->holds, 0);
	guest_stop(&t.g);
}

/* A host that cannot open the page: the higher VTL hears of it, the VMM does not have to stop. */
static void refused_by_host(enum vsm_enforcement enforcement)
{
	static const struct fake_step higher[] = {
		{.kind = FAKE_OUT, .port = 0x3f8, .size = 1, .length = 2}};
	struct kvm_run *run;

	start(VSM_TOPOLOGY_VM_PER_VTL, enforcement);
	guest_enable_vtl1(&t.g);
	prepare_store(FAKE_OPTIONAL);
	fake_vcpu_script(t.g.x.fake, vsm_vcpu_fd(t.g.vp, 1), higher, ARRAY_SIZE(higher));
	if (enforcement == VSM_ENFORCEMENT_ALIAS) {
		fake_kvm_fail(t.g.x.fake, FAKE_OP_protect_memory, 1, ENOMEM);
	} else { /* none for the page of the IDT, which is to be shut */
		assert_int_equal(view_build(&t.g.p->memory, 0), 0);
		t.g.p->memory.slot_limit = t.g.p->memory.views[0].count;
	}
	assert_int_equal(vsm_vcpu_run(t.g.vp, &run), 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(vsm_vcpu_active_vtl(t.g.vp), 1);
	assert_null(vsm_partition_death(t.g.p));
	assert_false(page_open());
	guest_stop(&t.g);
}

static void test_out_of_mappings(void **state)
{
	(void)state;
	refused_by_host(VSM_ENFORCEMENT_ALIAS);
}

static void test_out_of_slots(void **state)
{
	(void)state;
	refused_by_host(VSM_ENFORCEMENT_SLOTS);
}

/*
 * A host that does not single-step: VTL1 hears of it. The next try is a step as if there had been
 * none.
 */
static void test_not_stepped(void **state)
{
	static const struct fake_step higher[] = {
		{.kind = FAKE_OUT, .port = 0x3f8, .size = 1, .length = 2}};
	struct kvm_run *run;

	(void)state;
	start(VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	guest_enable_vtl1(&t.g);
	prepare_store(0);
	fake_vcpu_script(t.g.x.fake, vsm_vcpu_fd(t.g.vp, 1), higher, ARRAY_SIZE(higher));
	fake_kvm_fail(t.g.x.fake, FAKE_OP_set_guest_debug, 1, ENOMEM);
	assert_int_equal(vsm_vcpu_run(t.g.vp, &run), 0);
	assert_int_equal(vsm_vcpu_active_vtl(t.g.vp), 1);
	assert_int_equal(t.open_runs, 0);
	vcpu_activate(t.g.vp, 0);
	assert_int_equal(vsm_vcpu_run(t.g.vp, &run), 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(vsm_vcpu_active_vtl(t.g.vp), 0);
	assert_int_equal(t.open_runs, 1);
	assert_int_equal(t.g.vp->stats.steps, 1);
	assert_int_equal(t.g.vp->stats.memory_intercepts, 1);
	guest_stop(&t.g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_out_of_mappings), cmocka_unit_test(test_out_of_slots),
		cmocka_unit_test(test_steps_alone),	cmocka_unit_test(test_nobody_goes_on),
		cmocka_unit_test(test_not_stepped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
