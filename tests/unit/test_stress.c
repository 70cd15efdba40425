/* SPDX-License-Identifier: MIT */
/*
 * Two VPs at random, each on its thread: VTL calls, protections, steps, intercepts, overlays,
 * flushes and resets, while a third thread kicks them and interrupts
 * VTL1. Whoever is in the guest
 * finds its own VTL's view, no more open than the limits say, and is alone while a page is open for
 * a step (acting_guest.h). VSM_TEST_SEED repeats a run, as far as the host's scheduler does.
 */
#include "acting_guest.h"
#include "vsm/memory.h"

#include <stdio.h>
#include <time.h>

#include "apic/bus.h"

#define ACTIONS	 1000 /* of each VP, besides what the limits make of them */
#define RUNS_MAX 100000
#define NS_PER_S UINT64_C(1000000000)

static struct acting a;

struct chance {
	uint64_t seed;
	struct action action;
	unsigned done;
};

static struct chance chances[2];
static atomic_uint ended; /* VPs */

static uint32_t random_below(uint64_t *seed, uint32_t n)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((*seed >> 33) % n);
}

/* --- the guest --- */

static prot_t random_mask(uint64_t *seed)
{
	static const prot_t masks[] = {PROT_ALL, PROT_ALL, PROT_R | PROT_W,
				       PROT_R | PROT_KX | PROT_UX, 0};

	return masks[random_below(seed, ARRAY_SIZE(masks))];
}

/* A VTL1's; only its own VP's pages are moved about, and no code. */
static struct action higher_action(uint64_t *seed, unsigned vp)
{
	switch (random_below(seed, 8)) {
	case 0:
	case 1:
		return (struct action){.kind = ACT_PROTECT,
				       .gpa = ACT_TARGETS,
				       .count = ACT_PAGES,
				       .mask = random_mask(seed),
				       .dense = random_below(seed, 2)};
	case 2: /* what VTL0 was told of is opened again, or nobody would get on */
		return (struct action){
			.kind = ACT_PROTECT, .gpa = ACT_CLOSED, .count = 1, .mask = PROT_ALL};
	case 3:
		return (struct action){
			.kind = ACT_MSR,
			.msr = HV_MSR_SIMP,
			.gpa = (0x16000 + 0x4000 * vp + 0x1000 * random_below(seed, 2)) |
			       random_below(seed, 2)};
	case 4:
		return (struct action){.kind = ACT_FLUSH};
	default:
		return (struct action){.kind = ACT_RETURN};
	}
}

static struct action lower_action(uint64_t *seed)
{
	static const uint64_t places[] = {ACT_STEPPED, ACT_CLOSED, ACT_TARGETS,
					  ACT_TARGETS + 0x1000, ACT_TARGETS + 0x2000};

	switch (random_below(seed, 8)) {
	case 0:
	case 1:
	case 2:
	case 3:
		return (struct action){.kind = ACT_STORE,
				       .gpa = places[random_below(seed, ARRAY_SIZE(places))]};
	case 4:
		return (struct action){.kind = ACT_FLUSH};
	case 5:
		return (struct action){.kind = ACT_END};
	default:
		return (struct action){.kind = ACT_CALL};
	}
}

/* VTL1 leaves every store of VTL0's through in the end, so that both get on. */
static const struct action *choose(struct actor *actor)
{
	struct chance *c = &chances[actor->vp];

	if (++c->done > ACTIONS)
		c->action = (struct action){.kind = ACT_END};
	else if (actor->vtl)
		c->action = higher_action(&c->seed, actor->vp);
	else
		c->action = lower_action(&c->seed);
	return &c->action;
}

/* It has VTL1 no more, and gets it once more; VTL0's registers are the VMM's to reset. */
static void reset_vp(unsigned vp)
{
	assert_int_equal(vsm_vcpu_reset(a.s.vp[vp]), 0);
	pthread_mutex_lock(&a.s.p->lock);
	act_give_vtl1(&a, vp);
	smp_interrupts_on(&a.s, vp, 1);
	pthread_mutex_unlock(&a.s.p->lock);
	fake_vcpu_regs(a.s.x.fake, smp_fd(&a.s, vp, 0))->rip = ACT_NEXT;
}

static void *run_vp(void *arg)
{
	unsigned vp = *(const unsigned *)arg;
	uint64_t seed = chances[vp].seed + 2;
	struct kvm_run *run;

	while (chances[vp].done <= ACTIONS) {
		int r = vsm_vcpu_run(a.s.vp[vp], &run);

		assert_true(r == -EINTR || (!r && run->exit_reason == KVM_EXIT_IO));
		if (!random_below(&seed, 4))
			reset_vp(vp);
	}
	atomic_fetch_add(&ended, 1);
	return NULL;
}

/* --- what others do meanwhile --- */

static void disturb(uint64_t *seed)
{
	const struct lapic_ipi ipi = {.valid = true, .vector = 0x52};
	struct vsm_vcpu *vp = a.s.vp[random_below(seed, 2)];
	struct vsm_memory_view view = {.size = sizeof(view)};
	struct vsm_vcpu_stats stats = {.size = sizeof(stats)};

	switch (random_below(seed, 5)) {
	case 0:
	case 1:
		vsm_vcpu_kick(vp);
		break;
	case 4:
		pthread_mutex_lock(&a.s.p->lock);
		bus_give(vp, 1, &ipi);
		pthread_mutex_unlock(&a.s.p->lock);
		break;
	case 2:
		assert_int_equal(vsm_vcpu_get_stats(vp, &stats), 0);
		break;
	default:
		assert_int_equal(vsm_memory_view(a.s.p, 0, 0, &view), 0);
	}
}

static void set_clock(void)
{
	struct timespec real;

	clock_gettime(CLOCK_MONOTONIC, &real);
	/* Steps wait for each other by the real clock: none is to be given up. */
	fake_kvm_set_clock(a.s.x.fake, ((uint64_t)real.tv_sec + 3600) * NS_PER_S);
}

static void stress(enum vsm_topology topology, enum vsm_enforcement enforcement, uint64_t seed)
{
	static const unsigned indices[2] = {0, 1};
	pthread_t threads[2];
	char what[96];

	snprintf(what, sizeof(what), "VSM_TEST_SEED=%#llx, topology %d, enforcement %d",
		 (unsigned long long)seed, topology, enforcement);
	act_start(
		&a, 2,
		&(struct vsm_partition_options){.topology = topology, .enforcement = enforcement});
	set_clock();
	a.what = what;
	a.runs_max = RUNS_MAX;
	for (unsigned vp = 0; vp < 2; vp++) {
		act_give_vtl1(&a, vp);
		smp_interrupts_on(&a.s, vp, 1);
		chances[vp] = (struct chance){.seed = seed + vp};
	}
	act_limit(&a);
	a.choose = choose;
	atomic_store(&ended, 0);
	for (unsigned vp = 0; vp < 2; vp++)
		assert_int_equal(pthread_create(&threads[vp], NULL, run_vp, (void *)&indices[vp]),
				 0);
	while (atomic_load(&ended) < 2) {
		disturb(&seed);
		/* In a single VM a VP waits for its turn until the clock says so. */
		fake_kvm_advance_clock(a.s.x.fake, 100000);
		sched_yield();
	}
	for (unsigned vp = 0; vp < 2; vp++)
		pthread_join(threads[vp], NULL);
	assert_null(vsm_partition_death(a.s.p));
	assert_null(a.s.p->stepper);
	assert_int_equal(vsm_partition_reset(a.s.p), 0);
	print_message("%s: %u entries, %u of them steps, %u calls\n", what, atomic_load(&a.runs),
		      atomic_load(&a.steps), atomic_load(&a.successes));
	assert_true(atomic_load(&a.steps) > 0);
	a.what = NULL;
	act_stop(&a);
}

static void test_stress(void **state)
{
	const char *given = getenv("VSM_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : 0x5eed;

	(void)state;
	for (unsigned round = 0; round < (given ? 1 : 2); round++, seed += 0x1000)
		for (enum vsm_topology t = VSM_TOPOLOGY_SINGLE_VM; t <= VSM_TOPOLOGY_VM_PER_VTL;
		     t++)
			for (enum vsm_enforcement e = VSM_ENFORCEMENT_SLOTS;
			     e <= VSM_ENFORCEMENT_ALIAS; e++)
				stress(t, e, seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stress),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
