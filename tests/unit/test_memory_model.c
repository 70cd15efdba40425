/* SPDX-License-Identifier: MIT */
/* Random operations on a partition's memory against a naive model, page by page, in every mode and
 * with the host refusing things now and then. */
#include "memory_fixture.h"
#include "failing_malloc.h"
#include "memory/block.h"
#include "memory/mapping.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PAGES	    128
#define OVERLAYS    12
#define BELOW	    8 /* from here on: the pages of the first ones in lower views */
#define OVERLAY_TAG UINT64_C(0x4f56000000000000)

/* Regions that may come: two of them ROM, one adjacent to another, a hole before the last. */
static const struct {
	uint64_t first, end;
	bool read_only;
} regions[] = {{0, 32, false}, {32, 48, true}, {48, 80, false}, {96, 112, true}, {112, 120, false}};

#define REGIONS ARRAY_SIZE(regions)

struct model {
	bool quirk, strict;
	bool present[REGIONS];
	bool on[VSM_VTL_COUNT];
	prot_t default_mask[VSM_VTL_COUNT];
	prot_t mask[VSM_VTL_COUNT][VSM_VTL_COUNT][PAGES];
	enum memory_mbec mbec[VSM_VTL_COUNT];
	struct {
		unsigned vtl, shows; /* whose view; the overlay whose page it shows */
		bool limited;
		prot_t prot;
		uint64_t page;
		unsigned turn; /* 0: off; of those at one page the highest is seen */
	} overlays[OVERLAYS];
	unsigned turn;
	struct {
		uint64_t page;
		prot_t prot;
	} openings[VSM_VTL_COUNT][MEMORY_OPENINGS];
	unsigned opened[VSM_VTL_COUNT];
	bool devices[VSM_VTL_COUNT]; /* mapped for devices */
};

/* How a run is made: how many operations, how often all of memory is compared after one. */
struct pace {
	unsigned rounds, operations; /* each round starts with an empty partition */
	unsigned compare, trouble;   /* one of so many */
};

/* Every consequence of few operations, and some of 300,000 for each mode: 1.2 million in all. */
static const struct pace close_look = {40, 150, 1, 8}, long_run = {60, 5000, 1000, 1000};

struct test {
	const struct pace *pace;
	struct memory_fixture f;
	struct model model;
	struct overlay *overlays[OVERLAYS];
	struct space single; /* all VTLs in one VM, one after the other */
	/* A page each VTL keeps asking for, to read and to write, and what is known of it. */
	struct {
		uint64_t page;
		struct known_page known;
	} blocks[VSM_VTL_COUNT][2];
	bool squeezed; /* mappings are limited: what is left after a failure may be tighter */
	bool tighter;
};

static uint64_t seed;

static uint32_t random_below(uint32_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((seed >> 33) % n);
}

/* --- the model --- */

static int model_region(const struct model *w, uint64_t page)
{
	for (unsigned i = 0; i < REGIONS; i++) {
		if (w->present[i] && page >= regions[i].first && page < regions[i].end)
			return (int)i;
	}
	return -1;
}

static int model_overlay(const struct model *w, unsigned vtl, uint64_t page)
{
	int best = -1;

	for (int i = 0; i < OVERLAYS; i++) {
		if (w->overlays[i].turn && w->overlays[i].vtl == vtl &&
		    w->overlays[i].page == page &&
		    (best < 0 || w->overlays[i].turn > w->overlays[best].turn))
			best = i;
	}
	return best;
}

/* Does this mask let code of the mode run? */
static bool model_runs(const struct model *w, unsigned vtl, prot_t mask, bool user)
{
	bool with = mask & (user ? PROT_UX : PROT_KX);
	bool without = (mask & PROT_KX) || (w->quirk && (mask & PROT_UX));

	if (w->mbec[vtl] == MBEC_MIXED)
		return with && without;
	return w->mbec[vtl] == MBEC_ON ? with : without;
}

static bool model_mask_allows(const struct model *w, unsigned vtl, prot_t mask,
			      enum mem_access access, bool user)
{
	if (access == MEM_EXECUTE)
		return model_runs(w, vtl, mask, user);
	return mask & (access == MEM_WRITE ? PROT_W : PROT_R);
}

static bool model_governed(const struct model *w, unsigned vtl)
{
	for (unsigned setter = vtl + 1; setter < VSM_VTL_COUNT; setter++) {
		if (w->on[setter])
			return true;
	}
	return false;
}

/* Is it legal? *setter: whom to tell if not. */
static bool model_allows(const struct model *w, unsigned vtl, uint64_t page, enum mem_access access,
			 bool user, unsigned *setter)
{
	int overlay = model_overlay(w, vtl, page), region = model_region(w, page);

	*setter = 0;
	if (overlay < 0 && region < 0)
		return false;
	for (unsigned s = vtl + 1; s < VSM_VTL_COUNT; s++) {
		if (overlay >= 0 && !w->overlays[overlay].limited)
			break;
		if (w->on[s] && !model_mask_allows(w, vtl, w->mask[s][vtl][page], access, user)) {
			*setter = s;
			return false;
		}
	}
	if (overlay >= 0)
		return model_mask_allows(w, vtl, w->overlays[overlay].prot, access, user);
	return access != MEM_WRITE || !regions[region].read_only;
}

/* What the hardware may let through. */
static int model_access(const struct model *w, unsigned vtl, uint64_t page)
{
	int overlay = model_overlay(w, vtl, page), region = model_region(w, page), access;
	bool covered = overlay >= 0, rom = region >= 0 && regions[region].read_only && !covered;
	unsigned who;

	if (!covered && region < 0)
		return KVM_MAP_NONE;
	access = model_allows(w, vtl, page, MEM_READ, false, &who) ? KVM_MAP_READ : KVM_MAP_NONE;
	if (access && model_allows(w, vtl, page, MEM_WRITE, false, &who))
		access = KVM_MAP_READ_WRITE;
	if (w->strict && (!covered || model_governed(w, vtl)) &&
	    !(model_allows(w, vtl, page, MEM_EXECUTE, false, &who) &&
	      model_allows(w, vtl, page, MEM_EXECUTE, true, &who)))
		access = KVM_MAP_NONE;
	for (unsigned i = 0; i < w->opened[vtl]; i++) {
		prot_t prot = w->openings[vtl][i].prot;

		if (w->openings[vtl][i].page != page || !prot)
			continue;
		if (prot & PROT_W)
			access = rom ? KVM_MAP_READ : KVM_MAP_READ_WRITE;
		else if (access == KVM_MAP_NONE)
			access = KVM_MAP_READ;
	}
	return access;
}

/* What a device may do with RAM: neither execution, openings nor overlays are its business. */
static int model_device_access(const struct model *w, unsigned vtl, uint64_t page)
{
	bool rom = regions[model_region(w, page)].read_only;
	prot_t prot = PROT_R | PROT_W;

	for (unsigned s = vtl + 1; s < VSM_VTL_COUNT; s++)
		if (w->on[s])
			prot &= w->mask[s][vtl][page];
	if (!(prot & PROT_R))
		return KVM_MAP_NONE;
	return (prot & PROT_W) && !rom ? KVM_MAP_READ_WRITE : KVM_MAP_READ;
}

static uint64_t model_tag(const struct model *w, unsigned vtl, uint64_t page)
{
	int overlay = model_overlay(w, vtl, page);

	return overlay >= 0 ? OVERLAY_TAG | w->overlays[overlay].shows : FIXTURE_TAG | page;
}

/* --- comparing --- */

static void compare_page(struct test *t, int vm_fd, unsigned vtl, uint64_t page)
{
	int want = model_access(&t->model, vtl, page);
	int got = fake_kvm_guest_access(t->f.x.fake, vm_fd, page << VSM_PAGE_SHIFT);
	uint64_t tag;

	got = got == FAKE_NO_SLOT ? KVM_MAP_NONE : got;
	if (got != want && (!t->tighter || got > want))
		print_error("VTL%u page %llu: access %d, not %d\n", vtl, (unsigned long long)page,
			    got, want);
	if (t->tighter)
		assert_true(got <= want);
	else
		assert_int_equal(got, want);
	if (got == KVM_MAP_NONE)
		return;
	assert_int_equal(
		fake_kvm_peek(t->f.x.fake, vm_fd, page << VSM_PAGE_SHIFT, &tag, sizeof(tag)), 0);
	assert_int_equal(tag, model_tag(&t->model, vtl, page));
}

static void compare_device(struct test *t, unsigned vtl, uint64_t page)
{
	const struct memory_region *r = memory_region_of(&t->f.m, page);
	int want, got;

	if (!r || !t->model.devices[vtl]) {
		assert_true(!r || !r->device[vtl]);
		return;
	}
	want = model_device_access(&t->model, vtl, page);
	got = fake_kvm_host_prot(t->f.x.fake, region_host(r, r->device[vtl], page));
	if (t->tighter)
		assert_in_range(got, 0, want);
	else
		assert_int_equal(got, want);
}

static void compare_rights(struct test *t, unsigned vtl, uint64_t page)
{
	enum mem_access access = (enum mem_access)random_below(3);
	bool user = random_below(2);
	uint8_t setter = 0xff;
	unsigned want;
	bool allowed = model_allows(&t->model, vtl, page, access, user, &want);

	assert_int_equal(memory_allows(&t->f.m, vtl, page, access, user, &setter), allowed);
	assert_int_equal(setter, want);
}

/* What is known of a page is what is true, whatever happened since it was learnt. */
static void compare_block(struct test *t, unsigned vtl, enum mem_access access)
{
	struct known_page *known = &t->blocks[vtl][access == MEM_WRITE].known;
	uint64_t *page = &t->blocks[vtl][access == MEM_WRITE].page, tag = 0;
	struct access_fault fault = {.setter = 0xff};
	unsigned want;
	bool allowed;
	int r;

	if (!random_below(32))
		*page = random_below(PAGES);
	allowed = model_allows(&t->model, vtl, *page, access, false, &want);
	if (access == MEM_WRITE) {
		tag = allowed ? model_tag(&t->model, vtl, *page) : 0;
		r = block_write(&t->f.m, vtl, gpa_of_page(*page), &tag, sizeof(tag), known, &fault);
	} else {
		r = block_read(&t->f.m, vtl, gpa_of_page(*page), &tag, sizeof(tag), known, &fault);
	}
	assert_int_equal(r, allowed ? 0 : want ? -EACCES : -EFAULT);
	if (!allowed) {
		assert_int_equal(fault.setter, want);
		assert_int_equal(fault.access, access);
		return;
	}
	assert_int_equal(tag, model_tag(&t->model, vtl, *page));
	assert_int_equal(host_read(&t->f.m, vtl, gpa_of_page(*page), &tag, sizeof(tag)), 0);
	assert_int_equal(tag, model_tag(&t->model, vtl, *page));
}

/* One page in each VTL's eyes. */
static void compare_some(struct test *t)
{
	uint64_t page = random_below(PAGES);

	for (unsigned v = 0; v < VSM_VTL_COUNT; v++) {
		compare_rights(t, v, page);
		compare_block(t, v, MEM_READ);
		compare_block(t, v, MEM_WRITE);
	}
}

static void compare_all(struct test *t)
{
	unsigned vtl = random_below(VSM_VTL_COUNT);

	for (unsigned v = 0; v < VSM_VTL_COUNT; v++) {
		assert_int_equal(space_apply(&t->f.spaces[v], &t->f.m, v, NULL), 0);
		for (uint64_t page = 0; page < PAGES; page++)
			compare_page(t, t->f.vm_fds[v], v, page);
		for (uint64_t page = 0; page < PAGES; page++)
			compare_device(t, v, page);
		compare_rights(t, v, random_below(PAGES));
	}
	assert_int_equal(space_apply(&t->single, &t->f.m, vtl, NULL), 0);
	for (uint64_t page = 0; page < PAGES; page++)
		compare_page(t, t->f.x.vm_fd, vtl, page);
}

/* --- operations: the model first says what it would be; the result tells whether it is --- */

static prot_t random_mask(void)
{
	static const prot_t usual[] = {PROT_ALL, PROT_R | PROT_W, PROT_R | PROT_KX | PROT_UX, 0};

	return random_below(4) ? usual[random_below(4)] : (prot_t)random_below(16);
}

static int op_limit(struct test *t, struct model *w, int *expected)
{
	unsigned setter = 1 + random_below(2), target = random_below(setter);
	uint64_t first = random_below(PAGES),
		 end = first + 1 + random_below(random_below(3) ? 4 : 40);
	prot_t mask = random_mask();

	*expected = w->on[setter] ? 0 : -EINVAL;
	for (uint64_t page = first; page < end; page++) {
		if (!*expected && (page >= PAGES || model_region(w, page) < 0))
			*expected = -ENXIO;
		if (page < PAGES)
			w->mask[setter][target][page] = mask;
	}
	return memory_limit(&t->f.m, setter, target, first, end, mask);
}

static int op_default(struct test *t, struct model *w, int *expected)
{
	unsigned setter = 1 + random_below(2);
	prot_t mask = random_below(2) ? PROT_ALL : random_mask();

	if (w->on[setter])
		*expected = mask == w->default_mask[setter] ? 0 : -EALREADY;
	else
		memset(w->mask[setter], mask, sizeof(w->mask[setter]));
	w->default_mask[setter] = mask;
	w->on[setter] = true;
	return memory_limit_default(&t->f.m, setter, mask);
}

static int op_drop(struct test *t, struct model *w, int *expected)
{
	unsigned setter = 1 + random_below(2);

	(void)expected;
	w->on[setter] = false;
	return memory_limit_drop(&t->f.m, setter);
}

static int op_drop_all(struct test *t, struct model *w, int *expected)
{
	(void)expected;
	w->on[1] = w->on[2] = false;
	return memory_limit_drop_all(&t->f.m);
}

static int op_mbec(struct test *t, struct model *w, int *expected)
{
	unsigned vtl = random_below(VSM_VTL_COUNT);

	(void)expected;
	w->mbec[vtl] = random_below(3);
	return memory_set_mbec(&t->f.m, vtl, w->mbec[vtl]);
}

static int op_enable(struct test *t, struct model *w, int *expected)
{
	unsigned i = random_below(OVERLAYS);

	(void)expected;
	w->overlays[i].page = random_below(2) ? random_below(PAGES) : 30 + random_below(6);
	w->overlays[i].turn = ++w->turn;
	return overlay_enable(&t->f.m, t->overlays[i], w->overlays[i].page);
}

static int op_disable(struct test *t, struct model *w, int *expected)
{
	unsigned i = random_below(OVERLAYS);

	(void)expected;
	w->overlays[i].turn = 0;
	return overlay_disable(&t->f.m, t->overlays[i]);
}

static int op_open(struct test *t, struct model *w, int *expected)
{
	unsigned vtl = random_below(VSM_VTL_COUNT), i = 0;
	uint64_t page = random_below(PAGES);
	prot_t prot = random_mask();

	while (i < w->opened[vtl] && w->openings[vtl][i].page != page)
		i++;
	if (model_region(w, page) < 0 && model_overlay(w, vtl, page) < 0) {
		*expected = -ENXIO;
	} else if (i == MEMORY_OPENINGS) {
		*expected = -ENOSPC;
	} else if (i == w->opened[vtl]) {
		w->openings[vtl][i].page = page;
		w->openings[vtl][i].prot = prot;
		w->opened[vtl]++;
	} else {
		w->openings[vtl][i].prot |= prot;
	}
	return memory_open_page(&t->f.m, vtl, page, prot);
}

static int op_region(struct test *t, struct model *w, int *expected)
{
	unsigned i = random_below(REGIONS);

	if (w->present[i])
		*expected = -EEXIST;
	w->present[i] = true;
	return fixture_region(&t->f, regions[i].first, regions[i].end, regions[i].first,
			      regions[i].read_only);
}

static int op_devices(struct test *t, struct model *w, int *expected)
{
	unsigned vtl = random_below(VSM_VTL_COUNT);

	(void)expected;
	w->devices[vtl] = true;
	return memory_map_devices(&t->f.m, vtl);
}

static const struct {
	int (*run)(struct test *t, struct model *w, int *expected);
	unsigned weight;
} operations[] = {{op_limit, 24},  {op_default, 2}, {op_drop, 1}, {op_mbec, 1},
		  {op_enable, 6},  {op_disable, 3}, {op_open, 4}, {op_region, 2},
		  {op_devices, 1}, {op_drop_all, 1}};

static unsigned random_operation(void)
{
	unsigned total = 0, pick;

	for (unsigned i = 0; i < ARRAY_SIZE(operations); i++)
		total += operations[i].weight;
	pick = random_below(total);
	for (unsigned i = 0;; i++) {
		if (pick < operations[i].weight)
			return i;
		pick -= operations[i].weight;
	}
}

/* --- a host that refuses --- */

static void calm(struct test *t)
{
	for (unsigned op = 0; op < FAKE_OP_clock_ns; op++)
		fake_kvm_fail(t->f.x.fake, (enum fake_op)op, 1, 0);
	fake_kvm_set_limit(t->f.x.fake, FAKE_LIMIT_VMAS, 65530);
	fail_malloc(0);
	t->squeezed = false;
}

static void trouble(struct test *t)
{
	static const enum fake_op ops[] = {FAKE_OP_protect_memory, FAKE_OP_map_memory,
					   FAKE_OP_duplicate_fd};

	switch (random_below(t->pace->trouble)) {
	case 0:
		fake_kvm_fail(t->f.x.fake, ops[random_below(3)], 1 + random_below(4), ENOMEM);
		break;
	case 1:
		fail_malloc(1 + random_below(3));
		break;
	case 2:
		fake_kvm_set_limit(t->f.x.fake, FAKE_LIMIT_VMAS,
				   fake_kvm_vma_count(t->f.x.fake) + random_below(3));
		t->squeezed = true;
		break;
	}
}

static void sync_vtl(struct test *t, unsigned vtl)
{
	assert_int_equal(alias_open_devices(&t->f.m, vtl, 0, PAGES), 0);
	assert_int_equal(alias_sync(&t->f.m, vtl, 0, PAGES), 0);
}

static void step(struct test *t)
{
	struct model tried = t->model;
	int expected = 0, got;
	bool squeezed;

	trouble(t);
	got = operations[random_operation()].run(t, &tried, &expected);
	squeezed = t->squeezed;
	calm(t);
	if (!got)
		t->model = tried;
	if (expected)
		assert_int_equal(got, expected);
	else
		assert_true(got == 0 || got == -ENOMEM || got == -ENOSPC);
	t->tighter = got == -ENOMEM && squeezed;
	if (t->tighter || random_below(t->pace->compare) == 0)
		compare_all(t);
	compare_some(t);
	if (!t->tighter)
		return;
	t->tighter = false;
	for (unsigned vtl = 0; vtl < VSM_VTL_COUNT; vtl++)
		sync_vtl(t, vtl);
	compare_all(t);
}

/* What a view needs at most where nobody restricts it: a page of its own cuts a slot in two. */
static size_t most_slots(const struct memory *m, unsigned vtl)
{
	return m->region_count + 2u * m->shown_count[vtl] + 2u * m->opening_count[vtl];
}

/*
 * Without its openings a view needs more slots than it may have: nothing is shown, until all limits
 * go. That works, unless there are too many slots without them. False: there are, which is
 * never so for a partition that is reset, whose overlays and openings are gone by then.
 */
static bool leave_dead_end(struct test *t, unsigned vtl)
{
	struct memory *m = &t->f.m;
	size_t most = most_slots(m, 0) > most_slots(m, 1) ? most_slots(m, 0) : most_slots(m, 1);
	int r;

	assert_int_equal(m->enforcement, VSM_ENFORCEMENT_SLOTS);
	assert_int_equal(space_apply(&t->f.spaces[vtl], m, vtl, NULL), -ENOSPC);
	assert_int_equal(fake_kvm_slot_count(t->f.x.fake, t->f.vm_fds[vtl]), 0);
	assert_true(m->region_count <= m->slot_limit);
	r = memory_limit_drop_all(m);
	if (r == -ENOSPC && most > m->slot_limit)
		return false;
	assert_int_equal(r, 0);
	for (unsigned setter = 1; setter < VSM_VTL_COUNT; setter++)
		t->model.on[setter] = false;
	return true;
}

/* False: the partition is in a dead end. */
static bool close_openings(struct test *t)
{
	for (unsigned vtl = 0; vtl < VSM_VTL_COUNT; vtl++) {
		int r = memory_close_openings(&t->f.m, vtl);

		t->model.opened[vtl] = 0;
		if (r) {
			assert_int_equal(r, -ENOSPC);
			if (!leave_dead_end(t, vtl))
				return false;
		}
	}
	compare_all(t);
	return true;
}

static void model_start(struct test *t, const struct memory_options *o, const struct pace *pace)
{
	struct model *w = &t->model;

	*t = (struct test){
		.pace = pace,
		.model = {.quirk = o->ux_is_execute, .strict = o->exec_policy == VSM_EXEC_STRICT}};
	memory_start(&t->f, o, 1);
	assert_int_equal(space_init(&t->single, t->f.x.vm_fd, false, 0, FIXTURE_SLOTS * 4), 0);
	for (unsigned i = 0; i < BELOW; i++) {
		w->overlays[i].vtl = i % VSM_VTL_COUNT;
		w->overlays[i].shows = i;
		w->overlays[i].prot = i < 4 ? PROT_ALL : random_mask();
		t->overlays[i] = overlay_create(&t->f.m, w->overlays[i].vtl, w->overlays[i].prot);
		assert_non_null(t->overlays[i]);
		*(uint64_t *)t->overlays[i]->host = OVERLAY_TAG | i;
	}
	for (unsigned i = BELOW; i < OVERLAYS; i++) {
		unsigned of = 1 + 3 * (i & 1) + (i >= BELOW + 2); /* 1, 4: VTL1's; 2, 5: VTL2's */

		w->overlays[i] = w->overlays[of];
		w->overlays[i].vtl = random_below(w->overlays[of].vtl);
		w->overlays[i].limited = true;
		t->overlays[i] = overlay_create_below(&t->f.m, t->overlays[of], w->overlays[i].vtl);
		assert_non_null(t->overlays[i]);
	}
}

static void model_stop(struct test *t)
{
	space_destroy(t->f.x.host, &t->single);
	memory_stop(&t->f);
}

/* Two kinds of partitions: with slots to spare, and with fewer than the limits can take. */
static void random_round(const struct memory_options *o, const struct pace *pace)
{
	static struct test t;

	bool going = true;

	model_start(&t, o, pace);
	for (unsigned i = 0; i < pace->operations && going; i++) {
		step(&t);
		if (!random_below(12 * pace->compare))
			going = close_openings(&t);
	}
	if (going)
		close_openings(&t);
	model_stop(&t);
}

static void random_operations(enum vsm_enforcement enforcement, enum vsm_exec_policy policy,
			      const struct pace *pace)
{
	const char *given = getenv("VSM_TEST_SEED");
	struct memory_options o = fixture_options(enforcement, policy);

	seed = given ? strtoull(given, NULL, 0) : 0x5eed;
	print_message("VSM_TEST_SEED=%#llx\n", (unsigned long long)seed);
	for (unsigned round = 0; round < pace->rounds; round++) {
		o.ux_is_execute = round & 1;
		o.slot_limit = round & 2 ? 12 : FIXTURE_SLOTS;
		random_round(&o, pace);
	}
}

static void alias_strict(void **state)
{
	random_operations(VSM_ENFORCEMENT_ALIAS, VSM_EXEC_STRICT, *state);
}

static void alias_relaxed(void **state)
{
	random_operations(VSM_ENFORCEMENT_ALIAS, VSM_EXEC_RELAXED, *state);
}

static void slots_strict(void **state)
{
	random_operations(VSM_ENFORCEMENT_SLOTS, VSM_EXEC_STRICT, *state);
}

static void slots_relaxed(void **state)
{
	random_operations(VSM_ENFORCEMENT_SLOTS, VSM_EXEC_RELAXED, *state);
}

/* The test's state is not changed. */
#define AT(pace, mode) cmocka_unit_test_prestate(mode, (void *)(uintptr_t) & (pace))

int main(void)
{
	const struct CMUnitTest tests[] = {
		AT(close_look, alias_strict), AT(close_look, alias_relaxed),
		AT(close_look, slots_strict), AT(close_look, slots_relaxed),
		AT(long_run, alias_strict),   AT(long_run, alias_relaxed),
		AT(long_run, slots_strict),   AT(long_run, slots_relaxed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
