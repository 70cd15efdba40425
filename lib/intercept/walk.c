/* SPDX-License-Identifier: MIT */
/* A guest's page tables (SDM vol. 3, chapter 4): linear address -> GPA, and the walk's accesses. */
#include <errno.h>
#include <string.h>

#include "intercept/intercept.h"

#define CR0_WP	 (UINT64_C(1) << 16)
#define CR0_PG	 (UINT64_C(1) << 31)
#define CR4_PSE	 (UINT64_C(1) << 4)
#define CR4_PAE	 (UINT64_C(1) << 5)
#define CR4_LA57 (UINT64_C(1) << 12)
#define CR4_SMEP (UINT64_C(1) << 20)
#define EFER_LMA (UINT64_C(1) << 10)
#define EFER_NXE (UINT64_C(1) << 11)

#define PTE_P	 (UINT64_C(1) << 0)
#define PTE_W	 (UINT64_C(1) << 1)
#define PTE_U	 (UINT64_C(1) << 2)
#define PTE_A	 (UINT64_C(1) << 5)
#define PTE_D	 (UINT64_C(1) << 6)
#define PTE_PS	 (UINT64_C(1) << 7)
#define PTE_NX	 (UINT64_C(1) << 63)
#define PTE_ADDR UINT64_C(0x000ffffffffff000)

/* One paging mode: levels are numbered from 1, the page table. */
struct paging {
	uint8_t levels;
	uint8_t entry_size;
	uint8_t index_bits;
	uint8_t large; /* bit per level that may map a page of its own */
	bool bare_top; /* the top level's entries hold no rights, accessed or dirty bits (PAE) */
	uint64_t root;
};

static bool canonical(uint64_t addr, unsigned bits)
{
	int64_t top = (int64_t)addr >> (bits - 1);

	return top == 0 || top == -1;
}

static struct paging paging_of(const struct kvm_sregs *s)
{
	struct paging long_mode = {.levels = s->cr4 & CR4_LA57 ? 5 : 4,
				   .entry_size = 8,
				   .index_bits = 9,
				   .large = 1 << 1 | 1 << 2 | 1 << 3,
				   .root = s->cr3 & PTE_ADDR};
	struct paging pae = {.levels = 3,
			     .entry_size = 8,
			     .index_bits = 9,
			     .large = 1 << 1 | 1 << 2,
			     .bare_top = true,
			     .root = cpu_pae_pointers(s->cr3)};
	struct paging legacy = {.levels = 2,
				.entry_size = 4,
				.index_bits = 10,
				.large = 1 << 1,
				.root = s->cr3 & UINT64_C(0xfffff000)};

	if (s->efer & EFER_LMA)
		return long_mode;
	if (s->cr4 & CR4_PAE)
		return pae;
	if (s->cr4 & CR4_PSE)
		legacy.large |= 1 << 2;
	return legacy;
}

static unsigned level_shift(const struct paging *p, unsigned level)
{
	return VSM_PAGE_SHIFT + p->index_bits * (level - 1);
}

static gpa_t entry_at(const struct paging *p, uint64_t table, unsigned level, uint64_t addr)
{
	uint64_t count = UINT64_C(1) << p->index_bits;

	/* PAE has four entries at the top, and a linear address of 32 bits. */
	return gpa_from(table + ((addr >> level_shift(p, level)) & (count - 1)) * p->entry_size);
}

/* Address a leaf entry maps `addr` to. */
static uint64_t leaf_address(const struct paging *p, uint64_t entry, unsigned level, uint64_t addr)
{
	uint64_t offset = (UINT64_C(1) << level_shift(p, level)) - 1;
	uint64_t base = entry & PTE_ADDR;

	/* PSE-36: bits 20:13 of a 4 MiB entry are the address bits 39:32. */
	if (p->entry_size == 4 && level == 2)
		base = (entry & 0xffc00000) | ((entry & 0x1fe000) << 19);
	return (base & ~offset) | (addr & offset);
}

static bool entry_is_leaf(const struct paging *p, uint64_t entry, unsigned level)
{
	return level == 1 || ((p->large & (1 << level)) && (entry & PTE_PS));
}

/* Narrows what the tables so far permit. */
static void narrow(struct walk_result *result, const struct kvm_sregs *s, uint64_t entry)
{
	result->writable = result->writable && (entry & PTE_W);
	result->user = result->user && (entry & PTE_U);
	if ((s->efer & EFER_NXE) && (entry & PTE_NX))
		result->executable = false;
}

/* The guest's own rights. SMAP is left out: whether AC lifts it is not in the special registers. */
bool walk_permits(const struct walk_result *result, const struct kvm_sregs *s,
		  enum mem_access access, bool user)
{
	if (user && !result->user)
		return false;
	if (access == MEM_WRITE)
		return result->writable || (!user && !(s->cr0 & CR0_WP));
	if (access == MEM_EXECUTE)
		return result->executable && !(!user && result->user && (s->cr4 & CR4_SMEP));
	return true;
}

/* May the VTL set a bit in the entry, as the processor does? */
static int check_update(const struct memory *m, unsigned vtl, gpa_t at, struct access_fault *fault)
{
	uint8_t setter = 0;

	if (memory_allows(m, vtl, gpa_page(at), MEM_WRITE, false, &setter))
		return 0;
	*fault = (struct access_fault){.gpa = at, .access = MEM_WRITE, .setter = setter};
	return setter ? -EACCES : -EFAULT;
}

struct walker {
	const struct memory *m;
	const struct kvm_sregs *sregs;
	struct paging paging;
	struct walk_result *result;
	struct access_fault *fault;
	unsigned vtl;
	bool look; /* accessed and dirty bits are nobody's concern */
};

static int read_entry(const struct walker *w, gpa_t at, uint64_t *entry)
{
	struct walk_table *table = &w->result->tables[w->result->table_count++];
	int r;

	*entry = 0;
	r = guest_read(w->m, w->vtl, at, entry, w->paging.entry_size, MEM_READ, false, w->fault);
	*table = (struct walk_table){.entry = at, .value = *entry};
	return r;
}

/* The processor's update of an entry it used: accessed, and dirty where it maps a written page. */
static int update_entry(const struct walker *w, gpa_t at, uint64_t entry, bool dirty)
{
	uint64_t wanted = PTE_A | (dirty ? PTE_D : 0);

	if ((entry & wanted) == wanted)
		return 0;
	w->result->tables[w->result->table_count - 1].updated = true;
	return check_update(w->m, w->vtl, at, w->fault);
}

static int walk_tables(const struct walker *w, uint64_t addr, enum mem_access access, bool user)
{
	const struct paging *p = &w->paging;
	uint64_t table = p->root;

	for (unsigned level = p->levels; level; level--) {
		bool bare = p->bare_top && level == p->levels, leaf;
		gpa_t at = entry_at(p, table, level, addr);
		uint64_t entry;
		int r = read_entry(w, at, &entry);

		if (r)
			return r;
		if (!(entry & PTE_P))
			return -ENOENT;
		leaf = !bare && entry_is_leaf(p, entry, level);
		if (!bare)
			narrow(w->result, w->sregs, entry);
		if (leaf && !walk_permits(w->result, w->sregs, access, user))
			return -ENOENT;
		if (!bare && !w->look)
			r = update_entry(w, at, entry, leaf && access == MEM_WRITE);
		if (r)
			return r;
		if (leaf) {
			w->result->gpa = gpa_from(leaf_address(p, entry, level, addr));
			return 0;
		}
		table = entry & PTE_ADDR;
	}
	return -ENOENT;
}

static int walk_from(const struct walker *w, gva_t gva, enum mem_access access, bool user)
{
	const struct kvm_sregs *sregs = w->sregs;
	uint64_t addr = gva.addr;

	*w->result = (struct walk_result){.writable = true, .user = true, .executable = true};
	if (!(sregs->efer & EFER_LMA))
		addr = (uint32_t)addr;
	if (!(sregs->cr0 & CR0_PG)) {
		w->result->gpa = gpa_from(addr);
		return 0;
	}
	if ((sregs->efer & EFER_LMA) && !canonical(addr, sregs->cr4 & CR4_LA57 ? 57 : 48))
		return -ENOENT;
	return walk_tables(w, addr, access, user);
}

int walk(const struct memory *m, unsigned vtl, const struct kvm_sregs *sregs, gva_t gva,
	 enum mem_access access, bool user, struct walk_result *result, struct access_fault *fault)
{
	struct access_fault ignored;
	const struct walker w = {.m = m,
				 .sregs = sregs,
				 .paging = paging_of(sregs),
				 .result = result,
				 .fault = fault ? fault : &ignored,
				 .vtl = vtl};

	return walk_from(&w, gva, access, user);
}

int walk_look(const struct memory *m, unsigned vtl, const struct kvm_sregs *sregs, gva_t gva,
	      struct walk_result *result, struct access_fault *fault)
{
	const struct walker w = {.m = m,
				 .sregs = sregs,
				 .paging = paging_of(sregs),
				 .result = result,
				 .fault = fault,
				 .vtl = vtl,
				 .look = true};

	return walk_from(&w, gva, MEM_READ, false);
}

int walk_fetch(const struct memory *m, unsigned vtl, const struct kvm_sregs *sregs, gva_t gva,
	       void *buf, size_t len, size_t *got, struct access_fault *fault)
{
	/* The relaxed policy does not catch fetches. */
	enum mem_access as = m->exec_policy == VSM_EXEC_RELAXED ? MEM_READ : MEM_EXECUTE;
	bool user = cpu_cpl(sregs) == 3;

	*got = 0;
	while (*got < len) {
		gva_t at = gva_from(gva.addr + *got);
		size_t part = gpa_span(at.addr, len - *got);
		struct walk_result w;
		int r = walk(m, vtl, sregs, at, MEM_EXECUTE, user, &w, fault);

		if (!r)
			r = guest_read(m, vtl, w.gpa, (uint8_t *)buf + *got, part, as, user, fault);
		if (r)
			return r;
		*got += part;
	}
	return 0;
}
