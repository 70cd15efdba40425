/* SPDX-License-Identifier: MIT */
/* The flush hypercalls: their forms and statuses, which vCPUs are flushed, and the TLB lock. */
#include "register_fixture.h"

#include "partition/tlb.h"

#define ALL	      HV_FLUSH_ALL_PROCESSORS
#define NON_GLOBAL    HV_FLUSH_NON_GLOBAL_ONLY
#define UNINITIALISED (UINT64_C(0xdeadbeef) << 32)

static bool marked(struct hc *h, unsigned vp, unsigned vtl)
{
	return atomic_load(&hc_cpu(h, vp, vtl)->flush_tlb);
}

static void forget_marks(struct hc *h)
{
	for (unsigned vp = 0; vp < HC_VPS; vp++)
		for (unsigned vtl = 0; vtl < h->p->vtl_count; vtl++)
			atomic_store(&hc_cpu(h, vp, vtl)->flush_tlb, false);
}

static uint64_t flush(struct hc *h, bool list, unsigned reps, uint64_t flags, uint64_t mask)
{
	struct hv_flush_virtual_address in = {0x1000, flags, mask};
	uint16_t code =
		list ? HV_CALL_FLUSH_VIRTUAL_ADDRESS_LIST : HV_CALL_FLUSH_VIRTUAL_ADDRESS_SPACE;

	memcpy(hc_mem(h, HC_INPUT), &in, sizeof(in));
	return hc_call(h, 0, hc_control(code, false, reps, 0), HC_INPUT, 0);
}

/* `words` of bank contents, of which the first are `banks`. */
static uint64_t flush_ex(struct hc *h, bool list, unsigned reps, uint64_t format, uint64_t valid,
			 unsigned words, uint64_t bank)
{
	struct hv_flush_virtual_address_ex in = {0x1000, 0, format, valid};
	uint16_t code = list ? HV_CALL_FLUSH_VIRTUAL_ADDRESS_LIST_EX
			     : HV_CALL_FLUSH_VIRTUAL_ADDRESS_SPACE_EX;
	uint64_t *banks = hc_mem(h, HC_INPUT + sizeof(in));

	memcpy(hc_mem(h, HC_INPUT), &in, sizeof(in));
	banks[0] = bank;
	return hc_call(h, 0,
		       hc_control(code, false, reps, 0) | (uint64_t)words
								  << HV_CONTROL_VARIABLE_SHIFT,
		       HC_INPUT, 0);
}

static void masks_name_the_vps(void **state)
{
	static const struct {
		bool list;
		uint64_t flags, mask;
		bool vp0, vp1;
	} rows[] = {
		{false, 0, 0, false, false},	    {false, 0, 1, true, false},
		{false, 0, 2, false, true},	    {false, NON_GLOBAL, 3, true, true},
		{false, ALL, 0, true, true},	    {false, UNINITIALISED, 1, true, false},
		{false, 0, UINT64_MAX, true, true}, {true, 0, 2, false, true},
		{true, ALL, 0, true, true},
	};
	struct hc h;

	(void)state;
	hc_start(&h);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned reps = rows[i].list ? 5 : 0;

		assert_int_equal(flush(&h, rows[i].list, reps, rows[i].flags, rows[i].mask),
				 (uint64_t)reps << 32);
		assert_int_equal(marked(&h, 0, 0), rows[i].vp0);
		assert_int_equal(marked(&h, 1, 0), rows[i].vp1);
		assert_false(marked(&h, 0, 1));
		forget_marks(&h);
	}
	hc_stop(&h);
}

static void sets_name_the_vps(void **state)
{
	static const struct {
		bool list;
		uint64_t format, valid;
		unsigned words;
		uint64_t bank;
		unsigned status;
		bool vp1;
	} rows[] = {
		{false, 0, 1, 1, 2, HV_SUCCESS, true},
		{true, 0, 1, 1, 2, HV_SUCCESS, true},
		{false, 0, 2, 1, 2, HV_SUCCESS, false},
		{false, 0, 0, 0, 0, HV_SUCCESS, false},
		{false, 1, 0, 0, 0, HV_SUCCESS, true},
		{false, 0, 3, 1, 2, HV_INVALID_HYPERCALL_INPUT, false},
		{true, 0, 1, 2, 2, HV_INVALID_HYPERCALL_INPUT, false},
		{false, 2, 1, 1, 2, HV_INVALID_PARAMETER, false},
	};
	struct hc h;

	(void)state;
	hc_start(&h);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned reps = rows[i].list ? 2 : 0;

		flush_ex(&h, rows[i].list, reps, rows[i].format, rows[i].valid, rows[i].words,
			 rows[i].bank);
		assert_int_equal(h.result.status, rows[i].status);
		assert_int_equal(h.result.reps, rows[i].status ? 0 : reps);
		assert_int_equal(marked(&h, 1, 0), rows[i].vp1);
		forget_marks(&h);
	}
	hc_stop(&h);
}

static void unknown_flags(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	for (unsigned bit = 2; bit < 32; bit++) {
		assert_int_equal(flush(&h, true, 1, UINT64_C(1) << bit, 1), HV_INVALID_PARAMETER);
		assert_int_equal(flush(&h, false, 0, UINT64_C(1) << bit, 1),
				 bit == 2 ? HV_SUCCESS : HV_INVALID_PARAMETER);
	}
	hc_stop(&h);
}

static void fast_forms(void **state)
{
	const uint64_t mask = 2;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_put_xmm(&h, 0, 0, &mask, sizeof(mask));
	assert_int_equal(hc_call(&h, 0, hc_control(HV_CALL_FLUSH_VIRTUAL_ADDRESS_SPACE, true, 0, 0),
				 0x1000, 0),
			 HV_SUCCESS);
	assert_true(marked(&h, 1, 0));
	assert_false(marked(&h, 0, 0));
	hc_stop(&h);
}

/*
 * A VTL's request covers its own translations and those of the VTLs below, whose tables it edits.
 */
static void lower_vtls_are_flushed_too(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(flush(&h, false, 0, ALL, 0), HV_SUCCESS);
	for (unsigned vp = 0; vp < HC_VPS; vp++) {
		assert_true(marked(&h, vp, 0));
		assert_true(marked(&h, vp, 1));
		assert_false(marked(&h, vp, 2));
	}
	hc_stop(&h);
}

/* What KVM_SET_SREGS was last given. */
static const struct kvm_host *real;
static uint64_t written_cr3;

static int watched_set_sregs(const struct kvm_host *h, int fd, const struct kvm_sregs *sregs)
{
	(void)h;
	written_cr3 = sregs->cr3;
	return real->ops->set_sregs(real, fd, sregs);
}

/* CR3 changes and changes back, before the guest runs and once only. */
static void a_marked_vcpu_drops_its_translations(void **state)
{
	const struct fake_step steps[] = {{.kind = FAKE_HLT, .length = 1},
					  {.kind = FAKE_HLT, .length = 1}};
	struct kvm_ops ops;
	struct kvm_host watched;
	struct vtl_cpu *cpu;
	struct hc h;

	(void)state;
	hc_start(&h);
	cpu = hc_cpu(&h, 0, 0);
	real = h.x.host;
	ops = *real->ops;
	ops.set_sregs = watched_set_sregs;
	watched = (struct kvm_host){&ops, real->ctx};
	cpu->host = &watched;
	fake_vcpu_script(h.x.fake, cpu->fd, steps, ARRAY_SIZE(steps));
	tlb_mark(h.vp[0], 0);
	fake_kvm_reset_calls(h.x.fake);
	fake_kvm_fail(h.x.fake, FAKE_OP_set_sregs, 1, EIO);
	assert_int_equal(vtl_cpu_run(cpu), -EIO);
	assert_int_equal(fake_kvm_calls(h.x.fake, FAKE_OP_run), 0);
	assert_int_equal(vtl_cpu_run(cpu), 0);
	assert_int_equal(fake_kvm_calls(h.x.fake, FAKE_OP_set_sregs), 2);
	assert_int_equal(written_cr3, 0x1000 ^ CPU_CR3_PWT);
	assert_int_equal(fake_vcpu_sregs(h.x.fake, cpu->fd)->cr3, 0x1000);
	assert_int_equal(vtl_cpu_run(cpu), 0);
	assert_int_equal(fake_kvm_calls(h.x.fake, FAKE_OP_set_sregs), 2);
	cpu->host = real;
	hc_stop(&h);
}

static void expect_blocked(struct hc *h, bool list, bool blocked)
{
	unsigned reps = list ? 3 : 0;
	uint64_t value = flush(h, list, reps, ALL, 0);

	assert_int_equal(h->result.outcome, blocked ? HYPERCALL_AGAIN : HYPERCALL_DONE);
	assert_int_equal(h->result.blocked, blocked);
	assert_int_equal(h->result.reps, blocked ? 0 : reps);
	assert_int_equal(value, blocked ? HC_NO_RESULT : (uint64_t)reps << 32);
	assert_int_equal(marked(h, 1, 0), !blocked);
	forget_marks(h);
}

static void locked_tlb_blocks_lower_vtls(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 1, 1);
	h.vp[1]->vtls[1].secure_config[0] = HV_SECURE_CONFIG_TLB_LOCKED;
	expect_blocked(&h, false, true);
	expect_blocked(&h, true, true);
	/* Only where a target is locked. */
	assert_int_equal(flush(&h, false, 0, 0, 1), HV_SUCCESS);
	forget_marks(&h);
	/* VTL1 itself is not held up. */
	hc_enter(&h, 0, 1);
	assert_int_equal(flush(&h, false, 0, ALL, 0), HV_SUCCESS);
	forget_marks(&h);
	hc_enter(&h, 0, 0);
	tlb_release(h.vp[1], 1);
	assert_int_equal(h.vp[1]->vtls[1].secure_config[0], 0);
	expect_blocked(&h, false, false);
	hc_stop(&h);
}

static void clearing_the_register_unlocks(void **state)
{
	uint64_t before;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(
		set(&h, 0, HV_REGISTER_VSM_VP_SECURE_CONFIG_VTL0, HV_SECURE_CONFIG_TLB_LOCKED),
		HV_SUCCESS);
	before = h.p->tlb_unlocks;
	hc_enter(&h, 0, 0);
	expect_blocked(&h, false, true);
	hc_enter(&h, 0, 1);
	assert_int_equal(set(&h, 0, HV_REGISTER_VSM_VP_SECURE_CONFIG_VTL0, 0), HV_SUCCESS);
	assert_int_equal(h.p->tlb_unlocks, before + 1);
	hc_enter(&h, 0, 0);
	expect_blocked(&h, false, false);
	hc_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(masks_name_the_vps),
		cmocka_unit_test(sets_name_the_vps),
		cmocka_unit_test(unknown_flags),
		cmocka_unit_test(fast_forms),
		cmocka_unit_test(lower_vtls_are_flushed_too),
		cmocka_unit_test(a_marked_vcpu_drops_its_translations),
		cmocka_unit_test(locked_tlb_blocks_lower_vtls),
		cmocka_unit_test(clearing_the_register_unlocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
