/* SPDX-License-Identifier: MIT */
/* Two batches in turn, many times: what changes slowly on the machine is in both and cancels. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "bench.h"

#define REPETITIONS_MAX 1000

/* However long a row takes, it has as many. */
#define REPETITIONS_MIN 3

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The value below which `part` of the sorted values lie. */
static double quantile(const double *sorted, unsigned n, double part)
{
	double at = part * (n - 1);
	unsigned below = (unsigned)at;

	if (below + 1 >= n)
		return sorted[n - 1];
	return sorted[below] + (at - below) * (sorted[below + 1] - sorted[below]);
}

static double median(double *values, unsigned n)
{
	qsort(values, n, sizeof(*values), compare);
	return quantile(values, n, 0.5);
}

void measure(struct row *row, const struct options *o, batch_fn floor, batch_fn measured, void *ctx)
{
	static double floors[REPETITIONS_MAX], costs[REPETITIONS_MAX], ratios[REPETITIONS_MAX];
	uint64_t end;
	unsigned n = 0;

	floor(ctx);
	measured(ctx);
	end = now_ns() + (uint64_t)(o->seconds * 1e9);
	while (n < o->repetitions && n < REPETITIONS_MAX &&
	       (n < REPETITIONS_MIN || now_ns() < end)) {
		floors[n] = floor(ctx);
		costs[n] = measured(ctx);
		ratios[n] = costs[n] / floors[n];
		n++;
	}
	row->ratio = median(ratios, n);
	row->low = quantile(ratios, n, 0.25);
	row->high = quantile(ratios, n, 0.75);
	row->floor_ns = median(floors, n);
	row->measured_ns = median(costs, n);
	row->repetitions = n;
}
