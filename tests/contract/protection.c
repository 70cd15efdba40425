// SPDX-License-Identifier: MIT
/*
 * Accesses to host pages that mprotect() closed. They surface in one of two ways, and the library
 * takes both: KVM_RUN fails with EFAULT and the state before the instruction, or KVM emulates and
 * makes an MMIO exit or an internal error of it. Once the page is open again the guest goes on.
 */
#include "world.h"

static void protect(struct world *w, uint64_t gpa, enum kvm_map_prot prot)
{
	assert_int_equal(OP(w, protect_memory, w->alias + gpa, PAGE_BYTES, prot), 0);
}

static void set_rax(struct world *w, uint64_t value)
{
	struct kvm_regs regs = world_regs(w);

	regs.rax = value;
	world_set_regs(w, &regs);
}

static void check_unchanged(struct world *w, const struct kvm_regs *before)
{
	struct kvm_regs now = world_regs(w);

	assert_memory_equal(&now, before, sizeof(now));
}

static uint64_t word_at(struct world *w, uint64_t gpa)
{
	uint64_t word;

	memcpy(&word, w->mem + gpa, sizeof(word));
	return word;
}

static void check_mmio(struct world *w, bool write)
{
	assert_int_equal(w->run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(w->run->mmio.phys_addr, GUEST_PAGE);
	assert_int_equal(w->run->mmio.len, 8);
	assert_int_equal(w->run->mmio.is_write, write);
}

/* Whether the access failed in place: the fake must do as it says, a real KVM has the choice. */
static bool failed_in_place(struct world *w, int ret)
{
	if (w->fake)
		assert_int_equal(ret == -EFAULT, !(contract_host.fake_flags & FAKE_EMULATES));
	if (ret != -EFAULT)
		assert_int_equal(ret, 0);
	return ret == -EFAULT;
}

static void store_to_closed(struct world *w, enum kvm_map_prot prot)
{
	struct kvm_regs before;
	uint64_t value = STORED_VALUE;
	int ret;

	world_load(w, &guest_store_page);
	set_rax(w, value);
	before = world_regs(w);
	protect(w, GUEST_PAGE, prot);
	ret = world_run(w);
	assert_int_equal(word_at(w, GUEST_PAGE), 0);
	protect(w, GUEST_PAGE, KVM_MAP_READ_WRITE);
	if (failed_in_place(w, ret)) {
		check_unchanged(w, &before);
		world_expect_out(w, PORT_FIRST);
		assert_int_equal(word_at(w, GUEST_PAGE), value);
	} else {
		check_mmio(w, true);
		assert_memory_equal(w->run->mmio.data, &value, sizeof(value));
		assert_int_equal(world_regs(w).rip, GUEST_CODE + 8);
		world_expect_out(w, PORT_FIRST);
	}
}

static void test_store_to_read_only_page(void **state)
{
	store_to_closed(*state, KVM_MAP_READ);
}

static void test_store_to_closed_page(void **state)
{
	store_to_closed(*state, KVM_MAP_NONE);
}

/* A guest that has had the page keeps no way around a protection that comes later. */
static void test_store_after_access(void **state)
{
	struct world *w = *state;

	world_load(w, &guest_store_page);
	world_expect_out(w, PORT_FIRST);
	world_complete(w);
	world_set_rip(w, GUEST_CODE);
	store_to_closed(w, KVM_MAP_READ);
}

static void test_load_from_read_only_page(void **state)
{
	struct world *w = *state;
	uint64_t value = STORED_VALUE;

	world_load(w, &guest_load_page);
	memcpy(w->mem + GUEST_PAGE, &value, sizeof(value));
	protect(w, GUEST_PAGE, KVM_MAP_READ);
	world_expect_out(w, PORT_FIRST);
	assert_int_equal(world_regs(w).rax, value);
}

static void test_load_from_closed_page(void **state)
{
	struct world *w = *state;
	struct kvm_regs before;
	uint64_t value = STORED_VALUE;
	int ret;

	world_load(w, &guest_load_page);
	memcpy(w->mem + GUEST_PAGE, &value, sizeof(value));
	before = world_regs(w);
	protect(w, GUEST_PAGE, KVM_MAP_NONE);
	ret = world_run(w);
	protect(w, GUEST_PAGE, KVM_MAP_READ_WRITE);
	if (failed_in_place(w, ret)) {
		check_unchanged(w, &before);
	} else {
		check_mmio(w, false);
		memcpy(w->run->mmio.data, &value, sizeof(value));
	}
	world_expect_out(w, PORT_FIRST);
	assert_int_equal(world_regs(w).rax, value);
}

/* KVM leaves #UD pending when it gives up emulating: it must go before the guest goes on. */
static void drop_exception(struct world *w)
{
	struct kvm_vcpu_events events;

	assert_int_equal(OP(w, get_vcpu_events, w->vcpu_fd, &events), 0);
	events.exception.injected = 0;
	events.exception.pending = 0;
	assert_int_equal(OP(w, set_vcpu_events, w->vcpu_fd, &events), 0);
}

static void test_fetch_from_closed_page(void **state)
{
	struct world *w = *state;
	int ret;

	world_load(w, &guest_far_out);
	world_set_rip(w, GUEST_FAR);
	if (w->fake)
		fake_vcpu_fetch(w->fake, w->vcpu_fd, true);
	protect(w, GUEST_FAR, KVM_MAP_NONE);
	ret = world_run(w);
	protect(w, GUEST_FAR, KVM_MAP_READ_WRITE);
	assert_int_equal(world_regs(w).rip, GUEST_FAR);
	if (!failed_in_place(w, ret)) {
		assert_int_equal(w->run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
		assert_int_equal(w->run->internal.suberror, KVM_INTERNAL_ERROR_EMULATION);
		drop_exception(w);
	}
	world_expect_out(w, PORT_FIRST);
}

static void test_fetch_from_hole(void **state)
{
	struct world *w = *state;

	world_load(w, &guest_outs);
	world_set_rip(w, GUEST_HOLE);
	if (w->fake) {
		struct fake_step fetch = {
			.kind = FAKE_NOP, .rip = GUEST_HOLE, .length = 1, .flags = FAKE_OPTIONAL};

		fake_vcpu_program(w->fake, w->vcpu_fd, &fetch, 1);
		fake_vcpu_fetch(w->fake, w->vcpu_fd, true);
	}
	assert_int_equal(world_run(w), 0);
	assert_int_equal(w->run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
	assert_int_equal(w->run->internal.suberror, KVM_INTERNAL_ERROR_EMULATION);
	assert_int_equal(world_regs(w).rip, GUEST_HOLE);
	drop_exception(w);
	world_set_rip(w, GUEST_CODE);
	world_expect_out(w, PORT_FIRST);
}

const struct CMUnitTest protection_tests[] = {
	WORLD_TEST(test_store_to_read_only_page), WORLD_TEST(test_store_to_closed_page),
	WORLD_TEST(test_store_after_access),	  WORLD_TEST(test_load_from_read_only_page),
	WORLD_TEST(test_load_from_closed_page),	  WORLD_TEST(test_fetch_from_closed_page),
	WORLD_TEST(test_fetch_from_hole),
};
const size_t protection_test_count = ARRAY_SIZE(protection_tests);
