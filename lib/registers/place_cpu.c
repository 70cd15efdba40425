/* SPDX-License-Identifier: MIT */
/* General, control and segment registers: what vtl_cpu.h keeps of a vCPU. */
#include "registers/places.h"

#include <stddef.h>
#include <string.h>

#include "registers/architecture.h"

/* --- general registers --- */

static enum hv_status get_gpr(const struct register_access *a, struct hv_register_value *value)
{
	struct kvm_regs *regs;
	int r = vtl_cpu_regs(&register_holder(a)->cpu, &regs);

	if (!r)
		memcpy(&value->low, (uint8_t *)regs + a->where, sizeof(value->low));
	return register_status(a, r);
}

static enum hv_status put_gpr(const struct register_access *a, uint64_t value)
{
	struct vtl_cpu *cpu = &register_holder(a)->cpu;
	struct kvm_regs *regs;
	int r = vtl_cpu_regs(cpu, &regs);

	if (r)
		return register_status(a, r);
	memcpy((uint8_t *)regs + a->where, &value, sizeof(value));
	vtl_cpu_dirty(cpu, CPU_REGS);
	return HV_SUCCESS;
}

static enum hv_status set_gpr(const struct register_access *a,
			      const struct hv_register_value *value)
{
	return put_gpr(a, value->low);
}

const struct register_place place_gpr = {.get = get_gpr, .set = set_gpr};

/* The processor does not enter a guest at an address that is not canonical. */
static enum hv_status set_rip(const struct register_access *a,
			      const struct hv_register_value *value)
{
	struct kvm_sregs *sregs;
	int r = vtl_cpu_sregs(&register_holder(a)->cpu, &sregs);

	if (r)
		return register_status(a, r);
	if (!address_valid(value->low, true, sregs->cr4))
		return HV_INVALID_REGISTER_VALUE;
	return put_gpr(a, value->low);
}

const struct register_place place_rip = {.get = get_gpr, .set = set_rip};

/* Without IF there cannot be an interrupt on its way: Intel's processors do not enter so. */
static int masks_interrupt(const struct register_access *a, uint64_t rflags, bool *masks)
{
	struct kvm_vcpu_events *events;
	int r;

	*masks = false;
	if (rflags & CPU_RFLAGS_IF)
		return 0;
	r = vtl_cpu_events(&register_holder(a)->cpu, &events);
	*masks = !r && events->interrupt.injected && !events->interrupt.soft;
	return r;
}

static enum hv_status set_rflags(const struct register_access *a,
				 const struct hv_register_value *value)
{
	struct kvm_regs *regs;
	bool masks;
	int r = vtl_cpu_regs(&register_holder(a)->cpu, &regs);

	if (!r)
		r = masks_interrupt(a, value->low, &masks);
	if (r)
		return register_status(a, r);
	/* Virtual-8086 mode comes with segments of its own: it cannot be set a register at a time. */
	if (!rflags_valid(value->low) || ((value->low & ~regs->rflags) & RFLAGS_VM) || masks)
		return HV_INVALID_REGISTER_VALUE;
	return put_gpr(a, value->low | RFLAGS_FIXED);
}

const struct register_place place_rflags = {.get = get_gpr, .set = set_rflags};

/* --- control registers --- */

enum hv_status register_change_sregs(const struct register_access *a,
				     const struct hv_register_value *value, sregs_change change)
{
	struct vp_vtl *v = register_holder(a);
	struct vtl_cpu *cpu = &v->cpu;
	struct kvm_sregs *sregs, old;
	int r = vtl_cpu_flush(cpu);

	if (!r)
		r = vtl_cpu_sregs(cpu, &sregs);
	if (r)
		return register_status(a, r);
	old = *sregs;
	change(sregs, a, value);
	if (!cr3_valid(sregs->cr3, sregs->efer, v->lapic.maxphyaddr)) {
		*sregs = old;
		return HV_INVALID_REGISTER_VALUE;
	}
	vtl_cpu_dirty(cpu, CPU_SREGS);
	return register_status(a, vtl_cpu_flush(cpu));
}

static enum hv_status get_control(const struct register_access *a, struct hv_register_value *value)
{
	struct kvm_sregs *sregs;
	int r = vtl_cpu_sregs(&register_holder(a)->cpu, &sregs);

	if (!r)
		memcpy(&value->low, (uint8_t *)sregs + a->where, sizeof(value->low));
	return register_status(a, r);
}

static void change_control(struct kvm_sregs *sregs, const struct register_access *a,
			   const struct hv_register_value *value)
{
	memcpy((uint8_t *)sregs + a->where, &value->low, sizeof(value->low));
}

static enum hv_status set_control(const struct register_access *a,
				  const struct hv_register_value *value)
{
	return register_change_sregs(a, value, change_control);
}

const struct register_place place_control = {.get = get_control, .set = set_control};

/* EFER.LMA follows CR0.PG and EFER.LME: guests set one register at a time, KVM wants the three to
 * agree at any time. */
static void change_cr0(struct kvm_sregs *sregs, const struct register_access *a,
		       const struct hv_register_value *value)
{
	(void)a;
	sregs->cr0 = value->low | CR0_ET;
	sregs->efer = efer_with_lma(sregs->efer, sregs->cr0);
}

static enum hv_status set_cr0(const struct register_access *a,
			      const struct hv_register_value *value)
{
	if (!cr0_valid(value->low) || (a->vtl && !(value->low & CR0_PE)))
		return HV_INVALID_REGISTER_VALUE;
	return register_change_sregs(a, value, change_cr0);
}

const struct register_place place_cr0 = {.get = get_control, .set = set_cr0};

static void change_efer(struct kvm_sregs *sregs, const struct register_access *a,
			const struct hv_register_value *value)
{
	(void)a;
	sregs->efer = efer_with_lma(value->low, sregs->cr0);
}

static enum hv_status set_efer(const struct register_access *a,
			       const struct hv_register_value *value)
{
	struct kvm_sregs *sregs;
	int r = vtl_cpu_sregs(&register_holder(a)->cpu, &sregs);

	if (r)
		return register_status(a, r);
	/* KVM does not look at bits that have no meaning: the processor then refuses to enter. */
	if ((value->low ^ sregs->efer) & ~EFER_VALID)
		return HV_INVALID_REGISTER_VALUE;
	return register_change_sregs(a, value, change_efer);
}

const struct register_place place_efer = {.get = get_control, .set = set_efer};

/* --- segments and tables --- */

static enum hv_status get_segment(const struct register_access *a, struct hv_register_value *value)
{
	struct hv_segment segment;
	struct kvm_sregs *sregs;
	int r = vtl_cpu_sregs(&register_holder(a)->cpu, &sregs);

	if (r)
		return register_status(a, r);
	segment_from_kvm(&segment, (const void *)((uint8_t *)sregs + a->where));
	memcpy(value, &segment, sizeof(segment));
	return HV_SUCCESS;
}

static enum segment_use use_of(uint32_t where)
{
	switch (where) {
	case offsetof(struct kvm_sregs, cs):
		return SEGMENT_USE_CODE;
	case offsetof(struct kvm_sregs, ss):
		return SEGMENT_USE_STACK;
	case offsetof(struct kvm_sregs, ds):
	case offsetof(struct kvm_sregs, es):
		return SEGMENT_USE_DATA;
	case offsetof(struct kvm_sregs, ldt):
		return SEGMENT_USE_LOCAL;
	case offsetof(struct kvm_sregs, tr):
		return SEGMENT_USE_TASK;
	default:
		return SEGMENT_USE_BASED;
	}
}

/* KVM loads what it is given, and the processor then refuses to enter the guest. */
static enum hv_status check_segment(const struct register_access *a,
				    const struct hv_register_value *value)
{
	struct hv_segment segment;
	struct kvm_sregs *sregs;
	int r = vtl_cpu_sregs(&register_holder(a)->cpu, &sregs);

	if (r)
		return register_status(a, r);
	memcpy(&segment, value, sizeof(segment));
	return segment_valid(use_of(a->where), &segment, sregs->efer & EFER_LMA, sregs->cr4)
		       ? HV_SUCCESS
		       : HV_INVALID_REGISTER_VALUE;
}

static void change_segment(struct kvm_sregs *sregs, const struct register_access *a,
			   const struct hv_register_value *value)
{
	struct hv_segment segment;

	memcpy(&segment, value, sizeof(segment));
	segment_to_kvm((void *)((uint8_t *)sregs + a->where), &segment);
}

static enum hv_status set_segment(const struct register_access *a,
				  const struct hv_register_value *value)
{
	enum hv_status status = check_segment(a, value);

	return status ? status : register_change_sregs(a, value, change_segment);
}

const struct register_place place_segment = {.wide = true, .get = get_segment, .set = set_segment};

static void change_task(struct kvm_sregs *sregs, const struct register_access *a,
			const struct hv_register_value *value)
{
	struct hv_segment segment;

	(void)a;
	memcpy(&segment, value, sizeof(segment));
	task_to_kvm(&sregs->tr, &segment);
}

static enum hv_status set_task(const struct register_access *a,
			       const struct hv_register_value *value)
{
	enum hv_status status = check_segment(a, value);

	return status ? status : register_change_sregs(a, value, change_task);
}

const struct register_place place_task = {.wide = true, .get = get_segment, .set = set_task};

static enum hv_status get_table(const struct register_access *a, struct hv_register_value *value)
{
	struct hv_table table;
	struct kvm_sregs *sregs;
	int r = vtl_cpu_sregs(&register_holder(a)->cpu, &sregs);

	if (r)
		return register_status(a, r);
	table_from_kvm(&table, (const void *)((uint8_t *)sregs + a->where));
	memcpy(value, &table, sizeof(table));
	return HV_SUCCESS;
}

static void change_table(struct kvm_sregs *sregs, const struct register_access *a,
			 const struct hv_register_value *value)
{
	struct hv_table table;

	memcpy(&table, value, sizeof(table));
	table_to_kvm((void *)((uint8_t *)sregs + a->where), &table);
}

static enum hv_status set_table(const struct register_access *a,
				const struct hv_register_value *value)
{
	struct hv_table table;
	struct kvm_sregs *sregs;
	int r = vtl_cpu_sregs(&register_holder(a)->cpu, &sregs);

	if (r)
		return register_status(a, r);
	memcpy(&table, value, sizeof(table));
	if (!address_valid(table.base, true, sregs->cr4))
		return HV_INVALID_REGISTER_VALUE;
	return register_change_sregs(a, value, change_table);
}

const struct register_place place_table = {.wide = true, .get = get_table, .set = set_table};
