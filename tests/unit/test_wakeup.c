/* SPDX-License-Identifier: MIT */
/*
 * No wake-up is lost: threads send interrupts and kicks to a VP that halts whenever it has nothing
 * to do, in VTL0 or VTL1, each waiting until the last one arrived. One that is lost stops the test,
 * which its timeout notices. All 105,000 under ThreadSanitizer too: one run of
 * it, built with gcc 12, took 65 s on two CPUs of Linux 6.18 that other work shared.
 */
#include "smp_fixture.h"

#include <semaphore.h>

#include "apic/bus.h"
#include "msr/synthetic.h"

#define INTERRUPTS 45000 /* to each VTL */
#define KICKS	   15000

struct counted {
	struct smp s;
	unsigned taken[2]; /* by VTL; the semaphores are posted with them */
	unsigned returns;  /* vsm_vcpu_run() came back with EINTR */
	sem_t took[2], returned;
	atomic_bool done;
};

static struct counted *counted_of(void *ctx)
{
	return ctx;
}

static void end_service(struct counted *c, unsigned vtl)
{
	pthread_mutex_lock(&c->s.p->lock);
	lapic_eoi(&c->s.vp[0]->vtls[vtl].lapic);
	pthread_mutex_unlock(&c->s.p->lock);
}

/* The guest's interrupt handlers. */
static void on_vtl0(struct fake_guest *g, const struct fake_event *event, void *ctx)
{
	(void)g;
	assert_int_equal(event->vector, 0x51);
	end_service(counted_of(ctx), 0);
	counted_of(ctx)->taken[0]++;
	sem_post(&counted_of(ctx)->took[0]);
}

static void on_vtl1(struct fake_guest *g, const struct fake_event *event, void *ctx)
{
	(void)g;
	assert_int_equal(event->vector, 0x52);
	end_service(counted_of(ctx), 1);
	counted_of(ctx)->taken[1]++;
	sem_post(&counted_of(ctx)->took[1]);
}

static void *send(struct counted *c, unsigned vtl)
{
	const struct lapic_ipi ipi = {.valid = true, .vector = (uint8_t)(0x51 + vtl)};

	for (unsigned i = 0; i < INTERRUPTS; i++) {
		pthread_mutex_lock(&c->s.p->lock);
		bus_give(c->s.vp[0], vtl, &ipi);
		pthread_mutex_unlock(&c->s.p->lock);
		sem_wait(&c->took[vtl]);
	}
	return NULL;
}

static void *send_vtl0(void *arg)
{
	return send(arg, 0);
}

static void *send_vtl1(void *arg)
{
	return send(arg, 1);
}

/* Each ends a call of vsm_vcpu_run(), so none is counted twice. */
static void *kick(void *arg)
{
	struct counted *c = arg;

	for (unsigned i = 0; i < KICKS; i++) {
		vsm_vcpu_kick(c->s.vp[0]);
		sem_wait(&c->returned);
	}
	return NULL;
}

static void *run(void *arg)
{
	struct counted *c = arg;
	struct kvm_run *run;

	while (!atomic_load(&c->done)) {
		int r = vsm_vcpu_run(c->s.vp[0], &run);

		assert_true(r == 0 || r == -EINTR);
		if (!r) {
			assert_int_equal(run->exit_reason, KVM_EXIT_HLT);
			continue;
		}
		c->returns++;
		sem_post(&c->returned);
	}
	return NULL;
}

static int go_back(struct fake_guest *g, void *ctx)
{
	(void)g, (void)ctx;
	return FAKE_NEXT;
}

/* VTL0: halts for ever. VTL1: takes its interrupt and returns. */
static void program(struct counted *c)
{
	const struct fake_step vtl0[] = {
		{.kind = FAKE_HLT, .rip = 0x1000, .length = 1},
		{.kind = FAKE_SET, .rip = 0x1001, .reg = FAKE_RIP, .data = 0x1000, .length = 1}};
	const struct fake_step vtl1[] = {
		{.kind = FAKE_CALL, .rip = VTL1_ENTRY, .fn = go_back, .length = 1},
		{.kind = FAKE_SET, .rip = VTL1_ENTRY + 1, .reg = FAKE_RAX, .data = 1, .length = 1},
		{.kind = FAKE_SET,
		 .rip = VTL1_ENTRY + 2,
		 .reg = FAKE_RIP,
		 .data = ENTRY_RETURN,
		 .length = 1},
		{.kind = FAKE_OUT, .rip = ENTRY_RETURN, .port = 0xe7, .size = 1, .length = 2},
		{.kind = FAKE_SET,
		 .rip = ENTRY_RETURN + 2,
		 .reg = FAKE_RIP,
		 .data = VTL1_ENTRY,
		 .length = 1},
	};

	fake_vcpu_program(c->s.x.fake, smp_fd(&c->s, 0, 0), vtl0, ARRAY_SIZE(vtl0));
	fake_vcpu_program(c->s.x.fake, smp_fd(&c->s, 0, 1), vtl1, ARRAY_SIZE(vtl1));
	fake_vcpu_on_event(c->s.x.fake, smp_fd(&c->s, 0, 0), on_vtl0, c);
	fake_vcpu_on_event(c->s.x.fake, smp_fd(&c->s, 0, 1), on_vtl1, c);
}

static void test_none_lost(void **state)
{
	static struct counted c;
	pthread_t runner, threads[3];

	(void)state;
	sem_init(&c.took[0], 0, 0);
	sem_init(&c.took[1], 0, 0);
	sem_init(&c.returned, 0, 0);
	smp_start(&c.s, 1);
	smp_enable_vtl1(&c.s, 0);
	smp_interrupts_on(&c.s, 0, 0);
	smp_interrupts_on(&c.s, 0, 1);
	for (unsigned vtl = 0; vtl < 2; vtl++) {
		assert_int_equal(synthetic_write(c.s.vp[0], vtl, 0x40000000, 1), 0);
		assert_int_equal(synthetic_write(c.s.vp[0], vtl, 0x40000001, PAGE_CODE | 1), 0);
	}
	/* The control input of a return is EDX:EAX. */
	fake_vcpu_regs(c.s.x.fake, smp_fd(&c.s, 0, 0))->rdx = 0;
	program(&c);
	assert_int_equal(pthread_create(&runner, NULL, run, &c), 0);
	assert_int_equal(pthread_create(&threads[0], NULL, send_vtl0, &c), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, send_vtl1, &c), 0);
	assert_int_equal(pthread_create(&threads[2], NULL, kick, &c), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&c.done, true);
	vsm_vcpu_kick(c.s.vp[0]);
	pthread_join(runner, NULL);
	assert_int_equal(c.taken[0], INTERRUPTS);
	assert_int_equal(c.taken[1], INTERRUPTS);
	/* The last one is the test's own. */
	assert_in_range(c.returns, KICKS, KICKS + 1);
	smp_stop(&c.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
