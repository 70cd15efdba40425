/* SPDX-License-Identifier: MIT */
/*
 * HvCallEnablePartitionVtl, HvCallEnableVpVtl, HvCallStartVirtualProcessor, and the calls that
 * disable.
 */
#include "hypercall/call.h"

#include <string.h>

#include "partition/hold.h"
#include "vcpu/vcpu.h"
#include "vtl/disable.h"
#include "vtl/enable.h"
#include "vtl/start.h"

enum hv_status hypercall_enable_partition_vtl(struct hypercall_call *c)
{
	struct hv_enable_partition_vtl in;
	enum hv_status status;

	memcpy(&in, c->input, sizeof(in));
	status = hypercall_target_partition(in.partition_id);
	if (status)
		return status;
	return vtl_enable_partition(c->partition, c->vtl, in.target_vtl, in.flags);
}

/* What a VTL of a VP is to begin with. */
typedef enum hv_status (*begin_fn)(struct vsm_vcpu *vp, struct vsm_vcpu *target, unsigned vtl,
				   const struct hv_initial_vp_context *context);

static enum hv_status begin_with_context(struct hypercall_call *c, begin_fn begin)
{
	struct hv_vp_vtl_context in;
	struct vsm_vcpu *target;
	enum hv_status status;

	memcpy(&in, c->input, sizeof(in));
	status = hypercall_target_vp(c, in.partition_id, in.vp_index, &target);
	return status ? status : begin(c->vp, target, in.target_vtl, &in.context);
}

enum hv_status hypercall_enable_vp_vtl(struct hypercall_call *c)
{
	return begin_with_context(c, vtl_enable_vp);
}

enum hv_status hypercall_start_virtual_processor(struct hypercall_call *c)
{
	return begin_with_context(c, vtl_start_vp);
}

enum hv_status hypercall_disable_partition_vtl(struct hypercall_call *c)
{
	struct hv_disable_partition_vtl in;
	enum hv_status status;

	memcpy(&in, c->input, sizeof(in));
	status = hypercall_target_partition(in.partition_id);
	if (status)
		return status;
	return vtl_disable_partition(c->partition, c->vtl, in.target_vtl);
}

enum hv_status hypercall_disable_vp_vtl(struct hypercall_call *c)
{
	struct hv_disable_vp_vtl in;
	struct vsm_vcpu *target;
	enum hv_status status;

	memcpy(&in, c->input, sizeof(in));
	status = hypercall_target_vp(c, in.partition_id, in.vp_index, &target);
	if (status)
		return status;
	if (target == c->vp)
		return vtl_disable_vp(c->vp, target, in.target_vtl);
	partition_hold_vp(target);
	status = vtl_disable_vp(c->vp, target, in.target_vtl);
	partition_release_vp(target);
	return status;
}
