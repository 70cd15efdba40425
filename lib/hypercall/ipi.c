/* SPDX-License-Identifier: MIT */
/* HvCallSendSyntheticClusterIpi, HvCallSendSyntheticClusterIpiEx. */
#include <string.h>

#include "hv/hypercall.h"
#include "hypercall/call.h"
#include "hypercall/vp_set.h"
#include "vcpu/vcpu.h"

#define VECTOR_LOWEST  0x10
#define VECTOR_HIGHEST 0xff

/*
 * "Target VTL": the caller's if it names none. Any may be named: a lower VTL can request an
 * interrupt in a higher one as a device could, which decides what it listens to.
 */
static enum hv_status target_vtl(const struct hypercall_call *c, uint8_t input_vtl, unsigned *vtl)
{
	*vtl = input_vtl & HV_INPUT_VTL_USE ? input_vtl & HV_INPUT_VTL_MASK : c->vtl;
	return *vtl < c->partition->vtl_count ? HV_SUCCESS : HV_INVALID_PARAMETER;
}

/* VPs of the set that do not exist, or do not have the VTL, get nothing. */
static enum hv_status send(const struct hypercall_call *c, const struct hv_cluster_ipi *in,
			   const struct vp_set *set)
{
	struct vsm_partition *p = c->partition;
	unsigned vtl;

	if (in->vector < VECTOR_LOWEST || in->vector > VECTOR_HIGHEST ||
	    target_vtl(c, in->target_vtl, &vtl))
		return HV_INVALID_PARAMETER;
	for (uint32_t i = 0; i < p->max_vps; i++) {
		struct vsm_vcpu *vp = p->vps[i];

		if (vp && (vp->enabled_vtls & (1u << vtl)) && vp_set_has(set, i))
			synic_interrupt(vp, vtl, (uint8_t)in->vector, false);
	}
	return HV_SUCCESS;
}

enum hv_status hypercall_send_cluster_ipi(struct hypercall_call *c)
{
	struct hv_cluster_ipi in;
	struct vp_set set = {.all = false};

	memcpy(&in, c->input, sizeof(in));
	memcpy(&set.banks[0], c->input + sizeof(in), sizeof(set.banks[0]));
	return send(c, &in, &set);
}

enum hv_status hypercall_send_cluster_ipi_ex(struct hypercall_call *c)
{
	struct hv_cluster_ipi in;
	struct hv_vp_set named;
	struct vp_set set;
	enum hv_status status;

	memcpy(&in, c->input, sizeof(in));
	memcpy(&named, c->input + sizeof(in), sizeof(named));
	status = vp_set_parse(c, named.format, named.banks, &set);
	if (status)
		return status;
	return send(c, &in, &set);
}
