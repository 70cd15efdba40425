/* SPDX-License-Identifier: MIT */
/*
 * Synthetic timers (TLFS timers.md): four of each VTL of each VP, in reference time.
 *
 * Something that watches the clock asks stimer_deadline() and calls stimer_expire() then.
 */
#ifndef VSM_LIB_TIMER_STIMER_H
#define VSM_LIB_TIMER_STIMER_H

#include <stdint.h>

struct vsm_vcpu;

#define STIMER_COUNT 4
#define STIMER_NONE  UINT64_MAX

struct stimer {
	uint64_t config, count; /* the registers */
	uint64_t expiration;	/* reference time the next signal is for */
	uint64_t due;		/* reference time it is given at */
	uint64_t due_ns;	/* the same on CLOCK_MONOTONIC; STIMER_NONE: not running */
};

/* Reset values. */
void stimer_reset(struct stimer *timers);

/* Rows of the synthetic MSR table. */
int stimer_msr_read(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value);
int stimer_msr_write(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value);

/*
 * When stimer_expire() next has something to do for this VTL, on CLOCK_MONOTONIC; STIMER_NONE, which
 * the VTL's `timer_runs` then says too.
 */
uint64_t stimer_deadline(struct vsm_vcpu *vp, unsigned vtl);

/* Signals what is due at now_ns in all VTLs of the VP. */
void stimer_expire(struct vsm_vcpu *vp, uint64_t now_ns);

#endif
