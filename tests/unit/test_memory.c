/* SPDX-License-Identifier: MIT */
/* Regions, limits, overlays and openings: every documented error, and what is left after it. */
#include "memory_fixture.h"
#include "failing_malloc.h"
#include "memory/mapping.h"
#include <errno.h>
#include <string.h>

#define READ_EXECUTE (PROT_R | PROT_KX | PROT_UX)

static struct memory_fixture fixture;

static int setup_mode(void **state, enum vsm_enforcement enforcement)
{
	struct memory_options o = fixture_options(enforcement, VSM_EXEC_STRICT);

	memory_start(&fixture, &o, 1);
	assert_int_equal(fixture_region(&fixture, 0, 64, 0, false), 0);
	assert_int_equal(fixture_region(&fixture, 80, 96, 80, true), 0);
	*state = &fixture;
	return 0;
}

static int setup_alias(void **state)
{
	return setup_mode(state, VSM_ENFORCEMENT_ALIAS);
}

static int setup_slots(void **state)
{
	return setup_mode(state, VSM_ENFORCEMENT_SLOTS);
}

static int teardown(void **state)
{
	fail_malloc(0);
	memory_stop(*state);
	return 0;
}

static void init_refuses_and_undoes(void **state)
{
	struct memory_fixture *f = *state;
	struct memory_options o = fixture_options(VSM_ENFORCEMENT_ALIAS, VSM_EXEC_STRICT);
	struct memory m;
	unsigned nth = 0;
	int r;

	o.vtl_count = VSM_VTL_COUNT + 1;
	assert_int_equal(memory_init(&m, f->x.host, &o), -EINVAL);
	o.vtl_count = 0;
	assert_int_equal(memory_init(&m, f->x.host, &o), -EINVAL);
	o.vtl_count = 2;
	o.slot_limit = 0;
	assert_int_equal(memory_init(&m, f->x.host, &o), -EINVAL);
	o.slot_limit = 8;
	do {
		fail_malloc(++nth);
		r = memory_init(&m, f->x.host, &o);
		assert_int_equal(r, malloc_countdown ? 0 : -ENOMEM);
		if (malloc_countdown)
			memory_destroy(&m);
	} while (!malloc_countdown);
	assert_true(nth > 5);
	fail_malloc(0);
	fake_kvm_fail(f->x.fake, FAKE_OP_create_memfd, 1, EMFILE);
	assert_int_equal(memory_init(&m, f->x.host, &o), -EMFILE);
	/* The pool, and its two guards. */
	for (nth = 1; nth <= 3; nth++) {
		fake_kvm_fail(f->x.fake, FAKE_OP_map_memory, nth, ENOMEM);
		assert_int_equal(memory_init(&m, f->x.host, &o), -ENOMEM);
	}
	o.overlay_pages = 0;
	assert_int_equal(memory_init(&m, f->x.host, &o), 0);
	errno = 0;
	assert_null(overlay_create(&m, 0, PROT_R));
	assert_int_equal(errno, ENOSPC);
	memory_destroy(&m);
	memory_destroy(&m);
}

static void regions_are_checked(void **state)
{
	struct memory_fixture *f = *state;
	struct memory *m = &f->m;
	int fd = f->x.mem_fd;
	gpa_t gpa = gpa_from(0x100000);

	assert_int_equal(memory_add_region(m, gpa_from(0x100001), 4096, fd, 0, false), -EINVAL);
	assert_int_equal(memory_add_region(m, gpa, 4095, fd, 0, false), -EINVAL);
	assert_int_equal(memory_add_region(m, gpa, 4096, fd, 1, false), -EINVAL);
	assert_int_equal(memory_add_region(m, gpa, 0, fd, 0, false), -EINVAL);
	assert_int_equal(memory_add_region(m, gpa_from(UINT64_C(1) << 52), 4096, fd, 0, false),
			 -EINVAL);
	assert_int_equal(memory_add_region(m, gpa, -UINT64_C(4096), fd, 0, false), -EINVAL);
	assert_int_equal(memory_add_region(m, gpa_from(0), 4096, fd, 0, false), -EEXIST);
	assert_int_equal(memory_add_region(m, gpa_from(70 << 12), 11 << 12, fd, 0, false), -EEXIST);
	assert_int_equal(memory_add_region(m, gpa, 4096, fd, 0x100000, false), -ERANGE);
	assert_int_equal(memory_add_region(m, gpa, 8192, fd, 0xff000, false), -ERANGE);
	assert_int_equal(memory_add_region(m, gpa, 4096, 12345, 0, false), -EBADF);
	assert_int_equal(m->region_count, 2);
	assert_null(memory_region_of(m, 64));
	assert_null(memory_region_of(m, 79));
	assert_int_equal(memory_region_of(m, 80)->first, 80);
	assert_int_equal(memory_region_of(m, 95)->first, 80);
	assert_null(memory_region_of(m, 96));
}

/* Fails every host call and every allocation of a hot-add in turn. */
static void a_failed_region_leaves_nothing(void **state)
{
	struct memory_fixture *f = *state;
	size_t vmas = fake_kvm_vma_count(f->x.fake), fds = fake_kvm_fd_count(f->x.fake);
	unsigned nth = 0;
	int r;

	assert_int_equal(overlay_enable(&f->m, overlay_create(&f->m, 0, PROT_ALL), 100), 0);
	do {
		fake_kvm_fail_any(f->x.fake, ++nth, ENOMEM);
		r = fixture_region(f, 96, 128, 96, false);
		if (!fake_kvm_failed(f->x.fake))
			break;
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(f->m.region_count, 2);
		assert_int_equal(fake_kvm_vma_count(f->x.fake), vmas);
		assert_int_equal(fake_kvm_fd_count(f->x.fake), fds);
		assert_access(f, 0, 101, 128, KVM_MAP_NONE);
		assert_access(f, 0, 100, 101, KVM_MAP_READ_WRITE);
	} while (nth < 100);
	fake_kvm_fail_any(f->x.fake, 1, 0);
	assert_int_equal(r, 0);
	assert_true(nth > 3);
	fail_malloc(1);
	assert_int_equal(fixture_region(f, 128, 129, 0, false), -ENOMEM);
	assert_int_equal(fixture_region(f, 128, 129, 0, false), 0);
	f->m.slot_limit = 4;
	assert_int_equal(fixture_region(f, 140, 141, 0, false), -ENOSPC);
	assert_int_equal(f->m.region_count, 4);
	assert_access(f, 0, 140, 141, KVM_MAP_NONE);
}

static void limits_are_checked(void **state)
{
	struct memory_fixture *f = *state;
	struct memory *m = &f->m;

	assert_int_equal(memory_limit(m, 1, 0, 0, 1, 0), -EINVAL);
	assert_int_equal(memory_limit_default(m, 0, 0), -EINVAL);
	assert_int_equal(memory_limit_default(m, 3, 0), -EINVAL);
	assert_int_equal(memory_limit_default(m, 1, 0x10), -EINVAL);
	assert_int_equal(memory_limit_default(m, 1, PROT_ALL), 0);
	assert_int_equal(memory_limit_default(m, 1, PROT_ALL), 0);
	assert_int_equal(memory_limit_default(m, 1, PROT_R), -EALREADY);
	assert_int_equal(memory_limit(m, 1, 1, 0, 1, 0), -EINVAL);
	assert_int_equal(memory_limit(m, 3, 0, 0, 1, 0), -EINVAL);
	assert_int_equal(memory_limit(m, 1, 0, 1, 1, 0), -EINVAL);
	assert_int_equal(memory_limit(m, 1, 0, 0, 1, 0x10), -EINVAL);
	assert_int_equal(memory_limit(m, 1, 0, 63, 65, 0), -ENXIO);
	assert_int_equal(memory_limit(m, 1, 0, 70, 71, 0), -ENXIO);
	assert_int_equal(memory_limit(m, 1, 0, 0, UINT64_MAX, 0), -ENXIO);
	assert_int_equal(memory_limit_drop(m, 0), -EINVAL);
	assert_int_equal(memory_limit_drop(m, 3), -EINVAL);
	assert_int_equal(memory_set_mbec(m, 3, true), -EINVAL);
	assert_access(f, 0, 0, 64, KVM_MAP_READ_WRITE);
	fail_malloc(1);
	assert_int_equal(memory_limit(m, 1, 0, 0, 1, 0), -ENOMEM);
	assert_access(f, 0, 0, 64, KVM_MAP_READ_WRITE);
}

static void hardware_protections(void **state)
{
	struct memory_fixture *f = *state;
	struct memory *m = &f->m;

	assert_int_equal(view_hardware_prot(m, 0, PROT_ALL), KVM_MAP_READ_WRITE);
	assert_int_equal(view_hardware_prot(m, 0, READ_EXECUTE), KVM_MAP_READ);
	assert_int_equal(view_hardware_prot(m, 0, PROT_R | PROT_KX), KVM_MAP_READ);
	assert_int_equal(view_hardware_prot(m, 0, PROT_R | PROT_UX), KVM_MAP_NONE);
	assert_int_equal(view_hardware_prot(m, 0, PROT_R | PROT_W), KVM_MAP_NONE);
	assert_int_equal(view_hardware_prot(m, 0, PROT_W | PROT_KX | PROT_UX), KVM_MAP_NONE);
	m->ux_is_execute = true;
	assert_int_equal(view_hardware_prot(m, 0, PROT_R | PROT_UX), KVM_MAP_READ);
	m->ux_is_execute = false;
	m->mbec[0] = true;
	assert_int_equal(view_hardware_prot(m, 0, PROT_R | PROT_KX), KVM_MAP_NONE);
	assert_int_equal(view_hardware_prot(m, 0, READ_EXECUTE), KVM_MAP_READ);
	m->mbec[0] = false;
	m->exec_policy = VSM_EXEC_RELAXED;
	assert_int_equal(view_hardware_prot(m, 0, PROT_R | PROT_W), KVM_MAP_READ_WRITE);
	assert_int_equal(view_hardware_prot(m, 0, PROT_W), KVM_MAP_NONE);
}

static void hot_added_memory_has_the_default_mask(void **state)
{
	struct memory_fixture *f = *state;

	assert_int_equal(memory_limit_default(&f->m, 1, READ_EXECUTE), 0);
	assert_int_equal(fixture_region(f, 100, 110, 100, false), 0);
	assert_access(f, 0, 100, 110, KVM_MAP_READ);
	assert_access(f, 0, 0, 64, KVM_MAP_READ);
	assert_access(f, 1, 100, 110, KVM_MAP_READ_WRITE);
	assert_int_equal(memory_limit_drop(&f->m, 1), 0);
	assert_access(f, 0, 100, 110, KVM_MAP_READ_WRITE);
}

static void assert_stripes(struct memory_fixture *f)
{
	assert_access(f, 0, 0, 10, KVM_MAP_READ_WRITE);
	assert_access(f, 0, 10, 20, KVM_MAP_NONE);
	assert_access(f, 0, 20, 30, KVM_MAP_READ);
	assert_access(f, 0, 30, 40, KVM_MAP_NONE);
	assert_access(f, 0, 40, 64, KVM_MAP_READ_WRITE);
}

static void make_stripes(struct memory_fixture *f)
{
	assert_int_equal(memory_limit_default(&f->m, 1, PROT_ALL), 0);
	assert_int_equal(memory_limit(&f->m, 1, 0, 10, 40, 0), 0);
	assert_int_equal(memory_limit(&f->m, 1, 0, 20, 30, READ_EXECUTE), 0);
	assert_stripes(f);
}

/* One mask over tighter and looser pages: every mprotect of it refused in turn. */
static void a_refused_mprotect_leaves_all_as_it_was(void **state)
{
	struct memory_fixture *f = *state;
	unsigned nth = 0;
	int r;

	make_stripes(f);
	do {
		fake_kvm_fail(f->x.fake, FAKE_OP_protect_memory, ++nth, ENOMEM);
		r = memory_limit(&f->m, 1, 0, 0, 64, READ_EXECUTE);
		if (r)
			assert_stripes(f);
	} while (r == -ENOMEM);
	assert_int_equal(r, 0);
	assert_int_equal(nth, 5); /* two pieces become tighter, two looser */
	fake_kvm_fail(f->x.fake, FAKE_OP_protect_memory, 1, 0);
	assert_access(f, 0, 0, 64, KVM_MAP_READ);
}

/* The nth mprotect and all that follow are refused. */
struct stubborn {
	struct kvm_host host;
	struct kvm_ops ops;
	const struct kvm_host *real;
	unsigned allowed, refused;
	unsigned calls, pattern; /* which of the calls are refused, by bits */
};

static struct stubborn stubborn;

static int stubborn_protect(const struct kvm_host *h, void *addr, size_t size,
			    enum kvm_map_prot prot)
{
	(void)h;
	if (!stubborn.allowed) {
		stubborn.refused++;
		return -ENOMEM;
	}
	stubborn.allowed--;
	return stubborn.real->ops->protect_memory(stubborn.real, addr, size, prot);
}

static void be_stubborn(struct memory_fixture *f, unsigned allowed)
{
	stubborn = (struct stubborn){.ops = *f->x.host->ops, .real = f->x.host, .allowed = allowed};
	stubborn.ops.protect_memory = stubborn_protect;
	stubborn.host = (struct kvm_host){&stubborn.ops, f->x.host->ctx};
	f->m.host = &stubborn.host;
}

static void relent(struct memory_fixture *f)
{
	f->m.host = f->x.host;
}

/* Never more open, unless the call says that it may be. While closing is all that was tried,
 * nothing can be; after the first attempt to open something, nobody knows but the host. */
static void a_host_that_refuses_for_good(void **state)
{
	struct memory_fixture *f = *state;
	static const uint64_t closed[][2] = {{10, 20}, {30, 40}};

	make_stripes(f);
	for (unsigned allowed = 0; allowed < 4; allowed++) {
		int r;

		be_stubborn(f, allowed);
		r = memory_limit(&f->m, 1, 0, 0, 64, READ_EXECUTE);
		relent(f);
		assert_int_equal(r, allowed < 2 ? -ENOMEM : -ENOTRECOVERABLE);
		for (unsigned i = 0; i < 2 && r == -ENOMEM; i++)
			assert_access(f, 0, closed[i][0], closed[i][1], KVM_MAP_NONE);
		assert_int_equal(alias_sync(&f->m, 0, 0, 64), 0);
		assert_stripes(f);
	}
}

/* Closing a page fails, closing its whole mapping does not. */
static int narrow_protect(const struct kvm_host *h, void *addr, size_t size, enum kvm_map_prot prot)
{
	(void)h;
	if (size == VSM_PAGE_SIZE)
		return -ENOMEM;
	return stubborn.real->ops->protect_memory(stubborn.real, addr, size, prot);
}

static void what_cannot_be_closed_is_contained(void **state)
{
	struct memory_fixture *f = *state;

	make_stripes(f);
	assert_int_equal(memory_open_page(&f->m, 0, 15, PROT_R), 0);
	assert_access(f, 0, 15, 16, KVM_MAP_READ);
	be_stubborn(f, 0);
	stubborn.ops.protect_memory = narrow_protect;
	assert_int_equal(memory_close_openings(&f->m, 0), -ENOMEM);
	relent(f);
	assert_stripes(f);
	assert_int_equal(memory_open_page(&f->m, 0, 15, PROT_R), 0);
	be_stubborn(f, 0);
	assert_int_equal(memory_close_openings(&f->m, 0), -ENOTRECOVERABLE);
	relent(f);
	assert_int_equal(alias_sync(&f->m, 0, 0, 64), 0);
}

/* A whole mapping may be closed, and pages may be opened, but the first ten not. */
static int grudging_protect(const struct kvm_host *h, void *addr, size_t size,
			    enum kvm_map_prot prot)
{
	if (size == 10 << VSM_PAGE_SHIFT && prot == KVM_MAP_READ_WRITE)
		return -ENOMEM;
	return narrow_protect(h, addr, size, prot);
}

/* What was closed only because it had to be whole is opened again, as far as that can be. */
static void what_is_contained_is_opened_again(void **state)
{
	struct memory_fixture *f = *state;

	make_stripes(f);
	assert_int_equal(memory_open_page(&f->m, 0, 15, PROT_R), 0);
	be_stubborn(f, 0);
	stubborn.ops.protect_memory = grudging_protect;
	assert_int_equal(memory_close_openings(&f->m, 0), -ENOMEM);
	relent(f);
	assert_access(f, 0, 0, 20, KVM_MAP_NONE);
	assert_access(f, 0, 20, 30, KVM_MAP_READ);
	assert_access(f, 0, 30, 40, KVM_MAP_NONE);
	assert_access(f, 0, 40, 64, KVM_MAP_READ_WRITE);
	assert_int_equal(alias_sync(&f->m, 0, 0, 64), 0);
	assert_stripes(f);
}

#define MOODS 12

static int moody_protect(const struct kvm_host *h, void *addr, size_t size, enum kvm_map_prot prot)
{
	unsigned call = stubborn.calls++;

	(void)h;
	if (call < MOODS && (stubborn.pattern >> call & 1)) {
		stubborn.refused++;
		return -ENOMEM;
	}
	return stubborn.real->ops->protect_memory(stubborn.real, addr, size, prot);
}

/* As many as are tried in all combinations. */
#define ANY_MOODS 10
#define MIXED	  10 /* the first of four pages: one to loosen, two to tighten, one to stay */

static void make_mixed(struct memory_fixture *f)
{
	const prot_t masks[] = {0, PROT_ALL, READ_EXECUTE, PROT_ALL};

	for (unsigned i = 0; i < ARRAY_SIZE(masks); i++)
		assert_int_equal(memory_limit(&f->m, 1, 0, MIXED + i, MIXED + i + 1, masks[i]), 0);
	/* Also where a failure left it tighter. */
	assert_int_equal(alias_sync(&f->m, 0, 0, 64), 0);
	assert_int_equal(alias_open_devices(&f->m, 0, 0, 64), 0);
}

/* No page is more open than that, for vCPUs or devices; `exactly`: nor less. */
static void assert_mixed(struct memory_fixture *f, const enum kvm_map_prot want[6], bool exactly)
{
	const struct memory_region *r = memory_region_of(&f->m, MIXED);

	for (unsigned i = 0; i < 6; i++) {
		uint64_t page = MIXED - 1 + i;
		int vcpus = fixture_access(f, 0, page);
		int devices = fake_kvm_host_prot(f->x.fake, region_host(r, r->device[0], page));

		assert_true(exactly ? vcpus == (int)want[i] : vcpus <= (int)want[i]);
		assert_true(exactly ? devices == (int)want[i] : devices <= (int)want[i]);
	}
}

/* Whichever of the host's first changes fail: all or nothing, and nothing too open. */
static void any_changes_may_be_refused(void **state)
{
	static const enum kvm_map_prot before[] = {KVM_MAP_READ_WRITE, KVM_MAP_NONE,
						   KVM_MAP_READ_WRITE, KVM_MAP_READ,
						   KVM_MAP_READ_WRITE, KVM_MAP_READ_WRITE},
				       after[] = {KVM_MAP_READ_WRITE, KVM_MAP_READ,
						  KVM_MAP_READ,	      KVM_MAP_READ,
						  KVM_MAP_READ,	      KVM_MAP_READ_WRITE};
	struct memory_fixture *f = *state;

	assert_int_equal(memory_limit_default(&f->m, 1, PROT_ALL), 0);
	assert_int_equal(memory_map_devices(&f->m, 0), 0);
	for (unsigned pattern = 0; pattern < 1u << ANY_MOODS; pattern++) {
		int r;

		make_mixed(f);
		be_stubborn(f, 0);
		stubborn.ops.protect_memory = moody_protect;
		stubborn.pattern = pattern;
		r = memory_limit(&f->m, 1, 0, MIXED, MIXED + 4, READ_EXECUTE);
		relent(f);
		if (r == -ENOTRECOVERABLE)
			continue;
		assert_int_equal(r, stubborn.refused ? -ENOMEM : 0);
		assert_mixed(f, r ? before : after, !r || !(pattern & (pattern - 1)));
	}
	make_mixed(f);
}

/*
 * Undoing a change goes on where the host refuses to open a page: behind it, and in the devices'
 * mapping. Four calls tighten two pages in both mappings; the next, the first to loosen one, is
 * refused. Two close that again in any case; the next, to open the first tightened page, is
 * refused, too.
 */
static void undoing_goes_on(void **state)
{
	static const enum kvm_map_prot vcpus[] = {KVM_MAP_NONE, KVM_MAP_READ, KVM_MAP_READ,
						  KVM_MAP_READ_WRITE},
				       devices[] = {KVM_MAP_NONE, KVM_MAP_READ_WRITE, KVM_MAP_READ,
						    KVM_MAP_READ_WRITE};
	struct memory_fixture *f = *state;
	const struct memory_region *r = memory_region_of(&f->m, MIXED);

	assert_int_equal(memory_limit_default(&f->m, 1, PROT_ALL), 0);
	assert_int_equal(memory_map_devices(&f->m, 0), 0);
	make_mixed(f);
	be_stubborn(f, 0);
	stubborn.ops.protect_memory = moody_protect;
	stubborn.pattern = 1u << 4 | 1u << 7;
	assert_int_equal(memory_limit(&f->m, 1, 0, MIXED, MIXED + 4, READ_EXECUTE), -ENOMEM);
	relent(f);
	assert_int_equal(stubborn.refused, 2);
	for (unsigned i = 0; i < 4; i++) {
		assert_access(f, 0, MIXED + i, MIXED + i + 1, vcpus[i]);
		assert_int_equal(
			fake_kvm_host_prot(f->x.fake, region_host(r, r->device[0], MIXED + i)),
			devices[i]);
	}
	make_mixed(f);
}

/* And in other regions. */
static void undoing_goes_on_in_all_regions(void **state)
{
	struct memory_fixture *f = *state;

	be_stubborn(f, 0);
	stubborn.ops.protect_memory = moody_protect;
	/* VTL0's regions are closed, VTL1's first is not; VTL0's first is not opened again. */
	stubborn.pattern = 1u << 2 | 1u << 5;
	assert_int_equal(memory_limit_default(&f->m, 2, 0), -ENOMEM);
	relent(f);
	assert_int_equal(stubborn.refused, 2);
	assert_access(f, 0, 0, 64, KVM_MAP_NONE);
	assert_access(f, 0, 80, 96, KVM_MAP_READ);
	assert_access(f, 1, 0, 64, KVM_MAP_READ_WRITE);
	assert_int_equal(alias_sync(&f->m, 0, 0, 64), 0);
}

static void defaults_and_mbec_come_whole_or_not(void **state)
{
	struct memory_fixture *f = *state;

	for (unsigned nth = 1; nth <= 3; nth++) {
		fake_kvm_fail(f->x.fake, FAKE_OP_protect_memory, nth, ENOMEM);
		assert_int_equal(memory_limit_default(&f->m, 2, 0), -ENOMEM);
		assert_false(f->m.limits_on[2]);
		assert_access(f, 0, 0, 64, KVM_MAP_READ_WRITE);
		assert_access(f, 1, 0, 64, KVM_MAP_READ_WRITE);
	}
	assert_int_equal(memory_limit_default(&f->m, 2, PROT_R | PROT_KX), 0);
	assert_access(f, 0, 0, 64, KVM_MAP_READ);
	fake_kvm_fail(f->x.fake, FAKE_OP_protect_memory, 2, ENOMEM);
	assert_int_equal(memory_set_mbec(&f->m, 0, true), -ENOMEM);
	assert_false(f->m.mbec[0]);
	assert_access(f, 0, 0, 64, KVM_MAP_READ);
	assert_int_equal(memory_set_mbec(&f->m, 0, true), 0);
	assert_access(f, 0, 0, 64, KVM_MAP_NONE);
	assert_access(f, 1, 0, 64, KVM_MAP_READ);
	fake_kvm_fail(f->x.fake, FAKE_OP_protect_memory, 3, ENOMEM);
	assert_int_equal(memory_limit_drop(&f->m, 2), -ENOMEM);
	assert_true(f->m.limits_on[2]);
	assert_access(f, 0, 0, 64, KVM_MAP_NONE);
	assert_access(f, 1, 0, 64, KVM_MAP_READ);
}

static void limits_without_slots_are_refused(void **state)
{
	struct memory_fixture *f = *state;

	make_stripes(f);
	assert_int_equal(view_build(&f->m, 0), 0);
	f->m.slot_limit = f->m.views[0].count;
	assert_int_equal(memory_limit(&f->m, 1, 0, 50, 51, 0), -ENOSPC);
	assert_int_equal(memory_open_page(&f->m, 0, 15, PROT_R), -ENOSPC);
	assert_int_equal(overlay_enable(&f->m, overlay_create(&f->m, 0, PROT_ALL), 70), -ENOSPC);
	assert_null(overlay_at(&f->m, 0, 70));
	assert_stripes(f);
	assert_int_equal(memory_limit(&f->m, 1, 0, 40, 41, 0), 0);
}

static void overlays_cover_and_uncover(void **state)
{
	struct memory_fixture *f = *state;
	struct overlay *a = overlay_create(&f->m, 0, PROT_ALL);
	struct overlay *b = overlay_create(&f->m, 0, READ_EXECUTE);

	assert_null(overlay_create(&f->m, 3, PROT_ALL));
	*(uint64_t *)a->host = 0xa;
	*(uint64_t *)b->host = 0xb;
	assert_int_equal(overlay_enable(&f->m, a, MEMORY_GPA_PAGES), -EINVAL);
	assert_int_equal(overlay_disable(&f->m, a), 0);
	assert_int_equal(overlay_enable(&f->m, a, 5), 0);
	assert_int_equal(overlay_enable(&f->m, b, 5), 0);
	assert_ptr_equal(overlay_at(&f->m, 0, 5), b);
	assert_null(overlay_at(&f->m, 1, 5));
	assert_int_equal(fixture_tag(f, 0, 5), 0xb);
	assert_access(f, 0, 5, 6, KVM_MAP_READ);
	assert_int_equal(overlay_enable(&f->m, b, 6), 0);
	assert_int_equal(fixture_tag(f, 0, 5), 0xa);
	assert_int_equal(fixture_tag(f, 0, 6), 0xb);
	assert_int_equal(overlay_enable(&f->m, b, 70), 0);
	assert_int_equal(fixture_tag(f, 0, 6), FIXTURE_TAG | 6);
	assert_int_equal(fixture_tag(f, 0, 70), 0xb);
	assert_int_equal(overlay_enable(&f->m, a, 80), 0);
	assert_access(f, 0, 80, 81, KVM_MAP_READ_WRITE);
	assert_int_equal(fixture_tag(f, 1, 80), FIXTURE_TAG | 80);
	assert_int_equal(overlay_destroy(&f->m, a), 0);
	assert_int_equal(fixture_tag(f, 0, 80), FIXTURE_TAG | 80);
	assert_int_equal(*(uint64_t *)overlay_create(&f->m, 0, PROT_R)->host, 0);
}

/* A higher VTL's page, shown to a lower one: within what the limits leave it there. */
static void overlays_below_are_limited(void **state)
{
	struct memory_fixture *f = *state;
	struct overlay *of = overlay_create(&f->m, 1, READ_EXECUTE);
	struct overlay *o = overlay_create_below(&f->m, of, 0);
	uint8_t setter = 9;

	assert_null(overlay_create_below(&f->m, of, 1));
	assert_int_equal(errno, EINVAL);
	*(uint64_t *)of->host = 0xa;
	for (uint64_t page = 5; page <= 85; page += 80) { /* RAM, ROM */
		assert_int_equal(overlay_enable(&f->m, o, page), 0);
		assert_int_equal(fixture_tag(f, 0, page), 0xa);
		assert_access(f, 0, page, page + 1, KVM_MAP_READ);
		assert_int_equal(fixture_tag(f, 1, page), FIXTURE_TAG | page);
		assert_int_equal(memory_limit_default(&f->m, 1, PROT_ALL), 0);
		assert_int_equal(memory_limit(&f->m, 1, 0, page, page + 1, 0), 0);
		assert_access(f, 0, page, page + 1, KVM_MAP_NONE);
		assert_false(memory_allows(&f->m, 0, page, MEM_READ, false, &setter));
		assert_int_equal(setter, 1);
		assert_int_equal(memory_rights(&f->m, 0, page).prot, 0);
		assert_int_equal(memory_limit(&f->m, 1, 0, page, page + 1, PROT_ALL), 0);
		assert_access(f, 0, page, page + 1, KVM_MAP_READ);
		assert_false(memory_allows(&f->m, 0, page, MEM_WRITE, false, &setter));
		assert_int_equal(setter, 0);
		assert_int_equal(memory_limit_drop(&f->m, 1), 0);
	}
}

static void a_refused_overlay_stays_where_it_was(void **state)
{
	struct memory_fixture *f = *state;
	struct overlay *a = overlay_create(&f->m, 0, PROT_ALL);

	*(uint64_t *)a->host = 0xa;
	assert_int_equal(overlay_enable(&f->m, a, 5), 0);
	for (unsigned nth = 1; nth <= 2; nth++) {
		fake_kvm_fail(f->x.fake, FAKE_OP_map_memory, nth, ENOMEM);
		assert_int_equal(overlay_enable(&f->m, a, 9), -ENOMEM);
		assert_ptr_equal(overlay_at(&f->m, 0, 5), a);
		assert_null(overlay_at(&f->m, 0, 9));
		assert_int_equal(fixture_tag(f, 0, 5), 0xa);
		assert_int_equal(fixture_tag(f, 0, 9), FIXTURE_TAG | 9);
	}
	fake_kvm_fail(f->x.fake, FAKE_OP_map_memory, 1, ENOMEM);
	assert_int_equal(overlay_disable(&f->m, a), -ENOMEM);
	assert_int_equal(fixture_tag(f, 0, 5), 0xa);
	/* The mapping may be gone: nothing tells. */
	be_stubborn(f, 0);
	fake_kvm_fail(f->x.fake, FAKE_OP_map_memory, 1, ENOMEM);
	assert_int_equal(overlay_disable(&f->m, a), -ENOTRECOVERABLE);
	relent(f);
}

static void openings_are_for_a_while(void **state)
{
	struct memory_fixture *f = *state;

	make_stripes(f);
	assert_int_equal(memory_open_page(&f->m, 0, 70, PROT_R), -ENXIO);
	assert_int_equal(memory_open_page(&f->m, 0, 15, PROT_R), 0);
	assert_access(f, 0, 15, 16, KVM_MAP_READ);
	assert_int_equal(memory_open_page(&f->m, 0, 15, PROT_W), 0);
	assert_access(f, 0, 15, 16, KVM_MAP_READ_WRITE);
	for (uint64_t page = 30; page < 30 + MEMORY_OPENINGS - 1; page++)
		assert_int_equal(memory_open_page(&f->m, 0, page, PROT_KX), 0);
	assert_access(f, 0, 30, 37, KVM_MAP_READ);
	assert_int_equal(memory_open_page(&f->m, 0, 60, PROT_R), -ENOSPC);
	assert_int_equal(memory_close_openings(&f->m, 0), 0);
	assert_stripes(f);
}

/* As long as a list without the openings does not fit, none is shown; then it is a new one. */
static void openings_end_when_slots_are_back(void **state)
{
	struct memory_fixture *f = *state;

	make_stripes(f);
	assert_int_equal(memory_open_page(&f->m, 0, 15, PROT_R), 0);
	assert_access(f, 0, 15, 16, KVM_MAP_READ);
	f->m.slot_limit = 1;
	memory_close_openings(&f->m, 0);
	assert_int_equal(space_apply(&f->spaces[0], &f->m, 0, NULL), -ENOSPC);
	f->m.slot_limit = FIXTURE_SLOTS;
	assert_stripes(f);
	assert_int_equal(memory_open_page(&f->m, 0, 15, PROT_R), 0);
	assert_access(f, 0, 15, 16, KVM_MAP_READ);
	f->m.slot_limit = 1;
	memory_close_openings(&f->m, 0);
	f->m.slot_limit = FIXTURE_SLOTS;
	/* Who changes something else makes the list before anybody shows it. */
	assert_int_equal(memory_limit(&f->m, 1, 0, 40, 41, 0), 0);
	assert_access(f, 0, 10, 20, KVM_MAP_NONE);
}

/* An overlay's own protection takes effect like a mask: without MBEC, KX is all of execution. */
static void overlays_follow_mbec(void **state)
{
	struct memory_fixture *f = *state;
	struct overlay *o = overlay_create(&f->m, 0, PROT_R | PROT_KX);

	assert_int_equal(overlay_enable(&f->m, o, 5), 0);
	assert_true(memory_allows(&f->m, 0, 5, MEM_EXECUTE, true, NULL));
	assert_int_equal(memory_rights(&f->m, 0, 5).prot, READ_EXECUTE);
	assert_int_equal(memory_set_mbec(&f->m, 0, MBEC_ON), 0);
	assert_false(memory_allows(&f->m, 0, 5, MEM_EXECUTE, true, NULL));
	assert_true(memory_allows(&f->m, 0, 5, MEM_EXECUTE, false, NULL));
	assert_int_equal(memory_rights(&f->m, 0, 5).prot, PROT_R | PROT_KX);
}

/* One that is no code is closed only while somebody's protections are on. */
static void overlays_follow_protections(void **state)
{
	struct memory_fixture *f = *state;
	struct overlay *o = overlay_create(&f->m, 0, PROT_R | PROT_W);

	assert_int_equal(overlay_enable(&f->m, o, 5), 0);
	for (unsigned setter = 1; setter <= 2; setter++) {
		assert_access(f, 0, 5, 6, KVM_MAP_READ_WRITE);
		assert_int_equal(memory_limit_default(&f->m, setter, PROT_ALL), 0);
		assert_access(f, 0, 5, 6, KVM_MAP_NONE);
		assert_int_equal(memory_limit_drop(&f->m, setter), 0);
		assert_access(f, 0, 5, 6, KVM_MAP_READ_WRITE);
	}
}

#define ALIAS(name) cmocka_unit_test_setup_teardown(name, setup_alias, teardown)
#define SLOTS(name) cmocka_unit_test_setup_teardown(name, setup_slots, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ALIAS(init_refuses_and_undoes),
		ALIAS(regions_are_checked),
		ALIAS(a_failed_region_leaves_nothing),
		SLOTS(a_failed_region_leaves_nothing),
		ALIAS(limits_are_checked),
		SLOTS(limits_are_checked),
		ALIAS(hardware_protections),
		ALIAS(hot_added_memory_has_the_default_mask),
		SLOTS(hot_added_memory_has_the_default_mask),
		ALIAS(a_refused_mprotect_leaves_all_as_it_was),
		ALIAS(a_host_that_refuses_for_good),
		ALIAS(what_cannot_be_closed_is_contained),
		ALIAS(what_is_contained_is_opened_again),
		ALIAS(undoing_goes_on),
		ALIAS(undoing_goes_on_in_all_regions),
		ALIAS(any_changes_may_be_refused),
		SLOTS(any_changes_may_be_refused),
		ALIAS(defaults_and_mbec_come_whole_or_not),
		SLOTS(limits_without_slots_are_refused),
		ALIAS(overlays_cover_and_uncover),
		SLOTS(overlays_cover_and_uncover),
		ALIAS(overlays_below_are_limited),
		SLOTS(overlays_below_are_limited),
		ALIAS(a_refused_overlay_stays_where_it_was),
		ALIAS(openings_are_for_a_while),
		SLOTS(openings_are_for_a_while),
		SLOTS(openings_end_when_slots_are_back),
		ALIAS(overlays_follow_mbec),
		ALIAS(overlays_follow_protections),
		SLOTS(overlays_follow_protections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
