/* SPDX-License-Identifier: MIT */
/*
 * Shared MSRs change only by WRMSR, which the MSR filter brings here; each write goes to all vCPUs
 * of the VP at once, so that a VTL switch has nothing to move.
 */
#include "msr/shared_msr.h"

#include <errno.h>

#include "msr/tsc.h"
#include "registers/msr.h"
#include "vcpu/vcpu.h"

const struct shared_msr_range shared_msrs[] = {
	{MSR_TSC, 1}, {MSR_TSC_ADJUST, 1},	       /* tsc.c */
	{0x17a, 1},				       /* MCG_STATUS */
	{0x200, 16},				       /* variable MTRRs */
	{0x250, 1},				       /* fixed MTRRs */
	{0x258, 2},   {0x268, 8},	   {0x2ff, 1}, /* MTRR_DEF_TYPE */
};
const size_t shared_msr_ranges = sizeof(shared_msrs) / sizeof(shared_msrs[0]);

static bool is_shared(uint32_t index)
{
	for (size_t i = 0; i < shared_msr_ranges; i++)
		if (index - shared_msrs[i].first < shared_msrs[i].count)
			return true;
	return false;
}

int shared_msr_write(struct vsm_vcpu *vp, uint32_t index, uint64_t value)
{
	if (!is_shared(index))
		return -ENOENT;
	if (index == MSR_TSC || index == MSR_TSC_ADJUST)
		return tsc_write(vp, index, value);
	/* All vCPUs have one CPUID and refuse the same values: the first does, or none. */
	for (unsigned vtl = 0; vtl < vp->partition->vtl_count; vtl++) {
		int r = vtl_cpu_write_msr(&vp->vtls[vtl].cpu, index, value);

		if (r)
			return r;
	}
	return 0;
}
