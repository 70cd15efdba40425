/* SPDX-License-Identifier: MIT */
/* A space's slots: the fewest changes, ids in their range, and what is left on failure. */
#include "memory_fixture.h"
#include "failing_malloc.h"
#include <errno.h>
#include <string.h>

static int setup_mode(void **state, enum vsm_enforcement enforcement)
{
	static struct memory_fixture f;
	struct memory_options o = fixture_options(enforcement, VSM_EXEC_STRICT);

	memory_start(&f, &o, 1);
	assert_int_equal(fixture_region(&f, 0, 64, 0, false), 0);
	assert_int_equal(fixture_region(&f, 80, 96, 64, true), 0);
	assert_int_equal(memory_limit_default(&f.m, 1, PROT_ALL), 0);
	*state = &f;
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
	memory_stop(*state);
	return 0;
}

static unsigned apply(struct memory_fixture *f, struct space *s, unsigned vtl)
{
	unsigned changed = 0;

	assert_int_equal(space_apply(s, &f->m, vtl, &changed), 0);
	assert_true(space_shows(s, &f->m, vtl));
	return changed;
}

static void shows_regions_and_then_does_nothing(void **state)
{
	struct memory_fixture *f = *state;
	struct space *s = &f->spaces[0];
	struct kvm_userspace_memory_region slot;

	assert_false(space_shows(s, &f->m, 0));
	assert_int_equal(apply(f, s, 0), 2);
	assert_int_equal(apply(f, s, 0), 0);
	assert_true(fake_kvm_slot_at(f->x.fake, f->vm_fds[0], 80 << 12, &slot));
	assert_int_equal(slot.flags, KVM_MEM_READONLY);
	assert_int_equal(slot.memory_size, 16 << 12);
	assert_true(slot.slot >= FIXTURE_FIRST_SLOT);
	assert_false(space_shows(s, &f->m, 1));
}

static void one_vm_shows_one_vtl_at_a_time(void **state)
{
	struct memory_fixture *f = *state;
	struct space *s = &f->spaces[0];

	apply(f, s, 0);
	assert_int_equal(apply(f, s, 1), 4);
	assert_false(space_shows(s, &f->m, 0));
	assert_int_equal(apply(f, s, 0), 4);
	assert_int_equal(fake_kvm_slot_count(f->x.fake, f->vm_fds[0]), 2);
}

static void limits_in_an_alias_touch_no_slot(void **state)
{
	struct memory_fixture *f = *state;
	struct space *s = &f->spaces[0];
	uint64_t generation = f->m.views[0].generation;

	apply(f, s, 0);
	assert_int_equal(memory_limit(&f->m, 1, 0, 3, 9, PROT_R | PROT_KX | PROT_UX), 0);
	assert_int_equal(f->m.views[0].generation, generation);
	assert_true(space_shows(s, &f->m, 0));
	assert_int_equal(fixture_access(f, 0, 3), KVM_MAP_READ);
}

/* As many limits as a hypercall has, and one list; unless they may be more than fit. */
static void limits_in_slots_build_no_list_each(void **state)
{
	struct memory_fixture *f = *state;
	struct view *v = &f->m.views[0];
	uint64_t generation;
	size_t count;

	apply(f, &f->spaces[0], 0);
	count = v->count;
	for (uint64_t page = 3; page < 13; page += 2) {
		generation = v->generation;
		assert_int_equal(memory_limit(&f->m, 1, 0, page, page + 1, 0), 0);
		assert_true(v->stale && v->generation > generation);
		assert_int_equal(v->count, count);
	}
	assert_false(space_shows(&f->spaces[0], &f->m, 0));
	assert_int_equal(view_build(&f->m, 0), 0);
	assert_int_equal(v->count, count + 10);
	f->m.slot_limit = count + 11;
	assert_int_equal(memory_limit(&f->m, 1, 0, 21, 22, 0), -ENOSPC);
	f->m.slot_limit = count + 12;
	assert_int_equal(memory_limit(&f->m, 1, 0, 21, 22, 0), 0);
	assert_int_equal(view_build(&f->m, 0), 0);
	assert_int_equal(v->count, count + 12);
}

static void limits_in_slots_touch_their_slot_only(void **state)
{
	struct memory_fixture *f = *state;
	struct space *s = &f->spaces[0];

	apply(f, s, 0);
	assert_int_equal(memory_limit(&f->m, 1, 0, 10, 20, 0), 0);
	assert_false(space_shows(s, &f->m, 0));
	assert_int_equal(apply(f, s, 0), 4);
	assert_int_equal(memory_limit(&f->m, 1, 0, 30, 40, PROT_R | PROT_KX | PROT_UX), 0);
	assert_int_equal(apply(f, s, 0), 4);
	assert_int_equal(fake_kvm_slot_count(f->x.fake, f->vm_fds[0]), 6);
	assert_access(f, 0, 0, 10, KVM_MAP_READ_WRITE);
	assert_access(f, 0, 10, 20, KVM_MAP_NONE);
	assert_access(f, 0, 30, 40, KVM_MAP_READ);
}

/* Not KVM_MEM_READONLY, not missing: the mapping forbids it, and KVM asks no emulator. */
static void slots_of_limited_pages_are_plain(void **state)
{
	static const struct {
		prot_t limit;
		enum kvm_map_prot host;
	} rows[] = {{0, KVM_MAP_NONE}, {PROT_R | PROT_KX | PROT_UX, KVM_MAP_READ}};
	struct memory_fixture *f = *state;
	struct kvm_userspace_memory_region slot;

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(memory_limit(&f->m, 1, 0, 10, 20, rows[i].limit), 0);
		apply(f, &f->spaces[0], 0);
		assert_true(fake_kvm_slot_at(f->x.fake, f->vm_fds[0], 12 << 12, &slot));
		assert_int_equal(slot.guest_phys_addr, 10 << 12);
		assert_int_equal(slot.memory_size, 10 << 12);
		assert_int_equal(slot.flags, 0);
		assert_int_equal(fake_kvm_host_prot(f->x.fake, (void *)slot.userspace_addr),
				 rows[i].host);
	}
	assert_int_equal(fixture_tag(f, 0, 12), fixture_tag(f, 1, 12));
}

/* What is at the page of VTL0's VM: a slot with these flags, of a mapping with this protection. */
static void assert_slot(struct memory_fixture *f, uint64_t page, uint32_t flags,
			enum kvm_map_prot host)
{
	struct kvm_userspace_memory_region slot;

	assert_int_equal(space_apply(&f->spaces[0], &f->m, 0, NULL), 0);
	assert_true(fake_kvm_slot_at(f->x.fake, f->vm_fds[0], page << 12, &slot));
	assert_int_equal(slot.flags, flags);
	slot.userspace_addr += (page << 12) - slot.guest_phys_addr;
	assert_int_equal(fake_kvm_host_prot(f->x.fake, (void *)slot.userspace_addr), host);
}

/* The same of overlays, with both enforcements, be there RAM, nothing, or ROM beneath. */
static void slots_of_overlays_are_plain(void **state)
{
	static const uint64_t pages[] = {5, 70, 85};
	struct memory_fixture *f = *state;
	struct overlay *code = overlay_create(&f->m, 0, PROT_R | PROT_KX | PROT_UX);
	struct overlay *data = overlay_create(&f->m, 0, PROT_R | PROT_W);

	*(uint64_t *)code->host = 0xc;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(overlay_enable(&f->m, data, pages[i]), 0);
		assert_slot(f, pages[i], 0, KVM_MAP_NONE); /* the strict policy */
		assert_int_equal(memory_open_page(&f->m, 0, pages[i], PROT_R | PROT_W), 0);
		assert_slot(f, pages[i], 0, KVM_MAP_READ_WRITE);
		assert_int_equal(memory_shut_page(&f->m, 0, pages[i]), 0);
		assert_slot(f, pages[i], 0, KVM_MAP_NONE);
		assert_int_equal(memory_close_openings(&f->m, 0), 0);
		assert_slot(f, pages[i], 0, KVM_MAP_NONE);
		assert_int_equal(overlay_enable(&f->m, code, pages[i]), 0);
		assert_slot(f, pages[i], 0, KVM_MAP_READ);
		assert_int_equal(fixture_tag(f, 0, pages[i]), 0xc);
		assert_int_equal(overlay_disable(&f->m, code), 0);
		assert_slot(f, pages[i], 0, KVM_MAP_NONE);
		assert_int_equal(overlay_disable(&f->m, data), 0);
	}
	assert_access(f, 0, 70, 71, KVM_MAP_NONE);
	assert_int_equal(fixture_tag(f, 0, 85), FIXTURE_TAG | 69);
}

/*
 * The host may map RAM right in front of the pool. An overlay page behind the RAM is a slot of its
 * own all the same: KVM may refuse that one, where the VMM has a slot, and has to take the other.
 */
static void slots_of_overlays_are_their_own(void **state)
{
	struct memory_fixture *f = *state;
	const struct kvm_host *h = f->x.host;
	struct overlay *o = overlay_create(&f->m, 0, PROT_ALL);
	struct kvm_userspace_memory_region slot, of_vmm = {.guest_phys_addr = 64 << VSM_PAGE_SHIFT,
							   .memory_size = VSM_PAGE_SIZE,
							   .userspace_addr = (uintptr_t)f->x.mem};
	uint8_t **ram = &f->m.regions[0].alias[0], *real = *ram;

	*ram = o->host - (64 << VSM_PAGE_SHIFT);
	assert_int_equal(h->ops->set_memory_region(h, f->vm_fds[0], &of_vmm), 0);
	assert_int_equal(overlay_enable(&f->m, o, 64), 0);
	apply(f, &f->spaces[0], 0);
	assert_true(fake_kvm_slot_at(f->x.fake, f->vm_fds[0], 0, &slot));
	assert_int_equal(slot.memory_size, 64 << VSM_PAGE_SHIFT);
	assert_true(fake_kvm_slot_at(f->x.fake, f->vm_fds[0], of_vmm.guest_phys_addr, &slot));
	assert_int_equal(slot.userspace_addr, of_vmm.userspace_addr);
	*ram = real;
}

/* A VMM expects the exit of a store to ROM; what it is closed for besides, the mapping says. */
static void slots_of_rom_are_read_only(void **state)
{
	struct memory_fixture *f = *state;

	assert_slot(f, 80, KVM_MEM_READONLY, KVM_MAP_READ);
	assert_int_equal(memory_limit(&f->m, 1, 0, 80, 81, PROT_R | PROT_KX | PROT_UX), 0);
	assert_slot(f, 80, KVM_MEM_READONLY, KVM_MAP_READ);
	assert_int_equal(memory_limit(&f->m, 1, 0, 80, 81, 0), 0);
	assert_slot(f, 80, KVM_MEM_READONLY, KVM_MAP_NONE);
	assert_int_equal(memory_open_page(&f->m, 0, 80, PROT_R), 0);
	assert_slot(f, 80, KVM_MEM_READONLY, KVM_MAP_READ);
	assert_int_equal(memory_shut_page(&f->m, 0, 80), 0);
	assert_slot(f, 80, KVM_MEM_READONLY, KVM_MAP_NONE);
	assert_int_equal(memory_close_openings(&f->m, 0), 0);
	assert_slot(f, 81, KVM_MEM_READONLY, KVM_MAP_READ);
}

/* Fails every ioctl of a change in turn; what is shown is never more than the new view. */
static void a_refused_ioctl_shows_a_subset(void **state)
{
	struct memory_fixture *f = *state;
	struct space *s = &f->spaces[0];
	unsigned changed = 0;

	for (unsigned nth = 1; nth <= 4; nth++) {
		assert_int_equal(memory_limit(&f->m, 1, 0, 0, 64, PROT_ALL), 0);
		apply(f, s, 0);
		assert_int_equal(memory_limit(&f->m, 1, 0, 10, 20, 0), 0);
		assert_int_equal(memory_limit(&f->m, 1, 0, 20, 30, PROT_R | PROT_KX | PROT_UX), 0);
		fake_kvm_fail(f->x.fake, FAKE_OP_set_memory_region, nth, ENOMEM);
		assert_int_equal(space_apply(s, &f->m, 0, &changed), -ENOMEM);
		assert_false(space_shows(s, &f->m, 0));
		assert_int_equal(s->shown_vtl, -1);
		for (uint64_t page = 10; page < 20 && nth > 1; page++) {
			int access = fake_kvm_guest_access(f->x.fake, f->vm_fds[0], page << 12);

			assert_true(access == FAKE_NO_SLOT || access == KVM_MAP_NONE);
		}
		apply(f, s, 0);
		assert_access(f, 0, 30, 64, KVM_MAP_READ_WRITE);
		assert_access(f, 0, 20, 30, KVM_MAP_READ);
	}
}

static void a_view_that_cannot_be_had_shows_nothing(void **state)
{
	struct memory_fixture *f = *state;
	struct space *s = &f->spaces[0];

	apply(f, s, 0);
	view_touch(&f->m, 0);
	f->m.slot_limit = 1;
	assert_int_equal(space_apply(s, &f->m, 0, NULL), -ENOSPC);
	assert_int_equal(fake_kvm_slot_count(f->x.fake, f->vm_fds[0]), 0);
	f->m.slot_limit = FIXTURE_SLOTS;
	assert_int_equal(apply(f, s, 0), 2);
}

static void ids_stay_in_their_range(void **state)
{
	struct memory_fixture *f = *state;
	struct kvm_userspace_memory_region slot;
	struct space s;

	assert_int_equal(space_init(&s, f->x.vm_fd, false, 5, 5), -EINVAL);
	assert_int_equal(space_init(&s, f->x.vm_fd, false, 5, 7), 0);
	assert_int_equal(space_apply(&s, &f->m, 0, NULL), 0);
	assert_true(fake_kvm_slot_by_id(f->x.fake, f->x.vm_fd, 5, &slot));
	assert_true(fake_kvm_slot_by_id(f->x.fake, f->x.vm_fd, 6, &slot));
	assert_int_equal(memory_limit(&f->m, 1, 0, 10, 11, 0), 0);
	assert_int_equal(space_apply(&s, &f->m, 0, NULL), -ENOSPC);
	assert_int_equal(memory_limit(&f->m, 1, 0, 10, 11, PROT_ALL), 0);
	assert_int_equal(space_apply(&s, &f->m, 0, NULL), 0);
	space_destroy(f->x.host, &s);
	assert_int_equal(fake_kvm_slot_count(f->x.fake, f->x.vm_fd), 0);
}

static void init_without_memory(void **state)
{
	struct memory_fixture *f = *state;
	struct space s;

	for (unsigned nth = 1; nth <= 3; nth++) {
		fail_malloc(nth);
		assert_int_equal(space_init(&s, f->x.vm_fd, true, 0, 100), -ENOMEM);
		assert_true(malloc_failed());
	}
	fail_malloc(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(shows_regions_and_then_does_nothing, setup_alias,
						teardown),
		cmocka_unit_test_setup_teardown(shows_regions_and_then_does_nothing, setup_slots,
						teardown),
		cmocka_unit_test_setup_teardown(one_vm_shows_one_vtl_at_a_time, setup_alias,
						teardown),
		cmocka_unit_test_setup_teardown(limits_in_an_alias_touch_no_slot, setup_alias,
						teardown),
		cmocka_unit_test_setup_teardown(limits_in_slots_touch_their_slot_only, setup_slots,
						teardown),
		cmocka_unit_test_setup_teardown(limits_in_slots_build_no_list_each, setup_slots,
						teardown),
		cmocka_unit_test_setup_teardown(slots_of_limited_pages_are_plain, setup_slots,
						teardown),
		cmocka_unit_test_setup_teardown(slots_of_overlays_are_plain, setup_alias, teardown),
		cmocka_unit_test_setup_teardown(slots_of_overlays_are_plain, setup_slots, teardown),
		cmocka_unit_test_setup_teardown(slots_of_overlays_are_their_own, setup_alias,
						teardown),
		cmocka_unit_test_setup_teardown(slots_of_rom_are_read_only, setup_alias, teardown),
		cmocka_unit_test_setup_teardown(slots_of_rom_are_read_only, setup_slots, teardown),
		cmocka_unit_test_setup_teardown(a_refused_ioctl_shows_a_subset, setup_slots,
						teardown),
		cmocka_unit_test_setup_teardown(a_view_that_cannot_be_had_shows_nothing,
						setup_slots, teardown),
		cmocka_unit_test_setup_teardown(ids_stay_in_their_range, setup_slots, teardown),
		cmocka_unit_test_setup_teardown(init_without_memory, setup_alias, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
