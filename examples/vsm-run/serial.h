/* SPDX-License-Identifier: MIT */
/* COM1: a 16550A, polled or with interrupts, whose line is standard input and output. */
#ifndef VSM_RUN_SERIAL_H
#define VSM_RUN_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

typedef void (*serial_fn)(void *ctx);
typedef void (*serial_interrupt_fn)(void *ctx, bool high);

struct serial {
	int in_fd, out_fd; /* in_fd < 0: nothing more comes in */
	uint8_t divisor[2];
	uint8_t interrupts, fifo, line, modem, scratch; /* IER, FCR, LCR, MCR, SCR */
	uint8_t received;
	bool has_received;
	bool sent;	/* since the last look at what interrupts: THR has become empty */
	bool interrupt; /* the interrupt line is high */

	/* May be NULL. */
	serial_interrupt_fn on_interrupt; /* the interrupt line changes */
	serial_fn on_room;		  /* the byte that waited was read, and no other waits */
	void *ctx;
};

void serial_init(struct serial *s, int in_fd, int out_fd);

/* Is there room for a byte from the line, and could one come? */
bool serial_has_room(const struct serial *s);

/* Takes a byte from the line, if one waits and there is room. */
void serial_receive(struct serial *s);

uint8_t serial_read(struct serial *s, unsigned reg);
void serial_write(struct serial *s, unsigned reg, uint8_t value);

#endif
