/* SPDX-License-Identifier: MIT */
/*
 * HvCallModifyVtlProtectionMask on a host that runs out of something in mid-list: the status and
 * the reps done are what was applied, no page is more open than asked, and the rest can be done
 * later.
 */
#include "hypercall_fixture.h"

#include "failing_malloc.h"
#include "memory/mapping.h"
#include "memory/memory.h"
#include "memory/space.h"

#define FIRST UINT64_C(0x100)
#define COUNT 60

static void start(struct hc *h, enum vsm_enforcement enforcement)
{
	hc_start_with(h, &(struct vsm_partition_options){.max_vtl = 1, .enforcement = enforcement});
	hc_enter(h, 0, 1);
	assert_int_equal(memory_limit_default(&h->p->memory, 1, PROT_ALL), 0);
}

/* Every second page, so that each is a range, two slots and two mappings of its own. */
static uint64_t page_of(unsigned i)
{
	return FIRST + 2 * i;
}

static unsigned protect(struct hc *h, unsigned from, prot_t mask)
{
	struct hv_modify_vtl_protection_mask in = {.partition_id = HC_SELF, .map_flags = mask};
	uint64_t pages[COUNT];

	for (unsigned i = 0; i < COUNT; i++)
		pages[i] = page_of(i);
	memcpy(hc_mem(h, HC_INPUT), &in, sizeof(in));
	memcpy(hc_mem(h, HC_INPUT + sizeof(in)), pages, sizeof(pages));
	return (unsigned)(hc_call(h, 0,
				  hc_control(HV_CALL_MODIFY_VTL_PROTECTION_MASK, false, COUNT,
					     from),
				  HC_INPUT, 0) &
			  0xffff);
}

/* What a vCPU of VTL0 can do there now. */
static int access_to(struct hc *h, uint64_t page)
{
	struct space *s = partition_space(h->p, 0);
	int access;

	assert_int_equal(space_apply(s, &h->p->memory, 0, NULL), 0);
	access = fake_kvm_guest_access(h->x.fake, s->vm_fd, page << VSM_PAGE_SHIFT);
	return access == FAKE_NO_SLOT ? KVM_MAP_NONE : access;
}

static int device_access(struct hc *h, uint64_t page)
{
	const struct memory_region *r = memory_region_of(&h->p->memory, page);

	return fake_kvm_host_prot(h->x.fake, region_host(r, r->device[0], page));
}

/* The first `done` pages have the mask, the others what they had; their neighbours everything. */
static void check(struct hc *h, unsigned done, enum kvm_map_prot now, enum kvm_map_prot was)
{
	for (unsigned i = 0; i < COUNT; i++) {
		enum kvm_map_prot want = i < done ? now : was;

		assert_int_equal(access_to(h, page_of(i)), want);
		assert_int_equal(access_to(h, page_of(i) + 1), KVM_MAP_READ_WRITE);
		if (h->p->memory.device_view[0])
			assert_int_equal(device_access(h, page_of(i)), want);
	}
}

/* After a shortage in the middle: exact, and with enough of it the rest follows. */
static void check_and_go_on(struct hc *h, unsigned status, void (*relieve)(struct hc *h))
{
	unsigned done = h->result.reps;

	assert_int_equal(status, HV_INSUFFICIENT_MEMORY);
	assert_in_range(done, 1, COUNT - 1);
	check(h, done, KVM_MAP_NONE, KVM_MAP_READ_WRITE);
	relieve(h);
	assert_int_equal(protect(h, done, 0), HV_SUCCESS);
	assert_int_equal(h->result.reps, COUNT);
	check(h, COUNT, KVM_MAP_NONE, KVM_MAP_NONE);
	assert_int_equal(protect(h, 0, PROT_ALL), HV_SUCCESS);
	check(h, COUNT, KVM_MAP_READ_WRITE, KVM_MAP_READ_WRITE);
	hc_stop(h);
}

static void more_mappings(struct hc *h)
{
	fake_kvm_set_limit(h->x.fake, FAKE_LIMIT_VMAS, 65530);
}

static void out_of_mappings(void **state)
{
	struct hc h;

	(void)state;
	start(&h, VSM_ENFORCEMENT_ALIAS);
	fake_kvm_set_limit(h.x.fake, FAKE_LIMIT_VMAS, fake_kvm_vma_count(h.x.fake) + 31);
	check_and_go_on(&h, protect(&h, 0, 0), more_mappings);
}

static void out_of_mappings_for_devices(enum vsm_enforcement enforcement, unsigned spare)
{
	struct hc h;

	start(&h, enforcement);
	assert_int_equal(memory_map_devices(&h.p->memory, 0), 0);
	fake_kvm_set_limit(h.x.fake, FAKE_LIMIT_VMAS, fake_kvm_vma_count(h.x.fake) + spare);
	check_and_go_on(&h, protect(&h, 0, 0), more_mappings);
}

/* The limit is met in the vCPUs' mapping or in the devices': both stay the same. */
static void out_of_mappings_with_devices(void **state)
{
	(void)state;
	for (unsigned spare = 30; spare < 36; spare++) {
		out_of_mappings_for_devices(VSM_ENFORCEMENT_ALIAS, spare);
		out_of_mappings_for_devices(VSM_ENFORCEMENT_SLOTS, spare);
	}
}

static void more_allowed(struct hc *h)
{
	h->p->memory.mapping_limit *= 4;
}

static int limit_first(struct hc *h, prot_t mask)
{
	return memory_limit(&h->p->memory, 1, 0, page_of(0), page_of(0) + 1, mask);
}

/* What the VMM keeps for itself is met as what the host has is. */
static void out_of_allowed_mappings(enum vsm_enforcement enforcement, bool devices)
{
	unsigned status;
	struct hc h;

	start(&h, enforcement);
	if (devices)
		assert_int_equal(memory_map_devices(&h.p->memory, 0), 0);
	assert_int_equal(h.p->memory.mapping_limit, 65530 / 4 * 3);
	h.p->memory.mapping_limit = devices ? COUNT * 2 : COUNT;
	status = protect(&h, 0, 0);
	/* Each range splits what it lies in, in each mapping. */
	assert_int_equal(h.result.reps, COUNT / 2);
	/* What needs no more of them is not refused, however few are left. */
	h.p->memory.mapping_limit--;
	assert_int_equal(limit_first(&h, PROT_R), 0);
	assert_int_equal(limit_first(&h, 0), 0);
	h.p->memory.mapping_limit++;
	check_and_go_on(&h, status, more_allowed);
}

static void out_of_the_partitions_share(void **state)
{
	(void)state;
	out_of_allowed_mappings(VSM_ENFORCEMENT_ALIAS, false);
	out_of_allowed_mappings(VSM_ENFORCEMENT_ALIAS, true);
	out_of_allowed_mappings(VSM_ENFORCEMENT_SLOTS, false);
}

static void more_slots(struct hc *h)
{
	h->p->memory.slot_limit += 2 * COUNT;
}

static void out_of_slots(void **state)
{
	struct hc h;

	(void)state;
	start(&h, VSM_ENFORCEMENT_SLOTS);
	/* The lists are allocated for the host's number: fewer may be used. */
	assert_true(h.p->memory.slot_limit > 2 * COUNT);
	h.p->memory.slot_limit = 20;
	check_and_go_on(&h, protect(&h, 0, 0), more_slots);
}

static void nothing(struct hc *h)
{
	(void)h;
	fail_malloc(0);
}

static void out_of_memory(enum vsm_enforcement enforcement)
{
	unsigned middles = 0;

	for (unsigned n = 1;; n++) {
		unsigned status;
		bool failed;
		struct hc h;

		start(&h, enforcement);
		fail_malloc(n);
		status = protect(&h, 0, 0);
		failed = malloc_failed();
		fail_malloc(0);
		if (!failed) {
			assert_int_equal(status, HV_SUCCESS);
			hc_stop(&h);
			break;
		}
		if (status == HV_SUCCESS || !h.result.reps) {
			check(&h, h.result.reps, KVM_MAP_NONE, KVM_MAP_READ_WRITE);
			hc_stop(&h);
			continue;
		}
		middles++;
		check_and_go_on(&h, status, nothing);
	}
	print_message("%u allocations failed in the middle\n", middles);
}

static void out_of_memory_mid_rep(void **state)
{
	(void)state;
	out_of_memory(VSM_ENFORCEMENT_ALIAS);
	out_of_memory(VSM_ENFORCEMENT_SLOTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(out_of_mappings),
		cmocka_unit_test(out_of_mappings_with_devices),
		cmocka_unit_test(out_of_the_partitions_share),
		cmocka_unit_test(out_of_slots),
		cmocka_unit_test(out_of_memory_mid_rep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
