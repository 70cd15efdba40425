/* SPDX-License-Identifier: MIT */
/* The input and output of fast hypercalls (TLFS hypercall-interface.md, "XMM Fast Hypercall Input"
 * and "Output"). */
#include "hypercall/parameters.h"

#include <string.h>

#include "registers/fpu.h"
#include "vcpu/vcpu.h"

int parameters_get_xmm(struct hypercall_call *c)
{
	return fpu_read(c->vp, FPU_XMM0, c->input + HV_FAST_GPR_SIZE,
			c->input_size - HV_FAST_GPR_SIZE);
}

static uint32_t lesser(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Copies block[first, end) into the two general registers, as far as it reaches them. */
static int put_fast_gprs(struct hypercall_call *c, const uint8_t *block, uint32_t first,
			 uint32_t end)
{
	struct vtl_cpu *cpu = &vcpu_active(c->vp)->cpu;
	struct kvm_regs *regs;
	uint64_t gpr[2];
	int r = vtl_cpu_regs(cpu, &regs);

	if (r)
		return r;
	gpr[0] = regs->rdx;
	gpr[1] = regs->r8;
	memcpy((uint8_t *)gpr + first, block + first, lesser(end, HV_FAST_GPR_SIZE) - first);
	regs->rdx = gpr[0];
	regs->r8 = gpr[1];
	vtl_cpu_dirty(cpu, CPU_REGS);
	return 0;
}

/* The output starts at the first whole register pair past the input. */
int parameters_put_fast(struct hypercall_call *c, uint32_t first, uint32_t end)
{
	uint32_t base = (c->input_size + 15) / 16 * 16;
	uint8_t block[HV_FAST_SIZE];
	int r = 0;

	memcpy(block + base + first, c->output + first, end - first);
	first += base;
	end += base;
	if (first < HV_FAST_GPR_SIZE) {
		r = put_fast_gprs(c, block, first, end);
		first = HV_FAST_GPR_SIZE;
	}
	if (r || first >= end)
		return r;
	return fpu_write(c->vp, FPU_XMM0 + first - HV_FAST_GPR_SIZE, block + first, end - first);
}
