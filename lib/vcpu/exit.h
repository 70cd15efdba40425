/* SPDX-License-Identifier: MIT */
/* What the run loop does with each way KVM_RUN can end. */
#ifndef VSM_LIB_VCPU_EXIT_H
#define VSM_LIB_VCPU_EXIT_H

#include <stdbool.h>

struct vp_vtl;
struct vsm_vcpu;
struct vtl_cpu;
struct hv_message;
struct violation;

/* Results of a handler; a negative one is an errno that ends vsm_vcpu_run(). */
enum exit_action {
	EXIT_RESUME = 0, /* dealt with: run on */
	EXIT_TO_VMM = 1, /* the VMM's business: return with kvm_run as it is */
};

/* Dispatches on the active VTL's exit_reason. */
int exit_handle(struct vsm_vcpu *vp);

/* KVM_RUN failed with EFAULT: an access KVM could not make for the guest. */
int exit_fault(struct vsm_vcpu *vp);

/* One exit reason each. */
/* KVM_EXIT_IO on the hypercall port; *v: the active VTL's. */
int exit_hypercall(struct vsm_vcpu *vp, struct vp_vtl *v);
int exit_io(struct vsm_vcpu *vp);
int exit_rdmsr(struct vsm_vcpu *vp);
int exit_wrmsr(struct vsm_vcpu *vp);
int exit_mmio(struct vsm_vcpu *vp);
int exit_internal_error(struct vsm_vcpu *vp);
int exit_debug(struct vsm_vcpu *vp);
int exit_shutdown(struct vsm_vcpu *vp);

/*
 * KVM is let finish the instruction that the exit left half-done, as if it had been answered, and
 * the general registers and events it changed are put back. The registers are dirty then. *stepped:
 * RIP was one of them. 0 or -errno.
 */
int exit_take_back(struct vtl_cpu *cpu, bool *stepped);

/*
 * Acts on a violation found at the active VTL: steps an access that is allowed, or tells the VTL
 * that forbade it. The vCPU's state is as before the instruction. v->setter 0 and not allowed_here:
 * EXIT_TO_VMM.
 */
int violation_handle(struct vsm_vcpu *vp, const struct violation *v);

/*
 * Before KVM_RUN: what keeps the interrupt that is queued from being delivered, if KVM could make a
 * triple fault or an error of that. *v is empty if nothing does. 0 or -errno.
 */
int violation_ahead(struct vsm_vcpu *vp, struct violation *v);

/*
 * What cannot be carried out with the pages open for nothing else is the higher VTL's to deal with:
 * tells it.
 */
int violation_refuse(struct vsm_vcpu *vp, struct violation *v);

/*
 * An intercept's message, to the VTL that asked for it. If its slot is taken or off, the message is
 * lost but the VTL is entered all the same: the instruction is intercepted again when it comes
 * back.
 */
void violation_tell(struct vsm_vcpu *vp, unsigned setter, const struct hv_message *message);

#endif
