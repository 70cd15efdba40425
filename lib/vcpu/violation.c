/* SPDX-License-Identifier: MIT */
/*
 * Accesses the guest may not make, and those it may make although the hardware protection is
 * closed.
 *
 * Exits that can be one (EFAULT, MMIO, internal error, debug) end here.
 */
#include <errno.h>

#include "intercept/intercept.h"
#include "vcpu/exit.h"
#include "vcpu/trace.h"
#include "vcpu/vcpu.h"

/* SINT the hypervisor delivers intercepts to (TLFS inter-partition-communication.md). */
#define INTERCEPT_SINT 0

/*
 * Tells the VTL that set the protection. If its message slot is taken or off, the message is lost
 * but the VTL is entered all the same: the instruction faults again when it comes back.
 */
static int intercept(struct vsm_vcpu *vp, const struct violation *v)
{
	struct vp_vtl *higher = &vp->vtls[v->setter];
	struct hv_message message;
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;
	int r = vtl_cpu_state(&vcpu_active(vp)->cpu, &regs, &sregs);

	if (r)
		return r;
	vp->stats.memory_intercepts++;
	trace_intercept(vp, v, regs->rip);
	intercept_message(&message, vp->index, vp->active_vtl, regs, sregs, v);
	if (synic_post(vp, v->setter, INTERCEPT_SINT, &message))
		vp->stats.messages_dropped++;
	else
		vp->stats.messages++;
	higher->entry_pending = true;
	return EXIT_RESUME;
}

static int set_stepping(struct vsm_vcpu *vp, bool on)
{
	const struct kvm_host *h = vp->partition->host;
	struct kvm_guest_debug debug = {
		.control = on ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP : 0,
	};
	int r = h->ops->set_guest_debug(h, vcpu_active(vp)->cpu.fd, &debug);

	if (!r)
		vcpu_active(vp)->stepping = on;
	return r;
}

/* Opens the pages of an access the limits allow, for one instruction. */
static int step(struct vsm_vcpu *vp, const struct violation *v)
{
	struct memory *m = &vp->partition->memory;
	unsigned vtl = vp->active_vtl;
	int r = 0;

	for (unsigned i = 0; i < v->open_count && !r; i++)
		r = memory_open_page(m, vtl, v->open[i].page, v->open[i].prot);
	if (!r)
		r = vtl_cpu_flush(&vcpu_active(vp)->cpu);
	if (!r)
		r = set_stepping(vp, true);
	if (r) {
		memory_close_openings(m, vtl);
		return r;
	}
	vp->stats.steps++;
	return EXIT_RESUME;
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
static int stop_stepping(struct vsm_vcpu *vp)
{
	struct vsm_partition *p = vp->partition;
	int r = memory_close_openings(&p->memory, vp->active_vtl);

	if (r)
		return partition_die(p, "closing a stepped page failed");
	return set_stepping(vp, false);
}

int exit_debug(struct vsm_vcpu *vp)
{
	return vcpu_active(vp)->stepping ? stop_stepping(vp) : EXIT_TO_VMM;
}

/* An access in a step that needs yet another page, or a fault of its own, starts over. */
static int locate(struct vsm_vcpu *vp, struct violation *v)
{
	int r = vcpu_active(vp)->stepping ? stop_stepping(vp) : 0;

	return r ? r : intercept_locate(vp, v);
}

int exit_fault(struct vsm_vcpu *vp)
{
	struct violation v = {0};
	int r = locate(vp, &v);

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
