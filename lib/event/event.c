/* SPDX-License-Identifier: MIT */
/* The event loop of a partition, and who runs it. */
#include "event/event.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "event/watch.h"
#include "partition/hold.h"
#include "partition/partition.h"
#include "vcpu/vcpu.h"
#include "vsm/events.h"

#define BATCH  16
#define ROUNDS 16 /* of one vsm_partition_run_events() */

/* --- deadlines --- */

static int set_deadline(struct vsm_partition *p, uint64_t ns)
{
	int r = p->host->ops->event_set_deadline(p->host, p->events.loop, ns);

	if (!r)
		p->events.deadline = ns;
	return r;
}

/*
 * Only an earlier time costs a system call; what turns out to be too early is set anew when it
 * comes.
 */
int event_arm(struct vsm_partition *p, uint64_t deadline_ns)
{
	if (!p->events.loop || deadline_ns >= p->events.deadline)
		return 0;
	return set_deadline(p, deadline_ns);
}

/*
 * Brings out the VPs whose time has come, and sets the loop to the next. A VP arms itself again as
 * it goes back in.
 */
static int on_deadline(struct vsm_partition *p)
{
	uint64_t now = p->host->ops->clock_ns(p->host), next = watch_tick(p, now);

	for (uint32_t i = 0; i < p->max_vps; i++) {
		struct vsm_vcpu *vp = p->vps[i];

		if (!vp || !vp->inside)
			continue;
		if (vp->deadline <= now)
			partition_wake_vp(vp);
		else if (vp->deadline < next)
			next = vp->deadline;
	}
	return set_deadline(p, next);
}

/* --- file descriptors --- */

static struct event_source *free_source(struct events *e)
{
	struct event_source *grown;
	unsigned count = e->source_count ? e->source_count * 2 : 8;

	for (unsigned i = 0; i < e->source_count; i++)
		if (e->sources[i].fd < 0)
			return &e->sources[i];
	if (count > KVM_EVENT_FDS) {
		errno = ENOSPC;
		return NULL;
	}
	grown = reallocarray(e->sources, count, sizeof(*grown));
	if (!grown)
		return NULL;
	for (unsigned i = e->source_count; i < count; i++)
		grown[i].fd = -1;
	grown += e->source_count;
	e->sources = grown - e->source_count;
	e->source_count = count;
	return grown;
}

int event_add(struct vsm_partition *p, int fd, event_fn fn, void *ctx)
{
	struct events *e = &p->events;
	struct event_source *s = free_source(e);
	int r;

	if (!s)
		return -errno;
	*s = (struct event_source){.fd = fd, .fn = fn, .ctx = ctx};
	r = p->host->ops->event_add_fd(p->host, e->loop, fd, (uint64_t)(s - e->sources));
	if (r)
		s->fd = -1;
	return r;
}

void event_remove(struct vsm_partition *p, int fd)
{
	struct events *e = &p->events;

	for (unsigned i = 0; i < e->source_count; i++) {
		if (e->sources[i].fd != fd)
			continue;
		e->sources[i].fd = -1;
		p->host->ops->event_remove_fd(p->host, e->loop, fd);
	}
}

/*
 * An event that was under way when its fd was removed finds no source, or another's fd without a
 * signal in it.
 */
static int on_source(struct vsm_partition *p, uint64_t cookie)
{
	struct event_source s;
	int r;

	if (cookie >= p->events.source_count || p->events.sources[cookie].fd < 0)
		return 0;
	s = p->events.sources[cookie];
	r = p->host->ops->drain_fd(p->host, s.fd);
	if (!r)
		s.fn(p, s.ctx);
	return r;
}

/* --- running it --- */

/* The number of events, or -errno. */
static int run_once(struct vsm_partition *p, bool block)
{
	uint64_t cookies[BATCH];
	int n = p->host->ops->event_collect(p->host, p->events.loop, block, cookies, BATCH);
	int r = 0;

	pthread_mutex_lock(&p->lock);
	for (int i = 0; i < n && !r && !p->events.stop; i++)
		r = cookies[i] == KVM_EVENT_DEADLINE ? on_deadline(p) : on_source(p, cookies[i]);
	pthread_mutex_unlock(&p->lock);
	return r ? r : n;
}

static bool is_stopped(struct vsm_partition *p)
{
	bool stop;

	pthread_mutex_lock(&p->lock);
	stop = p->events.stop;
	pthread_mutex_unlock(&p->lock);
	return stop;
}

/* Timers that never fire are no reason to leave a guest running with them. */
static void *event_thread(void *arg)
{
	struct vsm_partition *p = arg;
	int r = 0;

	while (r >= 0 && !is_stopped(p))
		r = run_once(p, true);
	if (r < 0) {
		pthread_mutex_lock(&p->lock);
		partition_die(p, "waiting for events failed: %s", strerrorname_np(-r));
		pthread_mutex_unlock(&p->lock);
	}
	return NULL;
}

/* Signals are for the VMM's threads. */
static int start_thread(struct vsm_partition *p)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&p->events.thread, NULL, event_thread, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	p->events.has_thread = r == 0;
	return -r;
}

int event_start(struct vsm_partition *p, bool thread, bool no_uring)
{
	enum kvm_event_backend backend = no_uring ? KVM_EVENT_EPOLL : KVM_EVENT_ANY;
	int r = p->host->ops->event_create(p->host, backend, &p->events.loop);

	if (r) {
		p->events.loop = NULL;
		return r;
	}
	p->events.deadline = KVM_NEVER;
	return thread ? start_thread(p) : 0;
}

void event_stop(struct vsm_partition *p)
{
	struct events *e = &p->events;

	if (!e->loop)
		return;
	if (e->has_thread) {
		pthread_mutex_lock(&p->lock);
		e->stop = true;
		set_deadline(p, 1);
		pthread_mutex_unlock(&p->lock);
		pthread_join(e->thread, NULL);
	}
	p->host->ops->event_destroy(p->host, e->loop);
	free(e->sources);
	memset(e, 0, sizeof(*e));
}

int vsm_partition_event_fd(const struct vsm_partition *partition)
{
	if (!partition)
		return -EINVAL;
	if (partition->events.has_thread)
		return -EBUSY;
	return partition->host->ops->event_fd(partition->host, partition->events.loop);
}

/* The last look finds nothing, and so leaves everything armed for event_fd(). */
int vsm_partition_run_events(struct vsm_partition *partition)
{
	struct vsm_partition *p = partition;
	int n = 1;

	if (!p)
		return -EINVAL;
	if (p->events.has_thread)
		return -EBUSY;
	for (unsigned i = 0; i < ROUNDS && n > 0; i++)
		n = run_once(p, false);
	if (n > 0)
		n = p->host->ops->event_collect(p->host, p->events.loop, false, NULL, 0);
	return n < 0 ? n : 0;
}
