/* SPDX-License-Identifier: MIT */
/* Steps: one instruction with pages open that are otherwise closed. */
#ifndef VSM_LIB_VCPU_STEP_H
#define VSM_LIB_VCPU_STEP_H

#include <stdbool.h>

struct vsm_vcpu;
struct violation;

/*
 * Has the access of *v, which the limits allow (allowed_here), made: by a step, or in software if it
 * is an event's delivery. An enum exit_action or -errno.
 */
int step_access(struct vsm_vcpu *vp, const struct violation *v);

/*
 * The step ends, whatever became of its instruction: the pages close again. failed: it faulted
 * although they were open. 0 or -errno.
 */
int step_stop(struct vsm_vcpu *vp, bool failed);

/* The same if there is one: the VP leaves the run loop, or its VTL. */
int step_end(struct vsm_vcpu *vp);

#endif
