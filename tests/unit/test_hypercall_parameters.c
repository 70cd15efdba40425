/* SPDX-License-Identifier: MIT */
/* Parameters in memory: of any size, and looked up again whenever what is where, or who may access
 * it, has changed. */
#include "hypercall_fixture.h"

#include <errno.h>
#include "hv/register_names.h"
#include "hypercall/parameters.h"
#include "hypercall/parse.h"
#include "memory/memory.h"

#define REPS_MAX   200
#define READ_ONLY  (PROT_R | PROT_KX | PROT_UX)
#define INPUT_PAGE (HC_INPUT >> 12)
#define OUT_PAGE   (HC_OUTPUT >> 12)

struct get_input {
	struct hv_vp_registers header;
	uint32_t names[REPS_MAX];
};

/* Asks for R9.. of itself, each of which has a value of its own. */
static void put_input(struct hc *h, void *to, unsigned reps)
{
	struct get_input in = {.header = {.partition_id = HC_SELF, .vp_index = HV_VP_INDEX_SELF}};

	for (unsigned i = 0; i < reps; i++)
		in.names[i] = HV_REGISTER_R8 + 1 + i % 7;
	for (unsigned i = 1; i < 8; i++)
		(&hc_regs(h, 0)->r8)[i] = UINT64_C(0x1111111111111111) * i;
	memcpy(to, &in, sizeof(in.header) + reps * sizeof(uint32_t));
}

static void start(struct hc *h)
{
	hc_start(h);
	put_input(h, hc_mem(h, HC_INPUT), 1);
	assert_int_equal(memory_limit_default(&h->p->memory, 1, PROT_ALL), 0);
}

static enum hypercall_outcome call(struct hc *h, unsigned reps, uint64_t input, uint64_t output)
{
	hc_call(h, 0, hc_control(HV_CALL_GET_VP_REGISTERS, false, reps, 0), input, output);
	if (h->result.outcome == HYPERCALL_DONE) {
		assert_int_equal(h->result.status, HV_SUCCESS);
		assert_int_equal(h->result.reps, reps);
	}
	return h->result.outcome;
}

static void limit(struct hc *h, uint64_t page, prot_t mask)
{
	assert_int_equal(memory_limit(&h->p->memory, 1, 0, page, page + 1, mask), 0);
}

/* Blocks that lie on the stack and those that do not, up to the end of their pages. */
static void blocks_of_any_size(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	for (unsigned reps = 1; reps <= REPS_MAX; reps++) {
		uint64_t in = (4096 - sizeof(struct hv_vp_registers) - 4 * reps) & ~UINT64_C(7);
		uint64_t *out = hc_mem(&h, HC_OUTPUT + 4096 - 16 * reps);

		memset(hc_mem(&h, HC_OUTPUT), 0x55, 2 * 4096);
		put_input(&h, hc_mem(&h, HC_INPUT + in), reps);
		assert_int_equal(call(&h, reps, HC_INPUT + in, HC_OUTPUT + 4096 - 16 * reps),
				 HYPERCALL_DONE);
		for (unsigned i = 0; i < reps; i++) {
			assert_int_equal(out[2 * i], UINT64_C(0x1111111111111111) * (i % 7 + 1));
			assert_int_equal(out[2 * i + 1], 0);
		}
		assert_int_equal(out[-1], UINT64_C(0x5555555555555555));
		assert_int_equal(out[2 * reps], UINT64_C(0x5555555555555555));
	}
	hc_stop(&h);
}

static void rights_are_those_of_now(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(call(&h, 1, HC_INPUT, HC_OUTPUT), HYPERCALL_DONE);
		limit(&h, INPUT_PAGE, 0);
		assert_int_equal(call(&h, 1, HC_INPUT, HC_OUTPUT), HYPERCALL_FAULT);
		assert_int_equal(h.result.fault.access, MEM_READ);
		assert_int_equal(h.result.fault.setter, 1);
		limit(&h, INPUT_PAGE, READ_ONLY);
		assert_int_equal(call(&h, 1, HC_INPUT, HC_OUTPUT), HYPERCALL_DONE);
		limit(&h, OUT_PAGE, READ_ONLY);
		assert_int_equal(call(&h, 1, HC_INPUT, HC_OUTPUT), HYPERCALL_FAULT);
		assert_int_equal(h.result.fault.access, MEM_WRITE);
		assert_int_equal(call(&h, 1, HC_OUTPUT, HC_INPUT), HYPERCALL_FAULT);
		limit(&h, OUT_PAGE, PROT_ALL);
	}
	hc_stop(&h);
}

/* The same page, to another VTL and for another access. */
static void nobody_uses_what_another_found(void **state)
{
	struct hc h;

	(void)state;
	start(&h);
	limit(&h, INPUT_PAGE, READ_ONLY);
	limit(&h, OUT_PAGE, 0);
	hc_enter(&h, 0, 1);
	assert_int_equal(call(&h, 1, HC_INPUT, HC_OUTPUT), HYPERCALL_DONE);
	hc_enter(&h, 0, 0);
	assert_int_equal(call(&h, 1, HC_INPUT, HC_OUTPUT), HYPERCALL_FAULT);
	assert_int_equal(h.result.fault.gpa.addr, HC_OUTPUT);
	assert_int_equal(call(&h, 1, HC_INPUT, HC_INPUT), HYPERCALL_FAULT);
	assert_int_equal(h.result.fault.access, MEM_WRITE);
	hc_enter(&h, 0, 1);
	assert_int_equal(call(&h, 1, HC_INPUT, HC_OUTPUT), HYPERCALL_DONE);
	hc_stop(&h);
}

/* An overlay comes and goes where the blocks are. */
static void blocks_are_where_they_are_now(void **state)
{
	struct overlay *o;
	struct hc h;

	(void)state;
	start(&h);
	o = h.vp[0]->vtls[0].assist_page;
	put_input(&h, o->host, 1);
	((uint32_t *)o->host)[4] = HV_REGISTER_R8 + 5;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(call(&h, 1, HC_INPUT, HC_OUTPUT), HYPERCALL_DONE);
		assert_int_equal(*(uint64_t *)hc_mem(&h, HC_OUTPUT), UINT64_C(0x1111111111111111));
		assert_int_equal(overlay_enable(&h.p->memory, o, INPUT_PAGE), 0);
		assert_int_equal(call(&h, 1, HC_INPUT, HC_OUTPUT), HYPERCALL_DONE);
		assert_int_equal(*(uint64_t *)hc_mem(&h, HC_OUTPUT), UINT64_C(0x5555555555555555));
		assert_int_equal(overlay_disable(&h.p->memory, o), 0);
	}
	assert_int_equal(overlay_enable(&h.p->memory, o, OUT_PAGE), 0);
	assert_int_equal(call(&h, 1, HC_INPUT, HC_OUTPUT), HYPERCALL_DONE);
	assert_int_equal(*(uint64_t *)o->host, UINT64_C(0x1111111111111111));
	assert_int_equal(*(uint64_t *)hc_mem(&h, HC_OUTPUT), UINT64_C(0x5555555555555555));
	hc_stop(&h);
}

static void parse(struct hc *h, struct hypercall_call *c, struct hypercall_parameters *parameters,
		  uint64_t input, uint64_t output)
{
	hc_put(h, 0, hc_control(HV_CALL_GET_VP_REGISTERS, false, 1, 0), input, output);
	assert_int_equal(hc_parse(c, h->vp[0]), 0);
	assert_int_equal(hypercall_check(c), HV_SUCCESS);
	c->input = parameters->input;
	c->output = parameters->output;
}

/* Not only when there is something to write. */
static void output_is_looked_at_before_the_call(void **state)
{
	struct hypercall_parameters parameters;
	struct hypercall_call c;
	struct access_fault fault;
	struct hc h;

	(void)state;
	start(&h);
	limit(&h, INPUT_PAGE, READ_ONLY);
	parse(&h, &c, &parameters, HC_INPUT, HC_INPUT + 64);
	assert_int_equal(hypercall_get_input(&c, &fault), -EACCES);
	assert_int_equal(fault.gpa.addr, HC_INPUT + 64);
	assert_int_equal(fault.access, MEM_WRITE);
	hc_stop(&h);
}

/* While a call waits for another VP, anything may happen to the page its output goes to. */
static void rights_lost_during_the_call_are_lost(void **state)
{
	struct hypercall_parameters parameters = {.output = {0xaa}};
	struct hypercall_call c;
	struct access_fault fault;
	struct hc h;

	(void)state;
	start(&h);
	parse(&h, &c, &parameters, HC_INPUT, HC_OUTPUT);
	assert_int_equal(hypercall_get_input(&c, &fault), 0);
	limit(&h, OUT_PAGE, READ_ONLY);
	memset(hc_mem(&h, HC_OUTPUT), 0x55, 16);
	assert_int_equal(hypercall_put_output(&c, 0, 16, &fault), -EACCES);
	assert_int_equal(fault.gpa.addr, HC_OUTPUT);
	assert_int_equal(fault.access, MEM_WRITE);
	assert_int_equal(fault.setter, 1);
	assert_int_equal(*(uint8_t *)hc_mem(&h, HC_OUTPUT), 0x55);
	limit(&h, OUT_PAGE, PROT_ALL);
	assert_int_equal(hypercall_put_output(&c, 0, 16, &fault), 0);
	assert_int_equal(*(uint8_t *)hc_mem(&h, HC_OUTPUT), 0xaa);
	hc_stop(&h);
}

/* --- what a handler leaves out --- */

enum hv_status __real_hypercall_get_vp_registers(struct hypercall_call *c);
enum hv_status __wrap_hypercall_get_vp_registers(struct hypercall_call *c);

static bool writes_nothing;

enum hv_status __wrap_hypercall_get_vp_registers(struct hypercall_call *c)
{
	if (!writes_nothing)
		return __real_hypercall_get_vp_registers(c);
	c->rep = c->reps;
	return HV_SUCCESS;
}

/* What a call has for parameters holds something: its part of the stack, and the VP's. */
static __attribute__((noinline)) void leave_secrets(struct hc *h)
{
	volatile uint8_t stack[16384];

	for (size_t i = 0; i < sizeof(stack); i++)
		stack[i] = 0xaa;
	memset(&h->vp[0]->parameters, 0xaa, sizeof(h->vp[0]->parameters));
}

static void expect_nothing(struct hc *h, unsigned reps, bool fast)
{
	const uint64_t *block = hc_mem(h, HC_INPUT), *out = hc_mem(h, HC_OUTPUT);
	uint8_t now[16] = {0};

	hc_put(h, 0, hc_control(HV_CALL_GET_VP_REGISTERS, fast, reps, 0),
	       fast ? block[0] : HC_INPUT, fast ? block[1] : HC_OUTPUT);
	leave_secrets(h);
	assert_int_equal(hc_execute(h->vp[0], &h->result), 0);
	assert_int_equal(h->result.status, HV_SUCCESS);
	if (!fast) {
		for (unsigned i = 0; i < 2 * reps; i++)
			assert_int_equal(out[i], 0);
		return;
	}
	/* Behind the general registers and XMM0. */
	hc_get_xmm(h, 0, 1, now, sizeof(now));
	for (unsigned i = 0; i < sizeof(now); i++)
		assert_int_equal(now[i], 0);
}

/* Nothing of the host shows in output that a handler does not write. */
static void output_begins_as_zeros(void **state)
{
	static const uint8_t ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
	struct hc h;

	(void)state;
	start(&h);
	writes_nothing = true;
	memset(hc_mem(&h, HC_OUTPUT), 0x55, 4096);
	hc_put_xmm(&h, 0, 1, ones, sizeof(ones));
	expect_nothing(&h, 1, false);
	expect_nothing(&h, 4, false);
	expect_nothing(&h, 5, false);
	expect_nothing(&h, REPS_MAX, false);
	expect_nothing(&h, 1, true);
	writes_nothing = false;
	hc_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_of_any_size),
		cmocka_unit_test(rights_are_those_of_now),
		cmocka_unit_test(nobody_uses_what_another_found),
		cmocka_unit_test(blocks_are_where_they_are_now),
		cmocka_unit_test(output_is_looked_at_before_the_call),
		cmocka_unit_test(rights_lost_during_the_call_are_lost),
		cmocka_unit_test(output_begins_as_zeros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
