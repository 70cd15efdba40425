/* SPDX-License-Identifier: MIT */
/*
 * What an exit left half-done ends when its VP is reset: KVM may then store for it, and does so with
 * the memory that the VM shows, which is to be that VTL's.
 */
#include "smp_fixture.h"

#define HOLE UINT64_C(0xd0000000)

static struct smp s;
static int completed_access; /* what VP 0's VTL0 could do with the secret page meanwhile */
static bool shared;	     /* VP 1 was in the guest, with the same memslots */

static int secret_access(void)
{
	return fake_kvm_guest_access(s.x.fake, partition_space(s.p, 0)->vm_fd, PAGE_SECRET);
}

static int watched_run(struct smp *smp, int vcpu_fd)
{
	if (vcpu_fd == smp_fd(&s, 0, 0)) {
		completed_access = secret_access();
		shared = s.p->space_count == 1 && fake_vcpu_running(s.x.fake, smp_fd(&s, 1, 1));
	}
	return smp->real->ops->run(smp->real, vcpu_fd);
}

static void start(enum vsm_topology topology, enum vsm_enforcement enforcement)
{
	smp_start_with(
		&s, 2, VSM_VCPU_STARTED,
		&(struct vsm_partition_options){.topology = topology, .enforcement = enforcement});
	smp_enable_vtl1(&s, 1);
	vcpu_activate(s.vp[1], 1);
	assert_int_equal(memory_limit_default(&s.p->memory, 1, PROT_ALL), 0);
	atomic_store(&s.run_hook, watched_run);
}

static void stop(void)
{
	assert_null(s.p->stepper);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(s.vp[i]->holds, 0);
	smp_stop(&s);
}

/* VP 0 has a load from a device half-done. */
static void leave_half_done(void)
{
	SMP_SCRIPT(&s, 0, 0, {.kind = FAKE_LOAD, .gva = HOLE, .size = 4, .length = 3});
	smp_run(&s, 0);
	assert_int_equal(smp_join(&s, 0), 0);
	assert_int_equal(s.run[0]->exit_reason, KVM_EXIT_MMIO);
}

/* VTL1 on VP 1, which is in the guest, has closed a page since. */
static void reset_one(enum vsm_topology topology, enum vsm_enforcement enforcement)
{
	const uint64_t page = PAGE_SECRET >> VSM_PAGE_SHIFT;

	start(topology, enforcement);
	leave_half_done();
	pthread_mutex_lock(&s.p->lock);
	assert_int_equal(memory_limit(&s.p->memory, 1, 0, page, page + 1, 0), 0);
	pthread_mutex_unlock(&s.p->lock);
	SMP_SCRIPT(&s, 1, 1, SPIN, VMM_OUT);
	smp_run(&s, 1);
	smp_wait_spinning(&s, 1, 1);
	completed_access = -2;
	assert_int_equal(vsm_vcpu_reset(s.vp[0]), 0);
	assert_int_equal(completed_access, KVM_MAP_NONE);
	assert_false(shared);
	vsm_vcpu_kick(s.vp[1]);
	if (smp_join(&s, 1) == -EINTR)
		smp_run(&s, 1);
	smp_expect_vmm(&s, 1, 1);
	stop();
}

static void test_reset_one(void **state)
{
	(void)state;
	reset_one(VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	reset_one(VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_SLOTS);
	reset_one(VSM_TOPOLOGY_SINGLE_VM, VSM_ENFORCEMENT_ALIAS);
	reset_one(VSM_TOPOLOGY_SINGLE_VM, VSM_ENFORCEMENT_SLOTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reset_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
