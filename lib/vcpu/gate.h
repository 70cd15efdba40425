/* SPDX-License-Identifier: MIT */
/* The gate in front of KVM_RUN: a VP passes when its space shows the view of its active VTL. */
#ifndef VSM_LIB_VCPU_GATE_H
#define VSM_LIB_VCPU_GATE_H

struct vsm_vcpu;
struct vsm_partition;

/*
 * Brings the VP's space to the active VTL's view and counts the VP as inside. 0: enter KVM_RUN,
 * then call gate_leave(). 1: had to wait for other VPs, so what was decided before may no longer
 * hold; look again. -EINTR: a signal ended the wait. Else the partition is dead.
 */
int gate_enter(struct vsm_vcpu *vp);
void gate_leave(struct vsm_vcpu *vp);

/* The VP's thread goes back to the VMM: it no longer waits for its turn. */
void gate_forget(struct vsm_vcpu *vp);

#endif
