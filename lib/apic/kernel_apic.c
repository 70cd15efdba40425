/* SPDX-License-Identifier: MIT */
/*
 * KVM's local APICs: messages to them (Intel SDM 3A, "Message Signalled Interrupts"), and AutoEOI,
 * which a local APIC does not have.
 *
 * With its Hyper-V interface KVM has it nevertheless: a vector that a SINT of KVM's own SynIC names
 * with AutoEOI does not go in service (kernel: kvm_get_apic_interrupt()). The SINTs there are
 * written from outside, and nothing else of that SynIC is used.
 *
 * Without it the vector never enters KVM's APIC. It waits here until the vCPU can take it, and is
 * then queued behind the APIC (KVM_SET_VCPU_EVENTS), as an interrupt that has been acknowledged
 * already. KVM does not tell when that is: the VP comes out to look.
 */
#include "apic/kernel_apic.h"

#include <errno.h>
#include <string.h>

#include "apic/lapic.h"
#include "msr/synthetic.h"
#include "partition/hold.h"
#include "registers/msr.h"
#include "synic/synic.h"
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

/* --- AutoEOI by KVM's SynIC --- */

int kernel_apic_init(struct vsm_vcpu *vp)
{
	const struct kvm_enable_cap cap = {.cap = KVM_CAP_HYPERV_SYNIC2};
	const struct kvm_host *h = vp->partition->host;
	struct kernel_apic *k = &vp->kernel_apic;

	for (unsigned i = 0; i < SYNIC_SINTS; i++)
		k->sints[i] = SINT_MASKED;
	k->look_ns = KVM_NEVER;
	if (h->ops->check_extension(h, partition_space(vp->partition, 0)->vm_fd, cap.cap) <= 0)
		return 0;
	k->synic = true;
	return h->ops->enable_cap(h, vp->vtls[0].cpu.fd, &cap);
}

void kernel_apic_sints_changed(struct vsm_vcpu *vp)
{
	vp->kernel_apic.attend |= vp->kernel_apic.synic;
}

/* Others are not KVM's business: it would look for them at each EOI. */
static uint64_t wanted_sint(uint64_t sint)
{
	if ((sint & (SINT_MASKED | SINT_POLLING)) || !(sint & SINT_AUTO_EOI))
		return SINT_MASKED;
	return sint & (SINT_VECTOR | SINT_AUTO_EOI);
}

static int tell_sints(struct vsm_vcpu *vp)
{
	struct kernel_apic *k = &vp->kernel_apic;

	for (unsigned i = 0; i < SYNIC_SINTS; i++) {
		uint64_t wanted = wanted_sint(vp->vtls[0].synic.sint[i]);
		int r;

		if (wanted == k->sints[i])
			continue;
		r = vtl_cpu_write_msr(&vp->vtls[0].cpu, HV_MSR_SINT0 + i, wanted);
		if (r)
			return r;
		k->sints[i] = wanted;
	}
	k->attend = false;
	return 0;
}

/* --- AutoEOI without it --- */

#define PAGE_TPR  0x80
#define PAGE_SPIV 0xf0
#define PAGE_ISR  0x100
#define PAGE_IRR  0x200
#define PAGE_STEP 0x10
#define WORDS	  8

/* How soon, and how seldom, a vector that cannot be delivered is looked at again. */
#define INTERVAL_MIN_NS UINT64_C(100000)
#define INTERVAL_MAX_NS UINT64_C(12800000)

static int highest(const uint32_t *bits)
{
	for (int i = WORDS - 1; i >= 0; i--)
		if (bits[i])
			return i * 32 + 31 - __builtin_clz(bits[i]);
	return -1;
}

static uint32_t word(const struct kvm_lapic_state *s, unsigned at)
{
	uint32_t bits;

	memcpy(&bits, s->regs + at, sizeof(bits));
	return bits;
}

static int highest_on_page(const struct kvm_lapic_state *s, unsigned page)
{
	uint32_t bits[WORDS];

	for (unsigned i = 0; i < WORDS; i++)
		bits[i] = word(s, page + i * PAGE_STEP);
	return highest(bits);
}

/* The class of a vector; none has 0. */
static unsigned priority(int vector)
{
	return vector < 0 ? 0 : (unsigned)vector >> 4;
}

/* Its turn among what KVM's APIC has in service and waiting (Intel SDM 3A, "Task Priority"). */
static bool apic_lets_through(const struct kvm_lapic_state *s, int vector)
{
	return priority(vector) > (word(s, PAGE_TPR) & 0xff) >> 4 &&
	       priority(vector) > priority(highest_on_page(s, PAGE_ISR)) &&
	       vector >= highest_on_page(s, PAGE_IRR);
}

static bool cpu_takes_interrupts(const struct kvm_regs *r, const struct kvm_vcpu_events *e)
{
	return (r->rflags & CPU_RFLAGS_IF) && !e->interrupt.shadow && !e->interrupt.injected &&
	       !e->exception.injected && !e->exception.pending && !e->nmi.injected &&
	       !e->nmi.pending;
}

/* An interrupt ends a halt, which is KVM's with its APIC. 1: runs, or will; 0: not started. */
static int end_halt(const struct vtl_cpu *cpu)
{
	const struct kvm_host *h = cpu->host;
	struct kvm_mp_state mp;
	int r = h->ops->get_mp_state(h, cpu->fd, &mp);

	if (r || mp.mp_state == KVM_MP_STATE_RUNNABLE)
		return r ? r : 1;
	if (mp.mp_state != KVM_MP_STATE_HALTED)
		return 0;
	mp.mp_state = KVM_MP_STATE_RUNNABLE;
	r = h->ops->set_mp_state(h, cpu->fd, &mp);
	return r ? r : 1;
}

static void forget(struct kernel_apic *k, int vector)
{
	k->waits[vector / 32] &= ~(UINT32_C(1) << vector % 32);
	k->attend = highest(k->waits) >= 0;
	if (!k->attend)
		k->look_ns = KVM_NEVER;
}

static int queue(struct vsm_vcpu *vp, int vector)
{
	struct vtl_cpu *cpu = &vp->vtls[0].cpu;
	struct kvm_vcpu_events *e;
	struct kvm_regs *regs;
	int r = vtl_cpu_regs(cpu, &regs);

	if (!r)
		r = vtl_cpu_events(cpu, &e);
	if (r || !cpu_takes_interrupts(regs, e))
		return r;
	r = end_halt(cpu);
	if (r <= 0)
		return r;
	e->interrupt.injected = 1;
	e->interrupt.nr = (uint8_t)vector;
	e->interrupt.soft = 0;
	vtl_cpu_dirty(cpu, CPU_EVENTS);
	forget(&vp->kernel_apic, vector);
	return 0;
}

int kernel_apic_deliver(struct vsm_vcpu *vp)
{
	const struct kvm_host *h = vp->partition->host;
	struct kernel_apic *k = &vp->kernel_apic;
	int vector = highest(k->waits), r;
	struct kvm_lapic_state s;

	if (vector < 0 || vp->active_vtl)
		return 0;
	r = h->ops->get_lapic(h, vp->vtls[0].cpu.fd, &s);
	if (r)
		return r;
	/* As by the APIC, which takes nothing while software has it off. */
	if (!(word(&s, PAGE_SPIV) & LAPIC_SPIV_ENABLE)) {
		forget(k, vector);
		return 0;
	}
	return apic_lets_through(&s, vector) ? queue(vp, vector) : 0;
}

/* --- both --- */

void kernel_apic_reset(struct vsm_vcpu *vp)
{
	struct kernel_apic *k = &vp->kernel_apic;

	memset(k->waits, 0, sizeof(k->waits));
	k->look_ns = KVM_NEVER;
	k->attend = k->synic;
}

int kernel_apic_signal_auto_eoi(struct vsm_vcpu *vp, uint8_t vector)
{
	const struct lapic_ipi message = {.vector = vector, .dest = vp->apic_id};
	struct kernel_apic *k = &vp->kernel_apic;

	if (k->synic)
		return kernel_apic_signal(vp->partition, &message);
	k->waits[vector / 32] |= UINT32_C(1) << vector % 32;
	k->interval_ns = INTERVAL_MIN_NS;
	k->attend = true;
	partition_wake_vp(vp);
	return 1;
}

bool kernel_apic_waits(const struct vsm_vcpu *vp)
{
	return !vp->active_vtl && highest(vp->kernel_apic.waits) >= 0;
}

int kernel_apic_attend(struct vsm_vcpu *vp, uint64_t now_ns)
{
	struct kernel_apic *k = &vp->kernel_apic;

	if (k->synic)
		return k->attend ? tell_sints(vp) : 0;
	k->look_ns = KVM_NEVER;
	if (!kernel_apic_waits(vp))
		return 0;
	k->look_ns = now_ns + k->interval_ns;
	if (k->interval_ns < INTERVAL_MAX_NS)
		k->interval_ns *= 2;
	return 0;
}
