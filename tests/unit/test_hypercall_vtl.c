/* SPDX-License-Identifier: MIT */
/* HvCallEnablePartitionVtl and HvCallEnableVpVtl: who may enable what, and what is then enabled. */
#include "initial_context.h"

#include <errno.h>
#include "hypercall_fixture.h"
#include "msr/synthetic.h"
#include "vtl/enable.h"

static unsigned enable_partition(struct hc *h, uint64_t partition, uint8_t vtl, uint8_t flags)
{
	return (unsigned)hc_call(h, 0, HV_CALL_ENABLE_PARTITION_VTL | HV_CONTROL_FAST, partition,
				 vtl | (uint64_t)flags << 8);
}

static unsigned enable_context(struct hc *h, unsigned vp, uint64_t partition, uint32_t index,
			       uint8_t vtl, const struct hv_initial_vp_context *context)
{
	struct hv_vp_vtl_context in = {.partition_id = partition,
				       .vp_index = index,
				       .target_vtl = vtl,
				       .reserved = {0xde, 0xad, 0xbe},
				       .context = *context};

	return hc_slow(h, vp, HV_CALL_ENABLE_VP_VTL, 0, &in, sizeof(in), NULL, 0);
}

static unsigned enable_vp(struct hc *h, unsigned vp, uint32_t index, uint8_t vtl)
{
	const struct hv_initial_vp_context context = long_mode_context();

	return enable_context(h, vp, HC_SELF, index, vtl, &context);
}

static void partition_has_only_vtl0(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	assert_int_equal(h.p->enabled_vtls, 1);
	assert_int_equal(h.vp[0]->enabled_vtls, 1);
	assert_int_equal(enable_partition(&h, 42, 1, 0), HV_INVALID_PARTITION_ID);
	assert_int_equal(enable_partition(&h, HC_SELF, 0, 0), HV_INVALID_PARAMETER);
	assert_int_equal(enable_partition(&h, HC_SELF, 3, 0), HV_INVALID_PARAMETER);
	assert_int_equal(enable_partition(&h, HC_SELF, 0xff, 0), HV_INVALID_PARAMETER);
	assert_int_equal(enable_partition(&h, HC_SELF, 1, 0x2), HV_INVALID_PARAMETER);
	assert_int_equal(enable_partition(&h, HC_SELF, 1, 0x80), HV_INVALID_PARAMETER);
	assert_int_equal(h.p->enabled_vtls, 1);
	hc_stop(&h);
}

static void maximum_is_the_partitions(void **state)
{
	struct hc h;

	(void)state;
	hc_start_with(&h, &(struct vsm_partition_options){.max_vtl = 1});
	assert_int_equal(enable_partition(&h, HC_SELF, 2, 0), HV_INVALID_PARAMETER);
	assert_int_equal(enable_partition(&h, HC_SELF, 1, 0), HV_SUCCESS);
	hc_stop(&h);
}

static void enabled_once(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	assert_int_equal(enable_partition(&h, HC_SELF, 1, 0), HV_SUCCESS);
	assert_int_equal(h.p->enabled_vtls, 3);
	assert_int_equal(h.p->vtls[1].config,
			 HV_PARTITION_CONFIG_ZERO_ON_RESET | HV_PARTITION_CONFIG_DEFAULT_MASK);
	assert_int_equal(enable_partition(&h, HC_SELF, 1, 0), HV_INVALID_VTL_STATE);
	hc_stop(&h);
}

static void slow_form_and_reserved_bytes(void **state)
{
	const struct hv_enable_partition_vtl in = {
		.partition_id = HC_SELF, .target_vtl = 1, .reserved = {1, 2, 3, 4, 5, 6}};
	struct hc h;

	(void)state;
	hc_start(&h);
	assert_int_equal(hc_slow(&h, 0, HV_CALL_ENABLE_PARTITION_VTL, 0, &in, sizeof(in), NULL, 0),
			 HV_SUCCESS);
	hc_stop(&h);
}

/*
 * "if the launching VTL is the highest VTL enabled for the partition that is lower than the target"
 */
static void only_the_next_below_may_launch(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	assert_int_equal(enable_partition(&h, HC_SELF, 1, 0), HV_SUCCESS);
	assert_int_equal(enable_partition(&h, HC_SELF, 2, 0), HV_ACCESS_DENIED);
	hc_enter(&h, 0, 1);
	assert_int_equal(enable_partition(&h, HC_SELF, 1, 0), HV_INVALID_VTL_STATE);
	assert_int_equal(enable_partition(&h, HC_SELF, 2, 0), HV_SUCCESS);
	assert_int_equal(h.p->enabled_vtls, 7);
	hc_stop(&h);
}

/* "A launching VTL can always enable a target VTL if the target VTL is lower" */
static void vtls_need_not_be_consecutive(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	assert_int_equal(enable_partition(&h, HC_SELF, 2, 0), HV_SUCCESS);
	assert_int_equal(h.p->enabled_vtls, 5);
	assert_int_equal(enable_vp(&h, 0, HV_VP_INDEX_SELF, 2), HV_SUCCESS);
	hc_enter(&h, 0, 2);
	assert_int_equal(enable_partition(&h, HC_SELF, 1, 0), HV_SUCCESS);
	assert_int_equal(enable_vp(&h, 0, 0, 1), HV_SUCCESS);
	assert_int_equal(enable_vp(&h, 0, 1, 1), HV_SUCCESS);
	assert_int_equal(h.vp[0]->enabled_vtls, 7);
	assert_int_equal(h.vp[1]->enabled_vtls, 3);
	hc_stop(&h);
}

static void mbec_where_the_policy_can_have_it(void **state)
{
	struct hc h;

	(void)state;
	hc_start_with(&h, &(struct vsm_partition_options){.exec_policy = VSM_EXEC_STRICT});
	assert_true(vsm_capabilities(h.p) >> HV_VSM_CAP_MBEC_SHIFT & 2);
	assert_int_equal(enable_partition(&h, HC_SELF, 1, 1), HV_SUCCESS);
	assert_true(h.p->vtls[1].mbec);
	hc_stop(&h);
	hc_start_with(&h, &(struct vsm_partition_options){.exec_policy = VSM_EXEC_RELAXED});
	assert_false(vsm_capabilities(h.p) >> HV_VSM_CAP_MBEC_SHIFT & 2);
	assert_int_equal(enable_partition(&h, HC_SELF, 1, 1), HV_INVALID_PARAMETER);
	assert_int_equal(enable_partition(&h, HC_SELF, 1, 0), HV_SUCCESS);
	assert_false(h.p->vtls[1].mbec);
	hc_stop(&h);
}

static void vp_vtl_names_are_checked(void **state)
{
	const struct hv_initial_vp_context good = long_mode_context();
	struct hc h;

	(void)state;
	hc_start(&h);
	assert_int_equal(enable_vp(&h, 0, HV_VP_INDEX_SELF, 1), HV_INVALID_VTL_STATE);
	assert_int_equal(enable_partition(&h, HC_SELF, 1, 0), HV_SUCCESS);
	assert_int_equal(enable_context(&h, 0, 42, HV_VP_INDEX_SELF, 1, &good),
			 HV_INVALID_PARTITION_ID);
	assert_int_equal(enable_vp(&h, 0, UINT32_MAX, 1), HV_INVALID_VP_INDEX);
	assert_int_equal(enable_vp(&h, 0, HC_VPS, 1), HV_INVALID_VP_INDEX);
	assert_int_equal(enable_vp(&h, 0, 0, 0), HV_INVALID_PARAMETER);
	assert_int_equal(enable_vp(&h, 0, 0, 3), HV_INVALID_PARAMETER);
	assert_int_equal(enable_vp(&h, 0, 0, 0x11), HV_INVALID_PARAMETER);
	assert_int_equal(enable_vp(&h, 0, 0, 2), HV_INVALID_VTL_STATE);
	assert_int_equal(h.vp[0]->enabled_vtls, 1);
	hc_stop(&h);
}

static void the_context_is_loaded(void **state)
{
	const struct hv_initial_vp_context context = long_mode_context();
	struct hc h;

	(void)state;
	hc_start(&h);
	assert_int_equal(enable_partition(&h, HC_SELF, 1, 0), HV_SUCCESS);
	h.vp[0]->vtls[1].lapic.tpr = 0x50;
	assert_int_equal(enable_vp(&h, 0, HV_VP_INDEX_SELF, 1), HV_SUCCESS);
	assert_int_equal(h.vp[0]->enabled_vtls, 3);
	assert_int_equal(h.vp[0]->active_vtl, 0);
	assert_int_equal(h.vp[0]->vtls[1].lapic.tpr, 0);
	assert_int_equal(fake_vcpu_regs(h.x.fake, hc_cpu(&h, 0, 1)->fd)->rip, context.rip);
	assert_true(lapic_software_enabled(&h.vp[0]->vtls[1].lapic));
	assert_int_equal(h.vp[0]->vtls[1].lapic.id, 8);
	hc_stop(&h);
}

static void a_lower_vtl_brings_up_its_own_vp_once(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	assert_int_equal(enable_partition(&h, HC_SELF, 1, 0), HV_SUCCESS);
	assert_int_equal(enable_vp(&h, 0, 1, 1), HV_ACCESS_DENIED);
	assert_int_equal(enable_vp(&h, 0, 0, 1), HV_SUCCESS);
	assert_int_equal(enable_vp(&h, 0, 0, 1), HV_ACCESS_DENIED);
	assert_int_equal(enable_vp(&h, 1, HV_VP_INDEX_SELF, 1), HV_ACCESS_DENIED);
	assert_int_equal(h.vp[1]->enabled_vtls, 1);
	hc_stop(&h);
}

static void the_vtl_itself_brings_up_the_others(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	assert_int_equal(enable_partition(&h, HC_SELF, 1, 0), HV_SUCCESS);
	assert_int_equal(enable_vp(&h, 0, 0, 1), HV_SUCCESS);
	hc_enter(&h, 0, 1);
	assert_int_equal(enable_vp(&h, 0, HV_VP_INDEX_SELF, 1), HV_VTL_ALREADY_ENABLED);
	/* The other VP may run in VTL0 meanwhile: nobody waits for it. */
	h.vp[1]->inside = true;
	assert_int_equal(enable_vp(&h, 0, 1, 1), HV_SUCCESS);
	h.vp[1]->inside = false;
	assert_int_equal(h.vp[1]->enabled_vtls, 3);
	assert_int_equal(h.vp[1]->active_vtl, 0);
	hc_stop(&h);
}

static void vtl0_cannot_skip_vtl1(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	h.p->enabled_vtls = 7;
	assert_int_equal(enable_vp(&h, 0, 0, 2), HV_ACCESS_DENIED);
	assert_int_equal(enable_vp(&h, 0, 0, 1), HV_SUCCESS);
	hc_enter(&h, 0, 1);
	assert_int_equal(enable_vp(&h, 0, 0, 2), HV_SUCCESS);
	assert_int_equal(h.vp[0]->enabled_vtls, 7);
	hc_stop(&h);
}

static void a_bad_context_enables_nothing(void **state)
{
	struct hv_initial_vp_context context = long_mode_context();
	struct hc h;

	(void)state;
	hc_start(&h);
	assert_int_equal(enable_partition(&h, HC_SELF, 1, 0), HV_SUCCESS);
	context.cr0 = 0x10;
	assert_int_equal(enable_context(&h, 0, HC_SELF, 0, 1, &context), HV_INVALID_PARAMETER);
	/* One that only KVM can tell is bad. */
	context = long_mode_context();
	context.cr4 |= UINT64_C(1) << 40;
	assert_int_equal(enable_context(&h, 0, HC_SELF, 0, 1, &context), HV_INVALID_PARAMETER);
	fake_kvm_fail(h.x.fake, FAKE_OP_set_msrs, 1, ENOMEM);
	assert_int_equal(enable_vp(&h, 0, 0, 1), HV_INSUFFICIENT_MEMORY);
	assert_int_equal(h.vp[0]->enabled_vtls, 1);
	assert_int_equal(enable_vp(&h, 0, 0, 1), HV_SUCCESS);
	hc_stop(&h);
}

/* The TLFS's two rules for who may enable a VTL for a partition, for every caller and target. */
static void every_caller_and_target(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	for (unsigned enabled = 1; enabled < 8; enabled += 2)
		for (unsigned caller = 0; caller < 3; caller++)
			for (unsigned target = 1; target < 3; target++) {
				bool below = target<caller, next = target> caller;
				enum hv_status status;

				if (!(enabled & 1u << caller))
					continue;
				for (unsigned v = caller + 1; v < target; v++)
					next &= !(enabled & 1u << v);
				h.p->enabled_vtls = (uint16_t)enabled;
				status = vtl_enable_partition(h.p, caller, target, 0);
				assert_int_equal(status == HV_SUCCESS,
						 (below || next) && !(enabled & 1u << target));
				assert_int_equal(h.p->enabled_vtls,
						 status ? enabled : enabled | 1u << target);
			}
	hc_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(partition_has_only_vtl0),
		cmocka_unit_test(maximum_is_the_partitions),
		cmocka_unit_test(enabled_once),
		cmocka_unit_test(slow_form_and_reserved_bytes),
		cmocka_unit_test(only_the_next_below_may_launch),
		cmocka_unit_test(vtls_need_not_be_consecutive),
		cmocka_unit_test(mbec_where_the_policy_can_have_it),
		cmocka_unit_test(vp_vtl_names_are_checked),
		cmocka_unit_test(the_context_is_loaded),
		cmocka_unit_test(a_lower_vtl_brings_up_its_own_vp_once),
		cmocka_unit_test(the_vtl_itself_brings_up_the_others),
		cmocka_unit_test(vtl0_cannot_skip_vtl1),
		cmocka_unit_test(a_bad_context_enables_nothing),
		cmocka_unit_test(every_caller_and_target),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
