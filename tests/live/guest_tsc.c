/* SPDX-License-Identifier: MIT */
/*
 * One TSC for the VTLs of a processor, in step with the other processors'; what a VTL writes to
 * the TSC or to TSC_ADJUST moves it in both, and neither the others' nor reference time. A KVM
 * that keeps TSCs as they are moves none; with the option "moves" it has to.
 */
#include "cpu.h"
#include "guest.h"
#include "smp.h"

#define MSR_TSC	       0x10
#define MSR_TSC_ADJUST 0x3b
#define FAR	       (UINT64_C(1) << 46) /* hours */
#define REF_SECOND     10000000

static volatile uint64_t value;

static void read_tsc(uint64_t arg)
{
	(void)arg;
	value = rdtsc();
}

static void write_tsc(uint64_t by)
{
	wrmsr(MSR_TSC, rdtsc() + by);
}

static void write_adjust(uint64_t by)
{
	wrmsr(MSR_TSC_ADJUST, rdmsr(MSR_TSC_ADJUST) + by);
}

static void read_adjust(uint64_t arg)
{
	(void)arg;
	value = rdmsr(MSR_TSC_ADJUST);
}

static uint64_t get(unsigned vp, unsigned vtl, void (*fn)(uint64_t))
{
	smp_run(vp, vtl, fn, 0);
	return value;
}

/*
 * A little behind is near: a processor that is stopped between its RDTSC and its WRMSR, since
 * another has its turn, loses that time.
 */
static uint64_t far_from(unsigned vp, unsigned vtl, uint64_t start)
{
	return get(vp, vtl, read_tsc) - start + FAR / 2 >= FAR;
}

/* Nobody's is behind another's that was read before. */
static void in_step(void)
{
	uint64_t last = rdtsc();

	for (unsigned i = 0; i < 2; i++)
		for (unsigned vp = 0; vp < SMP_VPS; vp++)
			for (unsigned vtl = 0; vtl < 2; vtl++) {
				uint64_t now = get(vp, vtl, read_tsc);

				CHECK(now > last);
				CHECK(now - last < FAR / 2);
				last = now;
			}
}

/* VTL `vtl` of a processor moves its TSC away, and VTL0 moves it back. */
static void moves(unsigned vp, unsigned vtl, void (*write)(uint64_t), bool adjusts)
{
	uint64_t start = rdtsc(), ref = rdmsr(HV_MSR_TIME_REF_COUNT);
	uint64_t adjust = adjusts ? get(vp, 0, read_adjust) : 0;
	bool moved;

	smp_run(vp, vtl, write, FAR);
	moved = far_from(vp, 0, start);
	CHECK(moved || !guest_has_option("moves"));
	CHECK_EQUAL(far_from(vp, 1, start), moved);
	for (unsigned i = 0; i < SMP_VPS; i++)
		CHECK(i == vp || !far_from(i, 0, start));
	CHECK(rdmsr(HV_MSR_TIME_REF_COUNT) - ref < 100 * (uint64_t)REF_SECOND);
	for (unsigned i = 0; moved && adjusts && i < 2; i++) {
		uint64_t by = get(vp, i, read_adjust) - adjust;

		CHECK(by > FAR / 2 && by < 2 * FAR);
	}
	smp_run(vp, 0, write, -FAR);
	CHECK(!far_from(vp, 0, start));
	CHECK(!far_from(vp, 1, start));
}

int guest_main(void)
{
	struct cpuid features = cpuid(7);
	bool adjusts = features.ebx & 2;

	smp_begin_all();
	in_step();
	for (unsigned vp = 1; vp < SMP_VPS; vp++)
		for (unsigned vtl = 0; vtl < 2; vtl++) {
			moves(vp, vtl, write_tsc, adjusts);
			if (adjusts)
				moves(vp, vtl, write_adjust, true);
		}
	return 0;
}
