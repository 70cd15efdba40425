/* SPDX-License-Identifier: MIT */
/* A virtual processor (VP): one KVM vCPU per VTL, of which exactly one is active. */
#ifndef VSM_VCPU_H
#define VSM_VCPU_H

#include <stddef.h>
#include <stdint.h>
#include <linux/kvm.h>
#include "vsm/export.h"
#include "vsm/stats.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vsm_partition;
struct vsm_vcpu;

/*
 * Where VTL0 has the library's local APIC, VP 0 runs at once and the others wait for INIT and SIPI
 * or HvCallStartVirtualProcessor. A VP with this flag runs at once too. (KVM's own APIC goes by
 * KVM_SET_MP_STATE.)
 */
#define VSM_VCPU_STARTED (UINT64_C(1) << 0)

struct vsm_vcpu_options {
	size_t size;	  /* sizeof(struct vsm_vcpu_options) */
	uint32_t index;	  /* VP index, below the partition's max_vps */
	uint32_t apic_id; /* initial local APIC id; KVM's vCPU id in VTL0's VM */
	uint64_t flags;	  /* VSM_VCPU_* */
};

/*
 * Creates a VP with the vCPUs of every VTL the partition can have. VTL0's is in KVM's reset state,
 * for the VMM to set up through vsm_vcpu_fd(); the others are entered by the guest. On success *out
 * belongs to the partition: vsm_vcpu_destroy() or vsm_partition_destroy() releases it. Any thread.
 *
 * -EINVAL a NULL argument, unknown size, index out of range; -EEXIST the index or the APIC id is
 * taken; -ENOTSUP the VM has KVM's local APIC, and all VTLs share the VM, or KVM lacks
 * KVM_CAP_SIGNAL_MSI or KVM_CAP_MP_STATE; -ENOMEM: all is as before; errors of KVM_CREATE_VCPU and
 * mmap(2): there is no such VP, but a vCPU that KVM made for it keeps its APIC id.
 */
VSM_API int vsm_vcpu_create(struct vsm_partition *partition, const struct vsm_vcpu_options *options,
			    struct vsm_vcpu **out);

/*
 * Releases the VP. It must not be running. NULL is allowed. KVM keeps the vCPU until its VM goes,
 * so a VP of the same APIC id cannot be created again in this partition (-EEXIST).
 */
VSM_API void vsm_vcpu_destroy(struct vsm_vcpu *vcpu);

/*
 * Gives all of the VP's vCPUs this CPUID table (as composed by vsm_partition_compose_cpuid()), with
 * the APIC id fields of leaves 1, 0xb and 0x1f set to the VP's. The library's local APICs have
 * x2APIC mode if the table has it. Call it before the VP first runs; not while it runs.
 *
 * -EINVAL a NULL argument; -ENOMEM; errors of KVM_SET_CPUID2
 */
VSM_API int vsm_vcpu_set_cpuid(struct vsm_vcpu *vcpu, const struct kvm_cpuid2 *cpuid);

/*
 * Resets the VP as far as it is the library's, while the others go on: every VTL above 0 is
 * disabled on it, its overlay pages are hidden, its synthetic MSRs, SynIC, synthetic timers,
 * messages that wait, TLB locks, intercepts and local APIC (the library's) are as after
 * vsm_vcpu_create(), and it waits for INIT and SIPI if it did then. It is in VTL0, which keeps what
 * the partition's higher VTLs forbid it; only vsm_partition_reset() takes those away. VTL0's vCPU
 * state is the VMM's to set, through vsm_vcpu_fd(), before this call or after it; state that the
 * VTLs share and that a higher VTL held last is lost. An instruction that an exit to the VMM left
 * half-done is ended without effect on the registers; that may bring the other VPs out of the guest
 * for a moment. Any thread, while the VP is not inside vsm_vcpu_run(), which waits if it is called
 * meanwhile.
 *
 * -EINVAL NULL; -EBUSY it is; errors of mmap(2), mprotect(2) and KVM's ioctls: the partition is
 * then dead
 *
 * Rests on: TLFS vsm.md, "VTL Enablement"; HvCallDisableVpVtl for each VTL above 0.
 */
VSM_API int vsm_vcpu_reset(struct vsm_vcpu *vcpu);

/*
 * The KVM vCPU fd of one VTL of the VP, for the VMM to read and write state while the VP is outside
 * vsm_vcpu_run(): KVM_SET_REGS, KVM_SET_MP_STATE, KVM_GET_XSAVE, ... The fd stays the library's:
 * KVM_RUN on it and closing it are not allowed. With the strict execute policy
 * KVM_SET_GUEST_DEBUG is the library's too: what the VMM sets is lost at the next step.
 *
 * With PAE paging (32-bit) the four page-directory-pointer entries are those in the VTL's memory,
 * whatever KVM showed when the VMM set special registers: where it may have been anything else,
 * the next vsm_vcpu_run() loads them. Entries that KVM_SET_SREGS2 gives may be replaced so.
 *
 * -EINVAL no such VTL
 */
VSM_API int vsm_vcpu_fd(const struct vsm_vcpu *vcpu, unsigned vtl);

/*
 * Runs the VP, in whatever VTL is due, until something happens that is the VMM's business; used
 * where the VMM called ioctl(KVM_RUN). VTL switches, hypercalls, synthetic MSRs and intercepts
 * happen inside.
 *
 * On 0, *run is the active VTL's struct kvm_run, its exit_reason set, as KVM_RUN leaves it; an exit
 * that wants an answer (KVM_EXIT_IO in, KVM_EXIT_MMIO read, KVM_EXIT_X86_RDMSR, ...) takes it
 * there, and the next vsm_vcpu_run() completes it. *run is valid until that next call. The VMM
 * leaves immediate_exit, kvm_valid_regs and kvm_dirty_regs alone; to come back at once it calls
 * vsm_vcpu_kick() first. Only one thread runs a VP at a time.
 *
 * Where the active VTL has the library's local APIC and halts, the call sleeps until something ends
 * that, as KVM does with its own. If it halts with interrupts off, KVM_EXIT_HLT is returned once;
 * the next call sleeps. See VSM_PARTITION_HLT_EXITS.
 *
 * KVM_EXIT_SYSTEM_EVENT comes from the library, in the way of KVM's own Hyper-V interface, when the
 * guest writes HV_X64_MSR_RESET (type KVM_SYSTEM_EVENT_RESET: the VMM resets the machine, beginning
 * with vsm_partition_reset(), or ends it) or reports a crash with HV_X64_MSR_CRASH_CTL (type
 * KVM_SYSTEM_EVENT_CRASH: the guest may go on). system_event.data[0] is the VTL that did; with a
 * crash, data[1] is what it wrote to CRASH_CTL and data[2] to data[6] are P0 to P4: with bit 62 of
 * the former (CrashMessage) P3 is the GPA and P4 the length of a message, which the VMM reads as
 * that VTL would (vsm_memory_view()). ndata is how many there are.
 *
 * -EINTR  vsm_vcpu_kick(), or a signal of the VMM's; may be spurious; *run is the active VTL's. The
 * kick_signals the library sends for itself do not end the call
 * -EIO    the partition is dead; vsm_partition_death() says why
 * -EFAULT a guest access reached memory the host cannot give it and no VTL protects; *run is the
 * active VTL's -EINVAL a NULL argument and KVM_RUN's others (-EAGAIN for a VP not started, -ENOMEM,
 * ...), with the VP as KVM left it
 *
 * Rests on: Linux Documentation/virt/kvm/api.rst, 4.10 KVM_RUN; TLFS vsm.md.
 */
VSM_API int vsm_vcpu_run(struct vsm_vcpu *vcpu, struct kvm_run **run);

/*
 * Makes a running vsm_vcpu_run() return -EINTR soon, or the next one at once. Safe from any thread
 * and from signal handlers.
 *
 * A thread inside KVM_RUN needs a signal to leave it. With the partition's kick_signal set, this
 * call sends it; the VMM must have a handler for it (an empty one will do). With kick_signal 0 the
 * VMM signals the thread itself, after this call.
 */
VSM_API void vsm_vcpu_kick(struct vsm_vcpu *vcpu);

/* The VTL that is active on the VP. While the VP runs, a snapshot. */
VSM_API unsigned vsm_vcpu_active_vtl(const struct vsm_vcpu *vcpu);

VSM_API uint32_t vsm_vcpu_index(const struct vsm_vcpu *vcpu);

/* Fills *stats up to stats->size, which the caller sets. -EINVAL as vsm_partition_get_stats(). Any
 * thread. */
VSM_API int vsm_vcpu_get_stats(const struct vsm_vcpu *vcpu, struct vsm_vcpu_stats *stats);

/*
 * Writes what the VP is doing and what it waits for, NUL-terminated, cut to `room` bytes, for
 * people who look into a guest that does not go on: a line for the VP and one for each of its VTLs,
 * with RIP, what halts it, and the interrupts that wait or are in service in its local APIC. The
 * VTL that KVM_RUN is running cannot be read meanwhile: kick the VP, and look at its registers when
 * vsm_vcpu_run() has returned. The words may change with any version. Any thread; not from a
 * signal handler.
 *
 * The length of the whole text, as snprintf(3); text may be NULL when room is 0. -EINVAL vcpu or
 * text is NULL; -ETIMEDOUT another thread has kept the partition for a second
 */
VSM_API int vsm_vcpu_text(struct vsm_vcpu *vcpu, char *text, size_t room);

#ifdef __cplusplus
}
#endif

#endif
