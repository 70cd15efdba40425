/* SPDX-License-Identifier: MIT */
/* HvCallModifyVtlProtectionMask. */
#include "hypercall/call.h"

#include <errno.h>
#include <string.h>

#include "memory/memory.h"

/*
 * A kick waits for at most this many runs of consecutive pages. What costs is not the page but
 * changing a mapping or a slot, which a run does at once where its pages were alike.
 */
#define RUNS_MAX 64

/* The highest VTL the partition has below the caller's; -1 for VTL0. */
static int vtl_below(const struct hypercall_call *c)
{
	int vtl = (int)c->vtl - 1;

	while (vtl >= 0 && !(c->partition->enabled_vtls & (1u << vtl)))
		vtl--;
	return vtl;
}

/*
 * The VTL to restrict. Guests also name no VTL or their own; a VTL cannot restrict itself, so that
 * can only mean the one below.
 */
static enum hv_status restricted_vtl(const struct hypercall_call *c, uint8_t input_vtl,
				     unsigned *vtl)
{
	enum hv_status status = hypercall_target_vtl(c, input_vtl, vtl);

	if (status)
		return status;
	if (*vtl == c->vtl) {
		int below = vtl_below(c);

		if (below < 0)
			return HV_ACCESS_DENIED;
		*vtl = (unsigned)below;
	}
	return HV_SUCCESS;
}

/* Nothing can be done with a page that cannot be read; no processor can express that. */
static bool mask_valid(uint32_t flags)
{
	return !(flags & ~(uint32_t)PROT_ALL) && (!flags || (flags & PROT_R));
}

static uint64_t element(const struct hypercall_call *c, uint16_t rep)
{
	uint64_t page;

	memcpy(&page, c->input + c->info->input + (size_t)rep * c->info->input_rep, sizeof(page));
	return page;
}

/* Elements from call->rep on that name consecutive pages. */
static uint16_t run_length(const struct hypercall_call *c)
{
	uint64_t first = element(c, c->rep);
	uint16_t n = 1;

	while (c->rep + n < c->reps && element(c, (uint16_t)(c->rep + n)) == first + n)
		n++;
	return n;
}

static enum hv_status status_of(struct hypercall_call *c, int error)
{
	switch (error) {
	case 0:
		return HV_SUCCESS;
	case -EINVAL:
	case -ENXIO:
		return HV_INVALID_PARAMETER;
	case -ENOTRECOVERABLE:
		c->error = partition_die(
			c->partition, "a page could not be closed to a VTL that must not have it");
		return HV_INSUFFICIENT_MEMORY;
	default:
		return HV_INSUFFICIENT_MEMORY;
	}
}

/* Restricts `n` elements' consecutive pages in one go. */
static int restrict_run(struct hypercall_call *c, unsigned target, prot_t mask, uint16_t n)
{
	uint64_t first = element(c, c->rep);
	int r = memory_limit(&c->partition->memory, c->vtl, target, first, first + n, mask);

	if (!r) {
		c->rep = (uint16_t)(c->rep + n);
		c->partition->stats.protected_pages_set += n;
	}
	return r;
}

/* A run that fails is done again page by page, so that the reps done are exact. */
static enum hv_status restrict_pages(struct hypercall_call *c, unsigned target, prot_t mask)
{
	uint16_t single = 0; /* elements still to be done one by one */

	for (unsigned runs = 0; runs < RUNS_MAX && c->rep < c->reps; runs++) {
		uint16_t n = single ? 1 : run_length(c);
		int r = restrict_run(c, target, mask, n);

		if (r && (n == 1 || r == -ENOTRECOVERABLE))
			return status_of(c, r);
		if (r)
			single = n;
		else if (single)
			single--;
	}
	return HV_SUCCESS;
}

enum hv_status hypercall_modify_vtl_protection_mask(struct hypercall_call *c)
{
	struct hv_modify_vtl_protection_mask in;
	enum hv_status status;
	unsigned target;

	memcpy(&in, c->input, sizeof(in));
	status = hypercall_target_partition(in.partition_id);
	if (!status)
		status = restricted_vtl(c, in.target_vtl, &target);
	if (status)
		return status;
	if (!mask_valid(in.map_flags))
		return HV_INVALID_PARAMETER;
	if (!c->partition->memory.limits_on[c->vtl])
		return HV_INVALID_VTL_STATE;
	return restrict_pages(c, target, (prot_t)in.map_flags);
}
