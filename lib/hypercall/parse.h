/* SPDX-License-Identifier: MIT */
/* A hypercall's control word (TLFS hypercall-interface.md); inline for the run loop. */
#ifndef VSM_LIB_HYPERCALL_PARSE_H
#define VSM_LIB_HYPERCALL_PARSE_H

#include "hypercall/call.h"

static inline uint64_t hypercall_pair(uint64_t high, uint64_t low)
{
	return high << 32 | (uint32_t)low;
}

/* The control word of the active VTL's call, and which call it names. */
static inline void hypercall_parse(struct hypercall_call *c, struct vsm_vcpu *vp,
				   const struct kvm_regs *regs, const struct kvm_sregs *sregs)
{
	c->vp = vp;
	c->partition = vp->partition;
	c->vtl = vp->active_vtl;
	c->caller = &vp->vtls[c->vtl];
	c->mode64 = cpu_64bit(sregs);
	c->control = c->mode64 ? regs->rcx : hypercall_pair(regs->rdx, regs->rax);
	c->regs = regs;
	c->error = 0;
	c->blocked = false;
	c->info = hypercall_find(vp->partition->hypercall_rows,
				 (uint16_t)(c->control & HV_CONTROL_CODE));
}

/* A simple call with nothing but its code: as most are, and little to take apart. */
static inline bool parse_plain(const struct hypercall_call *c)
{
	return !c->info->rep && !(c->control & ~(HV_CONTROL_CODE | HV_CONTROL_FAST));
}

/* The variable sized header and the elements, if the call may have them, and all parts' sizes. */
static inline enum hv_status parse_parts(struct hypercall_call *c)
{
	const struct hypercall_info *info = c->info;

	c->variable = (uint16_t)(((c->control & HV_CONTROL_VARIABLE) >> HV_CONTROL_VARIABLE_SHIFT) *
				 sizeof(uint64_t));
	c->reps = (uint16_t)((c->control & HV_CONTROL_REP_COUNT) >> HV_CONTROL_REP_COUNT_SHIFT);
	c->rep = (uint16_t)((c->control & HV_CONTROL_REP_START) >> HV_CONTROL_REP_START_SHIFT);
	if ((c->control & HV_CONTROL_RESERVED) || (c->variable && !info->variable))
		return HV_INVALID_HYPERCALL_INPUT;
	if (info->rep ? c->rep >= c->reps : c->rep || c->reps)
		return HV_INVALID_HYPERCALL_INPUT;
	c->input_size = info->input + c->variable + (uint32_t)c->reps * info->input_rep;
	c->output_size = info->output + (uint32_t)c->reps * info->output_rep;
	return HV_SUCCESS;
}

static inline void parse_no_parts(struct hypercall_call *c)
{
	c->variable = c->reps = c->rep = 0;
	c->input_size = c->info->input;
	c->output_size = c->info->output;
}

static inline void parse_gpas(struct hypercall_call *c)
{
	const struct kvm_regs *regs = c->regs;

	c->input_gpa = gpa_from(c->mode64 ? regs->rdx : hypercall_pair(regs->rbx, regs->rcx));
	c->output_gpa = gpa_from(c->mode64 ? regs->r8 : hypercall_pair(regs->rdi, regs->rsi));
}

/* 16-byte register pairs a block takes. */
static inline uint32_t parse_pairs(uint32_t size)
{
	return (size + 15) / 16;
}

static inline bool parse_fits_registers(const struct hypercall_call *c)
{
	/* Output in registers is for 64-bit callers only. */
	if (c->output_size && !c->mode64)
		return false;
	return parse_pairs(c->input_size) + parse_pairs(c->output_size) <= HV_FAST_SIZE / 16;
}

/* A block the call does not have is not looked at. */
static inline bool parse_fits_page(gpa_t gpa, uint32_t size)
{
	return !size ||
	       (gpa.addr % HV_PARAMETER_ALIGN == 0 && gpa_offset(gpa) + size <= VSM_PAGE_SIZE);
}

/*
 * Takes the control word apart. Is it right for the call, and do its parameters fit where they are
 * said to be?
 */
static inline enum hv_status hypercall_check(struct hypercall_call *c)
{
	enum hv_status status = HV_SUCCESS;

	c->fast = c->control & HV_CONTROL_FAST;
	parse_gpas(c);
	if (parse_plain(c))
		parse_no_parts(c);
	else
		status = parse_parts(c);
	if (status)
		return status;
	if (c->fast)
		return parse_fits_registers(c) ? HV_SUCCESS : HV_INVALID_HYPERCALL_INPUT;
	if (!parse_fits_page(c->input_gpa, c->input_size) ||
	    !parse_fits_page(c->output_gpa, c->output_size))
		return HV_INVALID_ALIGNMENT;
	return HV_SUCCESS;
}

#endif
