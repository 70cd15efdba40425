/* SPDX-License-Identifier: MIT */
/* A hypercall's input and output: in guest memory, which is inline for the run loop, or in
 * registers. */
#ifndef VSM_LIB_HYPERCALL_PARAMETERS_H
#define VSM_LIB_HYPERCALL_PARAMETERS_H

#include <string.h>

#include "hypercall/call.h"

/* parameters.c: of fast calls. 0 or the errno of the failed kernel call. */
int parameters_get_xmm(struct hypercall_call *c);
int parameters_put_fast(struct hypercall_call *c, uint32_t first, uint32_t end);

/*
 * The block of a fast call is RDX, R8, XMM0..XMM5. 32-bit callers have the general register part in
 * EBX:ECX and EDI:ESI, which is what the parser took for GPAs.
 */
static inline int parameters_get_fast(struct hypercall_call *c)
{
	const uint64_t gprs[] = {c->input_gpa.addr, c->output_gpa.addr};

	_Static_assert(sizeof(gprs) == HV_FAST_GPR_SIZE, "all of them");
	memcpy(c->input, gprs, sizeof(gprs));
	return c->input_size <= sizeof(gprs) ? 0 : parameters_get_xmm(c);
}

/*
 * Reads the input, and sees to it that the output can be written, the whole of it, before the call
 * does anything. Of a slow call -EACCES: the caller's VTL may not, *fault says what; -EFAULT:
 * outside memory. Of a fast call, the errno of the failed kernel call.
 */
static inline int hypercall_get_input(struct hypercall_call *c, struct access_fault *fault)
{
	const struct memory *m = &c->partition->memory;
	int r = 0;

	if (c->fast)
		return parameters_get_fast(c);
	if (c->input_size)
		r = block_read(m, c->vtl, c->input_gpa, c->input, c->input_size, &c->caller->input,
			       fault);
	if (!r && c->output_size)
		r = block_check(m, c->vtl, c->output_gpa, MEM_WRITE, &c->caller->output, fault);
	return r;
}

/* Writes output[first, end). Errors as above. */
static inline int hypercall_put_output(struct hypercall_call *c, uint32_t first, uint32_t end,
				       struct access_fault *fault)
{
	if (first >= end)
		return 0;
	if (c->fast)
		return parameters_put_fast(c, first, end);
	return block_write(&c->partition->memory, c->vtl, gpa_from(c->output_gpa.addr + first),
			   c->output + first, end - first, &c->caller->output, fault);
}

#endif
