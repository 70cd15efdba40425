/* SPDX-License-Identifier: MIT */
/* A VTL's processor at one moment: its mode, its code, and the pages its accesses touch. */
#include "intercept/viewer.h"

#include <errno.h>
#include <string.h>

#include "vcpu/vcpu.h"

int viewer_init(struct viewer *w, struct vsm_vcpu *vp)
{
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;
	int r = vtl_cpu_state(&vcpu_active(vp)->cpu, &regs, &sregs);

	if (r)
		return r;
	*w = (struct viewer){.m = &vp->partition->memory,
			     .vtl = vp->active_vtl,
			     .user = cpu_cpl(sregs) == 3,
			     .context = {.regs = regs, .sregs = sregs}};
	return 0;
}

gva_t viewer_rip(const struct viewer *w)
{
	return cpu_linear_rip(w->context.sregs, w->context.regs->rip);
}

int viewer_decode(const struct viewer *w, struct insn *insn)
{
	uint8_t bytes[INSN_MAX];
	size_t got;
	int r;

	memset(insn, 0, sizeof(*insn));
	walk_fetch(w->m, w->vtl, w->context.sregs, viewer_rip(w), bytes, sizeof(bytes), &got, NULL);
	r = insn_decode(&w->context, bytes, got, insn);
	if (r == -EINVAL)
		memset(insn, 0, sizeof(*insn));
	return r;
}

size_t viewer_code_before(const struct viewer *w, gva_t end, uint8_t *bytes, size_t room)
{
	size_t here = (size_t)(end.addr & VSM_PAGE_MASK), got;

	if (!walk_fetch(w->m, w->vtl, w->context.sregs, gva_from(end.addr - room), bytes, room,
			&got, NULL))
		return room;
	/* The page before may not be code. */
	if (!here || here >= room)
		return 0;
	if (walk_fetch(w->m, w->vtl, w->context.sregs, gva_from(end.addr - here),
		       bytes + room - here, here, &got, NULL))
		return 0;
	return here;
}

int viewer_piece(const struct viewer *w, const struct insn_access *a, size_t offset,
		 struct piece *piece, struct walk_result *result, struct access_fault *fault)
{
	uint64_t addr = a->gva.addr + offset;
	int r;

	if (!cpu_64bit(w->context.sregs))
		addr = (uint32_t)addr;
	*piece = (struct piece){.gva = gva_from(addr), .len = gpa_span(addr, a->size - offset)};
	r = walk(w->m, w->vtl, w->context.sregs, piece->gva, a->access, w->user && !a->supervisor,
		 result, fault);
	if (!r)
		piece->gpa = result->gpa;
	return r;
}

int viewer_load(const struct viewer *w, const struct piece *piece, void *buf)
{
	return guest_read(w->m, w->vtl, piece->gpa, buf, piece->len, MEM_READ, false, NULL);
}

static bool find_in_access(const struct viewer *w, const struct insn_access *a, gpa_t gpa,
			   gva_t *gva)
{
	struct walk_result result;
	struct piece p;

	for (size_t offset = 0; offset < a->size; offset += p.len) {
		if (viewer_piece(w, a, offset, &p, &result, NULL) || gpa.addr < p.gpa.addr ||
		    gpa.addr - p.gpa.addr >= p.len)
			continue;
		*gva = gva_from(p.gva.addr + (gpa.addr - p.gpa.addr));
		return true;
	}
	return false;
}

bool viewer_find(const struct viewer *w, const struct insn *insn, enum mem_access access, gpa_t gpa,
		 gva_t *gva)
{
	for (unsigned i = 0; i < insn->access_count; i++)
		if (insn->accesses[i].access == access &&
		    find_in_access(w, &insn->accesses[i], gpa, gva))
			return true;
	return false;
}

enum kvm_map_prot viewer_hardware(const struct viewer *w, uint64_t page)
{
	if (memory_lowest_setter(w->m, w->vtl))
		return view_hardware_prot(w->m, w->vtl, memory_rights(w->m, w->vtl, page).prot);
	/* Nobody restricts the VTL: overlays' execute bits do not count. */
	return memory_allows(w->m, w->vtl, page, MEM_WRITE, false, NULL) ? KVM_MAP_READ_WRITE
									 : KVM_MAP_READ;
}

void violation_describe(struct violation *v, const struct insn *insn)
{
	v->insn_length = insn->length;
	v->insn_count = insn->length;
	memcpy(v->insn_bytes, insn->bytes, insn->length);
}
