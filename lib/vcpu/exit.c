/* SPDX-License-Identifier: MIT */
/* Exit reasons, dispatched in one table. */
#include "vcpu/exit.h"

#include "apic/bus.h"
#include "vcpu/interrupt.h"
#include "vcpu/step.h"
#include "vcpu/vcpu.h"

typedef int (*exit_handler)(struct vsm_vcpu *vp);

/* The window was asked for by the run loop, which looks for the interrupt again. */
static int exit_irq_window(struct vsm_vcpu *vp)
{
	vcpu_active(vp)->cpu.run->request_interrupt_window = 0;
	return EXIT_RESUME;
}

/*
 * The run loop sleeps until the halt ends. A VTL that no interrupt can reach may have stopped for
 * good: the VMM is told once, and if it runs the VP again that waits for an NMI, a reset or a
 * higher VTL.
 */
static int exit_hlt(struct vsm_vcpu *vp)
{
	bool interruptible;
	int r;

	if (!bus_serves(vp, vp->active_vtl))
		return EXIT_TO_VMM;
	r = interrupt_halt(vp, &interruptible);
	if (r)
		return r;
	return interruptible || !interrupt_halted(vp) ? EXIT_RESUME : EXIT_TO_VMM;
}

/* The guest changed CR8; the run loop took the new value over. */
static int exit_set_tpr(struct vsm_vcpu *vp)
{
	return bus_serves(vp, vp->active_vtl) ? EXIT_RESUME : EXIT_TO_VMM;
}

/* Reasons without a row go to the VMM. */
static const exit_handler handlers[] = {
	[KVM_EXIT_IO] = exit_io,
	[KVM_EXIT_MMIO] = exit_mmio,
	[KVM_EXIT_X86_RDMSR] = exit_rdmsr,
	[KVM_EXIT_X86_WRMSR] = exit_wrmsr,
	[KVM_EXIT_INTERNAL_ERROR] = exit_internal_error,
	[KVM_EXIT_DEBUG] = exit_debug,
	[KVM_EXIT_SHUTDOWN] = exit_shutdown,
	[KVM_EXIT_IRQ_WINDOW_OPEN] = exit_irq_window,
	[KVM_EXIT_HLT] = exit_hlt,
	[KVM_EXIT_SET_TPR] = exit_set_tpr,
};

#define HANDLERS (sizeof(handlers) / sizeof(handlers[0]))

int exit_handle(struct vsm_vcpu *vp)
{
	const struct vp_vtl *v = vcpu_active(vp);
	uint32_t reason = v->cpu.run->exit_reason;

	vp->unexplained = 0;
	/* Whatever stopped a step ends it: what KVM does next may be more than the instruction. */
	if (reason != KVM_EXIT_DEBUG && reason != KVM_EXIT_INTERNAL_ERROR &&
	    reason != KVM_EXIT_SHUTDOWN) {
		int r = step_end(vp);

		if (r)
			return r;
	}
	if (reason < HANDLERS && handlers[reason])
		return handlers[reason](vp);
	return EXIT_TO_VMM;
}
