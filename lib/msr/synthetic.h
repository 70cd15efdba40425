/* SPDX-License-Identifier: MIT */
/* The synthetic MSRs of Hyper-V, per VTL, and the filter that brings them to user space. */
#ifndef VSM_LIB_MSR_SYNTHETIC_H
#define VSM_LIB_MSR_SYNTHETIC_H

#include <stdbool.h>
#include <stdint.h>

struct memory;
struct overlay;
struct vsm_vcpu;
struct vsm_partition;

#define HV_MSR_GUEST_OS_ID	0x40000000
#define HV_MSR_HYPERCALL	0x40000001
#define HV_MSR_VP_INDEX		0x40000002
#define HV_MSR_RESET		0x40000003
#define HV_MSR_VP_RUNTIME	0x40000010
#define HV_MSR_TIME_REF_COUNT	0x40000020
#define HV_MSR_REFERENCE_TSC	0x40000021
#define HV_MSR_TSC_FREQUENCY	0x40000022
#define HV_MSR_APIC_FREQUENCY	0x40000023
#define HV_MSR_EOI		0x40000070
#define HV_MSR_ICR		0x40000071
#define HV_MSR_TPR		0x40000072
#define HV_MSR_VP_ASSIST_PAGE	0x40000073
#define HV_MSR_SCONTROL		0x40000080
#define HV_MSR_SVERSION		0x40000081
#define HV_MSR_SIEFP		0x40000082
#define HV_MSR_SIMP		0x40000083
#define HV_MSR_EOM		0x40000084
#define HV_MSR_SINT0		0x40000090
#define HV_MSR_SINT15		0x4000009f
#define HV_MSR_STIMER0_CONFIG	0x400000b0 /* then its count, then those of timers 1 to 3 */
#define HV_MSR_STIMER3_COUNT	0x400000b7
#define HV_MSR_CRASH_P0		0x40000100
#define HV_MSR_CRASH_CTL	0x40000105
#define HV_MSR_VSM_CAPABILITIES 0x000d0006

/* HV_REGISTER_VSM_CAPABILITIES of this partition. */
uint64_t vsm_capabilities(const struct vsm_partition *p);

/*
 * As an access by VTL `vtl` of the VP. 0; -ENOENT: no synthetic MSR of that number; -EINVAL: #GP
 * (reserved bits, read-only, write-only, a page beyond the GPA space); else the errno of a failed
 * kernel call.
 */
int synthetic_read(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value);
int synthetic_write(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value);

/*
 * Shows or hides the overlay page of an MSR that carries a page number. -EINVAL (#GP): the page is
 * beyond the GPA space; else the errno of the failed kernel call.
 */
int synthetic_move_overlay(struct memory *m, struct overlay *page, bool enable, uint64_t to);

/*
 * Installs the MSR filter in a space's VM and turns MSR exits on. user_apic: the VM's vCPUs have
 * the library's local APIC, whose MSRs KVM would answer itself. 0 or the errno of the failed kernel
 * call.
 */
int msr_filter_install(struct vsm_partition *p, unsigned space, bool user_apic);

/* What is intercepted has changed (msr/intercept.h): the same for all spaces. */
int msr_filter_update(struct vsm_partition *p);

#endif
