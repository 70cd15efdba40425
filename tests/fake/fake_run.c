// SPDX-License-Identifier: MIT
/* The fake KVM: KVM_RUN (Linux 6.1 arch/x86/kvm/x86.c, kvm_arch_vcpu_ioctl_run()). */
#include <unistd.h>
#include "fake.h"

#define STEPS_MAX 100000 /* of one KVM_RUN: a guest that loops is a broken test */

struct fake_guest run_guest(struct vcpu *v)
{
	return (struct fake_guest){.f = v->f,
				   .vcpu_fd = v->run_fd,
				   .regs = &v->regs,
				   .sregs = &v->sregs,
				   .run = v->run};
}

static int run_interrupted(struct vcpu *v)
{
	v->run->exit_reason = KVM_EXIT_INTR;
	return -EINTR;
}

int run_sleep(struct vcpu *v)
{
	v->idle = true;
	pthread_cond_broadcast(&v->f->changed);
	while (!v->signalled)
		pthread_cond_wait(&v->f->changed, &v->f->lock);
	v->idle = false;
	return run_interrupted(v);
}

/* --- entry --- */

static int run_sync_in(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	uint64_t known = (uint64_t)fake_cap(v->f, KVM_CAP_SYNC_REGS);

	if (run->kvm_valid_regs & ~known || run->kvm_dirty_regs & ~known)
		return -EINVAL;
	if (run->kvm_dirty_regs & KVM_SYNC_X86_REGS) {
		state_set_regs(v, &run->s.regs.regs);
		run->kvm_dirty_regs &= ~KVM_SYNC_X86_REGS;
	}
	if (run->kvm_dirty_regs & KVM_SYNC_X86_SREGS) {
		if (state_set_sregs(v, &run->s.regs.sregs))
			return -EINVAL;
		run->kvm_dirty_regs &= ~KVM_SYNC_X86_SREGS;
	}
	if (run->kvm_dirty_regs & KVM_SYNC_X86_EVENTS) {
		if (state_set_events(v, &run->s.regs.events))
			return -EINVAL;
		run->kvm_dirty_regs &= ~KVM_SYNC_X86_EVENTS;
	}
	return 0;
}

static bool run_single_step_due(const struct vcpu *v)
{
	return v->step_debug && v->debug.control & KVM_GUESTDBG_SINGLESTEP;
}

static int run_debug_exit(struct vcpu *v)
{
	v->run->exit_reason = KVM_EXIT_DEBUG;
	v->run->debug.arch = (struct kvm_debug_exit_arch){.exception = 1,
							  .pc = v->sregs.cs.base + v->regs.rip,
							  .dr6 = 0xffff4ff0,
							  .dr7 = v->dr.dr7};
	return 0;
}

/* All that happens before the guest runs. 1: go on. */
static int run_enter(struct vcpu *v)
{
	bool immediate = v->run->immediate_exit && fake_cap(v->f, KVM_CAP_IMMEDIATE_EXIT);
	int ret;

	v->run->flags = 0;
	if (v->mp.mp_state == KVM_MP_STATE_UNINITIALIZED)
		return immediate ? -EINTR : run_sleep(v);
	ret = run_sync_in(v);
	if (ret)
		return ret;
	if (!v->has_lapic) {
		if (v->run->cr8 > 15)
			return -EINVAL;
		v->sregs.cr8 = v->run->cr8;
	}
	v->step_debug = false;
	ret = guest_complete(v);
	if (ret <= 0)
		return ret;
	if (run_single_step_due(v))
		return run_debug_exit(v);
	return immediate ? -EINTR : 1;
}

/* --- in the guest --- */

/* kvm_vcpu_ready_for_interrupt_injection() */
static bool run_ready_for_interrupt(const struct vcpu *v)
{
	const struct kvm_vcpu_events *e = &v->events;

	if (v->vm->irqchip)
		return true;
	return event_interrupt_allowed(v) && !e->exception.injected && !e->exception.pending &&
	       !e->nmi.injected && !e->interrupt.injected;
}

static int run_shutdown_exit(struct vcpu *v)
{
	v->run->exit_reason = KVM_EXIT_SHUTDOWN;
	v->events.triple_fault.pending = 0;
	return 0;
}

/* One round: an event, or an instruction. 1: go on. */
static int run_round(struct vcpu *v)
{
	int ret;

	if (v->signalled)
		return run_interrupted(v);
	if (v->events.triple_fault.pending)
		return run_shutdown_exit(v);
	if (event_deliver_pending(v))
		return 1;
	if (v->mp.mp_state == KVM_MP_STATE_HALTED)
		return run_sleep(v);
	if (v->run->request_interrupt_window && !v->vm->irqchip && run_ready_for_interrupt(v)) {
		v->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
		return 0;
	}
	v->step_debug = false;
	ret = guest_step(v);
	return ret > 0 && run_single_step_due(v) ? run_debug_exit(v) : ret;
}

static int run_loop(struct vcpu *v)
{
	v->ran = true;
	if (v->f->flags & FAKE_EXIT_REASON_CLEARED)
		v->run->exit_reason = KVM_EXIT_UNKNOWN;
	for (unsigned i = 0; i < STEPS_MAX; i++) {
		int ret = run_round(v);

		if (ret <= 0)
			return ret;
	}
	fake_error(v->f, "vCPU %lu: the guest loops at %#llx", v->id, v->regs.rip);
	return -ENOSYS;
}

/* --- exit: store_regs() and post_kvm_run_save() --- */

/* __get_sregs() sets bits of the bitmap and clears none: those of earlier exits stay. */
static void leave_sregs(const struct vcpu *v, struct kvm_sregs *sregs)
{
	struct kvm_sregs old = *sregs;

	state_get_sregs(v, sregs);
	for (unsigned i = 0; i < 4; i++)
		sregs->interrupt_bitmap[i] |= old.interrupt_bitmap[i];
}

static void run_leave(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	if (run->kvm_valid_regs & KVM_SYNC_X86_REGS)
		run->s.regs.regs = v->regs;
	if (run->kvm_valid_regs & KVM_SYNC_X86_SREGS)
		leave_sregs(v, &run->s.regs.sregs);
	if (run->kvm_valid_regs & KVM_SYNC_X86_EVENTS)
		state_get_events(v, &run->s.regs.events);
	run->if_flag = (v->regs.rflags & RFLAGS_IF) != 0;
	run->cr8 = v->sregs.cr8;
	run->apic_base = v->sregs.apic_base;
	run->ready_for_interrupt_injection = run_ready_for_interrupt(v);
}

int op_run(const struct kvm_host *h, int vcpu_fd)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_run, vcpu_fd, &f, &v);

	if (ret)
		return fake_leave(f, ret);
	v->running = true;
	v->signalled = false;
	v->thread = gettid();
	v->run_fd = vcpu_fd;
	v->vm->refs++;
	ret = run_enter(v);
	if (ret > 0)
		ret = run_loop(v);
	run_leave(v);
	v->running = false;
	pthread_cond_broadcast(&f->changed);
	object_put(f, FD_VCPU, v);
	return fake_leave(f, ret);
}
