/* SPDX-License-Identifier: MIT */
/*
 * vsm_vcpu_run(): which VTL is due, into the guest, and out again.
 *
 * The partition's lock is held all the time but inside KVM_RUN. One round:
 *
 *   kicked? -> return      INIT, SIPI? -> startup      a higher VTL due? -> switch
 *   halted, or waiting for a TLB lock? -> sleep
 *        a store to finish? -> intercept/      interrupt? -> KVM_INTERRUPT
 *   gate: memslots show this VTL's view      timers: arm the event loop
 *   KVM_RUN -> exit_handle()
 */
#include <errno.h>

#include "event/event.h"
#include "event/watch.h"
#include "kvm/path.h"
#include "intercept/intercept.h"
#include "msr/machine_msr.h"
#include "vcpu/exit.h"
#include "vcpu/gate.h"
#include "vcpu/interrupt.h"
#include "vcpu/shared.h"
#include "vcpu/step.h"
#include "vcpu/switch.h"
#include "vcpu/vcpu.h"
#include "vtl/startup.h"

/*
 * Always before `kicked` is looked at: a kick sets the flag first and immediate_exit second, so one
 * whose immediate_exit is lost here is found by its flag, and one that comes later sets both again.
 */
static void clear_immediate_exit(struct vsm_vcpu *vp)
{
	for (unsigned vtl = 0; vtl < vp->partition->vtl_count; vtl++)
		__atomic_store_n(&vp->vtls[vtl].cpu.run->immediate_exit, 0, __ATOMIC_SEQ_CST);
}

/* A kick is used up by the return it causes. */
static bool take_kick(struct vsm_vcpu *vp)
{
	if (!atomic_load(&vp->kicked))
		return false;
	clear_immediate_exit(vp);
	return atomic_exchange(&vp->kicked, false);
}

/* Neither an errno nor an enum exit_action: look at everything again. */
#define ENTER_AGAIN 2

/* KVM_RUN ended with EINTR. -EINTR: it was for a signal of the VMM's. */
static SIDE_PATH int interrupted(struct vsm_vcpu *vp, bool finish)
{
	bool nudged = vp->nudged;
	int r = step_interrupted(vp);

	vp->nudged = false;
	if (finish && !r)
		return ENTER_AGAIN;
	clear_immediate_exit(vp);
	if (r)
		return r;
	/* A kick is taken by the loop. */
	return nudged || atomic_load(&vp->kicked) ? ENTER_AGAIN : -EINTR;
}

/* KVM_RUN of *v, the active VTL, which the gate has let in. */
static inline int run_guest(struct vsm_vcpu *vp, struct vp_vtl *v, struct space *space, bool finish)
{
	struct vsm_partition *p = vp->partition;
	struct vtl_cpu *cpu = &v->cpu;
	int r;

	if (finish)
		vtl_cpu_hurry(cpu);
	vp->stats.runs++;
	cpu->unfinished = false;
	pthread_mutex_unlock(&p->lock);
	r = vtl_cpu_run(cpu);
	pthread_mutex_lock(&p->lock);
	interrupt_collect(vp, v);
	if (finish)
		vtl_cpu_unhurry(cpu);
	gate_leave(vp, space);
	return r == -EINTR ? interrupted(vp, finish) : r;
}

/*
 * *v: the active VTL's. `finish`: only complete what the last exit left half-done. `deadline`: of
 * the VP's timers.
 */
static inline int enter_guest(struct vsm_vcpu *vp, struct vp_vtl *v, uint64_t deadline, bool finish)
{
	struct vsm_partition *p = vp->partition;
	struct space *space = v->space;
	int r = deadline == KVM_NEVER ? 0 : event_arm(p, deadline);

	if (!r)
		r = watch_arm(vp);
	if (!r)
		r = gate_enter(vp, space);
	/* Whoever waited there gave up the lock: pages are no longer open for the right reason. */
	if (r > 0)
		r = step_end(vp);
	else if (!r)
		return run_guest(vp, v, space, finish);
	return r ? r : ENTER_AGAIN;
}

/* Something that stops the VP from just going on, before it enters the guest. ENTER_AGAIN: not. */
static int before_guest(struct vsm_vcpu *vp)
{
	struct violation v = {0};
	int r;

	/* While another VP steps the gate lets none in: the store could be to its instruction. */
	if (vcpu_active(vp)->store_waits && !step_window_open(vp->partition)) {
		r = intercept_resume(vp, &v);
		if (r)
			return r;
		if (v.setter)
			return violation_handle(vp, &v);
	}
	if (vp->watch.suspect) {
		r = watch_look(vp, &v);
		if (r)
			return r;
		if (violation_found(&v))
			return violation_handle(vp, &v);
	}
	r = interrupt_deliver(vp);
	return r ? r : ENTER_AGAIN;
}

/* exit_handle(); nearly every exit of many guests is found without asking its table. */
static inline int handle_exit(struct vsm_vcpu *vp, struct vp_vtl *v)
{
	const struct kvm_run *run = v->cpu.run;

	if (run->exit_reason != KVM_EXIT_IO || v->stepping || vp->unexplained ||
	    run->io.port != vp->partition->hypercall_port)
		return exit_handle(vp);
	return exit_hypercall(vp, v);
}

/* What is half-done is finished before the registers are looked at, so that they are whole. */
static int finish_instruction(struct vsm_vcpu *vp)
{
	int r = enter_guest(vp, vcpu_active(vp), vp->deadline, true);

	if (r == ENTER_AGAIN)
		return EXIT_RESUME;
	return r ? r : exit_handle(vp);
}

/* Halted, suspended, or not started. */
static int idle(struct vsm_vcpu *vp)
{
	if (vp->started && (vp->partition->flags & VSM_PARTITION_HLT_EXITS)) {
		vcpu_active(vp)->cpu.run->exit_reason = KVM_EXIT_HLT;
		return EXIT_TO_VMM;
	}
	return gate_sleep(vp, vp->deadline);
}

/* Which VTL, and whether at all. ENTER_AGAIN: into the guest with the active one. */
static int choose(struct vsm_vcpu *vp)
{
	bool half_done = vcpu_active(vp)->cpu.unfinished;
	unsigned due;
	int r, attended;

	if (half_done && (startup_resets(vp) || kernel_apic_waits(vp)))
		return finish_instruction(vp);
	/* The pages are open for the instruction that was at RIP. */
	r = startup_resets(vp) ? step_end(vp) : 0;
	if (!r)
		r = startup_check(vp);
	if (r < 0)
		return r;
	attended = kernel_apic_attend(vp, vp->partition->host->ops->clock_ns(vp->partition->host));
	if (attended)
		return attended;
	interrupt_expire_timers(vp);
	if (r)
		return idle(vp);
	interrupt_notify_blocked(vp);
	due = switch_due(vp);
	if (due != vp->active_vtl)
		return half_done ? finish_instruction(vp) : switch_interrupt(vp, due);
	if (interrupt_waiting(vp))
		return gate_sleep(vp, vp->deadline);
	return vcpu_active(vp)->suspended || interrupt_halted(vp) ? idle(vp) : ENTER_AGAIN;
}

/* An interrupt that could not be delivered does not go in. */
static int look_ahead(struct vsm_vcpu *vp)
{
	struct violation v = {0};
	int r = violation_ahead(vp, &v);

	if (r)
		return r;
	return violation_found(&v) ? violation_handle(vp, &v) : ENTER_AGAIN;
}

/* Everything there is to do before the guest may go on. ENTER_AGAIN: it may. */
static SIDE_PATH int attend(struct vsm_vcpu *vp)
{
	int r = choose(vp);

	if (r != ENTER_AGAIN)
		return r;
	r = before_guest(vp);
	return r == ENTER_AGAIN ? look_ahead(vp) : r;
}

static int round_trip(struct vsm_vcpu *vp)
{
	uint64_t deadline = KVM_NEVER;
	struct vp_vtl *v;
	int r;

	if (!interrupt_none(vp)) {
		r = attend(vp);
		if (r != ENTER_AGAIN)
			return r;
		deadline = vp->deadline;
	}
	v = vcpu_active(vp);
	r = enter_guest(vp, v, deadline, false);
	if (r == 0)
		return handle_exit(vp, v);
	if (r == ENTER_AGAIN)
		return EXIT_RESUME;
	return r == -EFAULT ? exit_fault(vp) : r;
}

/*
 * A number that is another one as soon as the VM has shown anything else to the VTL's vCPU; 0: it
 * shows another VTL's memory, or none.
 */
static uint64_t shown_memory(const struct vsm_vcpu *vp, unsigned vtl)
{
	const struct memory *m = &vp->partition->memory;
	const struct space *s = vp->vtls[vtl].space;

	return space_shows(s, m, vtl) ? m->changes + m->opening_changes + s->updates : 0;
}

/* The VMM looks at the vCPU with ioctls of its own: everything must be there. */
static SIDE_PATH int leave(struct vsm_vcpu *vp, struct kvm_run **run, int r)
{
	struct vtl_cpu *cpu = &vcpu_active(vp)->cpu;

	*run = cpu->run;
	gate_forget(vp);
	if (r == -EINTR)
		atomic_store(&vp->kicked, false);
	if (r == EXIT_TO_VMM) {
		vp->stats.vmm_exits++;
		r = 0;
	}
	if (step_end(vp))
		r = partition_die(vp->partition, "VP %u: ending a step failed", vp->index);
	for (unsigned vtl = 0; vtl < vp->partition->vtl_count; vtl++) {
		int flushed = vtl_cpu_flush(&vp->vtls[vtl].cpu);

		if (flushed)
			r = partition_die(vp->partition, "VP %u: writing VTL%u's registers failed",
					  vp->index, vtl);
		vp->rare[vtl].left_with = shown_memory(vp, vtl);
	}
	return r;
}

/*
 * The VMM may have set registers, with which KVM loads the pointers of PAE paging: from the right
 * memory if it showed that from then until now.
 */
static void arrive(struct vsm_vcpu *vp)
{
	for (unsigned vtl = 0; vtl < vp->partition->vtl_count; vtl++) {
		struct vtl_cpu *cpu = &vp->vtls[vtl].cpu;
		uint64_t left_with = vp->rare[vtl].left_with;

		vtl_cpu_forget(cpu);
		if (!left_with || left_with != shown_memory(vp, vtl))
			vtl_cpu_reload_pdptes(cpu);
	}
	shared_forget(vp);
}

/* What the guest told the VMM of itself; the instruction that did is finished first. */
static int system_event(struct vsm_vcpu *vp)
{
	struct vtl_cpu *cpu = &vcpu_active(vp)->cpu;
	int r = cpu->unfinished ? vtl_cpu_complete(cpu) : 0;

	if (r)
		return r;
	cpu->unfinished = false;
	machine_event_show(vp, cpu->run);
	return EXIT_TO_VMM;
}

static int run_until_exit(struct vsm_vcpu *vp)
{
	for (;;) {
		int r;

		if (vp->partition->dead)
			return -EIO;
		if (take_kick(vp))
			return vp->system_event.type ? system_event(vp) : -EINTR;
		r = round_trip(vp);
		if (r != EXIT_RESUME)
			return r;
	}
}

RUN_PATH int vsm_vcpu_run(struct vsm_vcpu *vcpu, struct kvm_run **run)
{
	struct vsm_partition *p;
	int r;

	if (!vcpu || !run)
		return -EINVAL;
	p = vcpu->partition;
	pthread_mutex_lock(&p->lock);
	while (vcpu->being_reset)
		pthread_cond_wait(&p->vcpu_moved, &p->lock);
	arrive(vcpu);
	atomic_store(&vcpu->thread, p->host->ops->current_thread(p->host));
	r = leave(vcpu, run, run_until_exit(vcpu));
	atomic_store(&vcpu->thread, 0);
	pthread_mutex_unlock(&p->lock);
	return r;
}
