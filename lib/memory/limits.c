/* SPDX-License-Identifier: MIT */
/* What higher VTLs leave to lower ones: the maps, the questions asked of them, and changes that
 * happen as a whole or not at all (TLFS vsm.md, memory access protections). */
#include "memory/mapping.h"
#include "kvm/path.h"

#include <errno.h>

/* --- questions --- */

prot_t limits_effective(const struct memory *m, enum memory_mbec mbec, prot_t mask)
{
	const prot_t execute = PROT_KX | PROT_UX;
	prot_t without;
	bool allowed;

	if (mbec == MBEC_ON)
		return mask;
	allowed = mask & (m->ux_is_execute ? execute : PROT_KX);
	without = (prot_t)(allowed ? mask | execute : mask & ~execute);
	return mbec == MBEC_OFF ? without : mask & without;
}

struct limits_state limits_now(const struct memory *m, unsigned vtl)
{
	struct limits_state s = {.mbec = m->mbec[vtl]};

	for (unsigned setter = vtl + 1; setter < m->vtl_count; setter++) {
		if (!m->limits_on[setter])
			continue;
		s.maps[setter] = &m->limits[setter][vtl];
		s.governed = true;
	}
	return s;
}

prot_t limits_get(const struct memory *m, const struct limits_state *s, uint64_t page,
		  uint64_t *end)
{
	prot_t prot = PROT_ALL;

	*end = UINT64_MAX;
	for (unsigned setter = 0; setter < VSM_VTL_COUNT; setter++) {
		uint64_t run;

		if (!s->maps[setter])
			continue;
		prot &= limits_effective(m, s->mbec, protmap_get(s->maps[setter], page, &run));
		*end = page_min(*end, run);
	}
	return prot;
}

/* The lowest setter whose mask lacks some of `wanted`, 0 if none; *prot: all masks together. */
static uint8_t limits_setter(const struct memory *m, unsigned vtl, uint64_t page, prot_t wanted,
			     prot_t *prot)
{
	uint8_t found = 0;

	*prot = PROT_ALL;
	for (unsigned setter = m->vtl_count - 1u; setter > vtl; setter--) {
		prot_t mask;

		if (!m->limits_on[setter])
			continue;
		mask = limits_effective(m, m->mbec[vtl],
					protmap_get(&m->limits[setter][vtl], page, NULL));
		*prot &= mask;
		if (~mask & wanted)
			found = (uint8_t)setter;
	}
	return found;
}

struct memory_rights memory_rights(const struct memory *m, unsigned vtl, uint64_t page)
{
	const struct overlay *o = overlay_at(m, vtl, page);
	struct memory_rights rights = {.kind = MEMORY_NONE};

	if (o) {
		rights.kind = MEMORY_OVERLAY;
		rights.prot = PROT_ALL;
		if (o->limited)
			rights.setter = limits_setter(m, vtl, page, PROT_ALL, &rights.prot);
		rights.prot &= limits_effective(m, m->mbec[vtl], o->prot);
	} else if (memory_region_of(m, page)) {
		rights.kind = MEMORY_RAM;
		rights.setter = limits_setter(m, vtl, page, PROT_ALL, &rights.prot);
	}
	return rights;
}

static prot_t wanted_prot(enum mem_access access, bool user)
{
	switch (access) {
	case MEM_READ:
		return PROT_R;
	case MEM_WRITE:
		return PROT_W;
	case MEM_EXECUTE:
		break;
	}
	return user ? PROT_UX : PROT_KX;
}

RUN_PATH bool place_allows(const struct memory *m, unsigned vtl, uint64_t page,
			   const struct place *at, enum mem_access access, bool user,
			   uint8_t *setter)
{
	const struct overlay *o = at->overlay;
	const struct memory_region *r = at->region;
	prot_t wanted = wanted_prot(access, user), prot = o ? PROT_ALL : 0;
	uint8_t who = 0;

	if (o ? o->limited : r != NULL)
		who = limits_setter(m, vtl, page, wanted, &prot);
	if (o)
		prot &= limits_effective(m, m->mbec[vtl], o->prot);
	if (!o && r && r->read_only)
		prot = (prot_t)(prot & ~PROT_W);
	if (setter)
		*setter = who;
	return prot & wanted;
}

bool memory_allows(const struct memory *m, unsigned vtl, uint64_t page, enum mem_access access,
		   bool user, uint8_t *setter)
{
	const struct place at = place_of(m, vtl, page);

	return place_allows(m, vtl, page, &at, access, user, setter);
}

/* --- changes --- */

/* Where somebody limits the VTL, legal accesses are stepped; the last limit's going opens all. */
void memory_reopen(struct memory *m, unsigned vtl)
{
	if (!limits_now(m, vtl).governed)
		m->left_closed[vtl] = alias_open_all(m, vtl);
}

/*
 * In an alias a limit never changes slots; only overlays beside it do: all when protections as such
 * are turned on or off, and those that limits hold for.
 */
static bool slots_follow(const struct memory *m, unsigned target, uint64_t first, uint64_t end)
{
	return m->enforcement == VSM_ENFORCEMENT_SLOTS || end == PAGES_ALL ||
	       overlay_slots_follow(m, target, first, end);
}

/* Everything limited for `target` in [first, end) has changed: the host follows. */
static int host_change(struct memory *m, unsigned target, uint64_t first, uint64_t end,
		       const struct limits_state *before, enum alias_progress *progress)
{
	int error = 0;

	m->changes++;
	*progress = ALIAS_TIGHTENED;
	if (slots_follow(m, target, first, end))
		error = view_follow(m, target);
	if (!error)
		error = alias_change(m, target, first, end, before, progress);
	return error;
}

/* The old limits are in force again: the host goes back. Old slot lists always fit. */
static int host_revert(struct memory *m, unsigned target, uint64_t first, uint64_t end,
		       const struct limits_state *tried, enum alias_progress progress)
{
	m->changes++;
	if (slots_follow(m, target, first, end))
		view_follow(m, target);
	m->left_closed[target] = true;
	return alias_revert(m, target, first, end, tried, progress);
}

static bool all_ram(const struct memory *m, uint64_t first, uint64_t end)
{
	for (size_t i = region_index(m, first); i < m->region_count && first < end; i++) {
		if (m->regions[i].first > first)
			return false;
		first = m->regions[i].end;
	}
	return first >= end;
}

/*
 * Host mappings that all ranges together may take up: each splits what it lies in. A range also
 * costs memory of the library's where it costs no mapping.
 */
static size_t mappings_needed(const struct memory *m)
{
	size_t needed = 0;

	for (unsigned target = 0; target < m->vtl_count; target++) {
		size_t ranges = 0;
		unsigned copies = m->device_view[target] ? 1 : 0;

		for (unsigned setter = target + 1; setter < m->vtl_count; setter++)
			ranges += m->limits[setter][target].count;
		copies += m->enforcement == VSM_ENFORCEMENT_ALIAS ? 1 : 0;
		needed += 2 * ranges * (copies ? copies : 1);
	}
	return needed;
}

int memory_limit(struct memory *m, unsigned setter, unsigned target, uint64_t first, uint64_t end,
		 prot_t mask)
{
	struct protmap_undo undo;
	struct limits_state before, tried;
	enum alias_progress progress;
	struct protmap *map, uniform;
	size_t count;
	int r;

	if (setter >= m->vtl_count || target >= setter || first >= end || (mask & ~PROT_ALL) ||
	    !m->limits_on[setter])
		return -EINVAL;
	if (!all_ram(m, first, end))
		return -ENXIO;
	map = &m->limits[setter][target];
	count = map->count;
	r = protmap_change(map, first, end, mask, &undo);
	if (r || undo.unchanged)
		return r;
	if (m->mapping_limit && map->count > count && mappings_needed(m) > m->mapping_limit) {
		protmap_revert(map, &undo);
		return -ENOMEM;
	}
	before = limits_now(m, target);
	before.maps[setter] = &undo.old;
	r = host_change(m, target, first, end, &before, &progress);
	if (!r) {
		protmap_commit(&undo);
		return 0;
	}
	protmap_revert(map, &undo);
	protmap_init(&uniform, mask);
	tried = limits_now(m, target);
	tried.maps[setter] = &uniform;
	if (host_revert(m, target, first, end, &tried, progress))
		r = -ENOTRECOVERABLE;
	return r;
}

/* One setter's limits on everybody. */
struct regime {
	bool on;
	struct protmap maps[VSM_VTL_COUNT]; /* by target */
};

static void regime_swap(struct memory *m, unsigned setter, struct regime *other)
{
	struct regime mine = {.on = m->limits_on[setter]};

	for (unsigned target = 0; target < VSM_VTL_COUNT; target++) {
		mine.maps[target] = m->limits[setter][target];
		m->limits[setter][target] = other->maps[target];
	}
	m->limits_on[setter] = other->on;
	*other = mine;
}

/* Those of the setters [first, end), by setter. */
struct regimes {
	unsigned first, end;
	struct regime of[VSM_VTL_COUNT];
};

static void regimes_swap(struct memory *m, struct regimes *others)
{
	for (unsigned setter = others->first; setter < others->end; setter++)
		regime_swap(m, setter, &others->of[setter]);
}

/* The limits on `target` if `others` were the setters'. */
static struct limits_state regimes_state(const struct memory *m, unsigned target,
					 const struct regimes *others)
{
	struct limits_state s = limits_now(m, target);

	for (unsigned setter = others->first; setter < others->end; setter++)
		if (setter > target)
			s.maps[setter] =
				others->of[setter].on ? &others->of[setter].maps[target] : NULL;
	s.governed = false;
	for (unsigned i = 0; i < VSM_VTL_COUNT; i++)
		s.governed |= s.maps[i] != NULL;
	return s;
}

/* Puts `others` in the place of the setters' limits; on success it then holds the old ones. */
static int regimes_change(struct memory *m, struct regimes *others)
{
	enum alias_progress progress[VSM_VTL_COUNT];
	struct limits_state other;
	unsigned target;
	int r = 0;

	regimes_swap(m, others);
	for (target = 0; target + 1 < others->end && !r; target++) {
		other = regimes_state(m, target, others);
		r = host_change(m, target, 0, PAGES_ALL, &other, &progress[target]);
	}
	if (!r)
		return 0;
	regimes_swap(m, others);
	while (target-- > 0) {
		other = regimes_state(m, target, others);
		if (host_revert(m, target, 0, PAGES_ALL, &other, progress[target]))
			r = -ENOTRECOVERABLE;
	}
	return r;
}

/* The setters [first, end) all get the same. */
static int regimes_replace(struct memory *m, unsigned first, unsigned end, bool on, prot_t mask)
{
	struct regimes others = {.first = first, .end = end};
	int r;

	for (unsigned setter = first; setter < end; setter++) {
		others.of[setter].on = on;
		for (unsigned target = 0; target < VSM_VTL_COUNT; target++)
			protmap_init(&others.of[setter].maps[target], mask);
	}
	r = regimes_change(m, &others);
	for (unsigned setter = first; setter < end && !r; setter++)
		for (unsigned target = 0; target < VSM_VTL_COUNT; target++)
			protmap_clear(&others.of[setter].maps[target]);
	return r;
}

int memory_limit_default(struct memory *m, unsigned setter, prot_t mask)
{
	if (!setter || setter >= m->vtl_count || (mask & ~PROT_ALL))
		return -EINVAL;
	if (m->limits_on[setter])
		return m->limits[setter][0].default_mask == mask ? 0 : -EALREADY;
	return regimes_replace(m, setter, setter + 1, true, mask);
}

int memory_limit_drop(struct memory *m, unsigned setter)
{
	if (!setter || setter >= m->vtl_count)
		return -EINVAL;
	return m->limits_on[setter] ? regimes_replace(m, setter, setter + 1, false, PROT_ALL) : 0;
}

int memory_limit_drop_all(struct memory *m)
{
	if (!memory_lowest_setter(m, 0))
		return 0;
	return regimes_replace(m, 1, m->vtl_count, false, PROT_ALL);
}

int memory_set_mbec(struct memory *m, unsigned vtl, enum memory_mbec mbec)
{
	struct limits_state other;
	enum alias_progress progress;
	enum memory_mbec old;
	int r;

	if (vtl >= m->vtl_count)
		return -EINVAL;
	old = m->mbec[vtl];
	if (old == mbec)
		return 0;
	other = limits_now(m, vtl);
	m->mbec[vtl] = mbec;
	r = host_change(m, vtl, 0, PAGES_ALL, &other, &progress);
	if (!r)
		return 0;
	other = limits_now(m, vtl);
	m->mbec[vtl] = old;
	if (host_revert(m, vtl, 0, PAGES_ALL, &other, progress))
		r = -ENOTRECOVERABLE;
	return r;
}
