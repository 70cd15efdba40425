/* SPDX-License-Identifier: MIT */
/*
 * Two VPs at random, each on its thread, with two VTLs or three: VTL calls, protections, steps,
 * intercepts, overlays, flushes and resets, while a third thread kicks them and interrupts VTLs
 * above VTL0. Whoever is in the guest finds its own VTL's view, no more open than the limits say,
 * and is alone while a page is open for a step (acting_guest.h). VSM_TEST_SEED repeats a run, as
 * far as the host's scheduler does.
 */
#include "acting_guest.h"
#include "acting_watch.h"
#include "vsm/memory.h"

#include "apic/bus.h"

#define ACTIONS	 1000 /* of each VP, besides what the limits make of them */
#define RUNS_MAX 100000
#define NS_PER_S UINT64_C(1000000000)

static struct acting a;
static struct act_watch watchdog;

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

/* One that the VTL may be kept from, or has to be stepped for. */
static uint64_t random_place(uint64_t *seed)
{
	static const uint64_t places[] = {
		ACT_STEPPED,	      ACT_CLOSED, ACT_TARGETS,	 ACT_TARGETS + 0x1000,
		ACT_TARGETS + 0x2000, ACT_TWICE,  ACT_1_STEPPED, ACT_1_CLOSED,
	};

	return places[random_below(seed, ARRAY_SIZE(places))];
}

static struct action random_store(uint64_t *seed)
{
	return (struct action){
		.kind = ACT_STORE, .gpa = random_place(seed), .unknown = random_below(seed, 2)};
}

/* Of a VTL above VTL0; only its own VP's pages are moved about, and no code. */
static struct action higher_action(uint64_t *seed, unsigned vp, unsigned vtl)
{
	uint8_t target = (uint8_t)random_below(seed, vtl);

	if (vtl + 1u < a.s.p->vtl_count && !random_below(seed, 4))
		return random_below(seed, 2) ? random_store(seed)
					     : (struct action){.kind = ACT_CALL};
	switch (random_below(seed, 8)) {
	case 0:
	case 1:
		return (struct action){.kind = ACT_PROTECT,
				       .gpa = ACT_TARGETS,
				       .count = ACT_PAGES,
				       .vtl = target,
				       .mask = random_mask(seed),
				       .dense = random_below(seed, 2)};
	case 2: /* what a VTL was told of is opened again, or nobody would get on */
		return (struct action){.kind = ACT_PROTECT,
				       .gpa = random_below(seed, 2) ? ACT_CLOSED : ACT_1_CLOSED,
				       .count = 1,
				       .vtl = target,
				       .mask = PROT_ALL};
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
	switch (random_below(seed, 8)) {
	case 0:
	case 1:
	case 2:
	case 3:
		return random_store(seed);
	case 4:
		return (struct action){.kind = ACT_FLUSH};
	case 5:
		return (struct action){.kind = ACT_END};
	default:
		return (struct action){.kind = ACT_CALL};
	}
}

/* What closed a page leaves every store through in the end, so that all get on. */
static const struct action *choose(struct actor *actor)
{
	struct chance *c = &chances[actor->vp];

	if (++c->done > ACTIONS)
		c->action = (struct action){.kind = ACT_END};
	else if (actor->vtl)
		c->action = higher_action(&c->seed, actor->vp, actor->vtl);
	else
		c->action = lower_action(&c->seed);
	return &c->action;
}

static void give_vtls(unsigned vp)
{
	act_give_vtls(&a, vp);
	for (unsigned vtl = 1; vtl < a.s.p->vtl_count; vtl++)
		smp_interrupts_on(&a.s, vp, vtl);
}

/* It has no VTL above 0 then, and gets them once more; VTL0's registers are the VMM's to reset. */
static void reset_vp(unsigned vp)
{
	assert_int_equal(vsm_vcpu_reset(a.s.vp[vp]), 0);
	pthread_mutex_lock(&a.s.p->lock);
	give_vtls(vp);
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

		if (r != -EINTR && (r || run->exit_reason != KVM_EXIT_IO))
			print_error("VP %u: %d, exit reason %u\n", vp, r, run->exit_reason);
		ACT_ASSERT(&a, r == -EINTR || (!r && run->exit_reason == KVM_EXIT_IO));
		/* One that has never been let in has changed nothing: act_changed_since(). */
		if (!random_below(&seed, 4) && a.s.vp[vp]->stats.runs)
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
		bus_give(vp, 1 + random_below(seed, a.s.p->vtl_count - 1u), &ipi);
		pthread_mutex_unlock(&a.s.p->lock);
		break;
	case 2:
		assert_int_equal(vsm_vcpu_get_stats(vp, &stats), 0);
		break;
	default:
		assert_int_equal(
			vsm_memory_view(a.s.p, random_below(seed, a.s.p->vtl_count), 0, &view), 0);
	}
}

static void set_clock(void)
{
	struct timespec real;

	clock_gettime(CLOCK_MONOTONIC, &real);
	/* Steps wait for each other by the real clock: none is to be given up. */
	fake_kvm_set_clock(a.s.x.fake, ((uint64_t)real.tv_sec + 3600) * NS_PER_S);
}

/* What there is above VTL0, and KVM. */
struct world {
	const char *name;
	uint8_t max_vtl;
	uint64_t flags;
};

static const struct world worlds[] = {
	{"two VTLs", 1, 0},
	{"two VTLs, emulated", 1, SMP_EMULATES},
	{"three VTLs", 2, 0},
	{"three VTLs, emulated", 2, SMP_EMULATES},
};

static void stress(const struct world *world, enum vsm_topology topology,
		   enum vsm_enforcement enforcement, uint64_t seed)
{
	static const unsigned indices[2] = {0, 1};
	pthread_t threads[2];
	char what[128];

	snprintf(what, sizeof(what), "VSM_TEST_SEED=%#llx, %s, topology %d, enforcement %d",
		 (unsigned long long)seed, world->name, topology, enforcement);
	act_start(&a, 2,
		  &(struct vsm_partition_options){.topology = topology,
						  .enforcement = enforcement,
						  .max_vtl = world->max_vtl,
						  .flags = world->flags});
	act_watch_round(&watchdog);
	set_clock();
	a.what = what;
	a.runs_max = RUNS_MAX;
	for (unsigned vp = 0; vp < 2; vp++) {
		give_vtls(vp);
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
	const struct world *world = *state;

	for (unsigned round = 0; round < (given ? 1 : 2); round++, seed += 0x1000)
		for (size_t i = 0; i < ARRAY_SIZE(guest_combinations); i++)
			stress(world, guest_combinations[i].topology,
			       guest_combinations[i].enforcement, seed);
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(worlds)];
	int failed;

	for (size_t i = 0; i < ARRAY_SIZE(worlds); i++)
		tests[i] = (struct CMUnitTest){.name = worlds[i].name,
					       .test_func = test_stress,
					       .initial_state = (void *)&worlds[i]};
	act_watch_start(&watchdog, &a);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	act_watch_stop(&watchdog);
	return failed;
}
