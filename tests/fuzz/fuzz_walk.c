/* SPDX-License-Identifier: MIT */
/* Any bytes as page tables, in any paging mode, partly closed to the VTL. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "intercept/intercept.h"

#define PAGES 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	uint64_t cr0, cr3, cr4, efer, gva;
	uint8_t access, user, cpl, closed_page, closed_mask;
};

static struct memory memory;
static uint8_t *pages;

static void require(int condition)
{
	if (!condition)
		abort();
}

static void set_up(void)
{
	const struct kvm_host *h = &kvm_linux_host;
	const struct memory_options o = {.enforcement = VSM_ENFORCEMENT_SLOTS,
					 .exec_policy = VSM_EXEC_STRICT,
					 .vtl_count = 2,
					 .overlay_pages = 1,
					 .slot_limit = 32};
	int fd = h->ops->create_memfd(h, "tables", PAGES * VSM_PAGE_SIZE);
	void *at;

	require(fd >= 0 && !memory_init(&memory, h, &o));
	require(!memory_add_region(&memory, gpa_from(0), PAGES * VSM_PAGE_SIZE, fd, 0, false));
	require(!memory_limit_default(&memory, 1, PROT_ALL));
	require(!h->ops->map_memory(h, fd, 0, PAGES * VSM_PAGE_SIZE, KVM_MAP_READ_WRITE, NULL,
				    &at));
	pages = at;
}

/* Tables that lead somewhere: the addresses in entries are kept inside memory, mostly. */
static void fill(const uint8_t *data, size_t size)
{
	memset(pages, 0, PAGES * VSM_PAGE_SIZE);
	for (size_t i = 0; i + 10 <= size; i += 10) {
		size_t at = (data[i] | (size_t)data[i + 1] << 8) % (PAGES * VSM_PAGE_SIZE / 8);
		uint64_t entry;

		memcpy(&entry, data + i + 2, sizeof(entry));
		if (!(data[i + 1] & 0x80))
			entry &= ~((UINT64_MAX << 15) & UINT64_C(0x000fffffffffffff));
		memcpy(pages + at * 8, &entry, sizeof(entry));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {0};
	struct kvm_sregs sregs = {0};
	struct access_fault fault;
	struct walk_result result;
	uint8_t code[INSN_MAX];
	uint64_t page;
	size_t got;
	int r;

	if (!pages)
		set_up();
	memcpy(&in, data, size < sizeof(in) ? size : sizeof(in));
	fill(data + (size < sizeof(in) ? size : sizeof(in)),
	     size < sizeof(in) ? 0 : size - sizeof(in));
	page = in.closed_page % PAGES;
	require(!memory_limit(&memory, 1, 0, page, page + 1, in.closed_mask & PROT_ALL));
	sregs.cr0 = in.cr0;
	sregs.cr3 = in.cr3 & 0x7fff;
	sregs.cr4 = in.cr4;
	sregs.efer = in.efer;
	sregs.cs.l = in.user >> 1;
	sregs.ss.dpl = in.cpl & 3;
	r = walk(&memory, 0, &sregs, gva_from(in.gva), (enum mem_access)(in.access % 3),
		 in.user & 1, &result, &fault);
	require(r == 0 || r == -ENOENT || r == -EACCES || r == -EFAULT);
	require(result.table_count <= WALK_LEVELS);
	if (r == -EACCES)
		require(fault.setter == 1 && gpa_page(fault.gpa) == page);
	r = walk_fetch(&memory, 0, &sregs, gva_from(in.gva), code, sizeof(code), &got, &fault);
	require(got <= sizeof(code) && (r != 0 || got == sizeof(code)));
	require(!memory_limit(&memory, 1, 0, page, page + 1, PROT_ALL));
	return 0;
}
