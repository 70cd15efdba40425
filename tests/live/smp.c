/* SPDX-License-Identifier: MIT */
/*
 * Several processors, each with VTL0 and VTL1. An idle VTL0 is halted; VTL1 is entered by calls,
 * with a function to run, and by interrupts, which it takes.
 */
#include "smp.h"

#include "cpu.h"
#include "guest.h"

#define X2APIC		0xc00
#define SPIV		0x1ff
#define VECTOR_WORK	0xd8
#define STARTUP_PAGE	8 /* SMP_TRAMPOLINE of smp_entry.S */
#define RETURN_RESTORES 0

struct work {
	void (*volatile fn)(uint64_t arg);
	uint64_t arg;
	unsigned vtl;
};

extern char smp_trampoline[], smp_trampoline_end[], vtl_entry[];
void smp_long_mode(void);
void smp_main(unsigned vp) __attribute__((noreturn));

uint8_t smp_stacks[SMP_VPS][8192] PAGE_ALIGNED; /* of VTL0 */
static uint8_t stacks1[SMP_VPS][8192] PAGE_ALIGNED;
static uint8_t assist[SMP_VPS][PAGE_SIZE] PAGE_ALIGNED; /* of VTL1 */
struct table_pointer smp_idt;

volatile unsigned smp_taken[2][SMP_VPS];
static volatile bool started[SMP_VPS];
static bool entered[SMP_VPS]; /* VTL1, at least once */
static struct work works[SMP_VPS];

unsigned smp_index(void)
{
	return (unsigned)rdmsr(HV_MSR_VP_INDEX);
}

void smp_apic(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | X2APIC);
	wrmsr(MSR_SPIV, SPIV);
}

/* --- interrupts --- */

/*
 * RAX and RCX are not kept by a VTL switch itself (TLFS vsm.md, "VTL Return"): a VTL that was
 * entered by an interrupt has to give them back.
 */
void smp_hold_registers(void)
{
	uint64_t a = 0x1111, c = 0x2222, d = 0x3333;

	__asm__ volatile("mov $300, %%r8d\n"
			 "1:	pause\n"
			 "	dec %%r8d\n"
			 "	jnz 1b"
			 : "+a"(a), "+c"(c), "+d"(d)
			 :
			 : "r8", "cc");
	CHECK_EQUAL(a, 0x1111);
	CHECK_EQUAL(c, 0x2222);
	CHECK_EQUAL(d, 0x3333);
}

static bool repeats;

bool smp_repeated(const struct trap_frame *f)
{
	return repeats && !(rdmsr(MSR_ISR + (uint32_t)f->vector / 32) >> f->vector % 32 & 1);
}

static void take(const struct trap_frame *f, unsigned vtl)
{
	if (smp_repeated(f))
		return;
	smp_taken[vtl][smp_index()]++;
	smp_hold_registers();
	wrmsr(MSR_X2APIC_EOI, 0);
}

static void on_vtl0(struct trap_frame *f)
{
	take(f, 0);
}

static void on_vtl1(struct trap_frame *f)
{
	take(f, 1);
}

static void on_work(struct trap_frame *f)
{
	if (!smp_repeated(f))
		wrmsr(MSR_X2APIC_EOI, 0);
}

void smp_send_icr(unsigned vp, unsigned vtl)
{
	wrmsr(MSR_ICR, (uint64_t)vp << 32 | SMP_VECTOR(vtl));
}

void smp_send_cluster(unsigned vtl, uint64_t mask)
{
	CHECK_EQUAL(HV_STATUS(hv_call(HV_SEND_CLUSTER_IPI | HV_FAST,
				      SMP_VECTOR(vtl) | (uint64_t)HV_VTL(vtl) << 32, mask)),
		    HV_SUCCESS);
}

/* --- VTL1 --- */

/* Whoever entered by an interrupt takes one; others may wait and enter again. */
static void take_interrupt(unsigned vp)
{
	unsigned before = smp_taken[1][vp];

	interrupts_on();
	while (smp_taken[1][vp] == before)
		pause();
	interrupts_off();
}

__attribute__((weak)) void smp_on_first_entry(unsigned vp)
{
	(void)vp;
}

static void setup1(unsigned vp)
{
	__asm__ volatile("lidt %0" : : "m"(smp_idt));
	if (vp == 0)
		hv_setup();
	wrmsr(HV_MSR_VP_ASSIST_PAGE, (uint64_t)assist[vp] | HV_ENABLE);
	smp_apic();
	entered[vp] = true;
	smp_on_first_entry(vp);
}

uint64_t vtl_entered(struct vtl_frame *f)
{
	unsigned vp = smp_index();
	volatile struct hv_assist *a = (volatile struct hv_assist *)assist[vp];

	if (!entered[vp])
		setup1(vp);
	else if (a->entry_reason == HV_ENTRY_CALL)
		((void (*)(uint64_t))f->r8)(f->r9);
	else
		take_interrupt(vp);
	a->rax = f->rax;
	a->rcx = f->rcx;
	return RETURN_RESTORES;
}

void smp_call(void (*fn)(uint64_t arg), uint64_t arg)
{
	struct vtl_frame f = {.r8 = (uint64_t)fn, .r9 = arg};

	vtl_call(&f);
}

/* --- starting --- */

static uint16_t call_with_context(uint64_t code, unsigned vp, unsigned vtl)
{
	static struct hv_vp_vtl input __attribute__((aligned(256)));
	const struct vtl_image image = {
		.entry = vtl ? vtl_entry : (const char *)smp_long_mode,
		.stack_top = (vtl ? stacks1[vp] : smp_stacks[vp]) + sizeof(stacks1[0]),
		.page_tables = guest_page_tables,
		.gdt = guest_gdt,
		.gdt_end = guest_gdt_end,
	};

	input = (struct hv_vp_vtl){.partition = HV_PARTITION_SELF, .vp = vp, .vtl = (uint8_t)vtl};
	vtl_fill_context(&input.context, &image);
	input.context.idtr = (struct hv_table){.limit = smp_idt.limit, .base = smp_idt.base};
	return HV_STATUS(hv_call(code, (uint64_t)&input, 0));
}

uint16_t smp_start(unsigned vp, unsigned vtl)
{
	return call_with_context(HV_START_VP, vp, vtl);
}

uint16_t smp_enable_vtl1(unsigned vp)
{
	return call_with_context(HV_ENABLE_VP_VTL, vp, 1);
}

void smp_place_trampoline(void)
{
	memcpy((void *)(uintptr_t)(STARTUP_PAGE * PAGE_SIZE), smp_trampoline,
	       (size_t)(smp_trampoline_end - smp_trampoline));
}

void smp_send_startup(unsigned vp)
{
	smp_place_trampoline();
	wrmsr(MSR_ICR, (uint64_t)vp << 32 | ICR_INIT);
	wrmsr(MSR_ICR, (uint64_t)vp << 32 | ICR_STARTUP | STARTUP_PAGE);
}

bool smp_started(unsigned vp)
{
	return started[vp];
}

void smp_wait_started(unsigned vp)
{
	while (!started[vp])
		pause();
}

void smp_begin(void)
{
	static const struct vtl_image *const image = &vtl_own_image;

	repeats = guest_has_option("repeats");
	trap_handle(SMP_VECTOR(0), on_vtl0);
	trap_handle(SMP_VECTOR(1), on_vtl1);
	trap_handle(VECTOR_WORK, on_work);
	__asm__ volatile("sidt %0" : "=m"(smp_idt));
	vtl_begin(image);
	smp_apic();
}

/* --- work --- */

/* Of the other processors, in VTL0; HLT and the last look at the work are one. */
void smp_main(unsigned vp)
{
	struct work *w = &works[vp];

	smp_apic();
	started[vp] = true;
	for (;;) {
		if (!w->fn) {
			trap_halt();
			continue;
		}
		interrupts_on();
		if (w->vtl)
			smp_call(w->fn, w->arg);
		else
			w->fn(w->arg);
		interrupts_off();
		w->fn = NULL;
	}
}

void smp_run_begin(unsigned vp, unsigned vtl, void (*fn)(uint64_t arg), uint64_t arg)
{
	works[vp].arg = arg;
	works[vp].vtl = vtl;
	works[vp].fn = fn;
	wrmsr(MSR_ICR, (uint64_t)vp << 32 | VECTOR_WORK);
}

void smp_run_end(unsigned vp)
{
	while (works[vp].fn)
		pause();
}

void smp_run(unsigned vp, unsigned vtl, void (*fn)(uint64_t arg), uint64_t arg)
{
	if (vp) {
		smp_run_begin(vp, vtl, fn, arg);
		smp_run_end(vp);
	} else if (vtl) {
		smp_call(fn, arg);
	} else {
		fn(arg);
	}
}

static void enable(uint64_t vp)
{
	CHECK_EQUAL(smp_enable_vtl1((unsigned)vp), HV_SUCCESS);
}

void smp_enter(uint64_t arg)
{
	(void)arg;
}

void smp_begin_all(void)
{
	smp_begin();
	for (unsigned vp = 1; vp < SMP_VPS; vp++) {
		CHECK_EQUAL(smp_start(vp, 0), HV_SUCCESS);
		smp_wait_started(vp);
		smp_run(0, 1, enable, vp);
		smp_run(vp, 1, smp_enter, 0);
	}
}
