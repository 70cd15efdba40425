/* SPDX-License-Identifier: MIT */
/* Trace events. */
#include "vcpu/trace.h"

#include "hypercall/hypercall.h"
#include "intercept/intercept.h"
#include "vcpu/vcpu.h"

static void trace(const struct vsm_vcpu *vp, struct vsm_trace_event *event)
{
	const struct vsm_partition *p = vp->partition;

	event->vp = vp->index;
	event->vtl = vp->active_vtl;
	event->time_ns = p->host->ops->clock_ns(p->host);
	p->trace(p->callback_ctx, event);
}

void trace_switch(const struct vsm_vcpu *vp, unsigned target, uint16_t reason)
{
	if (vp->partition->trace)
		trace(vp, &(struct vsm_trace_event){.kind = VSM_TRACE_SWITCH,
						    .target_vtl = (uint8_t)target,
						    .code = reason});
}

void trace_hypercall(const struct vsm_vcpu *vp, const struct hypercall_result *result)
{
	if (vp->partition->trace)
		trace(vp, &(struct vsm_trace_event){.kind = VSM_TRACE_HYPERCALL,
						    .code = result->code,
						    .status = result->status,
						    .reps = result->reps});
}

void trace_intercept(const struct vsm_vcpu *vp, const struct violation *v, uint64_t rip)
{
	if (vp->partition->trace)
		trace(vp, &(struct vsm_trace_event){.kind = VSM_TRACE_INTERCEPT,
						    .target_vtl = v->setter,
						    .rip = rip,
						    .gpa = v->gpa.addr,
						    .gva = v->gva_valid ? v->gva.addr : 0,
						    .access = (uint8_t)v->access});
}
