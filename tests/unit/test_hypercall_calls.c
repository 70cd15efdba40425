/* SPDX-License-Identifier: MIT */
/*
 * HvCallDisableVpVtl, HvCallDisablePartitionVtl, HvCallCheckSparseGpaPageVtlAccess,
 * HvCallNotifyLongSpinWait and HvExtCallQueryCapabilities; and that a rep call may be split
 * anywhere.
 */
#include "register_fixture.h"

#include "initial_context.h"
#include "msr/synthetic.h"
#include "vtl/enable.h"

#define USE(n) (HV_INPUT_VTL_USE | (n))

static unsigned disable_partition(struct hc *h, uint64_t partition, uint8_t vtl)
{
	struct hv_disable_partition_vtl in = {.partition_id = partition, .target_vtl = vtl};
	unsigned slow = hc_slow(h, 0, HV_CALL_DISABLE_PARTITION_VTL, 0, &in, sizeof(in), NULL, 0);

	/* A refused call can be made again, in registers. */
	if (slow)
		assert_int_equal(hc_call(h, 0, HV_CALL_DISABLE_PARTITION_VTL | HV_CONTROL_FAST,
					 partition, vtl),
				 slow);
	return slow;
}

static unsigned disable_vp(struct hc *h, uint64_t partition, uint32_t vp, uint8_t vtl)
{
	struct hv_disable_vp_vtl in = {
		.partition_id = partition, .vp_index = vp, .target_vtl = vtl};

	return hc_slow(h, 0, HV_CALL_DISABLE_VP_VTL, 0, &in, sizeof(in), NULL, 0);
}

static void statuses_of_disabling(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 1, 1);
	assert_int_equal(disable_vp(&h, 7, 1, 1), HV_INVALID_PARTITION_ID);
	assert_int_equal(disable_vp(&h, HC_SELF, 9, 1), HV_INVALID_VP_INDEX);
	assert_int_equal(disable_vp(&h, HC_SELF, 1, 0), HV_INVALID_PARAMETER);
	assert_int_equal(disable_vp(&h, HC_SELF, 1, 3), HV_INVALID_PARAMETER);
	assert_int_equal(disable_vp(&h, HC_SELF, 1, 1), HV_ACCESS_DENIED);
	assert_int_equal(disable_partition(&h, 7, 1), HV_INVALID_PARTITION_ID);
	assert_int_equal(disable_partition(&h, HC_SELF, 0), HV_INVALID_PARAMETER);
	assert_int_equal(disable_partition(&h, HC_SELF, 3), HV_INVALID_PARAMETER);
	assert_int_equal(disable_partition(&h, HC_SELF, 1), HV_ACCESS_DENIED);
	hc_enter(&h, 0, 1);
	/* Active there, and here. */
	assert_int_equal(disable_vp(&h, HC_SELF, 1, 1), HV_INVALID_VTL_STATE);
	assert_int_equal(disable_vp(&h, HC_SELF, HV_VP_INDEX_SELF, 1), HV_INVALID_VTL_STATE);
	assert_int_equal(disable_vp(&h, HC_SELF, 1, 2), HV_ACCESS_DENIED);
	assert_int_equal(disable_partition(&h, HC_SELF, 1), HV_INVALID_VTL_STATE);
	hc_enter(&h, 0, 2);
	h.vp[0]->enabled_vtls = 5;
	h.p->enabled_vtls = 5;
	assert_int_equal(disable_partition(&h, HC_SELF, 1), HV_INVALID_VTL_STATE);
	assert_int_equal(disable_vp(&h, HC_SELF, 0, 1), HV_INVALID_VTL_STATE);
	hc_stop(&h);
}

static void a_disabled_vtl_is_as_new(void **state)
{
	const struct hv_initial_vp_context context = long_mode_context();
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	hc_enter(&h, 1, 1);
	hc_enter(&h, 0, 2);
	vcpu_activate(h.vp[1], 0);
	assert_int_equal(synthetic_write(h.vp[0], 1, HV_MSR_GUEST_OS_ID, 1), 0);
	assert_int_equal(synthetic_write(h.vp[0], 1, HV_MSR_HYPERCALL, 0x20001), 0);
	assert_int_equal(synthetic_write(h.vp[1], 1, HV_MSR_VP_ASSIST_PAGE, 0x21001), 0);
	assert_int_equal(memory_limit_default(&h.p->memory, 1, PROT_R | PROT_W), 0);
	assert_int_equal(vtl_cpu_inject(hc_cpu(&h, 1, 1), VECTOR_GP, 0), 0);
	h.vp[1]->vtls[1].cr_intercept_control = 1 << 6;
	assert_int_equal(disable_vp(&h, HC_SELF, 1, 1), HV_SUCCESS);
	assert_int_equal(h.vp[1]->enabled_vtls, 1);
	assert_int_equal(h.vp[1]->vtls[1].cr_intercept_control, 0);
	assert_false(h.vp[1]->vtls[1].assist_page->enabled);
	assert_int_equal(fake_vcpu_events(h.x.fake, hc_cpu(&h, 1, 1)->fd)->exception.injected, 0);
	assert_int_equal(disable_partition(&h, HC_SELF, 1), HV_INVALID_VTL_STATE);
	assert_int_equal(disable_vp(&h, HC_SELF, 0, 1), HV_SUCCESS);
	assert_true(h.p->memory.limits_on[1]);
	assert_int_equal(disable_partition(&h, HC_SELF, 1), HV_SUCCESS);
	assert_false(h.p->memory.limits_on[1]);
	assert_true(memory_allows(&h.p->memory, 0, 0x100, MEM_EXECUTE, false, NULL));
	assert_int_equal(h.p->vtls[1].guest_os_id, 0);
	assert_null(overlay_at(&h.p->memory, 1, 0x20));
	assert_int_equal(h.p->enabled_vtls, 5);
	/* And can be had again. */
	assert_int_equal(vtl_enable_partition(h.p, 2, 1, 0), HV_SUCCESS);
	assert_int_equal(vtl_enable_vp(h.vp[0], h.vp[1], 1, &context), HV_SUCCESS);
	hc_stop(&h);
}

static void a_host_that_cannot_disable(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	hc_enter(&h, 0, 2);
	fake_kvm_fail(h.x.fake, FAKE_OP_set_vcpu_events, 1, EIO);
	assert_int_equal(disable_vp(&h, HC_SELF, 0, 1), HV_INSUFFICIENT_MEMORY);
	assert_non_null(vsm_partition_death(h.p));
	hc_stop(&h);
}

/* --- HvCallCheckSparseGpaPageVtlAccess --- */

static uint64_t check(struct hc *h, uint8_t input_vtl, uint8_t access, const uint64_t *pages,
		      unsigned count)
{
	struct hv_check_sparse_access in = {
		.partition_id = HC_SELF, .target_vtl = input_vtl, .access = access};

	hc_slow(h, 0, HV_CALL_CHECK_SPARSE_GPA_PAGE_VTL_ACCESS, count, &in, sizeof(in), pages,
		count * sizeof(*pages));
	return *(const uint64_t *)hc_mem(h, HC_OUTPUT);
}

static void accesses_are_checked(void **state)
{
	static const struct {
		uint8_t vtl, access;
		uint64_t page, result;
	} rows[] = {
		{USE(0), PROT_R, 0x100, 0},
		{USE(0), PROT_R | PROT_W, 0x100, 1 | PROT_W << 8 | 1 << 16},
		{USE(0), PROT_ALL, 0x100, 1 | PROT_W << 8 | 1 << 16},
		{USE(0), PROT_W, 0x101, 1 | PROT_W << 8 | 2 << 16},
		{USE(0), PROT_R, 0x102, 1 | PROT_R << 8 | 2 << 16},
		{USE(1), PROT_W, 0x100, 0},
		{USE(1), PROT_W, 0x101, 1 | PROT_W << 8 | 2 << 16},
		{USE(0), PROT_W, 0x99999, 0},
		{0, PROT_ALL, 0x100, 0},
	};
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	hc_enter(&h, 0, 2);
	for (unsigned setter = 1; setter < 3; setter++)
		assert_int_equal(memory_limit_default(&h.p->memory, setter, PROT_ALL), 0);
	assert_int_equal(memory_limit(&h.p->memory, 1, 0, 0x100, 0x101, PROT_R | PROT_KX | PROT_UX),
			 0);
	for (unsigned target = 0; target < 2; target++)
		assert_int_equal(memory_limit(&h.p->memory, 2, target, 0x101, 0x102,
					      PROT_R | PROT_KX | PROT_UX),
				 0);
	assert_int_equal(memory_limit(&h.p->memory, 2, 0, 0x102, 0x103, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(check(&h, rows[i].vtl, rows[i].access, &rows[i].page, 1),
				 rows[i].result);
		assert_int_equal(h.result.status, HV_SUCCESS);
	}
	hc_stop(&h);
}

static void statuses_of_checking(void **state)
{
	const uint64_t pages[] = {0x100, MEMORY_GPA_PAGES, 0x101};
	struct hv_check_sparse_access in = {.partition_id = 3};
	struct hc h;

	(void)state;
	hc_start(&h);
	assert_int_equal(hc_slow(&h, 0, HV_CALL_CHECK_SPARSE_GPA_PAGE_VTL_ACCESS, 1, &in,
				 sizeof(in), pages, 8),
			 HV_INVALID_PARTITION_ID);
	check(&h, USE(1), PROT_R, pages, 1);
	assert_int_equal(h.result.status, HV_ACCESS_DENIED);
	check(&h, 0, 0x10, pages, 1);
	assert_int_equal(h.result.status, HV_INVALID_PARAMETER);
	memset(hc_mem(&h, HC_OUTPUT), 0x55, 24);
	check(&h, 0, PROT_R, pages, 3);
	assert_int_equal(h.result.status, HV_INVALID_PARAMETER);
	assert_int_equal(h.result.reps, 1);
	assert_int_equal(((uint64_t *)hc_mem(&h, HC_OUTPUT))[1], UINT64_C(0x5555555555555555));
	hc_stop(&h);
}

/* --- any split of a rep call gives what one call gives --- */

#define PAGES 24

static void split_anywhere(void **state)
{
	uint64_t pages[PAGES], whole[PAGES], *out;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	out = hc_mem(&h, HC_OUTPUT);
	assert_int_equal(memory_limit_default(&h.p->memory, 1, PROT_ALL), 0);
	for (unsigned i = 0; i < PAGES; i++) {
		pages[i] = 0x100 + i * 7 % PAGES;
		if (i % 3 == 0)
			assert_int_equal(
				memory_limit(&h.p->memory, 1, 0, 0x100 + i, 0x101 + i, PROT_R), 0);
	}
	check(&h, USE(0), PROT_ALL, pages, PAGES);
	memcpy(whole, out, sizeof(whole));
	for (unsigned first = 1; first < PAGES; first++) {
		uint64_t control =
			hc_control(HV_CALL_CHECK_SPARSE_GPA_PAGE_VTL_ACCESS, false, first, 0);

		memset(out, 0x55, sizeof(whole));
		assert_int_equal(hc_call(&h, 0, control, HC_INPUT, HC_OUTPUT),
				 (uint64_t)first << 32);
		for (unsigned i = first; i < PAGES; i++)
			assert_int_equal(out[i], UINT64_C(0x5555555555555555));
		control = hc_control(HV_CALL_CHECK_SPARSE_GPA_PAGE_VTL_ACCESS, false, PAGES, first);
		assert_int_equal(hc_call(&h, 0, control, HC_INPUT, HC_OUTPUT),
				 (uint64_t)PAGES << 32);
		assert_memory_equal(out, whole, sizeof(whole));
	}
	hc_stop(&h);
}

static void calls_that_only_tell(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	assert_int_equal(hc_call(&h, 0, HV_CALL_NOTIFY_LONG_SPIN_WAIT | HV_CONTROL_FAST, 99, 0),
			 HV_SUCCESS);
	assert_int_equal(hc_call(&h, 0, HV_CALL_NOTIFY_LONG_SPIN_WAIT, HC_INPUT, 0), HV_SUCCESS);
	memset(hc_mem(&h, HC_OUTPUT), 0x55, 16);
	assert_int_equal(hc_call(&h, 0, HV_CALL_QUERY_CAPABILITIES, 0, HC_OUTPUT), HV_SUCCESS);
	assert_int_equal(*(uint64_t *)hc_mem(&h, HC_OUTPUT), 0);
	assert_int_equal(*(uint64_t *)hc_mem(&h, HC_OUTPUT + 8), UINT64_C(0x5555555555555555));
	assert_int_equal(hc_call(&h, 0, HV_CALL_QUERY_CAPABILITIES | HV_CONTROL_FAST, 5, 6),
			 HV_SUCCESS);
	assert_int_equal(hc_regs(&h, 0)->rdx, 0);
	hc_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(statuses_of_disabling),
		cmocka_unit_test(a_disabled_vtl_is_as_new),
		cmocka_unit_test(a_host_that_cannot_disable),
		cmocka_unit_test(accesses_are_checked),
		cmocka_unit_test(statuses_of_checking),
		cmocka_unit_test(split_anywhere),
		cmocka_unit_test(calls_that_only_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
