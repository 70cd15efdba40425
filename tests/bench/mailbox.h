/* SPDX-License-Identifier: MIT */
/* What the benchmark's guest (guest.c) and its VMM say to each other: a mailbox in guest memory. */
#ifndef VSM_TESTS_BENCH_MAILBOX_H
#define VSM_TESTS_BENCH_MAILBOX_H

#include <stdint.h>

/*
 * `out` of 32 bits: done, the value is the mailbox's address. The VMM fills in the next command and
 * goes on. A failed check of the guest, or an exception, goes to examples/guest's ports.
 */
#define MAILBOX_PORT	0xb0

#define MAILBOX_SAMPLES 64

/* RAM that the guest does not use for itself, up to the end of its memory. */
#define BENCH_ARENA	 0x1000000 /* 16 MiB */
#define BENCH_ARENA_SIZE 0x8000000 /* 128 MiB */
#define BENCH_RAM	 (BENCH_ARENA + BENCH_ARENA_SIZE)

enum mailbox_op {
	MAILBOX_CALLS,	    /* `count` VTL calls that return at once */
	MAILBOX_HYPERCALLS, /* `count` hypercalls with the registers below */
	MAILBOX_INTERCEPTS, /* `count` stores VTL1 intercepts and skips; fills in samples[] */
	MAILBOX_PROTECT,    /* VTL1 puts mask[0], then mask[1], on the pages below; `count` times */
	MAILBOX_TOUCH,	    /* VTL0 writes to the pages below */
	MAILBOX_STORES,	    /* `count` stores of VTL0 to the first page below */
	MAILBOX_END,	    /* of MAILBOX_CALLS and MAILBOX_INTERCEPTS; the guest's own */
};

struct mailbox {
	volatile uint32_t op;
	volatile uint32_t fp; /* MAILBOX_CALLS: both sides change the FP state before each switch */
	uint64_t count;
	uint64_t rcx, rdx, r8; /* MAILBOX_HYPERCALLS */
	uint64_t first, stride, pages;
	uint32_t mask[2], masks; /* masks: how many of them */
	uint32_t spin;		 /* address of code another processor can spin in */
	uint64_t input,
		output; /* addresses: a page with HvCallGetVpRegisters of VsmVpStatus, an empty one */
	uint64_t tsc;	/* when the guest was done */
	uint64_t
		ticks; /* TSC ticks that MAILBOX_CALLS, _HYPERCALLS, _STORES took, without the way there and back */
	volatile uint64_t
		samples[MAILBOX_SAMPLES]; /* TSC ticks from the store to VTL1's first instruction */
};

#endif
