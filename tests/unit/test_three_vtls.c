/* SPDX-License-Identifier: MIT */
/* Three VTLs: who enables the third, where calls and returns go, how protections combine. */
#include "register_fixture.h"

#include "initial_context.h"
#include "vcpu/switch.h"
#include "vtl/enable.h"

static void either_lower_vtl_can_bring_up_the_third(void **state)
{
	const struct hv_initial_vp_context context = long_mode_context();

	(void)state;
	for (unsigned by = 0; by < 2; by++) {
		struct hc h;

		hc_start(&h);
		if (by) {
			hc_enter(&h, 0, 1);
			/* VTL0 is no longer the highest below. */
			assert_int_equal(vtl_enable_partition(h.p, 0, 2, 0), HV_ACCESS_DENIED);
		}
		assert_int_equal(vtl_enable_partition(h.p, by, 2, 0), HV_SUCCESS);
		assert_int_equal(vtl_enable_vp(h.vp[0], h.vp[0], 2, &context), HV_SUCCESS);
		/* VTL1 below it, afterwards, by it. */
		hc_enter(&h, 0, 2);
		assert_int_equal(vtl_enable_partition(h.p, 2, 1, 0),
				 by ? HV_INVALID_VTL_STATE : HV_SUCCESS);
		hc_stop(&h);
	}
}

static void calls_go_one_up_and_returns_one_down(void **state)
{
	static const struct {
		unsigned enabled;
		unsigned up[2], down[2];
	} rows[] = {
		{7, {1, 2}, {1, 0}},
		{5, {2, 2}, {0, 0}},
		{3, {1, 1}, {0, 0}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned steps = rows[i].enabled == 7 ? 2 : 1;
		struct hc h;

		hc_start(&h);
		h.vp[0]->enabled_vtls = (uint16_t)rows[i].enabled;
		for (unsigned n = 0; n < steps; n++) {
			assert_int_equal(switch_call(h.vp[0], 0), 1);
			assert_int_equal(h.vp[0]->active_vtl, rows[i].up[n]);
		}
		assert_int_equal(switch_call(h.vp[0], 0), 0);
		for (unsigned n = 0; n < steps; n++) {
			assert_int_equal(switch_return(h.vp[0], 1), 1);
			assert_int_equal(h.vp[0]->active_vtl, rows[i].down[n]);
		}
		assert_int_equal(switch_return(h.vp[0], 1), 0);
		hc_stop(&h);
	}
}

static void the_highest_due_is_entered(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	hc_enter(&h, 0, 2);
	hc_enter(&h, 0, 0);
	h.vp[0]->vtls[1].entry_pending = true;
	assert_int_equal(switch_due(h.vp[0]), 1);
	h.vp[0]->vtls[2].entry_pending = true;
	assert_int_equal(switch_due(h.vp[0]), 2);
	hc_enter(&h, 0, 1);
	assert_int_equal(switch_due(h.vp[0]), 2);
	h.vp[0]->vtls[2].entry_pending = false;
	assert_int_equal(switch_due(h.vp[0]), 1);
	hc_stop(&h);
}

static unsigned protect(struct hc *h, uint8_t target, uint64_t page, uint32_t mask)
{
	struct hv_modify_vtl_protection_mask in = {
		.partition_id = HC_SELF, .map_flags = mask, .target_vtl = target};

	return hc_slow(h, 0, HV_CALL_MODIFY_VTL_PROTECTION_MASK, 1, &in, sizeof(in), &page,
		       sizeof(page));
}

static void protections_combine(void **state)
{
	const uint64_t page = 0x100;
	struct memory *m;
	uint8_t setter = 0;
	struct hc h;

	(void)state;
	hc_start(&h);
	m = &h.p->memory;
	hc_enter(&h, 0, 1);
	assert_int_equal(memory_limit_default(m, 1, PROT_ALL), 0);
	assert_int_equal(protect(&h, 0x10, page, PROT_R | PROT_W), HV_SUCCESS);
	hc_enter(&h, 0, 2);
	assert_int_equal(memory_limit_default(m, 2, PROT_ALL), 0);
	assert_int_equal(protect(&h, 0x10, page, PROT_R | PROT_KX | PROT_UX), HV_SUCCESS);
	/* VTL2 on VTL1, which says nothing about VTL0. Named by nobody, it is the one below. */
	assert_int_equal(protect(&h, 0, page + 1, PROT_R), HV_SUCCESS);
	assert_int_equal(memory_rights(m, 0, page).prot, PROT_R);
	assert_int_equal(memory_rights(m, 1, page).prot, PROT_ALL);
	assert_int_equal(memory_rights(m, 2, page).prot, PROT_ALL);
	assert_int_equal(memory_rights(m, 1, page + 1).prot, PROT_R);
	assert_int_equal(memory_rights(m, 0, page + 1).prot, PROT_ALL);
	/* Each is told what it forbade itself; of both, the lower. */
	assert_false(memory_allows(m, 0, page, MEM_WRITE, false, &setter));
	assert_int_equal(setter, 2);
	assert_false(memory_allows(m, 0, page, MEM_EXECUTE, false, &setter));
	assert_int_equal(setter, 1);
	assert_int_equal(protect(&h, 0x10, page, 0), HV_SUCCESS);
	assert_false(memory_allows(m, 0, page, MEM_EXECUTE, false, &setter));
	assert_int_equal(setter, 1);
	hc_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(either_lower_vtl_can_bring_up_the_third),
		cmocka_unit_test(calls_go_one_up_and_returns_one_down),
		cmocka_unit_test(the_highest_due_is_entered),
		cmocka_unit_test(protections_combine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
