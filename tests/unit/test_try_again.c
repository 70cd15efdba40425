/* SPDX-License-Identifier: MIT */
/*
 * KVM_RUNs that fail for a reason which is gone when the library looks: another VP changes a page
 * table behind both. No guest ends vsm_vcpu_run() so; a host that fails does.
 */
#include "smp_fixture.h"

#include <time.h>

#include "apic/bus.h"
#include "partition/hold.h"
#include "vcpu/step.h"

#define PML4   0x40000u
#define PDPT   0x41000u
#define PD     0x42000u
#define PT     0x43000u
#define ENTRY  UINT64_C(0x63) /* present, writable, accessed, dirty */

#define CODE   UINT64_C(0x1000)
#define LINEAR UINT64_C(0x5000) /* what VP 0 stores to */
#define HOLE   UINT64_C(0xd0000000)

#define STORE                                                                                     \
	{                                                                                         \
		.kind = FAKE_STORE, .gva = LINEAR, .size = 4, .length = 2, .flags = FAKE_OPTIONAL \
	}
#define MANY   3000
#define AMONG  100  /* violation.c: tries among others, */
#define TRIES  1000 /* and all that may fail */
#define FAR_NS (UINT64_C(3600) * 1000000000)

static struct smp s;
static unsigned runs;
static atomic_uint among; /* failures while others may be in the guest */
static atomic_bool let;

static uint64_t *entry(void)
{
	return (uint64_t *)(s.x.mem + PT) + (LINEAR >> VSM_PAGE_SHIFT);
}

static void make_tables(void)
{
	static const uint8_t store[] = {0x89, 0x03}; /* mov %eax, (%rbx) */

	*(uint64_t *)(s.x.mem + PML4) = PDPT | ENTRY;
	*(uint64_t *)(s.x.mem + PDPT) = PD | ENTRY;
	*(uint64_t *)(s.x.mem + PD) = PT | ENTRY;
	for (unsigned i = 0; i < 512; i++)
		((uint64_t *)(s.x.mem + PT))[i] = (uint64_t)i << VSM_PAGE_SHIFT | ENTRY;
	memcpy(s.x.mem + CODE, store, sizeof(store));
	fake_vcpu_long_mode(s.x.fake, smp_fd(&s, 0, 0), PML4, CODE, 0x8000);
	fake_vcpu_regs(s.x.fake, smp_fd(&s, 0, 0))->rbx = LINEAR;
}

static void start_with(enum vsm_topology topology, uint64_t flags)
{
	smp_start_with(&s, 2, VSM_VCPU_STARTED,
		       &(struct vsm_partition_options){.topology = topology, .flags = flags});
	make_tables();
	runs = 0;
	atomic_store(&among, 0);
	atomic_store(&let, false);
}

static void start(void)
{
	start_with(VSM_TOPOLOGY_VM_PER_VTL, 0);
}

/* VPs wait for each other by the real clock (step_wait()): with the model's ahead, for ever. */
static void let_nobody_wait_in_vain(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	fake_kvm_set_clock(s.x.fake, (uint64_t)now.tv_sec * 1000000000 + FAR_NS);
}

/* VTL1 closes the page to VTL0. */
static void close_page(void)
{
	const uint64_t page = PAGE_SECRET >> VSM_PAGE_SHIFT;

	assert_int_equal(memory_limit_default(&s.p->memory, 1, PROT_ALL), 0);
	assert_int_equal(memory_limit(&s.p->memory, 1, 0, page, page + 1, 0), 0);
}

static void stop(void)
{
	assert_null(s.p->stepper);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(s.vp[i]->holds, 0);
	atomic_store(&s.run_hook, NULL);
	smp_stop(&s);
}

static bool has_guest_alone(struct smp *smp, unsigned vp)
{
	bool alone;

	pthread_mutex_lock(&smp->p->lock);
	alone = smp->p->stepper == smp->vp[vp] && smp->vp[!vp]->holds && !smp->vp[!vp]->inside;
	pthread_mutex_unlock(&smp->p->lock);
	return alone;
}

static bool nobody_alone(void)
{
	bool nobody;

	pthread_mutex_lock(&s.p->lock);
	nobody = !s.p->stepper && !s.vp[1]->holds;
	pthread_mutex_unlock(&s.p->lock);
	return nobody;
}

/* At CODE a VP fails among others, unless it has been let. */
static int stumble(struct fake_guest *g, void *ctx)
{
	unsigned vp = g->vcpu_fd == smp_fd(&s, 1, 0);

	(void)ctx;
	if (atomic_load(&let) || has_guest_alone(&s, vp))
		return FAKE_NEXT;
	atomic_fetch_add(&among, 1);
	return -EFAULT;
}

static int let_on(struct fake_guest *g, void *ctx)
{
	(void)g, (void)ctx;
	atomic_store(&let, true);
	return FAKE_NEXT;
}

static void place(unsigned vp, fake_call_fn fn)
{
	const struct fake_step step = {
		.kind = FAKE_CALL, .rip = CODE, .fn = fn, .length = 1, .flags = FAKE_OPTIONAL};

	fake_vcpu_program(s.x.fake, smp_fd(&s, vp, 0), &step, 1);
}

/* --- the page table changes --- */

/* VP 0 meets one page, and the library what is harmless. */
static uint64_t met, found;

static int meet(struct smp *smp, int vcpu_fd)
{
	int r;

	runs++;
	*entry() = met | ENTRY;
	r = smp->real->ops->run(smp->real, vcpu_fd);
	*entry() = found | ENTRY;
	return r;
}

/* VP 1 does that while it may be in the guest. */
static int race(struct smp *smp, int vcpu_fd)
{
	if (vcpu_fd != smp_fd(smp, 0, 0) || has_guest_alone(smp, 0))
		return smp->real->ops->run(smp->real, vcpu_fd);
	return meet(smp, vcpu_fd);
}

/* A device, whom nobody keeps outside. */
static int race_always(struct smp *smp, int vcpu_fd)
{
	return vcpu_fd == smp_fd(smp, 0, 0) ? meet(smp, vcpu_fd)
					    : smp->real->ops->run(smp->real, vcpu_fd);
}

static void start_race(enum vsm_topology topology, uint64_t page, uint64_t harmless)
{
	start_with(topology, 0);
	let_nobody_wait_in_vain();
	met = page;
	found = harmless;
	atomic_store(&s.run_hook, race);
	SMP_SCRIPT(&s, 0, 0, STORE);
}

/* Alone, VP 0 meets the entry as it was left: MMIO. */
static void entry_changes(enum vsm_topology topology)
{
	start_race(topology, PAGE_SECRET, HOLE);
	smp_enable_vtl1(&s, 0);
	close_page();
	smp_run(&s, 0);
	assert_int_equal(smp_join(&s, 0), 0);
	assert_int_equal(s.run[0]->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(s.run[0]->mmio.phys_addr, HOLE);
	assert_int_equal(runs, AMONG);
	assert_int_equal(s.vp[0]->unexplained, 0);
	stop();
}

static void test_entry_changes(void **state)
{
	(void)state;
	entry_changes(VSM_TOPOLOGY_VM_PER_VTL);
	entry_changes(VSM_TOPOLOGY_SINGLE_VM);
}

/* It is the closed page that VP 0 is left alone with: VTL1 is told. */
static int stay(struct smp *smp, int vcpu_fd)
{
	if (vcpu_fd == smp_fd(smp, 0, 0) && has_guest_alone(smp, 0))
		*entry() = PAGE_SECRET | ENTRY;
	return race(smp, vcpu_fd);
}

static void test_told(void **state)
{
	(void)state;
	start_race(VSM_TOPOLOGY_VM_PER_VTL, PAGE_SECRET, HOLE);
	smp_enable_vtl1(&s, 0);
	close_page();
	atomic_store(&s.run_hook, stay);
	SMP_SCRIPT(&s, 0, 1, VMM_OUT);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 1);
	assert_int_equal(s.vp[0]->stats.memory_intercepts, 1);
	assert_int_equal(runs, AMONG);
	stop();
}

/* VTL1 is not there on VP 0, which waits for it: the others do not wait for VP 0. */
static void test_setter_not_enabled(void **state)
{
	(void)state;
	start_race(VSM_TOPOLOGY_VM_PER_VTL, PAGE_SECRET, HOLE);
	close_page();
	atomic_store(&s.run_hook, stay);
	SMP_SCRIPT(&s, 1, 0, VMM_OUT);
	smp_run(&s, 0);
	smp_wait_asleep(&s, 1);
	smp_run(&s, 1);
	smp_expect_vmm(&s, 1, 0);
	vsm_vcpu_kick(s.vp[0]);
	assert_int_equal(smp_join(&s, 0), -EINTR);
	stop();
}

static bool faulted, alone_after;

/* The guest has the entry right from now on. */
static void on_fault(struct fake_guest *g, const struct fake_event *event, void *ctx)
{
	(void)g, (void)ctx;
	assert_int_equal(event->vector, 13);
	faulted = true;
	alone_after = !nobody_alone();
	*entry() = LINEAR | ENTRY;
}

static int race_on_overlay(struct smp *smp, int vcpu_fd)
{
	if (vcpu_fd != smp_fd(smp, 0, 0) || faulted)
		return smp->real->ops->run(smp->real, vcpu_fd);
	if (has_guest_alone(smp, 0))
		*entry() = met | ENTRY;
	return race(smp, vcpu_fd);
}

/* No limit is needed: nobody writes the hypercall page. VP 0 goes on among the others. */
static void test_overlay(void **state)
{
	(void)state;
	start_race(VSM_TOPOLOGY_VM_PER_VTL, PAGE_CODE, PAGE_SECRET);
	faulted = false;
	assert_int_equal(overlay_enable(&s.p->memory, s.p->vtls[0].hypercall_page,
					PAGE_CODE >> VSM_PAGE_SHIFT),
			 0);
	fake_vcpu_on_event(s.x.fake, smp_fd(&s, 0, 0), on_fault, NULL);
	atomic_store(&s.run_hook, race_on_overlay);
	SMP_SCRIPT(&s, 0, 0, VMM_OUT);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 0);
	assert_true(faulted && !alone_after);
	assert_int_equal(runs, AMONG + 1);
	stop();
}

/* Something brings VP 0 out before it has tried it alone. */
static int race_interrupted(struct smp *smp, int vcpu_fd)
{
	if (vcpu_fd != smp_fd(smp, 0, 0) || !has_guest_alone(smp, 0))
		return race(smp, vcpu_fd);
	if (++runs >= MANY)
		return smp->real->ops->run(smp->real, vcpu_fd);
	pthread_mutex_lock(&smp->p->lock);
	smp->vp[0]->nudged = true;
	pthread_mutex_unlock(&smp->p->lock);
	return -EINTR;
}

/* What failed among others does not count, however often; nor does one brought out stay alone. */
static void test_never_alone(void **state)
{
	(void)state;
	start_race(VSM_TOPOLOGY_VM_PER_VTL, PAGE_SECRET, HOLE);
	smp_enable_vtl1(&s, 0);
	close_page();
	atomic_store(&s.run_hook, race_interrupted);
	smp_run(&s, 0);
	assert_int_equal(smp_join(&s, 0), 0);
	assert_int_equal(s.run[0]->exit_reason, KVM_EXIT_MMIO);
	assert_true(runs >= MANY);
	stop();
}

/* --- the host --- */

static void test_device_changes(void **state)
{
	(void)state;
	start_race(VSM_TOPOLOGY_VM_PER_VTL, PAGE_SECRET, HOLE);
	smp_enable_vtl1(&s, 0);
	close_page();
	atomic_store(&s.run_hook, race_always);
	smp_run(&s, 0);
	assert_int_equal(smp_join(&s, 0), -EFAULT);
	assert_int_equal(runs, TRIES + 1);
	stop();
}

static int fail_always(struct fake_guest *g, void *ctx)
{
	(void)g, (void)ctx;
	runs++;
	return -EFAULT;
}

/* The VMM may run it again: the count starts over. */
static void test_host_fails(void **state)
{
	(void)state;
	start();
	for (unsigned i = 0; i < 2; i++) {
		runs = 0;
		place(0, fail_always);
		smp_run(&s, 0);
		assert_int_equal(smp_join(&s, 0), -EFAULT);
		assert_int_equal(runs, TRIES + 1);
		assert_null(s.p->stepper);
	}
	place(0, let_on);
	for (unsigned vp = 0; vp < 2; vp++) {
		SMP_SCRIPT(&s, vp, 0, VMM_OUT);
		smp_run(&s, vp);
		smp_expect_vmm(&s, vp, 0);
	}
	stop();
}

/* --- what a VP that is alone does next --- */

static int look_and_let(struct fake_guest *g, void *ctx)
{
	(void)g, (void)ctx;
	alone_after = !nobody_alone();
	atomic_store(&let, true);
	return FAKE_NEXT;
}

#define LET                                                  \
	{                                                    \
		.kind = FAKE_CALL, .fn = let_on, .length = 1 \
	}
#define LOOK                                                       \
	{                                                          \
		.kind = FAKE_CALL, .fn = look_and_let, .length = 1 \
	}

/* The exit that VP 0 makes alone ends that: it goes on among the others. */
static void exit_ends(const struct fake_step *exit)
{
	const struct fake_step steps[] = {LET, *exit, LOOK, VMM_OUT};

	alone_after = true;
	place(0, stumble);
	smp_script(&s, 0, 0, steps, ARRAY_SIZE(steps));
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 0);
	assert_int_equal(atomic_load(&among), AMONG);
	assert_false(alone_after);
	assert_int_equal(s.vp[0]->unexplained, 0);
}

static void test_exit_ends(void **state)
{
	static const struct kvm_run failure = {.exit_reason = KVM_EXIT_INTERNAL_ERROR,
					       .internal.suberror = KVM_INTERNAL_ERROR_EMULATION};
	const struct fake_step msr = {.kind = FAKE_WRMSR, .msr = 0x40000000, .length = 2};
	/* No hypercall page is there: #UD. */
	const struct fake_step port = {
		.kind = FAKE_OUT, .port = 0xe7, .size = 1, .length = 2, .reg = FAKE_NO_REG};
	const struct fake_step error = {.kind = FAKE_EXIT, .raw = &failure, .length = 1};

	(void)state;
	start();
	exit_ends(&msr);
	stop();
	start();
	exit_ends(&port);
	stop();
	/* In user mode that is #UD. */
	start();
	fake_vcpu_sregs(s.x.fake, smp_fd(&s, 0, 0))->ss.dpl = 3;
	exit_ends(&error);
	stop();
}

static void start_alone(enum vsm_topology topology)
{
	start_with(topology, 0);
	place(0, stumble);
	SMP_SCRIPT(&s, 0, 0, SPIN);
	smp_run(&s, 0);
	smp_wait_spinning(&s, 0, 0);
	assert_true(has_guest_alone(&s, 0));
	assert_int_equal(atomic_load(&among), AMONG);
}

/* The try succeeds, and its VP stays in the guest: the other does not wait for it. */
static void others_go_on(enum vsm_topology topology, unsigned vtl)
{
	start_alone(topology);
	SMP_SCRIPT(&s, 0, 0, VMM_OUT);
	if (vtl) {
		smp_enable_vtl1(&s, 1);
		vcpu_activate(s.vp[1], 1);
	}
	SMP_SCRIPT(&s, 1, vtl, VMM_OUT);
	smp_run(&s, 1);
	smp_expect_vmm(&s, 1, vtl);
	smp_expect_vmm(&s, 0, 0);
	stop();
}

static void test_others_go_on(void **state)
{
	(void)state;
	others_go_on(VSM_TOPOLOGY_VM_PER_VTL, 0);
	others_go_on(VSM_TOPOLOGY_SINGLE_VM, 0);
	others_go_on(VSM_TOPOLOGY_SINGLE_VM, 1);
}

/* After that it has to fail as often again: one failure does not keep the others outside. */
static void test_counts_again(void **state)
{
	(void)state;
	start_alone(VSM_TOPOLOGY_VM_PER_VTL);
	SMP_SCRIPT(&s, 0, 0, {.kind = FAKE_SET, .reg = FAKE_RIP, .data = CODE}, VMM_OUT);
	SMP_SCRIPT(&s, 1, 0, VMM_OUT);
	smp_run(&s, 1);
	smp_expect_vmm(&s, 1, 0);
	smp_expect_vmm(&s, 0, 0);
	assert_int_equal(atomic_load(&among), 2 * AMONG);
	stop();
}

static void *hold(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&s.p->lock);
	partition_hold_vp(s.vp[0]);
	assert_false(s.vp[0]->inside);
	partition_release_vp(s.vp[0]);
	pthread_mutex_unlock(&s.p->lock);
	return NULL;
}

/* As a flush does, or a hypercall that names VP 0. */
static void test_held(void **state)
{
	pthread_t thread;

	(void)state;
	start_alone(VSM_TOPOLOGY_VM_PER_VTL);
	SMP_SCRIPT(&s, 0, 0, VMM_OUT);
	assert_int_equal(pthread_create(&thread, NULL, hold, NULL), 0);
	pthread_join(thread, NULL);
	smp_expect_vmm(&s, 0, 0);
	stop();
}

static void test_kicked(void **state)
{
	(void)state;
	start_alone(VSM_TOPOLOGY_VM_PER_VTL);
	SMP_SCRIPT(&s, 0, 0, VMM_OUT);
	vsm_vcpu_kick(s.vp[0]);
	assert_int_equal(smp_join(&s, 0), -EINTR);
	assert_true(nobody_alone());
	atomic_store(&let, true);
	SMP_SCRIPT(&s, 1, 0, VMM_OUT);
	for (unsigned vp = 0; vp < 2; vp++) {
		smp_run(&s, vp);
		smp_expect_vmm(&s, vp, 0);
	}
	stop();
}

/* The first processor goes on at the reset vector, among the others. */
static void test_init(void **state)
{
	const struct lapic_ipi init = {.valid = true, .mode = LAPIC_INIT};

	(void)state;
	start_alone(VSM_TOPOLOGY_VM_PER_VTL);
	SMP_SCRIPT(&s, 0, 0, LOOK, VMM_OUT);
	pthread_mutex_lock(&s.p->lock);
	alone_after = true;
	atomic_store(&let, true);
	bus_give(s.vp[0], 0, &init);
	pthread_mutex_unlock(&s.p->lock);
	smp_expect_vmm(&s, 0, 0);
	assert_false(alone_after);
	stop();
}

static void test_death(void **state)
{
	(void)state;
	start_alone(VSM_TOPOLOGY_VM_PER_VTL);
	pthread_mutex_lock(&s.p->lock);
	partition_die(s.p, "a test's");
	pthread_mutex_unlock(&s.p->lock);
	smp_run(&s, 1);
	assert_int_equal(smp_join(&s, 1), -EIO);
	assert_int_equal(smp_join(&s, 0), -EIO);
	stop();
}

/* Both at once: one after the other. */
static void test_both(void **state)
{
	(void)state;
	start();
	let_nobody_wait_in_vain();
	for (unsigned vp = 0; vp < 2; vp++) {
		place(vp, stumble);
		SMP_SCRIPT(&s, vp, 0, VMM_OUT);
	}
	for (unsigned vp = 0; vp < 2; vp++)
		smp_run(&s, vp);
	for (unsigned vp = 0; vp < 2; vp++)
		smp_expect_vmm(&s, vp, 0);
	stop();
}

/* --- what keeps one from going on that was to have the guest alone --- */

/* VP 0 was given the guest, and finds something else to do first. */
static void start_given(void)
{
	start();
	pthread_mutex_lock(&s.p->lock);
	assert_true(step_take(s.vp[0]));
	pthread_mutex_unlock(&s.p->lock);
	SMP_SCRIPT(&s, 1, 0, VMM_OUT);
	let_nobody_wait_in_vain();
}

static void expect_asleep(void)
{
	smp_run(&s, 0);
	smp_wait_asleep(&s, 1);
	assert_true(nobody_alone());
	smp_run(&s, 1);
	smp_expect_vmm(&s, 1, 0);
	vsm_vcpu_kick(s.vp[0]);
	assert_int_equal(smp_join(&s, 0), -EINTR);
	stop();
}

static void test_suspended(void **state)
{
	(void)state;
	start_given();
	s.vp[0]->vtls[0].suspended = true;
	expect_asleep();
}

/* A store that KVM made is shown again to a VTL that is not there. */
static void test_store_forbidden(void **state)
{
	struct retired_store *store;

	(void)state;
	start_given();
	close_page();
	store = &s.vp[0]->rare[0].retired;
	store->before = store->after = *fake_vcpu_regs(s.x.fake, smp_fd(&s, 0, 0));
	store->fragment_count = 1;
	store->fragments[0] = (struct retired_fragment){.gpa = gpa_from(PAGE_SECRET), .len = 1};
	s.vp[0]->vtls[0].store_waits = true;
	SMP_SCRIPT(&s, 0, 0, {.kind = FAKE_SPIN, .flags = FAKE_OPTIONAL});
	expect_asleep();
}

/* Another VTL goes on in its place, which needs nobody outside. */
static void test_switches(void **state)
{
	(void)state;
	start_given();
	smp_enable_vtl1(&s, 0);
	s.vp[0]->vtls[1].entry_pending = true;
	SMP_SCRIPT(&s, 0, 1, LOOK, VMM_OUT);
	alone_after = true;
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 1);
	assert_false(alone_after);
	smp_run(&s, 1);
	smp_expect_vmm(&s, 1, 0);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entry_changes),
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_setter_not_enabled),
		cmocka_unit_test(test_overlay),
		cmocka_unit_test(test_never_alone),
		cmocka_unit_test(test_device_changes),
		cmocka_unit_test(test_host_fails),
		cmocka_unit_test(test_exit_ends),
		cmocka_unit_test(test_others_go_on),
		cmocka_unit_test(test_counts_again),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_kicked),
		cmocka_unit_test(test_init),
		cmocka_unit_test(test_death),
		cmocka_unit_test(test_both),
		cmocka_unit_test(test_suspended),
		cmocka_unit_test(test_store_forbidden),
		cmocka_unit_test(test_switches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
