/* SPDX-License-Identifier: MIT */
/* HV_VP_SET (TLFS datatypes/hv_vp_set.md). */
#include "hypercall/vp_set.h"

#include <string.h>

enum hv_status vp_set_parse(const struct hypercall_call *c, size_t offset, struct vp_set *set)
{
	struct hv_vp_set header;

	memcpy(&header, c->input + offset, sizeof(header));
	if (header.format != HV_VP_SET_SPARSE && header.format != HV_VP_SET_ALL)
		return HV_INVALID_PARAMETER;
	*set = (struct vp_set){
		.all = header.format == HV_VP_SET_ALL,
		.banks = header.banks,
		.masks = (const uint64_t *)(const void *)(c->input + c->info->input),
	};
	if (!set->all &&
	    (size_t)__builtin_popcountll(header.banks) * sizeof(uint64_t) > c->variable)
		return HV_INVALID_PARAMETER;
	return HV_SUCCESS;
}

bool vp_set_has(const struct vp_set *set, uint32_t vp_index)
{
	uint32_t bank = vp_index / HV_VP_SET_BANK;
	uint64_t bit, mask;

	if (set->all)
		return true;
	if (bank >= 64)
		return false;
	bit = UINT64_C(1) << bank;
	if (!(set->banks & bit))
		return false;
	memcpy(&mask, &set->masks[__builtin_popcountll(set->banks & (bit - 1))], sizeof(mask));
	return mask >> vp_index % HV_VP_SET_BANK & 1;
}
