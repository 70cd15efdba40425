/* SPDX-License-Identifier: MIT */
/*
 * The real kernel's side of the boundary: how a system call is made here, and the functions
 * linux.c puts into the table. What each does and returns is said in ops.h.
 */
#ifndef VSM_LIB_KVM_LINUX_H
#define VSM_LIB_KVM_LINUX_H

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include "kvm/ops.h"

/* The real kernel needs no state of its own, so no op here looks at its host. */
#define LINUX_HOST const struct kvm_host *h __attribute__((unused))

/* libc's -1 and errno as one value. */
static inline int linux_result(long ret)
{
	return ret < 0 ? -errno : (int)ret;
}

/*
 * An ioctl whose argument is a plain number, or has none. Not by libc's function: at each VTL
 * switch there are four, and its page of code and the way there would have to be found each time.
 */
static inline int linux_ioctl_value(int fd, unsigned long cmd, unsigned long value)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(__NR_ioctl), "D"((long)fd), "S"(cmd), "d"(value)
			 : "rcx", "r11", "memory");
	return (int)ret;
}

static inline int linux_ioctl(int fd, unsigned long cmd, const void *arg)
{
	return linux_ioctl_value(fd, cmd, (unsigned long)arg);
}

/* An ioctl with a structure: the number of the ioctl says how large the kernel takes it to be. */
#define LINUX_IOCTL(fd, cmd, arg)                                                               \
	(__extension__({                                                                        \
		_Static_assert(sizeof(*(arg)) == _IOC_SIZE(cmd), "not the structure of " #cmd); \
		linux_ioctl(fd, cmd, arg);                                                      \
	}))

/* linux_device.c */
int linux_open_device(const struct kvm_host *h, const char *path);
int linux_get_api_version(const struct kvm_host *h, int dev_fd);
int linux_check_extension(const struct kvm_host *h, int fd, long cap);
int linux_get_vcpu_mmap_size(const struct kvm_host *h, int dev_fd);
int linux_create_vm(const struct kvm_host *h, int dev_fd);
int linux_get_supported_cpuid(const struct kvm_host *h, int dev_fd, struct kvm_cpuid2 *cpuid);
int linux_emulates(const struct kvm_host *h);

/* linux_vm.c */
int linux_enable_cap(const struct kvm_host *h, int vm_fd, const struct kvm_enable_cap *cap);
int linux_set_msr_filter(const struct kvm_host *h, int vm_fd, const struct kvm_msr_filter *f);
int linux_set_memory_region(const struct kvm_host *h, int vm_fd,
			    const struct kvm_userspace_memory_region *r);
int linux_create_vcpu(const struct kvm_host *h, int vm_fd, unsigned long id);
int linux_signal_msi(const struct kvm_host *h, int vm_fd, const struct kvm_msi *msi);

/* linux_vcpu.c */
int linux_map_vcpu(const struct kvm_host *h, int vcpu_fd, size_t size, struct kvm_run **run);
int linux_run(const struct kvm_host *h, int vcpu_fd);
int linux_get_mp_state(const struct kvm_host *h, int vcpu_fd, struct kvm_mp_state *mp);
int linux_set_mp_state(const struct kvm_host *h, int vcpu_fd, const struct kvm_mp_state *mp);
int linux_set_cpuid2(const struct kvm_host *h, int vcpu_fd, const struct kvm_cpuid2 *cpuid);
int linux_set_guest_debug(const struct kvm_host *h, int vcpu_fd, const struct kvm_guest_debug *dbg);
int linux_interrupt(const struct kvm_host *h, int vcpu_fd, uint32_t vector);
int linux_nmi(const struct kvm_host *h, int vcpu_fd);
int linux_get_lapic(const struct kvm_host *h, int vcpu_fd, struct kvm_lapic_state *lapic);
int linux_set_lapic(const struct kvm_host *h, int vcpu_fd, const struct kvm_lapic_state *lapic);
int linux_get_tsc_offset(const struct kvm_host *h, int vcpu_fd, uint64_t *offset);
int linux_set_tsc_offset(const struct kvm_host *h, int vcpu_fd, const uint64_t *offset);
int linux_get_tsc_khz(const struct kvm_host *h, int vcpu_fd);

/* linux_registers.c */
int linux_get_regs(const struct kvm_host *h, int vcpu_fd, struct kvm_regs *regs);
int linux_set_regs(const struct kvm_host *h, int vcpu_fd, const struct kvm_regs *regs);
int linux_get_sregs(const struct kvm_host *h, int vcpu_fd, struct kvm_sregs *sregs);
int linux_set_sregs(const struct kvm_host *h, int vcpu_fd, const struct kvm_sregs *sregs);
int linux_set_sregs2(const struct kvm_host *h, int vcpu_fd, const struct kvm_sregs2 *sregs);
int linux_get_xsave(const struct kvm_host *h, int vcpu_fd, void *image, size_t size);
int linux_set_xsave(const struct kvm_host *h, int vcpu_fd, const void *image);
int linux_get_xcrs(const struct kvm_host *h, int vcpu_fd, struct kvm_xcrs *xcrs);
int linux_set_xcrs(const struct kvm_host *h, int vcpu_fd, const struct kvm_xcrs *xcrs);
int linux_get_debugregs(const struct kvm_host *h, int vcpu_fd, struct kvm_debugregs *dr);
int linux_set_debugregs(const struct kvm_host *h, int vcpu_fd, const struct kvm_debugregs *dr);
int linux_get_vcpu_events(const struct kvm_host *h, int vcpu_fd, struct kvm_vcpu_events *ev);
int linux_set_vcpu_events(const struct kvm_host *h, int vcpu_fd, const struct kvm_vcpu_events *ev);
int linux_get_msrs(const struct kvm_host *h, int vcpu_fd, struct kvm_msrs *msrs);
int linux_set_msrs(const struct kvm_host *h, int vcpu_fd, const struct kvm_msrs *msrs);

/* linux_memory.c */
int linux_map_memory(const struct kvm_host *h, int fd, uint64_t offset, size_t size,
		     enum kvm_map_prot prot, void *at, void **addr);
int linux_protect_memory(const struct kvm_host *h, void *addr, size_t size, enum kvm_map_prot prot);
int linux_unmap_memory(const struct kvm_host *h, void *addr, size_t size);
int linux_create_memfd(const struct kvm_host *h, const char *name, uint64_t size);
int linux_max_mappings(const struct kvm_host *h);
int linux_file_size(const struct kvm_host *h, int fd, uint64_t *size);
int linux_duplicate_fd(const struct kvm_host *h, int fd);
int linux_close_fd(const struct kvm_host *h, int fd);

/* linux_thread.c */
int linux_current_thread(const struct kvm_host *h);
int linux_signal_thread(const struct kvm_host *h, int tid, int signo);
int linux_thread_time_ns(const struct kvm_host *h, int tid, uint64_t *ns);
uint64_t linux_clock_ns(const struct kvm_host *h);

/* linux_wait.c */
int linux_create_wake_fd(const struct kvm_host *h);
int linux_signal_fd(const struct kvm_host *h, int fd);
int linux_drain_fd(const struct kvm_host *h, int fd);
int linux_wait_fd(const struct kvm_host *h, int fd, uint64_t until_ns);

/* linux_event.c */
int linux_event_create(const struct kvm_host *h, enum kvm_event_backend backend,
		       struct kvm_event_loop **loop);
void linux_event_destroy(const struct kvm_host *h, struct kvm_event_loop *loop);
int linux_event_fd(const struct kvm_host *h, const struct kvm_event_loop *loop);
int linux_event_set_deadline(const struct kvm_host *h, struct kvm_event_loop *loop, uint64_t ns);
int linux_event_add_fd(const struct kvm_host *h, struct kvm_event_loop *loop, int fd,
		       uint64_t cookie);
int linux_event_remove_fd(const struct kvm_host *h, struct kvm_event_loop *loop, int fd);
int linux_event_collect(const struct kvm_host *h, struct kvm_event_loop *loop, bool block,
			uint64_t *cookies, unsigned max);

#endif
