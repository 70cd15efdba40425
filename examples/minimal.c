/* SPDX-License-Identifier: MIT */
/*
 * The smallest VMM on libvsm. Runs a flat binary at 1 MiB in 32-bit protected mode; what the guest
 * writes to port 0x3f8 is its output, a byte written to port 0xf4 its exit status.
 *
 * It is a plain KVM program but for four calls: the partition is made out of the VM, memory is
 * given as a file instead of an address, a vcpu comes from the library, and vsm_vcpu_run() stands
 * where ioctl(KVM_RUN) stood. That is all the guest needs to use Virtual Secure Mode.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create() */
#endif
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vsm/vsm.h>

#define MEMORY_SIZE (16u << 20)
#define LOAD_AT	    (1u << 20)
#define CPUID_MAX   256

static int check(int r, const char *what)
{
	if (r < 0)
		errx(1, "%s: error %d", what, -r);
	return r;
}

/* A system call's -1 as the -errno the library returns. */
static int sys(int r)
{
	return r < 0 ? -errno : r;
}

static void load(const char *path, int memory_fd)
{
	char *memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	int fd = check(sys(open(path, O_RDONLY)), path);

	if (memory == MAP_FAILED)
		err(1, "mmap");
	if (read(fd, memory + LOAD_AT, MEMORY_SIZE - LOAD_AT) <= 0)
		errx(1, "%s: cannot be read", path);
	close(fd);
	munmap(memory, MEMORY_SIZE);
}

/* KVM's CPUID table, with the Hyper-V leaves the library adds to it. */
static void set_cpuid(struct vsm_partition *partition, struct vsm_vcpu *vcpu, int kvm)
{
	size_t size = sizeof(struct kvm_cpuid2) + CPUID_MAX * sizeof(struct kvm_cpuid_entry2);
	struct kvm_cpuid2 *in = calloc(1, size), *out = calloc(1, size);

	if (!in || !out)
		err(1, "calloc");
	in->nent = out->nent = CPUID_MAX;
	check(sys(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, in)), "KVM_GET_SUPPORTED_CPUID");
	check(vsm_partition_compose_cpuid(partition, in, out), "composing CPUID");
	check(vsm_vcpu_set_cpuid(vcpu, out), "setting CPUID");
	free(in);
	free(out);
}

/* The vCPU's own fd takes every ioctl but KVM_RUN. */
static void set_registers(struct vsm_vcpu *vcpu)
{
	struct kvm_segment flat = {.limit = 0xffffffff,
				   .selector = 8,
				   .type = 11,
				   .present = 1,
				   .db = 1,
				   .s = 1,
				   .g = 1};
	struct kvm_regs regs = {.rip = LOAD_AT, .rsp = LOAD_AT, .rflags = 2};
	struct kvm_sregs sregs;
	int fd = vsm_vcpu_fd(vcpu, 0);

	check(sys(ioctl(fd, KVM_GET_SREGS, &sregs)), "KVM_GET_SREGS");
	sregs.cs = flat;
	flat.selector = 16;
	flat.type = 3;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat;
	sregs.cr0 |= 1;
	check(sys(ioctl(fd, KVM_SET_SREGS, &sregs)), "KVM_SET_SREGS");
	check(sys(ioctl(fd, KVM_SET_REGS, &regs)), "KVM_SET_REGS");
}

/* Exits are as KVM_RUN leaves them; those that are Hyper-V's business do not come here. */
static int run(struct vsm_vcpu *vcpu)
{
	struct kvm_run *run;

	for (;;) {
		int r = vsm_vcpu_run(vcpu, &run);

		if (r == -EINTR)
			continue;
		check(r, "running");
		if (run->exit_reason != KVM_EXIT_IO)
			errx(1, "unexpected exit, reason %u", run->exit_reason);
		if (run->io.direction == KVM_EXIT_IO_OUT && run->io.port == 0x3f8)
			putchar(*((char *)run + run->io.data_offset));
		if (run->io.direction == KVM_EXIT_IO_OUT && run->io.port == 0xf4)
			return *((unsigned char *)run + run->io.data_offset);
	}
}

int main(int argc, char **argv)
{
	int kvm = check(sys(open("/dev/kvm", O_RDWR)), "/dev/kvm");
	int vm = check(sys(ioctl(kvm, KVM_CREATE_VM, 0)), "KVM_CREATE_VM");
	int memory = check(sys(memfd_create("guest", 0)), "memfd_create");
	struct vsm_partition_options options = {
		.size = sizeof(options), .kvm_fd = kvm, .vm_fd = vm};
	struct vsm_memory_region region = {
		.size = sizeof(region), .bytes = MEMORY_SIZE, .fd = memory};
	struct vsm_vcpu_options vcpu_options = {.size = sizeof(vcpu_options)};
	struct vsm_partition *partition;
	struct vsm_vcpu *vcpu;
	int status;

	if (argc != 2)
		errx(2, "usage: %s BINARY", argv[0]);
	check(sys(ftruncate(memory, MEMORY_SIZE)), "ftruncate");
	load(argv[1], memory);
	check(vsm_partition_create(&options, &partition), "making the partition");
	check(vsm_partition_map_memory(partition, &region), "mapping memory");
	check(vsm_vcpu_create(partition, &vcpu_options, &vcpu), "making the vcpu");
	set_cpuid(partition, vcpu, kvm);
	set_registers(vcpu);
	status = run(vcpu);
	vsm_partition_destroy(partition);
	close(memory);
	close(vm);
	close(kvm);
	return status;
}
