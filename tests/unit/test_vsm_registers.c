/* SPDX-License-Identifier: MIT */
/* The VSM registers: status, partition configuration, secure configuration, VINA, and the control
 * register intercepts there are not. */
#include "register_fixture.h"

#include <errno.h>
#include "initial_context.h"
#include "memory/memory.h"
#include "msr/synthetic.h"
#include "vtl/enable.h"

#define CONFIG(mask, more) ((uint64_t)(mask) << 1 | (more))
#define ENABLE		   HV_PARTITION_CONFIG_ENABLE_PROTECTION

static void start(struct hc *h)
{
	hc_start(h);
	hc_enter(h, 0, 1);
}

static uint64_t value_of(struct hc *h, uint8_t input_vtl, uint32_t name)
{
	struct hv_register_value v;

	assert_int_equal(get(h, input_vtl, name, &v), HV_SUCCESS);
	return v.low;
}

static void status_tells_who_is_enabled(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	assert_int_equal(value_of(&h, 0, HV_REGISTER_VSM_VP_STATUS), 0x10000);
	assert_int_equal(value_of(&h, 0, HV_REGISTER_VSM_PARTITION_STATUS), 0x20001);
	hc_enter(&h, 0, 1);
	h.p->enabled_vtls = 7;
	h.p->vtls[2].mbec = true;
	assert_int_equal(value_of(&h, 0, HV_REGISTER_VSM_VP_STATUS), 0x30001);
	assert_int_equal(value_of(&h, VTL(0), HV_REGISTER_VSM_VP_STATUS), 0x30001);
	assert_int_equal(value_of(&h, 0, HV_REGISTER_VSM_PARTITION_STATUS),
			 UINT64_C(4) << 20 | 0x20007);
	assert_int_equal(value_of(&h, 0, HV_REGISTER_VSM_CODE_PAGE_OFFSETS),
			 hypercall_page_offsets());
	assert_int_equal(value_of(&h, 0, HV_REGISTER_VSM_CAPABILITIES), vsm_capabilities(h.p));
	hc_stop(&h);
}

static void maximum_vtl_is_the_partitions(void **state)
{
	struct hc h;

	(void)state;
	hc_start_with(&h, &(struct vsm_partition_options){.max_vtl = 1});
	assert_int_equal(value_of(&h, 0, HV_REGISTER_VSM_PARTITION_STATUS), 0x10001);
	hc_stop(&h);
}

static bool executable(struct hc *h, bool user)
{
	return memory_allows(&h->p->memory, 0, 0x100, MEM_EXECUTE, user, NULL);
}

/* --- partition configuration --- */

static void vtl0_has_no_configuration(void **state)
{
	static const uint32_t names[] = {HV_REGISTER_VSM_PARTITION_CONFIG, HV_REGISTER_VSM_VINA,
					 HV_REGISTER_VSM_VP_SECURE_CONFIG_VTL0,
					 HV_REGISTER_CR_INTERCEPT_CONTROL,
					 HV_REGISTER_CR_INTERCEPT_CR0_MASK};
	struct hv_register_value v;
	struct hc h;

	(void)state;
	start(&h);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(get(&h, VTL(0), names[i], &v), HV_INVALID_PARAMETER);
		assert_int_equal(set(&h, VTL(0), names[i], 0), HV_INVALID_PARAMETER);
	}
	hc_stop(&h);
}

static void protections_go_on_once(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	assert_int_equal(
		set(&h, 0, HV_REGISTER_VSM_PARTITION_CONFIG, CONFIG(PROT_R | PROT_W, ENABLE)),
		HV_SUCCESS);
	assert_true(h.p->memory.limits_on[1]);
	assert_false(executable(&h, false));
	/* Whatever is written later, the two stay. */
	assert_int_equal(set(&h, 0, HV_REGISTER_VSM_PARTITION_CONFIG, CONFIG(PROT_ALL, ENABLE)),
			 HV_SUCCESS);
	assert_int_equal(
		set(&h, 0, HV_REGISTER_VSM_PARTITION_CONFIG, HV_PARTITION_CONFIG_ZERO_ON_RESET),
		HV_SUCCESS);
	assert_int_equal(value_of(&h, 0, HV_REGISTER_VSM_PARTITION_CONFIG),
			 CONFIG(PROT_R | PROT_W, ENABLE | HV_PARTITION_CONFIG_ZERO_ON_RESET));
	assert_false(executable(&h, false));
	hc_stop(&h);
}

static void the_default_mask_must_allow_data(void **state)
{
	static const prot_t bad[] = {0, PROT_R, PROT_W, PROT_KX | PROT_UX, PROT_R | PROT_KX};
	struct hc h;

	(void)state;
	start(&h);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(
			set(&h, 0, HV_REGISTER_VSM_PARTITION_CONFIG, CONFIG(bad[i], ENABLE)),
			HV_INVALID_REGISTER_VALUE);
	assert_false(h.p->memory.limits_on[1]);
	hc_stop(&h);
}

static void configuration_can_precede_protections(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	assert_int_equal(set(&h, 0, HV_REGISTER_VSM_PARTITION_CONFIG, CONFIG(PROT_ALL, 0)),
			 HV_SUCCESS);
	assert_false(h.p->memory.limits_on[1]);
	assert_int_equal(value_of(&h, 0, HV_REGISTER_VSM_PARTITION_CONFIG), CONFIG(PROT_ALL, 0));
	assert_int_equal(set(&h, 0, HV_REGISTER_VSM_PARTITION_CONFIG, CONFIG(PROT_ALL, ENABLE)),
			 HV_SUCCESS);
	assert_true(h.p->memory.limits_on[1]);
	hc_stop(&h);
}

static void what_is_not_enforced_is_refused(void **state)
{
	static const uint64_t reserved[] = {7, 8, 10, 31, 63};
	struct hc h;

	(void)state;
	start(&h);
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		assert_int_equal(set(&h, 0, HV_REGISTER_VSM_PARTITION_CONFIG,
				     CONFIG(PROT_ALL, UINT64_C(1) << reserved[i])),
				 HV_INVALID_REGISTER_VALUE);
	assert_int_equal(set(&h, 0, HV_REGISTER_VSM_PARTITION_CONFIG,
			     CONFIG(PROT_ALL, HV_PARTITION_CONFIG_INTERCEPT_STARTUP)),
			 HV_OPERATION_DENIED);
	/* Denying start-up from below is offered where the capabilities say so. */
	assert_int_equal(set(&h, 0, HV_REGISTER_VSM_PARTITION_CONFIG,
			     CONFIG(PROT_ALL, HV_PARTITION_CONFIG_DENY_LOWER_STARTUP)),
			 vsm_capabilities(h.p) & HV_VSM_CAP_DENY_LOWER_VTL_STARTUP
				 ? HV_SUCCESS
				 : HV_OPERATION_DENIED);
	hc_stop(&h);
}

static void a_higher_vtl_configures_a_lower(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	hc_enter(&h, 0, 2);
	assert_int_equal(
		set(&h, VTL(1), HV_REGISTER_VSM_PARTITION_CONFIG, CONFIG(PROT_ALL, ENABLE)),
		HV_SUCCESS);
	assert_true(h.p->memory.limits_on[1]);
	assert_false(h.p->memory.limits_on[2]);
	assert_int_equal(value_of(&h, VTL(2), HV_REGISTER_VSM_PARTITION_CONFIG) & ENABLE, 0);
	hc_stop(&h);
}

static void a_host_that_cannot_protect(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	fake_kvm_fail(h.x.fake, FAKE_OP_protect_memory, 1, ENOMEM);
	assert_int_equal(
		set(&h, 0, HV_REGISTER_VSM_PARTITION_CONFIG, CONFIG(PROT_R | PROT_W, ENABLE)),
		HV_INSUFFICIENT_MEMORY);
	assert_false(h.p->memory.limits_on[1]);
	assert_int_equal(value_of(&h, 0, HV_REGISTER_VSM_PARTITION_CONFIG), 0);
	hc_stop(&h);
}

/* --- secure configuration --- */

#define SECURE(n) (HV_REGISTER_VSM_VP_SECURE_CONFIG_VTL0 + (n))

static void secure_configuration_is_for_lower_vtls(void **state)
{
	struct hv_register_value v;
	struct hc h;

	(void)state;
	start(&h);
	hc_enter(&h, 0, 2);
	assert_int_equal(set(&h, VTL(2), SECURE(0), HV_SECURE_CONFIG_TLB_LOCKED), HV_SUCCESS);
	assert_int_equal(set(&h, VTL(2), SECURE(1), HV_SECURE_CONFIG_TLB_LOCKED), HV_SUCCESS);
	for (unsigned n = 2; n < 15; n++) {
		assert_int_equal(set(&h, VTL(2), SECURE(n), 0), HV_INVALID_PARAMETER);
		assert_int_equal(get(&h, VTL(2), SECURE(n), &v), HV_INVALID_PARAMETER);
	}
	assert_int_equal(set(&h, VTL(1), SECURE(1), 0), HV_INVALID_PARAMETER);
	/* Each VTL has its own instance for each lower one. */
	assert_int_equal(value_of(&h, VTL(2), SECURE(0)), HV_SECURE_CONFIG_TLB_LOCKED);
	assert_int_equal(value_of(&h, VTL(1), SECURE(0)), 0);
	assert_int_equal(set(&h, VTL(2), SECURE(0), 4), HV_INVALID_REGISTER_VALUE);
	hc_stop(&h);
}

static void mbec_needs_the_partitions_consent(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	assert_int_equal(set(&h, 0, SECURE(0), HV_SECURE_CONFIG_MBEC), HV_INVALID_REGISTER_VALUE);
	h.p->vtls[1].mbec = true;
	assert_int_equal(set(&h, 0, SECURE(0), HV_SECURE_CONFIG_MBEC), HV_SUCCESS);
	assert_true(h.p->memory.mbec[0]);
	assert_int_equal(value_of(&h, 0, HV_REGISTER_VSM_VP_STATUS) & HV_VP_STATUS_MBEC_ACTIVE, 0);
	hc_enter(&h, 0, 0);
	assert_int_equal(value_of(&h, 0, HV_REGISTER_VSM_VP_STATUS) & HV_VP_STATUS_MBEC_ACTIVE,
			 HV_VP_STATUS_MBEC_ACTIVE);
	hc_enter(&h, 0, 1);
	assert_int_equal(set(&h, 0, SECURE(0), 0), HV_SUCCESS);
	assert_false(h.p->memory.mbec[0]);
	hc_stop(&h);
}

#define PAGE_KX 0x102

static bool kx_executable(const struct hc *h, bool user)
{
	return memory_allows(&h->p->memory, 0, PAGE_KX, MEM_EXECUTE, user, NULL);
}

/*
 * As long as some VPs have MBEC and others do not, nothing is executed that either forbids: by UX
 * alone nothing, by KX alone not in user mode.
 */
static void mbec_is_in_force_when_all_vps_have_it(void **state)
{
	const struct hv_initial_vp_context context = long_mode_context();
	struct hc h;

	(void)state;
	start(&h);
	hc_enter(&h, 1, 1);
	h.p->vtls[1].mbec = true;
	assert_int_equal(memory_limit_default(&h.p->memory, 1, PROT_ALL), 0);
	assert_int_equal(memory_limit(&h.p->memory, 1, 0, 0x100, 0x101, PROT_R | PROT_UX), 0);
	assert_int_equal(memory_limit(&h.p->memory, 1, 0, PAGE_KX, PAGE_KX + 1, PROT_R | PROT_KX),
			 0);
	assert_true(kx_executable(&h, true) && kx_executable(&h, false));
	assert_int_equal(set(&h, 0, SECURE(0), HV_SECURE_CONFIG_MBEC), HV_SUCCESS);
	assert_false(executable(&h, true) || executable(&h, false));
	assert_true(kx_executable(&h, false));
	assert_false(kx_executable(&h, true));
	assert_int_equal(set_as(&h, 1, 0, SECURE(0), HV_SECURE_CONFIG_MBEC), HV_SUCCESS);
	assert_true(executable(&h, true));
	assert_false(executable(&h, false));
	assert_true(kx_executable(&h, false));
	assert_false(kx_executable(&h, true));
	/* One more VP gets the VTL, and has not asked yet. */
	h.vp[1]->enabled_vtls = 1;
	h.vp[1]->vtls[1].secure_config[0] = 0;
	hc_enter(&h, 1, 0);
	hc_enter(&h, 0, 1);
	assert_int_equal(vtl_enable_vp(h.vp[0], h.vp[1], 1, &context), HV_SUCCESS);
	assert_false(executable(&h, true) || executable(&h, false));
	assert_true(kx_executable(&h, false));
	assert_false(kx_executable(&h, true));
	hc_stop(&h);
}

/* A VP that comes without MBEC changes what masks mean; where the host cannot, it does not come. */
static void mbec_the_host_cannot_leave(void **state)
{
	const struct hv_initial_vp_context context = long_mode_context();
	struct hc h;

	(void)state;
	start(&h);
	assert_int_equal(memory_limit_default(&h.p->memory, 1, PROT_ALL), 0);
	assert_int_equal(memory_limit(&h.p->memory, 1, 0, PAGE_KX, PAGE_KX + 1, PROT_R | PROT_KX),
			 0);
	assert_int_equal(memory_set_mbec(&h.p->memory, 0, MBEC_ON), 0);
	hc_enter(&h, 0, 0);
	h.vp[0]->enabled_vtls = 1;
	fake_kvm_fail(h.x.fake, FAKE_OP_protect_memory, 1, ENOMEM);
	assert_int_equal(vtl_enable_vp(h.vp[0], h.vp[0], 1, &context), HV_INSUFFICIENT_MEMORY);
	assert_int_equal(h.vp[0]->enabled_vtls, 1);
	assert_int_equal(h.p->memory.mbec[0], MBEC_ON);
	assert_false(kx_executable(&h, true));
	assert_int_equal(vtl_enable_vp(h.vp[0], h.vp[0], 1, &context), HV_SUCCESS);
	assert_int_equal(h.p->memory.mbec[0], MBEC_OFF);
	hc_stop(&h);
}

static void mbec_the_host_cannot_have(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	h.p->vtls[1].mbec = true;
	assert_int_equal(memory_limit_default(&h.p->memory, 1, PROT_ALL), 0);
	assert_int_equal(memory_limit(&h.p->memory, 1, 0, 0x100, 0x101, PROT_R | PROT_KX), 0);
	fake_kvm_fail(h.x.fake, FAKE_OP_protect_memory, 1, ENOMEM);
	assert_int_equal(set(&h, 0, SECURE(0), HV_SECURE_CONFIG_MBEC), HV_INSUFFICIENT_MEMORY);
	assert_int_equal(value_of(&h, 0, SECURE(0)), 0);
	assert_false(h.p->memory.mbec[0]);
	hc_stop(&h);
}

/* A change that can neither be made nor taken back: the partition stops. */
static void a_page_that_stays_open_ends_the_partition(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	h.p->vtls[1].mbec = true;
	assert_int_equal(memory_limit_default(&h.p->memory, 1, PROT_ALL), 0);
	assert_int_equal(set(&h, 0, SECURE(0), HV_SECURE_CONFIG_MBEC), HV_SUCCESS);
	/* Both are closed with MBEC and open without. */
	assert_int_equal(memory_limit(&h.p->memory, 1, 0, 0x100, 0x101, PROT_R | PROT_KX), 0);
	assert_int_equal(memory_limit(&h.p->memory, 1, 0, 0x102, 0x103, PROT_R | PROT_KX), 0);
	hc_refuse_protect(&h, 1);
	assert_int_equal(set(&h, 0, SECURE(0), 0), HV_INSUFFICIENT_MEMORY);
	hc_relent(&h);
	assert_true(h.p->dead);
	hc_stop(&h);
}

/* --- VINA and intercepts --- */

static void vina_is_kept(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	assert_int_equal(set(&h, 0, HV_REGISTER_VSM_VINA, 0x740), HV_SUCCESS);
	assert_int_equal(value_of(&h, 0, HV_REGISTER_VSM_VINA), 0x740);
	assert_int_equal(set(&h, 0, HV_REGISTER_VSM_VINA, 0x800), HV_INVALID_REGISTER_VALUE);
	assert_int_equal(value_of(&h, 0, HV_REGISTER_VSM_VINA), 0x740);
	hc_stop(&h);
}

static void intercepts_that_cannot_be_are_refused(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t one = UINT64_C(1) << bit;
		bool kept = bit < 25 && !(one & HV_CR_INTERCEPT_UNSUPPORTED);
		unsigned expected = bit < 25 ? HV_OPERATION_DENIED : HV_INVALID_REGISTER_VALUE;

		assert_int_equal(set(&h, 0, HV_REGISTER_CR_INTERCEPT_CONTROL, one),
				 kept ? HV_SUCCESS : expected);
		assert_int_equal(value_of(&h, 0, HV_REGISTER_CR_INTERCEPT_CONTROL), kept ? one : 0);
		assert_int_equal(set(&h, 0, HV_REGISTER_CR_INTERCEPT_CONTROL, 0), HV_SUCCESS);
	}
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(set(&h, 0, HV_REGISTER_CR_INTERCEPT_CR0_MASK + i, 0x10 + i),
				 HV_SUCCESS);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(value_of(&h, 0, HV_REGISTER_CR_INTERCEPT_CR0_MASK + i), 0x10 + i);
	hc_stop(&h);
}

static void count_warning(void *ctx, enum vsm_log_level level, const char *line)
{
	(void)line;
	*(unsigned *)ctx += level == VSM_LOG_WARNING;
}

/* A default mask that only looks as if the lower VTL could run is told to the VMM. */
static void default_masks_that_run_nothing(void **state)
{
	static const struct {
		prot_t mask;
		uint64_t quirks;
		bool mbec;
		unsigned warnings;
	} rows[] = {{PROT_R | PROT_W | PROT_UX, 0, false, 1},
		    {PROT_R | PROT_W | PROT_UX, 0, true, 0},
		    {PROT_R | PROT_W | PROT_UX, VSM_QUIRK_UX_IS_EXECUTE, false, 0},
		    {PROT_R | PROT_W, 0, false, 0},
		    {PROT_ALL, 0, false, 0}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vsm_partition_options o = {.quirks = rows[i].quirks, .log = count_warning};
		unsigned warnings = 0;
		struct hc h;

		o.callback_ctx = &warnings;
		hc_start_with(&h, &o);
		hc_enter(&h, 0, 1);
		assert_int_equal(memory_set_mbec(&h.p->memory, 0, rows[i].mbec), 0);
		assert_int_equal(
			set(&h, 0, HV_REGISTER_VSM_PARTITION_CONFIG, CONFIG(rows[i].mask, ENABLE)),
			HV_SUCCESS);
		assert_int_equal(warnings, rows[i].warnings);
		hc_stop(&h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(default_masks_that_run_nothing),
		cmocka_unit_test(status_tells_who_is_enabled),
		cmocka_unit_test(maximum_vtl_is_the_partitions),
		cmocka_unit_test(vtl0_has_no_configuration),
		cmocka_unit_test(protections_go_on_once),
		cmocka_unit_test(the_default_mask_must_allow_data),
		cmocka_unit_test(configuration_can_precede_protections),
		cmocka_unit_test(what_is_not_enforced_is_refused),
		cmocka_unit_test(a_higher_vtl_configures_a_lower),
		cmocka_unit_test(a_host_that_cannot_protect),
		cmocka_unit_test(secure_configuration_is_for_lower_vtls),
		cmocka_unit_test(mbec_needs_the_partitions_consent),
		cmocka_unit_test(mbec_is_in_force_when_all_vps_have_it),
		cmocka_unit_test(mbec_the_host_cannot_leave),
		cmocka_unit_test(mbec_the_host_cannot_have),
		cmocka_unit_test(a_page_that_stays_open_ends_the_partition),
		cmocka_unit_test(vina_is_kept),
		cmocka_unit_test(intercepts_that_cannot_be_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
