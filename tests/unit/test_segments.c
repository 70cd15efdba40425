/* SPDX-License-Identifier: MIT */
/* Segments and flags a guest sets: what a processor would not run with is refused, or made whole. */
#include "register_fixture.h"

struct row {
	uint32_t name;
	uint16_t attributes;
	uint64_t base;
	bool valid;
	uint16_t selector;
};

static const struct row rows[] = {
	{HV_REGISTER_CS, 0xa09b, 0, true},
	{HV_REGISTER_CS, 0xc09b, 0, true},
	{HV_REGISTER_CS, 0xe09b, 0, false},		    /* both 64 and 32 bits wide */
	{HV_REGISTER_CS, 0xa01b, 0, false},		    /* not present */
	{HV_REGISTER_CS, 0xa08b, 0, false},		    /* a system segment */
	{HV_REGISTER_CS, 0xa093, 0, false},		    /* data */
	{HV_REGISTER_CS, 0xa09b, UINT64_C(1) << 32, false}, /* its base has 32 bits */
	{HV_REGISTER_SS, 0xc093, 0, true},
	{HV_REGISTER_SS, 0, 0, true},	    /* null */
	{HV_REGISTER_SS, 0xc091, 0, false}, /* read-only */
	{HV_REGISTER_SS, 0xc09b, 0, false}, /* code */
	{HV_REGISTER_DS, 0xc093, 0, true},
	{HV_REGISTER_DS, 0xc09b, 0, true},  /* readable code */
	{HV_REGISTER_DS, 0xc099, 0, false}, /* code that only runs */
	{HV_REGISTER_ES, 0xc083, 0, false}, /* a system segment */
	{HV_REGISTER_ES, 0xc093, UINT64_C(1) << 32, false},
	{HV_REGISTER_GS, 0xc093, UINT64_C(1) << 40, true},
	{HV_REGISTER_GS, 0, UINT64_C(0xffff800000000000), true},
	{HV_REGISTER_GS, 0, UINT64_C(0xff80000000000000), false}, /* not with four levels */
	{HV_REGISTER_LDTR, 0x82, 0, true},
	{HV_REGISTER_LDTR, 0x89, 0, false}, /* a TSS */
	{HV_REGISTER_TR, 0x89, 0, true},
	{HV_REGISTER_TR, 0x8b, 0, true},
	{HV_REGISTER_TR, 0x81, 0, false}, /* 16 bits, in long mode */
	{HV_REGISTER_TR, 0x93, 0, false},
	{HV_REGISTER_TR, 0x89, 0, true, 0x28},
	{HV_REGISTER_TR, 0x89, 0, false, 0x2c}, /* in the LDT */
	{HV_REGISTER_TR, 0, 0, false, 0x2c},	/* there is always one */
	{HV_REGISTER_LDTR, 0x82, 0, true, 0x28},
	{HV_REGISTER_LDTR, 0x82, 0, false, 0x2c},
	{HV_REGISTER_LDTR, 0, 0, true, 0x2c},
	{HV_REGISTER_DS, 0xc093, 0, true, 0x2c},
};

static void segments_are_what_processors_take(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct hv_segment s = {.base = rows[i].base,
				       .limit = 0xfffff,
				       .selector = rows[i].selector,
				       .attributes = rows[i].attributes};
		struct hv_register_value v;

		memcpy(&v, &s, sizeof(v));
		if (set_wide(&h, VTL(0), rows[i].name, &v) !=
		    (rows[i].valid ? HV_SUCCESS : HV_INVALID_REGISTER_VALUE))
			fail_msg("row %zu", i);
	}
	hc_stop(&h);
}

static void check_limit(struct hc *h, uint32_t limit, uint16_t flags, uint32_t want, bool pages)
{
	struct hv_segment s = {.limit = limit, .attributes = (uint16_t)(0x4093 | flags)};
	struct hv_register_value v;
	const struct kvm_segment *kvm;

	memcpy(&v, &s, sizeof(v));
	assert_int_equal(set_wide(h, VTL(0), HV_REGISTER_DS, &v), HV_SUCCESS);
	kvm = &fake_vcpu_sregs(h->x.fake, hc_cpu(h, 0, 0)->fd)->ds;
	assert_int_equal(kvm->limit, want);
	assert_int_equal(kvm->g, pages);
}

static void limits_fit_their_granularity(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	check_limit(&h, 0xffffffff, 0, 0xffffffff, true);
	check_limit(&h, 0x12345678, 0x8000, 0x12345fff, true);
	check_limit(&h, 0x67, 0x8000, 0x67, false);
	check_limit(&h, 0xfffff, 0x8000, 0xfffff, true);
	check_limit(&h, 0xfffff, 0, 0xfffff, false);
	hc_stop(&h);
}

static void virtual_8086_mode_is_not_set(void **state)
{
	struct kvm_regs *regs;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_RFLAGS, 0x20002), HV_INVALID_REGISTER_VALUE);
	assert_int_equal(vtl_cpu_regs(hc_cpu(&h, 0, 0), &regs), 0);
	regs->rflags |= 0x20000;
	vtl_cpu_dirty(hc_cpu(&h, 0, 0), CPU_REGS);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_RFLAGS, 0x20202), HV_SUCCESS);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_RFLAGS, 0x202), HV_SUCCESS);
	hc_stop(&h);
}

/*
 * Outside long mode KVM takes any CR3, and kvm_amd then fails to enter the guest. Nor does anything
 * else leave long mode with such a CR3. What is refused changes nothing.
 */
static void cr3_fits_the_processor(void **state)
{
	struct kvm_sregs *sregs;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	fake_vcpu_flat_mode(h.x.fake, hc_cpu(&h, 0, 0)->fd, 0x1000, 0x2000);
	vtl_cpu_forget(hc_cpu(&h, 0, 0));
	h.vp[0]->vtls[0].lapic.maxphyaddr = 40;
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_CR3, (UINT64_C(1) << 40) - 4096), HV_SUCCESS);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_CR3, UINT64_C(1) << 40),
			 HV_INVALID_REGISTER_VALUE);
	h.vp[0]->vtls[0].lapic.maxphyaddr = 39;
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_CR4, 0x20), HV_INVALID_REGISTER_VALUE);
	sregs = hc_sregs(&h, 0, 0);
	assert_int_equal(sregs->cr3, (UINT64_C(1) << 40) - 4096);
	assert_int_equal(sregs->cr4, 0);
	assert_int_equal(fake_vcpu_sregs(h.x.fake, hc_cpu(&h, 0, 0)->fd)->cr4, 0);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_CR3, 0x1000), HV_SUCCESS);
	hc_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_are_what_processors_take),
		cmocka_unit_test(limits_fit_their_granularity),
		cmocka_unit_test(virtual_8086_mode_is_not_set),
		cmocka_unit_test(cr3_fits_the_processor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
