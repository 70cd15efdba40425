/* SPDX-License-Identifier: MIT */
/*
 * The host refuses one call, each in turn, or all from one on, while a guest does what VSM is for,
 * with two VTLs or three, on a KVM that runs guest code or one that emulates it.
 * Each time: somebody hears of it, or it made no difference, or the partition is dead and says why;
 * no page is more open than the limits say when a VP runs; nothing is leaked; and what is not dead
 * goes on.
 */
#include "acting_guest.h"
#include "acting_watch.h"
#include "vsm/memory.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define ACT_ROLES (ACT_LAST_PAGE - ACT_FIRST_PAGE + 1)

static struct acting a;
static struct act_watch watchdog;

struct scenario {
	const char *name;
	void (*prepare)(void); /* before calls begin to fail */
	void (*run)(void);
	void (*end)(void); /* when calls fail no more; NULL: nothing */
	unsigned vps;
	bool three; /* VTLs are needed */
};

/* What a run came to. */
struct outcome {
	unsigned failures, successes;
	unsigned errors; /* of the library's functions */
	uint64_t intercepts;
	bool ended; /* VP 0 got to its end */
	prot_t limits[ACT_VTLS][ACT_ROLES];
	bool shown[ACT_VTLS][ACT_ROLES]; /* an overlay */
	uint32_t stored[5];
	unsigned vtl;
	uint64_t cr2, dr0, xmm0; /* what it shares with the other VTL */
};

static struct outcome now;

#define LIST(vtl, ...)                                             \
	do {                                                       \
		static const struct action list[] = {__VA_ARGS__}; \
		act_list(&a, 0, vtl, list, ARRAY_SIZE(list));      \
	} while (0)
#define PROTECT(m)                                                                       \
	{                                                                                \
		.kind = ACT_PROTECT, .gpa = ACT_TARGETS, .count = ACT_PAGES, .mask = (m) \
	}
#define DO(k)             \
	{                 \
		.kind = k \
	}

/* --- scenarios --- */

static void prepare_vtls(void)
{
	act_give_vtls(&a, 0);
	act_limit(&a);
}

static void prepare_both(void)
{
	act_give_vtls(&a, 1);
	prepare_vtls();
}

/* VP 0 runs until it has done all it was to. */
static void drive(void)
{
	struct kvm_run *run;

	for (unsigned i = 0; i < 8 && !now.ended; i++) {
		int r = vsm_vcpu_run(a.s.vp[0], &run);

		now.errors += r != 0;
		if (r)
			return;
		now.ended = run->exit_reason == KVM_EXIT_IO && run->io.port == PORT_VMM;
	}
}

static void run_protect(void)
{
	LIST(0, DO(ACT_CALL), {.kind = ACT_STORE, .gpa = ACT_TARGETS + 0x1000}, DO(ACT_CALL));
	LIST(1, PROTECT(0), DO(ACT_RETURN),
	     {.kind = ACT_PROTECT,
	      .gpa = ACT_TARGETS,
	      .count = ACT_PAGES,
	      .mask = PROT_R | PROT_KX | PROT_UX,
	      .dense = true},
	     PROTECT(PROT_ALL), PROTECT(PROT_R));
	drive();
}

static void run_overlays(void)
{
	static const struct action list[] = {
		{.kind = ACT_MSR, .msr = HV_MSR_SIMP, .gpa = 0x16001},
		{.kind = ACT_MSR, .msr = HV_MSR_VP_ASSIST_PAGE, .gpa = 0x17001},
		{.kind = ACT_MSR, .msr = HV_MSR_SIMP, .gpa = 0x24001},
		{.kind = ACT_MSR, .msr = HV_MSR_VP_ASSIST_PAGE, .gpa = 0x16001},
		{.kind = ACT_MSR, .msr = HV_MSR_SIMP, .gpa = 0x16000},
		{.kind = ACT_CALL},
	};

	/* The call is to the highest VTL in the end, which makes none. */
	for (unsigned vtl = 0; vtl < a.s.p->vtl_count; vtl++)
		act_list(&a, 0, vtl, list,
			 ARRAY_SIZE(list) - (vtl + 1 == a.s.p->vtl_count ? 1 : 0));
	drive();
}

/* Where KVM emulates, only what it cannot emulate is stepped. */
static void run_step(void)
{
	LIST(0, {.kind = ACT_STORE, .gpa = ACT_STEPPED},
	     {.kind = ACT_STORE, .gpa = ACT_STEPPED, .unknown = true});
	drive();
}

/* VTL1 does, by VTL2's limits. */
static void run_step_above(void)
{
	LIST(0, DO(ACT_CALL));
	LIST(1, {.kind = ACT_STORE, .gpa = ACT_1_STEPPED},
	     {.kind = ACT_STORE, .gpa = ACT_1_STEPPED, .unknown = true}, DO(ACT_RETURN));
	drive();
}

static atomic_bool over;
static pthread_t other, clock_thread;
static atomic_bool clock_stops;

static const struct action *spin(struct actor *actor)
{
	static const struct action spins = {.kind = ACT_SPIN};

	return actor->vp == 1 ? &spins : act_next_of_list(actor);
}

static void *run_other(void *result)
{
	struct kvm_run *run;
	int r;

	do
		r = vsm_vcpu_run(a.s.vp[1], &run);
	while (r == -EINTR && !atomic_load(&over));
	*(int *)result = r;
	return NULL;
}

static int other_result;

/* VPs in two VTLs of a single VM wait for their turns, and those that cannot go on for a while. */
static void *run_clock(void *arg)
{
	(void)arg;
	while (!atomic_load(&clock_stops)) {
		usleep(1000);
		fake_kvm_advance_clock(a.s.x.fake, 1000000);
	}
	return NULL;
}

static bool refuses; /* the host does, in this run */

/*
 * VP 1 is in the guest. Waits for a step's end are by the real clock, and are not to end before it:
 * unless a KVM_RUN of VP 1 is made to fail, so that VP 1 steps, and stays in that.
 */
static void prepare_among_others(void)
{
	struct timespec real;

	clock_gettime(CLOCK_MONOTONIC, &real);
	fake_kvm_set_clock(a.s.x.fake, ((uint64_t)real.tv_sec + (refuses ? 0 : 3600)) * 1000000000 +
					       (uint64_t)real.tv_nsec);
	prepare_vtls();
	a.choose = spin;
	atomic_store(&over, false);
	atomic_store(&clock_stops, false);
	assert_int_equal(pthread_create(&clock_thread, NULL, run_clock, NULL), 0);
	assert_int_equal(pthread_create(&other, NULL, run_other, &other_result), 0);
	smp_wait_spinning(&a.s, 1, 0);
}

/* Of a dead partition it returns by itself. */
static void end_among_others(void)
{
	atomic_store(&over, true);
	if (!vsm_partition_death(a.s.p))
		vsm_vcpu_kick(a.s.vp[1]);
	pthread_join(other, NULL);
	atomic_store(&clock_stops, true);
	pthread_join(clock_thread, NULL);
	now.errors += other_result != -EINTR;
	ACT_ASSERT(&a, !fake_vcpu_running(a.s.x.fake, smp_fd(&a.s, 1, 0)));
}

#define OPEN(page, to, m)                                                                \
	{                                                                                \
		.kind = ACT_PROTECT, .gpa = (page), .count = 1, .vtl = (to), .mask = (m) \
	}

/* VTL1 opens the page that VTL0 stored to, and then VTL2, whose return is to VTL1, does. */
static void run_intercept(void)
{
	LIST(0, {.kind = ACT_STORE, .gpa = ACT_CLOSED}, DO(ACT_CALL));
	LIST(1, OPEN(ACT_CLOSED, 0, PROT_ALL), DO(ACT_RETURN), DO(ACT_RETURN));
	LIST(2, OPEN(ACT_CLOSED, 0, PROT_ALL), DO(ACT_RETURN));
	drive();
}

/* VTL2 opens the page to VTL1. */
static void run_intercept_above(void)
{
	LIST(0, DO(ACT_CALL));
	LIST(1, {.kind = ACT_STORE, .gpa = ACT_1_CLOSED}, DO(ACT_RETURN));
	LIST(2, OPEN(ACT_1_CLOSED, 1, PROT_ALL), DO(ACT_RETURN));
	drive();
}

/* What is left of two limits is still to be stepped. VTL1 may always use the page. */
static void run_combined(void)
{
	LIST(0, {.kind = ACT_STORE, .gpa = ACT_TWICE, .unknown = true},
	     {.kind = ACT_STORE, .gpa = ACT_TWICE}, DO(ACT_CALL));
	LIST(1, DO(ACT_RETURN), {.kind = ACT_STORE, .gpa = ACT_TWICE});
	LIST(2, OPEN(ACT_TWICE, 0, PROT_R | PROT_W), DO(ACT_RETURN));
	drive();
}

/* Each limits all below it, and lifts some of that; the higher one last. */
static void run_protect_above(void)
{
	LIST(0, DO(ACT_CALL), {.kind = ACT_STORE, .gpa = ACT_TARGETS}, DO(ACT_CALL));
	LIST(1, PROTECT(PROT_R | PROT_W), DO(ACT_CALL),
	     {.kind = ACT_STORE, .gpa = ACT_TARGETS, .unknown = true}, DO(ACT_RETURN),
	     PROTECT(PROT_ALL), {.kind = ACT_STORE, .gpa = ACT_TARGETS + 0x1000});
	LIST(2, OPEN(ACT_TARGETS, 0, 0), OPEN(ACT_TARGETS, 1, PROT_R | PROT_W), DO(ACT_RETURN),
	     OPEN(ACT_TARGETS, 0, PROT_R | PROT_KX | PROT_UX), DO(ACT_RETURN));
	drive();
}

static void prepare_nothing(void)
{
}

#define ENABLE(v)                                 \
	{.kind = ACT_ENABLE, .vtl = (v)},         \
	{                                         \
		.kind = ACT_ENABLE_VP, .vtl = (v) \
	}

#define SET_UP                                                                 \
	{.kind = ACT_MSR, .msr = HV_MSR_GUEST_OS_ID, .gpa = 1},                \
	{                                                                      \
		.kind = ACT_MSR, .msr = HV_MSR_HYPERCALL, .gpa = PAGE_CODE | 1 \
	}

static void run_enable(void)
{
	LIST(0, ENABLE(1), DO(ACT_CALL));
	LIST(1, SET_UP, DO(ACT_FLUSH), DO(ACT_RETURN));
	drive();
}

/* By the VTL that is the highest then. */
static void run_enable_third(void)
{
	LIST(0, ENABLE(1), DO(ACT_CALL));
	LIST(1, SET_UP, ENABLE(2), DO(ACT_CALL), DO(ACT_RETURN));
	LIST(2, SET_UP, DO(ACT_FLUSH), DO(ACT_RETURN));
	drive();
}

static void run_switch(void)
{
	LIST(0, DO(ACT_CALL), DO(ACT_CALL), DO(ACT_FLUSH), DO(ACT_CALL));
	LIST(1, DO(ACT_RETURN), DO(ACT_RETURN));
	drive();
}

static void run_switch_above(void)
{
	LIST(0, DO(ACT_CALL), DO(ACT_CALL));
	LIST(1, DO(ACT_CALL), DO(ACT_RETURN), DO(ACT_CALL), DO(ACT_RETURN));
	LIST(2, DO(ACT_FLUSH), DO(ACT_RETURN), DO(ACT_RETURN));
	drive();
}

static void run_disable(void)
{
	LIST(0, DO(ACT_CALL), {.kind = ACT_STORE, .gpa = ACT_TARGETS});
	LIST(1, PROTECT(0), {.kind = ACT_DISABLE_VP, .gpa = 1, .vtl = 1}, DO(ACT_RETURN));
	drive();
}

/* VTL2's limits stay when VTL1 goes, with its own. */
static void run_disable_below(void)
{
	LIST(0, DO(ACT_CALL), {.kind = ACT_STORE, .gpa = ACT_STEPPED},
	     {.kind = ACT_STORE, .gpa = ACT_CLOSED});
	LIST(1, DO(ACT_CALL));
	LIST(2, {.kind = ACT_DISABLE_VP, .gpa = 0, .vtl = 1},
	     {.kind = ACT_DISABLE_VP, .gpa = 1, .vtl = 1}, {.kind = ACT_DISABLE, .vtl = 1},
	     DO(ACT_RETURN));
	drive();
}

static void run_reset(void)
{
	now.errors += vsm_vcpu_reset(a.s.vp[0]) != 0;
	now.errors += vsm_partition_reset(a.s.p) != 0;
	now.ended = true;
}

static void run_devices(void)
{
	struct vsm_memory_view view = {.size = sizeof(view)};

	for (unsigned vtl = 0; vtl + 1u < a.s.p->vtl_count; vtl++)
		now.errors += vsm_memory_view(a.s.p, vtl, 0, &view) != 0;
	if (a.s.p->vtl_count == 2)
		run_protect();
	else
		run_protect_above();
}

static const struct scenario scenarios[] = {
	{"protect", prepare_vtls, run_protect, NULL, 1},
	{"protect from above", prepare_vtls, run_protect_above, NULL, 1, .three = true},
	{"overlays", prepare_vtls, run_overlays, NULL, 1},
	{"step", prepare_vtls, run_step, NULL, 1},
	{"step above", prepare_vtls, run_step_above, NULL, 1, .three = true},
	{"step among others", prepare_among_others, run_step, end_among_others, 2},
	{"step above among others", prepare_among_others, run_step_above, end_among_others, 2,
	 .three = true},
	{"intercept", prepare_vtls, run_intercept, NULL, 1},
	{"intercept above", prepare_vtls, run_intercept_above, NULL, 1, .three = true},
	{"combined", prepare_vtls, run_combined, NULL, 1, .three = true},
	{"enable", prepare_nothing, run_enable, NULL, 1},
	{"enable a third", prepare_nothing, run_enable_third, NULL, 1, .three = true},
	{"switch", prepare_vtls, run_switch, NULL, 1},
	{"switch above", prepare_vtls, run_switch_above, NULL, 1, .three = true},
	{"disable", prepare_both, run_disable, NULL, 2},
	{"disable below", prepare_both, run_disable_below, NULL, 2, .three = true},
	{"reset", prepare_vtls, run_reset, NULL, 1},
	{"devices", prepare_vtls, run_devices, NULL, 1},
};

/* --- what is checked --- */

#define XMM0_OFFSET 160
#define SHARED	    UINT64_C(0x5a5e)

static void set_shared(void)
{
	const struct kvm_host *h = a.s.x.host;
	int fd = smp_fd(&a.s, 0, 0);
	_Alignas(64) uint8_t image[4096];
	struct kvm_debugregs dr;

	assert_int_equal(h->ops->get_xsave(h, fd, image, sizeof(image)), 0);
	*(uint64_t *)(image + XMM0_OFFSET) = SHARED;
	image[512] |= 2;
	assert_int_equal(h->ops->set_xsave(h, fd, image), 0);
	assert_int_equal(h->ops->get_debugregs(h, fd, &dr), 0);
	dr.db[0] = SHARED;
	assert_int_equal(h->ops->set_debugregs(h, fd, &dr), 0);
	fake_vcpu_sregs(a.s.x.fake, fd)->cr2 = SHARED;
}

static void look_at_shared(void)
{
	const struct kvm_host *h = a.s.x.host;
	_Alignas(64) uint8_t image[4096];
	struct kvm_debugregs dr;
	int fd;

	now.vtl = vsm_vcpu_active_vtl(a.s.vp[0]);
	fd = smp_fd(&a.s, 0, now.vtl);
	assert_int_equal(h->ops->get_xsave(h, fd, image, sizeof(image)), 0);
	assert_int_equal(h->ops->get_debugregs(h, fd, &dr), 0);
	now.xmm0 = *(uint64_t *)(image + XMM0_OFFSET);
	now.dr0 = dr.db[0];
	now.cr2 = fake_vcpu_sregs(a.s.x.fake, fd)->cr2;
}

static void look(void)
{
	static const uint64_t stored[] = {ACT_STEPPED, ACT_CLOSED, ACT_TWICE, ACT_1_STEPPED,
					  ACT_1_CLOSED};
	const struct memory *m = &a.s.p->memory;

	for (unsigned vtl = 0; vtl < m->vtl_count; vtl++)
		for (uint64_t page = ACT_FIRST_PAGE; page <= ACT_LAST_PAGE; page++) {
			now.limits[vtl][page - ACT_FIRST_PAGE] = act_left(m, vtl, page);
			now.shown[vtl][page - ACT_FIRST_PAGE] = overlay_at(m, vtl, page);
		}
	for (unsigned i = 0; i < ARRAY_SIZE(stored); i++)
		memcpy(&now.stored[i], a.s.x.mem + stored[i] + 8, 4);
	now.intercepts = a.s.vp[0]->stats.memory_intercepts;
	now.failures = atomic_load(&a.failures);
	now.successes = atomic_load(&a.successes);
	look_at_shared();
}

/* Whoever runs the partition on hears why not. Devices the VMM has to stop (vsm/memory.h). */
static void expect_dead(void)
{
	struct kvm_run *run;

	assert_true(strlen(vsm_partition_death(a.s.p)) > 0);
	ACT_ASSERT(&a, vsm_vcpu_run(a.s.vp[0], &run) == -EIO);
}

static bool reaches_end(void)
{
	struct kvm_run *run;
	int r = vsm_vcpu_run(a.s.vp[0], &run);

	if (!r && run->exit_reason == KVM_EXIT_IO && run->io.port == PORT_VMM)
		return true;
	print_error("VP 0: %d, exit reason %u\n", r, run->exit_reason);
	return false;
}

/* The guest goes on, and the VMM may take everything from it. */
static void expect_usable(void)
{
	act_check_devices(&a);
	for (unsigned vtl = 0; vtl < ACT_VTLS; vtl++)
		act_list(&a, 0, vtl, NULL, 0);
	ACT_ASSERT(&a, reaches_end());
	ACT_ASSERT(&a, vsm_partition_reset(a.s.p) == 0);
	fake_vcpu_regs(a.s.x.fake, smp_fd(&a.s, 0, 0))->rip = ACT_AT_END;
	ACT_ASSERT(&a, reaches_end());
	for (uint64_t page = ACT_FIRST_PAGE; page <= ACT_LAST_PAGE; page++)
		ACT_ASSERT(&a, fake_kvm_guest_access(a.s.x.fake, partition_space(a.s.p, 0)->vm_fd,
						     page << VSM_PAGE_SHIFT) == KVM_MAP_READ_WRITE);
}

/* How the host fails. */
struct manner {
	const char *name;
	int error;
	enum fake_lasting lasting;
};

static const struct manner manners[] = {
	{"once, ENOMEM", ENOMEM, FAKE_ONCE},
	{"once, EINVAL", EINVAL, FAKE_ONCE},
	{"once, EFAULT", EFAULT, FAKE_ONCE},
	{"from then on, ENOMEM", ENOMEM, FAKE_SAME_LATER},
	{"with all later ones, ENOMEM", ENOMEM, FAKE_ALL_LATER},
};

/* What there is above VTL0, and KVM; all manners of failing in each would take too long. */
struct world {
	const char *name;
	uint8_t max_vtl;
	uint64_t flags;
	unsigned manners; /* bit by their index */
};

static const struct world worlds[] = {
	{"two VTLs", 1, 0, 0x1f},
	{"two VTLs, emulated", 1, SMP_EMULATES, 0x04},
	{"three VTLs", 2, 0, 0x05},
	{"three VTLs, emulated", 2, SMP_EMULATES, 0x05},
};

struct variant {
	const struct scenario *scenario;
	const struct world *world;
	enum vsm_topology topology;
	enum vsm_enforcement enforcement;
	struct outcome good;
	unsigned died, heard, unnoticed;
};

static char what[160];

/* `nth` 0: none fails. */
static void say_what(const struct variant *v, unsigned nth, const struct manner *manner)
{
	int n = snprintf(what, sizeof(what), "%s, %s, topology %d, enforcement %d",
			 v->scenario->name, v->world->name, v->topology, v->enforcement);

	if (nth)
		snprintf(what + n, sizeof(what) - (size_t)n, ": call %u (%s) fails %s", nth,
			 fake_kvm_failed_op(a.s.x.fake), manner->name);
	a.what = what;
}

static void start(const struct variant *v)
{
	now = (struct outcome){0};
	act_start(&a, v->scenario->vps,
		  &(struct vsm_partition_options){.topology = v->topology,
						  .enforcement = v->enforcement,
						  .max_vtl = v->world->max_vtl,
						  .flags = VSM_PARTITION_VMM_EVENTS |
							   v->world->flags});
	act_watch_round(&watchdog);
	a.runs_max = 5000;
	set_shared();
	v->scenario->prepare();
}

static void judge(struct variant *v)
{
	bool heard =
		now.errors || now.failures || now.intercepts > v->good.intercepts || !now.ended;

	if (vsm_partition_death(a.s.p)) {
		v->died++;
		expect_dead();
		return;
	}
	ACT_ASSERT(&a, heard || !memcmp(&now, &v->good, sizeof(now)));
	v->heard += heard;
	v->unnoticed += !heard;
	expect_usable();
}

/* False: there is no nth call. */
static bool fail_nth(struct variant *v, unsigned nth, const struct manner *manner)
{
	bool failed;

	start(v);
	say_what(v, nth, manner);
	fake_kvm_fail_from(a.s.x.fake, nth, manner->error, manner->lasting);
	v->scenario->run();
	failed = fake_kvm_failed(a.s.x.fake);
	say_what(v, nth, manner);
	fake_kvm_relent(a.s.x.fake);
	if (v->scenario->end)
		v->scenario->end();
	if (failed) {
		look();
		judge(v);
	}
	act_stop(&a);
	return failed;
}

static void run_well(struct variant *v)
{
	start(v);
	say_what(v, 0, NULL);
	v->scenario->run();
	if (v->scenario->end)
		v->scenario->end();
	look();
	v->good = now;
	assert_true(now.ended);
	assert_int_equal(now.failures, 0);
	assert_int_equal(now.errors, 0);
	assert_int_equal(now.cr2, SHARED);
	assert_int_equal(now.dr0, SHARED);
	assert_int_equal(now.xmm0, SHARED);
	expect_usable();
	act_stop(&a);
}

static void sweep(struct variant *v)
{
	unsigned nth = 0;

	refuses = false;
	run_well(v);
	refuses = true;
	for (bool failed = true; failed;) {
		nth++;
		for (unsigned i = 0; i < ARRAY_SIZE(manners) && failed; i++)
			if (v->world->manners & (1u << i))
				failed = fail_nth(v, nth, &manners[i]);
	}
	assert_true(nth > 10);
	print_message("%s, %s, topology %d, enforcement %d: %u calls; %u died, %u were heard of, "
		      "%u made no difference\n",
		      v->scenario->name, v->world->name, v->topology, v->enforcement, nth - 1,
		      v->died, v->heard, v->unnoticed);
}

static void sweep_world(const struct scenario *scenario, const struct world *world)
{
	for (enum vsm_topology t = VSM_TOPOLOGY_SINGLE_VM; t <= VSM_TOPOLOGY_VM_PER_VTL; t++)
		for (enum vsm_enforcement e = VSM_ENFORCEMENT_SLOTS; e <= VSM_ENFORCEMENT_ALIAS;
		     e++) {
			struct variant v = {.scenario = scenario,
					    .world = world,
					    .topology = t,
					    .enforcement = e};

			sweep(&v);
		}
}

static void test_sweep(void **state)
{
	const struct scenario *scenario = *state;

	for (size_t i = 0; i < ARRAY_SIZE(worlds); i++)
		if (!scenario->three || worlds[i].max_vtl >= 2)
			sweep_world(scenario, &worlds[i]);
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(scenarios)];
	int failed;

	for (unsigned i = 0; i < ARRAY_SIZE(scenarios); i++)
		tests[i] = (struct CMUnitTest){.name = scenarios[i].name,
					       .test_func = test_sweep,
					       .initial_state = (void *)&scenarios[i]};
	act_watch_start(&watchdog, &a);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	act_watch_stop(&watchdog);
	return failed;
}
