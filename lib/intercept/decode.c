/* SPDX-License-Identifier: MIT */
/* Instruction bytes -> length, memory operands, implicit accesses. Zydis decodes; pure. */
#include "intercept/decode.h"

#include <errno.h>
#include <string.h>

/* Bytes from which a memory operand is an image of the vector state: FNSAVE's is the smallest. */
#define STATE_IMAGE 94

#define VECTOR_BP   3

static void mode_of(const struct kvm_sregs *s, ZydisMachineMode *mode, ZydisStackWidth *stack)
{
	*stack = s->ss.db ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16;
	if (cpu_64bit(s)) {
		*mode = ZYDIS_MACHINE_MODE_LONG_64;
		*stack = ZYDIS_STACK_WIDTH_64;
	} else if (!cpu_protected(s)) {
		*mode = ZYDIS_MACHINE_MODE_REAL_16;
		*stack = ZYDIS_STACK_WIDTH_16;
	} else if (s->cs.db) {
		*mode = ZYDIS_MACHINE_MODE_LEGACY_32;
	} else {
		*mode = ZYDIS_MACHINE_MODE_LEGACY_16;
	}
}

int insn_parse(const struct insn_context *c, const uint8_t *bytes, size_t count,
	       struct insn_parsed *p)
{
	ZydisMachineMode mode;
	ZydisStackWidth stack;
	ZydisDecoder decoder;

	mode_of(c->sregs, &mode, &stack);
	if (!ZYAN_SUCCESS(ZydisDecoderInit(&decoder, mode, stack)))
		return -EINVAL;
	if (count > INSN_MAX)
		count = INSN_MAX;
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, count, &p->info, p->operands)))
		return -EINVAL;
	return 0;
}

/* x87, MMX, SSE or AVX state, by its registers or as a whole (FXRSTOR and the like). */
static bool uses_fpu(const struct insn_parsed *p)
{
	for (unsigned i = 0; i < p->info.operand_count; i++) {
		const ZydisDecodedOperand *o = &p->operands[i];
		ZydisRegisterClass class = ZYDIS_REGCLASS_INVALID;

		if (o->type == ZYDIS_OPERAND_TYPE_MEMORY && o->size / 8 >= STATE_IMAGE)
			return true;
		if (o->type == ZYDIS_OPERAND_TYPE_REGISTER)
			class = ZydisRegisterGetClass(o->reg.value);
		if (class >= ZYDIS_REGCLASS_X87 && class <= ZYDIS_REGCLASS_ZMM)
			return true;
	}
	return false;
}

static bool software_interrupt(const struct insn_parsed *p, uint8_t *vector)
{
	switch (p->info.mnemonic) {
	case ZYDIS_MNEMONIC_INT:
		*vector = (uint8_t)p->operands[0].imm.value.u;
		return true;
	case ZYDIS_MNEMONIC_INT1:
		*vector = VECTOR_DB;
		return true;
	case ZYDIS_MNEMONIC_INT3:
		*vector = VECTOR_BP;
		return true;
	default:
		return false;
	}
}

static bool is_undefined(const struct insn_parsed *p)
{
	return p->info.mnemonic == ZYDIS_MNEMONIC_UD0 || p->info.mnemonic == ZYDIS_MNEMONIC_UD1 ||
	       p->info.mnemonic == ZYDIS_MNEMONIC_UD2;
}

static bool loads_ss(const struct insn_parsed *p)
{
	const ZydisDecodedOperand *to = &p->operands[0];

	return (p->info.mnemonic == ZYDIS_MNEMONIC_MOV || p->info.mnemonic == ZYDIS_MNEMONIC_POP ||
		p->info.mnemonic == ZYDIS_MNEMONIC_LSS) &&
	       p->info.operand_count && to->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       (to->reg.value == ZYDIS_REGISTER_SS || p->info.mnemonic == ZYDIS_MNEMONIC_LSS);
}

/* Outside of 64-bit mode these can switch tasks, which loads RFLAGS. */
static bool may_switch_task(const struct insn_parsed *p)
{
	switch (p->info.mnemonic) {
	case ZYDIS_MNEMONIC_IRET:
	case ZYDIS_MNEMONIC_IRETD:
		return true;
	case ZYDIS_MNEMONIC_JMP:
	case ZYDIS_MNEMONIC_CALL:
		return p->info.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
	default:
		return false;
	}
}

static const ZydisMnemonic unbounded[] = {
	ZYDIS_MNEMONIC_RSM,	 ZYDIS_MNEMONIC_VMRUN,	ZYDIS_MNEMONIC_VMLAUNCH,
	ZYDIS_MNEMONIC_VMRESUME, ZYDIS_MNEMONIC_XBEGIN, ZYDIS_MNEMONIC_ENCLU,
	ZYDIS_MNEMONIC_ENCLS,	 ZYDIS_MNEMONIC_ENCLV,
};

/*
 * Loading SS holds debug traps up for one instruction (SDM vol. 3, 6.8.3). Enclaves and
 * transactions do not show single steps, and RSM loads what it likes.
 */
static bool is_unbounded(const struct insn_parsed *p)
{
	if (p->info.machine_mode != ZYDIS_MACHINE_MODE_LONG_64 && may_switch_task(p))
		return true;
	for (size_t i = 0; i < sizeof(unbounded) / sizeof(unbounded[0]); i++)
		if (p->info.mnemonic == unbounded[i])
			return true;
	return loads_ss(p);
}

void insn_describe(const struct insn_parsed *p, const uint8_t *bytes, struct insn *insn)
{
	memset(insn, 0, sizeof(*insn));
	insn->length = p->info.length;
	memcpy(insn->bytes, bytes, p->info.length);
	insn->rep = insn_repeats(p);
	insn->fpu = uses_fpu(p);
	insn->undefined = is_undefined(p);
	insn->unbounded = is_unbounded(p);
	insn->interrupt = software_interrupt(p, &insn->vector);
}

int insn_decode(const struct insn_context *c, const uint8_t *bytes, size_t count, struct insn *insn)
{
	struct insn_parsed p;
	int r = insn_parse(c, bytes, count, &p);

	if (r)
		return r;
	insn_describe(&p, bytes, insn);
	return insn_evaluate(c, &p, insn);
}
