/* SPDX-License-Identifier: MIT */
/* HvCallGetVpRegisters, HvCallSetVpRegisters. */
#include "hypercall/call.h"
#include "kvm/path.h"

#include <string.h>

#include "partition/hold.h"
#include "registers/registers.h"
#include "vcpu/vcpu.h"

typedef enum hv_status (*register_rep)(struct hypercall_call *c, struct vsm_vcpu *target,
				       unsigned vtl);

static enum hv_status get_one(struct hypercall_call *c, struct vsm_vcpu *target, unsigned vtl)
{
	uint32_t name;

	memcpy(&name, hypercall_input_rep(c), sizeof(name));
	return register_get(target, c->vtl, vtl, name, hypercall_output_rep(c));
}

static enum hv_status set_one(struct hypercall_call *c, struct vsm_vcpu *target, unsigned vtl)
{
	struct hv_register_assignment a;

	memcpy(&a, hypercall_input_rep(c), sizeof(a));
	return register_set(target, c->vtl, vtl, a.name, &a.value);
}

static enum hv_status each_register(struct hypercall_call *c, struct vsm_vcpu *target, unsigned vtl,
				    register_rep one)
{
	/* The VP may have been waited for: what its VTLs are is only known now. */
	if (!(target->enabled_vtls & (1u << vtl)))
		return HV_INVALID_VTL_STATE;
	for (; c->rep < c->reps; c->rep++) {
		enum hv_status status = one(c, target, vtl);

		if (status)
			return status;
	}
	return HV_SUCCESS;
}

static enum hv_status access_registers(struct hypercall_call *c, register_rep one)
{
	struct hv_vp_registers in;
	struct vsm_vcpu *target;
	enum hv_status status;
	unsigned vtl;

	memcpy(&in, c->input, sizeof(in));
	status = hypercall_target_vp(c, in.partition_id, in.vp_index, &target);
	if (!status)
		status = hypercall_target_vtl(c, in.target_vtl, &vtl);
	if (status)
		return status;
	if (target == c->vp)
		return each_register(c, target, vtl, one);
	partition_hold_vp(target);
	status = each_register(c, target, vtl, one);
	partition_release_vp(target);
	return status;
}

RUN_PATH enum hv_status hypercall_get_vp_registers(struct hypercall_call *c)
{
	return access_registers(c, get_one);
}

enum hv_status hypercall_set_vp_registers(struct hypercall_call *c)
{
	return access_registers(c, set_one);
}
