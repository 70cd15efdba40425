/* SPDX-License-Identifier: MIT */
/* vsm_vcpu_set_cpuid(): one table for all of a VP's vCPUs, with the VP's APIC id in it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vcpu/vcpu.h"

#define LEAF_FEATURES	 0x1
#define LEAF_TOPOLOGY	 0xb
#define LEAF_TOPOLOGY_V2 0x1f
#define LEAF_ADDRESSES	 0x80000008
#define X2APIC		 (UINT32_C(1) << 21) /* ECX of the features */

/*
 * Initial APIC id: leaf 1 EBX 31:24; x2APIC id: EDX of the topology leaves (Intel SDM vol. 2,
 * CPUID).
 */
static void set_apic_id(struct kvm_cpuid_entry2 *e, uint32_t id)
{
	if (e->function == LEAF_FEATURES)
		e->ebx = (e->ebx & 0x00ffffff) | id << 24;
	else if (e->function == LEAF_TOPOLOGY || e->function == LEAF_TOPOLOGY_V2)
		e->edx = id;
}

/* What WRMSR to IA32_APIC_BASE may set depends on it (Intel SDM vol. 3, "Local APIC"). */
static void tell_lapic(struct lapic *l, const struct kvm_cpuid_entry2 *e)
{
	uint8_t bits = e->eax & 0xff;

	if (e->function == LEAF_FEATURES)
		l->no_x2apic = !(e->ecx & X2APIC);
	else if (e->function == LEAF_ADDRESSES)
		l->maxphyaddr = bits >= 32 && bits <= 52 ? bits : 0;
}

static void tell_lapics(struct vsm_vcpu *vcpu, const struct kvm_cpuid2 *cpuid)
{
	for (unsigned vtl = 0; vtl < vcpu->partition->vtl_count; vtl++)
		for (uint32_t i = 0; i < cpuid->nent; i++)
			tell_lapic(&vcpu->vtls[vtl].lapic, &cpuid->entries[i]);
}

int vsm_vcpu_set_cpuid(struct vsm_vcpu *vcpu, const struct kvm_cpuid2 *cpuid)
{
	struct vsm_partition *p;
	struct kvm_cpuid2 *own;
	size_t size;
	int r = 0;

	if (!vcpu || !cpuid)
		return -EINVAL;
	p = vcpu->partition;
	size = sizeof(*own) + cpuid->nent * sizeof(own->entries[0]);
	own = malloc(size);
	if (!own)
		return -ENOMEM;
	memcpy(own, cpuid, size);
	for (uint32_t i = 0; i < own->nent; i++)
		set_apic_id(&own->entries[i], vcpu->apic_id);
	pthread_mutex_lock(&p->lock);
	for (unsigned vtl = 0; vtl < p->vtl_count && !r; vtl++)
		r = p->host->ops->set_cpuid2(p->host, vcpu->vtls[vtl].cpu.fd, own);
	if (!r)
		tell_lapics(vcpu, own);
	pthread_mutex_unlock(&p->lock);
	free(own);
	return r;
}
