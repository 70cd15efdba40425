/* SPDX-License-Identifier: MIT */
/* Registers of the local APIC: KVM's own for VTL0 where the VM has one, else the library's. */
#include "registers/places.h"

#include <errno.h>

#include "apic/bus.h"
#include "registers/msr.h"

static bool apic_in_kernel(const struct register_access *a)
{
	return a->target->partition->kernel_irqchip && a->vtl == 0;
}

#define CR8_MAX 15

static enum hv_status get_cr8(const struct register_access *a, struct hv_register_value *value)
{
	struct vp_vtl *v = register_holder(a);
	struct kvm_sregs *sregs;
	int r;

	if (!apic_in_kernel(a)) {
		value->low = lapic_cr8(&v->lapic);
		return HV_SUCCESS;
	}
	r = vtl_cpu_sregs(&v->cpu, &sregs);
	if (!r)
		value->low = sregs->cr8;
	return register_status(a, r);
}

static void change_cr8(struct kvm_sregs *sregs, const struct register_access *a,
		       const struct hv_register_value *value)
{
	(void)a;
	sregs->cr8 = value->low;
}

static enum hv_status set_cr8(const struct register_access *a,
			      const struct hv_register_value *value)
{
	struct vp_vtl *v = register_holder(a);

	if (value->low > CR8_MAX)
		return HV_INVALID_REGISTER_VALUE;
	if (apic_in_kernel(a))
		return register_change_sregs(a, value, change_cr8);
	lapic_set_cr8(&v->lapic, value->low);
	/* Without an APIC of its own KVM takes CR8 from here at every entry. */
	v->cpu.run->cr8 = value->low;
	return HV_SUCCESS;
}

const struct register_place place_cr8 = {.get = get_cr8, .set = set_cr8};

static enum hv_status get_apic_base(const struct register_access *a,
				    struct hv_register_value *value)
{
	struct vp_vtl *v = register_holder(a);
	struct kvm_sregs *sregs;
	int r;

	if (!apic_in_kernel(a)) {
		value->low = v->lapic.base;
		return HV_SUCCESS;
	}
	r = vtl_cpu_sregs(&v->cpu, &sregs);
	if (!r)
		value->low = sregs->apic_base;
	return register_status(a, r);
}

static void change_kernel_base(struct kvm_sregs *sregs, const struct register_access *a,
			       const struct hv_register_value *value)
{
	(void)a;
	sregs->apic_base = value->low;
}

/* CPUID's APIC bit follows what KVM knows of (kernel: kvm_update_cpuid_runtime()). */
static void show_enabled(struct kvm_sregs *sregs, const struct register_access *a,
			 const struct hv_register_value *value)
{
	(void)a;
	sregs->apic_base =
		(sregs->apic_base & ~LAPIC_BASE_ENABLE) | (value->low & LAPIC_BASE_ENABLE);
}

/* As the VTL's own WRMSR: a higher VTL that intercepts that lets it through by setting this. */
static enum hv_status set_apic_base(const struct register_access *a,
				    const struct hv_register_value *value)
{
	struct lapic *l = &register_holder(a)->lapic;
	const struct lapic_clock no_clock = {0}; /* a mode's change starts no timer */
	struct lapic_effects effects;

	if (apic_in_kernel(a))
		return register_change_sregs(a, value, change_kernel_base);
	if (lapic_msr_write(l, LAPIC_MSR_BASE, value->low, &no_clock, &effects))
		return HV_INVALID_REGISTER_VALUE;
	return register_change_sregs(a, value, show_enabled);
}

const struct register_place place_apic_base = {.get = get_apic_base, .set = set_apic_base};

static enum hv_status get_apic_id(const struct register_access *a, struct hv_register_value *value)
{
	value->low = a->target->apic_id;
	return HV_SUCCESS;
}

const struct register_place place_apic_id = {.get = get_apic_id};

/* --- its registers in x2APIC mode, and the TSC deadline; `where` is the MSR --- */

static enum hv_status get_apic_msr(const struct register_access *a, struct hv_register_value *value)
{
	struct vp_vtl *v = register_holder(a);
	struct lapic_clock clock;
	int r;

	if (apic_in_kernel(a))
		return register_status(a, vtl_cpu_read_msr(&v->cpu, a->where, &value->low));
	bus_clock(a->target, a->vtl, a->where == LAPIC_MSR_TSC_DEADLINE, &clock);
	r = lapic_msr_read(&v->lapic, a->where, &clock, &value->low);
	return r ? HV_INVALID_PARAMETER : HV_SUCCESS;
}

/* What a write sends goes where it would go if the VTL itself had written. */
static enum hv_status set_apic_msr(const struct register_access *a,
				   const struct hv_register_value *value)
{
	struct vp_vtl *v = register_holder(a);
	struct lapic_effects effects;
	struct lapic_clock clock;
	uint64_t now;
	int r;

	if (apic_in_kernel(a))
		return register_status(a, vtl_cpu_write_msr(&v->cpu, a->where, value->low));
	if (a->where != LAPIC_MSR_TSC_DEADLINE && !lapic_x2apic(&v->lapic))
		return HV_INVALID_PARAMETER;
	bus_clock(a->target, a->vtl, a->where == LAPIC_MSR_TSC_DEADLINE, &clock);
	r = lapic_msr_write(&v->lapic, a->where, value->low, &clock, &effects);
	if (!r)
		bus_effects(a->target, a->vtl, &effects);
	/* Read-only, or not there: no register to set; else it is the value. */
	if (r == -EINVAL && lapic_msr_read(&v->lapic, a->where, &clock, &now) == 0)
		return HV_INVALID_REGISTER_VALUE;
	return r ? HV_INVALID_PARAMETER : HV_SUCCESS;
}

const struct register_place place_apic_msr = {.get = get_apic_msr, .set = set_apic_msr};
