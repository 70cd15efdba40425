/* SPDX-License-Identifier: MIT */
/* Which device answers at which port. What is not here is absent: it reads as ones. */
#include <string.h>
#include "acpi.h"
#include "cmos.h"
#include "machine.h"

#define COM1	      0x3f8
#define SLEEP_S5      0x2000 /* SLP_EN with sleep type 0, as QEMU's PC machines have it */
#define RESET_PULSE   0xfe   /* keyboard controller command */
#define RESET_REQUEST 0x04   /* bit of the reset control register */

struct port_range {
	uint16_t first, last;
	uint32_t (*read)(struct machine *m, uint16_t port);
	void (*write)(struct machine *m, uint16_t port, uint32_t value);
};

static uint32_t read_com1(struct machine *m, uint16_t port)
{
	return serial_read(&m->serial, port - COM1);
}

static void write_com1(struct machine *m, uint16_t port, uint32_t value)
{
	serial_write(&m->serial, port - COM1, (uint8_t)value);
}

static void write_fwcfg_key(struct machine *m, uint16_t port, uint32_t value)
{
	(void)port;
	fwcfg_select(&m->fwcfg, (uint16_t)value);
}

static uint32_t read_fwcfg(struct machine *m, uint16_t port)
{
	(void)port;
	return fwcfg_read(&m->fwcfg);
}

/* QEMU's isa-debug-exit, of whatever width. */
static void write_debug_exit(struct machine *m, uint16_t port, uint32_t value)
{
	(void)port;
	machine_end(m, (int)((value << 1 | 1) & 0xff));
}

static void write_pm1a(struct machine *m, uint16_t port, uint32_t value)
{
	(void)port;
	if (value & SLEEP_S5)
		machine_end(m, STATUS_OK);
}

static void write_keyboard(struct machine *m, uint16_t port, uint32_t value)
{
	(void)port;
	if ((uint8_t)value == RESET_PULSE)
		machine_end(m, STATUS_OK);
}

static void write_reset(struct machine *m, uint16_t port, uint32_t value)
{
	(void)port;
	if (value & RESET_REQUEST)
		machine_end(m, STATUS_OK);
}

static void write_sleep(struct machine *m, uint16_t port, uint32_t value)
{
	(void)port;
	if ((value & ACPI_SLEEP_ENABLE) && (value >> 2 & 7) == ACPI_SLEEP_TYPE_S5)
		machine_end(m, STATUS_OK);
}

/* Nothing woke the machine. */
static uint32_t read_sleep_status(struct machine *m, uint16_t port)
{
	(void)m, (void)port;
	return 0;
}

static void write_cmos_register(struct machine *m, uint16_t port, uint32_t value)
{
	(void)port;
	m->cmos_register = value & 0x7f;
}

static uint32_t read_cmos(struct machine *m, uint16_t port)
{
	(void)port;
	return cmos_read(m->cmos_register, time(NULL));
}

static void write_hvtest(struct machine *m, uint16_t port, uint32_t value)
{
	(void)port;
	hvtest_write(m, value);
}

static const struct port_range ranges[] = {
	{ACPI_SLEEP_CONTROL, ACPI_SLEEP_CONTROL, NULL, write_sleep},
	{ACPI_SLEEP_STATUS, ACPI_SLEEP_STATUS, read_sleep_status, NULL},
	{0x070, 0x070, NULL, write_cmos_register},
	{0x071, 0x071, read_cmos, NULL},
	{0x064, 0x064, NULL, write_keyboard},
	{0x0f4, 0x0f4, NULL, write_debug_exit},
	{COM1, COM1 + 7, read_com1, write_com1},
	{0x510, 0x510, NULL, write_fwcfg_key},
	{0x511, 0x511, read_fwcfg, NULL},
	{0x604, 0x604, NULL, write_pm1a},
	{ACPI_RESET, ACPI_RESET, NULL, write_reset},
	{HVTEST_PORT, HVTEST_PORT, NULL, write_hvtest},
};

static const struct port_range *find(uint16_t port)
{
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (port >= ranges[i].first && port <= ranges[i].last)
			return &ranges[i];
	return NULL;
}

static void access_range(struct machine *m, const struct port_range *r, uint16_t port,
			 unsigned size, bool write, void *data)
{
	uint32_t value = UINT32_MAX;

	if (write && r->write) {
		value = 0;
		memcpy(&value, data, size);
		r->write(m, port, value);
	} else if (!write && r->read) {
		value = r->read(m, port);
		memcpy(data, &value, size);
	}
}

void port_access(struct machine *m, uint16_t port, unsigned size, bool write, void *data)
{
	const struct port_range *r = find(port);

	if (!write)
		memset(data, 0xff, size);
	if (!r)
		return;
	pthread_mutex_lock(&m->devices);
	access_range(m, r, port, size, write, data);
	pthread_mutex_unlock(&m->devices);
}
