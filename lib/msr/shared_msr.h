/* SPDX-License-Identifier: MIT */
/*
 * Architectural MSRs that the VTLs of a VP share: MTRRs and MCG_STATUS (TLFS vsm.md, "Shared
 * MSRs").
 */
#ifndef VSM_LIB_MSR_SHARED_MSR_H
#define VSM_LIB_MSR_SHARED_MSR_H

#include <stddef.h>
#include <stdint.h>

struct vsm_vcpu;

/* A run of shared MSRs. Reads need no exit: every vCPU of the VP holds the same value. */
struct shared_msr_range {
	uint32_t first, count;
};

extern const struct shared_msr_range shared_msrs[];
extern const size_t shared_msr_ranges;

/*
 * A guest's write: goes to every VTL's vCPU of the VP. 0; -ENOENT: no shared MSR; -EINVAL: KVM
 * refuses the value (#GP), nothing changed; else the errno of the failed kernel call.
 */
int shared_msr_write(struct vsm_vcpu *vp, uint32_t index, uint64_t value);

#endif
