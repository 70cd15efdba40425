/* SPDX-License-Identifier: MIT */
/* A slot of a SIMP, as guests read it that take messages (TLFS inter-partition-communication.md). */
#ifndef VSM_TESTS_LIVE_MESSAGE_H
#define VSM_TESTS_LIVE_MESSAGE_H

#include <stdint.h>

struct message {
	volatile uint32_t type;
	uint8_t payload_size;
	volatile uint8_t flags;
	uint16_t reserved;
	uint64_t origin;
	uint64_t payload[30];
};
_Static_assert(sizeof(struct message) == 256, "HV_MESSAGE");

#endif
