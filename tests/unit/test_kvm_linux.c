// SPDX-License-Identifier: MIT
/* The real side of the kernel boundary, as far as it goes without a KVM device: files, mappings,
 * threads and errnos. tests/contract/ has the rest. */
#include <stdio.h>
#include <string.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>
#include "kvm/ops.h"

#define OP(name, ...) kvm_linux_host.ops->name(&kvm_linux_host, ##__VA_ARGS__)
#define PAGE	      4096u

static void test_table_is_full(void **state)
{
	void *const *members = (void *const *)kvm_linux_host.ops;

	(void)state;
	for (size_t i = 0; i < sizeof(struct kvm_ops) / sizeof(*members); i++)
		assert_non_null(members[i]);
}

static void test_memfd(void **state)
{
	uint64_t size = 1;
	int fd = OP(create_memfd, "test", 3 * PAGE), copy;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(OP(file_size, fd, &size), 0);
	assert_int_equal(size, 3 * PAGE);
	copy = OP(duplicate_fd, fd);
	assert_true(copy >= 0 && copy != fd);
	assert_int_equal(fcntl(copy, F_GETFD), FD_CLOEXEC);
	assert_int_equal(OP(close_fd, fd), 0);
	assert_int_equal(OP(file_size, copy, &size), 0);
	assert_int_equal(OP(close_fd, copy), 0);
}

static void test_max_mappings(void **state)
{
	const struct kvm_host *h = &kvm_linux_host;
	FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
	int expected = 65530;

	(void)state;
	if (f) {
		assert_int_equal(fscanf(f, "%d", &expected), 1);
		fclose(f);
	}
	assert_int_equal(h->ops->max_mappings(h), expected);
}

/* Linux names the extensions it may use; CPUID may have more. */
static void test_emulates(void **state)
{
	char line[8192];
	FILE *f = fopen("/proc/cpuinfo", "re");
	bool named = false;
	int emulates = kvm_linux_host.ops->emulates(&kvm_linux_host);

	(void)state;
	assert_true(emulates == 0 || emulates == 1);
	while (f && fgets(line, sizeof(line), f))
		named |= !strncmp(line, "flags", 5) &&
			 (strstr(line, " vmx ") || strstr(line, " svm "));
	if (f)
		fclose(f);
	if (named)
		assert_int_equal(emulates, 0);
}

static void test_memfd_errors(void **state)
{
	uint64_t size = 1;
	int next = OP(create_memfd, "test", PAGE), fd;
	struct rlimit limit, low;

	(void)state;
	assert_true(next >= 0);
	assert_int_equal(OP(close_fd, next), 0);
	assert_int_equal(OP(create_memfd, "test", UINT64_C(1) << 63), -EINVAL);
	/* A size the process may not have: the file is made, then refused, and not left behind. */
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	signal(SIGXFSZ, SIG_IGN);
	low = limit;
	low.rlim_cur = PAGE;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	assert_int_equal(OP(create_memfd, "test", 2 * PAGE), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	fd = OP(create_memfd, "test", PAGE);
	assert_int_equal(fd, next);
	assert_int_equal(OP(close_fd, fd), 0);
	assert_int_equal(OP(close_fd, fd), -EBADF);
	assert_int_equal(OP(duplicate_fd, fd), -EBADF);
	assert_int_equal(OP(file_size, fd, &size), -EBADF);
	assert_int_equal(size, 1);
}

/* Two views of a file: each with its own protection, both of the same bytes. */
static void test_mappings(void **state)
{
	int fd = OP(create_memfd, "test", 4 * PAGE), pair[2];
	void *a = NULL, *b = NULL, *c = NULL;

	(void)state;
	assert_int_equal(OP(map_memory, fd, 0, 4 * PAGE, KVM_MAP_READ_WRITE, NULL, &a), 0);
	assert_int_equal(OP(map_memory, fd, PAGE, 2 * PAGE, KVM_MAP_READ, NULL, &b), 0);
	((uint8_t *)a)[PAGE] = 0x77;
	assert_int_equal(((uint8_t *)b)[0], 0x77);
	/* Exactly there, in place of what was. */
	assert_int_equal(
		OP(map_memory, fd, PAGE, PAGE, KVM_MAP_READ_WRITE, (uint8_t *)a + 2 * PAGE, &c), 0);
	assert_ptr_equal(c, (uint8_t *)a + 2 * PAGE);
	assert_int_equal(*(uint8_t *)c, 0x77);
	/* The kernel looks at protections for a system call as it does for a guest. */
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(write(pair[1], b, 1), 1);
	assert_int_equal(read(pair[0], b, 1), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(OP(protect_memory, b, PAGE, KVM_MAP_NONE), 0);
	assert_int_equal(write(pair[1], b, 1), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(OP(protect_memory, b, PAGE, KVM_MAP_READ_WRITE), 0);
	assert_int_equal(read(pair[0], b, 1), 1);
	assert_int_equal(OP(unmap_memory, a, 4 * PAGE), 0);
	assert_int_equal(OP(unmap_memory, b, 2 * PAGE), 0);
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(OP(close_fd, fd), 0);
}

static void test_mapping_errors(void **state)
{
	int fd = OP(create_memfd, "test", PAGE);
	char *untouched = (char *)PAGE;
	void *at = untouched;

	(void)state;
	assert_int_equal(OP(map_memory, -1, 0, PAGE, KVM_MAP_READ, NULL, &at), -EBADF);
	assert_int_equal(OP(map_memory, fd, 1, PAGE, KVM_MAP_READ, NULL, &at), -EINVAL);
	assert_int_equal(OP(map_memory, fd, 0, 0, KVM_MAP_READ, NULL, &at), -EINVAL);
	assert_int_equal(OP(map_memory, fd, UINT64_C(1) << 63, PAGE, KVM_MAP_READ, NULL, &at),
			 -EINVAL);
	assert_ptr_equal(at, untouched);
	assert_int_equal(OP(protect_memory, untouched + 1, PAGE, KVM_MAP_READ), -EINVAL);
	assert_int_equal(OP(unmap_memory, untouched + 1, PAGE), -EINVAL);
	assert_int_equal(OP(close_fd, fd), 0);
}

static volatile sig_atomic_t signals;

static void count_signal(int signo)
{
	(void)signo;
	signals++;
}

static void test_threads(void **state)
{
	struct sigaction action = {.sa_handler = count_signal};
	uint64_t before = OP(clock_ns), time = 0, again;

	(void)state;
	assert_int_equal(OP(current_thread), gettid());
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	assert_int_equal(OP(signal_thread, gettid(), SIGUSR1), 0);
	/* A sanitizer may put the handler off until the next call into libc. */
	for (unsigned i = 0; i < 1000 && !signals; i++)
		usleep(1000);
	assert_int_equal(signals, 1);
	assert_int_equal(OP(signal_thread, gettid(), 12345), -EINVAL);
	assert_int_equal(OP(signal_thread, INT32_MAX, SIGUSR1), -ESRCH);
	assert_true(before > 0 && OP(clock_ns) >= before);
	assert_int_equal(OP(thread_time_ns, gettid(), &time), 0);
	assert_true(time > 0);
	for (again = time; again == time;)
		assert_int_equal(OP(thread_time_ns, gettid(), &again), 0);
	assert_true(again > time);
	assert_int_equal(OP(thread_time_ns, 0x7ffffff, &time), -EINVAL);
}

/* The errno of a call the kernel refuses arrives as it is. */
static void test_ioctl_errors(void **state)
{
	int fd = OP(create_memfd, "test", PAGE);
	struct kvm_regs regs;
	struct kvm_run *run = NULL;
	static uint8_t image[sizeof(struct kvm_xsave)];

	(void)state;
	assert_int_equal(OP(open_device, "/nonexistent/kvm"), -ENOENT);
	assert_int_equal(OP(get_api_version, fd), -ENOTTY);
	assert_int_equal(OP(check_extension, fd, KVM_CAP_XSAVE), -ENOTTY);
	assert_int_equal(OP(create_vm, -1), -EBADF);
	assert_int_equal(OP(run, -1), -EBADF);
	assert_int_equal(OP(get_regs, fd, &regs), -ENOTTY);
	assert_int_equal(OP(map_vcpu, -1, PAGE, &run), -EBADF);
	assert_null(run);
	assert_int_equal(OP(get_xsave, fd, image, sizeof(image) - 1), -EINVAL);
	assert_int_equal(OP(get_xsave, fd, image, sizeof(image)), -ENOTTY);
	assert_int_equal(OP(close_fd, fd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_is_full),  cmocka_unit_test(test_memfd),
		cmocka_unit_test(test_max_mappings),   cmocka_unit_test(test_emulates),
		cmocka_unit_test(test_memfd_errors),   cmocka_unit_test(test_mappings),
		cmocka_unit_test(test_mapping_errors), cmocka_unit_test(test_threads),
		cmocka_unit_test(test_ioctl_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
