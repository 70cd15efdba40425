/* SPDX-License-Identifier: MIT */
/* vsm_partition_map_memory(): guest RAM from the VMM's files. */
#include <errno.h>

#include "partition/options.h"
#include "partition/partition.h"

int vsm_partition_map_memory(struct vsm_partition *partition,
			     const struct vsm_memory_region *region)
{
	struct vsm_memory_region r;
	int ret;

	if (!partition || options_copy_in(&r, sizeof(r), region) ||
	    (r.flags & ~VSM_MEMORY_READ_ONLY))
		return -EINVAL;
	pthread_mutex_lock(&partition->lock);
	ret = memory_add_region(&partition->memory, gpa_from(r.guest_phys), r.bytes, r.fd,
				r.fd_offset, r.flags & VSM_MEMORY_READ_ONLY);
	pthread_mutex_unlock(&partition->lock);
	return ret;
}
