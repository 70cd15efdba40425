/* SPDX-License-Identifier: MIT */
/* A map from guest page number to protection mask: coalesced ranges over a default, O(log n). */
#ifndef VSM_LIB_MEMORY_PROTMAP_H
#define VSM_LIB_MEMORY_PROTMAP_H

#include <stddef.h>
#include "memory/prot.h"

struct protmap_node;

struct protmap {
	struct protmap_node *root;
	size_t count; /* ranges that differ from the default */
	prot_t default_mask;
};

/* An empty map: every page has default_mask. Needs no memory. */
void protmap_init(struct protmap *map, prot_t default_mask);

/* Frees every range; the map is then as after protmap_init() with the same default. */
void protmap_clear(struct protmap *map);

/*
 * The mask of `page`. *end, when not NULL, becomes the first page past it whose mask may differ:
 * the run [page, *end) is uniform and maximal; UINT64_MAX when nothing follows.
 */
prot_t protmap_get(const struct protmap *map, uint64_t page, uint64_t *end);

/*
 * Gives [first, end) one mask; neighbours with the same mask coalesce, pages with the default mask
 * take no memory. -ENOMEM: nothing changed. -EINVAL: first >= end.
 */
int protmap_set(struct protmap *map, uint64_t first, uint64_t end, prot_t mask);

/*
 * Another default for pages never set. Explicit ranges equal to the new default are dropped; ranges
 * that were implicit change with it.
 */
void protmap_set_default(struct protmap *map, prot_t default_mask);

#endif
