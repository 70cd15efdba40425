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
#include "vcpu/gate.h"
#include "vcpu/trace.h"
#include "vcpu/vcpu.h"
#include "vcpu/step.h"
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

/* How often a VP looks whether what keeps it from going on is still so. */
#define WAIT_NS UINT64_C(10000000)

/*
 * The VTL that set the protection is not enabled on this VP (TLFS vsm.md, "VTL Enablement": "can
 * lead to unexpected behavior"): nobody can be told, and nothing is let through. The VP does not
 * get past the instruction until that VTL comes, or lifts the protection.
 */
static int wait_for_setter(struct vsm_vcpu *vp, unsigned setter)
{
	struct vsm_partition *p = vp->partition;

	if (!vp->setter_missed)
		partition_log(
			p, VSM_LOG_WARNING,
			"VP %u waits: VTL%u forbids an access of it, and is not enabled there",
			vp->index, setter);
	vp->setter_missed = true;
	if (p->flags & VSM_PARTITION_HLT_EXITS) {
		vcpu_active(vp)->cpu.run->exit_reason = KVM_EXIT_HLT;
		return EXIT_TO_VMM;
	}
	return gate_sleep(vp, p->host->ops->clock_ns(p->host) + WAIT_NS);
}

/* Tells the VTL that set the protection. */
static int intercept(struct vsm_vcpu *vp, const struct violation *v)
{
	struct vtl_cpu *cpu = &vcpu_active(vp)->cpu;
	struct kvm_vcpu_events *events;
	struct violation told = *v;
	struct hv_message message;
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;
	int r = vtl_cpu_state(cpu, &regs, &sregs);

	if (!r)
		r = vtl_cpu_events(cpu, &events);
	if (r)
		return r;
	told.shadow = events->interrupt.shadow;
	if (!(vp->enabled_vtls & (1u << v->setter)))
		return wait_for_setter(vp, v->setter);
	vp->stats.memory_intercepts++;
	trace_intercept(vp, v);
	told.gva_valid &= (vp->partition->flags & VSM_PARTITION_INTERCEPT_GVA) != 0;
	intercept_message(&message, vp->index, vp->active_vtl, regs, sregs, &told);
	violation_tell(vp, v->setter, &message);
	return EXIT_RESUME;
}

/* So often in a row a VP may meet what others change behind it. */
#define TRIES_AMONG_OTHERS 100
/* So often in a row only a host fails that has no memory to give. */
#define UNEXPLAINED_MAX 1000

/*
 * What the processor met is gone: a translation that is in its TLB only, or tables that others have
 * changed since. It looks at the tables again; in the end while the others stay outside the guest.
 * Only what fails then can be the host's fault: alone says whether it did.
 */
static int try_again(struct vsm_vcpu *vp, bool alone)
{
	if (alone || vp->unexplained < TRIES_AMONG_OTHERS)
		vp->unexplained++;
	if (vp->unexplained > UNEXPLAINED_MAX) {
		vp->unexplained = 0;
		return -EFAULT;
	}
	/* If another VP steps, this one waits for that, and asks once more if it fails again. */
	if (vp->unexplained >= TRIES_AMONG_OTHERS)
		step_take(vp);
	vtl_cpu_flush_tlb(&vcpu_active(vp)->cpu);
	return EXIT_RESUME;
}

int violation_refuse(struct vsm_vcpu *vp, struct violation *v)
{
	int r = intercept_refuse(vp, v);

	if (r)
		return r;
	return v->setter ? intercept(vp, v) : try_again(vp, false);
}

#define VECTOR_DF 8

/* Exceptions that, met while one of their kind is delivered, make a double fault. */
static bool is_contributory(uint8_t vector)
{
	return vector == 0 || (vector >= 10 && vector <= VECTOR_PF);
}

/*
 * #GP for what no VTL may do to an overlay page (TLFS hypercall-interface.md). If the processor met
 * it while it delivered an exception, that goes on as always (SDM vol. 3, 6.15).
 */
static int fault_guest(struct vsm_vcpu *vp, bool delivering)
{
	struct vtl_cpu *cpu = &vcpu_active(vp)->cpu;
	struct kvm_vcpu_events *events;
	int r = vtl_cpu_events(cpu, &events);

	if (r)
		return r;
	if (!delivering || !events->exception.injected)
		return vtl_cpu_inject(cpu, VECTOR_GP, 0);
	if (events->exception.nr != VECTOR_DF)
		return vtl_cpu_inject(
			cpu, is_contributory(events->exception.nr) ? VECTOR_DF : VECTOR_GP, 0);
	events->exception.injected = 0;
	vtl_cpu_dirty(cpu, CPU_EVENTS);
	cpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return EXIT_TO_VMM;
}

int violation_handle(struct vsm_vcpu *vp, const struct violation *v)
{
	if (v->setter)
		return intercept(vp, v);
	if (v->overlay)
		return fault_guest(vp, v->delivers);
	if (v->served)
		return EXIT_RESUME;
	return v->allowed_here ? step_access(vp, v) : EXIT_TO_VMM;
}

/* An access in a step that needs yet another page, or a fault of its own, starts over. */
static int locate(struct vsm_vcpu *vp, struct violation *v)
{
	int r = vcpu_active(vp)->stepping ? step_stop(vp, true) : step_end(vp);

	return r ? r : intercept_locate(vp, v);
}

int exit_fault(struct vsm_vcpu *vp)
{
	bool alone = step_is_alone(vp);
	struct violation v = {0};
	int r;

	if (vcpu_active(vp)->stepping && window_hit_by_event(vp))
		return step_stop(vp, false);
	/* Who was outside until now needs the lock to enter: this is what the processor saw. */
	r = locate(vp, &v);
	if (r)
		return r;
	if (!violation_found(&v))
		return try_again(vp, alone);
	vp->unexplained = 0;
	return violation_handle(vp, &v);
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

/*
 * What was in the way may be gone: another VP has opened the page since. With the others outside
 * the guest, what fails then is what is looked at.
 */
static int try_alone(struct vsm_vcpu *vp, bool *tried)
{
	int r;

	*tried = false;
	if (vp->partition->max_vps == 1)
		return 0;
	r = intercept_forget_failure(vp, tried);
	if (r || !*tried)
		return r;
	vp->unexplained = TRIES_AMONG_OTHERS;
	return try_again(vp, false);
}

int exit_internal_error(struct vsm_vcpu *vp)
{
	const struct kvm_run *run = vcpu_active(vp)->cpu.run;
	bool emulation_failed = run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION;
	bool alone = vp->partition->stepper == vp, tried = false;
	struct violation v = {0};
	int r;

	/* Linux 6.14 says so itself when it cannot reach what a delivery needs; kvm_intel always
	 * has. */
	if (!emulation_failed && run->internal.suberror != KVM_INTERNAL_ERROR_DELIVERY_EV)
		return EXIT_TO_VMM;
	r = locate(vp, &v);
	if (r)
		return r;
	if (violation_found(&v))
		return violation_handle(vp, &v);
	if (!alone)
		r = try_alone(vp, &tried);
	if (r || tried)
		return r;
	return emulation_failed ? emulation_failure(vp) : EXIT_TO_VMM;
}

int violation_ahead(struct vsm_vcpu *vp, struct violation *v)
{
	struct vp_vtl *active = vcpu_active(vp);
	struct kvm_vcpu_events *events;
	int r;

	/* A processor that delivers it itself says what it met. */
	if (!active->ahead || active->stepping || active->cpu.unfinished)
		return 0;
	r = vtl_cpu_events(&active->cpu, &events);
	active->ahead = !r && events->interrupt.injected && vp->partition->emulated;
	if (r || !active->ahead || !memory_lowest_setter(&vp->partition->memory, vp->active_vtl))
		return r;
	r = intercept_locate(vp, v);
	if (r || !v->delivers || v->guessed)
		memset(v, 0, sizeof(*v));
	return r;
}

/*
 * A KVM that delivers events in software makes a triple fault of what it cannot reach, a closed
 * page or the IDT that a step has shut, and leaves state and exception as they were. kvm_amd resets
 * the vCPU, to real mode.
 */
static bool failed_delivery(const struct vsm_vcpu *vp, const struct kvm_sregs *sregs,
			    const struct kvm_vcpu_events *events)
{
	unsigned gate_end = 16u * events->exception.nr + 15;

	if (events->exception.injected)
		return false;
	/* Without a look at the limit: lib/vcpu/window.c. */
	if (!cpu_protected(sregs))
		return vp->partition->emulated;
	/* No IDT to speak of is how guests reset themselves. */
	return (sregs->efer & CPU_EFER_LMA) && gate_end <= sregs->idt.limit;
}

/* In a step: delivered again, with the pages closed; a trap may be the step's own. */
static int shutdown_in_step(struct vsm_vcpu *vp, struct kvm_vcpu_events *events)
{
	int r;

	if (events->exception.nr == VECTOR_DB)
		return exit_debug(vp);
	r = step_stop(vp, false);
	if (r)
		return r;
	events->exception.injected = 1;
	vtl_cpu_dirty(&vcpu_active(vp)->cpu, CPU_EVENTS);
	return EXIT_RESUME;
}

/* Otherwise: told, if a closed page was in its way. */
static int shutdown_by_limits(struct vsm_vcpu *vp, struct kvm_vcpu_events *events)
{
	struct violation v = {0};
	int r;

	events->exception.injected = 1;
	r = intercept_locate(vp, &v);
	if (r || !violation_found(&v) || v.guessed) {
		events->exception.injected = 0;
		return r ? r : EXIT_TO_VMM;
	}
	vtl_cpu_dirty(&vcpu_active(vp)->cpu, CPU_EVENTS);
	return violation_handle(vp, &v);
}

int exit_shutdown(struct vsm_vcpu *vp)
{
	struct vtl_cpu *cpu = &vcpu_active(vp)->cpu;
	struct kvm_vcpu_events *events;
	struct kvm_sregs *sregs;
	int r = vtl_cpu_sregs(cpu, &sregs);

	if (!r)
		r = vtl_cpu_events(cpu, &events);
	if (!r && failed_delivery(vp, sregs, events))
		return vcpu_active(vp)->stepping ? shutdown_in_step(vp, events)
						 : shutdown_by_limits(vp, events);
	return r ? r : EXIT_TO_VMM;
}
