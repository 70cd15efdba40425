/* SPDX-License-Identifier: MIT */
/* The gate in front of KVM_RUN with several VPs: nobody runs on memslots that show too much. */
#include "smp_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "apic/bus.h"

struct two {
	struct guest g;
	struct vsm_vcpu *other;
	int other_result;
};

static void start(struct two *t, enum vsm_topology topology, enum vsm_enforcement enforcement)
{
	struct vsm_vcpu_options vo = {
		.size = sizeof(vo), .index = 1, .apic_id = 1, .flags = VSM_VCPU_STARTED};
	struct vsm_partition_options o;

	fixture_start(&t->g.x, RAM_MIB);
	o = guest_options(&t->g);
	o.topology = topology;
	o.enforcement = enforcement;
	o.max_vps = 2;
	o.kick_signal = SIGUSR1;
	guest_start_with(&t->g, &o);
	assert_int_equal(vsm_vcpu_create(t->g.p, &vo, &t->other), 0);
	fake_vcpu_flat_mode(t->g.x.fake, vsm_vcpu_fd(t->other, 0), 0x1000, 0x8000);
	guest_enable_vtl1(&t->g);
	assert_int_equal(memory_limit_default(&t->g.p->memory, 1, PROT_ALL), 0);
}

static void *run_other(void *arg)
{
	struct two *t = arg;
	struct kvm_run *run;

	t->other_result = vsm_vcpu_run(t->other, &run);
	return NULL;
}

static int secret_access(struct two *t, unsigned vtl)
{
	return fake_kvm_guest_access(t->g.x.fake, partition_space(t->g.p, vtl)->vm_fd, PAGE_SECRET);
}

/*
 * VP 1 spins in VTL0 while VP 0, in VTL1, closes a page: VP 0 goes on only when VP 1 is out, and VP
 * 1 comes back to closed memory.
 */
static void closes_for_running(enum vsm_topology topology, enum vsm_enforcement enforcement)
{
	const struct fake_step spin[] = {SPIN, VMM_OUT}, out[] = {VMM_OUT};
	uint64_t page = PAGE_SECRET >> VSM_PAGE_SHIFT;
	struct kvm_run *run;
	pthread_t thread;
	struct two t;

	start(&t, topology, enforcement);
	fake_vcpu_script(t.g.x.fake, vsm_vcpu_fd(t.other, 0), spin, ARRAY_SIZE(spin));
	fake_vcpu_script(t.g.x.fake, vsm_vcpu_fd(t.g.vp, 1), out, ARRAY_SIZE(out));
	assert_int_equal(pthread_create(&thread, NULL, run_other, &t), 0);
	assert_true(fake_vcpu_wait_idle(t.g.x.fake, vsm_vcpu_fd(t.other, 0)));
	assert_int_equal(secret_access(&t, 0), KVM_MAP_READ_WRITE);
	vcpu_activate(t.g.vp, 1);
	fake_kvm_advance_clock(t.g.x.fake, 1000000); /* VP 1 has had its slice */
	pthread_mutex_lock(&t.g.p->lock);
	assert_int_equal(memory_limit(&t.g.p->memory, 1, 0, page, page + 1, 0), 0);
	pthread_mutex_unlock(&t.g.p->lock);
	assert_int_equal(vsm_vcpu_run(t.g.vp, &run), 0);
	assert_false(fake_vcpu_running(t.g.x.fake, vsm_vcpu_fd(t.other, 0)) &&
		     secret_access(&t, 0) == KVM_MAP_READ_WRITE);
	vsm_vcpu_kick(t.other);
	pthread_join(thread, NULL);
	while (t.other_result == -EINTR)
		t.other_result = vsm_vcpu_run(t.other, &run);
	assert_int_equal(t.other_result, 0);
	/* With one VM the last to run may have been VTL1, whose view is open. */
	assert_true(partition_space(t.g.p, 0)->shown_vtl == 1 ||
		    secret_access(&t, 0) == FAKE_NO_SLOT || secret_access(&t, 0) == KVM_MAP_NONE);
	guest_stop(&t.g);
}

static void test_closes_for_running(void **state)
{
	(void)state;
	closes_for_running(VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_SLOTS);
	closes_for_running(VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	closes_for_running(VSM_TOPOLOGY_SINGLE_VM, VSM_ENFORCEMENT_SLOTS);
	closes_for_running(VSM_TOPOLOGY_SINGLE_VM, VSM_ENFORCEMENT_ALIAS);
}

/*
 * VP 2 waits behind VP 1 for another view than the one shown, while nobody is inside. Who then
 * enters is VP 0, and VP 1 after it, whose view is now shown: VP 2 is the first in turn, and must
 * bring them out when their slice is over. Neither comes out by itself.
 */
static void test_next_in_turn_learns_of_it(void **state)
{
	static struct smp s;

	(void)state;
	smp_start_with(&s, 3, VSM_VCPU_STARTED,
		       &(struct vsm_partition_options){.topology = VSM_TOPOLOGY_SINGLE_VM});
	smp_enable_vtl1(&s, 2);
	vcpu_activate(s.vp[2], 1);
	SMP_SCRIPT(&s, 0, 0, VMM_OUT, SPIN, VMM_OUT);
	SMP_SCRIPT(&s, 1, 0, SPIN, VMM_OUT);
	SMP_SCRIPT(&s, 2, 1, VMM_OUT);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 0);     /* VTL0's view is shown */
	s.vp[1]->turn = ++s.p->turns; /* woken, but its thread has not got to run */
	s.p->turns_awaited++;
	smp_run(&s, 2);
	smp_wait_asleep(&s, 1);
	smp_run(&s, 0);
	smp_wait_spinning(&s, 0, 0);
	smp_run(&s, 1);
	smp_wait_spinning(&s, 1, 0);
	smp_wait_asleep(&s, 1);
	fake_kvm_advance_clock(s.x.fake, 1000000);
	smp_expect_vmm(&s, 2, 1);
	smp_expect_vmm(&s, 0, 0);
	smp_expect_vmm(&s, 1, 0);
	smp_stop(&s);
}

/* --- a turn that is not taken --- */

#define VECTOR 0x51

static bool waits_for_setter(struct smp *s)
{
	bool waits;

	pthread_mutex_lock(&s->p->lock);
	waits = s->vp[0]->setter_missed;
	pthread_mutex_unlock(&s->p->lock);
	return waits;
}

/*
 * In VP 1's VTL1: VP 0 comes to wait for VTL0's view, with an interrupt on its way. VTL1 closes the
 * IDT; that VTL is not enabled on VP 0, which can only wait.
 */
static int close_idt(struct fake_guest *g, void *ctx)
{
	const struct lapic_ipi ipi = {.valid = true, .vector = VECTOR};
	struct smp *s = ctx;

	pthread_mutex_lock(&s->p->lock);
	bus_give(s->vp[0], 0, &ipi);
	pthread_mutex_unlock(&s->p->lock);
	smp_run(s, 0);
	smp_wait_asleep(s, 1);
	pthread_mutex_lock(&s->p->lock);
	assert_int_equal(memory_limit(&s->p->memory, 1, 0, 0, 1, 0), 0);
	pthread_mutex_unlock(&s->p->lock);
	fake_kvm_advance_clock(g->f, 1000000);
	while (!waits_for_setter(s))
		;
	smp_wait_asleep(s, 1);
	return FAKE_NEXT;
}

/* VP 0 was the next in turn, and does not want the view any more: VP 1 does not wait for it. */
static void test_turn_given_up(void **state)
{
	static struct smp s;

	(void)state;
	smp_start_with(&s, 2, VSM_VCPU_STARTED,
		       &(struct vsm_partition_options){.topology = VSM_TOPOLOGY_SINGLE_VM,
						       .flags = SMP_EMULATES});
	smp_enable_vtl1(&s, 1);
	assert_int_equal(memory_limit_default(&s.p->memory, 1, PROT_ALL), 0);
	vcpu_activate(s.vp[1], 1);
	smp_interrupts_on(&s, 0, 0);
	SMP_SCRIPT(&s, 0, 0, SPIN);
	SMP_SCRIPT(&s, 1, 1, {.kind = FAKE_CALL, .fn = close_idt, .ctx = &s}, VMM_OUT, VMM_OUT);
	smp_run(&s, 0);
	smp_wait_spinning(&s, 0, 0);
	vsm_vcpu_kick(s.vp[0]);
	assert_int_equal(smp_join(&s, 0), -EINTR); /* ready for an interrupt */
	smp_run(&s, 1);
	smp_expect_vmm(&s, 1, 1);
	smp_run(&s, 1);
	smp_expect_vmm(&s, 1, 1);
	vsm_vcpu_kick(s.vp[0]);
	assert_int_equal(smp_join(&s, 0), -EINTR);
	smp_stop(&s);
}

/*
 * A VP in line for its view needs no loop for its timers: its VTL1 goes in as soon as its timer
 * says so, if that view is shown already, and does not wait for its VTL0's turn.
 */
static void test_timer_of_waiting(void **state)
{
	const struct vsm_partition_options o = {.flags = VSM_PARTITION_VMM_EVENTS,
						.topology = VSM_TOPOLOGY_SINGLE_VM};
	struct smp s;

	(void)state;
	smp_start_with(&s, 2, VSM_VCPU_STARTED, &o);
	smp_enable_vtl1(&s, 0);
	smp_enable_vtl1(&s, 1);
	vcpu_activate(s.vp[1], 1);
	smp_arm_timer(&s, 0, 1, 1000, VECTOR);
	SMP_SCRIPT(&s, 0, 1, VMM_OUT);
	SMP_SCRIPT(&s, 1, 1, SPIN);
	smp_run(&s, 1);
	smp_wait_spinning(&s, 1, 1);
	smp_run(&s, 0);
	assert_true(fake_kvm_wait_sleepers(s.x.fake, 1));
	fake_kvm_advance_clock(s.x.fake, 1000);
	smp_expect_vmm(&s, 0, 1);
	assert_true(fake_vcpu_running(s.x.fake, smp_fd(&s, 1, 1)));
	vsm_vcpu_kick(s.vp[1]);
	assert_int_equal(smp_join(&s, 1), -EINTR);
	smp_stop(&s);
}

/* --- memslots that are slow to change --- */

#define CHANGE_NS 1000000

static int change_slowly(struct smp *s, int vm_fd, const struct kvm_userspace_memory_region *region)
{
	fake_kvm_advance_clock(s->x.fake, CHANGE_NS);
	return s->real->ops->set_memory_region(s->real, vm_fd, region);
}

/* The slice begins when the view is shown, and is four times as long as that took. */
static void test_slice_follows_remap(void **state)
{
	const struct space *space;
	uint64_t start, shown;
	static struct smp s;

	(void)state;
	smp_start_with(&s, 2, VSM_VCPU_STARTED,
		       &(struct vsm_partition_options){.topology = VSM_TOPOLOGY_SINGLE_VM});
	smp_enable_vtl1(&s, 1);
	vcpu_activate(s.vp[1], 1);
	atomic_store(&s.region_hook, change_slowly);
	space = partition_space(s.p, 0);
	SMP_SCRIPT(&s, 0, 0, SPIN, VMM_OUT);
	SMP_SCRIPT(&s, 1, 1, VMM_OUT);
	start = s.x.host->ops->clock_ns(s.x.host);
	smp_run(&s, 0);
	smp_wait_spinning(&s, 0, 0);
	shown = s.x.host->ops->clock_ns(s.x.host);
	assert_true(shown - start >= CHANGE_NS);
	assert_int_equal(space->slice_end, shown + 4 * (shown - start));
	smp_run(&s, 1);
	smp_wait_asleep(&s, 1);
	fake_kvm_set_clock(s.x.fake, space->slice_end - 1);
	smp_wait_asleep(&s, 1);
	assert_true(fake_vcpu_running(s.x.fake, smp_fd(&s, 0, 0)));
	fake_kvm_advance_clock(s.x.fake, 1);
	smp_expect_vmm(&s, 1, 1);
	smp_expect_vmm(&s, 0, 0);
	smp_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next_in_turn_learns_of_it),
		cmocka_unit_test(test_closes_for_running),
		cmocka_unit_test(test_turn_given_up),
		cmocka_unit_test(test_timer_of_waiting),
		cmocka_unit_test(test_slice_follows_remap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
