/* SPDX-License-Identifier: MIT */
/* The checked accessor: the only way the library reads or writes guest memory. It never goes
 * through a VTL's alias, whose pages may be closed. */
#include "memory/memory.h"

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
static uint8_t *host_address(const struct access *a, uint64_t addr, bool write)
{
	uint64_t page = addr >> VSM_PAGE_SHIFT, offset = addr & VSM_PAGE_MASK;
	const struct overlay *o = overlay_at(a->m, a->vtl, page);
	const struct memory_region *r;

	if (o)
		return o->host + offset;
	r = memory_region_of(a->m, page);
	if (!r || (write && r->read_only))
		return NULL;
	return r->host + ((page - r->first) << VSM_PAGE_SHIFT) + offset;
}

/* Copies page by page, to the buffer `to` or from the buffer `from`. */
static int copy(const struct access *a, uint8_t *to, const uint8_t *from)
{
	for (size_t done = 0, n; done < a->len; done += n) {
		uint8_t *host = host_address(a, a->gpa.addr + done, from != NULL);

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

static int check_pages(const struct access *a, bool write)
{
	for (size_t done = 0; done < a->len; done += gpa_span(a->gpa.addr + done, a->len - done)) {
		if (!host_address(a, a->gpa.addr + done, write))
			return -EFAULT;
	}
	return 0;
}

/* The rights to every page. *fault, when not NULL, says what is missing. */
static int check_rights(const struct access *a, enum mem_access access, bool user,
			struct access_fault *fault)
{
	for (size_t done = 0; done < a->len; done += gpa_span(a->gpa.addr + done, a->len - done)) {
		gpa_t gpa = gpa_from(a->gpa.addr + done);
		uint8_t setter;

		if (memory_allows(a->m, a->vtl, gpa_page(gpa), access, user, &setter))
			continue;
		if (fault)
			*fault = (struct access_fault){gpa, access, setter};
		return setter ? -EACCES : -EFAULT;
	}
	return 0;
}

int guest_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len,
	       enum mem_access access, bool user, struct access_fault *fault)
{
	struct access a;
	int r = access_init(&a, m, vtl, gpa, len);

	if (!r)
		r = check_rights(&a, access, user, fault);
	return r ? r : copy(&a, buf, NULL);
}

int guest_write(const struct memory *m, unsigned vtl, gpa_t gpa, const void *buf, size_t len,
		struct access_fault *fault)
{
	struct access a;
	int r = access_init(&a, m, vtl, gpa, len);

	if (!r)
		r = check_rights(&a, MEM_WRITE, false, fault);
	return r ? r : copy(&a, NULL, buf);
}

int host_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len)
{
	struct access a;
	int r = access_init(&a, m, vtl, gpa, len);

	if (!r)
		r = check_pages(&a, false);
	return r ? r : copy(&a, buf, NULL);
}

int host_write(const struct memory *m, unsigned vtl, gpa_t gpa, const void *buf, size_t len)
{
	struct access a;
	int r = access_init(&a, m, vtl, gpa, len);

	if (!r)
		r = check_pages(&a, true);
	return r ? r : copy(&a, NULL, buf);
}

const void *memory_address(const struct memory *m, unsigned vtl, gpa_t gpa)
{
	const struct access a = {m, vtl, gpa, 1};

	return host_address(&a, gpa.addr, false);
}
