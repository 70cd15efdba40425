/* SPDX-License-Identifier: MIT */
/* Where CS:RIP is, walked through the guest's page tables, and the memory of it. */
#include "vcpu/code_page.h"

#include "vcpu/vcpu.h"

static bool still_holds(const struct memory *m, const struct code_walk *c,
			const struct kvm_sregs *s, uint64_t page)
{
	if (!c->known || c->page != page || c->changes != m->changes || c->cr3 != s->cr3 ||
	    c->cr0 != s->cr0 || c->cr4 != s->cr4 || c->efer != s->efer)
		return false;
	for (unsigned i = 0; i < c->table_count; i++)
		if (__atomic_load_n(c->tables[i].at, __ATOMIC_RELAXED) != c->tables[i].value)
			return false;
	return true;
}

/* Only of tables whose entries are read as a whole: 64-bit mode's. */
static void remember(const struct memory *m, unsigned vtl, struct code_walk *c,
		     const struct kvm_sregs *s, uint64_t page, const struct walk_result *at)
{
	if (!(s->efer & CPU_EFER_LMA))
		return;
	*c = (struct code_walk){.cr0 = s->cr0,
				.cr3 = s->cr3,
				.cr4 = s->cr4,
				.efer = s->efer,
				.page = page,
				.changes = m->changes,
				.table_count = at->table_count};
	for (unsigned i = 0; i < at->table_count; i++) {
		c->tables[i].at = memory_address(m, vtl, at->tables[i].entry);
		c->tables[i].value = at->tables[i].value;
		if (!c->tables[i].at)
			return;
	}
	c->known = true;
}

bool code_page_holds(struct vsm_vcpu *vp, const struct kvm_sregs *sregs, gva_t rip)
{
	struct vsm_partition *p = vp->partition;
	struct code_walk *c = &vcpu_active(vp)->code;
	unsigned vtl = vp->active_vtl;
	uint64_t page = rip.addr >> VSM_PAGE_SHIFT;
	struct access_fault fault;
	struct walk_result at;

	if (still_holds(&p->memory, c, sregs, page))
		return true;
	c->known = false;
	if (walk(&p->memory, vtl, sregs, rip, MEM_EXECUTE, false, &at, &fault) ||
	    overlay_at(&p->memory, vtl, gpa_page(at.gpa)) != p->vtls[vtl].hypercall_page)
		return false;
	remember(&p->memory, vtl, c, sregs, page, &at);
	return true;
}
