/* SPDX-License-Identifier: MIT */
/* HvCallTranslateVirtualAddress and its Ex form. */
#include "hypercall/call.h"

#include <errno.h>
#include <string.h>

#include "intercept/intercept.h"
#include "partition/hold.h"
#include "partition/tlb.h"
#include "vcpu/vcpu.h"

#define CR4_PAE	  (UINT64_C(1) << 5)
#define CR4_SMEP  (UINT64_C(1) << 20)
#define CR4_SMAP  (UINT64_C(1) << 21)
#define RFLAGS_AC (UINT64_C(1) << 18)

#define PTE_A	  0x20
#define PTE_D	  0x40

/* Bits of a #PF's error code. */
#define PF_PRESENT 0x01
#define PF_WRITE   0x02
#define PF_USER	   0x04
#define PF_FETCH   0x10

struct translation {
	struct hv_translate_virtual_address in;
	struct vsm_vcpu *target;
	unsigned vtl;
	gva_t gva;
	struct kvm_sregs sregs; /* as the flags want the mode */
	bool user, smap;
	struct walk_result walked;

	/* What came of it. */
	enum hv_translate_code code;
	enum mem_access access;	   /* that failed */
	struct access_fault fault; /* of an intercept */
	bool overlay;
};

static bool flags_valid(uint64_t flags)
{
	const uint64_t modes = HV_TRANSLATE_SUPERVISOR | HV_TRANSLATE_USER;
	const uint64_t smaps = HV_TRANSLATE_ENFORCE_SMAP | HV_TRANSLATE_OVERRIDE_SMAP;

	flags &= (UINT64_C(1) << HV_TRANSLATE_VTL_SHIFT) - 1;
	return !(flags & ~HV_TRANSLATE_VALID) && (flags & modes) != modes &&
	       (flags & smaps) != smaps;
}

/* The target's mode, changed as the flags say. */
static int take_mode(struct translation *t)
{
	uint64_t flags = t->in.flags;
	struct kvm_sregs *sregs;
	struct kvm_regs *regs;
	int r = vtl_cpu_state(&t->target->vtls[t->vtl].cpu, &regs, &sregs);

	if (r)
		return r;
	t->sregs = *sregs;
	t->user = flags & HV_TRANSLATE_USER ||
		  (cpu_cpl(sregs) == 3 && !(flags & HV_TRANSLATE_SUPERVISOR));
	t->smap = (sregs->cr4 & CR4_SMAP) && !(flags & HV_TRANSLATE_OVERRIDE_SMAP) &&
		  ((flags & HV_TRANSLATE_ENFORCE_SMAP) || !(regs->rflags & RFLAGS_AC));
	if (flags & HV_TRANSLATE_PRIVILEGE_EXEMPT) {
		t->user = t->smap = false;
		t->sregs.cr4 &= ~CR4_SMEP;
	}
	return 0;
}

static bool guest_permits(const struct translation *t, enum mem_access access)
{
	if (access != MEM_EXECUTE && t->smap && !t->user && t->walked.user)
		return false;
	return walk_permits(&t->walked, &t->sregs, access, t->user);
}

/* The guest's own tables, then what is there and who closed it. */
static enum hv_translate_code check_access(struct translation *t, const struct memory *m,
					   enum mem_access access)
{
	uint64_t page = gpa_page(t->walked.gpa);
	uint8_t setter = 0;

	t->access = access;
	if (!guest_permits(t, access))
		return HV_TRANSLATE_PRIVILEGE_VIOLATION;
	if (t->overlay || memory_allows(m, t->vtl, page, access, t->user, &setter))
		return HV_TRANSLATE_SUCCESS;
	t->fault = (struct access_fault){.gpa = t->walked.gpa, .access = access, .setter = setter};
	return setter ? HV_TRANSLATE_INTERCEPT : HV_TRANSLATE_NO_WRITE_ACCESS;
}

static enum hv_translate_code check_accesses(struct translation *t, const struct memory *m)
{
	static const struct {
		uint64_t flag;
		enum mem_access access;
	} wanted[] = {{HV_TRANSLATE_READ, MEM_READ},
		      {HV_TRANSLATE_WRITE, MEM_WRITE},
		      {HV_TRANSLATE_EXECUTE, MEM_EXECUTE}};
	enum hv_translate_code code = HV_TRANSLATE_SUCCESS;

	if (memory_rights(m, t->vtl, gpa_page(t->walked.gpa)).kind == MEMORY_NONE)
		return HV_TRANSLATE_GPA_UNMAPPED;
	t->overlay = overlay_at(m, t->vtl, gpa_page(t->walked.gpa)) != NULL;
	for (size_t i = 0; !code && i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (t->in.flags & wanted[i].flag)
			code = check_access(t, m, wanted[i].access);
	return code;
}

/* PAE's top level has no accessed bits. */
static unsigned first_with_bits(const struct kvm_sregs *s)
{
	return !(s->efer & CPU_EFER_LMA) && (s->cr4 & CR4_PAE) ? 1 : 0;
}

/*
 * The accessed bits of the entries used, and the dirty bit for a write, as the processor sets them.
 */
static enum hv_translate_code set_bits(struct translation *t, const struct memory *m)
{
	for (unsigned i = first_with_bits(&t->sregs); i < t->walked.table_count; i++) {
		bool leaf = i + 1u == t->walked.table_count;
		gpa_t at = t->walked.tables[i].entry;
		const struct memory_region *region = memory_region_of(m, gpa_page(at));
		uint8_t setter = 0, bits = PTE_A;

		if (leaf && (t->in.flags & HV_TRANSLATE_WRITE))
			bits |= PTE_D;
		if (!region || !memory_allows(m, t->vtl, gpa_page(at), MEM_WRITE, false, &setter)) {
			t->fault = (struct access_fault){at, MEM_WRITE, setter};
			return setter ? HV_TRANSLATE_INTERCEPT : HV_TRANSLATE_NO_WRITE_ACCESS;
		}
		/* Processors of other VPs set bits of the same entry. */
		__atomic_fetch_or(region->host + (at.addr - (region->first << VSM_PAGE_SHIFT)),
				  bits, __ATOMIC_SEQ_CST);
	}
	return HV_TRANSLATE_SUCCESS;
}

static enum hv_translate_code look(struct translation *t, const struct memory *m)
{
	enum hv_translate_code code;
	int r = walk_look(m, t->vtl, &t->sregs, t->gva, &t->walked, &t->fault);

	if (r == -EACCES)
		return HV_TRANSLATE_INTERCEPT;
	if (r)
		return r == -ENOENT ? HV_TRANSLATE_NOT_PRESENT : HV_TRANSLATE_GPA_UNMAPPED;
	code = check_accesses(t, m);
	if (!code && (t->in.flags & HV_TRANSLATE_SET_BITS))
		code = set_bits(t, m);
	return code;
}

/* The target VP is outside KVM_RUN. */
static enum hv_status translate_on(struct hypercall_call *c, struct translation *t)
{
	/* The VP may have been waited for. */
	if (!(t->target->enabled_vtls & (1u << t->vtl)))
		return HV_INVALID_VTL_STATE;
	if (take_mode(t))
		return HV_INVALID_VP_STATE;
	t->code = look(t, &c->partition->memory);
	if (!t->code && (t->in.flags & HV_TRANSLATE_FLUSH_INHIBIT) && t->vtl < c->vtl)
		tlb_inhibit(c->vp, c->vtl, t->target, t->vtl);
	return HV_SUCCESS;
}

static enum hv_status translate(struct hypercall_call *c, struct translation *t)
{
	enum hv_status status;

	*t = (struct translation){0};
	memcpy(&t->in, c->input, sizeof(t->in));
	status = hypercall_target_vp(c, t->in.partition_id, t->in.vp_index, &t->target);
	if (!status)
		status = hypercall_target_vtl(c, (uint8_t)(t->in.flags >> HV_TRANSLATE_VTL_SHIFT),
					      &t->vtl);
	if (status)
		return status;
	if (!flags_valid(t->in.flags))
		return HV_INVALID_PARAMETER;
	t->gva = gva_from(t->in.gva_page << VSM_PAGE_SHIFT);
	if (t->target == c->vp)
		return translate_on(c, t);
	partition_hold_vp(t->target);
	status = translate_on(c, t);
	partition_release_vp(t->target);
	return status;
}

static struct hv_translate_result result_of(const struct translation *t)
{
	if (t->code)
		return (struct hv_translate_result){.code = t->code};
	return (struct hv_translate_result){.attributes = HV_TRANSLATE_WRITE_BACK |
							  (t->overlay ? HV_TRANSLATE_OVERLAY : 0)};
}

static uint64_t gpa_page_of(const struct translation *t)
{
	return t->code ? 0 : gpa_page(t->walked.gpa);
}

enum hv_status hypercall_translate_virtual_address(struct hypercall_call *c)
{
	struct hv_translate_output out;
	struct translation t;
	enum hv_status status = translate(c, &t);

	if (status)
		return status;
	out = (struct hv_translate_output){result_of(&t), gpa_page_of(&t)};
	memcpy(c->output, &out, sizeof(out));
	return HV_SUCCESS;
}

/* The #PF the access would give. */
static uint64_t page_fault(const struct translation *t)
{
	uint64_t error = t->code == HV_TRANSLATE_PRIVILEGE_VIOLATION ? PF_PRESENT : 0;

	if (t->user)
		error |= PF_USER;
	if (t->code == HV_TRANSLATE_NOT_PRESENT)
		error |= t->in.flags & HV_TRANSLATE_WRITE ? PF_WRITE : 0;
	else if (t->access == MEM_WRITE)
		error |= PF_WRITE;
	else if (t->access == MEM_EXECUTE)
		error |= PF_FETCH;
	return HV_EVENT_PENDING | HV_EVENT_DELIVER_ERROR_CODE |
	       (uint64_t)VECTOR_PF << HV_EVENT_VECTOR_SHIFT | error << HV_EVENT_ERROR_CODE_SHIFT;
}

static uint64_t memory_intercept(const struct translation *t)
{
	bool itself = t->fault.gpa.addr == t->walked.gpa.addr;

	return HV_EVENT_PENDING | HV_EVENT_TYPE_MEMORY_INTERCEPT |
	       (uint64_t)t->fault.setter << HV_EVENT_INTERCEPT_VTL_SHIFT |
	       (uint64_t)t->fault.access << HV_EVENT_INTERCEPT_ACCESS_SHIFT |
	       HV_EVENT_INTERCEPT_GVA_VALID | (itself ? HV_EVENT_INTERCEPT_BY_GPA_ACCESS : 0);
}

enum hv_status hypercall_translate_virtual_address_ex(struct hypercall_call *c)
{
	struct hv_translate_output_ex out = {0};
	struct translation t;
	enum hv_status status = translate(c, &t);

	if (status)
		return status;
	out.result = result_of(&t);
	out.gpa_page = gpa_page_of(&t);
	if (t.code == HV_TRANSLATE_NOT_PRESENT || t.code == HV_TRANSLATE_PRIVILEGE_VIOLATION) {
		out.event[0] = page_fault(&t);
		out.event[1] = t.gva.addr;
	} else if (t.code == HV_TRANSLATE_INTERCEPT) {
		out.event[0] = memory_intercept(&t);
		out.event[1] = t.gva.addr;
		out.event[2] = t.fault.gpa.addr;
	}
	memcpy(c->output, &out, sizeof(out));
	return HV_SUCCESS;
}
