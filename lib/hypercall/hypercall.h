/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls: one table of metadata (table.c), one parser for all forms (parse.c), one small
 * handler a call.
 *
 * The code page (page.c) has three entries: hypercall, VTL call, VTL return. The run loop learns
 * which was used from hypercall_entry_of() and handles the VTL switches itself; the rest comes
 * here.
 */
#ifndef VSM_LIB_HYPERCALL_HYPERCALL_H
#define VSM_LIB_HYPERCALL_HYPERCALL_H

#include "hv/status.h"
#include "memory/memory.h"

struct vsm_vcpu;

/*
 * Finding a call by its code: rows[hypercall_hash(code)] is where it is in the table, if it is
 * there. No two calls of the table share a place.
 */
#define HYPERCALL_HASHES 256

static inline uint8_t hypercall_hash(uint16_t code)
{
	return (uint8_t)(code ^ code >> 8);
}

void hypercall_index(uint8_t rows[HYPERCALL_HASHES]);

enum hypercall_entry {
	HYPERCALL_ENTRY_NONE, /* not an `out` of the code page, or not from a legal environment: #UD
			       */
	HYPERCALL_ENTRY_HYPERCALL,
	HYPERCALL_ENTRY_VTL_CALL,
	HYPERCALL_ENTRY_VTL_RETURN,
};

/* Writes the code page's 4096 bytes for a hypercall port. */
void hypercall_page_fill(uint8_t *page, uint8_t port);

/* HvRegisterVsmCodePageOffsets. */
uint64_t hypercall_page_offsets(void);

#define HYPERCALL_OUT_LENGTH 2

/* Some guests take 0x16 for the VTL call's offset without asking. */
#define HYPERCALL_OFFSET_HYPERCALL  0x00
#define HYPERCALL_OFFSET_VTL_CALL   0x16
#define HYPERCALL_OFFSET_VTL_RETURN 0x20

static const struct {
	uint16_t offset;
	enum hypercall_entry entry;
} hypercall_page_entries[] = {
	{HYPERCALL_OFFSET_HYPERCALL, HYPERCALL_ENTRY_HYPERCALL},
	{HYPERCALL_OFFSET_VTL_CALL, HYPERCALL_ENTRY_VTL_CALL},
	{HYPERCALL_OFFSET_VTL_RETURN, HYPERCALL_ENTRY_VTL_RETURN},
};

#define HYPERCALL_PAGE_ENTRIES (sizeof(hypercall_page_entries) / sizeof(hypercall_page_entries[0]))

/*
 * Which entry a PIO exit on the hypercall port came from. page_offset: offset in the code page of
 * CS:RIP, which is at or past the `out`. *out_offset: offset of the `out` itself. Asked at every
 * hypercall and VTL switch, and inline for that.
 */
static inline enum hypercall_entry hypercall_page_entry(unsigned page_offset, unsigned *out_offset)
{
	for (size_t i = 0; i < HYPERCALL_PAGE_ENTRIES; i++) {
		unsigned offset = hypercall_page_entries[i].offset;

		if (page_offset != offset && page_offset != offset + HYPERCALL_OUT_LENGTH)
			continue;
		*out_offset = offset;
		return hypercall_page_entries[i].entry;
	}
	return HYPERCALL_ENTRY_NONE;
}

/* What the run loop has to do after a call. */
enum hypercall_outcome {
	HYPERCALL_DONE,	 /* result is in the caller's registers; advance past the `out` */
	HYPERCALL_AGAIN, /* a rep call stopped early: its registers say where; run the `out` again
			  */
	HYPERCALL_VTL_CALL, /* call codes 0x11 and 0x12, legal so far: *control is their control
			       input */
	HYPERCALL_VTL_RETURN,
	HYPERCALL_UD,	 /* inject #UD */
	HYPERCALL_FAULT, /* *fault: the caller's VTL may not read the input or write the output
			    page; registers untouched */
};

struct hypercall_result {
	enum hypercall_outcome outcome;
	bool blocked; /* HYPERCALL_AGAIN, after tlb_wait() */
	uint16_t code;
	uint16_t status; /* enum hv_status */
	uint16_t reps;	 /* reps done */
	uint64_t control;
	struct access_fault fault;
};

/* As large as a call's can be. */
struct hypercall_parameters {
	_Alignas(16) uint8_t input[VSM_PAGE_SIZE];
	_Alignas(16) uint8_t output[VSM_PAGE_SIZE];
};

/*
 * Executes the hypercall in the registers of vp's active VTL, as vtl_cpu_state() gives them. 0, with
 * *result filled and the registers updated (RIP excepted); or the errno of a failed kernel call.
 */
int hypercall_execute(struct vsm_vcpu *vp, const struct kvm_regs *regs,
		      const struct kvm_sregs *sregs, struct hypercall_result *result);

#endif
