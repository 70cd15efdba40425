/* SPDX-License-Identifier: MIT */
/*
 * Four processors started by HvCallStartVirtualProcessor. Each sends interrupts to each of the
 * others: from VTL0 to VTL0 and VTL1, from VTL1 to VTL1 and VTL0; to sets of them by cluster IPIs.
 */
#include "cpu.h"
#include "guest.h"
#include "smp.h"

#define ROUNDS 1
#define SPARSE 0
#define ALL    1

struct cluster_ex {
	uint32_t vector;
	uint8_t vtl, reserved[3];
	uint64_t format, banks, bank0;
};

static struct cluster_ex input __attribute__((aligned(64)));
static unsigned expected[2][SMP_VPS];

/* No fewer, and, unless the host takes some twice (tests/stock/README.md), no more. */
static void expect_of(unsigned vtl, unsigned vp)
{
	unsigned *wanted = &expected[vtl][vp];

	while (smp_taken[vtl][vp] < *wanted)
		pause();
	if (guest_has_option("repeats"))
		*wanted = smp_taken[vtl][vp];
	else
		CHECK_EQUAL(smp_taken[vtl][vp], *wanted);
}

static void expect(void)
{
	for (unsigned vtl = 0; vtl < 2; vtl++)
		for (unsigned vp = 0; vp < SMP_VPS; vp++)
			expect_of(vtl, vp);
}

/* Each is run in a VTL of the sender, with the target for an argument. */

static void icr_own(uint64_t to)
{
	smp_send_icr((unsigned)to, 0);
}

static void icr_own1(uint64_t to)
{
	smp_send_icr((unsigned)to, 1);
}

static void cluster_to0(uint64_t to)
{
	smp_send_cluster(0, UINT64_C(1) << to);
}

static void cluster_to1(uint64_t to)
{
	smp_send_cluster(1, UINT64_C(1) << to);
}

static const struct {
	unsigned from, to; /* VTLs */
	void (*send)(uint64_t to);
} ways[] = {
	{0, 0, icr_own},     {1, 1, icr_own1},	  {0, 0, cluster_to0},
	{0, 1, cluster_to1}, {1, 0, cluster_to0}, {1, 1, cluster_to1},
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* Also to itself: a VTL1 that does so is entered again after its return. */
static void all_pairs(void)
{
	for (unsigned from = 0; from < SMP_VPS; from++)
		for (unsigned to = 0; to < SMP_VPS; to++)
			for (unsigned i = 0; i < WAYS; i++) {
				expected[ways[i].to][to]++;
				smp_run(from, ways[i].from, ways[i].send, to);
				expect();
			}
}

static uint64_t send_ex(uint64_t code, unsigned vtl, uint64_t format, uint64_t banks,
			uint64_t bank0)
{
	input = (struct cluster_ex){.vector = SMP_VECTOR(vtl),
				    .vtl = HV_VTL(vtl),
				    .format = format,
				    .banks = banks,
				    .bank0 = bank0};
	return HV_STATUS(hv_call(code, (uint64_t)&input, 0));
}

static void expect_mask(unsigned vtl, unsigned mask)
{
	for (unsigned vp = 0; vp < SMP_VPS; vp++)
		expected[vtl][vp] += mask >> vp & 1;
	expect();
}

/* Every set of processors, in each form and to each VTL. */
static void all_sets(uint64_t vtl)
{
	const uint64_t sparse = HV_SEND_CLUSTER_IPI_EX | HV_VARIABLE(1);

	for (unsigned mask = 1; mask <= SMP_ALL; mask++) {
		smp_send_cluster((unsigned)vtl, mask);
		expect_mask((unsigned)vtl, mask);
		CHECK_EQUAL(send_ex(sparse, (unsigned)vtl, SPARSE, 1, mask), HV_SUCCESS);
		expect_mask((unsigned)vtl, mask);
	}
	/* An empty set, and one whose only bank names no processor of this machine. */
	CHECK_EQUAL(send_ex(HV_SEND_CLUSTER_IPI_EX, (unsigned)vtl, SPARSE, 0, 0), HV_SUCCESS);
	expect();
	CHECK_EQUAL(send_ex(HV_SEND_CLUSTER_IPI_EX, (unsigned)vtl, ALL, 0, 0), HV_SUCCESS);
	expect_mask((unsigned)vtl, SMP_ALL);
}

int guest_main(void)
{
	smp_begin_all();
	interrupts_on();
	CHECK_EQUAL(smp_start(1, 0), HV_INVALID_VP_STATE);
	for (unsigned i = 0; i < ROUNDS; i++)
		all_pairs();
	all_sets(0);
	all_sets(1);
	interrupts_off();
	return 0;
}
