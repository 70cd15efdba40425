/* SPDX-License-Identifier: MIT */
/* Selectors of a decoded instruction: those in registers, and where those in memory are. Pure. */
#include "intercept/decode.h"

#define FLAGS_NT (UINT64_C(1) << 14)
#define FLAGS_VM (UINT64_C(1) << 17)

enum source {
	OPERAND, /* a register or memory */
	POINTER, /* behind an offset: LSS and the like, far jumps and calls */
	STACK,	 /* behind a return address */
};

/* Instructions that read descriptors, and what they mark them with. */
static const struct {
	ZydisMnemonic mnemonic;
	enum source source;
	bool far;     /* only if the branch is */
	bool segment; /* only into a segment register */
	enum insn_marks marks;
} readers[] = {
	{ZYDIS_MNEMONIC_LAR, OPERAND, .marks = MARKS_NOTHING},
	{ZYDIS_MNEMONIC_LSL, OPERAND, .marks = MARKS_NOTHING},
	{ZYDIS_MNEMONIC_VERR, OPERAND, .marks = MARKS_NOTHING},
	{ZYDIS_MNEMONIC_VERW, OPERAND, .marks = MARKS_NOTHING},
	{ZYDIS_MNEMONIC_LLDT, OPERAND, .marks = MARKS_NOTHING},
	{ZYDIS_MNEMONIC_LTR, OPERAND, .marks = MARKS_BUSY},
	{ZYDIS_MNEMONIC_MOV, OPERAND, .segment = true, .marks = MARKS_ACCESSED},
	{ZYDIS_MNEMONIC_POP, OPERAND, .segment = true, .marks = MARKS_ACCESSED},
	{ZYDIS_MNEMONIC_LDS, POINTER, .marks = MARKS_ACCESSED},
	{ZYDIS_MNEMONIC_LES, POINTER, .marks = MARKS_ACCESSED},
	{ZYDIS_MNEMONIC_LFS, POINTER, .marks = MARKS_ACCESSED},
	{ZYDIS_MNEMONIC_LGS, POINTER, .marks = MARKS_ACCESSED},
	{ZYDIS_MNEMONIC_LSS, POINTER, .marks = MARKS_ACCESSED},
	{ZYDIS_MNEMONIC_JMP, POINTER, .far = true, .marks = MARKS_ACCESSED},
	{ZYDIS_MNEMONIC_CALL, POINTER, .far = true, .marks = MARKS_ACCESSED},
	{ZYDIS_MNEMONIC_RET, STACK, .far = true, .marks = MARKS_ACCESSED},
	{ZYDIS_MNEMONIC_IRET, STACK, .marks = MARKS_ACCESSED},
	{ZYDIS_MNEMONIC_IRETD, STACK, .marks = MARKS_ACCESSED},
	{ZYDIS_MNEMONIC_IRETQ, STACK, .marks = MARKS_ACCESSED},
};

static bool is_segment(const ZydisDecodedOperand *o)
{
	return o->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetClass(o->reg.value) == ZYDIS_REGCLASS_SEGMENT;
}

static bool find(const struct insn_parsed *p, enum source *source, enum insn_marks *marks)
{
	for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
		if (readers[i].mnemonic != p->info.mnemonic ||
		    (readers[i].far && p->info.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR) ||
		    (readers[i].segment && !is_segment(&p->operands[0])))
			continue;
		*source = readers[i].source;
		*marks = readers[i].marks;
		return true;
	}
	return false;
}

bool insn_descriptor(const struct insn_context *c, uint16_t selector, struct insn_access *a)
{
	const struct kvm_sregs *s = c->sregs;
	uint64_t base = selector & 4 ? s->ldt.base : s->gdt.base;

	if (!(selector & 0xfffc))
		return false;
	*a = (struct insn_access){.gva = gva_from(base + (selector & 0xfff8)),
				  .size = 8,
				  .access = MEM_READ,
				  .supervisor = true};
	return true;
}

/* A selector that is in a register or in the instruction's bytes. */
static bool known_selector(const struct insn_context *c, const struct insn_parsed *p,
			   uint16_t *selector)
{
	const ZydisDecodedOperand *o = p->operands;
	struct gpr g;

	if (o[0].type == ZYDIS_OPERAND_TYPE_POINTER) {
		*selector = o[0].ptr.segment;
		return true;
	}
	/* LAR, LSL and MOV have it second. */
	if (p->info.operand_count_visible > 1)
		o++;
	if (o->type != ZYDIS_OPERAND_TYPE_REGISTER || !gpr_of(o->reg.value, &g))
		return false;
	*selector = (uint16_t)gpr_read(c->regs, g);
	return true;
}

/*
 * A far return's frame: what is popped of it for an outer ring, and, as in 64-bit mode an IRET
 * always does, SS.
 */
static void add_return(const struct insn_context *c, const struct insn_parsed *p, struct insn *insn)
{
	struct insn_access *frame = &insn->accesses[0];
	bool interrupt = p->info.mnemonic != ZYDIS_MNEMONIC_RET;
	unsigned word = p->info.operand_width / 8u, words = interrupt ? 3 : 2, skipped = 0;

	if (!interrupt && p->operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		skipped = (unsigned)p->operands[0].imm.value.u;
	insn->selectors[insn->selector_count++] = gva_from(frame->gva.addr + word);
	insn->selectors[insn->selector_count++] =
		gva_from(frame->gva.addr + skipped + (words + 1) * word);
	if (interrupt && cpu_64bit(c->sregs))
		return;
	insn->outer = *frame;
	insn->outer.gva.addr += words * word + skipped;
	insn->outer.size = (uint16_t)(2 * word);
	frame->size = (uint16_t)(words * word);
}

/* An IRET of legacy modes pops three words, whatever comes behind them. */
static void trim_return(const struct insn_context *c, const struct insn_parsed *p,
			struct insn *insn)
{
	if (p->info.mnemonic != ZYDIS_MNEMONIC_RET && !cpu_64bit(c->sregs))
		insn->accesses[0].size = (uint16_t)(3 * (p->info.operand_width / 8u));
}

static bool switches_task(const struct insn_context *c, const struct insn_parsed *p)
{
	return p->info.mnemonic != ZYDIS_MNEMONIC_RET && (c->regs->rflags & FLAGS_NT);
}

void insn_add_selectors(const struct insn_context *c, const struct insn_parsed *p,
			struct insn *insn)
{
	const struct insn_access *memory = &insn->accesses[0];
	bool in_memory = insn->access_count;
	enum insn_marks marks;
	enum source source;
	uint16_t selector;

	if (!find(p, &source, &marks))
		return;
	if (source == STACK)
		trim_return(c, p, insn);
	if (!cpu_protected(c->sregs) || (c->regs->rflags & FLAGS_VM))
		return;
	insn->marks = marks;
	if (source == STACK) {
		if (!switches_task(c, p))
			add_return(c, p, insn);
	} else if (in_memory) {
		insn->selectors[insn->selector_count++] =
			gva_from(memory->gva.addr + (source == POINTER ? memory->size - 2u : 0));
	} else if (known_selector(c, p, &selector)) {
		insn->access_count += insn_descriptor(c, selector, &insn->accesses[0]);
	}
}
