/* SPDX-License-Identifier: MIT */
/* The protection map against a naive array of pages, its cost, and its behaviour without memory. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "failing_malloc.h"
#include "memory/protmap.h"

/* --- single cases --- */

static void assert_run(const struct protmap *map, uint64_t page, prot_t mask, uint64_t end)
{
	uint64_t got = 0;

	assert_int_equal(protmap_get(map, page, &got), mask);
	assert_int_equal(got, end);
}

static void empty_map_is_all_default(void **state)
{
	struct protmap map;

	(void)state;
	protmap_init(&map, PROT_R);
	assert_run(&map, 0, PROT_R, UINT64_MAX);
	assert_run(&map, UINT64_MAX - 1, PROT_R, UINT64_MAX);
	assert_int_equal(map.count, 0);
	protmap_clear(&map);
	assert_int_equal(map.default_mask, PROT_R);
}

static void ranges_coalesce_and_split(void **state)
{
	struct protmap map;

	(void)state;
	protmap_init(&map, PROT_ALL);
	assert_int_equal(protmap_set(&map, 10, 20, PROT_R), 0);
	assert_int_equal(protmap_set(&map, 20, 30, PROT_R), 0);
	assert_int_equal(protmap_set(&map, 5, 10, PROT_R), 0);
	assert_int_equal(map.count, 1);
	assert_run(&map, 0, PROT_ALL, 5);
	assert_run(&map, 7, PROT_R, 30);
	assert_int_equal(protmap_set(&map, 12, 14, 0), 0);
	assert_int_equal(map.count, 3);
	assert_run(&map, 5, PROT_R, 12);
	assert_run(&map, 12, 0, 14);
	assert_run(&map, 14, PROT_R, 30);
	assert_int_equal(protmap_set(&map, 0, 12, PROT_ALL), 0);
	assert_int_equal(map.count, 2);
	assert_run(&map, 0, PROT_ALL, 12);
	assert_int_equal(protmap_set(&map, 0, UINT64_MAX, PROT_ALL), 0);
	assert_int_equal(map.count, 0);
}

static void bounds_of_the_address_space(void **state)
{
	struct protmap map;

	(void)state;
	protmap_init(&map, PROT_ALL);
	assert_int_equal(protmap_set(&map, UINT64_MAX - 2, UINT64_MAX, 0), 0);
	assert_int_equal(protmap_set(&map, 0, 1, 0), 0);
	assert_run(&map, UINT64_MAX - 2, 0, UINT64_MAX);
	assert_run(&map, 1, PROT_ALL, UINT64_MAX - 2);
	assert_int_equal(protmap_set(&map, 0, UINT64_MAX, 0), 0);
	assert_int_equal(map.count, 1);
	protmap_clear(&map);
}

static void empty_ranges_are_refused(void **state)
{
	struct protmap map;

	(void)state;
	protmap_init(&map, PROT_ALL);
	assert_int_equal(protmap_set(&map, 5, 5, 0), -EINVAL);
	assert_int_equal(protmap_set(&map, 6, 5, 0), -EINVAL);
	assert_int_equal(map.count, 0);
}

static void default_changes_implicit_pages_only(void **state)
{
	struct protmap map;

	(void)state;
	protmap_init(&map, PROT_ALL);
	assert_int_equal(protmap_set(&map, 10, 20, PROT_R), 0);
	assert_int_equal(protmap_set(&map, 30, 40, 0), 0);
	protmap_set_default(&map, PROT_R);
	assert_int_equal(map.count, 1);
	assert_run(&map, 0, PROT_R, 30);
	assert_run(&map, 30, 0, 40);
	protmap_set_default(&map, PROT_ALL);
	assert_run(&map, 10, PROT_ALL, 30);
	protmap_clear(&map);
}

/* --- random operations against an array --- */

#define PAGES  512
#define ROUNDS 2500000

struct naive {
	prot_t mask[PAGES];
	prot_t default_mask;
};

static uint64_t seed;

static uint32_t random_below(uint32_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((seed >> 33) % n);
}

static void naive_set(struct naive *n, uint64_t first, uint64_t end, prot_t mask)
{
	for (uint64_t page = first; page < end; page++)
		n->mask[page] = mask;
}

static void naive_default(struct naive *n, prot_t mask)
{
	for (unsigned page = 0; page < PAGES; page++) {
		if (n->mask[page] == n->default_mask)
			n->mask[page] = mask;
	}
	n->default_mask = mask;
}

static uint64_t naive_end(const struct naive *n, uint64_t page)
{
	uint64_t end = page + 1;

	while (end < PAGES && n->mask[end] == n->mask[page])
		end++;
	return end == PAGES && n->mask[page] == n->default_mask ? UINT64_MAX : end;
}

static size_t naive_count(const struct naive *n)
{
	size_t count = 0;

	for (unsigned page = 0; page < PAGES; page++) {
		if (n->mask[page] != n->default_mask &&
		    (!page || n->mask[page - 1] != n->mask[page]))
			count++;
	}
	return count;
}

/* The tree is an AVL tree; returns its height. */
static int assert_balanced(const struct protmap_node *n)
{
	int left, right;

	if (!n)
		return 0;
	left = assert_balanced(n->left);
	right = assert_balanced(n->right);
	assert_true(left - right <= 1 && right - left <= 1);
	assert_int_equal(n->height, 1 + (left > right ? left : right));
	return n->height;
}

static void compare(const struct protmap *map, const struct naive *n, uint64_t page)
{
	assert_run(map, page, n->mask[page], naive_end(n, page));
}

static void random_range(uint64_t *first, uint64_t *end)
{
	*first = random_below(PAGES);
	*end = *first + 1 + random_below(random_below(4) ? 8 : (uint32_t)(PAGES - *first));
	if (*end > PAGES)
		*end = PAGES;
}

static void change_and_think_again(struct protmap *map, const struct naive *n, uint64_t first,
				   uint64_t end, prot_t mask)
{
	struct protmap_undo undo;
	uint64_t page = first + random_below((uint32_t)(end - first));

	assert_int_equal(protmap_change(map, first, end, mask, &undo), 0);
	assert_int_equal(protmap_get(map, page, NULL), mask);
	if (!undo.unchanged)
		assert_int_equal(protmap_get(&undo.old, page, NULL), n->mask[page]);
	protmap_revert(map, &undo);
	assert_int_equal(map->count, naive_count(n));
}

static void random_operation(struct protmap *map, struct naive *n)
{
	prot_t mask = (prot_t)random_below(random_below(2) ? 3 : 16);
	uint64_t first, end;

	random_range(&first, &end);
	switch (random_below(64)) {
	case 0:
		naive_default(n, mask);
		protmap_set_default(map, mask);
		break;
	case 1:
		change_and_think_again(map, n, first, end, mask);
		break;
	default:
		assert_int_equal(protmap_set(map, first, end, mask), 0);
		naive_set(n, first, end, mask);
	}
	compare(map, n, first);
	compare(map, n, end - 1);
	if (first)
		compare(map, n, first - 1);
}

static void random_operations(void **state)
{
	struct naive n = {.default_mask = PROT_ALL};
	const char *given = getenv("VSM_TEST_SEED");
	struct protmap map;

	(void)state;
	seed = given ? strtoull(given, NULL, 0) : 0x5eed;
	print_message("VSM_TEST_SEED=%#llx\n", (unsigned long long)seed);
	memset(n.mask, PROT_ALL, sizeof(n.mask));
	protmap_init(&map, PROT_ALL);
	for (unsigned i = 0; i < ROUNDS; i++) {
		random_operation(&map, &n);
		compare(&map, &n, random_below(PAGES));
		if (i % 64)
			continue;
		assert_int_equal(map.count, naive_count(&n));
		assert_balanced(map.root);
		if (i % 4096)
			continue;
		for (unsigned page = 0; page < PAGES; page++)
			compare(&map, &n, page);
	}
	protmap_clear(&map);
	assert_int_equal(map.count, 0);
}

/* --- without memory --- */

static void no_memory_changes_nothing(void **state)
{
	struct protmap map;

	(void)state;
	protmap_init(&map, PROT_ALL);
	assert_int_equal(protmap_set(&map, 10, 40, PROT_R), 0);
	for (unsigned nth = 1; nth <= 3; nth++) {
		fail_malloc(nth);
		assert_int_equal(protmap_set(&map, 20, 30, 0), -ENOMEM);
		assert_true(malloc_failed());
		assert_int_equal(map.count, 1);
		assert_run(&map, 10, PROT_R, 40);
	}
	fail_malloc(0);
	protmap_clear(&map);
}

/* --- cost --- */

#define MANY 200000

/* Every second page: as bad as it gets. In an order that has its own pattern. */
static void ranges_are_small_and_many_are_quick(void **state)
{
	struct mallinfo2 before, after;
	struct protmap map;

	(void)state;
	protmap_init(&map, PROT_ALL);
	before = mallinfo2();
	for (uint64_t i = 0; i < MANY; i++)
		assert_int_equal(protmap_set(&map, i * 2, i * 2 + 1, PROT_R), 0);
	after = mallinfo2();
	assert_int_equal(map.count, MANY);
	assert_balanced(map.root);
#ifndef __SANITIZE_ADDRESS__
	assert_true(after.uordblks - before.uordblks <= (size_t)128 * MANY);
#endif
	for (uint64_t i = 0; i < MANY; i++)
		assert_run(&map, i * 2, PROT_R, i * 2 + 1);
	for (uint64_t i = 0; i < MANY; i += 100)
		assert_int_equal(protmap_set(&map, i * 2, (i + 100) * 2, 0), 0);
	assert_int_equal(map.count, 1);
	protmap_clear(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_map_is_all_default),
		cmocka_unit_test(ranges_coalesce_and_split),
		cmocka_unit_test(bounds_of_the_address_space),
		cmocka_unit_test(empty_ranges_are_refused),
		cmocka_unit_test(default_changes_implicit_pages_only),
		cmocka_unit_test(random_operations),
		cmocka_unit_test(no_memory_changes_nothing),
		cmocka_unit_test(ranges_are_small_and_many_are_quick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
