/* SPDX-License-Identifier: MIT */
/*
 * Synthetic MSRs, one row each: what a number reads as and what a write does. Registers with the
 * same meaning (HvRegisterGuestOsId, ...) come here too.
 */
#include "msr/synthetic.h"

#include <errno.h>
#include <string.h>

#include "hv/vsm.h"
#include "hypercall/hypercall.h"
#include "msr/apic_msr.h"
#include "msr/machine_msr.h"
#include "msr/ref_tsc.h"
#include "vcpu/vcpu.h"

#define HYPERCALL_ENABLE UINT64_C(1)
#define HYPERCALL_LOCKED UINT64_C(2)
#define PAGE_ENABLE	 UINT64_C(1)

/* HV_X64_MSR_HYPERCALL and its like carry a page number of a 52-bit address. */
#define GPA_PAGES (UINT64_C(1) << 40)

typedef int (*msr_read)(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value);
typedef int (*msr_write)(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value);

int synthetic_move_overlay(struct memory *m, struct overlay *page, bool enable, uint64_t to)
{
	if (to >= GPA_PAGES)
		return -EINVAL;
	return enable ? overlay_enable(m, page, to) : overlay_disable(m, page);
}

/* --- identity and hypercall page: per VTL, partition-wide --- */

static struct vtl_partition *vtl_of(struct vsm_vcpu *vp, unsigned vtl)
{
	return &vp->partition->vtls[vtl];
}

static int read_os_id(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value)
{
	(void)index;
	*value = vtl_of(vp, vtl)->guest_os_id;
	return 0;
}

static int write_os_id(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value)
{
	struct vtl_partition *v = vtl_of(vp, vtl);

	(void)index;
	/*
	 * "If the Guest OS identity is cleared to zero [...] the hypercall page becomes disabled."
	 */
	if (!value) {
		int r = overlay_disable(&vp->partition->memory, v->hypercall_page);

		if (r)
			return r;
		v->hypercall_msr &= ~HYPERCALL_ENABLE;
	}
	v->guest_os_id = value;
	return 0;
}

static int read_hypercall(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value)
{
	(void)index;
	*value = vtl_of(vp, vtl)->hypercall_msr;
	return 0;
}

static int write_hypercall(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value)
{
	struct vsm_partition *p = vp->partition;
	struct vtl_partition *v = vtl_of(vp, vtl);
	int r;

	(void)index;
	if (v->hypercall_msr & HYPERCALL_LOCKED)
		return 0;
	/* "The enable bit will remain zero even when writing a one to it" without an identity. */
	if (!v->guest_os_id)
		value &= ~HYPERCALL_ENABLE;
	if (value & HYPERCALL_ENABLE)
		hypercall_page_fill(v->hypercall_page->host, p->hypercall_port);
	r = synthetic_move_overlay(&p->memory, v->hypercall_page, value & HYPERCALL_ENABLE,
				   value >> VSM_PAGE_SHIFT);
	if (!r)
		v->hypercall_msr = value;
	return r;
}

/* --- per VP and VTL --- */

static int read_vp_index(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value)
{
	(void)vtl, (void)index;
	*value = vp->index;
	return 0;
}

static int read_assist(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value)
{
	(void)index;
	*value = vp->vtls[vtl].assist_msr;
	return 0;
}

static int write_assist(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value)
{
	struct vp_vtl *v = &vp->vtls[vtl];
	int r;

	(void)index;
	/* vp-properties.md: a newly enabled assist page is zero. */
	if ((value & PAGE_ENABLE) && !v->assist_page->enabled)
		memset(v->assist_page->host, 0, VSM_PAGE_SIZE);
	r = synthetic_move_overlay(&vp->partition->memory, v->assist_page, value & PAGE_ENABLE,
				   value >> VSM_PAGE_SHIFT);
	if (!r)
		v->assist_msr = value;
	return r;
}

static int read_synic(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value)
{
	return synic_msr_read(&vp->vtls[vtl].synic, index, value);
}

/* --- partition-wide --- */

static int read_capabilities(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value)
{
	(void)vtl, (void)index;
	*value = vsm_capabilities(vp->partition);
	return 0;
}

static int read_tsc_frequency(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value)
{
	(void)vtl, (void)index;
	if (!vp->partition->tsc_khz)
		return -EINVAL;
	*value = (uint64_t)vp->partition->tsc_khz * 1000;
	return 0;
}

/* The library's APIC counts as KVM's does (kernel: APIC_BUS_FREQUENCY). */
static int read_apic_frequency(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value)
{
	(void)vp, (void)vtl, (void)index;
	*value = LAPIC_TIMER_HZ;
	return 0;
}

/*
 * MBEC is enforced where non-executable pages are: under the strict policy. A mask bit per VTL that
 * can have it set for a lower one.
 */
uint64_t vsm_capabilities(const struct vsm_partition *p)
{
	uint64_t mbec = 0;

	if (p->memory.exec_policy == VSM_EXEC_STRICT)
		mbec = (UINT64_C(1) << p->vtl_count) - 2;
	/* KVM's own local APIC obeys INIT and SIPI without asking. */
	return mbec << HV_VSM_CAP_MBEC_SHIFT |
	       (p->kernel_irqchip ? 0 : HV_VSM_CAP_DENY_LOWER_VTL_STARTUP);
}

static const struct {
	uint32_t first, last;
	msr_read read;
	msr_write write; /* NULL: #GP */
} table[] = {
	{HV_MSR_GUEST_OS_ID, HV_MSR_GUEST_OS_ID, read_os_id, write_os_id},
	{HV_MSR_HYPERCALL, HV_MSR_HYPERCALL, read_hypercall, write_hypercall},
	{HV_MSR_VP_INDEX, HV_MSR_VP_INDEX, read_vp_index, NULL},
	{HV_MSR_RESET, HV_MSR_RESET, reset_msr_read, reset_msr_write},
	{HV_MSR_VP_RUNTIME, HV_MSR_VP_RUNTIME, runtime_msr_read, NULL},
	{HV_MSR_TIME_REF_COUNT, HV_MSR_TIME_REF_COUNT, ref_tsc_read_count, NULL},
	{HV_MSR_REFERENCE_TSC, HV_MSR_REFERENCE_TSC, ref_tsc_read_page, ref_tsc_write_page},
	{HV_MSR_TSC_FREQUENCY, HV_MSR_TSC_FREQUENCY, read_tsc_frequency, NULL},
	{HV_MSR_APIC_FREQUENCY, HV_MSR_APIC_FREQUENCY, read_apic_frequency, NULL},
	{HV_MSR_EOI, HV_MSR_TPR, apic_msr_read, apic_msr_write},
	{HV_MSR_VP_ASSIST_PAGE, HV_MSR_VP_ASSIST_PAGE, read_assist, write_assist},
	{HV_MSR_SVERSION, HV_MSR_SVERSION, read_synic, NULL},
	{HV_MSR_SCONTROL, HV_MSR_SCONTROL, read_synic, synic_msr_write},
	{HV_MSR_SIEFP, HV_MSR_EOM, read_synic, synic_msr_write},
	{HV_MSR_SINT0, HV_MSR_SINT15, read_synic, synic_msr_write},
	{HV_MSR_STIMER0_CONFIG, HV_MSR_STIMER3_COUNT, stimer_msr_read, stimer_msr_write},
	{HV_MSR_CRASH_P0, HV_MSR_CRASH_CTL, crash_msr_read, crash_msr_write},
	{HV_MSR_VSM_CAPABILITIES, HV_MSR_VSM_CAPABILITIES, read_capabilities, NULL},
};

#define ROWS (sizeof(table) / sizeof(table[0]))

static int find(uint32_t index)
{
	for (size_t i = 0; i < ROWS; i++)
		if (index >= table[i].first && index <= table[i].last)
			return (int)i;
	return -1;
}

int synthetic_read(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value)
{
	int row = find(index);

	return row < 0 ? -ENOENT : table[row].read(vp, vtl, index, value);
}

int synthetic_write(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value)
{
	int row = find(index);

	if (row < 0)
		return -ENOENT;
	return table[row].write ? table[row].write(vp, vtl, index, value) : -EINVAL;
}
