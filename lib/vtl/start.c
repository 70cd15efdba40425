/* SPDX-License-Identifier: MIT */
/* HvCallStartVirtualProcessor, without the calling convention. */
#include "vtl/start.h"

#include <errno.h>

#include "partition/hold.h"
#include "vtl/startup.h"
#include "vcpu/vcpu.h"
#include "vtl/context.h"

/* A VTL above the caller's keeps the start-up of VPs to itself and those above it. */
static bool denied(const struct vsm_partition *p, unsigned caller)
{
	for (unsigned vtl = caller + 1; vtl < p->vtl_count; vtl++)
		if (p->vtls[vtl].config & HV_PARTITION_CONFIG_DENY_LOWER_STARTUP)
			return true;
	return false;
}

/* The target is held. */
static enum hv_status start(struct vsm_vcpu *target, unsigned vtl,
			    const struct hv_initial_vp_context *context)
{
	int r = startup_check(target);

	if (r < 0 || target->started)
		return HV_INVALID_VP_STATE;
	r = context_load(&target->vtls[vtl].cpu, context);
	if (r)
		return r == -EINVAL ? HV_INVALID_REGISTER_VALUE : HV_INVALID_VP_STATE;
	return startup_start(target) ? HV_INVALID_VP_STATE : HV_SUCCESS;
}

enum hv_status vtl_start_vp(struct vsm_vcpu *vp, struct vsm_vcpu *target, unsigned vtl,
			    const struct hv_initial_vp_context *context)
{
	struct vsm_partition *p = vp->partition;
	enum hv_status status;

	if (vtl >= p->vtl_count)
		return HV_INVALID_PARAMETER;
	if (vtl > vp->active_vtl || denied(p, vp->active_vtl))
		return HV_ACCESS_DENIED;
	if (!(target->enabled_vtls & (1u << vtl)))
		return HV_INVALID_VTL_STATE;
	if (target == vp || target->started)
		return HV_INVALID_VP_STATE;
	if (!context_valid(context, vtl, target->vtls[vtl].lapic.maxphyaddr))
		return HV_INVALID_REGISTER_VALUE;
	partition_hold_vp(target);
	status = start(target, vtl, context);
	partition_release_vp(target);
	if (!status)
		partition_log(p, VSM_LOG_INFO, "VP %u started in VTL%u by VTL%u of VP %u",
			      target->index, vtl, vp->active_vtl, vp->index);
	return status;
}
