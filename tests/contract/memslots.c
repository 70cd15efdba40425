// SPDX-License-Identifier: MIT
/* What KVM_SET_USER_MEMORY_REGION takes and refuses, and the ids of vCPUs. */
#include "world.h"

#define SLOT  1
#define AT    0x200000u
#define BYTES (4 * PAGE_BYTES)

static uint8_t *spare(struct world *w)
{
	return w->alias + GUEST_SPARE;
}

static void test_add_and_delete(void **state)
{
	struct world *w = *state;

	assert_int_equal(world_set_slot(w, SLOT, AT, BYTES, 0, spare(w)), 0);
	assert_int_equal(world_set_slot(w, SLOT, AT, BYTES, 0, spare(w)), 0); /* no change */
	assert_int_equal(world_set_slot(w, SLOT, AT, 0, 0, spare(w)), 0);
	assert_int_equal(world_set_slot(w, SLOT, AT, 0, 0, spare(w)), -EINVAL); /* none there */
	assert_int_equal(world_set_slot(w, SLOT, AT, 2 * BYTES, 0, spare(w)), 0);
}

static void test_overlap(void **state)
{
	struct world *w = *state;

	assert_int_equal(world_set_slot(w, SLOT, AT, BYTES, 0, spare(w)), 0);
	assert_int_equal(world_set_slot(w, 2, AT, BYTES, 0, spare(w)), -EEXIST);
	assert_int_equal(world_set_slot(w, 2, AT + BYTES - PAGE_BYTES, BYTES, 0, spare(w)),
			 -EEXIST);
	assert_int_equal(world_set_slot(w, 2, AT - PAGE_BYTES, BYTES, 0, spare(w)), -EEXIST);
	/* Neighbours, on the same host memory at that. */
	assert_int_equal(world_set_slot(w, 2, AT + BYTES, BYTES, 0, spare(w)), 0);
	assert_int_equal(world_set_slot(w, 3, AT - BYTES, BYTES, 0, spare(w)), 0);
}

static void test_what_cannot_change(void **state)
{
	struct world *w = *state;

	assert_int_equal(world_set_slot(w, SLOT, AT, BYTES, 0, spare(w)), 0);
	assert_int_equal(world_set_slot(w, SLOT, AT, BYTES, KVM_MEM_READONLY, spare(w)), -EINVAL);
	assert_int_equal(world_set_slot(w, SLOT, AT, 2 * BYTES, 0, spare(w)), -EINVAL);
	assert_int_equal(world_set_slot(w, SLOT, AT, BYTES - PAGE_BYTES, 0, spare(w)), -EINVAL);
	assert_int_equal(world_set_slot(w, SLOT, AT, BYTES, 0, spare(w) + PAGE_BYTES), -EINVAL);
	/* The slot is as it was: what could change it does not find it changed. */
	assert_int_equal(world_set_slot(w, SLOT, AT, BYTES, 0, spare(w)), 0);
}

/* What cannot change can be deleted and made anew. */
static void test_recreate_read_only(void **state)
{
	struct world *w = *state;

	WORLD_NEED(w, KVM_CAP_READONLY_MEM);
	assert_int_equal(world_set_slot(w, SLOT, AT, BYTES, 0, spare(w)), 0);
	assert_int_equal(world_set_slot(w, SLOT, AT, 0, 0, NULL), 0);
	assert_int_equal(world_set_slot(w, SLOT, AT, BYTES, KVM_MEM_READONLY, spare(w)), 0);
	assert_int_equal(world_set_slot(w, SLOT, AT, BYTES, 0, spare(w)), -EINVAL);
}

static void test_move(void **state)
{
	struct world *w = *state;

	assert_int_equal(world_set_slot(w, SLOT, AT, BYTES, 0, spare(w)), 0);
	assert_int_equal(world_set_slot(w, 2, AT + 4 * BYTES, BYTES, 0, spare(w)), 0);
	assert_int_equal(world_set_slot(w, SLOT, AT + BYTES, BYTES, 0, spare(w)), 0);
	assert_int_equal(world_set_slot(w, SLOT, AT + 4 * BYTES, BYTES, 0, spare(w)), -EEXIST);
	/* It left its old place. */
	assert_int_equal(world_set_slot(w, 3, AT, BYTES, 0, spare(w)), 0);
}

static void test_alignment_and_range(void **state)
{
	struct world *w = *state;

	assert_int_equal(world_set_slot(w, SLOT, AT + 8, BYTES, 0, spare(w)), -EINVAL);
	assert_int_equal(world_set_slot(w, SLOT, AT, BYTES + 8, 0, spare(w)), -EINVAL);
	assert_int_equal(world_set_slot(w, SLOT, AT, BYTES, 0, spare(w) + 8), -EINVAL);
	assert_int_equal(world_set_slot(w, SLOT, AT, BYTES, 1u << 30, spare(w)), -EINVAL);
	assert_int_equal(world_set_slot(w, SLOT, ~UINT64_C(0xfff), BYTES, 0, spare(w)), -EINVAL);
}

static void test_slot_ids(void **state)
{
	struct world *w = *state;
	int limit = OP(w, check_extension, w->vm_fd, KVM_CAP_NR_MEMSLOTS);

	assert_true(limit > SLOT);
	assert_int_equal(world_set_slot(w, (uint32_t)limit, AT, BYTES, 0, spare(w)), -EINVAL);
	assert_int_equal(world_set_slot(w, (uint32_t)limit - 1, AT, BYTES, 0, spare(w)), 0);
}

static void test_vcpu_ids(void **state)
{
	struct world *w = *state;
	int limit = OP(w, check_extension, w->vm_fd, KVM_CAP_MAX_VCPU_ID);
	int fd;

	assert_int_equal(OP(w, create_vcpu, w->vm_fd, 0), -EEXIST);
	fd = OP(w, create_vcpu, w->vm_fd, 1);
	assert_true(fd >= 0);
	assert_int_equal(OP(w, close_fd, fd), 0);
	assert_int_equal(OP(w, create_vcpu, w->vm_fd, 1), -EEXIST); /* the vCPU stays */
	if (limit > 0)
		assert_int_equal(OP(w, create_vcpu, w->vm_fd, (unsigned long)limit), -EINVAL);
}

const struct CMUnitTest memslot_tests[] = {
	WORLD_TEST(test_add_and_delete),
	WORLD_TEST(test_overlap),
	WORLD_TEST(test_what_cannot_change),
	WORLD_TEST(test_recreate_read_only),
	WORLD_TEST(test_move),
	WORLD_TEST(test_alignment_and_range),
	WORLD_TEST(test_slot_ids),
	WORLD_TEST(test_vcpu_ids),
};
const size_t memslot_test_count = ARRAY_SIZE(memslot_tests);
