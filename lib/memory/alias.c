/* SPDX-License-Identifier: MIT */
/* Mappings of guest memory whose protections are a VTL's: with enforcement `alias` one for its
 * vCPUs, and with any one for devices if the VMM asked for it (device.c). With `slots` guards
 * (guard.c). */
#include "memory/mapping.h"

#include <errno.h>

static size_t region_bytes(const struct memory_region *r)
{
	return (size_t)((r->end - r->first) << VSM_PAGE_SHIFT);
}

/* Whose mapping. */
enum user {
	VCPUS,
	DEVICES,
	USERS,
};

static bool mapped_for(const struct memory *m, unsigned vtl, enum user user)
{
	/* With slots, what the vCPUs use is the library's own mapping, never protected. */
	return user == VCPUS ? m->enforcement == VSM_ENFORCEMENT_ALIAS : m->device_view[vtl];
}

static int protect(const struct memory *m, uint8_t *base, const struct memory_region *r,
		   uint64_t first, uint64_t end, enum kvm_map_prot prot)
{
	return m->host->ops->protect_memory(m->host, region_host(r, base, first),
					    (size_t)((end - first) << VSM_PAGE_SHIFT), prot);
}

static int map_closed(const struct memory *m, const struct memory_region *r, void **at)
{
	return m->host->ops->map_memory(m->host, r->fd, r->offset, region_bytes(r), KVM_MAP_NONE,
					NULL, at);
}

int alias_map_devices(const struct memory *m, unsigned vtl, struct memory_region *r)
{
	void *at;
	int error = map_closed(m, r, &at);

	if (!error)
		r->device[vtl] = at;
	return error;
}

void alias_unmap_devices(const struct memory *m, unsigned vtl, struct memory_region *r)
{
	if (r->device[vtl])
		m->host->ops->unmap_memory(m->host, r->device[vtl], region_bytes(r));
	r->device[vtl] = NULL;
}

static int map_aliases(const struct memory *m, struct memory_region *r)
{
	int error = 0;

	for (unsigned vtl = 0; vtl < m->vtl_count && !error; vtl++) {
		void *at = r->host;

		if (m->enforcement == VSM_ENFORCEMENT_ALIAS)
			error = map_closed(m, r, &at);
		if (!error)
			r->alias[vtl] = at;
		if (!error && m->device_view[vtl])
			error = alias_map_devices(m, vtl, r);
	}
	return error;
}

int alias_map_region(const struct memory *m, struct memory_region *r)
{
	int error = 0;

	if (m->enforcement == VSM_ENFORCEMENT_SLOTS)
		error = guard_map(m, r->fd, r->offset, region_bytes(r), &r->guard);
	if (!error)
		error = map_aliases(m, r);
	if (error)
		alias_unmap_region(m, r);
	return error;
}

void alias_unmap_region(const struct memory *m, struct memory_region *r)
{
	guard_unmap(m, region_bytes(r), &r->guard);
	for (unsigned vtl = 0; vtl < VSM_VTL_COUNT; vtl++) {
		if (r->alias[vtl] && r->alias[vtl] != r->host)
			m->host->ops->unmap_memory(m->host, r->alias[vtl], region_bytes(r));
		r->alias[vtl] = NULL;
		alias_unmap_devices(m, vtl, r);
	}
}

/* --- protections --- */

enum direction {
	EVERYTHING,
	TIGHTEN, /* only pages that become less accessible than they were */
	LOOSEN,	 /* only those that become more */
};

struct sync {
	const struct memory *m;
	unsigned vtl;
	struct limits_state now;
	const struct limits_state *before; /* for TIGHTEN and LOOSEN */
	enum direction direction;
	bool keep_going; /* past errors */
	bool everybody;	 /* the devices' mapping, too */
	enum user user;	 /* at work on this one */
};

static struct sync sync_of(const struct memory *m, unsigned vtl, enum direction direction)
{
	return (struct sync){.m = m, .vtl = vtl, .now = limits_now(m, vtl), .direction = direction};
}

static uint8_t *base_of(const struct sync *s, const struct memory_region *r)
{
	return s->user == VCPUS ? r->alias[s->vtl] : r->device[s->vtl];
}

static bool concerns(const struct sync *s, enum kvm_map_prot was, enum kvm_map_prot now)
{
	if (s->direction == EVERYTHING)
		return true;
	return s->direction == TIGHTEN ? now < was : now > was;
}

static enum kvm_map_prot alias_protection(const struct sync *s, const struct memory_region *r,
					  const struct limits_state *limits, uint64_t page,
					  uint64_t *end)
{
	enum kvm_map_prot prot;

	/* Overlays over ROM have slots of their own: the alias is what they cover. The file
	 * behind ROM may not be writable. */
	if (s->user == VCPUS && !r->read_only)
		return view_protection(s->m, s->vtl, limits, page, end);
	if (s->user == VCPUS)
		prot = view_ram_protection(s->m, s->vtl, limits, page, end);
	else
		prot = view_data_protection(s->m, limits, page, end);
	if (!r->read_only)
		return prot;
	return prot == KVM_MAP_READ_WRITE ? KVM_MAP_READ : prot;
}

/* What to do with the pages from `page` on: *act says whether, *end how far. */
static enum kvm_map_prot sync_step(const struct sync *s, const struct memory_region *r,
				   uint64_t page, uint64_t *end, bool *act)
{
	enum kvm_map_prot now = alias_protection(s, r, &s->now, page, end), was = KVM_MAP_NONE;
	uint64_t was_end = UINT64_MAX;

	if (s->before)
		was = alias_protection(s, r, s->before, page, &was_end);
	*end = page_min(*end, was_end);
	*act = concerns(s, was, now);
	return now;
}

/* Pages that wait to be protected together; empty when first == end. */
struct span {
	uint64_t first, end;
	enum kvm_map_prot prot;
};

static int span_flush(const struct sync *s, const struct memory_region *r, const struct span *span)
{
	if (span->first == span->end)
		return 0;
	return protect(s->m, base_of(s, r), r, span->first, span->end, span->prot);
}

/* [first, end) of one region, in as few calls as there are runs of one protection. */
static int sync_region(const struct sync *s, const struct memory_region *r, uint64_t first,
		       uint64_t end)
{
	struct span span = {first, first, KVM_MAP_NONE};
	int result = 0, error;

	for (uint64_t page = first, next; page < end; page = next) {
		bool act;
		enum kvm_map_prot prot = sync_step(s, r, page, &next, &act);

		next = page_min(next, end);
		if (act && prot == span.prot && page == span.end) {
			span.end = next;
			continue;
		}
		error = span_flush(s, r, &span);
		if (error && !s->keep_going)
			return error;
		result = result ? result : error;
		span = (struct span){page, act ? next : page, prot};
	}
	error = span_flush(s, r, &span);
	return result ? result : error;
}

static int sync_mapping(const struct sync *s, uint64_t first, uint64_t end)
{
	const struct memory *m = s->m;
	int result = 0;

	if (!mapped_for(m, s->vtl, s->user))
		return 0;
	for (size_t i = region_index(m, first); i < m->region_count; i++) {
		const struct memory_region *r = &m->regions[i];
		int error;

		if (r->first >= end)
			break;
		error = sync_region(s, r, page_max(first, r->first), page_min(end, r->end));
		if (error && !s->keep_going)
			return error;
		result = result ? result : error;
	}
	return result;
}

static int sync_range(const struct sync *s, uint64_t first, uint64_t end)
{
	struct sync devices = *s;
	int result = sync_mapping(s, first, end), error;

	if (!s->everybody || (result && !s->keep_going))
		return result;
	devices.user = DEVICES;
	error = sync_mapping(&devices, first, end);
	return result ? result : error;
}

/*
 * The host refused to close something in [first, end). Closing whole mappings needs no new ones,
 * so it can still work; what is legal is then opened again, as far as possible.
 */
static int contain_user(const struct memory *m, unsigned vtl, enum user user, uint64_t first,
			uint64_t end)
{
	struct sync s = sync_of(m, vtl, EVERYTHING);

	s.keep_going = true;
	s.user = user;
	for (size_t i = region_index(m, first); i < m->region_count; i++) {
		const struct memory_region *r = &m->regions[i];

		if (r->first >= end)
			break;
		if (protect(m, base_of(&s, r), r, r->first, r->end, KVM_MAP_NONE))
			return -ENOTRECOVERABLE;
		sync_mapping(&s, r->first, r->end);
	}
	return 0;
}

static int contain(const struct memory *m, unsigned vtl, uint64_t first, uint64_t end)
{
	int result = 0;

	for (enum user user = VCPUS; user < USERS; user++)
		if (mapped_for(m, vtl, user) && contain_user(m, vtl, user, first, end))
			result = -ENOTRECOVERABLE;
	return result;
}

int alias_open(const struct memory *m, unsigned vtl, uint64_t first, uint64_t end)
{
	struct sync s = sync_of(m, vtl, EVERYTHING);

	return sync_range(&s, first, end);
}

int alias_open_all(const struct memory *m, unsigned vtl)
{
	struct sync s = sync_of(m, vtl, EVERYTHING);

	s.everybody = true;
	s.keep_going = true;
	return sync_range(&s, 0, PAGES_ALL);
}

int alias_open_devices(const struct memory *m, unsigned vtl, uint64_t first, uint64_t end)
{
	struct sync s = sync_of(m, vtl, EVERYTHING);

	s.user = DEVICES;
	return sync_range(&s, first, end);
}

int alias_sync(const struct memory *m, unsigned vtl, uint64_t first, uint64_t end)
{
	int error = alias_open(m, vtl, first, end);

	if (error && contain_user(m, vtl, VCPUS, first, end))
		return -ENOTRECOVERABLE;
	return error;
}

int alias_change(const struct memory *m, unsigned vtl, uint64_t first, uint64_t end,
		 const struct limits_state *before, enum alias_progress *progress)
{
	struct sync s = sync_of(m, vtl, TIGHTEN);
	int error;

	s.before = before;
	s.everybody = true;
	*progress = ALIAS_TIGHTENED;
	error = sync_range(&s, first, end);
	if (error)
		return error;
	*progress = ALIAS_LOOSENED;
	/* Where nobody limits the VTL any more nothing is stepped that was left closed before. */
	s.direction = s.now.governed ? LOOSEN : EVERYTHING;
	return sync_range(&s, first, end);
}

int alias_revert(const struct memory *m, unsigned vtl, uint64_t first, uint64_t end,
		 const struct limits_state *tried, enum alias_progress progress)
{
	struct sync s = sync_of(m, vtl, TIGHTEN);

	s.before = tried;
	s.everybody = true;
	s.keep_going = true;
	if (progress == ALIAS_LOOSENED && sync_range(&s, first, end))
		return contain(m, vtl, first, end);
	s.direction = LOOSEN;
	sync_range(&s, first, end);
	return 0;
}

/* --- overlays --- */

int alias_show_page(const struct memory *m, unsigned vtl, uint64_t page, enum kvm_map_prot was)
{
	const struct memory_region *r = memory_region_of(m, page);
	const struct overlay *o = overlay_at(m, vtl, page);
	struct limits_state s = limits_now(m, vtl);
	void *at = region_host(r, r->alias[vtl], page), *addr;
	uint64_t offset, end;
	int error;

	if (o)
		offset = (uint64_t)o->pool << VSM_PAGE_SHIFT;
	else
		offset = r->offset + ((page - r->first) << VSM_PAGE_SHIFT);
	error = m->host->ops->map_memory(m->host, o ? m->pool_fd : r->fd, offset, VSM_PAGE_SIZE,
					 view_protection(m, vtl, &s, page, &end), at, &addr);
	if (!error)
		return 0;
	/* A refusal leaves the old mapping; protecting that as it is changes nothing and fails
	 * only if it is gone. */
	return protect(m, r->alias[vtl], r, page, page + 1, was) ? -ENOTRECOVERABLE : error;
}
