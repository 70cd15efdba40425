/* SPDX-License-Identifier: MIT */
/* Starting a VP in a VTL. */
#ifndef VSM_LIB_VTL_START_H
#define VSM_LIB_VTL_START_H

#include "hv/status.h"
#include "hv/vsm.h"

struct vsm_vcpu;

/*
 * The active VTL of `vp` starts `target`, with that context in VTL `vtl`; the highest VTL enabled
 * on it runs first. HV_INVALID_PARAMETER: no such VTL; HV_ACCESS_DENIED: it is above the caller's,
 * or a higher VTL denied it; HV_INVALID_VTL_STATE: not enabled on the VP; HV_INVALID_VP_STATE: the
 * VP has been started, or the kernel failed; HV_INVALID_REGISTER_VALUE: no processor can be in that
 * context. On failure nothing changed.
 */
enum hv_status vtl_start_vp(struct vsm_vcpu *vp, struct vsm_vcpu *target, unsigned vtl,
			    const struct hv_initial_vp_context *context);

#endif
