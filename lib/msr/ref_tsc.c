/* SPDX-License-Identifier: MIT */
/*
 * Reference time in 100 ns units since the partition was made.
 *
 * Where the TSC's frequency is known, time is a function of the guest's TSC, so that the MSR and
 * the page give the same answer by construction; else it comes from the host's clock and the page
 * says "do not use me" (sequence 0).
 *
 * A guest can move a VP's TSC; reference time does not follow. The MSR takes the move out again.
 * The page, which is one for all VPs, cannot: it is unusable until all VPs have moved by as much.
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

/* The guest's TSC without the moves that reference time does not follow. */
static int steady_tsc(struct vsm_vcpu *vp, unsigned vtl, uint64_t *tsc)
{
	int r = ref_tsc_guest_tsc(vp, vtl, tsc);

	*tsc -= r ? 0 : vp->tsc_moved;
	return r;
}

/* Fixes, once, how far the TSC's count is from the time since the partition was made. */
static int learn_offset(struct vsm_vcpu *vp, unsigned vtl)
{
	struct vsm_partition *p = vp->partition;
	uint64_t tsc;
	int r;

	if (p->ref_offset_known)
		return 0;
	r = steady_tsc(vp, vtl, &tsc);
	if (r)
		return r;
	p->ref_offset = (int64_t)(clock_units(p) - scaled(p, tsc));
	p->ref_offset_known = true;
	p->ref_sequence = SEQUENCE_UNUSED + 1;
	return 0;
}

int ref_tsc_now(struct vsm_vcpu *vp, unsigned vtl, uint64_t *now)
{
	struct vsm_partition *p = vp->partition;
	uint64_t tsc;
	int r;

	if (!p->tsc_khz) {
		*now = clock_units(p);
		return 0;
	}
	r = learn_offset(vp, vtl);
	if (!r)
		r = steady_tsc(vp, vtl, &tsc);
	if (!r)
		*now = scaled(p, tsc) + (uint64_t)p->ref_offset;
	return r;
}

int ref_tsc_read_count(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value)
{
	(void)index;
	return ref_tsc_now(vp, vtl, value);
}

int ref_tsc_read_page(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value)
{
	(void)index;
	*value = vp->partition->vtls[vtl].ref_tsc_msr;
	return 0;
}

/* Guests may be reading it: the sequence says so first and last. */
static void fill(const struct vsm_partition *p, uint8_t *host)
{
	struct ref_tsc_page *page = (struct ref_tsc_page *)host;

	__atomic_store_n(&page->sequence, SEQUENCE_UNUSED, __ATOMIC_SEQ_CST);
	if (!p->tsc_khz || p->ref_page_stale)
		return;
	page->scale = tsc_scale(p);
	page->offset = p->ref_offset;
	__atomic_store_n(&page->sequence, p->ref_sequence, __ATOMIC_SEQ_CST);
}

/*
 * The page is laid over the partition's guest-physical space (TLFS timers.md), while its MSR is
 * private to a VTL (vsm.md): lower VTLs see it, too. Not so higher ones: a lower VTL must not cover
 * what they have there. It tells nothing that TIME_REF_COUNT does not.
 */
static struct overlay *page_in_view(const struct vtl_partition *v, unsigned vtl, unsigned view)
{
	return view == vtl ? v->ref_tsc_page : v->ref_tsc_below[view];
}

/* In all views or, but for -ENOTRECOVERABLE, in none. */
static int move_page(struct vsm_partition *p, unsigned vtl, bool enable, uint64_t to)
{
	const struct vtl_partition *v = &p->vtls[vtl];
	const uint64_t old = v->ref_tsc_msr;
	unsigned view;
	int r = 0;

	for (view = 0; !r && view <= vtl; view++)
		r = synthetic_move_overlay(&p->memory, page_in_view(v, vtl, view), enable, to);
	if (!r)
		return 0;
	for (view--; view-- > 0;)
		if (synthetic_move_overlay(&p->memory, page_in_view(v, vtl, view),
					   old & PAGE_ENABLE, old >> VSM_PAGE_SHIFT))
			r = -ENOTRECOVERABLE;
	return r;
}

int ref_tsc_hide(struct vsm_partition *p, unsigned vtl)
{
	int r = move_page(p, vtl, false, 0);

	if (!r)
		p->vtls[vtl].ref_tsc_msr = 0;
	return r;
}

int ref_tsc_write_page(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value)
{
	struct vsm_partition *p = vp->partition;
	struct vtl_partition *v = &p->vtls[vtl];
	bool enable = value & PAGE_ENABLE;
	int r = enable && p->tsc_khz ? learn_offset(vp, vtl) : 0;

	(void)index;
	if (!r && enable)
		fill(p, v->ref_tsc_page->host);
	if (!r)
		r = move_page(p, vtl, enable, value >> VSM_PAGE_SHIFT);
	if (!r)
		v->ref_tsc_msr = value;
	return r;
}

static void fill_all(const struct vsm_partition *p)
{
	for (unsigned vtl = 0; vtl < p->vtl_count; vtl++)
		if (p->vtls[vtl].ref_tsc_page->enabled)
			fill(p, p->vtls[vtl].ref_tsc_page->host);
}

static bool all_moved_alike(const struct vsm_partition *p, uint64_t moved)
{
	for (uint32_t i = 0; i < p->max_vps; i++)
		if (p->vps[i] && p->vps[i]->tsc_moved != moved)
			return false;
	return true;
}

/* All TSCs are off by the same: from now on that is what they count from. */
static void rebase(struct vsm_partition *p, uint64_t tsc, uint64_t moved)
{
	p->ref_offset += (int64_t)(scaled(p, tsc - moved) - scaled(p, tsc));
	for (uint32_t i = 0; i < p->max_vps; i++)
		if (p->vps[i])
			p->vps[i]->tsc_moved = 0;
	/* Never 0, which means "not usable"; Linux has all ones mean that too. */
	p->ref_sequence = (p->ref_sequence + 1) % UINT32_MAX;
	if (p->ref_sequence == SEQUENCE_UNUSED)
		p->ref_sequence++;
}

void ref_tsc_moved(struct vsm_vcpu *vp, uint64_t tsc, uint64_t by)
{
	struct vsm_partition *p = vp->partition;

	if (!p->ref_offset_known)
		return;
	vp->tsc_moved += by;
	p->ref_page_stale = !all_moved_alike(p, vp->tsc_moved);
	if (!p->ref_page_stale && vp->tsc_moved)
		rebase(p, tsc, vp->tsc_moved);
	fill_all(p);
}
