/* SPDX-License-Identifier: MIT */
/*
 * A TLB lock of VTL1 on one processor blocks a flush that another's VTL0 asks for, until VTL1
 * unlocks or returns (TLFS vsm.md, "TLB locking"). Flushes of other processors go on, and so do
 * interrupts of the one that waits.
 */
#include "cpu.h"
#include "guest.h"
#include "smp.h"

#define HV_REGISTER_SECURE_CONFIG 0x000d0010 /* of VTL0 */
#define TLB_LOCKED		  2
#define HOLDER			  1 /* processor */
#define OTHER			  2
#define MS			  10000 /* in 100 ns */

struct flush_input {
	uint64_t address_space, flags, processors;
};

static struct flush_input input __attribute__((aligned(32)));
static volatile bool locked, calling, released;

static void flush(unsigned vp)
{
	input = (struct flush_input){.address_space = read_cr3(), .processors = UINT64_C(1) << vp};
	CHECK_EQUAL(hv_call(HV_FLUSH_SPACE, (uint64_t)&input, 0), HV_SUCCESS);
}

static void wait(uint64_t time)
{
	uint64_t end = rdmsr(HV_MSR_TIME_REF_COUNT) + time;

	while (rdmsr(HV_MSR_TIME_REF_COUNT) < end)
		pause();
}

/* VTL1 of HOLDER. `unlock`: does so itself, else the return does. */
static void hold(uint64_t unlock)
{
	unsigned before = smp_taken[1][0];

	CHECK_EQUAL(hv_set_register(HV_OWN_VTL, HV_REGISTER_SECURE_CONFIG, TLB_LOCKED), HV_SUCCESS);
	locked = true;
	while (!calling)
		pause();
	wait(5 * MS);
	/* The waiting processor's VTL1 is entered, takes it and returns to the call. */
	smp_send_icr(0, 1);
	while (smp_taken[1][0] == before)
		pause();
	wait(5 * MS);
	released = true;
	if (!unlock)
		return;
	CHECK_EQUAL(hv_set_register(HV_OWN_VTL, HV_REGISTER_SECURE_CONFIG, 0), HV_SUCCESS);
	wait(5 * MS);
}

static void round(bool unlock)
{
	locked = calling = released = false;
	smp_run_begin(HOLDER, 1, hold, unlock);
	while (!locked)
		pause();
	flush(OTHER);
	CHECK(!released);
	calling = true;
	flush(HOLDER);
	CHECK(released);
	smp_run_end(HOLDER);
}

int guest_main(void)
{
	smp_begin_all();
	for (unsigned i = 0; i < 5; i++) {
		round(true);
		round(false);
	}
	return 0;
}
