/* SPDX-License-Identifier: MIT */
/*
 * A 16550A as far as drivers and their probing need it (National PC16550D data sheet). A byte that
 * is sent is gone at once, and one is received when the last was read: FIFOs would hold nothing.
 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>
#include "serial.h"

enum {
	REG_DATA, /* or divisor, low */
	REG_IER,  /* or divisor, high */
	REG_IIR,  /* FCR when written */
	REG_LCR,
	REG_MCR,
	REG_LSR,
	REG_MSR,
	REG_SCR,
};

#define IER_MASK      0x0f
#define IER_RECEIVED  0x01
#define IER_EMPTY     0x02
#define FCR_ENABLE    0x01
#define IIR_NONE      0x01
#define IIR_EMPTY     0x02
#define IIR_RECEIVED  0x04
#define IIR_FIFO      0xc0
#define LCR_DIVISOR   0x80
#define MCR_MASK      0x1f
#define MCR_OUT2      0x08 /* on a PC: lets the interrupt out */
#define MCR_LOOP      0x10
#define LSR_READY     0x01
#define LSR_EMPTY     0x60 /* THRE, TEMT */
#define MSR_CONNECTED 0xb0 /* DCD, DSR, CTS */

void serial_init(struct serial *s, int in_fd, int out_fd)
{
	*s = (struct serial){.in_fd = in_fd, .out_fd = out_fd, .divisor = {12, 0}};
}

static void send_byte(const struct serial *s, uint8_t byte)
{
	ssize_t n;

	do
		n = write(s->out_fd, &byte, 1);
	while (n < 0 && errno == EINTR);
}

/* What interrupts, most urgent first. */
static uint8_t cause(const struct serial *s)
{
	if ((s->interrupts & IER_RECEIVED) && s->has_received)
		return IIR_RECEIVED;
	return (s->interrupts & IER_EMPTY) && s->sent ? IIR_EMPTY : IIR_NONE;
}

static void update_interrupt(struct serial *s)
{
	bool high = cause(s) != IIR_NONE && (s->modem & MCR_OUT2) && !(s->modem & MCR_LOOP);

	if (high == s->interrupt)
		return;
	s->interrupt = high;
	if (s->on_interrupt)
		s->on_interrupt(s->ctx, high);
}

bool serial_has_room(const struct serial *s)
{
	return !s->has_received && s->in_fd >= 0;
}

void serial_receive(struct serial *s)
{
	struct pollfd p = {.fd = s->in_fd, .events = POLLIN};
	ssize_t n;

	if (!serial_has_room(s) || poll(&p, 1, 0) <= 0)
		return;
	n = read(s->in_fd, &s->received, 1);
	if (n == 1)
		s->has_received = true;
	else if (n == 0 || errno != EINTR)
		s->in_fd = -1;
	update_interrupt(s);
}

static uint8_t read_data(struct serial *s)
{
	uint8_t byte;

	serial_receive(s);
	byte = s->received;
	if (!s->has_received)
		return byte;
	s->has_received = false;
	serial_receive(s);
	update_interrupt(s);
	if (!s->has_received && s->on_room)
		s->on_room(s->ctx);
	return byte;
}

/* Looking at the cause "empty" ends it. */
static uint8_t read_cause(struct serial *s)
{
	uint8_t is = cause(s);

	if (is == IIR_EMPTY)
		s->sent = false;
	update_interrupt(s);
	return is | (s->fifo & FCR_ENABLE ? IIR_FIFO : 0);
}

/* With the loop closed, the modem outputs are the modem inputs. */
static uint8_t modem_status(const struct serial *s)
{
	uint8_t m = s->modem;

	if (!(m & MCR_LOOP))
		return MSR_CONNECTED;
	return (uint8_t)((m & 0x02) << 3 | (m & 0x01) << 5 | (m & 0x0c) << 4);
}

uint8_t serial_read(struct serial *s, unsigned reg)
{
	if ((s->line & LCR_DIVISOR) && reg <= REG_IER)
		return s->divisor[reg];
	switch (reg) {
	case REG_DATA:
		return read_data(s);
	case REG_IER:
		return s->interrupts;
	case REG_IIR:
		return read_cause(s);
	case REG_LCR:
		return s->line;
	case REG_MCR:
		return s->modem;
	case REG_LSR:
		serial_receive(s);
		return LSR_EMPTY | (s->has_received ? LSR_READY : 0);
	case REG_MSR:
		return modem_status(s);
	default:
		return s->scratch;
	}
}

static void write_data(struct serial *s, uint8_t value)
{
	if (s->modem & MCR_LOOP) {
		s->received = value;
		s->has_received = true;
	} else {
		send_byte(s, value);
	}
	s->sent = true;
	update_interrupt(s);
}

/* Asking for the interrupt while nothing is being sent gives it. */
static void write_interrupts(struct serial *s, uint8_t value)
{
	s->sent |= (value & ~s->interrupts & IER_EMPTY) != 0;
	s->interrupts = value & IER_MASK;
	update_interrupt(s);
}

void serial_write(struct serial *s, unsigned reg, uint8_t value)
{
	if ((s->line & LCR_DIVISOR) && reg <= REG_IER) {
		s->divisor[reg] = value;
		return;
	}
	switch (reg) {
	case REG_DATA:
		write_data(s, value);
		break;
	case REG_IER:
		write_interrupts(s, value);
		break;
	case REG_IIR:
		s->fifo = value;
		break;
	case REG_LCR:
		s->line = value;
		break;
	case REG_MCR:
		s->modem = value & MCR_MASK;
		update_interrupt(s);
		break;
	case REG_SCR:
		s->scratch = value;
		break;
	default:
		break;
	}
}
