// SPDX-License-Identifier: MIT
/* The event loop: which backend, deadlines, and the backend made of epoll. */
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "kvm/linux_event.h"

#define NS_PER_S UINT64_C(1000000000)
#define BATCH	 16

/* --- epoll --- */

static int epoll_create_loop(struct kvm_event_loop **out)
{
	struct kvm_event_loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return -ENOMEM;
	loop->fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->fd < 0) {
		int r = -errno;

		free(loop);
		return r;
	}
	*out = loop;
	return 0;
}

static void epoll_destroy_loop(struct kvm_event_loop *loop)
{
	close(loop->fd);
	free(loop);
}

static int epoll_add(struct kvm_event_loop *loop, int fd, uint64_t cookie)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = cookie};

	return linux_result(epoll_ctl(loop->fd, EPOLL_CTL_ADD, fd, &event));
}

static int epoll_remove(struct kvm_event_loop *loop, int fd)
{
	return linux_result(epoll_ctl(loop->fd, EPOLL_CTL_DEL, fd, NULL));
}

static int epoll_collect(struct kvm_event_loop *loop, bool block, uint64_t *cookies, unsigned max)
{
	struct epoll_event events[BATCH];
	int n;

	if (!max)
		return 0;
	n = epoll_wait(loop->fd, events, max < BATCH ? (int)max : BATCH, block ? -1 : 0);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++)
		cookies[i] = events[i].data.u64;
	return n;
}

static const struct linux_event_backend epoll_backend = {
	.create = epoll_create_loop,
	.destroy = epoll_destroy_loop,
	.add_fd = epoll_add,
	.remove_fd = epoll_remove,
	.collect = epoll_collect,
};

/* --- both --- */

static int add_timer(struct kvm_event_loop *loop)
{
	int r;

	loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->timer_fd < 0)
		return -errno;
	r = loop->backend->add_fd(loop, loop->timer_fd, KVM_EVENT_DEADLINE);
	if (!r) /* asks the kernel once: a denied io_uring may show only here */
		r = loop->backend->collect(loop, false, NULL, 0);
	return r < 0 ? r : 0;
}

static int create_with(const struct linux_event_backend *backend, struct kvm_event_loop **out)
{
	struct kvm_event_loop *loop = NULL;
	int r = backend->create(&loop);

	if (r)
		return r;
	loop->backend = backend;
	loop->timer_fd = -1;
	r = add_timer(loop);
	if (r)
		linux_event_destroy(NULL, loop);
	else
		*out = loop;
	return r;
}

/*
 * io_uring may be absent (ENOSYS), denied by a sysctl, seccomp or an LSM (EPERM, EACCES), or refuse
 * to lock memory (ENOMEM): whatever the reason, epoll does as well.
 */
int linux_event_create(LINUX_HOST, enum kvm_event_backend backend, struct kvm_event_loop **loop)
{
	int r = -ENOSYS;

	if (backend != KVM_EVENT_EPOLL)
		r = create_with(&linux_uring_backend, loop);
	if (r && backend != KVM_EVENT_URING)
		r = create_with(&epoll_backend, loop);
	return r;
}

void linux_event_destroy(LINUX_HOST, struct kvm_event_loop *loop)
{
	int timer = loop->timer_fd;

	loop->backend->destroy(loop);
	if (timer >= 0)
		close(timer);
}

int linux_event_fd(LINUX_HOST, const struct kvm_event_loop *loop)
{
	return loop->fd;
}

/* An absolute time of 0 would disarm. Setting the time also takes back what has expired. */
int linux_event_set_deadline(LINUX_HOST, struct kvm_event_loop *loop, uint64_t ns)
{
	struct itimerspec t = {0};

	if (ns != KVM_NEVER) {
		ns += !ns;
		t.it_value.tv_sec = (time_t)(ns / NS_PER_S);
		t.it_value.tv_nsec = (long)(ns % NS_PER_S);
	}
	return linux_result(timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &t, NULL));
}

int linux_event_add_fd(LINUX_HOST, struct kvm_event_loop *loop, int fd, uint64_t cookie)
{
	return loop->backend->add_fd(loop, fd, cookie);
}

int linux_event_remove_fd(LINUX_HOST, struct kvm_event_loop *loop, int fd)
{
	return loop->backend->remove_fd(loop, fd);
}

int linux_event_collect(LINUX_HOST, struct kvm_event_loop *loop, bool block, uint64_t *cookies,
			unsigned max)
{
	return loop->backend->collect(loop, block, cookies, max);
}
