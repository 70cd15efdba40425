/* SPDX-License-Identifier: MIT */
/* Executes a hypercall: parse, check, read the input, let the handler work, write the output. */
#include "hypercall/parameters.h"
#include "hypercall/parse.h"
#include "kvm/path.h"

#include <errno.h>
#include <string.h>

#include "hv/privileges.h"
#include "vcpu/vcpu.h"

/*
 * Bytes of the input and the output of nearly all calls, for which there is room on the stack: it
 * is at hand after an exit, unlike pages that nothing else uses.
 */
#define SMALL 64

/* For a 64-bit caller in the register at `offset` of struct kvm_regs, for others in EDX:EAX. */
static int put_value(struct hypercall_call *c, size_t offset, uint64_t value)
{
	struct kvm_regs *regs;
	int r = vtl_cpu_regs(&c->caller->cpu, &regs);

	if (r)
		return r;
	if (c->mode64) {
		memcpy((uint8_t *)regs + offset, &value, sizeof(value));
	} else {
		regs->rax = (uint32_t)value;
		regs->rdx = value >> 32;
	}
	vtl_cpu_dirty(&c->caller->cpu, CPU_REGS);
	return 0;
}

/* The control word of the same call, continued at its next element. */
static int put_continuation(struct hypercall_call *c)
{
	uint64_t control = c->control & ~HV_CONTROL_REP_START;

	return put_value(c, offsetof(struct kvm_regs, rcx),
			 control | (uint64_t)c->rep << HV_CONTROL_REP_START_SHIFT);
}

static int finish(struct hypercall_call *c, struct hypercall_result *result, enum hv_status status)
{
	result->outcome = HYPERCALL_DONE;
	result->status = (uint16_t)status;
	return put_value(c, offsetof(struct kvm_regs, rax),
			 (uint64_t)result->reps << HV_RESULT_REPS_SHIFT | status);
}

/*
 * The parameters could not be reached. In registers that is the kernel's failure; in memory the
 * guest's, or a higher VTL's will.
 */
static int parameters_failed(struct hypercall_call *c, struct hypercall_result *result, int error)
{
	if (c->fast)
		return error;
	if (error != -EACCES)
		return finish(c, result, HV_INVALID_ALIGNMENT);
	result->outcome = HYPERCALL_FAULT;
	return 0;
}

/*
 * Reached with the call code in RCX (or EDX:EAX), a VTL switch has its control input in RAX (ECX):
 * that is where Hyper-V's own code page moves it before it traps.
 */
static int vtl_switch(struct hypercall_call *c, struct hypercall_result *result)
{
	struct kvm_regs *regs;
	int r = vtl_cpu_regs(&c->caller->cpu, &regs);

	if (r)
		return r;
	result->control = c->mode64 ? regs->rax : (uint32_t)regs->rcx;
	result->outcome = c->info->outcome;
	if (c->control & ~(HV_CONTROL_CODE | HV_CONTROL_FAST))
		result->outcome = HYPERCALL_UD;
	return 0;
}

/* The call is made again, for its next element or because it has to wait. */
static int again(struct hypercall_call *c, struct hypercall_result *result)
{
	result->blocked = c->blocked;
	result->outcome = HYPERCALL_AGAIN;
	return put_continuation(c);
}

/* There is output of the elements done, whatever came after. */
static int handle_rep(struct hypercall_call *c, struct hypercall_result *result)
{
	uint32_t size = c->info->output_rep, first = c->rep * size;
	enum hv_status status = c->info->handle(c);
	int r;

	if (c->error)
		return c->error;
	result->reps = c->rep;
	r = hypercall_put_output(c, first, c->rep * size, &result->fault);
	if (r)
		return parameters_failed(c, result, r);
	if (c->blocked || (!status && c->rep < c->reps))
		return again(c, result);
	return finish(c, result, status);
}

/* There is output on success only. */
static inline int handle_simple(struct hypercall_call *c, struct hypercall_result *result)
{
	enum hv_status status = c->info->handle(c);
	int r;

	if (c->error)
		return c->error;
	if (c->blocked)
		return again(c, result);
	if (!status && c->output_size) {
		r = hypercall_put_output(c, 0, c->output_size, &result->fault);
		if (r)
			return parameters_failed(c, result, r);
	}
	return finish(c, result, status);
}

/* Handlers find the output zeroed: what one leaves out tells the guest nothing of the host. */
static SIDE_PATH void use_large(struct hypercall_call *c)
{
	c->input = c->vp->parameters.input;
	c->output = c->vp->parameters.output;
	memset(c->output, 0, c->output_size);
}

static inline int execute(struct hypercall_call *c, struct hypercall_result *result)
{
	struct {
		_Alignas(16) uint8_t input[SMALL];
		_Alignas(16) uint8_t output[SMALL];
	} small;
	int r;

	c->input = small.input;
	c->output = small.output;
	if (c->input_size > SMALL || c->output_size > SMALL)
		use_large(c);
	else if (c->output_size)
		memset(small.output, 0, sizeof(small.output));
	r = hypercall_get_input(c, &result->fault);
	if (r)
		return parameters_failed(c, result, r);
	return c->info->rep ? handle_rep(c, result) : handle_simple(c, result);
}

static int check_and_execute(struct hypercall_call *c, struct hypercall_result *result)
{
	enum hv_status status;

	if (c->info->privileges & ~HV_PRIVILEGES_GRANTED)
		return finish(c, result, HV_ACCESS_DENIED);
	if (c->info->outcome != HYPERCALL_DONE)
		return vtl_switch(c, result);
	status = hypercall_check(c);
	return status ? finish(c, result, status) : execute(c, result);
}

RUN_PATH int hypercall_execute(struct vsm_vcpu *vp, const struct kvm_regs *regs,
			       const struct kvm_sregs *sregs, struct hypercall_result *result)
{
	struct hypercall_call c;

	hypercall_parse(&c, vp, regs, sregs);
	*result = (struct hypercall_result){.code = (uint16_t)(c.control & HV_CONTROL_CODE)};
	if (!c.info)
		return finish(&c, result, HV_INVALID_HYPERCALL_CODE);
	return check_and_execute(&c, result);
}
