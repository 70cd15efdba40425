/* SPDX-License-Identifier: MIT */
/*
 * The page on which guest_stress.c and its VMM, stress.c, count.
 *
 * The first half of everything goes out alone, each when the one before was taken, so that nothing
 * makes up for a wake-up that was lost: first what the VMM sends, then the interrupts between VTLs.
 * The second half is a storm.
 */
#ifndef TESTS_LIVE_STRESS_H
#define TESTS_LIVE_STRESS_H

#include <stdint.h>

#define STRESS_BOARD	  0xf00000 /* guest physical; above the guest's image */
#define STRESS_VPS	  4
#define STRESS_NODES	  (2 * STRESS_VPS) /* a VTL of a VP */
#define STRESS_NODE(v, l) (2 * (v) + (l))
#define STRESS_VTL(node)  ((node) % 2)
#define STRESS_VP(node)	  ((node) / 2)

#define STRESS_SINT	  2
#define STRESS_TYPE	  0x100 /* of messages; the payload is their number, from 0 on */

/* The VTLs share their table of handlers, so that each VTL has vectors of its own. */
#define STRESS_VECTOR_IPI(from, vtl) (0x40 + 16 * (vtl) + (from))
#define STRESS_VECTOR_MESSAGE(vtl)   (0x60 + (vtl))
#define STRESS_VECTOR_MSI(vtl)	     (0x70 + (vtl))
/* MSIs for VP 0's VTL0: the VMM's first half is over; all kicks were made. */
#define STRESS_VECTOR_HALF   0x72
#define STRESS_VECTOR_KICKED 0x73
#define STRESS_VECTOR_TIMER  0x80 /* VTL1's */
#define STRESS_VECTOR_GUARD  0x81

struct stress_board {
	/* From the VMM. */
	uint32_t rounds; /* how much of each there is to be */

	/* From both. */
	volatile uint32_t busy; /* VP that may do something else than halt in the first half */

	/* From the guest, counted by whoever takes it. */
	volatile uint32_t ready; /* all processors are up, the VMM may begin */
	volatile uint32_t storm; /* the second half has begun */
	volatile uint32_t open;	 /* streams that have not come to their end */
	volatile uint32_t interrupts[STRESS_NODES][STRESS_NODES]; /* [to][from] */
	volatile uint32_t messages[STRESS_NODES], msis[STRESS_NODES];
	volatile uint32_t timers[STRESS_VPS];
	volatile uint32_t guards_set[STRESS_VPS], guards[STRESS_VPS];
	volatile uint32_t halts[2][STRESS_VPS]; /* by VTL */
	volatile uint32_t repeats;		/* delivered twice by an emulator, taken once */
};

#endif
