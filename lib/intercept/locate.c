/* SPDX-License-Identifier: MIT */
/*
 * The first access of an instruction that the VTL's limits forbid, in the order the processor
 * makes them: fetch, then operands, each after the walk of the guest's page tables. Or the first
 * one of an event's delivery, if that is what the processor was about.
 */
#include <errno.h>
#include <string.h>

#include "intercept/failure.h"
#include "intercept/search.h"
#include "vcpu/vcpu.h"

static enum verdict caught(struct search *s, uint8_t setter, gpa_t gpa, gva_t gva,
			   enum mem_access access)
{
	s->v->setter = setter;
	s->v->gpa = gpa;
	s->v->gva = gva;
	s->v->gva_valid = true;
	s->v->access = access;
	return setter ? CAUGHT : OUTSIDE;
}

static void add_page(struct violation_page *pages, uint8_t *count, uint64_t page, prot_t prot)
{
	for (unsigned i = 0; i < *count; i++) {
		if (pages[i].page != page)
			continue;
		pages[i].prot |= prot;
		return;
	}
	if (*count < VIOLATION_PAGES)
		pages[(*count)++] = (struct violation_page){.page = page, .prot = prot};
}

/* What the host must let through for an access. */
static prot_t wanted(enum mem_access access)
{
	return (prot_t)(PROT_R | PROT_KX | PROT_UX | (access == MEM_WRITE ? PROT_W : 0));
}

/* An access the limits allow: does the host let it through? If not, the page is to be opened for
 * `as`. */
static void touch(struct search *s, uint64_t page, enum mem_access access, enum mem_access as)
{
	enum kvm_map_prot needed = access == MEM_WRITE ? KVM_MAP_READ_WRITE : KVM_MAP_READ;

	add_page(s->touched, &s->touched_count, page, wanted(as));
	if (viewer_hardware(&s->w, page) < needed)
		add_page(s->v->open, &s->v->open_count, page, wanted(as));
}

/*
 * The tables a walk read. They are opened for writing: AMD processors walk them with write
 * accesses, whatever they find there (APM vol. 2, 15.25.5). Where the walk ended with a fault of
 * the guest's own, only a closed one can have been in the way.
 */
static void touch_tables(struct search *s, const struct walk_result *result, bool ended)
{
	for (unsigned i = 0; i < result->table_count; i++) {
		uint64_t page = gpa_page(result->tables[i].entry);

		if (!ended || viewer_hardware(&s->w, page) < KVM_MAP_READ_WRITE)
			touch(s, page, result->tables[i].updated ? MEM_WRITE : MEM_READ, MEM_WRITE);
	}
}

/* Where the host lets a page be read, the relaxed policy lets it be fetched. */
static bool fetch_escapes(const struct search *s, uint64_t page, enum mem_access access)
{
	return access == MEM_EXECUTE && s->w.m->exec_policy == VSM_EXEC_RELAXED &&
	       viewer_hardware(&s->w, page) >= KVM_MAP_READ;
}

static bool in_overlay(const struct search *s, gpa_t gpa)
{
	return memory_rights(s->w.m, s->w.vtl, gpa_page(gpa)).kind == MEMORY_OVERLAY;
}

static enum verdict check_page(struct search *s, const struct piece *p, enum mem_access access,
			       bool user)
{
	uint64_t page = gpa_page(p->gpa);
	uint8_t setter = 0;

	if (memory_allows(s->w.m, s->w.vtl, page, access, user, &setter)) {
		touch(s, page, access, access);
		return PASSES;
	}
	if (fetch_escapes(s, page, access))
		return PASSES;
	/* Nothing there, or ROM: not what stopped the processor if there is anything else. */
	if (!setter && !in_overlay(s, p->gpa) && access != MEM_EXECUTE) {
		s->outside = true;
		return PASSES;
	}
	s->v->overlay = !setter && in_overlay(s, p->gpa);
	return caught(s, setter, p->gpa, p->gva, access);
}

enum verdict search_access(struct search *s, const struct insn_access *a)
{
	struct walk_result result;
	struct access_fault fault;
	struct piece p;

	for (size_t offset = 0; offset < a->size; offset += p.len) {
		int r = viewer_piece(&s->w, a, offset, &p, &result, &fault);
		enum verdict verdict;

		s->v->walking = r == -EACCES;
		if (r == -EACCES)
			return caught(s, fault.setter, fault.gpa, p.gva, fault.access);
		if (r == -EFAULT)
			s->v->overlay = in_overlay(s, fault.gpa);
		if (r && r != -ENOENT)
			return OUTSIDE;
		touch_tables(s, &result, r);
		if (r)
			return ENDS;
		verdict = check_page(s, &p, a->access, s->w.user && !a->supervisor);
		if (verdict != PASSES)
			return verdict;
	}
	return PASSES;
}

/*
 * The fetch, page by page as the instruction needs them. On PASSES, *decoded is insn_decode()'s
 * answer: 0 or -ENOTSUP.
 */
static enum verdict check_fetch(struct search *s, struct insn *insn, int *decoded)
{
	uint64_t rip = viewer_rip(&s->w).addr;
	uint8_t bytes[INSN_MAX];
	size_t got = 0;

	while (got < sizeof(bytes)) {
		struct insn_access a = {
			.gva = gva_from(rip + got), .size = 1, .access = MEM_EXECUTE};
		enum verdict verdict = search_access(s, &a);
		struct walk_result result;
		struct access_fault fault;
		struct piece p;

		if (verdict != PASSES)
			return verdict;
		a.size = (uint16_t)(sizeof(bytes) - got);
		if (viewer_piece(&s->w, &a, 0, &p, &result, &fault) ||
		    viewer_load(&s->w, &p, bytes + got))
			return OUTSIDE;
		got += p.len;
		*decoded = insn_decode(&s->w.context, bytes, got, insn);
		if (*decoded != -EINVAL)
			return PASSES;
	}
	s->undefined = true;
	return ENDS;
}

/* The access KVM shows where it failed to emulate, if the limits forbid it. */
static bool catch_shown(struct search *s)
{
	enum mem_access access;
	uint8_t setter = 0;
	gpa_t gpa;

	if (!s->failed || !failure_access(s->failed, &gpa, &access) ||
	    memory_allows(s->w.m, s->w.vtl, gpa_page(gpa), access, s->w.user, &setter) || !setter)
		return false;
	caught(s, setter, gpa, gva_from(0), access);
	s->v->gva_valid = false;
	return true;
}

/*
 * An instruction that made a forbidden access nobody can name: never let through. The GPA is 0 if
 * the guest's tables do not even say where the instruction is.
 */
static enum verdict catch_unknown(struct search *s)
{
	struct walk_result result = {.gpa = gpa_from(0)};
	uint8_t setter = memory_lowest_setter(s->w.m, s->w.vtl);

	if (!setter)
		return OUTSIDE;
	if (catch_shown(s))
		return CAUGHT;
	if (walk(s->w.m, s->w.vtl, s->w.context.sregs, viewer_rip(&s->w), MEM_EXECUTE, s->w.user,
		 &result, NULL))
		result.gpa = gpa_from(0);
	caught(s, setter, gpa_of_page(gpa_page(result.gpa)), gva_from(0), MEM_READ);
	s->v->gva_valid = false;
	return CAUGHT;
}

/* A delivery that does not get through raises something else, of which nothing is known here. */
static enum verdict check_delivery(struct search *s, uint8_t vector, bool error_code)
{
	enum verdict verdict = search_delivery(s, vector, error_code);

	s->v->delivers = true;
	s->v->vector = vector;
	s->v->unbounded = verdict != PASSES;
	return verdict;
}

/* Loads, the descriptors they lead to, stores. */
static enum verdict check_operands(struct search *s, const struct insn *insn)
{
	bool loaded = false;

	for (unsigned i = 0; i < insn->access_count; i++) {
		const struct insn_access *a = &insn->accesses[i];
		enum verdict verdict = PASSES;
		uint8_t descriptor[8];

		if (a->access == MEM_WRITE && !loaded) {
			verdict = search_selectors(s, insn);
			loaded = true;
		}
		if (verdict == PASSES)
			verdict = a->supervisor ? search_descriptor(s, a, insn->marks, descriptor)
						: search_access(s, a);
		if (verdict != PASSES)
			return verdict;
	}
	return loaded ? PASSES : search_selectors(s, insn);
}

/*
 * Intel's processors load PAE's pointers with CR3, and the read is an EPT violation of that
 * instruction, without a linear address (SDM vol. 3, 4.4.1 and "EPT Violations").
 */
static enum verdict check_pointers(struct search *s, const struct insn *insn)
{
	const struct piece p = {.gpa = insn->pointers};
	enum verdict verdict;

	if (!insn->loads_pointers)
		return PASSES;
	verdict = check_page(s, &p, MEM_READ, false);
	s->v->gva_valid &= verdict == PASSES;
	return verdict;
}

static enum verdict check_instruction(struct search *s)
{
	struct insn insn;
	int decoded = 0;
	enum verdict verdict = check_fetch(s, &insn, &decoded);

	if (verdict != PASSES)
		return verdict;
	violation_describe(s->v, &insn);
	s->v->unbounded = insn.unbounded;
	s->undefined = insn.undefined;
	verdict = check_operands(s, &insn);
	if (verdict == PASSES)
		verdict = check_pointers(s, &insn);
	if (verdict != PASSES)
		return verdict;
	if (insn.interrupt)
		return check_delivery(s, insn.vector, false);
	return decoded ? catch_unknown(s) : PASSES;
}

/* The processor may have met a table that it walks with a write access and may only be read. */
static bool walks_closed(const struct search *s)
{
	for (unsigned i = 0; i < s->touched_count; i++)
		if ((s->touched[i].prot & PROT_W) &&
		    viewer_hardware(&s->w, s->touched[i].page) < KVM_MAP_READ_WRITE)
			return true;
	return false;
}

/*
 * Nothing is forbidden and no page is known to be closed, yet the host closed one. Either it could
 * not open it (memory.h: pages may be less accessible than the limits say), or the processor walks
 * a read-only table with a write access. Everything the instruction touches is opened.
 */
static void open_touched(struct search *s, enum verdict verdict)
{
	if (!memory_lowest_setter(s->w.m, s->w.vtl))
		return;
	memcpy(s->v->open, s->touched, sizeof(s->touched));
	s->v->open_count = s->touched_count;
	s->v->guessed = verdict != PASSES || !walks_closed(s);
}

static bool internal_error(const struct vsm_vcpu *vp)
{
	return vp->vtls[vp->active_vtl].cpu.run->exit_reason == KVM_EXIT_INTERNAL_ERROR;
}

/* The exit says that KVM could not emulate an instruction; it may have queued #UD for that. */
static bool emulation_failed(const struct vsm_vcpu *vp)
{
	const struct kvm_run *run = vp->vtls[vp->active_vtl].cpu.run;

	return internal_error(vp) && run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION;
}

static void drop_emulation_failure(struct vsm_vcpu *vp, struct kvm_vcpu_events *events)
{
	struct vtl_cpu *cpu = &vcpu_active(vp)->cpu;

	/* Kernels before 6.12 leave it there when KVM_RUN next fails. */
	cpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	if (events->exception.nr != VECTOR_UD ||
	    !(events->exception.injected || events->exception.pending))
		return;
	events->exception.injected = 0;
	events->exception.pending = 0;
	vtl_cpu_dirty(cpu, CPU_EVENTS);
}

static bool explains(const struct search *s, enum verdict verdict)
{
	return verdict == CAUGHT || s->v->overlay || s->v->open_count ||
	       (verdict != OUTSIDE && walks_closed(s));
}

static void start_over(struct search *s)
{
	memset(s->v, 0, sizeof(*s->v));
	s->touched_count = 0;
	s->outside = s->undefined = false;
}

/* INT n is at RIP, unless somebody moved that. */
static enum verdict check_software_interrupt(struct search *s, uint8_t vector)
{
	enum verdict verdict = check_instruction(s);

	if (explains(s, verdict))
		return verdict;
	start_over(s);
	return check_delivery(s, vector, false);
}

/* An event that KVM has yet to deliver is what the processor was doing. */
static enum verdict check(struct search *s, const struct kvm_vcpu_events *events)
{
	if (events->exception.injected)
		return check_delivery(s, events->exception.nr, events->exception.has_error_code);
	if (events->nmi.injected)
		return check_delivery(s, VECTOR_NMI, false);
	if (events->interrupt.injected && events->interrupt.soft)
		return check_software_interrupt(s, events->interrupt.nr);
	if (events->interrupt.injected)
		return check_delivery(s, events->interrupt.nr, false);
	return check_instruction(s);
}

/*
 * KVM gave up an event's delivery. Without all there is to know of an exception the instruction
 * has to be repeated, and nothing can be delivered in the place of the processor.
 */
static bool check_lost(struct search *s, const struct failure_event *event, enum verdict *verdict)
{
	*verdict = check_delivery(s, event->vector, event->has_error_code);
	if (*verdict == CAUGHT || (explains(s, *verdict) && (event->known || !event->exception)))
		return true;
	start_over(s);
	return false;
}

/*
 * KVM could not emulate the instruction at RIP: for what that does, or because an event could not
 * be delivered there. *lost becomes the exception that KVM has forgotten then.
 */
static enum verdict check_failure(struct search *s, struct failure_event *lost)
{
	static const struct failure_event undefined = {
		.vector = VECTOR_UD, .exception = true, .known = true};
	struct failure_event event;
	enum verdict verdict;

	if (failure_event(s->failed, &event) && check_lost(s, &event, &verdict)) {
		*lost = event;
		return verdict;
	}
	verdict = check_instruction(s);
	if (explains(s, verdict))
		return verdict;
	/* An exception of its own that needs no decoding: UD2 and the like. */
	if (s->undefined && check_lost(s, &undefined, &verdict)) {
		*lost = undefined;
		return verdict;
	}
	return catch_shown(s) ? CAUGHT : verdict;
}

/* The exception is what the processor goes on with. Without knowing it, the instruction is. */
static void queue_again(struct vsm_vcpu *vp, struct kvm_vcpu_events *events,
			const struct failure_event *lost)
{
	if (!lost->known)
		return;
	events->exception.injected = 1;
	events->exception.nr = lost->vector;
	events->exception.has_error_code = lost->has_error_code;
	events->exception.error_code = lost->error_code;
	vtl_cpu_dirty(&vcpu_active(vp)->cpu, CPU_EVENTS);
}

int intercept_refuse(struct vsm_vcpu *vp, struct violation *v)
{
	struct search s = {.v = v};
	int r = viewer_init(&s.w, vp);

	v->allowed_here = false;
	v->open_count = 0;
	if (!r)
		catch_unknown(&s);
	return r;
}

int intercept_locate(struct vsm_vcpu *vp, struct violation *v)
{
	struct search s = {.v = v};
	struct failure_event lost = {.known = false};
	bool failed = emulation_failed(vp);
	struct kvm_vcpu_events *events;
	enum verdict verdict;
	int r = viewer_init(&s.w, vp);

	memset(v, 0, sizeof(*v));
	if (!r)
		r = vtl_cpu_events(&vcpu_active(vp)->cpu, &events);
	if (r)
		return r;
	s.failed = failed ? vp->vtls[vp->active_vtl].cpu.run : NULL;
	verdict = failed ? check_failure(&s, &lost) : check(&s, events);
	if (verdict == PASSES && s.outside)
		verdict = OUTSIDE;
	if (verdict != CAUGHT && !v->overlay) {
		if (verdict != OUTSIDE && !v->open_count &&
		    (!internal_error(vp) || walks_closed(&s)))
			open_touched(&s, verdict);
		v->allowed_here = v->open_count;
	} else {
		v->open_count = 0;
	}
	if (failed && violation_found(v)) {
		drop_emulation_failure(vp, events);
		queue_again(vp, events, &lost);
	}
	return 0;
}

int intercept_forget_failure(struct vsm_vcpu *vp, bool *forgotten)
{
	struct kvm_vcpu_events *events;
	struct failure_event event;
	int r = vtl_cpu_events(&vcpu_active(vp)->cpu, &events);

	*forgotten = false;
	if (r)
		return r;
	if (emulation_failed(vp)) {
		if (failure_event(vcpu_active(vp)->cpu.run, &event) && event.exception)
			return 0;
		drop_emulation_failure(vp, events);
	}
	*forgotten = true;
	return 0;
}
