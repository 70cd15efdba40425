/* SPDX-License-Identifier: MIT */
/* MMIO exits: the library's local APIC page, protected memory, or the VMM's devices. */
#include "apic/bus.h"
#include "intercept/intercept.h"
#include "vcpu/exit.h"
#include "vcpu/interrupt.h"
#include "vcpu/vcpu.h"

/* True: it was the active VTL's APIC page. */
static bool apic_page(struct vsm_vcpu *vp, struct kvm_run *run)
{
	unsigned vtl = vp->active_vtl;
	struct lapic *l = &vp->vtls[vtl].lapic;
	struct lapic_effects effects;
	struct lapic_clock clock;
	gpa_t gpa = gpa_from(run->mmio.phys_addr);

	if (!bus_serves(vp, vtl) ||
	    gpa_page(gpa) != gpa_page(gpa_from(l->base & LAPIC_BASE_ADDRESS)))
		return false;
	bus_clock(vp, vtl, false, &clock);
	if (!run->mmio.is_write)
		return !lapic_mmio_read(l, gpa, run->mmio.len, &clock, run->mmio.data);
	if (lapic_mmio_write(l, gpa, run->mmio.len, run->mmio.data, &clock, &effects))
		return false;
	bus_effects(vp, vtl, &effects);
	return true;
}

int exit_mmio(struct vsm_vcpu *vp)
{
	struct vtl_cpu *cpu = &vcpu_active(vp)->cpu;
	struct violation v = {0};
	int r;

	if (apic_page(vp, cpu->run)) {
		cpu->unfinished = true;
		return EXIT_RESUME;
	}
	r = intercept_mmio(vp, &v);
	if (r)
		return r;
	r = violation_handle(vp, &v);
	if (r == EXIT_TO_VMM || v.served)
		cpu->unfinished = true;
	return r;
}
