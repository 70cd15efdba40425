// SPDX-License-Identifier: MIT
/* Mappings and file descriptors of this process. */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "kvm/linux.h"

static int memory_prot(enum kvm_map_prot prot)
{
	return (prot & KVM_MAP_READ ? PROT_READ : 0) |
	       (prot == KVM_MAP_READ_WRITE ? PROT_WRITE : 0);
}

/*
 * Not MAP_NORESERVE: a shared mapping of a file is not charged to this process anyway, and with
 * hugetlbfs the reservation is what makes a shortage fail here and not when the guest runs.
 */
int linux_map_memory(LINUX_HOST, int fd, uint64_t offset, size_t size, enum kvm_map_prot prot,
		     void *at, void **addr)
{
	int flags = MAP_SHARED | (at ? MAP_FIXED : 0);
	void *map;

	if (offset > INT64_MAX)
		return -EINVAL;
	map = mmap(at, size, memory_prot(prot), flags, fd, (off_t)offset);
	if (map == MAP_FAILED)
		return -errno;
	*addr = map;
	return 0;
}

int linux_protect_memory(LINUX_HOST, void *addr, size_t size, enum kvm_map_prot prot)
{
	return linux_result(mprotect(addr, size, memory_prot(prot)));
}

int linux_unmap_memory(LINUX_HOST, void *addr, size_t size)
{
	return linux_result(munmap(addr, size));
}

int linux_create_memfd(LINUX_HOST, const char *name, uint64_t size)
{
	int fd, ret;

	if (size > INT64_MAX)
		return -EINVAL;
	fd = linux_result(memfd_create(name, MFD_CLOEXEC));
	if (fd < 0)
		return fd;
	ret = linux_result(ftruncate(fd, (off_t)size));
	if (ret < 0) {
		close(fd);
		return ret;
	}
	return fd;
}

/* A host that hides the sysctl most likely has the default (kernel: DEFAULT_MAX_MAP_COUNT). */
#define MAX_MAPPINGS_DEFAULT 65530

int linux_max_mappings(LINUX_HOST)
{
	int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
	char text[16] = {0};
	ssize_t got;
	long value;

	if (fd < 0)
		return MAX_MAPPINGS_DEFAULT;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	value = got > 0 ? strtol(text, NULL, 10) : 0;
	return value > 0 && value <= INT_MAX ? (int)value : MAX_MAPPINGS_DEFAULT;
}

int linux_file_size(LINUX_HOST, int fd, uint64_t *size)
{
	struct stat st;
	int ret = linux_result(fstat(fd, &st));

	if (ret == 0)
		*size = (uint64_t)st.st_size;
	return ret;
}

int linux_duplicate_fd(LINUX_HOST, int fd)
{
	return linux_result(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

/* On Linux the descriptor is gone even when close(2) was interrupted: not to be repeated. */
int linux_close_fd(LINUX_HOST, int fd)
{
	int ret = linux_result(close(fd));

	return ret == -EINTR ? 0 : ret;
}
