/* SPDX-License-Identifier: MIT */
/*
 * vsm_vcpu_run(): which VTL is due, into the guest, and out again.
 *
 * The partition's lock is held all the time but inside KVM_RUN. One round:
 *
 *   kicked? -> return        a higher VTL due? -> switch        a store to finish? -> intercept/
 *   interrupt to deliver?    -> gate: memslots show this VTL's view -> KVM_RUN -> exit_handle()
 */
#include <errno.h>

#include "intercept/intercept.h"
#include "vcpu/exit.h"
#include "vcpu/gate.h"
#include "vcpu/interrupt.h"
#include "vcpu/shared.h"
#include "vcpu/switch.h"
#include "vcpu/vcpu.h"

/*
 * Always before `kicked` is looked at: a kick sets the flag first and immediate_exit second, so one whose
 * immediate_exit is lost here is found by its flag, and one that comes later sets both again.
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

/* enter_guest(): other VPs moved meanwhile, look at everything again. KVM_RUN itself returns 0 or an errno. */
#define ENTER_AGAIN 1

/* KVM_RUN of the active VTL. `finish`: only complete what the last exit left half-done. */
static int enter_guest(struct vsm_vcpu *vp, bool finish)
{
	struct vsm_partition *p = vp->partition;
	struct vtl_cpu *cpu = &vcpu_active(vp)->cpu;
	int r = gate_enter(vp);

	if (r)
		return r < 0 ? r : ENTER_AGAIN;
	if (finish)
		vtl_cpu_hurry(cpu);
	vp->stats.runs++;
	cpu->unfinished = false;
	pthread_mutex_unlock(&p->lock);
	r = vtl_cpu_run(cpu);
	pthread_mutex_lock(&p->lock);
	gate_leave(vp);
	interrupt_collect(vp);
	if (finish)
		vtl_cpu_unhurry(cpu);
	else if (r == -EINTR)
		clear_immediate_exit(vp);
	return r;
}

/* Something that stops the VP from just going on, before it enters the guest. */
static int before_guest(struct vsm_vcpu *vp)
{
	struct violation v = {0};
	int r;

	if (vcpu_active(vp)->retired.armed) {
		r = intercept_resume(vp, &v);
		if (r)
			return r;
		if (v.setter)
			return violation_handle(vp, &v);
	}
	return interrupt_deliver(vp);
}

/* A higher VTL is due. The lower one's instruction is finished first, so that its registers are whole. */
static int go_up(struct vsm_vcpu *vp, unsigned vtl)
{
	int r;

	if (!vcpu_active(vp)->cpu.unfinished)
		return switch_interrupt(vp, vtl);
	r = enter_guest(vp, true);
	if (r == -EINTR || r == ENTER_AGAIN)
		return EXIT_RESUME;
	return r ? r : exit_handle(vp);
}

static int round_trip(struct vsm_vcpu *vp)
{
	unsigned due;
	int r;

	interrupt_expire_timers(vp);
	due = switch_due(vp);
	if (due != vp->active_vtl)
		return go_up(vp, due);
	r = before_guest(vp);
	if (r || switch_due(vp) != vp->active_vtl)
		return r;
	r = enter_guest(vp, false);
	if (r == 0)
		return exit_handle(vp);
	if (r == ENTER_AGAIN)
		return EXIT_RESUME;
	if (r == -EFAULT)
		return exit_fault(vp);
	if (r == -EINTR)
		atomic_store(&vp->kicked, false);
	return r;
}

/* The VMM looks at the vCPU with ioctls of its own: everything must be there. */
static int leave(struct vsm_vcpu *vp, struct kvm_run **run, int r)
{
	struct vtl_cpu *cpu = &vcpu_active(vp)->cpu;

	*run = cpu->run;
	if (r == EXIT_TO_VMM) {
		vp->stats.vmm_exits++;
		r = 0;
	}
	if (violation_stop_step(vp))
		r = partition_die(vp->partition, "VP %u: ending a step failed", vp->index);
	for (unsigned vtl = 0; vtl < vp->partition->vtl_count; vtl++) {
		int flushed = vtl_cpu_flush(&vp->vtls[vtl].cpu);

		if (flushed)
			r = partition_die(vp->partition, "VP %u: writing VTL%u's registers failed",
					  vp->index, vtl);
	}
	return r;
}

static void arrive(struct vsm_vcpu *vp)
{
	for (unsigned vtl = 0; vtl < vp->partition->vtl_count; vtl++)
		vtl_cpu_forget(&vp->vtls[vtl].cpu);
	shared_forget(vp);
}

static int run_until_exit(struct vsm_vcpu *vp)
{
	for (;;) {
		int r;

		if (vp->partition->dead)
			return -EIO;
		if (take_kick(vp))
			return -EINTR;
		r = round_trip(vp);
		if (r != EXIT_RESUME)
			return r;
	}
}

int vsm_vcpu_run(struct vsm_vcpu *vcpu, struct kvm_run **run)
{
	struct vsm_partition *p;
	int r;

	if (!vcpu || !run)
		return -EINVAL;
	p = vcpu->partition;
	pthread_mutex_lock(&p->lock);
	arrive(vcpu);
	atomic_store(&vcpu->thread, p->host->ops->current_thread(p->host));
	r = leave(vcpu, run, run_until_exit(vcpu));
	atomic_store(&vcpu->thread, 0);
	pthread_mutex_unlock(&p->lock);
	return r;
}
