/* SPDX-License-Identifier: MIT */
/* What the event loops of io_uring and epoll have in common. */
#ifndef VSM_LIB_KVM_LINUX_EVENT_H
#define VSM_LIB_KVM_LINUX_EVENT_H

#include "kvm/linux.h"

/* Each function but create() is called through here; see ops.h. */
struct linux_event_backend {
	int (*create)(struct kvm_event_loop **loop);
	void (*destroy)(struct kvm_event_loop *loop);
	int (*add_fd)(struct kvm_event_loop *loop, int fd, uint64_t cookie);
	int (*remove_fd)(struct kvm_event_loop *loop, int fd);
	int (*collect)(struct kvm_event_loop *loop, bool block, uint64_t *cookies, unsigned max);
};

/*
 * The first member of both. Deadlines are a timerfd's in both: any thread can move it with one
 * system call, while a request in a ring belongs to the task that submitted it, and goes with it.
 */
struct kvm_event_loop {
	const struct linux_event_backend *backend;
	int fd; /* tells of events */
	int timer_fd;
};

/* linux_uring.c */
extern const struct linux_event_backend linux_uring_backend;

#endif
