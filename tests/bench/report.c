/* SPDX-License-Identifier: MIT */
/* A table for people, JSON for programs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include "bench.h"

#define ROWS_MAX 200

static struct row rows[ROWS_MAX];
static unsigned row_count;

void report_head(void)
{
	printf("%-58s %8s %17s %7s %12s %12s\n", "", "ratio", "quartiles", "target", "measured us",
	       "floor us");
}

void report_row(const struct row *row)
{
	static const char *group;
	char target[16] = "";

	if (row_count == ROWS_MAX)
		die("more rows than there is room for");
	if (!group || strcmp(group, row->group))
		printf(row->unit ? "%s (%s)\n" : "%s (1 = %s)\n", row->group,
		       row->unit ? row->unit : row->floor);
	group = row->group;
	if (row->target > 0)
		snprintf(target, sizeof(target), "%.2f", row->target);
	printf("  %-56s %8.2f %8.2f-%8.2f %7s %12.2f %12.2f", row->name, row->ratio, row->low,
	       row->high, target, row->measured_ns / 1e3, row->floor_ns / 1e3);
	if (row->extra_name)
		printf("  %.2f %s", row->extra, row->extra_name);
	printf("\n");
	fflush(stdout);
	rows[row_count++] = *row;
}

/* Nothing here has a character JSON wants escaped but for what the kernel calls itself. */
static void put_string(FILE *f, const char *key, const char *value)
{
	fprintf(f, "  \"%s\": \"", key);
	for (; *value; value++)
		if (*value >= ' ' && *value != '"' && *value != '\\')
			fputc(*value, f);
	fprintf(f, "\",\n");
}

static void put_cpu(FILE *f)
{
	FILE *info = fopen("/proc/cpuinfo", "r");
	char line[256], *colon;

	while (info && fgets(line, sizeof(line), info)) {
		colon = strchr(line, ':');
		if (!strncmp(line, "model name", 10) && colon && colon[1]) {
			put_string(f, "cpu", colon + 2);
			break;
		}
	}
	if (info)
		fclose(info);
}

static void put_row(FILE *f, const struct row *row, bool last)
{
	fprintf(f,
		"    {\"group\": \"%s\", \"name\": \"%s\", \"%s\": \"%s\", \"ratio\": %.4f, "
		"\"low\": %.4f, "
		"\"high\": %.4f, \"target\": %.4f, \"measured_ns\": %.1f, \"floor_ns\": %.1f, "
		"\"repetitions\": %u",
		row->group, row->name, row->unit ? "unit" : "floor",
		row->unit ? row->unit : row->floor, row->ratio, row->low, row->high, row->target,
		row->measured_ns, row->floor_ns, row->repetitions);
	if (row->extra_name)
		fprintf(f, ", \"extra\": %.4f, \"extra_name\": \"%s\"", row->extra,
			row->extra_name);
	fprintf(f, "}%s\n", last ? "" : ",");
}

void report_json(const char *path)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "w") : stdout;
	struct utsname u;
	char date[32];
	time_t now = time(NULL);

	if (!f)
		die("%s: %s", path, strerror(errno));
	uname(&u);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
	fprintf(f, "{\n");
	put_string(f, "kernel", u.release);
	put_string(f, "kernel_version", u.version);
	put_string(f, "date", date);
	put_cpu(f);
	fprintf(f, "  \"rows\": [\n");
	for (unsigned i = 0; i < row_count; i++)
		put_row(f, &rows[i], i + 1 == row_count);
	fprintf(f, "  ]\n}\n");
	if (f != stdout && fclose(f))
		die("%s: %s", path, strerror(errno));
}
