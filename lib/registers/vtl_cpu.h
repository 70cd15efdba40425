/* SPDX-License-Identifier: MIT */
/*
 * One VTL's vCPU of a VP: the KVM fd, its kvm_run page, and what is known of its registers.
 *
 * Registers reach user space with every exit through kvm_run (KVM_CAP_SYNC_REGS) and go back the
 * same way with the next entry, so that an exit costs no ioctl of its own. vtl_cpu.c hides that,
 * and the hosts that cannot do it: callers ask for a pointer, change what it points to, and say so.
 */
#ifndef VSM_LIB_REGISTERS_VTL_CPU_H
#define VSM_LIB_REGISTERS_VTL_CPU_H

#include "kvm/ops.h"
#include "memory/gpa.h"

/* Register groups, as KVM_SYNC_X86_*. */
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
	bool sync_regs; /* KVM_CAP_SYNC_REGS has all three groups */
	uint8_t valid;	/* CPU_*: the copy is what the vCPU has (or will have, once the dirty ones
			   went in) */
	uint8_t dirty;	/* CPU_*: the copy must go to the vCPU before it runs */
	struct kvm_sync_regs copy; /* used where sync_regs is not */
};

/* Takes over fd; maps its kvm_run. */
int vtl_cpu_init(struct vtl_cpu *cpu, const struct kvm_host *host, int fd, size_t run_size,
		 bool sync_regs);
void vtl_cpu_destroy(struct vtl_cpu *cpu);

/*
 * The group's registers, read from the vCPU if need be. The pointer is good until the next run. 0
 * or the errno of the ioctl.
 */
int vtl_cpu_regs(struct vtl_cpu *cpu, struct kvm_regs **regs);
int vtl_cpu_sregs(struct vtl_cpu *cpu, struct kvm_sregs **sregs);
int vtl_cpu_events(struct vtl_cpu *cpu, struct kvm_vcpu_events **events);

/* The caller changed the group it got: the vCPU has it before it runs again. */
void vtl_cpu_dirty(struct vtl_cpu *cpu, unsigned groups);

/* Writes what is dirty with ioctls, now: before someone else looks at the vCPU. */
int vtl_cpu_flush(struct vtl_cpu *cpu);

/* Someone else may have changed the vCPU: forget what is known. Nothing may be dirty. */
void vtl_cpu_forget(struct vtl_cpu *cpu);

/* KVM_RUN, with dirty groups going in and all groups coming back. 0 or KVM_RUN's -errno. */
int vtl_cpu_run(struct vtl_cpu *cpu);

/*
 * Finishes the instruction an MMIO or PIO exit left half-done, without running the guest further
 * (immediate_exit). Further exits of the same instruction are completed with zeros, their stores
 * dropped. -EIO: it does not end.
 */
int vtl_cpu_complete(struct vtl_cpu *cpu);

/* Queues an exception for the next entry; replaces one that is queued. error_code < 0: none. */
int vtl_cpu_inject(struct vtl_cpu *cpu, uint8_t vector, int64_t error_code);

#define VECTOR_DB 1
#define VECTOR_UD 6
#define VECTOR_GP 13
#define VECTOR_PF 14

/* Modes, from sregs. */
static inline unsigned cpu_cpl(const struct kvm_sregs *s)
{
	return s->ss.dpl;
}

static inline bool cpu_protected(const struct kvm_sregs *s)
{
	return s->cr0 & 1;
}

static inline bool cpu_64bit(const struct kvm_sregs *s)
{
	return (s->efer & (UINT64_C(1) << 10)) && s->cs.l;
}

/* CS:RIP as a linear address. */
static inline gva_t cpu_linear_rip(const struct kvm_sregs *s, uint64_t rip)
{
	if (cpu_64bit(s))
		return gva_from(rip);
	return gva_from((uint32_t)(s->cs.base + rip));
}

#endif
