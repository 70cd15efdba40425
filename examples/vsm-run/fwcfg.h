/* SPDX-License-Identifier: MIT */
/* QEMU's fw_cfg device, by ports: a few items a guest selects by key and reads byte by byte. */
#ifndef VSM_RUN_FWCFG_H
#define VSM_RUN_FWCFG_H

#include <stdint.h>

struct fwcfg {
	uint64_t memory;
	uint16_t cpus;
	uint16_t key;
	unsigned position;
};

void fwcfg_init(struct fwcfg *f, uint64_t memory, unsigned cpus);
void fwcfg_select(struct fwcfg *f, uint16_t key);
uint8_t fwcfg_read(struct fwcfg *f); /* 0 past an item's end, and for an unknown key */

#endif
