/* SPDX-License-Identifier: MIT */
/* The initial context of a VTL: validated, then loaded into its vCPU. */
#include "vtl/context.h"

#include <errno.h>
#include <string.h>

#include "registers/architecture.h"
#include "registers/msr.h"

#define MSR_PAT	  0x277
#define PAT_RESET UINT64_C(0x0007040600070406) /* Intel SDM 3A, 12.12.4 */

static bool mode_long(const struct hv_initial_vp_context *c)
{
	return (c->efer & EFER_LME) && (c->cr0 & CR0_PG);
}

static bool mode_real(const struct hv_initial_vp_context *c)
{
	return !(c->cr0 & CR0_PE);
}

/* A processor switched into this mode could have these control registers (Intel SDM 3A, 4.1.1). */
static bool control_valid(const struct hv_initial_vp_context *c)
{
	if (mode_long(c) && !(c->cr4 & CR4_PAE))
		return false;
	/* LMA follows from the others, and is only ever a copy of what they say. */
	if (((c->efer & EFER_LMA) && !mode_long(c)) || (c->efer & ~EFER_VALID))
		return false;
	return cr0_valid(c->cr0) && rflags_valid(c->rflags) && !(c->rflags & RFLAGS_VM) &&
	       (!c->msr_cr_pat || pat_valid(c->msr_cr_pat));
}

static bool kinds_valid(const struct hv_initial_vp_context *c)
{
	const struct {
		enum segment_use use;
		const struct hv_segment *segment;
	} all[] = {
		{SEGMENT_USE_CODE, &c->cs},  {SEGMENT_USE_STACK, &c->ss},
		{SEGMENT_USE_DATA, &c->ds},  {SEGMENT_USE_DATA, &c->es},
		{SEGMENT_USE_BASED, &c->fs}, {SEGMENT_USE_BASED, &c->gs},
		{SEGMENT_USE_TASK, &c->tr},  {SEGMENT_USE_LOCAL, &c->ldtr},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!segment_valid(all[i].use, all[i].segment, mode_long(c), c->cr4))
			return false;
	return true;
}

/*
 * 64-bit code, or code of a compatible or legacy segment; stack of the same ring. In real mode code
 * runs in what a SIPI leaves in CS, a data segment, as well, and the ring is 0.
 */
static bool segments_valid(const struct hv_initial_vp_context *c)
{
	uint16_t cs = c->cs.attributes, ss = c->ss.attributes;
	bool real = mode_real(c);

	if ((cs & SEGMENT_LONG) && !mode_long(c))
		return false;
	if (real ? cs & SEGMENT_DPL : !(cs & SEGMENT_CODE))
		return false;
	if ((ss & SEGMENT_PRESENT) && ((cs ^ ss) & SEGMENT_DPL))
		return false;
	return kinds_valid(c);
}

/* KVM loads what it is given, and the processor then refuses to enter the guest. */
static bool addresses_valid(const struct hv_initial_vp_context *c)
{
	const uint64_t bases[] = {c->fs.base,	c->gs.base,   c->tr.base,
				  c->ldtr.base, c->idtr.base, c->gdtr.base};
	bool wide = mode_long(c);

	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++)
		if (!address_valid(bases[i], wide, c->cr4))
			return false;
	return address_valid(c->rip, wide && (c->cs.attributes & SEGMENT_LONG), c->cr4);
}

bool context_valid(const struct hv_initial_vp_context *c, unsigned vtl, unsigned physical_bits)
{
	if (vtl && mode_real(c))
		return false;
	return control_valid(c) && segments_valid(c) && addresses_valid(c) &&
	       cr3_valid(c->cr3, efer_with_lma(c->efer, c->cr0), physical_bits);
}

static void fill_segments(struct kvm_sregs *s, const struct hv_initial_vp_context *c)
{
	segment_to_kvm(&s->cs, &c->cs);
	segment_to_kvm(&s->ds, &c->ds);
	segment_to_kvm(&s->es, &c->es);
	segment_to_kvm(&s->fs, &c->fs);
	segment_to_kvm(&s->gs, &c->gs);
	segment_to_kvm(&s->ss, &c->ss);
	segment_to_kvm(&s->ldt, &c->ldtr);
	task_to_kvm(&s->tr, &c->tr);
	/* A null stack segment has the ring of the code; KVM takes the CPL from it. */
	if (s->ss.unusable)
		s->ss.dpl = s->cs.dpl;
	table_to_kvm(&s->idt, &c->idtr);
	table_to_kvm(&s->gdt, &c->gdtr);
}

static void fill_control(struct kvm_sregs *s, const struct hv_initial_vp_context *c)
{
	s->cr0 = c->cr0 | CR0_ET;
	s->cr3 = c->cr3;
	s->cr4 = c->cr4;
	s->cr8 = 0;
	s->efer = efer_with_lma(c->efer, c->cr0);
	memset(s->interrupt_bitmap, 0, sizeof(s->interrupt_bitmap));
}

static void fill_regs(struct kvm_regs *r, const struct hv_initial_vp_context *c)
{
	r->rip = c->rip;
	r->rsp = c->rsp;
	r->rflags = c->rflags | RFLAGS_FIXED;
}

/* PAT 0 is a field nobody filled in: it would make all of the VTL's memory uncached. */
static int load_pat(struct vtl_cpu *cpu, uint64_t pat)
{
	return vtl_cpu_write_msr(cpu, MSR_PAT, pat ? pat : PAT_RESET);
}

static void restore(struct vtl_cpu *cpu, const struct kvm_regs *old_regs,
		    const struct kvm_sregs *old_sregs)
{
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;

	if (vtl_cpu_state(cpu, &regs, &sregs))
		return;
	*regs = *old_regs;
	*sregs = *old_sregs;
	vtl_cpu_dirty(cpu, CPU_REGS | CPU_SREGS);
	vtl_cpu_flush(cpu);
}

int context_load(struct vtl_cpu *cpu, const struct hv_initial_vp_context *c)
{
	struct kvm_regs *regs, old_regs;
	struct kvm_sregs *sregs, old_sregs;
	int r = vtl_cpu_state(cpu, &regs, &sregs);

	if (r)
		return r;
	old_regs = *regs;
	old_sregs = *sregs;
	fill_regs(regs, c);
	fill_segments(sregs, c);
	fill_control(sregs, c);
	vtl_cpu_dirty(cpu, CPU_REGS | CPU_SREGS);
	r = vtl_cpu_flush(cpu);
	if (!r)
		r = load_pat(cpu, c->msr_cr_pat);
	if (r)
		restore(cpu, &old_regs, &old_sregs);
	return r;
}
