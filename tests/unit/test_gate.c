/* SPDX-License-Identifier: MIT */
/* The gate in front of KVM_RUN with several VPs: nobody runs on memslots that show too much. */
#include "partition_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#define VMM_OUT                                                         \
	{                                                               \
		.kind = FAKE_OUT, .port = 0x3f8, .size = 1, .length = 2 \
	}
#define SPIN                      \
	{                         \
		.kind = FAKE_SPIN \
	}

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
	t.g.vp->active_vtl = 1;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_closes_for_running),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
