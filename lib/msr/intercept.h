/* SPDX-License-Identifier: MIT */
/*
 * MSR accesses of a VTL that a higher one wants to decide on: those of
 * HvX64RegisterCrInterceptControl (TLFS vsm.md, "Secure Register Intercepts") and of
 * HvCallInstallIntercept.
 */
#ifndef VSM_LIB_MSR_INTERCEPT_H
#define VSM_LIB_MSR_INTERCEPT_H

#include <stdbool.h>
#include <stdint.h>
#include "memory/prot.h"

struct vsm_partition;
struct vsm_vcpu;

/* One MSR a VTL intercepts in all VTLs below it, on all VPs. */
struct msr_intercept {
	uint8_t setter; /* 0: the entry is free */
	uint8_t access; /* HV_INTERCEPT_ACCESS_* */
	uint32_t index;
};

#define MSR_INTERCEPTS 32

/*
 * VTL `setter` intercepts these accesses (none: no longer). -ENOTSUP: no MSR that can be
 * intercepted; -ENOSPC: too many; else the errno of the failed kernel call. On failure nothing
 * changed.
 */
int msr_intercept_install(struct vsm_partition *p, unsigned setter, uint32_t index, uint8_t access);

/* VTL `setter` ends all it installed; the filter is the caller's to update. */
void msr_intercept_forget(struct vsm_partition *p, unsigned setter);

/*
 * The lowest VTL above `vtl` that intercepts this access of the VP; 0: none. value: what a write
 * would leave.
 */
unsigned msr_intercept_setter(struct vsm_vcpu *vp, unsigned vtl, uint32_t index,
			      enum mem_access access, uint64_t value);

/* Is there a VTL above `vtl`, on any VP, that intercepts the MSR? */
bool msr_intercept_wanted(const struct vsm_partition *p, unsigned vtl, uint32_t index,
			  enum mem_access access);

/* The MSRs that can be intercepted, by number from 0 on; false: no more. */
bool msr_intercept_candidate(unsigned number, uint32_t *index);

/*
 * An access that the filter let out and nobody decides on, carried out as KVM would. 0; -ENOENT:
 * not such an MSR; -EINVAL: #GP; else the errno of the failed kernel call.
 */
int msr_intercept_read(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value);
int msr_intercept_write(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value);

#endif
