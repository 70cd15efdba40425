/* SPDX-License-Identifier: MIT */
/* A partition: one guest, its memory and its VTLs. */
#ifndef VSM_PARTITION_H
#define VSM_PARTITION_H

#include <stddef.h>
#include <stdint.h>
#include <linux/kvm.h>
#include "vsm/export.h"
#include "vsm/log.h"
#include "vsm/stats.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vsm_partition;

/* Where memslots live. */
enum vsm_topology {
	VSM_TOPOLOGY_DEFAULT = 0, /* the library's choice: vm-per-vtl */
	VSM_TOPOLOGY_SINGLE_VM,	  /* all VTLs in the VMM's VM; slots remapped at a VTL switch */
	VSM_TOPOLOGY_VM_PER_VTL,  /* a VM per VTL; a switch touches no slot */
};

/* How a VTL's view is expressed to KVM. */
enum vsm_enforcement {
	VSM_ENFORCEMENT_DEFAULT = 0, /* the library's choice: alias */
	VSM_ENFORCEMENT_SLOTS,	     /* memslots of a read-only and of a closed mapping */
	VSM_ENFORCEMENT_ALIAS,	     /* a host mapping per VTL, protected with mprotect */
};

/* What happens to a page a VTL may read or write but not execute; KVM cannot express it. */
enum vsm_exec_policy {
	VSM_EXEC_DEFAULT = 0, /* strict */
	VSM_EXEC_STRICT,  /* kept closed: data accesses are stepped one by one, fetches intercept */
	VSM_EXEC_RELAXED, /* mapped: fetches are not caught */
};

/*
 * What a guest is told that asks for intercepts that unmodified KVM cannot give: of writes to CR0,
 * CR4, XCR0 and the descriptor table registers (HvX64RegisterCrInterceptControl).
 */
enum vsm_unsupported_intercepts {
	VSM_UNSUPPORTED_INTERCEPTS_REFUSE = 0, /* HV_STATUS_OPERATION_DENIED */
	VSM_UNSUPPORTED_INTERCEPTS_ACCEPT,     /* success; they never happen */
};

/* vsm_partition_options.flags */
/* Hand MSR exits the library does not answer to the VMM; otherwise the guest gets the #GP that KVM
 * gives by default. */
#define VSM_PARTITION_MSR_EXITS (UINT64_C(1) << 0)
/* The VMM runs the partition's events: see vsm/events.h. */
#define VSM_PARTITION_VMM_EVENTS (UINT64_C(1) << 1)
/* The event loop is to be made of epoll even where io_uring is there. */
#define VSM_PARTITION_NO_IO_URING (UINT64_C(1) << 2)
/* vsm_vcpu_run() never sleeps: where a VTL with the library's local APIC halts, and while it stays halted, it returns
 * with KVM_EXIT_HLT. */
#define VSM_PARTITION_HLT_EXITS (UINT64_C(1) << 3)
/*
 * Memory intercept messages name the guest-virtual address of the access besides the
 * guest-physical one, wherever it is known. Without the flag GvaValid is 0 throughout, as on
 * processors whose nested page faults do not report it (AMD64 APM volume 2, "Nested Page Faults").
 */
#define VSM_PARTITION_INTERCEPT_GVA (UINT64_C(1) << 4)

/* vsm_partition_options.quirks: deviations from the TLFS some guests expect; none by default. */
/* With MBEC off, a mask with UX alone lets both modes execute (the TLFS: KX governs both). */
#define VSM_QUIRK_UX_IS_EXECUTE (UINT64_C(1) << 0)

struct vsm_partition_options {
	size_t size; /* sizeof(struct vsm_partition_options): bytes past what the library knows must
			be 0 */
	int kvm_fd;  /* /dev/kvm; used during calls on the partition, stays the VMM's */
	int vm_fd;   /* the VMM's VM, which becomes VTL0's (or everybody's); stays the VMM's */
	enum vsm_topology topology;
	enum vsm_enforcement enforcement;
	enum vsm_exec_policy exec_policy;
	uint8_t max_vtl;	/* highest VTL the guest may enable: 1 or 2; 0 means 1 */
	uint8_t hypercall_port; /* I/O port reserved for the hypercall page; 0 means the library's
				   default, 0xE7 */
	uint32_t max_vps;	/* VPs the VMM may create; 0 means 1 */
	uint32_t first_slot;	/* memslot ids below this one stay the VMM's, in vm_fd. A guest
				   cannot lay its overlay pages over what they show */
	int kick_signal;	/* signal that brings a vcpu's thread out of the guest: see
			    vsm_vcpu_kick(). The library sends it for timers and interrupts too.
			    0: none; they are then noticed when the vcpu next exits */
	uint64_t flags;		/* VSM_PARTITION_* */
	uint64_t quirks;	/* VSM_QUIRK_* */
	vsm_log_fn log;		/* may be NULL */
	vsm_trace_fn trace;	/* may be NULL */
	void *callback_ctx;	/* first argument of both */
	enum vsm_unsupported_intercepts unsupported_intercepts;
	/*
	 * Mappings of the VMM's process that its guest's protections may take up: two for each
	 * separately protected range, as many again where vsm_memory_view() shows the restricted
	 * VTL's memory. A guest that wants more gets HV_STATUS_INSUFFICIENT_MEMORY. 0: three
	 * quarters of vm.max_map_count. VMMs with several partitions share them out.
	 */
	uint32_t max_mappings;
};

/*
 * Makes a partition out of a VM that has no vCPU yet. Creates everything the guest can later ask
 * for (VMs, the overlay pool): nothing a guest does afterwards creates a file descriptor. The VM
 * must not already have memslots at or above first_slot; with VSM_TOPOLOGY_SINGLE_VM it must not
 * have an in-kernel irqchip. On success *out is the caller's, to be given to
 * vsm_partition_destroy(). Any thread.
 *
 * -EINVAL  options NULL, an unknown size with a non-zero tail, a bad fd, an out-of-range member
 * -ENOTSUP the host lacks a needed capability (vsm_probe_host() names it), or the irqchip does not
 * fit the topology -ENOMEM, -EMFILE and other errors of KVM_CREATE_VM, memfd_create(2) and mmap(2)
 *
 * Rests on: TLFS vsm.md; Linux Documentation/virt/kvm/api.rst.
 */
VSM_API int vsm_partition_create(const struct vsm_partition_options *options,
				 struct vsm_partition **out);

/* Releases everything of the partition, its vcpus included. No vcpu may be running. NULL is
 * allowed. */
VSM_API void vsm_partition_destroy(struct vsm_partition *partition);

/*
 * Resets the partition as far as it is the library's: first guest memory is zeroed (ROM excepted)
 * if an enabled VTL has ZeroMemoryOnReset set, as it does unless its guest cleared that; then every
 * VTL above 0 is disabled, its protections are dropped, all overlay pages are hidden, and synthetic
 * MSRs, SynICs and what waits in them, synthetic timers, the library's local APICs, TLB locks and
 * intercepts are as after vsm_vcpu_create(). Each VP is in VTL0 and waits for INIT and SIPI if it
 * did then. What the VMM connected, mapped and counts stays: ports, memory, views, statistics; so
 * does reference time, which goes on. VTL0's vCPU state (and an in-kernel irqchip) is the VMM's to
 * set, through vsm_vcpu_fd(), before this call or after it. A dead partition stays dead. Any
 * thread, while no vcpu is inside vsm_vcpu_run().
 *
 * -EINVAL NULL; -EBUSY a vcpu runs; errors of mmap(2), mprotect(2) and KVM's ioctls: the partition
 * is then dead
 *
 * Rests on: TLFS vsm.md, "VTL Enablement" and "HvRegisterVsmPartitionConfig".
 */
VSM_API int vsm_partition_reset(struct vsm_partition *partition);

struct vsm_memory_region {
	size_t size;	     /* sizeof(struct vsm_memory_region) */
	uint64_t guest_phys; /* page aligned */
	uint64_t bytes;	     /* page aligned, not 0 */
	int fd;		     /* memfd or file; duplicated by the library */
	uint32_t flags;	     /* VSM_MEMORY_* */
	uint64_t fd_offset;  /* page aligned */
};

/* No VTL can write it (ROM); stores surface as KVM_EXIT_MMIO or the equivalent, at the VMM. */
#define VSM_MEMORY_READ_ONLY (UINT32_C(1) << 0)

/*
 * Shows guest memory from a file to every VTL. The VMM keeps its own mapping of the file for its
 * own use. May be called while vcpus run (hot-add): the default protection masks already set apply
 * to it. Any thread.
 *
 * -EINVAL  alignment, empty, past the host's physical addresses, unknown flags or size; -EEXIST
 * overlaps a region; -ERANGE the fd is too small; -ENOTSUP VSM_MEMORY_READ_ONLY without
 * KVM_CAP_READONLY_MEM; -ENOSPC no memslot left; -ENOMEM, -EBADF and other errors of dup, mmap and
 * KVM_SET_USER_MEMORY_REGION
 */
VSM_API int vsm_partition_map_memory(struct vsm_partition *partition,
				     const struct vsm_memory_region *region);

/*
 * Adds the Hyper-V leaves (0x40000000..0x40000006) to a CPUID table and clears what this partition
 * cannot give its guest. `in` is the VMM's table, e.g. from KVM_GET_SUPPORTED_CPUID; its own leaves
 * in 0x40000000..0x400000ff are replaced. `out` has room for out->nent entries; on success
 * out->nent is the number written. `in` and `out` must not overlap. Any thread.
 *
 * -E2BIG  out is too small: out->nent is then the number needed; -EINVAL a NULL argument
 *
 * Rests on: TLFS feature-discovery.md.
 */
VSM_API int vsm_partition_compose_cpuid(const struct vsm_partition *partition,
					const struct kvm_cpuid2 *in, struct kvm_cpuid2 *out);

/*
 * Why a partition stopped working, as a sentence, or NULL while it is well. A partition dies when
 * the host fails it in a way that would leave a VTL more open than its guest asked, or a VP without
 * all of its state; from then on vsm_vcpu_run() returns -EIO, calls under way included. The text
 * lives as long as the partition. Any thread.
 */
VSM_API const char *vsm_partition_death(const struct vsm_partition *partition);

/* What the partition's options turned out to be. */
VSM_API enum vsm_topology vsm_partition_topology(const struct vsm_partition *partition);
VSM_API enum vsm_enforcement vsm_partition_enforcement(const struct vsm_partition *partition);
VSM_API enum vsm_exec_policy vsm_partition_exec_policy(const struct vsm_partition *partition);

/*
 * Fills *stats up to stats->size, which the caller sets. -EINVAL: NULL, or a size smaller than its
 * first two members. Any thread.
 */
VSM_API int vsm_partition_get_stats(const struct vsm_partition *partition,
				    struct vsm_partition_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
