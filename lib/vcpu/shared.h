/* SPDX-License-Identifier: MIT */
/* The state a VP's VTLs share (TLFS vsm.md, "Shared State"), kept in the vCPU of the active VTL. */
#ifndef VSM_LIB_VCPU_SHARED_H
#define VSM_LIB_VCPU_SHARED_H

struct vp_vtl;
struct vsm_vcpu;

/*
 * Moves the shared state from one VTL's vCPU to another's, writing only what differs. 0, or the
 * errno of the failed kernel call: `to` may then hold a mixture and must not run.
 */
int shared_move(struct vsm_vcpu *vp, struct vp_vtl *from, struct vp_vtl *to);

/* The VMM may have changed any vCPU of the VP: forget what each was last seen to hold. */
void shared_forget(struct vsm_vcpu *vp);

#endif
