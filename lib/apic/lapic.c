/* SPDX-License-Identifier: MIT */
/* The local APIC's state: reset, priorities, accepting and ending interrupts. */
#include <string.h>
#include "apic/lapic_private.h"

const uint32_t lvt_writable[LAPIC_LVT_COUNT] = {
	[LAPIC_LVT_TIMER] = LVT_VECTOR | LAPIC_LVT_MASKED | LVT_TIMER_MODE,
	[LAPIC_LVT_THERMAL] = LVT_VECTOR | LVT_MODE | LAPIC_LVT_MASKED,
	[LAPIC_LVT_PERF] = LVT_VECTOR | LVT_MODE | LAPIC_LVT_MASKED,
	[LAPIC_LVT_LINT0] = LVT_VECTOR | LVT_MODE | LVT_POLARITY | LVT_LEVEL | LAPIC_LVT_MASKED,
	[LAPIC_LVT_LINT1] = LVT_VECTOR | LVT_MODE | LVT_POLARITY | LVT_LEVEL | LAPIC_LVT_MASKED,
	[LAPIC_LVT_ERROR] = LVT_VECTOR | LAPIC_LVT_MASKED,
};

/* 256-bit vector registers */

static void vector_set(uint32_t *bits, unsigned vector)
{
	bits[vector / 32] |= UINT32_C(1) << vector % 32;
}

static void vector_clear(uint32_t *bits, unsigned vector)
{
	bits[vector / 32] &= ~(UINT32_C(1) << vector % 32);
}

static bool vector_test(const uint32_t *bits, unsigned vector)
{
	return bits[vector / 32] >> vector % 32 & 1;
}

static int vector_highest(const uint32_t *bits)
{
	for (int i = 7; i >= 0; i--)
		if (bits[i])
			return i * 32 + 31 - __builtin_clz(bits[i]);
	return -1;
}

/* The priority class of a vector as in bits 7:4 of the priority registers; 0: no vector. */
static uint8_t class_of(int vector)
{
	return vector < 0 ? 0 : (uint8_t)(vector & 0xf0);
}

void lapic_reset_registers(struct lapic *l, uint32_t spiv)
{
	l->tpr = 0;
	l->ldr = 0;
	l->dfr = UINT32_MAX;
	l->spiv = spiv;
	l->esr = l->esr_new = 0;
	l->icr = l->icr_dest = 0;
	for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
		l->lvt[i] = LAPIC_LVT_MASKED;
	memset(l->isr, 0, sizeof(l->isr));
	memset(l->tmr, 0, sizeof(l->tmr));
	memset(l->irr, 0, sizeof(l->irr));
	memset(l->auto_eoi, 0, sizeof(l->auto_eoi));
	l->divide_config = 0;
	timer_stop(l);
}

void lapic_reset(struct lapic *l, uint32_t id, bool bsp, bool software_enabled)
{
	l->id = id;
	l->base = LAPIC_BASE_DEFAULT | LAPIC_BASE_ENABLE | (bsp ? LAPIC_BASE_BSP : 0);
	l->reset_spiv = software_enabled ? 0xff | LAPIC_SPIV_ENABLE : 0xff;
	l->events = 0;
	l->sipi_vector = 0;
	lapic_reset_registers(l, l->reset_spiv);
}

void lapic_reset_init(struct lapic *l)
{
	l->events &= LAPIC_EVENT_STARTUP;
	/* A disabled APIC comes back as the guest enables it, not now. */
	lapic_reset_registers(l, lapic_enabled(l) ? l->reset_spiv : 0xff);
}

/* Vectors 0-15 never wait; two of one class are never in service at once. */
static bool vectors_valid(const struct lapic *l)
{
	if ((l->irr[0] | l->isr[0] | l->tmr[0]) & 0xffff)
		return false;
	for (unsigned i = 0; i < 8; i++) {
		if (l->auto_eoi[i] & ~l->irr[i])
			return false;
		if (__builtin_popcount(l->isr[i] & 0xffff) > 1 ||
		    __builtin_popcount(l->isr[i] >> 16) > 1)
			return false;
	}
	return true;
}

static bool lvt_valid(const struct lapic *l)
{
	for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++) {
		uint32_t may = lvt_writable[i] | (i == LAPIC_LVT_LINT0 ? LVT_REMOTE_IRR : 0);

		if (l->lvt[i] & ~may)
			return false;
		if (!(l->spiv & LAPIC_SPIV_ENABLE) && !(l->lvt[i] & LAPIC_LVT_MASKED))
			return false;
	}
	return true;
}

bool lapic_valid(const struct lapic *l)
{
	const uint32_t errors = ESR_SEND_VECTOR | ESR_RECEIVE_VECTOR | ESR_REGISTER_ADDRESS;
	const unsigned events =
		LAPIC_EVENT_NMI | LAPIC_EVENT_SMI | LAPIC_EVENT_INIT | LAPIC_EVENT_STARTUP;

	if (l->maxphyaddr && (l->maxphyaddr < 32 || l->maxphyaddr > 52))
		return false;
	if (!base_valid(l, l->base) || (!lapic_enabled(l) && (l->spiv & LAPIC_SPIV_ENABLE)))
		return false;
	if (l->reset_spiv != 0xff && l->reset_spiv != (0xff | LAPIC_SPIV_ENABLE))
		return false;
	if (l->ldr & ~LDR_WRITABLE || (l->dfr & DFR_ONES) != DFR_ONES || l->spiv & ~SPIV_WRITABLE)
		return false;
	if ((l->esr | l->esr_new) & ~errors || l->events & ~events || l->icr & ~ICR_WRITABLE)
		return false;
	return vectors_valid(l) && lvt_valid(l) && timer_valid(l);
}

static bool accept_vector(struct lapic *l, uint8_t vector, bool level, bool auto_eoi)
{
	if (!lapic_software_enabled(l))
		return false;
	if (vector < FIRST_VECTOR) {
		lapic_error(l, ESR_RECEIVE_VECTOR);
		return false;
	}
	vector_set(l->irr, vector);
	(level ? vector_set : vector_clear)(l->tmr, vector);
	(auto_eoi ? vector_set : vector_clear)(l->auto_eoi, vector);
	return true;
}

bool lapic_accept(struct lapic *l, uint8_t vector, bool auto_eoi)
{
	return accept_vector(l, vector, false, auto_eoi);
}

bool lapic_deliver(struct lapic *l, const struct lapic_ipi *ipi)
{
	static const uint8_t event_of[8] = {
		[LAPIC_SMI] = LAPIC_EVENT_SMI,
		[LAPIC_NMI] = LAPIC_EVENT_NMI,
		[LAPIC_INIT] = LAPIC_EVENT_INIT,
		[LAPIC_STARTUP] = LAPIC_EVENT_STARTUP,
	};
	uint8_t event = event_of[ipi->mode & 7];

	if (!lapic_enabled(l))
		return false;
	if (ipi->mode == LAPIC_FIXED || ipi->mode == LAPIC_LOWEST)
		return accept_vector(l, ipi->vector, ipi->level, false);
	if (event == LAPIC_EVENT_INIT)
		l->events &= (uint8_t)~LAPIC_EVENT_STARTUP;
	if (event == LAPIC_EVENT_STARTUP)
		l->sipi_vector = ipi->vector;
	l->events |= event;
	return event;
}

/*
 * Only LINT0 can be level-triggered; it then stays silent until the EOI of its vector (SDM, "Local
 * Vector Table": remote IRR). Lowest priority, SIPI and ExtINT raise nothing from an LVT entry.
 */
bool lapic_raise(struct lapic *l, enum lapic_lvt lvt)
{
	struct lapic_ipi message = {.valid = true};
	uint32_t entry;

	if ((unsigned)lvt >= LAPIC_LVT_COUNT)
		return false;
	entry = l->lvt[lvt];
	message.vector = (uint8_t)(entry & LVT_VECTOR);
	message.mode = (uint8_t)((entry & LVT_MODE) >> 8);
	message.level = lvt == LAPIC_LVT_LINT0 && message.mode == LAPIC_FIXED && entry & LVT_LEVEL;
	if (entry & (LAPIC_LVT_MASKED | LVT_REMOTE_IRR))
		return false;
	if (message.mode == LAPIC_LOWEST || message.mode == LAPIC_STARTUP)
		return false;
	if (lvt == LAPIC_LVT_PERF)
		l->lvt[lvt] |= LAPIC_LVT_MASKED;
	if (!lapic_deliver(l, &message))
		return false;
	if (message.level)
		l->lvt[lvt] |= LVT_REMOTE_IRR;
	return true;
}

bool lapic_accepts_pic(const struct lapic *l)
{
	uint32_t lint0 = l->lvt[LAPIC_LVT_LINT0];

	if (!lapic_enabled(l))
		return true;
	return !(lint0 & LAPIC_LVT_MASKED) && (lint0 & LVT_MODE) >> 8 == LAPIC_EXTINT;
}

bool lapic_take(struct lapic *l, enum lapic_event event)
{
	bool waits = l->events & event;

	l->events &= (uint8_t)~event;
	return waits;
}

void lapic_error(struct lapic *l, uint32_t esr_bit)
{
	bool first = !l->esr_new;

	/* Set before raising: an error entry with an illegal vector is an error itself. */
	l->esr_new |= esr_bit;
	if (first)
		lapic_raise(l, LAPIC_LVT_ERROR);
}

uint8_t lapic_ppr(const struct lapic *l)
{
	uint8_t isrv = class_of(vector_highest(l->isr));

	return (l->tpr & 0xf0) >= isrv ? l->tpr : isrv;
}

/* SDM, "Lowest Priority Delivery Mode"; the AND of the two classes is how it has it. */
uint8_t lapic_apr(const struct lapic *l)
{
	uint8_t tpr = l->tpr & 0xf0;
	uint8_t irrv = class_of(vector_highest(l->irr));
	uint8_t isrv = class_of(vector_highest(l->isr));
	uint8_t both = tpr & isrv;

	if (tpr >= irrv && tpr > isrv)
		return l->tpr;
	return both > irrv ? both : irrv;
}

int lapic_highest(const struct lapic *l)
{
	int vector;

	if (!lapic_irr_any(l))
		return -1;
	vector = vector_highest(l->irr);
	return class_of(vector) > (lapic_ppr(l) & 0xf0) ? vector : -1;
}

int lapic_ack(struct lapic *l)
{
	int vector = lapic_highest(l);

	if (vector < 0)
		return -1;
	vector_clear(l->irr, (unsigned)vector);
	if (vector_test(l->auto_eoi, (unsigned)vector))
		vector_clear(l->auto_eoi, (unsigned)vector);
	else
		vector_set(l->isr, (unsigned)vector);
	return vector;
}

bool lapic_irr_pending(const struct lapic *l)
{
	return vector_highest(l->irr) >= 0;
}

int lapic_eoi(struct lapic *l)
{
	int vector = vector_highest(l->isr);
	uint32_t *lint0 = &l->lvt[LAPIC_LVT_LINT0];

	if (vector < 0)
		return -1;
	vector_clear(l->isr, (unsigned)vector);
	if (!vector_test(l->tmr, (unsigned)vector))
		return -1;
	if ((*lint0 & LVT_VECTOR) == (unsigned)vector)
		*lint0 &= ~LVT_REMOTE_IRR;
	return vector;
}
