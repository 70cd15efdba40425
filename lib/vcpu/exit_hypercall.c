/* SPDX-License-Identifier: MIT */
/*
 * `out` on the hypercall port: hypercalls, VTL calls and VTL returns.
 *
 * The port alone proves nothing: any guest code can write to it. What counts is that CS:RIP, walked
 * through the guest's page tables, lies at one of the code page's entries in this VTL's overlay, in
 * protected mode at CPL 0 (TLFS hypercall-interface.md, "Legal Hypercall Environments"); anything
 * else gets #UD.
 */
#include <errno.h>

#include "hypercall/hypercall.h"
#include "kvm/path.h"
#include "intercept/intercept.h"
#include "vcpu/code_page.h"
#include "partition/tlb.h"
#include "vcpu/exit.h"
#include "vcpu/switch.h"
#include "vcpu/trace.h"
#include "vcpu/vcpu.h"

struct caller {
	struct vp_vtl *vtl;
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;
	uint64_t rip; /* of the `out` */
};

/* Which entry of the code page the exit came from; c->rip becomes that of the `out`. */
static enum hypercall_entry find_entry(struct vsm_vcpu *vp, struct caller *c)
{
	unsigned out_offset, offset;
	gva_t rip = cpu_linear_rip(c->sregs, c->regs->rip);
	enum hypercall_entry entry;

	if (!cpu_protected(c->sregs) || cpu_cpl(c->sregs))
		return HYPERCALL_ENTRY_NONE;
	if (!code_walk_holds(&c->vtl->code, &vp->partition->memory, c->sregs, rip) &&
	    !code_page_walk(vp, c->sregs, rip))
		return HYPERCALL_ENTRY_NONE;
	offset = (unsigned)(rip.addr & VSM_PAGE_MASK);
	entry = hypercall_page_entry(offset, &out_offset);
	c->rip = c->regs->rip - (offset - out_offset);
	return entry;
}

static void set_rip(struct caller *c, uint64_t rip)
{
	c->regs->rip = rip;
	vtl_cpu_dirty(&c->vtl->cpu, CPU_REGS);
}

/* The exception belongs to the instruction: RIP stays at it. */
static int raise_ud(struct vsm_vcpu *vp, struct caller *c)
{
	partition_log(vp->partition, VSM_LOG_DEBUG,
		      "VP %u VTL%u: #UD for an illegal use of the hypercall port at RIP %#llx",
		      vp->index, vp->active_vtl, (unsigned long long)c->rip);
	set_rip(c, c->rip);
	return vtl_cpu_inject(&c->vtl->cpu, VECTOR_UD, -1);
}

/* An `out` from anywhere else. RIP is at it or past it, and it may be any of the encodings. */
static int raise_ud_elsewhere(struct vsm_vcpu *vp, struct caller *c)
{
	uint64_t rip = c->regs->rip;
	uint8_t before[HYPERCALL_OUT_LENGTH];
	struct access_fault fault;
	size_t got;

	c->rip = rip;
	if (!walk_fetch(&vp->partition->memory, vp->active_vtl, c->sregs,
			cpu_linear_rip(c->sregs, rip - HYPERCALL_OUT_LENGTH), before,
			sizeof(before), &got, &fault) &&
	    before[0] == 0xe6 && before[1] == vp->partition->hypercall_port)
		c->rip = rip - HYPERCALL_OUT_LENGTH;
	return raise_ud(vp, c);
}

static RUN_PATH int do_switch(struct vsm_vcpu *vp, struct caller *c, bool call, uint64_t control)
{
	int r;

	set_rip(c, c->rip + HYPERCALL_OUT_LENGTH);
	r = call ? switch_call(vp, control) : switch_return(vp, control);
	if (r == 0)
		return raise_ud(vp, c);
	return r < 0 ? r : EXIT_RESUME;
}

/* The control input of a VTL call or return made through its own entry: RCX, or EDX:EAX. */
static uint64_t direct_control(const struct caller *c)
{
	if (cpu_64bit(c->sregs))
		return c->regs->rcx;
	return (c->regs->rdx << 32) | (uint32_t)c->regs->rax;
}

/* The caller's VTL may not touch its own input or output page: the access is the intercept. */
static int intercept_page(struct vsm_vcpu *vp, struct caller *c, const struct access_fault *fault)
{
	struct violation v = {
		.setter = fault->setter,
		.access = fault->access,
		.gpa = fault->gpa,
		.insn_length = HYPERCALL_OUT_LENGTH,
	};

	set_rip(c, c->rip);
	return violation_handle(vp, &v);
}

/* A call that has, or will have, no result. */
static int no_result(struct vsm_vcpu *vp, struct caller *c, const struct hypercall_result *result)
{
	switch (result->outcome) {
	case HYPERCALL_VTL_CALL:
		return do_switch(vp, c, true, result->control);
	case HYPERCALL_VTL_RETURN:
		return do_switch(vp, c, false, result->control);
	case HYPERCALL_FAULT:
		return intercept_page(vp, c, &result->fault);
	default:
		return raise_ud(vp, c);
	}
}

static inline int do_hypercall(struct vsm_vcpu *vp, struct caller *c)
{
	struct hypercall_result result;
	int r = hypercall_execute(vp, c->regs, c->sregs, &result);

	if (r)
		return r;
	if (result.outcome != HYPERCALL_DONE && result.outcome != HYPERCALL_AGAIN)
		return no_result(vp, c, &result);
	vp->stats.hypercalls++;
	if (result.status != HV_SUCCESS)
		vp->stats.hypercall_errors++;
	set_rip(c, result.outcome == HYPERCALL_DONE ? c->rip + HYPERCALL_OUT_LENGTH : c->rip);
	if (vp->partition->trace)
		trace_hypercall(vp, &result);
	if (result.blocked)
		tlb_wait(vp, c->rip);
	return EXIT_RESUME;
}

RUN_PATH int exit_hypercall(struct vsm_vcpu *vp, struct vp_vtl *v)
{
	struct caller c = {.vtl = v};
	int r = vtl_cpu_state(&v->cpu, &c.regs, &c.sregs);
	enum hypercall_entry entry;

	if (r)
		return r;
	entry = find_entry(vp, &c);
	/*
	 * Past the `out` already, KVM is done with it; else it must not step over what is decided
	 * here.
	 */
	if (entry == HYPERCALL_ENTRY_NONE || c.rip == c.regs->rip)
		vtl_cpu_own_rip(&v->cpu, c.regs);
	switch (entry) {
	case HYPERCALL_ENTRY_HYPERCALL:
		return do_hypercall(vp, &c);
	case HYPERCALL_ENTRY_VTL_CALL:
		return do_switch(vp, &c, true, direct_control(&c));
	case HYPERCALL_ENTRY_VTL_RETURN:
		return do_switch(vp, &c, false, direct_control(&c));
	case HYPERCALL_ENTRY_NONE:
		break;
	}
	return raise_ud_elsewhere(vp, &c);
}
