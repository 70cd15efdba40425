/* SPDX-License-Identifier: MIT */
/* The registers of Intel's 82093AA data sheet. */
#include "ioapic.h"

#define SELECT		 0x00 /* in the page */
#define WINDOW		 0x10
#define REG_ID		 0x00 /* by the window */
#define REG_VERSION	 0x01
#define REG_ARBITRATION	 0x02
#define REG_ENTRIES	 0x10
#define VERSION		 (0x11u | (IOAPIC_PINS - 1) << 16)
#define ID_SHIFT	 24
#define ENTRY_MASKED	 (UINT64_C(1) << 16)
#define ENTRY_LOGICAL	 (UINT64_C(1) << 11)
#define ENTRY_VECTOR	 UINT64_C(0x7ff) /* and delivery mode, as in an MSI's data */
#define ENTRY_DEST_SHIFT 56
/* Without delivery status and remote IRR. */
#define ENTRY_WRITABLE UINT64_C(0xff0000000001afff)
#define MSI_ADDRESS    UINT64_C(0xfee00000)
#define MSI_LOGICAL    UINT64_C(4)
#define MSI_DEST_SHIFT 12

void ioapic_init(struct ioapic *io, uint8_t id, ioapic_send_fn send, void *ctx)
{
	*io = (struct ioapic){.send = send, .ctx = ctx, .id = id};
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		io->entries[i] = ENTRY_MASKED;
}

static uint32_t read_window(const struct ioapic *io)
{
	unsigned half = (unsigned)io->select - REG_ENTRIES;

	switch (io->select) {
	case REG_ID:
	case REG_ARBITRATION:
		return (uint32_t)io->id << ID_SHIFT;
	case REG_VERSION:
		return VERSION;
	default:
		return half < 2 * IOAPIC_PINS ? (uint32_t)(io->entries[half / 2] >> half % 2 * 32)
					      : 0;
	}
}

static void write_window(struct ioapic *io, uint32_t value)
{
	unsigned half = (unsigned)io->select - REG_ENTRIES, shift = half % 2 * 32;
	uint64_t *entry = &io->entries[half / 2 % IOAPIC_PINS];

	if (io->select == REG_ID)
		io->id = value >> ID_SHIFT & 0xf;
	else if (half < 2 * IOAPIC_PINS)
		*entry = ((*entry & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)value << shift) &
			 ENTRY_WRITABLE;
}

uint32_t ioapic_read(const struct ioapic *io, uint64_t offset, unsigned size)
{
	if (size != 4)
		return 0;
	if (offset == SELECT)
		return io->select;
	return offset == WINDOW ? read_window(io) : 0;
}

void ioapic_write(struct ioapic *io, uint64_t offset, unsigned size, uint32_t value)
{
	if (size != 4)
		return;
	if (offset == SELECT)
		io->select = (uint8_t)value;
	else if (offset == WINDOW)
		write_window(io, value);
}

static void send(const struct ioapic *io, uint64_t entry)
{
	uint64_t address = MSI_ADDRESS | (entry >> ENTRY_DEST_SHIFT) << MSI_DEST_SHIFT;

	if (entry & ENTRY_LOGICAL)
		address |= MSI_LOGICAL;
	io->send(io->ctx, address, (uint32_t)(entry & ENTRY_VECTOR));
}

void ioapic_set_line(struct ioapic *io, unsigned pin, bool high)
{
	bool rises = high && !io->high[pin];

	io->high[pin] = high;
	if (rises && !(io->entries[pin] & ENTRY_MASKED))
		send(io, io->entries[pin]);
}
