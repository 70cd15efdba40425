/* SPDX-License-Identifier: MIT */
/*
 * In real mode KVM's emulator delivers exceptions past the IDT's limit. A handler that is in the
 * page which the instruction was allowed to read must not find it open: nothing of it runs. (A
 * processor would shut down.)
 */
#include "cpu.h"
#include "guest.h"
#include "real_window.h"
#include "trap.h"
#include "vtl.h"
#include "x2apic.h"

#define CODE16	     0x9b
#define DATA16	     0x93
#define CR0_ET	     0x10
#define IDT_LIMIT    0x1f
#define VECTOR_GP    13
#define FXSAVE_MXCSR 24
#define PATIENCE     300000000 /* 100 ns units */
#define INTERVAL     1000000   /* of looks */
#define TIMER_VECTOR 0x60

extern char real_stub[], real_stub_end[], real_handler[], real_handler_end[];

static uint64_t rip = UINT64_MAX;
static struct hv_vp_vtl input __attribute__((aligned(256)));

static struct hv_segment segment(uint64_t base, uint16_t attributes)
{
	return (struct hv_segment){.base = base,
				   .limit = 0xffff,
				   .selector = (uint16_t)(base >> 4),
				   .attributes = attributes};
}

void vtl_on_start(void)
{
	hv_protections_on();
}

/* At first it starts the processor, then it looks where that is. */
void vtl_on_call(struct vtl_frame *f)
{
	if (f->rbx) {
		CHECK_EQUAL(hv_get_vp_register(1, HV_VTL(0), HV_REGISTER_RIP, &rip), HV_SUCCESS);
		return;
	}
	CHECK_EQUAL(HV_STATUS(hv_protect((void *)REAL_PAGE, 1, HV_R | HV_W)), HV_SUCCESS);
	CHECK_EQUAL(HV_STATUS(hv_call(HV_START_VP, (uint64_t)&input, 0)), HV_SUCCESS);
}

static void fill(void)
{
	struct hv_context *c = &input.context;
	uint16_t *gp = (uint16_t *)(REAL_IDT + 4 * VECTOR_GP);

	input = (struct hv_vp_vtl){.partition = HV_PARTITION_SELF, .vp = 1};
	c->rsp = REAL_STACK;
	c->rflags = 2;
	c->cs = segment(REAL_STUB, CODE16);
	c->ds = segment(REAL_PAGE, DATA16);
	c->ss = segment(REAL_STUB, DATA16);
	c->es = c->fs = c->gs = segment(0, DATA16);
	c->idtr = (struct hv_table){.limit = IDT_LIMIT, .base = REAL_IDT};
	c->gdtr.limit = 0xffff;
	c->cr0 = CR0_ET;
	gp[0] = REAL_HANDLER;
	gp[1] = REAL_PAGE >> 4;
}

static void on_timer(struct trap_frame *f)
{
	(void)f;
	x2apic_eoi();
}

static void nap(void)
{
	wrmsr(HV_MSR_STIMER_COUNT(0), rdmsr(HV_MSR_TIME_REF_COUNT) + INTERVAL);
	trap_halt();
}

/*
 * Until it is in front of its handler, where it has to stay. Halted meanwhile: who looks all the
 * time keeps bringing the other out, which then may not get to its access at all; and who waits to
 * get in or to look ends a step that is not over after 100 ms (lib/vcpu/step.c).
 */
static void watch(void)
{
	volatile const uint8_t *executed = (volatile const uint8_t *)REAL_STUB + REAL_EXECUTED;
	uint64_t end = rdmsr(HV_MSR_TIME_REF_COUNT) + PATIENCE;
	struct vtl_frame frame;

	x2apic_enable();
	trap_handle(TIMER_VECTOR, on_timer);
	wrmsr(HV_MSR_STIMER_CONFIG(0), HV_STIMER_AUTO | HV_STIMER_DIRECT(TIMER_VECTOR));
	do {
		nap();
		frame = (struct vtl_frame){.rbx = 1};
		vtl_call(&frame);
	} while (rip != REAL_HANDLER && !*executed && rdmsr(HV_MSR_TIME_REF_COUNT) < end);
	CHECK_EQUAL(*executed, 0);
	CHECK_EQUAL(rip, REAL_HANDLER);
}

int guest_main(void)
{
	struct vtl_frame frame = {.rbx = 0};

	memcpy((void *)REAL_STUB, real_stub, (size_t)(real_stub_end - real_stub));
	memcpy((void *)(REAL_PAGE + REAL_HANDLER), real_handler,
	       (size_t)(real_handler_end - real_handler));
	*(uint32_t *)(REAL_PAGE + REAL_DATA + FXSAVE_MXCSR) = UINT32_MAX; /* reserved bits: #GP */
	fill();
	vtl_begin(&vtl_own_image);
	vtl_call(&frame);
	watch();
	return 0;
}
