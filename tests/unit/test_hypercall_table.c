/* SPDX-License-Identifier: MIT */
/* The table of hypercalls (tests/hypercalls) on the fake KVM: a partition for each row and form. */
#include "hypercall_table_env.h"

#include "hypercall/call.h"

static const struct vsm_partition_options *options_of(const struct hct_row *row)
{
	static const struct vsm_partition_options strict = {.exec_policy = VSM_EXEC_STRICT};
	static const struct vsm_partition_options kernel_apic = {.flags = HC_KERNEL_APIC};
	static const struct vsm_partition_options relaxed = {.exec_policy = VSM_EXEC_RELAXED};

	if (row->flags & HCT_KERNEL_APIC)
		return &kernel_apic;
	return row->flags & HCT_RELAXED ? &relaxed : &strict;
}

static void start_in(enum hct_state state, const struct vsm_partition_options *options)
{
	table_env_start(options);
	for (unsigned s = HCT_NONE + 1; s <= state; s++)
		assert_true(hct_advance((enum hct_state)s));
}

static void run_row(const struct hct_row *row, enum hct_form form)
{
	start_in((enum hct_state)row->state, options_of(row));
	assert_true(hct_run_row(row, form));
	assert_int_equal(table_env_reports(), 0);
	table_env_stop();
}

static void run_family(void **state)
{
	const struct hct_family *family = *state;

	for (unsigned i = 0; i < *family->count; i++) {
		const struct hct_row *row = &family->rows[i];

		for (unsigned form = 0; form < HCT_FORMS; form++)
			if (hct_row_fits(row, (enum hct_form)form))
				run_row(row, (enum hct_form)form);
	}
}

static void breaches_of_the_convention(void **state)
{
	const struct vsm_partition_options options = {0};

	(void)state;
	for (unsigned i = 0; i < hct_info_count; i++) {
		start_in(HCT_NONE, &options);
		assert_true(hct_run_breaches(&hct_infos[i]));
		table_env_stop();
	}
}

static void unknown_codes(void **state)
{
	const struct vsm_partition_options options = {0};

	(void)state;
	start_in(HCT_NONE, &options);
	assert_true(hct_run_unknown_codes());
	table_env_stop();
}

static void closed_pages(void **state)
{
	const struct vsm_partition_options options = {0};

	(void)state;
	for (unsigned i = 0; i < hct_info_count; i++) {
		start_in(HCT_PROTECTED, &options);
		assert_true(hct_run_closed(&hct_infos[i]));
		table_env_stop();
	}
}

/* All rows in one partition, in the order of the states: what is undone is undone. */
static void as_a_guest_does(void **state)
{
	const struct vsm_partition_options options = {0};

	(void)state;
	table_env_start(&options);
	for (unsigned s = HCT_NONE; s < HCT_STATES; s++) {
		assert_true(hct_advance((enum hct_state)s));
		assert_true(hct_run_state((enum hct_state)s, false));
	}
	assert_int_equal(table_env_reports(), 0);
	table_env_stop();
}

/* Its own numbers and the library's. */
static void sizes_are_the_librarys(void **state)
{
	(void)state;
	assert_int_equal(hct_info_count, hypercall_table_size);
	for (unsigned i = 0; i < hct_info_count; i++) {
		const struct hct_info *info = &hct_infos[i];
		const struct hypercall_info *t = hc_find(info->code);

		assert_non_null(t);
		assert_int_equal(info->rep, t->rep);
		assert_int_equal(info->variable, t->variable);
		assert_int_equal(info->header, t->input);
		assert_int_equal(info->element, t->input_rep);
		assert_int_equal(info->output, t->output);
		assert_int_equal(info->output_element, t->output_rep);
		assert_int_equal(info->code_page, t->outcome != HYPERCALL_DONE);
	}
}

#define FAMILY_TESTS 8

int main(void)
{
	const struct CMUnitTest others[] = {
		cmocka_unit_test(documentation_and_rows_agree),
		cmocka_unit_test(sizes_are_the_librarys),
		cmocka_unit_test(unknown_codes),
		cmocka_unit_test(breaches_of_the_convention),
		cmocka_unit_test(closed_pages),
		cmocka_unit_test(as_a_guest_does),
	};
	struct CMUnitTest tests[FAMILY_TESTS + ARRAY_SIZE(others)];
	unsigned count = 0;

	for (; count < hct_family_count && count < FAMILY_TESTS; count++)
		tests[count] = (struct CMUnitTest){
			.name = hct_families[count].file,
			.test_func = run_family,
			.initial_state = (void *)(uintptr_t)&hct_families[count],
		};
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		tests[count++] = others[i];
	return _cmocka_run_group_tests("hypercall table", tests, count, NULL, NULL);
}
