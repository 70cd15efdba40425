/* SPDX-License-Identifier: MIT */
/*
 * I/O port intercepts. KVM makes an `out` before user space hears of it, and where it emulates has
 * moved RIP (and RSI, RCX) past it: what was before is found by decoding backwards. An `in` is not
 * made before it is answered.
 */
#include "intercept/io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hv/hypercall.h"
#include "intercept/decode.h"
#include "intercept/viewer.h"
#include "vcpu/vcpu.h"

#define PORTS 0x10000

/* A bit a port. */
struct io_intercepts {
	uint8_t read[PORTS / 8], write[PORTS / 8];
};

int io_intercept_init(struct vsm_partition *p)
{
	for (unsigned vtl = 1; vtl < p->vtl_count; vtl++) {
		p->io_intercepts[vtl] = calloc(1, sizeof(*p->io_intercepts[vtl]));
		if (!p->io_intercepts[vtl])
			return -ENOMEM;
	}
	return 0;
}

void io_intercept_free(struct vsm_partition *p)
{
	for (unsigned vtl = 1; vtl < p->vtl_count; vtl++)
		free(p->io_intercepts[vtl]);
}

void io_intercept_forget(struct vsm_partition *p, unsigned setter)
{
	if (p->io_intercepts[setter])
		memset(p->io_intercepts[setter], 0, sizeof(*p->io_intercepts[setter]));
}

/* Of the 8259s, their edge registers, the 8254 and its port B, which come with KVM's irqchip. */
static bool in_kernel(const struct vsm_partition *p, uint16_t first, uint16_t last)
{
	static const struct {
		uint16_t first, last;
	} chips[] = {{0x20, 0x21}, {0x40, 0x43}, {0x61, 0x61}, {0xa0, 0xa1}, {0x4d0, 0x4d1}};

	for (size_t i = 0; p->kernel_irqchip && i < sizeof(chips) / sizeof(chips[0]); i++)
		if (first <= chips[i].last && last >= chips[i].first)
			return true;
	return false;
}

static void put(uint8_t *map, unsigned port, bool on)
{
	uint8_t bit = (uint8_t)(1u << port % 8);

	map[port / 8] = (uint8_t)(on ? map[port / 8] | bit : map[port / 8] & ~bit);
}

int io_intercept_install(struct vsm_partition *p, unsigned setter, uint16_t first, uint16_t last,
			 uint8_t access)
{
	struct io_intercepts *io = p->io_intercepts[setter];

	if (access && in_kernel(p, first, last))
		return -ENOTSUP;
	for (unsigned port = first; port <= last; port++) {
		put(io->read, port, access & HV_INTERCEPT_ACCESS_READ);
		put(io->write, port, access & HV_INTERCEPT_ACCESS_WRITE);
	}
	return 0;
}

static bool is_set(const struct io_intercepts *io, const struct io_access *a)
{
	const uint8_t *map = a->in ? io->read : io->write;

	for (unsigned port = a->port; port < a->port + a->size && port < PORTS; port++)
		if (map[port / 8] >> port % 8 & 1)
			return true;
	return false;
}

unsigned io_intercept_setter(const struct vsm_vcpu *vp, const struct io_access *io)
{
	const struct vsm_partition *p = vp->partition;

	for (unsigned setter = vp->active_vtl + 1u; setter < p->vtl_count; setter++)
		if ((vp->enabled_vtls & (1u << setter)) && is_set(p->io_intercepts[setter], io))
			return setter;
	return 0;
}

/* --- before the instruction --- */

struct io_kind {
	ZydisMnemonic mnemonic;
	bool in, string;
	uint8_t size; /* of a string's element; else that of operand `data` */
	uint8_t data;
};

static const struct io_kind *kind_of(const struct insn_parsed *p)
{
	static const struct io_kind kinds[] = {
		{.mnemonic = ZYDIS_MNEMONIC_IN, .in = true, .data = 0},
		{.mnemonic = ZYDIS_MNEMONIC_OUT, .data = 1},
		{.mnemonic = ZYDIS_MNEMONIC_INSB, .in = true, .string = true, .size = 1},
		{.mnemonic = ZYDIS_MNEMONIC_INSW, .in = true, .string = true, .size = 2},
		{.mnemonic = ZYDIS_MNEMONIC_INSD, .in = true, .string = true, .size = 4},
		{.mnemonic = ZYDIS_MNEMONIC_OUTSB, .string = true, .size = 1},
		{.mnemonic = ZYDIS_MNEMONIC_OUTSW, .string = true, .size = 2},
		{.mnemonic = ZYDIS_MNEMONIC_OUTSD, .string = true, .size = 4},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].mnemonic == p->info.mnemonic)
			return &kinds[i];
	return NULL;
}

static uint16_t port_of(const struct insn_parsed *p, const struct kvm_regs *regs)
{
	for (unsigned i = 0; i < p->info.operand_count_visible; i++)
		if (p->operands[i].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
			return (uint16_t)p->operands[i].imm.value.u;
	return (uint16_t)regs->rdx;
}

/* Could bytes[0, count) be the instruction of the access? */
static bool fits(const struct viewer *w, const struct io_access *io, const uint8_t *bytes,
		 size_t count, struct insn_parsed *p)
{
	const struct io_kind *kind;

	if (insn_parse(&w->context, bytes, count, p))
		return false;
	kind = kind_of(p);
	if (!kind || kind->in != io->in || port_of(p, w->context.regs) != io->port)
		return false;
	return io->size == (kind->string ? kind->size : p->operands[kind->data].size / 8);
}

static void found_at(const struct insn_parsed *p, const uint8_t *bytes, struct io_insn *found)
{
	insn_describe(p, bytes, &found->insn);
	found->insn.rep = insn_repeats(p);
	found->string = kind_of(p)->string;
}

/* At RIP itself. */
static bool find_here(const struct viewer *w, const struct io_access *io, struct io_insn *found)
{
	uint8_t bytes[INSN_MAX];
	struct insn_parsed p;
	size_t got;

	walk_fetch(w->m, w->vtl, w->context.sregs, viewer_rip(w), bytes, sizeof(bytes), &got, NULL);
	if (!fits(w, io, bytes, got, &p))
		return false;
	found_at(&p, bytes, found);
	return true;
}

#define BACK 4 /* an immediate port, an operand size prefix, a repeat prefix */

/*
 * Just before RIP: the shortest that fits, as what is before it may look like its prefix; but a
 * repeated one, which it is only if RCX has run out, with the one prefix that makes it so.
 */
static bool find_before(const struct viewer *w, const struct io_access *io, struct io_insn *found)
{
	uint8_t bytes[BACK];
	size_t got = viewer_code_before(w, viewer_rip(w), bytes, sizeof(bytes));
	struct insn_parsed p;

	for (size_t length = 1; length <= got; length++) {
		const uint8_t *at = bytes + BACK - length;
		bool repeats;

		if (!fits(w, io, at, length, &p) || p.info.length != length)
			continue;
		repeats = insn_repeats(&p);
		if (found->insn.rep || (found->insn.length && (!repeats || w->context.regs->rcx)))
			break;
		found_at(&p, at, found);
		if (!found->string)
			break;
	}
	return found->insn.length;
}

/* The elements that were moved are to be moved. */
static void take_back_string(struct kvm_regs *regs, const struct io_access *io,
			     const struct io_insn *found)
{
	uint64_t bytes = (uint64_t)io->count * io->size;

	regs->rsi += regs->rflags & CPU_RFLAGS_DF ? bytes : -bytes;
	if (found->insn.rep)
		regs->rcx += io->count;
}

int io_before(struct vsm_vcpu *vp, const struct io_access *io, bool stepped, struct io_insn *found)
{
	struct viewer w;
	struct kvm_regs *regs;
	int r = viewer_init(&w, vp);

	*found = (struct io_insn){.string = false};
	if (!r)
		r = vtl_cpu_regs(&vcpu_active(vp)->cpu, &regs);
	if (r)
		return r;
	if (io->in || stepped) {
		find_here(&w, io, found);
		return 0;
	}
	/* A repeated one that has not come to its end stands at itself. */
	if (regs->rcx && find_here(&w, io, found) && found->insn.rep) {
		take_back_string(regs, io, found);
	} else {
		*found = (struct io_insn){.string = false};
		if (find_before(&w, io, found) && found->string)
			take_back_string(regs, io, found);
		regs->rip -= found->insn.length;
	}
	return 0;
}
