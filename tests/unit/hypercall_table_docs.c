/* SPDX-License-Identifier: MIT */
/* docs/hypercalls.md against the rows of tests/hypercalls: neither says what the other does not. */
#include "hypercall_table_env.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DOCUMENT SOURCE_ROOT "/docs/hypercalls.md"
#define COLUMNS	 7
#define STATUSES 32

enum column {
	COLUMN_CODE,
	COLUMN_NAME,
	COLUMN_CLASS,
	COLUMN_FORMS,
	COLUMN_STATUSES,
	COLUMN_CALLERS,
	COLUMN_TESTS,
};

static const struct {
	const char *name;
	uint32_t status;
} names[] = {
	{"INVALID_HYPERCALL_CODE", ST_INVALID_HYPERCALL_CODE},
	{"INVALID_HYPERCALL_INPUT", ST_INVALID_HYPERCALL_INPUT},
	{"INVALID_ALIGNMENT", ST_INVALID_ALIGNMENT},
	{"INVALID_PARAMETER", ST_INVALID_PARAMETER},
	{"ACCESS_DENIED", ST_ACCESS_DENIED},
	{"OPERATION_DENIED", ST_OPERATION_DENIED},
	{"INSUFFICIENT_MEMORY", ST_INSUFFICIENT_MEMORY},
	{"INVALID_PARTITION_ID", ST_INVALID_PARTITION_ID},
	{"INVALID_VP_INDEX", ST_INVALID_VP_INDEX},
	{"INVALID_PORT_ID", ST_INVALID_PORT_ID},
	{"INVALID_CONNECTION_ID", ST_INVALID_CONNECTION_ID},
	{"INSUFFICIENT_BUFFERS", ST_INSUFFICIENT_BUFFERS},
	{"INVALID_VP_STATE", ST_INVALID_VP_STATE},
	{"INVALID_SYNIC_STATE", ST_INVALID_SYNIC_STATE},
	{"INVALID_REGISTER_VALUE", ST_INVALID_REGISTER_VALUE},
	{"INVALID_VTL_STATE", ST_INVALID_VTL_STATE},
	{"VTL_ALREADY_ENABLED", ST_VTL_ALREADY_ENABLED},
	{"#UD", ST_UD},
};

/* What the document says of a call. */
struct documented {
	const struct hct_info *info;
	char *columns[COLUMNS];
	uint32_t statuses[STATUSES];
	unsigned count;
};

static bool status_char(char c)
{
	return isupper((unsigned char)c) || c == '_' || c == '#';
}

static const char *name_of(uint32_t status)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].status == status)
			return names[i].name;
	return "SUCCESS";
}

/* A word in capitals with an underscore, or #UD, is a status; but not a name of the TLFS's. */
static void take_word(struct documented *d, const char *word, size_t length)
{
	if ((!memchr(word, '_', length) && word[0] != '#') || !strncmp(word, "HV_", 3))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strlen(names[i].name) != length || strncmp(names[i].name, word, length) != 0)
			continue;
		assert_true(d->count < STATUSES);
		d->statuses[d->count++] = names[i].status;
		return;
	}
	fail_msg("%s: %.*s is no status", d->columns[COLUMN_NAME], (int)length, word);
}

static void take_statuses(struct documented *d)
{
	const char *p = d->columns[COLUMN_STATUSES];

	while (*p) {
		size_t length = 0;

		while (status_char(p[length]))
			length++;
		if (length)
			take_word(d, p, length);
		p += length ? length : 1;
	}
	if (!d->info->code_page)
		d->statuses[d->count++] = ST_SUCCESS;
}

/* Splits "| a | b |"; false: not a row of the table of calls. */
static bool take_row(struct documented *d, char *line)
{
	*d = (struct documented){0};
	if (strncmp(line, "| `0x", 5) != 0)
		return false;
	line++;
	for (unsigned i = 0; i < COLUMNS; i++) {
		char *end = strchr(line, '|');

		assert_non_null(end);
		*end = 0;
		d->columns[i] = line;
		line = end + 1;
	}
	d->info = hct_info_of((uint16_t)strtoul(d->columns[COLUMN_CODE] + 2, NULL, 16));
	if (!d->info)
		fail_msg("%s has no entry in tests/hypercalls/info.c", d->columns[COLUMN_NAME]);
	take_statuses(d);
	return true;
}

/* --- the checks --- */

static bool row_covers(const struct hct_row *row, const struct documented *d, uint32_t status,
		       enum hct_form form)
{
	return row->code == d->info->code && row->status == status && hct_row_fits(row, form);
}

static bool covered(const struct documented *d, uint32_t status, enum hct_form form)
{
	for (unsigned f = 0; f < hct_family_count; f++)
		for (unsigned i = 0; i < *hct_families[f].count; i++)
			if (row_covers(&hct_families[f].rows[i], d, status, form))
				return true;
	return false;
}

/* A guest without paging has no interrupt table in these tests: #UD is for the other two. */
static bool form_of_call(const struct documented *d, enum hct_form form)
{
	if (d->info->code_page && HCT_FORM_MODE(form) == HCT_32)
		return false;
	return hct_fits(d->info, d->info->rep, 0, form);
}

static void every_status_has_rows(const struct documented *d)
{
	for (unsigned i = 0; i < d->count; i++)
		for (unsigned form = 0; form < HCT_FORMS; form++)
			if (form_of_call(d, (enum hct_form)form) &&
			    !covered(d, d->statuses[i], (enum hct_form)form))
				fail_msg("%s: no row for %s in form %u", d->columns[COLUMN_NAME],
					 name_of(d->statuses[i]), form);
}

static bool is_documented(const struct documented *d, uint32_t status)
{
	for (unsigned i = 0; i < d->count; i++)
		if (d->statuses[i] == status)
			return true;
	return status == ST_SUCCESS;
}

static void rows_are_documented(const struct documented *d, const struct hct_family *family)
{
	bool here = false;

	for (unsigned i = 0; i < *family->count; i++) {
		const struct hct_row *row = &family->rows[i];

		if (row->code != d->info->code)
			continue;
		here = true;
		if (!is_documented(d, row->status))
			fail_msg("%s: %s is not documented", row->name, name_of(row->status));
	}
	if (here && !strstr(d->columns[COLUMN_TESTS], family->file))
		fail_msg("%s: not said to be tested in %s", d->columns[COLUMN_NAME], family->file);
}

static void forms_are_documented(const struct documented *d)
{
	const char *forms = d->columns[COLUMN_FORMS];
	bool fast = hct_fits(d->info, d->info->rep, 0, HCT_FAST);

	if (d->info->code_page)
		assert_non_null(strstr(forms, "code page"));
	else
		assert_non_null(strstr(forms, "slow"));
	assert_int_equal(strstr(forms, "fast") != NULL, fast);
}

static bool test_exists(const char *name)
{
	static const char *const folders[] = {"hypercalls", "unit", "live"};
	char path[512];

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		snprintf(path, sizeof(path), SOURCE_ROOT "/tests/%s/%s", folders[i], name);
		if (access(path, R_OK) == 0)
			return true;
	}
	return false;
}

static void tests_exist(struct documented *d)
{
	for (char *word = strtok(d->columns[COLUMN_TESTS], " `,"); word; word = strtok(NULL, " `,"))
		if (!test_exists(word))
			fail_msg("%s: there is no %s", d->columns[COLUMN_NAME], word);
}

static void check_call(struct documented *d)
{
	forms_are_documented(d);
	every_status_has_rows(d);
	for (unsigned f = 0; f < hct_family_count; f++)
		rows_are_documented(d, &hct_families[f]);
	tests_exist(d);
}

/* The section on the convention: each status it names is that of a breach. */
static void check_convention(const char *line)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		bool known = false;

		if (!strstr(line, names[i].name))
			continue;
		for (unsigned j = 0; j < hct_breach_count; j++)
			known |= hct_breaches[j].status == names[i].status;
		if (!known)
			fail_msg("the convention's %s has no breach", names[i].name);
	}
}

void documentation_and_rows_agree(void **state)
{
	FILE *f = fopen(DOCUMENT, "r");
	bool convention = false;
	unsigned calls = 0;
	char line[4096];

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		struct documented d;

		if (!strncmp(line, "## ", 3))
			convention = strstr(line, "Calling convention") != NULL;
		if (convention)
			check_convention(line);
		if (!take_row(&d, line))
			continue;
		check_call(&d);
		calls++;
	}
	fclose(f);
	assert_int_equal(calls, hct_info_count);
}
