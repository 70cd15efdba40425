/* SPDX-License-Identifier: MIT */
/* Multiboot Specification version 0.6.96: the header, its address fields, the information. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "load_private.h"

#define HEADER_MAGIC   0x1badb002
#define HEADER_SEARCH  8192
#define FLAG_ADDRESSES (1u << 16)

#define INFO_MEMORY    (1u << 0)
#define INFO_CMDLINE   (1u << 2)
#define INFO_MODULES   (1u << 3)
#define INFO_MMAP      (1u << 6)

#define HIGH_START     LOAD_HOLE_END

struct info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4],
		mmap_length, mmap_addr;
	uint32_t rest[15];
};

struct module_entry {
	uint32_t start, end, string, reserved;
};

struct mmap_entry {
	uint32_t size; /* of what follows */
	uint64_t base, length;
	uint32_t type;
} __attribute__((packed));

static uint32_t word_at(const struct loader *l, size_t offset)
{
	uint32_t word;

	memcpy(&word, l->image->data + offset, sizeof(word));
	return word;
}

static bool header_at(const struct loader *l, size_t offset, struct multiboot_header *h)
{
	uint32_t flags;

	if (word_at(l, offset) != HEADER_MAGIC)
		return false;
	flags = word_at(l, offset + 4);
	if (HEADER_MAGIC + flags + word_at(l, offset + 8) != 0)
		return false;
	*h = (struct multiboot_header){.flags = flags, .offset = offset};
	if (!(flags & FLAG_ADDRESSES))
		return true;
	if (!load_in_image(l, offset, 32))
		return false;
	h->header_address = word_at(l, offset + 12);
	h->load_address = word_at(l, offset + 16);
	h->load_end = word_at(l, offset + 20);
	h->bss_end = word_at(l, offset + 24);
	h->entry = word_at(l, offset + 28);
	return true;
}

bool multiboot_find(const struct loader *l, struct multiboot_header *h)
{
	size_t end = l->image->size;

	if (end > HEADER_SEARCH)
		end = HEADER_SEARCH;
	for (size_t offset = 0; offset + 12 <= end; offset += 4)
		if (header_at(l, offset, h))
			return true;
	return false;
}

int multiboot_load_flat(struct loader *l, const struct multiboot_header *h, uint64_t *entry)
{
	uint64_t before = (uint64_t)h->header_address - h->load_address;
	uint64_t offset, file_size, memory_size;
	int r;

	if (!(h->flags & FLAG_ADDRESSES))
		return load_bad(l, "a multiboot header without load addresses, and no ELF file");
	if (before > h->offset) /* also when the header is below the load address */
		return load_bad(l, "the multiboot header's addresses contradict each other");
	offset = h->offset - before;
	file_size = h->load_end ? (uint64_t)h->load_end - h->load_address : l->image->size - offset;
	if (h->load_end && h->load_end < h->load_address)
		return load_bad(l, "the multiboot header's load end is before its start");
	if (!load_in_image(l, offset, file_size))
		return load_bad(l, "truncated: the file ends before the multiboot load end");
	memory_size = file_size;
	if (h->bss_end && h->bss_end > h->load_address + file_size)
		memory_size = h->bss_end - h->load_address;
	if (h->entry < h->load_address || h->entry - h->load_address >= memory_size)
		return load_bad(l, "the multiboot entry point %#x is outside the image", h->entry);
	r = load_claim(l, h->load_address, memory_size, "the multiboot image");
	if (r)
		return r;
	load_copy(l, offset, file_size, h->load_address, memory_size);
	*entry = h->entry;
	return 0;
}

/* --- information --- */

static int put(struct loader *l, uint64_t from, const void *data, size_t size, const char *what,
	       uint32_t *address)
{
	uint64_t at = 0;
	int r = load_allocate(l, from, size, what, &at);

	if (r)
		return r;
	if (size)
		memcpy(l->ram->base + at, data, size);
	*address = (uint32_t)at;
	return 0;
}

static int put_string(struct loader *l, const char *first, const char *second, uint32_t *address)
{
	size_t size = strlen(first) + strlen(second) + 2;
	char *text = malloc(size);
	int r;

	if (!text)
		return -ENOMEM;
	snprintf(text, size, "%s%s%s", first, *second ? " " : "", second);
	r = put(l, LOAD_LOW_START, text, size, "the command line", address);
	free(text);
	return r;
}

static int put_modules(struct loader *l, struct info *info)
{
	struct module_entry entries[LOAD_MODULES_MAX] = {{0}};
	const struct blob *m = l->request->modules;
	unsigned count = l->request->module_count;
	int r = 0;

	if (!count)
		return 0;
	for (unsigned i = 0; !r && i < count; i++, m++) {
		r = put(l, HIGH_START, m->data, m->size, "a module", &entries[i].start);
		entries[i].end = entries[i].start + (uint32_t)m->size;
		if (!r)
			r = put_string(l, m->name, "", &entries[i].string);
	}
	if (!r)
		r = put(l, LOAD_LOW_START, entries, count * sizeof(entries[0]), "the module table",
			&info->mods_addr);
	info->mods_count = count;
	info->flags |= INFO_MODULES;
	return r;
}

static int put_mmap(struct loader *l, struct info *info)
{
	struct mmap_entry map[] = {
		{20, 0, LOAD_LOW_END, 1},
		{20, LOAD_LOW_END, HIGH_START - LOAD_LOW_END, 2},
		{20, HIGH_START, l->ram->size - HIGH_START, 1},
	};

	info->mem_lower = LOAD_LOW_END / 1024;
	info->mem_upper = (uint32_t)((l->ram->size - HIGH_START) / 1024);
	info->mmap_length = sizeof(map);
	info->flags |= INFO_MEMORY | INFO_MMAP;
	return put(l, LOAD_LOW_START, map, sizeof(map), "the memory map", &info->mmap_addr);
}

int multiboot_write_info(struct loader *l, uint64_t *out)
{
	struct info info = {.flags = INFO_CMDLINE};
	uint32_t address = 0;
	int r = put_string(l, l->image->name, l->request->append, &info.cmdline);

	if (!r)
		r = put_modules(l, &info);
	if (!r)
		r = put_mmap(l, &info);
	if (!r)
		r = put(l, LOAD_LOW_START, &info, sizeof(info), "the boot information", &address);
	*out = address;
	return r;
}
