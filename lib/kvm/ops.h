/* SPDX-License-Identifier: MIT */
/*
 * The kernel boundary. Everything libvsm asks of the host goes through this one table;
 * lib/kvm/linux_*.c fills it with the real system calls, tests/fake/ with a model of KVM.
 *
 * Every op returns 0 (or the value named) on success and -errno on failure; none keeps state.
 */
#ifndef VSM_LIB_KVM_OPS_H
#define VSM_LIB_KVM_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/kvm.h>

/* Protections of a host mapping; the values are libvsm's own so that only lib/kvm/ needs
 * <sys/mman.h>. */
enum kvm_map_prot {
	KVM_MAP_NONE = 0,
	KVM_MAP_READ = 1,
	KVM_MAP_READ_WRITE = 3,
};

/* What an event loop is made of. */
enum kvm_event_backend {
	KVM_EVENT_ANY = 0, /* io_uring, or epoll where that is denied */
	KVM_EVENT_URING,
	KVM_EVENT_EPOLL,
};
struct kvm_event_loop;

#define KVM_NEVER	   UINT64_MAX
#define KVM_EVENT_DEADLINE UINT64_MAX /* cookie: the deadline has passed */
#define KVM_EVENT_FDS	   256	      /* that one loop takes */

struct kvm_host;

struct kvm_ops {
	/* --- /dev/kvm --- */
	int (*open_device)(const struct kvm_host *h, const char *path); /* fd */
	int (*get_api_version)(const struct kvm_host *h, int dev_fd);	/* the version */
	int (*check_extension)(const struct kvm_host *h, int fd,
			       long cap); /* value; fd: device or VM */
	int (*get_vcpu_mmap_size)(const struct kvm_host *h, int dev_fd); /* bytes */
	int (*create_vm)(const struct kvm_host *h, int dev_fd);		 /* fd */
	int (*get_supported_cpuid)(const struct kvm_host *h, int dev_fd, struct kvm_cpuid2 *cpuid);
	/* 1: the processor has no virtualization extensions, so that KVM emulates; else 0. */
	int (*emulates)(const struct kvm_host *h);

	/* --- a VM --- */
	int (*enable_cap)(const struct kvm_host *h, int vm_fd, const struct kvm_enable_cap *cap);
	int (*set_msr_filter)(const struct kvm_host *h, int vm_fd, const struct kvm_msr_filter *f);
	int (*set_memory_region)(const struct kvm_host *h, int vm_fd,
				 const struct kvm_userspace_memory_region *r);
	int (*create_vcpu)(const struct kvm_host *h, int vm_fd, unsigned long id); /* fd */
	/* An MSI for the in-kernel irqchip: vCPUs it reached. */
	int (*signal_msi)(const struct kvm_host *h, int vm_fd, const struct kvm_msi *msi);

	/* --- a vCPU --- */
	int (*map_vcpu)(const struct kvm_host *h, int vcpu_fd, size_t size, struct kvm_run **run);
	int (*run)(const struct kvm_host *h, int vcpu_fd); /* KVM_RUN: 0, -EINTR, -EFAULT, ... */
	int (*get_regs)(const struct kvm_host *h, int vcpu_fd, struct kvm_regs *regs);
	int (*set_regs)(const struct kvm_host *h, int vcpu_fd, const struct kvm_regs *regs);
	int (*get_sregs)(const struct kvm_host *h, int vcpu_fd, struct kvm_sregs *sregs);
	int (*set_sregs)(const struct kvm_host *h, int vcpu_fd, const struct kvm_sregs *sregs);
	int (*set_sregs2)(const struct kvm_host *h, int vcpu_fd, const struct kvm_sregs2 *sregs);
	/* The buffer holds `size` bytes: the VM's KVM_CAP_XSAVE2 value, or sizeof(struct
	 * kvm_xsave). */
	int (*get_xsave)(const struct kvm_host *h, int vcpu_fd, void *image, size_t size);
	int (*set_xsave)(const struct kvm_host *h, int vcpu_fd, const void *image);
	int (*get_xcrs)(const struct kvm_host *h, int vcpu_fd, struct kvm_xcrs *xcrs);
	int (*set_xcrs)(const struct kvm_host *h, int vcpu_fd, const struct kvm_xcrs *xcrs);
	int (*get_debugregs)(const struct kvm_host *h, int vcpu_fd, struct kvm_debugregs *dr);
	int (*set_debugregs)(const struct kvm_host *h, int vcpu_fd, const struct kvm_debugregs *dr);
	int (*get_vcpu_events)(const struct kvm_host *h, int vcpu_fd, struct kvm_vcpu_events *ev);
	int (*set_vcpu_events)(const struct kvm_host *h, int vcpu_fd,
			       const struct kvm_vcpu_events *ev);
	/* Number of MSRs read or written: fewer than asked means the next one was refused. */
	int (*get_msrs)(const struct kvm_host *h, int vcpu_fd, struct kvm_msrs *msrs);
	int (*set_msrs)(const struct kvm_host *h, int vcpu_fd, const struct kvm_msrs *msrs);
	int (*get_lapic)(const struct kvm_host *h, int vcpu_fd, struct kvm_lapic_state *lapic);
	int (*set_lapic)(const struct kvm_host *h, int vcpu_fd,
			 const struct kvm_lapic_state *lapic);
	int (*get_mp_state)(const struct kvm_host *h, int vcpu_fd, struct kvm_mp_state *mp);
	int (*set_mp_state)(const struct kvm_host *h, int vcpu_fd, const struct kvm_mp_state *mp);
	int (*set_cpuid2)(const struct kvm_host *h, int vcpu_fd, const struct kvm_cpuid2 *cpuid);
	int (*set_guest_debug)(const struct kvm_host *h, int vcpu_fd,
			       const struct kvm_guest_debug *dbg);
	int (*interrupt)(const struct kvm_host *h, int vcpu_fd, uint32_t vector);
	int (*nmi)(const struct kvm_host *h, int vcpu_fd);
	int (*get_tsc_offset)(const struct kvm_host *h, int vcpu_fd, uint64_t *offset);
	int (*set_tsc_offset)(const struct kvm_host *h, int vcpu_fd, const uint64_t *offset);
	int (*get_tsc_khz)(const struct kvm_host *h, int vcpu_fd); /* kHz */

	/* --- memory of this process --- */
	/* Maps fd[offset, offset+size) shared. `at` NULL: anywhere; else exactly there, replacing
	 * what was. */
	int (*map_memory)(const struct kvm_host *h, int fd, uint64_t offset, size_t size,
			  enum kvm_map_prot prot, void *at, void **addr);
	int (*protect_memory)(const struct kvm_host *h, void *addr, size_t size,
			      enum kvm_map_prot prot);
	int (*unmap_memory)(const struct kvm_host *h, void *addr, size_t size);
	int (*max_mappings)(const struct kvm_host *h); /* that a process may have */
	int (*create_memfd)(const struct kvm_host *h, const char *name, uint64_t size); /* fd */
	int (*file_size)(const struct kvm_host *h, int fd, uint64_t *size);
	int (*duplicate_fd)(const struct kvm_host *h, int fd); /* a close-on-exec duplicate */
	int (*close_fd)(const struct kvm_host *h, int fd);

	/* --- threads and time --- */
	int (*current_thread)(const struct kvm_host *h); /* the kernel's thread id */
	int (*signal_thread)(const struct kvm_host *h, int tid, int signo);
	/* Processor time the thread has had. */
	int (*thread_time_ns)(const struct kvm_host *h, int tid, uint64_t *ns);
	uint64_t (*clock_ns)(const struct kvm_host *h); /* CLOCK_MONOTONIC */

	/* --- waiting --- */
	int (*create_wake_fd)(const struct kvm_host *h);    /* fd: readable once signalled */
	int (*signal_fd)(const struct kvm_host *h, int fd); /* async-signal-safe */
	int (*drain_fd)(const struct kvm_host *h, int fd);  /* takes the signals back; 0 if none */
	/*
	 * Sleeps until fd is readable (0), until_ns on clock_ns() (-ETIMEDOUT), a signal (-EINTR).
	 */
	int (*wait_fd)(const struct kvm_host *h, int fd, uint64_t until_ns);

	/*
	 * An event loop waits for one deadline and any number of fds. event_collect() and
	 * event_destroy() are for one thread at a time, the others for any.
	 */
	int (*event_create)(const struct kvm_host *h, enum kvm_event_backend backend,
			    struct kvm_event_loop **loop);
	void (*event_destroy)(const struct kvm_host *h, struct kvm_event_loop *loop);
	/* A file descriptor of the loop that is readable when event_collect() has something. */
	int (*event_fd)(const struct kvm_host *h, const struct kvm_event_loop *loop);
	/* On clock_ns(); in place of the one before, also if that has passed. KVM_NEVER: none. */
	int (*event_set_deadline)(const struct kvm_host *h, struct kvm_event_loop *loop,
				  uint64_t ns);
	/*
	 * While fd is readable event_collect() gives its cookie. -ENOSPC: KVM_EVENT_FDS are there.
	 */
	int (*event_add_fd)(const struct kvm_host *h, struct kvm_event_loop *loop, int fd,
			    uint64_t cookie);
	int (*event_remove_fd)(const struct kvm_host *h, struct kvm_event_loop *loop, int fd);
	/*
	 * The cookies of what is ready, how many: with `block` after waiting for the first; a
	 * signal and a wake-up for no reason give 0. With max 0 it only sees to it that event_fd()
	 * will tell.
	 */
	int (*event_collect)(const struct kvm_host *h, struct kvm_event_loop *loop, bool block,
			     uint64_t *cookies, unsigned max);
};

/* What an op is called through: the table and whatever its implementation needs. */
struct kvm_host {
	const struct kvm_ops *ops;
	void *ctx;
};

/* The real kernel. */
extern const struct kvm_host kvm_linux_host;

#endif
