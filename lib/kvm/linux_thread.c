// SPDX-License-Identifier: MIT
/* Threads and time. */
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include "kvm/linux.h"

#define NS_PER_S UINT64_C(1000000000)

int linux_current_thread(LINUX_HOST)
{
	return gettid();
}

int linux_signal_thread(LINUX_HOST, int tid, int signo)
{
	return linux_result(tgkill(getpid(), tid, signo));
}

/* A clock of one thread (kernel: include/linux/posix-timers.h, CPUCLOCK_PERTHREAD, _SCHED). */
#define THREAD_CLOCK(tid) ((clockid_t)(~(unsigned)(tid) << 3 | 6))

int linux_thread_time_ns(LINUX_HOST, int tid, uint64_t *ns)
{
	struct timespec time;
	int r = linux_result(clock_gettime(THREAD_CLOCK(tid), &time));

	if (!r)
		*ns = (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
	return r;
}

/* CLOCK_MONOTONIC with a valid address cannot fail. */
uint64_t linux_clock_ns(LINUX_HOST)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}
