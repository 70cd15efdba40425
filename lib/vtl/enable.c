/* SPDX-License-Identifier: MIT */
/* HvCallEnablePartitionVtl and HvCallEnableVpVtl, without the calling convention. */
#include "vtl/enable.h"

#include <errno.h>

#include "apic/lapic.h"
#include "hv/hypercall.h"
#include "msr/synthetic.h"
#include "partition/partition.h"
#include "vcpu/vcpu.h"
#include "vtl/context.h"

static unsigned vtl_bit(unsigned vtl)
{
	return 1u << vtl;
}

static bool vtl_exists(const struct vsm_partition *p, unsigned vtl)
{
	return vtl && vtl < p->vtl_count;
}

/* Is `caller` the highest VTL below `target` that the partition has? */
static bool is_next_below(const struct vsm_partition *p, unsigned caller, unsigned target)
{
	unsigned between = (vtl_bit(target) - 1) & ~(vtl_bit(caller + 1) - 1);

	return caller < target && !(p->enabled_vtls & between);
}

static bool mbec_possible(const struct vsm_partition *p, unsigned vtl)
{
	return (vsm_capabilities(p) >> HV_VSM_CAP_MBEC_SHIFT) & vtl_bit(vtl);
}

enum hv_status vtl_enable_partition(struct vsm_partition *p, unsigned caller, unsigned target,
				    uint8_t flags)
{
	bool mbec = flags & HV_ENABLE_PARTITION_VTL_MBEC;
	struct vtl_partition *v;

	if (!vtl_exists(p, target) || (flags & ~HV_ENABLE_PARTITION_VTL_MBEC))
		return HV_INVALID_PARAMETER;
	if (target >= caller && !is_next_below(p, caller, target))
		return target == caller ? HV_INVALID_VTL_STATE : HV_ACCESS_DENIED;
	if (p->enabled_vtls & vtl_bit(target))
		return HV_INVALID_VTL_STATE;
	if (mbec && !mbec_possible(p, target))
		return HV_INVALID_PARAMETER;
	v = &p->vtls[target];
	v->config = HV_PARTITION_CONFIG_ZERO_ON_RESET | HV_PARTITION_CONFIG_DEFAULT_MASK;
	v->mbec = mbec;
	p->enabled_vtls |= (uint16_t)vtl_bit(target);
	partition_log(p, VSM_LOG_INFO, "VTL%u enabled for the partition by VTL%u%s", target, caller,
		      mbec ? ", with MBEC" : "");
	return HV_SUCCESS;
}

static bool enabled_on_some_vp(const struct vsm_partition *p, unsigned vtl)
{
	for (uint32_t i = 0; i < p->max_vps; i++)
		if (p->vps[i] && (p->vps[i]->enabled_vtls & vtl_bit(vtl)))
			return true;
	return false;
}

/*
 * A VTL, once it exists on some VP, decides where else it runs; before that the VTL below brings it
 * up, on its own VP (TLFS HvCallEnableVpVtl.md, "Restrictions").
 */
static bool may_enable_on(const struct vsm_vcpu *vp, const struct vsm_vcpu *target, unsigned vtl)
{
	if (vp->active_vtl >= vtl)
		return true;
	return target == vp && is_next_below(vp->partition, vp->active_vtl, vtl) &&
	       !enabled_on_some_vp(vp->partition, vtl);
}

/* A VP with VTL `vtl` has come, or not come. */
static int update_mbec_below(struct vsm_partition *p, unsigned vtl)
{
	int r = 0;

	for (unsigned lower = 0; !r && lower < vtl; lower++)
		r = vtl_update_mbec(p, lower);
	return r;
}

enum hv_status vtl_enable_vp(struct vsm_vcpu *vp, struct vsm_vcpu *target, unsigned vtl,
			     const struct hv_initial_vp_context *context)
{
	struct vsm_partition *p = vp->partition;
	int r;

	if (!vtl_exists(p, vtl))
		return HV_INVALID_PARAMETER;
	if (!(p->enabled_vtls & vtl_bit(vtl)))
		return HV_INVALID_VTL_STATE;
	if (!may_enable_on(vp, target, vtl))
		return HV_ACCESS_DENIED;
	if (target->enabled_vtls & vtl_bit(vtl))
		return HV_VTL_ALREADY_ENABLED;
	if (!context_valid(context, vtl, target->vtls[vtl].lapic.maxphyaddr))
		return HV_INVALID_PARAMETER;
	/* The vCPU of a VTL that is not enabled has never run: nobody is inside. */
	r = context_load(&target->vtls[vtl].cpu, context);
	if (r)
		return r == -EINVAL ? HV_INVALID_PARAMETER : HV_INSUFFICIENT_MEMORY;
	target->enabled_vtls |= (uint16_t)vtl_bit(vtl);
	r = update_mbec_below(p, vtl);
	if (r) {
		target->enabled_vtls &= (uint16_t)~vtl_bit(vtl);
		update_mbec_below(p, vtl);
		if (r == -ENOTRECOVERABLE)
			partition_die(p,
				      "a page could not be closed to a VTL that must not have it");
		return HV_INSUFFICIENT_MEMORY;
	}
	/* Software-enabled: guests send to it before they set it up. */
	lapic_reset(&target->vtls[vtl].lapic, target->apic_id, target->index == 0, true);
	partition_log(p, VSM_LOG_INFO, "VTL%u enabled on VP %u by VTL%u of VP %u", vtl,
		      target->index, vp->active_vtl, vp->index);
	return HV_SUCCESS;
}

/* Counts the VTLs above `vtl` on this VP that ask for it, and those that do not. */
static void count_mbec(const struct vsm_vcpu *vp, unsigned vtl, unsigned count[2])
{
	for (unsigned higher = vtl + 1; higher < vp->partition->vtl_count; higher++)
		if (vp->enabled_vtls & vtl_bit(higher))
			count[!!(vp->vtls[higher].secure_config[vtl] & HV_SECURE_CONFIG_MBEC)]++;
}

/*
 * The masks' meaning is the partition's here, the register is each VP's: where VPs differ, what
 * either forbids is forbidden. With no higher VTL left on any VP, as when the VMM has reset them,
 * the masks keep the meaning they had.
 */
int vtl_update_mbec(struct vsm_partition *p, unsigned vtl)
{
	unsigned count[2] = {0, 0};

	for (uint32_t i = 0; i < p->max_vps; i++)
		if (p->vps[i])
			count_mbec(p->vps[i], vtl, count);
	if (!count[0] && !count[1])
		return 0;
	return memory_set_mbec(&p->memory, vtl,
			       !count[0]   ? MBEC_ON
			       : !count[1] ? MBEC_OFF
					   : MBEC_MIXED);
}
