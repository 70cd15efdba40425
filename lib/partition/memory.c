/* SPDX-License-Identifier: MIT */
/* Guest RAM: from the VMM's files, and to its devices. */
#include <errno.h>

#include "partition/options.h"
#include "partition/partition.h"
#include "vsm/memory.h"

int vsm_partition_map_memory(struct vsm_partition *partition,
			     const struct vsm_memory_region *region)
{
	struct vsm_memory_region r;
	int ret;

	if (!partition || options_copy_in(&r, sizeof(r), region) ||
	    (r.flags & ~VSM_MEMORY_READ_ONLY))
		return -EINVAL;
	if ((r.flags & VSM_MEMORY_READ_ONLY) && !partition->has_rom)
		return -ENOTSUP;
	pthread_mutex_lock(&partition->lock);
	ret = memory_add_region(&partition->memory, gpa_from(r.guest_phys), r.bytes, r.fd,
				r.fd_offset, r.flags & VSM_MEMORY_READ_ONLY);
	pthread_mutex_unlock(&partition->lock);
	return ret;
}

static void describe(const struct memory_region *r, unsigned vtl, struct vsm_memory_view *v)
{
	v->guest_phys = r->first << VSM_PAGE_SHIFT;
	v->bytes = (r->end - r->first) << VSM_PAGE_SHIFT;
	v->host = r->device[vtl];
}

int vsm_memory_view(struct vsm_partition *partition, unsigned vtl, uint64_t guest_phys,
		    struct vsm_memory_view *view)
{
	const struct memory_region *r;
	struct vsm_memory_view v;
	struct memory *m;
	int ret;

	if (!partition || options_copy_in(&v, sizeof(v), view) ||
	    !options_out_size_ok(view->size) || vtl >= partition->memory.vtl_count)
		return -EINVAL;
	m = &partition->memory;
	pthread_mutex_lock(&partition->lock);
	r = memory_region_of(m, guest_phys >> VSM_PAGE_SHIFT);
	ret = r ? memory_map_devices(m, vtl) : -ENXIO;
	if (!ret)
		describe(r, vtl, &v);
	pthread_mutex_unlock(&partition->lock);
	if (!ret)
		options_copy_out(view, &v, sizeof(v));
	return ret;
}
