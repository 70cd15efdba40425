// SPDX-License-Identifier: MIT
/* Sleeping until somebody wakes the thread through a file descriptor, or a signal does. */
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "kvm/linux.h"

#define NS_PER_S UINT64_C(1000000000)

int linux_create_wake_fd(LINUX_HOST)
{
	return linux_result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

/* EAGAIN: the counter is full, so the fd is readable as it is to be. */
int linux_signal_fd(LINUX_HOST, int fd)
{
	const uint64_t one = 1;
	int saved = errno, r = 0;

	if (write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		r = -errno;
	errno = saved; /* a signal handler's caller keeps it */
	return r;
}

int linux_drain_fd(LINUX_HOST, int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return -errno;
	return 0;
}

int linux_wait_fd(const struct kvm_host *h, int fd, uint64_t until_ns)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t now, left;
	struct timespec ts;
	int r;

	if (until_ns == KVM_NEVER) {
		r = ppoll(&p, 1, NULL, NULL);
	} else {
		now = linux_clock_ns(h);
		left = until_ns > now ? until_ns - now : 0;
		ts = (struct timespec){.tv_sec = (time_t)(left / NS_PER_S),
				       .tv_nsec = (long)(left % NS_PER_S)};
		r = ppoll(&p, 1, &ts, NULL);
	}
	if (r < 0)
		return -errno;
	return r ? 0 : -ETIMEDOUT;
}
