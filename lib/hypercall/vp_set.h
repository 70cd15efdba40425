/* SPDX-License-Identifier: MIT */
/* HV_VP_SET: the VPs a call is for (TLFS datatypes/hv_vp_set.md). */
#ifndef VSM_LIB_HYPERCALL_VP_SET_H
#define VSM_LIB_HYPERCALL_VP_SET_H

#include <stdbool.h>
#include <stdint.h>
#include "hv/status.h"

#define VP_SET_BANKS	 64
#define VP_SET_BANK_SIZE 64

struct hypercall_call;

struct vp_set {
	bool all;
	uint64_t banks[VP_SET_BANKS];
};

/*
 * From the header's format and bank mask, and the bank contents in the call's variable part.
 * HV_INVALID_PARAMETER: no such format; HV_INVALID_HYPERCALL_INPUT: not one word for each bank.
 */
enum hv_status vp_set_parse(const struct hypercall_call *c, uint64_t format, uint64_t valid_banks,
			    struct vp_set *set);

static inline bool vp_set_has(const struct vp_set *set, uint32_t index)
{
	uint32_t bank = index / VP_SET_BANK_SIZE;

	return set->all ||
	       (bank < VP_SET_BANKS && set->banks[bank] >> (index % VP_SET_BANK_SIZE) & 1);
}

#endif
