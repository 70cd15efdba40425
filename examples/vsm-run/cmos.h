/* SPDX-License-Identifier: MIT */
/* The real-time clock of a PC (MC146818), read-only and without alarms: the host's time in UTC. */
#ifndef VSM_RUN_CMOS_H
#define VSM_RUN_CMOS_H

#include <stdint.h>
#include <time.h>

/* A register's value at an instant. */
uint8_t cmos_read(uint8_t reg, time_t now);

#endif
