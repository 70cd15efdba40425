/* SPDX-License-Identifier: MIT */
/*
 * HvCallFlushVirtualAddressSpace, HvCallFlushVirtualAddressList and their Ex forms. All of a target
 * VP's translations go, whatever address space or range is named: KVM can do no less.
 */
#include "hypercall/call.h"

#include <string.h>

#include "partition/tlb.h"
#include "vcpu/vcpu.h"

static struct vsm_vcpu *target_of(const struct hypercall_call *c, const struct vp_set *set,
				  uint32_t index)
{
	return vp_set_has(set, index) ? c->partition->vps[index] : NULL;
}

/* The VP waits, and the call is made again, while a target's TLB is locked. */
static bool blocked(const struct hypercall_call *c, const struct vp_set *set)
{
	for (uint32_t i = 0; i < c->partition->max_vps; i++) {
		const struct vsm_vcpu *target = target_of(c, set, i);

		if (target && tlb_locked(target, c->vtl))
			return true;
	}
	return false;
}

static enum hv_status flush(struct hypercall_call *c, const struct vp_set *set)
{
	c->blocked = blocked(c, set);
	if (c->blocked)
		return HV_SUCCESS;
	for (uint32_t i = 0; i < c->partition->max_vps; i++) {
		struct vsm_vcpu *target = target_of(c, set, i);

		if (target)
			tlb_mark(target, c->vtl);
	}
	for (uint32_t i = 0; i < c->partition->max_vps; i++) {
		struct vsm_vcpu *target = target_of(c, set, i);

		if (target)
			tlb_bring_out(target, c->vtl);
	}
	c->rep = c->reps;
	return HV_SUCCESS;
}

/* Guests leave the upper half of the flags uninitialised. */
static bool flags_valid(const struct hypercall_call *c, uint64_t flags)
{
	uint32_t valid = HV_FLUSH_ALL_PROCESSORS | HV_FLUSH_ALL_ADDRESS_SPACES;

	if (!c->info->rep)
		valid |= HV_FLUSH_NON_GLOBAL_ONLY;
	return !((uint32_t)flags & ~valid);
}

enum hv_status hypercall_flush_virtual_address(struct hypercall_call *c)
{
	struct hv_flush_virtual_address in;
	struct vp_set set = {0};

	memcpy(&in, c->input, sizeof(in));
	if (!flags_valid(c, in.flags))
		return HV_INVALID_PARAMETER;
	set.all = in.flags & HV_FLUSH_ALL_PROCESSORS;
	set.banks[0] = in.processor_mask;
	return flush(c, &set);
}

enum hv_status hypercall_flush_virtual_address_ex(struct hypercall_call *c)
{
	struct hv_flush_virtual_address_ex in;
	enum hv_status status;
	struct vp_set set;

	memcpy(&in, c->input, sizeof(in));
	if (!flags_valid(c, in.flags))
		return HV_INVALID_PARAMETER;
	status = vp_set_parse(c, in.format, in.valid_banks, &set);
	if (status)
		return status;
	set.all = set.all || (in.flags & HV_FLUSH_ALL_PROCESSORS);
	return flush(c, &set);
}
