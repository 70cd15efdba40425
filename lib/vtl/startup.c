/* SPDX-License-Identifier: MIT */
/*
 * Starting VPs.
 *
 * With KVM's local APIC in VTL0 it is KVM that acts on INIT and SIPI, and its mp_state says whether
 * the VP has started; nothing can be denied. With the library's they are messages like others, and
 * the state is `started`.
 */
#include "vtl/startup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hv/vsm.h"
#include "apic/bus.h"
#include "registers/msr.h"
#include "vcpu/vcpu.h"

struct vp_reset {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_debugregs debugregs;
};

#define SIPI_SELECTOR_SHIFT 8
#define SIPI_BASE_SHIFT	    12

/* Those that this host does not have are not there to reset. */
static void remember_msrs(struct vsm_vcpu *vp)
{
	static const uint32_t msrs[] = {0x3a /* FEATURE_CONTROL */, 0x1a0 /* MISC_ENABLE */};
	struct vp_reset_msrs *made = &vp->reset_msrs;

	for (size_t i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		made->index[made->count] = msrs[i];
		if (!vtl_cpu_read_msr(&vp->vtls[0].cpu, msrs[i], &made->value[made->count]))
			made->count++;
	}
}

/* With KVM's local APIC it is KVM that is asked. */
void startup_reset(struct vsm_vcpu *vp)
{
	vp->started = vp->starts && !vp->partition->kernel_irqchip;
}

int startup_allocate(struct vsm_vcpu *vp)
{
	vp->reset = calloc(1, sizeof(*vp->reset));
	return vp->reset ? 0 : -ENOMEM;
}

int startup_init(struct vsm_vcpu *vp, bool started)
{
	const struct kvm_host *h = vp->partition->host;
	int fd = vp->vtls[0].cpu.fd, r;

	vp->starts = started || vp->index == 0;
	startup_reset(vp);
	remember_msrs(vp);
	r = h->ops->get_regs(h, fd, &vp->reset->regs);
	if (!r)
		r = h->ops->get_sregs(h, fd, &vp->reset->sregs);
	if (!r)
		r = h->ops->get_debugregs(h, fd, &vp->reset->debugregs);
	return r;
}

void startup_free(struct vsm_vcpu *vp)
{
	free(vp->reset);
}

bool startup_denied(const struct vsm_vcpu *vp, unsigned vtl)
{
	const struct vsm_partition *p = vp->partition;

	if (vtl || (vp->enabled_vtls & ~1u))
		return true;
	for (unsigned higher = 1; higher < p->vtl_count; higher++)
		if (p->vtls[higher].config & HV_PARTITION_CONFIG_DENY_LOWER_STARTUP)
			return true;
	return false;
}

bool startup_resets(const struct vsm_vcpu *vp)
{
	return vp->vtls[0].lapic.events & LAPIC_EVENT_INIT;
}

/* What a reset of VTL0 does not leave behind. */
static int forget_past(struct vp_vtl *v)
{
	struct kvm_vcpu_events *events;
	int r = vtl_cpu_events(&v->cpu, &events);

	if (r)
		return r;
	memset(&events->exception, 0, sizeof(events->exception));
	memset(&events->interrupt, 0, sizeof(events->interrupt));
	memset(&events->nmi, 0, sizeof(events->nmi));
	events->flags |= KVM_VCPUEVENT_VALID_NMI_PENDING;
	vtl_cpu_dirty(&v->cpu, CPU_EVENTS);
	v->halted = false;
	v->store_waits = false;
	return 0;
}

/*
 * INIT (Intel SDM 3A, table 10-1): registers as after a reset but the FPU's, the MSRs and the TSC.
 */
static int reset(struct vsm_vcpu *vp)
{
	struct vp_vtl *v = &vp->vtls[0];
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;
	int r = vtl_cpu_state(&v->cpu, &regs, &sregs);

	if (!r)
		r = forget_past(v);
	if (!r)
		r = vp->partition->host->ops->set_debugregs(vp->partition->host, v->cpu.fd,
							    &vp->reset->debugregs);
	if (r)
		return r;
	v->debugregs_known = false;
	*regs = vp->reset->regs;
	*sregs = vp->reset->sregs;
	vtl_cpu_dirty(&v->cpu, CPU_REGS | CPU_SREGS);
	lapic_reset_init(&v->lapic);
	/* The first processor goes to the reset vector, the others wait. */
	vp->started = vp->index == 0;
	return 0;
}

static int start_at(struct vsm_vcpu *vp, uint8_t vector)
{
	struct vp_vtl *v = &vp->vtls[0];
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;
	int r = vtl_cpu_state(&v->cpu, &regs, &sregs);

	if (r)
		return r;
	regs->rip = 0;
	sregs->cs.selector = (uint16_t)(vector << SIPI_SELECTOR_SHIFT);
	sregs->cs.base = (uint64_t)vector << SIPI_BASE_SHIFT;
	vtl_cpu_dirty(&v->cpu, CPU_REGS | CPU_SREGS);
	vp->started = true;
	return 0;
}

/* The highest enabled VTL runs first, and a lower one never unwatched. */
static void start(struct vsm_vcpu *vp)
{
	vp->started = true;
	vcpu_activate(vp, 31 - (unsigned)__builtin_clz(vp->enabled_vtls));
}

/* KVM waits for SIPI itself, inside KVM_RUN. Which VTL goes first is the library's business. */
static int check_kernel(struct vsm_vcpu *vp)
{
	const struct kvm_host *h = vp->partition->host;
	struct kvm_mp_state mp;
	int r = h->ops->get_mp_state(h, vp->vtls[0].cpu.fd, &mp);

	if (r)
		return r;
	if (mp.mp_state == KVM_MP_STATE_UNINITIALIZED || mp.mp_state == KVM_MP_STATE_INIT_RECEIVED)
		return 0;
	start(vp);
	return 0;
}

int startup_check(struct vsm_vcpu *vp)
{
	struct lapic *l = &vp->vtls[0].lapic;
	int r = 0;

	if (!bus_serves(vp, 0))
		return vp->started ? 0 : check_kernel(vp);
	if (l->events & LAPIC_EVENT_INIT)
		r = reset(vp);
	if (!r && lapic_take(l, LAPIC_EVENT_STARTUP) && !vp->started)
		r = start_at(vp, l->sipi_vector);
	return r ? r : !vp->started;
}

int startup_start(struct vsm_vcpu *vp)
{
	const struct kvm_host *h = vp->partition->host;
	const struct kvm_mp_state mp = {.mp_state = KVM_MP_STATE_RUNNABLE};
	int r = 0;

	if (!bus_serves(vp, 0))
		r = h->ops->set_mp_state(h, vp->vtls[0].cpu.fd, &mp);
	if (!r)
		start(vp);
	return r;
}
