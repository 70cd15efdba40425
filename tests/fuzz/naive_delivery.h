/* SPDX-License-Identifier: MIT */
/*
 * What a 64-bit processor accesses to deliver an exception through an interrupt gate (SDM vol. 3,
 * 6.14), written down a second time, for the plain case only: four levels of small pages whose
 * accessed and dirty bits are set, everything in the first pages, nothing that would be a fault of
 * the guest's.
 */
#ifndef VSM_TESTS_FUZZ_NAIVE_DELIVERY_H
#define VSM_TESTS_FUZZ_NAIVE_DELIVERY_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define NAIVE_VTLS  3
#define NAIVE_PAGE  4096u
#define NAIVE_R	    1
#define NAIVE_W	    2
#define NAIVE_PAGES 32u

struct naive {
	const uint8_t *mem;
	unsigned vtl;
	/* What VTL `setter` leaves VTL `target` of a page: [setter][target][page]. */
	uint8_t (*masks)[NAIVE_VTLS][NAIVE_PAGES];

	/* The answer: not known, or nothing is closed (setter 0), or the first that is. */
	bool unknown;
	uint8_t setter;
	uint64_t gpa;
	bool write;
};

static inline bool naive_goes_on(const struct naive *n)
{
	return !n->unknown && !n->setter;
}

static inline void naive_touch(struct naive *n, uint64_t gpa, bool write)
{
	uint64_t page = gpa / NAIVE_PAGE;

	n->unknown |= page >= NAIVE_PAGES;
	for (unsigned setter = NAIVE_VTLS - 1; setter > n->vtl && !n->unknown; setter--) {
		if (n->masks[setter][n->vtl][page] & (write ? NAIVE_W : NAIVE_R))
			continue;
		n->setter = (uint8_t)setter;
		n->gpa = gpa;
		n->write = write;
	}
}

/* Walks the tables: the byte's place, to which nothing has been done yet. */
static inline uint64_t naive_walk(struct naive *n, uint64_t cr3, uint64_t gva)
{
	const uint64_t flags = 0x67; /* present, writable, user, accessed, dirty */
	const uint64_t address = UINT64_C(0xffffffffff000);
	uint64_t page = cr3 & address;

	for (int level = 3; level >= 0; level--) {
		uint64_t at = page + 8 * (gva >> (12 + 9 * level) & 511), entry;

		naive_touch(n, at, false);
		if (!naive_goes_on(n))
			return 0;
		memcpy(&entry, n->mem + at, sizeof(entry));
		/* All else, sizes of pages and reserved bits, is not plain. */
		n->unknown |= (entry & ~address) != flags;
		page = entry & address;
	}
	return page + gva % NAIVE_PAGE;
}

/* One access; a load's bytes go to `to`. */
static inline void naive_access(struct naive *n, uint64_t cr3, uint64_t gva, uint64_t size,
				bool write, uint8_t *to)
{
	n->unknown |= gva >= UINT64_C(1) << 46;
	for (uint64_t at = gva; at < gva + size && naive_goes_on(n); at++) {
		uint64_t gpa = naive_walk(n, cr3, at);

		if (naive_goes_on(n))
			naive_touch(n, gpa, write);
		if (naive_goes_on(n) && to)
			to[at - gva] = n->mem[gpa];
	}
}

static inline void naive_delivery(struct naive *n, const struct kvm_regs *regs,
				  const struct kvm_sregs *s, uint8_t vector, bool error_code)
{
	uint8_t gate[16] = {0}, code[8] = {0};
	unsigned selector, ist, cpl = s->ss.dpl, dpl;
	uint64_t sp = regs->rsp, at, slot = 0;

	naive_access(n, s->cr3, s->idt.base + 16u * vector, 16, false, gate);
	selector = gate[2] | (unsigned)gate[3] << 8;
	n->unknown |= naive_goes_on(n) && ((gate[5] & 0x9e) != 0x8e || !(selector & 0xfffc));
	at = (selector & 4 ? s->ldt.base : s->gdt.base) + (selector & 0xfff8);
	if (naive_goes_on(n))
		naive_access(n, s->cr3, at, 8, false, code);
	dpl = code[5] >> 5 & 3;
	/* Code, present, not of an outer ring. */
	n->unknown |= naive_goes_on(n) && ((code[5] & 0x98) != 0x98 || dpl > cpl);
	if (naive_goes_on(n) && !(code[5] & 1))
		naive_access(n, s->cr3, at + 5, 1, true, NULL);
	ist = gate[4] & 7;
	if (ist)
		slot = s->tr.base + 0x24 + 8 * (ist - 1);
	else if (dpl < cpl && !(code[5] & 4))
		slot = s->tr.base + 4 + 8 * dpl;
	if (naive_goes_on(n) && slot)
		naive_access(n, s->cr3, slot, 8, false, (uint8_t *)&sp);
	/* SS, RSP, RFLAGS, CS, RIP and perhaps an error code. */
	if (naive_goes_on(n))
		naive_access(n, s->cr3, (sp & ~UINT64_C(15)) - (error_code ? 48 : 40),
			     error_code ? 48 : 40, true, NULL);
}

#endif
