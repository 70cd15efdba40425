/* SPDX-License-Identifier: MIT */
/* Reading and changing part of the active VTL's XSAVE image. */
#include "registers/fpu.h"

#include <string.h>

#include "registers/xsave.h"
#include "vcpu/vcpu.h"

#define MXCSR_FIELD	24
#define MXCSR_FIELD_END FPU_ST0

static int read_image(struct vsm_vcpu *vp)
{
	const struct kvm_host *h = vp->partition->host;
	struct vp_vtl *v = vcpu_active(vp);

	return h->ops->get_xsave(h, v->cpu.fd, v->xsave, vp->partition->xsave.size);
}

/* Components that must be marked in use for [offset, end) to be loaded. */
static uint64_t components(uint32_t offset, size_t end)
{
	uint64_t bits = 0;

	if (offset < FPU_XMM0 && !(offset >= MXCSR_FIELD && end <= MXCSR_FIELD_END))
		bits |= XSAVE_X87;
	if (end > FPU_XMM0 || (offset < MXCSR_FIELD_END && end > MXCSR_FIELD))
		bits |= XSAVE_SSE;
	return bits;
}

int fpu_read(struct vsm_vcpu *vp, uint32_t offset, void *buf, size_t len)
{
	int r = read_image(vp);

	if (!r)
		memcpy(buf, (uint8_t *)vcpu_active(vp)->xsave + offset, len);
	return r;
}

int fpu_write(struct vsm_vcpu *vp, uint32_t offset, const void *buf, size_t len)
{
	const struct kvm_host *h = vp->partition->host;
	struct vp_vtl *v = vcpu_active(vp);
	uint8_t *image = v->xsave;
	uint64_t in_use;
	int r = read_image(vp);

	if (r)
		return r;
	memcpy(image + offset, buf, len);
	memcpy(&in_use, image + XSAVE_BV_OFFSET, sizeof(in_use));
	in_use |= components(offset, offset + len);
	memcpy(image + XSAVE_BV_OFFSET, &in_use, sizeof(in_use));
	/* The switch code remembers what vCPUs were left with. */
	v->xsave_known = false;
	return h->ops->set_xsave(h, v->cpu.fd, image);
}
