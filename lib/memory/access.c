/* SPDX-License-Identifier: MIT */
/* The checked accessor: the only way the library reads or writes guest memory. It never goes
 * through a VTL's alias, whose pages may be closed. */
#include "memory/block.h"
#include "memory/mapping.h"
#include "kvm/path.h"

#include <errno.h>
#include <string.h>

struct access {
	const struct memory *m;
	unsigned vtl;
	gpa_t gpa;
	size_t len;
};

/* -EINVAL: it wraps. */
static int access_init(struct access *a, const struct memory *m, unsigned vtl, gpa_t gpa,
		       size_t len)
{
	*a = (struct access){m, vtl, gpa, len};
	return len && gpa.addr > UINT64_MAX - (len - 1) ? -EINVAL : 0;
}

/* Host address of a byte as the VTL sees it; NULL: nothing is there, or it may not be written. */
static uint8_t *place_host(const struct place *at, uint64_t addr, bool write)
{
	uint64_t page = addr >> VSM_PAGE_SHIFT, offset = addr & VSM_PAGE_MASK;
	const struct memory_region *r = at->region;

	if (at->overlay)
		return at->overlay->host + offset;
	if (!r || (write && r->read_only))
		return NULL;
	return region_host(r, r->host, page) + offset;
}

static uint8_t *host_address(const struct access *a, uint64_t addr, bool write)
{
	const struct place at = place_of(a->m, a->vtl, addr >> VSM_PAGE_SHIFT);

	return place_host(&at, addr, write);
}

/*
 * Copies page by page, to the buffer `to` or from the buffer `from`. host: where the first byte is,
 * which the check of the first page told; nearly always there is no other page.
 */
static int copy(const struct access *a, uint8_t *host, uint8_t *to, const uint8_t *from)
{
	for (size_t done = 0, n; done < a->len; done += n) {
		if (done)
			host = host_address(a, a->gpa.addr + done, from != NULL);
		n = gpa_span(a->gpa.addr + done, a->len - done);
		if (!host)
			return -EFAULT;
		if (to)
			memcpy(to + done, host, n);
		else
			memcpy(host, from + done, n);
	}
	return 0;
}

/* *host: of the first byte. */
static int check_pages(const struct access *a, bool write, uint8_t **host)
{
	*host = NULL;
	for (size_t done = 0; done < a->len; done += gpa_span(a->gpa.addr + done, a->len - done)) {
		uint8_t *at = host_address(a, a->gpa.addr + done, write);

		if (!at)
			return -EFAULT;
		*host = done ? *host : at;
	}
	return 0;
}

/* The right to one page; *host: of the byte. *fault, when not NULL, says what is missing. */
static int check_right(const struct access *a, gpa_t gpa, enum mem_access access, bool user,
		       uint8_t **host, struct access_fault *fault)
{
	const struct place at = place_of(a->m, a->vtl, gpa_page(gpa));
	uint8_t setter;

	if (place_allows(a->m, a->vtl, gpa_page(gpa), &at, access, user, &setter)) {
		*host = place_host(&at, gpa.addr, access == MEM_WRITE);
		return 0;
	}
	if (fault)
		*fault = (struct access_fault){gpa, access, setter};
	return setter ? -EACCES : -EFAULT;
}

/* The rights to every page. *host: of the first byte. */
static int check_rights(const struct access *a, enum mem_access access, bool user, uint8_t **host,
			struct access_fault *fault)
{
	*host = NULL;
	for (size_t done = 0; done < a->len; done += gpa_span(a->gpa.addr + done, a->len - done)) {
		uint8_t *at;
		int r = check_right(a, gpa_from(a->gpa.addr + done), access, user, &at, fault);

		if (r)
			return r;
		*host = done ? *host : at;
	}
	return 0;
}

RUN_PATH int guest_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len,
			enum mem_access access, bool user, struct access_fault *fault)
{
	struct access a;
	uint8_t *host;
	int r = access_init(&a, m, vtl, gpa, len);

	if (!r)
		r = check_rights(&a, access, user, &host, fault);
	return r ? r : copy(&a, host, buf, NULL);
}

RUN_PATH int guest_write(const struct memory *m, unsigned vtl, gpa_t gpa, const void *buf,
			 size_t len, struct access_fault *fault)
{
	struct access a;
	uint8_t *host;
	int r = access_init(&a, m, vtl, gpa, len);

	if (!r)
		r = check_rights(&a, MEM_WRITE, false, &host, fault);
	return r ? r : copy(&a, host, NULL, buf);
}

/* --- block.h --- */

int block_look(const struct memory *m, unsigned vtl, gpa_t gpa, enum mem_access access,
	       struct known_page *known, struct access_fault *fault)
{
	const struct access a = {.m = m, .vtl = vtl, .gpa = gpa};
	uint8_t *host;
	int r = check_right(&a, gpa, access, false, &host, fault);

	*known = (struct known_page){0};
	if (r)
		return r;
	*known = (struct known_page){
		.host = host - gpa_offset(gpa), .page = gpa_page(gpa), .changes = m->changes};
	return 0;
}

/* --- the host's own rights --- */

int host_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len)
{
	struct access a;
	uint8_t *host;
	int r = access_init(&a, m, vtl, gpa, len);

	if (!r)
		r = check_pages(&a, false, &host);
	return r ? r : copy(&a, host, buf, NULL);
}

int host_write(const struct memory *m, unsigned vtl, gpa_t gpa, const void *buf, size_t len)
{
	struct access a;
	uint8_t *host;
	int r = access_init(&a, m, vtl, gpa, len);

	if (!r)
		r = check_pages(&a, true, &host);
	return r ? r : copy(&a, host, NULL, buf);
}

const void *memory_address(const struct memory *m, unsigned vtl, gpa_t gpa)
{
	const struct access a = {m, vtl, gpa, 1};

	return host_address(&a, gpa.addr, false);
}
