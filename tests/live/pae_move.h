/* SPDX-License-Identifier: MIT */
/* What guest_pae_move.c and its 32-bit code, pae_move.S, share. */
#ifndef VSM_TESTS_LIVE_PAE_MOVE_H
#define VSM_TESTS_LIVE_PAE_MOVE_H

#define PAE_WINDOW 0xc0000000

/* RBX of a VTL call. */
#define PAE_NEXT 1 /* what came of the load is there: VTL1 looks at it, and says what is next */
#define PAE_OPEN 2 /* after #GP: VTL0 asks for the page */

/* Of struct pae_move. */
#define PAE_HOME       0
#define PAE_TARGET     4
#define PAE_RETRIES    8
#define PAE_CR3	       12
#define PAE_SEEN       16
#define PAE_FAULTS     20
#define PAE_ERROR_CODE 24
#define PAE_EIP	       28
#define PAE_FAULT_CR3  32
#define PAE_FAULT_SEEN 36

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct pae_move {
	/* VTL1's. CR3 of before, and to load; and whether VTL0 asks for it after #GP, or goes on. */
	uint32_t home, target, retries;
	/* CR3 behind the load, and what is at PAE_WINDOW. */
	uint32_t cr3, seen;
	/* #GPs, and of the last one what it is, CR3, and what was at PAE_WINDOW. */
	uint32_t faults, error_code, eip, fault_cr3, fault_seen;
};
_Static_assert(offsetof(struct pae_move, fault_seen) == PAE_FAULT_SEEN, "as pae_move.S has it");

extern struct pae_move pae_move;
extern char pae_load[], pae_behind[]; /* MOV to CR3, and what follows it */

/* From 64-bit to 32-bit code with PAE paging, where it loads CR3 again and again. */
void pae_run(const uint64_t *home) __attribute__((noreturn));
#endif

#endif
