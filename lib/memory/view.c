/* SPDX-License-Identifier: MIT */
/* Views: from regions, overlays, limits and openings to the memslots a VTL needs. */
#include "memory/mapping.h"

#include <errno.h>
#include <string.h>

/* KVM_MEM_MAX_NR_PAGES (Linux virt/kvm/kvm_main.c). */
#define SLOT_PAGES_MAX ((UINT64_C(1) << 31) - 1)

/* --- what the host may let through --- */

static enum kvm_map_prot hardware_data(prot_t prot)
{
	if (!(prot & PROT_R))
		return KVM_MAP_NONE;
	return prot & PROT_W ? KVM_MAP_READ_WRITE : KVM_MAP_READ;
}

static enum kvm_map_prot hardware_prot(const struct memory *m, enum memory_mbec mbec, prot_t prot)
{
	const prot_t execute = PROT_KX | PROT_UX;

	if (m->exec_policy == VSM_EXEC_STRICT &&
	    (limits_effective(m, mbec, prot) & execute) != execute)
		return KVM_MAP_NONE;
	return hardware_data(prot);
}

enum kvm_map_prot view_hardware_prot(const struct memory *m, unsigned vtl, prot_t prot)
{
	return hardware_prot(m, m->mbec[vtl], prot);
}

/* The opening of a page, or the first one past it. */
static const struct memory_opening *opening_from(const struct memory *m, unsigned vtl,
						 uint64_t page)
{
	const struct memory_opening *best = NULL;

	for (unsigned i = 0; i < m->opening_count[vtl]; i++) {
		const struct memory_opening *o = &m->openings[vtl][i];

		if (o->page >= page && (!best || o->page < best->page))
			best = o;
	}
	return best;
}

static enum kvm_map_prot opening_prot(const struct memory_opening *o)
{
	if (!o->prot)
		return KVM_MAP_NONE;
	return o->prot & PROT_W ? KVM_MAP_READ_WRITE : KVM_MAP_READ;
}

/* Nobody restricts execution while no higher VTL's protections are on: overlays need not either. */
static enum kvm_map_prot overlay_prot(const struct memory *m, const struct limits_state *s,
				      const struct overlay *o)
{
	prot_t prot = o->prot;
	uint64_t end;

	if (o->limited)
		prot &= limits_get(m, s, o->page, &end);
	return s->governed ? hardware_prot(m, s->mbec, prot) : hardware_data(prot);
}

/* `prot` with vtl's opening of the page, if there is one; *end is cut to where that may change. */
static enum kvm_map_prot with_opening(const struct memory *m, unsigned vtl, uint64_t page,
				      enum kvm_map_prot prot, uint64_t *end)
{
	const struct memory_opening *opening = opening_from(m, vtl, page);

	if (!opening)
		return prot;
	if (opening->page > page) {
		*end = page_min(*end, opening->page);
		return prot;
	}
	*end = page + 1;
	if (opening->shut)
		return KVM_MAP_NONE;
	return opening_prot(opening) > prot ? opening_prot(opening) : prot;
}

enum kvm_map_prot view_ram_protection(const struct memory *m, unsigned vtl,
				      const struct limits_state *s, uint64_t page, uint64_t *end)
{
	enum kvm_map_prot prot = hardware_prot(m, s->mbec, limits_get(m, s, page, end));

	return with_opening(m, vtl, page, prot, end);
}

enum kvm_map_prot view_data_protection(const struct memory *m, const struct limits_state *s,
				       uint64_t page, uint64_t *end)
{
	return hardware_data(limits_get(m, s, page, end));
}

enum kvm_map_prot view_protection(const struct memory *m, unsigned vtl,
				  const struct limits_state *s, uint64_t page, uint64_t *end)
{
	const struct overlay *o = overlay_from(m, vtl, page);
	enum kvm_map_prot prot;

	if (o && o->page == page) {
		*end = page + 1;
		return with_opening(m, vtl, page, overlay_prot(m, s, o), end);
	}
	prot = view_ram_protection(m, vtl, s, page, end);
	if (o)
		*end = page_min(*end, o->page);
	return prot;
}

/* --- slot lists --- */

/* A run of pages that one slot can show. */
struct run {
	uint64_t first, end;
	uint8_t *host;
	bool read_only;
	const void *source; /* runs of different sources never share a slot */
};

struct builder {
	struct view_slot *slots;
	size_t count, limit;
	const void *source; /* of the last slot */
};

static bool builder_extend(struct builder *b, const struct run *run)
{
	struct view_slot *last = b->count ? &b->slots[b->count - 1] : NULL;

	if (!last || b->source != run->source || last->end != run->first ||
	    last->read_only != run->read_only ||
	    last->host + ((last->end - last->first) << VSM_PAGE_SHIFT) != run->host ||
	    run->end - last->first > SLOT_PAGES_MAX)
		return false;
	last->end = run->end;
	return true;
}

static int builder_add(struct builder *b, const struct run *run)
{
	if (builder_extend(b, run))
		return 0;
	for (uint64_t first = run->first; first < run->end;) {
		uint64_t end = page_min(run->end, first + SLOT_PAGES_MAX);

		if (b->count == b->limit)
			return -ENOSPC;
		b->slots[b->count++] = (struct view_slot){
			.first = first,
			.end = end,
			.host = run->host + ((first - run->first) << VSM_PAGE_SHIFT),
			.read_only = run->read_only,
		};
		first = end;
	}
	b->source = run->source;
	return 0;
}

/* The mapping that a slot shows for a protection: it is what forbids an access, not the slot. */
static uint8_t *shown(uint8_t *open, const struct guard *guard, enum kvm_map_prot prot)
{
	return prot == KVM_MAP_READ_WRITE ? open : guard->at[prot];
}

static struct run overlay_run(const struct memory *m, unsigned vtl, const struct limits_state *s,
			      const struct overlay *o)
{
	struct run run = {.first = o->page, .source = m->pool};
	enum kvm_map_prot prot = view_protection(m, vtl, s, o->page, &run.end);

	run.host = shown(m->pool, &m->pool_guard, prot) + ((size_t)o->pool << VSM_PAGE_SHIFT);
	return run;
}

/*
 * RAM from `page` on. In an alias the mapping's protection does the rest: one slot does. What is
 * stored to ROM is for the VMM, with both: only a read-only slot makes that an MMIO exit.
 */
static struct run region_run(const struct memory *m, unsigned vtl, const struct limits_state *s,
			     const struct memory_region *r, uint64_t page)
{
	struct run run = {.first = page, .end = r->end, .read_only = r->read_only, .source = r};
	uint8_t *base = r->alias[vtl];

	if (m->enforcement == VSM_ENFORCEMENT_SLOTS) {
		base = shown(base, &r->guard, view_protection(m, vtl, s, page, &run.end));
		run.end = page_min(run.end, r->end);
	}
	run.host = region_host(r, base, page);
	return run;
}

/* The first run at or past `page`; false: there is none. */
static bool next_run(const struct memory *m, unsigned vtl, const struct limits_state *s,
		     uint64_t page, struct run *run)
{
	size_t i = region_index(m, page);
	const struct memory_region *r = i < m->region_count ? &m->regions[i] : NULL;
	const struct overlay *o = overlay_from(m, vtl, page);
	uint64_t start = r ? page_max(page, r->first) : UINT64_MAX;
	bool cut = r && overlay_has_slot(m, start);

	if (o && (o->page < start || (cut && o->page == start))) {
		*run = overlay_run(m, vtl, s, o);
		return true;
	}
	if (!r)
		return false;
	*run = region_run(m, vtl, s, r, start);
	if (o && cut)
		run->end = page_min(run->end, o->page);
	return true;
}

static int build(struct memory *m, unsigned vtl, size_t *count)
{
	struct builder b = {.slots = m->views[vtl].spare, .limit = m->slot_limit};
	struct limits_state s = limits_now(m, vtl);
	struct run run = {.end = 0};
	int r;

	while (next_run(m, vtl, &s, run.end, &run)) {
		r = builder_add(&b, &run);
		if (r)
			return r;
	}
	*count = b.count;
	return 0;
}

static bool slots_equal(const struct view_slot *a, const struct view_slot *b, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!view_slot_equal(&a[i], &b[i]))
			return false;
	}
	return true;
}

/* The list just built becomes the view's. */
static void install(struct view *v, size_t count)
{
	struct view_slot *old = v->slots;

	if (!v->stale && (count != v->count || !slots_equal(v->slots, v->spare, count)))
		v->generation++;
	v->slots = v->spare;
	v->spare = old;
	v->count = count;
	v->stale = false;
}

int view_refresh(struct memory *m, unsigned vtl)
{
	size_t count;
	int r = build(m, vtl, &count);

	if (!r)
		install(&m->views[vtl], count);
	return r;
}

int view_build(struct memory *m, unsigned vtl)
{
	return m->views[vtl].stale ? view_refresh(m, vtl) : 0;
}

void view_touch(struct memory *m, unsigned vtl)
{
	m->views[vtl].generation++;
	m->views[vtl].stale = true;
}

/*
 * What a list built now could have, without going through it: each slot begins where a region, a
 * limit, an overlay or an opening begins or ends, or where the one before is as large as can be.
 */
static size_t slots_at_most(const struct memory *m, unsigned vtl)
{
	size_t slots = m->region_count + 2 * ((size_t)m->shown_count[vtl] + m->opening_count[vtl]);
	uint64_t pages = 0;

	for (unsigned setter = vtl + 1; setter < m->vtl_count; setter++)
		slots += 2 * m->limits[setter][vtl].count;
	for (size_t i = 0; i < m->region_count; i++)
		pages += m->regions[i].end - m->regions[i].first;
	return slots + pages / SLOT_PAGES_MAX;
}

int view_follow(struct memory *m, unsigned vtl)
{
	if (slots_at_most(m, vtl) > m->slot_limit)
		return view_refresh(m, vtl);
	view_touch(m, vtl);
	return 0;
}
