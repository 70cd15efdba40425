/* SPDX-License-Identifier: MIT */
/*
 * The accesses of an event's delivery (SDM vol. 3, chapter 6): IDT, descriptor, TSS, and the frame.
 * It is what fails when a stack or a table is in a closed page and an event arrives.
 */
#include <string.h>

#include "intercept/search.h"

#define GATE_TASK 5

/* A supervisor access to a system structure, into buf. */
static enum verdict read_system(struct search *s, uint64_t gva, void *buf, size_t size)
{
	struct insn_access a = {.gva = gva_from(gva),
				.size = (uint16_t)size,
				.access = MEM_READ,
				.supervisor = true};

	return search_read(s, &a, buf);
}

static enum verdict write_frame(struct search *s, uint64_t end, unsigned size)
{
	struct insn_access a = {.gva = gva_from(end - size),
				.size = (uint16_t)size,
				.access = MEM_WRITE,
				.supervisor = true};

	return search_access(s, &a);
}

static uint64_t number(const uint8_t *bytes, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, bytes, size);
	return value;
}

/* A descriptor, as far as it matters here. */
struct descriptor {
	uint64_t base;
	unsigned dpl;
	bool conforming;
};

static enum verdict read_descriptor(struct search *s, uint16_t selector, struct descriptor *d)
{
	uint8_t bytes[8] = {0};
	struct insn_access a;
	enum verdict verdict = ENDS;

	if (insn_descriptor(&s->w.context, selector, &a))
		verdict = search_descriptor(s, &a, MARKS_ACCESSED, bytes);
	d->base = number(bytes + 2, 3) | (uint64_t)bytes[7] << 24;
	d->dpl = (bytes[5] >> 5) & 3;
	d->conforming = bytes[5] & 4;
	return verdict;
}

static bool goes_inward(const struct search *s, const struct descriptor *code)
{
	return !code->conforming && code->dpl < cpu_cpl(s->w.context.sregs);
}

static enum verdict deliver_64(struct search *s, uint8_t vector, bool error_code)
{
	const struct kvm_sregs *sregs = s->w.context.sregs;
	uint64_t sp = s->w.context.regs->rsp, slot = 0;
	struct descriptor code;
	uint8_t gate[16];
	unsigned ist;
	enum verdict verdict = read_system(s, sregs->idt.base + 16u * vector, gate, sizeof(gate));

	if (verdict == PASSES)
		verdict = read_descriptor(s, (uint16_t)number(gate + 2, 2), &code);
	if (verdict != PASSES)
		return verdict;
	ist = gate[4] & 7;
	if (ist)
		slot = sregs->tr.base + 0x24 + 8 * (ist - 1);
	else if (goes_inward(s, &code))
		slot = sregs->tr.base + 4 + 8 * code.dpl;
	if (slot)
		verdict = read_system(s, slot, &sp, sizeof(sp));
	if (verdict != PASSES)
		return verdict;
	return write_frame(s, sp & ~UINT64_C(15), error_code ? 48 : 40);
}

static enum verdict deliver_32(struct search *s, uint8_t vector, bool error_code)
{
	const struct kvm_sregs *sregs = s->w.context.sregs;
	uint64_t sp = s->w.context.regs->rsp;
	struct descriptor code, stack = {.base = sregs->ss.base};
	unsigned words = 3 + error_code, size;
	uint8_t gate[8], stack_pointer[8];
	enum verdict verdict = read_system(s, sregs->idt.base + 8u * vector, gate, sizeof(gate));

	if (verdict != PASSES || (gate[5] & 0x1f) == GATE_TASK)
		return verdict;
	/* 32-bit gates have bit 3 of their type set. */
	size = gate[5] & 8 ? 4 : 2;
	verdict = read_descriptor(s, (uint16_t)number(gate + 2, 2), &code);
	if (verdict == PASSES && goes_inward(s, &code)) {
		words += 2;
		verdict = read_system(s, sregs->tr.base + 4 + 8 * code.dpl, stack_pointer,
				      sizeof(stack_pointer));
		if (verdict == PASSES)
			verdict =
				read_descriptor(s, (uint16_t)number(stack_pointer + 4, 2), &stack);
		sp = number(stack_pointer, 4);
	}
	if (verdict != PASSES)
		return verdict;
	return write_frame(s, (uint32_t)(stack.base + sp), words * size);
}

static enum verdict deliver_real(struct search *s, uint8_t vector)
{
	const struct kvm_sregs *sregs = s->w.context.sregs;
	uint8_t target[4];
	enum verdict verdict =
		read_system(s, sregs->idt.base + 4u * vector, target, sizeof(target));

	if (verdict != PASSES)
		return verdict;
	return write_frame(s, sregs->ss.base + (uint16_t)s->w.context.regs->rsp, 6);
}

enum verdict search_delivery(struct search *s, uint8_t vector, bool error_code)
{
	const struct kvm_sregs *sregs = s->w.context.sregs;

	if (sregs->efer & CPU_EFER_LMA)
		return deliver_64(s, vector, error_code);
	return cpu_protected(sregs) ? deliver_32(s, vector, error_code) : deliver_real(s, vector);
}
