/* SPDX-License-Identifier: MIT */
/* Where CS:RIP is, walked through the guest's page tables, and the memory of it. */
#include "vcpu/code_page.h"

#include "vcpu/vcpu.h"

/* Only of tables whose entries are read as a whole: 64-bit mode's. */
static void remember(const struct memory *m, unsigned vtl, struct code_walk *c,
		     const struct kvm_sregs *s, uint64_t page, const struct walk_result *at)
{
	if (!(s->efer & CPU_EFER_LMA) || !at->table_count)
		return;
	*c = (struct code_walk){
		.cr0 = s->cr0, .cr3 = s->cr3, .cr4 = s->cr4, .efer = s->efer, .page = page};
	for (unsigned i = 0; i < WALK_LEVELS; i++) {
		const struct walk_table *t = &at->tables[i % at->table_count];

		c->tables[i].at = memory_address(m, vtl, t->entry);
		c->tables[i].value = t->value;
		if (!c->tables[i].at)
			return;
	}
	c->changes = m->changes;
}

bool code_page_walk(struct vsm_vcpu *vp, const struct kvm_sregs *sregs, gva_t rip)
{
	struct vsm_partition *p = vp->partition;
	struct code_walk *c = &vcpu_active(vp)->code;
	unsigned vtl = vp->active_vtl;
	uint64_t page = rip.addr >> VSM_PAGE_SHIFT;
	struct access_fault fault;
	struct walk_result at;

	c->changes = 0;
	if (walk(&p->memory, vtl, sregs, rip, MEM_EXECUTE, false, &at, &fault) ||
	    overlay_at(&p->memory, vtl, gpa_page(at.gpa)) != p->vtls[vtl].hypercall_page)
		return false;
	remember(&p->memory, vtl, c, sregs, page, &at);
	return true;
}
