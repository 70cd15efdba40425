/* SPDX-License-Identifier: MIT */
/* The library's local APICs as a system: which of them a message is for, and who has to look. */
#include "apic/bus.h"

#include "hv/vsm.h"
#include "msr/ref_tsc.h"
#include "partition/hold.h"
#include "vtl/startup.h"

void bus_clock(struct vsm_vcpu *vp, unsigned vtl, bool with_tsc, struct lapic_clock *clock)
{
	const struct vsm_partition *p = vp->partition;

	*clock = (struct lapic_clock){.now_ns = p->host->ops->clock_ns(p->host)};
	if (with_tsc && !ref_tsc_guest_tsc(vp, vtl, &clock->now_tsc))
		clock->tsc_khz = p->tsc_khz;
}

/* An interrupt for a lower VTL waits for the return, unless the higher one wants to know. */
static bool concerns(const struct vsm_vcpu *vp, unsigned vtl)
{
	return vtl >= vp->active_vtl || (vp->vtls[vp->active_vtl].vina & HV_VINA_ENABLED);
}

void bus_give(struct vsm_vcpu *vp, unsigned vtl, const struct lapic_ipi *ipi)
{
	bool startup = ipi->mode == LAPIC_INIT || ipi->mode == LAPIC_STARTUP;

	if (startup && startup_denied(vp, vtl))
		return;
	if (lapic_deliver(&vp->vtls[vtl].lapic, ipi) && concerns(vp, vtl))
		partition_wake_vp(vp);
}

void bus_raise(struct vsm_vcpu *vp, unsigned vtl, enum lapic_lvt lvt)
{
	struct lapic *l = &vp->vtls[vtl].lapic;

	if (lapic_lvt_mode(l, lvt) == LAPIC_INIT && startup_denied(vp, vtl))
		return;
	if (lapic_raise(l, lvt) && concerns(vp, vtl))
		partition_wake_vp(vp);
}

/* NULL: the message is not for the VP's APIC. */
static struct lapic *matching(struct vsm_vcpu *vp, const struct vsm_vcpu *sender, unsigned vtl,
			      const struct lapic_ipi *ipi)
{
	struct lapic *l = vp ? &vp->vtls[vtl].lapic : NULL;

	if (!vp || !(vp->enabled_vtls & (1u << vtl)) || !lapic_matches(l, ipi, vp == sender))
		return NULL;
	return l;
}

void bus_route(struct vsm_partition *p, const struct vsm_vcpu *sender, unsigned vtl,
	       const struct lapic_ipi *ipi)
{
	struct vsm_vcpu *best_vp = NULL;
	struct lapic *best = NULL;

	for (uint32_t i = 0; i < p->max_vps; i++) {
		struct vsm_vcpu *vp = p->vps[i];
		struct lapic *l = matching(vp, sender, vtl, ipi), *better;

		if (!l)
			continue;
		if (ipi->mode != LAPIC_LOWEST) {
			bus_give(vp, vtl, ipi);
			continue;
		}
		better = lapic_arbitrate(best, l);
		if (better != best)
			best_vp = vp;
		best = better;
	}
	if (best)
		bus_give(best_vp, vtl, ipi);
}

void bus_effects(struct vsm_vcpu *vp, unsigned vtl, const struct lapic_effects *effects)
{
	if (effects->ipi.valid)
		bus_route(vp->partition, vp, vtl, &effects->ipi);
	if (effects->eoi)
		synic_flush(vp, vtl);
}
