/* SPDX-License-Identifier: MIT */
/* How each state follows from the one before: what guests do to bring VTLs up, and to end them. */
#include "run.h"

#define PARTITION_CONFIG 0x000d0007
#define LSTAR		 0x00080009
#define PROTECTION_ON	 UINT64_C(0x1f) /* default mask: everything */
#define READ_ONLY	 0xd
#define REP_DONE	 (UINT64_C(1) << 32)

static uint64_t enable_partition(unsigned by, unsigned vtl)
{
	return HCT_SIMPLE(by, CALL_ENABLE_PARTITION, 0, HCT_SELF, vtl);
}

static uint64_t enable_vp(unsigned by, unsigned vtl)
{
	uint64_t result = hct_enable_vp(by, HCT_VP_SELF, vtl);

	if (!result)
		hct_env_enabled(vtl);
	return result;
}

static uint64_t protect(unsigned vtl)
{
	return hct_set_register(vtl, PARTITION_CONFIG, PROTECTION_ON) - REP_DONE;
}

static uint64_t on_partition(void)
{
	return enable_partition(0, 1);
}

static uint64_t on_vp(void)
{
	return enable_vp(0, 1);
}

static uint64_t protected(void)
{
	return protect(1);
}

static uint64_t two(void)
{
	return enable_partition(1, 2);
}

static uint64_t two_on_vp(void)
{
	uint64_t result = enable_vp(1, 2);

	return result ? result : protect(2);
}

/* VTL1 leaves a register and a protection behind, of which nothing may be left. */
static uint64_t only_two_on_vp(void)
{
	uint64_t closed = hct_limit_page(HCT_RANGE, READ_ONLY);

	if (closed != REP_DONE || hct_set_register(1, LSTAR, HCT_LEFT_BEHIND) != REP_DONE)
		return closed;
	return HCT_SIMPLE(2, CALL_DISABLE_VP, 0, HCT_SELF, HCT_VP(HCT_VP_SELF, 1));
}

static uint64_t only_two(void)
{
	return HCT_SIMPLE(2, CALL_DISABLE_PARTITION, 0, HCT_SELF, 1);
}

static uint64_t again(void)
{
	uint64_t result = enable_partition(2, 1);

	if (!result)
		result = enable_vp(2, 1);
	return result ? result : protect(1);
}

static const struct {
	const char *name;
	uint64_t (*enter)(void);
} states[HCT_STATES] = {
	[HCT_ON_PARTITION] = {"VTL0 enables VTL1 for the partition", on_partition},
	[HCT_ON_VP] = {"VTL0 enables VTL1 on its VP", on_vp},
	[HCT_PROTECTED] = {"VTL1 turns protections on", protected},
	[HCT_TWO] = {"VTL1 enables VTL2 for the partition", two},
	[HCT_TWO_ON_VP] = {"VTL1 enables VTL2 on its VP", two_on_vp},
	[HCT_ONLY_TWO_ON_VP] = {"VTL2 disables VTL1 on its VP", only_two_on_vp},
	[HCT_ONLY_TWO] = {"VTL2 disables VTL1 for the partition", only_two},
	[HCT_AGAIN] = {"VTL2 enables VTL1 again", again},
};

bool hct_advance(enum hct_state to)
{
	return !states[to].enter ||
	       hct_expect(states[to].name, HCT_SLOW, "result", states[to].enter(), 0);
}
