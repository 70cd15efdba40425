/* SPDX-License-Identifier: MIT */
/*
 * Processors started by INIT and SIPI, in real mode. Where VTL0 has libvsm's local APIC, INIT from
 * VTL0 leaves a processor with VTL1 alone, and VTL1 can keep the others for itself to start.
 */
#include "cpu.h"
#include "guest.h"
#include "smp.h"

#define DENY_LOWER_STARTUP (UINT64_C(1) << 6) /* HvRegisterVsmPartitionConfig */
#define MS		   10000	      /* in 100 ns */

static uint64_t status;
static volatile unsigned ran[2][SMP_VPS];

static void wait(uint64_t time)
{
	uint64_t end = rdmsr(HV_MSR_TIME_REF_COUNT) + time;

	while (rdmsr(HV_MSR_TIME_REF_COUNT) < end)
		pause();
}

static void enable(uint64_t vp)
{
	status = smp_enable_vtl1((unsigned)vp);
}

static void run(uint64_t vtl)
{
	ran[vtl][smp_index()]++;
}

static void both_run(unsigned vp, unsigned times)
{
	for (unsigned vtl = 0; vtl < 2; vtl++) {
		smp_run(vp, vtl, run, vtl);
		CHECK_EQUAL(ran[vtl][vp], times);
	}
}

static void start(unsigned vp)
{
	smp_send_startup(vp);
	smp_wait_started(vp);
	smp_run(0, 1, enable, vp);
	CHECK_EQUAL(status, HV_SUCCESS);
	smp_run(vp, 1, smp_enter, 0);
	both_run(vp, 1);
}

/* It would not come back from being reset. */
static void init_is_dropped(unsigned vp)
{
	wrmsr(MSR_ICR, (uint64_t)vp << 32 | ICR_INIT);
	wait(MS);
	both_run(vp, 2);
}

static void deny(uint64_t arg)
{
	uint64_t config;

	(void)arg;
	CHECK_EQUAL(hv_get_register(HV_OWN_VTL, HV_REGISTER_PARTITION_CFG, &config), HV_SUCCESS);
	CHECK_EQUAL(
		hv_set_register(HV_OWN_VTL, HV_REGISTER_PARTITION_CFG, config | DENY_LOWER_STARTUP),
		HV_SUCCESS);
}

static void start_from_vtl1(uint64_t vp)
{
	status = smp_start((unsigned)vp, 0);
}

static void startup_is_denied(unsigned vp)
{
	smp_run(0, 1, deny, 0);
	smp_send_startup(vp);
	wait(20 * MS);
	CHECK(!smp_started(vp));
	CHECK_EQUAL(smp_start(vp, 0), HV_ACCESS_DENIED);
	smp_run(0, 1, start_from_vtl1, vp);
	CHECK_EQUAL(status, HV_SUCCESS);
	smp_wait_started(vp);
}

int guest_main(void)
{
	smp_begin();
	start(1);
	start(2);
	if (guest_has_option("kernel-irqchip")) {
		start(3);
		return 0;
	}
	init_is_dropped(1);
	startup_is_denied(3);
	return 0;
}
