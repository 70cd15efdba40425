/* SPDX-License-Identifier: MIT */
/* HvCallModifyVtlProtectionMask: whose protections, on what, and exactly how many. */
#include "hypercall_fixture.h"

#include <errno.h>
#include "memory/memory.h"

#define FIRST UINT64_C(0x100)
/* Refused changes after which a restriction cannot be taken back. */
#define REVERT_CALLS 4

static void start(struct hc *h)
{
	hc_start(h);
	hc_enter(h, 0, 1);
	assert_int_equal(memory_limit_default(&h->p->memory, 1, PROT_ALL), 0);
}

static void put_input(struct hc *h, uint64_t partition, uint8_t input_vtl, uint32_t flags,
		      const uint64_t *pages, unsigned count)
{
	struct hv_modify_vtl_protection_mask in = {.partition_id = partition,
						   .map_flags = flags,
						   .target_vtl = input_vtl,
						   .reserved = {0xba, 0xad, 0xf0}};

	memcpy(hc_mem(h, HC_INPUT), &in, sizeof(in));
	memcpy(hc_mem(h, HC_INPUT + sizeof(in)), pages, count * sizeof(*pages));
}

static unsigned protect_as(struct hc *h, uint64_t partition, uint8_t input_vtl, uint32_t flags,
			   const uint64_t *pages, unsigned count)
{
	put_input(h, partition, input_vtl, flags, pages, count);
	return (unsigned)(hc_call(h, 0,
				  hc_control(HV_CALL_MODIFY_VTL_PROTECTION_MASK, false, count, 0),
				  HC_INPUT, 0) &
			  0xffff);
}

static unsigned protect(struct hc *h, uint8_t input_vtl, uint32_t flags, uint64_t page)
{
	return protect_as(h, HC_SELF, input_vtl, flags, &page, 1);
}

static bool writable(struct hc *h, unsigned vtl, uint64_t page)
{
	return memory_allows(&h->p->memory, vtl, page, MEM_WRITE, false, NULL);
}

static bool readable(struct hc *h, unsigned vtl, uint64_t page)
{
	return memory_allows(&h->p->memory, vtl, page, MEM_READ, false, NULL);
}

static void pages_are_protected(void **state)
{
	const uint64_t pages[] = {FIRST, FIRST + 7, FIRST + 8, FIRST + 2};
	struct hc h;

	(void)state;
	start(&h);
	assert_int_equal(protect_as(&h, HC_SELF, HV_INPUT_VTL_USE, PROT_R, pages, 4), HV_SUCCESS);
	assert_int_equal(h.result.reps, 4);
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		assert_false(writable(&h, 0, pages[i]));
		assert_true(readable(&h, 0, pages[i]));
		assert_true(writable(&h, 1, pages[i]));
	}
	assert_true(writable(&h, 0, FIRST + 1));
	assert_true(writable(&h, 0, FIRST + 9));
	assert_int_equal(h.p->stats.protected_pages_set, 4);
	assert_int_equal(protect_as(&h, HC_SELF, HV_INPUT_VTL_USE, 0, pages, 1), HV_SUCCESS);
	assert_false(readable(&h, 0, FIRST));
	assert_int_equal(protect_as(&h, HC_SELF, HV_INPUT_VTL_USE, PROT_ALL, pages, 4), HV_SUCCESS);
	assert_true(writable(&h, 0, FIRST));
	hc_stop(&h);
}

static void fast_form(void **state)
{
	const uint64_t pages[12] = {FIRST, FIRST + 1, FIRST + 2, FIRST + 3, FIRST + 4, FIRST + 5};
	const uint64_t header = PROT_R | (uint64_t)HV_INPUT_VTL_USE << 32;
	struct hc h;

	(void)state;
	start(&h);
	hc_put_xmm(&h, 0, 0, pages, sizeof(pages));
	assert_int_equal(hc_call(&h, 0, hc_control(HV_CALL_MODIFY_VTL_PROTECTION_MASK, true, 6, 2),
				 HC_SELF, header),
			 UINT64_C(6) << 32);
	assert_true(writable(&h, 0, FIRST + 1));
	assert_false(writable(&h, 0, FIRST + 2));
	assert_false(writable(&h, 0, FIRST + 5));
	/* 16 + 8n bytes: twelve fit, thirteen do not. */
	assert_int_equal(hc_call(&h, 0, hc_control(HV_CALL_MODIFY_VTL_PROTECTION_MASK, true, 12, 0),
				 HC_SELF, header) &
				 0xffff,
			 HV_SUCCESS);
	assert_int_equal(hc_call(&h, 0, hc_control(HV_CALL_MODIFY_VTL_PROTECTION_MASK, true, 13, 0),
				 HC_SELF, header),
			 HV_INVALID_HYPERCALL_INPUT);
	hc_stop(&h);
}

static void target_is_the_vtl_below_unless_named(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	assert_int_equal(protect(&h, 0, PROT_R, FIRST), HV_SUCCESS);
	assert_int_equal(protect(&h, 1, PROT_R, FIRST + 1), HV_SUCCESS); /* not "use" */
	assert_int_equal(protect(&h, HV_INPUT_VTL_USE | 1, PROT_R, FIRST + 2), HV_SUCCESS);
	for (unsigned i = 0; i < 3; i++) {
		assert_false(writable(&h, 0, FIRST + i));
		assert_true(writable(&h, 1, FIRST + i));
	}
	hc_enter(&h, 0, 2);
	assert_int_equal(memory_limit_default(&h.p->memory, 2, PROT_ALL), 0);
	assert_int_equal(protect(&h, 0, PROT_R, FIRST + 3), HV_SUCCESS);
	assert_false(writable(&h, 1, FIRST + 3));
	assert_true(writable(&h, 0, FIRST + 3));
	assert_int_equal(protect(&h, HV_INPUT_VTL_USE, PROT_R, FIRST + 4), HV_SUCCESS);
	assert_true(writable(&h, 1, FIRST + 4));
	assert_false(writable(&h, 0, FIRST + 4));
	/* VTL1 is not there: the VTL below is VTL0. */
	h.p->enabled_vtls = 5;
	assert_int_equal(protect(&h, 0, PROT_R, FIRST + 5), HV_SUCCESS);
	assert_false(writable(&h, 0, FIRST + 5));
	assert_true(writable(&h, 1, FIRST + 5));
	hc_stop(&h);
}

static void only_downwards(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	assert_int_equal(protect(&h, HV_INPUT_VTL_USE | 2, PROT_R, FIRST), HV_ACCESS_DENIED);
	assert_int_equal(protect(&h, HV_INPUT_VTL_USE | 15, PROT_R, FIRST), HV_ACCESS_DENIED);
	hc_enter(&h, 0, 0);
	assert_int_equal(protect(&h, HV_INPUT_VTL_USE, PROT_R, FIRST), HV_ACCESS_DENIED);
	assert_int_equal(protect(&h, 0, PROT_R, FIRST), HV_ACCESS_DENIED);
	assert_int_equal(protect(&h, HV_INPUT_VTL_USE | 1, PROT_R, FIRST), HV_ACCESS_DENIED);
	hc_stop(&h);
}

static void protections_must_be_on(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(protect(&h, 0, PROT_R, FIRST), HV_INVALID_VTL_STATE);
	assert_true(writable(&h, 0, FIRST));
	hc_stop(&h);
}

static void only_possible_masks(void **state)
{
	static const uint32_t bad[] = {
		PROT_W, PROT_KX, PROT_UX, PROT_W | PROT_KX, PROT_W | PROT_UX,
		0x10,	0x10000, 0x20000, 0x80000000,	    0x100000 | PROT_R};
	static const uint32_t good[] = {0,
					PROT_R,
					PROT_R | PROT_W,
					PROT_R | PROT_KX,
					PROT_R | PROT_UX,
					PROT_R | PROT_KX | PROT_UX,
					PROT_ALL};
	struct hc h;

	(void)state;
	start(&h);
	assert_int_equal(protect_as(&h, 1, 0, PROT_R, &(uint64_t){FIRST}, 1),
			 HV_INVALID_PARTITION_ID);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(protect(&h, 0, bad[i], FIRST), HV_INVALID_PARAMETER);
		assert_true(writable(&h, 0, FIRST));
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(protect(&h, 0, good[i], FIRST), HV_SUCCESS);
	hc_stop(&h);
}

/* "Any attempt to apply VTL protections on non-RAM ranges will fail", after those before it. */
static void reps_are_exact_when_one_is_not_ram(void **state)
{
	const uint64_t last = ((uint64_t)HC_MIB << 20 >> 12) - 1;
	uint64_t pages[] = {FIRST, last - 2, last - 1, last, last + 1, last + 2, FIRST + 1};
	struct hc h;

	(void)state;
	start(&h);
	assert_int_equal(protect_as(&h, HC_SELF, 0, PROT_R, pages, ARRAY_SIZE(pages)),
			 HV_INVALID_PARAMETER);
	assert_int_equal(h.result.reps, 4);
	assert_false(writable(&h, 0, last));
	assert_true(writable(&h, 0, FIRST + 1));
	assert_int_equal(h.p->stats.protected_pages_set, 4);
	hc_stop(&h);
}

static void page_numbers_cannot_overflow(void **state)
{
	static const uint64_t bad[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 52,
				       UINT64_C(1) << 40, UINT64_C(1) << 63};
	uint64_t wrapping[] = {UINT64_MAX, 0, 1};
	struct hc h;

	(void)state;
	start(&h);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(protect(&h, 0, PROT_R, bad[i]), HV_INVALID_PARAMETER);
		assert_int_equal(h.result.reps, 0);
	}
	assert_int_equal(protect_as(&h, HC_SELF, 0, PROT_R, wrapping, 3), HV_INVALID_PARAMETER);
	assert_true(writable(&h, 0, 0));
	hc_stop(&h);
}

/* A host that can change no more mappings: a status, and what was done is told exactly. */
static void host_limits_are_a_status(void **state)
{
	uint64_t pages[40];
	unsigned done = 0;
	struct hc h;

	(void)state;
	start(&h);
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
		pages[i] = FIRST + 2 * i; /* each makes two mappings more */
	fake_kvm_set_limit(h.x.fake, FAKE_LIMIT_VMAS, fake_kvm_vma_count(h.x.fake) + 20);
	assert_int_equal(protect_as(&h, HC_SELF, 0, PROT_R, pages, ARRAY_SIZE(pages)),
			 HV_INSUFFICIENT_MEMORY);
	assert_in_range(h.result.reps, 1, ARRAY_SIZE(pages) - 1);
	while (done < ARRAY_SIZE(pages) && !writable(&h, 0, pages[done]))
		done++;
	assert_int_equal(h.result.reps, done);
	fake_kvm_set_limit(h.x.fake, FAKE_LIMIT_VMAS, 65530);
	hc_stop(&h);
}

/* Consecutive pages go to the host together; when that fails, one by one up to the one to blame. */
static void runs_are_retried_page_by_page(void **state)
{
	uint64_t pages[8];
	struct hc h;

	(void)state;
	start(&h);
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
		pages[i] = FIRST + i;
	fake_kvm_reset_calls(h.x.fake);
	assert_int_equal(protect_as(&h, HC_SELF, 0, PROT_R | PROT_KX | PROT_UX, pages, 8),
			 HV_SUCCESS);
	assert_int_equal(fake_kvm_calls(h.x.fake, FAKE_OP_protect_memory), 1);
	fake_kvm_reset_calls(h.x.fake);
	fake_kvm_fail(h.x.fake, FAKE_OP_protect_memory, 1, ENOMEM);
	assert_int_equal(protect_as(&h, HC_SELF, 0, 0, pages, 8), HV_SUCCESS);
	assert_int_equal(h.result.reps, 8);
	/* The refused one, taken back, and the pages. */
	assert_int_equal(fake_kvm_calls(h.x.fake, FAKE_OP_protect_memory), 2 + 8);
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
		assert_false(readable(&h, 0, pages[i]));
	hc_stop(&h);
}

/* A VP that is kicked comes out after so many changes of mappings, and goes on with the rest. */
static void a_long_call_is_made_in_parts(void **state)
{
	uint64_t pages[100];
	struct hc h;

	(void)state;
	start(&h);
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
		pages[i] = FIRST + 2 * i;
	put_input(&h, HC_SELF, 0, PROT_R, pages, ARRAY_SIZE(pages));
	hc_call(&h, 0, hc_control(HV_CALL_MODIFY_VTL_PROTECTION_MASK, false, ARRAY_SIZE(pages), 0),
		HC_INPUT, 0);
	assert_int_equal(h.result.outcome, HYPERCALL_AGAIN);
	assert_int_equal(h.result.reps, 64);
	assert_false(writable(&h, 0, pages[63]));
	assert_true(writable(&h, 0, pages[64]));
	hc_stop(&h);
}

/* Pages that were opened and cannot be closed again: nothing may run any more. */
static void a_page_that_stays_open_ends_the_partition(void **state)
{
	const uint64_t pages[] = {FIRST, FIRST + 1, FIRST + 2};
	struct hc h;

	(void)state;
	start(&h);
	assert_int_equal(protect(&h, 0, 0, FIRST), HV_SUCCESS);
	assert_int_equal(protect(&h, 0, 0, FIRST + 2), HV_SUCCESS);
	/* The first page opens, the third does not, and the first does not close. */
	hc_put(&h, 0, hc_control(HV_CALL_MODIFY_VTL_PROTECTION_MASK, false, 3, 0), HC_INPUT, 0);
	put_input(&h, HC_SELF, 0, PROT_ALL, pages, 3);
	hc_refuse_protect(&h, 1);
	/* What the host lets through after that is not asked for any more. */
	hc_stubborn.refusals = REVERT_CALLS;
	assert_int_equal(hc_execute(h.vp[0], &h.result), -EIO);
	assert_int_equal(hc_stubborn.refusals, 0);
	hc_relent(&h);
	assert_true(h.p->dead);
	hc_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_are_protected),
		cmocka_unit_test(fast_form),
		cmocka_unit_test(target_is_the_vtl_below_unless_named),
		cmocka_unit_test(only_downwards),
		cmocka_unit_test(protections_must_be_on),
		cmocka_unit_test(only_possible_masks),
		cmocka_unit_test(reps_are_exact_when_one_is_not_ram),
		cmocka_unit_test(page_numbers_cannot_overflow),
		cmocka_unit_test(host_limits_are_a_status),
		cmocka_unit_test(runs_are_retried_page_by_page),
		cmocka_unit_test(a_long_call_is_made_in_parts),
		cmocka_unit_test(a_page_that_stays_open_ends_the_partition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
