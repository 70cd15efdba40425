/* SPDX-License-Identifier: MIT */
/* Makes an allocation fail: for tests linked with --wrap of malloc, calloc, realloc
 * and aligned_alloc (pages_allocate()). */
#ifndef VSM_TESTS_UNIT_FAILING_MALLOC_H
#define VSM_TESTS_UNIT_FAILING_MALLOC_H

#include <stdbool.h>
#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

static unsigned malloc_countdown;
static bool malloc_did_fail;

/* The nth allocation from now on fails, once; 0: none does. */
static inline void fail_malloc(unsigned nth)
{
	malloc_countdown = nth;
	malloc_did_fail = false;
}

static inline bool malloc_failed(void)
{
	return malloc_did_fail;
}

static inline bool malloc_fails_now(void)
{
	if (!malloc_countdown || --malloc_countdown)
		return false;
	malloc_did_fail = true;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return malloc_fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return malloc_fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return malloc_fails_now() ? NULL : __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return malloc_fails_now() ? NULL : __real_aligned_alloc(alignment, size);
}

#endif
