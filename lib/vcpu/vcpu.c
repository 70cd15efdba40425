/* SPDX-License-Identifier: MIT */
/* Making and releasing a VP. */
#include "vcpu/vcpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "memory/pages.h"
#include "msr/synthetic.h"
#include "partition/options.h"
#include "partition/tlb.h"
#include "vtl/startup.h"

/*
 * KVM's id of a VTL's vCPU. VTL0's is the APIC id, which KVM's own local APIC takes over. With all
 * VTLs in one VM the others need ids of their own: they count down from the highest KVM allows.
 */
static int kvm_vcpu_id(struct vsm_partition *p, const struct vsm_vcpu_options *o, unsigned vtl,
		       unsigned long *id)
{
	const struct kvm_host *h = p->host;
	int max;

	*id = o->apic_id;
	if (!vtl || p->space_count > 1)
		return 0;
	max = h->ops->check_extension(h, p->spaces[0].vm_fd, KVM_CAP_MAX_VCPU_ID);
	if (max <= 0)
		max = h->ops->check_extension(h, p->spaces[0].vm_fd, KVM_CAP_MAX_VCPUS);
	if (max < 0)
		return max;
	*id = (unsigned long)max - 1 - ((vtl - 1) * p->max_vps + o->index);
	return *id <= o->apic_id || *id >= (unsigned long)max ? -EINVAL : 0;
}

/* Starts every VTL of a VP at the same TSC: VTL0's. */
static void match_tsc(struct vsm_vcpu *vp, struct vtl_cpu *cpu)
{
	const struct kvm_host *h = vp->partition->host;
	uint64_t offset;

	if (cpu == &vp->vtls[0].cpu || h->ops->get_tsc_offset(h, vp->vtls[0].cpu.fd, &offset))
		return;
	if (h->ops->set_tsc_offset(h, cpu->fd, &offset))
		partition_log(vp->partition, VSM_LOG_WARNING, "VP %u: the TSC differs between VTLs",
			      vp->index);
}

static int create_cpu(struct vsm_vcpu *vp, unsigned vtl, unsigned long id)
{
	struct vsm_partition *p = vp->partition;
	struct space *space = partition_space(p, vtl);
	int fd = p->host->ops->create_vcpu(p->host, space->vm_fd, id);
	int r;

	if (fd < 0)
		return fd;
	r = vtl_cpu_init(&vp->vtls[vtl].cpu, p->host, fd, p->run_size, p->sync_regs, p->sregs2);
	if (r) {
		p->host->ops->close_fd(p->host, fd);
		return r;
	}
	vp->vtls[vtl].space = space;
	match_tsc(vp, &vp->vtls[vtl].cpu);
	return 0;
}

static int create_vtl(struct vsm_vcpu *vp, const struct vsm_vcpu_options *o, unsigned vtl)
{
	struct vp_vtl *v = &vp->vtls[vtl];
	unsigned long id;
	int r = kvm_vcpu_id(vp->partition, o, vtl, &id);

	if (!r)
		r = create_cpu(vp, vtl, id);
	if (r)
		return r;
	lapic_reset(&v->lapic, o->apic_id, o->index == 0, vtl > 0);
	stimer_reset(v->stimers);
	return 0;
}

static int allocate_vtl(struct vsm_vcpu *vp, unsigned vtl)
{
	struct vsm_partition *p = vp->partition;
	struct vp_vtl *v = &vp->vtls[vtl];
	prot_t data = PROT_ALL; /* closed under the strict execute policy otherwise */

	v->xsave = pages_allocate(p->xsave.size);
	v->assist_page = overlay_create(&p->memory, vtl, data);
	if (!v->xsave || !v->assist_page)
		return -ENOMEM;
	return synic_create(&p->memory, vtl, &v->synic);
}

/*
 * What can be given back comes before the vCPUs, which KVM keeps until their VM goes: a VP for
 * which there was no memory can be made later.
 */
static int allocate(struct vsm_vcpu *vp)
{
	const struct kvm_host *h = vp->partition->host;
	int r = startup_allocate(vp);

	for (unsigned vtl = 0; vtl < vp->partition->vtl_count && !r; vtl++)
		r = allocate_vtl(vp, vtl);
	if (r)
		return r;
	vp->wake_fd = h->ops->create_wake_fd(h);
	return vp->wake_fd < 0 ? vp->wake_fd : 0;
}

/* What the library needs of a host whose local APIC it is to use, and has no other way for. */
static int check_irqchip(struct vsm_partition *p)
{
	static const struct {
		long cap;
		const char *without;
	} needed[] = {
		{KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI: no interrupt would reach VTL0"},
		{KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE: no VP could be started"},
	};
	int fd = partition_space(p, 0)->vm_fd;

	if (p->space_count == 1) {
		partition_log(p, VSM_LOG_ERROR,
			      "single-vm cannot use an in-kernel irqchip: every VTL would have it");
		return -ENOTSUP;
	}
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (p->host->ops->check_extension(p->host, fd, needed[i].cap) > 0)
			continue;
		partition_log(p, VSM_LOG_ERROR, "an in-kernel irqchip without %s",
			      needed[i].without);
		return -ENOTSUP;
	}
	return 0;
}

/* Learns from the first vCPU whether the VMM gave its VM an in-kernel local APIC. */
static int learn_irqchip(struct vsm_vcpu *vp)
{
	struct vsm_partition *p = vp->partition;
	struct kvm_lapic_state state;
	int r;

	p->kernel_irqchip = !p->host->ops->get_lapic(p->host, vp->vtls[0].cpu.fd, &state);
	r = p->kernel_irqchip ? check_irqchip(p) : 0;
	if (r)
		return r;
	return p->kernel_irqchip ? kernel_apic_init(vp) : msr_filter_install(p, 0, true);
}

static int create_vtls(struct vsm_vcpu *vp, const struct vsm_vcpu_options *o)
{
	struct vsm_partition *p = vp->partition;
	int khz, r = allocate(vp);

	for (unsigned vtl = 0; vtl < p->vtl_count && !r; vtl++) {
		r = create_vtl(vp, o, vtl);
		if (!r && !vtl)
			r = learn_irqchip(vp);
	}
	if (!r)
		r = startup_init(vp, o->flags & VSM_VCPU_STARTED);
	if (r)
		return r;
	khz = p->host->ops->get_tsc_khz(p->host, vp->vtls[0].cpu.fd);
	p->tsc_khz = khz > 0 ? (uint32_t)khz : 0;
	return 0;
}

static int check_taken(const struct vsm_partition *p, const struct vsm_vcpu_options *o)
{
	if (o->index >= p->max_vps)
		return -EINVAL;
	for (uint32_t i = 0; i < p->max_vps; i++)
		if (p->vps[i] && (i == o->index || p->vps[i]->apic_id == o->apic_id))
			return -EEXIST;
	return 0;
}

static void free_vcpu(struct vsm_vcpu *vp)
{
	struct memory *m = &vp->partition->memory;

	for (unsigned vtl = 0; vtl < vp->partition->vtl_count; vtl++) {
		struct vp_vtl *v = &vp->vtls[vtl];

		overlay_destroy(m, v->assist_page);
		synic_destroy(m, &v->synic);
		vtl_cpu_destroy(&v->cpu);
		free(v->xsave);
	}
	if (vp->wake_fd >= 0)
		vp->partition->host->ops->close_fd(vp->partition->host, vp->wake_fd);
	startup_free(vp);
	free(vp);
}

int vsm_vcpu_create(struct vsm_partition *partition, const struct vsm_vcpu_options *options,
		    struct vsm_vcpu **out)
{
	struct vsm_vcpu_options o;
	struct vsm_vcpu *vp;
	int r;

	if (!partition || !out || options_copy_in(&o, sizeof(o), options) ||
	    (o.flags & ~VSM_VCPU_STARTED))
		return -EINVAL;
	vp = pages_allocate(sizeof(*vp));
	if (!vp)
		return -ENOMEM;
	vp->partition = partition;
	vp->index = o.index;
	vp->apic_id = o.apic_id;
	vcpu_activate(vp, 0);
	vp->enabled_vtls = 1;
	vp->wake_fd = -1;
	pthread_mutex_lock(&partition->lock);
	/* While pages are open for another VP's step, this one stays out like the rest. */
	vp->held_by_step = partition->stepper != NULL;
	vp->holds = vp->held_by_step;
	r = check_taken(partition, &o);
	if (!r)
		r = create_vtls(vp, &o);
	if (r)
		free_vcpu(vp);
	else
		*out = partition->vps[o.index] = vp;
	pthread_mutex_unlock(&partition->lock);
	return r;
}

void vsm_vcpu_destroy(struct vsm_vcpu *vcpu)
{
	struct vsm_partition *p;

	if (!vcpu)
		return;
	p = vcpu->partition;
	pthread_mutex_lock(&p->lock);
	/* Another VP may be looking at this one's state. */
	while (vcpu->holds)
		pthread_cond_wait(&p->vcpu_moved, &p->lock);
	/* What it locked must not stay locked, nor wait for it who asked for its TLB. */
	for (unsigned vtl = 0; vtl < p->vtl_count; vtl++)
		tlb_release(vcpu, vtl);
	p->vps[vcpu->index] = NULL;
	tlb_unlocked(p);
	free_vcpu(vcpu);
	pthread_mutex_unlock(&p->lock);
}

int vsm_vcpu_fd(const struct vsm_vcpu *vcpu, unsigned vtl)
{
	if (!vcpu || vtl >= vcpu->partition->vtl_count)
		return -EINVAL;
	return vcpu->vtls[vtl].cpu.fd;
}

unsigned vsm_vcpu_active_vtl(const struct vsm_vcpu *vcpu)
{
	return vcpu->active_vtl;
}

uint32_t vsm_vcpu_index(const struct vsm_vcpu *vcpu)
{
	return vcpu->index;
}

int vsm_vcpu_get_stats(const struct vsm_vcpu *vcpu, struct vsm_vcpu_stats *stats)
{
	struct vsm_vcpu_stats now;

	if (!vcpu || !stats || !options_out_size_ok(stats->size))
		return -EINVAL;
	pthread_mutex_lock(&vcpu->partition->lock);
	now = vcpu->stats;
	pthread_mutex_unlock(&vcpu->partition->lock);
	options_copy_out(stats, &now, sizeof(now));
	return 0;
}
