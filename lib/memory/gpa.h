/* SPDX-License-Identifier: MIT */
/* Guest addresses as types of their own: neither can be used as the other, or as a pointer, by
 * mistake. */
#ifndef VSM_LIB_MEMORY_GPA_H
#define VSM_LIB_MEMORY_GPA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VSM_PAGE_SHIFT 12
#define VSM_PAGE_SIZE  (UINT64_C(1) << VSM_PAGE_SHIFT)
#define VSM_PAGE_MASK  (VSM_PAGE_SIZE - 1)

/* A guest-physical and a guest-virtual (linear) address. */
typedef struct {
	uint64_t addr;
} gpa_t;

typedef struct {
	uint64_t addr;
} gva_t;

static inline gpa_t gpa_from(uint64_t addr)
{
	return (gpa_t){addr};
}

static inline gva_t gva_from(uint64_t addr)
{
	return (gva_t){addr};
}

static inline uint64_t gpa_page(gpa_t gpa)
{
	return gpa.addr >> VSM_PAGE_SHIFT;
}

static inline uint64_t gpa_offset(gpa_t gpa)
{
	return gpa.addr & VSM_PAGE_MASK;
}

static inline gpa_t gpa_of_page(uint64_t page)
{
	return (gpa_t){page << VSM_PAGE_SHIFT};
}

/* Bytes from here to the end of the page, at most len. */
static inline size_t gpa_span(uint64_t addr, size_t len)
{
	uint64_t left = VSM_PAGE_SIZE - (addr & VSM_PAGE_MASK);

	return left < len ? (size_t)left : len;
}

#endif
