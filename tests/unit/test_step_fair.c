/* SPDX-License-Identifier: MIT */
/*
 * VPs that step all the time keep the others outside for each step, and each other. While all four
 * go on, each gets its rounds done, the steppers and the others. How many the rest makes meanwhile
 * is printed: it depends on the host's scheduler, and on how long a round is.
 */
#include "smp_fixture.h"

#include <time.h>
#include <unistd.h>

#define VPS	 4
#define ROUNDS	 20 /* that each VP has to get done */
#define WAIT_S	 120
#define FAR_S	 3600
#define NS_PER_S UINT64_C(1000000000)
#define AT_ROUND UINT64_C(0x1000)
#define AT_STORE UINT64_C(0x1100)
#define LENGTH	 2

static struct smp s;
static unsigned steppers; /* VPs below that */
static atomic_uint rounds[VPS];
static atomic_bool over;

static bool all_done(void)
{
	for (unsigned vp = 0; vp < VPS; vp++)
		if (atomic_load(&rounds[vp]) < ROUNDS)
			return false;
	return true;
}

/* A round of who steps is a step; the others compute. */
static int next_round(struct fake_guest *g, void *ctx)
{
	unsigned vp = *(const unsigned *)ctx;

	atomic_fetch_add(&rounds[vp], 1);
	if (vp < steppers)
		g->regs->rip = AT_STORE;
	else
		usleep(20);
	return FAKE_AGAIN;
}

static void *run_vp(void *arg)
{
	struct kvm_run *run;

	while (!atomic_load(&over))
		if (vsm_vcpu_run(s.vp[*(const unsigned *)arg], &run) != -EINTR)
			atomic_store(&over, true);
	return NULL;
}

static void place(unsigned vp)
{
	static const unsigned indices[VPS] = {0, 1, 2, 3};
	const struct fake_step program[] = {
		{.kind = FAKE_CALL,
		 .rip = AT_ROUND,
		 .fn = next_round,
		 .ctx = (void *)&indices[vp],
		 .flags = FAKE_OPTIONAL},
		{.kind = FAKE_STORE,
		 .rip = AT_STORE,
		 .gva = PAGE_SECRET,
		 .size = 4,
		 .length = LENGTH,
		 .flags = FAKE_OPTIONAL},
		{.kind = FAKE_SET,
		 .rip = AT_STORE + LENGTH,
		 .reg = FAKE_RIP,
		 .data = AT_ROUND,
		 .flags = FAKE_OPTIONAL},
	};

	fake_vcpu_program(s.x.fake, smp_fd(&s, vp, 0), program, ARRAY_SIZE(program));
	fake_vcpu_regs(s.x.fake, smp_fd(&s, vp, 0))->rip = AT_ROUND;
	fake_vcpu_regs(s.x.fake, smp_fd(&s, vp, 0))->rbx = PAGE_SECRET;
	atomic_store(&rounds[vp], 0);
	assert_int_equal(pthread_create(&s.thread[vp], NULL, run_vp, (void *)&indices[vp]), 0);
}

static void prepare(const struct guest_combination *c)
{
	static const uint8_t store[] = {0x89, 0x03}; /* mov %eax, (%rbx) */
	const uint64_t page = PAGE_SECRET >> VSM_PAGE_SHIFT;
	struct timespec now;

	smp_start_with(&s, VPS, VSM_VCPU_STARTED,
		       &(struct vsm_partition_options){.topology = c->topology,
						       .enforcement = c->enforcement});
	/* Steps wait for each other by the real clock: none is to be given up. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	fake_kvm_set_clock(s.x.fake, ((uint64_t)now.tv_sec + FAR_S) * NS_PER_S);
	assert_int_equal(memory_limit_default(&s.p->memory, 1, PROT_ALL), 0);
	assert_int_equal(memory_limit(&s.p->memory, 1, 0, page, page + 1, PROT_R | PROT_W), 0);
	memcpy(s.x.mem + AT_STORE, store, sizeof(store));
	fake_vcpu_regs(s.x.fake, smp_fd(&s, 0, 0))->rbx = PAGE_SECRET;
}

static void start(const struct guest_combination *c)
{
	prepare(c);
	atomic_store(&over, false);
	for (unsigned vp = 0; vp < VPS; vp++)
		place(vp);
}

static void each_gets_on(const struct guest_combination *c)
{
	start(c);
	for (unsigned ms = 0; ms < 1000 * WAIT_S && !all_done() && !atomic_load(&over); ms++)
		usleep(1000);
	atomic_store(&over, true);
	for (unsigned vp = 0; vp < VPS; vp++)
		vsm_vcpu_kick(s.vp[vp]);
	for (unsigned vp = 0; vp < VPS; vp++)
		pthread_join(s.thread[vp], NULL);
	print_message("%u step, topology %d, enforcement %d: %u, %u, %u and %u rounds\n", steppers,
		      c->topology, c->enforcement, atomic_load(&rounds[0]), atomic_load(&rounds[1]),
		      atomic_load(&rounds[2]), atomic_load(&rounds[3]));
	assert_true(all_done());
	for (unsigned vp = 0; vp < VPS; vp++)
		assert_int_equal(s.vp[vp]->stats.steps > 0, vp < steppers);
	assert_null(s.p->stepper);
	smp_stop(&s);
}

static void test_each_gets_on(void **state)
{
	(void)state;
	for (steppers = 1; steppers <= VPS; steppers++)
		for (size_t i = 0; i < ARRAY_SIZE(guest_combinations); i += 3)
			each_gets_on(&guest_combinations[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_gets_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
