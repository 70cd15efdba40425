/* SPDX-License-Identifier: MIT */
/* Architectural checks and conversions. */
#include "registers/architecture.h"

#include <string.h>

/* System descriptor types of a TSS, 16 and 32/64 bit (Intel SDM 3A, table 3-2). */
#define LDT	 0x2
#define TSS_16	 0x1
#define TSS_32	 0x9
#define TSS_MASK (SEGMENT_TYPE & ~SEGMENT_BUSY)

bool cr0_valid(uint64_t cr0)
{
	if (cr0 >> 32)
		return false;
	return (!(cr0 & CR0_PG) || (cr0 & CR0_PE)) && (!(cr0 & CR0_NW) || (cr0 & CR0_CD));
}

bool cr3_valid(uint64_t cr3, uint64_t efer, unsigned bits)
{
	return (efer & EFER_LMA) || !(cr3 >> (bits ? bits : PHYSICAL_BITS));
}

bool rflags_valid(uint64_t rflags)
{
	return !(rflags & RFLAGS_RESERVED);
}

bool pat_valid(uint64_t pat)
{
	for (unsigned i = 0; i < 8; i++, pat >>= 8) {
		uint8_t type = pat & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

bool address_valid(uint64_t address, bool wide, uint64_t cr4)
{
	unsigned unused = cr4 & CR4_LA57 ? 64 - 57 : 64 - 48;

	if (!wide)
		return address <= UINT32_MAX;
	return (uint64_t)((int64_t)(address << unused) >> unused) == address;
}

uint64_t efer_with_lma(uint64_t efer, uint64_t cr0)
{
	efer &= ~EFER_LMA;
	return (efer & EFER_LME) && (cr0 & CR0_PG) ? efer | EFER_LMA : efer;
}

bool segment_is_tss(uint16_t attributes)
{
	unsigned type = attributes & TSS_MASK;

	return !(attributes & SEGMENT_NON_SYSTEM) && (type == TSS_16 || type == TSS_32);
}

/* What a present segment has to be, and has not to be. */
static bool kind_valid(enum segment_use use, uint16_t a, bool long_mode)
{
	bool memory = a & SEGMENT_NON_SYSTEM, code = a & SEGMENT_CODE, access = a & SEGMENT_ACCESS;

	switch (use) {
	case SEGMENT_USE_CODE:
		/* Code runs in data segments in real and virtual-8086 mode. */
		return memory && (code || (access && !long_mode)) &&
		       !((a & SEGMENT_LONG) && (a & SEGMENT_DEFAULT));
	case SEGMENT_USE_STACK:
		return memory && !code && access;
	case SEGMENT_USE_DATA:
	case SEGMENT_USE_BASED:
		return memory && (!code || access);
	case SEGMENT_USE_LOCAL:
		return !memory && (a & SEGMENT_TYPE) == LDT;
	case SEGMENT_USE_TASK:
		break;
	}
	return segment_is_tss(a) && !(long_mode && (a & TSS_MASK) == TSS_16);
}

bool segment_valid(enum segment_use use, const struct hv_segment *segment, bool long_mode,
		   uint64_t cr4)
{
	uint16_t a = segment->attributes;

	if ((a & SEGMENT_RESERVED) || !address_valid(segment->base, true, cr4))
		return false;
	/* A processor has a TR even if it is not present: task_to_kvm(). */
	if ((use == SEGMENT_USE_TASK || (use == SEGMENT_USE_LOCAL && (a & SEGMENT_PRESENT))) &&
	    (segment->selector & SELECTOR_TABLE))
		return false;
	if (!(a & SEGMENT_PRESENT))
		return use != SEGMENT_USE_CODE;
	if (use <= SEGMENT_USE_DATA && segment->base > UINT32_MAX)
		return false;
	return kind_valid(use, a, long_mode);
}

/* Bits 31:20 need pages as the unit, bits 11:0 bytes unless all are set. */
static void agree_on_limit(struct kvm_segment *s)
{
	if (s->limit >> 20) {
		s->limit |= 0xfff;
		s->g = 1;
	} else if ((s->limit & 0xfff) != 0xfff) {
		s->g = 0;
	}
}

void segment_to_kvm(struct kvm_segment *to, const struct hv_segment *from)
{
	uint16_t a = from->attributes;

	memset(to, 0, sizeof(*to));
	to->base = from->base;
	to->limit = from->limit;
	to->selector = from->selector;
	to->type = a & SEGMENT_TYPE;
	to->s = a >> 4 & 1;
	to->dpl = a >> SEGMENT_DPL_SHIFT & 3;
	to->present = a >> 7 & 1;
	to->avl = a >> 12 & 1;
	to->l = a >> 13 & 1;
	to->db = a >> 14 & 1;
	to->g = a >> 15 & 1;
	to->unusable = !to->present;
	agree_on_limit(to);
}

void segment_from_kvm(struct hv_segment *to, const struct kvm_segment *from)
{
	unsigned present = from->present && !from->unusable;

	to->base = from->base;
	to->limit = from->limit;
	to->selector = from->selector;
	to->attributes = (uint16_t)((from->type & SEGMENT_TYPE) | (from->s & 1u) << 4 |
				    (from->dpl & 3u) << SEGMENT_DPL_SHIFT | present << 7 |
				    (from->avl & 1u) << 12 | (from->l & 1u) << 13 |
				    (from->db & 1u) << 14 | (from->g & 1u) << 15);
}

void task_to_kvm(struct kvm_segment *to, const struct hv_segment *from)
{
	segment_to_kvm(to, from);
	if (to->unusable)
		to->type = TSS_32;
	to->type |= SEGMENT_BUSY;
	to->s = 0;
	to->present = 1;
	to->unusable = 0;
}

void table_to_kvm(struct kvm_dtable *to, const struct hv_table *from)
{
	memset(to, 0, sizeof(*to));
	to->base = from->base;
	to->limit = from->limit;
}

void table_from_kvm(struct hv_table *to, const struct kvm_dtable *from)
{
	memset(to, 0, sizeof(*to));
	to->base = from->base;
	to->limit = from->limit;
}
