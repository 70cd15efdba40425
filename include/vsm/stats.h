/* SPDX-License-Identifier: MIT */
/* Counters. They only grow; each is what happened since the vcpu (or partition) was created. */
#ifndef VSM_STATS_H
#define VSM_STATS_H

#include <stddef.h>
#include <stdint.h>

struct vsm_vcpu_stats {
	size_t size;	    /* in: sizeof(struct vsm_vcpu_stats) of the caller */
	uint64_t runs;	    /* times KVM_RUN was entered */
	uint64_t vmm_exits; /* exits handed to the VMM */
	uint64_t vtl_calls;
	uint64_t vtl_returns;
	uint64_t interrupt_entries; /* a higher VTL entered for an interrupt or intercept */
	uint64_t hypercalls;	    /* VTL calls and returns not counted */
	uint64_t hypercall_errors;  /* of those, with a status other than success */
	uint64_t msr_exits;	    /* synthetic MSRs answered by the library */
	uint64_t memory_intercepts;
	uint64_t steps;		   /* legal accesses stepped under the strict execute policy */
	uint64_t messages;	   /* SynIC messages delivered */
	uint64_t messages_dropped; /* the slot was busy or the SynIC off */
	uint64_t xsave_moved;	   /* VTL switches that had to write the FP image */
	uint64_t msr_intercepts;   /* MSR accesses a higher VTL was asked about */
	uint64_t io_intercepts;	   /* I/O port accesses a higher VTL was asked about */
};

struct vsm_partition_stats {
	size_t size;		      /* in: sizeof(struct vsm_partition_stats) of the caller */
	uint64_t regions;	      /* RAM regions */
	uint64_t protected_ranges;    /* coalesced ranges, all VTLs together */
	uint64_t protected_pages_set; /* pages named by ModifyVtlProtectionMask, in all */
	uint64_t remaps;	      /* times a space's memslots changed */
	uint64_t slot_updates;	      /* memslot ioctls in those */
	uint64_t enabled_vtls;	      /* bit per VTL enabled for the partition */
};

#endif
