/* SPDX-License-Identifier: MIT */
/*
 * Guest memory of a partition: regions of RAM, overlay pages and VTL protections, and from them
 * each VTL's *view*: what that VTL's vCPUs may reach, and how.
 *
 *   region.c   RAM, from the VMM's fds; one library mapping and, with `alias`, one per VTL
 *   limits.c   protection map per (restricting VTL, restricted VTL); what a VTL may do
 *   overlay.c  library pages that cover a GPA in one VTL's view
 *   view.c     regions + overlays + limits -> the memslots a VTL needs, with a generation
 *   alias.c    mappings of a VTL: brings them to its limits with mprotect
 *   guard.c    mappings that never change, for memslots of pages that are less than open
 *   device.c   the mapping devices reach memory through with a VTL's rights
 *   space.c    a VM fd and the view its slots show; space_apply() diffs
 *   access.c   the only way the library reads or writes guest memory
 *   memory.c   making and releasing all of it
 *
 * All of it is guarded by the partition's lock. Pointers to regions are good until the next
 * memory_add_region(); pointers to overlays as long as the memory lives.
 *
 * The promise on failure: what a call could not bring about it takes back. Where the host refuses
 * even that, pages stay *less* accessible than the limits say, never more: an access to such a page
 * is legal (memory_allows()) and can be stepped through an opening. Of a VTL that nobody limits
 * nothing is stepped: memory_reopen() asks the host once more. Only when the host also refuses
 * to close a page does a call return -ENOTRECOVERABLE: then a VTL may reach what it must not, or a
 * mapping may have a hole, and the partition has to stop.
 *
 * The VMM owns the files behind the regions: truncating one makes accesses past its end SIGBUS, for
 * this library as for the VMM's own mapping.
 */
#ifndef VSM_LIB_MEMORY_MEMORY_H
#define VSM_LIB_MEMORY_MEMORY_H

#include "kvm/ops.h"
#include "memory/gpa.h"
#include "memory/protmap.h"
#include "vsm/partition.h"

/* Memory once more: by enum kvm_map_prot, closed and only to be read. */
struct guard {
	uint8_t *at[2];
};

struct memory_region {
	uint64_t first, end;		/* pages */
	int fd;				/* ours, duplicated */
	uint64_t offset;		/* of the first byte in fd */
	bool read_only;			/* ROM: no VTL can write it */
	uint8_t *host;			/* the library's own mapping, never protected */
	uint8_t *alias[VSM_VTL_COUNT];	/* per-VTL mapping; with `slots` all equal `host` */
	struct guard guard;		/* with `slots` */
	uint8_t *device[VSM_VTL_COUNT]; /* the same for devices; NULL until asked for */
};

/* A page of the overlay pool shown to one VTL at a guest page, over whatever is there. */
struct overlay {
	uint64_t page; /* guest page it covers; valid when enabled */
	uint32_t pool; /* page index in the pool */
	uint8_t vtl;   /* whose view */
	bool used;     /* created and not destroyed */
	bool enabled;
	bool limited;  /* a higher VTL's page: the limits on this VTL hold for it as for RAM */
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
	uint64_t generation;	 /* grows with every change of the slot list */
	struct view_slot *slots; /* sorted, disjoint; room for slot_limit, as `spare` */
	struct view_slot *spare; /* where the next list is built */
	size_t count;
	bool stale; /* slots do not reflect the generation yet */
};

/* A page opened to one VTL while a legal access to it is stepped (strict execute policy). */
struct memory_opening {
	uint64_t page;
	prot_t prot;
	bool shut; /* closed instead, memory_shut_page() */
};

#define MEMORY_OPENINGS 16
#define MEMORY_SHUT	2

/* What KX and UX of a mask mean (TLFS vsm.md, mode-based execution control). */
enum memory_mbec {
	MBEC_OFF,   /* KX governs both modes */
	MBEC_ON,    /* KX governs supervisor mode, UX user mode */
	MBEC_MIXED, /* not the same on all VPs: nothing is let through that either forbids */
};

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
	bool limits_on[VSM_VTL_COUNT];	      /* setter has EnableVtlProtection */
	enum memory_mbec mbec[VSM_VTL_COUNT]; /* by restricted VTL; change with memory_set_mbec() */
	bool ux_is_execute;		      /* VSM_QUIRK_UX_IS_EXECUTE */
	struct overlay *overlays;	      /* never moves */
	uint32_t overlay_room;
	/* Enabled overlays of each VTL by page; of one page's, the one enabled last comes last. */
	struct overlay **shown[VSM_VTL_COUNT];
	uint32_t shown_count[VSM_VTL_COUNT];
	int pool_fd;
	uint8_t *pool;
	struct guard pool_guard;
	struct view views[VSM_VTL_COUNT];
	struct memory_opening openings[VSM_VTL_COUNT][MEMORY_OPENINGS + MEMORY_SHUT];
	uint8_t opening_count[VSM_VTL_COUNT];
	uint64_t opening_changes; /* grows when one is made or ends */
	size_t slot_limit;	  /* memslots a view may use */
	size_t mapping_limit;	  /* host mappings that limits may take up; 0: any number */
	uint64_t gpa_pages;	  /* that the host can map */
	uint64_t changes; /* grows with every change of regions, limits or overlays; never 0 */
	bool device_view[VSM_VTL_COUNT]; /* the VMM asked for the VTL's device mappings */
	/* By VTL: a change has failed, and the host may not have opened all again. */
	bool left_closed[VSM_VTL_COUNT];
};

struct memory_options {
	enum vsm_enforcement enforcement;
	enum vsm_exec_policy exec_policy;
	uint8_t vtl_count;
	uint32_t overlay_pages; /* size of the overlay pool: every overlay the partition can ever
				   need */
	size_t slot_limit;
	size_t mapping_limit; /* of struct memory */
	bool ux_is_execute;   /* VSM_QUIRK_UX_IS_EXECUTE */
	unsigned gpa_bits;    /* of addresses that the host can map; 0, or more than 52: 52 */
};

/* Guest-physical addresses have at most 52 bits (Intel SDM 3A 4.1.4, MAXPHYADDR). */
#define MEMORY_GPA_BITS	 52
#define MEMORY_GPA_PAGES (UINT64_C(1) << (MEMORY_GPA_BITS - VSM_PAGE_SHIFT))

/*
 * Allocates everything a guest can later need but the nodes of the protection maps. -EINVAL: VTL
 * count or slot limit out of range; -ENOMEM; errors of creating and mapping the overlay pool.
 */
int memory_init(struct memory *m, const struct kvm_host *host, const struct memory_options *o);
/* The spaces that show it are destroyed before. */
void memory_destroy(struct memory *m);

/* --- regions --- */

/*
 * Adds RAM: [gpa, gpa+size) shows fd[offset, offset+size). The masks already set apply to it, and
 * overlays in it stay. -EINVAL: unaligned, empty or past what the host can map; -EEXIST: overlaps a
 * region; -ERANGE: the file ends before offset+size; -ENOSPC: a view needs more slots than it may
 * have; -ENOMEM; errors of dup and mmap. On failure nothing changed.
 */
int memory_add_region(struct memory *m, gpa_t gpa, uint64_t size, int fd, uint64_t offset,
		      bool read_only);

/* The region that holds `page`, or NULL. */
const struct memory_region *memory_region_of(const struct memory *m, uint64_t page);

/* --- device.c --- */

/*
 * Maps all RAM, and what is added later, once more for devices with `vtl`'s data rights: read and
 * write as the limits say, whatever the execute bits, the enforcement, the openings and the
 * overlays. Nothing happens when it was done. -EINVAL: no such VTL; -ENOMEM and other errors of
 * mmap and mprotect. On failure nothing changed.
 */
int memory_map_devices(struct memory *m, unsigned vtl);

/* --- limits --- */

/*
 * Restricts [first, end) for `target` on behalf of `setter` to `mask`, and brings target's mapping
 * or slot list to it. Overlays keep their own permissions; the mask is for the RAM they cover.
 * -EINVAL: not setter > target, an empty range, bits outside PROT_ALL, or setter's protections are
 * off; -ENXIO: not all of the range is RAM; -ENOMEM: memory, the process's mappings
 * (vm.max_map_count) or mapping_limit are used up; -ENOSPC: slots are. On failure the limits are as
 * before the call.
 */
int memory_limit(struct memory *m, unsigned setter, unsigned target, uint64_t first, uint64_t end,
		 prot_t mask);

/*
 * `setter` turns its protections on, with the default mask for all pages it never named, hot-added
 * ones included. Nothing happens when they are on with this mask; -EALREADY: they are on with
 * another one (TLFS vsm.md: it cannot be changed once set). Otherwise as memory_limit().
 */
int memory_limit_default(struct memory *m, unsigned setter, prot_t mask);

/* Drops every limit `setter` placed and turns its protections off. Errors as memory_limit(). */
int memory_limit_drop(struct memory *m, unsigned setter);

/*
 * The same for all setters at once, which does not need more slots than there are: what one VTL's
 * limits alone leave may be more scattered than what all leave together, so that one after the
 * other may fail (-ENOSPC). Without limits, overlays and openings a region is one slot.
 */
int memory_limit_drop_all(struct memory *m);

/*
 * Turns mode-based execution control on or off for the restricted VTL `vtl`, or on for some of its
 * VPs. Errors as memory_limit().
 */
int memory_set_mbec(struct memory *m, unsigned vtl, enum memory_mbec mbec);

/* --- what a VTL may do --- */

enum memory_kind {
	MEMORY_NONE, /* no RAM and no overlay: MMIO or a hole */
	MEMORY_RAM,
	MEMORY_OVERLAY,
};

struct memory_rights {
	enum memory_kind kind;
	prot_t prot;	/* all higher VTLs combined; KX and UX as they take effect */
	uint8_t setter; /* lowest higher VTL that forbids something here; 0 when none does */
};

struct memory_rights memory_rights(const struct memory *m, unsigned vtl, uint64_t page);

/* The lowest VTL that restricts `vtl`; 0: none does. */
static inline uint8_t memory_lowest_setter(const struct memory *m, unsigned vtl)
{
	for (unsigned setter = vtl + 1; setter < VSM_VTL_COUNT; setter++)
		if (m->limits_on[setter])
			return (uint8_t)setter;
	return 0;
}

/*
 * Does `vtl` have `access` to the page? user: CPL3, which decides between KX and UX. *setter, when
 * not NULL and the answer is no, is the VTL to tell: the lowest one that forbids this access (TLFS
 * vsm.md, nested intercepts); 0 when no VTL's limit does: nothing is there, it is ROM, or an
 * overlay's own permissions forbid it.
 */
bool memory_allows(const struct memory *m, unsigned vtl, uint64_t page, enum mem_access access,
		   bool user, uint8_t *setter);

/* --- overlays --- */

/*
 * Reserves a pool page for `vtl`, zeroed, not yet enabled. Its execute bits count once a higher
 * VTL's protections are on: a page without them is then closed under the strict execute policy, and
 * every access to it stepped. NULL and ENOSPC: the pool is used up; EINVAL: no such VTL.
 */
struct overlay *overlay_create(struct memory *m, unsigned vtl, prot_t prot);

/*
 * An overlay that shows the same page of the pool to `vtl`, one below of's. What limits leave of
 * the guest page holds for it, too: it gives nothing a higher VTL forbids. Errors as above; EINVAL
 * also: not below.
 */
struct overlay *overlay_create_below(struct memory *m, const struct overlay *of, unsigned vtl);

/*
 * Shows the overlay at `page` (moving it if it was elsewhere): what it covered before is seen
 * again. The overlay of a page that was enabled last wins. -EINVAL: past what the host can map;
 * -ENOSPC: no slot for it; errors of the mapping. On failure nothing changed.
 */
int overlay_enable(struct memory *m, struct overlay *o, uint64_t page);

/* Hides it: what it covered is seen again. No-op when it is not enabled. Errors as above. */
int overlay_disable(struct memory *m, struct overlay *o);

/*
 * Hides it and gives its page back to the pool. NULL is allowed. Errors of overlay_disable(): it
 * then stays shown, and its page used.
 */
int overlay_destroy(struct memory *m, struct overlay *o);

/* The overlay `vtl` sees at `page`, or NULL. */
struct overlay *overlay_at(const struct memory *m, unsigned vtl, uint64_t page);

/* --- openings (strict execute policy) --- */

/*
 * Lets the vCPUs of `vtl` reach `page` for the accesses in `prot`, whatever its limits are, until
 * memory_close_openings(); openings of one page add up. -ENOSPC: too many openings, or slots;
 * -ENXIO: nothing is there; errors of the mapping. On failure nothing changed.
 */
int memory_open_page(struct memory *m, unsigned vtl, uint64_t page, prot_t prot);

/*
 * Keeps the vCPUs of `vtl` from the page for as long as the openings last, whatever its limits are:
 * KVM_RUN fails with EFAULT at any access. MEMORY_SHUT pages at a time. Errors as above.
 */
int memory_shut_page(struct memory *m, unsigned vtl, uint64_t page);

/*
 * Ends all of vtl's openings. -ENOMEM: pages around them may be closed too; -ENOSPC: the view has
 * no slot list and cannot be shown; -ENOTRECOVERABLE: a page may have stayed open.
 */
int memory_close_openings(struct memory *m, unsigned vtl);

/*
 * With left_closed, before a vCPU of `vtl` enters the guest: opens what nobody limits. left_closed
 * stays set as long as the host refuses that, or somebody limits the VTL.
 */
void memory_reopen(struct memory *m, unsigned vtl);

/* --- views --- */

/*
 * Brings view's slot list up to date (a no-op when it is). -ENOSPC: more slots than the VM can
 * hold: the list is as before and still stale.
 */
int view_build(struct memory *m, unsigned vtl);

/* Makes the list stale: a new generation. */
void view_touch(struct memory *m, unsigned vtl);

/*
 * What the host mapping or slot may let through to `vtl` for a mask. A mapping KVM can read it can
 * also execute, so under `strict` a page that is not executable in both modes is closed; so is one
 * that cannot be read, because KVM has no write-only mappings.
 */
enum kvm_map_prot view_hardware_prot(const struct memory *m, unsigned vtl, prot_t prot);

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
 * CPL3). The guest may change the memory meanwhile: validate the copy. -EACCES: a higher VTL
 * forbids it; -EFAULT: no memory there, or memory no VTL may access so (ROM, an overlay's own
 * permissions); both fill *fault when not NULL. -EINVAL: the range wraps.
 */
int guest_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len,
	       enum mem_access access, bool user, struct access_fault *fault);
int guest_write(const struct memory *m, unsigned vtl, gpa_t gpa, const void *buf, size_t len,
		struct access_fault *fault);

/*
 * Host's own rights (no VTL's limits) over what `vtl` sees: for state the library itself must put
 * back, never for data a guest named. -EFAULT: no memory there, or a write to ROM; -EINVAL: the
 * range wraps.
 */
int host_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len);
int host_write(const struct memory *m, unsigned vtl, gpa_t gpa, const void *buf, size_t len);

/*
 * Where `vtl` finds the byte at gpa; NULL: nowhere. For those who have read it with guest_read()
 * and want to know whether it is still the same: good for reading, and while m->changes does not
 * grow.
 */
const void *memory_address(const struct memory *m, unsigned vtl, gpa_t gpa);

#endif
