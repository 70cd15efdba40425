/* SPDX-License-Identifier: MIT */
/* Reference time: HV_X64_MSR_TIME_REF_COUNT and the reference TSC page (TLFS timers.md). */
#ifndef VSM_LIB_MSR_REF_TSC_H
#define VSM_LIB_MSR_REF_TSC_H

#include <stdint.h>

struct vsm_partition;
struct vsm_vcpu;

/* The TSC as VTL `vtl` of the VP reads it. 0 or the errno of the failed kernel call. */
int ref_tsc_guest_tsc(struct vsm_vcpu *vp, unsigned vtl, uint64_t *tsc);

/* Reference time in 100 ns units, as VTL `vtl` of the VP reads it. Errors as above. */
int ref_tsc_now(struct vsm_vcpu *vp, unsigned vtl, uint64_t *now);

/*
 * The VP's TSC was moved by `by` and is `tsc` now: reference time goes on as if nothing had been.
 */
void ref_tsc_moved(struct vsm_vcpu *vp, uint64_t tsc, uint64_t by);

/*
 * Switches the VTL's page off, as writing 0 to the MSR does. Errors of overlay_disable();
 * -ENOTRECOVERABLE: it may still be seen in some VTL.
 */
int ref_tsc_hide(struct vsm_partition *p, unsigned vtl);

/* Rows of the synthetic MSR table. */
int ref_tsc_read_count(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value);
int ref_tsc_read_page(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value);
int ref_tsc_write_page(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value);

#endif
