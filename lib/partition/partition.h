/* SPDX-License-Identifier: MIT */
/* The partition and its VPs, as the library sees them. */
#ifndef VSM_LIB_PARTITION_PARTITION_H
#define VSM_LIB_PARTITION_PARTITION_H

#include <pthread.h>
#include <stdatomic.h>
#include "event/event.h"
#include "hypercall/hypercall.h"
#include "kvm/ops.h"
#include "memory/memory.h"
#include "memory/space.h"
#include "registers/registers.h"
#include "registers/xsave.h"
#include "synic/port.h"
#include "msr/intercept.h"
#include "vsm/partition.h"
#include "vsm/vcpu.h"

#define CRASH_PARAMETERS 5

/* Partition-wide state of one VTL. */
struct vtl_partition {
	uint64_t guest_os_id;	/* HV_X64_MSR_GUEST_OS_ID */
	uint64_t hypercall_msr; /* HV_X64_MSR_HYPERCALL */
	uint64_t ref_tsc_msr;	/* HV_X64_MSR_REFERENCE_TSC */
	struct overlay *hypercall_page;
	struct overlay *ref_tsc_page;
	struct overlay *ref_tsc_below[VSM_VTL_COUNT]; /* the same page, by lower VTL that sees it */
	uint64_t config; /* HV_REGISTER_VSM_PARTITION_CONFIG of this VTL */
	bool mbec;
	uint64_t crash[CRASH_PARAMETERS]; /* HV_X64_MSR_CRASH_P0 and on */
};

struct io_intercepts;

struct vsm_partition {
	const struct kvm_host *host;
	pthread_mutex_t
		lock; /* everything below, and every vcpu's state while it is outside KVM_RUN */
	pthread_cond_t vcpu_moved; /* a vCPU left KVM_RUN, or a hold on one ended */
	int kvm_fd;
	enum vsm_topology topology;
	uint8_t vtl_count; /* VTLs that may ever be enabled: max_vtl + 1 */
	uint8_t hypercall_port;
	uint64_t flags, quirks;
	int kick_signal;
	vsm_log_fn log;
	vsm_trace_fn trace;
	void *callback_ctx;

	size_t run_size; /* of a kvm_run mapping */
	struct xsave_layout xsave;
	bool sync_regs, sregs2;
	bool kernel_irqchip; /* VTL0 has KVM's in-kernel LAPIC */
	uint32_t tsc_khz;    /* of every vCPU; 0: unknown, the guest then gets no TSC page */

	struct memory memory;
	struct space spaces[VSM_VTL_COUNT];
	uint8_t space_count; /* 1: single-vm */

	uint16_t enabled_vtls; /* bit per VTL */
	struct vtl_partition vtls[VSM_VTL_COUNT];
	uint64_t tlb_unlocks; /* TLB locks given up so far: partition/tlb.c */
	struct msr_intercept msr_intercepts[MSR_INTERCEPTS];
	struct io_intercepts *io_intercepts[VSM_VTL_COUNT]; /* intercept/io.h; NULL for VTL0 */
	bool accept_unsupported_intercepts;		    /* enum vsm_unsupported_intercepts */
	uint64_t start_ns; /* CLOCK_MONOTONIC at reference time 0 */
	bool ref_offset_known;
	int64_t ref_offset; /* reference time minus the scaled TSC, msr/ref_tsc.c */
	uint32_t ref_sequence;
	bool ref_page_stale; /* VPs' TSCs differ: no page can serve all */

	struct port_table ports; /* synic/port.c */

	struct vsm_vcpu **vps; /* by VP index; NULL: not created */
	uint32_t max_vps;
	uint64_t turns;		/* handed out by gate.c */
	uint32_t turns_awaited; /* VPs that wait for one */
	struct events events;
	unsigned physical_bits; /* of the host's addresses */
	bool has_rom;		/* KVM has read-only memslots */
	bool emulated;		/* KVM can meet closed pages in its emulator: event/watch.c */
	uint64_t watch_ns;	/* when that is looked at next; 0: it is not */

	struct vsm_vcpu *stepper;	/* who keeps the others outside, vcpu/step.c: for a step */
	bool step_overdue;		/* and it takes too long */
	uint8_t (*kept)[VSM_PAGE_SIZE]; /* what MEMORY_OPENINGS of the pages held before */

	bool dead;
	char death[160]; /* why; "" while well */
	struct {
		uint64_t protected_pages_set, remaps, slot_updates;
	} stats;

	/* What is looked at at each exit is above, in the struct's first page. */
	uint8_t hypercall_rows[HYPERCALL_HASHES]; /* hypercall_index() */
	uint8_t register_rows[REGISTER_SLOTS];	  /* register_index() */
};

_Static_assert(offsetof(struct vsm_partition, hypercall_rows) <= VSM_PAGE_SIZE,
	       "a switch looks at one page of the partition");

/* The VP a guest names; HV_VP_INDEX_SELF is `self`. NULL: there is none. */
#define HV_VP_INDEX_SELF     UINT32_C(0xfffffffe)
#define HV_PARTITION_ID_SELF UINT64_MAX
static inline struct vsm_vcpu *partition_vp(const struct vsm_partition *p, struct vsm_vcpu *self,
					    uint32_t index)
{
	if (index == HV_VP_INDEX_SELF)
		return self;
	return index < p->max_vps ? p->vps[index] : NULL;
}

/* As vsm_partition_create(), on any host: the unit tests' way in. */
int partition_create_on(const struct kvm_host *host, const struct vsm_partition_options *options,
			struct vsm_partition **out);

static inline struct space *partition_space(struct vsm_partition *p, unsigned vtl)
{
	return &p->spaces[p->space_count == 1 ? 0 : vtl];
}

/*
 * The partition stops working: remembers why (the first reason stays), logs it, and has all VPs
 * return to the VMM. Returns -EIO. The lock is held.
 */
int partition_die(struct vsm_partition *p, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* One line to the VMM's log. */
void partition_log(struct vsm_partition *p, enum vsm_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
