/* SPDX-License-Identifier: MIT */
/* What bare KVM costs: the same exits, switches and protections without the library. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "bench.h"

#define CODE	    0x1000
#define TABLES	    0x2000 /* one page each of levels 4, 3 and 2 */
#define PORT	    0xe7
#define TABLE_ENTRY 0x67
#define LARGE_ENTRY 0xe7
#define LEVELS	    3
#define XSAVE_USED  832 /* x87, SSE, the header and AVX */

struct floor_cpu {
	int vm_fd, fd;
	struct kvm_run *run;
	/* What was read of it last. */
	uint8_t xsave[4096]; /* struct kvm_xsave */
	struct kvm_debugregs debugregs;
	struct kvm_xcrs xcrs;
	uint64_t entries[LEVELS];
	bool seen;
};

struct floor {
	bool one_vm;
	pthread_mutex_t lock;
	int run_size, memory_fd;
	uint8_t *ram[2]; /* of the two VMs; with one VM both are the same */
	struct floor_cpu cpus[2];
};

static void set_slot(int vm_fd, uint32_t slot, uint64_t gpa, uint64_t size, const uint8_t *host)
{
	struct kvm_userspace_memory_region r = {.slot = slot,
						.guest_phys_addr = gpa,
						.memory_size = size,
						.userspace_addr = (uintptr_t)host};

	if (ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &r) < 0)
		die("the floor's memslot %u: %s", slot, strerror(errno));
}

/* 1: out %al, $PORT; jmp 1b, and tables that map the first GiB one to one. */
static void write_guest(uint8_t *ram)
{
	static const uint8_t code[] = {0xe6, PORT, 0xeb, 0xfc};
	uint64_t *tables = (uint64_t *)(ram + TABLES);

	memcpy(ram + CODE, code, sizeof(code));
	tables[0] = (TABLES + 0x1000) | TABLE_ENTRY;
	tables[512] = (TABLES + 0x2000) | TABLE_ENTRY;
	for (uint64_t i = 0; i < 512; i++)
		tables[1024 + i] = i << 21 | LARGE_ENTRY;
}

int floor_create_vm(int kvm_fd)
{
	int fd;

	do {
		fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		die("a VM: %s", strerror(errno));
	return fd;
}

static int make_vm(struct floor *f, int kvm_fd, unsigned index)
{
	int fd = floor_create_vm(kvm_fd);

	f->ram[index] = mmap(NULL, BENCH_RAM, PROT_READ | PROT_WRITE, MAP_SHARED, f->memory_fd, 0);
	if (f->ram[index] == MAP_FAILED)
		die("the floor's memory: %s", strerror(errno));
	set_slot(fd, 0, 0, BENCH_RAM, f->ram[index]);
	return fd;
}

static void make_cpu(struct floor *f, struct floor_cpu *c, unsigned index, struct kvm_cpuid2 *cpuid)
{
	c->fd = ioctl(c->vm_fd, KVM_CREATE_VCPU, index);
	if (c->fd < 0 || ioctl(c->fd, KVM_SET_CPUID2, cpuid) < 0)
		die("the floor's vCPU: %s", strerror(errno));
	c->run = mmap(NULL, (size_t)f->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	if (c->run == MAP_FAILED)
		die("the floor's kvm_run: %s", strerror(errno));
	set_long_mode(c->fd, TABLES, CODE, 0x8000);
	/* What a VMM needs to see of an exit that means something to it. */
	c->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
}

struct floor *floor_open(int kvm_fd, bool one_vm)
{
	struct floor *f = calloc(1, sizeof(*f));
	struct kvm_cpuid2 *cpuid = supported_cpuid(kvm_fd);

	if (!f)
		die("out of memory");
	f->one_vm = one_vm;
	pthread_mutex_init(&f->lock, NULL);
	f->run_size = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	f->memory_fd = memfd_create("floor", MFD_CLOEXEC);
	if (f->memory_fd < 0 || ftruncate(f->memory_fd, BENCH_RAM) < 0)
		die("the floor's memory: %s", strerror(errno));
	for (unsigned i = 0; i < 2; i++) {
		if (i && one_vm) {
			f->cpus[1].vm_fd = f->cpus[0].vm_fd;
			f->ram[1] = f->ram[0];
		} else {
			f->cpus[i].vm_fd = make_vm(f, kvm_fd, i);
			write_guest(f->ram[i]);
		}
		make_cpu(f, &f->cpus[i], i, cpuid);
	}
	free(cpuid);
	return f;
}

void floor_close(struct floor *f)
{
	for (unsigned i = 0; i < 2; i++) {
		munmap(f->cpus[i].run, (size_t)f->run_size);
		close(f->cpus[i].fd);
	}
	for (unsigned i = 0; i < (f->one_vm ? 1 : 2); i++) {
		close(f->cpus[i].vm_fd);
		munmap(f->ram[i], BENCH_RAM);
	}
	close(f->memory_fd);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static void run(struct floor_cpu *c)
{
	if (ioctl(c->fd, KVM_RUN, 0) < 0)
		die("the floor's KVM_RUN: %s", strerror(errno));
	if (c->run->exit_reason != KVM_EXIT_IO)
		die("the floor's guest ended with exit reason %u", c->run->exit_reason);
}

uint64_t floor_exits(struct floor *f, uint64_t n)
{
	uint64_t start = now_ns();

	while (n--)
		run(&f->cpus[0]);
	return now_ns() - start;
}

uint64_t floor_pairs(struct floor *f, uint64_t n)
{
	uint64_t start = now_ns();

	while (n--) {
		run(&f->cpus[0]);
		run(&f->cpus[1]);
	}
	return now_ns() - start;
}

static void work_on(struct floor_cpu *c, unsigned work)
{
	if (work & FLOOR_REGS)
		c->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	if (((work & FLOOR_XSAVE) && ioctl(c->fd, KVM_GET_XSAVE, c->xsave) < 0) ||
	    ((work & FLOOR_XCRS) && ioctl(c->fd, KVM_GET_XCRS, &c->xcrs) < 0) ||
	    ((work & FLOOR_DEBUGREGS) && ioctl(c->fd, KVM_GET_DEBUGREGS, &c->debugregs) < 0))
		die("the floor's registers: %s", strerror(errno));
}

/* The entries of the guest's tables that map its code. */
static uint64_t entries_changed(const struct floor *f, struct floor_cpu *c)
{
	const uint64_t *tables = (const uint64_t *)(f->ram[c - f->cpus] + TABLES);
	uint64_t changed = 0;

	for (unsigned i = 0; i < LEVELS; i++) {
		uint64_t entry = __atomic_load_n(&tables[i * 512], __ATOMIC_RELAXED);

		changed |= entry ^ c->entries[i];
		c->entries[i] = entry;
	}
	return changed;
}

static bool others(const struct floor_cpu *from, const struct floor_cpu *to)
{
	return memcmp(from->debugregs.db, to->debugregs.db, sizeof(to->debugregs.db)) ||
	       from->xcrs.xcrs[0].value != to->xcrs.xcrs[0].value ||
	       from->run->s.regs.sregs.cr2 != to->run->s.regs.sregs.cr2 ||
	       memcmp(from->xsave, to->xsave, XSAVE_USED);
}

static void move_regs(const struct kvm_regs *from, struct kvm_regs *to)
{
	struct kvm_regs kept = *to;

	*to = *from;
	to->rsp = kept.rsp;
	to->rip = kept.rip;
	to->rflags = kept.rflags;
}

/* Nothing in the guest changes any of this, once it has been read of both. */
static void move(struct floor *f, unsigned from)
{
	struct floor_cpu *a = &f->cpus[from], *b = &f->cpus[!from];
	bool changed = entries_changed(f, a) != 0;

	move_regs(&a->run->s.regs.regs, &b->run->s.regs.regs);
	b->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	if (a->seen && (changed || others(a, b)))
		die("the floor's guest changed something");
	a->seen = true;
}

static void run_and_work(struct floor *f, unsigned index, unsigned work)
{
	if (work & FLOOR_MOVE)
		pthread_mutex_unlock(&f->lock);
	run(&f->cpus[index]);
	if (work & FLOOR_MOVE)
		pthread_mutex_lock(&f->lock);
	work_on(&f->cpus[index], work);
	if (work & FLOOR_MOVE)
		move(f, index);
}

uint64_t floor_working_pairs(struct floor *f, uint64_t n, unsigned work)
{
	uint64_t start = now_ns();

	pthread_mutex_lock(&f->lock);
	while (n--) {
		run_and_work(f, 0, work);
		run_and_work(f, 1, work);
	}
	pthread_mutex_unlock(&f->lock);
	return now_ns() - start;
}

static void remap(struct floor *f, unsigned index)
{
	set_slot(f->cpus[index].vm_fd, 0, 0, 0, f->ram[index]);
	set_slot(f->cpus[index].vm_fd, 0, 0, BENCH_RAM, f->ram[index]);
}

uint64_t floor_remapped_pairs(struct floor *f, uint64_t n)
{
	uint64_t start = now_ns();

	while (n--) {
		remap(f, 0);
		run(&f->cpus[0]);
		remap(f, 1);
		run(&f->cpus[1]);
	}
	return now_ns() - start;
}

static void protect(uint8_t *at, uint64_t pages, int prot)
{
	if (mprotect(at, pages * 4096, prot))
		die("the floor's mprotect: %s", strerror(errno));
}

static void protect_pieces(struct floor *f, uint64_t pages, uint64_t stride, int prot)
{
	if (stride == 1) {
		protect(f->ram[0] + BENCH_ARENA, pages, prot);
		return;
	}
	for (uint64_t i = 0; i < pages; i++)
		protect(f->ram[0] + BENCH_ARENA + i * stride * 4096, 1, prot);
}

static void touch(struct floor *f, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at += 4096)
		((volatile uint8_t *)f->ram[0])[BENCH_ARENA + at] = 1;
}

uint64_t floor_mprotect(struct floor *f, uint64_t n, uint64_t pages, uint64_t stride)
{
	uint64_t start;

	touch(f, pages * stride * 4096);
	start = now_ns();
	while (n--) {
		protect_pieces(f, pages, stride, PROT_READ);
		protect_pieces(f, pages, stride, PROT_READ | PROT_WRITE);
	}
	return now_ns() - start;
}

/*
 * The slots that leave out `pages` pages of the arena: one below it, one between each two and one
 * above.
 */
static void slots_around(struct floor *f, uint64_t pages, uint64_t stride, bool there)
{
	uint64_t at = 0, gaps = stride == 1 ? 1 : pages, gap = stride == 1 ? pages * 4096 : 4096;
	uint32_t slot = 1;

	for (uint64_t i = 0; i < gaps; i++) {
		uint64_t hole = BENCH_ARENA + i * stride * 4096;

		set_slot(f->cpus[0].vm_fd, slot++, at, there ? hole - at : 0, f->ram[0] + at);
		at = hole + gap;
	}
	set_slot(f->cpus[0].vm_fd, slot, at, there ? BENCH_RAM - at : 0, f->ram[0] + at);
}

uint64_t floor_slots(struct floor *f, uint64_t n, uint64_t pages, uint64_t stride)
{
	uint64_t start = now_ns();

	while (n--) {
		set_slot(f->cpus[0].vm_fd, 0, 0, 0, f->ram[0]);
		slots_around(f, pages, stride, true);
		slots_around(f, pages, stride, false);
		set_slot(f->cpus[0].vm_fd, 0, 0, BENCH_RAM, f->ram[0]);
	}
	return now_ns() - start;
}
