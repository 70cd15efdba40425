/* SPDX-License-Identifier: MIT */
/*
 * What a guest tells of itself and is told: CPUID's privileges are true of the MSRs, runtime grows,
 * a crash report is taken and the guest goes on, registers say what CPUID says; and a reset ends it.
 */
#include "cpu.h"
#include "guest.h"
#include "trap.h"
#include "vtl.h"

#define LEAF_FEATURES	      0x40000003
#define ACCESS_VP_RUNTIME     (1u << 0)
#define ACCESS_RESET	      (1u << 7)
#define FEATURE_CRASH	      (1u << 10) /* EDX */

#define MSR_RESET	      0x40000003
#define MSR_VP_RUNTIME	      0x40000010
#define MSR_CRASH_P0	      0x40000100
#define MSR_CRASH_CTL	      0x40000105
#define CRASH_NOTIFY	      (UINT64_C(1) << 63)
#define CRASH_MESSAGE	      (UINT64_C(1) << 62)

#define REGISTER_SUSPEND      0x00000000
#define REGISTER_ACTIVITY     0x00000004
#define REGISTER_PRIVILEGES   0x00000200
#define REGISTER_CRASH_P0     0x00000210
#define REGISTER_INTERRUPTION 0x00010002
#define REGISTER_RUNTIME      0x00090000

static uint64_t get(uint8_t vtl, uint32_t name)
{
	uint64_t value = 0;

	CHECK_EQUAL(hv_get_register(vtl, name, &value), HV_SUCCESS);
	return value;
}

static void check_runtime(void)
{
	uint64_t first = rdmsr(MSR_VP_RUNTIME), now;

	CHECK(first > 0);
	do
		now = rdmsr(MSR_VP_RUNTIME);
	while (now == first);
	CHECK(now > first);
	CHECK(get(HV_OWN_VTL, REGISTER_RUNTIME) >= now);
}

static void check_crash(unsigned vtl)
{
	for (unsigned i = 0; i < 5; i++)
		CHECK_EQUAL(rdmsr(MSR_CRASH_P0 + i), 0);
	for (unsigned i = 0; i < 5; i++)
		wrmsr(MSR_CRASH_P0 + i, 0x10 * (vtl + 1) + i);
	CHECK_EQUAL(rdmsr(MSR_CRASH_CTL), CRASH_NOTIFY | CRASH_MESSAGE);
	wrmsr(MSR_CRASH_CTL, CRASH_NOTIFY);
	CHECK_EQUAL(get(HV_OWN_VTL, REGISTER_CRASH_P0 + 4), 0x10 * (vtl + 1) + 4);
}

static void set_reserved(void *arg)
{
	(void)arg;
	wrmsr(MSR_RESET, 2);
}

static void set_runtime(void *arg)
{
	(void)arg;
	wrmsr(MSR_VP_RUNTIME, 0);
}

/* --- VTL1 --- */

void vtl_on_start(void)
{
	check_crash(1);
	CHECK_EQUAL(get(HV_VTL(0), REGISTER_SUSPEND), 0);
	CHECK_EQUAL(get(HV_VTL(0), REGISTER_ACTIVITY), 0);
	CHECK_EQUAL(get(HV_VTL(0), REGISTER_INTERRUPTION), 0);
}

/* --- VTL0 --- */

int guest_main(void)
{
	struct cpuid features = cpuid(LEAF_FEATURES);

	hv_require_vsm();
	trap_setup();
	CHECK(features.eax & ACCESS_VP_RUNTIME);
	CHECK(features.eax & ACCESS_RESET);
	CHECK(features.edx & FEATURE_CRASH);
	vtl_begin(&vtl_own_image);
	CHECK_EQUAL(get(HV_OWN_VTL, REGISTER_PRIVILEGES),
		    (uint64_t)features.ebx << 32 | features.eax);
	check_runtime();
	check_crash(0);
	CHECK_EQUAL(trap_try(set_reserved, NULL, NULL), TRAP_GP);
	CHECK_EQUAL(trap_try(set_runtime, NULL, NULL), TRAP_GP);
	wrmsr(MSR_RESET, 0);
	wrmsr(MSR_RESET, 1);
	/* Nobody comes here. */
	return GUEST_EXIT_FAILED;
}
