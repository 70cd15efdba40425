/* SPDX-License-Identifier: MIT */
/* KVM's own CPUID table. */
#include "kvm/cpuid.h"

#include <stdlib.h>

#define ENTRIES 256

struct kvm_cpuid2 *cpuid_supported(const struct kvm_host *host, int dev_fd)
{
	struct kvm_cpuid2 *table = calloc(1, sizeof(*table) + ENTRIES * sizeof(table->entries[0]));

	if (!table)
		return NULL;
	table->nent = ENTRIES;
	if (host->ops->get_supported_cpuid(host, dev_fd, table))
		table->nent = 0;
	return table;
}

const struct kvm_cpuid_entry2 *cpuid_leaf(const struct kvm_cpuid2 *table, uint32_t function)
{
	for (uint32_t i = 0; i < table->nent; i++)
		if (table->entries[i].function == function && !table->entries[i].index)
			return &table->entries[i];
	return NULL;
}
