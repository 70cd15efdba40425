/* SPDX-License-Identifier: MIT */
/* The VSM registers (TLFS vsm.md). */
#include "registers/places.h"

#include <errno.h>

#include "hypercall/hypercall.h"
#include "kvm/path.h"
#include "msr/synthetic.h"
#include "partition/tlb.h"
#include "vtl/enable.h"

static unsigned bit(unsigned vtl)
{
	return 1u << vtl;
}

/* --- status: what every VTL may know --- */

static enum hv_status get_code_page_offsets(const struct register_access *a,
					    struct hv_register_value *value)
{
	(void)a;
	value->low = hypercall_page_offsets();
	return HV_SUCCESS;
}

const struct register_place place_code_page_offsets = {.get = get_code_page_offsets};

/* Does a higher VTL of the VP have mode-based execution control on for its active one? */
static bool mbec_active(const struct vsm_vcpu *vp)
{
	unsigned active = vp->active_vtl;

	for (unsigned vtl = active + 1; vtl < vp->partition->vtl_count; vtl++)
		if ((vp->enabled_vtls & bit(vtl)) &&
		    (vp->vtls[vtl].secure_config[active] & HV_SECURE_CONFIG_MBEC))
			return true;
	return false;
}

static RUN_PATH enum hv_status get_vp_status(const struct register_access *a,
					     struct hv_register_value *value)
{
	const struct vsm_vcpu *vp = a->target;

	value->low = vp->active_vtl | (uint64_t)vp->enabled_vtls << HV_VP_STATUS_ENABLED_SET_SHIFT;
	if (mbec_active(vp))
		value->low |= HV_VP_STATUS_MBEC_ACTIVE;
	return HV_SUCCESS;
}

const struct register_place place_vp_status = {.get = get_vp_status};

static enum hv_status get_partition_status(const struct register_access *a,
					   struct hv_register_value *value)
{
	const struct vsm_partition *p = a->target->partition;

	value->low = (uint64_t)p->enabled_vtls << HV_PARTITION_STATUS_ENABLED_SET_SHIFT |
		     (uint64_t)(p->vtl_count - 1) << HV_PARTITION_STATUS_MAX_VTL_SHIFT;
	for (unsigned vtl = 0; vtl < p->vtl_count; vtl++)
		if (p->vtls[vtl].mbec)
			value->low |= (uint64_t)bit(vtl) << HV_PARTITION_STATUS_MBEC_SET_SHIFT;
	return HV_SUCCESS;
}

const struct register_place place_partition_status = {.get = get_partition_status};

static enum hv_status get_capabilities(const struct register_access *a,
				       struct hv_register_value *value)
{
	value->low = vsm_capabilities(a->target->partition);
	return HV_SUCCESS;
}

const struct register_place place_capabilities = {.get = get_capabilities};

/* --- registers of VTLs above 0: of the VTL `vtl`, kept with the VP --- */

static enum hv_status get_vina(const struct register_access *a, struct hv_register_value *value)
{
	if (!a->vtl)
		return HV_INVALID_PARAMETER;
	value->low = a->target->vtls[a->vtl].vina;
	return HV_SUCCESS;
}

static enum hv_status set_vina(const struct register_access *a,
			       const struct hv_register_value *value)
{
	if (!a->vtl)
		return HV_INVALID_PARAMETER;
	if (value->low & ~HV_VINA_VALID)
		return HV_INVALID_REGISTER_VALUE;
	a->target->vtls[a->vtl].vina = value->low;
	return HV_SUCCESS;
}

const struct register_place place_vina = {.get = get_vina, .set = set_vina};

/* --- partition configuration --- */

static enum hv_status get_partition_config(const struct register_access *a,
					   struct hv_register_value *value)
{
	if (!a->vtl)
		return HV_INVALID_PARAMETER;
	value->low = a->target->partition->vtls[a->vtl].config;
	return HV_SUCCESS;
}

/* What the register promises and the library could not keep. */
static bool config_enforced(const struct vsm_partition *p, uint64_t config)
{
	if ((config & HV_PARTITION_CONFIG_DENY_LOWER_STARTUP) &&
	    !(vsm_capabilities(p) & HV_VSM_CAP_DENY_LOWER_VTL_STARTUP))
		return false;
	return !(config & HV_PARTITION_CONFIG_INTERCEPT_STARTUP);
}

static prot_t config_mask(uint64_t config)
{
	return (prot_t)((config & HV_PARTITION_CONFIG_DEFAULT_MASK) >>
			HV_PARTITION_CONFIG_DEFAULT_MASK_SHIFT);
}

/*
 * Guests written for implementations where user execute alone is enough are left with a lower VTL
 * that intercepts at its first instruction, for good: the VMM should know why.
 */
static void log_protections(struct vsm_partition *p, unsigned vtl, prot_t mask)
{
	partition_log(p, VSM_LOG_INFO, "VTL%u turned its protections on, default mask %#x", vtl,
		      mask);
	if ((mask & PROT_UX) && !(mask & PROT_KX) && p->memory.mbec[vtl - 1] != MBEC_ON &&
	    !p->memory.ux_is_execute)
		partition_log(p, VSM_LOG_WARNING,
			      "by default VTL%u can run nothing now: without MBEC kernel execute "
			      "governs both modes (VSM_QUIRK_UX_IS_EXECUTE: either does)",
			      vtl - 1);
}

/* Protections and their default mask are decided once; a later write keeps them. */
static enum hv_status turn_protections_on(const struct register_access *a, uint64_t *config)
{
	const uint64_t fixed =
		HV_PARTITION_CONFIG_ENABLE_PROTECTION | HV_PARTITION_CONFIG_DEFAULT_MASK;
	struct vsm_partition *p = a->target->partition;
	uint64_t old = p->vtls[a->vtl].config;
	prot_t mask = config_mask(*config);
	int r;

	if (old & HV_PARTITION_CONFIG_ENABLE_PROTECTION) {
		*config = (*config & ~fixed) | (old & fixed);
		return HV_SUCCESS;
	}
	if (!(mask & PROT_R) || !(mask & PROT_W))
		return HV_INVALID_REGISTER_VALUE;
	if (!(*config & HV_PARTITION_CONFIG_ENABLE_PROTECTION))
		return HV_SUCCESS;
	r = memory_limit_default(&p->memory, a->vtl, mask);
	if (!r)
		log_protections(p, a->vtl, mask);
	return register_status(a, r);
}

static enum hv_status set_partition_config(const struct register_access *a,
					   const struct hv_register_value *value)
{
	struct vsm_partition *p = a->target->partition;
	uint64_t config = value->low;
	enum hv_status status;

	if (!a->vtl)
		return HV_INVALID_PARAMETER;
	if (config & ~HV_PARTITION_CONFIG_VALID)
		return HV_INVALID_REGISTER_VALUE;
	if (!config_enforced(p, config))
		return HV_OPERATION_DENIED;
	status = turn_protections_on(a, &config);
	if (!status)
		p->vtls[a->vtl].config = config;
	return status;
}

const struct register_place place_partition_config = {.get = get_partition_config,
						      .set = set_partition_config};

/* --- how a VTL configures a lower one; `where` is the lower one --- */

static enum hv_status get_secure_config(const struct register_access *a,
					struct hv_register_value *value)
{
	if (a->where >= a->vtl)
		return HV_INVALID_PARAMETER;
	value->low = a->target->vtls[a->vtl].secure_config[a->where];
	return HV_SUCCESS;
}

static enum hv_status set_secure_config(const struct register_access *a,
					const struct hv_register_value *value)
{
	const uint64_t valid = HV_SECURE_CONFIG_MBEC | HV_SECURE_CONFIG_TLB_LOCKED;
	struct vsm_partition *p = a->target->partition;
	uint64_t *config, old;
	int r;

	if (a->where >= a->vtl)
		return HV_INVALID_PARAMETER;
	if ((value->low & ~valid) ||
	    ((value->low & HV_SECURE_CONFIG_MBEC) && !p->vtls[a->vtl].mbec))
		return HV_INVALID_REGISTER_VALUE;
	config = &a->target->vtls[a->vtl].secure_config[a->where];
	old = *config;
	*config = value->low;
	if (old & ~value->low & HV_SECURE_CONFIG_TLB_LOCKED)
		tlb_unlocked(p);
	if (!((old ^ value->low) & HV_SECURE_CONFIG_MBEC))
		return HV_SUCCESS;
	r = vtl_update_mbec(p, a->where);
	if (r)
		*config = old;
	return register_status(a, r);
}

const struct register_place place_secure_config = {.get = get_secure_config,
						   .set = set_secure_config};

/* --- intercepts of control registers and MSRs --- */

static enum hv_status get_cr_intercept_control(const struct register_access *a,
					       struct hv_register_value *value)
{
	if (!a->vtl)
		return HV_INVALID_PARAMETER;
	value->low = a->target->vtls[a->vtl].cr_intercept_control;
	return HV_SUCCESS;
}

/*
 * Unmodified KVM shows user space no write to CR0, CR4, XCR0 or a descriptor table register:
 * whoever relies on one must be told, unless the VMM wants it otherwise.
 */
static enum hv_status set_cr_intercept_control(const struct register_access *a,
					       const struct hv_register_value *value)
{
	struct vsm_partition *p = a->target->partition;
	uint64_t *control, old;
	int r;

	if (!a->vtl)
		return HV_INVALID_PARAMETER;
	if (value->low & ~HV_CR_INTERCEPT_VALID)
		return HV_INVALID_REGISTER_VALUE;
	if ((value->low & HV_CR_INTERCEPT_UNSUPPORTED) && !p->accept_unsupported_intercepts)
		return HV_OPERATION_DENIED;
	control = &a->target->vtls[a->vtl].cr_intercept_control;
	old = *control;
	*control = value->low;
	if (!((old ^ value->low) & ~HV_CR_INTERCEPT_UNSUPPORTED))
		return HV_SUCCESS;
	r = msr_filter_update(p);
	if (r)
		*control = old;
	return register_status(a, r);
}

const struct register_place place_cr_intercept_control = {.get = get_cr_intercept_control,
							  .set = set_cr_intercept_control};

/* Without a control bit a mask has no effect. */
static enum hv_status get_cr_intercept_mask(const struct register_access *a,
					    struct hv_register_value *value)
{
	if (!a->vtl)
		return HV_INVALID_PARAMETER;
	value->low = a->target->vtls[a->vtl].cr_intercept_masks[a->where];
	return HV_SUCCESS;
}

static enum hv_status set_cr_intercept_mask(const struct register_access *a,
					    const struct hv_register_value *value)
{
	if (!a->vtl)
		return HV_INVALID_PARAMETER;
	a->target->vtls[a->vtl].cr_intercept_masks[a->where] = value->low;
	return HV_SUCCESS;
}

const struct register_place place_cr_intercept_mask = {.get = get_cr_intercept_mask,
						       .set = set_cr_intercept_mask};
