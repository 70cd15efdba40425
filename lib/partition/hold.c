/* SPDX-License-Identifier: MIT */
/* Bringing a VP out of the guest and keeping it out. */
#include "partition/hold.h"

#include "vcpu/step.h"
#include "vcpu/vcpu.h"

/*
 * A VP that sleeps is not sent a signal: that would end the VMM's call. One that is about to sleep,
 * or has just woken, looks at its state afterwards, or at `kicked` if nobody holds the lock
 * (kick_sleep()).
 */
void partition_nudge_vp(struct vsm_vcpu *target)
{
	struct vsm_partition *p = target->partition;
	int thread;

	if (atomic_load(&target->asleep)) {
		p->host->ops->signal_fd(p->host, target->wake_fd);
		return;
	}
	for (unsigned vtl = 0; vtl < p->vtl_count; vtl++)
		__atomic_store_n(&target->vtls[vtl].cpu.run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	thread = atomic_load(&target->thread);
	if (thread && p->kick_signal)
		p->host->ops->signal_thread(p->host, thread, p->kick_signal);
}

/* `nudged` tells the run loop that the signal to come is not the VMM's. */
void partition_wake_vp(struct vsm_vcpu *target)
{
	if (target->inside)
		target->nudged = true;
	if (target->inside || atomic_load(&target->asleep))
		partition_nudge_vp(target);
}

void partition_hold_vp(struct vsm_vcpu *target)
{
	struct vsm_partition *p = target->partition;

	target->holds++;
	while (target->inside || step_window_open(p)) {
		partition_wake_vp(target);
		if (step_window_open(p))
			step_wait(p);
		else
			pthread_cond_wait(&p->vcpu_moved, &p->lock);
	}
}

void partition_release_vp(struct vsm_vcpu *target)
{
	if (--target->holds)
		return;
	pthread_cond_broadcast(&target->partition->vcpu_moved);
	partition_wake_vp(target);
}
