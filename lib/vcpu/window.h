/* SPDX-License-Identifier: MIT */
/*
 * What else is shut while pages are open for one instruction; and deliveries, for which none are
 * opened.
 */
#ifndef VSM_LIB_VCPU_WINDOW_H
#define VSM_LIB_VCPU_WINDOW_H

#include <stdbool.h>
#include <linux/kvm.h>

struct vsm_vcpu;
struct violation;

/*
 * Sees to it that no code but the instruction of *v finds its pages open, and says how KVM is to
 * stop behind it. -EPERM: that cannot be had for this instruction; else the errno of what failed.
 * The pages shut here are ended by memory_close_openings().
 */
int window_prepare(struct vsm_vcpu *vp, const struct violation *v, struct kvm_guest_debug *debug);

/*
 * Delivers the event of *v, whose accesses are all allowed, in the place of the processor. -EPERM:
 * it is not one that can be, nothing changed; else the errno of what failed.
 */
int window_deliver(struct vsm_vcpu *vp, const struct violation *v);

/*
 * KVM_RUN failed in a window: was it an event that came up, which finds the pages closed next time?
 */
bool window_hit_by_event(struct vsm_vcpu *vp);

#endif
