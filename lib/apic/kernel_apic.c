/* SPDX-License-Identifier: MIT */
/*
 * KVM's local APICs: messages to them (Intel SDM 3A, "Message Signalled Interrupts"), and AutoEOI.
 *
 * An interrupt is ended with the EOI register, which only ever clears the bit of the highest vector
 * in service. KVM_SET_LAPIC could clear any bit, but writes the IRR too: an interrupt that a device
 * or another VP raises between KVM_GET_LAPIC and it would be lost.
 */
#include "apic/kernel_apic.h"

#include <errno.h>
#include <string.h>

#include "apic/lapic.h"
#include "msr/synthetic.h"
#include "partition/hold.h"
#include "registers/msr.h"
#include "vcpu/vcpu.h"

#define MSI_ADDRESS    UINT32_C(0xfee00000)
#define MSI_LOGICAL    UINT32_C(0x4)
#define MSI_ID_SHIFT   12
#define MSI_ID_LOW     UINT32_C(0xff) /* the others: KVM_CAP_X2APIC_API */
#define MSI_MODE_SHIFT 8
#define MSI_LEVEL      UINT32_C(0xc000) /* triggered by level, asserted */

int kernel_apic_signal(struct vsm_partition *p, const struct lapic_ipi *message)
{
	const struct kvm_msi msi = {
		.address_lo = MSI_ADDRESS | (message->dest & MSI_ID_LOW) << MSI_ID_SHIFT |
			      (message->logical ? MSI_LOGICAL : 0),
		.address_hi = message->dest & ~MSI_ID_LOW,
		.data = message->vector | (uint32_t)message->mode << MSI_MODE_SHIFT |
			(message->level ? MSI_LEVEL : 0),
	};

	return p->host->ops->signal_msi(p->host, partition_space(p, 0)->vm_fd, &msi);
}

/* --- AutoEOI --- */

#define PAGE_ISR   0x100
#define PAGE_IRR   0x200
#define PAGE_STEP  0x10
#define X2APIC_EOI 0x80b
#define WORDS	   8

/* How long a vector may stay in service, and how seldom one that KVM cannot deliver is asked after. */
#define INTERVAL_MIN_NS UINT64_C(100000)
#define INTERVAL_MAX_NS UINT64_C(12800000)

static uint32_t word(const struct kvm_lapic_state *s, unsigned page, unsigned i)
{
	uint32_t bits;

	memcpy(&bits, s->regs + page + i * PAGE_STEP, sizeof(bits));
	return bits;
}

static int highest_in_service(const struct kvm_lapic_state *s)
{
	for (int i = WORDS - 1; i >= 0; i--)
		if (word(s, PAGE_ISR, (unsigned)i))
			return i * 32 + 31 - __builtin_clz(word(s, PAGE_ISR, (unsigned)i));
	return -1;
}

static bool any(const struct kernel_eoi *e)
{
	uint32_t all = 0;

	for (unsigned i = 0; i < WORDS; i++)
		all |= e->vectors[i];
	return all;
}

int kernel_apic_signal_auto_eoi(struct vsm_vcpu *vp, uint8_t vector)
{
	const struct lapic_ipi message = {.vector = vector, .dest = vp->apic_id};
	struct kernel_eoi *e = &vp->kernel_eoi;
	/* What became of the last one cannot be seen any more once the same vector waits. */
	int r = vp->inside ? 0 : kernel_apic_end(vp, 0);

	if (!r)
		r = kernel_apic_signal(vp->partition, &message);
	if (r <= 0)
		return r;
	e->vectors[vector / 32] |= UINT32_C(1) << vector % 32;
	e->interval_ns = INTERVAL_MIN_NS;
	partition_wake_vp(vp);
	return r;
}

/* -EINVAL: there is no way to KVM's EOI register, in xAPIC mode without KVM's Hyper-V interface. */
static int write_eoi(struct vtl_cpu *cpu)
{
	struct kvm_sregs *sregs;
	int r = vtl_cpu_sregs(cpu, &sregs);

	if (r)
		return r;
	return vtl_cpu_write_msr(cpu,
				 sregs->apic_base & LAPIC_BASE_X2APIC ? X2APIC_EOI : HV_MSR_EOI, 0);
}

static bool has(const struct kvm_lapic_state *s, unsigned page, unsigned vector)
{
	return word(s, page, vector / 32) >> vector % 32 & 1;
}

/*
 * What the APIC's highest vector in service, or none (-1), makes of one that is to end by itself.
 * One that is in no register any more was ended by an EOI of the guest's, which was meant for the
 * interrupt below, as if this one had not been there: that one is ended instead, once nothing above
 * is in service.
 */
static bool must_write_eoi(struct kernel_eoi *e, const struct kvm_lapic_state *s, int highest,
			   int vector)
{
	bool in_service = has(s, PAGE_ISR, (unsigned)vector);
	bool waits = has(s, PAGE_IRR, (unsigned)vector);
	bool write = in_service ? highest == vector : !waits && highest >= 0 && highest < vector;

	if (!waits && (write || highest < 0))
		e->vectors[vector / 32] &= ~(UINT32_C(1) << vector % 32);
	return write;
}

/* From above, as an EOI takes the highest. */
static int end_some(struct vsm_vcpu *vp, struct kvm_lapic_state *s)
{
	const struct kvm_host *h = vp->partition->host;
	struct kernel_eoi *e = &vp->kernel_eoi;
	struct vtl_cpu *cpu = &vp->vtls[0].cpu;

	for (int vector = WORDS * 32 - 1; vector >= 0; vector--) {
		int r;

		if (!(e->vectors[vector / 32] >> vector % 32 & 1) ||
		    !must_write_eoi(e, s, highest_in_service(s), vector))
			continue;
		r = write_eoi(cpu);
		if (!r)
			r = h->ops->get_lapic(h, cpu->fd, s);
		if (r)
			return r;
	}
	return 0;
}

int kernel_apic_end(struct vsm_vcpu *vp, uint64_t now_ns)
{
	const struct kvm_host *h = vp->partition->host;
	struct kernel_eoi *e = &vp->kernel_eoi;
	struct kvm_lapic_state s;
	int r;

	e->look_ns = KVM_NEVER;
	if (!any(e) || vp->active_vtl)
		return 0;
	r = h->ops->get_lapic(h, vp->vtls[0].cpu.fd, &s);
	if (!r)
		r = end_some(vp, &s);
	if (r == -EINVAL)
		memset(e->vectors, 0, sizeof(e->vectors));
	if (r || !any(e))
		return r == -EINVAL ? 0 : r;
	e->look_ns = now_ns + e->interval_ns;
	if (e->interval_ns < INTERVAL_MAX_NS)
		e->interval_ns *= 2;
	return 0;
}

bool kernel_apic_expects(const struct vsm_vcpu *vp)
{
	return any(&vp->kernel_eoi);
}
