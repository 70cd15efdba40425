/* SPDX-License-Identifier: MIT */
/* A byte stream as a guest's accesses to two local APICs; every state they reach must be valid. */
#include <stddef.h>
#include <string.h>
#include "apic/lapic.h"

struct stream {
	const uint8_t *at, *end;
};

static uint64_t next(struct stream *s, size_t bytes)
{
	uint64_t value = 0;
	size_t left = (size_t)(s->end - s->at);

	if (bytes > left)
		bytes = left;
	memcpy(&value, s->at, bytes);
	s->at += bytes;
	return value;
}

static void require(bool condition)
{
	if (!condition)
		__builtin_trap();
}

static void route(struct lapic *apics, unsigned source, const struct lapic_effects *effects)
{
	const struct lapic_ipi *ipi = &effects->ipi;
	struct lapic *best = NULL;

	require(effects->eoi_vector >= -1 && effects->eoi_vector < 256);
	if (!ipi->valid)
		return;
	require(ipi->mode != 3 && ipi->mode < LAPIC_EXTINT && ipi->shorthand != LAPIC_DEST_SELF);
	for (unsigned i = 0; i < 2; i++) {
		if (!lapic_matches(&apics[i], ipi, i == source))
			continue;
		if (ipi->mode == LAPIC_LOWEST)
			best = lapic_arbitrate(best, &apics[i]);
		else
			lapic_deliver(&apics[i], ipi);
	}
	if (best)
		lapic_deliver(best, ipi);
}

static void acknowledge(struct lapic *l)
{
	int highest = lapic_highest(l);
	int vector = lapic_ack(l);

	require(vector == highest);
	require(vector < 0 || vector >= 16);
}

static void expire(struct lapic *l, const struct lapic_clock *clock)
{
	uint64_t next_ns = lapic_timer_deadline(l, clock);

	require(next_ns >= clock->now_ns);
	if (lapic_timer_expire(l, clock))
		require(next_ns == clock->now_ns);
	next_ns = lapic_timer_deadline(l, clock);
	require(next_ns > clock->now_ns || clock->now_ns == UINT64_MAX);
}

static void write_mmio(struct lapic *l, struct stream *s, const struct lapic_clock *clock,
		       struct lapic_effects *effects)
{
	uint64_t gpa = (l->base & LAPIC_BASE_ADDRESS) | (next(s, 2) & 0xfff);
	unsigned size = (unsigned)next(s, 1) & 7 ? 4 : 8;
	uint64_t value = next(s, 4);

	lapic_mmio_write(l, gpa_from(gpa), size, &value, clock, effects);
}

static void read_all_ways(struct lapic *l, struct stream *s, const struct lapic_clock *clock)
{
	uint64_t gpa = (l->base & LAPIC_BASE_ADDRESS) | (next(s, 2) & 0xfff);
	uint64_t value;

	lapic_mmio_read(l, gpa_from(gpa), 1 + ((unsigned)next(s, 1) & 7), clock, &value);
	lapic_msr_read(l, LAPIC_MSR_X2APIC_FIRST + (uint32_t)next(s, 1), clock, &value);
	lapic_msr_read(l, LAPIC_MSR_TSC_DEADLINE, clock, &value);
}

static void write_msr(struct lapic *l, struct stream *s, const struct lapic_clock *clock,
		      struct lapic_effects *effects)
{
	struct lapic before = *l;
	uint32_t index = LAPIC_MSR_X2APIC_FIRST + (uint32_t)next(s, 1);

	if (lapic_msr_write(l, index, next(s, next(s, 1) & 8 ? 8 : 2), clock, effects))
		require(!memcmp(l, &before, sizeof(before)));
}

static void write_base(struct lapic *l, struct stream *s, const struct lapic_clock *clock,
		       struct lapic_effects *effects)
{
	uint64_t mode = next(s, 1) & 3;

	lapic_msr_write(l, LAPIC_MSR_BASE, LAPIC_BASE_DEFAULT | mode << 10, clock, effects);
}

static void step(struct lapic *apics, struct stream *s, struct lapic_clock *clock)
{
	struct lapic_effects effects = {.eoi_vector = -1};
	uint8_t op = (uint8_t)next(s, 1);
	unsigned source = op >> 7;
	struct lapic *l = &apics[source];

	switch (op & 15) {
	case 0:
	case 1:
	case 2:
		write_mmio(l, s, clock, &effects);
		break;
	case 3:
	case 4:
		write_msr(l, s, clock, &effects);
		break;
	case 5:
		read_all_ways(l, s, clock);
		break;
	case 6:
		write_base(l, s, clock, &effects);
		break;
	case 7:
		lapic_accept(l, (uint8_t)next(s, 1), op & 16);
		break;
	case 8:
		acknowledge(l);
		break;
	case 9:
		effects.eoi_vector = lapic_eoi(l);
		break;
	case 10:
		lapic_raise(l, (enum lapic_lvt)(next(s, 1) & 7));
		break;
	case 11:
		lapic_msr_write(l, LAPIC_MSR_TSC_DEADLINE, next(s, 8), clock, &effects);
		break;
	case 12:
		clock->now_ns += next(s, op & 16 ? 6 : 2);
		clock->now_tsc += next(s, op & 32 ? 8 : 2);
		break;
	case 13:
		lapic_icr_write(l, next(s, 8), &effects);
		break;
	case 14:
		lapic_set_cr8(l, next(s, 1));
		lapic_take(l, (enum lapic_event)(1 << (op >> 4 & 3)));
		break;
	default:
		lapic_reset_init(l);
	}
	route(apics, source, &effects);
	expire(l, clock);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream s = {.at = data, .end = data + size};
	struct lapic apics[2];
	struct lapic_clock clock = {.now_ns = 1, .now_tsc = 1};

	memset(apics, 0, sizeof(apics));
	clock.tsc_khz = next(&s, 4);
	lapic_reset(&apics[0], (uint32_t)next(&s, 1), true, false);
	lapic_reset(&apics[1], (uint32_t)next(&s, 4), false, true);
	while (s.at < s.end) {
		step(apics, &s, &clock);
		require(lapic_valid(&apics[0]) && lapic_valid(&apics[1]));
	}
	return 0;
}
