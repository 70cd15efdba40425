// SPDX-License-Identifier: MIT
/* What is asked of a vCPU, its registers aside (linux_registers.c). */
#include <sys/mman.h>
#include "kvm/linux.h"
#include "kvm/path.h"

int linux_map_vcpu(LINUX_HOST, int vcpu_fd, size_t size, struct kvm_run **run)
{
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, 0);

	if (page == MAP_FAILED)
		return -errno;
	*run = page;
	return 0;
}

/* Never repeated: EINTR is how a kick and immediate_exit end it. */
RUN_PATH int linux_run(LINUX_HOST, int vcpu_fd)
{
	return linux_ioctl_value(vcpu_fd, KVM_RUN, 0);
}

int linux_get_mp_state(LINUX_HOST, int vcpu_fd, struct kvm_mp_state *mp)
{
	return LINUX_IOCTL(vcpu_fd, KVM_GET_MP_STATE, mp);
}

int linux_set_mp_state(LINUX_HOST, int vcpu_fd, const struct kvm_mp_state *mp)
{
	return LINUX_IOCTL(vcpu_fd, KVM_SET_MP_STATE, mp);
}

int linux_set_cpuid2(LINUX_HOST, int vcpu_fd, const struct kvm_cpuid2 *cpuid)
{
	return LINUX_IOCTL(vcpu_fd, KVM_SET_CPUID2, cpuid);
}

int linux_set_guest_debug(LINUX_HOST, int vcpu_fd, const struct kvm_guest_debug *dbg)
{
	return LINUX_IOCTL(vcpu_fd, KVM_SET_GUEST_DEBUG, dbg);
}

int linux_interrupt(LINUX_HOST, int vcpu_fd, uint32_t vector)
{
	struct kvm_interrupt irq = {.irq = vector};

	return LINUX_IOCTL(vcpu_fd, KVM_INTERRUPT, &irq);
}

int linux_nmi(LINUX_HOST, int vcpu_fd)
{
	return linux_ioctl_value(vcpu_fd, KVM_NMI, 0);
}

int linux_get_lapic(LINUX_HOST, int vcpu_fd, struct kvm_lapic_state *lapic)
{
	return LINUX_IOCTL(vcpu_fd, KVM_GET_LAPIC, lapic);
}

int linux_set_lapic(LINUX_HOST, int vcpu_fd, const struct kvm_lapic_state *lapic)
{
	return LINUX_IOCTL(vcpu_fd, KVM_SET_LAPIC, lapic);
}

/* The attribute is the address of a 64-bit offset, read or written by the kernel. */
static struct kvm_device_attr tsc_offset_attr(const uint64_t *offset)
{
	return (struct kvm_device_attr){
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)offset,
	};
}

int linux_get_tsc_offset(LINUX_HOST, int vcpu_fd, uint64_t *offset)
{
	struct kvm_device_attr attr = tsc_offset_attr(offset);

	return LINUX_IOCTL(vcpu_fd, KVM_GET_DEVICE_ATTR, &attr);
}

int linux_set_tsc_offset(LINUX_HOST, int vcpu_fd, const uint64_t *offset)
{
	struct kvm_device_attr attr = tsc_offset_attr(offset);

	return LINUX_IOCTL(vcpu_fd, KVM_SET_DEVICE_ATTR, &attr);
}

int linux_get_tsc_khz(LINUX_HOST, int vcpu_fd)
{
	return linux_ioctl_value(vcpu_fd, KVM_GET_TSC_KHZ, 0);
}
