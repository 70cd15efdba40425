/* SPDX-License-Identifier: MIT */
/* The VM that is measured: an ordinary VMM on libvsm's public API, whose guest serves a mailbox. */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "bench.h"
#include "load.h"

#define FIRST_SLOT	     8
#define KICK_SIGNAL	     SIGUSR1
#define CPUID_MAX	     256
#define CALIBRATION_US	     100000
#define CALIBRATION_READINGS 16

/* The guest's image, from guest.S. */
extern const uint8_t guest_image[], guest_image_end[];

static void check(int r, const char *what)
{
	if (r)
		die("%s: %s", what, strerror(-r));
}

static void on_kick(int signal)
{
	(void)signal;
}

static void load_guest(struct vm *vm, struct load_result *start)
{
	struct load_request request = {
		.image = {guest_image, (size_t)(guest_image_end - guest_image), "guest"},
		.append = ""};
	struct ram ram = {vm->ram, BENCH_RAM};
	struct load_error error;

	if (load(&request, &ram, start, &error))
		die("the guest: %s", error.text);
}

static struct kvm_segment flat(uint16_t selector, uint8_t type)
{
	return (struct kvm_segment){.limit = UINT32_MAX,
				    .selector = selector,
				    .type = type,
				    .present = 1,
				    .s = 1,
				    .g = 1,
				    .db = 1};
}

/* As a multiboot loader leaves the processor. */
static void set_start(int fd, const struct load_result *start)
{
	struct kvm_regs regs = {.rflags = 2,
				.rip = start->entry,
				.rax = MULTIBOOT_LOADER_MAGIC,
				.rbx = start->info};
	struct kvm_sregs s;

	if (ioctl(fd, KVM_GET_SREGS, &s) < 0)
		die("KVM_GET_SREGS: %s", strerror(errno));
	s.cs = flat(LOAD_GDT_CODE, 0xb);
	s.ds = s.es = s.fs = s.gs = s.ss = flat(LOAD_GDT_DATA, 3);
	s.tr.type = 0xb;
	s.tr.present = 1;
	s.cr0 = 0x11;
	if (ioctl(fd, KVM_SET_SREGS, &s) < 0 || ioctl(fd, KVM_SET_REGS, &regs) < 0)
		die("the guest's registers: %s", strerror(errno));
}

static void set_cpuid(struct vm *vm, int kvm_fd)
{
	struct kvm_cpuid2 *supported = supported_cpuid(kvm_fd);
	struct kvm_cpuid2 *composed =
		calloc(1, sizeof(*composed) + CPUID_MAX * sizeof(composed->entries[0]));

	if (!composed)
		die("out of memory");
	composed->nent = CPUID_MAX;
	check(vsm_partition_compose_cpuid(vm->partition, supported, composed), "composing CPUID");
	check(vsm_vcpu_set_cpuid(vm->vcpu, composed), "CPUID");
	if (vm->other)
		check(vsm_vcpu_set_cpuid(vm->other, composed), "CPUID");
	free(supported);
	free(composed);
}

static void create(struct vm *vm, int kvm_fd, const struct vm_options *o)
{
	struct vsm_partition_options p = {.size = sizeof(p),
					  .kvm_fd = kvm_fd,
					  .vm_fd = vm->vm_fd,
					  .topology = o->topology,
					  .enforcement = o->enforcement,
					  .max_vps = o->other ? 2 : 1,
					  .first_slot = FIRST_SLOT,
					  .kick_signal = KICK_SIGNAL};
	struct vsm_memory_region region = {
		.size = sizeof(region), .bytes = BENCH_RAM, .fd = vm->memory_fd};
	struct vsm_vcpu_options vcpu = {.size = sizeof(vcpu)};
	int r = vsm_partition_create(&p, &vm->partition);

	if (r == -ENOTSUP)
		skip("this KVM lacks something libvsm needs");
	check(r, "making the partition");
	check(vsm_partition_map_memory(vm->partition, &region), "giving the guest its memory");
	check(vsm_vcpu_create(vm->partition, &vcpu, &vm->vcpu), "making the processor");
	if (!o->other)
		return;
	vcpu.index = vcpu.apic_id = 1;
	check(vsm_vcpu_create(vm->partition, &vcpu, &vm->other), "making the other processor");
}

/* Runs until the guest wants its next command. */
static void run_guest(struct vm *vm)
{
	struct kvm_run *run;
	uint64_t address;
	int r;

	do
		r = vsm_vcpu_run(vm->vcpu, &run);
	while (r == -EINTR);
	if (r)
		die("vsm_vcpu_run: %s (%s)", strerror(-r),
		    vsm_partition_death(vm->partition) ? vsm_partition_death(vm->partition)
						       : "alive");
	if (run->exit_reason != KVM_EXIT_IO || run->io.port != MAILBOX_PORT)
		die("the guest ended: exit reason %u, port %#x", run->exit_reason,
		    run->exit_reason == KVM_EXIT_IO ? run->io.port : 0);
	address = *(uint32_t *)((uint8_t *)run + run->io.data_offset);
	if (address > BENCH_RAM - sizeof(*vm->mailbox))
		die("the guest's mailbox is outside its memory");
	vm->mailbox = (struct mailbox *)(vm->ram + address);
}

static void *run_other(void *arg)
{
	struct vm *vm = arg;
	struct kvm_run *run;

	while (!atomic_load(&vm->ended)) {
		int r = vsm_vcpu_run(vm->other, &run);

		if (r && r != -EINTR)
			die("the other processor: %s", strerror(-r));
	}
	return NULL;
}

/* In the guest's own page tables. */
static void start_other(struct vm *vm)
{
	struct kvm_sregs s;

	if (ioctl(vsm_vcpu_fd(vm->vcpu, 0), KVM_GET_SREGS, &s) < 0)
		die("KVM_GET_SREGS: %s", strerror(errno));
	set_long_mode(vsm_vcpu_fd(vm->other, 0), s.cr3, vm->mailbox->spin, 0x8000);
	if (pthread_create(&vm->thread, NULL, run_other, vm))
		die("starting a thread");
}

/*
 * The guest's TSC, and the host's clock at about the same time: the closest of several readings.
 * Under an emulator another processor's turn may come between the two.
 */
static uint64_t read_clocks(struct vm *vm, uint64_t *tsc)
{
	uint64_t closest = UINT64_MAX, ns = 0;

	vm->mailbox->pages = 0;
	for (unsigned i = 0; i < CALIBRATION_READINGS; i++) {
		uint64_t before = now_ns(), after;

		vm_command(vm, MAILBOX_TOUCH, 1);
		after = now_ns();
		if (after - before >= closest)
			continue;
		closest = after - before;
		ns = after;
		*tsc = vm->mailbox->tsc;
	}
	return ns;
}

/* The guest's TSC goes on while the guest does not run. */
static void calibrate(struct vm *vm)
{
	uint64_t tsc[2] = {0}, ns[2];

	ns[0] = read_clocks(vm, &tsc[0]);
	usleep(CALIBRATION_US);
	ns[1] = read_clocks(vm, &tsc[1]);
	vm->ns_per_tick = (double)(ns[1] - ns[0]) / (double)(tsc[1] - tsc[0]);
}

void vm_start(struct vm *vm, int kvm_fd, const struct vm_options *o)
{
	struct load_result start;

	memset(vm, 0, sizeof(*vm));
	signal(KICK_SIGNAL, on_kick);
	vm->vm_fd = floor_create_vm(kvm_fd);
	vm->memory_fd = memfd_create("guest", MFD_CLOEXEC);
	if (vm->memory_fd < 0 || ftruncate(vm->memory_fd, BENCH_RAM) < 0)
		die("the guest's memory: %s", strerror(errno));
	vm->ram = mmap(NULL, BENCH_RAM, PROT_READ | PROT_WRITE, MAP_SHARED, vm->memory_fd, 0);
	if (vm->ram == MAP_FAILED)
		die("the VM's memory: %s", strerror(errno));
	load_guest(vm, &start);
	create(vm, kvm_fd, o);
	set_cpuid(vm, kvm_fd);
	set_start(vsm_vcpu_fd(vm->vcpu, 0), &start);
	run_guest(vm);
	calibrate(vm);
	if (o->other)
		start_other(vm);
}

void vm_stop(struct vm *vm)
{
	if (vm->other) {
		atomic_store(&vm->ended, true);
		vsm_vcpu_kick(vm->other);
		pthread_join(vm->thread, NULL);
	}
	vsm_partition_destroy(vm->partition);
	munmap(vm->ram, BENCH_RAM);
	close(vm->vm_fd);
	close(vm->memory_fd);
}

uint64_t vm_command(struct vm *vm, enum mailbox_op op, uint64_t count)
{
	uint64_t start;

	vm->mailbox->op = op;
	vm->mailbox->count = count;
	start = now_ns();
	run_guest(vm);
	return now_ns() - start;
}

void vm_protect(struct vm *vm, uint64_t pages, uint64_t stride, uint32_t mask)
{
	vm_protect_from(vm, BENCH_ARENA / 4096, pages, stride, mask);
}

void vm_protect_from(struct vm *vm, uint64_t first, uint64_t pages, uint64_t stride, uint32_t mask)
{
	vm->mailbox->first = first;
	vm->mailbox->stride = stride;
	vm->mailbox->pages = pages;
	vm->mailbox->mask[0] = mask;
	vm->mailbox->masks = 1;
	vm_command(vm, MAILBOX_PROTECT, 1);
}

uint64_t vm_allocated(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

uint64_t vm_slot_updates(const struct vm *vm)
{
	struct vsm_partition_stats stats = {.size = sizeof(stats)};

	check(vsm_partition_get_stats(vm->partition, &stats), "statistics");
	return stats.slot_updates;
}
