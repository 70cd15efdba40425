// SPDX-License-Identifier: MIT
/* A vCPU's registers. */
#include "kvm/linux.h"
#include "kvm/path.h"

int linux_get_regs(LINUX_HOST, int vcpu_fd, struct kvm_regs *regs)
{
	return LINUX_IOCTL(vcpu_fd, KVM_GET_REGS, regs);
}

int linux_set_regs(LINUX_HOST, int vcpu_fd, const struct kvm_regs *regs)
{
	return LINUX_IOCTL(vcpu_fd, KVM_SET_REGS, regs);
}

int linux_get_sregs(LINUX_HOST, int vcpu_fd, struct kvm_sregs *sregs)
{
	return LINUX_IOCTL(vcpu_fd, KVM_GET_SREGS, sregs);
}

int linux_set_sregs(LINUX_HOST, int vcpu_fd, const struct kvm_sregs *sregs)
{
	return LINUX_IOCTL(vcpu_fd, KVM_SET_SREGS, sregs);
}

int linux_set_sregs2(LINUX_HOST, int vcpu_fd, const struct kvm_sregs2 *sregs)
{
	return LINUX_IOCTL(vcpu_fd, KVM_SET_SREGS2, sregs);
}

/* KVM_GET_XSAVE2 writes as much as KVM_CAP_XSAVE2 says; the older ioctl always 4 KiB. Both
 * numbers carry the older one's size. */
RUN_PATH int linux_get_xsave(LINUX_HOST, int vcpu_fd, void *image, size_t size)
{
	struct kvm_xsave *xsave = image;

	if (size < sizeof(*xsave))
		return -EINVAL;
	if (size > sizeof(*xsave))
		return LINUX_IOCTL(vcpu_fd, KVM_GET_XSAVE2, xsave);
	return LINUX_IOCTL(vcpu_fd, KVM_GET_XSAVE, xsave);
}

/* One ioctl for every size: the kernel reads as much as the guest's features need. */
int linux_set_xsave(LINUX_HOST, int vcpu_fd, const void *image)
{
	const struct kvm_xsave *xsave = image;

	return LINUX_IOCTL(vcpu_fd, KVM_SET_XSAVE, xsave);
}

RUN_PATH int linux_get_xcrs(LINUX_HOST, int vcpu_fd, struct kvm_xcrs *xcrs)
{
	return LINUX_IOCTL(vcpu_fd, KVM_GET_XCRS, xcrs);
}

int linux_set_xcrs(LINUX_HOST, int vcpu_fd, const struct kvm_xcrs *xcrs)
{
	return LINUX_IOCTL(vcpu_fd, KVM_SET_XCRS, xcrs);
}

RUN_PATH int linux_get_debugregs(LINUX_HOST, int vcpu_fd, struct kvm_debugregs *dr)
{
	return LINUX_IOCTL(vcpu_fd, KVM_GET_DEBUGREGS, dr);
}

int linux_set_debugregs(LINUX_HOST, int vcpu_fd, const struct kvm_debugregs *dr)
{
	return LINUX_IOCTL(vcpu_fd, KVM_SET_DEBUGREGS, dr);
}

int linux_get_vcpu_events(LINUX_HOST, int vcpu_fd, struct kvm_vcpu_events *ev)
{
	return LINUX_IOCTL(vcpu_fd, KVM_GET_VCPU_EVENTS, ev);
}

int linux_set_vcpu_events(LINUX_HOST, int vcpu_fd, const struct kvm_vcpu_events *ev)
{
	return LINUX_IOCTL(vcpu_fd, KVM_SET_VCPU_EVENTS, ev);
}

int linux_get_msrs(LINUX_HOST, int vcpu_fd, struct kvm_msrs *msrs)
{
	return LINUX_IOCTL(vcpu_fd, KVM_GET_MSRS, msrs);
}

int linux_set_msrs(LINUX_HOST, int vcpu_fd, const struct kvm_msrs *msrs)
{
	return LINUX_IOCTL(vcpu_fd, KVM_SET_MSRS, msrs);
}
