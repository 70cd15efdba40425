/* SPDX-License-Identifier: MIT */
/* Making vsm_vcpu_run() return. Everything here is async-signal-safe. */
#include "partition/hold.h"
#include "vcpu/vcpu.h"

/*
 * The flag is set before immediate_exit and the signal: whichever of the three the run loop meets
 * first, it finds the flag. immediate_exit covers a thread on its way into KVM_RUN, the signal one
 * already there.
 */
void vsm_vcpu_kick(struct vsm_vcpu *vcpu)
{
	atomic_store(&vcpu->kicked, true);
	partition_nudge_vp(vcpu);
}
