/* SPDX-License-Identifier: MIT */
/*
 * Processors that start in VTL1: it was enabled on them before they ran, so it goes first, whether
 * HvCallStartVirtualProcessor named VTL0 or VTL1 (TLFS vsm.md, "VTL Enablement").
 */
#include "cpu.h"
#include "guest.h"
#include "smp.h"

#define INTERRUPTS 20

static uint64_t status;
static volatile unsigned entered[SMP_VPS];
static volatile bool vtl0_was_first;

static void enable(uint64_t vp)
{
	status = smp_enable_vtl1((unsigned)vp);
}

static void start0(uint64_t vp)
{
	status = smp_start((unsigned)vp, 0);
}

static void start1(uint64_t vp)
{
	status = smp_start((unsigned)vp, 1);
}

static void send(uint64_t vp)
{
	smp_send_icr((unsigned)vp, 1);
}

/* The last processor has no VTL0 to return to: it serves interrupts. */
void smp_on_first_entry(unsigned vp)
{
	vtl0_was_first |= smp_started(vp);
	entered[vp]++;
	while (vp == SMP_VPS - 1)
		trap_halt();
}

static void request(void (*fn)(uint64_t), unsigned vp)
{
	smp_run(0, 1, fn, vp);
	CHECK_EQUAL(status, HV_SUCCESS);
}

int guest_main(void)
{
	const unsigned last = SMP_VPS - 1;

	smp_begin();
	entered[0] = 0;
	vtl0_was_first = false;
	for (unsigned vp = 1; vp < last; vp++) {
		request(enable, vp);
		request(start0, vp);
		smp_wait_started(vp); /* by VTL0, after VTL1's return */
		CHECK_EQUAL(entered[vp], 1);
		CHECK(!vtl0_was_first);
	}
	request(enable, last);
	request(start1, last);
	for (unsigned i = 1; i <= INTERRUPTS; i++) {
		smp_run(0, 1, send, last);
		while (smp_taken[1][last] < i)
			pause();
	}
	CHECK_EQUAL(entered[last], 1);
	CHECK(!smp_started(last));
	return 0;
}
