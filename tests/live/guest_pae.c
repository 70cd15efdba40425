/* SPDX-License-Identifier: MIT */
/*
 * VTLs that begin in 32-bit code with PAE paging. A processor loads the four entries that CR3 points to ahead of their
 * use, and KVM when user space sets the registers: they have to be those that the VTL itself finds there. So where
 * another VTL sees them, which enables or starts this one, lies an overlay page without any.
 */
#include "cpu.h"
#include "guest.h"
#include "vtl.h"

#define PRESENT	    1
#define LARGE	    0x83 /* present, writable, 2 MiB */
#define LARGE_BYTES 0x200000u
#define CODE32	    0xc09b
#define CR0	    0x80000031 /* PG, ET, NE, PE: no FPU */
#define CR4	    0x20       /* PAE */
#define WAIT	    100000000u

extern char pae_vtl1[], pae_vtl0[];

uint64_t pae_pointers0[512] PAGE_ALIGNED; /* for VTL0 of VP 1 */
static uint64_t pointers1[512] PAGE_ALIGNED;
static uint64_t directories[4][512] PAGE_ALIGNED;
static uint8_t stacks[2][256] __attribute__((aligned(16)));

struct hv_vp_vtl pae_input __attribute__((aligned(256)));
volatile uint32_t pae_entries, pae_status = UINT32_MAX, pae_started;

static void make_tables(void)
{
	for (unsigned i = 0; i < 4; i++) {
		pae_pointers0[i] = pointers1[i] = (uint64_t)directories[i] | PRESENT;
		for (unsigned j = 0; j < 512; j++)
			directories[i][j] = (uint64_t)(512 * i + j) * LARGE_BYTES | LARGE;
	}
}

static void fill(struct hv_context *c, const void *entry, const uint64_t *pointers, void *stack_top)
{
	vtl_fill_context(c, &vtl_own_image);
	c->rip = (uint64_t)entry;
	c->rsp = (uint64_t)stack_top;
	c->cs.attributes = CODE32;
	c->efer = 0;
	c->cr0 = CR0;
	c->cr3 = (uint64_t)pointers;
	c->cr4 = CR4;
}

/* With VTL0's message page where VTL1's pointers are: it is empty. */
static void enable_vtl1(void)
{
	static struct hv_partition_vtl partition = {.partition = HV_PARTITION_SELF, .vtl = 1};
	struct hv_context context;

	CHECK_EQUAL(HV_STATUS(hv_call(HV_ENABLE_PARTITION_VTL, (uint64_t)&partition, 0)),
		    HV_SUCCESS);
	fill(&context, pae_vtl1, pointers1, stacks[1] + sizeof(stacks[1]));
	wrmsr(HV_MSR_SIMP, (uint64_t)pointers1 | HV_ENABLE);
	CHECK_EQUAL(*(volatile uint64_t *)pointers1, 0);
	CHECK_EQUAL(vtl_enable_on(HV_VP_SELF, 1, &context), HV_SUCCESS);
}

int guest_main(void)
{
	struct vtl_frame frame = {0};

	hv_require_vsm();
	hv_setup();
	make_tables();
	enable_vtl1();
	vtl_call(&frame);
	CHECK_EQUAL(pae_entries, 1);

	pae_input = (struct hv_vp_vtl){.partition = HV_PARTITION_SELF, .vp = 1};
	fill(&pae_input.context, pae_vtl0, pae_pointers0, stacks[0] + sizeof(stacks[0]));
	frame = (struct vtl_frame){0};
	vtl_call(&frame);
	CHECK_EQUAL(pae_entries, 2);
	CHECK_EQUAL(pae_status, HV_SUCCESS);
	for (unsigned i = 0; i < WAIT && !pae_started; i++)
		pause();
	CHECK_EQUAL(pae_started, 1);
	return 0;
}
