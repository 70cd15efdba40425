/* SPDX-License-Identifier: MIT */
/* The calling convention: control words, slow and fast parameters, results, continuation; and the
 * table of calls against its documentation. */
#include "hypercall_fixture.h"

#include <errno.h>
#include <stdio.h>
#include "hv/privileges.h"
#include "hv/register_names.h"
#include "hypercall/parameters.h"
#include "hypercall/parse.h"
#include "memory/memory.h"

static struct hc *start(struct hc *h)
{
	hc_start(h);
	return h;
}

/* GetVpRegisters: the header, and names behind it. */
struct get_input {
	struct hv_vp_registers header;
	uint32_t names[250];
};

static struct get_input get_input(uint32_t first)
{
	struct get_input in = {.header = {.partition_id = HC_SELF, .vp_index = HV_VP_INDEX_SELF}};

	for (size_t i = 0; i < ARRAY_SIZE(in.names); i++)
		in.names[i] = first;
	return in;
}

static void put_get(struct hc *h, uint64_t gpa, const struct get_input *in, unsigned reps)
{
	memcpy(hc_mem(h, gpa), in, sizeof(in->header) + reps * sizeof(uint32_t));
}

static unsigned status(uint64_t result)
{
	return result & 0xffff;
}

/* --- control words --- */

static void unknown_codes_are_refused(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	for (unsigned code = 0; code < 0x200; code++)
		if (!hc_find((uint16_t)code))
			assert_int_equal(hc_call(&h, 0, code, 0, 0), HV_INVALID_HYPERCALL_CODE);
	assert_int_equal(hc_call(&h, 0, 0xffff, 0, 0), HV_INVALID_HYPERCALL_CODE);
	assert_int_equal(hc_call(&h, 0, 0x8002, 0, 0), HV_INVALID_HYPERCALL_CODE);
	hc_stop(&h);
}

static void reserved_control_bits_are_refused(void **state)
{
	static const unsigned reserved[] = {27, 28, 29, 30, 31, 44, 45, 46, 47, 60, 61, 62, 63};
	const uint64_t good = hc_control(HV_CALL_GET_VP_REGISTERS, false, 1, 0);
	struct get_input in = get_input(HV_REGISTER_RIP);
	struct hc h;

	(void)state;
	put_get(start(&h), HC_INPUT, &in, 1);
	assert_int_equal(status(hc_call(&h, 0, good, HC_INPUT, HC_OUTPUT)), HV_SUCCESS);
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		assert_int_equal(
			hc_call(&h, 0, good | UINT64_C(1) << reserved[i], HC_INPUT, HC_OUTPUT),
			HV_INVALID_HYPERCALL_INPUT);
	hc_stop(&h);
}

static void rep_fields_fit_the_class(void **state)
{
	const uint16_t rep = HV_CALL_GET_VP_REGISTERS, simple = HV_CALL_ENABLE_PARTITION_VTL;
	struct hc h;

	(void)state;
	start(&h);
	assert_int_equal(hc_call(&h, 0, hc_control(rep, false, 0, 0), HC_INPUT, HC_OUTPUT),
			 HV_INVALID_HYPERCALL_INPUT);
	assert_int_equal(hc_call(&h, 0, hc_control(rep, false, 3, 3), HC_INPUT, HC_OUTPUT),
			 HV_INVALID_HYPERCALL_INPUT);
	assert_int_equal(hc_call(&h, 0, hc_control(rep, false, 3, 4), HC_INPUT, HC_OUTPUT),
			 HV_INVALID_HYPERCALL_INPUT);
	assert_int_equal(hc_call(&h, 0, hc_control(simple, false, 1, 0), HC_INPUT, 0),
			 HV_INVALID_HYPERCALL_INPUT);
	assert_int_equal(hc_call(&h, 0, hc_control(simple, false, 0, 1), HC_INPUT, 0),
			 HV_INVALID_HYPERCALL_INPUT);
	hc_stop(&h);
}

static void variable_header_only_where_allowed(void **state)
{
	const uint64_t one = UINT64_C(1) << HV_CONTROL_VARIABLE_SHIFT;
	struct hypercall_info info = {.rep = true, .variable = true, .input = 16, .input_rep = 8};
	static struct hypercall_parameters parameters;
	static struct hypercall_call c;
	struct hc h;

	(void)state;
	start(&h);
	for (size_t i = 0; i < hypercall_table_size; i++) {
		const struct hypercall_info *t = &hypercall_table[i];

		if (t->outcome == HYPERCALL_DONE && !t->variable)
			assert_int_equal(hc_call(&h, 0, hc_control(t->code, false, t->rep, 0) | one,
						 HC_INPUT, HC_OUTPUT),
					 HV_INVALID_HYPERCALL_INPUT);
	}

	hc_put(&h, 0, hc_control(0x7fff, false, 2, 1) | one * 3, HC_INPUT, HC_OUTPUT);
	assert_int_equal(hc_parse(&c, h.vp[0]), 0);
	c.input = parameters.input;
	assert_null(c.info);
	c.info = &info;
	assert_int_equal(hypercall_check(&c), HV_SUCCESS);
	assert_int_equal(c.variable, 24);
	assert_int_equal(c.input_size, 16 + 24 + 2 * 8);
	assert_ptr_equal(hypercall_input_rep(&c), c.input + 16 + 24 + 8);
	c.control |= one * 1023;
	assert_int_equal(hypercall_check(&c), HV_INVALID_ALIGNMENT);
	hc_stop(&h);
}

static void privileges_cover_the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < hypercall_table_size; i++)
		assert_int_equal(hypercall_table[i].privileges & ~HV_PRIVILEGES_GRANTED, 0);
}

static void table_is_sorted_and_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < hypercall_table_size; i++) {
		const struct hypercall_info *t = &hypercall_table[i];

		assert_ptr_equal(hc_find(t->code), t);
		assert_true(t->handle || t->outcome != HYPERCALL_DONE);
		assert_true(t->rep || (!t->input_rep && !t->output_rep));
		assert_int_equal(t->input % 8, 0);
		assert_true(!i || t[-1].code < t->code);
	}
}

/* --- parameters in memory --- */

static void slow_blocks_must_be_aligned(void **state)
{
	const uint64_t control = hc_control(HV_CALL_GET_VP_REGISTERS, false, 2, 0);
	const uint64_t end = (uint64_t)HC_MIB << 20;
	const struct {
		uint64_t in, out;
	} bad[] = {
		{HC_INPUT + 4, HC_OUTPUT},
		{HC_INPUT, HC_OUTPUT + 4},
		{HC_INPUT + 1, HC_OUTPUT},
		{HC_INPUT + 4096 - 16, HC_OUTPUT},
		{HC_INPUT, HC_OUTPUT + 4096 - 24},
		{end, HC_OUTPUT},
		{HC_INPUT, end},
		{UINT64_MAX & ~UINT64_C(7), HC_OUTPUT},
		{HC_INPUT, UINT64_MAX & ~UINT64_C(7)},
		{UINT64_C(1) << 52, HC_OUTPUT},
		{HC_INPUT, UINT64_C(1) << 52},
	};
	struct get_input in = get_input(HV_REGISTER_RIP);
	struct hc h;

	(void)state;
	put_get(start(&h), HC_INPUT, &in, 2);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(hc_call(&h, 0, control, bad[i].in, bad[i].out),
				 HV_INVALID_ALIGNMENT);
	/* To the last byte of the page is in it. */
	put_get(&h, HC_INPUT + 4096 - 24, &in, 2);
	assert_int_equal(
		status(hc_call(&h, 0, control, HC_INPUT + 4096 - 24, HC_OUTPUT + 4096 - 32)),
		HV_SUCCESS);
	hc_stop(&h);
}

static void absent_blocks_are_not_looked_at(void **state)
{
	const struct hv_enable_partition_vtl in = {.partition_id = HC_SELF, .target_vtl = 1};
	struct hc h;

	(void)state;
	memcpy(hc_mem(start(&h), HC_INPUT), &in, sizeof(in));
	assert_int_equal(hc_call(&h, 0, HV_CALL_ENABLE_PARTITION_VTL, HC_INPUT, UINT64_MAX),
			 HV_SUCCESS);
	hc_stop(&h);
}

static void input_the_vtl_may_not_read_is_a_fault(void **state)
{
	const uint64_t control = hc_control(HV_CALL_GET_VP_REGISTERS, false, 1, 0);
	struct get_input in = get_input(HV_REGISTER_RIP);
	struct kvm_regs before;
	struct hc h;

	(void)state;
	put_get(start(&h), HC_INPUT, &in, 1);
	assert_int_equal(memory_limit_default(&h.p->memory, 1, PROT_ALL), 0);
	assert_int_equal(memory_limit(&h.p->memory, 1, 0, HC_INPUT >> 12, (HC_INPUT >> 12) + 1, 0),
			 0);
	hc_put(&h, 0, control, HC_INPUT + 8, HC_OUTPUT);
	before = *hc_regs(&h, 0);
	assert_int_equal(hc_execute(h.vp[0], &h.result), 0);
	assert_int_equal(h.result.outcome, HYPERCALL_FAULT);
	assert_int_equal(h.result.fault.gpa.addr, HC_INPUT + 8);
	assert_int_equal(h.result.fault.access, MEM_READ);
	assert_int_equal(h.result.fault.setter, 1);
	assert_memory_equal(hc_regs(&h, 0), &before, sizeof(before));
	hc_stop(&h);
}

static void output_the_vtl_may_not_write_is_a_fault(void **state)
{
	const uint64_t control = hc_control(HV_CALL_GET_VP_REGISTERS, false, 1, 0);
	struct get_input in = get_input(HV_REGISTER_RIP);
	struct hc h;

	(void)state;
	put_get(start(&h), HC_INPUT, &in, 1);
	memset(hc_mem(&h, HC_OUTPUT), 0x55, 16);
	assert_int_equal(memory_limit_default(&h.p->memory, 2, PROT_ALL), 0);
	assert_int_equal(memory_limit(&h.p->memory, 2, 0, HC_OUTPUT >> 12, (HC_OUTPUT >> 12) + 1,
				      PROT_R | PROT_KX | PROT_UX),
			 0);
	hc_call(&h, 0, control, HC_INPUT, HC_OUTPUT);
	assert_int_equal(h.result.outcome, HYPERCALL_FAULT);
	assert_int_equal(h.result.fault.gpa.addr, HC_OUTPUT);
	assert_int_equal(h.result.fault.access, MEM_WRITE);
	assert_int_equal(h.result.fault.setter, 2);
	assert_int_equal(*(uint8_t *)hc_mem(&h, HC_OUTPUT), 0x55);
	/* The VTL that set the limit is not bound by it. */
	hc_enter(&h, 0, 2);
	assert_int_equal(status(hc_call(&h, 0, control, HC_INPUT, HC_OUTPUT)), HV_SUCCESS);
	hc_stop(&h);
}

/* Kernels that run as VTL2 have used one page for both. */
static void input_and_output_may_overlap(void **state)
{
	struct {
		struct hv_get_vp_index_from_apic_id header;
		struct hv_apic_id id;
	} in = {.header.partition_id = HC_SELF, .id.apic_id = 9};
	struct hc h;

	(void)state;
	memcpy(hc_mem(start(&h), HC_INPUT), &in, sizeof(in));
	assert_int_equal(hc_call(&h, 0, hc_control(HV_CALL_GET_VP_INDEX_FROM_APIC_ID, false, 1, 0),
				 HC_INPUT, HC_INPUT),
			 UINT64_C(1) << 32);
	assert_int_equal(*(uint32_t *)hc_mem(&h, HC_INPUT), 1);
	hc_stop(&h);
}

/* --- parameters in registers --- */

static void fast_input_in_general_registers(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	assert_int_equal(hc_call(&h, 0, HV_CALL_ENABLE_PARTITION_VTL | HV_CONTROL_FAST, HC_SELF, 1),
			 HV_SUCCESS);
	assert_int_equal(h.p->enabled_vtls, 3);
	/* No XMM register was needed. */
	assert_int_equal(fake_kvm_calls(h.x.fake, FAKE_OP_get_xsave), 0);
	hc_stop(&h);
}

static void fast_output_follows_the_input(void **state)
{
	uint32_t names[4] = {HV_REGISTER_RIP, HV_REGISTER_RSP, HV_REGISTER_VSM_VP_STATUS};
	struct hv_register_value values[3];
	uint32_t kept[4], xmm5[4] = {1, 2, 3, 4};
	struct hc h;

	(void)state;
	start(&h);
	hc_put_xmm(&h, 0, 0, names, sizeof(names));
	hc_put_xmm(&h, 0, 5, xmm5, sizeof(xmm5));
	/* 16 bytes of header, 12 of names: the second pair is half used, values start at XMM1. */
	assert_int_equal(hc_call(&h, 0, hc_control(HV_CALL_GET_VP_REGISTERS, true, 3, 0), HC_SELF,
				 HV_VP_INDEX_SELF),
			 UINT64_C(3) << 32);
	hc_get_xmm(&h, 0, 1, values, sizeof(values));
	assert_int_equal(values[0].low, 0x2000);
	assert_int_equal(values[1].low, 0x3000);
	assert_int_equal(values[2].low, 0x10000);
	assert_int_equal(values[2].high, 0);
	hc_get_xmm(&h, 0, 0, kept, sizeof(kept));
	assert_memory_equal(kept, names, sizeof(names));
	hc_get_xmm(&h, 0, 5, kept, sizeof(kept));
	assert_memory_equal(kept, xmm5, sizeof(xmm5));
	assert_int_equal(hc_regs(&h, 0)->rdx, HC_SELF);
	hc_stop(&h);
}

static void fast_blocks_must_fit(void **state)
{
	const uint32_t names[8] = {HV_REGISTER_RIP, HV_REGISTER_RIP, HV_REGISTER_RIP,
				   HV_REGISTER_RIP, HV_REGISTER_RIP, HV_REGISTER_RIP};
	struct hv_register_assignment set[3] = {{.name = HV_REGISTER_RBX, .value = {.low = 1}},
						{.name = HV_REGISTER_RSI, .value = {.low = 2}},
						{.name = HV_REGISTER_RDI, .value = {.low = 3}}};
	struct hc h;

	(void)state;
	start(&h);
	/* 16 + 4n bytes in, 16n out: four fit into 112, five do not. */
	hc_put_xmm(&h, 0, 0, names, sizeof(names));
	assert_int_equal(status(hc_call(&h, 0, hc_control(HV_CALL_GET_VP_REGISTERS, true, 4, 0),
					HC_SELF, HV_VP_INDEX_SELF)),
			 HV_SUCCESS);
	hc_put_xmm(&h, 0, 0, names, sizeof(names));
	assert_int_equal(hc_call(&h, 0, hc_control(HV_CALL_GET_VP_REGISTERS, true, 5, 0), HC_SELF,
				 HV_VP_INDEX_SELF),
			 HV_INVALID_HYPERCALL_INPUT);
	/* 16 + 32n in: three fill it. */
	hc_put_xmm(&h, 0, 0, set, sizeof(set));
	assert_int_equal(hc_call(&h, 0, hc_control(HV_CALL_SET_VP_REGISTERS, true, 3, 0), HC_SELF,
				 HV_VP_INDEX_SELF),
			 UINT64_C(3) << 32);
	assert_int_equal(hc_regs(&h, 0)->rdi, 3);
	assert_int_equal(hc_call(&h, 0, hc_control(HV_CALL_SET_VP_REGISTERS, true, 4, 0), HC_SELF,
				 HV_VP_INDEX_SELF),
			 HV_INVALID_HYPERCALL_INPUT);
	/* 240 bytes never do. */
	assert_int_equal(hc_call(&h, 0, HV_CALL_ENABLE_VP_VTL | HV_CONTROL_FAST, HC_SELF, 1),
			 HV_INVALID_HYPERCALL_INPUT);
	hc_stop(&h);
}

static void fast_output_can_start_in_general_registers(void **state)
{
	static const struct hypercall_info info = {.rep = true, .output_rep = 8};
	static struct hypercall_parameters parameters;
	static struct hypercall_call c;
	uint64_t xmm[2];
	struct hc h;

	(void)state;
	start(&h);
	hc_put(&h, 0, hc_control(0x7fff, true, 4, 1), 0x11, 0x22);
	assert_int_equal(hc_parse(&c, h.vp[0]), 0);
	c.output = parameters.output;
	c.info = &info;
	assert_int_equal(hypercall_check(&c), HV_SUCCESS);
	for (unsigned i = 0; i < 4; i++)
		memset(c.output + 8 * i, (int)i + 0xa0, 8);
	/* Element 0 was given by an earlier execution, element 3 is for a later one. */
	assert_int_equal(hypercall_put_output(&c, 8, 24, NULL), 0);
	assert_int_equal(hc_regs(&h, 0)->rdx, 0x11);
	assert_int_equal(hc_regs(&h, 0)->r8, UINT64_C(0xa1a1a1a1a1a1a1a1));
	hc_get_xmm(&h, 0, 0, xmm, sizeof(xmm));
	assert_int_equal(xmm[0], UINT64_C(0xa2a2a2a2a2a2a2a2));
	assert_int_equal(xmm[1], 0);
	hc_stop(&h);
}

/* --- 32-bit callers --- */

static void callers_in_32_bit_mode(void **state)
{
	struct get_input in = get_input(HV_REGISTER_RIP);
	const uint64_t control = hc_control(HV_CALL_GET_VP_REGISTERS, false, 1, 0);
	struct hc h;

	(void)state;
	put_get(start(&h), HC_INPUT, &in, 1);
	hc_mode32(&h);
	assert_int_equal(hc_call(&h, 0, control, HC_INPUT, HC_OUTPUT), UINT64_C(1) << 32);
	assert_int_equal(*(uint64_t *)hc_mem(&h, HC_OUTPUT), 0x2000);
	/* Input in registers is for all, output for 64-bit callers only. */
	assert_int_equal(hc_call(&h, 0, HV_CALL_ENABLE_PARTITION_VTL | HV_CONTROL_FAST, HC_SELF, 1),
			 HV_SUCCESS);
	assert_int_equal(hc_call(&h, 0, control | HV_CONTROL_FAST, HC_SELF, HV_VP_INDEX_SELF),
			 HV_INVALID_HYPERCALL_INPUT);
	hc_stop(&h);
}

/* A compatibility-mode caller has a 64-bit kernel's EFER, and is 32-bit all the same. */
static void mode_is_lma_and_cs_l(void **state)
{
	struct get_input in = get_input(HV_REGISTER_RIP);
	struct hc h;

	(void)state;
	put_get(start(&h), HC_INPUT, &in, 1);
	hc_sregs(&h, 0, 0)->cs.l = 0;
	h.mode32 = true;
	assert_int_equal(hc_call(&h, 0, hc_control(HV_CALL_GET_VP_REGISTERS, false, 1, 0), HC_INPUT,
				 HC_OUTPUT),
			 UINT64_C(1) << 32);
	hc_stop(&h);
}

/* --- rep calls --- */

static void output_stops_at_the_first_failure(void **state)
{
	struct get_input in = get_input(HV_REGISTER_RIP);
	uint64_t *out;
	struct hc h;

	(void)state;
	start(&h);
	in.names[3] = 0xacacacac;
	put_get(&h, HC_INPUT, &in, 6);
	out = memset(hc_mem(&h, HC_OUTPUT), 0x55, 6 * 16);
	hc_call(&h, 0, hc_control(HV_CALL_GET_VP_REGISTERS, false, 6, 1), HC_INPUT, HC_OUTPUT);
	assert_int_equal(h.result.status, HV_INVALID_PARAMETER);
	assert_int_equal(h.result.reps, 3);
	/* What an earlier execution gave stays, what was not done is not touched. */
	assert_int_equal(out[0], UINT64_C(0x5555555555555555));
	assert_int_equal(out[2], 0x2000);
	assert_int_equal(out[4], 0x2000);
	assert_int_equal(out[5], 0);
	for (unsigned i = 6; i < 12; i++)
		assert_int_equal(out[i], UINT64_C(0x5555555555555555));
	hc_stop(&h);
}

static void pages(struct hc *h, uint64_t first, unsigned stride, unsigned count)
{
	struct hv_modify_vtl_protection_mask header = {.partition_id = HC_SELF,
						       .map_flags = PROT_R};
	uint64_t *list = hc_mem(h, HC_INPUT + sizeof(header));

	memcpy(hc_mem(h, HC_INPUT), &header, sizeof(header));
	for (unsigned i = 0; i < count; i++)
		list[i] = first + i * stride;
}

static bool writable(struct hc *h, uint64_t page)
{
	return memory_allows(&h->p->memory, 0, page, MEM_WRITE, false, NULL);
}

/* As many as fit the page: one change of the mapping, one execution. */
static void consecutive_pages_are_done_at_once(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(memory_limit_default(&h.p->memory, 1, PROT_ALL), 0);
	pages(&h, 0x100, 1, 510);
	fake_kvm_reset_calls(h.x.fake);
	assert_int_equal(hc_call(&h, 0,
				 hc_control(HV_CALL_MODIFY_VTL_PROTECTION_MASK, false, 510, 0),
				 HC_INPUT, 0),
			 UINT64_C(510) << 32);
	assert_int_equal(h.result.outcome, HYPERCALL_DONE);
	assert_int_equal(fake_kvm_calls(h.x.fake, FAKE_OP_protect_memory), 1);
	assert_true(writable(&h, 0xff));
	assert_false(writable(&h, 0x100));
	assert_false(writable(&h, 0x100 + 509));
	assert_true(writable(&h, 0x100 + 510));
	hc_stop(&h);
}

static void long_calls_are_continued(void **state)
{
	uint64_t control = hc_control(HV_CALL_MODIFY_VTL_PROTECTION_MASK, false, 150, 0);
	struct hc h;

	(void)state;
	start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(memory_limit_default(&h.p->memory, 1, PROT_ALL), 0);
	pages(&h, 0x100, 2, 150);
	for (unsigned done = 64; done < 150; done += 64) {
		assert_int_equal(hc_call(&h, 0, control, HC_INPUT, 0), HC_NO_RESULT);
		assert_int_equal(h.result.outcome, HYPERCALL_AGAIN);
		assert_int_equal(h.result.reps, done);
		control = hc_regs(&h, 0)->rcx;
		assert_int_equal(control,
				 hc_control(HV_CALL_MODIFY_VTL_PROTECTION_MASK, false, 150, done));
		assert_false(writable(&h, 0x100 + 2 * (done - 1)));
		assert_true(writable(&h, 0x100 + 2 * done));
	}
	assert_int_equal(hc_call(&h, 0, control, HC_INPUT, 0), UINT64_C(150) << 32);
	assert_int_equal(h.result.outcome, HYPERCALL_DONE);
	assert_int_equal(hc_regs(&h, 0)->rcx, control);
	hc_stop(&h);
}

static void long_calls_of_32_bit_callers_are_continued(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(memory_limit_default(&h.p->memory, 1, PROT_ALL), 0);
	pages(&h, 0x100, 2, 65);
	hc_mode32(&h);
	assert_int_equal(hc_call(&h, 0,
				 hc_control(HV_CALL_MODIFY_VTL_PROTECTION_MASK, false, 65, 0),
				 HC_INPUT, 0),
			 hc_control(HV_CALL_MODIFY_VTL_PROTECTION_MASK, false, 65, 64));
	assert_int_equal(h.result.outcome, HYPERCALL_AGAIN);
	assert_int_equal(hc_call(&h, 0, hc_get_result(&h, 0), HC_INPUT, 0), UINT64_C(65) << 32);
	hc_stop(&h);
}

/* --- VTL switches by call code --- */

static void switches_are_handed_back(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	hc_put(&h, 0, HV_CALL_VTL_CALL, 0, 0);
	hc_regs(&h, 0)->rax = 0;
	assert_int_equal(hc_execute(h.vp[0], &h.result), 0);
	assert_int_equal(h.result.outcome, HYPERCALL_VTL_CALL);
	assert_int_equal(h.result.control, 0);
	hc_put(&h, 0, HV_CALL_VTL_RETURN, 0, 0);
	hc_regs(&h, 0)->rax = 0x8000000000000001;
	assert_int_equal(hc_execute(h.vp[0], &h.result), 0);
	assert_int_equal(h.result.outcome, HYPERCALL_VTL_RETURN);
	assert_int_equal(h.result.control, UINT64_C(0x8000000000000001));
	/* Whatever else is in the control word of something that has no parameters is an error. */
	hc_put(&h, 0, hc_control(HV_CALL_VTL_CALL, false, 1, 0), 0, 0);
	assert_int_equal(hc_execute(h.vp[0], &h.result), 0);
	assert_int_equal(h.result.outcome, HYPERCALL_UD);
	hc_mode32(&h);
	hc_put(&h, 0, HV_CALL_VTL_RETURN, 0xffffffff00000001, 0);
	assert_int_equal(hc_execute(h.vp[0], &h.result), 0);
	assert_int_equal(h.result.outcome, HYPERCALL_VTL_RETURN);
	assert_int_equal(h.result.control, 1);
	hc_stop(&h);
}

/* --- the kernel fails --- */

static void kernel_errors_come_through(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	vtl_cpu_forget(hc_cpu(&h, 0, 0));
	fake_kvm_fail(h.x.fake, FAKE_OP_get_regs, 1, EIO);
	assert_int_equal(hc_execute(h.vp[0], &h.result), -EIO);
	hc_put(&h, 0, hc_control(HV_CALL_GET_VP_REGISTERS, true, 1, 0), HC_SELF, HV_VP_INDEX_SELF);
	fake_kvm_fail(h.x.fake, FAKE_OP_get_xsave, 1, ENOMEM);
	assert_int_equal(hc_execute(h.vp[0], &h.result), -ENOMEM);
	hc_put_xmm(&h, 0, 0, &(uint32_t[4]){HV_REGISTER_RIP}, 16);
	fake_kvm_fail(h.x.fake, FAKE_OP_set_xsave, 1, EIO);
	assert_int_equal(hc_execute(h.vp[0], &h.result), -EIO);
	hc_stop(&h);
}

/* --- HvCallGetVpIndexFromApicId --- */

static unsigned ask_apic_id(struct hc *h, uint64_t partition, uint8_t input_vtl, uint32_t apic_id)
{
	struct hv_get_vp_index_from_apic_id header = {.partition_id = partition,
						      .target_vtl = input_vtl};
	struct hv_apic_id id = {.apic_id = apic_id};

	return hc_slow(h, 0, HV_CALL_GET_VP_INDEX_FROM_APIC_ID, 1, &header, sizeof(header), &id,
		       sizeof(id));
}

static void vp_index_from_apic_id(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	assert_int_equal(ask_apic_id(&h, HC_SELF, 0, 9), HV_SUCCESS);
	assert_int_equal(*(uint32_t *)hc_mem(&h, HC_OUTPUT), 1);
	assert_int_equal(ask_apic_id(&h, HC_SELF, 0, 8), HV_SUCCESS);
	assert_int_equal(*(uint32_t *)hc_mem(&h, HC_OUTPUT), 0);
	assert_int_equal(ask_apic_id(&h, HC_SELF, 0, 7), HV_INVALID_PARAMETER);
	assert_int_equal(ask_apic_id(&h, 7, 0, 8), HV_INVALID_PARTITION_ID);
	assert_int_equal(ask_apic_id(&h, HC_SELF, HV_INPUT_VTL_USE | 1, 8), HV_ACCESS_DENIED);
	hc_stop(&h);
}

/* --- docs/hypercalls.md --- */

static const char *forms(const struct hypercall_info *t)
{
	unsigned in = t->input + t->input_rep, out = t->output + t->output_rep;

	if (t->outcome != HYPERCALL_DONE)
		return "code page";
	return (in + 15) / 16 + (out + 15) / 16 <= HV_FAST_SIZE / 16 ? "slow, fast" : "slow";
}

static const char *class_of(const struct hypercall_info *t)
{
	return t->rep ? "rep" : "simple";
}

/* The table's rows start with a call code: | `0x000C` | name | class | forms | ... */
static void documentation_matches(void **state)
{
	FILE *f = fopen(HYPERCALLS_MD, "r");
	char line[4096], name[64], class[16], form[32];
	size_t rows = 0;
	unsigned code;

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		const struct hypercall_info *t;

		if (sscanf(line, "| `0x%4x` | %63s | %15s | %31[^|]", &code, name, class, form) !=
		    4)
			continue;
		rows++;
		t = hc_find((uint16_t)code);
		assert_non_null(t);
		while (*form && form[strlen(form) - 1] == ' ')
			form[strlen(form) - 1] = 0;
		assert_string_equal(name, t->name);
		assert_string_equal(class, class_of(t));
		assert_string_equal(form, forms(t));
	}
	fclose(f);
	assert_int_equal(rows, hypercall_table_size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_codes_are_refused),
		cmocka_unit_test(reserved_control_bits_are_refused),
		cmocka_unit_test(rep_fields_fit_the_class),
		cmocka_unit_test(variable_header_only_where_allowed),
		cmocka_unit_test(privileges_cover_the_table),
		cmocka_unit_test(table_is_sorted_and_found),
		cmocka_unit_test(slow_blocks_must_be_aligned),
		cmocka_unit_test(absent_blocks_are_not_looked_at),
		cmocka_unit_test(input_the_vtl_may_not_read_is_a_fault),
		cmocka_unit_test(output_the_vtl_may_not_write_is_a_fault),
		cmocka_unit_test(input_and_output_may_overlap),
		cmocka_unit_test(fast_input_in_general_registers),
		cmocka_unit_test(fast_output_follows_the_input),
		cmocka_unit_test(fast_blocks_must_fit),
		cmocka_unit_test(fast_output_can_start_in_general_registers),
		cmocka_unit_test(callers_in_32_bit_mode),
		cmocka_unit_test(mode_is_lma_and_cs_l),
		cmocka_unit_test(output_stops_at_the_first_failure),
		cmocka_unit_test(consecutive_pages_are_done_at_once),
		cmocka_unit_test(long_calls_are_continued),
		cmocka_unit_test(long_calls_of_32_bit_callers_are_continued),
		cmocka_unit_test(switches_are_handed_back),
		cmocka_unit_test(kernel_errors_come_through),
		cmocka_unit_test(vp_index_from_apic_id),
		cmocka_unit_test(documentation_matches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
