/* SPDX-License-Identifier: MIT */
/* RAM: the VMM's files, where the guest has them, and the library's mappings of them. */
#include "memory/mapping.h"
#include "kvm/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

size_t region_index(const struct memory *m, uint64_t page)
{
	size_t low = 0, high = m->region_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->regions[middle].end <= page)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

RUN_PATH const struct memory_region *memory_region_of(const struct memory *m, uint64_t page)
{
	size_t i = region_index(m, page);

	return i < m->region_count && m->regions[i].first <= page ? &m->regions[i] : NULL;
}

static int check(const struct memory *m, gpa_t gpa, uint64_t size, int fd, uint64_t offset)
{
	const uint64_t limit = m->gpa_pages << VSM_PAGE_SHIFT;
	uint64_t first = gpa_page(gpa), file;
	size_t i = region_index(m, first);
	int r;

	if (((gpa.addr | size | offset) & VSM_PAGE_MASK) || !size || gpa.addr >= limit ||
	    size > limit - gpa.addr)
		return -EINVAL;
	if (i < m->region_count && m->regions[i].first < first + (size >> VSM_PAGE_SHIFT))
		return -EEXIST;
	r = m->host->ops->file_size(m->host, fd, &file);
	if (r)
		return r;
	return offset > file || size > file - offset ? -ERANGE : 0;
}

static void region_close(const struct memory *m, struct memory_region *r)
{
	size_t size = (size_t)((r->end - r->first) << VSM_PAGE_SHIFT);

	alias_unmap_region(m, r);
	if (r->host)
		m->host->ops->unmap_memory(m->host, r->host, size);
	m->host->ops->close_fd(m->host, r->fd);
}

/* Our own fd and mappings; nothing of them is shown yet. */
static int region_open(const struct memory *m, struct memory_region *r, int fd)
{
	size_t size = (size_t)((r->end - r->first) << VSM_PAGE_SHIFT);
	enum kvm_map_prot prot = r->read_only ? KVM_MAP_READ : KVM_MAP_READ_WRITE;
	void *host;
	int error;

	r->fd = m->host->ops->duplicate_fd(m->host, fd);
	if (r->fd < 0)
		return r->fd;
	error = m->host->ops->map_memory(m->host, r->fd, r->offset, size, prot, NULL, &host);
	if (!error) {
		r->host = host;
		error = alias_map_region(m, r);
	}
	if (error)
		region_close(m, r);
	return error;
}

static int region_insert(struct memory *m, const struct memory_region *r)
{
	size_t i = region_index(m, r->first);
	struct memory_region *list = realloc(m->regions, (m->region_count + 1) * sizeof(*list));

	if (!list)
		return -ENOMEM;
	m->regions = list;
	memmove(&list[i + 1], &list[i], (m->region_count - i) * sizeof(*list));
	list[i] = *r;
	m->region_count++;
	m->changes++;
	return 0;
}

static void region_remove(struct memory *m, const struct memory_region *r)
{
	size_t i = region_index(m, r->first);

	m->region_count--;
	m->changes++;
	memmove(&m->regions[i], &m->regions[i + 1], (m->region_count - i) * sizeof(*m->regions));
}

/* Maps vtl's overlays that lie in the region, which had slots of their own until now. */
static int show_overlays(const struct memory *m, unsigned vtl, const struct memory_region *r)
{
	const struct overlay *o = overlay_from(m, vtl, r->first);

	if (overlay_has_slot(m, r->first))
		return 0;
	for (; o && o->page < r->end; o = overlay_from(m, vtl, o->page + 1)) {
		int error = alias_show_page(m, vtl, o->page, KVM_MAP_NONE);

		if (error)
			return error;
	}
	return 0;
}

/* The region is in the list: opens it to every VTL as far as its limits allow. */
static int region_show(struct memory *m, const struct memory_region *r)
{
	int error = 0;

	for (unsigned vtl = 0; vtl < m->vtl_count && !error; vtl++) {
		if (m->enforcement == VSM_ENFORCEMENT_ALIAS) {
			error = show_overlays(m, vtl, r);
			if (!error)
				error = alias_open(m, vtl, r->first, r->end);
		}
		if (!error && m->device_view[vtl])
			error = alias_open_devices(m, vtl, r->first, r->end);
		if (!error)
			error = view_refresh(m, vtl);
	}
	return error;
}

int memory_add_region(struct memory *m, gpa_t gpa, uint64_t size, int fd, uint64_t offset,
		      bool read_only)
{
	struct memory_region r = {
		.first = gpa_page(gpa),
		.end = gpa_page(gpa) + (size >> VSM_PAGE_SHIFT),
		.offset = offset,
		.read_only = read_only,
	};
	int error = check(m, gpa, size, fd, offset);

	if (error)
		return error;
	error = region_open(m, &r, fd);
	if (error)
		return error;
	error = region_insert(m, &r);
	if (!error) {
		error = region_show(m, &r);
		if (!error)
			return 0;
		region_remove(m, &r);
		for (unsigned vtl = 0; vtl < m->vtl_count; vtl++)
			view_refresh(m, vtl);
	}
	region_close(m, &r);
	/* Whatever could not be closed is gone with the mappings. */
	return error == -ENOTRECOVERABLE ? -ENOMEM : error;
}

void memory_remove_regions(struct memory *m)
{
	for (size_t i = 0; i < m->region_count; i++)
		region_close(m, &m->regions[i]);
	free(m->regions);
	m->regions = NULL;
	m->region_count = 0;
}
