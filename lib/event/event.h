/* SPDX-License-Identifier: MIT */
/*
 * A partition's event loop: the next deadline of any VP, and file descriptors with callbacks.
 *
 * A VP that runs in the guest cannot notice that a timer of one of its VTLs has expired: it arms
 * the loop on its way in, and the loop brings it out when the time has come. A VP that sleeps wakes
 * up by itself.
 */
#ifndef VSM_LIB_EVENT_EVENT_H
#define VSM_LIB_EVENT_EVENT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct kvm_event_loop;
struct vsm_partition;

/* An fd became readable. Called with the partition's lock held, after the fd was drained. */
typedef void (*event_fn)(struct vsm_partition *p, void *ctx);

struct event_source {
	int fd; /* -1: unused */
	event_fn fn;
	void *ctx;
};

struct events {
	struct kvm_event_loop *loop; /* NULL: none */
	bool has_thread;
	bool stop;
	pthread_t thread;
	uint64_t deadline;	      /* what the loop is set to, KVM_NEVER: nothing */
	struct event_source *sources; /* the cookie is the index */
	unsigned source_count;
};

/*
 * Makes the loop, and a thread that runs it if `thread`. -EAGAIN, -ENOMEM, -EMFILE and others of
 * the kernel. Stopping a loop that was not started is allowed; the partition's lock is not held,
 * and nothing is called back after it.
 */
int event_start(struct vsm_partition *p, bool thread, bool no_uring);
void event_stop(struct vsm_partition *p);

/*
 * The loop shall look at the VPs' deadlines then, or sooner. The lock is held. 0, or -errno of the
 * kernel.
 */
int event_arm(struct vsm_partition *p, uint64_t deadline_ns);

/*
 * From now on calls fn when an eventfd-like fd is readable. The fd stays the caller's, until
 * event_remove(). The lock is held. -ENOSPC: too many; -ENOMEM; errors of the kernel.
 */
int event_add(struct vsm_partition *p, int fd, event_fn fn, void *ctx);
void event_remove(struct vsm_partition *p, int fd);

#endif
