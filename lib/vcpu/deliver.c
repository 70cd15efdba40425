/* SPDX-License-Identifier: MIT */
/*
 * Delivery of an event in long mode, where its frame or its tables are in closed pages that the VTL
 * may use (SDM vol. 3, 6.14). Done in software: the handler could do as it likes with pages opened
 * for the processor.
 */
#include <errno.h>
#include <string.h>

#include "intercept/intercept.h"
#include "registers/architecture.h"
#include "vcpu/vcpu.h"
#include "vcpu/window.h"

#define GATE_INTERRUPT	   0xe
#define GATE_TRAP	   0xf
#define FRAME_WORDS	   6
#define FLAGS_ENTRY_CLEARS UINT64_C(0x34100) /* TF, NT, RF, VM */
#define CR4_CET		   (UINT64_C(1) << 23)
#define CR4_FRED	   (UINT64_C(1) << 32)
#define PTE_ACCESSED	   0x20
#define PTE_DIRTY	   0x40

struct delivery {
	struct vsm_vcpu *vp;
	const struct violation *v;
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;
	struct kvm_vcpu_events *events;
	bool software; /* INT n; KVM may have queued it */
	uint8_t gate[16];
	uint8_t code[8]; /* descriptor */
	unsigned cpl;
	bool forbidden; /* the gate is for inner rings only */
};

/* A supervisor's access to eight bytes at most, within a page. */
static int access(const struct delivery *d, uint64_t at, void *bytes, size_t size, bool write)
{
	const struct memory *m = &d->vp->partition->memory;
	enum mem_access how = write ? MEM_WRITE : MEM_READ;
	unsigned vtl = d->vp->active_vtl;
	struct walk_result to;

	if (gpa_span(at, size) < size ||
	    walk(m, vtl, d->sregs, gva_from(at), how, false, &to, NULL))
		return -EPERM;
	for (unsigned i = 0; write && i < to.table_count; i++) {
		uint8_t set = PTE_ACCESSED | (i + 1 == to.table_count ? PTE_DIRTY : 0), entry;

		if (!to.tables[i].updated)
			continue;
		if (guest_read(m, vtl, to.tables[i].entry, &entry, 1, MEM_READ, false, NULL))
			return -EPERM;
		entry |= set;
		if (guest_write(m, vtl, to.tables[i].entry, &entry, 1, NULL))
			return -EPERM;
	}
	if (write)
		return guest_write(m, vtl, to.gpa, bytes, size, NULL) ? -EPERM : 0;
	return guest_read(m, vtl, to.gpa, bytes, size, MEM_READ, false, NULL) ? -EPERM : 0;
}

static uint16_t selector(const struct delivery *d)
{
	uint16_t s;

	memcpy(&s, d->gate + 2, sizeof(s));
	return s;
}

/* Gate and code segment, and whether the processor would take them. */
static int read_tables(struct delivery *d)
{
	const struct kvm_sregs *s = d->sregs;
	uint64_t at = s->idt.base + 16u * d->v->vector;
	unsigned type, cpl = cpu_cpl(s), dpl;
	int r = 0;

	/* FRED does without gates, shadow stacks get a frame of their own. */
	if (16u * d->v->vector + 15 > s->idt.limit || (s->cr4 & (CR4_CET | CR4_FRED)))
		return -EPERM;
	for (unsigned i = 0; i < 16 && !r; i += 8)
		r = access(d, at + i, d->gate + i, 8, false);
	if (r)
		return r;
	type = d->gate[5] & 0x1f;
	if (type != GATE_INTERRUPT && type != GATE_TRAP)
		return -EPERM;
	d->forbidden = d->software && (d->gate[5] >> 5 & 3u) < cpl;
	if (d->forbidden || !(d->gate[5] & 0x80))
		return -EPERM;
	if (!(selector(d) & 0xfffc) || (selector(d) & 4) || (selector(d) | 7) > s->gdt.limit)
		return -EPERM;
	r = access(d, s->gdt.base + (selector(d) & 0xfff8), d->code, 8, false);
	/* Present 64-bit code, accessed; of this ring or, not conforming, of an inner one. */
	if (r || (d->code[5] & 0x99) != 0x99 || (d->code[6] & 0x60) != 0x20)
		return -EPERM;
	dpl = d->code[5] >> 5 & 3;
	d->cpl = d->code[5] & 4 ? cpl : dpl;
	/* The frame is written as a supervisor's. */
	return dpl > cpl || d->cpl == 3 ? -EPERM : 0;
}

static int stack_pointer(const struct delivery *d, uint64_t *sp)
{
	unsigned ist = d->gate[4] & 7;
	uint64_t offset = 0;

	*sp = d->regs->rsp;
	if (ist)
		offset = 0x24 + 8 * (ist - 1);
	else if (d->cpl != cpu_cpl(d->sregs))
		offset = 4 + 8 * d->cpl;
	if (offset && offset + 7 > d->sregs->tr.limit)
		return -EPERM;
	/* The field is aligned to four bytes only. */
	for (unsigned i = 0; offset && i < 8; i += 4)
		if (access(d, d->sregs->tr.base + offset + i, (uint8_t *)sp + i, 4, false))
			return -EPERM;
	*sp &= ~UINT64_C(15);
	return 0;
}

/* An exception that is a fault leaves RF set: its instruction restarts. */
static bool is_fault(const struct delivery *d)
{
	return d->events->exception.injected && d->v->vector != 1 && d->v->vector != 3 &&
	       d->v->vector != 4;
}

static int push_frame(const struct delivery *d, uint64_t *sp)
{
	const struct kvm_regs *r = d->regs;
	bool code = d->events->exception.injected && d->events->exception.has_error_code;
	uint64_t words[FRAME_WORDS] = {
		code ? d->events->exception.error_code : 0,
		r->rip + (d->software ? d->v->insn_length : 0),
		d->sregs->cs.selector,
		r->rflags | (is_fault(d) ? CPU_RFLAGS_RF : 0),
		r->rsp,
		d->sregs->ss.selector,
	};

	for (unsigned i = FRAME_WORDS; i-- > !code;) {
		*sp -= 8;
		if (access(d, *sp, &words[i], 8, true))
			return -EPERM;
	}
	return 0;
}

static void enter_ring(const struct delivery *d)
{
	struct kvm_sregs *s = d->sregs;

	if (d->cpl != cpu_cpl(s))
		s->ss = (struct kvm_segment){.selector = (uint16_t)d->cpl,
					     .dpl = (uint8_t)d->cpl,
					     .type = 3,
					     .s = 1,
					     .unusable = 1};
	s->cs = (struct kvm_segment){.selector = (uint16_t)((selector(d) & 0xfffc) | d->cpl),
				     .limit = UINT32_MAX,
				     .type = d->code[5] & 0xf,
				     .present = 1,
				     .dpl = d->code[5] >> 5 & 3,
				     .s = 1,
				     .l = 1,
				     .g = 1};
}

/* What was queued has been delivered. */
static void forget_event(struct kvm_vcpu_events *e)
{
	if (e->exception.injected)
		e->exception.injected = 0;
	else if (e->nmi.injected)
		e->nmi.masked = 1, e->nmi.injected = 0;
	else
		e->interrupt.injected = 0;
}

static uint64_t target(const struct delivery *d)
{
	uint64_t rip = (uint64_t)d->gate[0] | (uint64_t)d->gate[1] << 8;

	memcpy((uint8_t *)&rip + 2, d->gate + 6, 6);
	return rip;
}

#define ERROR_CODE_IDT 2

/* #GP for the INT n, at it (SDM vol. 3, 6.12.1.2). */
static int refuse_gate(const struct delivery *d, struct vtl_cpu *cpu)
{
	forget_event(d->events);
	return vtl_cpu_inject(cpu, VECTOR_GP, d->v->vector << 3 | ERROR_CODE_IDT);
}

int window_deliver(struct vsm_vcpu *vp, const struct violation *v)
{
	struct vtl_cpu *cpu = &vcpu_active(vp)->cpu;
	struct delivery d = {.vp = vp, .v = v};
	uint64_t sp;
	int r = vtl_cpu_state(cpu, &d.regs, &d.sregs);

	if (!r)
		r = vtl_cpu_events(cpu, &d.events);
	if (r)
		return r;
	d.software = !d.events->exception.injected && !d.events->nmi.injected &&
		     (!d.events->interrupt.injected || d.events->interrupt.soft);
	if (v->unbounded || !(d.sregs->efer & CPU_EFER_LMA))
		return -EPERM;
	r = read_tables(&d);
	if (d.forbidden)
		return refuse_gate(&d, cpu);
	if (r || !address_valid(target(&d), true, d.sregs->cr4) || stack_pointer(&d, &sp) ||
	    push_frame(&d, &sp))
		return -EPERM;
	d.regs->rsp = sp;
	d.regs->rip = target(&d);
	d.regs->rflags &=
		~(FLAGS_ENTRY_CLEARS | ((d.gate[5] & 0xf) == GATE_INTERRUPT ? CPU_RFLAGS_IF : 0));
	enter_ring(&d);
	forget_event(d.events);
	/* Written in any case: KVM does not tell of software interrupts and exceptions it queued. */
	vtl_cpu_dirty(cpu, CPU_REGS | CPU_SREGS | CPU_EVENTS);
	return 0;
}
