/* SPDX-License-Identifier: MIT */
/* Making and releasing a partition's memory, and the openings of single pages. */
#include "memory/mapping.h"

#include <errno.h>
#include <stdlib.h>

static int pool_create(struct memory *m, uint32_t pages)
{
	uint64_t size = (uint64_t)pages << VSM_PAGE_SHIFT;
	void *pool;
	int r;

	if (!pages)
		return 0;
	m->pool_fd = m->host->ops->create_memfd(m->host, "vsm-overlays", size);
	if (m->pool_fd < 0)
		return m->pool_fd;
	r = m->host->ops->map_memory(m->host, m->pool_fd, 0, size, KVM_MAP_READ_WRITE, NULL, &pool);
	if (r)
		return r;
	m->pool = pool;
	return guard_map(m, m->pool_fd, 0, size, &m->pool_guard);
}

static int allocate(struct memory *m)
{
	m->overlays = calloc(m->overlay_room ? m->overlay_room : 1, sizeof(*m->overlays));
	if (!m->overlays)
		return -ENOMEM;
	for (unsigned vtl = 0; vtl < m->vtl_count; vtl++) {
		struct view *v = &m->views[vtl];

		m->shown[vtl] =
			calloc(m->overlay_room ? m->overlay_room : 1, sizeof(*m->shown[vtl]));
		v->slots = calloc(m->slot_limit, sizeof(*v->slots));
		v->spare = calloc(m->slot_limit, sizeof(*v->spare));
		v->generation = 1;
		if (!m->shown[vtl] || !v->slots || !v->spare)
			return -ENOMEM;
	}
	return 0;
}

int memory_init(struct memory *m, const struct kvm_host *host, const struct memory_options *o)
{
	int r;

	*m = (struct memory){
		.host = host,
		.enforcement = o->enforcement == VSM_ENFORCEMENT_SLOTS ? VSM_ENFORCEMENT_SLOTS
								       : VSM_ENFORCEMENT_ALIAS,
		.exec_policy =
			o->exec_policy == VSM_EXEC_RELAXED ? VSM_EXEC_RELAXED : VSM_EXEC_STRICT,
		.vtl_count = o->vtl_count,
		.overlay_room = o->overlay_pages,
		.slot_limit = o->slot_limit,
		.mapping_limit = o->mapping_limit,
		.ux_is_execute = o->ux_is_execute,
		.pool_fd = -1,
		.gpa_pages = MEMORY_GPA_PAGES,
		.changes = 1,
	};
	if (o->gpa_bits && o->gpa_bits < MEMORY_GPA_BITS)
		m->gpa_pages = UINT64_C(1) << (o->gpa_bits - VSM_PAGE_SHIFT);
	if (!o->vtl_count || o->vtl_count > VSM_VTL_COUNT || !o->slot_limit)
		return -EINVAL;
	for (unsigned setter = 0; setter < VSM_VTL_COUNT; setter++) {
		for (unsigned target = 0; target < VSM_VTL_COUNT; target++)
			protmap_init(&m->limits[setter][target], PROT_ALL);
	}
	r = allocate(m);
	if (!r)
		r = pool_create(m, o->overlay_pages);
	if (r)
		memory_destroy(m);
	return r;
}

void memory_destroy(struct memory *m)
{
	size_t pool_size = (size_t)m->overlay_room << VSM_PAGE_SHIFT;

	if (!m->host)
		return;
	memory_remove_regions(m);
	for (unsigned vtl = 0; vtl < VSM_VTL_COUNT; vtl++) {
		for (unsigned target = 0; target < VSM_VTL_COUNT; target++)
			protmap_clear(&m->limits[vtl][target]);
		free(m->shown[vtl]);
		free(m->views[vtl].slots);
		free(m->views[vtl].spare);
	}
	free(m->overlays);
	guard_unmap(m, pool_size, &m->pool_guard);
	if (m->pool)
		m->host->ops->unmap_memory(m->host, m->pool, pool_size);
	if (m->pool_fd >= 0)
		m->host->ops->close_fd(m->host, m->pool_fd);
	*m = (struct memory){.pool_fd = -1};
}

/* --- openings --- */

/* Are openings of the page to be seen in the VTL's slots? And in its alias? */
static bool in_slots(const struct memory *m, unsigned vtl, uint64_t page)
{
	return m->enforcement == VSM_ENFORCEMENT_SLOTS ||
	       (overlay_at(m, vtl, page) && overlay_has_slot(m, page));
}

static bool in_alias(const struct memory *m, uint64_t page)
{
	return m->enforcement == VSM_ENFORCEMENT_ALIAS && memory_region_of(m, page);
}

static int open_host(struct memory *m, unsigned vtl, uint64_t page)
{
	int r = 0;

	if (in_slots(m, vtl, page))
		r = view_refresh(m, vtl);
	if (!r && in_alias(m, page))
		r = alias_open(m, vtl, page, page + 1);
	return r;
}

/* Adds to the page's opening, or makes one; at most `room` are in the list then. */
static int change_opening(struct memory *m, unsigned vtl, const struct memory_opening *wanted,
			  uint8_t room)
{
	struct memory_opening *list = m->openings[vtl], old;
	uint8_t i = 0, count = m->opening_count[vtl];
	int r;

	if (!overlay_at(m, vtl, wanted->page) && !memory_region_of(m, wanted->page))
		return -ENXIO;
	while (i < count && list[i].page != wanted->page)
		i++;
	if (i == room)
		return -ENOSPC;
	old = list[i];
	m->opening_changes++;
	if (i == count)
		list[m->opening_count[vtl]++] = *wanted;
	list[i].prot |= wanted->prot;
	list[i].shut |= wanted->shut;
	r = open_host(m, vtl, wanted->page);
	if (!r)
		return 0;
	list[i] = old;
	m->opening_count[vtl] = count;
	if (in_slots(m, vtl, wanted->page))
		view_refresh(m, vtl);
	return r;
}

int memory_open_page(struct memory *m, unsigned vtl, uint64_t page, prot_t prot)
{
	const struct memory_opening wanted = {.page = page, .prot = prot};

	return change_opening(m, vtl, &wanted, MEMORY_OPENINGS);
}

int memory_shut_page(struct memory *m, unsigned vtl, uint64_t page)
{
	const struct memory_opening wanted = {.page = page, .shut = true};

	return change_opening(m, vtl, &wanted, MEMORY_OPENINGS + MEMORY_SHUT);
}

int memory_close_openings(struct memory *m, unsigned vtl)
{
	uint8_t count = m->opening_count[vtl];
	bool slots = false;
	int result = 0, r;

	m->opening_count[vtl] = 0;
	m->opening_changes += count;
	for (uint8_t i = 0; i < count; i++) {
		uint64_t page = m->openings[vtl][i].page;

		slots |= in_slots(m, vtl, page);
		r = in_alias(m, page) ? alias_sync(m, vtl, page, page + 1) : 0;
		if (r)
			m->left_closed[vtl] = true;
		if (r && result != -ENOTRECOVERABLE)
			result = r;
	}
	if (!slots || !view_refresh(m, vtl))
		return result;
	/* The list still has the openings: it must not be shown. */
	view_touch(m, vtl);
	return result ? result : -ENOSPC;
}
