/* SPDX-License-Identifier: MIT */
/*
 * Stepping: an access that the limits allow and the hardware protection does not is made with its
 * pages open, one instruction long and with no other VP in the guest.
 */
#include "vcpu/step.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "intercept/intercept.h"
#include "partition/hold.h"
#include "vcpu/exit.h"
#include "vcpu/vcpu.h"
#include "vcpu/window.h"

/*
 * While pages are open for one VP's instruction they are open for every VP in that VTL: the others
 * stay outside the guest until they are closed again. One VP steps at a time.
 */
bool step_take(struct vsm_vcpu *vp)
{
	struct vsm_partition *p = vp->partition;

	if (p->stepper && p->stepper != vp)
		return false;
	if (p->stepper == vp)
		return true;
	p->stepper = vp;
	p->step_overdue = false;
	/* One that is made meanwhile is made held. */
	for (uint32_t i = 0; i < p->max_vps; i++) {
		struct vsm_vcpu *other = p->vps[i];

		if (!other || other == vp || other->held_by_step)
			continue;
		other->held_by_step = true;
		partition_hold_vp(other);
	}
	return true;
}

void step_give_up(struct vsm_vcpu *vp)
{
	struct vsm_partition *p = vp->partition;

	if (p->stepper != vp)
		return;
	p->stepper = NULL;
	for (uint32_t i = 0; i < p->max_vps; i++) {
		struct vsm_vcpu *other = p->vps[i];

		if (!other || !other->held_by_step)
			continue;
		other->held_by_step = false;
		partition_release_vp(other);
	}
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
static bool no_progress(const struct page_step *last, uint64_t rip, const struct violation *now)
{
	return last->failed && last->rip == rip && last->open_count == now->open_count &&
	       !memcmp(last->open, now->open, now->open_count * sizeof(now->open[0]));
}

/* --- what the instruction must not have changed --- */

/*
 * Tables are opened for writing because the processor may walk them so, although the VTL may only
 * read them. They are remembered, in case what runs is not the instruction that was decoded: a
 * device may have changed the code.
 */
static int keep_page(struct vsm_vcpu *vp, unsigned slot, const struct violation_page *o)
{
	struct vsm_partition *p = vp->partition;
	unsigned vtl = vp->active_vtl;
	int r;

	if (!(o->prot & PROT_W) || memory_allows(&p->memory, vtl, o->page, MEM_WRITE, false, NULL))
		return 0;
	r = host_read(&p->memory, vtl, gpa_of_page(o->page), p->kept[slot], VSM_PAGE_SIZE);
	if (!r)
		vcpu_rare(vp)->step.kept |= 1u << slot;
	return r;
}

/* Puts back what was written to pages that the VTL may only read. True: something was. */
static bool undo_writes(struct vsm_vcpu *vp)
{
	struct vsm_partition *p = vp->partition;
	const struct page_step *step = &vcpu_rare(vp)->step;
	bool undone = false;

	for (unsigned i = 0; i < step->open_count; i++) {
		gpa_t gpa = gpa_of_page(step->open[i].page);
		const void *now = memory_address(&p->memory, vp->active_vtl, gpa);

		if (!(step->kept & (1u << i)) || !now || !memcmp(now, p->kept[i], VSM_PAGE_SIZE))
			continue;
		host_write(&p->memory, vp->active_vtl, gpa, p->kept[i], VSM_PAGE_SIZE);
		undone = true;
	}
	return undone;
}

/*
 * -ENOMEM: they are closed, and pages around them may be too, which are opened for steps like
 * others.
 */
static int close_pages(struct vsm_vcpu *vp)
{
	int r = memory_close_openings(&vp->partition->memory, vp->active_vtl);

	if (!r || r == -ENOMEM)
		return 0;
	return partition_die(vp->partition, "closing a stepped page failed: %s",
			     strerrorname_np(-r));
}

static int open_and_step(struct vsm_vcpu *vp, const struct violation *v)
{
	struct memory *m = &vp->partition->memory;
	struct vtl_cpu *cpu = &vcpu_active(vp)->cpu;
	struct kvm_guest_debug debug;
	unsigned vtl = vp->active_vtl;
	int r = window_prepare(vp, v, &debug);

	for (unsigned i = 0; i < v->open_count && !r; i++)
		r = keep_page(vp, i, &v->open[i]);
	for (unsigned i = 0; i < v->open_count && !r; i++)
		r = memory_open_page(m, vtl, v->open[i].page, v->open[i].prot);
	if (!r)
		r = vtl_cpu_flush(cpu);
	if (!r)
		r = set_stepping(vp, &debug);
	if (r && close_pages(vp))
		return -EIO;
	/* What was decoded is what the tables say, and so is the IDT that was shut. */
	vtl_cpu_flush_tlb(cpu);
	return r;
}

/*
 * Opens the pages of an access the limits allow, for one instruction. Waiting for the other VPs may
 * have let them change the limits: the instruction is then looked at again from the start.
 */
int step_access(struct vsm_vcpu *vp, const struct violation *v)
{
	struct vp_vtl *active = vcpu_active(vp);
	struct page_step *step = &vcpu_rare(vp)->step;
	struct violation now = *v;
	struct kvm_regs *regs;
	int r = vtl_cpu_regs(&active->cpu, &regs);

	if (r)
		return r;
	if (!v->delivers && no_progress(step, regs->rip, v))
		return violation_refuse(vp, &now);
	if (!step_take(vp))
		return EXIT_RESUME;
	if (vp->partition->max_vps > 1) {
		now = (struct violation){0};
		r = intercept_locate(vp, &now);
	}
	if (!r && now.allowed_here) {
		step->rip = regs->rip;
		step->tf = regs->rflags & CPU_RFLAGS_TF;
		step->kept = 0;
		step->open_count = now.open_count;
		memcpy(step->open, now.open, sizeof(now.open));
		r = now.delivers ? window_deliver(vp, &now) : open_and_step(vp, &now);
	}
	if (!active->stepping)
		step_give_up(vp);
	else
		vp->stats.steps++;
	/* Out of slots or mappings: the guest's doing, and no reason for the VMM to stop it. */
	if (r == -EPERM || r == -ENOSPC || r == -ENOMEM)
		return violation_refuse(vp, &now);
	return r ? r : EXIT_RESUME;
}

/*
 * KVM keeps the guest's own TF from user space while it single-steps, and drops it at the end
 * (kernel: kvm_get_rflags(), kvm_arch_vcpu_ioctl_set_guest_debug()).
 */
static int give_back_tf(struct vsm_vcpu *vp)
{
	struct vtl_cpu *cpu = &vcpu_active(vp)->cpu;
	struct kvm_regs *regs;
	int r;

	if (!vcpu_rare(vp)->step.tf)
		return 0;
	r = vtl_cpu_regs(cpu, &regs);
	if (r)
		return r;
	regs->rflags |= CPU_RFLAGS_TF;
	vtl_cpu_dirty(cpu, CPU_REGS);
	return 0;
}

static int stop(struct vsm_vcpu *vp, bool failed, bool *undone)
{
	int r = close_pages(vp);

	*undone = undo_writes(vp);
	if (r)
		return r;
	vcpu_rare(vp)->step.failed = failed;
	step_give_up(vp);
	r = set_stepping(vp, &(struct kvm_guest_debug){.control = 0});
	return r ? r : give_back_tf(vp);
}

int step_stop(struct vsm_vcpu *vp, bool failed)
{
	bool undone;

	return stop(vp, failed, &undone);
}

int step_end_any(struct vsm_vcpu *vp)
{
	if (vcpu_active(vp)->stepping)
		return step_stop(vp, false);
	step_give_up(vp);
	return 0;
}

bool step_is_alone(const struct vsm_vcpu *vp)
{
	return vp->partition->stepper == vp && !vp->vtls[vp->active_vtl].stepping;
}

/* --- its end --- */

#define DR6_BS UINT64_C(0x4000)

/* The guest stepped the instruction itself: that is its own trap. */
static int trap_guest(struct vsm_vcpu *vp)
{
	const struct kvm_host *h = vp->partition->host;
	struct vp_vtl *active = vcpu_active(vp);
	int r;

	active->debugregs_known = false;
	r = h->ops->get_debugregs(h, active->cpu.fd, &active->debugregs);
	if (r)
		return r;
	active->debugregs.dr6 |= DR6_BS;
	r = h->ops->set_debugregs(h, active->cpu.fd, &active->debugregs);
	return r ? r : vtl_cpu_inject(&active->cpu, VECTOR_DB, -1);
}

int exit_debug(struct vsm_vcpu *vp)
{
	struct violation v = {0};
	bool undone;
	int r;

	if (!vcpu_active(vp)->stepping)
		return EXIT_TO_VMM;
	r = stop(vp, false, &undone);
	if (r)
		return r;
	if (undone)
		return violation_refuse(vp, &v);
	return vcpu_rare(vp)->step.tf ? trap_guest(vp) : EXIT_RESUME;
}

/*
 * Others may have had the lock, and the instruction may be another one by now. One that keeps KVM
 * busy while other VPs wait has failed.
 */
int step_interrupted(struct vsm_vcpu *vp)
{
	struct vsm_partition *p = vp->partition;
	bool overdue = p->step_overdue;

	/* It goes on by itself: that it could not counts no more, and others are let in. */
	if (step_is_alone(vp) && overdue)
		vp->unexplained = 0;
	if (!vcpu_active(vp)->stepping)
		return step_end(vp);
	p->step_overdue = false;
	return step_stop(vp, overdue);
}

/* --- the others --- */

#define NS_PER_S UINT64_C(1000000000)
/* Much longer than an instruction takes. */
#define WAIT_NS (NS_PER_S / 10)
/* The same for a VP that is alone and was not stopped at its instruction: it may go on for ever. */
#define WAIT_ALONE_NS (NS_PER_S / 1000)

bool step_window_open(const struct vsm_partition *p)
{
	return p->stepper && p->stepper->inside;
}

void step_wait(struct vsm_partition *p)
{
	bool alone = step_is_alone(p->stepper);
	uint64_t until = p->host->ops->clock_ns(p->host) + (alone ? WAIT_ALONE_NS : WAIT_NS);
	const struct timespec end = {.tv_sec = (time_t)(until / NS_PER_S),
				     .tv_nsec = (long)(until % NS_PER_S)};
	struct vsm_vcpu *stepper = p->stepper;

	if (!pthread_cond_clockwait(&p->vcpu_moved, &p->lock, CLOCK_MONOTONIC, &end) ||
	    !step_window_open(p) || p->stepper != stepper)
		return;
	/* It was about to step when the wait began, and has its time from now on. */
	if (alone && !step_is_alone(stepper))
		return;
	p->step_overdue = true;
	partition_wake_vp(stepper);
}
