/* SPDX-License-Identifier: MIT */
/*
 * VPs on the fake host that do what they are told, action by action, in two or three VTLs; and what
 * holds whenever one of them is in the guest, whatever it does and whatever the host refuses: no
 * page is more open than the limits say.
 */
#ifndef VSM_TESTS_UNIT_ACTING_GUEST_H
#define VSM_TESTS_UNIT_ACTING_GUEST_H

#include "smp_fixture.h"

#include "hv/hypercall.h"
#include "hv/vsm.h"
#include "initial_context.h"
#include "memory/mapping.h"
#include "msr/synthetic.h"

#define ACT_VTLS  3   /* at most */
#define ACT_PAGES 3   /* that one hypercall names */
#define ACT_SLOTS 256 /* for memory */

enum act_kind {
	ACT_END, /* an exit to the VMM; also what follows the last action */
	ACT_CALL,
	ACT_RETURN,
	ACT_STORE,	/* to gpa */
	ACT_MSR,	/* gpa: the value */
	ACT_PROTECT,	/* pages from gpa on get the mask for `vtl`, all or every other one */
	ACT_FLUSH,	/* all VPs' TLBs */
	ACT_ENABLE,	/* `vtl`, for the partition */
	ACT_ENABLE_VP,	/* and for this VP */
	ACT_DISABLE_VP, /* not any more for VP gpa */
	ACT_DISABLE,	/* nor for the partition */
	ACT_SPIN,
	ACT_KINDS,
};

struct action {
	enum act_kind kind;
	uint64_t gpa;
	uint32_t msr;
	uint8_t vtl;
	uint8_t count; /* of pages */
	bool dense;
	bool unknown; /* to KVM's emulator: the store's instruction */
	prot_t mask;
};

/* Pages with a role: all that the actions name, and their neighbours. */
#define ACT_FIRST_PAGE 0x10
#define ACT_LAST_PAGE  0x2f
#define ACT_STEPPED    UINT64_C(0x20000) /* VTL0 may use it, and not run it */
#define ACT_CLOSED     UINT64_C(0x24000) /* to VTL0, by all above it */
#define ACT_TARGETS    UINT64_C(0x28000)
/* With three VTLs: */
#define ACT_TWICE     UINT64_C(0x2e000) /* closed to VTL0 by two limits together */
#define ACT_1_STEPPED UINT64_C(0x21000) /* VTL1 may use it, and not run it */
#define ACT_1_CLOSED  UINT64_C(0x22000) /* to VTL1, and VTL0 may only read it */
#define ACT_INPUT(n)  (UINT64_C(0x50000) + 0x1000 * (n))

/* Where the instructions are, the same for all VTLs. */
#define ACT_NEXT     0x1100
#define ACT_AT_STORE 0x1200
#define ACT_AT_MSR   0x1210
#define ACT_AT_END   0x1220
#define ACT_AT_SPIN  0x1230

struct acting;

struct actor {
	struct acting *a;
	unsigned vp, vtl;
	const struct action *list;
	size_t count, next;
	bool entered;
	struct kvm_regs lower; /* as it found them then */
};

struct acting {
	struct smp s;
	struct actor actors[SMP_VPS][ACT_VTLS];
	/* What an actor does next; NULL: its list. */
	const struct action *(*choose)(struct actor *actor);
	atomic_uint failures;  /* calls with a status other than success, and faults */
	atomic_uint successes; /* calls with success */
	atomic_uint runs, steps;
	unsigned runs_max; /* more are a guest that does not get on; 0: any number */
	const char *what;  /* for a failure's message */
};

#define ACT_ASSERT(a, condition)                                                         \
	do {                                                                             \
		bool act_holds = (condition);                                            \
                                                                                         \
		if (!act_holds)                                                          \
			print_error("%s: %s\n", (a)->what ? (a)->what : "", #condition); \
		assert_true(act_holds);                                                  \
	} while (0)

/* --- what must hold --- */

/*
 * What all higher VTLs together leave of a page, as the TLFS says it, without the library's own
 * combining of them: nobody here asks for mode-based execution control.
 */
static inline prot_t act_left(const struct memory *m, unsigned vtl, uint64_t page)
{
	prot_t left = PROT_ALL;

	for (unsigned setter = vtl + 1; setter < m->vtl_count; setter++)
		if (m->limits_on[setter])
			left &= protmap_get(&m->limits[setter][vtl], page, NULL);
	return left;
}

/* The same for what the VTL finds there: an overlay page has its own permissions. */
static inline prot_t act_allowed(const struct memory *m, unsigned vtl, uint64_t page)
{
	const struct overlay *o = overlay_at(m, vtl, page);
	prot_t left = o && !o->limited ? PROT_ALL : act_left(m, vtl, page);

	return o ? left & o->prot : left;
}

static inline bool act_strict_closes(const struct memory *m, unsigned vtl, uint64_t page)
{
	if (m->exec_policy != VSM_EXEC_STRICT || !memory_lowest_setter(m, vtl))
		return false;
	return !(act_allowed(m, vtl, page) & PROT_KX);
}

/* What the host may let the VTL do with the page at most: enum kvm_map_prot. */
static inline int act_most(const struct memory *m, unsigned vtl, uint64_t page)
{
	prot_t allowed = act_allowed(m, vtl, page);
	int most = KVM_MAP_NONE;

	if ((allowed & PROT_R) && !act_strict_closes(m, vtl, page))
		most = allowed & PROT_W ? KVM_MAP_READ_WRITE : KVM_MAP_READ;
	for (unsigned i = 0; i < m->opening_count[vtl]; i++) {
		const struct memory_opening *o = &m->openings[vtl][i];

		if (o->page != page || o->shut)
			continue;
		if (o->prot & PROT_W)
			most = KVM_MAP_READ_WRITE;
		else if (most == KVM_MAP_NONE)
			most = KVM_MAP_READ;
	}
	return most;
}

/* What a VM shows of a page is no more than the VTL may have, and what the VTL has there. */
static inline void act_check_page(struct acting *a, int vm_fd, unsigned vtl, uint64_t page)
{
	const struct memory *m = &a->s.p->memory;
	int got = fake_kvm_guest_access(a->s.x.fake, vm_fd, page << VSM_PAGE_SHIFT);
	uint64_t shown, own;

	if (got <= KVM_MAP_NONE) /* FAKE_NO_SLOT is less */
		return;
	if (got > act_most(m, vtl, page))
		print_error("VTL%u page %#llx: access %d\n", vtl, (unsigned long long)page, got);
	ACT_ASSERT(a, got <= act_most(m, vtl, page));
	assert_int_equal(
		fake_kvm_peek(a->s.x.fake, vm_fd, page << VSM_PAGE_SHIFT, &shown, sizeof(shown)),
		0);
	assert_int_equal(host_read(m, vtl, gpa_of_page(page), &own, sizeof(own)), 0);
	ACT_ASSERT(a, shown == own);
}

/* And devices find no more of RAM, though nobody runs. */
static inline void act_check_devices(struct acting *a)
{
	const struct memory *m = &a->s.p->memory;

	for (unsigned vtl = 0; vtl < m->vtl_count; vtl++)
		for (uint64_t page = ACT_FIRST_PAGE; page <= ACT_LAST_PAGE; page++) {
			const struct memory_region *r = memory_region_of(m, page);
			prot_t prot = act_left(m, vtl, page);
			int most = prot & PROT_W ? KVM_MAP_READ_WRITE : KVM_MAP_READ;

			if (!r->device[vtl])
				continue;
			ACT_ASSERT(a, fake_kvm_host_prot(a->s.x.fake,
							 region_host(r, r->device[vtl], page)) <=
					      (prot & PROT_R ? most : KVM_MAP_NONE));
		}
}

static inline bool act_opened(const struct memory *m, unsigned vtl)
{
	for (unsigned i = 0; i < m->opening_count[vtl]; i++)
		if (!m->openings[vtl][i].shut)
			return true;
	return false;
}

/* What is open is open to a VTL that may read it: no other mask needs a step. */
static inline void act_check_openings(struct acting *a, unsigned vtl)
{
	const struct memory *m = &a->s.p->memory;

	for (unsigned i = 0; i < m->opening_count[vtl]; i++)
		ACT_ASSERT(a, m->openings[vtl][i].shut ||
				      act_allowed(m, vtl, m->openings[vtl][i].page) & PROT_R);
}

/* Who is inside sees its own VTL's view, and is alone while a page is open for a step of its. */
static inline void act_check_inside(struct acting *a)
{
	struct vsm_partition *p = a->s.p;
	unsigned inside = 0;
	bool opened = false;

	for (unsigned vtl = 0; vtl < p->vtl_count; vtl++)
		opened |= act_opened(&p->memory, vtl);
	for (unsigned i = 0; i < p->max_vps; i++) {
		struct vsm_vcpu *vp = p->vps[i];

		if (!vp || !vp->inside)
			continue;
		inside++;
		ACT_ASSERT(a, partition_space(p, vp->active_vtl)->shown_vtl == vp->active_vtl);
		if (!opened)
			continue;
		ACT_ASSERT(a, p->stepper == vp && vp->vtls[vp->active_vtl].stepping);
		ACT_ASSERT(a, act_opened(&p->memory, vp->active_vtl));
		act_check_openings(a, vp->active_vtl);
	}
	ACT_ASSERT(a, !opened || inside <= 1);
}

static inline struct vsm_vcpu *act_vp_of(struct acting *a, int vcpu_fd, unsigned *vtl)
{
	for (unsigned i = 0; i < SMP_VPS; i++)
		for (*vtl = 0; a->s.vp[i] && *vtl < a->s.p->vtl_count; ++*vtl)
			if (smp_fd(&a->s, i, *vtl) == vcpu_fd)
				return a->s.vp[i];
	return NULL;
}

/*
 * Another VP has changed the view since this one was let in: it brings this one out before it goes
 * on itself (gate.c). It may not have come to that: it has left the library, or sleeps.
 */
static inline bool act_changed_since(struct vsm_vcpu *vp)
{
	struct vsm_partition *p = vp->partition;

	if (vp->nudged)
		return true;
	for (unsigned i = 0; i < p->max_vps; i++) {
		struct vsm_vcpu *other = p->vps[i];

		if (other && other != vp && other->stats.runs &&
		    (!atomic_load(&other->thread) || atomic_load(&other->asleep)))
			return true;
	}
	return false;
}

static inline void act_check_entry(struct acting *a, struct vsm_vcpu *vp, unsigned vtl)
{
	struct vsm_partition *p = a->s.p;
	struct space *space = partition_space(p, vtl);

	pthread_mutex_lock(&p->lock);
	atomic_fetch_add(&a->runs, 1);
	ACT_ASSERT(a, !a->runs_max || atomic_load(&a->runs) <= a->runs_max);
	ACT_ASSERT(a, vp->active_vtl == vtl);
	ACT_ASSERT(a, !p->dead || vp->nudged);
	if (act_opened(&p->memory, vtl))
		atomic_fetch_add(&a->steps, 1);
	act_check_inside(a);
	if (!space_shows(space, &p->memory, vtl))
		ACT_ASSERT(a, act_changed_since(vp));
	else
		for (uint64_t page = ACT_FIRST_PAGE; page <= ACT_LAST_PAGE; page++)
			act_check_page(a, space->vm_fd, vtl, page);
	if (!p->dead)
		act_check_devices(a);
	pthread_mutex_unlock(&p->lock);
}

/* KVM_RUN of a VP that is let in; not one that only completes an exit. */
static inline int act_run(struct smp *smp, int vcpu_fd)
{
	struct acting *a = (struct acting *)((uintptr_t)smp - offsetof(struct acting, s));
	struct vsm_vcpu *vp;
	unsigned vtl;

	vp = act_vp_of(a, vcpu_fd, &vtl);
	if (vp->inside)
		act_check_entry(a, vp, vtl);
	return smp->real->ops->run(smp->real, vcpu_fd);
}

/* --- what the guest does --- */

static inline void act_place(struct actor *actor, const struct fake_step *step)
{
	struct fake_step optional = *step;

	optional.flags |= FAKE_OPTIONAL;
	fake_vcpu_program(actor->a->s.x.fake, smp_fd(&actor->a->s, actor->vp, actor->vtl),
			  &optional, 1);
}

/* A 32-bit call with its input in memory. */
static inline void act_call(struct actor *actor, struct kvm_regs *regs, uint16_t code,
			    unsigned reps, const void *input, size_t size)
{
	uint64_t control = code | (uint64_t)reps << HV_CONTROL_REP_COUNT_SHIFT;
	uint64_t at = ACT_INPUT(ACT_VTLS * actor->vp + actor->vtl);

	memcpy(actor->a->s.x.mem + at, input, size);
	regs->rdx = control >> 32;
	regs->rax = (uint32_t)control;
	regs->rbx = regs->rdi = regs->rsi = 0;
	regs->rcx = at;
	regs->rip = ENTRY_HYPERCALL;
}

static inline void act_protect(struct actor *actor, struct kvm_regs *regs, const struct action *x)
{
	struct {
		struct hv_modify_vtl_protection_mask header;
		uint64_t pages[ACT_PAGES];
	} in = {.header = {.partition_id = HV_PARTITION_ID_SELF,
			   .map_flags = x->mask,
			   .target_vtl = (uint8_t)(HV_INPUT_VTL_USE | x->vtl)}};

	for (unsigned i = 0; i < x->count; i++)
		in.pages[i] = (x->gpa >> VSM_PAGE_SHIFT) + (x->dense ? i : 2 * i);
	act_call(actor, regs, HV_CALL_MODIFY_VTL_PROTECTION_MASK, x->count, &in, sizeof(in));
}

static inline void act_flush(struct actor *actor, struct kvm_regs *regs)
{
	const uint64_t in[3] = {0, HV_FLUSH_ALL_PROCESSORS | HV_FLUSH_ALL_ADDRESS_SPACES, 0};

	act_call(actor, regs, HV_CALL_FLUSH_VIRTUAL_ADDRESS_SPACE, 0, in, sizeof(in));
}

static inline void act_enable(struct actor *actor, struct kvm_regs *regs, uint8_t vtl)
{
	const struct hv_enable_partition_vtl in = {.partition_id = HV_PARTITION_ID_SELF,
						   .target_vtl = vtl};

	act_call(actor, regs, HV_CALL_ENABLE_PARTITION_VTL, 0, &in, sizeof(in));
}

static inline void act_disable(struct actor *actor, struct kvm_regs *regs, uint8_t vtl)
{
	const struct hv_disable_partition_vtl in = {.partition_id = HV_PARTITION_ID_SELF,
						    .target_vtl = vtl};

	act_call(actor, regs, HV_CALL_DISABLE_PARTITION_VTL, 0, &in, sizeof(in));
}

static inline void act_enable_vp(struct actor *actor, struct kvm_regs *regs, uint8_t vtl)
{
	struct hv_vp_vtl_context in = {.partition_id = HV_PARTITION_ID_SELF,
				       .vp_index = HV_VP_INDEX_SELF,
				       .target_vtl = vtl,
				       .context = flat_context()};

	in.context.rip = ACT_NEXT;
	act_call(actor, regs, HV_CALL_ENABLE_VP_VTL, 0, &in, sizeof(in));
}

static inline void act_disable_vp(struct actor *actor, struct kvm_regs *regs,
				  const struct action *x)
{
	const struct hv_disable_vp_vtl in = {.partition_id = HV_PARTITION_ID_SELF,
					     .vp_index = (uint32_t)x->gpa,
					     .target_vtl = x->vtl};

	act_call(actor, regs, HV_CALL_DISABLE_VP_VTL, 0, &in, sizeof(in));
}

static inline void act_store(struct actor *actor, struct kvm_regs *regs, const struct action *x)
{
	regs->rbx = x->gpa + 8;
	regs->rax = 0x5a;
	regs->rip = ACT_AT_STORE;
	act_place(actor, &(struct fake_step){.kind = FAKE_STORE,
					     .flags = x->unknown ? FAKE_NO_EMULATION : 0,
					     .rip = ACT_AT_STORE,
					     .gva = x->gpa + 8,
					     .size = 4,
					     .data = 0x5a,
					     .length = 2});
}

static inline void act_msr(struct actor *actor, struct kvm_regs *regs, const struct action *x)
{
	regs->rcx = x->msr;
	regs->rax = (uint32_t)x->gpa;
	regs->rdx = x->gpa >> 32;
	regs->rip = ACT_AT_MSR;
	act_place(actor, &(struct fake_step){.kind = FAKE_WRMSR,
					     .rip = ACT_AT_MSR,
					     .msr = x->msr,
					     .data = x->gpa,
					     .length = 2});
}

static inline const struct action *act_next_of_list(struct actor *actor)
{
	static const struct action end = {.kind = ACT_END};

	return actor->next < actor->count ? &actor->list[actor->next++] : &end;
}

/*
 * Not a fast one: an intercepted or interrupted VTL finds all its registers again, the volatile
 * ones by way of the assist page.
 */
static inline void act_return(struct actor *actor, struct kvm_regs *regs)
{
	const struct kvm_regs own = *regs;

	*regs = actor->lower;
	regs->rsp = own.rsp;
	regs->rflags = own.rflags;
	regs->rax = regs->rcx = regs->rdx = 0;
	regs->rip = ENTRY_RETURN;
	actor->entered = false;
}

static inline void act_do(struct actor *actor, struct kvm_regs *regs, const struct action *x)
{
	switch (x->kind) {
	case ACT_CALL:
		regs->rax = regs->rcx = regs->rdx = 0;
		regs->rip = ENTRY_CALL;
		break;
	case ACT_RETURN:
		act_return(actor, regs);
		break;
	case ACT_STORE:
		act_store(actor, regs, x);
		break;
	case ACT_MSR:
		act_msr(actor, regs, x);
		break;
	case ACT_PROTECT:
		act_protect(actor, regs, x);
		break;
	case ACT_FLUSH:
		act_flush(actor, regs);
		break;
	case ACT_ENABLE:
		act_enable(actor, regs, x->vtl);
		break;
	case ACT_ENABLE_VP:
		act_enable_vp(actor, regs, x->vtl);
		break;
	case ACT_DISABLE_VP:
		act_disable_vp(actor, regs, x);
		break;
	case ACT_DISABLE:
		act_disable(actor, regs, x->vtl);
		break;
	case ACT_SPIN:
		regs->rip = ACT_AT_SPIN;
		break;
	default:
		regs->rip = ACT_AT_END;
	}
}

static inline int act_next(struct fake_guest *g, void *ctx)
{
	struct actor *actor = ctx;
	struct acting *a = actor->a;

	pthread_mutex_lock(&a->s.p->lock);
	act_check_inside(a);
	pthread_mutex_unlock(&a->s.p->lock);
	if (!actor->entered)
		actor->lower = *g->regs;
	actor->entered = true;
	act_do(actor, g->regs, a->choose ? a->choose(actor) : act_next_of_list(actor));
	return FAKE_AGAIN;
}

/* Behind a call: its status. */
static inline int act_called(struct fake_guest *g, void *ctx)
{
	struct actor *actor = ctx;

	if (g->regs->rax & 0xffff)
		atomic_fetch_add(&actor->a->failures, 1);
	else
		atomic_fetch_add(&actor->a->successes, 1);
	g->regs->rip = ACT_NEXT;
	return FAKE_AGAIN;
}

/* An interrupt is ended at once; an exception is the end of what was to be done. */
static inline void act_on_event(struct fake_guest *g, const struct fake_event *event, void *ctx)
{
	struct actor *actor = ctx;
	struct acting *a = actor->a;

	if (event->kind == FAKE_INTERRUPT) {
		pthread_mutex_lock(&a->s.p->lock);
		lapic_eoi(&a->s.vp[actor->vp]->vtls[actor->vtl].lapic);
		pthread_mutex_unlock(&a->s.p->lock);
		return;
	}
	atomic_fetch_add(&a->failures, 1);
	g->regs->rip = ACT_NEXT;
}

static inline void act_jump_from(struct actor *actor, uint64_t rip)
{
	act_place(actor, &(struct fake_step){
				 .kind = FAKE_SET, .rip = rip, .reg = FAKE_RIP, .data = ACT_NEXT});
}

static inline void act_start_actor(struct acting *a, unsigned vp, unsigned vtl)
{
	static const uint64_t entries[] = {ENTRY_CALL, ENTRY_RETURN};
	struct actor *actor = &a->actors[vp][vtl];
	struct fake_step out = {.kind = FAKE_OUT, .port = 0xe7, .size = 1, .length = 2};

	*actor = (struct actor){.a = a, .vp = vp, .vtl = vtl};
	act_place(actor, &(struct fake_step){
				 .kind = FAKE_CALL, .rip = ACT_NEXT, .fn = act_next, .ctx = actor});
	for (unsigned i = 0; i < 2; i++) {
		out.rip = entries[i];
		act_place(actor, &out);
		act_jump_from(actor, entries[i] + 2);
	}
	out.rip = ENTRY_HYPERCALL;
	act_place(actor, &out);
	act_place(actor, &(struct fake_step){.kind = FAKE_CALL,
					     .rip = ENTRY_HYPERCALL + 2,
					     .fn = act_called,
					     .ctx = actor});
	act_jump_from(actor, ACT_AT_STORE + 2);
	act_jump_from(actor, ACT_AT_MSR + 2);
	out.rip = ACT_AT_END;
	out.port = PORT_VMM;
	act_place(actor, &out);
	act_jump_from(actor, ACT_AT_END + 2);
	act_place(actor, &(struct fake_step){.kind = FAKE_SPIN, .rip = ACT_AT_SPIN, .length = 1});
	act_jump_from(actor, ACT_AT_SPIN + 1);
	fake_vcpu_on_event(a->s.x.fake, smp_fd(&a->s, vp, vtl), act_on_event, actor);
}

static inline void act_list(struct acting *a, unsigned vp, unsigned vtl, const struct action *list,
			    size_t count)
{
	struct actor *actor = &a->actors[vp][vtl];

	actor->list = list;
	actor->count = count;
	actor->next = 0;
}

/* The VPs, their code and their hypercall pages; no VTL above 0 is enabled yet. */
static inline void act_start(struct acting *a, unsigned vps, const struct vsm_partition_options *o)
{
	static const uint8_t store[] = {0x89, 0x03}; /* mov %eax, (%rbx) */
	struct vsm_partition_options few = *o;

	/* Lists for all 32,764 take most of the time it takes to make a partition. */
	few.first_slot = 32764 - ACT_SLOTS;
	smp_start_with(&a->s, vps, VSM_VCPU_STARTED, &few);
	atomic_store(&a->s.run_hook, act_run);
	a->choose = NULL;
	atomic_store(&a->failures, 0);
	atomic_store(&a->successes, 0);
	atomic_store(&a->runs, 0);
	atomic_store(&a->steps, 0);
	for (uint64_t page = ACT_FIRST_PAGE; page <= ACT_LAST_PAGE; page++)
		*(uint64_t *)(a->s.x.mem + (page << VSM_PAGE_SHIFT)) = page;
	memcpy(a->s.x.mem + ACT_AT_STORE, store, sizeof(store));
	for (unsigned vp = 0; vp < vps; vp++)
		for (unsigned vtl = 0; vtl < a->s.p->vtl_count; vtl++) {
			act_start_actor(a, vp, vtl);
			fake_vcpu_regs(a->s.x.fake, smp_fd(&a->s, vp, vtl))->rip = ACT_NEXT;
		}
	assert_int_equal(synthetic_write(a->s.vp[0], 0, HV_MSR_GUEST_OS_ID, 1), 0);
	assert_int_equal(synthetic_write(a->s.vp[0], 0, HV_MSR_HYPERCALL, PAGE_CODE | 1), 0);
}

/* The VTL is there on a VP, with its pages. */
static inline void act_give_vtl(struct acting *a, unsigned vp, unsigned vtl)
{
	struct vsm_vcpu *vcpu = a->s.vp[vp];

	smp_enable_vtl(&a->s, vp, vtl);
	a->actors[vp][vtl].entered = false;
	fake_vcpu_regs(a->s.x.fake, smp_fd(&a->s, vp, vtl))->rip = ACT_NEXT;
	assert_int_equal(synthetic_write(vcpu, vtl, HV_MSR_GUEST_OS_ID, 1), 0);
	assert_int_equal(synthetic_write(vcpu, vtl, HV_MSR_HYPERCALL, PAGE_CODE | 1), 0);
	assert_int_equal(
		synthetic_write(vcpu, vtl, HV_MSR_VP_ASSIST_PAGE, (PAGE_ASSIST + vp * 0x8000) | 1),
		0);
	assert_int_equal(synthetic_write(vcpu, vtl, HV_MSR_SIMP, (PAGE_SIMP + vp * 0x8000) | 1), 0);
}

/* All there can be. */
static inline void act_give_vtls(struct acting *a, unsigned vp)
{
	for (unsigned vtl = 1; vtl < a->s.p->vtl_count; vtl++)
		act_give_vtl(a, vp, vtl);
}

/* Their limits on those below. */
static inline void act_limit(struct acting *a)
{
	static const struct {
		unsigned setter, target;
		uint64_t gpa;
		prot_t mask;
	} limits[] = {
		{1, 0, ACT_STEPPED, PROT_R | PROT_W},
		{1, 0, ACT_CLOSED, 0},
		{2, 0, ACT_CLOSED, 0},
		{1, 0, ACT_TWICE, PROT_R | PROT_W},
		{2, 0, ACT_TWICE, PROT_R | PROT_KX | PROT_UX},
		{2, 0, ACT_1_CLOSED, PROT_R | PROT_KX | PROT_UX},
		{2, 1, ACT_1_STEPPED, PROT_R | PROT_W},
		{2, 1, ACT_1_CLOSED, 0},
	};
	struct memory *m = &a->s.p->memory;

	for (unsigned setter = 1; setter < m->vtl_count; setter++)
		assert_int_equal(memory_limit_default(m, setter, PROT_ALL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		uint64_t page = limits[i].gpa >> VSM_PAGE_SHIFT;

		if (limits[i].setter < m->vtl_count)
			assert_int_equal(memory_limit(m, limits[i].setter, limits[i].target, page,
						      page + 1, limits[i].mask),
					 0);
	}
}

static inline void act_stop(struct acting *a)
{
	atomic_store(&a->s.run_hook, NULL);
	smp_stop(&a->s);
}

#endif
