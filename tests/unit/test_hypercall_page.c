/* SPDX-License-Identifier: MIT */
/* The hypercall page: its bytes, its offsets, and which entry an exit came from. */
#include "fixture.h"

#include "hypercall/hypercall.h"

static void page_has_three_entries(void **state)
{
	static const unsigned offsets[] = {0, 0x16, 0x20};
	uint8_t page[4096];
	unsigned other = 0;

	(void)state;
	hypercall_page_fill(page, 0xe7);
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		const uint8_t code[] = {0xe6, 0xe7, 0xc3};

		assert_memory_equal(page + offsets[i], code, sizeof(code));
	}
	for (size_t i = 0; i < sizeof(page); i++)
		other += page[i] == 0xcc;
	assert_int_equal(other, sizeof(page) - 9);
}

static void port_is_the_partitions(void **state)
{
	uint8_t page[4096];

	(void)state;
	hypercall_page_fill(page, 0x42);
	assert_int_equal(page[1], 0x42);
	assert_int_equal(page[0x17], 0x42);
	assert_int_equal(page[0x21], 0x42);
}

static void offsets_name_the_entries(void **state)
{
	uint64_t offsets = hypercall_page_offsets();
	unsigned out;

	(void)state;
	assert_int_equal(offsets & 0xfff, 0x16);
	assert_int_equal(offsets >> 12 & 0xfff, 0x20);
	assert_int_equal(offsets >> 24, 0);
	assert_int_equal(hypercall_page_entry(offsets & 0xfff, &out), HYPERCALL_ENTRY_VTL_CALL);
	assert_int_equal(hypercall_page_entry(offsets >> 12, &out), HYPERCALL_ENTRY_VTL_RETURN);
}

static void exit_is_at_or_past_the_out(void **state)
{
	static const struct {
		unsigned at;
		enum hypercall_entry entry;
		unsigned out;
	} cases[] = {
		{0, HYPERCALL_ENTRY_HYPERCALL, 0},	  {2, HYPERCALL_ENTRY_HYPERCALL, 0},
		{0x16, HYPERCALL_ENTRY_VTL_CALL, 0x16},	  {0x18, HYPERCALL_ENTRY_VTL_CALL, 0x16},
		{0x20, HYPERCALL_ENTRY_VTL_RETURN, 0x20}, {0x22, HYPERCALL_ENTRY_VTL_RETURN, 0x20},
	};
	unsigned found = 0, out;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(hypercall_page_entry(cases[i].at, &out), cases[i].entry);
		assert_int_equal(out, cases[i].out);
	}
	for (unsigned at = 0; at < 4096; at++)
		found += hypercall_page_entry(at, &out) != HYPERCALL_ENTRY_NONE;
	assert_int_equal(found, ARRAY_SIZE(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(page_has_three_entries),
		cmocka_unit_test(port_is_the_partitions),
		cmocka_unit_test(offsets_name_the_entries),
		cmocka_unit_test(exit_is_at_or_past_the_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
