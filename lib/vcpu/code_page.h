/* SPDX-License-Identifier: MIT */
/* Is the processor in its VTL's code page? Asked at every hypercall and VTL switch, and in part
 * inline for that. */
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
	uint64_t cr0, cr3, cr4, efer;
	uint64_t page;	  /* linear */
	uint64_t changes; /* 0, which memory's never are: nothing is known */
	/* Where the walk had fewer tables than there can be, some are here twice. */
	struct {
		const uint64_t *at;
		uint64_t value;
	} tables[WALK_LEVELS];
};

_Static_assert(WALK_LEVELS == 5, "code_walk_holds() looks at each table");

static inline uint64_t code_walk_change(const struct code_walk *c, unsigned i)
{
	return __atomic_load_n(c->tables[i].at, __ATOMIC_RELAXED) ^ c->tables[i].value;
}

/* All is compared, then decided: nearly always all of it is the same. */
static inline bool code_walk_holds(const struct code_walk *c, const struct memory *m,
				   const struct kvm_sregs *s, gva_t rip)
{
	uint64_t changes = (c->page ^ rip.addr >> VSM_PAGE_SHIFT) | (c->changes ^ m->changes) |
			   (c->cr0 ^ s->cr0) | (c->cr3 ^ s->cr3) | (c->cr4 ^ s->cr4) |
			   (c->efer ^ s->efer);

	if (changes)
		return false;
	return !(code_walk_change(c, 0) | code_walk_change(c, 1) | code_walk_change(c, 2) |
		 code_walk_change(c, 3) | code_walk_change(c, 4));
}

/*
 * Does the active VTL's processor, at this linear address, fetch from that VTL's code page? Asked
 * when code_walk_holds() says that the last walk does not tell.
 */
bool code_page_walk(struct vsm_vcpu *vp, const struct kvm_sregs *sregs, gva_t rip);

#endif
