/* SPDX-License-Identifier: MIT */
/* Sending an interrupt message, and which local APICs a message is for. */
#include <errno.h>
#include "apic/lapic_private.h"

#define ICR_VECTOR    UINT32_C(0xff)
#define ICR_LOGICAL   UINT32_C(0x800)
#define ICR_ASSERT    UINT32_C(0x4000)
#define ICR_LEVEL     UINT32_C(0x8000)
#define ICR_SHORTHAND UINT32_C(0xc0000)

/* Delivery modes an IPI can have: reserved encodings and ExtINT send nothing. */
#define IPI_MODES                                                                     \
	(1U << LAPIC_FIXED | 1U << LAPIC_LOWEST | 1U << LAPIC_SMI | 1U << LAPIC_NMI | \
	 1U << LAPIC_INIT | 1U << LAPIC_STARTUP)

/* In xAPIC mode the destination is 8 bits wide, and 0xff of them is everyone. */
static uint32_t destination(const struct lapic *l)
{
	uint32_t dest = l->icr_dest >> 24;

	if (lapic_x2apic(l))
		return l->icr_dest;
	return dest == 0xff ? LAPIC_BROADCAST : dest;
}

/*
 * IPIs are edge-triggered whatever the trigger bit says; that only tells INIT from INIT level
 * de-assert, which no processor since the Pentium 4 acts on (SDM, "Interrupt Command Register").
 */
void icr_send(struct lapic *l, struct lapic_effects *effects)
{
	uint32_t icr = l->icr;
	struct lapic_ipi ipi = {
		.valid = true,
		.logical = icr & ICR_LOGICAL,
		.vector = (uint8_t)(icr & ICR_VECTOR),
		.mode = (uint8_t)(icr >> 8 & 7),
		.shorthand = (uint8_t)((icr & ICR_SHORTHAND) >> 18),
		.dest = destination(l),
	};

	if (!(IPI_MODES >> ipi.mode & 1))
		return;
	if (ipi.mode == LAPIC_INIT && (icr & (ICR_LEVEL | ICR_ASSERT)) == ICR_LEVEL)
		return;
	if ((ipi.mode == LAPIC_FIXED || ipi.mode == LAPIC_LOWEST) && ipi.vector < FIRST_VECTOR) {
		lapic_error(l, ESR_SEND_VECTOR);
		return;
	}
	if (ipi.shorthand == LAPIC_DEST_SELF)
		lapic_deliver(l, &ipi);
	else
		effects->ipi = ipi;
}

int lapic_icr_read(const struct lapic *l, uint64_t *value)
{
	if (!lapic_enabled(l))
		return -EINVAL;
	*value = (uint64_t)l->icr_dest << 32 | l->icr;
	return 0;
}

int lapic_icr_write(struct lapic *l, uint64_t value, struct lapic_effects *effects)
{
	uint32_t low = (uint32_t)value;

	*effects = (struct lapic_effects){.eoi_vector = -1};
	if (!lapic_enabled(l) || (lapic_x2apic(l) && low & ~(ICR_WRITABLE | ICR_STATUS)))
		return -EINVAL;
	l->icr = low & ICR_WRITABLE;
	l->icr_dest = (uint32_t)(value >> 32) & (lapic_x2apic(l) ? UINT32_MAX : ICR_DEST_WRITABLE);
	icr_send(l, effects);
	return 0;
}

/* SDM, "Logical Destination Mode": the DFR's model chooses between 8 APICs and 15 clusters of 4. */
static bool matches_logical(const struct lapic *l, uint32_t dest)
{
	uint32_t ldr = l->ldr >> 24;

	if (lapic_x2apic(l)) {
		ldr = x2apic_ldr(l);
		return ldr >> 16 == dest >> 16 && (ldr & dest & 0xffff);
	}
	if (dest > 0xff)
		return false;
	switch (l->dfr >> 28) {
	case 0xf:
		return ldr & dest;
	case 0:
		return ldr >> 4 == dest >> 4 && (ldr & dest & 0xf);
	default:
		return false;
	}
}

/* A physical destination is the whole id, or an APIC with id 256 would take what is for id 0. */
bool lapic_matches(const struct lapic *target, const struct lapic_ipi *ipi, bool is_source)
{
	if (!lapic_enabled(target))
		return false;
	switch (ipi->shorthand) {
	case LAPIC_DEST_SELF:
		return is_source;
	case LAPIC_DEST_ALL:
		return true;
	case LAPIC_DEST_OTHERS:
		return !is_source;
	}
	if (ipi->dest == LAPIC_BROADCAST)
		return true;
	return ipi->logical ? matches_logical(target, ipi->dest) : ipi->dest == target->id;
}

struct lapic *lapic_arbitrate(struct lapic *best, struct lapic *candidate)
{
	if (!lapic_software_enabled(candidate))
		return best;
	return best && lapic_apr(best) <= lapic_apr(candidate) ? best : candidate;
}
