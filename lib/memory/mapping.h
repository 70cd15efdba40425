/* SPDX-License-Identifier: MIT */
/* What the files of this folder need of each other and nobody else does: from limits to host
 * protections, and how a change of limits reaches the host or is taken back. */
#ifndef VSM_LIB_MEMORY_MAPPING_H
#define VSM_LIB_MEMORY_MAPPING_H

#include "memory/memory.h"

/* The whole guest-physical address space, for what changes everywhere. */
#define PAGES_ALL UINT64_MAX

static inline uint64_t page_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t page_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* --- region.c --- */

/* Index of the first region that ends past `page`; region_count when there is none. */
size_t region_index(const struct memory *m, uint64_t page);

static inline uint8_t *region_host(const struct memory_region *r, uint8_t *base, uint64_t page)
{
	return base + ((page - r->first) << VSM_PAGE_SHIFT);
}

void memory_remove_regions(struct memory *m);

/* --- limits.c --- */

/* What a VTL finds at a page: an overlay, which covers what else may be there, RAM, or nothing. */
struct place {
	struct overlay *overlay;
	const struct memory_region *region;
};

static inline struct place place_of(const struct memory *m, unsigned vtl, uint64_t page)
{
	return (struct place){overlay_at(m, vtl, page), memory_region_of(m, page)};
}

/* memory_allows() for somebody who wants to know the place, too. */
bool place_allows(const struct memory *m, unsigned vtl, uint64_t page, const struct place *at,
		  enum mem_access access, bool user, uint8_t *setter);

/* All limits on one VTL: as they are, or as they were before a change. */
struct limits_state {
	const struct protmap *maps[VSM_VTL_COUNT]; /* by setter; NULL: its protections are off */
	enum memory_mbec mbec;
	bool governed; /* some setter's protections are on */
};

struct limits_state limits_now(const struct memory *m, unsigned vtl);

/* The mask in force, and in *end how far it reaches (a page past `page`). */
prot_t limits_get(const struct memory *m, const struct limits_state *s, uint64_t page,
		  uint64_t *end);

/* A mask with KX and UX as they take effect. */
prot_t limits_effective(const struct memory *m, enum memory_mbec mbec, prot_t mask);

/* --- overlay.c --- */

/* The overlay vtl sees at the first page >= `page` that has one, or NULL. */
struct overlay *overlay_from(const struct memory *m, unsigned vtl, uint64_t page);

/*
 * Is the page shown by a memslot of its own when an overlay is there? Otherwise the overlay is
 * mapped into the VTL's alias. ROM has a slot that forbids writes, which the overlay may allow.
 */
bool overlay_has_slot(const struct memory *m, uint64_t page);

/* Do limits on [first, end) concern an overlay's memslot? */
bool overlay_slots_follow(const struct memory *m, unsigned vtl, uint64_t first, uint64_t end);

/* --- view.c --- */

/*
 * What the host may let vtl do at `page`, under the limits *s, openings and overlays included; *end
 * is where that may change. There is RAM or an overlay at `page`.
 */
enum kvm_map_prot view_protection(const struct memory *m, unsigned vtl,
				  const struct limits_state *s, uint64_t page, uint64_t *end);

static inline bool view_slot_equal(const struct view_slot *a, const struct view_slot *b)
{
	return a->first == b->first && a->end == b->end && a->host == b->host &&
	       a->read_only == b->read_only;
}

/* The same for RAM alone, as if no overlay covered it. */
enum kvm_map_prot view_ram_protection(const struct memory *m, unsigned vtl,
				      const struct limits_state *s, uint64_t page, uint64_t *end);

/* What limits leave of reading and writing a page of RAM: for those who do not execute. */
enum kvm_map_prot view_data_protection(const struct memory *m, const struct limits_state *s,
				       uint64_t page, uint64_t *end);

/* Rebuilds the slot list; a new generation if it differs. -ENOSPC: nothing changed. */
int view_refresh(struct memory *m, unsigned vtl);

/*
 * The same, but where the list fits in any case it is built when it is next shown: once for all
 * that changes until then.
 */
int view_follow(struct memory *m, unsigned vtl);

/* --- guard.c --- */

/* Maps fd[offset, offset+size) once more. On failure what was mapped is for guard_unmap(). */
int guard_map(const struct memory *m, int fd, uint64_t offset, size_t size, struct guard *g);
/* Also of one that was never mapped. */
void guard_unmap(const struct memory *m, size_t size, struct guard *g);

/* --- alias.c --- */

/*
 * Maps a region for every VTL (and for devices, where asked for), closed; undoes itself on failure.
 */
int alias_map_region(const struct memory *m, struct memory_region *r);
void alias_unmap_region(const struct memory *m, struct memory_region *r);

/*
 * Brings [first, end) of vtl's mapping, of which nothing is to become tighter, to what limits,
 * overlays and openings say now. Stops at the first error.
 */
int alias_open(const struct memory *m, unsigned vtl, uint64_t first, uint64_t end);

/* The same of both its mappings, past errors; returns the first. */
int alias_open_all(const struct memory *m, unsigned vtl);

/* The same of vtl's device mapping, which must be there. */
int alias_open_devices(const struct memory *m, unsigned vtl, uint64_t first, uint64_t end);

/* Maps a region for vtl's devices, closed, and takes that back. */
int alias_map_devices(const struct memory *m, unsigned vtl, struct memory_region *r);
void alias_unmap_devices(const struct memory *m, unsigned vtl, struct memory_region *r);

/*
 * As alias_open() where pages may become tighter. On failure
 * the regions touched are closed, then opened as far as the host lets them: -ENOTRECOVERABLE if
 * they could not be closed.
 */
int alias_sync(const struct memory *m, unsigned vtl, uint64_t first, uint64_t end);

/* How far alias_change() came. */
enum alias_progress {
	ALIAS_TIGHTENED, /* some pages may be tighter than before, none more open */
	ALIAS_LOOSENED,	 /* some pages may be more open than before */
};

/*
 * Brings [first, end) of vtl's mappings, the devices' included, from the limits *before to those of
 * now: first closes what becomes tighter, then opens the rest. Stops at the first error.
 */
int alias_change(const struct memory *m, unsigned vtl, uint64_t first, uint64_t end,
		 const struct limits_state *before, enum alias_progress *progress);

/*
 * Takes a failed alias_change() back: the limits are the old ones again, *tried the ones that could
 * not be had. 0 unless a page may have stayed more open: -ENOTRECOVERABLE.
 */
int alias_revert(const struct memory *m, unsigned vtl, uint64_t first, uint64_t end,
		 const struct limits_state *tried, enum alias_progress progress);

/*
 * Maps what vtl is to see at a page of RAM (its top overlay, or the RAM) into its alias. `was` is
 * the protection the page has until then. On failure the page is as before; -ENOTRECOVERABLE: the
 * host left a hole.
 */
int alias_show_page(const struct memory *m, unsigned vtl, uint64_t page, enum kvm_map_prot was);

#endif
