/* SPDX-License-Identifier: MIT */
/* Bringing a VP out of the guest and keeping it out. */
#include "partition/hold.h"

#include "vcpu/vcpu.h"

void partition_nudge_vp(struct vsm_vcpu *target)
{
	struct vsm_partition *p = target->partition;
	int thread;

	for (unsigned vtl = 0; vtl < p->vtl_count; vtl++)
		__atomic_store_n(&target->vtls[vtl].cpu.run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	thread = atomic_load(&target->thread);
	if (thread && p->kick_signal)
		p->host->ops->signal_thread(p->host, thread, p->kick_signal);
}

void partition_hold_vp(struct vsm_vcpu *target)
{
	struct vsm_partition *p = target->partition;

	target->holds++;
	while (target->inside) {
		partition_nudge_vp(target);
		pthread_cond_wait(&p->vcpu_moved, &p->lock);
	}
}

void partition_release_vp(struct vsm_vcpu *target)
{
	if (--target->holds == 0)
		pthread_cond_broadcast(&target->partition->vcpu_moved);
}
