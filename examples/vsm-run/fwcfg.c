/* SPDX-License-Identifier: MIT */
/* fw_cfg's items (QEMU docs/specs/fw_cfg.rst). */
#include <string.h>
#include "fwcfg.h"

enum {
	KEY_SIGNATURE = 0x00,
	KEY_ID = 0x01,
	KEY_RAM_SIZE = 0x03,
	KEY_CPUS = 0x05,
	KEY_MAX_CPUS = 0x0f,
	KEY_FILES = 0x19,
};

#define ID_TRADITIONAL 1 /* no DMA interface */

void fwcfg_init(struct fwcfg *f, uint64_t memory, unsigned cpus)
{
	*f = (struct fwcfg){.memory = memory, .cpus = (uint16_t)cpus};
}

void fwcfg_select(struct fwcfg *f, uint16_t key)
{
	f->key = key;
	f->position = 0;
}

/* An item as a little-endian number. */
static uint64_t item(const struct fwcfg *f)
{
	uint64_t signature = 0;

	switch (f->key) {
	case KEY_SIGNATURE:
		memcpy(&signature, "QEMU", 4);
		return signature;
	case KEY_ID:
		return ID_TRADITIONAL;
	case KEY_RAM_SIZE:
		return f->memory;
	case KEY_CPUS:
	case KEY_MAX_CPUS:
		return f->cpus;
	case KEY_FILES: /* none */
	default:
		return 0;
	}
}

uint8_t fwcfg_read(struct fwcfg *f)
{
	if (f->position >= sizeof(uint64_t))
		return 0;
	return (uint8_t)(item(f) >> (8 * f->position++));
}
