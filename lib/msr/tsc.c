/* SPDX-License-Identifier: MIT */
/*
 * TSC writes. A VTL's vCPU has its own TSC in KVM, so a write by one of them is caught and made for
 * all, as a change of the offset: setting values one after the other would set them apart (kernel:
 * kvm_synchronize_tsc() guesses what is meant).
 */
#include "msr/tsc.h"

#include <errno.h>

#include "msr/ref_tsc.h"
#include "registers/msr.h"
#include "vcpu/vcpu.h"

/* -ENXIO: KVM has no TSC offset, or takes it and does nothing with it. */
static int move_one(struct vsm_vcpu *vp, unsigned vtl, uint64_t by)
{
	const struct kvm_host *h = vp->partition->host;
	int fd = vp->vtls[vtl].cpu.fd;
	uint64_t offset, now;
	int r = h->ops->get_tsc_offset(h, fd, &offset);

	if (r)
		return r;
	offset += by;
	r = h->ops->set_tsc_offset(h, fd, &offset);
	if (!r)
		r = h->ops->get_tsc_offset(h, fd, &now);
	if (r)
		return r;
	return now == offset ? 0 : -ENXIO;
}

/*
 * So that the guest finds there what it wrote, or what its write to the TSC amounts to (Intel SDM
 * 3B, 18.17.3).
 */
static void set_adjust(struct vsm_vcpu *vp, unsigned vtl, uint64_t by)
{
	struct vtl_cpu *cpu = &vp->vtls[vtl].cpu;
	uint64_t adjust;

	/* A guest without the MSR cannot miss it. */
	if (!vtl_cpu_read_msr(cpu, MSR_TSC_ADJUST, &adjust))
		vtl_cpu_write_msr(cpu, MSR_TSC_ADJUST, adjust + by);
}

static int move_all(struct vsm_vcpu *vp, uint64_t by)
{
	for (unsigned vtl = 0; vtl < vp->partition->vtl_count; vtl++) {
		int r = move_one(vp, vtl, by);

		if (!r)
			continue;
		while (vtl-- > 0)
			move_one(vp, vtl, -by);
		return r;
	}
	for (unsigned vtl = 0; vtl < vp->partition->vtl_count; vtl++)
		set_adjust(vp, vtl, by);
	return 0;
}

/* What the MSR holds now. */
static int read_now(struct vsm_vcpu *vp, uint32_t index, uint64_t *value)
{
	if (index == MSR_TSC)
		return ref_tsc_guest_tsc(vp, vp->active_vtl, value);
	return vtl_cpu_read_msr(&vcpu_active(vp)->cpu, index, value) ? -EINVAL : 0;
}

int tsc_write(struct vsm_vcpu *vp, uint32_t index, uint64_t value)
{
	uint64_t before, tsc, by;
	int r = read_now(vp, index, &before);

	if (r)
		return r;
	by = value - before;
	r = by ? move_all(vp, by) : 0;
	if (r == -ENXIO) {
		partition_log(vp->partition, VSM_LOG_WARNING,
			      "VP %u: this host's KVM does not let a guest's TSC be moved",
			      vp->index);
		return 0;
	}
	if (!r)
		r = ref_tsc_guest_tsc(vp, vp->active_vtl, &tsc);
	if (!r)
		ref_tsc_moved(vp, tsc, by);
	return r;
}
