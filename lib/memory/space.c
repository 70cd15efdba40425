/* SPDX-License-Identifier: MIT */
/* A VM's memslots, brought to a view by the fewest changes KVM allows: flags, size and host address
 * of a slot cannot change (Linux api.rst, KVM_SET_USER_MEMORY_REGION), so it is deleted and made
 * again. */
#include "memory/space.h"
#include "memory/mapping.h"

#include <errno.h>
#include <stdlib.h>

int space_init(struct space *s, int vm_fd, bool own_fd, uint32_t first_slot, uint32_t slot_limit)
{
	size_t ids = slot_limit - first_slot;

	if (first_slot >= slot_limit)
		return -EINVAL;
	*s = (struct space){
		.vm_fd = vm_fd,
		.own_fd = own_fd,
		.first_slot = first_slot,
		.slot_limit = slot_limit,
		.slots = calloc(ids, sizeof(*s->slots)),
		.spare = calloc(ids, sizeof(*s->spare)),
		.id_map = calloc((ids + 63) / 64, sizeof(*s->id_map)),
		.shown_vtl = -1,
	};
	if (s->slots && s->spare && s->id_map)
		return 0;
	free(s->slots);
	free(s->spare);
	free(s->id_map);
	*s = (struct space){.vm_fd = -1, .shown_vtl = -1};
	return -ENOMEM;
}

/* --- slot ids --- */

static bool id_take(struct space *s, uint32_t *id)
{
	uint32_t ids = s->slot_limit - s->first_slot;

	for (uint32_t word = 0; word < (ids + 63) / 64; word++) {
		uint64_t unused = ~s->id_map[word];
		uint32_t bit = word * 64 + (uint32_t)(unused ? __builtin_ctzll(unused) : 0);

		if (!unused)
			continue;
		if (bit >= ids)
			return false;
		s->id_map[word] |= unused & -unused;
		*id = s->first_slot + bit;
		return true;
	}
	return false;
}

static void id_give(struct space *s, uint32_t id)
{
	uint32_t bit = id - s->first_slot;

	s->id_map[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
}

/* --- slots in the kernel --- */

static int slot_delete(const struct kvm_host *host, struct space *s, const struct space_slot *slot)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot->id,
		.guest_phys_addr = slot->what.first << VSM_PAGE_SHIFT,
		.userspace_addr = (uintptr_t)slot->what.host,
	};
	int error = host->ops->set_memory_region(host, s->vm_fd, &r);

	if (!error)
		id_give(s, slot->id);
	return error;
}

static int slot_create(const struct kvm_host *host, struct space *s, const struct view_slot *what,
		       struct space_slot *slot)
{
	struct kvm_userspace_memory_region r = {
		.flags = what->read_only ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = what->first << VSM_PAGE_SHIFT,
		.memory_size = (what->end - what->first) << VSM_PAGE_SHIFT,
		.userspace_addr = (uintptr_t)what->host,
	};
	int error;

	if (!id_take(s, &r.slot))
		return -ENOSPC;
	error = host->ops->set_memory_region(host, s->vm_fd, &r);
	if (error) {
		id_give(s, r.slot);
		return error;
	}
	*slot = (struct space_slot){*what, r.slot};
	return 0;
}

void space_destroy(const struct kvm_host *host, struct space *s)
{
	for (size_t i = 0; i < s->count; i++)
		slot_delete(host, s, &s->slots[i]);
	free(s->slots);
	free(s->spare);
	free(s->id_map);
	if (s->own_fd && s->vm_fd >= 0)
		host->ops->close_fd(host, s->vm_fd);
	*s = (struct space){.vm_fd = -1, .shown_vtl = -1};
}

/* --- showing a view --- */

/* Deletes every slot that is not exactly one of `want`; goes on past errors. */
static int delete_others(const struct kvm_host *host, struct space *s, const struct view_slot *want,
			 size_t count, unsigned *changed)
{
	size_t kept = 0, next = 0;
	int result = 0;

	for (size_t i = 0; i < s->count; i++) {
		struct space_slot *slot = &s->slots[i];
		int error = 0;

		while (next < count && want[next].first < slot->what.first)
			next++;
		if (next == count || !view_slot_equal(&want[next], &slot->what)) {
			error = slot_delete(host, s, slot);
			++*changed;
			if (!error)
				continue;
		}
		s->slots[kept++] = *slot;
		result = result ? result : error;
	}
	s->count = kept;
	return result;
}

static bool shows_overlay(const struct memory *m, const struct view_slot *slot)
{
	const uint8_t *pools[] = {m->pool, m->pool_guard.at[KVM_MAP_NONE],
				  m->pool_guard.at[KVM_MAP_READ]};

	for (unsigned i = 0; i < sizeof(pools) / sizeof(pools[0]); i++)
		if (pools[i] && slot->host >= pools[i] &&
		    slot->host < pools[i] + ((size_t)m->overlay_room << VSM_PAGE_SHIFT))
			return true;
	return false;
}

/*
 * A guest can put its overlay pages over memslots that are not the library's: the VMM's, and those
 * that KVM has for itself. KVM does not let them be covered.
 */
static bool is_covered(const struct memory *m, const struct view_slot *slot, int error)
{
	return error == -EEXIST && shows_overlay(m, slot);
}

/* All slots are some of `want`: makes the others. The list stays sorted, whatever fails. */
static int create_missing(const struct memory *m, struct space *s, const struct view_slot *want,
			  size_t count, unsigned *changed)
{
	struct space_slot *list = s->spare;
	size_t have = 0, made = 0;
	int error = 0;

	for (size_t i = 0; i < count; i++) {
		if (have < s->count && s->slots[have].what.first == want[i].first) {
			list[made++] = s->slots[have++];
		} else if (!error) {
			error = slot_create(m->host, s, &want[i], &list[made]);
			++*changed;
			made += !error;
			if (is_covered(m, &want[i], error))
				error = 0;
		}
	}
	s->spare = s->slots;
	s->slots = list;
	s->count = made;
	return error;
}

int space_apply(struct space *s, struct memory *m, unsigned vtl, unsigned *changed)
{
	const struct view *v = &m->views[vtl];
	unsigned ignored = 0;
	int error, failed;

	if (!changed)
		changed = &ignored;
	if (space_shows(s, m, vtl))
		return 0;
	s->shown_vtl = -1;
	s->updates++;
	error = view_build(m, vtl);
	/* Without a view the only certain subset of it is nothing. */
	failed = delete_others(m->host, s, v->slots, error ? 0 : v->count, changed);
	if (!error)
		error = failed;
	if (!error && v->count > s->slot_limit - s->first_slot)
		error = -ENOSPC;
	if (!error)
		error = create_missing(m, s, v->slots, v->count, changed);
	if (error)
		return error;
	s->shown_vtl = (int)vtl;
	s->shown_generation = v->generation;
	return 0;
}
