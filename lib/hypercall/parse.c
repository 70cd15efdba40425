/* SPDX-License-Identifier: MIT */
/* A hypercall's control word (TLFS hypercall-interface.md). */
#include "hypercall/call.h"
#include "kvm/path.h"

static void decode_control(struct hypercall_call *c)
{
	const struct kvm_regs *regs = c->regs;

	c->fast = c->control & HV_CONTROL_FAST;
	c->variable = (uint16_t)(((c->control & HV_CONTROL_VARIABLE) >> HV_CONTROL_VARIABLE_SHIFT) *
				 sizeof(uint64_t));
	c->reps = (c->control & HV_CONTROL_REP_COUNT) >> HV_CONTROL_REP_COUNT_SHIFT;
	c->rep = (c->control & HV_CONTROL_REP_START) >> HV_CONTROL_REP_START_SHIFT;
	c->input_gpa = gpa_from(c->mode64 ? regs->rdx : hypercall_pair(regs->rbx, regs->rcx));
	c->output_gpa = gpa_from(c->mode64 ? regs->r8 : hypercall_pair(regs->rdi, regs->rsi));
}

static enum hv_status check_control(const struct hypercall_call *c)
{
	if ((c->control & HV_CONTROL_RESERVED) || (c->variable && !c->info->variable))
		return HV_INVALID_HYPERCALL_INPUT;
	if (c->info->rep ? c->rep >= c->reps : c->rep || c->reps)
		return HV_INVALID_HYPERCALL_INPUT;
	return HV_SUCCESS;
}

/* 16-byte register pairs a block takes. */
static uint32_t pairs(uint32_t size)
{
	return (size + 15) / 16;
}

static bool fits_registers(const struct hypercall_call *c)
{
	/* Output in registers is for 64-bit callers only. */
	if (c->output_size && !c->mode64)
		return false;
	return pairs(c->input_size) + pairs(c->output_size) <= HV_FAST_SIZE / 16;
}

/* A block the call does not have is not looked at. */
static bool fits_page(gpa_t gpa, uint32_t size)
{
	return !size ||
	       (gpa.addr % HV_PARAMETER_ALIGN == 0 && gpa_offset(gpa) + size <= VSM_PAGE_SIZE);
}

RUN_PATH enum hv_status hypercall_check(struct hypercall_call *c)
{
	const struct hypercall_info *info = c->info;
	enum hv_status status;

	decode_control(c);
	status = check_control(c);
	if (status)
		return status;
	c->input_size = info->input + c->variable + (uint32_t)c->reps * info->input_rep;
	c->output_size = info->output + (uint32_t)c->reps * info->output_rep;
	if (c->fast)
		return fits_registers(c) ? HV_SUCCESS : HV_INVALID_HYPERCALL_INPUT;
	if (!fits_page(c->input_gpa, c->input_size) || !fits_page(c->output_gpa, c->output_size))
		return HV_INVALID_ALIGNMENT;
	return HV_SUCCESS;
}
