/* SPDX-License-Identifier: MIT */
/* Registers about the VP and the hypervisor: suspension, activity, CPUID's leaves, frequencies. */
#include "registers/places.h"

#include "cpuid/compose.h"
#include "hv/vsm.h"
#include "msr/synthetic.h"
#include "partition/hold.h"

/* --- suspension --- */

static enum hv_status get_suspend(const struct register_access *a, struct hv_register_value *value)
{
	value->low = a->target->vtls[a->vtl].suspended ? HV_EXPLICIT_SUSPEND : 0;
	return HV_SUCCESS;
}

/* The VP is held, or is the caller: it looks before it next enters the guest. */
static enum hv_status set_suspend(const struct register_access *a,
				  const struct hv_register_value *value)
{
	if (value->low & ~HV_EXPLICIT_SUSPEND)
		return HV_INVALID_REGISTER_VALUE;
	a->target->vtls[a->vtl].suspended = value->low;
	partition_wake_vp(a->target);
	return HV_SUCCESS;
}

const struct register_place place_suspend = {.get = get_suspend, .set = set_suspend};

/* --- activity: what keeps the VTL from running --- */

/* KVM knows of VTL0 where the local APIC is KVM's. */
static enum hv_status kernel_activity(const struct register_access *a,
				      struct hv_register_value *value)
{
	const struct kvm_host *h = a->target->partition->host;
	struct kvm_mp_state mp;
	int r = h->ops->get_mp_state(h, a->target->vtls[0].cpu.fd, &mp);

	if (r)
		return register_status(a, r);
	if (mp.mp_state == KVM_MP_STATE_UNINITIALIZED || mp.mp_state == KVM_MP_STATE_INIT_RECEIVED)
		value->low = HV_ACTIVITY_STARTUP_SUSPEND;
	else if (mp.mp_state == KVM_MP_STATE_HALTED)
		value->low = HV_ACTIVITY_HALT_SUSPEND;
	return HV_SUCCESS;
}

static enum hv_status get_activity(const struct register_access *a, struct hv_register_value *value)
{
	if (!a->vtl && a->target->partition->kernel_irqchip)
		return kernel_activity(a, value);
	if (!a->vtl && !a->target->started)
		value->low |= HV_ACTIVITY_STARTUP_SUSPEND;
	if (a->target->vtls[a->vtl].halted)
		value->low |= HV_ACTIVITY_HALT_SUSPEND;
	return HV_SUCCESS;
}

const struct register_place place_activity = {.get = get_activity};

/* --- what is also in CPUID; `where` is the leaf --- */

static enum hv_status get_leaf(const struct register_access *a, struct hv_register_value *value)
{
	struct kvm_cpuid_entry2 e;

	if (!cpuid_hyperv_leaf(a->target->partition, a->where, &e))
		return HV_INVALID_PARAMETER;
	value->low = (uint64_t)e.ebx << 32 | e.eax;
	value->high = (uint64_t)e.edx << 32 | e.ecx;
	return HV_SUCCESS;
}

const struct register_place place_cpuid_leaf = {.wide = true, .get = get_leaf};

/* --- frequencies: the MSRs' in kHz --- */

static enum hv_status get_frequency(const struct register_access *a,
				    struct hv_register_value *value)
{
	uint64_t hz = 0;

	if (synthetic_read(a->target, a->vtl, a->where, &hz))
		return HV_INVALID_PARAMETER;
	value->low = hz / 1000;
	return HV_SUCCESS;
}

const struct register_place place_frequency = {.get = get_frequency};
