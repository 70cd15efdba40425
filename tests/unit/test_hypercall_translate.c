/* SPDX-License-Identifier: MIT */
/* HvCallTranslateVirtualAddress and Ex: flags, result codes, whose tables and whose limits. */
#include "hypercall_fixture.h"

#include "partition/tlb.h"

/* Four-level tables of VTL0 and VTL1 alike: page n of a window at 0 is what leaf[n] says. */
#define PML4	      UINT64_C(0x100000)
#define PDPT	      UINT64_C(0x101000)
#define PD	      UINT64_C(0x102000)
#define PT	      UINT64_C(0x103000)

#define P	      0x1
#define W	      0x2
#define U	      0x4
#define A	      0x20
#define D	      0x40
#define NX	      (UINT64_C(1) << 63)

#define READ	      HV_TRANSLATE_READ
#define WRITE	      HV_TRANSLATE_WRITE
#define EXEC	      HV_TRANSLATE_EXECUTE
#define EXEMPT	      HV_TRANSLATE_PRIVILEGE_EXEMPT
#define SUPER	      HV_TRANSLATE_SUPERVISOR
#define USER	      HV_TRANSLATE_USER
#define AS(vtl)	      ((uint64_t)(HV_INPUT_VTL_USE | (vtl)) << HV_TRANSLATE_VTL_SHIFT)

#define CR0_WP	      (UINT64_C(1) << 16)
#define CR4_SMEP_SMAP (UINT64_C(3) << 20)
#define EFER_NXE      (UINT64_C(1) << 11)

enum {
	PAGE_PLAIN = 1,
	PAGE_USER,
	PAGE_READ_ONLY,
	PAGE_NX,
	PAGE_HOLE,   /* mapped to where no memory is */
	PAGE_CLOSED, /* VTL1 leaves VTL0 reading only */
	PAGE_OVERLAY,
	PAGE_NONE,
};

static const uint64_t leaves[] = {
	[PAGE_PLAIN] = 0x200000 | P | W,     [PAGE_USER] = 0x201000 | P | W | U,
	[PAGE_READ_ONLY] = 0x202000 | P | U, [PAGE_NX] = 0x203000 | P | W | NX,
	[PAGE_HOLE] = 0x40000000 | P | W,    [PAGE_CLOSED] = 0x205000 | P | W,
	[PAGE_OVERLAY] = 0x206000 | P | W,   [PAGE_NONE] = 0,
};

static uint64_t *leaf(struct hc *h, unsigned page)
{
	return (uint64_t *)hc_mem(h, PT) + page;
}

static void start(struct hc *h)
{
	hc_start(h);
	*(uint64_t *)hc_mem(h, PML4) = PDPT | P | W | U;
	*(uint64_t *)hc_mem(h, PDPT) = PD | P | W | U;
	*(uint64_t *)hc_mem(h, PD) = PT | P | W | U;
	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++)
		*leaf(h, i) = leaves[i];
	hc_enter(h, 0, 1);
	hc_enter(h, 1, 1);
	hc_enter(h, 1, 0);
	for (unsigned vp = 0; vp < HC_VPS; vp++)
		for (unsigned vtl = 0; vtl < 2; vtl++) {
			struct kvm_sregs *s = hc_sregs(h, vp, vtl);

			s->cr3 = PML4;
			s->cr0 |= CR0_WP;
			s->cr4 |= CR4_SMEP_SMAP;
			s->efer |= EFER_NXE;
		}
	assert_int_equal(memory_limit_default(&h->p->memory, 1, PROT_ALL), 0);
	assert_int_equal(
		memory_limit(&h->p->memory, 1, 0, 0x205, 0x206, PROT_R | PROT_KX | PROT_UX), 0);
	assert_int_equal(overlay_enable(&h->p->memory, h->vp[0]->vtls[0].assist_page, 0x206), 0);
}

static unsigned translate_as(struct hc *h, uint16_t code, uint64_t partition, uint32_t vp,
			     uint64_t flags, uint64_t page)
{
	struct hv_translate_virtual_address in = {partition, vp, 0xacacacac, flags, page};

	memset(hc_mem(h, HC_OUTPUT), 0x55, 64);
	return hc_slow(h, 0, code, 0, &in, sizeof(in), NULL, 0);
}

static const struct hv_translate_output *translate(struct hc *h, uint64_t flags, uint64_t page)
{
	assert_int_equal(translate_as(h, HV_CALL_TRANSLATE_VIRTUAL_ADDRESS, HC_SELF,
				      HV_VP_INDEX_SELF, flags, page),
			 HV_SUCCESS);
	return hc_mem(h, HC_OUTPUT);
}

static void result_codes(void **state)
{
	static const struct {
		uint64_t flags, page;
		uint32_t code;
	} rows[] = {
		{READ | WRITE | EXEC, PAGE_PLAIN, 0},
		{0, PAGE_PLAIN, 0},
		{READ, PAGE_NONE, 1},
		{READ, UINT64_C(1) << 40, 1},
		{READ, PAGE_USER, 2}, /* SMAP */
		{READ | HV_TRANSLATE_OVERRIDE_SMAP, PAGE_USER, 0},
		{READ | HV_TRANSLATE_ENFORCE_SMAP, PAGE_USER, 2},
		{EXEC, PAGE_USER, 2}, /* SMEP */
		{EXEC | READ | EXEMPT, PAGE_USER, 0},
		{READ | WRITE | EXEC | USER, PAGE_USER, 0},
		{READ | USER, PAGE_PLAIN, 2},
		{READ | USER | EXEMPT, PAGE_PLAIN, 0},
		{READ | SUPER, PAGE_PLAIN, 0},
		{READ | USER, PAGE_READ_ONLY, 0},
		{WRITE | USER, PAGE_READ_ONLY, 2},
		{WRITE | HV_TRANSLATE_OVERRIDE_SMAP, PAGE_READ_ONLY, 2},
		{READ, PAGE_NX, 0},
		{EXEC, PAGE_NX, 2},
		{READ, PAGE_HOLE, 4},
		{READ | AS(0), PAGE_CLOSED, 0},
		{WRITE | AS(0), PAGE_CLOSED, 8},
		{WRITE | AS(1), PAGE_CLOSED, 0},
		{READ | WRITE | EXEC | EXEMPT | AS(0), PAGE_OVERLAY, 0},
	};
	struct hc h;

	(void)state;
	start(&h);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct hv_translate_output *out = translate(&h, rows[i].flags, rows[i].page);
		bool overlay = rows[i].page == PAGE_OVERLAY;
		uint32_t attributes = HV_TRANSLATE_WRITE_BACK;

		if (overlay)
			attributes |= HV_TRANSLATE_OVERLAY;
		assert_int_equal(out->result.code, rows[i].code);
		assert_int_equal(out->result.attributes, rows[i].code ? 0 : attributes);
		assert_int_equal(out->gpa_page,
				 rows[i].code ? 0 : leaves[rows[i].page] >> 12 & 0xfffff);
	}
	hc_stop(&h);
}

static void statuses(void **state)
{
	const uint16_t codes[] = {HV_CALL_TRANSLATE_VIRTUAL_ADDRESS,
				  HV_CALL_TRANSLATE_VIRTUAL_ADDRESS_EX};
	const uint32_t self = HV_VP_INDEX_SELF;
	struct hc h;

	(void)state;
	start(&h);
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		uint16_t c = codes[i];

		assert_int_equal(translate_as(&h, c, 4, self, 0, 1), HV_INVALID_PARTITION_ID);
		assert_int_equal(translate_as(&h, c, HC_SELF, 5, 0, 1), HV_INVALID_VP_INDEX);
		assert_int_equal(translate_as(&h, c, HC_SELF, self, AS(2), 1), HV_ACCESS_DENIED);
		for (unsigned bit = 10; bit < 56; bit++)
			assert_int_equal(translate_as(&h, c, HC_SELF, self, UINT64_C(1) << bit, 1),
					 HV_INVALID_PARAMETER);
		assert_int_equal(translate_as(&h, c, HC_SELF, self, SUPER | USER, 1),
				 HV_INVALID_PARAMETER);
		assert_int_equal(
			translate_as(&h, c, HC_SELF, self,
				     HV_TRANSLATE_ENFORCE_SMAP | HV_TRANSLATE_OVERRIDE_SMAP, 1),
			HV_INVALID_PARAMETER);
		h.vp[1]->enabled_vtls = 1;
		assert_int_equal(translate_as(&h, c, HC_SELF, 1, AS(1), 1), HV_INVALID_VTL_STATE);
		assert_int_equal(translate_as(&h, c, HC_SELF, 1, AS(0) | READ, PAGE_PLAIN),
				 HV_SUCCESS);
	}
	hc_stop(&h);
}

static void bits_are_set_when_asked(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	translate(&h, WRITE, PAGE_PLAIN);
	assert_int_equal(*leaf(&h, PAGE_PLAIN), leaves[PAGE_PLAIN]);
	translate(&h, READ | HV_TRANSLATE_SET_BITS, PAGE_PLAIN);
	assert_int_equal(*leaf(&h, PAGE_PLAIN), leaves[PAGE_PLAIN] | A);
	assert_true(*(uint64_t *)hc_mem(&h, PML4) & A);
	assert_false(*(uint64_t *)hc_mem(&h, PD) & D);
	translate(&h, WRITE | HV_TRANSLATE_SET_BITS, PAGE_PLAIN);
	assert_int_equal(*leaf(&h, PAGE_PLAIN), leaves[PAGE_PLAIN] | A | D);
	/* Not where the tables are closed to their VTL, and not on the way to a refusal. */
	assert_int_equal(memory_limit(&h.p->memory, 1, 0, PML4 >> 12, (PT >> 12) + 1, PROT_R), 0);
	assert_int_equal(translate(&h, READ | AS(0), PAGE_NX)->result.code, 0);
	assert_int_equal(translate(&h, READ | HV_TRANSLATE_SET_BITS | AS(0), PAGE_NX)->result.code,
			 8);
	assert_int_equal(*leaf(&h, PAGE_NX), leaves[PAGE_NX]);
	hc_stop(&h);
}

static void ex_form_tells_the_event(void **state)
{
	const struct hv_translate_output_ex *out;
	struct hc h;

	(void)state;
	start(&h);
	out = hc_mem(&h, HC_OUTPUT);
	translate_as(&h, HV_CALL_TRANSLATE_VIRTUAL_ADDRESS_EX, HC_SELF, 1, READ | AS(0),
		     PAGE_PLAIN);
	assert_int_equal(out->result.code, 0);
	assert_int_equal(out->gpa_page, 0x200);
	assert_int_equal(out->event[0], 0);
	translate_as(&h, HV_CALL_TRANSLATE_VIRTUAL_ADDRESS_EX, HC_SELF, 1, WRITE | USER | AS(0),
		     PAGE_READ_ONLY);
	assert_int_equal(out->result.code, 2);
	assert_int_equal(out->event[0], UINT64_C(0x7000e0101));
	assert_int_equal(out->event[1], PAGE_READ_ONLY << 12);
	translate_as(&h, HV_CALL_TRANSLATE_VIRTUAL_ADDRESS_EX, HC_SELF, 1, WRITE | AS(0),
		     PAGE_CLOSED);
	assert_int_equal(out->result.code, 8);
	assert_int_equal(out->event[0], 3 | 1 << 8 | 1 << 16 | 3 << 24);
	assert_int_equal(out->event[1], PAGE_CLOSED << 12);
	assert_int_equal(out->event[2], 0x205000);
	hc_stop(&h);
}

static void inhibiting_locks_until_the_return(void **state)
{
	const uint64_t flags = READ | HV_TRANSLATE_FLUSH_INHIBIT;
	struct hc h;

	(void)state;
	start(&h);
	translate(&h, flags, PAGE_PLAIN);
	translate(&h, flags | AS(0), PAGE_NONE);
	assert_false(tlb_locked(h.vp[0], 0));
	translate_as(&h, HV_CALL_TRANSLATE_VIRTUAL_ADDRESS, HC_SELF, 1, flags | AS(0), PAGE_PLAIN);
	assert_true(tlb_locked(h.vp[1], 0));
	assert_false(tlb_locked(h.vp[1], 1));
	assert_false(tlb_locked(h.vp[0], 0));
	tlb_release(h.vp[1], 1);
	assert_true(tlb_locked(h.vp[1], 0));
	tlb_release(h.vp[0], 1);
	assert_false(tlb_locked(h.vp[1], 0));
	hc_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(result_codes),
		cmocka_unit_test(statuses),
		cmocka_unit_test(bits_are_set_when_asked),
		cmocka_unit_test(ex_form_tells_the_event),
		cmocka_unit_test(inhibiting_locks_until_the_return),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
