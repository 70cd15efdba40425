/* SPDX-License-Identifier: MIT */
/* Memory in whole pages, for what is looked at at each exit, or copied by KVM: it is then in as few
 * pages as can be. */
#ifndef VSM_LIB_MEMORY_PAGES_H
#define VSM_LIB_MEMORY_PAGES_H

#include <stdlib.h>
#include <string.h>

#include "memory/gpa.h"

/* Zeroed, for free(). NULL: there is none. */
static inline void *pages_allocate(size_t size)
{
	size_t pages = (size + VSM_PAGE_SIZE - 1) & ~VSM_PAGE_MASK;
	void *memory = aligned_alloc(VSM_PAGE_SIZE, pages);

	return memory ? memset(memory, 0, pages) : NULL;
}

#endif
