/* SPDX-License-Identifier: MIT */
/*
 * HvCallPostMessage and HvCallSignalEvent, through ports the VMM connects to VTL1 and to VTL0:
 * messages come in order, each when the one before was taken (EOM), flags are set once. VTL1's
 * interrupt VTL0 at once, VTL0's wait for the return.
 */
#include "cpu.h"
#include "guest.h"
#include "message.h"
#include "trap.h"
#include "vtl.h"

#define HV_POST_MESSAGE 0x5c
#define HV_SIGNAL_EVENT 0x5d
#define HV_MSR_SIEFP	0x40000082
#define APIC_EOI	0xfee000b0
#define APIC_SPIV	0xfee000f0

/* The VMM's test device: connection 31:24, command 23:16, processor 15:8, SINT 7:0. */
#define DEVICE			0x3000
#define MESSAGES		4
#define EVENTS			6
#define TO_VTL1			0x10
#define CONNECT(id, what, sint) out32(DEVICE, (uint32_t)(id) << 24 | (what) << 16 | (sint))

#define SINT			2
#define VECTOR(vtl)		(0x60 + (vtl)) /* the VTLs share their table of handlers */
#define MESSAGE_ID(vtl)		(0x20 + (vtl))
#define EVENT_ID(vtl)		(0x30 + (vtl))
#define COUNT			5
#define RETURN_RESTORES		0

struct post {
	uint32_t connection, reserved, type, size;
	uint64_t payload[30];
};

struct receiver {
	struct message messages[16] PAGE_ALIGNED;
	volatile uint32_t flags[16][64] PAGE_ALIGNED;
};

static struct receiver receivers[2];
static uint8_t assist[PAGE_SIZE] PAGE_ALIGNED;
static struct post post __attribute__((aligned(256)));
static volatile unsigned interrupts[2], got[2], events[2]; /* by VTL */

static void write_apic(uintptr_t reg, uint32_t to)
{
	*(volatile uint32_t *)reg = to;
}

static void take(unsigned vtl)
{
	struct receiver *r = &receivers[vtl];
	struct message *m = &r->messages[SINT];
	uint32_t bit = 1u << EVENT_ID(vtl) % 32;
	volatile uint32_t *word = &r->flags[SINT][EVENT_ID(vtl) / 32];

	interrupts[vtl]++;
	if (*word & bit) {
		*word = *word & ~bit;
		events[vtl]++;
	}
	if (m->type) {
		CHECK_EQUAL(m->type, 0x100u + got[vtl]);
		CHECK_EQUAL(m->payload_size, 16);
		CHECK_EQUAL(m->payload[0], got[vtl]);
		CHECK_EQUAL(m->payload[1], ~(uint64_t)got[vtl]);
		got[vtl]++;
		m->type = 0;
		__asm__ volatile("mfence" : : : "memory");
		if (m->flags & 1)
			wrmsr(HV_MSR_EOM, 0);
	}
	write_apic(APIC_EOI, 0);
}

static void on_vtl0(struct trap_frame *f)
{
	(void)f;
	take(0);
}

static void on_vtl1(struct trap_frame *f)
{
	(void)f;
	take(1);
}

static void setup(unsigned vtl)
{
	write_apic(APIC_SPIV, 0x1ff);
	wrmsr(HV_MSR_SIMP, (uint64_t)receivers[vtl].messages | HV_ENABLE);
	wrmsr(HV_MSR_SIEFP, (uint64_t)receivers[vtl].flags | HV_ENABLE);
	wrmsr(HV_MSR_SCONTROL, HV_ENABLE);
	wrmsr(HV_MSR_SINT0 + SINT, (uint64_t)VECTOR(vtl));
}

static void send_messages(unsigned to)
{
	for (unsigned i = 0; i < COUNT; i++) {
		post = (struct post){.connection = MESSAGE_ID(to),
				     .type = 0x100 + i,
				     .size = 16,
				     .payload = {i, ~(uint64_t)i}};
		CHECK_EQUAL(HV_STATUS(hv_call(HV_POST_MESSAGE, (uint64_t)&post, 0)), HV_SUCCESS);
	}
}

static void send_event(unsigned to)
{
	CHECK_EQUAL(HV_STATUS(hv_call(HV_SIGNAL_EVENT | HV_FAST, EVENT_ID(to), 0)), HV_SUCCESS);
}

/* --- VTL1 --- */

static void take_interrupt(void)
{
	unsigned before = interrupts[1];

	interrupts_on();
	while (interrupts[1] == before)
		pause();
	interrupts_off();
}

/* VTL0 gets none of it while VTL1 runs. */
static void serve(void)
{
	send_messages(0);
	send_event(0);
	CHECK_EQUAL(interrupts[0], 0);
}

uint64_t vtl_entered(struct vtl_frame *f)
{
	volatile struct hv_assist *a = (volatile struct hv_assist *)assist;
	static bool started;

	if (!started) {
		started = true;
		trap_setup();
		hv_setup();
		wrmsr(HV_MSR_VP_ASSIST_PAGE, (uint64_t)assist | HV_ENABLE);
		setup(1);
	} else if (a->entry_reason == HV_ENTRY_CALL) {
		serve();
	} else {
		take_interrupt();
	}
	a->rax = f->rax;
	a->rcx = f->rcx;
	return RETURN_RESTORES;
}

/* --- VTL0 --- */

int guest_main(void)
{
	struct vtl_frame none = {0};

	trap_handle(VECTOR(0), on_vtl0);
	trap_handle(VECTOR(1), on_vtl1);
	vtl_begin(&vtl_own_image);
	setup(0);
	for (unsigned vtl = 0; vtl < 2; vtl++) {
		CONNECT(MESSAGE_ID(vtl), MESSAGES | (vtl ? TO_VTL1 : 0), SINT);
		CONNECT(EVENT_ID(vtl), EVENTS | (vtl ? TO_VTL1 : 0), SINT);
	}
	/* Each is taken before the call is over: VTL1 preempts. */
	send_messages(1);
	while (got[1] != COUNT)
		pause();
	send_event(1);
	while (events[1] != 1)
		pause();
	vtl_call(&none);
	interrupts_on();
	while (got[0] != COUNT || events[0] != 1)
		pause();
	interrupts_off();
	CHECK_EQUAL(got[1], COUNT);
	CHECK_EQUAL(events[1], 1);
	return 0;
}
