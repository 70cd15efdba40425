/* SPDX-License-Identifier: MIT */
/*
 * A VP whose flush request waits for a TLB lock: it sleeps, and what else there is for it to do
 * wakes it as the end of the lock does.
 */
#include "partition_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include "hv/hypercall.h"
#include "hv/register_names.h"
#include "hv/status.h"
#include "msr/synthetic.h"
#include "partition/hold.h"
#include "partition/tlb.h"
#include "registers/registers.h"

#define PORT_VMM 0x3f8
#define VECTOR	 0x51

static const struct fake_step program[] = {
	{.kind = FAKE_OUT, .port = 0xe7, .size = 1, .length = 2, .rip = ENTRY_HYPERCALL},
	{.kind = FAKE_OUT, .port = PORT_VMM, .size = 1, .length = 2, .rip = ENTRY_HYPERCALL + 2},
};

/* VTL0 is about to flush its own VP's TLB, which VTL1 has locked. */
static void prepare(struct guest *g)
{
	struct kvm_regs *regs;

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

static void start(struct guest *g)
{
	guest_start(g, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	prepare(g);
}

static void *run_vp(void *ctx)
{
	struct guest *g = ctx;
	struct kvm_run *run;

	return (void *)(intptr_t)vsm_vcpu_run(g->vp, &run);
}

/* The call has been made, and its VP's thread sleeps. */
static void wait_until_blocked(struct guest *g)
{
	assert_true(fake_kvm_wait_sleepers(g->x.fake, 1));
}

static uint64_t hypercalls(struct guest *g)
{
	struct vsm_vcpu_stats stats = {.size = sizeof(stats)};

	assert_int_equal(vsm_vcpu_get_stats(g->vp, &stats), 0);
	return stats.hypercalls;
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
	tlb_release(g.vp, 1);
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
	lapic_accept(&g.vp->vtls[1].lapic, VECTOR, false);
	partition_wake_vp(g.vp);
	pthread_mutex_unlock(&g.p->lock);
	assert_int_equal(result(thread), 0);
	assert_int_equal(vsm_vcpu_active_vtl(g.vp), 1);
	assert_int_equal(hypercalls(&g), 1);
	fake_kvm_forgive(g.x.fake);
	lapic_ack(&g.vp->vtls[1].lapic);
	vcpu_activate(g.vp, 0);
	tlb_release(g.vp, 1);
	assert_int_equal((int)(intptr_t)run_vp(&g), 0);
	guest_stop(&g);
}

/* An interrupt that VTL0 would take is taken, and the call made again from where it was. */
static void an_interrupt_is_taken_meanwhile(void **state)
{
	const struct timespec moment = {.tv_nsec = 1000000};
	struct guest g;
	pthread_t thread;

	(void)state;
	start(&g);
	fake_vcpu_regs(g.x.fake, vsm_vcpu_fd(g.vp, 0))->rflags |= CPU_RFLAGS_IF;
	g.vp->vtls[0].lapic.spiv = 0x1ff;
	assert_int_equal(pthread_create(&thread, NULL, run_vp, &g), 0);
	wait_until_blocked(&g);
	pthread_mutex_lock(&g.p->lock);
	lapic_accept(&g.vp->vtls[0].lapic, VECTOR, false);
	partition_wake_vp(g.vp);
	pthread_mutex_unlock(&g.p->lock);
	while (hypercalls(&g) < 2)
		nanosleep(&moment, NULL);
	wait_until_blocked(&g);
	pthread_mutex_lock(&g.p->lock);
	assert_false(lapic_irr_pending(&g.vp->vtls[0].lapic));
	tlb_release(g.vp, 1);
	pthread_mutex_unlock(&g.p->lock);
	assert_int_equal(result(thread), 0);
	assert_false(g.vp->vtls[0].awaits_tlb);
	guest_stop(&g);
}

/* The one that holds the lock is taken away, or the VP that it is on. */
static void a_lock_ends_with_its_holder(void **state)
{
	struct vsm_vcpu_options vo = {.size = sizeof(vo), .index = 1, .apic_id = 1};
	struct vsm_partition_options o;
	struct vsm_vcpu *other;
	struct guest g;
	pthread_t thread;

	(void)state;
	fixture_start(&g.x, RAM_MIB);
	o = guest_options(&g);
	o.max_vps = 2;
	o.kick_signal = SIGUSR1;
	o.flags = VSM_PARTITION_VMM_EVENTS;
	guest_start_with(&g, &o);
	assert_int_equal(vsm_vcpu_create(g.p, &vo, &other), 0);
	prepare(&g);
	g.vp->vtls[1].secure_config[0] = 0;
	other->enabled_vtls |= 2;
	tlb_inhibit(other, 1, g.vp, 0);
	assert_true(tlb_locked(g.vp, 0));
	assert_int_equal(pthread_create(&thread, NULL, run_vp, &g), 0);
	wait_until_blocked(&g);
	vsm_vcpu_destroy(other);
	assert_int_equal(result(thread), 0);
	assert_int_equal(fake_vcpu_regs(g.x.fake, vsm_vcpu_fd(g.vp, 0))->rax, HV_SUCCESS);
	guest_stop(&g);
}

/* --- no wake-up is lost --- */

#ifdef __SANITIZE_THREAD__
#define ROUNDS 300
#else
#define ROUNDS 10000
#endif

/* VTL0 flushes for ever; each time it comes through it counts. */
struct flusher {
	struct guest g;
	atomic_uint flushes;
	atomic_bool done;
};

static int count_flush(struct fake_guest *fg, void *ctx)
{
	struct flusher *f = ctx;

	fg->regs->rip = ENTRY_HYPERCALL;
	fg->regs->rax = HV_CALL_FLUSH_VIRTUAL_ADDRESS_SPACE;
	fg->regs->rdx = 0;
	atomic_fetch_add(&f->flushes, 1);
	if (!atomic_load(&f->done))
		return FAKE_AGAIN;
	fg->run->exit_reason = KVM_EXIT_HYPERCALL;
	return FAKE_TO_USER;
}

static void set_lock(struct flusher *f, bool locked)
{
	const struct hv_register_value value = {.low = locked ? HV_SECURE_CONFIG_TLB_LOCKED : 0};

	pthread_mutex_lock(&f->g.p->lock);
	assert_int_equal(register_set(f->g.vp, 1, 1, HV_REGISTER_VSM_VP_SECURE_CONFIG_VTL0, &value),
			 0);
	pthread_mutex_unlock(&f->g.p->lock);
}

/*
 * Locked and unlocked at any moment of the other thread's, each time until it got through again:
 * one that sleeps on stops the test, which its timeout notices.
 */
static void no_unlocking_is_lost(void **state)
{
	struct fake_step steps[] = {
		{.kind = FAKE_OUT, .port = 0xe7, .size = 1, .length = 2, .rip = ENTRY_HYPERCALL},
		{.kind = FAKE_CALL, .fn = count_flush, .rip = ENTRY_HYPERCALL + 2},
	};
	struct flusher f = {0};
	pthread_t thread;

	(void)state;
	start(&f.g);
	f.g.vp->vtls[1].secure_config[0] = 0;
	steps[1].ctx = &f;
	fake_vcpu_program(f.g.x.fake, vsm_vcpu_fd(f.g.vp, 0), steps, ARRAY_SIZE(steps));
	assert_int_equal(pthread_create(&thread, NULL, run_vp, &f.g), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned before;

		set_lock(&f, true);
		if (i % 64 == 0)
			wait_until_blocked(&f.g);
		set_lock(&f, false);
		before = atomic_load(&f.flushes);
		while (atomic_load(&f.flushes) == before)
			sched_yield();
	}
	atomic_store(&f.done, true);
	assert_int_equal(result(thread), 0);
	guest_stop(&f.g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kick_ends_the_wait),
		cmocka_unit_test(unlocking_ends_the_wait),
		cmocka_unit_test(a_higher_vtl_is_entered_meanwhile),
		cmocka_unit_test(an_interrupt_is_taken_meanwhile),
		cmocka_unit_test(a_lock_ends_with_its_holder),
		cmocka_unit_test(no_unlocking_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
