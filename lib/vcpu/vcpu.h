/* SPDX-License-Identifier: MIT */
/* A VP: one vtl_cpu per VTL, and what of its state the library keeps itself. */
#ifndef VSM_LIB_VCPU_VCPU_H
#define VSM_LIB_VCPU_VCPU_H

#include <stdatomic.h>
#include "apic/kernel_apic.h"
#include "apic/lapic.h"
#include "intercept/intercept.h"
#include "memory/block.h"
#include "partition/partition.h"
#include "registers/vtl_cpu.h"
#include "synic/synic.h"
#include "timer/stimer.h"
#include "vcpu/code_page.h"

/* The last step of a legal access to closed pages. */
struct page_step {
	uint64_t rip;
	bool failed;   /* it faulted although these pages were open */
	bool tf;       /* the guest's own */
	uint32_t kept; /* bit per page: the partition has what it held */
	uint8_t open_count;
	struct violation_page open[VIOLATION_PAGES];
};

/* Where a request was made that waits for a TLB lock to go: partition/tlb.c. */
struct tlb_wait {
	uint64_t rip;	  /* of the `out` that makes it again */
	uint64_t unlocks; /* the partition's when it found the lock */
};

/* State of a VP that each VTL has for itself. */
struct vp_vtl {
	struct vtl_cpu cpu;  /* first: vtl/reset.c */
	struct space *space; /* partition_space() */
	struct stimer stimers[STIMER_COUNT];
	struct lapic lapic;
	struct overlay *assist_page;
	uint64_t assist_msr;		       /* HV_X64_MSR_VP_ASSIST_PAGE */
	uint64_t secure_config[VSM_VTL_COUNT]; /* HV_REGISTER_VSM_VP_SECURE_VTL_CONFIG by lower VTL
						*/
	struct vsm_vcpu *inhibitor[VSM_VTL_COUNT]; /* partition/tlb.c: who locked it besides */
	bool inhibits;				   /* this VTL may have locked others so */
	struct tlb_wait tlb_wait;
	uint64_t vina; /* HV_REGISTER_VSM_VINA */
	uint64_t cr_intercept_control, cr_intercept_masks[3];
	bool stepping; /* a legal access is being single-stepped */
	/* What makes the run loop look closer, whatever VTL is active: interrupt_vtl_busy(). */
	union {
		struct {
			bool entry_pending; /* must be entered: a message or interrupt waits that a
					       lower VTL may not hold up */
			bool suspended;	    /* HvRegisterExplicitSuspend */
			bool ahead;	    /* an interrupt is queued in KVM: violation_ahead() */
			bool store_waits;   /* vp_vtl_rare's `retired` is to be finished or shown
					       again */
			bool halted;	    /* behind a HLT, at halt_rip: interrupt.c */
			bool awaits_tlb;    /* tlb_wait */
			bool timer_runs;    /* one of stimers may; stimer.c */
		};
		uint64_t attend; /* any of these */
	};
	uint64_t halt_rip;
	uint32_t vina_irr[8]; /* vectors of this VTL that a higher one was notified of */
	bool vina_asserted;   /* while there is no VP assist page to keep it */

	struct code_walk code; /* code_page.c */
	/* Where its hypercalls' last input was and their output is. */
	struct known_page input, output;

	/* shared.c: what this VTL's vCPU holds of the shared state, where known */
	void *xsave;
	bool xsave_known, xcr0_known, debugregs_known;
	uint64_t xcr0;
	struct kvm_debugregs debugregs;

	/* Of the rest little or nothing is looked at in passing. */
	struct synic synic;
};

/* What is only looked at in the course of an intercept: much, and not among what is at each exit. */
struct vp_vtl_rare {
	struct retired_store retired;
	struct page_step step;
	uint64_t left_with; /* run.c: what memory its VM showed when vsm_vcpu_run() last returned */
};

/* MSRs that are not 0 after a processor's reset, as KVM made them. */
struct vp_reset_msrs {
	unsigned count;
	uint32_t index[2];
	uint64_t value[2];
};

/* What the guest told that is the VMM's to act on; type 0: nothing. msr/machine_msr.c */
struct system_event {
	uint32_t type; /* KVM_SYSTEM_EVENT_* */
	uint8_t vtl;
	uint64_t control; /* HV_X64_MSR_CRASH_CTL */
};

/* event/watch.c: is KVM stuck with this VP? */
struct vp_watch {
	uint64_t run;		  /* stats.runs when the event loop last looked */
	unsigned ticks, patience; /* looks since, and how many are left out */
	bool suspect;		  /* has been inside for long: to be looked at when it is out */
	uint8_t vtl;		  /* where it was when that was last done */
	struct kvm_regs regs;
};

struct vsm_vcpu {
	struct vsm_partition *partition;
	uint32_t index;
	uint32_t apic_id;
	_Atomic uint8_t active_vtl; /* vcpu_activate() */
	struct vp_vtl *active;	    /* its part of `vtls` */
	uint16_t enabled_vtls;	    /* bit per VTL */
	uint64_t tsc_moved;	    /* by the guest, since reference time was tied to the TSC */
	uint64_t runtime;	    /* HV_X64_MSR_VP_RUNTIME when it was last read */
	struct system_event system_event;
	const struct port *in_port; /* whose callback its thread is in */

	/* kick.c, partition/hold.c */
	_Atomic bool kicked; /* someone wants vsm_vcpu_run() to return */
	_Atomic int thread;  /* kernel id of the thread in vsm_vcpu_run(); 0: none */
	_Atomic bool asleep; /* its thread waits for wake_fd */
	int wake_fd;
	bool nudged;	   /* inside KVM_RUN and asked to come out by the library, not the VMM */
	bool inside;	   /* in KVM_RUN, counted in its space */
	bool held_by_step; /* one of `holds` is step.c's */
	bool being_reset;  /* vsm_vcpu_reset() waits for others: it does not begin to run */
	unsigned holds;	   /* must stay outside KVM_RUN */
	uint64_t turn;	   /* waits for its view, since when: gate.c; 0: does not */
	uint64_t deadline; /* when the next timer of any of its VTLs is due */

	struct kernel_apic kernel_apic; /* VTL0's, where it is KVM's */

	struct vp_watch watch;

	/* startup.c */
	bool started; /* else waits for SIPI or HvCallStartVirtualProcessor */
	bool starts;  /* what `started` is at first */
	struct vp_reset_msrs reset_msrs;
	struct vp_reset *reset; /* VTL0's registers as KVM made them */

	/* violation.c */
	bool setter_missed;   /* a VTL that forbids something is not enabled here: logged */
	unsigned unexplained; /* failed KVM_RUNs in a row without a reason to be found */

	struct vsm_vcpu_stats stats;

	/* With what VTL0 and VTL1 have looked at at each exit ends the struct's first page. */
	struct vp_vtl vtls[VSM_VTL_COUNT];
	struct vp_vtl_rare rare[VSM_VTL_COUNT];

	/* dispatch.c: of the hypercall it makes, if they are large */
	struct hypercall_parameters parameters;
};

_Static_assert(offsetof(struct vp_vtl, timer_runs) <
		       offsetof(struct vp_vtl, attend) + sizeof(uint64_t),
	       "`attend` has all of them");
_Static_assert(offsetof(struct vsm_vcpu, vtls[1].synic) <= VSM_PAGE_SIZE,
	       "two VTLs' switches look at one page");

static inline void vcpu_activate(struct vsm_vcpu *vp, unsigned vtl)
{
	vp->active_vtl = (uint8_t)vtl;
	vp->active = &vp->vtls[vtl];
}

static inline struct vp_vtl *vcpu_active(struct vsm_vcpu *vp)
{
	return vp->active;
}

static inline struct vp_vtl_rare *vcpu_rare(struct vsm_vcpu *vp)
{
	return &vp->rare[vp->active_vtl];
}

#endif
