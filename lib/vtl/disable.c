/* SPDX-License-Identifier: MIT */
/* HvCallDisableVpVtl and HvCallDisablePartitionVtl, without the calling convention. */
#include "vtl/disable.h"

#include <errno.h>
#include <string.h>

#include "msr/synthetic.h"
#include "vcpu/vcpu.h"
#include "vtl/enable.h"
#include "vtl/reset.h"

static bool vtl_exists(const struct vsm_partition *p, unsigned vtl)
{
	return vtl && vtl < p->vtl_count;
}

/* A kernel that failed half-way leaves a VTL that must not run, and pages somebody may rely on. */
static enum hv_status finish(struct vsm_partition *p, unsigned vtl, int r)
{
	if (!r)
		r = msr_filter_update(p);
	for (unsigned lower = 0; !r && lower < vtl; lower++)
		r = vtl_update_mbec(p, lower);
	if (!r)
		return HV_SUCCESS;
	partition_die(p, "disabling VTL%u failed: %s", vtl, strerrorname_np(-r));
	return HV_INSUFFICIENT_MEMORY;
}

enum hv_status vtl_disable_vp(struct vsm_vcpu *vp, struct vsm_vcpu *target, unsigned vtl)
{
	struct vsm_partition *p = vp->partition;

	if (!vtl_exists(p, vtl))
		return HV_INVALID_PARAMETER;
	if (vp->active_vtl < vtl)
		return HV_ACCESS_DENIED;
	if (!(target->enabled_vtls & (1u << vtl)) || target->active_vtl == vtl)
		return HV_INVALID_VTL_STATE;
	target->enabled_vtls &= (uint16_t) ~(1u << vtl);
	partition_log(p, VSM_LOG_INFO, "VTL%u disabled on VP %u by VTL%u of VP %u", vtl,
		      target->index, vp->active_vtl, vp->index);
	return finish(p, vtl, vtl_reset_vp(target, vtl));
}

enum hv_status vtl_disable_partition(struct vsm_partition *p, unsigned caller, unsigned vtl)
{
	int r;

	if (!vtl_exists(p, vtl))
		return HV_INVALID_PARAMETER;
	if (caller < vtl)
		return HV_ACCESS_DENIED;
	if (!(p->enabled_vtls & (1u << vtl)))
		return HV_INVALID_VTL_STATE;
	for (uint32_t i = 0; i < p->max_vps; i++)
		if (p->vps[i] && (p->vps[i]->enabled_vtls & (1u << vtl)))
			return HV_INVALID_VTL_STATE;
	r = memory_limit_drop(&p->memory, vtl);
	if (!r)
		r = vtl_reset_partition(p, vtl);
	p->enabled_vtls &= (uint16_t) ~(1u << vtl);
	partition_log(p, VSM_LOG_INFO, "VTL%u disabled for the partition by VTL%u", vtl, caller);
	return finish(p, vtl, r);
}
