/* SPDX-License-Identifier: MIT */
/*
 * VTL switches: calls, returns, and entries by interrupt or intercept (TLFS vsm.md, "VTL Entry",
 * "VTL Exit").
 */
#ifndef VSM_LIB_VCPU_SWITCH_H
#define VSM_LIB_VCPU_SWITCH_H

#include <stdbool.h>
#include <stdint.h>

struct hv_vp_vtl_control;
struct vp_vtl;
struct vsm_vcpu;

/*
 * The VP's VTL makes a VTL call with this control input, RIP past the calling instruction. 1: done;
 * 0: not legal here (no VTL above enabled on the VP, reserved bits): inject #UD; else -errno.
 */
int switch_call(struct vsm_vcpu *vp, uint64_t control);

/* The same for a VTL return. */
int switch_return(struct vsm_vcpu *vp, uint64_t control);

/* Enters the higher VTL `vtl` because something waits for it there. 0 or -errno. */
int switch_interrupt(struct vsm_vcpu *vp, unsigned vtl);

/*
 * The highest VTL above the active one that must be entered now; the active one when there is none.
 */
unsigned switch_due(const struct vsm_vcpu *vp);

/* The VTL control area in a VTL's VP assist page; NULL while the guest has none. */
struct hv_vp_vtl_control *switch_vtl_control(struct vp_vtl *v);

#endif
