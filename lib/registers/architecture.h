/* SPDX-License-Identifier: MIT */
/* What the x86 architecture says a register may hold, and the TLFS's segment and table registers in
 * KVM's form. */
#ifndef VSM_LIB_REGISTERS_ARCHITECTURE_H
#define VSM_LIB_REGISTERS_ARCHITECTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/kvm.h>
#include "hv/vsm.h"

#define CR0_PE	 (UINT64_C(1) << 0)
#define CR0_ET	 (UINT64_C(1) << 4)
#define CR0_NW	 (UINT64_C(1) << 29)
#define CR0_CD	 (UINT64_C(1) << 30)
#define CR0_PG	 (UINT64_C(1) << 31)

#define CR4_PAE	 (UINT64_C(1) << 5)
#define CR4_LA57 (UINT64_C(1) << 12)

#define EFER_LME (UINT64_C(1) << 8)
#define EFER_LMA (UINT64_C(1) << 10)

/* SCE, LME, LMA, NXE, LMSLE, FFXSR, TCE, AIBRSE: without SVME, which KVM would take from user space whatever
 * the guest's CPUID says. */
#define EFER_VALID	UINT64_C(0x20ed01)

#define RFLAGS_FIXED	UINT64_C(0x2)
#define RFLAGS_RESERVED (~UINT64_C(0x3fffff) | UINT64_C(0x8028))
#define RFLAGS_VM	(UINT64_C(1) << 17)

/* hv_segment.attributes */
#define SEGMENT_TYPE	   0x000f
#define SEGMENT_CODE	   0x0008 /* of a non-system segment */
#define SEGMENT_ACCESS	   0x0002 /* of one: writable data, readable code */
#define SEGMENT_BUSY	   0x0002 /* of a TSS */
#define SEGMENT_NON_SYSTEM 0x0010
#define SEGMENT_DPL_SHIFT  5
#define SEGMENT_DPL	   0x0060
#define SEGMENT_PRESENT	   0x0080
#define SEGMENT_RESERVED   0x0f00
#define SEGMENT_LONG	   0x2000
#define SEGMENT_DEFAULT	   0x4000

#define SELECTOR_TABLE	   4 /* of a selector: the descriptor is in the LDT */

/* The most bits that physical addresses have (Intel SDM 3A, 4.1.4). */
#define PHYSICAL_BITS 52

/* Reserved upper half, paging without protection, and not-write-through with the cache on (Intel
 * SDM 3A, 2.5). */
bool cr0_valid(uint64_t cr0);

/*
 * For physical addresses of `bits` bits; 0: not known. In long mode KVM refuses CR3 itself
 * (kvm_is_valid_sregs()), and knows of bits that are no address; otherwise it does not look, and
 * the processor then does not enter the guest (AMD APM 2, 15.5.1; Intel SDM 3C, 27.3.1.1).
 */
bool cr3_valid(uint64_t cr3, uint64_t efer, unsigned bits);

bool rflags_valid(uint64_t rflags);

/* Memory types 0, 1, 4, 5, 6, 7 in each byte. */
bool pat_valid(uint64_t pat);

/* Canonical for the number of paging levels in CR4; outside long mode (not wide) 32 bits. */
bool address_valid(uint64_t address, bool wide, uint64_t cr4);

/* EFER with LMA as LME and CR0 imply it. */
uint64_t efer_with_lma(uint64_t efer, uint64_t cr0);

bool segment_is_tss(uint16_t attributes);

enum segment_use {
	SEGMENT_USE_CODE,
	SEGMENT_USE_STACK,
	SEGMENT_USE_DATA,  /* DS, ES */
	SEGMENT_USE_BASED, /* FS, GS: data with a base of 64 bits */
	SEGMENT_USE_LOCAL, /* LDTR */
	SEGMENT_USE_TASK,
};

/*
 * Would a processor enter a guest with this segment (Intel SDM 3C, 28.3.1.2, and AMD APM 2,
 * 15.5.1)? What two segments must agree in is not looked at: guests set them one by one.
 */
bool segment_valid(enum segment_use use, const struct hv_segment *segment, bool long_mode,
		   uint64_t cr4);

/* A segment that is not present keeps its base: FS and GS need it. Limit and granularity are made
 * to agree, as processors demand; the limit counts. */
void segment_to_kvm(struct kvm_segment *to, const struct hv_segment *from);
void segment_from_kvm(struct hv_segment *to, const struct kvm_segment *from);

/* TR: a processor always has one, busy. */
void task_to_kvm(struct kvm_segment *to, const struct hv_segment *from);

void table_to_kvm(struct kvm_dtable *to, const struct hv_table *from);
void table_from_kvm(struct hv_table *to, const struct kvm_dtable *from);

#endif
