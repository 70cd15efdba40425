/* SPDX-License-Identifier: MIT */
/* Starting VPs: INIT, SIPI and HvCallStartVirtualProcessor (TLFS vsm.md, "DenyLowerVtlStartup"). */
#ifndef VSM_LIB_VTL_STARTUP_H
#define VSM_LIB_VTL_STARTUP_H

#include <stdbool.h>

struct vsm_vcpu;

/* What startup_init() needs. 0 or -ENOMEM; startup_free() gives it back. */
int startup_allocate(struct vsm_vcpu *vp);

/*
 * Remembers VTL0's registers as KVM made them, which is what INIT gives back, and who waits for
 * SIPI: with the library's local APIC all but the first VP, and those the VMM starts itself. 0 or
 * the errno of the kernel.
 */
int startup_init(struct vsm_vcpu *vp, bool started);
void startup_free(struct vsm_vcpu *vp);

/* Who waits for SIPI does so again. */
void startup_reset(struct vsm_vcpu *vp);

/*
 * INIT and SIPI for this VTL are to be dropped: they can reset VTL0 only, and neither a VP with a
 * higher VTL enabled nor one of a partition whose higher VTL has denied it.
 */
bool startup_denied(const struct vsm_vcpu *vp, unsigned vtl);

/* Does an INIT wait that takes effect at the next startup_check()? */
bool startup_resets(const struct vsm_vcpu *vp);

/*
 * Carries out INIT and SIPI. 0: the VP goes on, 1: it waits for SIPI without KVM knowing; else
 * -errno.
 */
int startup_check(struct vsm_vcpu *vp);

/*
 * The VP, which is held, starts: in the highest VTL that it has. -errno of the kernel: it does not.
 */
int startup_start(struct vsm_vcpu *vp);

#endif
