/* SPDX-License-Identifier: MIT */
/* The protection map: an AVL tree of disjoint ranges, changed by splitting and joining trees, so
 * that a change of k ranges costs O(k + log n) and can be taken back without memory. */
#include "memory/protmap.h"
#include "kvm/path.h"

#include <errno.h>
#include <stdlib.h>

/* --- balanced trees: split and join, after Blelloch, Ferizovic, Sun: "Just Join for Parallel
 * Ordered Sets" (2016) --- */

static int node_height(const struct protmap_node *n)
{
	return n ? n->height : 0;
}

static struct protmap_node *node_link(struct protmap_node *left, struct protmap_node *n,
				      struct protmap_node *right)
{
	int l = node_height(left), r = node_height(right);

	n->left = left;
	n->right = right;
	n->height = (uint8_t)((l > r ? l : r) + 1);
	return n;
}

static struct protmap_node *rotate_left(struct protmap_node *n)
{
	struct protmap_node *top = n->right;

	return node_link(node_link(n->left, n, top->left), top, top->right);
}

static struct protmap_node *rotate_right(struct protmap_node *n)
{
	struct protmap_node *top = n->left;

	return node_link(top->left, top, node_link(top->right, n, n->right));
}

/* node_link() of subtrees whose heights differ by at most two. */
static struct protmap_node *node_balance(struct protmap_node *left, struct protmap_node *n,
					 struct protmap_node *right)
{
	node_link(left, n, right);
	if (node_height(left) > node_height(right) + 1) {
		if (node_height(left->right) > node_height(left->left))
			n->left = rotate_left(left);
		return rotate_right(n);
	}
	if (node_height(right) > node_height(left) + 1) {
		if (node_height(right->left) > node_height(right->right))
			n->right = rotate_right(right);
		return rotate_left(n);
	}
	return n;
}

/* One tree of everything in left, then n, then everything in right. */
static struct protmap_node *join(struct protmap_node *left, struct protmap_node *n,
				 struct protmap_node *right)
{
	if (node_height(left) > node_height(right) + 1)
		return node_balance(left->left, left, join(left->right, n, right));
	if (node_height(right) > node_height(left) + 1)
		return node_balance(join(left, n, right->left), right, right->right);
	return node_link(left, n, right);
}

static struct protmap_node *take_first(struct protmap_node *n, struct protmap_node **first)
{
	if (!n->left) {
		*first = n;
		return n->right;
	}
	return node_balance(take_first(n->left, first), n, n->right);
}

static struct protmap_node *join_trees(struct protmap_node *left, struct protmap_node *right)
{
	struct protmap_node *first;

	if (!right)
		return left;
	right = take_first(right, &first);
	return join(left, first, right);
}

static bool ends_by(const struct protmap_node *n, uint64_t page)
{
	return n->end <= page;
}

static bool starts_before(const struct protmap_node *n, uint64_t page)
{
	return n->first < page;
}

/* Splits into the ranges that are `low` by the page, a prefix of them all, and the others. */
static void split(struct protmap_node *n, bool (*low)(const struct protmap_node *, uint64_t),
		  uint64_t page, struct protmap_node **left, struct protmap_node **right)
{
	struct protmap_node *middle;

	if (!n) {
		*left = NULL;
		*right = NULL;
	} else if (low(n, page)) {
		split(n->right, low, page, &middle, right);
		*left = join(n->left, n, middle);
	} else {
		split(n->left, low, page, left, &middle);
		*right = join(middle, n, n->right);
	}
}

static size_t count_nodes(const struct protmap_node *n)
{
	return n ? count_nodes(n->left) + 1 + count_nodes(n->right) : 0;
}

static void free_nodes(struct protmap_node *n)
{
	if (!n)
		return;
	free_nodes(n->left);
	free_nodes(n->right);
	free(n);
}

/* The last range that starts at or before the page. */
static const struct protmap_node *node_from(const struct protmap *map, uint64_t page)
{
	const struct protmap_node *n = map->root, *found = NULL;

	while (n) {
		if (n->first <= page) {
			found = n;
			n = n->right;
		} else {
			n = n->left;
		}
	}
	return found;
}

/* --- the map --- */

void protmap_init(struct protmap *map, prot_t default_mask)
{
	*map = (struct protmap){.default_mask = default_mask};
}

void protmap_clear(struct protmap *map)
{
	free_nodes(map->root);
	protmap_init(map, map->default_mask);
}

RUN_PATH prot_t protmap_get(const struct protmap *map, uint64_t page, uint64_t *end)
{
	const struct protmap_node *n = map->root;
	uint64_t limit = UINT64_MAX;

	while (n) {
		if (page < n->first) {
			limit = n->first;
			n = n->left;
		} else if (page >= n->end) {
			n = n->right;
		} else {
			if (end)
				*end = n->end;
			return n->mask;
		}
	}
	if (end)
		*end = limit;
	return map->default_mask;
}

/* The ranges that take the place of those in [hull_first, hull_end). */
struct replacement {
	uint64_t hull_first, hull_end;
	struct {
		uint64_t first, end;
		prot_t mask;
	} pieces[3];
	unsigned count;
};

static void add_piece(struct replacement *r, uint64_t first, uint64_t end, prot_t mask)
{
	r->pieces[r->count].first = first;
	r->pieces[r->count].end = end;
	r->pieces[r->count++].mask = mask;
}

/* Ranges [first, end) cuts keep their outer parts; those it touches with the same mask melt in. */
static void plan(const struct protmap *map, uint64_t first, uint64_t end, prot_t mask,
		 struct replacement *r)
{
	const struct protmap_node *before = first ? node_from(map, first - 1) : NULL;
	const struct protmap_node *after = node_from(map, end);
	uint64_t low = first, high = end;

	*r = (struct replacement){first, end, .count = 0};
	if (before && (before->end > first || (before->end == first && before->mask == mask))) {
		r->hull_first = before->first;
		if (before->mask == mask)
			low = before->first;
		else
			add_piece(r, before->first, first, before->mask);
	}
	if (after && after->end > end && after->mask == mask)
		high = after->end;
	if (mask != map->default_mask)
		add_piece(r, low, high, mask);
	if (after && after->end > end && (after->first < end || after->mask == mask)) {
		r->hull_end = after->end;
		if (after->mask != mask)
			add_piece(r, end, after->end, after->mask);
	}
}

/* Nodes for all pieces, each a tree of its own. */
static int make_nodes(const struct replacement *r, struct protmap_node *nodes[3])
{
	for (unsigned i = 0; i < r->count; i++) {
		nodes[i] = calloc(1, sizeof(*nodes[i]));
		if (!nodes[i]) {
			while (i)
				free(nodes[--i]);
			return -ENOMEM;
		}
		nodes[i]->first = r->pieces[i].first;
		nodes[i]->end = r->pieces[i].end;
		nodes[i]->mask = r->pieces[i].mask;
	}
	return 0;
}

int protmap_change(struct protmap *map, uint64_t first, uint64_t end, prot_t mask,
		   struct protmap_undo *undo)
{
	struct protmap_node *nodes[3], *left, *right;
	struct replacement r;
	uint64_t uniform;

	*undo = (struct protmap_undo){.old = {.default_mask = map->default_mask}};
	if (first >= end)
		return -EINVAL;
	if (protmap_get(map, first, &uniform) == mask && uniform >= end) {
		undo->unchanged = true;
		return 0;
	}
	plan(map, first, end, mask, &r);
	if (make_nodes(&r, nodes))
		return -ENOMEM;
	undo->first = r.hull_first;
	undo->end = r.hull_end;
	split(map->root, ends_by, r.hull_first, &left, &right);
	split(right, starts_before, r.hull_end, &undo->old.root, &right);
	undo->old.count = count_nodes(undo->old.root);
	for (unsigned i = 0; i < r.count; i++)
		left = join(left, nodes[i], NULL);
	map->root = join_trees(left, right);
	map->count = map->count - undo->old.count + r.count;
	return 0;
}

void protmap_revert(struct protmap *map, struct protmap_undo *undo)
{
	struct protmap_node *left, *middle, *right;

	if (undo->unchanged)
		return;
	split(map->root, ends_by, undo->first, &left, &right);
	split(right, starts_before, undo->end, &middle, &right);
	map->count = map->count - count_nodes(middle) + undo->old.count;
	free_nodes(middle);
	map->root = join_trees(join_trees(left, undo->old.root), right);
	undo->old.root = NULL;
}

void protmap_commit(struct protmap_undo *undo)
{
	protmap_clear(&undo->old);
}

int protmap_set(struct protmap *map, uint64_t first, uint64_t end, prot_t mask)
{
	struct protmap_undo undo;
	int r = protmap_change(map, first, end, mask, &undo);

	if (!r)
		protmap_commit(&undo);
	return r;
}

/* Moves the subtree's ranges that differ from the default over to `to`, which lies before them. */
static struct protmap_node *move_nodes(struct protmap_node *n, struct protmap_node *to,
				       struct protmap *map)
{
	struct protmap_node *right;

	if (!n)
		return to;
	to = move_nodes(n->left, to, map);
	right = n->right;
	if (n->mask == map->default_mask) {
		free(n);
		map->count--;
	} else {
		to = join(to, n, NULL);
	}
	return move_nodes(right, to, map);
}

void protmap_set_default(struct protmap *map, prot_t default_mask)
{
	map->default_mask = default_mask;
	map->root = move_nodes(map->root, NULL, map);
}
