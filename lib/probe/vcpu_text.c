/* SPDX-License-Identifier: MIT */
/* What a VP is doing and waiting for, as text for people: where a guest is that does not go on. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "apic/bus.h"
#include "probe/text.h"
#include "vcpu/vcpu.h"

#define PATIENCE_S 1
#define LAPIC_TPR  0x80
#define LAPIC_ISR  0x100
#define LAPIC_IRR  0x200
#define LAPIC_GAP  0x10 /* from one 32-bit register to the next */

struct state_word {
	bool holds;
	const char *text;
};

static void add_words(struct text *t, const struct state_word *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (words[i].holds)
			text_add(t, ", %s", words[i].text);
}
#define ADD_WORDS(t, words) add_words(t, words, sizeof(words) / sizeof((words)[0]))

static void add_vectors(struct text *t, const char *name, const uint32_t *bits)
{
	uint32_t all = 0;

	for (unsigned i = 0; i < 8; i++)
		all |= bits[i];
	if (!all)
		return;
	text_add(t, "; %s", name);
	for (unsigned vector = 0; vector < 256; vector++)
		if (bits[vector / 32] >> vector % 32 & 1)
			text_add(t, " %02x", vector);
}

static void lapic_vectors(const struct kvm_lapic_state *s, unsigned at, uint32_t *bits)
{
	for (unsigned i = 0; i < 8; i++)
		memcpy(&bits[i], s->regs + at + i * LAPIC_GAP, sizeof(bits[i]));
}

static void add_kernel_apic(struct text *t, struct vsm_vcpu *vp)
{
	const struct kvm_host *h = vp->partition->host;
	struct kvm_lapic_state s;
	uint32_t bits[8];

	if (h->ops->get_lapic(h, vp->vtls[0].cpu.fd, &s))
		return;
	text_add(t, "; KVM's APIC: TPR %02x", (uint8_t)s.regs[LAPIC_TPR]);
	lapic_vectors(&s, LAPIC_IRR, bits);
	add_vectors(t, "IRR", bits);
	lapic_vectors(&s, LAPIC_ISR, bits);
	add_vectors(t, "ISR", bits);
	add_vectors(t, "AutoEOI waits", vp->kernel_apic.waits);
}

static void add_apic(struct text *t, const struct lapic *l)
{
	text_add(t, "; APIC: TPR %02x", l->tpr);
	add_vectors(t, "IRR", l->irr);
	add_vectors(t, "ISR", l->isr);
}

static void add_registers(struct text *t, struct vtl_cpu *cpu)
{
	struct kvm_vcpu_events *e;
	struct kvm_regs *r;

	if (!vtl_cpu_regs(cpu, &r))
		text_add(t, " RIP %#" PRIx64 " RFLAGS %#" PRIx64, (uint64_t)r->rip,
			 (uint64_t)r->rflags);
	if (!vtl_cpu_events(cpu, &e) && e->interrupt.injected)
		text_add(t, ", takes interrupt %02x", e->interrupt.nr);
}

static void add_vtl(struct text *t, struct vsm_vcpu *vp, unsigned vtl)
{
	struct vp_vtl *v = &vp->vtls[vtl];
	bool readable = !vp->inside || vtl != vp->active_vtl;
	const struct state_word words[] = {
		{v->halted, "halted"},
		{v->suspended, "suspended"},
		{v->awaits_tlb, "waits for a TLB lock"},
		{v->entry_pending, "is to be entered"},
		{v->stepping, "stepped"},
		{v->cpu.unfinished, "in the middle of an instruction"},
		{v->lapic.events & LAPIC_EVENT_NMI, "NMI waits"},
		{v->lapic.events & LAPIC_EVENT_INIT, "INIT waits"},
		{v->lapic.events & LAPIC_EVENT_STARTUP, "SIPI waits"},
	};

	text_add(t, "  VTL%u", vtl);
	if (readable)
		add_registers(t, &v->cpu);
	else
		text_add(t, " running");
	ADD_WORDS(t, words);
	if (bus_serves(vp, vtl))
		add_apic(t, &v->lapic);
	else if (readable)
		add_kernel_apic(t, vp);
	text_add(t, "\n");
}

static const char *whereabouts(const struct vsm_vcpu *vp)
{
	if (vp->inside)
		return "in KVM_RUN";
	if (atomic_load(&vp->asleep))
		return "asleep in vsm_vcpu_run()";
	return atomic_load(&vp->thread) ? "in vsm_vcpu_run()" : "outside vsm_vcpu_run()";
}

static void add_deadline(struct text *t, const struct vsm_vcpu *vp)
{
	uint64_t now = vp->partition->host->ops->clock_ns(vp->partition->host);

	if (vp->deadline == KVM_NEVER || !vp->deadline)
		return;
	if (vp->deadline < now)
		text_add(t, ", timer %" PRIu64 " us late", (now - vp->deadline) / 1000);
	else
		text_add(t, ", timer in %" PRIu64 " us", (vp->deadline - now) / 1000);
}

static void add_vp(struct text *t, struct vsm_vcpu *vp)
{
	const struct state_word words[] = {
		{!vp->started && !vp->partition->kernel_irqchip, "waits for INIT and SIPI"},
		{atomic_load(&vp->kicked), "kicked"},
		{vp->nudged, "called out"},
		{vp->holds, "held"},
		{vp->turn, "waits for its turn"},
		{vp->partition->stepper == vp, "the others wait for its step"},
		{vp->partition->dead, "the partition is dead"},
	};

	text_add(t, "VP %u in VTL%u %s", vp->index, vp->active_vtl, whereabouts(vp));
	ADD_WORDS(t, words);
	add_deadline(t, vp);
	text_add(t, ", %" PRIu64 " entries\n", vp->stats.runs);
	for (unsigned vtl = 0; vtl < vp->partition->vtl_count; vtl++)
		if (vp->enabled_vtls & (1u << vtl))
			add_vtl(t, vp, vtl);
}

/* The lock is not waited for longer than a VP in trouble may be looked at. */
static int lock_soon(struct vsm_partition *p)
{
	struct timespec until;

	/* pthread_mutex_clocklock() is one that gcc's thread sanitizer does not know. */
	timespec_get(&until, TIME_UTC);
	until.tv_sec += PATIENCE_S;
	return -pthread_mutex_timedlock(&p->lock, &until);
}

int vsm_vcpu_text(struct vsm_vcpu *vcpu, char *text, size_t room)
{
	struct text t = {.at = text, .room = room};
	int r;

	if (!vcpu || (!text && room))
		return -EINVAL;
	r = lock_soon(vcpu->partition);
	if (r)
		return r;
	/* The VMM may have changed the registers of a VP that it does not run. */
	for (unsigned vtl = 0; !atomic_load(&vcpu->thread) && vtl < vcpu->partition->vtl_count;
	     vtl++)
		vtl_cpu_forget(&vcpu->vtls[vtl].cpu);
	add_vp(&t, vcpu);
	pthread_mutex_unlock(&vcpu->partition->lock);
	return (int)t.length;
}
