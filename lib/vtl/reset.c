/* SPDX-License-Identifier: MIT */
/* What a VTL keeps with a VP and with the partition, back to what it was when they were made. */
#include "vtl/reset.h"

#include <errno.h>
#include <string.h>

#include "apic/kernel_apic.h"
#include "intercept/io.h"
#include "msr/intercept.h"
#include "msr/ref_tsc.h"
#include "partition/tlb.h"
#include "registers/msr.h"
#include "vcpu/vcpu.h"

/* Debug registers after a reset (Intel SDM 3A, table 10-1). */
#define DR6_RESET UINT64_C(0xffff0ff0)
#define DR7_RESET UINT64_C(0x400)

/* MSRs that a context does not set and that are 0 after a processor's reset. */
static const uint32_t zero_msrs[] = {
	0x48,						/* SPEC_CTRL */
	0xe1,						/* UMWAIT_CONTROL */
	0x122,						/* TSX_CTRL */
	0x174,						/* SYSENTER_CS, ESP, EIP */
	0x175,	    0x176,	0x1c4,	    0x1c5,	/* XFD, XFD_ERR */
	0x1d9,						/* DEBUGCTL */
	0x6a0,	    0x6a2,				/* U_CET, S_CET */
	0x6a4,	    0x6a5,	0x6a6,	    0x6a7,	/* PL0_SSP.. */
	0x6a8,						/* the interrupt SSP table */
	0xda0,						/* XSS */
	0xc0000081,					/* STAR, LSTAR, CSTAR, SFMASK */
	0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102, /* KERNEL_GS_BASE */
	0xc0000103,					/* TSC_AUX */
};

/* An MSR that this host does not have is nothing to reset. */
static int reset_msrs(const struct vtl_cpu *cpu, const struct vp_reset_msrs *made)
{
	for (size_t i = 0; i < sizeof(zero_msrs) / sizeof(zero_msrs[0]); i++) {
		int r = vtl_cpu_write_msr(cpu, zero_msrs[i], 0);

		if (r && r != -EINVAL)
			return r;
	}
	for (unsigned i = 0; i < made->count; i++) {
		int r = vtl_cpu_write_msr(cpu, made->index[i], made->value[i]);

		if (r)
			return r;
	}
	return 0;
}

static int reset_debug(const struct vtl_cpu *cpu)
{
	const struct kvm_host *h = cpu->host;
	struct kvm_debugregs dr;
	int r = h->ops->get_debugregs(h, cpu->fd, &dr);

	dr.dr6 = DR6_RESET;
	dr.dr7 = DR7_RESET;
	return r ? r : h->ops->set_debugregs(h, cpu->fd, &dr);
}

/*
 * What enabling the VTL again would not set: events, debug registers, private MSRs; that CPUID has
 * an APIC, and translations: the tables may be another's next time, at the same address.
 */
static int reset_vcpu(struct vsm_vcpu *vp, struct vp_vtl *v)
{
	struct kvm_vcpu_events *events;
	struct kvm_sregs *sregs;
	int r = vtl_cpu_events(&v->cpu, &events);

	if (!r)
		r = vtl_cpu_sregs(&v->cpu, &sregs);
	if (r)
		return r;
	memset(events, 0, sizeof(*events));
	events->flags = KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_NMI_PENDING;
	sregs->apic_base |= LAPIC_BASE_ENABLE;
	vtl_cpu_dirty(&v->cpu, CPU_EVENTS | CPU_SREGS);
	vtl_cpu_flush_tlb(&v->cpu);
	r = vtl_cpu_flush(&v->cpu);
	if (!r)
		r = reset_debug(&v->cpu);
	return r ? r : reset_msrs(&v->cpu, &vp->reset_msrs);
}

/*
 * KVM would finish what the last exit left half-done when the vCPU next runs, and move registers
 * that are somebody else's by then. Those that are there now stay: the VMM may have set them.
 */
static int finish_half_done(struct vtl_cpu *cpu)
{
	struct kvm_vcpu_events *events, events_now;
	struct kvm_sregs *sregs, sregs_now;
	struct kvm_regs *regs, regs_now;
	int r = vtl_cpu_state(cpu, &regs, &sregs);

	if (!r)
		r = vtl_cpu_events(cpu, &events);
	if (r)
		return r;
	regs_now = *regs;
	sregs_now = *sregs;
	events_now = *events;
	r = vtl_cpu_complete(cpu);
	if (!r)
		r = vtl_cpu_state(cpu, &regs, &sregs);
	if (!r)
		r = vtl_cpu_events(cpu, &events);
	if (r)
		return r;
	*regs = regs_now;
	*sregs = sregs_now;
	*events = events_now;
	vtl_cpu_dirty(cpu, CPU_REGS | CPU_SREGS | CPU_EVENTS);
	return vtl_cpu_flush(cpu);
}

_Static_assert(offsetof(struct vp_vtl, cpu) == 0, "what follows `cpu` is cleared as one");

/*
 * Everything that is not named here is as new: what was made with the VP, and what is known of the
 * image in `xsave`, is all that stays. The vCPU keeps the shared state, which is its VP's.
 */
static void forget(struct vsm_vcpu *vp, unsigned vtl)
{
	struct vp_vtl *v = &vp->vtls[vtl];
	struct overlay *assist_page = v->assist_page;
	uint8_t maxphyaddr = v->lapic.maxphyaddr;
	struct synic synic = v->synic;
	void *xsave = v->xsave;
	struct space *space = v->space;

	/* A kick, which takes no lock, finds `cpu` whole. */
	memset((uint8_t *)v + sizeof(v->cpu), 0, sizeof(*v) - sizeof(v->cpu));
	memset(&vp->rare[vtl], 0, sizeof(vp->rare[vtl]));
	v->cpu.unfinished = false;
	v->synic = synic;
	v->assist_page = assist_page;
	v->xsave = xsave;
	v->space = space;
	v->lapic.maxphyaddr = maxphyaddr;
	lapic_reset(&v->lapic, vp->apic_id, vp->index == 0, vtl > 0);
	stimer_reset(v->stimers);
}

int vtl_reset_vp(struct vsm_vcpu *vp, unsigned vtl)
{
	struct memory *m = &vp->partition->memory;
	struct vp_vtl *v = &vp->vtls[vtl];
	int r = overlay_disable(m, v->assist_page);

	if (!r)
		r = synic_reset(m, &v->synic);
	vtl_cpu_forget(&v->cpu);
	/* The VMM may set VTL0 up with any paging. */
	vtl_cpu_reload_pdptes(&v->cpu);
	if (!r && v->cpu.unfinished)
		r = finish_half_done(&v->cpu);
	if (!r && vtl)
		r = reset_vcpu(vp, v);
	if (r)
		return r;
	tlb_release(vp, vtl);
	forget(vp, vtl);
	if (!vtl)
		kernel_apic_reset(vp);
	/* Whom this VTL kept from flushing this VP looks again. */
	tlb_unlocked(vp->partition);
	return 0;
}

int vtl_reset_partition(struct vsm_partition *p, unsigned vtl)
{
	struct vtl_partition *v = &p->vtls[vtl];
	int r = overlay_disable(&p->memory, v->hypercall_page);

	if (!r)
		r = ref_tsc_hide(p, vtl);
	if (r)
		return r;
	v->guest_os_id = 0;
	v->hypercall_msr = 0;
	v->config = 0;
	v->mbec = false;
	memset(v->crash, 0, sizeof(v->crash));
	msr_intercept_forget(p, vtl);
	io_intercept_forget(p, vtl);
	return 0;
}
