/* SPDX-License-Identifier: MIT */
/*
 * The host refuses one call, each in turn, or all from one on, while a guest does what VSM is for.
 * Each time: somebody hears of it, or it made no difference, or the partition is dead and says why;
 * no page is more open than the limits say when a VP runs; nothing is leaked; and what is not dead
 * goes on.
 */
#include "acting_guest.h"
#include "vsm/memory.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

static struct acting a;

struct scenario {
	const char *name;
	void (*prepare)(void); /* before calls begin to fail */
	void (*run)(void);
	void (*end)(void); /* when calls fail no more; NULL: nothing */
	unsigned vps;
};

/* What a run came to. */
struct outcome {
	unsigned failures, successes;
	unsigned errors; /* of the library's functions */
	uint64_t intercepts;
	bool ended; /* VP 0 got to its end */
	prot_t limits[ACT_LAST_PAGE - ACT_FIRST_PAGE + 1];
	bool shown[ACT_LAST_PAGE - ACT_FIRST_PAGE + 1]; /* an overlay, in VTL1's view */
	uint32_t stored[2];
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

static void prepare_vtl1(void)
{
	act_give_vtl1(&a, 0);
	act_limit(&a);
}

static void prepare_both(void)
{
	act_give_vtl1(&a, 1);
	prepare_vtl1();
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

	act_list(&a, 0, 0, list, ARRAY_SIZE(list));
	act_list(&a, 0, 1, list, ARRAY_SIZE(list) - 1);
	drive();
}

static void run_step(void)
{
	LIST(0, {.kind = ACT_STORE, .gpa = ACT_STEPPED}, {.kind = ACT_STORE, .gpa = ACT_STEPPED});
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
	prepare_vtl1();
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

/* VTL1 opens the page that VTL0 stored to. */
static void run_intercept(void)
{
	LIST(0, {.kind = ACT_STORE, .gpa = ACT_CLOSED}, DO(ACT_CALL));
	LIST(1, {.kind = ACT_PROTECT, .gpa = ACT_CLOSED, .count = 1, .mask = PROT_ALL},
	     DO(ACT_RETURN));
	drive();
}

static void prepare_nothing(void)
{
}

static void run_enable(void)
{
	LIST(0, DO(ACT_ENABLE), DO(ACT_ENABLE_VP), DO(ACT_CALL));
	LIST(1, {.kind = ACT_MSR, .msr = HV_MSR_GUEST_OS_ID, .gpa = 1},
	     {.kind = ACT_MSR, .msr = HV_MSR_HYPERCALL, .gpa = PAGE_CODE | 1}, DO(ACT_FLUSH),
	     DO(ACT_RETURN));
	drive();
}

static void run_switch(void)
{
	LIST(0, DO(ACT_CALL), DO(ACT_CALL), DO(ACT_FLUSH), DO(ACT_CALL));
	LIST(1, DO(ACT_RETURN), DO(ACT_RETURN));
	drive();
}

static void run_disable(void)
{
	LIST(0, DO(ACT_CALL), {.kind = ACT_STORE, .gpa = ACT_TARGETS});
	LIST(1, PROTECT(0), {.kind = ACT_DISABLE_VP, .gpa = 1}, DO(ACT_RETURN));
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

	now.errors += vsm_memory_view(a.s.p, 0, 0, &view) != 0;
	run_protect();
}

static const struct scenario scenarios[] = {
	{"protect", prepare_vtl1, run_protect, NULL, 1},
	{"overlays", prepare_vtl1, run_overlays, NULL, 1},
	{"step", prepare_vtl1, run_step, NULL, 1},
	{"step among others", prepare_among_others, run_step, end_among_others, 2},
	{"intercept", prepare_vtl1, run_intercept, NULL, 1},
	{"enable", prepare_nothing, run_enable, NULL, 1},
	{"switch", prepare_vtl1, run_switch, NULL, 1},
	{"disable", prepare_both, run_disable, NULL, 2},
	{"reset", prepare_vtl1, run_reset, NULL, 1},
	{"devices", prepare_vtl1, run_devices, NULL, 1},
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
	const struct memory *m = &a.s.p->memory;

	for (uint64_t page = ACT_FIRST_PAGE; page <= ACT_LAST_PAGE; page++) {
		struct limits_state limits = limits_now(m, 0);
		uint64_t end;

		now.limits[page - ACT_FIRST_PAGE] = limits_get(m, &limits, page, &end);
		now.shown[page - ACT_FIRST_PAGE] = overlay_at(m, 1, page);
	}
	now.intercepts = a.s.vp[0]->stats.memory_intercepts;
	now.failures = atomic_load(&a.failures);
	now.successes = atomic_load(&a.successes);
	memcpy(&now.stored[0], a.s.x.mem + ACT_STEPPED + 8, 4);
	memcpy(&now.stored[1], a.s.x.mem + ACT_CLOSED + 8, 4);
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
	for (unsigned vtl = 0; vtl < 2; vtl++)
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

struct variant {
	const struct scenario *scenario;
	enum vsm_topology topology;
	enum vsm_enforcement enforcement;
	struct outcome good;
	unsigned died, heard, unnoticed;
};

static void start(const struct variant *v)
{
	now = (struct outcome){0};
	act_start(&a, v->scenario->vps,
		  &(struct vsm_partition_options){.topology = v->topology,
						  .enforcement = v->enforcement,
						  .flags = VSM_PARTITION_VMM_EVENTS});
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
	static char what[128];
	bool failed;

	start(v);
	fake_kvm_fail_from(a.s.x.fake, nth, manner->error, manner->lasting);
	v->scenario->run();
	failed = fake_kvm_failed(a.s.x.fake);
	snprintf(what, sizeof(what), "%s, topology %d, enforcement %d: call %u (%s) fails %s",
		 v->scenario->name, v->topology, v->enforcement, nth,
		 fake_kvm_failed_op(a.s.x.fake), manner->name);
	a.what = what;
	fake_kvm_relent(a.s.x.fake);
	if (v->scenario->end)
		v->scenario->end();
	if (failed) {
		look();
		judge(v);
	}
	act_stop(&a);
	a.what = NULL;
	return failed;
}

static void run_well(struct variant *v)
{
	start(v);
	v->scenario->run();
	if (v->scenario->end)
		v->scenario->end();
	look();
	v->good = now;
	assert_true(now.ended);
	assert_int_equal(now.failures, 0);
	assert_int_equal(now.errors, 0);
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
			failed = fail_nth(v, nth, &manners[i]);
	}
	assert_true(nth > 10);
	print_message("%s, topology %d, enforcement %d: %u calls; %u died, %u were heard of, %u "
		      "made no difference\n",
		      v->scenario->name, v->topology, v->enforcement, nth - 1, v->died, v->heard,
		      v->unnoticed);
}

static void test_sweep(void **state)
{
	for (enum vsm_topology t = VSM_TOPOLOGY_SINGLE_VM; t <= VSM_TOPOLOGY_VM_PER_VTL; t++)
		for (enum vsm_enforcement e = VSM_ENFORCEMENT_SLOTS; e <= VSM_ENFORCEMENT_ALIAS;
		     e++) {
			struct variant v = {.scenario = *state, .topology = t, .enforcement = e};

			sweep(&v);
		}
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(scenarios)];

	for (unsigned i = 0; i < ARRAY_SIZE(scenarios); i++)
		tests[i] = (struct CMUnitTest){.name = scenarios[i].name,
					       .test_func = test_sweep,
					       .initial_state = (void *)&scenarios[i]};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
