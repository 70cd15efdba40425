/* SPDX-License-Identifier: MIT */
/*
 * Reference time in 100 ns units since the partition was made.
 *
 * Where the TSC's frequency is known, time is a function of the guest's TSC, so that the MSR and the page give
 * the same answer by construction; else it comes from the host's clock and the page says "do not use me"
 * (sequence 0).
 */
#include "msr/ref_tsc.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "msr/synthetic.h"
#include "registers/msr.h"
#include "vcpu/vcpu.h"

#define PAGE_ENABLE	UINT64_C(1)
#define MSR_IA32_TSC	0x10
#define NS_PER_UNIT	100
#define UNITS_PER_MS	10000
#define SEQUENCE_VALID	1
#define SEQUENCE_UNUSED 0

/* HV_REFERENCE_TSC_PAGE */
struct ref_tsc_page {
	uint32_t sequence;
	uint32_t reserved;
	uint64_t scale;
	int64_t offset;
};
_Static_assert(offsetof(struct ref_tsc_page, offset) == 16,
	       "TLFS timers.md, HV_REFERENCE_TSC_PAGE");

int ref_tsc_guest_tsc(struct vsm_vcpu *vp, unsigned vtl, uint64_t *tsc)
{
	return vtl_cpu_read_msr(&vp->vtls[vtl].cpu, MSR_IA32_TSC, tsc);
}

/* Units = tsc * scale >> 64. */
static uint64_t tsc_scale(const struct vsm_partition *p)
{
	return (uint64_t)(((__uint128_t)UNITS_PER_MS << 64) / p->tsc_khz);
}

static uint64_t scaled(const struct vsm_partition *p, uint64_t tsc)
{
	return (uint64_t)(((__uint128_t)tsc * tsc_scale(p)) >> 64);
}

static uint64_t clock_units(const struct vsm_partition *p)
{
	return (p->host->ops->clock_ns(p->host) - p->start_ns) / NS_PER_UNIT;
}

/* Fixes, once, how far the TSC's count is from the time since the partition was made. */
static int learn_offset(struct vsm_vcpu *vp, unsigned vtl)
{
	struct vsm_partition *p = vp->partition;
	uint64_t tsc;
	int r;

	if (p->ref_offset_known)
		return 0;
	r = ref_tsc_guest_tsc(vp, vtl, &tsc);
	if (r)
		return r;
	p->ref_offset = (int64_t)(clock_units(p) - scaled(p, tsc));
	p->ref_offset_known = true;
	return 0;
}

int ref_tsc_read_count(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value)
{
	struct vsm_partition *p = vp->partition;
	uint64_t tsc;
	int r;

	(void)index;
	if (!p->tsc_khz) {
		*value = clock_units(p);
		return 0;
	}
	r = learn_offset(vp, vtl);
	if (!r)
		r = ref_tsc_guest_tsc(vp, vtl, &tsc);
	if (!r)
		*value = scaled(p, tsc) + (uint64_t)p->ref_offset;
	return r;
}

int ref_tsc_read_page(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value)
{
	(void)index;
	*value = vp->partition->vtls[vtl].ref_tsc_msr;
	return 0;
}

static int fill(struct vsm_vcpu *vp, unsigned vtl, uint8_t *host)
{
	struct vsm_partition *p = vp->partition;
	struct ref_tsc_page page = {.sequence = SEQUENCE_UNUSED};

	if (p->tsc_khz) {
		int r = learn_offset(vp, vtl);

		if (r)
			return r;
		page.sequence = SEQUENCE_VALID;
		page.scale = tsc_scale(p);
		page.offset = p->ref_offset;
	}
	memcpy(host, &page, sizeof(page));
	return 0;
}

int ref_tsc_write_page(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value)
{
	struct vsm_partition *p = vp->partition;
	struct vtl_partition *v = &p->vtls[vtl];
	int r = value & PAGE_ENABLE ? fill(vp, vtl, v->ref_tsc_page->host) : 0;

	(void)index;
	if (!r)
		r = synthetic_move_overlay(&p->memory, v->ref_tsc_page, value & PAGE_ENABLE,
					   value >> VSM_PAGE_SHIFT);
	if (!r)
		v->ref_tsc_msr = value;
	return r;
}
