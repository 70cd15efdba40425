/* SPDX-License-Identifier: MIT */
/* What decode.c, operands.c, selectors.c and reverse.c share: an instruction as Zydis gives it. */
#ifndef VSM_LIB_INTERCEPT_DECODE_H
#define VSM_LIB_INTERCEPT_DECODE_H

#include <Zydis/Zydis.h>
#include "intercept/intercept.h"

struct insn_parsed {
	ZydisDecodedInstruction info;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

/* Decodes in the context's mode, without looking at registers. -EINVAL: no whole instruction. */
int insn_parse(const struct insn_context *c, const uint8_t *bytes, size_t count,
	       struct insn_parsed *p);

/*
 * The accesses of p, which stands at c->regs->rip, into insn->accesses. -ENOTSUP: they cannot be
 * told.
 */
int insn_evaluate(const struct insn_context *c, const struct insn_parsed *p, struct insn *insn);

/* selectors.c: the descriptors p reads, with insn's other loads there already. */
void insn_add_selectors(const struct insn_context *c, const struct insn_parsed *p,
			struct insn *insn);

/* Copies length and bytes. */
void insn_describe(const struct insn_parsed *p, const uint8_t *bytes, struct insn *insn);

/* --- operands.c: helpers on operands --- */

static inline bool operand_is_memory(const ZydisDecodedOperand *o)
{
	return o->type == ZYDIS_OPERAND_TYPE_MEMORY && o->mem.type != ZYDIS_MEMOP_TYPE_AGEN;
}

static inline bool operand_reads(const ZydisDecodedOperand *o)
{
	return o->actions & ZYDIS_OPERAND_ACTION_MASK_READ;
}

static inline bool operand_writes(const ZydisDecodedOperand *o)
{
	return o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
}

/* The stack access of a push, pop, call, ... */
bool operand_is_stack(const ZydisDecodedOperand *o);

/* A repeated string instruction. */
bool insn_repeats(const struct insn_parsed *p);

/* Encoding (0..15) of a general register of any width, its width in bits, and its position. */
struct gpr {
	uint8_t index;
	uint8_t width;
	bool high; /* AH, CH, DH, BH */
};

/* false: no general register. */
bool gpr_of(ZydisRegister reg, struct gpr *g);
uint64_t gpr_read(const struct kvm_regs *regs, struct gpr g);
/* As an instruction would: 32 bits clear the upper half, 8 and 16 leave the rest. */
void gpr_write(struct kvm_regs *regs, struct gpr g, uint64_t value);

#endif
