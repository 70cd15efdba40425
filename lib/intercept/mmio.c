/* SPDX-License-Identifier: MIT */
/*
 * MMIO exits on memory: a violation whose instruction is half-done (load) or already retired
 * (store) is taken back; what the limits allow is answered from memory.
 */
#include <errno.h>
#include <string.h>

#include "intercept/retired.h"
#include "intercept/viewer.h"
#include "vcpu/vcpu.h"

/* --- what a half-done load may change until it ends --- */

/* Bytes an instruction that also loads can store: a pointer pushed, a string element. */
#define SAVED_BYTES  64
#define SAVED_PIECES 4

struct saved_piece {
	gpa_t gpa;
	size_t len;
	uint8_t bytes[SAVED_BYTES];
};

struct saved {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
	bool fpu;
	struct saved_piece pieces[SAVED_PIECES];
	unsigned piece_count;
};

static void save_piece(struct saved *s, const struct viewer *w, const struct piece *p)
{
	struct saved_piece *to = &s->pieces[s->piece_count];

	/*
	 * A closed page does not get the store, and may be someone else's to change meanwhile; nor
	 * does ROM, which cannot be put back either.
	 */
	if (s->piece_count == SAVED_PIECES || p->len > SAVED_BYTES ||
	    viewer_hardware(w, gpa_page(p->gpa)) != KVM_MAP_READ_WRITE ||
	    !memory_allows(w->m, w->vtl, gpa_page(p->gpa), MEM_WRITE, w->user, NULL) ||
	    host_read(w->m, w->vtl, p->gpa, to->bytes, p->len))
		return;
	to->gpa = p->gpa;
	to->len = p->len;
	s->piece_count++;
}

/* Memory the instruction stores to when it completes. */
static void save_memory(struct saved *s, const struct viewer *w, const struct insn *insn)
{
	for (unsigned i = 0; i < insn->access_count; i++) {
		const struct insn_access *a = &insn->accesses[i];
		struct walk_result result;
		struct piece p;

		if (a->access != MEM_WRITE || a->size > SAVED_BYTES)
			continue;
		for (size_t offset = 0; offset < a->size; offset += p.len)
			if (!viewer_piece(w, a, offset, &p, &result, NULL))
				save_piece(s, w, &p);
	}
}

static int save(struct vsm_vcpu *vp, struct saved *s, const struct viewer *w,
		const struct insn *insn)
{
	struct vp_vtl *active = vcpu_active(vp);
	const struct kvm_host *h = vp->partition->host;
	struct kvm_vcpu_events *events;
	int r = vtl_cpu_events(&active->cpu, &events);

	if (r)
		return r;
	*s = (struct saved){.regs = *w->context.regs,
			    .sregs = *w->context.sregs,
			    .events = *events,
			    .fpu = insn->fpu || !insn->length};
	save_memory(s, w, insn);
	if (!s->fpu)
		return 0;
	active->xsave_known = false;
	return h->ops->get_xsave(h, active->cpu.fd, active->xsave, vp->partition->xsave.size);
}

static int restore_registers(struct vtl_cpu *cpu, const struct saved *s)
{
	struct kvm_regs *regs;
	struct kvm_sregs *sregs, wanted = s->sregs;
	int r = vtl_cpu_state(cpu, &regs, &sregs);

	if (r)
		return r;
	*regs = s->regs;
	vtl_cpu_dirty(cpu, CPU_REGS);
	/* Not the instruction's: what the host's interrupt state shows. */
	wanted.apic_base = sregs->apic_base;
	memcpy(wanted.interrupt_bitmap, sregs->interrupt_bitmap, sizeof(wanted.interrupt_bitmap));
	if (memcmp(sregs, &wanted, sizeof(wanted))) {
		*sregs = wanted;
		vtl_cpu_dirty(cpu, CPU_SREGS);
	}
	return vtl_cpu_restore_events(cpu, &s->events);
}

static int restore(struct vsm_vcpu *vp, const struct saved *s)
{
	struct vp_vtl *active = vcpu_active(vp);
	const struct kvm_host *h = vp->partition->host;
	int r = restore_registers(&active->cpu, s);

	for (unsigned i = 0; i < s->piece_count && !r; i++)
		r = host_write(&vp->partition->memory, vp->active_vtl, s->pieces[i].gpa,
			       s->pieces[i].bytes, s->pieces[i].len);
	if (!r && s->fpu)
		r = h->ops->set_xsave(h, active->cpu.fd, active->xsave);
	return r;
}

/* --- violations --- */

static int take_back_load(struct vsm_vcpu *vp, const struct viewer *w, struct violation *v)
{
	struct saved saved;
	struct insn insn;
	int r, restored;

	viewer_decode(w, &insn);
	violation_describe(v, &insn);
	v->gva_valid = viewer_find(w, &insn, v->access, v->gpa, &v->gva);
	r = save(vp, &saved, w, &insn);
	if (r)
		return r;
	r = vtl_cpu_complete(&vcpu_active(vp)->cpu);
	restored = restore(vp, &saved);
	return r ? r : restored;
}

static bool is_store(const struct kvm_run *run)
{
	return run->exit_reason == KVM_EXIT_MMIO && run->mmio.is_write &&
	       run->mmio.len <= sizeof(run->mmio.data);
}

static void add_fragment(const struct viewer *w, struct retired_store *store,
			 const struct kvm_run *run)
{
	struct retired_fragment *f = &store->fragments[store->fragment_count++];

	*f = (struct retired_fragment){.gpa = gpa_from(run->mmio.phys_addr),
				       .len = (uint8_t)run->mmio.len};
	memcpy(f->data, run->mmio.data, f->len);
	if (host_read(w->m, w->vtl, f->gpa, f->old, f->len))
		memset(f->old, 0, sizeof(f->old));
}

/* Ends the instruction: all the pieces KVM split its store into, the exit's own first. */
static int collect(struct vsm_vcpu *vp, const struct viewer *w, struct retired_store *store)
{
	struct vtl_cpu *cpu = &vcpu_active(vp)->cpu;

	memset(store, 0, sizeof(*store));
	while (is_store(cpu->run) && store->fragment_count < RETIRED_FRAGMENTS) {
		int r;

		add_fragment(w, store, cpu->run);
		vtl_cpu_hurry(cpu);
		r = vtl_cpu_run(cpu);
		vtl_cpu_unhurry(cpu);
		if (r == -EINTR) {
			cpu->unfinished = false;
			return 0;
		}
		if (r)
			return r;
	}
	return -EIO;
}

static int take_back_store(struct vsm_vcpu *vp, struct viewer *w, struct violation *v)
{
	struct vp_vtl *active = vcpu_active(vp);
	struct retired_store *store = &vcpu_rare(vp)->retired;
	struct kvm_regs *regs;
	int r = collect(vp, w, store);

	if (!r)
		r = viewer_init(w, vp);
	if (!r)
		r = vtl_cpu_regs(&active->cpu, &regs);
	if (r)
		return r;
	retired_find(w, store, v);
	*regs = store->before;
	vtl_cpu_dirty(&active->cpu, CPU_REGS);
	store->shown = *v;
	active->store_waits = v->setter;
	return 0;
}

/* --- the exit --- */

/* The limits allow it: slots are in change, or the page is closed for its execute permission. */
static void serve(const struct viewer *w, struct kvm_run *run, struct violation *v)
{
	gpa_t gpa = gpa_from(run->mmio.phys_addr);
	int r;

	if (run->mmio.is_write)
		r = guest_write(w->m, w->vtl, gpa, run->mmio.data, run->mmio.len, NULL);
	else
		r = guest_read(w->m, w->vtl, gpa, run->mmio.data, run->mmio.len, MEM_READ, false,
			       NULL);
	v->served = !r;
}

int intercept_mmio(struct vsm_vcpu *vp, struct violation *v)
{
	struct kvm_run *run = vcpu_active(vp)->cpu.run;
	gpa_t gpa = gpa_from(run->mmio.phys_addr);
	struct memory_rights rights;
	struct viewer w;
	int r = viewer_init(&w, vp);

	memset(v, 0, sizeof(*v));
	if (r)
		return r;
	rights = memory_rights(w.m, w.vtl, gpa_page(gpa));
	if (rights.kind == MEMORY_NONE || run->mmio.len > sizeof(run->mmio.data))
		return 0;
	v->access = run->mmio.is_write ? MEM_WRITE : MEM_READ;
	v->gpa = gpa;
	if (memory_allows(w.m, w.vtl, gpa_page(gpa), v->access, w.user, &v->setter)) {
		serve(&w, run, v);
		return 0;
	}
	v->overlay = !v->setter && rights.kind == MEMORY_OVERLAY;
	if (!v->setter && !v->overlay)
		return 0;
	return v->access == MEM_WRITE ? take_back_store(vp, &w, v) : take_back_load(vp, &w, v);
}
