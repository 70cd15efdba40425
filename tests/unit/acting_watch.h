/* SPDX-License-Identifier: MIT */
/*
 * A watchdog for tests of several threads: a round that does not end is a failure that says who
 * waits for what, long before the test's time is up.
 */
#ifndef VSM_TESTS_UNIT_ACTING_WATCH_H
#define VSM_TESTS_UNIT_ACTING_WATCH_H

#include "acting_guest.h"

#include <stdio.h>
#include <time.h>

/* For one round, which takes milliseconds; on a busy machine and under valgrind, seconds. */
#define ACT_PATIENCE_S 60

struct act_watch {
	struct acting *a;
	unsigned patience_s;
	atomic_uint rounds; /* grows with each */
	pthread_mutex_t lock;
	pthread_cond_t stopped;
	bool stop;
	pthread_t thread;
};

static inline struct timespec act_watch_until(unsigned seconds)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += seconds;
	return t;
}

static inline void act_watch_report_vp(const struct vsm_vcpu *vp)
{
	fprintf(stderr,
		"VP %u: VTL%u, thread %d%s%s%s%s%s, %u holds%s, turn %llu, deadline %llu ns\n",
		vp->index, vp->active_vtl, atomic_load(&vp->thread), vp->inside ? ", inside" : "",
		atomic_load(&vp->asleep) ? ", asleep" : "", vp->nudged ? ", nudged" : "",
		atomic_load(&vp->kicked) ? ", kicked" : "",
		vp->vtls[vp->active_vtl].stepping ? ", stepping" : "", vp->holds,
		vp->held_by_step ? " (one for a step)" : "", (unsigned long long)vp->turn,
		(unsigned long long)vp->deadline);
	if (vp->setter_missed)
		fprintf(stderr, "VP %u has waited for a VTL that is not enabled\n", vp->index);
	if (vp->vtls[vp->active_vtl].awaits_tlb)
		fprintf(stderr, "VP %u waits for a TLB lock\n", vp->index);
}

/* Without the partition's lock, if that is what everybody waits for. */
static inline void act_watch_report(struct acting *a)
{
	struct timespec soon = act_watch_until(1);
	struct vsm_partition *p = a->s.p;
	bool locked = !pthread_mutex_timedlock(&p->lock, &soon);

	fprintf(stderr, "%s does not end\n", a->what ? a->what : "what runs");
	fprintf(stderr, "the partition%s%s is %s\n", p->dead ? ", dead," : "",
		locked ? "" : ", whose lock is held,",
		p->stepper ? "kept for a step" : "nobody's to step in");
	if (p->stepper)
		fprintf(stderr, "VP %u steps%s\n", p->stepper->index,
			p->step_overdue ? ", for too long" : "");
	for (unsigned i = 0; i < p->max_vps; i++)
		if (p->vps[i])
			act_watch_report_vp(p->vps[i]);
	for (unsigned i = 0; i < p->space_count; i++)
		fprintf(stderr, "VM %u shows VTL%d, %u inside, until %llu ns\n", i,
			p->spaces[i].shown_vtl, p->spaces[i].inside,
			(unsigned long long)p->spaces[i].slice_end);
	if (locked)
		pthread_mutex_unlock(&p->lock);
	fake_kvm_report(a->s.x.fake, stderr);
}

static inline void *act_watch_run(void *arg)
{
	struct act_watch *w = arg;
	unsigned seen = 0;
	int r = 0;

	pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		struct timespec until = act_watch_until(w->patience_s);

		while (!w->stop && !r)
			r = pthread_cond_timedwait(&w->stopped, &w->lock, &until);
		if (!w->stop && seen == atomic_load(&w->rounds)) {
			act_watch_report(w->a);
			abort();
		}
		seen = atomic_load(&w->rounds);
		r = 0;
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* Around all that main() runs; rounds are counted after act_start(). */
static inline void act_watch_start(struct act_watch *w, struct acting *a)
{
	w->a = a;
	w->patience_s = ACT_PATIENCE_S;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->stopped, NULL);
	if (pthread_create(&w->thread, NULL, act_watch_run, w))
		abort();
}

static inline void act_watch_round(struct act_watch *w)
{
	atomic_fetch_add(&w->rounds, 1);
}

static inline void act_watch_stop(struct act_watch *w)
{
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->stopped);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->stopped);
	pthread_mutex_destroy(&w->lock);
}

#endif
