/* SPDX-License-Identifier: MIT */
/*
 * A guest of a few instructions in 64-bit mode at CPL 0, on KVM alone: not a line of the library.
 */
#include "long_mode.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#define PML4	    0x1000u
#define PDPT	    0x2000u
#define PD	    0x3000u
#define PT	    0x4000u
#define HANDLERS    0x8000u

#define CPUIDS	    256
#define CPUID_AVX   (1u << 28) /* leaf 1, ECX */
#define CR0	    0x80010033 /* PG WP NE ET MP PE */
#define CR4	    0x00000620 /* OSXMMEXCPT OSFXSR PAE */
#define CR4_OSXSAVE 0x00040000
#define EFER	    0xd00 /* NXE LMA LME */
#define XCR0	    7

/* --- memory --- */

enum {
	SLOT_BELOW,
	SLOT_CLOSED,
	SLOT_ABOVE
};

static bool set_slot(const struct guest *g, unsigned id, uint64_t first, uint64_t end,
		     const uint8_t *host, unsigned flags)
{
	struct kvm_userspace_memory_region slot = {
		.slot = id,
		.flags = flags,
		.guest_phys_addr = first,
		.memory_size = end - first,
		.userspace_addr = (uintptr_t)host,
	};

	return ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &slot) == 0;
}

static bool show_closed(const struct guest *g, unsigned flags, int protection)
{
	return mprotect(g->closed, PAGE, protection) == 0 &&
	       set_slot(g, SLOT_CLOSED, GUEST_CLOSED, GUEST_CLOSED + PAGE, g->closed, flags);
}

bool guest_show_all(struct guest *g)
{
	set_slot(g, SLOT_CLOSED, GUEST_CLOSED, GUEST_CLOSED, g->closed, 0);
	return show_closed(g, 0, PROT_READ | PROT_WRITE);
}

bool guest_show(struct guest *g, enum guest_closing closing)
{
	const int both = PROT_READ | PROT_WRITE;

	if (!set_slot(g, SLOT_BELOW, 0, GUEST_CLOSED, g->memory, 0) ||
	    !set_slot(g, SLOT_ABOVE, GUEST_CLOSED + PAGE, GUEST_BYTES,
		      g->memory + GUEST_CLOSED + PAGE, 0))
		return false;
	switch (closing) {
	case CLOSED_ABSENT:
		return true;
	case CLOSED_READ_ONLY:
		return show_closed(g, KVM_MEM_READONLY, both);
	case CLOSED_NONE:
		return show_closed(g, 0, PROT_NONE);
	case CLOSED_READ:
		return show_closed(g, 0, PROT_READ);
	}
	return false;
}

static bool map_memory(struct guest *g)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);
	bool ok = fd >= 0 && ftruncate(fd, GUEST_BYTES) == 0;

	g->memory = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	g->closed = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, GUEST_CLOSED);
	close(fd);
	return ok && g->memory != MAP_FAILED && g->closed != MAP_FAILED;
}

/* --- what the processor finds in it --- */

uint64_t guest_place(const struct guest *g, enum guest_part part)
{
	static const uint64_t places[] = {
		[PART_DATA] = GUEST_DATA, [PART_CODE] = GUEST_CODE, [PART_TABLE] = GUEST_TABLE,
		[PART_GDT] = GUEST_GDT,	  [PART_IDT] = GUEST_IDT,   [PART_STACK] = GUEST_STACK,
	};

	return g->part == part ? GUEST_CLOSED : places[part];
}

uint64_t *guest_words(const struct guest *g, uint64_t gpa)
{
	return (uint64_t *)(g->memory + gpa);
}

uint64_t *guest_entry(const struct guest *g)
{
	return guest_words(g, guest_place(g, PART_TABLE));
}

static void write_tables(const struct guest *g)
{
	*guest_words(g, PML4) = PDPT | ENTRY_USED;
	*guest_words(g, PDPT) = PD | ENTRY_USED;
	guest_words(g, PD)[0] = PT | ENTRY_USED;
	guest_words(g, PD)[1] = guest_place(g, PART_TABLE) | ENTRY_USED;
	for (uint64_t page = 0; page < 512; page++)
		guest_words(g, PT)[page] = page * PAGE | ENTRY_USED;
	*guest_entry(g) = GUEST_DATA | ENTRY_USED;
}

static void write_descriptors(const struct guest *g)
{
	static const uint64_t gdt[] = {
		[SELECTOR_CODE / 8] = 0x00af9b000000ffff,
		[SELECTOR_DATA / 8] = 0x00cf93000000ffff,
		[SELECTOR_FRESH_CODE / 8] = 0x00af9a000000ffff,
		[SELECTOR_FRESH_DATA / 8] = 0x00cf92000000ffff,
	};
	uint64_t *idt = guest_words(g, guest_place(g, PART_IDT));

	memcpy(guest_words(g, guest_place(g, PART_GDT)), gdt, sizeof(gdt));
	for (unsigned vector = 0; vector < 256; vector++) {
		const uint8_t tell[] = {0xe6, (uint8_t)vector, 0xf4}; /* out %al, $vector; hlt */
		uint64_t handler = HANDLERS + 4 * vector;

		idt[2 * vector] = handler | SELECTOR_CODE << 16 | UINT64_C(0x8e00) << 32;
		memcpy(g->memory + handler, tell, sizeof(tell));
	}
}

/* --- the vCPU --- */

/* CPUID as the host has it. */
static bool set_cpuid(struct guest *g)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + CPUIDS * sizeof(cpuid->entries[0]));
	bool ok;

	if (!cpuid)
		return false;
	cpuid->nent = CPUIDS;
	ok = ioctl(g->kvm, KVM_GET_SUPPORTED_CPUID, cpuid) == 0 &&
	     ioctl(g->vcpu, KVM_SET_CPUID2, cpuid) == 0;
	for (unsigned i = 0; ok && i < cpuid->nent; i++) {
		if (cpuid->entries[i].function == 1)
			g->avx = cpuid->entries[i].ecx & CPUID_AVX;
	}
	free(cpuid);
	return ok;
}

static bool set_avx(const struct guest *g)
{
	struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs[0].value = XCR0};

	return !g->avx || ioctl(g->vcpu, KVM_SET_XCRS, &xcrs) == 0;
}

static bool set_registers(const struct guest *g)
{
	const struct kvm_segment code = {.limit = ~0u,
					 .selector = SELECTOR_CODE,
					 .type = 11,
					 .present = 1,
					 .s = 1,
					 .l = 1,
					 .g = 1};
	const struct kvm_segment data = {.limit = ~0u,
					 .selector = SELECTOR_DATA,
					 .type = 3,
					 .present = 1,
					 .s = 1,
					 .db = 1,
					 .g = 1};
	struct kvm_sregs sregs;

	if (ioctl(g->vcpu, KVM_GET_SREGS, &sregs))
		return false;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr0 = CR0;
	sregs.cr3 = PML4;
	sregs.cr4 = CR4 | (g->avx ? CR4_OSXSAVE : 0);
	sregs.efer = EFER;
	sregs.gdt.base = guest_place(g, PART_GDT);
	sregs.gdt.limit = SELECTOR_FRESH_DATA + 7;
	sregs.idt.base = guest_place(g, PART_IDT);
	sregs.idt.limit = PAGE - 1;
	return ioctl(g->vcpu, KVM_SET_SREGS, &sregs) == 0;
}

bool guest_open(struct guest *g, enum guest_part part)
{
	*g = (struct guest){.part = part, .kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC)};
	g->run_size = (size_t)ioctl(g->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	g->vm = ioctl(g->kvm, KVM_CREATE_VM, 0);
	g->vcpu = ioctl(g->vm, KVM_CREATE_VCPU, 0);
	if (g->kvm < 0 || g->vm < 0 || g->vcpu < 0 || !map_memory(g))
		return false;
	g->run = mmap(NULL, g->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu, 0);
	if (g->run == MAP_FAILED || !set_cpuid(g))
		return false;
	write_tables(g);
	write_descriptors(g);
	return set_registers(g) && set_avx(g);
}

void guest_close(struct guest *g)
{
	munmap(g->run, g->run_size);
	close(g->vcpu);
	close(g->vm);
	close(g->kvm);
	munmap(g->memory, GUEST_BYTES);
	munmap(g->closed, PAGE);
}

/* --- running it --- */

/* KVM counts the instructions that it emulates (KVM_GET_STATS_FD; Linux 5.14). */
static uint64_t count_emulated(const struct guest *g)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *d;
	uint64_t count = 0;
	int fd = ioctl(g->vcpu, KVM_GET_STATS_FD, NULL);
	size_t size;

	if (fd < 0 || pread(fd, &header, sizeof(header), 0) != sizeof(header)) {
		close(fd);
		return 0;
	}
	size = sizeof(*d) + header.name_size;
	d = calloc(1, size);
	for (unsigned i = 0; d && i < header.num_desc; i++) {
		off_t at = header.desc_offset + (off_t)(i * size);

		if (pread(fd, d, size, at) != (ssize_t)size || strcmp(d->name, "insn_emulation"))
			continue;
		if (pread(fd, &count, sizeof(count), header.data_offset + d->offset) < 0)
			count = 0;
	}
	free(d);
	close(fd);
	return count;
}

static void on_alarm(int signal)
{
	(void)signal;
}

static void set_alarm(unsigned ms)
{
	const struct itimerval timer = {.it_value.tv_usec = 1000 * ms};
	const struct sigaction action = {.sa_handler = on_alarm};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

bool guest_run(struct guest *g, struct outcome *o)
{
	uint64_t before = count_emulated(g);

	set_alarm(STAY_MS);
	o->error = ioctl(g->vcpu, KVM_RUN, 0) < 0 ? errno : 0;
	set_alarm(0);
	o->emulated = count_emulated(g) - before;
	return ioctl(g->vcpu, KVM_GET_REGS, &o->regs) == 0 &&
	       ioctl(g->vcpu, KVM_GET_SREGS, &o->sregs) == 0 &&
	       ioctl(g->vcpu, KVM_GET_VCPU_EVENTS, &o->events) == 0;
}

static void print_exit(const struct kvm_run *run)
{
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		printf("port %#x", run->io.port);
		break;
	case KVM_EXIT_MMIO:
		printf("MMIO, %s of %u bytes at %#" PRIx64, run->mmio.is_write ? "write" : "read",
		       run->mmio.len, (uint64_t)run->mmio.phys_addr);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		printf("internal error, suberror %u, data", run->internal.suberror);
		for (unsigned i = 0; i < run->internal.ndata && i < 16; i++)
			printf(" %" PRIx64, (uint64_t)run->internal.data[i]);
		break;
	default:
		printf("exit reason %u", run->exit_reason);
	}
}

void guest_print(const struct guest *g, const struct outcome *o)
{
	const struct kvm_regs *regs = &o->regs;

	if (o->error == EINTR)
		printf("no exit for %d ms", STAY_MS);
	else if (o->error)
		printf("KVM_RUN fails: %s", strerror(o->error));
	else
		print_exit(g->run);
	printf("; RIP=%" PRIx64 " RSP=%" PRIx64 " RFLAGS=%" PRIx64 " RAX=%" PRIx64 " RBX=%" PRIx64
	       " RCX=%" PRIx64 " RDX=%" PRIx64 " RDI=%" PRIx64 " CR2=%" PRIx64,
	       (uint64_t)regs->rip, (uint64_t)regs->rsp, (uint64_t)regs->rflags,
	       (uint64_t)regs->rax, (uint64_t)regs->rbx, (uint64_t)regs->rcx, (uint64_t)regs->rdx,
	       (uint64_t)regs->rdi, (uint64_t)o->sregs.cr2);
	printf("; exception %u%s%s, interrupt %u%s, nmi%s%s; emulated %" PRIu64 "\n",
	       o->events.exception.nr, o->events.exception.injected ? " injected" : "",
	       o->events.exception.pending ? " pending" : "", o->events.interrupt.nr,
	       o->events.interrupt.injected ? " injected" : "",
	       o->events.nmi.injected ? " injected" : "", o->events.nmi.pending ? " pending" : "",
	       o->emulated);
}
