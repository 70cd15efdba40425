/* SPDX-License-Identifier: MIT */
/*
 * The event loops of the real kernel, io_uring's and epoll's: the same tests on both. Also sleeping
 * on a wake-up fd.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include "kvm/ops.h"

#define OP(name, ...) kvm_linux_host.ops->name(&kvm_linux_host, ##__VA_ARGS__)
#define MS	      UINT64_C(1000000)
#define MAX	      8

/* Skips where the host denies io_uring. */
static struct kvm_event_loop *loop_of(void **state)
{
	enum kvm_event_backend backend = *(enum kvm_event_backend *)*state;
	struct kvm_event_loop *loop = NULL;
	int r = OP(event_create, backend, &loop);

	if (r && backend == KVM_EVENT_URING)
		skip();
	assert_int_equal(r, 0);
	return loop;
}

static bool readable(struct kvm_event_loop *loop, int ms)
{
	struct pollfd p = {.fd = OP(event_fd, loop), .events = POLLIN};
	int r;

	do
		r = poll(&p, 1, ms);
	while (r < 0 && errno == EINTR);
	return r == 1;
}

static int wake_fd(void)
{
	int fd = OP(create_wake_fd);

	assert_true(fd >= 0);
	return fd;
}

static void test_deadline(void **state)
{
	struct kvm_event_loop *loop = loop_of(state);
	uint64_t cookies[MAX], start = OP(clock_ns);

	assert_int_equal(OP(event_collect, loop, false, cookies, MAX), 0);
	assert_int_equal(OP(event_set_deadline, loop, start + 20 * MS), 0);
	while (OP(event_collect, loop, true, cookies, MAX) == 0)
		;
	assert_true(cookies[0] == KVM_EVENT_DEADLINE);
	assert_true(OP(clock_ns) >= start + 20 * MS);
	/* In the past is now; none is never. */
	assert_int_equal(OP(event_set_deadline, loop, 1), 0);
	while (OP(event_collect, loop, true, cookies, MAX) == 0)
		;
	assert_int_equal(OP(event_set_deadline, loop, KVM_NEVER), 0);
	OP(event_collect, loop, false, cookies, MAX); /* what was under way */
	assert_false(readable(loop, 20));
	assert_int_equal(OP(event_collect, loop, false, cookies, MAX), 0);
	OP(event_destroy, loop);
}

static void test_fds(void **state)
{
	struct kvm_event_loop *loop = loop_of(state);
	int a = wake_fd(), b = wake_fd();
	uint64_t cookies[MAX];

	assert_int_equal(OP(event_add_fd, loop, a, 11), 0);
	assert_int_equal(OP(event_add_fd, loop, b, 12), 0);
	assert_int_equal(OP(event_collect, loop, false, cookies, MAX), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(OP(signal_fd, b), 0);
		assert_true(readable(loop, 1000));
		assert_int_equal(OP(event_collect, loop, false, cookies, MAX), 1);
		assert_int_equal(cookies[0], 12);
		assert_int_equal(OP(drain_fd, b), 0);
		assert_int_equal(OP(drain_fd, b), 0); /* empty is fine */
		assert_int_equal(OP(event_collect, loop, false, cookies, 0), 0);
		assert_false(readable(loop, 0));
	}
	assert_int_equal(OP(event_remove_fd, loop, b), 0);
	assert_int_equal(OP(event_remove_fd, loop, b), -ENOENT);
	assert_int_equal(OP(signal_fd, b), 0);
	assert_int_equal(OP(event_collect, loop, false, cookies, MAX), 0);
	assert_int_equal(OP(signal_fd, a), 0);
	while (OP(event_collect, loop, true, cookies, MAX) == 0)
		;
	assert_int_equal(cookies[0], 11);
	OP(event_destroy, loop);
	OP(close_fd, a);
	OP(close_fd, b);
}

struct poke {
	struct kvm_event_loop *loop;
	int fd;
};

static void *add_later(void *arg)
{
	struct poke *p = arg;

	usleep(20000);
	assert_int_equal(OP(event_add_fd, p->loop, p->fd, 5), 0);
	return NULL;
}

/* An fd that another thread adds while one waits, and that is readable already. */
static void test_add_while_waiting(void **state)
{
	struct poke p = {.loop = loop_of(state), .fd = wake_fd()};
	uint64_t cookies[MAX];
	pthread_t thread;

	assert_int_equal(OP(signal_fd, p.fd), 0);
	assert_int_equal(pthread_create(&thread, NULL, add_later, &p), 0);
	while (OP(event_collect, p.loop, true, cookies, MAX) == 0)
		;
	assert_int_equal(cookies[0], 5);
	pthread_join(thread, NULL);
	OP(event_destroy, p.loop);
	OP(close_fd, p.fd);
}

static void *collect_once(void *arg)
{
	uint64_t cookies[MAX];

	OP(event_collect, arg, false, cookies, MAX);
	return NULL;
}

/* The thread that looked last is gone, and its requests with it: another one goes on. */
static void test_thread_gone(void **state)
{
	struct kvm_event_loop *loop = loop_of(state);
	int fd = wake_fd(), n = 0;
	uint64_t cookies[MAX];
	pthread_t thread;

	assert_int_equal(OP(event_add_fd, loop, fd, 5), 0);
	assert_int_equal(pthread_create(&thread, NULL, collect_once, loop), 0);
	pthread_join(thread, NULL);
	assert_int_equal(OP(signal_fd, fd), 0);
	while (!n) {
		assert_true(readable(loop, 1000));
		n = OP(event_collect, loop, false, cookies, MAX);
		if (!n)
			OP(event_collect, loop, false, cookies, 0);
	}
	assert_int_equal(n, 1);
	assert_int_equal(cookies[0], 5);
	OP(event_destroy, loop);
	OP(close_fd, fd);
}

static void on_signal(int signo)
{
	(void)signo;
}

static void *signal_later(void *arg)
{
	usleep(20000);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static void test_wait(void **state)
{
	struct sigaction action = {.sa_handler = on_signal};
	pthread_t self = pthread_self(), thread;
	uint64_t now = OP(clock_ns);
	int fd = wake_fd();

	(void)state;
	assert_int_equal(OP(wait_fd, fd, now + 10 * MS), -ETIMEDOUT);
	assert_true(OP(clock_ns) >= now + 10 * MS);
	assert_int_equal(OP(wait_fd, fd, 0), -ETIMEDOUT);
	assert_int_equal(OP(signal_fd, fd), 0);
	assert_int_equal(OP(signal_fd, fd), 0);
	assert_int_equal(OP(wait_fd, fd, KVM_NEVER), 0);
	assert_int_equal(OP(drain_fd, fd), 0);
	assert_int_equal(OP(wait_fd, fd, 0), -ETIMEDOUT);
	sigaction(SIGUSR1, &action, NULL);
	assert_int_equal(pthread_create(&thread, NULL, signal_later, &self), 0);
	assert_int_equal(OP(wait_fd, fd, KVM_NEVER), -EINTR);
	pthread_join(thread, NULL);
	assert_int_equal(OP(close_fd, fd), 0);
	assert_int_equal(OP(signal_fd, fd), -EBADF);
	assert_int_equal(OP(drain_fd, fd), -EBADF);
}

int main(void)
{
	static enum kvm_event_backend uring = KVM_EVENT_URING, epoll = KVM_EVENT_EPOLL,
				      any = KVM_EVENT_ANY;
#define ON(test, backend)                                         \
	{                                                         \
#test " on " #backend, test, NULL, NULL, &backend \
	}
	const struct CMUnitTest tests[] = {
		ON(test_deadline, uring),
		ON(test_deadline, epoll),
		ON(test_deadline, any),
		ON(test_fds, uring),
		ON(test_fds, epoll),
		ON(test_add_while_waiting, uring),
		ON(test_add_while_waiting, epoll),
		ON(test_thread_gone, uring),
		ON(test_thread_gone, epoll),
		cmocka_unit_test(test_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
