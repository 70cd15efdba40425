/* SPDX-License-Identifier: MIT */
/*
 * A disk's device model that reads and writes guest memory through vsm_memory_view(), by read(2),
 * write(2) and io_uring, on real mappings: it reaches what VTL0 may reach, and where VTL1 said no
 * it gets EFAULT.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm/linux.h"
#include "partition/partition.h"
#include "vsm/vsm.h"

#define EXIT_SKIP 77
#define PAGE	  4096
#define PAGES	  16
#define SECTOR	  512

/* What VTL1 leaves to VTL0, by page. */
enum page {
	OPEN,
	SECRET,	   /* nothing */
	READ_ONLY, /* reading and executing */
	DATA,	   /* reading and writing: under the strict policy closed to the vCPUs */
	KINDS,
};

static const struct {
	prot_t mask;
	bool readable, writable;
} kinds[KINDS] = {
	[OPEN] = {PROT_ALL, true, true},
	[SECRET] = {0, false, false},
	[READ_ONLY] = {PROT_R | PROT_KX | PROT_UX, true, false},
	[DATA] = {PROT_R | PROT_W, true, true},
};

static int kvm, ram_fd, disk;
static uint8_t *ram; /* the VMM's own mapping, which is open */

#define CHECK(condition)                                           \
	do {                                                       \
		if (!(condition))                                  \
			errx(1, "line %d: " #condition, __LINE__); \
	} while (0)

/* --- two ways to move a sector; the result is that of the system call, -errno on failure --- */

static struct io_uring ring;

static int by_syscall(bool to_memory, void *at, unsigned size)
{
	ssize_t n = to_memory ? pread(disk, at, size, 0) : pwrite(disk, at, size, 0);

	return n < 0 ? -errno : (int)n;
}

static int by_io_uring(bool to_memory, void *at, unsigned size)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	struct io_uring_cqe *cqe;
	int r;

	if (to_memory)
		io_uring_prep_read(sqe, disk, at, size, 0);
	else
		io_uring_prep_write(sqe, disk, at, size, 0);
	io_uring_submit(&ring);
	CHECK(io_uring_wait_cqe(&ring, &cqe) == 0);
	r = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	return r;
}

typedef int (*mover)(bool to_memory, void *at, unsigned size);

/* --- what a device of VTL0 can do --- */

static void fill(void)
{
	uint8_t sector[SECTOR];

	for (unsigned i = 0; i < PAGES; i++)
		memset(ram + i * PAGE, 'a' + (int)i, PAGE);
	memset(sector, '#', sizeof(sector));
	CHECK(pwrite(disk, sector, sizeof(sector), 0) == SECTOR);
}

static void into_memory(mover move, uint8_t *view, enum page page)
{
	bool ok = kinds[page].writable;

	fill();
	CHECK(move(true, view + page * PAGE, SECTOR) == (ok ? SECTOR : -EFAULT));
	CHECK(ram[page * PAGE] == (ok ? '#' : 'a' + page));
	CHECK(ram[page * PAGE + SECTOR - 1] == (ok ? '#' : 'a' + page));
}

static void out_of_memory(mover move, uint8_t *view, enum page page)
{
	char got = 0;
	bool ok = kinds[page].readable;

	fill();
	CHECK(move(false, view + page * PAGE, SECTOR) == (ok ? SECTOR : -EFAULT));
	CHECK(pread(disk, &got, 1, 0) == 1);
	CHECK(got == (ok ? (char)('a' + page) : '#'));
}

/* Half of it goes to the open page, at most; none to the next. */
static void across(mover move, uint8_t *view)
{
	int n;

	fill();
	n = move(true, view + PAGE - SECTOR / 2, SECTOR);
	CHECK(n == -EFAULT || n == SECTOR / 2);
	CHECK(ram[SECRET * PAGE] == 'a' + SECRET);
}

static void vtl0_device(mover move, uint8_t *view)
{
	for (enum page page = OPEN; page < KINDS; page++) {
		into_memory(move, view, page);
		out_of_memory(move, view, page);
	}
	across(move, view);
}

static void vtl1_device(mover move, uint8_t *view)
{
	for (enum page page = OPEN; page < KINDS; page++) {
		fill();
		CHECK(move(true, view + page * PAGE, SECTOR) == SECTOR);
		CHECK(move(false, view + page * PAGE, SECTOR) == SECTOR);
	}
}

/* --- the partition --- */

static uint8_t *view_of(struct vsm_partition *p, unsigned vtl)
{
	struct vsm_memory_view v = {.size = sizeof(v)};

	CHECK(vsm_memory_view(p, vtl, 0, &v) == 0);
	CHECK(v.guest_phys == 0 && v.bytes == PAGES * PAGE);
	return v.host;
}

/* As HvCallModifyVtlProtectionMask does it for VTL1. */
static void set_mask(struct vsm_partition *p, enum page page, prot_t mask)
{
	pthread_mutex_lock(&p->lock);
	CHECK(memory_limit(&p->memory, 1, 0, page, page + 1u, mask) == 0);
	pthread_mutex_unlock(&p->lock);
}

static void try_partition(struct vsm_partition *p, mover move)
{
	uint8_t *view = view_of(p, 0);

	CHECK(memory_limit_default(&p->memory, 1, PROT_ALL) == 0);
	for (enum page page = OPEN; page < KINDS; page++)
		set_mask(p, page, kinds[page].mask);
	vtl0_device(move, view);
	vtl1_device(move, view_of(p, 1));
	set_mask(p, SECRET, PROT_ALL);
	CHECK(move(true, view + SECRET * PAGE, SECTOR) == SECTOR);
	set_mask(p, SECRET, 0);
	CHECK(move(true, view + SECRET * PAGE, SECTOR) == -EFAULT);
}

static void try_options(enum vsm_enforcement enforcement, enum vsm_exec_policy policy, mover move)
{
	struct vsm_partition_options o = {.size = sizeof(o),
					  .kvm_fd = kvm,
					  .vm_fd = linux_create_vm(NULL, kvm),
					  .enforcement = enforcement,
					  .exec_policy = policy};
	struct vsm_memory_region r = {.size = sizeof(r), .bytes = PAGES * PAGE, .fd = ram_fd};
	struct vsm_partition *p;

	CHECK(o.vm_fd >= 0);
	CHECK(vsm_partition_create(&o, &p) == 0);
	CHECK(vsm_partition_map_memory(p, &r) == 0);
	try_partition(p, move);
	vsm_partition_destroy(p);
	close(o.vm_fd);
}

static void try_all(mover move)
{
	try_options(VSM_ENFORCEMENT_ALIAS, VSM_EXEC_STRICT, move);
	try_options(VSM_ENFORCEMENT_ALIAS, VSM_EXEC_RELAXED, move);
	try_options(VSM_ENFORCEMENT_SLOTS, VSM_EXEC_STRICT, move);
	try_options(VSM_ENFORCEMENT_SLOTS, VSM_EXEC_RELAXED, move);
}

static int shared_file(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, PAGES * PAGE))
		err(1, "%s", name);
	return fd;
}

static bool host_can(void)
{
	static struct vsm_probe probe = {.size = sizeof(probe)};

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	return kvm >= 0 && !vsm_probe_host(kvm, &probe) && probe.usable;
}

/* `--io-uring`: with it instead of read(2) and write(2). */
int main(int argc, char **argv)
{
	bool use_ring = argc > 1 && !strcmp(argv[1], "--io-uring");
	int r;

	if (!host_can()) {
		printf("skipped: /dev/kvm is not usable\n");
		return EXIT_SKIP;
	}
	r = use_ring ? io_uring_queue_init(4, &ring, 0) : 0;
	if (r) {
		printf("skipped: io_uring is not available: %s\n", strerror(-r));
		return EXIT_SKIP;
	}
	ram_fd = shared_file("ram");
	disk = shared_file("disk");
	ram = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd, 0);
	if (ram == MAP_FAILED)
		err(1, "mmap");
	try_all(use_ring ? by_io_uring : by_syscall);
	return 0;
}
