/* SPDX-License-Identifier: MIT */
/* Memory operands of a decoded instruction -> the accesses it makes, with the registers given. */
#include <errno.h>

#include "intercept/decode.h"
#include "intercept/gpr.h"

#define ATTRIB_REPEAT (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE)

/* Zydis gives the legacy area and the header of an XSAVE image; what follows depends on XCR0. */
#define XSAVE_HEADER_END 576
/* Up to and with PKRU in the standard format (SDM vol. 1, 13.4.3; CPUID leaf 0xd). */
#define XSAVE_AREA 2696

/* Memory operands that are only hints or addresses: the instruction makes no access. */
static const ZydisMnemonic no_access[] = {
	ZYDIS_MNEMONIC_NOP,	   ZYDIS_MNEMONIC_INVLPG,      ZYDIS_MNEMONIC_PREFETCH,
	ZYDIS_MNEMONIC_PREFETCHW,  ZYDIS_MNEMONIC_PREFETCHT0,  ZYDIS_MNEMONIC_PREFETCHT1,
	ZYDIS_MNEMONIC_PREFETCHT2, ZYDIS_MNEMONIC_PREFETCHNTA, ZYDIS_MNEMONIC_PREFETCHWT1,
	ZYDIS_MNEMONIC_CLDEMOTE,   ZYDIS_MNEMONIC_UD0,	       ZYDIS_MNEMONIC_UD1,
};

static bool listed(ZydisMnemonic m, const ZydisMnemonic *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == m)
			return true;
	return false;
}

#define LISTED(m, list) listed(m, list, sizeof(list) / sizeof((list)[0]))

/* --- registers --- */

bool gpr_of(ZydisRegister reg, struct gpr *g)
{
	static const struct {
		uint8_t first, last, width;
	} ranges[] = {
		{ZYDIS_REGISTER_AX, ZYDIS_REGISTER_R15W, 16},
		{ZYDIS_REGISTER_EAX, ZYDIS_REGISTER_R15D, 32},
		{ZYDIS_REGISTER_RAX, ZYDIS_REGISTER_R15, 64},
	};

	for (unsigned i = 0; i < 3; i++) {
		if (reg < ranges[i].first || reg > ranges[i].last)
			continue;
		*g = (struct gpr){.index = (uint8_t)(reg - ranges[i].first),
				  .width = ranges[i].width};
		return true;
	}
	/* AL CL DL BL AH CH DH BH SPL BPL SIL DIL R8B... */
	if (reg < ZYDIS_REGISTER_AL || reg > ZYDIS_REGISTER_R15B)
		return false;
	*g = (struct gpr){.index = (uint8_t)(reg - ZYDIS_REGISTER_AL), .width = 8};
	if (reg >= ZYDIS_REGISTER_AH) {
		g->high = reg <= ZYDIS_REGISTER_BH;
		g->index = (uint8_t)(g->index - 4);
	}
	return true;
}

static uint64_t width_mask(unsigned width)
{
	return width >= 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
}

uint64_t gpr_read(const struct kvm_regs *regs, struct gpr g)
{
	return (gpr_get(regs, g.index) >> (g.high ? 8 : 0)) & width_mask(g.width);
}

void gpr_write(struct kvm_regs *regs, struct gpr g, uint64_t value)
{
	uint64_t *reg = gpr_at(regs, g.index);
	uint64_t mask = width_mask(g.width);
	unsigned shift = g.high ? 8 : 0;

	value &= mask;
	if (g.width >= 32)
		*reg = value;
	else
		*reg = (*reg & ~(mask << shift)) | (value << shift);
}

/* --- addresses --- */

bool operand_is_stack(const ZydisDecodedOperand *o)
{
	struct gpr g;

	return operand_is_memory(o) && o->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
	       gpr_of(o->mem.base, &g) && g.index == GPR_RSP;
}

bool insn_repeats(const struct insn_parsed *p)
{
	return p->info.attributes & ATTRIB_REPEAT;
}

static uint64_t segment_base(const struct kvm_sregs *s, ZydisRegister segment)
{
	switch (segment) {
	case ZYDIS_REGISTER_FS:
		return s->fs.base;
	case ZYDIS_REGISTER_GS:
		return s->gs.base;
	default:
		break;
	}
	if (cpu_64bit(s))
		return 0;
	switch (segment) {
	case ZYDIS_REGISTER_ES:
		return s->es.base;
	case ZYDIS_REGISTER_CS:
		return s->cs.base;
	case ZYDIS_REGISTER_SS:
		return s->ss.base;
	default:
		return s->ds.base;
	}
}

static gva_t linear(const struct kvm_sregs *s, ZydisRegister segment, uint64_t offset)
{
	uint64_t addr = segment_base(s, segment) + offset;

	return gva_from(cpu_64bit(s) ? addr : (uint32_t)addr);
}

/* Value of a base or index register; *width becomes its width in bits. */
static uint64_t address_part(const struct insn_context *c, const struct insn_parsed *p,
			     ZydisRegister reg, unsigned *width)
{
	struct gpr g;

	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
		return c->regs->rip + p->info.length;
	if (!gpr_of(reg, &g))
		return 0;
	*width = g.width;
	return gpr_read(c->regs, g);
}

/* BT and its kin with a register offset address a bit string: the word may be far away. */
static uint64_t bit_string_offset(const struct insn_context *c, const struct insn_parsed *p)
{
	const ZydisDecodedOperand *bit = &p->operands[1];
	struct gpr g;
	int64_t offset;

	if (p->info.meta.category != ZYDIS_CATEGORY_BITBYTE || p->info.operand_count < 2 ||
	    bit->type != ZYDIS_OPERAND_TYPE_REGISTER || !gpr_of(bit->reg.value, &g))
		return 0;
	offset = (int64_t)(gpr_read(c->regs, g) << (64 - g.width)) >> (64 - g.width);
	/* Rounds towards minus infinity, as the instruction does. */
	return (uint64_t)((offset >> __builtin_ctz(g.width)) * (g.width / 8));
}

static gva_t operand_address(const struct insn_context *c, const struct insn_parsed *p,
			     const ZydisDecodedOperand *o)
{
	unsigned width = p->info.address_width, ignored;
	uint64_t addr = address_part(c, p, o->mem.base, &width);

	addr += address_part(c, p, o->mem.index, &ignored) * o->mem.scale;
	if (o->mem.disp.has_displacement)
		addr += (uint64_t)o->mem.disp.value;
	if (p->info.mnemonic == ZYDIS_MNEMONIC_XLAT)
		addr += (uint8_t)c->regs->rax;
	addr += bit_string_offset(c, p);
	if (operand_is_stack(o) && operand_writes(o))
		addr -= o->size / 8u;
	/* POP computes a destination based on the stack pointer after it has moved that (SDM). */
	if (p->info.mnemonic == ZYDIS_MNEMONIC_POP && !operand_is_stack(o) && o->mem.base) {
		struct gpr base;

		if (gpr_of(o->mem.base, &base) && base.index == GPR_RSP)
			addr += o->size / 8u;
	}
	if (p->info.mnemonic == ZYDIS_MNEMONIC_CLFLUSH ||
	    p->info.mnemonic == ZYDIS_MNEMONIC_CLFLUSHOPT ||
	    p->info.mnemonic == ZYDIS_MNEMONIC_CLWB)
		addr &= ~UINT64_C(63);
	return linear(c->sregs, o->mem.segment, addr & width_mask(width));
}

/* --- accesses --- */

static int add(struct insn *insn, gva_t gva, unsigned size, enum mem_access access)
{
	if (!size)
		return 0;
	if (insn->access_count == INSN_ACCESSES)
		return -ENOTSUP;
	insn->accesses[insn->access_count++] =
		(struct insn_access){.gva = gva, .size = (uint16_t)size, .access = access};
	return 0;
}

/* ENTER level L > 0 copies L - 1 frame pointers and pushes L + 1 words in all. */
static int add_enter(const struct insn_context *c, const struct insn_parsed *p, struct insn *insn)
{
	unsigned level = p->operands[1].imm.value.u & 31;
	const ZydisDecodedOperand *stack = NULL;
	unsigned word, width, pushed;
	struct gpr g;

	for (unsigned i = 0; i < p->info.operand_count; i++)
		if (operand_is_stack(&p->operands[i]))
			stack = &p->operands[i];
	if (!stack || !gpr_of(stack->mem.base, &g))
		return -ENOTSUP;
	word = stack->size / 8u;
	width = g.width;
	pushed = (level ? level + 1 : 1) * word;
	if (level > 1) {
		uint64_t frame = c->regs->rbp - (level - 1) * word;
		int r = add(insn, linear(c->sregs, ZYDIS_REGISTER_SS, frame & width_mask(width)),
			    (level - 1) * word, MEM_READ);

		if (r)
			return r;
	}
	return add(insn,
		   linear(c->sregs, ZYDIS_REGISTER_SS, (c->regs->rsp - pushed) & width_mask(width)),
		   pushed, MEM_WRITE);
}

static bool counted_out(const struct insn_context *c, const struct insn_parsed *p)
{
	return insn_repeats(p) && !(c->regs->rcx & width_mask(p->info.address_width));
}

/* Operands of one direction, in the order of the encoding. */
static int add_operands(const struct insn_context *c, const struct insn_parsed *p,
			struct insn *insn, enum mem_access access)
{
	for (unsigned i = 0; i < p->info.operand_count; i++) {
		const ZydisDecodedOperand *o = &p->operands[i];
		unsigned size = o->size / 8u;
		int r;

		if (!operand_is_memory(o))
			continue;
		if (access == MEM_READ ? !operand_reads(o) : !operand_writes(o))
			continue;
		/* Addresses made of vector registers, tiles and bound tables. */
		if (o->mem.type != ZYDIS_MEMOP_TYPE_MEM)
			return -ENOTSUP;
		if (size == XSAVE_HEADER_END)
			size = XSAVE_AREA;
		r = add(insn, operand_address(c, p, o), size, access);
		if (r)
			return r;
	}
	return 0;
}

/* MOV to CR3; and to CR0 and CR4, with some of their bits (SDM vol. 3, 4.4.1). */
static void add_pointers(const struct insn_context *c, const struct insn_parsed *p,
			 struct insn *insn)
{
	const ZydisDecodedOperand *to = &p->operands[0];
	uint64_t cr3 = c->sregs->cr3;
	struct gpr from;

	if (p->info.mnemonic != ZYDIS_MNEMONIC_MOV || to->type != ZYDIS_OPERAND_TYPE_REGISTER ||
	    !cpu_pae_paging(c->sregs))
		return;
	if (to->reg.value == ZYDIS_REGISTER_CR3 && gpr_of(p->operands[1].reg.value, &from))
		cr3 = gpr_read(c->regs, from);
	else if (to->reg.value != ZYDIS_REGISTER_CR0 && to->reg.value != ZYDIS_REGISTER_CR4)
		return;
	insn->loads_pointers = true;
	insn->pointers = gpa_from(cpu_pae_pointers(cr3));
}

int insn_evaluate(const struct insn_context *c, const struct insn_parsed *p, struct insn *insn)
{
	int r;

	insn->access_count = insn->selector_count = 0;
	insn->marks = MARKS_NOTHING;
	insn->outer.size = 0;
	insn->loads_pointers = false;
	add_pointers(c, p, insn);
	if (LISTED(p->info.mnemonic, no_access) || counted_out(c, p))
		return 0;
	if (p->info.mnemonic == ZYDIS_MNEMONIC_ENTER)
		return add_enter(c, p, insn);
	r = add_operands(c, p, insn, MEM_READ);
	if (r)
		return r;
	insn_add_selectors(c, p, insn);
	return add_operands(c, p, insn, MEM_WRITE);
}
