/* SPDX-License-Identifier: MIT */
/*
 * VTL switches.
 *
 * The path of a VTL call:  KVM_RUN of VTL0 exits with KVM_EXIT_IO -> exit_hypercall.c finds the
 * call entry of the code page -> switch_call() -> enter() writes the entry reason -> shared_move()
 * -> the run loop runs the VTL that is now active. A return is the same path downwards.
 */
#include "vcpu/switch.h"
#include "kvm/path.h"

#include <errno.h>
#include <string.h>

#include "hv/vsm.h"
#include "vcpu/interrupt.h"
#include "partition/tlb.h"
#include "vcpu/exit.h"
#include "vcpu/shared.h"
#include "vcpu/step.h"
#include "vcpu/trace.h"
#include "vcpu/vcpu.h"

#define VTL_RETURN_FAST UINT64_C(1)

static int next_enabled(const struct vsm_vcpu *vp, int step)
{
	for (int vtl = (int)vp->active_vtl + step; vtl >= 0 && vtl < VSM_VTL_COUNT; vtl += step)
		if (vp->enabled_vtls & (1u << vtl))
			return vtl;
	return -1;
}

struct hv_vp_vtl_control *switch_vtl_control(struct vp_vtl *v)
{
	if (!v->assist_page->enabled)
		return NULL;
	return (struct hv_vp_vtl_control *)(v->assist_page->host + HV_VP_ASSIST_VTL_CONTROL);
}

/* Makes `to` the active VTL. Failing half-way leaves no VTL fit to run. */
static RUN_PATH int switch_to(struct vsm_vcpu *vp, unsigned to)
{
	struct vp_vtl *v = &vp->vtls[to];
	int r = step_end(vp);

	if (!r)
		r = shared_move(vp, vcpu_active(vp), v);
	if (r)
		return partition_die(vp->partition,
				     "VP %u: moving shared state to VTL%u failed: %s", vp->index,
				     to, strerrorname_np(-r));
	vcpu_activate(vp, to);
	memset(v->vina_irr, 0, sizeof(v->vina_irr));
	return 0;
}

static RUN_PATH int enter(struct vsm_vcpu *vp, unsigned vtl, enum hv_vtl_entry_reason reason)
{
	struct vp_vtl *v = &vp->vtls[vtl];
	struct hv_vp_vtl_control *control = switch_vtl_control(v);
	bool reset_vina = v->vina & HV_VINA_AUTO_RESET;

	v->entry_pending = false;
	if (control)
		control->entry_reason = reason;
	if (control && reset_vina)
		__atomic_fetch_and(&control->vina_status, (uint8_t)~HV_VINA_ASSERTED,
				   __ATOMIC_SEQ_CST);
	if (reset_vina)
		v->vina_asserted = false;
	if (vp->partition->trace)
		trace_switch(vp, vtl, (uint16_t)reason);
	return switch_to(vp, vtl);
}

RUN_PATH int switch_call(struct vsm_vcpu *vp, uint64_t control)
{
	int vtl = next_enabled(vp, 1), r;

	if (vtl < 0 || control)
		return 0;
	vp->stats.vtl_calls++;
	r = enter(vp, (unsigned)vtl, HV_VTL_ENTRY_CALL);
	return r ? r : 1;
}

/*
 * On an entry by interrupt the higher VTL finds the lower one's RAX and RCX in the registers
 * themselves; they are also left where a return that is not fast takes them from.
 */
static int save_volatile(struct vsm_vcpu *vp, struct hv_vp_vtl_control *control)
{
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;
	int r;

	if (!control)
		return 0;
	r = vtl_cpu_state(&vcpu_active(vp)->cpu, &regs, &sregs);
	if (r)
		return r;
	if (cpu_64bit(sregs)) {
		control->x64.rax = regs->rax;
		control->x64.rcx = regs->rcx;
	} else {
		control->x86.eax = (uint32_t)regs->rax;
		control->x86.ecx = (uint32_t)regs->rcx;
		control->x86.edx = (uint32_t)regs->rdx;
	}
	return 0;
}

int switch_interrupt(struct vsm_vcpu *vp, unsigned vtl)
{
	int r = save_volatile(vp, switch_vtl_control(&vp->vtls[vtl]));

	if (r)
		return r;
	vp->stats.interrupt_entries++;
	return enter(vp, vtl, HV_VTL_ENTRY_INTERRUPT);
}

/*
 * What a return that is not fast puts into the registers. The page may change while it is read:
 * once.
 */
static int restore_volatile(struct vsm_vcpu *vp, unsigned from)
{
	struct hv_vp_vtl_control *page = switch_vtl_control(&vp->vtls[from]), control;
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;
	int r;

	if (!page)
		return 0;
	memcpy(&control, page, sizeof(control));
	r = vtl_cpu_state(&vcpu_active(vp)->cpu, &regs, &sregs);
	if (r)
		return r;
	if (cpu_64bit(sregs)) {
		regs->rax = control.x64.rax;
		regs->rcx = control.x64.rcx;
	} else {
		regs->rax = control.x86.eax;
		regs->rcx = control.x86.ecx;
		regs->rdx = control.x86.edx;
	}
	vtl_cpu_dirty(&vcpu_active(vp)->cpu, CPU_REGS);
	return 0;
}

RUN_PATH int switch_return(struct vsm_vcpu *vp, uint64_t control)
{
	unsigned from = vp->active_vtl;
	int vtl = next_enabled(vp, -1), r;

	if (vtl < 0 || (control & ~VTL_RETURN_FAST))
		return 0;
	vp->stats.vtl_returns++;
	/*
	 * "Once a VP returns to a lower VTL, it releases all TLB locks which it holds" (TLFS
	 * vsm.md).
	 */
	tlb_release(vp, from);
	if (vp->partition->trace)
		trace_switch(vp, (unsigned)vtl, 0);
	r = switch_to(vp, (unsigned)vtl);
	if (!r && !(control & VTL_RETURN_FAST))
		r = restore_volatile(vp, from);
	return r ? r : 1;
}

unsigned switch_due(const struct vsm_vcpu *vp)
{
	if (!vp->started)
		return vp->active_vtl;
	for (unsigned vtl = VSM_VTL_COUNT - 1; vtl > vp->active_vtl; vtl--) {
		const struct vp_vtl *v = &vp->vtls[vtl];

		if (!(vp->enabled_vtls & (1u << vtl)))
			continue;
		if (v->entry_pending || interrupt_pending(vp, vtl))
			return vtl;
	}
	return vp->active_vtl;
}
