/* SPDX-License-Identifier: MIT */
/* The hypercall page's contents: three entries that trap with an `out` and return. */
#include "hypercall/hypercall.h"

#include <string.h>

#include "hv/vsm.h"

#define OPCODE_INT3 0xcc
#define OPCODE_OUT_IMM \
	0xe6 /* out %al, $imm8: changes no register, the same in 32- and 64-bit mode */
#define OPCODE_RET 0xc3

void hypercall_page_fill(uint8_t *page, uint8_t port)
{
	memset(page, OPCODE_INT3, VSM_PAGE_SIZE);
	for (size_t i = 0; i < HYPERCALL_PAGE_ENTRIES; i++) {
		uint8_t *code = page + hypercall_page_entries[i].offset;

		code[0] = OPCODE_OUT_IMM;
		code[1] = port;
		code[HYPERCALL_OUT_LENGTH] = OPCODE_RET;
	}
}

uint64_t hypercall_page_offsets(void)
{
	return (uint64_t)HYPERCALL_OFFSET_VTL_CALL << HV_CODE_PAGE_CALL_SHIFT |
	       (uint64_t)HYPERCALL_OFFSET_VTL_RETURN << HV_CODE_PAGE_RETURN_SHIFT;
}
