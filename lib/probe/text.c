// SPDX-License-Identifier: MIT
/* The probe's report as text. */
#include <errno.h>
#include "probe/probe.h"
#include "probe/text.h"

static size_t text_entries(const struct vsm_probe *probe)
{
	return probe->entry_count < VSM_PROBE_ENTRIES_MAX ? probe->entry_count
							  : VSM_PROBE_ENTRIES_MAX;
}

static void text_verdict(struct text *t, const struct vsm_probe *probe)
{
	unsigned missing = 0;

	for (size_t i = 0; i < text_entries(probe); i++)
		missing += probe->entries[i].needed && !probe->entries[i].present;
	if (probe->usable)
		text_add(t, "usable: KVM API %d, nothing needed is missing\n", probe->api_version);
	else
		text_add(t, "not usable: KVM API %d, %u needed missing\n", probe->api_version,
			 missing);
}

static void text_entry(struct text *t, const struct vsm_probe_entry *e)
{
	text_add(t, "%-8s  %-7s  %-27s %6d  Linux %-6s  %s", e->needed ? "needed" : "optional",
		 e->present ? "present" : "missing", e->name, e->value, e->since, e->purpose);
	text_add(t, e->present ? "\n" : "; without it: %s\n", e->loss);
}

int vsm_probe_text(const struct vsm_probe *probe, char *text, size_t room)
{
	struct text t = {.at = text, .room = room};

	if (!probe || (!text && room))
		return -EINVAL;
	text_verdict(&t, probe);
	for (size_t i = 0; i < text_entries(probe); i++)
		text_entry(&t, &probe->entries[i]);
	return (int)t.length;
}
