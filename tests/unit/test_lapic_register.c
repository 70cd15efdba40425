/* SPDX-License-Identifier: MIT */
/* The local APIC's registers: the page, the x2APIC MSRs, modes, the ICR, errors. */
#include "lapic_fixture.h"

static void base_transitions(void **state)
{
	static const uint64_t modes[] = {BASE_DISABLED, BASE_XAPIC, BASE_X2APIC};
	static const bool legal[3][3] = {
		{true, true, false}, /* from disabled */
		{true, true, true},  /* from xAPIC */
		{true, false, true}, /* from x2APIC */
	};

	(void)state;
	for (size_t from = 0; from < 3; from++) {
		for (size_t to = 0; to < 3; to++) {
			struct lapic l = from == 2 ? x2apic_new(1) : apic_new(1);
			struct lapic before;

			assert_int_equal(msr_write(&l, LAPIC_MSR_BASE, modes[from]), 0);
			before = l;
			assert_int_equal(msr_write(&l, LAPIC_MSR_BASE, modes[to]),
					 legal[from][to] ? 0 : -EINVAL);
			assert_int_equal(msr_read(&l, LAPIC_MSR_BASE),
					 legal[from][to] ? modes[to] : modes[from]);
			if (!legal[from][to])
				assert_memory_equal(&l, &before, sizeof(l));
		}
	}
}

static void base_bits(void **state)
{
	struct lapic l = apic_new(0);

	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		bool reserved = bit < 8 || bit == 9 || bit >= 52;
		uint64_t value = BASE_XAPIC | UINT64_C(1) << bit;

		l = apic_new(0);
		assert_int_equal(msr_write(&l, LAPIC_MSR_BASE, value), reserved ? -EINVAL : 0);
	}
	l = apic_new(0);
	l.maxphyaddr = 40;
	assert_int_equal(msr_write(&l, LAPIC_MSR_BASE, BASE_XAPIC | UINT64_C(1) << 39), 0);
	assert_int_equal(msr_write(&l, LAPIC_MSR_BASE, BASE_XAPIC | UINT64_C(1) << 40), -EINVAL);
	assert_int_equal(msr_write(&l, LAPIC_MSR_BASE, BASE_DISABLED | LAPIC_BASE_X2APIC), -EINVAL);
	l.no_x2apic = true;
	assert_int_equal(msr_write(&l, LAPIC_MSR_BASE, BASE_XAPIC | LAPIC_BASE_X2APIC), -EINVAL);
	assert_int_equal(msr_write(&l, LAPIC_MSR_BASE, BASE_DISABLED), 0);
	l = apic_new(0);
	assert_int_equal(msr_write(&l, LAPIC_MSR_BASE, BASE_XAPIC | LAPIC_BASE_X2APIC), 0);
}

static void disabling_loses_state(void **state)
{
	struct lapic l = apic_new(9);

	(void)state;
	page_write(&l, APIC_TPR, 0x30);
	page_write(&l, APIC_LDR, 0x05000000);
	assert_true(lapic_accept(&l, 0x55, false));
	assert_int_equal(msr_write(&l, LAPIC_MSR_BASE, BASE_DISABLED), 0);
	assert_int_equal(msr_write(&l, LAPIC_MSR_BASE, BASE_XAPIC), 0);
	assert_int_equal(page_read(&l, APIC_ID), 9 << 24);
	assert_int_equal(page_read(&l, APIC_TPR), 0);
	assert_int_equal(page_read(&l, APIC_LDR), 0);
	assert_int_equal(page_read(&l, APIC_SPIV), 0xff);
	assert_false(lapic_irr_pending(&l));
}

static void x2apic_keeps_most(void **state)
{
	struct lapic l = apic_new(0x25);

	(void)state;
	page_write(&l, APIC_TPR, 0x30);
	page_write(&l, APIC_LDR, 0x05000000);
	page_write(&l, APIC_ICR_HIGH, 0x12000000);
	assert_true(lapic_accept(&l, 0x55, false));
	assert_int_equal(msr_write(&l, LAPIC_MSR_BASE, BASE_X2APIC), 0);
	assert_int_equal(msr_read(&l, msr_of(APIC_ID)), 0x25);
	assert_int_equal(msr_read(&l, msr_of(APIC_TPR)), 0x30);
	assert_int_equal(msr_read(&l, msr_of(APIC_LDR)), 0x00020020);
	assert_int_equal(msr_read(&l, msr_of(APIC_ICR)), 0);
	assert_int_equal(lapic_ack(&l), 0x55);

	l = x2apic_new(0xfffffff1);
	assert_int_equal(msr_read(&l, msr_of(APIC_LDR)), 0xffff0002);
}

/* The page follows its base, and is there in xAPIC mode only. */
static void page_is_there(void **state)
{
	struct lapic l = apic_new(1);
	uint32_t value = 77;
	const uint64_t moved = UINT64_C(0x123456000);

	(void)state;
	assert_int_equal(lapic_mmio_read(&l, gpa_from(0xfee01000), 4, &now, &value), -ENOENT);
	assert_int_equal(lapic_mmio_read(&l, gpa_from(0xfedffffc), 4, &now, &value), -ENOENT);
	assert_int_equal(msr_write(&l, LAPIC_MSR_BASE, moved | LAPIC_BASE_ENABLE), 0);
	assert_int_equal(lapic_mmio_read(&l, gpa_from(0xfee00020), 4, &now, &value), -ENOENT);
	assert_int_equal(value, 77);
	assert_int_equal(lapic_mmio_read(&l, gpa_from(moved + 0x20), 4, &now, &value), 0);
	assert_int_equal(value, 1 << 24);

	l = x2apic_new(1);
	effects.ipi.valid = true;
	assert_int_equal(lapic_mmio_write(&l, gpa_from(0xfee00080), 4, &value, &now, &effects),
			 -ENOENT);
	assert_false(effects.ipi.valid);
	assert_int_equal(msr_write(&l, LAPIC_MSR_BASE, BASE_DISABLED), 0);
	assert_int_equal(lapic_mmio_read(&l, gpa_from(0xfee00020), 4, &now, &value), -ENOENT);
}

static void sizes_and_alignment(void **state)
{
	static const struct {
		uint32_t offset;
		unsigned size;
		uint64_t expected;
	} reads[] = {
		{0x30, 4, 0x00050014}, {0x30, 1, 0x14},	  {0x30, 2, 0x0014}, {0x31, 1, 0x00},
		{0x32, 1, 0x05},       {0x32, 2, 0x0005}, {0x33, 1, 0x00},   {0x31, 4, 0},
		{0x33, 2, 0},	       {0x34, 4, 0},	  {0x3f, 1, 0},	     {0x30, 8, 0},
		{0x30, 3, 0},
	};
	struct lapic l = apic_new(0);

	(void)state;
	for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++) {
		uint64_t value = 0;

		assert_int_equal(lapic_mmio_read(&l, gpa_from(0xfee00000 + reads[i].offset),
						 reads[i].size, &now, &value),
				 0);
		assert_int_equal(value, reads[i].expected);
	}
	for (unsigned size = 1; size <= 8; size++) {
		for (uint32_t offset = APIC_TPR; offset < APIC_TPR + 16; offset++) {
			uint64_t value = 0x70;

			l = apic_new(0);
			assert_int_equal(lapic_mmio_write(&l, gpa_from(0xfee00000 + offset), size,
							  &value, &now, &effects),
					 0);
			assert_int_equal(l.tpr, size == 4 && offset == APIC_TPR ? 0x70 : 0);
		}
	}
	assert_int_equal(esr(&l), 0);
}

enum {
	NONE = 0,
	R = 1,
	W = 2,
	RW = 3
};

/* SDM, "Local APIC Register Address Map" and "x2APIC Register Address Space". */
static const struct {
	uint32_t offset;
	uint8_t page, msr;
	uint32_t page_bits; /* that can be written */
	uint32_t msr_bits;  /* whose writing is no #GP */
} registers[] = {
	{APIC_ID, R, R, 0, 0},
	{APIC_VERSION, R, R, 0, 0},
	{APIC_TPR, RW, RW, 0xff, 0xff},
	{APIC_APR, R, NONE, 0, 0},
	{APIC_PPR, R, R, 0, 0},
	{APIC_EOI, W, W, 0, 0},
	{APIC_REMOTE_READ, R, NONE, 0, 0},
	{APIC_LDR, RW, R, 0xff000000, 0},
	{APIC_DFR, RW, NONE, 0xf0000000, 0},
	{APIC_SPIV, RW, RW, 0x3ff, 0x3ff},
	{APIC_ISR, R, R, 0, 0},
	{APIC_ISR + 0x70, R, R, 0, 0},
	{APIC_TMR, R, R, 0, 0},
	{APIC_TMR + 0x70, R, R, 0, 0},
	{APIC_IRR, R, R, 0, 0},
	{APIC_IRR + 0x70, R, R, 0, 0},
	{APIC_ESR, RW, RW, 0, 0},
	{APIC_ICR, RW, RW, 0x000ccfff, 0x000cdfff},
	{APIC_ICR_HIGH, RW, NONE, 0xff000000, 0},
	{APIC_TIMER, RW, RW, 0x000700ff, 0x000710ff},
	{APIC_THERMAL, RW, RW, 0x000107ff, 0x000117ff},
	{APIC_PERF, RW, RW, 0x000107ff, 0x000117ff},
	{APIC_LINT0, RW, RW, 0x0001a7ff, 0x0001f7ff},
	{APIC_LINT1, RW, RW, 0x0001a7ff, 0x0001f7ff},
	{APIC_ERROR, RW, RW, 0x000100ff, 0x000110ff},
	{APIC_INITIAL, RW, RW, 0xffffffff, 0xffffffff},
	{APIC_CURRENT, R, R, 0, 0},
	{APIC_DIVIDE, RW, RW, 0xb, 0xb},
	{APIC_SELF_IPI, NONE, W, 0, 0xff},
};
#define REGISTERS (sizeof(registers) / sizeof(registers[0]))

static bool within_vectors(uint32_t offset)
{
	return offset >= APIC_ISR && offset < APIC_ESR;
}

static size_t find_register(uint32_t offset)
{
	size_t i = 0;

	while (i < REGISTERS && registers[i].offset != offset)
		i++;
	return i;
}

/* Every 16 bytes of the page: reserved ones are errors, and only they. */
static void page_map(void **state)
{
	(void)state;
	for (uint32_t offset = 0; offset < 0x1000; offset += 0x10) {
		size_t i = find_register(offset);
		bool there = within_vectors(offset) || (i < REGISTERS && registers[i].page);
		struct lapic l = apic_new(0);

		page_read(&l, offset);
		assert_int_equal(esr(&l), there ? 0 : ESR_ADDRESS);
		if (offset == APIC_ICR)
			continue; /* sends an illegal vector */
		page_write(&l, offset, 0);
		assert_int_equal(esr(&l), there ? 0 : ESR_ADDRESS);
	}
}

static void page_writable_bits(void **state)
{
	(void)state;
	for (size_t i = 0; i < REGISTERS; i++) {
		struct lapic l = apic_new(1);
		uint32_t before, bits = registers[i].page_bits;

		if (!(registers[i].page & R))
			continue;
		before = page_read(&l, registers[i].offset);
		page_write(&l, registers[i].offset, 0);
		assert_int_equal(page_read(&l, registers[i].offset), before & ~bits);
		page_write(&l, APIC_SPIV, 0x1ff);
		page_write(&l, registers[i].offset, UINT32_MAX);
		assert_int_equal(page_read(&l, registers[i].offset), (before & ~bits) | bits);
	}
}

/* Each MSR of the range: whether it can be read and written, and each of its bits. */
static void msr_map(void **state)
{
	(void)state;
	for (uint32_t index = 0x800; index <= 0x8ff; index++) {
		uint32_t offset = (index - 0x800) * 16;
		size_t i = find_register(offset);
		uint8_t access = within_vectors(offset) ? R : i < REGISTERS ? registers[i].msr : 0;
		struct lapic l = x2apic_new(1);
		uint64_t value;

		assert_int_equal(lapic_msr_read(&l, index, &now, &value), access & R ? 0 : -EINVAL);
		for (unsigned bit = 0; bit <= 64; bit++) {
			uint64_t bits = bit < 64 ? UINT64_C(1) << bit : 0;
			bool ok = access & W && (!bits || registers[i].msr_bits & bits ||
						 (offset == APIC_ICR && bit >= 32));
			struct lapic before;

			l = x2apic_new(1);
			before = l;
			assert_int_equal(msr_write(&l, index, bits), ok ? 0 : -EINVAL);
			if (!ok)
				assert_memory_equal(&l, &before, sizeof(l));
		}
	}
}

static void msrs_outside_x2apic(void **state)
{
	struct lapic l = apic_new(0);
	uint64_t value;

	(void)state;
	assert_int_equal(lapic_msr_read(&l, 0x802, &now, &value), -EINVAL);
	assert_int_equal(lapic_msr_read(&l, 0x830, &now, &value), -EINVAL);
	assert_int_equal(msr_write(&l, 0x808, 0), -EINVAL);
	assert_int_equal(msr_write(&l, 0x830, 0), -EINVAL);
	assert_int_equal(lapic_msr_read(&l, 0x7ff, &now, &value), -ENOENT);
	assert_int_equal(lapic_msr_read(&l, 0x900, &now, &value), -ENOENT);
	assert_int_equal(msr_write(&l, 0x900, 0), -ENOENT);
	assert_int_equal(msr_write(&l, 0x10, 0), -ENOENT);
}

static void soft_disable_masks_lvt(void **state)
{
	struct lapic l = apic_new(0);

	(void)state;
	for (uint32_t r = APIC_TIMER; r <= APIC_ERROR; r += 0x10)
		page_write(&l, r, 0x40);
	page_write(&l, APIC_SPIV, 0xff);
	for (uint32_t r = APIC_TIMER; r <= APIC_ERROR; r += 0x10) {
		assert_int_equal(page_read(&l, r), LAPIC_LVT_MASKED | 0x40);
		page_write(&l, r, 0x41); /* and they cannot be unmasked */
		assert_int_equal(page_read(&l, r), LAPIC_LVT_MASKED | 0x41);
	}
	page_write(&l, APIC_SPIV, 0x1ff);
	assert_int_equal(page_read(&l, APIC_ERROR), LAPIC_LVT_MASKED | 0x41);
}

#define XAPIC  false
#define X2APIC true

static void icr_sends(void **state)
{
	static const struct {
		bool x2;
		uint32_t low, high;
		struct lapic_ipi ipi;
	} cases[] = {
		/* valid, logical, level, vector, mode, shorthand, dest */
		{XAPIC, 0x00004031, 0x05000000, {true, false, false, 0x31, LAPIC_FIXED, 0, 5}},
		{XAPIC, 0x0000c831, 0x05000000, {true, true, false, 0x31, LAPIC_FIXED, 0, 5}},
		{XAPIC,
		 0x00000131,
		 0xff000000,
		 {true, false, false, 0x31, LAPIC_LOWEST, 0, LAPIC_BROADCAST}},
		{XAPIC, 0x00000200, 0x01000000, {true, false, false, 0, LAPIC_SMI, 0, 1}},
		{XAPIC, 0x00000331, 0x01000000, {.valid = false}},
		{XAPIC, 0x00000400, 0x01000000, {true, false, false, 0, LAPIC_NMI, 0, 1}},
		{XAPIC, 0x00004500, 0x01000000, {true, false, false, 0, LAPIC_INIT, 0, 1}},
		{XAPIC, 0x0000c500, 0x01000000, {true, false, false, 0, LAPIC_INIT, 0, 1}},
		{XAPIC, 0x00008500, 0x01000000, {.valid = false}}, /* INIT level de-assert */
		{XAPIC, 0x00004608, 0x01000000, {true, false, false, 8, LAPIC_STARTUP, 0, 1}},
		{XAPIC, 0x00000731, 0x01000000, {.valid = false}},
		{XAPIC, 0x00080031, 0, {true, false, false, 0x31, LAPIC_FIXED, LAPIC_DEST_ALL, 0}},
		{XAPIC, 0x000c0500, 0, {true, false, false, 0, LAPIC_INIT, LAPIC_DEST_OTHERS, 0}},
		{X2APIC,
		 0x00000031,
		 0x12345678,
		 {true, false, false, 0x31, LAPIC_FIXED, 0, 0x12345678}},
		{X2APIC, 0x00000031, 0xff, {true, false, false, 0x31, LAPIC_FIXED, 0, 0xff}},
		{X2APIC,
		 0x00000831,
		 0xffffffff,
		 {true, true, false, 0x31, LAPIC_FIXED, 0, LAPIC_BROADCAST}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lapic l = cases[i].x2 ? x2apic_new(0) : apic_new(0);
		uint64_t icr = (uint64_t)cases[i].high << 32 | cases[i].low, back;
		const struct lapic_ipi *want = &cases[i].ipi, *got = &effects.ipi;

		if (cases[i].x2) {
			assert_int_equal(msr_write(&l, msr_of(APIC_ICR), icr), 0);
		} else {
			page_write(&l, APIC_ICR_HIGH, cases[i].high);
			assert_false(effects.ipi.valid);
			page_write(&l, APIC_ICR, cases[i].low);
		}
		assert_int_equal(lapic_icr_read(&l, &back), 0);
		assert_int_equal(back, icr);
		for (int again = 0; again < 2; again++) {
			assert_int_equal(got->valid, want->valid);
			if (want->valid) {
				assert_int_equal(got->logical, want->logical);
				assert_int_equal(got->level, want->level);
				assert_int_equal(got->vector, want->vector);
				assert_int_equal(got->mode, want->mode);
				assert_int_equal(got->shorthand, want->shorthand);
				assert_int_equal(got->dest, want->dest);
			}
			assert_int_equal(lapic_icr_write(&l, icr, &effects), 0);
		}
	}
}

static void icr_refusals(void **state)
{
	struct lapic l = x2apic_new(0);
	uint64_t value;

	(void)state;
	assert_int_equal(lapic_icr_write(&l, 0x2031, &effects), -EINVAL);
	assert_int_equal(lapic_icr_write(&l, 0x80000031, &effects), -EINVAL);
	assert_int_equal(msr_write(&l, LAPIC_MSR_BASE, BASE_DISABLED), 0);
	assert_int_equal(lapic_icr_write(&l, 0x31, &effects), -EINVAL);
	assert_false(effects.ipi.valid);
	assert_int_equal(lapic_icr_read(&l, &value), -EINVAL);

	/* In xAPIC mode reserved bits do not stick. */
	l = apic_new(0);
	assert_int_equal(lapic_icr_write(&l, UINT64_C(0x12ffffff00003031), &effects), 0);
	assert_int_equal(effects.ipi.dest, 0x12);
	assert_int_equal(lapic_icr_read(&l, &value), 0);
	assert_int_equal(value, UINT64_C(0x1200000000000031));
}

static void self_ipis(void **state)
{
	struct lapic l = apic_new(0);

	(void)state;
	page_write(&l, APIC_ICR, 0x00040000 | 0x52);
	assert_false(effects.ipi.valid);
	assert_int_equal(lapic_ack(&l), 0x52);
	page_write(&l, APIC_ICR, 0x00040000 | LAPIC_NMI << 8);
	assert_true(lapic_take(&l, LAPIC_EVENT_NMI));

	l = x2apic_new(0);
	assert_int_equal(msr_write(&l, msr_of(APIC_SELF_IPI), 0x53), 0);
	assert_false(effects.ipi.valid);
	assert_int_equal(lapic_ack(&l), 0x53);
	assert_int_equal(msr_write(&l, msr_of(APIC_SELF_IPI), 0x0f), 0);
	assert_false(lapic_irr_pending(&l));
	assert_int_equal(esr(&l), ESR_SEND);
	assert_int_equal(msr_write(&l, msr_of(APIC_SELF_IPI), 0x100), -EINVAL);
}

static void eoi_tells_level_vectors(void **state)
{
	struct lapic l = x2apic_new(0);
	struct lapic_ipi ipi = {.valid = true, .vector = 0x91, .level = true};

	(void)state;
	assert_true(lapic_deliver(&l, &ipi));
	assert_int_equal(lapic_ack(&l), 0x91);
	assert_int_equal(msr_write(&l, msr_of(APIC_EOI), 1), -EINVAL);
	assert_int_equal(effects.eoi_vector, -1);
	assert_int_equal(msr_write(&l, msr_of(APIC_EOI), 0), 0);
	assert_int_equal(effects.eoi_vector, 0x91);
}

/* SDM, "Error Handling": which vectors and registers are errors, and of which kind. */
static void errors(void **state)
{
	enum cause {
		SEND,
		RECEIVE,
		READ
	};
	static const struct {
		enum cause cause;
		uint32_t with; /* the low half of the ICR, the vector, the offset in the page */
		uint32_t esr;
	} cases[] = {
		{SEND, 0x00, ESR_SEND},
		{SEND, 0x0f, ESR_SEND},
		{SEND, 0x10, 0},
		{SEND, LAPIC_LOWEST << 8 | 0x0f, ESR_SEND},
		{SEND, LAPIC_LOWEST << 8 | 0x10, 0},
		{SEND, LAPIC_SMI << 8, 0},
		{SEND, LAPIC_NMI << 8 | 0x0f, 0},
		{SEND, LAPIC_INIT << 8 | 0x4000, 0},
		{SEND, LAPIC_STARTUP << 8 | 0x0f, 0},
		{RECEIVE, 0x00, ESR_RECEIVE},
		{RECEIVE, 0x0f, ESR_RECEIVE},
		{RECEIVE, 0x10, 0},
		{RECEIVE, 0xff, 0},
		{READ, 0x000, ESR_ADDRESS},
		{READ, 0x040, ESR_ADDRESS},
		{READ, APIC_ID, 0},
		{READ, APIC_ERROR, 0},
		{READ, 0x3f0, ESR_ADDRESS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lapic l = apic_new(0);

		if (cases[i].cause == SEND)
			page_write(&l, APIC_ICR, cases[i].with);
		else if (cases[i].cause == RECEIVE)
			lapic_accept(&l, (uint8_t)cases[i].with, false);
		else
			page_read(&l, cases[i].with);
		if (esr(&l) != cases[i].esr || esr(&l) != 0)
			fail_msg("case %zu", i);
	}
}

static void esr_latches(void **state)
{
	struct lapic l = apic_new(0);

	(void)state;
	page_read(&l, 0x00);
	assert_int_equal(page_read(&l, APIC_ESR), 0); /* not before a write */
	page_write(&l, APIC_ICR, 0x0f);
	assert_false(effects.ipi.valid);
	assert_false(lapic_accept(&l, 0x00, false));
	assert_int_equal(esr(&l), ESR_ADDRESS | ESR_SEND | ESR_RECEIVE);
	assert_int_equal(page_read(&l, APIC_ESR), ESR_ADDRESS | ESR_SEND | ESR_RECEIVE);
	assert_int_equal(esr(&l), 0);			 /* back-to-back writes clear it */
	page_write(&l, APIC_ICR, 0x0f | LAPIC_NMI << 8); /* no vector in an NMI */
	assert_int_equal(esr(&l), 0);
}

static void error_interrupt(void **state)
{
	struct lapic l = apic_new(0);

	(void)state;
	page_write(&l, APIC_ERROR, 0xfe);
	page_read(&l, 0x00);
	assert_int_equal(lapic_ack(&l), 0xfe);
	page_write(&l, APIC_EOI, 0);
	page_read(&l, 0x00);
	assert_int_equal(lapic_ack(&l), -1); /* armed again by the write only */
	assert_int_equal(esr(&l), ESR_ADDRESS);
	page_read(&l, 0x00);
	assert_int_equal(lapic_ack(&l), 0xfe);

	/* An error entry whose own vector is illegal adds to the errors and ends there. */
	assert_int_equal(esr(&l), ESR_ADDRESS);
	page_write(&l, APIC_ERROR, 0x05);
	page_write(&l, APIC_ICR, 0x01);
	assert_int_equal(esr(&l), ESR_SEND | ESR_RECEIVE);
	assert_false(lapic_irr_pending(&l));
}

static void id_above_255_in_the_page(void **state)
{
	struct lapic l = apic_new(0x1234);

	(void)state;
	assert_int_equal(page_read(&l, APIC_ID), 0x34000000);
	page_write(&l, APIC_ID, 0x77000000);
	assert_int_equal(page_read(&l, APIC_ID), 0x34000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base_transitions),
		cmocka_unit_test(base_bits),
		cmocka_unit_test(disabling_loses_state),
		cmocka_unit_test(x2apic_keeps_most),
		cmocka_unit_test(page_is_there),
		cmocka_unit_test(sizes_and_alignment),
		cmocka_unit_test(page_map),
		cmocka_unit_test(page_writable_bits),
		cmocka_unit_test(msr_map),
		cmocka_unit_test(msrs_outside_x2apic),
		cmocka_unit_test(soft_disable_masks_lvt),
		cmocka_unit_test(icr_sends),
		cmocka_unit_test(icr_refusals),
		cmocka_unit_test(self_ipis),
		cmocka_unit_test(eoi_tells_level_vectors),
		cmocka_unit_test(errors),
		cmocka_unit_test(esr_latches),
		cmocka_unit_test(error_interrupt),
		cmocka_unit_test(id_above_255_in_the_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
