/* SPDX-License-Identifier: MIT */
/*
 * Two processors: the second started by HvCallStartVirtualProcessor, interrupts sent to each of its
 * VTLs by each of the first one's, VTL1 entered from a halted VTL0.
 */
#include "cpu.h"
#include "guest.h"
#include "trap.h"
#include "vtl.h"

#define HV_SEND_CLUSTER_IPI 0x0b
#define HV_START_VP	    0x99
#define HV_INVALID_VP_STATE 0x15
#define MSR_APIC_BASE	    0x1b
#define MSR_X2APIC_EOI	    0x80b
#define MSR_SPIV	    0x80f
#define MSR_ICR		    0x830
#define X2APIC		    0xc00
#define SPIV		    0x1ff
#define VECTOR(vtl)	    (0xd0 + (vtl)) /* the VTLs share their table of handlers */
#define OTHER		    1		   /* VP index and APIC id */
#define RETURN_FAST	    "$1"

struct hv_table {
	uint16_t pad[3];
	uint16_t limit;
	uint64_t base;
};

/* HvCallEnableVpVtl and HvCallStartVirtualProcessor take the same. */
struct context_input {
	uint64_t partition;
	uint32_t vp;
	uint8_t vtl;
	uint8_t reserved[3];
	uint64_t rip, rsp, rflags;
	struct hv_segment cs, ds, es, fs, gs, ss, tr, ldtr;
	struct hv_table idtr, gdtr;
	uint64_t efer, cr0, cr3, cr4, pat;
};
_Static_assert(sizeof(struct context_input) == 240, "HvCallStartVirtualProcessor");

extern uint64_t guest_page_tables[], guest_gdt[], guest_gdt_end[];
void other_vtl0(void), other_vtl1(void);
void other_main1(void);

static uint8_t stacks[2][8192] PAGE_ALIGNED;
static struct context_input input __attribute__((aligned(256)));
static volatile unsigned taken[2]; /* by the other processor, by VTL */
static volatile unsigned ready;

/* --- the other processor --- */

static void apic_setup(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | X2APIC);
	wrmsr(MSR_SPIV, SPIV);
}

static void on_vtl0(struct trap_frame *f)
{
	(void)f;
	taken[0]++;
	wrmsr(MSR_X2APIC_EOI, 0);
}

static void on_vtl1(struct trap_frame *f)
{
	(void)f;
	taken[1]++;
	wrmsr(MSR_X2APIC_EOI, 0);
}

/* Only an interrupt brings it out of HLT; VTL1 may be entered in between. */
void other_vtl0(void)
{
	apic_setup();
	ready = 1;
	for (;;)
		__asm__ volatile("sti\n\thlt\n\tcli" : : : "rax", "rcx", "memory");
}

/* Entered by an interrupt, which is taken before the return. */
void other_main1(void)
{
	unsigned before = taken[1];

	if (!before)
		apic_setup();
	interrupts_on();
	while (taken[1] == before)
		pause();
	interrupts_off();
}

/* All registers but RAX and RCX are VTL0's and stay. */
__asm__("	.globl	other_vtl1\n"
	"other_vtl1:\n"
	"	push %rdx\n	push %rbx\n	push %rbp\n	push %rsi\n	push %rdi\n"
	"	push %r8\n	push %r9\n	push %r10\n	push %r11\n"
	"	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
	"	call other_main1\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n"
	"	pop %r11\n	pop %r10\n	pop %r9\n	pop %r8\n"
	"	pop %rdi\n	pop %rsi\n	pop %rbp\n	pop %rbx\n	pop %rdx\n"
	"	mov " RETURN_FAST ", %ecx\n"
	"	call *hv_vtl_return_entry(%rip)\n"
	"	jmp other_vtl1\n");

/* --- the first processor --- */

static struct table_pointer read_idt(void)
{
	struct table_pointer t;

	__asm__ volatile("sidt %0" : "=m"(t));
	return t;
}

static void fill(unsigned vtl, void (*entry)(void))
{
	const struct hv_segment data = {
		.limit = UINT32_MAX, .selector = 0x10, .attributes = 0xc093};
	struct table_pointer idt = read_idt();

	input = (struct context_input){
		.partition = HV_PARTITION_SELF,
		.vp = OTHER,
		.vtl = (uint8_t)vtl,
		.rip = (uint64_t)entry,
		.rsp = (uint64_t)(stacks[vtl] + sizeof(stacks[vtl]) - 8),
		.rflags = 2,
		.cs = {.limit = UINT32_MAX, .selector = 8, .attributes = 0xa09b},
		.ds = data,
		.es = data,
		.fs = data,
		.gs = data,
		.ss = data,
		.tr = {.limit = 0x67, .attributes = 0x8b},
		.ldtr = {.attributes = 0x82},
		.idtr = {.limit = idt.limit, .base = idt.base},
		.gdtr = {.limit = (uint16_t)((char *)guest_gdt_end - (char *)guest_gdt - 1),
			 .base = (uint64_t)guest_gdt},
		.efer = 0x500,
		.cr0 = 0x80010033,
		.cr3 = (uint64_t)guest_page_tables,
		.cr4 = 0x620,
		.pat = UINT64_C(0x0007040600070406),
	};
}

static uint16_t start_other(void)
{
	fill(0, other_vtl0);
	return HV_STATUS(hv_call(HV_START_VP, (uint64_t)&input, 0));
}

static void send_icr(unsigned vtl)
{
	wrmsr(MSR_ICR, (uint64_t)OTHER << 32 | VECTOR(vtl));
}

static void send_cluster(unsigned vtl)
{
	CHECK_EQUAL(HV_STATUS(hv_call(HV_SEND_CLUSTER_IPI | HV_FAST,
				      VECTOR(vtl) | (uint64_t)HV_VTL(vtl) << 32, 1 << OTHER)),
		    HV_SUCCESS);
}

/* VTL1's requests, in R8. */
enum request {
	ENABLE_OTHER,
	SEND_ICR,
	SEND_CLUSTER_TO_VTL0,
};

void vtl_on_start(void)
{
	apic_setup();
}

void vtl_on_call(struct vtl_frame *f)
{
	switch (f->r8) {
	case ENABLE_OTHER:
		fill(1, other_vtl1);
		f->r8 = HV_STATUS(hv_call(HV_ENABLE_VP_VTL, (uint64_t)&input, 0));
		break;
	case SEND_ICR:
		send_icr(1);
		break;
	default:
		send_cluster(0);
	}
}

static uint64_t request(enum request what)
{
	struct vtl_frame f = {.r8 = what};

	vtl_call(&f);
	return f.r8;
}

static void expect(unsigned vtl0, unsigned vtl1)
{
	while (taken[0] != vtl0 || taken[1] != vtl1)
		pause();
}

int guest_main(void)
{
	trap_handle(VECTOR(0), on_vtl0);
	trap_handle(VECTOR(1), on_vtl1);
	vtl_begin(&vtl_own_image);
	apic_setup();
	CHECK_EQUAL(start_other(), HV_SUCCESS);
	while (!ready)
		pause();
	CHECK_EQUAL(start_other(), HV_INVALID_VP_STATE);
	CHECK_EQUAL(request(ENABLE_OTHER), HV_SUCCESS);
	for (unsigned round = 0; round < 100; round++) {
		unsigned n = 2 * round;

		send_icr(0);
		expect(n + 1, n);
		request(SEND_ICR);
		expect(n + 1, n + 1);
		send_cluster(1);
		expect(n + 1, n + 2);
		request(SEND_CLUSTER_TO_VTL0);
		expect(n + 2, n + 2);
	}
	return 0;
}
