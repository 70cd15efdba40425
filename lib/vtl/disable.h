/* SPDX-License-Identifier: MIT */
/* Disabling a VTL, on a VP and for the partition. */
#ifndef VSM_LIB_VTL_DISABLE_H
#define VSM_LIB_VTL_DISABLE_H

#include "hv/status.h"

struct vsm_partition;
struct vsm_vcpu;

/*
 * The active VTL of `vp` disables VTL `vtl` on `target`. HV_INVALID_PARAMETER: VTL0, or a VTL the
 * partition cannot have; HV_ACCESS_DENIED: a VTL is disabled by itself or one above;
 * HV_INVALID_VTL_STATE: it is not enabled there, or it is the VP's active one;
 * HV_INSUFFICIENT_MEMORY: the kernel failed.
 */
enum hv_status vtl_disable_vp(struct vsm_vcpu *vp, struct vsm_vcpu *target, unsigned vtl);

/*
 * The same for the partition, its protections included; HV_INVALID_VTL_STATE: it is enabled on a
 * VP, or not for the partition.
 */
enum hv_status vtl_disable_partition(struct vsm_partition *p, unsigned caller, unsigned vtl);

#endif
