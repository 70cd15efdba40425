/* SPDX-License-Identifier: MIT */
/*
 * No interrupt is lost, whichever VTL of whichever of four processors it is for, whoever sends it
 * and whatever that processor is doing: a lost one ends a stream of them, and the guest never ends.
 *
 * Streams: an interrupt between each two VTLs of the machine, sent back by whoever takes it; one of
 * each VTL to itself; VTL1's timers, armed again when they expire; the VMM's messages, of which up
 * to 16 wait (EOM), and device interrupts (stress.c). The VMM kicks the processors meanwhile. VTL0
 * halts, spins with interrupts on and off, exits to the VMM, and calls VTL1, which halts in the
 * call.
 */
#include "cpu.h"
#include "guest.h"
#include "message.h"
#include "smp.h"
#include "stress.h"

#define MSR_GS_BASE	0xc0000101
#define MSR_LVT_TIMER	0x832
#define MSR_COUNT	0x838
#define MSR_DIVIDE	0x83e
#define DIVIDE_BY_1	0xb
#define APIC_TICKS	100000 /* 0.1 ms */
#define DIAGNOSTIC_PORT 0x80   /* nobody answers */
#define STIMER_TICKS	1000   /* 0.1 ms */
#define STREAMS		(STRESS_NODES * (STRESS_NODES + 1) / 2 + 2 * STRESS_NODES + STRESS_VPS + 1)

static struct stress_board *const board = (struct stress_board *)STRESS_BOARD;
static struct message messages[STRESS_NODES][16] PAGE_ALIGNED; /* each a page */
_Static_assert(sizeof(messages[0]) == PAGE_SIZE, "SIMP");
static const uint32_t numbers[STRESS_VPS] = {0, 1, 2, 3};
static volatile uint32_t taken[STRESS_VPS]; /* by either VTL */

/* Without an exit, unlike smp_index(): GS is each VTL's own. */
static unsigned own_vp(void)
{
	unsigned vp;

	__asm__("movl %%gs:0, %0" : "=r"(vp));
	return vp;
}

/* --- streams --- */

static void end_stream(void)
{
	if (!__atomic_sub_fetch(&board->open, 1, __ATOMIC_SEQ_CST))
		smp_send_cluster(0, SMP_ALL);
}

/* Counts one; is it the last? */
static bool count(volatile uint32_t *n)
{
	CHECK(*n < board->rounds);
	(*n)++;
	if (*n < board->rounds)
		return false;
	end_stream();
	return true;
}

static void send(unsigned vector, unsigned to)
{
	CHECK_EQUAL(HV_STATUS(hv_call(HV_SEND_CLUSTER_IPI | HV_FAST,
				      vector | (uint64_t)HV_VTL(STRESS_VTL(to)) << 32,
				      UINT64_C(1) << STRESS_VP(to))),
		    HV_SUCCESS);
}

/* To the sender's own VTL by its local APIC, to the other by hypercall. */
static void answer(unsigned from, unsigned to)
{
	unsigned vtl = STRESS_VTL(to), vector = STRESS_VECTOR_IPI(from, vtl);

	if (vtl == STRESS_VTL(from))
		wrmsr(MSR_ICR, (uint64_t)STRESS_VP(to) << 32 | vector);
	else
		send(vector, to);
}

/* The first of a stream: the lower of the two sends it, and takes the last. */
static void begin_stream(unsigned own, unsigned to)
{
	board->busy = STRESS_VP(to);
	send((unsigned)STRESS_VECTOR_IPI(own, STRESS_VTL(to)), to);
}

static void begin_storm(void)
{
	board->storm = 1;
	for (unsigned own = 0; own < STRESS_NODES; own++)
		for (unsigned to = own; to < STRESS_NODES; to++)
			begin_stream(own, to);
}

/* The first half of a stream is over. */
static void begin_next(unsigned own, unsigned to)
{
	if (++to == STRESS_NODES)
		to = ++own;
	if (own < STRESS_NODES)
		begin_stream(own, to);
	else
		begin_storm();
}

static void take_ipi(unsigned own, unsigned from)
{
	volatile uint32_t *n = &board->interrupts[own][from];

	if (own > from) {
		CHECK(*n < board->rounds);
		(*n)++;
	} else if (count(n)) {
		return;
	} else if (!board->storm && *n == board->rounds / 2) {
		begin_next(own, from);
		return;
	}
	answer(own, from);
}

static void take_message(unsigned own)
{
	struct message *m = &messages[own][STRESS_SINT];

	if (!m->type)
		return;
	CHECK_EQUAL(m->type, STRESS_TYPE);
	CHECK_EQUAL(m->payload[0], board->messages[own]);
	count(&board->messages[own]);
	m->type = 0;
	__asm__ volatile("mfence" : : : "memory");
	if (m->flags & 1)
		wrmsr(HV_MSR_EOM, 0);
}

/* The local APIC's timer and a synthetic one by turns. */
static void arm_timer(uint64_t vp)
{
	if (board->timers[vp] % 2) {
		wrmsr(HV_MSR_STIMER_CONFIG(0),
		      HV_STIMER_DIRECT(STRESS_VECTOR_TIMER) | HV_STIMER_AUTO);
		wrmsr(HV_MSR_STIMER_COUNT(0), rdmsr(HV_MSR_TIME_REF_COUNT) + STIMER_TICKS);
	} else {
		wrmsr(MSR_LVT_TIMER, STRESS_VECTOR_TIMER);
		wrmsr(MSR_DIVIDE, DIVIDE_BY_1);
		wrmsr(MSR_COUNT, APIC_TICKS);
	}
}

static void take_timer(unsigned vp)
{
	if (!count(&board->timers[vp]))
		arm_timer(vp);
}

/* --- handlers --- */

static void take(unsigned vector, unsigned vtl)
{
	unsigned vp = own_vp(), own = STRESS_NODE(vp, vtl);

	taken[vp]++;
	if (vector < STRESS_VECTOR_MESSAGE(0))
		take_ipi(own, vector - STRESS_VECTOR_IPI(0, vtl));
	else if (vector == STRESS_VECTOR_MESSAGE(vtl))
		take_message(own);
	else if (vector == STRESS_VECTOR_MSI(vtl))
		count(&board->msis[own]);
	else if (vector == STRESS_VECTOR_HALF)
		begin_stream(0, 0);
	else if (vector == STRESS_VECTOR_KICKED)
		end_stream();
	else if (vector == STRESS_VECTOR_TIMER)
		take_timer(vp);
	else
		board->guards[vp]++;
	wrmsr(MSR_X2APIC_EOI, 0);
}

static void handle(const struct trap_frame *f, unsigned vtl)
{
	if (smp_repeated(f))
		__atomic_fetch_add(&board->repeats, 1, __ATOMIC_SEQ_CST);
	else
		take((unsigned)f->vector, vtl);
}

static void on_vtl0(struct trap_frame *f)
{
	handle(f, 0);
}

static void on_vtl1(struct trap_frame *f)
{
	smp_taken[1][own_vp()]++; /* what smp.c waits for */
	handle(f, 1);
}

static void set_handlers(void)
{
	for (unsigned from = 0; from < STRESS_NODES; from++) {
		trap_handle((uint8_t)STRESS_VECTOR_IPI(from, 0), on_vtl0);
		trap_handle((uint8_t)STRESS_VECTOR_IPI(from, 1), on_vtl1);
	}
	trap_handle(STRESS_VECTOR_MESSAGE(0), on_vtl0);
	trap_handle(STRESS_VECTOR_MESSAGE(1), on_vtl1);
	trap_handle(STRESS_VECTOR_MSI(0), on_vtl0);
	trap_handle(STRESS_VECTOR_MSI(1), on_vtl1);
	trap_handle(STRESS_VECTOR_HALF, on_vtl0);
	trap_handle(STRESS_VECTOR_KICKED, on_vtl0);
	trap_handle(STRESS_VECTOR_TIMER, on_vtl1);
	trap_handle(STRESS_VECTOR_GUARD, on_vtl1);
}

/* --- what a processor does --- */

static void setup(uint64_t node)
{
	wrmsr(MSR_GS_BASE, (uint64_t)&numbers[STRESS_VP(node)]);
	wrmsr(HV_MSR_SIMP, (uint64_t)messages[node] | HV_ENABLE);
	wrmsr(HV_MSR_SCONTROL, HV_ENABLE);
	wrmsr(HV_MSR_SINT0 + STRESS_SINT, STRESS_VECTOR_MESSAGE(STRESS_VTL(node)));
}

static void halt(unsigned vtl, unsigned vp)
{
	board->halts[vtl][vp]++;
	trap_halt();
}

/* VTL1, in a call: VTL0's interrupts wait. A timer sees to it that it ends. */
static void halt_in_vtl1(uint64_t vp)
{
	uint32_t set = ++board->guards_set[vp];

	wrmsr(HV_MSR_STIMER_CONFIG(1), HV_STIMER_DIRECT(STRESS_VECTOR_GUARD) | HV_STIMER_AUTO);
	wrmsr(HV_MSR_STIMER_COUNT(1), rdmsr(HV_MSR_TIME_REF_COUNT) + STIMER_TICKS);
	while (board->guards[vp] != set)
		halt(1, (unsigned)vp);
}

/* Until something is taken. */
static void spin(unsigned vp, bool with_exits)
{
	uint32_t before = taken[vp];

	interrupts_on();
	while (taken[vp] == before && board->busy == vp && !board->storm) {
		if (with_exits)
			out8(DIAGNOSTIC_PORT, 0);
		pause();
	}
	interrupts_off();
}

/* These have interrupts off at their beginning and end. */

static void alone(unsigned i, unsigned vp)
{
	if (board->busy != vp || i % 3 == 0)
		halt(0, vp);
	else
		spin(vp, i % 3 == 1);
}

static void storm(unsigned i, unsigned vp)
{
	switch (i % 8) {
	case 1:
		smp_call(halt_in_vtl1, vp);
		break;
	case 3:
		smp_hold_registers();
		break;
	case 5:
		interrupts_on();
		smp_hold_registers();
		out8(DIAGNOSTIC_PORT, 0);
		interrupts_off();
		break;
	default:
		halt(0, vp);
	}
}

static void work(uint64_t vp)
{
	interrupts_off();
	for (unsigned i = 0; !board->storm; i++)
		alone(i, (unsigned)vp);
	smp_call(arm_timer, vp);
	for (unsigned i = 0; board->open; i++)
		storm(i, (unsigned)vp);
	interrupts_on();
}

static void check_counts(void)
{
	for (unsigned to = 0; to < STRESS_NODES; to++)
		for (unsigned from = 0; from < STRESS_NODES; from++)
			CHECK_EQUAL(board->interrupts[to][from], board->rounds);
	for (unsigned node = 0; node < STRESS_NODES; node++) {
		CHECK_EQUAL(board->messages[node], board->rounds);
		CHECK_EQUAL(board->msis[node], board->rounds);
	}
	for (unsigned vp = 0; vp < STRESS_VPS; vp++) {
		CHECK_EQUAL(board->timers[vp], board->rounds);
		CHECK_EQUAL(board->guards[vp], board->guards_set[vp]);
	}
}

int guest_main(void)
{
	CHECK(board->rounds > 1);
	board->open = STREAMS;
	smp_begin_all();
	set_handlers();
	for (unsigned node = 0; node < STRESS_NODES; node++)
		smp_run(STRESS_VP(node), STRESS_VTL(node), setup, node);
	for (unsigned vp = 1; vp < STRESS_VPS; vp++)
		smp_run_begin(vp, 0, work, vp);
	board->ready = 1;
	work(0);
	for (unsigned vp = 1; vp < STRESS_VPS; vp++)
		smp_run_end(vp);
	check_counts();
	return 0;
}
