/* SPDX-License-Identifier: MIT */
/*
 * Calls that need no guest of their own: HvCallNotifyLongSpinWait, HvExtCallQueryCapabilities,
 * HvCallTranslateVirtualAddress and Ex, HvCallCheckSparseGpaPageVtlAccess, HvCallInstallIntercept,
 * and what HvCallDisableVpVtl and HvCallDisablePartitionVtl refuse.
 */
#include "cpu.h"
#include "guest.h"
#include "trap.h"
#include "vtl.h"

#define TRANSLATE_READ	 1
#define TRANSLATE_WRITE	 2
#define TRANSLATE_EXEC	 4
#define TRANSLATE_EXEMPT 8
#define TRANSLATE_VTL(n) ((uint64_t)HV_VTL(n) << 56)

#define RESULT_NONE	 1
#define RESULT_INTERCEPT 8
#define WRITE_BACK	 6
#define OVERLAY		 0x100

#define UNMAPPED	 (UINT64_C(5) << 39)
#define ACCESS_WRITE	 2
#define TYPE_MSR	 1
#define TYPE_CPUID	 2

static struct {
	uint64_t partition;
	uint32_t vp, reserved;
	uint64_t flags, page;
} translate PAGE_ALIGNED;

static struct {
	uint64_t partition;
	uint32_t access, type;
	uint64_t parameter;
} intercept __attribute__((aligned(32)));

static struct {
	uint64_t partition;
	uint8_t vtl, access, reserved[6];
	uint64_t pages[3];
} access PAGE_ALIGNED;

static struct {
	uint64_t partition;
	uint32_t vp;
	uint8_t vtl, reserved[3];
} disable __attribute__((aligned(16)));

static struct {
	uint32_t code, attributes;
	uint64_t rest[7];
} output PAGE_ALIGNED;

static uint8_t page[PAGE_SIZE] PAGE_ALIGNED, secret[PAGE_SIZE] PAGE_ALIGNED;
static uint8_t *vtl0_code_page;
static unsigned msr_intercepts;

static uint16_t do_translate(uint64_t code, uint64_t gva, uint64_t flags)
{
	translate.partition = HV_PARTITION_SELF;
	translate.vp = HV_VP_SELF;
	translate.flags = flags;
	translate.page = gva / PAGE_SIZE;
	memset(&output, 0xff, sizeof(output));
	return HV_STATUS(hv_call(code, (uint64_t)&translate, (uint64_t)&output));
}

static void check_translate(uint64_t gva, uint64_t flags, uint32_t code, uint32_t attributes)
{
	uint64_t gpa_page = code ? 0 : gva / PAGE_SIZE;

	CHECK_EQUAL(do_translate(HV_TRANSLATE, gva, flags), HV_SUCCESS);
	CHECK_EQUAL(output.code, code);
	CHECK_EQUAL(output.attributes, attributes);
	CHECK_EQUAL(output.rest[0], gpa_page);
	CHECK_EQUAL(output.rest[1], UINT64_MAX);
	CHECK_EQUAL(do_translate(HV_TRANSLATE_EX, gva, flags), HV_SUCCESS);
	CHECK_EQUAL(output.code, code);
	CHECK_EQUAL(output.attributes, attributes);
	CHECK_EQUAL(output.rest[5], gpa_page);
	CHECK_EQUAL(!!output.rest[1], code != 0);
}

static uint64_t install(uint32_t type, uint64_t parameter, uint32_t kinds)
{
	intercept.partition = HV_PARTITION_SELF;
	intercept.type = type;
	intercept.parameter = parameter;
	intercept.access = kinds;
	return hv_call(HV_INSTALL_INTERCEPT, (uint64_t)&intercept, 0);
}

static uint64_t do_disable(uint64_t code, uint8_t vtl)
{
	disable.partition = HV_PARTITION_SELF;
	disable.vp = code == HV_DISABLE_VP_VTL ? HV_VP_SELF : vtl;
	disable.vtl = vtl;
	return hv_call(code, (uint64_t)&disable, 0);
}

/* --- VTL1 --- */

static void check_accesses(void)
{
	const uint64_t *result = (const uint64_t *)&output;

	access.partition = HV_PARTITION_SELF;
	access.vtl = HV_VTL(0);
	access.access = HV_R | HV_W;
	access.pages[0] = (uint64_t)page / PAGE_SIZE;
	access.pages[1] = (uint64_t)secret / PAGE_SIZE;
	access.pages[2] = UINT64_MAX;
	memset(&output, 0xff, sizeof(output));
	CHECK_EQUAL(hv_call(HV_CHECK_ACCESS | HV_REPS(3), (uint64_t)&access, (uint64_t)&output),
		    HV_REPS(2) | HV_INVALID_PARAMETER);
	CHECK_EQUAL(result[0], 0);
	CHECK_EQUAL(result[1], 1 | HV_W << 8 | 1 << 16);
	CHECK_EQUAL(result[2], UINT64_MAX);
}

void vtl_on_start(void)
{
	const uint64_t all = TRANSLATE_READ | TRANSLATE_WRITE | TRANSLATE_EXEC | TRANSLATE_EXEMPT;

	hv_protections_on();
	CHECK_EQUAL(hv_protect(secret, 1, HV_R | HV_X), HV_REPS(1));
	check_translate((uint64_t)page, all | TRANSLATE_VTL(0), 0, WRITE_BACK);
	check_translate((uint64_t)vtl0_code_page, all | TRANSLATE_VTL(0), 0, WRITE_BACK | OVERLAY);
	check_translate((uint64_t)secret, TRANSLATE_READ | TRANSLATE_VTL(0), 0, WRITE_BACK);
	check_translate((uint64_t)secret, TRANSLATE_WRITE | TRANSLATE_VTL(0), RESULT_INTERCEPT, 0);
	check_translate((uint64_t)secret, all, 0, WRITE_BACK);
	check_accesses();
	CHECK_EQUAL(install(TYPE_CPUID, 1, ACCESS_WRITE), HV_OPERATION_DENIED);
	CHECK_EQUAL(install(TYPE_MSR, 0x10, ACCESS_WRITE), HV_OPERATION_DENIED);
	CHECK_EQUAL(install(TYPE_MSR, MSR_KERNEL_GS, ACCESS_WRITE), HV_SUCCESS);
	CHECK_EQUAL(do_disable(HV_DISABLE_VP_VTL, 1), HV_INVALID_VTL_STATE);
	CHECK_EQUAL(do_disable(HV_DISABLE_PARTITION_VTL, 1), HV_INVALID_VTL_STATE);
}

void vtl_on_msr_intercept(const struct hv_msr_intercept *message)
{
	CHECK_EQUAL(message->msr, MSR_KERNEL_GS);
	msr_intercepts++;
	CHECK_EQUAL(install(TYPE_MSR, MSR_KERNEL_GS, 0), HV_SUCCESS);
}

/* --- VTL0 --- */

static void own_calls(void)
{
	check_translate((uint64_t)page, TRANSLATE_READ | TRANSLATE_WRITE, 0, WRITE_BACK);
	check_translate(UNMAPPED, TRANSLATE_READ, RESULT_NONE, 0);
	CHECK_EQUAL(do_translate(HV_TRANSLATE, 0, TRANSLATE_VTL(1)), HV_ACCESS_DENIED);
	CHECK_EQUAL(do_translate(HV_TRANSLATE, 0, 1 << 20), HV_INVALID_PARAMETER);
	CHECK_EQUAL(install(TYPE_MSR, MSR_KERNEL_GS, ACCESS_WRITE), HV_ACCESS_DENIED);
	CHECK_EQUAL(do_disable(HV_DISABLE_VP_VTL, 1), HV_ACCESS_DENIED);
	CHECK_EQUAL(do_disable(HV_DISABLE_PARTITION_VTL, 1), HV_ACCESS_DENIED);
	CHECK_EQUAL(hv_call(HV_LONG_SPIN_WAIT | HV_FAST, 1, 0), HV_SUCCESS);
	output.rest[0] = UINT64_MAX;
	CHECK_EQUAL(hv_call(HV_QUERY_CAPABILITIES, 0, (uint64_t)&output.rest[0]), HV_SUCCESS);
	CHECK_EQUAL(output.rest[0], 0);
}

int guest_main(void)
{
	hv_require_vsm();
	hv_setup();
	vtl0_code_page = hv_page;
	own_calls();
	vtl_begin(&vtl_own_image);
	wrmsr(MSR_KERNEL_GS, 0x5000);
	CHECK_EQUAL(msr_intercepts, 1);
	CHECK_EQUAL(rdmsr(MSR_KERNEL_GS), 0x5000);
	return 0;
}
