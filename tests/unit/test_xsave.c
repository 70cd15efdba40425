/* SPDX-License-Identifier: MIT */
/*
 * What of an XSAVE image is compared and copied: the components XSTATE_BV names, where the host's
 * CPUID says they are.
 */
#include "failing_malloc.h"
#include "fixture.h"

#include <stdlib.h>
#include <string.h>
#include "kvm/cpuid.h"
#include "registers/xsave.h"

#define SIZE	    ((size_t)4096)
#define AVX_END	    832
#define PKRU	    9
#define PKRU_OFFSET 2688
#define HEADER_BYTE 520
#define LAST_BYTE   (SIZE - 1)
#define AVX_PKRU    0x207 /* with x87 and SSE, as stock kernels have it */
#define LEAF(i, s, o)                                                       \
	{                                                                   \
		.function = 0xd, .index = i, .flags = 1, .eax = s, .ebx = o \
	}

static const struct kvm_cpuid_entry2 usual[] = {
	LEAF(0, 0x207, 0x340), LEAF(1, 0xf, 0),	  LEAF(2, 0x100, 576),
	LEAF(PKRU, 8, 2688),   LEAF(11, 0x10, 0),
};

struct images {
	struct fixture x;
	struct xsave_layout l;
	uint8_t a[4096], b[4096];
};

static struct images s;

static void set_cpuid(const struct kvm_cpuid_entry2 *entries, size_t count)
{
	struct kvm_cpuid2 *table;

	fake_kvm_set_cpuid(s.x.fake, entries, count);
	table = cpuid_supported(s.x.host, s.x.dev_fd);
	assert_non_null(table);
	xsave_layout_init(&s.l, table, SIZE);
	free(table);
}

static int set_up(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	fixture_start(&s.x, 1);
	set_cpuid(usual, ARRAY_SIZE(usual));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_stop(&s.x);
	return 0;
}

static void set_bv(uint8_t *image, uint64_t bits)
{
	memcpy(image + XSAVE_BV_OFFSET, &bits, sizeof(bits));
}

/* Is a difference in this byte seen, with these components in both? And is it gone after a copy? */
static bool differs_at(size_t at, uint64_t bits)
{
	bool equal;

	memset(s.a, 0, sizeof(s.a));
	memset(s.b, 0, sizeof(s.b));
	set_bv(s.a, bits);
	set_bv(s.b, bits);
	assert_true(xsave_equal(&s.l, s.a, s.b));
	s.a[at] ^= 1;
	equal = xsave_equal(&s.l, s.a, s.b);
	xsave_copy(&s.l, s.b, s.a);
	assert_true(xsave_equal(&s.l, s.a, s.b));
	assert_int_equal(s.b[at] == s.a[at], !equal);
	return !equal;
}

static void test_layout(void **state)
{
	(void)state;
	assert_int_equal(s.l.size, SIZE);
	assert_int_equal(s.l.known, AVX_PKRU);
	assert_int_equal(s.l.places[2].offset, 576);
	assert_int_equal(s.l.places[PKRU].offset, PKRU_OFFSET);
	assert_int_equal(s.l.places[PKRU].size, 8);
}

static void test_parts(void **state)
{
	static const struct {
		size_t at;
		uint64_t bits;
		bool seen;
	} rows[] = {
		{0, 0, true},
		{24, 0, true}, /* MXCSR */
		{511, 3, true},
		{HEADER_BYTE, 3, true},
		{575, 3, true},
		{576, 3, false},
		{576, 7, true},
		{AVX_END - 1, 7, true},
		{AVX_END, 7, false},
		{AVX_END - 1, 4, true},
		{PKRU_OFFSET, 7, false},
		{PKRU_OFFSET, AVX_PKRU, true},
		{PKRU_OFFSET + 7, AVX_PKRU, true},
		{PKRU_OFFSET + 8, AVX_PKRU, false},
		{PKRU_OFFSET - 1, AVX_PKRU, false},
		{AVX_END - 1, AVX_PKRU, true},
		{576, 0x203, false},
		{PKRU_OFFSET, 0x203, true},
		{LAST_BYTE, AVX_PKRU, false},
		/* Components nobody said the place of: the image as a whole. */
		{LAST_BYTE, 0x20, true},
		{LAST_BYTE, 0x807, true},
		{AVX_END, UINT64_C(1) << 63, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (differs_at(rows[i].at, rows[i].bits) != rows[i].seen)
			fail_msg("byte %zu with components %#llx", rows[i].at,
				 (unsigned long long)rows[i].bits);
}

/* What is in use is itself compared, either way. */
static void test_components_that_come_and_go(void **state)
{
	(void)state;
	for (unsigned i = 0; i < XSAVE_COMPONENTS; i++) {
		memset(s.a, 0, sizeof(s.a));
		memset(s.b, 0, sizeof(s.b));
		set_bv(s.a, UINT64_C(1) << i);
		assert_false(xsave_equal(&s.l, s.a, s.b));
		assert_false(xsave_equal(&s.l, s.b, s.a));
		xsave_copy(&s.l, s.b, s.a);
		assert_memory_equal(s.a, s.b, sizeof(s.a));
	}
}

/* AVX where no processor has it. */
static void test_other_order(void **state)
{
	static const struct kvm_cpuid_entry2 entries[] = {LEAF(2, 0x100, 1024), LEAF(3, 0x40, 576)};

	(void)state;
	set_cpuid(entries, ARRAY_SIZE(entries));
	assert_true(differs_at(1024, 7));
	assert_true(differs_at(1279, 7));
	assert_false(differs_at(576, 7));
	assert_true(differs_at(576, 0xf));
	assert_true(differs_at(1024, 0xf));
	assert_false(differs_at(1280, 0xf));
}

static void test_nonsense_is_not_believed(void **state)
{
	static const struct kvm_cpuid_entry2 entries[] = {
		LEAF(2, 0x100, 500),
		LEAF(3, 0x100, 4000),
		LEAF(4, 8, 0xffffffff),
		LEAF(5, 0xffffffff, 1024),
		LEAF(64, 8, 1024),
		{.function = 0xe, .index = 6, .flags = 1, .eax = 8, .ebx = 1024},
	};

	(void)state;
	set_cpuid(entries, ARRAY_SIZE(entries));
	assert_int_equal(s.l.known, XSAVE_X87 | XSAVE_SSE);
	assert_true(differs_at(LAST_BYTE, 7));
}

static void test_no_cpuid(void **state)
{
	static struct kvm_cpuid_entry2 many[257]; /* KVM has at most 256 */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = usual[i % ARRAY_SIZE(usual)];
	set_cpuid(many, ARRAY_SIZE(many));
	assert_int_equal(s.l.known, XSAVE_X87 | XSAVE_SSE);
	assert_true(differs_at(LAST_BYTE, 7));
	assert_false(differs_at(LAST_BYTE, 3));
}

static void test_out_of_memory(void **state)
{
	(void)state;
	fail_malloc(1);
	assert_null(cpuid_supported(s.x.host, s.x.dev_fd));
	assert_true(malloc_failed());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_layout, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_parts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_components_that_come_and_go, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_other_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nonsense_is_not_believed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_cpuid, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_out_of_memory, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
