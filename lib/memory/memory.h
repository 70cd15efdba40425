/* SPDX-License-Identifier: MIT */
/*
 * Guest memory of a partition: regions of RAM, overlay pages and VTL protections, and from them
 * each VTL's *view*: what that VTL's vCPUs may reach, and how.
 *
 *   region.c   RAM, from the VMM's fds; one library mapping and, with `alias`, one per VTL
 *   limits.c   protection map per (restricting VTL, restricted VTL); what a VTL may do
 *   overlay.c  library pages that cover a GPA in one VTL's view
 *   view.c     regions + overlays + limits -> the memslots a VTL needs, with a generation
 *   alias.c    enforcement `alias`: brings a VTL's own mapping to its limits with mprotect
 *   space.c    a VM fd and the view its slots show; space_apply() diffs
 *   access.c   the only way the library reads or writes guest memory
 *
 * All of it is guarded by the partition's lock.
 */
#ifndef VSM_LIB_MEMORY_MEMORY_H
#define VSM_LIB_MEMORY_MEMORY_H

#include "kvm/ops.h"
#include "memory/gpa.h"
#include "memory/protmap.h"
#include "vsm/partition.h"

struct memory_region {
	uint64_t first, end;	       /* pages */
	int fd;			       /* ours, duplicated */
	uint64_t offset;	       /* of the first byte in fd */
	bool read_only;		       /* ROM: no VTL can write it */
	uint8_t *host;		       /* the library's own mapping, never protected */
	uint8_t *alias[VSM_VTL_COUNT]; /* per-VTL mapping; with `slots` all equal `host` */
};

/* A page of the overlay pool shown to one VTL at a guest page, over whatever is there. */
struct overlay {
	uint64_t page; /* guest page it covers; valid when enabled */
	uint32_t pool; /* page index in the pool */
	uint8_t vtl;   /* whose view */
	bool enabled;
	prot_t prot;   /* what the guest may do with it */
	uint8_t *host; /* the library's mapping of it: always readable and writable */
};

/* One memslot a view needs. */
struct view_slot {
	uint64_t first, end; /* pages */
	uint8_t *host;	     /* host address of the first page */
	bool read_only;
};

struct view {
	uint64_t generation; /* grows with every change of what this VTL sees */
	struct view_slot *slots;
	size_t count, room;
	bool stale; /* slots do not reflect the generation yet */
};

/* A page opened to one VTL while a legal access to it is stepped (strict execute policy). */
struct memory_opening {
	uint64_t page;
	prot_t prot;
};

#define MEMORY_OPENINGS 8

struct memory {
	const struct kvm_host *host;
	enum vsm_enforcement enforcement;
	enum vsm_exec_policy exec_policy;
	uint8_t vtl_count;	       /* VTLs this partition may ever enable */
	struct memory_region *regions; /* sorted, disjoint */
	size_t region_count;
	/* limits[setter][target]: what `setter` leaves to `target`; only setter > target is used.
	 */
	struct protmap limits[VSM_VTL_COUNT][VSM_VTL_COUNT];
	bool limits_on[VSM_VTL_COUNT]; /* setter has EnableVtlProtection */
	struct overlay *overlays;
	uint32_t overlay_count, overlay_room;
	int pool_fd;
	uint8_t *pool;
	struct view views[VSM_VTL_COUNT];
	struct memory_opening openings[VSM_VTL_COUNT][MEMORY_OPENINGS];
	uint8_t opening_count[VSM_VTL_COUNT];
	size_t slot_limit; /* memslots a view may use */
};

struct memory_options {
	enum vsm_enforcement enforcement;
	enum vsm_exec_policy exec_policy;
	uint8_t vtl_count;
	uint32_t overlay_pages; /* size of the overlay pool: every overlay the partition can ever
				   need */
	size_t slot_limit;
};

/* 0; -ENOMEM; errors of creating and mapping the overlay pool. */
int memory_init(struct memory *m, const struct kvm_host *host, const struct memory_options *o);
void memory_destroy(struct memory *m);

/* --- regions --- */

/*
 * Adds RAM: [gpa, gpa+size) shows fd[offset, offset+size). -EINVAL: unaligned, empty or past the
 * address space; -EEXIST: overlaps a region; errors of mmap. On failure nothing changed.
 */
int memory_add_region(struct memory *m, gpa_t gpa, uint64_t size, int fd, uint64_t offset,
		      bool read_only);

/* The region that holds `page`, or NULL. */
const struct memory_region *memory_region_of(const struct memory *m, uint64_t page);

/* --- limits --- */

/*
 * Restricts [first, end) for `target` on behalf of `setter` (setter > target) to `mask`, and brings
 * target's mapping to it. Pages that are no RAM region: -ENXIO. -ENOMEM / -ENOSPC (slots, VMAs):
 * nothing is more open than it was before and the map is as before the call.
 */
int memory_limit(struct memory *m, unsigned setter, unsigned target, uint64_t first, uint64_t end,
		 prot_t mask);

/* `setter` turns its protections on, with the default mask for all pages it never named. Same
 * errors. */
int memory_limit_default(struct memory *m, unsigned setter, prot_t mask);

/* Drops every limit `setter` placed (its VTL is gone). */
int memory_limit_drop(struct memory *m, unsigned setter);

/* --- what a VTL may do --- */

enum memory_kind {
	MEMORY_NONE, /* no RAM and no overlay: MMIO or a hole */
	MEMORY_RAM,
	MEMORY_OVERLAY,
};

struct memory_rights {
	enum memory_kind kind;
	prot_t prot;	/* all higher VTLs combined */
	uint8_t setter; /* lowest higher VTL that forbids something here; 0 when none does */
};

struct memory_rights memory_rights(const struct memory *m, unsigned vtl, uint64_t page);

/*
 * Does `vtl` have `access` to the page? user: CPL3, which decides between KX and UX. *setter, when
 * not NULL and the answer is no, is the VTL to tell: the lowest one that forbids this access; 0
 * when no VTL's limit does.
 */
bool memory_allows(const struct memory *m, unsigned vtl, uint64_t page, enum mem_access access,
		   bool user, uint8_t *setter);

/* --- overlays --- */

/* Reserves a pool page for `vtl`, zeroed, not yet enabled. NULL and ENOSPC when the pool is used
 * up. */
struct overlay *overlay_create(struct memory *m, unsigned vtl, prot_t prot);

/*
 * Shows the overlay at `page` (moving it if it was elsewhere); the page's old cover comes back
 * where it was. The latest enabled overlay of a page wins. -EINVAL: beyond the GPA space. Errors of
 * the mapping: nothing changed.
 */
int overlay_enable(struct memory *m, struct overlay *o, uint64_t page);

/* Hides it: what it covered is seen again. */
int overlay_disable(struct memory *m, struct overlay *o);

/* The overlay `vtl` sees at `page`, or NULL. */
struct overlay *overlay_at(const struct memory *m, unsigned vtl, uint64_t page);

/* --- openings (strict execute policy) --- */

/* Lets the vCPUs of `vtl` reach `page` with `prot` until memory_close_openings(). -ENOSPC: too
 * many. */
int memory_open_page(struct memory *m, unsigned vtl, uint64_t page, prot_t prot);
int memory_close_openings(struct memory *m, unsigned vtl);

/* --- views --- */

/*
 * Brings view's slot list up to date (a no-op when it is). -ENOSPC: more slots than the VM can
 * hold; -ENOMEM.
 */
int view_build(struct memory *m, unsigned vtl);

/* Tells the view its slots changed. */
void view_touch(struct memory *m, unsigned vtl);

/*
 * What the host mapping or slot may let through for a mask: 0, KVM_MAP_READ or KVM_MAP_READ_WRITE.
 * A mapping KVM can read it can also execute, so under `strict` a page without KX and UX is closed.
 */
enum kvm_map_prot view_hardware_prot(const struct memory *m, prot_t prot);

/* --- alias --- */

/* Maps a region for every VTL; undoes itself on failure. */
int alias_map_region(struct memory *m, struct memory_region *r);
void alias_unmap_region(struct memory *m, struct memory_region *r);

/*
 * Brings [first, end) of `vtl`'s mapping to what its limits, overlays and openings say. On failure
 * a page may be left less accessible than asked, never more.
 */
int alias_sync(struct memory *m, unsigned vtl, uint64_t first, uint64_t end);

/* --- the checked accessor --- */

/* Why an access failed. */
struct access_fault {
	gpa_t gpa; /* first byte that failed */
	enum mem_access access;
	uint8_t setter; /* VTL that forbade it; 0: nothing is there */
};

/*
 * Copies guest memory as `vtl` sees it, overlays included, checking its rights page by page before
 * the first byte is copied. access: MEM_READ, or MEM_EXECUTE to fetch instruction bytes (user: at
 * CPL3). -EACCES: a higher VTL forbids it; -EFAULT: no memory there; both fill *fault when not
 * NULL. -EINVAL: the range wraps.
 */
int guest_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len,
	       enum mem_access access, bool user, struct access_fault *fault);
int guest_write(const struct memory *m, unsigned vtl, gpa_t gpa, const void *buf, size_t len,
		struct access_fault *fault);

/*
 * Host's own rights (no VTL's limits) over what `vtl` sees: for state the library itself must put
 * back, never for data a guest named.
 */
int host_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len);
int host_write(const struct memory *m, unsigned vtl, gpa_t gpa, const void *buf, size_t len);

#endif
