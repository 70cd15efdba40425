// SPDX-License-Identifier: MIT
/*
 * The event loop made of io_uring: one poll request an fd, submitted anew after each event.
 *
 * Only the thread in collect() touches the ring; the others change the table of fds and wake it. A
 * request goes with the task that submitted it: its completion says "cancelled", and whoever
 * collects next submits it again.
 */
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "kvm/linux_event.h"

#define SOURCES	    (KVM_EVENT_FDS + 2) /* the timer and wake_fd */
#define RING_SIZE   64
#define COOKIE_WAKE (UINT64_MAX - 1)
#define TAG_IGNORE  UINT64_MAX

enum source_state {
	SOURCE_FREE,
	SOURCE_WANTED,	/* to be submitted */
	SOURCE_ARMED,	/* the kernel polls it */
	SOURCE_LEAVING, /* the same, but nobody wants it any more */
	SOURCE_LEFT,	/* cancelling: free when the poll's completion comes */
};

struct source {
	enum source_state state;
	int fd;
	uint64_t cookie;
};

struct uring_loop {
	struct kvm_event_loop base;
	struct io_uring ring;
	int wake_fd;
	pthread_mutex_t lock; /* sources */
	struct source sources[SOURCES];
};

static struct uring_loop *uring_of(struct kvm_event_loop *loop)
{
	return (struct uring_loop *)loop;
}

static int source_add(struct uring_loop *u, int fd, uint64_t cookie)
{
	int r = -ENOSPC;

	pthread_mutex_lock(&u->lock);
	for (unsigned i = 0; i < SOURCES && r; i++) {
		if (u->sources[i].state != SOURCE_FREE)
			continue;
		u->sources[i] = (struct source){SOURCE_WANTED, fd, cookie};
		r = 0;
	}
	pthread_mutex_unlock(&u->lock);
	return r;
}

static int uring_create(struct kvm_event_loop **out)
{
	struct uring_loop *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return -ENOMEM;
	u->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (u->wake_fd < 0) {
		r = -errno;
		free(u);
		return r;
	}
	r = io_uring_queue_init(RING_SIZE, &u->ring, 0);
	if (r) {
		close(u->wake_fd);
		free(u);
		return r;
	}
	pthread_mutex_init(&u->lock, NULL);
	source_add(u, u->wake_fd, COOKIE_WAKE);
	u->base.fd = u->ring.ring_fd;
	*out = &u->base;
	return 0;
}

static void uring_destroy(struct kvm_event_loop *loop)
{
	struct uring_loop *u = uring_of(loop);

	io_uring_queue_exit(&u->ring);
	close(u->wake_fd);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

static int uring_add(struct kvm_event_loop *loop, int fd, uint64_t cookie)
{
	int r = source_add(uring_of(loop), fd, cookie);

	return r ? r : linux_signal_fd(NULL, uring_of(loop)->wake_fd);
}

static int uring_remove(struct kvm_event_loop *loop, int fd)
{
	struct uring_loop *u = uring_of(loop);
	int r = -ENOENT;

	pthread_mutex_lock(&u->lock);
	for (unsigned i = 0; i < SOURCES && r; i++) {
		struct source *s = &u->sources[i];

		if (s->fd != fd || (s->state != SOURCE_WANTED && s->state != SOURCE_ARMED))
			continue;
		s->state = s->state == SOURCE_WANTED ? SOURCE_FREE : SOURCE_LEAVING;
		r = 0;
	}
	pthread_mutex_unlock(&u->lock);
	return r ? r : linux_signal_fd(NULL, u->wake_fd);
}

/* A free entry of the submission queue, making room if need be. */
static struct io_uring_sqe *next_sqe(struct uring_loop *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (sqe || io_uring_submit(&u->ring) < 0)
		return sqe;
	return io_uring_get_sqe(&u->ring);
}

static int submit_source(struct uring_loop *u, unsigned i)
{
	struct source *s = &u->sources[i];
	struct io_uring_sqe *sqe;

	if (s->state != SOURCE_WANTED && s->state != SOURCE_LEAVING)
		return 0;
	sqe = next_sqe(u);
	if (!sqe)
		return -EBUSY;
	if (s->state == SOURCE_WANTED) {
		io_uring_prep_poll_add(sqe, s->fd, POLLIN);
		io_uring_sqe_set_data64(sqe, i);
		s->state = SOURCE_ARMED;
	} else {
		io_uring_prep_poll_remove(sqe, i);
		io_uring_sqe_set_data64(sqe, TAG_IGNORE);
		s->state = SOURCE_LEFT;
	}
	return 0;
}

static int prepare(struct uring_loop *u)
{
	int r = 0;

	pthread_mutex_lock(&u->lock);
	for (unsigned i = 0; i < SOURCES && !r; i++)
		r = submit_source(u, i);
	pthread_mutex_unlock(&u->lock);
	return r;
}

/* One completion; true: *cookie is to be told. */
static bool complete(struct uring_loop *u, const struct io_uring_cqe *cqe, uint64_t *cookie)
{
	uint64_t i = io_uring_cqe_get_data64(cqe);
	bool ready = false;

	if (i >= SOURCES)
		return false;
	pthread_mutex_lock(&u->lock);
	/* Anything but a cancelled poll is an fd that cannot be polled. */
	if (u->sources[i].state == SOURCE_ARMED && (cqe->res > 0 || cqe->res == -ECANCELED)) {
		u->sources[i].state = SOURCE_WANTED;
		*cookie = u->sources[i].cookie;
		ready = cqe->res > 0;
	} else {
		u->sources[i].state = SOURCE_FREE;
	}
	pthread_mutex_unlock(&u->lock);
	if (ready && *cookie == COOKIE_WAKE) {
		linux_drain_fd(NULL, u->wake_fd);
		return false;
	}
	return ready;
}

static int uring_collect(struct kvm_event_loop *loop, bool block, uint64_t *cookies, unsigned max)
{
	struct uring_loop *u = uring_of(loop);
	struct io_uring_cqe *cqe;
	unsigned n = 0;
	int r = prepare(u);

	if (!r)
		r = io_uring_submit_and_wait(&u->ring, block && max ? 1 : 0);
	if (r < 0)
		return r == -EINTR ? 0 : r;
	while (n < max && !io_uring_peek_cqe(&u->ring, &cqe)) {
		n += complete(u, cqe, &cookies[n]);
		io_uring_cqe_seen(&u->ring, cqe);
	}
	return (int)n;
}

const struct linux_event_backend linux_uring_backend = {
	.create = uring_create,
	.destroy = uring_destroy,
	.add_fd = uring_add,
	.remove_fd = uring_remove,
	.collect = uring_collect,
};
