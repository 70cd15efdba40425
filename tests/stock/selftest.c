/*
 * Is this a usable /dev/kvm? Prints the kernel's release, KVM's API version and the port of a
 * guest's single `out`. Plain C and no library, as it is also the proof that static programs run.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/utsname.h>

#define GUEST_CODE 0x1000
#define GUEST_PORT 0x42

static int failed(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	return 1;
}

static void *map(int fd, size_t size)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;

	return mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
}

static int add_code(int vm)
{
	static const unsigned char code[] = {0xe6, GUEST_PORT}; /* out %al,$GUEST_PORT */
	struct kvm_userspace_memory_region slot = {
		.guest_phys_addr = GUEST_CODE,
		.memory_size = 0x1000,
	};
	void *page = map(-1, slot.memory_size);

	if (page == MAP_FAILED)
		return -1;
	memcpy(page, code, sizeof(code));
	slot.userspace_addr = (unsigned long)page;
	return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot);
}

/* Real mode, flat at 0. */
static int start_at_code(int vcpu)
{
	struct kvm_regs regs = {.rip = GUEST_CODE, .rflags = 2};
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		return -1;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0)
		return -1;
	return ioctl(vcpu, KVM_SET_REGS, &regs);
}

static int run(int kvm, int vcpu)
{
	struct kvm_run *state = map(vcpu, (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));

	if (state == MAP_FAILED)
		return failed("mmap of the vCPU");
	if (ioctl(vcpu, KVM_RUN, 0) < 0)
		return failed("KVM_RUN");
	if (state->exit_reason != KVM_EXIT_IO) {
		printf("exit reason %u\n", state->exit_reason);
		return 1;
	}
	printf("out to port %#x\n", (unsigned int)state->io.port);
	return state->io.port == GUEST_PORT ? 0 : 1;
}

int main(void)
{
	struct utsname name;
	int kvm, vm, vcpu;

	if (uname(&name) == 0)
		printf("kernel %s\n", name.release);
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return failed("/dev/kvm");
	printf("KVM API version %d\n", ioctl(kvm, KVM_GET_API_VERSION, 0));
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		return failed("KVM_CREATE_VM");
	if (add_code(vm) < 0)
		return failed("KVM_SET_USER_MEMORY_REGION");
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0)
		return failed("KVM_CREATE_VCPU");
	if (start_at_code(vcpu) < 0)
		return failed("setting registers");
	return run(kvm, vcpu);
}
