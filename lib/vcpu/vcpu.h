/* SPDX-License-Identifier: MIT */
/* A VP: one vtl_cpu per VTL, and what of its state the library keeps itself. */
#ifndef VSM_LIB_VCPU_VCPU_H
#define VSM_LIB_VCPU_VCPU_H

#include <stdatomic.h>
#include "apic/lapic.h"
#include "intercept/intercept.h"
#include "partition/partition.h"
#include "registers/vtl_cpu.h"
#include "synic/synic.h"

/* The last step of a legal access to closed pages. */
struct page_step {
	uint64_t rip;
	bool failed; /* it faulted although these pages were open */
	uint8_t open_count;
	struct violation_page open[VIOLATION_PAGES];
};

/* State of a VP that each VTL has for itself. */
struct vp_vtl {
	struct vtl_cpu cpu;
	struct synic synic;
	struct lapic lapic;
	struct overlay *assist_page;
	uint64_t assist_msr;		       /* HV_X64_MSR_VP_ASSIST_PAGE */
	uint64_t secure_config[VSM_VTL_COUNT]; /* HV_REGISTER_VSM_VP_SECURE_VTL_CONFIG by lower VTL
						*/
	uint64_t vina;			       /* HV_REGISTER_VSM_VINA */
	uint64_t cr_intercept_control, cr_intercept_masks[3];
	bool entry_pending; /* must be entered: a message or interrupt waits that a lower VTL may
			       not hold up */
	struct retired_store retired;
	bool stepping; /* a legal access is being single-stepped */
	struct page_step step;

	/* shared.c: what this VTL's vCPU holds of the shared state, where known */
	void *xsave;
	bool xsave_known, xcrs_known, debugregs_known;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
};

struct vsm_vcpu {
	struct vsm_partition *partition;
	uint32_t index;
	uint32_t apic_id;
	_Atomic uint8_t active_vtl;
	uint16_t enabled_vtls; /* bit per VTL */
	struct vp_vtl vtls[VSM_VTL_COUNT];

	/* kick.c, partition/hold.c */
	_Atomic bool kicked; /* someone wants vsm_vcpu_run() to return */
	_Atomic int thread;  /* kernel id of the thread in vsm_vcpu_run(); 0: none */
	bool inside;	     /* in KVM_RUN, counted in its space */
	unsigned holds;	     /* must stay outside KVM_RUN */

	struct vsm_vcpu_stats stats;
};

static inline struct vp_vtl *vcpu_active(struct vsm_vcpu *vp)
{
	return &vp->vtls[vp->active_vtl];
}

#endif
