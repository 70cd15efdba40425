/* SPDX-License-Identifier: MIT */
/* COM1: a polled 16550A whose line is standard input and output. */
#ifndef VSM_RUN_SERIAL_H
#define VSM_RUN_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

struct serial {
	int in_fd, out_fd; /* in_fd < 0: nothing more comes in */
	uint8_t divisor[2];
	uint8_t interrupts, fifo, line, modem, scratch; /* IER, FCR, LCR, MCR, SCR */
	uint8_t received;
	bool has_received;
};

void serial_init(struct serial *s, int in_fd, int out_fd);
uint8_t serial_read(struct serial *s, unsigned reg);
void serial_write(struct serial *s, unsigned reg, uint8_t value);

#endif
