/* SPDX-License-Identifier: MIT */
/*
 * Moving the shared state at a VTL switch: general registers but RSP, CR2, DR0-3, XCR0 and the
 * XSAVE image. MTRRs and the machine-check MSRs are shared too, but only change by WRMSR, which
 * msr/shared_msr.c sees; DR6 is private (the VSM capabilities say so).
 *
 * What a vCPU was left with is remembered, since it does not change while another VTL is active; so
 * a switch reads the leaving vCPU once and writes the entered one only where the two differ.
 */
#include "vcpu/shared.h"
#include "kvm/path.h"

#include <string.h>

#include "registers/xsave.h"
#include "vcpu/vcpu.h"

static int move_regs(struct vtl_cpu *from, struct vtl_cpu *to)
{
	struct kvm_regs *src, *dst;
	uint64_t rsp, rip, rflags;
	int r = vtl_cpu_regs(from, &src);

	if (!r)
		r = vtl_cpu_regs(to, &dst);
	if (r)
		return r;
	rsp = dst->rsp;
	rip = dst->rip;
	rflags = dst->rflags;
	*dst = *src;
	dst->rsp = rsp;
	dst->rip = rip;
	dst->rflags = rflags;
	vtl_cpu_dirty(to, CPU_REGS);
	return 0;
}

static int move_cr2(struct vtl_cpu *from, struct vtl_cpu *to)
{
	struct kvm_sregs *src, *dst;
	int r = vtl_cpu_sregs(from, &src);

	if (!r)
		r = vtl_cpu_sregs(to, &dst);
	if (r || src->cr2 == dst->cr2)
		return r;
	dst->cr2 = src->cr2;
	vtl_cpu_dirty(to, CPU_SREGS);
	return 0;
}

static int read_debugregs(const struct kvm_host *h, struct vp_vtl *v)
{
	int r = h->ops->get_debugregs(h, v->cpu.fd, &v->debugregs);

	v->debugregs_known = !r;
	return r;
}

static int move_debugregs(const struct kvm_host *h, struct vp_vtl *from, struct vp_vtl *to)
{
	int r = read_debugregs(h, from);

	if (!r && !to->debugregs_known)
		r = read_debugregs(h, to);
	if (r || !memcmp(to->debugregs.db, from->debugregs.db, sizeof(to->debugregs.db)))
		return r;
	memcpy(to->debugregs.db, from->debugregs.db, sizeof(to->debugregs.db));
	r = h->ops->set_debugregs(h, to->cpu.fd, &to->debugregs);
	to->debugregs_known = !r;
	return r;
}

/* KVM has no other extended control register than XCR0, and gives that one always. */
static int read_xcr0(const struct kvm_host *h, struct vp_vtl *v)
{
	struct kvm_xcrs xcrs;
	int r = h->ops->get_xcrs(h, v->cpu.fd, &xcrs);

	v->xcr0_known = !r;
	if (!r)
		v->xcr0 = xcrs.xcrs[0].value;
	return r;
}

static RUN_PATH int move_xcr0(const struct kvm_host *h, struct vp_vtl *from, struct vp_vtl *to)
{
	struct kvm_xcrs xcrs;
	int r = read_xcr0(h, from);

	if (r || (to->xcr0_known && to->xcr0 == from->xcr0))
		return r;
	xcrs = (struct kvm_xcrs){.nr_xcrs = 1, .xcrs[0] = {.value = from->xcr0}};
	to->xcr0 = from->xcr0;
	r = h->ops->set_xcrs(h, to->cpu.fd, &xcrs);
	to->xcr0_known = !r;
	return r;
}

static int move_xsave(struct vsm_vcpu *vp, struct vp_vtl *from, struct vp_vtl *to)
{
	const struct kvm_host *h = vp->partition->host;
	const struct xsave_layout *layout = &vp->partition->xsave;
	int r = h->ops->get_xsave(h, from->cpu.fd, from->xsave, layout->size);

	from->xsave_known = !r;
	if (r)
		return r;
	if (to->xsave_known && xsave_equal(layout, from->xsave, to->xsave))
		return 0;
	xsave_copy(layout, to->xsave, from->xsave);
	r = h->ops->set_xsave(h, to->cpu.fd, to->xsave);
	to->xsave_known = !r;
	vp->stats.xsave_moved++;
	return r;
}

RUN_PATH int shared_move(struct vsm_vcpu *vp, struct vp_vtl *from, struct vp_vtl *to)
{
	const struct kvm_host *h = vp->partition->host;
	int r = move_regs(&from->cpu, &to->cpu);

	if (!r)
		r = move_cr2(&from->cpu, &to->cpu);
	if (!r)
		r = move_debugregs(h, from, to);
	if (!r)
		r = move_xcr0(h, from, to);
	if (!r)
		r = move_xsave(vp, from, to);
	return r;
}

void shared_forget(struct vsm_vcpu *vp)
{
	for (unsigned vtl = 0; vtl < vp->partition->vtl_count; vtl++) {
		vp->vtls[vtl].xsave_known = false;
		vp->vtls[vtl].xcr0_known = false;
		vp->vtls[vtl].debugregs_known = false;
	}
}
