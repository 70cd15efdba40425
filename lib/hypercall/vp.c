/* SPDX-License-Identifier: MIT */
/* HvCallGetVpIndexFromApicId. */
#include "hypercall/call.h"

#include <string.h>

#include "vcpu/vcpu.h"

static const struct vsm_vcpu *vp_of_apic_id(const struct vsm_partition *p, uint32_t apic_id)
{
	for (uint32_t i = 0; i < p->max_vps; i++)
		if (p->vps[i] && p->vps[i]->apic_id == apic_id)
			return p->vps[i];
	return NULL;
}

enum hv_status hypercall_get_vp_index_from_apic_id(struct hypercall_call *c)
{
	struct hv_get_vp_index_from_apic_id in;
	enum hv_status status;
	unsigned vtl;

	memcpy(&in, c->input, sizeof(in));
	status = hypercall_target_partition(in.partition_id);
	if (!status)
		status = hypercall_target_vtl(c, in.target_vtl, &vtl);
	if (status)
		return status;
	for (; c->rep < c->reps; c->rep++) {
		struct hv_vp_index *out = hypercall_output_rep(c);
		const struct vsm_vcpu *vp;
		struct hv_apic_id id;

		memcpy(&id, hypercall_input_rep(c), sizeof(id));
		vp = vp_of_apic_id(c->partition, id.apic_id);
		if (!vp)
			return HV_INVALID_PARAMETER;
		out->vp_index = vp->index;
	}
	return HV_SUCCESS;
}
