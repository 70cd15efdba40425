// SPDX-License-Identifier: MIT
/* What is asked of /dev/kvm itself. */
#include <cpuid.h>
#include <fcntl.h>
#include "kvm/linux.h"

int linux_open_device(LINUX_HOST, const char *path)
{
	return linux_result(open(path, O_RDWR | O_CLOEXEC));
}

int linux_get_api_version(LINUX_HOST, int dev_fd)
{
	return linux_ioctl_value(dev_fd, KVM_GET_API_VERSION, 0);
}

int linux_check_extension(LINUX_HOST, int fd, long cap)
{
	return linux_ioctl_value(fd, KVM_CHECK_EXTENSION, (unsigned long)cap);
}

int linux_get_vcpu_mmap_size(LINUX_HOST, int dev_fd)
{
	return linux_ioctl_value(dev_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
}

/*
 * A signal that arrives while KVM registers its MMU notifier ends the ioctl with EINTR and
 * without a VM (mm_take_all_locks() in mm/mmap.c). Of the ioctls used here only this one and
 * KVM_RUN can be interrupted by a signal that does not kill the process.
 */
int linux_create_vm(LINUX_HOST, int dev_fd)
{
	int ret;

	do {
		ret = linux_ioctl_value(dev_fd, KVM_CREATE_VM, 0);
	} while (ret == -EINTR);
	return ret;
}

int linux_get_supported_cpuid(LINUX_HOST, int dev_fd, struct kvm_cpuid2 *cpuid)
{
	return LINUX_IOCTL(dev_fd, KVM_GET_SUPPORTED_CPUID, cpuid);
}

#define CPUID_VMX (1u << 5) /* leaf 1, ECX (SDM vol. 2A, CPUID) */
#define CPUID_SVM (1u << 2) /* leaf 0x80000001, ECX (APM vol. 3, E.4.2) */

int linux_emulates(LINUX_HOST)
{
	unsigned a, b, c, d;

	if (__get_cpuid(1, &a, &b, &c, &d) && (c & CPUID_VMX))
		return 0;
	return !__get_cpuid(0x80000001, &a, &b, &c, &d) || !(c & CPUID_SVM);
}
