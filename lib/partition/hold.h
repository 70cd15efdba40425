/* SPDX-License-Identifier: MIT */
/* Keeping a VP out of KVM_RUN while another thread works on its state or on memslots it uses. */
#ifndef VSM_LIB_PARTITION_HOLD_H
#define VSM_LIB_PARTITION_HOLD_H

#include "partition/partition.h"

/*
 * Returns with `target` outside KVM_RUN and kept there until partition_release_vp(). The
 * partition's lock is held on entry and on return, but given up while waiting: what the caller read
 * under it before may have changed. Holds nest. The caller's own VP is outside already.
 */
void partition_hold_vp(struct vsm_vcpu *target);
void partition_release_vp(struct vsm_vcpu *target);

/*
 * Asks a VP that is inside KVM_RUN or sleeps to come out and look; does not wait.
 * Async-signal-safe.
 */
void partition_nudge_vp(struct vsm_vcpu *target);

/* Something changed for the VP: if it would not see it by itself, nudges it. The lock is held. */
void partition_wake_vp(struct vsm_vcpu *target);

#endif
