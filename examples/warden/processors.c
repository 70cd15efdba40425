/* SPDX-License-Identifier: MIT */
/*
 * VTL1 on several processors. One of them is in here at a time: the console and the library's
 * hypercall parameters are shared. The first one looks after the others by a timer of VTL1's.
 */
#include "processors.h"

#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "trap.h"
#include "vtl.h"

#define PROCESSORS_MAX 8
#define LOOK_EVERY     500000 /* 50 ms, in 100 ns */

/* TLFS timers.md, "Synthetic Timer Configuration Register" */
#define MSR_STIMER0_CONFIG 0x400000b0
#define MSR_STIMER0_COUNT  0x400000b1
#define STIMER_AUTO	   8
#define STIMER_DIRECT(v)   (0x1000 | (v) << 4)
#define TIMER_VECTOR	   0xe0

#define CR0_PG		   (UINT64_C(1) << 31)
#define EFER_LMA	   (UINT64_C(1) << 10)

#define RETURN_RESTORES	   0
#define RETURN_FAST	   1

static struct processor {
	uint8_t assist[PAGE_SIZE] PAGE_ALIGNED;
	uint8_t messages[PAGE_SIZE];
	uint8_t stack[2 * PAGE_SIZE]; /* not of the first processor: vtl.S has one */
	bool enabled;
	volatile bool interrupted;
} processors[PROCESSORS_MAX];

static bool is_inside; /* the lock */
static volatile bool timer_expired;

extern char vtl_entry[];

unsigned processor_index(void)
{
	return (unsigned)rdmsr(HV_MSR_VP_INDEX);
}

static void enter(void)
{
	while (__atomic_test_and_set(&is_inside, __ATOMIC_ACQUIRE))
		pause();
}

static void leave(void)
{
	__atomic_clear(&is_inside, __ATOMIC_RELEASE);
}

/* --- interrupts --- */

/* SINT0 ends it by itself (AutoEOI). */
static void on_message(struct trap_frame *f)
{
	(void)f;
	processors[processor_index()].interrupted = true;
}

static void on_timer(struct trap_frame *f)
{
	(void)f;
	timer_expired = true;
	processors[processor_index()].interrupted = true;
	wrmsr(HV_MSR_EOI, 0);
}

/* A hypervisor may take a moment to notice that interrupts are on. */
static void take_interrupts(struct processor *p)
{
	interrupts_on();
	for (unsigned i = 0; i < 1000000 && !p->interrupted; i++)
		pause();
	interrupts_off();
	p->interrupted = false;
}

static void read_message(struct processor *p)
{
	volatile struct hv_intercept *slot = (volatile struct hv_intercept *)p->messages;
	struct hv_intercept message;

	memcpy(&message, p->messages, sizeof(message));
	if (message.type != HV_MESSAGE_GPA_INTERCEPT)
		return;
	vtl_on_intercept(&message);
	slot->type = 0;
	__asm__ volatile("mfence" : : : "memory");
	if (slot->flags & 1)
		wrmsr(HV_MSR_EOM, 0);
}

/* --- following Linux --- */

static void set(unsigned vp, uint8_t vtl, uint32_t name, uint64_t value)
{
	CHECK_EQUAL(hv_set_vp_register(vp, vtl, name, value), HV_SUCCESS);
}

/* What VTL1 wants to find when it is entered: the entry's reason, and the messages. */
static void set_up(unsigned vp)
{
	struct processor *p = &processors[vp];

	set(vp, HV_OWN_VTL, HV_REGISTER_VP_ASSIST, (uint64_t)p->assist | HV_ENABLE);
	set(vp, HV_OWN_VTL, HV_REGISTER_SIMP, (uint64_t)p->messages | HV_ENABLE);
	set(vp, HV_OWN_VTL, HV_REGISTER_SCONTROL, HV_ENABLE);
	set(vp, HV_OWN_VTL, HV_REGISTER_SINT0, VTL_VECTOR | HV_SINT_AUTO_EOI);
}

/* Linux stands still there meanwhile, so that VTL1 is not entered before it is set up. */
static void enable(unsigned vp)
{
	struct vtl_image image = vtl_own_image;
	struct hv_context context;
	struct table_pointer idtr;

	image.stack_top = processors[vp].stack + sizeof(processors[vp].stack);
	vtl_fill_context(&context, &image);
	__asm__ volatile("sidt %0" : "=m"(idtr));
	context.idtr = (struct hv_table){.limit = idtr.limit, .base = idtr.base};
	set(vp, HV_VTL(0), HV_REGISTER_SUSPEND, 1);
	CHECK_EQUAL(vtl_enable_on(vp, 1, &context), HV_SUCCESS);
	set_up(vp);
	set(vp, HV_VTL(0), HV_REGISTER_SUSPEND, 0);
	processors[vp].enabled = true;
	print("is on processor %u\n", vp);
}

static uint64_t linux_register(unsigned vp, uint32_t name)
{
	uint64_t value;

	CHECK_EQUAL(hv_get_vp_register(vp, HV_VTL(0), name, &value), HV_SUCCESS);
	return value;
}

static bool exists(unsigned vp)
{
	uint64_t ignored;

	return vp < PROCESSORS_MAX &&
	       hv_get_vp_register(vp, HV_VTL(0), HV_REGISTER_CR0, &ignored) != HV_INVALID_VP_INDEX;
}

static bool runs_linux(unsigned vp)
{
	return (linux_register(vp, HV_REGISTER_CR0) & CR0_PG) &&
	       (linux_register(vp, HV_REGISTER_EFER) & EFER_LMA);
}

void processors_follow(void)
{
	bool missing = false;

	for (unsigned vp = 1; exists(vp); vp++) {
		if (!processors[vp].enabled && runs_linux(vp))
			enable(vp);
		missing |= !processors[vp].enabled;
	}
	if (!missing)
		return;
	wrmsr(MSR_STIMER0_CONFIG, STIMER_DIRECT(TIMER_VECTOR) | STIMER_AUTO);
	wrmsr(MSR_STIMER0_COUNT, rdmsr(HV_MSR_TIME_REF_COUNT) + LOOK_EVERY);
}

/* --- entries --- */

static void start(unsigned vp)
{
	trap_setup();
	trap_handle(VTL_VECTOR, on_message);
	trap_handle(TIMER_VECTOR, on_timer);
	hv_setup();
	set_up(vp);
	processors[vp].enabled = true;
	vtl_on_start();
}

static void serve_interrupts(struct processor *p)
{
	take_interrupts(p);
	read_message(p);
	if (!timer_expired)
		return;
	timer_expired = false;
	processors_follow();
}

/*
 * An entry that Linux did not ask for leaves its RAX and RCX in the assist page, and a return that
 * is not fast takes them from there.
 */
static uint64_t serve(unsigned vp, struct vtl_frame *f)
{
	struct processor *p = &processors[vp];
	volatile struct hv_assist *assist = (volatile struct hv_assist *)p->assist;

	if (!p->enabled) {
		start(vp);
		return RETURN_FAST;
	}
	if (assist->entry_reason == HV_ENTRY_CALL) {
		vtl_on_call(f);
		return RETURN_FAST;
	}
	serve_interrupts(p);
	return RETURN_RESTORES;
}

uint64_t vtl_entered(struct vtl_frame *f)
{
	uint64_t how;

	enter();
	how = serve(processor_index(), f);
	leave();
	return how;
}
