/* SPDX-License-Identifier: MIT */
/* Which MSR accesses a higher VTL intercepts, and how those are made that it does not. */
#include "msr/intercept.h"

#include <errno.h>

#include "hv/hypercall.h"
#include "hv/register_names.h"
#include "msr/synthetic.h"
#include "registers/msr.h"
#include "registers/registers.h"
#include "vcpu/vcpu.h"

#define MSR_APIC_BASE	0x1b
#define MSR_MISC_ENABLE 0x1a0
#define MSR_EFER	0xc0000080

/* Bits a guest cannot change: performance monitoring and its absence (kernel: PMU_RO_MASK). */
#define MISC_ENABLE_READ_ONLY UINT64_C(0x1880)

/* The bits of EFER that KVM lets its user set, but a guest only where its CPUID has the feature. */
#define EFER_BY_CPUID (UINT64_C(1) << 12 | UINT64_C(1) << 14)
#define EFER_LME      (UINT64_C(1) << 8)
#define CR0_PG	      (UINT64_C(1) << 31)

/* HV_REGISTER_CR_INTERCEPT_CONTROL's bits; NONE: it has none for this. */
#define NONE   0
#define BIT(n) (UINT64_C(1) << (n))

/* What can be intercepted. An MSR that a higher VTL cannot read and set by name is of no use. */
static const struct candidate {
	uint32_t first, count;
	uint64_t read, write;
} candidates[] = {
	{MSR_APIC_BASE, 1, BIT(11), BIT(12)},
	{0x48, 1, NONE, NONE},	   /* SPEC_CTRL */
	{0x8c, 4, NONE, BIT(24)},  /* SGX launch control */
	{0x174, 1, NONE, BIT(19)}, /* SYSENTER_CS */
	{0x175, 1, NONE, BIT(21)}, /* SYSENTER_ESP */
	{0x176, 1, NONE, BIT(20)}, /* SYSENTER_EIP */
	{MSR_MISC_ENABLE, 1, BIT(3), BIT(4)},
	{0x1d9, 1, NONE, NONE}, /* DEBUGCTL */
	{0x277, 1, NONE, NONE}, /* PAT */
	{MSR_EFER, 1, BIT(13), BIT(14)},
	{0xc0000081, 1, BIT(7), BIT(8)},  /* STAR */
	{0xc0000082, 1, BIT(5), BIT(6)},  /* LSTAR */
	{0xc0000083, 1, BIT(9), BIT(10)}, /* CSTAR */
	{0xc0000084, 1, NONE, BIT(22)},	  /* SFMASK */
	{0xc0000102, 1, NONE, NONE},	  /* KERNEL_GS_BASE */
	{0xc0000103, 1, NONE, BIT(23)},	  /* TSC_AUX */
};

#define CANDIDATES (sizeof(candidates) / sizeof(candidates[0]))

static const struct candidate *find(uint32_t index)
{
	for (size_t i = 0; i < CANDIDATES; i++)
		if (index - candidates[i].first < candidates[i].count)
			return &candidates[i];
	return NULL;
}

bool msr_intercept_candidate(unsigned number, uint32_t *index)
{
	for (size_t i = 0; i < CANDIDATES; i++) {
		if (number < candidates[i].count) {
			*index = candidates[i].first + number;
			return true;
		}
		number -= candidates[i].count;
	}
	return false;
}

static uint64_t control_bit(const struct candidate *c, enum mem_access access)
{
	return access == MEM_WRITE ? c->write : c->read;
}

static struct msr_intercept *installed(const struct vsm_partition *p, unsigned setter,
				       uint32_t index)
{
	for (unsigned i = 0; i < MSR_INTERCEPTS; i++)
		if (p->msr_intercepts[i].setter == setter && p->msr_intercepts[i].index == index)
			return (struct msr_intercept *)&p->msr_intercepts[i];
	return NULL;
}

static bool is_installed(const struct vsm_partition *p, unsigned setter, uint32_t index,
			 enum mem_access access)
{
	const struct msr_intercept *m = installed(p, setter, index);
	uint8_t bit = access == MEM_WRITE ? HV_INTERCEPT_ACCESS_WRITE : HV_INTERCEPT_ACCESS_READ;

	return m && (m->access & bit);
}

int msr_intercept_install(struct vsm_partition *p, unsigned setter, uint32_t index, uint8_t access)
{
	struct msr_intercept *m = installed(p, setter, index), old;
	int r;

	if (!find(index))
		return -ENOTSUP;
	if (!m && !access)
		return 0;
	if (!m)
		m = installed(p, 0, 0);
	if (!m)
		return -ENOSPC;
	old = *m;
	*m = access ? (struct msr_intercept){(uint8_t)setter, access, index}
		    : (struct msr_intercept){0};
	r = msr_filter_update(p);
	if (r)
		*m = old;
	return r;
}

void msr_intercept_forget(struct vsm_partition *p, unsigned setter)
{
	for (unsigned i = 0; i < MSR_INTERCEPTS; i++)
		if (p->msr_intercepts[i].setter == setter)
			p->msr_intercepts[i] = (struct msr_intercept){0};
}

/* Of MISC_ENABLE's writes only those that change what the mask names; a mask of zero names nothing
 * in particular. */
static bool mask_matches(struct vsm_vcpu *vp, unsigned vtl, unsigned setter, uint32_t index,
			 enum mem_access access, uint64_t value)
{
	uint64_t mask = vp->vtls[setter].cr_intercept_masks[2], old;

	if (index != MSR_MISC_ENABLE || access != MEM_WRITE || !mask)
		return true;
	return vtl_cpu_read_msr(&vp->vtls[vtl].cpu, index, &old) || ((old ^ value) & mask);
}

unsigned msr_intercept_setter(struct vsm_vcpu *vp, unsigned vtl, uint32_t index,
			      enum mem_access access, uint64_t value)
{
	const struct candidate *c = find(index);

	for (unsigned setter = vtl + 1; c && setter < vp->partition->vtl_count; setter++) {
		uint64_t control = vp->vtls[setter].cr_intercept_control;

		if (!(vp->enabled_vtls & (1u << setter)))
			continue;
		if (is_installed(vp->partition, setter, index, access) ||
		    ((control & control_bit(c, access)) &&
		     mask_matches(vp, vtl, setter, index, access, value)))
			return setter;
	}
	return 0;
}

bool msr_intercept_wanted(const struct vsm_partition *p, unsigned vtl, uint32_t index,
			  enum mem_access access)
{
	uint64_t bit = control_bit(find(index), access);

	for (unsigned setter = vtl + 1; setter < p->vtl_count; setter++) {
		if (is_installed(p, setter, index, access))
			return true;
		for (uint32_t i = 0; i < p->max_vps; i++)
			if (p->vps && p->vps[i] &&
			    (p->vps[i]->vtls[setter].cr_intercept_control & bit))
				return true;
	}
	return false;
}

/* --- carrying out --- */

/* Registers that KVM also has in its special registers must be changed there. */
static int by_register(struct vsm_vcpu *vp, unsigned vtl, uint32_t name, uint64_t value)
{
	const struct hv_register_value v = {.low = value};

	return register_set(vp, vtl, vtl, name, &v) ? -EINVAL : 0;
}

static int write_efer(struct vsm_vcpu *vp, unsigned vtl, uint64_t value)
{
	struct kvm_sregs *sregs;
	int r = vtl_cpu_sregs(&vp->vtls[vtl].cpu, &sregs);

	if (r)
		return r;
	if ((value & ~sregs->efer & EFER_BY_CPUID) ||
	    ((sregs->cr0 & CR0_PG) && ((value ^ sregs->efer) & EFER_LME)))
		return -EINVAL;
	/* "LMA cannot be written": the register's own rule would refuse it. */
	return by_register(vp, vtl, HV_REGISTER_EFER,
			   (value & ~CPU_EFER_LMA) | (sregs->efer & CPU_EFER_LMA));
}

static int write_apic_base(struct vsm_vcpu *vp, unsigned vtl, uint64_t value)
{
	struct vtl_cpu *cpu = &vp->vtls[vtl].cpu;
	int r = vtl_cpu_flush(cpu);

	if (!r)
		r = vtl_cpu_write_msr(cpu, MSR_APIC_BASE, value);
	/* It is among the special registers too. */
	vtl_cpu_forget(cpu);
	return r;
}

static int write_misc_enable(struct vsm_vcpu *vp, unsigned vtl, uint64_t value)
{
	struct vtl_cpu *cpu = &vp->vtls[vtl].cpu;
	uint64_t old;
	int r = vtl_cpu_read_msr(cpu, MSR_MISC_ENABLE, &old);

	if (r)
		return r;
	if ((old ^ value) & MISC_ENABLE_READ_ONLY)
		return -EINVAL;
	return vtl_cpu_write_msr(cpu, MSR_MISC_ENABLE, value);
}

int msr_intercept_read(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value)
{
	struct hv_register_value v;

	if (!find(index))
		return -ENOENT;
	if (index != MSR_EFER)
		return vtl_cpu_read_msr(&vp->vtls[vtl].cpu, index, value);
	if (register_get(vp, vtl, vtl, HV_REGISTER_EFER, &v))
		return -EINVAL;
	*value = v.low;
	return 0;
}

int msr_intercept_write(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value)
{
	if (!find(index))
		return -ENOENT;
	if (index == MSR_EFER)
		return write_efer(vp, vtl, value);
	if (index == MSR_APIC_BASE)
		return write_apic_base(vp, vtl, value);
	if (index == MSR_MISC_ENABLE)
		return write_misc_enable(vp, vtl, value);
	return vtl_cpu_write_msr(&vp->vtls[vtl].cpu, index, value);
}
