/* SPDX-License-Identifier: MIT */
/* The gate in front of KVM_RUN: a VP passes when its space shows the view of its active VTL. */
#ifndef VSM_LIB_VCPU_GATE_H
#define VSM_LIB_VCPU_GATE_H

#include "vcpu/vcpu.h"

/*
 * Brings `space`, the active VTL's, to that VTL's view and counts the VP as inside. 0: enter
 * KVM_RUN, then call gate_leave(). 1: had to wait for other VPs, so what was decided before may no
 * longer hold; look again. -EINTR: a signal ended the wait. Else the partition is dead.
 */
static inline int gate_enter(struct vsm_vcpu *vp, struct space *space);
static inline void gate_leave(struct vsm_vcpu *vp, struct space *space);

/* The VP's thread goes back to the VMM: it no longer waits for its turn. */
void gate_forget(struct vsm_vcpu *vp);

/*
 * kick_sleep() of a VP that has nothing to run meanwhile: what others wait for it to do, a step or
 * to take its turn, it does not do now.
 */
int gate_sleep(struct vsm_vcpu *vp, uint64_t until_ns);

/* gate_enter() where others may have to be waited for, or the view is not right. */
int gate_wait(struct vsm_vcpu *vp, struct space *space);

/*
 * Of a partition with several VPs this one has left the space: those who wait for that hear of it.
 * No other has pages open for a step then: whoever steps brings all out first, and gate_wait() lets
 * none in until that is over.
 */
void gate_left(struct vsm_vcpu *vp, const struct space *space);

/* Alone, and the view is right: what nearly every entry of many guests is, and inline for that. */
static inline int gate_enter(struct vsm_vcpu *vp, struct space *space)
{
	struct vsm_partition *p = vp->partition;

	if (p->max_vps > 1 || vp->holds || p->memory.left_closed[vp->active_vtl] ||
	    !space_shows(space, &p->memory, vp->active_vtl))
		return gate_wait(vp, space);
	space->inside++;
	vp->inside = true;
	return 0;
}

static inline void gate_leave(struct vsm_vcpu *vp, struct space *space)
{
	vp->inside = false;
	space->inside--;
	if (vp->partition->max_vps > 1)
		gate_left(vp, space);
}

#endif
