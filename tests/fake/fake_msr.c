// SPDX-License-Identifier: MIT
/* The fake KVM: MSRs (Linux 6.1 arch/x86/kvm/x86.c, kvm_set_msr_common()). */
#include "fake.h"

#define MSR_TSC		 0x10
#define MSR_APIC_BASE	 0x1b
#define MSR_EFER	 0xc0000080
#define MSR_FS_BASE	 0xc0000100
#define MSR_GS_BASE	 0xc0000101
#define MSR_TSC_AUX	 0xc0000103
#define MSR_SYSENTER_ESP 0x175
#define MSR_SYSENTER_EIP 0x176
#define MSR_SINT0	 0x40000090
#define SINTS		 16
#define SINT_MASKED	 (UINT64_C(1) << 16)

static bool msr_any(uint64_t value)
{
	(void)value;
	return true;
}

static bool msr_never(uint64_t value)
{
	(void)value;
	return false;
}

static bool msr_canonical(uint64_t value)
{
	return (int64_t)(value << 16) >> 16 == (int64_t)value;
}

static bool msr_type_valid(uint8_t type)
{
	return type < 8 && type != 2 && type != 3;
}

/* kvm_pat_valid() */
static bool msr_pat(uint64_t value)
{
	for (unsigned i = 0; i < 8; i++)
		if (!msr_type_valid((uint8_t)(value >> (8 * i))))
			return false;
	return true;
}

/* kvm_mtrr_valid(): eight memory types; no UC- (7) */
static bool msr_mtrr_fixed(uint64_t value)
{
	for (unsigned i = 0; i < 8; i++) {
		uint8_t type = (uint8_t)(value >> (8 * i));

		if (type == 7 || !msr_type_valid(type))
			return false;
	}
	return true;
}

static bool msr_mtrr_default(uint64_t value)
{
	return !(value & ~UINT64_C(0xcff)) && (value & 0xff) != 7 && msr_type_valid((uint8_t)value);
}

static bool msr_mtrr_base(uint64_t value)
{
	return !(value >> 48) && !(value & 0xf00) && (value & 0xff) != 7 &&
	       msr_type_valid((uint8_t)value);
}

static bool msr_mtrr_mask(uint64_t value)
{
	return !(value >> 48) && !(value & 0x7ff);
}

/* Bank control registers are all ones or all zeros. */
static bool msr_mce_control(uint64_t value)
{
	return value == 0 || value == UINT64_MAX || (value | 1 << 10) == UINT64_MAX;
}

/* Ranges of MSRs with a stride; reset and check are those of each. */
static const struct {
	uint32_t first, count, stride;
	uint64_t reset;
	bool (*valid)(uint64_t value);
} ranges[] = {
	{MSR_TSC, 1, 1, 0, msr_any},
	{MSR_APIC_BASE, 1, 1, 0, msr_any},
	{0x3b, 1, 1, 0, msr_any},		  /* TSC_ADJUST */
	{0x48, 1, 1, 0, msr_any},		  /* SPEC_CTRL */
	{0x8b, 1, 1, UINT64_C(1) << 32, msr_any}, /* UCODE_REV */
	{0xfe, 1, 1, 0x508, msr_never},		  /* MTRRcap */
	{0x174, 1, 1, 0, msr_any},		  /* SYSENTER_CS */
	{MSR_SYSENTER_ESP, 2, 1, 0, msr_any},	  /* SYSENTER_ESP, EIP */
	{0x179, 1, 1, 0x20, msr_never},		  /* MCG_CAP */
	{0x17a, 1, 1, 0, msr_any},		  /* MCG_STATUS */
	{0x1a0, 1, 1, 1, msr_any},		  /* MISC_ENABLE */
	{0x1d9, 1, 1, 0, msr_any},		  /* DEBUGCTL */
	{0x200, 8, 2, 0, msr_mtrr_base},
	{0x201, 8, 2, 0, msr_mtrr_mask},
	{0x250, 1, 1, 0, msr_mtrr_fixed},
	{0x258, 2, 1, 0, msr_mtrr_fixed},
	{0x268, 8, 1, 0, msr_mtrr_fixed},
	{0x277, 1, 1, UINT64_C(0x0007040600070406), msr_pat},
	{0x2ff, 1, 1, 0, msr_mtrr_default},
	{0x400, 32, 4, 0, msr_mce_control}, /* MCi_CTL */
	{0x401, 32, 4, 0, msr_any},	    /* MCi_STATUS, ADDR, MISC */
	{0x402, 32, 4, 0, msr_any},
	{0x403, 32, 4, 0, msr_any},
	{0x6e0, 1, 1, 0, msr_any}, /* TSC_DEADLINE */
	{MSR_EFER, 1, 1, 0, msr_any},
	{0xc0000081, 1, 1, 0, msr_any},	       /* STAR */
	{0xc0000082, 2, 1, 0, msr_canonical},  /* LSTAR, CSTAR */
	{0xc0000084, 1, 1, 0, msr_any},	       /* SFMASK */
	{MSR_FS_BASE, 3, 1, 0, msr_canonical}, /* FS, GS, KERNEL_GS */
	{MSR_TSC_AUX, 1, 1, 0, msr_any},       /* TSC_AUX */
};

static bool msr_valid(uint32_t index, uint64_t value)
{
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		uint32_t off = index - ranges[i].first;

		if (index >= ranges[i].first && off % ranges[i].stride == 0 &&
		    off / ranges[i].stride < ranges[i].count)
			return ranges[i].valid(value);
	}
	return true;
}

/* --- which are known --- */

static struct msr *msr_find(struct msr *msrs, size_t count, uint32_t index)
{
	for (size_t i = 0; i < count; i++)
		if (msrs[i].index == index)
			return &msrs[i];
	return NULL;
}

void fake_kvm_add_msr(struct fake_kvm *f, uint32_t index, uint64_t reset_value)
{
	struct msr *m;

	pthread_mutex_lock(&f->lock);
	m = msr_find(f->msrs, f->msr_count, index);
	if (!m) {
		f->msrs = fake_grow(f->msrs, f->msr_count + 1, sizeof(*m));
		m = &f->msrs[f->msr_count++];
	}
	*m = (struct msr){index, reset_value};
	pthread_mutex_unlock(&f->lock);
}

void fake_kvm_remove_msr(struct fake_kvm *f, uint32_t index)
{
	struct msr *m;

	pthread_mutex_lock(&f->lock);
	m = msr_find(f->msrs, f->msr_count, index);
	if (m)
		*m = f->msrs[--f->msr_count];
	pthread_mutex_unlock(&f->lock);
}

void msr_defaults(struct fake_kvm *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
		for (uint32_t j = 0; j < ranges[i].count; j++)
			fake_kvm_add_msr(f, ranges[i].first + j * ranges[i].stride,
					 ranges[i].reset);
}

void msr_reset(struct vcpu *v)
{
	v->msr_count = v->f->msr_count;
	v->msrs = fake_grow(v->msrs, v->msr_count, sizeof(*v->msrs));
	memcpy(v->msrs, v->f->msrs, v->msr_count * sizeof(*v->msrs));
}

void msr_add_sints(struct vcpu *v)
{
	v->msrs = fake_grow(v->msrs, v->msr_count + SINTS, sizeof(*v->msrs));
	for (uint32_t i = 0; i < SINTS; i++)
		v->msrs[v->msr_count++] = (struct msr){MSR_SINT0 + i, SINT_MASKED};
}

/* --- reading and writing --- */

static uint64_t msr_host_tsc(const struct vcpu *v)
{
	return v->f->clock / 1000 * (uint64_t)v->f->tsc_khz / 1000;
}

/* Those that are part of other state. */
static uint64_t *msr_elsewhere(struct vcpu *v, uint32_t index)
{
	__u64 *where = NULL;

	if (index == MSR_EFER)
		where = &v->sregs.efer;
	else if (index == MSR_APIC_BASE)
		where = &v->sregs.apic_base;
	else if (index == MSR_FS_BASE)
		where = &v->sregs.fs.base;
	else if (index == MSR_GS_BASE)
		where = &v->sregs.gs.base;
	return (uint64_t *)where;
}

/* x2APIC registers: with an in-kernel LAPIC in x2APIC mode only, which is not modelled further. */
static bool msr_x2apic(uint32_t index)
{
	return index >= 0x800 && index <= 0x8ff;
}

int msr_read(struct vcpu *v, uint32_t index, uint64_t *value)
{
	const struct msr *m = msr_find(v->msrs, v->msr_count, index);
	const uint64_t *elsewhere = msr_elsewhere(v, index);

	if (msr_x2apic(index))
		return -EINVAL;
	if (!m)
		return -ENOENT;
	if (index == MSR_TSC)
		*value = msr_host_tsc(v) + v->tsc_offset;
	else
		*value = elsewhere ? *elsewhere : m->value;
	return 0;
}

/* set_efer(): LMA cannot be written; a guest cannot change LME while paging */
static int msr_write_efer(struct vcpu *v, uint64_t value, bool host)
{
	if (value & ~(uint64_t)EFER_KNOWN)
		return -EINVAL;
	if (!host && v->sregs.cr0 & CR0_PG && (value ^ v->sregs.efer) & EFER_LME)
		return -EINVAL;
	v->sregs.efer = (value & ~(uint64_t)EFER_LMA) | (v->sregs.efer & EFER_LMA);
	return 0;
}

/* __kvm_set_msr(): what is cut to what the processor has, and not refused */
static uint64_t msr_cut(uint32_t index, uint64_t value)
{
	if (index == MSR_SYSENTER_ESP || index == MSR_SYSENTER_EIP)
		return (uint64_t)((int64_t)(value << 16) >> 16);
	return index == MSR_TSC_AUX ? (uint32_t)value : value;
}

int msr_write(struct vcpu *v, uint32_t index, uint64_t value, bool host)
{
	struct msr *m = msr_find(v->msrs, v->msr_count, index);
	uint64_t *elsewhere = msr_elsewhere(v, index);

	value = msr_cut(index, value);
	if (msr_x2apic(index))
		return -EINVAL;
	if (!m)
		return -ENOENT;
	if (!msr_valid(index, value))
		return -EINVAL;
	if (index == MSR_EFER)
		return msr_write_efer(v, value, host);
	if (index == MSR_APIC_BASE && !state_valid_apic_base(v, value))
		return -EINVAL;
	if (index == MSR_TSC)
		v->tsc_offset = value - msr_host_tsc(v);
	else if (elsewhere)
		*elsewhere = value;
	else
		m->value = value;
	return 0;
}

int op_get_msrs(const struct kvm_host *h, int vcpu_fd, struct kvm_msrs *msrs)
{
	struct fake_kvm *f;
	struct vcpu *v;
	uint32_t i;
	int ret = vcpu_enter(h, FAKE_OP_get_msrs, vcpu_fd, &f, &v);

	if (!ret && msrs->nmsrs >= 256)
		ret = -E2BIG;
	if (ret)
		return fake_leave(f, ret);
	for (i = 0; i < msrs->nmsrs; i++) {
		uint64_t value;

		if (msr_read(v, msrs->entries[i].index, &value))
			break;
		msrs->entries[i].data = value;
	}
	return fake_leave(f, (int)i);
}

int op_set_msrs(const struct kvm_host *h, int vcpu_fd, const struct kvm_msrs *msrs)
{
	struct fake_kvm *f;
	struct vcpu *v;
	uint32_t i;
	int ret = vcpu_enter(h, FAKE_OP_set_msrs, vcpu_fd, &f, &v);

	if (!ret && msrs->nmsrs >= 256)
		ret = -E2BIG;
	if (ret)
		return fake_leave(f, ret);
	for (i = 0; i < msrs->nmsrs; i++)
		if (msr_write(v, msrs->entries[i].index, msrs->entries[i].data, true))
			break;
	return fake_leave(f, (int)i);
}

uint64_t fake_vcpu_msr(struct fake_kvm *f, int vcpu_fd, uint32_t index)
{
	struct vcpu *v;
	uint64_t value = 0;

	pthread_mutex_lock(&f->lock);
	v = vcpu_of(f, vcpu_fd);
	if (v && msr_read(v, index, &value))
		fake_error(f, "vCPU %lu has no MSR %#x", v->id, index);
	pthread_mutex_unlock(&f->lock);
	return value;
}
