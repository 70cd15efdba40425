/* SPDX-License-Identifier: MIT */
/*
 * The checked accessor for a block that lies in one page, which is often the same as the time
 * before: a hypercall's parameters. Inline for the run loop.
 */
#ifndef VSM_LIB_MEMORY_BLOCK_H
#define VSM_LIB_MEMORY_BLOCK_H

#include <string.h>
#include "memory/memory.h"

/*
 * A page that a VTL was found to have an access to, and where it is. It still has it for as long as
 * memory.changes does not grow, which is cheaper to see than to look for overlays, RAM and limits
 * again. One for each VTL and kind of access.
 */
struct known_page {
	uint8_t *host;
	uint64_t page,
		changes; /* memory.changes is never 0: of a struct of zeros nothing is known */
};

/* access.c: looks for the page at gpa. Errors as guest_read(); *known is then no page. */
int block_look(const struct memory *m, unsigned vtl, gpa_t gpa, enum mem_access access,
	       struct known_page *known, struct access_fault *fault);

/*
 * May the VTL have this access to the block? *known, which is of this VTL and access, is then the
 * block's page. -EACCES and -EFAULT as guest_read().
 */
static inline int block_check(const struct memory *m, unsigned vtl, gpa_t gpa,
			      enum mem_access access, struct known_page *known,
			      struct access_fault *fault)
{
	if (!((known->page ^ gpa_page(gpa)) | (known->changes ^ m->changes)))
		return 0;
	return block_look(m, vtl, gpa, access, known, fault);
}

/*
 * guest_read() of a block that begins at a multiple of 8 bytes. Each word is read once, the last
 * one whole, for which `buf` has room.
 */
static inline int block_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len,
			     struct known_page *known, struct access_fault *fault)
{
	int r = block_check(m, vtl, gpa, MEM_READ, known, fault);
	const uint8_t *from;

	if (r)
		return r;
	from = known->host + gpa_offset(gpa);
	for (size_t done = 0; done < len; done += sizeof(uint64_t)) {
		uint64_t word = __atomic_load_n((const uint64_t *)(from + done), __ATOMIC_RELAXED);

		memcpy((uint8_t *)buf + done, &word, sizeof(word));
	}
	return 0;
}

/* guest_write() of a block, by words if it consists of such. */
static inline int block_write(const struct memory *m, unsigned vtl, gpa_t gpa, const void *buf,
			      size_t len, struct known_page *known, struct access_fault *fault)
{
	int r = block_check(m, vtl, gpa, MEM_WRITE, known, fault);
	uint8_t *to;

	if (r)
		return r;
	to = known->host + gpa_offset(gpa);
	if ((gpa.addr | len) % sizeof(uint64_t)) {
		memcpy(to, buf, len);
		return 0;
	}
	for (size_t done = 0; done < len; done += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, (const uint8_t *)buf + done, sizeof(word));
		__atomic_store_n((uint64_t *)(to + done), word, __ATOMIC_RELAXED);
	}
	return 0;
}

#endif
