/* SPDX-License-Identifier: MIT */
/* The run loop's events for the VMM's trace callback. */
#ifndef VSM_LIB_VCPU_TRACE_H
#define VSM_LIB_VCPU_TRACE_H

#include <stdint.h>

struct vsm_vcpu;
struct hypercall_result;
struct violation;

/* From the active VTL to `target`; reason: enum hv_vtl_entry_reason, 0 for a return. */
void trace_switch(const struct vsm_vcpu *vp, unsigned target, uint16_t reason);
void trace_hypercall(const struct vsm_vcpu *vp, const struct hypercall_result *result);
void trace_intercept(const struct vsm_vcpu *vp, const struct violation *v, uint64_t rip);

#endif
