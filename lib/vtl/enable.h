/* SPDX-License-Identifier: MIT */
/* Enabling a VTL for the partition and on its VPs (TLFS vsm.md, "VTL Enablement"). */
#ifndef VSM_LIB_VTL_ENABLE_H
#define VSM_LIB_VTL_ENABLE_H

#include "hv/status.h"
#include "hv/vsm.h"

struct vsm_partition;
struct vsm_vcpu;

/*
 * VTL `caller` enables `target` for the partition; flags: HV_ENABLE_PARTITION_VTL_*.
 * HV_INVALID_PARAMETER: VTL0, a VTL the partition cannot have, unknown flags, or MBEC where it
 * cannot be had; HV_ACCESS_DENIED: only the highest enabled VTL below a VTL, or one above, may
 * enable it; HV_INVALID_VTL_STATE: it is enabled.
 */
enum hv_status vtl_enable_partition(struct vsm_partition *p, unsigned caller, unsigned target,
				    uint8_t flags);

/*
 * The active VTL of `vp` enables VTL `vtl` on `target`, to start in that context.
 * HV_INVALID_PARAMETER: VTL0, a VTL the partition cannot have, or a context no processor can be in;
 * HV_INVALID_VTL_STATE: not enabled for the partition; HV_ACCESS_DENIED: a lower VTL may enable the
 * first VP only, its own; HV_VTL_ALREADY_ENABLED; HV_INSUFFICIENT_MEMORY: the host could not change
 * what masks mean (vtl_update_mbec()). On failure nothing changed.
 */
enum hv_status vtl_enable_vp(struct vsm_vcpu *vp, struct vsm_vcpu *target, unsigned vtl,
			     const struct hv_initial_vp_context *context);

/* Recomputes whether mode-based execution control governs what is left to VTL `vtl`. 0 or the errno
 * of memory_set_mbec(). */
int vtl_update_mbec(struct vsm_partition *p, unsigned vtl);

#endif
