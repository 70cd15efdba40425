// SPDX-License-Identifier: MIT
/* What is asked of a VM. */
#include "kvm/linux.h"

int linux_enable_cap(LINUX_HOST, int vm_fd, const struct kvm_enable_cap *cap)
{
	return LINUX_IOCTL(vm_fd, KVM_ENABLE_CAP, cap);
}

int linux_set_msr_filter(LINUX_HOST, int vm_fd, const struct kvm_msr_filter *f)
{
	return LINUX_IOCTL(vm_fd, KVM_X86_SET_MSR_FILTER, f);
}

int linux_set_memory_region(LINUX_HOST, int vm_fd, const struct kvm_userspace_memory_region *r)
{
	return LINUX_IOCTL(vm_fd, KVM_SET_USER_MEMORY_REGION, r);
}

int linux_create_vcpu(LINUX_HOST, int vm_fd, unsigned long id)
{
	return linux_ioctl_value(vm_fd, KVM_CREATE_VCPU, id);
}

int linux_signal_msi(LINUX_HOST, int vm_fd, const struct kvm_msi *msi)
{
	return LINUX_IOCTL(vm_fd, KVM_SIGNAL_MSI, msi);
}
