/* SPDX-License-Identifier: MIT */
/* Guest memory as devices may reach it. */
#ifndef VSM_MEMORY_H
#define VSM_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include "vsm/export.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vsm_partition;

/* Where a region of guest RAM is for devices with one VTL's rights. */
struct vsm_memory_view {
	size_t size;	     /* in: sizeof(struct vsm_memory_view) */
	uint64_t guest_phys; /* of the region, as given to vsm_partition_map_memory() */
	uint64_t bytes;
	void *host; /* its mapping in this process */
};

/*
 * Says where the region of RAM that holds `guest_phys` is mapped for device models with the rights
 * of `vtl`: those of VTL0, by the TLFS ("DMA and Devices"), unless the VMM knows better. What
 * higher VTLs forbid that VTL to read or write is closed in the mapping, at once and as long as it
 * is forbidden: a system call, io_uring or vhost that is told to use it there fails with EFAULT,
 * and an access by the process itself is SIGSEGV. Give a device addresses of this mapping and not
 * of one of the VMM's own, which is open.
 *
 * The first call for a VTL maps all regions once more (with either enforcement); those added later
 * are mapped with it, and found by calling again. Mappings stay where they are until the partition
 * goes, and are the library's: no munmap, mprotect or madvise on them. They show RAM and ROM,
 * without the overlay pages that cover it for processors, and do not depend on execute permissions.
 * Each separately protected range takes mappings (vm.max_map_count) here as it does for the vCPUs.
 *
 * Pages that were pinned before they were protected stay reachable through the pin: io_uring fixed
 * buffers, O_DIRECT requests under way, VFIO. A VMM that has VTL1 protect memory must not keep such
 * pins across it.
 *
 * Of a dead partition (vsm_partition_death()) pages may have stayed open that are to be closed, if
 * that is what the host refused: stop the devices, too.
 *
 * -EINVAL  a NULL argument, an unknown size with a non-zero tail, a VTL the partition cannot have;
 * -ENXIO   no region there; -ENOMEM and other errors of mmap(2) and mprotect(2). On failure nothing
 *          changed. Any thread.
 */
VSM_API int vsm_memory_view(struct vsm_partition *partition, unsigned vtl, uint64_t guest_phys,
			    struct vsm_memory_view *view);

#ifdef __cplusplus
}
#endif

#endif
