/* SPDX-License-Identifier: MIT */
/* Making vsm_vcpu_run() return, which is async-signal-safe, and its sleep. */
#include "vcpu/kick.h"

#include <errno.h>

#include "partition/hold.h"
#include "vcpu/vcpu.h"

/*
 * The flag is set before immediate_exit, the signal and the wake-up: whichever of them the run loop
 * meets first, it finds the flag. immediate_exit covers a thread on its way into KVM_RUN, the
 * signal one already there.
 */
void vsm_vcpu_kick(struct vsm_vcpu *vcpu)
{
	atomic_store(&vcpu->kicked, true);
	partition_nudge_vp(vcpu);
}

/*
 * A kick either finds `asleep` set and signals the fd, or was before, and then its flag is found
 * here. Everybody else holds the lock and finds `asleep` as it is.
 */
int kick_sleep(struct vsm_vcpu *vp, uint64_t until_ns)
{
	struct vsm_partition *p = vp->partition;
	int r = 0;

	atomic_store(&vp->asleep, true);
	if (!atomic_load(&vp->kicked)) {
		pthread_mutex_unlock(&p->lock);
		r = p->host->ops->wait_fd(p->host, vp->wake_fd, until_ns);
		pthread_mutex_lock(&p->lock);
	}
	atomic_store(&vp->asleep, false);
	if (!r)
		r = p->host->ops->drain_fd(p->host, vp->wake_fd);
	return r == -ETIMEDOUT ? 0 : r;
}
