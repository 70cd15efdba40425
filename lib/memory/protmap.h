/* SPDX-License-Identifier: MIT */
/* A map from guest page number to protection mask: coalesced ranges over a default, O(log n). */
#ifndef VSM_LIB_MEMORY_PROTMAP_H
#define VSM_LIB_MEMORY_PROTMAP_H

#include <stdbool.h>
#include <stddef.h>
#include "memory/prot.h"

/* A range, in an AVL tree; for protmap.c and the test of its balance. */
struct protmap_node {
	struct protmap_node *left, *right;
	uint64_t first, end;
	uint8_t height;
	prot_t mask;
};

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

/* What protmap_change() replaced. */
struct protmap_undo {
	struct protmap
		old; /* the masks of the changed range as they were: good for protmap_get() */
	uint64_t first,
		end;	/* the pages whose ranges were replaced: the range and what it touched */
	bool unchanged; /* the range had the mask already: `old` is empty */
};

/*
 * protmap_set() that can be taken back: to be followed by exactly one of protmap_revert(), which
 * cannot fail, and protmap_commit(), before the map changes again. On failure neither is needed.
 */
int protmap_change(struct protmap *map, uint64_t first, uint64_t end, prot_t mask,
		   struct protmap_undo *undo);
void protmap_revert(struct protmap *map, struct protmap_undo *undo);
void protmap_commit(struct protmap_undo *undo);

/*
 * Another default for pages never set. Explicit ranges equal to the new default are dropped; ranges
 * that were implicit change with it.
 */
void protmap_set_default(struct protmap *map, prot_t default_mask);

#endif
