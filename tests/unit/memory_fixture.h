/* SPDX-License-Identifier: MIT */
/* Memory of a partition on a fake host, with a VM and a space per VTL to see it through. */
#ifndef VSM_TESTS_UNIT_MEMORY_FIXTURE_H
#define VSM_TESTS_UNIT_MEMORY_FIXTURE_H

#include "fixture.h"
#include "memory/space.h"

#define FIXTURE_FIRST_SLOT 3
#define FIXTURE_SLOTS	   64
#define FIXTURE_OVERLAYS   16

/* Each page of the test's memory starts with this and its number in the file. */
#define FIXTURE_TAG UINT64_C(0x5441470000000000)

struct memory_fixture {
	struct fixture x;
	struct memory m;
	int vm_fds[VSM_VTL_COUNT];
	struct space spaces[VSM_VTL_COUNT];
};

static inline struct memory_options fixture_options(enum vsm_enforcement enforcement,
						    enum vsm_exec_policy policy)
{
	return (struct memory_options){
		.enforcement = enforcement,
		.exec_policy = policy,
		.vtl_count = VSM_VTL_COUNT,
		.overlay_pages = FIXTURE_OVERLAYS,
		.slot_limit = FIXTURE_SLOTS,
	};
}

static inline void memory_start(struct memory_fixture *f, const struct memory_options *o,
				unsigned mib)
{
	const struct kvm_host *h;

	*f = (struct memory_fixture){.m = {.pool_fd = -1}};
	fixture_start(&f->x, mib);
	h = f->x.host;
	for (uint64_t page = 0; page < f->x.mem_size >> VSM_PAGE_SHIFT; page++)
		*(uint64_t *)(f->x.mem + (page << VSM_PAGE_SHIFT)) = FIXTURE_TAG | page;
	assert_int_equal(memory_init(&f->m, h, o), 0);
	for (unsigned vtl = 0; vtl < VSM_VTL_COUNT; vtl++) {
		f->vm_fds[vtl] = h->ops->create_vm(h, f->x.dev_fd);
		assert_true(f->vm_fds[vtl] >= 0);
		assert_int_equal(space_init(&f->spaces[vtl], f->vm_fds[vtl], true,
					    FIXTURE_FIRST_SLOT, FIXTURE_FIRST_SLOT + FIXTURE_SLOTS),
				 0);
	}
	fake_kvm_reset_calls(f->x.fake);
}

static inline void memory_stop(struct memory_fixture *f)
{
	for (unsigned vtl = 0; vtl < VSM_VTL_COUNT; vtl++)
		space_destroy(f->x.host, &f->spaces[vtl]);
	memory_destroy(&f->m);
	fixture_stop(&f->x);
}

/* [first, end) in pages shows the file from page `at` on. */
static inline int fixture_region(struct memory_fixture *f, uint64_t first, uint64_t end,
				 uint64_t at, bool read_only)
{
	return memory_add_region(&f->m, gpa_of_page(first), (end - first) << VSM_PAGE_SHIFT,
				 f->x.mem_fd, at << VSM_PAGE_SHIFT, read_only);
}

/* What a guest in vtl can do with the page: enum kvm_map_prot; a hole is KVM_MAP_NONE. */
static inline int fixture_access(struct memory_fixture *f, unsigned vtl, uint64_t page)
{
	int access;

	assert_int_equal(space_apply(&f->spaces[vtl], &f->m, vtl, NULL), 0);
	access = fake_kvm_guest_access(f->x.fake, f->vm_fds[vtl], page << VSM_PAGE_SHIFT);
	return access == FAKE_NO_SLOT ? KVM_MAP_NONE : access;
}

/* The first eight bytes a guest in vtl would see there, if it may. */
static inline uint64_t fixture_tag(struct memory_fixture *f, unsigned vtl, uint64_t page)
{
	uint64_t tag = 0;

	assert_int_equal(space_apply(&f->spaces[vtl], &f->m, vtl, NULL), 0);
	assert_int_equal(
		fake_kvm_peek(f->x.fake, f->vm_fds[vtl], page << VSM_PAGE_SHIFT, &tag, sizeof(tag)),
		0);
	return tag;
}

static inline void assert_access(struct memory_fixture *f, unsigned vtl, uint64_t first,
				 uint64_t end, enum kvm_map_prot prot)
{
	for (uint64_t page = first; page < end; page++)
		assert_int_equal(fixture_access(f, vtl, page), prot);
}

#endif
