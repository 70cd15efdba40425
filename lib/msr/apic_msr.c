/* SPDX-License-Identifier: MIT */
/*
 * HV_X64_MSR_EOI, _ICR and _TPR. For a VTL0 with KVM's local APIC it is KVM that does what they
 * say: written by the VMM its own synthetic MSRs work whatever the guest's CPUID (kernel:
 * kvm_hv_set_msr_common(), `host`).
 */
#include "msr/apic_msr.h"

#include <errno.h>

#include "apic/bus.h"
#include "msr/synthetic.h"
#include "registers/msr.h"
#include "vcpu/vcpu.h"

#define TPR_MAX 0xff

bool apic_msr_offered(const struct vsm_partition *p)
{
	const struct kvm_host *h = p->host;

	return !p->kernel_irqchip ||
	       h->ops->check_extension(h, p->spaces[0].vm_fd, KVM_CAP_HYPERV) > 0;
}

int apic_msr_read(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value)
{
	struct vp_vtl *v = &vp->vtls[vtl];

	if (index == HV_MSR_EOI)
		return -EINVAL;
	if (!bus_serves(vp, vtl))
		return vtl_cpu_read_msr(&v->cpu, index, value) ? -EINVAL : 0;
	if (index == HV_MSR_ICR)
		return lapic_icr_read(&v->lapic, value);
	*value = v->lapic.tpr;
	return 0;
}

static int write_icr(struct vsm_vcpu *vp, unsigned vtl, uint64_t value)
{
	struct lapic_effects effects;
	int r = lapic_icr_write(&vp->vtls[vtl].lapic, value, &effects);

	if (!r)
		bus_effects(vp, vtl, &effects);
	return r;
}

static void end_interrupt(struct vsm_vcpu *vp, unsigned vtl)
{
	lapic_eoi(&vp->vtls[vtl].lapic);
	synic_flush(vp, vtl);
}

static int write_tpr(struct vp_vtl *v, uint64_t value)
{
	if (value > TPR_MAX)
		return -EINVAL;
	lapic_set_tpr(&v->lapic, (uint8_t)value);
	/* Without an APIC of its own KVM takes CR8 from here at every entry. */
	v->cpu.run->cr8 = lapic_cr8(&v->lapic);
	return 0;
}

int apic_msr_write(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value)
{
	struct vp_vtl *v = &vp->vtls[vtl];

	/* Guests leave garbage in the upper half. */
	if (index == HV_MSR_EOI)
		value = (uint32_t)value;
	if (!bus_serves(vp, vtl))
		return vtl_cpu_write_msr(&v->cpu, index, value) ? -EINVAL : 0;
	if (index == HV_MSR_ICR)
		return write_icr(vp, vtl, value);
	if (index == HV_MSR_TPR)
		return write_tpr(v, value);
	end_interrupt(vp, vtl);
	return 0;
}
