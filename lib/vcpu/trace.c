/* SPDX-License-Identifier: MIT */
/* Trace events. */
#include "vcpu/trace.h"

#include "hypercall/hypercall.h"
#include "intercept/intercept.h"
#include "vcpu/vcpu.h"

/* RIP is asked for here, so that only somebody who listens pays for it. */
static void trace(struct vsm_vcpu *vp, struct vsm_trace_event *event)
{
	const struct vsm_partition *p = vp->partition;
	struct kvm_regs *regs;

	if (!vtl_cpu_regs(&vcpu_active(vp)->cpu, &regs))
		event->rip = regs->rip;
	event->vp = vp->index;
	event->vtl = vp->active_vtl;
	event->time_ns = p->host->ops->clock_ns(p->host);
	p->trace(p->callback_ctx, event);
}

void trace_switch(struct vsm_vcpu *vp, unsigned target, uint16_t reason)
{
	trace(vp, &(struct vsm_trace_event){
			  .kind = VSM_TRACE_SWITCH, .target_vtl = (uint8_t)target, .code = reason});
}

void trace_hypercall(struct vsm_vcpu *vp, const struct hypercall_result *result)
{
	trace(vp, &(struct vsm_trace_event){.kind = VSM_TRACE_HYPERCALL,
					    .code = result->code,
					    .status = result->status,
					    .reps = result->reps});
}

void trace_intercept(struct vsm_vcpu *vp, const struct violation *v)
{
	if (vp->partition->trace)
		trace(vp, &(struct vsm_trace_event){.kind = VSM_TRACE_INTERCEPT,
						    .target_vtl = v->setter,
						    .gpa = v->gpa.addr,
						    .gva = v->gva_valid ? v->gva.addr : 0,
						    .access = (uint8_t)v->access});
}

static void trace_number(struct vsm_vcpu *vp, enum vsm_trace_kind kind, unsigned setter,
			 enum mem_access access, uint32_t number)
{
	if (vp->partition->trace)
		trace(vp, &(struct vsm_trace_event){.kind = kind,
						    .target_vtl = (uint8_t)setter,
						    .access = (uint8_t)access,
						    .number = number});
}

void trace_msr_intercept(struct vsm_vcpu *vp, unsigned setter, enum mem_access access,
			 uint32_t index)
{
	trace_number(vp, VSM_TRACE_MSR_INTERCEPT, setter, access, index);
}

void trace_io_intercept(struct vsm_vcpu *vp, unsigned setter, enum mem_access access, uint16_t port)
{
	trace_number(vp, VSM_TRACE_IO_INTERCEPT, setter, access, port);
}
