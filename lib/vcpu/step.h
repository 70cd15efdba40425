/* SPDX-License-Identifier: MIT */
/* Steps: one instruction with pages open that are otherwise closed. */
#ifndef VSM_LIB_VCPU_STEP_H
#define VSM_LIB_VCPU_STEP_H

#include "vcpu/vcpu.h"

/*
 * Has the access of *v, which the limits allow (allowed_here), made: by a step, or in software if
 * it is an event's delivery. An enum exit_action or -errno.
 */
int step_access(struct vsm_vcpu *vp, const struct violation *v);

/*
 * The step ends, whatever became of its instruction: the pages close again. failed: it faulted
 * although they were open. 0 or -errno.
 */
int step_stop(struct vsm_vcpu *vp, bool failed);

/*
 * The same if there is one: the VP leaves the run loop, its VTL, or has given up the lock. Without,
 * step_give_up(). Nearly always there is neither.
 */
static inline int step_end(struct vsm_vcpu *vp);
int step_end_any(struct vsm_vcpu *vp);

/* KVM_RUN of a step ended with EINTR. */
int step_interrupted(struct vsm_vcpu *vp);

/*
 * All other VPs leave the guest, and stay out until step_give_up(), which is a no-op without. The
 * lock may be given up meanwhile. False: another VP has done that.
 */
bool step_take(struct vsm_vcpu *vp);
void step_give_up(struct vsm_vcpu *vp);

/* The others are outside for this VP, which no page is open for and nothing stops after a step. */
bool step_is_alone(const struct vsm_vcpu *vp);

/*
 * Is a VP in the guest with pages open? Nobody else changes registers or memory of a guest's then:
 * the instruction would not be the one they were opened for.
 */
bool step_window_open(const struct vsm_partition *p);

/* Another VP than the stepping one waits until that is done, or has to be looked after. */
void step_wait(struct vsm_partition *p);

static inline int step_end(struct vsm_vcpu *vp)
{
	return vcpu_active(vp)->stepping || vp->partition->stepper == vp ? step_end_any(vp) : 0;
}

#endif
