/* SPDX-License-Identifier: MIT */
/* MC146818 registers: binary, 24 hours, never in the middle of an update. */
#include "cmos.h"

#define STATUS_A_32KHZ	0x26
#define STATUS_B_BINARY 0x06 /* and 24 hours */
#define STATUS_D_VALID	0x80

uint8_t cmos_read(uint8_t reg, time_t now)
{
	struct tm t;

	gmtime_r(&now, &t);
	switch (reg) {
	case 0x00:
		return (uint8_t)t.tm_sec;
	case 0x02:
		return (uint8_t)t.tm_min;
	case 0x04:
		return (uint8_t)t.tm_hour;
	case 0x06:
		return (uint8_t)(t.tm_wday + 1);
	case 0x07:
		return (uint8_t)t.tm_mday;
	case 0x08:
		return (uint8_t)(t.tm_mon + 1);
	case 0x09:
		return (uint8_t)(t.tm_year % 100);
	case 0x0a:
		return STATUS_A_32KHZ;
	case 0x0b:
		return STATUS_B_BINARY;
	case 0x0d:
		return STATUS_D_VALID;
	case 0x32:
		return (uint8_t)((t.tm_year + 1900) / 100);
	default:
		return 0;
	}
}
