/* SPDX-License-Identifier: MIT */
/*
 * An I/O APIC (Intel 82093AA) for devices with edge-triggered lines, such as COM1: a pin that rises
 * sends the message of its redirection entry. Nobody tells of an EOI, so a level-triggered entry
 * sends on a rise, too, and once. Caller serialises.
 */
#ifndef VSM_RUN_IOAPIC_H
#define VSM_RUN_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

#define IOAPIC_ADDRESS 0xfec00000
#define IOAPIC_BYTES   0x1000
#define IOAPIC_PINS    24

/* An MSI's address and data. */
typedef void (*ioapic_send_fn)(void *ctx, uint64_t address, uint32_t data);

struct ioapic {
	ioapic_send_fn send;
	void *ctx;
	uint8_t select, id;
	bool high[IOAPIC_PINS];
	uint64_t entries[IOAPIC_PINS];
};

void ioapic_init(struct ioapic *io, uint8_t id, ioapic_send_fn send, void *ctx);

/* Accesses to its page. Those that are not 32 bits wide at a register read as 0 and do nothing. */
uint32_t ioapic_read(const struct ioapic *io, uint64_t offset, unsigned size);
void ioapic_write(struct ioapic *io, uint64_t offset, unsigned size, uint32_t value);

void ioapic_set_line(struct ioapic *io, unsigned pin, bool high);

#endif
