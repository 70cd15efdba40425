/* SPDX-License-Identifier: MIT */
/* A store KVM retired: shown as not yet executed, finished later if allowed. */
#include "intercept/retired.h"

#include <string.h>

#include "intercept/gpr.h"
#include "vcpu/vcpu.h"

/* --- the instruction --- */

struct seen {
	const struct viewer *w;
	gpa_t gpa; /* of the first piece */
	size_t size;
};

/* Is the part of the access at `offset` where the store was seen, and as long? */
static bool place_at(const struct seen *s, const struct insn_access *a, size_t offset, size_t *part)
{
	struct walk_result result;
	struct piece p;
	int r = viewer_piece(s->w, a, offset, &p, &result, NULL);

	*part = p.len;
	return !r && p.gpa.addr == s->gpa.addr && (s->size == p.len || s->size == a->size - offset);
}

static int place(void *ctx, gva_t gva, size_t len)
{
	const struct seen *s = ctx;
	struct insn_access a = {.gva = gva, .size = (uint16_t)len, .access = MEM_WRITE};
	size_t first, second;

	if (place_at(s, &a, 0, &first))
		return 0;
	if (first < len && place_at(s, &a, first, &second))
		return (int)first;
	return -1;
}

static bool holds(void *ctx, gva_t gva, const uint8_t *bytes, size_t len)
{
	const struct seen *s = ctx;
	struct insn_access a = {.gva = gva, .size = (uint16_t)len, .access = MEM_READ};
	uint8_t now[sizeof(uint64_t)];
	struct walk_result result;
	struct piece p;

	for (size_t offset = 0; offset < len; offset += p.len)
		if (viewer_piece(s->w, &a, offset, &p, &result, NULL) || p.len > sizeof(now) ||
		    viewer_load(s->w, &p, now) || memcmp(now, bytes + offset, p.len))
			return false;
	return true;
}

static size_t join(const struct retired_store *store, uint8_t *data)
{
	size_t size = 0;

	for (unsigned i = 0; i < store->fragment_count; i++) {
		memcpy(data + size, store->fragments[i].data, store->fragments[i].len);
		size += store->fragments[i].len;
	}
	return size;
}

static bool find_repeated(const struct viewer *w, const struct retired_query *q, struct insn *insn,
			  struct kvm_regs *before)
{
	uint8_t bytes[INSN_MAX];
	size_t got;

	walk_fetch(w->m, w->vtl, w->context.sregs, viewer_rip(w), bytes, sizeof(bytes), &got, NULL);
	return !insn_find_retired_store(q, RETIRED_REPEATS, bytes, got, insn, before);
}

static bool find_before(const struct viewer *w, const struct retired_query *q,
			enum retired_where where, uint64_t end, struct insn *insn,
			struct kvm_regs *before)
{
	uint8_t bytes[INSN_MAX];
	size_t count =
		viewer_code_before(w, cpu_linear_rip(w->context.sregs, end), bytes, sizeof(bytes));

	return !insn_find_retired_store(q, where, bytes + sizeof(bytes) - count, count, insn,
					before);
}

static bool find(const struct viewer *w, const struct retired_query *q, struct insn *insn,
		 struct kvm_regs *before)
{
	uint64_t rip = w->context.regs->rip, target = 0;

	if (find_repeated(w, q, insn, before) || find_before(w, q, RETIRED_ENDS, rip, insn, before))
		return true;
	if (q->size != 2 && q->size != 4 && q->size != 8)
		return false;
	memcpy(&target, q->data, q->size);
	return find_before(w, q, RETIRED_CALLS, target, insn, before);
}

void retired_find(const struct viewer *w, struct retired_store *store, struct violation *v)
{
	uint8_t data[RETIRED_FRAGMENTS * 8];
	struct seen seen = {.w = w, .gpa = store->fragments[0].gpa, .size = join(store, data)};
	struct retired_query q = {.after = &w->context,
				  .data = data,
				  .size = seen.size,
				  .place = place,
				  .holds = holds,
				  .ctx = &seen};
	struct viewer then = *w;
	struct insn insn;

	store->after = *w->context.regs;
	store->before = store->after;
	if (!find(w, &q, &insn, &store->before)) {
		store->before = store->after;
		return;
	}
	then.context.regs = &store->before;
	violation_describe(v, &insn);
	v->gva_valid = viewer_find(&then, &insn, MEM_WRITE, v->gpa, &v->gva);
}

/* --- the store, later --- */

static bool same_registers(const struct kvm_regs *a, const struct kvm_regs *b)
{
	for (unsigned i = 0; i < GPR_COUNT; i++)
		if (gpr_get(a, i) != gpr_get(b, i))
			return false;
	return true;
}

/*
 * Would the processor execute the store as KVM did? Where the instruction is not known its
 * registers cannot be put back for another try: the store is finished whatever they are.
 */
static bool unchanged(const struct retired_store *store, const struct kvm_regs *regs)
{
	return regs->rip == store->before.rip &&
	       (!store->shown.insn_length || same_registers(regs, &store->before));
}

/* A read-modify-write must not overwrite what came in between. */
static bool memory_unchanged(const struct memory *m, unsigned vtl, const struct retired_fragment *f)
{
	uint8_t now[sizeof(f->old)] = {0};

	return !host_read(m, vtl, f->gpa, now, f->len) && !memcmp(now, f->old, f->len);
}

/* May all of it be stored? 0: no VTL's limit forbids it. */
static uint8_t forbidden(const struct memory *m, unsigned vtl, const struct retired_store *store,
			 gpa_t *gpa, bool *possible)
{
	uint8_t setter = 0;

	*possible = true;
	for (unsigned i = 0; i < store->fragment_count; i++) {
		const struct retired_fragment *f = &store->fragments[i];

		*gpa = f->gpa;
		if (!memory_allows(m, vtl, gpa_page(f->gpa), MEM_WRITE, false, &setter)) {
			*possible = false;
			return setter;
		}
		if (!memory_unchanged(m, vtl, f) && store->shown.insn_length)
			*possible = false;
	}
	return 0;
}

static int perform(const struct memory *m, unsigned vtl, const struct retired_store *store)
{
	int r = 0;

	for (unsigned i = 0; i < store->fragment_count && !r; i++)
		r = guest_write(m, vtl, store->fragments[i].gpa, store->fragments[i].data,
				store->fragments[i].len, NULL);
	return r;
}

/* RFLAGS stay: they were KVM's all the time, but for what the higher VTL made of them. */
static void finish_registers(struct kvm_regs *regs, const struct retired_store *store)
{
	regs->rip = store->after.rip;
	for (unsigned i = 0; i < GPR_COUNT; i++)
		if (gpr_get(&store->before, i) != gpr_get(&store->after, i))
			*gpr_at(regs, i) = gpr_get(&store->after, i);
}

int intercept_resume(struct vsm_vcpu *vp, struct violation *v)
{
	struct vp_vtl *active = vcpu_active(vp);
	struct retired_store *store = &vcpu_rare(vp)->retired;
	const struct memory *m = &vp->partition->memory;
	struct kvm_vcpu_events *events;
	struct kvm_regs *regs;
	bool possible;
	gpa_t gpa;
	int r;

	memset(v, 0, sizeof(*v));
	if (!active->store_waits)
		return 0;
	r = vtl_cpu_regs(&active->cpu, &regs);
	if (!r)
		r = vtl_cpu_events(&active->cpu, &events);
	if (r)
		return r;
	active->store_waits = false;
	if (!unchanged(store, regs) || events->exception.injected || events->exception.pending)
		return 0;
	store->shown.setter = forbidden(m, vp->active_vtl, store, &gpa, &possible);
	if (store->shown.setter) {
		active->store_waits = true;
		store->shown.gpa = gpa;
		*v = store->shown;
		return 0;
	}
	if (!possible)
		return 0;
	r = perform(m, vp->active_vtl, store);
	if (r)
		return r;
	finish_registers(regs, store);
	vtl_cpu_dirty(&active->cpu, CPU_REGS);
	return 0;
}
