/* SPDX-License-Identifier: MIT */
/* How the library tells its VMM what happens. It never prints. */
#ifndef VSM_LOG_H
#define VSM_LOG_H

#include <stdint.h>

enum vsm_log_level {
	VSM_LOG_ERROR = 0, /* a partition died, a kernel call failed that must not */
	VSM_LOG_WARNING,   /* a host without something wanted; a guest that is refused for policy */
	VSM_LOG_INFO,	   /* life cycle: VTL enabled, protections on */
	VSM_LOG_DEBUG,
};

/*
 * Receives one line without a newline. Called on the thread that caused it, with the partition's
 * lock held: it must not call into the same partition, and should be short.
 */
typedef void (*vsm_log_fn)(void *ctx, enum vsm_log_level level, const char *line);

enum vsm_trace_kind {
	VSM_TRACE_SWITCH, /* from VTL to VTL: vtl, target_vtl, code = HV_VTL_ENTRY_REASON, or 0 for
			     a return */
	VSM_TRACE_HYPERCALL,	 /* vtl, code = call code, status, reps */
	VSM_TRACE_INTERCEPT,	 /* of memory: vtl, target_vtl, gpa, gva, access */
	VSM_TRACE_MSR_INTERCEPT, /* vtl, target_vtl, number = the MSR, access */
	VSM_TRACE_IO_INTERCEPT,	 /* vtl, target_vtl, number = the I/O port, access */
};

/*
 * One event. `vp` is the VP index, `time_ns` CLOCK_MONOTONIC, `rip` where `vtl` goes on: behind the
 * hypercall page's instruction (or at it, for a call that is to be made again), or at the
 * instruction that an interrupt came before or that is intercepted. Other members that a kind does
 * not name are 0.
 */
struct vsm_trace_event {
	enum vsm_trace_kind kind;
	uint32_t vp;
	uint64_t time_ns;
	uint8_t vtl;
	uint8_t target_vtl;
	uint16_t code;
	uint16_t status;
	uint16_t reps;
	uint64_t rip;
	uint64_t gpa;
	uint64_t gva;
	uint8_t access; /* 0 read, 1 write, 2 execute */
	uint32_t number;
};

/* Same rules as vsm_log_fn. */
typedef void (*vsm_trace_fn)(void *ctx, const struct vsm_trace_event *event);

#endif
