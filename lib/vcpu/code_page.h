/* SPDX-License-Identifier: MIT */
/* Is the processor in its VTL's code page? Asked at every hypercall and VTL switch. */
#ifndef VSM_LIB_VCPU_CODE_PAGE_H
#define VSM_LIB_VCPU_CODE_PAGE_H

#include "intercept/intercept.h"

struct vsm_vcpu;

/*
 * The last walk that ended at the code page, with all it depended on: special registers, the linear
 * page, what is where and who may read it (memory.h, `changes`), and each table entry's value. It
 * holds for as long as all of those are the same, which is cheaper to see than to walk again: a
 * guest that changes its tables changes an entry.
 */
struct code_walk {
	bool known;
	uint64_t cr0, cr3, cr4, efer;
	uint64_t page; /* linear */
	uint64_t changes;
	unsigned table_count;
	struct {
		const uint64_t *at;
		uint64_t value;
	} tables[WALK_LEVELS];
};

/* Does the active VTL's processor, at this linear address, fetch from that VTL's code page? */
bool code_page_holds(struct vsm_vcpu *vp, const struct kvm_sregs *sregs, gva_t rip);

#endif
