/* SPDX-License-Identifier: MIT */
/* A hypercall's control word and result, in the registers of 64- and 32-bit callers (TLFS
 * hypercall-interface.md). */
#include "hypercall/call.h"

#include <string.h>

#include "vcpu/vcpu.h"

static uint64_t pair(uint64_t high, uint64_t low)
{
	return high << 32 | (uint32_t)low;
}

int hypercall_parse(struct hypercall_call *c, struct vsm_vcpu *vp)
{
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;
	int r = vtl_cpu_state(&vcpu_active(vp)->cpu, &regs, &sregs);

	if (r)
		return r;
	c->vp = vp;
	c->partition = vp->partition;
	c->vtl = vp->active_vtl;
	c->mode64 = cpu_64bit(sregs);
	c->control = c->mode64 ? regs->rcx : pair(regs->rdx, regs->rax);
	c->input_gpa = gpa_from(c->mode64 ? regs->rdx : pair(regs->rbx, regs->rcx));
	c->output_gpa = gpa_from(c->mode64 ? regs->r8 : pair(regs->rdi, regs->rsi));
	c->fast = c->control & HV_CONTROL_FAST;
	c->variable = (uint16_t)(((c->control & HV_CONTROL_VARIABLE) >> HV_CONTROL_VARIABLE_SHIFT) *
				 sizeof(uint64_t));
	c->reps = (c->control & HV_CONTROL_REP_COUNT) >> HV_CONTROL_REP_COUNT_SHIFT;
	c->rep = (c->control & HV_CONTROL_REP_START) >> HV_CONTROL_REP_START_SHIFT;
	c->error = 0;
	c->blocked = false;
	c->info = hypercall_find((uint16_t)(c->control & HV_CONTROL_CODE));
	return 0;
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

enum hv_status hypercall_check(struct hypercall_call *c)
{
	const struct hypercall_info *info = c->info;
	enum hv_status status = check_control(c);

	if (status)
		return status;
	c->input_size = info->input + c->variable + (uint32_t)c->reps * info->input_rep;
	c->output_size = info->output + (uint32_t)c->reps * info->output_rep;
	c->rep_end = c->reps;
	if (info->batch && c->reps - c->rep > info->batch)
		c->rep_end = (uint16_t)(c->rep + info->batch);
	if (c->fast)
		return fits_registers(c) ? HV_SUCCESS : HV_INVALID_HYPERCALL_INPUT;
	if (!fits_page(c->input_gpa, c->input_size) || !fits_page(c->output_gpa, c->output_size))
		return HV_INVALID_ALIGNMENT;
	return HV_SUCCESS;
}

/* For a 64-bit caller in the register at `offset` of struct kvm_regs, for others in EDX:EAX. */
static int put_value(struct hypercall_call *c, size_t offset, uint64_t value)
{
	struct vtl_cpu *cpu = &vcpu_active(c->vp)->cpu;
	struct kvm_regs *regs;
	int r = vtl_cpu_regs(cpu, &regs);

	if (r)
		return r;
	if (c->mode64) {
		memcpy((uint8_t *)regs + offset, &value, sizeof(value));
	} else {
		regs->rax = (uint32_t)value;
		regs->rdx = value >> 32;
	}
	vtl_cpu_dirty(cpu, CPU_REGS);
	return 0;
}

int hypercall_put_continuation(struct hypercall_call *c, uint16_t rep)
{
	uint64_t control = c->control & ~HV_CONTROL_REP_START;

	return put_value(c, offsetof(struct kvm_regs, rcx),
			 control | (uint64_t)rep << HV_CONTROL_REP_START_SHIFT);
}

int hypercall_put_result(struct hypercall_call *c, enum hv_status status, uint16_t reps)
{
	return put_value(c, offsetof(struct kvm_regs, rax),
			 (uint64_t)reps << HV_RESULT_REPS_SHIFT | status);
}
