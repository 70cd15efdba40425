/* SPDX-License-Identifier: MIT */
/* Enabling VTLs, and the frame of a VTL1 or VTL2 that answers calls and intercepts. */
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "hv.h"
#include "paging.h"
#include "trap.h"
#include "vtl.h"

#define CODE64		0xa09b /* present, code, accessed, L, G */
#define DATA		0xc093
#define BUSY_TSS	0x008b
#define LDT		0x0082
#define CR0		0x80010033 /* as boot.S */
#define EFER		0x500 /* LME, LMA */
#define PAT_RESET	UINT64_C(0x0007040600070406)
#define RETURN_RESTORES 0
#define RETURN_FAST	1

extern char vtl_entry[], vtl_stack_top[], vtl2_entry[], vtl2_stack_top[];

static uint8_t assist_page[PAGE_SIZE] PAGE_ALIGNED;
static uint8_t message_page[PAGE_SIZE] PAGE_ALIGNED;
static uint8_t assist_page2[PAGE_SIZE] PAGE_ALIGNED;
static uint8_t message_page2[PAGE_SIZE] PAGE_ALIGNED;
extern volatile struct hv_assist vtl_assist __attribute__((alias("assist_page")));
extern volatile struct hv_intercept vtl_message __attribute__((alias("message_page")));

void vtl_fill_context(struct hv_context *in, const struct vtl_image *image)
{
	struct hv_segment data = {.limit = UINT32_MAX, .selector = 0x10, .attributes = DATA};

	*in = (struct hv_context){0};
	in->rip = (uint64_t)image->entry;
	in->rsp = (uint64_t)image->stack_top;
	in->rflags = 2;
	in->cs = (struct hv_segment){.limit = UINT32_MAX, .selector = 8, .attributes = CODE64};
	in->ds = in->es = in->fs = in->gs = in->ss = data;
	in->tr = (struct hv_segment){.limit = 0x67, .attributes = BUSY_TSS};
	in->ldtr = (struct hv_segment){.attributes = LDT};
	in->gdtr = (struct hv_table){
		.limit = (uint16_t)((const char *)image->gdt_end - (const char *)image->gdt - 1),
		.base = (uint64_t)image->gdt};
	in->efer = EFER;
	in->cr0 = CR0;
	in->cr3 = (uint64_t)image->page_tables;
	in->cr4 = GUEST_CR4;
	in->pat = PAT_RESET;
}

uint16_t vtl_enable_on(uint32_t vp, unsigned vtl, const struct hv_context *context)
{
	static struct hv_vp_vtl input __attribute__((aligned(256)));

	input.partition = HV_PARTITION_SELF;
	input.vp = vp;
	input.vtl = (uint8_t)vtl;
	input.context = *context;
	return HV_STATUS(hv_call(HV_ENABLE_VP_VTL, (uint64_t)&input, 0));
}

uint8_t vtl_enable_flags;

uint16_t vtl_enable_at(unsigned vtl, const struct vtl_image *image)
{
	static struct hv_partition_vtl partition __attribute__((aligned(16)));
	struct hv_context context;
	uint64_t result;

	partition.partition = HV_PARTITION_SELF;
	partition.vtl = (uint8_t)vtl;
	partition.flags = vtl_enable_flags;
	result = hv_call(HV_ENABLE_PARTITION_VTL, (uint64_t)&partition, 0);
	if (HV_STATUS(result) != HV_SUCCESS)
		return HV_STATUS(result);
	vtl_fill_context(&context, image);
	return vtl_enable_on(HV_VP_SELF, vtl, &context);
}

uint16_t vtl_enable(const struct vtl_image *image)
{
	return vtl_enable_at(1, image);
}

void vtl_begin(const struct vtl_image *image)
{
	struct vtl_frame none = {0};

	hv_require_vsm();
	hv_setup();
	CHECK_EQUAL(vtl_enable(image), HV_SUCCESS);
	vtl_call(&none);
}

const struct vtl_image vtl_own_image = {
	.entry = vtl_entry,
	.stack_top = vtl_stack_top,
	.page_tables = guest_page_tables,
	.gdt = guest_gdt,
	.gdt_end = guest_gdt_end,
};

const struct vtl_image vtl2_own_image = {
	.entry = vtl2_entry,
	.stack_top = vtl2_stack_top,
	.page_tables = guest_page_tables,
	.gdt = guest_gdt,
	.gdt_end = guest_gdt_end,
};

/* What a payload without a function of its own does. */
static void nothing(void)
{
}

static void ignore_call(struct vtl_frame *frame)
{
	(void)frame;
}

static void refuse_intercept(const struct hv_intercept *message)
{
	print("unexpected intercept of an access to %#lx at RIP %#lx\n", message->gpa,
	      message->rip);
	guest_exit(GUEST_EXIT_FAILED);
}

static void refuse_msr_intercept(const struct hv_msr_intercept *message)
{
	print("unexpected intercept of an access to MSR %#x at RIP %#lx\n", message->msr,
	      message->rip);
	guest_exit(GUEST_EXIT_FAILED);
}

static void refuse_io_intercept(const struct hv_io_intercept *message)
{
	print("unexpected intercept of an access to I/O port %#x at RIP %#lx\n", message->port,
	      message->rip);
	guest_exit(GUEST_EXIT_FAILED);
}

#define DEFAULT(function) __attribute__((weak, alias(#function)))

void vtl_on_start(void) DEFAULT(nothing);
void vtl_on_call(struct vtl_frame *frame) DEFAULT(ignore_call);
void vtl_on_intercept(const struct hv_intercept *message) DEFAULT(refuse_intercept);
void vtl_on_msr_intercept(const struct hv_msr_intercept *message) DEFAULT(refuse_msr_intercept);
void vtl_on_io_intercept(const struct hv_io_intercept *message) DEFAULT(refuse_io_intercept);
void vtl2_on_start(void) DEFAULT(nothing);
void vtl2_on_call(struct vtl_frame *frame) DEFAULT(ignore_call);
void vtl2_on_intercept(const struct hv_intercept *message) DEFAULT(refuse_intercept);
void vtl2_on_msr_intercept(const struct hv_msr_intercept *message) DEFAULT(refuse_msr_intercept);
void vtl2_on_io_intercept(const struct hv_io_intercept *message) DEFAULT(refuse_io_intercept);

/* A VTL above 0. Its first instruction, in vtl.S, says that it has not started. */
struct side {
	volatile bool *started;
	volatile struct hv_assist *assist;
	volatile struct hv_intercept *message;
	void (*on_start)(void);
	void (*on_call)(struct vtl_frame *frame);
	void (*on_intercept)(const struct hv_intercept *message);
	void (*on_msr_intercept)(const struct hv_msr_intercept *message);
	void (*on_io_intercept)(const struct hv_io_intercept *message);
};

volatile bool vtl_started, vtl2_started;

static const struct side side1 = {
	.started = &vtl_started,
	.assist = &vtl_assist,
	.message = &vtl_message,
	.on_start = vtl_on_start,
	.on_call = vtl_on_call,
	.on_intercept = vtl_on_intercept,
	.on_msr_intercept = vtl_on_msr_intercept,
	.on_io_intercept = vtl_on_io_intercept,
};

static const struct side side2 = {
	.started = &vtl2_started,
	.assist = (volatile struct hv_assist *)assist_page2,
	.message = (volatile struct hv_intercept *)message_page2,
	.on_start = vtl2_on_start,
	.on_call = vtl2_on_call,
	.on_intercept = vtl2_on_intercept,
	.on_msr_intercept = vtl2_on_msr_intercept,
	.on_io_intercept = vtl2_on_io_intercept,
};

static volatile bool announced;

/* SINT0 ends it by itself (AutoEOI). */
static void on_interrupt(struct trap_frame *frame)
{
	(void)frame;
	announced = true;
}

/*
 * The interrupt announces a message and must be taken, or it would be due again right after the
 * return to VTL0. A hypervisor may take a moment to notice that interrupts are on.
 */
static void take_interrupt(void)
{
	interrupts_on();
	for (unsigned i = 0; i < 1000000 && !announced; i++)
		pause();
	interrupts_off();
	announced = false;
}

/*
 * What a VTL that wants intercepts sets up: its hypercall page, its VP assist page for the entry
 * reason and the registers of a return, and a SynIC whose SINT0 receives the messages.
 */
static void start(const struct side *side)
{
	trap_setup();
	hv_setup();
	trap_handle(VTL_VECTOR, on_interrupt);
	wrmsr(HV_MSR_VP_ASSIST_PAGE, (uint64_t)side->assist | HV_ENABLE);
	wrmsr(HV_MSR_SIMP, (uint64_t)side->message | HV_ENABLE);
	wrmsr(HV_MSR_SCONTROL, HV_ENABLE);
	wrmsr(HV_MSR_SINT0, VTL_VECTOR | HV_SINT_AUTO_EOI);
	side->on_start();
}

/* Returns whether it was 64-bit code that did it. */
static bool serve_intercept(const struct side *side)
{
	union {
		struct hv_intercept memory;
		struct hv_msr_intercept msr;
		struct hv_io_intercept io;
	} message;

	take_interrupt();
	memcpy(&message, (const void *)side->message, sizeof(message));
	if (message.memory.type == HV_MESSAGE_GPA_INTERCEPT)
		side->on_intercept(&message.memory);
	else if (message.memory.type == HV_MESSAGE_MSR_INTERCEPT)
		side->on_msr_intercept(&message.msr);
	else if (message.memory.type == HV_MESSAGE_IO_INTERCEPT)
		side->on_io_intercept(&message.io);
	else
		return true;
	side->message->type = 0;
	__asm__ volatile("mfence" : : : "memory");
	if (side->message->flags & 1)
		wrmsr(HV_MSR_EOM, 0);
	return (message.memory.execution_state & HV_EXECUTION_LONG_MODE) &&
	       (message.memory.cs.attributes & HV_SEGMENT_LONG);
}

/* The lower VTL did not call: it must find RAX and RCX (and EDX), too, as they were. */
static void keep_volatile(const struct side *side, const struct vtl_frame *frame, bool wide)
{
	if (wide) {
		side->assist->rax = frame->rax;
		side->assist->rcx = frame->rcx;
	} else {
		side->assist->eax = (uint32_t)frame->rax;
		side->assist->ecx = (uint32_t)frame->rcx;
		side->assist->edx = (uint32_t)frame->rdx;
	}
}

/*
 * A VTL that returns goes to the next lower one, even if it was entered from below that: this VTL
 * then goes on behind its own return, without a reason to be entered, and is only on the way.
 */
static uint64_t entered(const struct side *side, struct vtl_frame *frame)
{
	uint32_t reason = side->assist->entry_reason;

	side->assist->entry_reason = HV_ENTRY_NONE;
	if (!*side->started) {
		*side->started = true;
		start(side);
		return RETURN_FAST;
	}
	if (reason == HV_ENTRY_CALL) {
		side->on_call(frame);
		return RETURN_FAST;
	}
	keep_volatile(side, frame, reason == HV_ENTRY_NONE || serve_intercept(side));
	return RETURN_RESTORES;
}

__attribute__((weak)) uint64_t vtl_entered(struct vtl_frame *frame)
{
	return entered(&side1, frame);
}

uint64_t vtl2_entered(struct vtl_frame *frame)
{
	return entered(&side2, frame);
}
