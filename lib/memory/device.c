/* SPDX-License-Identifier: MIT */
/*
 * The mapping through which device models reach guest memory with a VTL's rights. It is one of its
 * own, whatever the enforcement: with `slots` the vCPUs' mapping is never protected, and with
 * `alias` it is closed where a page may be read but not executed, which a device may read.
 *
 * Overlay pages are the processors' (TLFS hypercall-interface.md); a device finds the RAM they
 * cover.
 */
#include "memory/mapping.h"

#include <errno.h>

static void unmap(struct memory *m, unsigned vtl)
{
	m->device_view[vtl] = false;
	for (size_t i = 0; i < m->region_count; i++)
		alias_unmap_devices(m, vtl, &m->regions[i]);
}

int memory_map_devices(struct memory *m, unsigned vtl)
{
	int error = 0;

	if (vtl >= m->vtl_count)
		return -EINVAL;
	if (m->device_view[vtl])
		return 0;
	for (size_t i = 0; i < m->region_count && !error; i++)
		error = alias_map_devices(m, vtl, &m->regions[i]);
	m->device_view[vtl] = !error;
	if (!error)
		error = alias_open_devices(m, vtl, 0, PAGES_ALL);
	if (error)
		unmap(m, vtl);
	return error;
}
