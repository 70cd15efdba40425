/* SPDX-License-Identifier: MIT */
/*
 * The gate in front of KVM_RUN.
 *
 * Memslots change only while no vCPU of the VM runs: between deleting a slot and making its
 * successor a running vCPU would see a hole, and with all VTLs in one VM it would see another VTL's
 * view. In `vm-per-vtl` with `alias` the slots never change after memory is mapped and this is a
 * comparison.
 *
 * With all VTLs in one VM, VPs in different VTLs take turns: who finds another view shown waits,
 * the longest waiting is next, and the VPs inside have a slice of time before they are brought out,
 * so that each gets to run something.
 */
#include "vcpu/gate.h"

#include <errno.h>
#include <string.h>

#include "partition/hold.h"
#include "vcpu/kick.h"
#include "vcpu/step.h"
#include "vcpu/vcpu.h"

/* What a view stays for, however many wait for another: much longer than a remap takes. */
#define SLICE_NS	UINT64_C(500000)
#define SLICE_PER_REMAP 4

/* Asks every VP that runs in `space` to come out. */
static void nudge_inside(struct vsm_partition *p, const struct space *space)
{
	for (uint32_t i = 0; i < p->max_vps; i++) {
		struct vsm_vcpu *other = p->vps[i];

		if (other && other->inside && vcpu_active(other)->space == space)
			partition_wake_vp(other);
	}
}

static int bring_up_to_date(struct vsm_partition *p, struct space *space, unsigned vtl)
{
	unsigned changed = 0;
	int r = space_apply(space, &p->memory, vtl, &changed);

	if (changed) {
		p->stats.remaps++;
		p->stats.slot_updates += changed;
	}
	return r ? partition_die(p, "showing VTL%u's memory to KVM failed: %s", vtl,
				 strerrorname_np(-r))
		 : 0;
}

/*
 * A space that VPs run in although its view has changed: what this VP did (a protection, an overlay
 * page) holds for them too before it goes on.
 */
static struct space *outdated(struct vsm_partition *p)
{
	for (unsigned i = 0; p->max_vps > 1 && i < p->space_count; i++) {
		struct space *s = &p->spaces[i];

		if (s->inside && s->shown_vtl >= 0 &&
		    !space_shows(s, &p->memory, (unsigned)s->shown_vtl))
			return s;
	}
	return NULL;
}

static int wait_until_left(struct vsm_partition *p, const struct space *space)
{
	nudge_inside(p, space);
	pthread_cond_wait(&p->vcpu_moved, &p->lock);
	return 1;
}

/* --- turns --- */

/* Who has waited longest for a view of the space; NULL: nobody waits. */
static struct vsm_vcpu *next_in_turn(struct vsm_partition *p, const struct space *space)
{
	struct vsm_vcpu *next = NULL;

	for (uint32_t i = 0; p->turns_awaited && i < p->max_vps; i++) {
		struct vsm_vcpu *vp = p->vps[i];

		if (vp && vp->turn && vcpu_active(vp)->space == space &&
		    (!next || vp->turn < next->turn))
			next = vp;
	}
	return next;
}

static bool slice_over(struct vsm_partition *p, const struct space *space)
{
	return p->host->ops->clock_ns(p->host) >= space->slice_end;
}

/*
 * Waits until the view can change, or the VP is needed for something else. The event loop looks
 * after timers of VPs inside; one that fires here may be a higher VTL's whose view is shown.
 */
static int wait_for_turn(struct vsm_vcpu *vp, const struct space *space)
{
	struct vsm_partition *p = vp->partition;
	uint64_t until = vp->deadline;
	int r;

	if (!vp->turn) {
		vp->turn = ++p->turns;
		p->turns_awaited++;
	}
	if (space->inside && slice_over(p, space))
		nudge_inside(p, space);
	else if (space->inside && space->slice_end < until)
		until = space->slice_end;
	r = kick_sleep(vp, until);
	return r ? r : 1;
}

/*
 * What showing the view took is over before the slice begins, and a fraction of it: where memslots
 * are slow, VPs would otherwise be brought out before they had run at all.
 */
static int show_view(struct vsm_partition *p, struct space *space, unsigned vtl)
{
	uint64_t start = p->host->ops->clock_ns(p->host), took, slice;
	int r = bring_up_to_date(p, space, vtl);

	took = p->host->ops->clock_ns(p->host) - start;
	slice = took * SLICE_PER_REMAP > SLICE_NS ? took * SLICE_PER_REMAP : SLICE_NS;
	space->slice_end = start + took + slice;
	return r;
}

/*
 * The space shows another view than the VP's. 0: not any more. Who steps does not wait in turn: all
 * others wait for the end of the step, which is one instruction.
 */
static int change_view(struct vsm_vcpu *vp, struct space *space)
{
	struct vsm_partition *p = vp->partition;
	struct vsm_vcpu *next = next_in_turn(p, space);

	if (space->inside && space->shown_vtl == vp->active_vtl)
		return wait_until_left(p, space);
	if (space->inside || (next && next != vp && p->stepper != vp))
		return wait_for_turn(vp, space);
	return show_view(p, space, vp->active_vtl);
}

/* The view is the VP's, but another VP has waited for a slice to get its own. */
static bool must_yield(struct vsm_vcpu *vp, const struct space *space)
{
	struct vsm_vcpu *next = next_in_turn(vp->partition, space);

	return vp->partition->stepper != vp && next && next->active_vtl != vp->active_vtl &&
	       slice_over(vp->partition, space);
}

static void wake_next(struct vsm_partition *p, const struct space *space)
{
	struct vsm_vcpu *next = next_in_turn(p, space);

	if (next)
		partition_wake_vp(next);
}

/* The VP waits no longer. */
static void end_turn(struct vsm_vcpu *vp)
{
	if (!vp->turn)
		return;
	vp->turn = 0;
	vp->partition->turns_awaited--;
}

int gate_wait(struct vsm_vcpu *vp, struct space *space)
{
	struct vsm_partition *p = vp->partition;
	struct space *old = outdated(p);
	bool first;
	int r = 0;

	if (old)
		return wait_until_left(p, old);
	if (p->stepper && p->stepper != vp) {
		step_wait(p);
		return 1;
	}
	if (vp->holds) {
		pthread_cond_wait(&p->vcpu_moved, &p->lock);
		return 1;
	}
	if (p->memory.left_closed[vp->active_vtl])
		memory_reopen(&p->memory, vp->active_vtl);
	if (!space_shows(space, &p->memory, vp->active_vtl))
		r = change_view(vp, space);
	else if (must_yield(vp, space))
		r = wait_for_turn(vp, space);
	if (r)
		return r;
	/*
	 * Who waits on has somebody new to wait for; or is now the first in turn, who alone sees to
	 * it that those inside come out.
	 */
	first = !space->inside++ || vp->turn;
	end_turn(vp);
	if (first)
		wake_next(p, space);
	vp->inside = true;
	return 0;
}

void gate_left(struct vsm_vcpu *vp, const struct space *space)
{
	struct vsm_partition *p = vp->partition;

	if (!space->inside)
		wake_next(p, space);
	pthread_cond_broadcast(&p->vcpu_moved);
}

void gate_forget(struct vsm_vcpu *vp)
{
	if (!vp->turn)
		return;
	end_turn(vp);
	wake_next(vp->partition, vcpu_active(vp)->space);
}

int gate_sleep(struct vsm_vcpu *vp, uint64_t until_ns)
{
	int r = step_end(vp);

	gate_forget(vp);
	return r ? r : kick_sleep(vp, until_ns);
}
