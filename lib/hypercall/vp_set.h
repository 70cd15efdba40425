/* SPDX-License-Identifier: MIT */
/* The set of VPs that a hypercall names: HV_VP_SET, or a mask of the first 64. */
#ifndef VSM_LIB_HYPERCALL_VP_SET_H
#define VSM_LIB_HYPERCALL_VP_SET_H

#include "hypercall/call.h"

struct vp_set {
	bool all;
	uint64_t banks;	       /* those that have a mask */
	const uint64_t *masks; /* one for each, lowest bank first */
};

/*
 * The HV_VP_SET at `offset` of the fixed header, whose banks are the variable one.
 * HV_INVALID_PARAMETER: an unknown format, or fewer masks than banks.
 */
enum hv_status vp_set_parse(const struct hypercall_call *c, size_t offset, struct vp_set *set);

bool vp_set_has(const struct vp_set *set, uint32_t vp_index);

#endif
