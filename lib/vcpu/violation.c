/* SPDX-License-Identifier: MIT */
/*
 * Accesses the guest may not make, and those it may make although the hardware protection is
 * closed.
 *
 * Exits that can be one (EFAULT, MMIO, internal error, debug) end here.
 */
#include <errno.h>
#include <string.h>

#include "intercept/intercept.h"
#include "partition/hold.h"
#include "vcpu/exit.h"
#include "vcpu/trace.h"
#include "vcpu/vcpu.h"
#include "vcpu/window.h"

/* SINT the hypervisor delivers intercepts to (TLFS inter-partition-communication.md). */
#define INTERCEPT_SINT 0

void violation_tell(struct vsm_vcpu *vp, unsigned setter, const struct hv_message *message)
{
	if (synic_post(vp, setter, INTERCEPT_SINT, message))
		vp->stats.messages_dropped++;
	else
		vp->stats.messages++;
	vp->vtls[setter].entry_pending = true;
}

/* Tells the VTL that set the protection. */
static int intercept(struct vsm_vcpu *vp, const struct violation *v)
{
	struct violation told = *v;
	struct hv_message message;
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;
	int r = vtl_cpu_state(&vcpu_active(vp)->cpu, &regs, &sregs);

	if (r)
		return r;
	vp->stats.memory_intercepts++;
	trace_intercept(vp, v);
	told.gva_valid &= (vp->partition->flags & VSM_PARTITION_INTERCEPT_GVA) != 0;
	intercept_message(&message, vp->index, vp->active_vtl, regs, sregs, &told);
	violation_tell(vp, v->setter, &message);
	return EXIT_RESUME;
}

/*
 * While pages are open for one VP's instruction they are open for every VP in that VTL: the others
 * stay outside the guest until they are closed again. One VP steps at a time.
 */
static bool take_stepper(struct vsm_vcpu *vp)
{
	struct vsm_partition *p = vp->partition;

	if (p->stepper && p->stepper != vp)
		return false;
	if (p->stepper == vp)
		return true;
	p->stepper = vp;
	for (uint32_t i = 0; i < p->max_vps; i++)
		if (p->vps[i] && p->vps[i] != vp)
			partition_hold_vp(p->vps[i]);
	return true;
}

static void give_up_stepper(struct vsm_vcpu *vp)
{
	struct vsm_partition *p = vp->partition;

	if (p->stepper != vp)
		return;
	p->stepper = NULL;
	for (uint32_t i = 0; i < p->max_vps; i++)
		if (p->vps[i] && p->vps[i] != vp)
			partition_release_vp(p->vps[i]);
}

static int set_stepping(struct vsm_vcpu *vp, const struct kvm_guest_debug *debug)
{
	const struct kvm_host *h = vp->partition->host;
	int r = h->ops->set_guest_debug(h, vcpu_active(vp)->cpu.fd, debug);

	if (!r)
		vcpu_active(vp)->stepping = debug->control;
	return r;
}

/* The same instruction again with the same pages, although they were open: it would never end. */
static bool no_progress(const struct vp_vtl *v, uint64_t rip, const struct violation *now)
{
	const struct page_step *last = &v->step;

	return last->failed && last->rip == rip && last->open_count == now->open_count &&
	       !memcmp(last->open, now->open, now->open_count * sizeof(now->open[0]));
}

static int open_and_step(struct vsm_vcpu *vp, const struct violation *v)
{
	struct memory *m = &vp->partition->memory;
	struct kvm_guest_debug debug;
	unsigned vtl = vp->active_vtl;
	int r = window_prepare(vp, v, &debug);

	for (unsigned i = 0; i < v->open_count && !r; i++)
		r = memory_open_page(m, vtl, v->open[i].page, v->open[i].prot);
	if (!r)
		r = vtl_cpu_flush(&vcpu_active(vp)->cpu);
	if (!r)
		r = set_stepping(vp, &debug);
	if (r && memory_close_openings(m, vtl))
		return partition_die(vp->partition, "closing a page that was not stepped failed");
	return r;
}

/*
 * What cannot be carried out with the pages open for nothing else is the higher VTL's to deal with.
 */
static int refuse(struct vsm_vcpu *vp, struct violation *v)
{
	int r = intercept_refuse(vp, v);

	if (r)
		return r;
	return v->setter ? intercept(vp, v) : EXIT_TO_VMM;
}

/*
 * Opens the pages of an access the limits allow, for one instruction. Waiting for the other VPs may
 * have let them change the limits: the instruction is then looked at again from the start.
 */
static int step(struct vsm_vcpu *vp, const struct violation *v)
{
	struct vp_vtl *active = vcpu_active(vp);
	struct violation now = *v;
	struct kvm_regs *regs;
	int r = vtl_cpu_regs(&active->cpu, &regs);

	if (r)
		return r;
	if (!v->delivers && no_progress(active, regs->rip, v))
		return refuse(vp, &now);
	if (!take_stepper(vp))
		return EXIT_RESUME;
	if (vp->partition->max_vps > 1) {
		now = (struct violation){0};
		r = intercept_locate(vp, &now);
	}
	if (!r && now.allowed_here) {
		active->step.rip = regs->rip;
		active->step.open_count = now.open_count;
		memcpy(active->step.open, now.open, sizeof(now.open));
		r = now.delivers ? window_deliver(vp, &now) : open_and_step(vp, &now);
	}
	if (!active->stepping)
		give_up_stepper(vp);
	else
		vp->stats.steps++;
	/* Out of slots or mappings: the guest's doing, and no reason for the VMM to stop it. */
	if (r == -EPERM || r == -ENOSPC || r == -ENOMEM)
		return refuse(vp, &now);
	return r ? r : EXIT_RESUME;
}

int violation_handle(struct vsm_vcpu *vp, const struct violation *v)
{
	if (v->setter)
		return intercept(vp, v);
	if (v->overlay)
		return vtl_cpu_inject(&vcpu_active(vp)->cpu, VECTOR_GP, 0);
	if (v->served)
		return EXIT_RESUME;
	return v->allowed_here ? step(vp, v) : EXIT_TO_VMM;
}

/* The instruction was stepped, or did not get that far: the pages close again. */
static int stop_stepping(struct vsm_vcpu *vp, bool failed)
{
	struct vsm_partition *p = vp->partition;
	int r = memory_close_openings(&p->memory, vp->active_vtl);

	if (r)
		return partition_die(p, "closing a stepped page failed");
	vcpu_active(vp)->step.failed = failed;
	give_up_stepper(vp);
	return set_stepping(vp, &(struct kvm_guest_debug){.control = 0});
}

int violation_stop_step(struct vsm_vcpu *vp)
{
	return vcpu_active(vp)->stepping ? stop_stepping(vp, false) : 0;
}

int exit_debug(struct vsm_vcpu *vp)
{
	return vcpu_active(vp)->stepping ? stop_stepping(vp, false) : EXIT_TO_VMM;
}

/* An access in a step that needs yet another page, or a fault of its own, starts over. */
static int locate(struct vsm_vcpu *vp, struct violation *v)
{
	int r = vcpu_active(vp)->stepping ? stop_stepping(vp, true) : 0;

	return r ? r : intercept_locate(vp, v);
}

int exit_fault(struct vsm_vcpu *vp)
{
	struct violation v = {0};
	int r;

	if (vcpu_active(vp)->stepping && window_hit_by_event(vp))
		return stop_stepping(vp, false);
	r = locate(vp, &v);
	if (r)
		return r;
	r = violation_handle(vp, &v);
	return r == EXIT_TO_VMM ? -EFAULT : r;
}

/*
 * KVM could not emulate an instruction and no protection is the reason. In user mode KVM's own
 * answer is #UD; that the library asked for the exit must not let a guest's user process stop its
 * VM.
 */
static int emulation_failure(struct vsm_vcpu *vp)
{
	struct kvm_sregs *sregs;
	int r = vtl_cpu_sregs(&vcpu_active(vp)->cpu, &sregs);

	if (r)
		return r;
	if (!cpu_cpl(sregs))
		return EXIT_TO_VMM;
	return vtl_cpu_inject(&vcpu_active(vp)->cpu, VECTOR_UD, -1);
}

int exit_internal_error(struct vsm_vcpu *vp)
{
	const struct kvm_run *run = vcpu_active(vp)->cpu.run;
	struct violation v = {0};
	int r;

	if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION)
		return EXIT_TO_VMM;
	r = locate(vp, &v);
	if (!r)
		r = violation_handle(vp, &v);
	return r == EXIT_TO_VMM ? emulation_failure(vp) : r;
}
