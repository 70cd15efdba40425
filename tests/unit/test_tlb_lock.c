/* SPDX-License-Identifier: MIT */
/*
 * A VP whose flush request waits for a TLB lock: it can be kicked, and goes on once it is unlocked.
 */
#include "partition_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>
#include "hv/hypercall.h"
#include "hv/status.h"
#include "msr/synthetic.h"
#include "partition/tlb.h"

#define PORT_VMM 0x3f8

static const struct fake_step program[] = {
	{.kind = FAKE_OUT, .port = 0xe7, .size = 1, .length = 2, .rip = ENTRY_HYPERCALL},
	{.kind = FAKE_OUT, .port = PORT_VMM, .size = 1, .length = 2, .rip = ENTRY_HYPERCALL + 2},
};

/* VTL0 is about to flush its own VP's TLB, which VTL1 has locked. */
static void start(struct guest *g)
{
	struct kvm_regs *regs;

	guest_start(g, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	guest_enable_vtl1(g);
	assert_int_equal(synthetic_write(g->vp, 0, HV_MSR_GUEST_OS_ID, 1), 0);
	assert_int_equal(synthetic_write(g->vp, 0, HV_MSR_HYPERCALL, PAGE_CODE | 1), 0);
	g->vp->vtls[1].secure_config[0] = HV_SECURE_CONFIG_TLB_LOCKED;
	((struct hv_flush_virtual_address *)(g->x.mem + 0x40000))->flags = HV_FLUSH_ALL_PROCESSORS;
	regs = fake_vcpu_regs(g->x.fake, vsm_vcpu_fd(g->vp, 0));
	regs->rip = ENTRY_HYPERCALL;
	regs->rax = HV_CALL_FLUSH_VIRTUAL_ADDRESS_SPACE;
	regs->rdx = 0;
	regs->rbx = 0;
	regs->rcx = 0x40000;
	fake_vcpu_program(g->x.fake, vsm_vcpu_fd(g->vp, 0), program, ARRAY_SIZE(program));
}

static void *run_vp(void *ctx)
{
	struct guest *g = ctx;
	struct kvm_run *run;

	return (void *)(intptr_t)vsm_vcpu_run(g->vp, &run);
}

static uint64_t hypercalls(struct guest *g)
{
	struct vsm_vcpu_stats stats = {.size = sizeof(stats)};

	assert_int_equal(vsm_vcpu_get_stats(g->vp, &stats), 0);
	return stats.hypercalls;
}

/* The call has been made, and made again. */
static void wait_until_blocked(struct guest *g)
{
	const struct timespec moment = {.tv_nsec = 1000000};

	while (hypercalls(g) < 2)
		nanosleep(&moment, NULL);
}

static int result(pthread_t thread)
{
	void *value;

	assert_int_equal(pthread_join(thread, &value), 0);
	return (int)(intptr_t)value;
}

static void a_kick_ends_the_wait(void **state)
{
	struct guest g;
	pthread_t thread;

	(void)state;
	start(&g);
	assert_int_equal(pthread_create(&thread, NULL, run_vp, &g), 0);
	wait_until_blocked(&g);
	vsm_vcpu_kick(g.vp);
	assert_int_equal(result(thread), -EINTR);
	/* The call is still to be made. */
	assert_int_equal(fake_vcpu_regs(g.x.fake, vsm_vcpu_fd(g.vp, 0))->rip, ENTRY_HYPERCALL);
	g.vp->vtls[1].secure_config[0] = 0;
	assert_int_equal((int)(intptr_t)run_vp(&g), 0);
	assert_int_equal(fake_vcpu_regs(g.x.fake, vsm_vcpu_fd(g.vp, 0))->rax, HV_SUCCESS);
	guest_stop(&g);
}

static void unlocking_ends_the_wait(void **state)
{
	struct guest g;
	pthread_t thread;

	(void)state;
	start(&g);
	assert_int_equal(pthread_create(&thread, NULL, run_vp, &g), 0);
	wait_until_blocked(&g);
	pthread_mutex_lock(&g.p->lock);
	tlb_release(g.vp, 1);
	pthread_mutex_unlock(&g.p->lock);
	assert_int_equal(result(thread), 0);
	assert_int_equal(fake_vcpu_regs(g.x.fake, vsm_vcpu_fd(g.vp, 0))->rax, HV_SUCCESS);
	assert_int_equal(fake_vcpu_sregs(g.x.fake, vsm_vcpu_fd(g.vp, 0))->cr3, 0);
	guest_stop(&g);
}

/* A higher VTL that is due, the one that could unlock, is entered meanwhile. */
static void a_higher_vtl_is_entered_meanwhile(void **state)
{
	const struct fake_step higher[] = {
		{.kind = FAKE_OUT, .port = PORT_VMM, .size = 1, .length = 2, .rip = VTL1_ENTRY}};
	struct guest g;
	pthread_t thread;

	(void)state;
	start(&g);
	fake_vcpu_script(g.x.fake, vsm_vcpu_fd(g.vp, 1), higher, 1);
	assert_int_equal(pthread_create(&thread, NULL, run_vp, &g), 0);
	wait_until_blocked(&g);
	pthread_mutex_lock(&g.p->lock);
	g.vp->vtls[1].entry_pending = true;
	pthread_mutex_unlock(&g.p->lock);
	assert_int_equal(result(thread), 0);
	assert_int_equal(vsm_vcpu_active_vtl(g.vp), 1);
	fake_kvm_forgive(g.x.fake);
	g.vp->active_vtl = 0;
	g.vp->vtls[1].secure_config[0] = 0;
	assert_int_equal((int)(intptr_t)run_vp(&g), 0);
	guest_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kick_ends_the_wait),
		cmocka_unit_test(unlocking_ends_the_wait),
		cmocka_unit_test(a_higher_vtl_is_entered_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
