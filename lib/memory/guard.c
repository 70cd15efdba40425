/* SPDX-License-Identifier: MIT */
/*
 * What memslots show of pages that are less than open: the same memory, in mappings that are closed
 * and read-only for good. KVM_RUN fails with EFAULT at those, as at a mapping that is protected
 * later; a missing or read-only slot would have KVM's emulator take over, which knows too little
 * (docs/intercepts.md).
 */
#include "memory/mapping.h"

int guard_map(const struct memory *m, int fd, uint64_t offset, size_t size, struct guard *g)
{
	int r = 0;

	for (enum kvm_map_prot prot = KVM_MAP_NONE; prot <= KVM_MAP_READ && !r; prot++) {
		void *at;

		r = m->host->ops->map_memory(m->host, fd, offset, size, prot, NULL, &at);
		if (!r)
			g->at[prot] = at;
	}
	return r;
}

void guard_unmap(const struct memory *m, size_t size, struct guard *g)
{
	for (enum kvm_map_prot prot = KVM_MAP_NONE; prot <= KVM_MAP_READ; prot++) {
		if (g->at[prot])
			m->host->ops->unmap_memory(m->host, g->at[prot], size);
		g->at[prot] = NULL;
	}
}
