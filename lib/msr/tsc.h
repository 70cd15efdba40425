/* SPDX-License-Identifier: MIT */
/* A guest's writes to its TSC, which all VTLs of a VP share. */
#ifndef VSM_LIB_MSR_TSC_H
#define VSM_LIB_MSR_TSC_H

#include <stdint.h>

struct vsm_vcpu;

#define MSR_TSC	       0x10
#define MSR_TSC_ADJUST 0x3b

/*
 * WRMSR by the active VTL to one of the two: moves the TSC of every VTL of the VP by as much. On a
 * host whose KVM does not let the TSC be moved the write is ignored. 0 or the errno of the failed
 * kernel call, nothing changed; -EINVAL: #GP.
 */
int tsc_write(struct vsm_vcpu *vp, uint32_t index, uint64_t value);

#endif
