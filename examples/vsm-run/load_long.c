/* SPDX-License-Identifier: MIT */
/* Page tables, GDT and stack for an image that starts in 64-bit mode. */
#include <string.h>
#include "load_private.h"

#define PAGE	4096
#define TABLES	6 /* level 4, level 3, four of level 2 */
#define PRESENT 0x3
#define LEAF	0x83 /* a 2 MiB page */

static const uint64_t gdt[] = {
	0, 0, 0x00af9b000000ffff, /* LOAD_GDT_CODE: 64 bit */
	0x00cf93000000ffff,	  /* LOAD_GDT_DATA */
};

static void write_tables(uint64_t *tables, uint64_t address)
{
	uint64_t *level3 = tables + 512, *level2 = tables + 1024;

	memset(tables, 0, 2 * PAGE);
	tables[0] = (address + PAGE) | PRESENT;
	for (uint64_t i = 0; i < 4; i++)
		level3[i] = (address + (2 + i) * PAGE) | PRESENT;
	for (uint64_t i = 0; i < 2048; i++)
		level2[i] = i << 21 | LEAF;
}

int long_mode_prepare(struct loader *l, struct load_result *result)
{
	uint64_t stack = 0;
	int r = load_allocate(l, LOAD_LOW_START, TABLES * PAGE, "page tables",
			      &result->page_tables);

	if (!r)
		r = load_allocate(l, LOAD_LOW_START, PAGE, "the GDT", &result->gdt);
	if (!r)
		r = load_allocate(l, LOAD_LOW_START, 2 * PAGE, "a stack", &stack);
	if (r)
		return r;
	write_tables((uint64_t *)(void *)(l->ram->base + result->page_tables), result->page_tables);
	memcpy(l->ram->base + result->gdt, gdt, sizeof(gdt));
	result->stack = stack + 2 * PAGE;
	return 0;
}
