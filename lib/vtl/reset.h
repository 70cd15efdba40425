/* SPDX-License-Identifier: MIT */
/* Taking away what a VTL keeps: when it is disabled, and when the VMM resets its guest. */
#ifndef VSM_LIB_VTL_RESET_H
#define VSM_LIB_VTL_RESET_H

struct vsm_partition;
struct vsm_vcpu;

/*
 * What a VTL keeps with a VP is as when the VP was made; for a VTL above 0 that includes the vCPU.
 * The VP is outside KVM_RUN. 0 or the errno of the failed kernel call.
 */
int vtl_reset_vp(struct vsm_vcpu *vp, unsigned vtl);

/* The same for what it keeps with the partition, without its protections. */
int vtl_reset_partition(struct vsm_partition *p, unsigned vtl);

#endif
