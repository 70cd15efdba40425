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

#include <string.h>

#include "vcpu/vcpu.h"

static int move_regs(struct vtl_cpu *from, struct vtl_cpu *to)
{
	struct kvm_regs *src, *dst, own;
	int r = vtl_cpu_regs(from, &src);

	if (!r)
		r = vtl_cpu_regs(to, &dst);
	if (r)
		return r;
	own = *dst;
	*dst = *src;
	dst->rsp = own.rsp;
	dst->rip = own.rip;
	dst->rflags = own.rflags;
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

static int read_xcrs(const struct kvm_host *h, struct vp_vtl *v)
{
	int r;

	memset(&v->xcrs, 0, sizeof(v->xcrs));
	r = h->ops->get_xcrs(h, v->cpu.fd, &v->xcrs);
	v->xcrs_known = !r;
	return r;
}

static int move_xcrs(const struct kvm_host *h, struct vp_vtl *from, struct vp_vtl *to)
{
	int r = read_xcrs(h, from);

	if (r || (to->xcrs_known && !memcmp(&to->xcrs, &from->xcrs, sizeof(to->xcrs))))
		return r;
	to->xcrs = from->xcrs;
	r = h->ops->set_xcrs(h, to->cpu.fd, &to->xcrs);
	to->xcrs_known = !r;
	return r;
}

static int move_xsave(struct vsm_vcpu *vp, struct vp_vtl *from, struct vp_vtl *to)
{
	const struct kvm_host *h = vp->partition->host;
	size_t size = vp->partition->xsave_size;
	int r = h->ops->get_xsave(h, from->cpu.fd, from->xsave, size);

	from->xsave_known = !r;
	if (r || (to->xsave_known && !memcmp(to->xsave, from->xsave, size)))
		return r;
	memcpy(to->xsave, from->xsave, size);
	r = h->ops->set_xsave(h, to->cpu.fd, to->xsave);
	to->xsave_known = !r;
	vp->stats.xsave_moved++;
	return r;
}

int shared_move(struct vsm_vcpu *vp, unsigned from, unsigned to)
{
	const struct kvm_host *h = vp->partition->host;
	struct vp_vtl *src = &vp->vtls[from], *dst = &vp->vtls[to];
	int r = move_regs(&src->cpu, &dst->cpu);

	if (!r)
		r = move_cr2(&src->cpu, &dst->cpu);
	if (!r)
		r = move_debugregs(h, src, dst);
	if (!r)
		r = move_xcrs(h, src, dst);
	if (!r)
		r = move_xsave(vp, src, dst);
	return r;
}

void shared_forget(struct vsm_vcpu *vp)
{
	for (unsigned vtl = 0; vtl < vp->partition->vtl_count; vtl++) {
		vp->vtls[vtl].xsave_known = false;
		vp->vtls[vtl].xcrs_known = false;
		vp->vtls[vtl].debugregs_known = false;
	}
}
