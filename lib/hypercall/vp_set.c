/* SPDX-License-Identifier: MIT */
/* Reading an HV_VP_SET out of a call's input. */
#include "hypercall/vp_set.h"

#include <string.h>

#include "hv/hypercall.h"
#include "hypercall/call.h"

enum hv_status vp_set_parse(const struct hypercall_call *c, uint64_t format, uint64_t valid_banks,
			    struct vp_set *set)
{
	const uint8_t *from = c->input + c->info->input;

	*set = (struct vp_set){.all = format == HV_VP_SET_ALL};
	if (format == HV_VP_SET_ALL)
		return HV_SUCCESS;
	if (format != HV_VP_SET_SPARSE)
		return HV_INVALID_PARAMETER;
	if (c->variable != (unsigned)__builtin_popcountll(valid_banks) * sizeof(uint64_t))
		return HV_INVALID_HYPERCALL_INPUT;
	for (unsigned bank = 0; bank < VP_SET_BANKS; bank++) {
		if (!(valid_banks >> bank & 1))
			continue;
		memcpy(&set->banks[bank], from, sizeof(uint64_t));
		from += sizeof(uint64_t);
	}
	return HV_SUCCESS;
}
