/* SPDX-License-Identifier: MIT */
/*
 * Protections until the host's mappings run out (vm.max_map_count), on real mappings: what was done
 * is exact, nothing stays more open than asked, and a partition's share leaves the VMM its own.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm/linux.h"
#include "partition/partition.h"
#include "vsm/vsm.h"

#define EXIT_SKIP 77
#define PAGE	  UINT64_C(4096)
/* Of the host's limit; a host with a higher one is not brought there. */
#define MOST 200000

static int kvm, max_map_count, sink; /* what is read goes to the sink */

#define CHECK(condition)                                           \
	do {                                                       \
		if (!(condition))                                  \
			errx(1, "line %d: " #condition, __LINE__); \
	} while (0)

/* Closes every second page from `first` on, until that fails: how many were closed. */
static unsigned close_pages(struct vsm_partition *p, uint64_t first, uint64_t pages, int *error)
{
	unsigned n = 0;

	pthread_mutex_lock(&p->lock);
	for (uint64_t page = first; page < pages; page += 2, n++) {
		*error = memory_limit(&p->memory, 1, 0, page, page + 1, 0);
		if (*error)
			break;
	}
	pthread_mutex_unlock(&p->lock);
	return n;
}

/* pwrite(2) reads the page as the VTL's mapping lets it. */
static bool readable(struct vsm_partition *p, uint64_t page)
{
	const struct memory_region *r = memory_region_of(&p->memory, page);
	ssize_t n = pwrite(sink, r->alias[0] + ((page - r->first) << VSM_PAGE_SHIFT), 1, 0);

	CHECK(n == 1 || errno == EFAULT);
	return n == 1;
}

static void check_pages(struct vsm_partition *p, unsigned closed)
{
	for (uint64_t i = 0; i < closed + 10; i++) {
		CHECK(readable(p, 2 * i) == (i >= closed));
		CHECK(readable(p, 2 * i + 1));
	}
}

/* Mappings the VMM can still make, up to `wanted`. */
static unsigned spare_mappings(unsigned wanted)
{
	void **at = calloc(wanted, sizeof(*at));
	unsigned n;

	CHECK(at);
	for (n = 0; n < wanted; n++) {
		/* Neighbours must not melt into one. */
		at[n] = mmap(NULL, PAGE, n & 1 ? PROT_READ : PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (at[n] == MAP_FAILED)
			break;
	}
	for (unsigned i = 0; i < n; i++)
		munmap(at[i], PAGE);
	free(at);
	return n;
}

static struct vsm_partition *start(uint32_t max_mappings, uint64_t pages, int *vm)
{
	struct vsm_partition_options o = {.size = sizeof(o),
					  .kvm_fd = kvm,
					  .vm_fd = linux_create_vm(NULL, kvm),
					  .enforcement = VSM_ENFORCEMENT_ALIAS,
					  .max_mappings = max_mappings};
	struct vsm_memory_region r = {.size = sizeof(r), .bytes = pages * PAGE};
	struct vsm_partition *p;

	r.fd = memfd_create("ram", MFD_CLOEXEC);
	CHECK(o.vm_fd >= 0 && r.fd >= 0 && !ftruncate(r.fd, (off_t)r.bytes));
	CHECK(vsm_partition_create(&o, &p) == 0);
	CHECK(vsm_partition_map_memory(p, &r) == 0);
	CHECK(memory_limit_default(&p->memory, 1, PROT_ALL) == 0);
	close(r.fd);
	*vm = o.vm_fd;
	return p;
}

static void stop(struct vsm_partition *p, int vm)
{
	CHECK(!vsm_partition_death(p));
	vsm_partition_destroy(p);
	close(vm);
}

/* The host's own limit. */
static void all_of_the_host(void)
{
	uint64_t pages = (uint64_t)max_map_count + 1000;
	int error, vm;
	struct vsm_partition *p = start(UINT32_MAX, pages, &vm);
	unsigned n = close_pages(p, 0, pages, &error);

	CHECK(error == -ENOMEM);
	CHECK(n > (unsigned)max_map_count / 2 - 500 && n < (unsigned)max_map_count / 2);
	check_pages(p, n);
	/* Room is made by opening what lies between. */
	CHECK(memory_limit(&p->memory, 1, 0, 0, 400, PROT_ALL) == 0);
	CHECK(close_pages(p, 2 * n, 2 * n + 300, &error) == 150);
	CHECK(!readable(p, 2 * n) && readable(p, 2 * n + 1) && readable(p, 398));
	printf("%u of %u pages closed at the host's limit\n", n, (unsigned)pages);
	stop(p, vm);
}

/* The partition's. */
static void share_of_the_host(void)
{
	uint64_t pages = (uint64_t)max_map_count + 1000;
	unsigned n, left = (unsigned)max_map_count / 4 - 500;
	int error, vm;
	struct vsm_partition *p = start(0, pages, &vm);

	n = close_pages(p, 0, pages, &error);
	CHECK(error == -ENOMEM);
	CHECK(n == (unsigned)max_map_count / 4 * 3 / 2);
	check_pages(p, n);
	CHECK(spare_mappings(left) == left);
	printf("%u pages closed as the partition's share, %u mappings left\n", n, left);
	stop(p, vm);
}

static bool host_can(void)
{
	static struct vsm_probe probe = {.size = sizeof(probe)};

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	return kvm >= 0 && !vsm_probe_host(kvm, &probe) && probe.usable;
}

int main(void)
{
	if (!host_can()) {
		printf("skipped: /dev/kvm is not usable\n");
		return EXIT_SKIP;
	}
	max_map_count = kvm_linux_host.ops->max_mappings(&kvm_linux_host);
	if (max_map_count > MOST) {
		printf("skipped: vm.max_map_count is %d\n", max_map_count);
		return EXIT_SKIP;
	}
	sink = memfd_create("sink", MFD_CLOEXEC);
	CHECK(sink >= 0);
	all_of_the_host();
	share_of_the_host();
	return 0;
}
