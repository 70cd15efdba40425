/* SPDX-License-Identifier: MIT */
/* Recognizes an image, and keeps account of what is where in guest memory. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "load_private.h"

#define PAGE UINT64_C(4096)

int load_bad(struct loader *l, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(l->error->text, sizeof(l->error->text), format, args);
	va_end(args);
	l->error->file = l->image;
	return -ENOEXEC;
}

static const struct place *find_overlap(const struct loader *l, uint64_t start, uint64_t end)
{
	for (const struct place *p = l->places; p < l->places + l->place_count; p++)
		if (start < p->end && p->start < end)
			return p;
	return NULL;
}

int load_claim(struct loader *l, uint64_t start, uint64_t size, const char *what)
{
	const struct place *in_the_way;

	if (start > l->ram->size || size > l->ram->size - start) {
		load_bad(l, "%s at %#llx needs memory up to %#llx, the guest has %llu MiB", what,
			 (unsigned long long)start, (unsigned long long)(start + size),
			 (unsigned long long)(l->ram->size >> 20));
		return -ENOSPC;
	}
	if (!size)
		return 0;
	if (l->place_count == PLACES_MAX)
		return load_bad(l, "%s: too many segments", what);
	in_the_way = find_overlap(l, start, start + size);
	if (in_the_way == l->places)
		return load_bad(l, "%s at %#llx lies where a PC has no memory (%#x-%#x)", what,
				(unsigned long long)start, LOAD_HOLE_START, LOAD_HOLE_END - 1);
	if (in_the_way)
		return load_bad(l, "%s at %#llx overlaps another part of the image", what,
				(unsigned long long)start);
	l->places[l->place_count++] = (struct place){start, start + size};
	return 0;
}

int load_allocate(struct loader *l, uint64_t from, uint64_t size, const char *what, uint64_t *start)
{
	const struct place *in_the_way;
	uint64_t at = from;

	while (at <= l->ram->size && size <= l->ram->size - at) {
		in_the_way = find_overlap(l, at, at + size);
		if (!in_the_way) {
			*start = at;
			return load_claim(l, at, size, what);
		}
		at = (in_the_way->end + PAGE - 1) & -PAGE;
	}
	load_bad(l, "no room in guest memory for %s (%llu bytes)", what, (unsigned long long)size);
	return -ENOSPC;
}

int load_allocate_high(struct loader *l, uint64_t end, uint64_t size, const char *what,
		       uint64_t *start)
{
	const struct place *in_the_way;
	uint64_t top = end < l->ram->size ? end : l->ram->size;

	while (size <= top) {
		uint64_t at = (top - size) & -PAGE;

		in_the_way = find_overlap(l, at, at + size);
		if (!in_the_way) {
			*start = at;
			return load_claim(l, at, size, what);
		}
		top = in_the_way->start;
	}
	load_bad(l, "no room in guest memory for %s (%llu bytes)", what, (unsigned long long)size);
	return -ENOSPC;
}

bool load_in_image(const struct loader *l, uint64_t offset, uint64_t size)
{
	uint64_t whole = l->image->size;

	return offset <= whole && size <= whole - offset;
}

void load_copy(struct loader *l, uint64_t offset, uint64_t file_size, uint64_t to,
	       uint64_t memory_size)
{
	if (file_size)
		memcpy(l->ram->base + to, l->image->data + offset, file_size);
	if (memory_size > file_size)
		memset(l->ram->base + to + file_size, 0, memory_size - file_size);
}

static int load_multiboot(struct loader *l, const struct multiboot_header *h,
			  struct load_result *result)
{
	result->mode = LOAD_32_BIT;
	if (elf_detect(l))
		return elf_load(l, &result->entry);
	return multiboot_load_flat(l, h, &result->entry);
}

static int load_elf64(struct loader *l, struct load_result *result)
{
	int r = elf_load(l, &result->entry);

	result->mode = LOAD_64_BIT;
	return r ? r : long_mode_prepare(l, result);
}

int load(const struct load_request *request, const struct ram *ram, struct load_result *result,
	 struct load_error *error)
{
	struct loader l = {.request = request,
			   .image = &request->image,
			   .ram = ram,
			   .error = error,
			   .places = {{LOAD_HOLE_START, LOAD_HOLE_END}},
			   .place_count = 1};
	struct multiboot_header header;
	int r;

	*result = (struct load_result){0};
	if (linux_detect(&l))
		return linux_load(&l, result);
	if (request->initrd || request->vtl1)
		r = load_bad(&l, "not a Linux kernel, which --initrd and --vtl1 are for");
	else if (multiboot_find(&l, &header))
		r = load_multiboot(&l, &header, result);
	else if (!elf_detect(&l))
		r = load_bad(&l, "neither a multiboot (version 1) image nor an ELF file nor a "
				 "Linux bzImage");
	else if (!elf_is_64_bit(&l))
		r = load_bad(&l, "a 32-bit ELF file without a multiboot header");
	else
		r = load_elf64(&l, result);
	return r ? r : multiboot_write_info(&l, &result->info);
}
