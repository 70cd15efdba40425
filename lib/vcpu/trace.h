/* SPDX-License-Identifier: MIT */
/* The run loop's events for the VMM's trace callback; RIP is what it is when they are called. */
#ifndef VSM_LIB_VCPU_TRACE_H
#define VSM_LIB_VCPU_TRACE_H

#include <stdint.h>
#include "memory/memory.h"

struct vsm_vcpu;
struct hypercall_result;
struct violation;

/*
 * From the active VTL to `target`; reason: enum hv_vtl_entry_reason, 0 for a return. This and
 * trace_hypercall() are for a partition that has a trace callback: whether it has is asked where
 * they are called, at each switch and hypercall.
 */
void trace_switch(struct vsm_vcpu *vp, unsigned target, uint16_t reason);
void trace_hypercall(struct vsm_vcpu *vp, const struct hypercall_result *result);
void trace_intercept(struct vsm_vcpu *vp, const struct violation *v);
void trace_msr_intercept(struct vsm_vcpu *vp, unsigned setter, enum mem_access access,
			 uint32_t index);
void trace_io_intercept(struct vsm_vcpu *vp, unsigned setter, enum mem_access access,
			uint16_t port);

#endif
