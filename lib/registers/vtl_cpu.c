/* SPDX-License-Identifier: MIT */
/* A vCPU's registers, moved through kvm_run where the host can and with ioctls where it cannot. */
#include "registers/vtl_cpu.h"

#include <errno.h>
#include <string.h>

/* Both travel with KVM_RUN when the host has KVM_CAP_SYNC_REGS; the rest never does. */
#define SYNC_GROUPS (CPU_REGS | CPU_SREGS)

_Static_assert(CPU_REGS == KVM_SYNC_X86_REGS && CPU_SREGS == KVM_SYNC_X86_SREGS,
	       "groups are KVM's bits");

/* More exits than any one instruction makes: the widest operand in 8-byte pieces, both ways, over
 * a page boundary. */
#define COMPLETE_EXITS 64

int vtl_cpu_init(struct vtl_cpu *cpu, const struct kvm_host *host, int fd, size_t run_size,
		 bool sync_regs, bool sregs2)
{
	struct kvm_run *run;
	int r = host->ops->map_vcpu(host, fd, run_size, &run);

	if (r)
		return r;
	memset(cpu, 0, sizeof(*cpu));
	cpu->host = host;
	cpu->fd = fd;
	cpu->run = run;
	cpu->run_size = run_size;
	cpu->sync_groups = sync_regs ? SYNC_GROUPS : 0;
	cpu->groups = sync_regs ? &run->s.regs : &cpu->copy;
	cpu->sregs2 = sregs2;
	cpu->pdptes_due = true;
	if (sync_regs)
		run->kvm_valid_regs = SYNC_GROUPS;
	return 0;
}

void vtl_cpu_destroy(struct vtl_cpu *cpu)
{
	if (!cpu->run)
		return;
	cpu->host->ops->unmap_memory(cpu->host, cpu->run, cpu->run_size);
	cpu->host->ops->close_fd(cpu->host, cpu->fd);
	memset(cpu, 0, sizeof(*cpu));
}

int vtl_cpu_fetch(struct vtl_cpu *cpu, unsigned group)
{
	const struct kvm_host *h = cpu->host;
	int r = group == CPU_REGS ? h->ops->get_regs(h, cpu->fd, &cpu->groups->regs)
				  : h->ops->get_sregs(h, cpu->fd, &cpu->groups->sregs);

	if (!r)
		cpu->valid |= (uint8_t)group;
	return r;
}

int vtl_cpu_events(struct vtl_cpu *cpu, struct kvm_vcpu_events **events)
{
	if (!(cpu->valid & CPU_EVENTS)) {
		int r = cpu->host->ops->get_vcpu_events(cpu->host, cpu->fd, &cpu->copy.events);

		if (r)
			return r;
		/* One that comes before the copy is written would be lost with it. */
		cpu->copy.events.flags &= ~(__u32)KVM_VCPUEVENT_VALID_NMI_PENDING;
		cpu->valid |= CPU_EVENTS;
	}
	*events = &cpu->copy.events;
	return 0;
}

int vtl_cpu_restore_events(struct vtl_cpu *cpu, const struct kvm_vcpu_events *old)
{
	struct kvm_vcpu_events *events, wanted;
	int r = vtl_cpu_events(cpu, &events);

	if (r)
		return r;
	wanted = *events;
	wanted.exception = old->exception;
	wanted.interrupt = old->interrupt;
	if (!memcmp(events, &wanted, sizeof(wanted)))
		return 0;
	*events = wanted;
	vtl_cpu_dirty(cpu, CPU_EVENTS);
	return 0;
}

static int cpu_write(struct vtl_cpu *cpu, unsigned group)
{
	const struct kvm_host *h = cpu->host;

	switch (group) {
	case CPU_REGS:
		return h->ops->set_regs(h, cpu->fd, &cpu->groups->regs);
	case CPU_SREGS:
		return h->ops->set_sregs(h, cpu->fd, &cpu->groups->sregs);
	default:
		return h->ops->set_vcpu_events(h, cpu->fd, &cpu->copy.events);
	}
}

/* Writes those of `groups` that are dirty. */
static int cpu_write_dirty(struct vtl_cpu *cpu, unsigned groups)
{
	/* Special registers first: KVM clears queued exceptions when general registers are set, so
	 * events go last. */
	static const uint8_t order[] = {CPU_SREGS, CPU_REGS, CPU_EVENTS};
	int result = 0;

	for (size_t i = 0; i < sizeof(order); i++) {
		unsigned group = order[i];
		int r;

		if (!(cpu->dirty & groups & group))
			continue;
		r = cpu_write(cpu, group);
		cpu->dirty &= (uint8_t)~group;
		if (r) {
			cpu->valid &= (uint8_t)~group;
			result = result ? result : r;
		}
	}
	return result;
}

int vtl_cpu_flush(struct vtl_cpu *cpu)
{
	if (cpu->dirty & CPU_SREGS)
		vtl_cpu_reload_pdptes(cpu);
	return cpu->dirty ? cpu_write_dirty(cpu, CPU_GROUPS) : 0;
}

void vtl_cpu_forget(struct vtl_cpu *cpu)
{
	cpu->valid &= cpu->dirty;
	/* It may have set special registers, or the entries themselves (KVM_SET_SREGS2). */
	cpu->pdptes_due |= cpu_pae_paging(&cpu->groups->sregs);
}

/* immediate_exit as set here; a kick writes 1. KVM takes any value but 0. */
#define HURRY 2

void vtl_cpu_hurry(struct vtl_cpu *cpu)
{
	uint8_t none = 0;

	__atomic_compare_exchange_n(&cpu->run->immediate_exit, &none, HURRY, false,
				    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

void vtl_cpu_unhurry(struct vtl_cpu *cpu)
{
	uint8_t ours = HURRY;

	__atomic_compare_exchange_n(&cpu->run->immediate_exit, &ours, 0, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
}

/*
 * RIP is to stay at an `out` that KVM has not completed: lets KVM complete it, and puts everything
 * back as it was to be. A queued exception is only written afterwards.
 */
static int cpu_complete_out(struct vtl_cpu *cpu)
{
	struct kvm_regs *regs, wanted;
	struct kvm_sregs *sregs, wanted_sregs;
	int r = vtl_cpu_state(cpu, &regs, &sregs);

	if (r)
		return r;
	wanted = *regs;
	wanted_sregs = *sregs;
	vtl_cpu_hurry(cpu);
	r = cpu->host->ops->run(cpu->host, cpu->fd);
	vtl_cpu_unhurry(cpu);
	if (r != -EINTR)
		return r ? r : -EIO;
	r = vtl_cpu_state(cpu, &regs, &sregs);
	if (r)
		return r;
	*regs = wanted;
	*sregs = wanted_sregs;
	cpu->valid |= CPU_REGS | CPU_SREGS;
	vtl_cpu_dirty(cpu, CPU_REGS);
	return 0;
}

static int cpu_settle_rip(struct vtl_cpu *cpu)
{
	struct kvm_regs *regs;
	int r = vtl_cpu_regs(cpu, &regs);

	cpu->rip_owned = false;
	return r || regs->rip != cpu->pio_rip ? r : cpu_complete_out(cpu);
}

void vtl_cpu_flush_tlb(struct vtl_cpu *cpu)
{
	atomic_store(&cpu->flush_tlb, true);
}

/*
 * KVM has no ioctl for it. But when KVM_SET_SREGS changes CR3, KVM drops the MMU's root and flushes
 * what it loads in its place, global translations included (kernel: __set_sregs(), kvm_mmu_load()).
 * PWT is a bit that any CR3 may have either way; the vCPU does not run between the two writes.
 */
static int cpu_drop_translations(struct vtl_cpu *cpu)
{
	struct kvm_sregs *sregs;
	int r = vtl_cpu_sregs(cpu, &sregs);

	if (r)
		return r;
	sregs->cr3 ^= CPU_CR3_PWT;
	r = cpu->host->ops->set_sregs(cpu->host, cpu->fd, sregs);
	sregs->cr3 ^= CPU_CR3_PWT;
	vtl_cpu_dirty(cpu, CPU_SREGS);
	return r;
}

_Static_assert(offsetof(struct kvm_sregs2, flags) == offsetof(struct kvm_sregs, interrupt_bitmap),
	       "both begin alike");

/*
 * With the registers of the entry that follows, KVM loads the pointers from the memory it shows
 * now. Where it cannot, it keeps those it has and says nothing (kernel: __set_sregs_common()): so
 * it has none.
 */
static int cpu_load_pdptes(struct vtl_cpu *cpu)
{
	struct kvm_sregs2 none = {.flags = 0};
	struct kvm_sregs *sregs;
	int r = vtl_cpu_sregs(cpu, &sregs);

	if (!r && cpu_pae_paging(sregs)) {
		vtl_cpu_dirty(cpu, CPU_SREGS);
		memcpy(&none, sregs, offsetof(struct kvm_sregs2, flags));
		none.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
		if (cpu->sregs2)
			r = cpu->host->ops->set_sregs2(cpu->host, cpu->fd, &none);
	}
	if (!r)
		cpu->pdptes_due = false;
	return r;
}

/*
 * KVM_SET_REGS, and its form in kvm_run, drops a queued exception (kernel: __set_regs()). With both
 * to be written, nothing may follow the events.
 */
int vtl_cpu_settle(struct vtl_cpu *cpu)
{
	int r = cpu->rip_owned ? cpu_settle_rip(cpu) : 0;

	if (!r && cpu->pdptes_due)
		r = cpu_load_pdptes(cpu);
	if (!r && atomic_exchange(&cpu->flush_tlb, false)) {
		r = cpu_drop_translations(cpu);
		if (r)
			atomic_store(&cpu->flush_tlb, true);
	}
	return r || !(cpu->dirty & ~cpu->sync_groups) ? r : cpu_write_dirty(cpu, CPU_GROUPS);
}

/* Answers the exit a half-done instruction made with nothing. */
static void cpu_answer_zero(struct kvm_run *run)
{
	if (run->exit_reason == KVM_EXIT_MMIO && !run->mmio.is_write)
		memset(run->mmio.data, 0, sizeof(run->mmio.data));
}

int vtl_cpu_complete(struct vtl_cpu *cpu)
{
	struct kvm_regs *regs;
	int r = vtl_cpu_regs(cpu, &regs);

	if (r)
		return r;
	/* Ends a repeated string instruction with this iteration; no other instruction's pending
	 * part reads RCX again. */
	regs->rcx = 1;
	vtl_cpu_dirty(cpu, CPU_REGS);
	for (unsigned i = 0; i < COMPLETE_EXITS; i++) {
		cpu_answer_zero(cpu->run);
		vtl_cpu_hurry(cpu);
		r = vtl_cpu_run(cpu);
		vtl_cpu_unhurry(cpu);
		if (r == -EINTR) {
			cpu->unfinished = false;
			return 0;
		}
		if (r)
			return r;
	}
	return -EIO;
}

int vtl_cpu_inject(struct vtl_cpu *cpu, uint8_t vector, int64_t error_code)
{
	struct kvm_vcpu_events *events;
	int r = vtl_cpu_events(cpu, &events);

	if (r)
		return r;
	events->exception.injected = 1;
	events->exception.pending = 0;
	events->exception.nr = vector;
	events->exception.has_error_code = error_code >= 0;
	events->exception.error_code = error_code >= 0 ? (uint32_t)error_code : 0;
	vtl_cpu_dirty(cpu, CPU_EVENTS);
	return 0;
}
