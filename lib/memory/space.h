/* SPDX-License-Identifier: MIT */
/* A space: a VM fd and the view its memslots show. One per VTL (`vm-per-vtl`) or one for all
 * (`single-vm`). */
#ifndef VSM_LIB_MEMORY_SPACE_H
#define VSM_LIB_MEMORY_SPACE_H

#include "memory/memory.h"

struct space_slot {
	struct view_slot what;
	uint32_t id;
};

struct space {
	int vm_fd;
	bool own_fd;		  /* made by the library, closed by it */
	uint32_t first_slot;	  /* slot ids below belong to the VMM */
	uint32_t slot_limit;	  /* ids in [first_slot, slot_limit) are the library's */
	struct space_slot *slots; /* what the kernel has now, sorted by page */
	struct space_slot *spare; /* where the next list is built */
	size_t count;
	uint64_t *id_map; /* bit set: id in use, counted from first_slot */
	int shown_vtl;	  /* view the slots show; -1: none */
	uint64_t shown_generation;
	uint64_t updates;   /* grows whenever the slots may change */
	unsigned inside;    /* vCPUs in KVM_RUN */
	uint64_t slice_end; /* gate.c: until then the VPs inside are left alone */
};

/*
 * Allocates all that space_apply() will need. The fd becomes the space's, if own_fd, on success.
 * -EINVAL: no slot ids; -ENOMEM.
 */
int space_init(struct space *s, int vm_fd, bool own_fd, uint32_t first_slot, uint32_t slot_limit);
/* Deletes the library's slots from the VM, closes an own fd. */
void space_destroy(const struct kvm_host *host, struct space *s);

/* Do the slots show `vtl`'s view as it is now? */
static inline bool space_shows(const struct space *s, const struct memory *m, unsigned vtl)
{
	const struct view *v = &m->views[vtl];

	return s->shown_vtl == (int)vtl && s->shown_generation == v->generation && !v->stale;
}

/*
 * Makes the slots show `vtl`'s view, but for overlay pages where the VM has slots that are not the
 * library's: deletes what differs, then adds what is missing; touches nothing that already matches.
 * No vCPU may be inside while slots change. *changed, when not NULL,
 * counts slot ioctls. On failure shown_vtl is -1, so that the next call tries again, and the space
 * shows a subset of the view; unless KVM refused to delete a slot, and then the slot too: no vCPU
 * may enter until a call succeeds.
 * -ENOSPC: the view needs more slots than there are ids, or has none (view_build()); errors of
 * KVM_SET_USER_MEMORY_REGION.
 */
int space_apply(struct space *s, struct memory *m, unsigned vtl, unsigned *changed);

#endif
