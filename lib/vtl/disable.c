/* SPDX-License-Identifier: MIT */
/* HvCallDisableVpVtl and HvCallDisablePartitionVtl, without the calling convention; and reset. */
#include "vtl/disable.h"

#include <errno.h>
#include <string.h>

#include "msr/intercept.h"
#include "msr/ref_tsc.h"
#include "msr/synthetic.h"
#include "partition/tlb.h"
#include "registers/msr.h"
#include "vcpu/vcpu.h"
#include "vtl/enable.h"

/* MSRs that a context does not set and that are 0 after a processor's reset. */
static const uint32_t zero_msrs[] = {
	0x48,						/* SPEC_CTRL */
	0x174,						/* SYSENTER_CS, ESP, EIP */
	0x175,	    0x176,	0x1d9,			/* DEBUGCTL */
	0xda0,						/* XSS */
	0xc0000081,					/* STAR, LSTAR, CSTAR, SFMASK */
	0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102, /* KERNEL_GS_BASE */
	0xc0000103,					/* TSC_AUX */
};

/* An MSR that this host does not have is nothing to reset. */
static int zero_private_msrs(const struct vtl_cpu *cpu)
{
	for (size_t i = 0; i < sizeof(zero_msrs) / sizeof(zero_msrs[0]); i++) {
		int r = vtl_cpu_write_msr(cpu, zero_msrs[i], 0);

		if (r && r != -EINVAL)
			return r;
	}
	return 0;
}

/* What enabling the VTL again would not set: events, private MSRs, what was to be finished. */
static int reset_vcpu(struct vp_vtl *v)
{
	struct kvm_vcpu_events *events;
	int r = vtl_cpu_events(&v->cpu, &events);

	if (r)
		return r;
	memset(events, 0, sizeof(*events));
	events->flags = KVM_VCPUEVENT_VALID_SHADOW;
	vtl_cpu_dirty(&v->cpu, CPU_EVENTS);
	r = vtl_cpu_flush(&v->cpu);
	return r ? r : zero_private_msrs(&v->cpu);
}

static void forget_vp(struct vsm_vcpu *vp, unsigned vtl)
{
	struct vp_vtl *v = &vp->vtls[vtl];

	memset(v->secure_config, 0, sizeof(v->secure_config));
	memset(v->inhibitor, 0, sizeof(v->inhibitor));
	memset(v->cr_intercept_masks, 0, sizeof(v->cr_intercept_masks));
	v->cr_intercept_control = 0;
	v->vina = 0;
	v->assist_msr = 0;
	v->entry_pending = false;
	v->retired.armed = false;
	v->cpu.unfinished = false;
	lapic_reset(&v->lapic, vp->apic_id, vp->index == 0, vtl > 0);
}

int vtl_reset_vp(struct vsm_vcpu *vp, unsigned vtl)
{
	struct memory *m = &vp->partition->memory;
	struct vp_vtl *v = &vp->vtls[vtl];
	int r = overlay_disable(m, v->assist_page);

	if (!r)
		r = synic_reset(m, &v->synic);
	if (!r && vtl)
		r = reset_vcpu(v);
	if (r)
		return r;
	tlb_release(vp, vtl);
	forget_vp(vp, vtl);
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
	msr_intercept_forget(p, vtl);
	return 0;
}

static bool vtl_exists(const struct vsm_partition *p, unsigned vtl)
{
	return vtl && vtl < p->vtl_count;
}

/* A kernel that failed half-way leaves a VTL that must not run, and pages somebody may rely on. */
static enum hv_status finish(struct vsm_partition *p, unsigned vtl, int r)
{
	if (!r)
		r = msr_filter_update(p);
	for (unsigned lower = 0; !r && lower < vtl; lower++)
		r = vtl_update_mbec(p, lower);
	if (!r)
		return HV_SUCCESS;
	partition_die(p, "disabling VTL%u failed: %s", vtl, strerrorname_np(-r));
	return HV_INSUFFICIENT_MEMORY;
}

enum hv_status vtl_disable_vp(struct vsm_vcpu *vp, struct vsm_vcpu *target, unsigned vtl)
{
	struct vsm_partition *p = vp->partition;

	if (!vtl_exists(p, vtl))
		return HV_INVALID_PARAMETER;
	if (vp->active_vtl < vtl)
		return HV_ACCESS_DENIED;
	if (!(target->enabled_vtls & (1u << vtl)) || target->active_vtl == vtl)
		return HV_INVALID_VTL_STATE;
	target->enabled_vtls &= (uint16_t) ~(1u << vtl);
	partition_log(p, VSM_LOG_INFO, "VTL%u disabled on VP %u by VTL%u of VP %u", vtl,
		      target->index, vp->active_vtl, vp->index);
	return finish(p, vtl, vtl_reset_vp(target, vtl));
}

enum hv_status vtl_disable_partition(struct vsm_partition *p, unsigned caller, unsigned vtl)
{
	int r;

	if (!vtl_exists(p, vtl))
		return HV_INVALID_PARAMETER;
	if (caller < vtl)
		return HV_ACCESS_DENIED;
	if (!(p->enabled_vtls & (1u << vtl)))
		return HV_INVALID_VTL_STATE;
	for (uint32_t i = 0; i < p->max_vps; i++)
		if (p->vps[i] && (p->vps[i]->enabled_vtls & (1u << vtl)))
			return HV_INVALID_VTL_STATE;
	r = memory_limit_drop(&p->memory, vtl);
	if (!r)
		r = vtl_reset_partition(p, vtl);
	p->enabled_vtls &= (uint16_t) ~(1u << vtl);
	partition_log(p, VSM_LOG_INFO, "VTL%u disabled for the partition by VTL%u", vtl, caller);
	return finish(p, vtl, r);
}
