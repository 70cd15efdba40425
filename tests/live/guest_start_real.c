/* SPDX-License-Identifier: MIT */
/*
 * HvCallStartVirtualProcessor with a real-mode context: VTL0 of a processor starts in it, at once
 * or behind a VTL1 that goes first, with segments whose bases do not follow from their selectors.
 * VTL1 cannot start or be enabled so (TLFS vsm.md, "Real Mode").
 */
#include "cpu.h"
#include "guest.h"
#include "smp.h"

#define STUB			  0x9000 /* behind smp.c's trampoline */
#define STUB_SELECTOR		  0x900
#define SP			  0x100
#define CODE16			  0x9b
#define DATA16			  0x93
#define RFLAGS			  0x203 /* carry, interrupts on: none comes */
#define CR0_ET			  0x10
#define HV_INVALID_REGISTER_VALUE 0x50

struct found {
	uint16_t cs, ds, ss, sp, flags, data;
	uint32_t cr0;
};

extern char real_stub[], real_stub_entry[], real_stub_end[];

static struct hv_vp_vtl input __attribute__((aligned(256)));
static volatile struct found found;
static volatile uint16_t data = 0xbeef;
static volatile uint8_t stack[SP];
static uint64_t status;

static struct hv_segment segment(const volatile void *base, uint16_t selector, uint16_t attributes)
{
	return (struct hv_segment){.base = (uint64_t)base,
				   .limit = 0xffff,
				   .selector = selector,
				   .attributes = attributes};
}

static void fill(unsigned vp, unsigned vtl)
{
	struct hv_context *c = &input.context;

	input = (struct hv_vp_vtl){.partition = HV_PARTITION_SELF, .vp = vp, .vtl = (uint8_t)vtl};
	c->rip = (uint64_t)(real_stub_entry - real_stub);
	c->rsp = SP;
	c->rflags = RFLAGS;
	c->cs = segment((void *)STUB, STUB_SELECTOR, CODE16);
	c->ds = segment(&data, 0x1111, DATA16);
	c->es = segment(&found, 0x2222, DATA16);
	c->ss = segment(stack, 0x3333, DATA16);
	c->fs = c->gs = segment(NULL, 0, DATA16);
	c->idtr.limit = c->gdtr.limit = 0xffff;
	c->cr0 = CR0_ET;
}

static uint64_t call(uint64_t code, unsigned vp, unsigned vtl)
{
	fill(vp, vtl);
	return HV_STATUS(hv_call(code, (uint64_t)&input, 0));
}

static void enable(uint64_t vp)
{
	CHECK_EQUAL(smp_enable_vtl1((unsigned)vp), HV_SUCCESS);
}

/* By VTL1: the VP's other VTL must not start so. */
static void refused(uint64_t vp)
{
	CHECK_EQUAL(call(HV_ENABLE_VP_VTL, (unsigned)vp, 1), HV_INVALID_PARAMETER);
	enable(vp);
	CHECK_EQUAL(call(HV_START_VP, (unsigned)vp, 1), HV_INVALID_REGISTER_VALUE);
}

static void start(uint64_t vp)
{
	status = call(HV_START_VP, (unsigned)vp, 0);
}

static void check_found(void)
{
	CHECK_EQUAL(found.cs, STUB_SELECTOR);
	CHECK_EQUAL(found.ds, 0x1111);
	CHECK_EQUAL(found.ss, 0x3333);
	CHECK_EQUAL(found.sp, SP);
	CHECK_EQUAL(found.flags & RFLAGS, RFLAGS);
	CHECK_EQUAL(found.data, 0xbeef);
	CHECK_EQUAL(found.cr0 & 0x80000001, 0);
	CHECK_EQUAL(stack[SP - 2] | stack[SP - 1] << 8, 0x1234);
}

static void run(unsigned vp, unsigned vtl)
{
	found = (struct found){0};
	stack[SP - 2] = stack[SP - 1] = 0;
	smp_run(0, vtl, start, vp);
	CHECK_EQUAL(status, HV_SUCCESS);
	smp_wait_started(vp);
	check_found();
}

static volatile unsigned first_entries;
static volatile bool vtl0_was_first;

void smp_on_first_entry(unsigned vp)
{
	first_entries++;
	vtl0_was_first |= vp && (smp_started(vp) || found.cs);
}

int guest_main(void)
{
	smp_begin();
	smp_place_trampoline();
	memcpy((void *)STUB, real_stub, (size_t)(real_stub_end - real_stub));
	run(1, 0);
	CHECK_EQUAL(first_entries, 1); /* that of VP 0 */
	smp_run(0, 1, refused, 2);
	run(2, 1);
	CHECK_EQUAL(first_entries, 2);
	CHECK(!vtl0_was_first);
	return 0;
}
