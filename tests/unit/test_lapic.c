/* SPDX-License-Identifier: MIT */
/* The local APIC: reset, priorities, accepting, acknowledging, ending, and routing. */
#include "lapic_fixture.h"

static void reset_state(void **state)
{
	struct lapic l = {0};

	(void)state;
	lapic_reset(&l, 3, true, false);
	assert_int_equal(l.base, BASE_XAPIC | LAPIC_BASE_BSP);
	assert_int_equal(page_read(&l, APIC_ID), 3 << 24);
	assert_int_equal(page_read(&l, APIC_VERSION), 0x00050014);
	assert_int_equal(page_read(&l, APIC_SPIV), 0xff);
	assert_int_equal(page_read(&l, APIC_DFR), 0xffffffff);
	assert_int_equal(page_read(&l, APIC_LDR), 0);
	for (uint32_t r = APIC_TIMER; r <= APIC_ERROR; r += 0x10)
		assert_int_equal(page_read(&l, r), LAPIC_LVT_MASKED);
	assert_int_equal(lapic_highest(&l), -1);
	assert_false(lapic_accept(&l, 0x40, false));
	assert_true(lapic_valid(&l));

	lapic_reset(&l, 3, false, true);
	assert_int_equal(l.base, BASE_XAPIC);
	assert_int_equal(page_read(&l, APIC_SPIV), 0x1ff);
	assert_true(lapic_accept(&l, 0x40, false));
	assert_true(lapic_valid(&l));
}

static void init_keeps_mode_and_sipi(void **state)
{
	struct lapic l = x2apic_new(5);

	(void)state;
	l.events = LAPIC_EVENT_INIT | LAPIC_EVENT_NMI | LAPIC_EVENT_STARTUP;
	l.sipi_vector = 0x12;
	lapic_set_tpr(&l, 0x20);
	assert_true(lapic_accept(&l, 0x40, true));
	assert_true(lapic_take(&l, LAPIC_EVENT_INIT));
	lapic_reset_init(&l);
	assert_true(lapic_valid(&l));
	assert_true(lapic_x2apic(&l));
	assert_int_equal(l.tpr, 0);
	assert_false(lapic_irr_pending(&l));
	assert_int_equal(l.spiv, 0x1ff);
	assert_int_equal(l.events, LAPIC_EVENT_STARTUP);
	assert_int_equal(l.sipi_vector, 0x12);

	assert_int_equal(msr_write(&l, LAPIC_MSR_BASE, BASE_DISABLED), 0);
	lapic_reset_init(&l);
	assert_true(lapic_valid(&l));
	assert_int_equal(l.spiv, 0xff);
}

/* SDM, "Task and Processor Priorities" and "Lowest Priority Delivery Mode". */
static void priorities(void **state)
{
	static const struct {
		uint8_t tpr, irrv, isrv, ppr, apr;
		int highest;
	} cases[] = {
		/* tpr, irrv, isrv -> ppr, apr, highest */
		{0x00, 0x00, 0x00, 0x00, 0x00, -1},   {0x00, 0x10, 0x00, 0x00, 0x10, 0x10},
		{0x00, 0xff, 0x00, 0x00, 0xf0, 0xff}, {0x0f, 0x10, 0x00, 0x0f, 0x10, 0x10},
		{0x10, 0x1f, 0x00, 0x10, 0x10, -1},   {0x1f, 0x20, 0x00, 0x1f, 0x20, 0x20},
		{0xf0, 0xff, 0x00, 0xf0, 0xf0, -1},   {0x00, 0x45, 0x41, 0x40, 0x40, -1},
		{0x00, 0x50, 0x4f, 0x40, 0x50, 0x50}, {0x45, 0x50, 0x41, 0x45, 0x50, 0x50},
		{0x45, 0x00, 0x41, 0x45, 0x40, -1},   {0x55, 0x41, 0x42, 0x55, 0x55, -1},
		{0x35, 0x30, 0x42, 0x40, 0x30, -1},   {0x35, 0x20, 0x00, 0x35, 0x35, -1},
		{0xa7, 0x90, 0xc0, 0xc0, 0x90, -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lapic l = apic_new(0);

		if (cases[i].isrv) {
			assert_true(lapic_accept(&l, cases[i].isrv, false));
			assert_int_equal(lapic_ack(&l), cases[i].isrv);
		}
		if (cases[i].irrv)
			assert_true(lapic_accept(&l, cases[i].irrv, false));
		page_write(&l, APIC_TPR, cases[i].tpr);
		assert_int_equal(page_read(&l, APIC_PPR), cases[i].ppr);
		assert_int_equal(page_read(&l, APIC_APR), cases[i].apr);
		assert_int_equal(lapic_highest(&l), cases[i].highest);
		assert_int_equal(lapic_irr_pending(&l), cases[i].irrv != 0);
		if (cases[i].highest < 0)
			assert_int_equal(lapic_ack(&l), -1);
	}
}

static bool in_register(struct lapic *l, uint32_t reg, uint8_t vector)
{
	return page_read(l, reg + vector / 32 * 0x10u) >> vector % 32 & 1;
}

static uint8_t highest_in(struct lapic *l, uint32_t reg)
{
	uint8_t vector = 255;

	while (vector && !in_register(l, reg, vector))
		vector--;
	return vector;
}

/*
 * SDM, "Interrupt Acceptance for Fixed Interrupts" and "Signaling Interrupt Servicing Completion":
 * what each step leaves highest in service (ISR) and waiting (IRR), 0 for none, and the PPR.
 */
static void nesting_steps(void **state)
{
	enum step {
		ACCEPT,
		ACK,
		EOI,
		TPR
	};
	static const struct {
		enum step step;
		int with; /* the vector or the TPR; of ACK: what is taken */
		uint8_t isrv, irrv, ppr;
	} steps[] = {
		{ACCEPT, 0x41, 0x00, 0x41, 0x00}, {ACK, 0x41, 0x41, 0x00, 0x40},
		{ACCEPT, 0x4f, 0x41, 0x4f, 0x40}, {ACK, -1, 0x41, 0x4f, 0x40}, /* same class */
		{ACCEPT, 0x50, 0x41, 0x50, 0x40}, {ACK, 0x50, 0x50, 0x4f, 0x50},
		{ACCEPT, 0x41, 0x50, 0x4f, 0x50}, /* in service and waiting */
		{TPR, 0x85, 0x50, 0x4f, 0x85},	  {ACCEPT, 0x8f, 0x50, 0x8f, 0x85},
		{ACK, -1, 0x50, 0x8f, 0x85}, /* held by the TPR */
		{ACCEPT, 0xa0, 0x50, 0xa0, 0x85}, {ACK, 0xa0, 0xa0, 0x8f, 0xa0},
		{EOI, 0, 0x50, 0x8f, 0x85},	  {TPR, 0x5f, 0x50, 0x8f, 0x5f},
		{ACK, 0x8f, 0x8f, 0x4f, 0x80},	  {EOI, 0, 0x50, 0x4f, 0x5f},
		{EOI, 0, 0x41, 0x4f, 0x5f},	  {TPR, 0x00, 0x41, 0x4f, 0x40},
		{ACK, -1, 0x41, 0x4f, 0x40},	  {EOI, 0, 0x00, 0x4f, 0x00},
		{ACK, 0x4f, 0x4f, 0x41, 0x40},	  {EOI, 0, 0x00, 0x41, 0x00},
		{ACK, 0x41, 0x41, 0x00, 0x40},	  {EOI, 0, 0x00, 0x00, 0x00},
		{EOI, 0, 0x00, 0x00, 0x00}, /* none in service */
	};
	struct lapic l = apic_new(0);

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (steps[i].step == ACCEPT)
			assert_true(lapic_accept(&l, (uint8_t)steps[i].with, false));
		else if (steps[i].step == ACK)
			assert_int_equal(lapic_ack(&l), steps[i].with);
		else
			page_write(&l, steps[i].step == EOI ? APIC_EOI : APIC_TPR,
				   (uint32_t)steps[i].with);
		if (highest_in(&l, APIC_ISR) != steps[i].isrv ||
		    highest_in(&l, APIC_IRR) != steps[i].irrv ||
		    page_read(&l, APIC_PPR) != steps[i].ppr)
			fail_msg("step %zu", i);
		assert_true(lapic_valid(&l));
	}
}

static void nesting_and_eoi_order(void **state)
{
	struct lapic l = apic_new(0);

	(void)state;
	assert_true(lapic_accept(&l, 0x31, false));
	assert_true(lapic_accept(&l, 0x3e, false));
	assert_int_equal(lapic_ack(&l), 0x3e);
	assert_false(in_register(&l, APIC_IRR, 0x3e));
	assert_true(in_register(&l, APIC_ISR, 0x3e));
	assert_int_equal(lapic_ack(&l), -1);	    /* 31: same class */
	assert_true(lapic_accept(&l, 0x3e, false)); /* again, while in service */
	assert_true(lapic_accept(&l, 0x80, false));
	assert_true(lapic_accept(&l, 0xe0, false));
	assert_int_equal(lapic_ack(&l), 0xe0);
	assert_int_equal(lapic_ack(&l), -1);
	assert_true(lapic_valid(&l));

	/* EOI ends the highest, whatever came last. */
	assert_int_equal(lapic_eoi(&l), -1);
	assert_false(in_register(&l, APIC_ISR, 0xe0));
	assert_true(in_register(&l, APIC_ISR, 0x3e));
	assert_int_equal(lapic_ack(&l), 0x80);
	page_write(&l, APIC_EOI, 0);
	assert_int_equal(effects.eoi_vector, -1);
	assert_int_equal(lapic_ack(&l), -1);
	page_write(&l, APIC_EOI, 0);
	assert_int_equal(lapic_ack(&l), 0x3e);
	page_write(&l, APIC_EOI, 0);
	assert_int_equal(lapic_ack(&l), 0x31);
	page_write(&l, APIC_EOI, 0);
	assert_int_equal(lapic_eoi(&l), -1); /* none in service */
	assert_false(lapic_irr_pending(&l));
}

static void every_vector(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 256; v++) {
		struct lapic l = apic_new(0);

		assert_int_equal(lapic_accept(&l, (uint8_t)v, false), v >= 16);
		assert_true(lapic_valid(&l));
		assert_int_equal(lapic_ack(&l), v >= 16 ? (int)v : -1);
		assert_int_equal(esr(&l), v >= 16 ? 0 : ESR_RECEIVE);
		if (v >= 16)
			assert_true(in_register(&l, APIC_ISR, (uint8_t)v));
	}
}

static void level_eoi_is_broadcast(void **state)
{
	struct lapic l = apic_new(0);
	struct lapic_ipi ipi = {.valid = true, .vector = 0x51, .level = true};

	(void)state;
	assert_true(lapic_deliver(&l, &ipi));
	assert_true(in_register(&l, APIC_TMR, 0x51));
	assert_int_equal(lapic_ack(&l), 0x51);
	page_write(&l, APIC_EOI, 0);
	assert_int_equal(effects.eoi_vector, 0x51);

	/* The same vector as an edge clears the TMR again. */
	ipi.level = false;
	assert_true(lapic_deliver(&l, &ipi));
	assert_false(in_register(&l, APIC_TMR, 0x51));
	assert_int_equal(lapic_ack(&l), 0x51);
	assert_int_equal(lapic_eoi(&l), -1);
}

static void auto_eoi(void **state)
{
	struct lapic l = apic_new(0);

	(void)state;
	assert_true(lapic_accept(&l, 0x60, true));
	assert_true(lapic_accept(&l, 0x50, false));
	assert_int_equal(lapic_ack(&l), 0x60);
	assert_false(in_register(&l, APIC_ISR, 0x60));
	assert_int_equal(page_read(&l, APIC_PPR), 0);
	assert_int_equal(lapic_ack(&l), 0x50); /* nothing is in service above it */
	assert_true(in_register(&l, APIC_ISR, 0x50));

	/* What was asked last counts, and only for this one time. */
	assert_true(lapic_accept(&l, 0x60, true));
	assert_true(lapic_accept(&l, 0x60, false));
	assert_int_equal(lapic_ack(&l), 0x60);
	assert_true(in_register(&l, APIC_ISR, 0x60));
	assert_true(lapic_valid(&l));
}

static void cr8_is_tpr(void **state)
{
	struct lapic l = apic_new(0);

	(void)state;
	lapic_set_cr8(&l, UINT64_C(0xfffffffffffffff5));
	assert_int_equal(page_read(&l, APIC_TPR), 0x50);
	page_write(&l, APIC_TPR, 0xffffff7c);
	assert_int_equal(page_read(&l, APIC_TPR), 0x7c);
	assert_int_equal(lapic_cr8(&l), 7);
	lapic_set_tpr(&l, 0x9f);
	assert_int_equal(lapic_cr8(&l), 9);
}

static void deliver_modes(void **state)
{
	static const struct {
		uint8_t mode, events;
		bool vector, taken_when_soft_disabled;
	} cases[] = {
		{LAPIC_FIXED, 0, true, false},
		{LAPIC_LOWEST, 0, true, false},
		{LAPIC_SMI, LAPIC_EVENT_SMI, false, true},
		{3, 0, false, false},
		{LAPIC_NMI, LAPIC_EVENT_NMI, false, true},
		{LAPIC_INIT, LAPIC_EVENT_INIT, false, true},
		{LAPIC_STARTUP, LAPIC_EVENT_STARTUP, false, true},
		{LAPIC_EXTINT, 0, false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lapic l = apic_new(0);
		struct lapic_ipi ipi = {.valid = true, .mode = cases[i].mode, .vector = 0x77};

		assert_int_equal(lapic_deliver(&l, &ipi), cases[i].vector || cases[i].events);
		assert_int_equal(l.events, cases[i].events);
		assert_int_equal(lapic_irr_pending(&l), cases[i].vector);
		if (cases[i].mode == LAPIC_STARTUP)
			assert_int_equal(l.sipi_vector, 0x77);

		l = apic_new(0);
		page_write(&l, APIC_SPIV, 0xff);
		assert_int_equal(lapic_deliver(&l, &ipi), cases[i].taken_when_soft_disabled);
		assert_false(lapic_irr_pending(&l));

		l = apic_new(0);
		assert_int_equal(msr_write(&l, LAPIC_MSR_BASE, BASE_DISABLED), 0);
		assert_false(lapic_deliver(&l, &ipi));
		assert_int_equal(l.events, 0);
	}
}

static void events_are_taken_once(void **state)
{
	struct lapic l = apic_new(0);
	struct lapic_ipi init = {.valid = true, .mode = LAPIC_INIT};
	struct lapic_ipi sipi = {.valid = true, .mode = LAPIC_STARTUP, .vector = 9};

	(void)state;
	assert_true(lapic_deliver(&l, &sipi));
	assert_true(lapic_deliver(&l, &init)); /* forgets the SIPI before it */
	assert_false(lapic_take(&l, LAPIC_EVENT_STARTUP));
	assert_true(lapic_deliver(&l, &sipi));
	assert_true(lapic_take(&l, LAPIC_EVENT_INIT));
	assert_false(lapic_take(&l, LAPIC_EVENT_INIT));
	assert_true(lapic_take(&l, LAPIC_EVENT_STARTUP));
	assert_false(lapic_take(&l, LAPIC_EVENT_STARTUP));
}

/* Vectors that wait outlive a software disable (SDM). */
static void soft_disable_holds_irr(void **state)
{
	struct lapic l = apic_new(0);

	(void)state;
	assert_true(lapic_accept(&l, 0x66, false));
	page_write(&l, APIC_SPIV, 0xff);
	assert_int_equal(lapic_ack(&l), 0x66);
}

static void raise_lvt(void **state)
{
	struct lapic l = apic_new(0);

	(void)state;
	assert_false(lapic_raise(&l, LAPIC_LVT_THERMAL)); /* masked */
	page_write(&l, APIC_THERMAL, 0x44);
	assert_true(lapic_raise(&l, LAPIC_LVT_THERMAL));
	assert_int_equal(lapic_ack(&l), 0x44);
	page_write(&l, APIC_LINT1, LAPIC_NMI << 8);
	assert_true(lapic_raise(&l, LAPIC_LVT_LINT1));
	assert_true(lapic_take(&l, LAPIC_EVENT_NMI));
	page_write(&l, APIC_LINT1, LAPIC_LOWEST << 8 | 0x99);
	assert_false(lapic_raise(&l, LAPIC_LVT_LINT1));
	page_write(&l, APIC_LINT1, LAPIC_STARTUP << 8 | 0x99);
	assert_false(lapic_raise(&l, LAPIC_LVT_LINT1));
	assert_false(lapic_raise(&l, LAPIC_LVT_COUNT));

	page_write(&l, APIC_PERF, LAPIC_NMI << 8);
	assert_true(lapic_raise(&l, LAPIC_LVT_PERF));
	assert_int_equal(page_read(&l, APIC_PERF), LAPIC_LVT_MASKED | LAPIC_NMI << 8);
	assert_false(lapic_raise(&l, LAPIC_LVT_PERF));

	page_write(&l, APIC_THERMAL, 0x0f);
	assert_false(lapic_raise(&l, LAPIC_LVT_THERMAL));
	assert_int_equal(esr(&l), ESR_RECEIVE);
}

static void lint0_level_waits_for_eoi(void **state)
{
	struct lapic l = apic_new(0);

	(void)state;
	page_write(&l, APIC_LINT0, 0x8000 | 0x35);
	assert_true(lapic_raise(&l, LAPIC_LVT_LINT0));
	assert_int_equal(page_read(&l, APIC_LINT0), 0x8000 | 0x4000 | 0x35);
	assert_int_equal(lapic_ack(&l), 0x35);
	assert_false(lapic_raise(&l, LAPIC_LVT_LINT0));
	page_write(&l, APIC_LINT0, LAPIC_LVT_MASKED | 0x8000 | 0x35); /* masking changes nothing */
	assert_int_equal(page_read(&l, APIC_LINT0), LAPIC_LVT_MASKED | 0x8000 | 0x4000 | 0x35);
	page_write(&l, APIC_LINT0, 0x8000 | 0x35);
	assert_int_equal(lapic_eoi(&l), 0x35);
	assert_int_equal(page_read(&l, APIC_LINT0), 0x8000 | 0x35);
	assert_true(lapic_raise(&l, LAPIC_LVT_LINT0));
	page_write(&l, APIC_LINT0, 0x36); /* another interrupt */
	assert_int_equal(page_read(&l, APIC_LINT0), 0x36);
}

static void pic_through_lint0(void **state)
{
	struct lapic l = apic_new(0);

	(void)state;
	assert_false(lapic_accepts_pic(&l));
	page_write(&l, APIC_LINT0, LAPIC_EXTINT << 8);
	assert_true(lapic_accepts_pic(&l));
	assert_false(lapic_raise(&l, LAPIC_LVT_LINT0));
	page_write(&l, APIC_LINT0, 0x40);
	assert_false(lapic_accepts_pic(&l));
	assert_int_equal(msr_write(&l, LAPIC_MSR_BASE, BASE_DISABLED), 0);
	assert_true(lapic_accepts_pic(&l));
}

#define XAPIC(id)      (id), 0xffffffff, 0
#define FLAT(ldr)      7, 0xffffffff, (ldr)
#define CLUSTER(ldr)   7, 0x0fffffff, (ldr)
#define X2APIC(id)     (id), 0, 0
#define BROADCAST      LAPIC_BROADCAST
#define PHYSICAL(dest) false, (dest)
#define LOGICAL(dest)  true, (dest)

static void matches_destination(void **state)
{
	static const struct {
		uint32_t id, dfr, ldr; /* dfr 0: x2APIC mode */
		bool logical;
		uint32_t dest;
		bool expected;
	} cases[] = {
		{XAPIC(3), PHYSICAL(3), true},
		{XAPIC(3), PHYSICAL(4), false},
		{XAPIC(3), PHYSICAL(BROADCAST), true},
		{XAPIC(3), PHYSICAL(0xff), false},
		{XAPIC(3), PHYSICAL(0x103), false},
		{XAPIC(0x103), PHYSICAL(3), false},
		{XAPIC(0x103), PHYSICAL(0x103), true},
		{FLAT(0x01), LOGICAL(0x01), true},
		{FLAT(0x01), LOGICAL(0x02), false},
		{FLAT(0x80), LOGICAL(0xfe), true},
		{FLAT(0x00), LOGICAL(0x7f), false},
		{FLAT(0x01), LOGICAL(0x101), false},
		{FLAT(0x00), LOGICAL(BROADCAST), true},
		{CLUSTER(0x21), LOGICAL(0x21), true},
		{CLUSTER(0x21), LOGICAL(0x2f), true},
		{CLUSTER(0x21), LOGICAL(0x22), false},
		{CLUSTER(0x21), LOGICAL(0x31), false},
		{CLUSTER(0x21), LOGICAL(0x2e), false},
		{CLUSTER(0x21), LOGICAL(BROADCAST), true},
		{7, 0x7fffffff, 0xff, LOGICAL(0x01), false}, /* a model there is none of */
		{X2APIC(0x25), PHYSICAL(0x25), true},
		{X2APIC(0x25), PHYSICAL(0x125), false},
		{X2APIC(0x25), PHYSICAL(BROADCAST), true},
		{X2APIC(0xff), PHYSICAL(0xff), true},
		{X2APIC(0x25), LOGICAL(0x00020020), true},
		{X2APIC(0x25), LOGICAL(0x0002ffff), true},
		{X2APIC(0x25), LOGICAL(0x0002ffdf), false},
		{X2APIC(0x25), LOGICAL(0x00030020), false},
		{X2APIC(0x25), LOGICAL(BROADCAST), true},
		{X2APIC(0x12340), LOGICAL(0x12340001), true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool x2 = !cases[i].dfr;
		struct lapic l = x2 ? x2apic_new(cases[i].id) : apic_new(cases[i].id);
		struct lapic_ipi ipi = {
			.valid = true, .logical = cases[i].logical, .dest = cases[i].dest};

		if (!x2) {
			page_write(&l, APIC_DFR, cases[i].dfr);
			page_write(&l, APIC_LDR, cases[i].ldr << 24);
		}
		if (lapic_matches(&l, &ipi, false) != cases[i].expected)
			fail_msg("case %zu", i);
	}
}

static void matches_shorthand(void **state)
{
	static const bool expected[4][2] = {
		/* not the source, the source */
		[LAPIC_DEST_FIELD] = {true, true},
		[LAPIC_DEST_SELF] = {false, true},
		[LAPIC_DEST_ALL] = {true, true},
		[LAPIC_DEST_OTHERS] = {true, false},
	};
	struct lapic l = apic_new(1);

	(void)state;
	for (uint8_t s = 0; s < 4; s++) {
		struct lapic_ipi ipi = {.valid = true, .shorthand = s, .dest = 1};

		assert_int_equal(lapic_matches(&l, &ipi, false), expected[s][0]);
		assert_int_equal(lapic_matches(&l, &ipi, true), expected[s][1]);
	}
	assert_int_equal(msr_write(&l, LAPIC_MSR_BASE, BASE_DISABLED), 0);
	for (uint8_t s = 0; s < 4; s++) {
		struct lapic_ipi ipi = {.valid = true, .shorthand = s, .dest = 1};

		assert_false(lapic_matches(&l, &ipi, true));
	}
}

static void arbitration(void **state)
{
	struct lapic a = apic_new(0), b = apic_new(1), off = apic_new(2);

	(void)state;
	page_write(&off, APIC_SPIV, 0xff);
	assert_null(lapic_arbitrate(NULL, &off));
	assert_ptr_equal(lapic_arbitrate(NULL, &a), &a);
	assert_ptr_equal(lapic_arbitrate(&a, &off), &a);
	assert_ptr_equal(lapic_arbitrate(&a, &b), &a); /* equal */
	lapic_set_tpr(&a, 0x30);
	assert_ptr_equal(lapic_arbitrate(&a, &b), &b);
	assert_true(lapic_accept(&b, 0x90, false));
	assert_ptr_equal(lapic_arbitrate(&a, &b), &a);
}

/* Each edit makes a good image one that no APIC leaves. */
static void invalid_images(void **state)
{
	struct lapic good = apic_new(0), l;

	(void)state;
#define BAD(edit)                              \
	do {                                   \
		l = good;                      \
		edit;                          \
		assert_false(lapic_valid(&l)); \
	} while (0)
	BAD(l.irr[0] = 1);
	BAD(l.isr[0] = 0x8000);
	BAD(l.tmr[0] = 2);
	BAD(l.auto_eoi[3] = 1);
	BAD(l.isr[2] = 3);
	BAD(l.isr[2] = 0x30000);
	BAD(l.base = BASE_DISABLED | LAPIC_BASE_X2APIC);
	BAD(l.base |= 1);
	BAD(l.base &= ~LAPIC_BASE_ENABLE);
	BAD(l.maxphyaddr = 53);
	BAD(l.maxphyaddr = 31);
	BAD(l.reset_spiv = 0);
	BAD(l.ldr = 1);
	BAD(l.dfr = 0);
	BAD(l.spiv |= 0x400);
	BAD(l.spiv = 0xff; l.lvt[LAPIC_LVT_ERROR] = 0x20);
	BAD(l.esr = 1);
	BAD(l.esr_new = 0x100);
	BAD(l.events = 0x10);
	BAD(l.icr = 0x1000);
	BAD(l.lvt[LAPIC_LVT_TIMER] |= 0x700);
	BAD(l.lvt[LAPIC_LVT_LINT1] |= 0x4000);
	BAD(l.divide_config = 4);
	BAD(l.tsc_deadline = 1);
	BAD(l.expiry_ns = 1);
	BAD(l.lvt[LAPIC_LVT_TIMER] = LAPIC_LVT_MASKED | 0x40000; l.initial_count = 1);
#undef BAD
	good.maxphyaddr = 40;
	assert_true(lapic_valid(&good));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reset_state),
		cmocka_unit_test(init_keeps_mode_and_sipi),
		cmocka_unit_test(priorities),
		cmocka_unit_test(nesting_steps),
		cmocka_unit_test(nesting_and_eoi_order),
		cmocka_unit_test(every_vector),
		cmocka_unit_test(level_eoi_is_broadcast),
		cmocka_unit_test(auto_eoi),
		cmocka_unit_test(cr8_is_tpr),
		cmocka_unit_test(deliver_modes),
		cmocka_unit_test(events_are_taken_once),
		cmocka_unit_test(soft_disable_holds_irr),
		cmocka_unit_test(raise_lvt),
		cmocka_unit_test(lint0_level_waits_for_eoi),
		cmocka_unit_test(pic_through_lint0),
		cmocka_unit_test(matches_destination),
		cmocka_unit_test(matches_shorthand),
		cmocka_unit_test(arbitration),
		cmocka_unit_test(invalid_images),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
