/* SPDX-License-Identifier: MIT */
/* What a partition says of itself: log lines, its death, its counters, its reference time. */
#include "partition/hold.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "partition/options.h"

void partition_log(struct vsm_partition *p, enum vsm_log_level level, const char *format, ...)
{
	char line[256];
	va_list args;

	if (!p->log)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	p->log(p->callback_ctx, level, line);
}

/* Who is in the guest may reach what it must not; who sleeps would not hear of it. */
static void return_all(struct vsm_partition *p)
{
	for (uint32_t i = 0; i < p->max_vps; i++)
		if (p->vps[i])
			partition_wake_vp(p->vps[i]);
	pthread_cond_broadcast(&p->vcpu_moved);
}

int partition_die(struct vsm_partition *p, const char *format, ...)
{
	va_list args;

	if (p->dead)
		return -EIO;
	va_start(args, format);
	vsnprintf(p->death, sizeof(p->death), format, args);
	va_end(args);
	p->dead = true;
	partition_log(p, VSM_LOG_ERROR, "the partition is dead: %s", p->death);
	return_all(p);
	return -EIO;
}

const char *vsm_partition_death(const struct vsm_partition *partition)
{
	const char *death;
	struct vsm_partition *p = (struct vsm_partition *)partition;

	pthread_mutex_lock(&p->lock);
	death = p->dead ? p->death : NULL;
	pthread_mutex_unlock(&p->lock);
	return death;
}

enum vsm_topology vsm_partition_topology(const struct vsm_partition *partition)
{
	return partition->topology;
}

enum vsm_enforcement vsm_partition_enforcement(const struct vsm_partition *partition)
{
	return partition->memory.enforcement;
}

enum vsm_exec_policy vsm_partition_exec_policy(const struct vsm_partition *partition)
{
	return partition->memory.exec_policy;
}

int vsm_partition_get_stats(const struct vsm_partition *partition,
			    struct vsm_partition_stats *stats)
{
	struct vsm_partition *p = (struct vsm_partition *)partition;
	struct vsm_partition_stats now = {0};

	if (!partition || !stats || !options_out_size_ok(stats->size))
		return -EINVAL;
	pthread_mutex_lock(&p->lock);
	now.regions = p->memory.region_count;
	for (unsigned setter = 1; setter < p->vtl_count; setter++)
		for (unsigned target = 0; target < setter; target++)
			now.protected_ranges += p->memory.limits[setter][target].count;
	now.protected_pages_set = p->stats.protected_pages_set;
	now.remaps = p->stats.remaps;
	now.slot_updates = p->stats.slot_updates;
	now.enabled_vtls = p->enabled_vtls;
	pthread_mutex_unlock(&p->lock);
	options_copy_out(stats, &now, sizeof(now));
	return 0;
}
