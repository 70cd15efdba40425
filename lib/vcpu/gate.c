/* SPDX-License-Identifier: MIT */
/*
 * The gate in front of KVM_RUN.
 *
 * Memslots change only while no vCPU of the VM runs: between deleting a slot and making its
 * successor a running vCPU would see a hole, and with all VTLs in one VM it would see another VTL's
 * view. In `vm-per-vtl` with `alias` the slots never change after memory is mapped and this is a
 * comparison.
 */
#include "vcpu/gate.h"

#include <string.h>

#include "partition/hold.h"
#include "vcpu/vcpu.h"

/* Asks every VP that runs in `space` to come out. */
static void nudge_inside(struct vsm_partition *p, const struct space *space)
{
	for (uint32_t i = 0; i < p->max_vps; i++) {
		struct vsm_vcpu *other = p->vps[i];

		if (other && other->inside && partition_space(p, other->active_vtl) == space)
			partition_nudge_vp(other);
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

int gate_enter(struct vsm_vcpu *vp)
{
	struct vsm_partition *p = vp->partition;
	struct space *space = partition_space(p, vp->active_vtl), *old = outdated(p);
	int r;

	if (old)
		return wait_until_left(p, old);
	if (vp->holds) {
		pthread_cond_wait(&p->vcpu_moved, &p->lock);
		return 1;
	}
	if (!space_shows(space, &p->memory, vp->active_vtl)) {
		if (space->inside)
			return wait_until_left(p, space);
		r = bring_up_to_date(p, space, vp->active_vtl);
		if (r)
			return r;
	}
	space->inside++;
	vp->inside = true;
	return 0;
}

void gate_leave(struct vsm_vcpu *vp)
{
	struct vsm_partition *p = vp->partition;

	partition_space(p, vp->active_vtl)->inside--;
	vp->inside = false;
	if (p->max_vps > 1)
		pthread_cond_broadcast(&p->vcpu_moved);
}
