/* SPDX-License-Identifier: MIT */
/* The hypercall page's contents: three entries that trap with an `out` and return. */
#include "hypercall/hypercall.h"

#include <string.h>

#include "hv/vsm.h"

#define OPCODE_INT3 0xcc
#define OPCODE_OUT_IMM \
	0xe6 /* out %al, $imm8: changes no register, the same in 32- and 64-bit mode */
#define OPCODE_RET 0xc3

#define OUT_LENGTH 2

/* Some guests take 0x16 for the VTL call's offset without asking. */
#define OFFSET_HYPERCALL  0x00
#define OFFSET_VTL_CALL	  0x16
#define OFFSET_VTL_RETURN 0x20

static const struct {
	uint16_t offset;
	enum hypercall_entry entry;
} entries[] = {
	{OFFSET_HYPERCALL, HYPERCALL_ENTRY_HYPERCALL},
	{OFFSET_VTL_CALL, HYPERCALL_ENTRY_VTL_CALL},
	{OFFSET_VTL_RETURN, HYPERCALL_ENTRY_VTL_RETURN},
};

#define ENTRIES (sizeof(entries) / sizeof(entries[0]))

void hypercall_page_fill(uint8_t *page, uint8_t port)
{
	memset(page, OPCODE_INT3, VSM_PAGE_SIZE);
	for (size_t i = 0; i < ENTRIES; i++) {
		uint8_t *code = page + entries[i].offset;

		code[0] = OPCODE_OUT_IMM;
		code[1] = port;
		code[OUT_LENGTH] = OPCODE_RET;
	}
}

uint64_t hypercall_page_offsets(void)
{
	return (uint64_t)OFFSET_VTL_CALL << HV_CODE_PAGE_CALL_SHIFT |
	       (uint64_t)OFFSET_VTL_RETURN << HV_CODE_PAGE_RETURN_SHIFT;
}

enum hypercall_entry hypercall_page_entry(unsigned page_offset, unsigned *out_offset)
{
	for (size_t i = 0; i < ENTRIES; i++) {
		unsigned offset = entries[i].offset;

		if (page_offset != offset && page_offset != offset + OUT_LENGTH)
			continue;
		*out_offset = offset;
		return entries[i].entry;
	}
	return HYPERCALL_ENTRY_NONE;
}
