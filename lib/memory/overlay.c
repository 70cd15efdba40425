/* SPDX-License-Identifier: MIT */
/* Overlay pages: library pages that cover a guest page in one VTL's view (TLFS vsm.md, overlay
 * pages are per VTL). */
#include "memory/mapping.h"
#include "kvm/path.h"

#include <errno.h>
#include <string.h>

static struct overlay *take_unused(struct memory *m)
{
	for (uint32_t i = 0; i < m->overlay_room; i++)
		if (!m->overlays[i].used)
			return &m->overlays[i];
	errno = ENOSPC;
	return NULL;
}

struct overlay *overlay_create(struct memory *m, unsigned vtl, prot_t prot)
{
	struct overlay *o;

	if (vtl >= m->vtl_count || (prot & ~PROT_ALL)) {
		errno = EINVAL;
		return NULL;
	}
	o = take_unused(m);
	if (!o)
		return NULL;
	*o = (struct overlay){
		.used = true,
		.pool = (uint32_t)(o - m->overlays),
		.vtl = (uint8_t)vtl,
		.prot = prot,
	};
	o->host = m->pool + ((size_t)o->pool << VSM_PAGE_SHIFT);
	memset(o->host, 0, VSM_PAGE_SIZE);
	return o;
}

struct overlay *overlay_create_below(struct memory *m, const struct overlay *of, unsigned vtl)
{
	struct overlay *o;

	if (vtl >= of->vtl) {
		errno = EINVAL;
		return NULL;
	}
	o = take_unused(m);
	if (!o)
		return NULL;
	*o = *of;
	o->vtl = (uint8_t)vtl;
	o->enabled = false;
	o->limited = true;
	return o;
}

int overlay_destroy(struct memory *m, struct overlay *o)
{
	int r = o ? overlay_disable(m, o) : 0;

	if (o && !r)
		o->used = false;
	return r;
}

/* --- the index of enabled overlays --- */

/* Position of the first one whose page is past `page`. */
static uint32_t index_past(const struct memory *m, unsigned vtl, uint64_t page)
{
	uint32_t low = 0, high = m->shown_count[vtl];

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (m->shown[vtl][middle]->page <= page)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static uint32_t index_of(const struct memory *m, const struct overlay *o)
{
	uint32_t at = index_past(m, o->vtl, o->page);

	while (m->shown[o->vtl][--at] != o)
		;
	return at;
}

static void index_insert(struct memory *m, struct overlay *o, uint32_t at)
{
	struct overlay **list = m->shown[o->vtl];

	memmove(&list[at + 1], &list[at], (m->shown_count[o->vtl] - at) * sizeof(*list));
	list[at] = o;
	m->shown_count[o->vtl]++;
	m->changes++;
}

static void index_remove(struct memory *m, const struct overlay *o, uint32_t at)
{
	struct overlay **list = m->shown[o->vtl];

	m->shown_count[o->vtl]--;
	m->changes++;
	memmove(&list[at], &list[at + 1], (m->shown_count[o->vtl] - at) * sizeof(*list));
}

RUN_PATH struct overlay *overlay_at(const struct memory *m, unsigned vtl, uint64_t page)
{
	uint32_t past = index_past(m, vtl, page);
	struct overlay *o = past ? m->shown[vtl][past - 1] : NULL;

	return o && o->page == page ? o : NULL;
}

struct overlay *overlay_from(const struct memory *m, unsigned vtl, uint64_t page)
{
	uint32_t at = page ? index_past(m, vtl, page - 1) : 0;

	if (at == m->shown_count[vtl])
		return NULL;
	return overlay_at(m, vtl, m->shown[vtl][at]->page);
}

bool overlay_has_slot(const struct memory *m, uint64_t page)
{
	const struct memory_region *r = memory_region_of(m, page);

	return m->enforcement == VSM_ENFORCEMENT_SLOTS || !r || r->read_only;
}

bool overlay_slots_follow(const struct memory *m, unsigned vtl, uint64_t first, uint64_t end)
{
	const struct overlay *o = overlay_from(m, vtl, first);

	for (; o && o->page < end; o = overlay_from(m, vtl, o->page + 1))
		if (o->limited && overlay_has_slot(m, o->page))
			return true;
	return false;
}

/* --- showing and hiding --- */

/* A page whose cover changes. */
struct change {
	bool mapped; /* in the alias: there is something to remap */
	uint64_t page;
	enum kvm_map_prot prot; /* what the alias has there now */
};

static struct change change_at(const struct memory *m, unsigned vtl, bool any, uint64_t page)
{
	struct change c = {.mapped = any && !overlay_has_slot(m, page), .page = page};
	struct limits_state s = limits_now(m, vtl);
	uint64_t end;

	if (c.mapped)
		c.prot = view_protection(m, vtl, &s, page, &end);
	return c;
}

/* Maps what the index now says the VTL sees at the page. */
static int change_show(const struct memory *m, unsigned vtl, const struct change *c)
{
	return c->mapped ? alias_show_page(m, vtl, c->page, c->prot) : 0;
}

/* Where an overlay is, and its position in the index. */
struct position {
	bool enabled;
	uint64_t page;
	uint32_t at;
};

static struct position position_take(struct memory *m, struct overlay *o)
{
	struct position p = {o->enabled, o->page, 0};

	if (o->enabled) {
		p.at = index_of(m, o);
		index_remove(m, o, p.at);
		o->enabled = false;
	}
	return p;
}

static void position_put(struct memory *m, struct overlay *o, const struct position *p)
{
	o->enabled = p->enabled;
	o->page = p->page;
	if (p->enabled)
		index_insert(m, o, p->at);
}

/*
 * The new page is shown before the old one is uncovered: only there the number of mappings can
 * grow, so it is the step the host may refuse, and then there is nothing to undo.
 */
static int overlay_move(struct memory *m, struct overlay *o, bool enable, uint64_t page)
{
	bool leaves = o->enabled && (!enable || o->page != page);
	struct change to = change_at(m, o->vtl, enable, page);
	struct change from = change_at(m, o->vtl, leaves, o->page);
	const struct position old = position_take(m, o);
	struct position new = {enable, page, enable ? index_past(m, o->vtl, page) : 0};
	bool shown = false;
	int r;

	position_put(m, o, &new);
	r = view_refresh(m, o->vtl);
	if (!r) {
		r = change_show(m, o->vtl, &to);
		shown = !r;
	}
	if (!r)
		r = change_show(m, o->vtl, &from);
	if (!r)
		return 0;
	if (shown)
		to = change_at(m, o->vtl, enable, page);
	position_take(m, o);
	position_put(m, o, &old);
	if (shown && change_show(m, o->vtl, &to))
		r = -ENOTRECOVERABLE;
	view_refresh(m, o->vtl);
	return r;
}

int overlay_enable(struct memory *m, struct overlay *o, uint64_t page)
{
	if (page >= m->gpa_pages)
		return -EINVAL;
	return overlay_move(m, o, true, page);
}

int overlay_disable(struct memory *m, struct overlay *o)
{
	return o->enabled ? overlay_move(m, o, false, o->page) : 0;
}
