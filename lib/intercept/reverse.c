/* SPDX-License-Identifier: MIT */
/*
 * From a store that KVM emulated back to the instruction and the registers before it. Pure.
 *
 * What moves registers and stores is what KVM's emulator can do of that: pushes and calls, POP to
 * memory, ENTER, string stores, XCHG, XADD (Linux arch/x86/kvm/emulate.c).
 */
#include <errno.h>
#include <string.h>

#include "intercept/decode.h"
#include "intercept/gpr.h"

#define FLAGS_ZF (UINT64_C(1) << 6)
#define FLAGS_DF (UINT64_C(1) << 10)

struct candidate {
	const struct retired_query *q;
	enum retired_where where;
	struct insn_parsed p;
	struct kvm_regs before;
	uint64_t end; /* RIP behind the instruction */
};

/* --- registers before --- */

static void gpr_move(struct kvm_regs *regs, ZydisRegister reg, int64_t by)
{
	struct gpr g;

	if (gpr_of(reg, &g))
		gpr_write(regs, g, gpr_read(regs, g) + (uint64_t)by);
}

static bool is_string_operand(const ZydisDecodedOperand *o)
{
	struct gpr g;

	return operand_is_memory(o) && o->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
	       gpr_of(o->mem.base, &g) && (g.index == GPR_RSI || g.index == GPR_RDI);
}

static bool is_string(const struct insn_parsed *p)
{
	return p->info.meta.category == ZYDIS_CATEGORY_STRINGOP ||
	       p->info.meta.category == ZYDIS_CATEGORY_IOSTRINGOP;
}

/*
 * Iterations in one store: of a repeated INS KVM reads ahead what fits the page, and stores it at
 * once (Linux pio_in_emulated()).
 */
static size_t iterations(const struct candidate *k, const ZydisDecodedOperand *o)
{
	size_t size = o->size / 8u;

	if (k->p.info.meta.category != ZYDIS_CATEGORY_IOSTRINGOP || !insn_repeats(&k->p) ||
	    !operand_writes(o) || !size || k->q->size % size)
		return 1;
	return k->q->size / size;
}

/* Pointers that string instructions and stack accesses moved. */
static void undo_pointers(struct candidate *k)
{
	struct kvm_regs *regs = &k->before;
	int64_t times = 1;

	for (unsigned i = 0; i < k->p.info.operand_count; i++) {
		const ZydisDecodedOperand *o = &k->p.operands[i];
		int64_t size = o->size / 8;

		if (operand_is_stack(o))
			gpr_move(regs, o->mem.base, operand_writes(o) ? size : -size);
		else if (is_string(&k->p) && is_string_operand(o)) {
			times = (int64_t)iterations(k, o);
			gpr_move(regs, o->mem.base,
				 (regs->rflags & FLAGS_DF ? size : -size) * times);
		}
	}
	if (insn_repeats(&k->p))
		gpr_move(regs,
			 k->p.info.address_width == 64	 ? ZYDIS_REGISTER_RCX
			 : k->p.info.address_width == 32 ? ZYDIS_REGISTER_ECX
							 : ZYDIS_REGISTER_CX,
			 times);
}

/* The stored bytes as a number; false: part of the operand only, or more than a register. */
static bool whole_data(const struct candidate *k, const ZydisDecodedOperand *memory, uint64_t *data)
{
	if (k->q->size != memory->size / 8u || k->q->size > sizeof(*data))
		return false;
	*data = 0;
	memcpy(data, k->q->data, k->q->size);
	return true;
}

/* XCHG: the register had what was stored. XADD: that less what the register has now. */
static void undo_exchange(struct candidate *k)
{
	const ZydisDecodedOperand *o = k->p.operands;
	unsigned memory = operand_is_memory(&o[0]) ? 0 : 1;
	uint64_t data;
	struct gpr g;

	if (!gpr_of(o[1 - memory].reg.value, &g) || !whole_data(k, &o[memory], &data))
		return;
	if (k->p.info.mnemonic == ZYDIS_MNEMONIC_XADD)
		data -= gpr_read(&k->before, g);
	gpr_write(&k->before, g, data);
}

/* ENTER without nesting, the only one KVM emulates: RBP was stored and is now where it went. */
static bool undo_enter(struct candidate *k)
{
	for (unsigned i = 0; i < k->p.info.operand_count; i++) {
		const ZydisDecodedOperand *o = &k->p.operands[i];
		struct gpr sp, bp;
		uint64_t frame, data;

		if (!operand_is_stack(o) || !gpr_of(o->mem.base, &sp))
			continue;
		if (k->p.operands[1].imm.value.u & 31)
			return false;
		bp = (struct gpr){.index = GPR_RBP, .width = sp.width};
		frame = gpr_read(&k->before, bp);
		gpr_write(&k->before, sp, frame + o->size / 8u);
		bp.width = (uint8_t)o->size;
		if (whole_data(k, o, &data))
			gpr_write(&k->before, bp, data);
		return true;
	}
	return false;
}

/* The call's target must be where the processor is now, as far as it can be told. */
static bool call_fits(const struct candidate *k)
{
	const ZydisDecodedOperand *target = &k->p.operands[0];
	uint64_t rip = k->q->after->regs->rip;
	struct gpr g;

	if (target->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return (uint32_t)(k->end + target->imm.value.u) == (uint32_t)rip;
	if (target->type == ZYDIS_OPERAND_TYPE_REGISTER && gpr_of(target->reg.value, &g))
		return gpr_read(&k->before, g) == rip;
	return target->type == ZYDIS_OPERAND_TYPE_MEMORY;
}

/* Does the instruction go where the processor is, and are its registers known? Fills k->before. */
static bool undo(struct candidate *k)
{
	bool call = k->p.info.mnemonic == ZYDIS_MNEMONIC_CALL;

	if (call != (k->where == RETIRED_CALLS) ||
	    insn_repeats(&k->p) != (k->where == RETIRED_REPEATS))
		return false;
	if (k->p.info.mnemonic == ZYDIS_MNEMONIC_ENTER)
		return undo_enter(k);
	undo_pointers(k);
	if (k->p.info.mnemonic == ZYDIS_MNEMONIC_XCHG || k->p.info.mnemonic == ZYDIS_MNEMONIC_XADD)
		undo_exchange(k);
	return !call || call_fits(k);
}

/* --- does the store fit? --- */

/* Instructions that store an operand as it is, and which one. */
static const struct {
	ZydisMnemonic mnemonic;
	uint8_t operand;
} copies[] = {
	{ZYDIS_MNEMONIC_MOV, 1},   {ZYDIS_MNEMONIC_MOVNTI, 1},	{ZYDIS_MNEMONIC_PUSH, 0},
	{ZYDIS_MNEMONIC_STOSB, 1}, {ZYDIS_MNEMONIC_STOSW, 1},	{ZYDIS_MNEMONIC_STOSD, 1},
	{ZYDIS_MNEMONIC_STOSQ, 1}, {ZYDIS_MNEMONIC_CMPXCHG, 1},
};

static const ZydisDecodedOperand *copied_operand(const struct insn_parsed *p)
{
	for (unsigned i = 0; i < sizeof(copies) / sizeof(copies[0]); i++)
		if (copies[i].mnemonic == p->info.mnemonic)
			return &p->operands[copies[i].operand];
	return NULL;
}

/* The value stored, where registers tell it. */
static bool stored_value(const struct candidate *k, uint64_t *value)
{
	const ZydisDecodedOperand *source = copied_operand(&k->p);
	struct gpr g;

	/* A failed CMPXCHG stores what was there (Linux em_cmpxchg()). */
	if (!source ||
	    (k->p.info.mnemonic == ZYDIS_MNEMONIC_CMPXCHG && !(k->before.rflags & FLAGS_ZF)))
		return false;
	if (source->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		*value = source->imm.value.u;
		return true;
	}
	if (source->type != ZYDIS_OPERAND_TYPE_REGISTER || !gpr_of(source->reg.value, &g))
		return false;
	*value = gpr_read(&k->before, g);
	return true;
}

/*
 * Bytes of the store that went to another page than the one seen, and are found there. They tell
 * an instruction from the one that is left without its operand-size prefix, which would have made
 * the same store up to the page's end.
 */
static unsigned found_elsewhere(const struct retired_query *q, const struct insn_access *a,
				size_t at, uint64_t value)
{
	const uint8_t *bytes = (const uint8_t *)&value;
	size_t past = at + q->size;

	if (!q->holds || a->size > sizeof(value))
		return 0;
	if (at && !q->holds(q->ctx, a->gva, bytes, at))
		return 0;
	if (past < a->size &&
	    !q->holds(q->ctx, gva_from(a->gva.addr + past), bytes + past, a->size - past))
		return 0;
	return (unsigned)(a->size - q->size);
}

/* Bytes that were stored for an access: several iterations' for a repeated INS. */
static size_t stored_size(const struct candidate *k, const struct insn_access *a)
{
	if (k->p.info.meta.category == ZYDIS_CATEGORY_IOSTRINGOP && insn_repeats(&k->p) &&
	    k->q->size > a->size && !(k->q->size % a->size))
		return k->q->size;
	return a->size;
}

/* How well the store fits: 0 not at all. */
static unsigned score(const struct candidate *k, struct insn *insn)
{
	const struct retired_query *q = k->q;
	struct insn_context c = {.regs = &k->before, .sregs = q->after->sregs};
	unsigned locked = k->p.info.attributes & ZYDIS_ATTRIB_HAS_LOCK ? 1 : 0;

	if (insn_evaluate(&c, &k->p, insn))
		return 0;
	for (unsigned i = 0; i < insn->access_count; i++) {
		const struct insn_access *a = &insn->accesses[i];
		size_t size = stored_size(k, a);
		uint64_t value;
		int at;

		if (a->access != MEM_WRITE)
			continue;
		at = q->place(q->ctx, a->gva, size);
		if (at < 0 || (size_t)at + q->size > size)
			continue;
		if (k->where == RETIRED_CALLS)
			return 3;
		if (!stored_value(k, &value))
			return 1 + locked;
		if ((size_t)at + q->size > sizeof(value) ||
		    memcmp((const uint8_t *)&value + at, q->data, q->size))
			continue;
		return 3 + locked + 2 * found_elsewhere(q, a, (size_t)at, value);
	}
	return 0;
}

/* RIP is a 16-bit or 32-bit register outside of 64-bit mode. */
static uint64_t rip_of(const struct insn_context *c, uint64_t rip)
{
	if (cpu_64bit(c->sregs))
		return rip;
	return c->sregs->cs.db && cpu_protected(c->sregs) ? (uint32_t)rip : (uint16_t)rip;
}

/* The instruction's end: RIP, or the return address, or a byte length past RIP. */
static uint64_t end_of(const struct retired_query *q, enum retired_where where, size_t length)
{
	uint64_t end = q->after->regs->rip;

	if (where == RETIRED_REPEATS)
		return end + length;
	if (where == RETIRED_CALLS) {
		end = 0;
		memcpy(&end, q->data, q->size < sizeof(end) ? q->size : sizeof(end));
	}
	return end;
}

static unsigned try_candidate(const struct retired_query *q, enum retired_where where,
			      const uint8_t *bytes, size_t count, size_t wanted, struct insn *insn,
			      struct kvm_regs *before)
{
	struct candidate k = {.q = q, .where = where, .before = *q->after->regs};
	unsigned result;

	if (insn_parse(q->after, bytes, count, &k.p) || (wanted && k.p.info.length != wanted))
		return 0;
	k.end = end_of(q, where, k.p.info.length);
	k.before.rip = rip_of(q->after, k.end - k.p.info.length);
	if (!undo(&k))
		return 0;
	insn_describe(&k.p, bytes, insn);
	result = score(&k, insn);
	*before = k.before;
	return result;
}

int insn_find_retired_store(const struct retired_query *q, enum retired_where where,
			    const uint8_t *bytes, size_t count, struct insn *insn,
			    struct kvm_regs *before)
{
	unsigned best = 0;

	if (where == RETIRED_REPEATS)
		return try_candidate(q, where, bytes, count, 0, insn, before) ? 0 : -ENOENT;
	for (size_t length = 1; length <= count && length <= INSN_MAX; length++) {
		struct kvm_regs regs;
		struct insn found;
		unsigned fits = try_candidate(q, where, bytes + count - length, length, length,
					      &found, &regs);

		if (fits <= best)
			continue;
		best = fits;
		*insn = found;
		*before = regs;
	}
	return best ? 0 : -ENOENT;
}
