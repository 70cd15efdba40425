/* SPDX-License-Identifier: MIT */
/*
 * The benchmark's guest: does what its mailbox says, over and over. The loops that are measured are
 * written in assembly, so that there is little in them but what is measured.
 */
#include "cpu.h"
#include "guest.h"
#include "hv.h"
#include "mailbox.h"
#include "trap.h"
#include "vtl.h"

/* As the input page holds them. */
#define PAGES_PER_CALL 510

static struct mailbox mailbox;

static struct {
	uint64_t partition;
	uint32_t mask;
	uint8_t vtl;
	uint8_t reserved[3];
	uint64_t pages[PAGES_PER_CALL];
} protection PAGE_ALIGNED;

static struct {
	uint64_t partition;
	uint32_t vp;
	uint8_t vtl;
	uint8_t reserved[3];
	uint32_t name;
} get_register PAGE_ALIGNED;

static uint64_t output[PAGE_SIZE / sizeof(uint64_t)] PAGE_ALIGNED;
static uint8_t target[PAGE_SIZE] PAGE_ALIGNED; /* what VTL1 lets VTL0 only read */
static volatile uint64_t store_tsc;
static volatile bool announced;

/*
 * Every general register but RSP may come back changed from the other VTL; RBP and RBX are the
 * caller's to keep.
 */
#define SHARED_REGISTERS "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"

/* --- VTL0 --- */

static void end_vtl1_loop(void)
{
	struct vtl_frame none = {0};

	mailbox.op = MAILBOX_END;
	vtl_call(&none);
}

static void begin_vtl1_loop(void)
{
	struct vtl_frame none = {0};

	vtl_call(&none);
}

/*
 * The loops of both VTLs keep what they need in registers, which VTLs share: as the floor's, they
 * touch no memory of their own but their code, and the stack for the call. RBX counts, RSI is not 0
 * to change an SSE register, RDI and RDX have the entries. Only RCX changes.
 */
static void run_calls(void)
{
	uint32_t n = (uint32_t)mailbox.count;
	uint64_t start;

	begin_vtl1_loop();
	start = rdtsc();
	if (n)
		__asm__ volatile("1:	test	%%esi, %%esi\n"
				 "	jz	2f\n"
				 "	pcmpeqd	%%xmm1, %%xmm1\n"
				 "2:	xor	%%ecx, %%ecx\n"
				 "	call	*%%rdi\n"
				 "	dec	%%ebx\n"
				 "	jnz	1b"
				 : "+b"(n)
				 : "S"(mailbox.fp), "D"(hv_vtl_call_entry), "d"(hv_vtl_return_entry)
				 : "rcx", "memory", "cc");
	mailbox.ticks = rdtsc() - start;
	end_vtl1_loop();
}

static void run_hypercalls(void)
{
	uint64_t start = rdtsc();

	for (uint64_t n = mailbox.count; n; n--)
		hv_call(mailbox.rcx, mailbox.rdx, mailbox.r8);
	mailbox.ticks = rdtsc() - start;
}

static void run_intercepts(void)
{
	begin_vtl1_loop();
	for (volatile uint64_t n = mailbox.count; n; n--)
		__asm__ volatile("push	%%rbp\n"
				 "	push	%%rbx\n"
				 "	rdtsc\n"
				 "	shl	$32, %%rdx\n"
				 "	or	%%rdx, %%rax\n"
				 "	mov	%%rax, %[tsc]\n"
				 "	movb	$1, %[target]\n"
				 "	pop	%%rbx\n"
				 "	pop	%%rbp"
				 : [tsc] "=m"(store_tsc), [target] "=m"(target)
				 :
				 : "rax", "rcx", "rdx", SHARED_REGISTERS, "memory", "cc");
	end_vtl1_loop();
}

static void touch_pages(void)
{
	for (uint64_t i = 0; i < mailbox.pages; i++)
		*(volatile uint8_t *)((mailbox.first + i * mailbox.stride) * PAGE_SIZE) = 1;
}

static void run_stores(void)
{
	volatile uint8_t *page = (volatile uint8_t *)(mailbox.first * PAGE_SIZE);
	uint64_t start = rdtsc();

	for (uint64_t n = mailbox.count; n; n--)
		*page = 1;
	mailbox.ticks = rdtsc() - start;
}

static void spin(void)
{
	for (;;)
		__asm__ volatile("pause");
}

static void serve(void)
{
	struct vtl_frame none = {0};

	switch (mailbox.op) {
	case MAILBOX_CALLS:
		run_calls();
		break;
	case MAILBOX_HYPERCALLS:
		run_hypercalls();
		break;
	case MAILBOX_INTERCEPTS:
		run_intercepts();
		break;
	case MAILBOX_PROTECT:
		vtl_call(&none);
		break;
	case MAILBOX_TOUCH:
		touch_pages();
		break;
	case MAILBOX_STORES:
		run_stores();
		break;
	default:
		CHECK(!"a command this guest knows");
	}
}

int guest_main(void)
{
	get_register.partition = HV_PARTITION_SELF;
	get_register.vp = HV_VP_SELF;
	get_register.name = HV_REGISTER_VP_STATUS;
	mailbox.input = (uint64_t)&get_register;
	mailbox.output = (uint64_t)output;
	mailbox.spin = (uint32_t)(uint64_t)spin;
	vtl_begin(&vtl_own_image);
	for (;;) {
		mailbox.tsc = rdtsc();
		out32(MAILBOX_PORT, (uint32_t)(uint64_t)&mailbox);
		serve();
	}
}

/* --- VTL1 --- */

static void on_interrupt(struct trap_frame *frame)
{
	(void)frame;
	announced = true;
}

void vtl_on_start(void)
{
	trap_handle(VTL_VECTOR, on_interrupt);
	CHECK_EQUAL(hv_set_register(HV_OWN_VTL, HV_REGISTER_PARTITION_CFG,
				    HV_CONFIG_PROTECTION | HV_CONFIG_DEFAULT_MASK(HV_RWX)),
		    HV_SUCCESS);
	CHECK_EQUAL(HV_STATUS(hv_protect(target, 1, HV_R | HV_X)), HV_SUCCESS);
}

/*
 * A VTL return is a call that comes back when VTL1 is entered again: the first time with the
 * registers of run_calls(), the last time with a count of 0.
 */
static void answer_calls(void)
{
	void *entry = hv_vtl_return_entry;

	__asm__ volatile("	jmp	2f\n"
			 "1:	test	%%esi, %%esi\n"
			 "	jz	2f\n"
			 "	pxor	%%xmm1, %%xmm1\n"
			 "2:	mov	$1, %%ecx\n"
			 "	call	*%%rdx\n"
			 "	test	%%ebx, %%ebx\n"
			 "	jnz	1b"
			 : "+d"(entry)
			 :
			 : "rax", "rcx", "rbx", SHARED_REGISTERS, "memory", "cc");
}

/* Back to VTL0; the TSC when VTL1 is next entered. */
static uint64_t return_and_wait(void)
{
	uint32_t low, high;

	__asm__ volatile("push	%%rbp\n"
			 "	push	%%rbx\n"
			 "	mov	$1, %%ecx\n"
			 "	call	*%[entry]\n"
			 "	rdtsc\n"
			 "	pop	%%rbx\n"
			 "	pop	%%rbp"
			 : "=a"(low), "=d"(high)
			 : [entry] "m"(hv_vtl_return_entry)
			 : "rcx", SHARED_REGISTERS, "memory", "cc");
	return (uint64_t)high << 32 | low;
}

/* Takes the interrupt that announces the message, and has VTL0 go on after the store. */
static void skip_store(void)
{
	interrupts_on();
	while (!announced)
		pause();
	interrupts_off();
	announced = false;
	CHECK_EQUAL(vtl_message.type, HV_MESSAGE_GPA_INTERCEPT);
	CHECK_EQUAL(hv_set_register(HV_VTL(0), HV_REGISTER_RIP,
				    vtl_message.rip + (vtl_message.instruction_length & 15)),
		    HV_SUCCESS);
	vtl_message.type = 0;
}

static void answer_intercepts(void)
{
	for (unsigned i = 0;; i++) {
		uint64_t tsc = return_and_wait();

		if (mailbox.op == MAILBOX_END)
			return;
		mailbox.samples[i % MAILBOX_SAMPLES] = tsc - store_tsc;
		skip_store();
	}
}

static void protect_pages(uint32_t mask)
{
	uint64_t page = mailbox.first;

	protection.partition = HV_PARTITION_SELF;
	protection.mask = mask;
	protection.vtl = HV_VTL(0);
	for (uint64_t left = mailbox.pages, n; left; left -= n) {
		n = left < PAGES_PER_CALL ? left : PAGES_PER_CALL;
		for (uint64_t i = 0; i < n; i++, page += mailbox.stride)
			protection.pages[i] = page;
		CHECK_EQUAL(HV_STATUS(hv_call(HV_MODIFY_PROTECTION_MASK | HV_REPS(n),
					      (uint64_t)&protection, 0)),
			    HV_SUCCESS);
	}
}

void vtl_on_call(struct vtl_frame *frame)
{
	(void)frame;
	switch (mailbox.op) {
	case MAILBOX_CALLS:
		answer_calls();
		break;
	case MAILBOX_INTERCEPTS:
		answer_intercepts();
		break;
	case MAILBOX_PROTECT:
		for (uint64_t n = mailbox.count; n; n--)
			for (uint32_t i = 0; i < mailbox.masks; i++)
				protect_pages(mailbox.mask[i]);
		break;
	default:
		break;
	}
}
