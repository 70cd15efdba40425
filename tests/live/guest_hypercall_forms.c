/* SPDX-License-Identifier: MIT */
/* A hypercall answers the same with its input and output in memory and in registers. */
#include "cpu.h"
#include "guest.h"
#include "vtl.h"

struct get_input {
	uint64_t partition;
	uint32_t vp, vtl;
	uint32_t names[4];
};

static struct get_input input __attribute__((aligned(64)));
static uint64_t output[8] __attribute__((aligned(64)));

/* RDX and R8 are input bytes 0..15, XMM0 16..31; output starts at the next 16 bytes: XMM1. */
static uint64_t call_in_registers(uint64_t control, const struct get_input *in, uint64_t *out)
{
	register uint64_t r8 __asm__("r8") = (uint64_t)in->vtl << 32 | in->vp;
	uint64_t rdx = in->partition, result;

	__asm__ volatile("movups (%[names]), %%xmm0\n\t"
			 "call *%[entry]\n\t"
			 "movups %%xmm1, (%[out])\n\t"
			 "movups %%xmm2, 16(%[out])"
			 : "=a"(result), "+c"(control), "+d"(rdx), "+r"(r8)
			 : [entry] "m"(hv_call_entry), [names] "r"(in->names), [out] "r"(out)
			 : "memory", "cc");
	CHECK_EQUAL(rdx, in->partition);
	return result;
}

static void registers_by_both_forms(void)
{
	uint64_t fast[4] = {0};
	uint64_t result;

	input = (struct get_input){
		HV_PARTITION_SELF,
		HV_VP_SELF,
		0,
		{HV_REGISTER_CODE_OFFSETS, HV_REGISTER_LSTAR, HV_REGISTER_VP_STATUS, 0}};
	wrmsr(MSR_LSTAR, 0x123456789000);
	result = hv_call(HV_GET_VP_REGISTERS | HV_REPS(2), (uint64_t)&input, (uint64_t)output);
	CHECK_EQUAL(result, HV_REPS(2));
	CHECK_EQUAL(output[2], 0x123456789000);
	result = call_in_registers(HV_GET_VP_REGISTERS | HV_REPS(2) | HV_FAST, &input, fast);
	CHECK_EQUAL(result, HV_REPS(2));
	CHECK(memcmp(fast, output, sizeof(fast)) == 0);
}

/* Simple, two words of input: EnablePartitionVtl for VTL0 is refused, alike in both forms. */
static void simple_call_by_both_forms(void)
{
	static uint64_t words[2] __attribute__((aligned(16))) = {HV_PARTITION_SELF, 0};
	uint64_t slow = hv_call(HV_ENABLE_PARTITION_VTL, (uint64_t)words, 0);
	uint64_t fast = hv_call(HV_ENABLE_PARTITION_VTL | HV_FAST, words[0], words[1]);

	CHECK_EQUAL(slow, HV_INVALID_PARAMETER);
	CHECK_EQUAL(fast, slow);
}

static void wrong_control_words(void)
{
	uint64_t in = (uint64_t)&input, out = (uint64_t)output;

	CHECK_EQUAL(HV_STATUS(hv_call(0x7fff, in, out)), HV_INVALID_CODE);
	CHECK_EQUAL(HV_STATUS(hv_call(HV_GET_VP_REGISTERS, in, out)), HV_INVALID_INPUT);
	CHECK_EQUAL(HV_STATUS(hv_call(HV_ENABLE_PARTITION_VTL | HV_REPS(1), in, out)),
		    HV_INVALID_INPUT);
	CHECK_EQUAL(
		HV_STATUS(hv_call(HV_GET_VP_REGISTERS | HV_REPS(1) | UINT64_C(1) << 27, in, out)),
		HV_INVALID_INPUT);
	CHECK_EQUAL(HV_STATUS(hv_call(HV_GET_VP_REGISTERS | HV_REPS(1), in + 4, out)),
		    HV_INVALID_ALIGNMENT);
}

int guest_main(void)
{
	hv_require_vsm();
	hv_setup();
	registers_by_both_forms();
	simple_call_by_both_forms();
	wrong_control_words();
	return 0;
}
