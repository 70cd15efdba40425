/* SPDX-License-Identifier: MIT */
/*
 * Intercepts of I/O ports (HvCallInstallIntercept): which are wanted, and what the processor was
 * before an access that KVM has already made half or whole.
 */
#ifndef VSM_LIB_INTERCEPT_IO_H
#define VSM_LIB_INTERCEPT_IO_H

#include <stdbool.h>
#include <stdint.h>
#include "intercept/intercept.h"

struct vsm_partition;
struct vsm_vcpu;

/* Room for one VTL's wishes, made with the partition. */
struct io_intercepts;

/* -ENOMEM. The partition releases what there is. */
int io_intercept_init(struct vsm_partition *p);
void io_intercept_free(struct vsm_partition *p);

/*
 * VTL `setter` intercepts accesses (HV_INTERCEPT_ACCESS_*; none: no longer) to the ports, first to
 * last, of all VTLs below it. -ENOTSUP: KVM answers one of them itself, without anybody knowing.
 */
int io_intercept_install(struct vsm_partition *p, unsigned setter, uint16_t first, uint16_t last,
			 uint8_t access);

/* VTL `setter` ends all it installed. */
void io_intercept_forget(struct vsm_partition *p, unsigned setter);

/* An access that came out as KVM_EXIT_IO. */
struct io_access {
	bool in;
	uint8_t size;	/* bytes */
	uint16_t port;	/* the first */
	uint32_t count; /* of a repeated string instruction, how many at once */
};

/* The lowest VTL above the VP's active one that intercepts it; 0: none. */
unsigned io_intercept_setter(const struct vsm_vcpu *vp, const struct io_access *io);

/* The instruction of an access. */
struct io_insn {
	struct insn insn; /* length 0: it cannot be told */
	bool string;
};

/*
 * The active VTL's registers, as KVM shows them at the exit, become what they were before the
 * instruction. They are dirty already, as exit_take_back() leaves them. stepped: KVM had not moved
 * RIP yet when it came out.
 */
int io_before(struct vsm_vcpu *vp, const struct io_access *io, bool stepped, struct io_insn *found);

/* --- message.c --- */

void intercept_io_message(struct hv_message *msg, uint32_t vp_index, unsigned vtl,
			  const struct insn_context *c, const struct io_access *io,
			  const struct io_insn *found);

#endif
