/* SPDX-License-Identifier: MIT */
/*
 * Structs that carry their size: how a caller's older or newer idea of one is taken in and given
 * out.
 */
#ifndef VSM_LIB_PARTITION_OPTIONS_H
#define VSM_LIB_PARTITION_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Copies a caller's struct into ours of `known` bytes: a smaller one is extended with zeros, the
 * tail of a larger one must be zero. The first member of both is the size. -EINVAL otherwise.
 */
int options_copy_in(void *ours, size_t known, const void *theirs);

/* A result struct the caller made: at least a size and one counter. */
bool options_out_size_ok(size_t size);

/*
 * Gives out as much as the caller has room for; its size member stays, what we do not know is
 * zeroed.
 */
void options_copy_out(void *theirs, const void *ours, size_t known);

#endif
