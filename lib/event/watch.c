/* SPDX-License-Identifier: MIT */
/* VPs that KVM does not let go of: when to look, and at what. */
#include "event/watch.h"

#include <string.h>

#include "apic/bus.h"
#include "event/event.h"
#include "intercept/intercept.h"
#include "partition/hold.h"

/* --- from outside --- */

static bool limited(const struct vsm_vcpu *vp)
{
	return memory_lowest_setter(&vp->partition->memory, vp->active_vtl);
}

int watch_start(struct vsm_vcpu *vp)
{
	struct vsm_partition *p = vp->partition;

	if (!limited(vp))
		return 0;
	p->watch_ns = p->host->ops->clock_ns(p->host) + WATCH_NS;
	return event_arm(p, p->watch_ns);
}

/* In the same KVM_RUN as it was in so many looks ago. */
static bool stays_inside(struct vsm_vcpu *vp)
{
	struct vp_watch *w = &vp->watch;

	if (w->run != vp->stats.runs) {
		w->run = vp->stats.runs;
		w->ticks = 0;
		return false;
	}
	return ++w->ticks > w->patience;
}

uint64_t watch_tick(struct vsm_partition *p, uint64_t now)
{
	bool busy = false;

	if (!p->watch_ns)
		return KVM_NEVER;
	if (p->watch_ns > now)
		return p->watch_ns;
	for (uint32_t i = 0; i < p->max_vps; i++) {
		struct vsm_vcpu *vp = p->vps[i];

		if (!vp || !vp->inside || !limited(vp))
			continue;
		busy = true;
		if (!stays_inside(vp))
			continue;
		vp->watch.suspect = true;
		partition_wake_vp(vp);
	}
	p->watch_ns = busy ? now + WATCH_NS : 0;
	return busy ? p->watch_ns : KVM_NEVER;
}

/* --- from the VP's thread --- */

/* True: it has not moved since it was last looked at. */
static bool unmoved(struct vsm_vcpu *vp, const struct kvm_regs *regs)
{
	struct vp_watch *w = &vp->watch;
	bool same = w->vtl == vp->active_vtl && !memcmp(&w->regs, regs, sizeof(*regs));

	w->vtl = vp->active_vtl;
	w->regs = *regs;
	return same;
}

/* KVM's own APIC lets a halted vCPU wait inside KVM_RUN, behind the HLT. 1: it does. */
static int waits_inside(const struct vsm_vcpu *vp)
{
	const struct kvm_host *h = vp->partition->host;
	struct kvm_mp_state mp;
	int r;

	if (bus_serves(vp, vp->active_vtl))
		return 0;
	r = h->ops->get_mp_state(h, vp->vtls[vp->active_vtl].cpu.fd, &mp);
	return r ? r : mp.mp_state != KVM_MP_STATE_RUNNABLE;
}

/* A guess is no reason to stop it: the instruction at RIP may be one that has not been tried yet. */
static bool certain(const struct violation *v)
{
	return v->setter ? v->gva_valid : v->overlay || (v->allowed_here && !v->guessed);
}

/*
 * KVM puts an interrupt aside that it cannot deliver, and emulates one instruction after the other
 * in its place. What keeps it from being delivered does not depend on where the VP is.
 */
static int put_aside(struct vsm_vcpu *vp, bool *put)
{
	struct kvm_vcpu_events *events;
	int r = vtl_cpu_events(&vcpu_active(vp)->cpu, &events);

	*put = !r && (events->interrupt.injected || events->nmi.injected);
	return r;
}

int watch_look(struct vsm_vcpu *vp, struct violation *v)
{
	struct vp_watch *w = &vp->watch;
	struct vtl_cpu *cpu = &vcpu_active(vp)->cpu;
	struct kvm_regs *regs;
	bool moved, put;
	int r;

	w->suspect = false;
	if (cpu->unfinished)
		return 0;
	r = vtl_cpu_regs(cpu, &regs);
	if (r)
		return r;
	moved = !unmoved(vp, regs);
	r = put_aside(vp, &put);
	if (r)
		return r;
	if (moved && !put) {
		w->patience = 0;
		return 0;
	}
	r = waits_inside(vp);
	if (!r)
		r = intercept_locate(vp, v);
	if (r < 0)
		return r;
	if (!r && certain(v) && (!moved || v->delivers))
		return 0;
	memset(v, 0, sizeof(*v));
	w->patience = w->patience < WATCH_PATIENCE / 2 ? 2 * w->patience + 1 : WATCH_PATIENCE;
	return 0;
}
