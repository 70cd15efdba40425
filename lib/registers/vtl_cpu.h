/* SPDX-License-Identifier: MIT */
/*
 * One VTL's vCPU of a VP: the KVM fd, its kvm_run page, and what is known of its registers.
 *
 * General and special registers reach user space with every exit through kvm_run
 * (KVM_CAP_SYNC_REGS) and go back the same way with the next entry, so that an exit costs no ioctl
 * of its own. vtl_cpu.c hides that, and the hosts that cannot do it: callers ask for a pointer,
 * change what it points to, and say so. Events are rarely needed and cost an ioctl when they are.
 */
#ifndef VSM_LIB_REGISTERS_VTL_CPU_H
#define VSM_LIB_REGISTERS_VTL_CPU_H

#include <stdatomic.h>
#include <string.h>
#include "kvm/ops.h"
#include "memory/gpa.h"

enum cpu_group {
	CPU_REGS = 1 << 0,
	CPU_SREGS = 1 << 1,
	CPU_EVENTS = 1 << 2,
	CPU_GROUPS = 7,
};

struct vtl_cpu {
	const struct kvm_host *host;
	int fd;
	struct kvm_run *run;
	size_t run_size;
	uint8_t sync_groups; /* CPU_*: what the host exchanges through kvm_run: two, or none */
	bool unfinished; /* the last exit left an instruction half-done: the next run completes it */
	bool rip_owned;	 /* vtl_cpu_own_rip() */
	bool sregs2;	 /* the host has KVM_SET_SREGS2 */
	bool pdptes_due; /* vtl_cpu_reload_pdptes() */
	uint64_t pio_rip;
	uint8_t valid; /* CPU_*: the copy is what the vCPU has, or will have once it is written */
	uint8_t dirty; /* CPU_*: the copy must go to the vCPU before it runs */
	/* vtl_cpu_flush_tlb(), of other threads: not between what a compiler reads at once. */
	_Atomic bool flush_tlb;
	struct kvm_sync_regs *groups; /* where CPU_REGS and CPU_SREGS are: in kvm_run, or `copy` */
	struct kvm_sync_regs copy;    /* for what does not go through kvm_run */
};

/* Maps the kvm_run of vCPU `fd` and takes the fd over; on failure the fd stays the caller's. */
int vtl_cpu_init(struct vtl_cpu *cpu, const struct kvm_host *host, int fd, size_t run_size,
		 bool sync_regs, bool sregs2);
/* Unmaps and closes. A zeroed struct whose run is NULL is left alone. */
void vtl_cpu_destroy(struct vtl_cpu *cpu);

/*
 * The group's registers, read from the vCPU if need be. The pointer is good until the next run. 0
 * or the errno of the ioctl.
 */
static inline int vtl_cpu_regs(struct vtl_cpu *cpu, struct kvm_regs **regs);
static inline int vtl_cpu_sregs(struct vtl_cpu *cpu, struct kvm_sregs **sregs);
/*
 * Whether an NMI waits is left as it is when they are written, unless their flags are given
 * KVM_VCPUEVENT_VALID_NMI_PENDING.
 */
int vtl_cpu_events(struct vtl_cpu *cpu, struct kvm_vcpu_events **events);

/*
 * Exceptions, interrupts and their shadow become what they were before an instruction was
 * completed. NMIs may have become pending meanwhile: they stay.
 */
int vtl_cpu_restore_events(struct vtl_cpu *cpu, const struct kvm_vcpu_events *old);

/* An interrupt or NMI was queued past the copy, which must not be written in its place. */
static inline void vtl_cpu_event_queued(struct vtl_cpu *cpu)
{
	cpu->valid &= (uint8_t) ~(CPU_EVENTS & ~cpu->dirty);
}

/* Both groups most callers want. */
static inline int vtl_cpu_state(struct vtl_cpu *cpu, struct kvm_regs **regs,
				struct kvm_sregs **sregs);

/* The caller changed the groups it got: the vCPU has them before it runs again. */
static inline void vtl_cpu_dirty(struct vtl_cpu *cpu, unsigned groups)
{
	cpu->dirty |= (uint8_t)groups;
}

/* Reads CPU_REGS or CPU_SREGS with an ioctl. */
int vtl_cpu_fetch(struct vtl_cpu *cpu, unsigned group);

static inline int vtl_cpu_regs(struct vtl_cpu *cpu, struct kvm_regs **regs)
{
	*regs = &cpu->groups->regs;
	return cpu->valid & CPU_REGS ? 0 : vtl_cpu_fetch(cpu, CPU_REGS);
}

static inline int vtl_cpu_sregs(struct vtl_cpu *cpu, struct kvm_sregs **sregs)
{
	*sregs = &cpu->groups->sregs;
	return cpu->valid & CPU_SREGS ? 0 : vtl_cpu_fetch(cpu, CPU_SREGS);
}

static inline int vtl_cpu_state(struct vtl_cpu *cpu, struct kvm_regs **regs,
				struct kvm_sregs **sregs)
{
	const unsigned both = CPU_REGS | CPU_SREGS;
	int r = 0;

	*regs = &cpu->groups->regs;
	*sregs = &cpu->groups->sregs;
	if ((cpu->valid & both) == both)
		return 0;
	if (!(cpu->valid & CPU_REGS))
		r = vtl_cpu_fetch(cpu, CPU_REGS);
	return r || (cpu->valid & CPU_SREGS) ? r : vtl_cpu_fetch(cpu, CPU_SREGS);
}

/*
 * Writes what is dirty with ioctls, now: before someone else looks at the vCPU, or to learn whether
 * KVM takes the values. On failure the refused group is forgotten: the vCPU keeps what it had.
 */
int vtl_cpu_flush(struct vtl_cpu *cpu);

/* Someone else may have changed the vCPU: forget what is known and not dirty. */
void vtl_cpu_forget(struct vtl_cpu *cpu);

/* KVM_RUN, dirty groups going in and registers coming back. 0 or KVM_RUN's -errno. */
static inline int vtl_cpu_run(struct vtl_cpu *cpu);

/* What KVM has to be told with ioctls before that; rarely anything. 0 or -errno. */
int vtl_cpu_settle(struct vtl_cpu *cpu);

/*
 * Finishes the instruction an MMIO or PIO exit left half-done, without running the guest further
 * (immediate_exit). Further exits of the same instruction are completed with zeros, their stores
 * dropped; a repeated string instruction ends with the iteration it is in. Registers are whatever
 * comes out: the caller keeps and restores those it wants. -EIO: it does not end.
 */
int vtl_cpu_complete(struct vtl_cpu *cpu);

/*
 * After a PIO exit: where the vCPU goes on is the library's decision, also if that is the
 * instruction itself. KVM would otherwise step over the instruction on re-entry when it finds RIP
 * unchanged (kernel: complete_fast_pio_out()). To be called before RIP is changed. regs: as
 * vtl_cpu_regs() gives them.
 */
static inline void vtl_cpu_own_rip(struct vtl_cpu *cpu, const struct kvm_regs *regs)
{
	cpu->rip_owned = true;
	cpu->pio_rip = regs->rip;
}

/*
 * The guest sees no translation from before this call once the vCPU next enters it. Any thread that
 * holds the partition's lock; a vCPU that is inside has to be brought out.
 */
void vtl_cpu_flush_tlb(struct vtl_cpu *cpu);

/*
 * KVM's copy of the four entries that CR3 points to with PAE paging may be from any memory: it is
 * made whenever special registers are set, from what the VM then shows (kernel: load_pdptrs()). The
 * next vtl_cpu_run(), in front of which the VM shows this VTL's memory, makes it anew. Entries that
 * the VTL cannot read are not present.
 */
static inline void vtl_cpu_reload_pdptes(struct vtl_cpu *cpu)
{
	cpu->pdptes_due = true;
}

/*
 * Makes the next vtl_cpu_run() only complete what is half-done, and takes that back; a kick that
 * comes between is not lost.
 */
void vtl_cpu_hurry(struct vtl_cpu *cpu);
void vtl_cpu_unhurry(struct vtl_cpu *cpu);

/* Queues an exception for the next entry in place of one that is queued. error_code < 0: none. */
int vtl_cpu_inject(struct vtl_cpu *cpu, uint8_t vector, int64_t error_code);

/*
 * In kvm_run KVM only ever sets bits of it (kernel: __get_sregs(); the ioctl zeroes them before),
 * and KVM_SET_SREGS queues what it names, whatever RFLAGS.IF says: a bit left from an earlier exit
 * would deliver its interrupt once more. What is queued stays so without being named.
 */
static inline void vtl_cpu_clear_bitmap(struct kvm_run *run)
{
	memset(run->s.regs.sregs.interrupt_bitmap, 0, sizeof(run->s.regs.sregs.interrupt_bitmap));
}

static inline int vtl_cpu_run(struct vtl_cpu *cpu)
{
	struct kvm_run *run = cpu->run;
	int r;

	/* RIP is elsewhere: KVM leaves it alone. */
	if (cpu->rip_owned && (cpu->valid & CPU_REGS) && cpu->groups->regs.rip != cpu->pio_rip)
		cpu->rip_owned = false;
	if (cpu->rip_owned || cpu->pdptes_due || atomic_load(&cpu->flush_tlb) ||
	    (cpu->dirty & ~cpu->sync_groups)) {
		r = vtl_cpu_settle(cpu);
		if (r)
			return r;
	}
	run->kvm_dirty_regs = cpu->dirty;
	/* Before 6.12 a failing KVM_RUN leaves the reason of an earlier exit. */
	run->exit_reason = KVM_EXIT_UNKNOWN;
	vtl_cpu_clear_bitmap(run);
	r = cpu->host->ops->run(cpu->host, cpu->fd);
	/* None, but if it failed before it took them (kernel: sync_regs() clears each). */
	cpu->dirty = (uint8_t)run->kvm_dirty_regs;
	run->kvm_dirty_regs = 0;
	cpu->valid = cpu->sync_groups;
	return r;
}

#define VECTOR_DB     1
#define VECTOR_NMI    2
#define VECTOR_UD     6
#define VECTOR_GP     13
#define VECTOR_PF     14

#define CPU_RFLAGS_TF (UINT64_C(1) << 8)
#define CPU_RFLAGS_IF (UINT64_C(1) << 9)
#define CPU_RFLAGS_DF (UINT64_C(1) << 10)
#define CPU_RFLAGS_RF (UINT64_C(1) << 16)
#define CPU_EFER_LMA  (UINT64_C(1) << 10)
#define CPU_CR0_PE    (UINT64_C(1) << 0)
#define CPU_CR0_PG    (UINT64_C(1) << 31)
#define CPU_CR4_PAE   (UINT64_C(1) << 5)
#define CPU_CR3_PWT   (UINT64_C(1) << 3)

static inline unsigned cpu_cpl(const struct kvm_sregs *s)
{
	return s->ss.dpl;
}

static inline bool cpu_protected(const struct kvm_sregs *s)
{
	return s->cr0 & CPU_CR0_PE;
}

/* Paging by way of four page-directory-pointer entries that are loaded with CR3 (SDM 3A, 4.4.1). */
static inline bool cpu_pae_paging(const struct kvm_sregs *s)
{
	return (s->cr0 & CPU_CR0_PG) && (s->cr4 & CPU_CR4_PAE) && !(s->efer & CPU_EFER_LMA);
}

/* Where they are. */
static inline uint64_t cpu_pae_pointers(uint64_t cr3)
{
	return cr3 & UINT64_C(0xffffffe0);
}

static inline bool cpu_64bit(const struct kvm_sregs *s)
{
	return (s->efer & CPU_EFER_LMA) && s->cs.l;
}

/* CS:RIP as a linear address. */
static inline gva_t cpu_linear_rip(const struct kvm_sregs *s, uint64_t rip)
{
	if (cpu_64bit(s))
		return gva_from(rip);
	return gva_from((uint32_t)(s->cs.base + rip));
}

#endif
