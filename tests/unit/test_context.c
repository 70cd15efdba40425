/* SPDX-License-Identifier: MIT */
/*
 * HV_INITIAL_VP_CONTEXT: which contexts are refused, and what a vCPU is given of one that is not.
 */
#include "initial_context.h"

#include <errno.h>
#include "hypercall_fixture.h"
#include "registers/msr.h"
#include "vtl/context.h"

#define MSR_PAT 0x277

struct refusal {
	const char *why;
	void (*spoil)(struct hv_initial_vp_context *c);
};

#define REFUSAL(name, ...)                                \
	static void name(struct hv_initial_vp_context *c) \
	{                                                 \
		__VA_ARGS__;                              \
	}

REFUSAL(real_mode, c->cr0 = 0x10)
REFUSAL(paging_without_protection, c->cr0 = 0x80000000)
REFUSAL(cr0_upper_half, c->cr0 |= UINT64_C(1) << 32)
REFUSAL(write_through_without_cache_off, c->cr0 |= 1 << 29)
REFUSAL(long_mode_without_pae, c->cr4 &= ~UINT64_C(0x20))
REFUSAL(lma_without_lme, c->efer = 0x400)
REFUSAL(lma_without_paging, c->cr0 &= ~UINT64_C(0x80000000))
REFUSAL(flags_reserved_high, c->rflags |= UINT64_C(1) << 22)
REFUSAL(flags_reserved_low, c->rflags |= 8)
REFUSAL(virtual_8086, c->rflags |= 1 << 17)
REFUSAL(pat_type, c->msr_cr_pat = 0x0007040600070402)
REFUSAL(cs_absent, c->cs.attributes &= 0xff7f)
REFUSAL(cs_is_data, c->cs.attributes = 0xa093)
REFUSAL(cs_is_system, c->cs.attributes = 0xa08b)
REFUSAL(cs_64_and_32, c->cs.attributes |= 0x4000)
REFUSAL(cs_64_in_legacy_mode, c->efer = 0)
REFUSAL(ss_other_ring, c->ss.attributes |= 0x60)
REFUSAL(tr_is_code, c->tr.attributes = 0x9b)
REFUSAL(tr_is_ldt, c->tr.attributes = 0x82)
REFUSAL(tr_in_ldt, c->tr.selector |= 4)
REFUSAL(ldt_is_task, c->ldtr.attributes = 0x89)
REFUSAL(ldt_in_ldt, c->ldtr.attributes = 0x82, c->ldtr.selector = 0x2c)
REFUSAL(rip_not_canonical, c->rip = UINT64_C(1) << 47)
REFUSAL(gs_not_canonical, c->gs.base = UINT64_C(1) << 63)
REFUSAL(fs_not_canonical, c->fs.base = UINT64_C(0xffff7fffffffffff))
REFUSAL(gdt_not_canonical, c->gdtr.base = UINT64_C(1) << 48)
REFUSAL(idt_not_canonical, c->idtr.base = UINT64_C(1) << 56)
REFUSAL(tr_not_canonical, c->tr.base = UINT64_C(1) << 47)
REFUSAL(ldt_not_canonical, c->ldtr.base = UINT64_C(1) << 47)

static const struct refusal refusals[] = {
#define ROW(name)           \
	{                   \
#name, name \
	}
	ROW(real_mode),		 ROW(paging_without_protection),
	ROW(cr0_upper_half),	 ROW(write_through_without_cache_off),
	ROW(lma_without_lme),	 ROW(long_mode_without_pae),
	ROW(lma_without_paging), ROW(flags_reserved_high),
	ROW(virtual_8086),	 ROW(flags_reserved_low),
	ROW(pat_type),		 ROW(cs_absent),
	ROW(cs_is_data),	 ROW(cs_is_system),
	ROW(cs_64_and_32),	 ROW(cs_64_in_legacy_mode),
	ROW(ss_other_ring),	 ROW(tr_is_code),
	ROW(tr_is_ldt),		 ROW(rip_not_canonical),
	ROW(gs_not_canonical),	 ROW(fs_not_canonical),
	ROW(tr_in_ldt),		 ROW(ldt_is_task),
	ROW(ldt_in_ldt),	 ROW(gdt_not_canonical),
	ROW(idt_not_canonical),	 ROW(tr_not_canonical),
	ROW(ldt_not_canonical),
};

static void impossible_contexts_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		struct hv_initial_vp_context c = long_mode_context();

		assert_true(context_valid(&c, 1, 0));
		refusals[i].spoil(&c);
		if (context_valid(&c, 1, 0))
			fail_msg("accepted: %s", refusals[i].why);
	}
}

REFUSAL(real_in_a_ring, c->cs.attributes |= 0x60, c->ss.attributes |= 0x60)
REFUSAL(real_stack_in_a_ring, c->ss.attributes |= 0x60)
REFUSAL(real_without_code, c->cs.attributes = 0)
REFUSAL(real_with_64_bit_code, c->cs.attributes |= 0x2000)
REFUSAL(real_with_lma, c->efer = 0x500)
REFUSAL(real_and_paged, c->cr0 |= 0x80000000)
REFUSAL(real_past_4_gib, c->rip = UINT64_C(1) << 32)
REFUSAL(real_segment_past_4_gib, c->fs.base = UINT64_C(1) << 32)
REFUSAL(real_virtual_8086, c->rflags |= 1 << 17)

static const struct refusal real_refusals[] = {
	ROW(real_in_a_ring),  ROW(real_stack_in_a_ring),    ROW(real_without_code),
	ROW(real_with_lma),   ROW(real_with_64_bit_code),   ROW(real_and_paged),
	ROW(real_past_4_gib), ROW(real_segment_past_4_gib), ROW(real_virtual_8086),
};

/* VTL0 alone can start in real mode. */
static void real_mode_is_for_vtl0(void **state)
{
	struct hv_initial_vp_context c = real_mode_context();

	(void)state;
	assert_true(context_valid(&c, 0, 0));
	assert_false(context_valid(&c, 1, 0));
	assert_false(context_valid(&c, 2, 0));
	c.cs.attributes = 0x93;
	assert_true(context_valid(&c, 0, 0));
	/* Bases need not follow from selectors, and long mode can be prepared. */
	c.ds.base = 0x123450;
	c.efer = 0x100;
	c.ldtr = c.tr = (struct hv_segment){0};
	assert_true(context_valid(&c, 0, 0));
	for (size_t i = 0; i < ARRAY_SIZE(real_refusals); i++) {
		c = real_mode_context();
		real_refusals[i].spoil(&c);
		if (context_valid(&c, 0, 0))
			fail_msg("accepted: %s", real_refusals[i].why);
	}
}

static void protected_mode_is_fine(void **state)
{
	struct hv_initial_vp_context c = flat_context();

	(void)state;
	assert_true(context_valid(&c, 1, 0));
	c.gs.base = UINT64_C(1) << 32;
	assert_false(context_valid(&c, 1, 0));
}

/* KVM looks at CR3 in long mode only, and the processor always. */
static void cr3_fits_the_processor(void **state)
{
	struct hv_initial_vp_context c = flat_context();

	(void)state;
	c.cr3 = (UINT64_C(1) << 40) - 1;
	assert_true(context_valid(&c, 1, 40));
	c.cr3++;
	assert_false(context_valid(&c, 1, 40));
	assert_true(context_valid(&c, 1, 0));
	c.cr3 = UINT64_C(1) << 52;
	assert_false(context_valid(&c, 1, 0));
	c = long_mode_context();
	c.cr3 |= UINT64_C(1) << 62; /* linear address masking, say */
	assert_true(context_valid(&c, 1, 40));
}

/* With five levels of paging, addresses have 57 bits. */
static void canonical_depends_on_la57(void **state)
{
	struct hv_initial_vp_context c = long_mode_context();

	(void)state;
	c.rip = UINT64_C(1) << 47;
	c.cr4 |= 1 << 12;
	assert_true(context_valid(&c, 1, 0));
	c.rip = UINT64_C(1) << 56;
	assert_false(context_valid(&c, 1, 0));
}

static void context_reaches_the_vcpu(void **state)
{
	struct hv_initial_vp_context c = long_mode_context();
	const struct kvm_sregs *s;
	const struct kvm_regs *r;
	uint64_t apic_base;
	struct hc h;

	(void)state;
	hc_start(&h);
	c.rflags = 0x200;
	c.cr0 = 0x80000001; /* no ET, no NE */
	c.efer = 0x100;	    /* LMA follows */
	apic_base = hc_sregs(&h, 0, 1)->apic_base;
	assert_int_equal(context_load(hc_cpu(&h, 0, 1), &c), 0);
	s = fake_vcpu_sregs(h.x.fake, hc_cpu(&h, 0, 1)->fd);
	r = fake_vcpu_regs(h.x.fake, hc_cpu(&h, 0, 1)->fd);
	assert_int_equal(r->rip, c.rip);
	assert_int_equal(r->rsp, c.rsp);
	assert_int_equal(r->rflags, 0x202);
	assert_int_equal(s->cr0, 0x80000011);
	assert_int_equal(s->cr3, c.cr3);
	assert_int_equal(s->cr4, c.cr4);
	assert_int_equal(s->cr8, 0);
	assert_int_equal(s->efer, 0x500);
	assert_int_equal(s->apic_base, apic_base);
	assert_int_equal(s->gdt.base, c.gdtr.base);
	assert_int_equal(s->gdt.limit, c.gdtr.limit);
	assert_int_equal(s->idt.base, c.idtr.base);
	hc_stop(&h);
}

static void segments_reach_the_vcpu(void **state)
{
	struct hv_initial_vp_context c = long_mode_context();
	const struct kvm_sregs *s;
	struct hc h;

	(void)state;
	hc_start(&h);
	c.cs.attributes |= 0x60;
	c.ds.attributes = 0xd0f3;
	c.ss.attributes = 0;
	assert_int_equal(context_load(hc_cpu(&h, 0, 1), &c), 0);
	s = fake_vcpu_sregs(h.x.fake, hc_cpu(&h, 0, 1)->fd);
	assert_int_equal(s->cs.selector, c.cs.selector);
	assert_int_equal(s->cs.type, 0xb);
	assert_int_equal(s->cs.s, 1);
	assert_int_equal(s->cs.present, 1);
	assert_int_equal(s->cs.l, 1);
	assert_int_equal(s->cs.db, 0);
	assert_int_equal(s->cs.g, 1);
	assert_int_equal(s->cs.limit, UINT32_MAX);
	assert_int_equal(s->ds.dpl, 3);
	assert_int_equal(s->ds.db, 1);
	assert_int_equal(s->ds.avl, 1);
	assert_int_equal(s->ds.unusable, 0);
	/* FS and GS are null segments with a base. */
	assert_int_equal(s->gs.unusable, 1);
	assert_int_equal(s->gs.present, 0);
	assert_int_equal(s->gs.base, c.gs.base);
	assert_int_equal(s->fs.base, c.fs.base);
	/* The CPL is that of the code whatever SS says. */
	assert_int_equal(s->ss.unusable, 1);
	assert_int_equal(s->ss.dpl, 3);
	assert_int_equal(s->ldt.type, 2);
	hc_stop(&h);
}

static void task_register_is_busy_and_present(void **state)
{
	static const uint16_t attributes[] = {0x8b, 0x89, 0x00};
	struct hv_initial_vp_context c = long_mode_context();
	const struct kvm_sregs *s;
	struct hc h;

	(void)state;
	hc_start(&h);
	for (size_t i = 0; i < ARRAY_SIZE(attributes); i++) {
		c.tr.attributes = attributes[i];
		assert_true(context_valid(&c, 1, 0));
		assert_int_equal(context_load(hc_cpu(&h, 0, 1), &c), 0);
		s = fake_vcpu_sregs(h.x.fake, hc_cpu(&h, 0, 1)->fd);
		assert_int_equal(s->tr.type, 0xb);
		assert_int_equal(s->tr.present, 1);
		assert_int_equal(s->tr.s, 0);
		assert_int_equal(s->tr.unusable, 0);
	}
	hc_stop(&h);
}

static void pat_is_loaded_and_zero_is_the_reset_value(void **state)
{
	struct hv_initial_vp_context c = long_mode_context();
	struct hc h;

	(void)state;
	hc_start(&h);
	c.msr_cr_pat = 0x0606060606060606;
	assert_int_equal(context_load(hc_cpu(&h, 0, 1), &c), 0);
	assert_int_equal(fake_vcpu_msr(h.x.fake, hc_cpu(&h, 0, 1)->fd, MSR_PAT), c.msr_cr_pat);
	c.msr_cr_pat = 0;
	assert_int_equal(context_load(hc_cpu(&h, 0, 1), &c), 0);
	assert_int_equal(fake_vcpu_msr(h.x.fake, hc_cpu(&h, 0, 1)->fd, MSR_PAT),
			 UINT64_C(0x0007040600070406));
	hc_stop(&h);
}

/* Every kernel call on the way fails once: an error, and the vCPU as it was. */
static void failures_leave_the_vcpu_alone(void **state)
{
	static const enum fake_op ops[] = {FAKE_OP_set_sregs, FAKE_OP_set_regs, FAKE_OP_set_msrs};
	struct hv_initial_vp_context c = long_mode_context();
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct hc h;

	(void)state;
	hc_start(&h);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		struct vtl_cpu *cpu = hc_cpu(&h, 0, 1);

		regs = *fake_vcpu_regs(h.x.fake, cpu->fd);
		sregs = *fake_vcpu_sregs(h.x.fake, cpu->fd);
		fake_kvm_fail(h.x.fake, ops[i], 1, EINVAL);
		assert_int_equal(context_load(cpu, &c), -EINVAL);
		assert_int_equal(vtl_cpu_flush(cpu), 0);
		assert_memory_equal(fake_vcpu_regs(h.x.fake, cpu->fd), &regs, sizeof(regs));
		assert_memory_equal(fake_vcpu_sregs(h.x.fake, cpu->fd), &sregs, sizeof(sregs));
	}
	vtl_cpu_forget(hc_cpu(&h, 0, 1));
	fake_kvm_fail(h.x.fake, FAKE_OP_get_sregs, 1, EIO);
	assert_int_equal(context_load(hc_cpu(&h, 0, 1), &c), -EIO);
	hc_stop(&h);
}

/* KVM knows reserved bits this library does not. */
static void kvm_has_the_last_word(void **state)
{
	struct hv_initial_vp_context c = long_mode_context();
	struct hc h;

	(void)state;
	hc_start(&h);
	c.cr4 |= UINT64_C(1) << 40;
	assert_true(context_valid(&c, 1, 0));
	assert_int_equal(context_load(hc_cpu(&h, 0, 1), &c), -EINVAL);
	assert_int_equal(fake_vcpu_regs(h.x.fake, hc_cpu(&h, 0, 1)->fd)->rip, 0x2001);
	hc_stop(&h);
}

static void msr_access_errors(void **state)
{
	uint64_t value;
	struct hc h;

	(void)state;
	hc_start(&h);
	assert_int_equal(vtl_cpu_read_msr(hc_cpu(&h, 0, 0), 0xdeadbeef, &value), -ENOENT);
	assert_int_equal(vtl_cpu_write_msr(hc_cpu(&h, 0, 0), 0xdeadbeef, 0), -EINVAL);
	fake_kvm_fail(h.x.fake, FAKE_OP_get_msrs, 1, EIO);
	assert_int_equal(vtl_cpu_read_msr(hc_cpu(&h, 0, 0), MSR_PAT, &value), -EIO);
	fake_kvm_fail(h.x.fake, FAKE_OP_set_msrs, 1, ENOMEM);
	assert_int_equal(vtl_cpu_write_msr(hc_cpu(&h, 0, 0), MSR_PAT, 0), -ENOMEM);
	hc_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(impossible_contexts_are_refused),
		cmocka_unit_test(protected_mode_is_fine),
		cmocka_unit_test(real_mode_is_for_vtl0),
		cmocka_unit_test(cr3_fits_the_processor),
		cmocka_unit_test(canonical_depends_on_la57),
		cmocka_unit_test(context_reaches_the_vcpu),
		cmocka_unit_test(segments_reach_the_vcpu),
		cmocka_unit_test(task_register_is_busy_and_present),
		cmocka_unit_test(pat_is_loaded_and_zero_is_the_reset_value),
		cmocka_unit_test(failures_leave_the_vcpu_alone),
		cmocka_unit_test(kvm_has_the_last_word),
		cmocka_unit_test(msr_access_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
