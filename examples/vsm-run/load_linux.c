/* SPDX-License-Identifier: MIT */
/*
 * A Linux bzImage by the 64-bit boot protocol (Linux Documentation/arch/x86/boot.rst), with an
 * initramfs, ACPI tables and, if there is one, the payload that runs before it.
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include "acpi.h"
#include "load_private.h"

#define PAGE		  UINT64_C(4096)
#define SECTOR		  512
#define SETUP_SECTORS_OLD 4 /* what 0 means */
#define BOOT_FLAG	  0xaa55
#define HEADER_MAGIC	  0x53726448 /* "HdrS" */
#define HEADER_OFFSET	  offsetof(struct boot_params, hdr)
/* A header ends where its jump over it leads: 0x202 plus the byte at 0x201. */
#define HEADER_JUMP    0x201
#define HEADER_FIELDS  0x202
#define VERSION_MIN    0x020c /* the first with a 64-bit entry */
#define ENTRY_64       0x200
#define LOADER_UNKNOWN 0xff
#define TYPE_ACPI      3
#define TYPE_RESERVED  2
#define TYPE_RAM       1

_Static_assert(offsetof(struct boot_params, hdr) == 0x1f1,
	       "boot.rst, \"The Real-Mode Kernel Header\"");

/* What is where, for the memory map. */
struct layout {
	struct setup_header header;
	uint64_t kernel, kernel_size;
	struct place payload; /* whole pages; empty: none */
	uint64_t payload_entry;
	uint64_t initrd, command_line, acpi;
};

bool linux_detect(const struct loader *l)
{
	struct setup_header h;

	if (!load_in_image(l, HEADER_OFFSET, sizeof(h)))
		return false;
	memcpy(&h, l->image->data + HEADER_OFFSET, sizeof(h));
	return h.boot_flag == BOOT_FLAG && h.header == HEADER_MAGIC;
}

static uint64_t setup_size(const struct setup_header *h)
{
	return (uint64_t)((h->setup_sects ? h->setup_sects : SETUP_SECTORS_OLD) + 1) * SECTOR;
}

/* Fields a newer kernel has past those known here are left out; those an older one lacks are 0. */
static void read_header(const struct loader *l, struct setup_header *h)
{
	size_t size = HEADER_FIELDS + l->image->data[HEADER_JUMP] - HEADER_OFFSET;

	memset(h, 0, sizeof(*h));
	memcpy(h, l->image->data + HEADER_OFFSET, size < sizeof(*h) ? size : sizeof(*h));
}

static int check_header(struct loader *l, const struct setup_header *h)
{
	uint64_t setup = setup_size(h);

	if (h->version < VERSION_MIN)
		return load_bad(l, "a Linux kernel of boot protocol %u.%02u; 2.12 is needed",
				h->version >> 8, h->version & 0xff);
	if (!(h->xloadflags & XLF_KERNEL_64))
		return load_bad(l, "a Linux kernel without a 64-bit entry");
	if (!(h->loadflags & LOADED_HIGH))
		return load_bad(l, "a Linux zImage, which is loaded low");
	if (!load_in_image(l, setup, ENTRY_64 + 1))
		return load_bad(l, "truncated: the file ends before the Linux kernel's entry");
	if (h->init_size < l->image->size - setup)
		return load_bad(l, "the Linux kernel's init_size is smaller than the file");
	if (h->pref_address % PAGE)
		return load_bad(l, "the Linux kernel's load address %#llx is not at a page",
				(unsigned long long)h->pref_address);
	return 0;
}

static int place_kernel(struct loader *l, struct layout *at)
{
	uint64_t setup = setup_size(&at->header);
	int r;

	at->kernel = at->header.pref_address;
	at->kernel_size = at->header.init_size;
	r = load_claim(l, at->kernel, at->kernel_size, "the Linux kernel");
	if (!r)
		load_copy(l, setup, l->image->size - setup, at->kernel, at->kernel_size);
	return r;
}

/* --- the payload --- */

static int place_payload(struct loader *l, struct layout *at)
{
	unsigned first = l->place_count;
	struct place whole = {UINT64_MAX, 0};
	int r;

	if (!l->request->vtl1)
		return 0;
	l->image = l->request->vtl1;
	if (!elf_detect(l) || !elf_is_64_bit(l))
		r = load_bad(l, "not a 64-bit ELF file, which --vtl1 wants");
	else
		r = elf_load(l, &at->payload_entry);
	for (unsigned i = first; !r && i < l->place_count; i++) {
		if (l->places[i].start < whole.start)
			whole.start = l->places[i].start;
		if (l->places[i].end > whole.end)
			whole.end = l->places[i].end;
	}
	if (!r && whole.start < LOAD_HOLE_END)
		r = load_bad(l, "what runs before Linux must lie above 1 MiB");
	l->image = &l->request->image;
	at->payload = (struct place){whole.start & -PAGE, (whole.end + PAGE - 1) & -PAGE};
	return r;
}

/* --- the rest --- */

static int place_initrd(struct loader *l, struct layout *at)
{
	const struct blob *b = l->request->initrd;
	int r;

	if (!b)
		return 0;
	r = load_allocate_high(l, (uint64_t)at->header.initrd_addr_max + 1, b->size, "the initrd",
			       &at->initrd);
	if (!r && b->size)
		memcpy(l->ram->base + at->initrd, b->data, b->size);
	return r;
}

static int place_command_line(struct loader *l, struct layout *at)
{
	size_t size = strlen(l->request->append) + 1;
	int r;

	if (size - 1 > at->header.cmdline_size)
		return load_bad(l, "the command line has %zu bytes; this kernel takes %u", size - 1,
				at->header.cmdline_size);
	r = load_allocate(l, LOAD_LOW_START, size, "the command line", &at->command_line);
	if (!r)
		memcpy(l->ram->base + at->command_line, l->request->append, size);
	return r;
}

static int place_acpi(struct loader *l, struct layout *at)
{
	int r = load_claim(l, LOAD_LOW_END, ACPI_SIZE, "ACPI's tables");

	if (!r)
		at->acpi = acpi_write(l->ram->base + LOAD_LOW_END, LOAD_LOW_END, l->request->cpus);
	return r;
}

/* --- boot_params --- */

static void add_range(struct boot_params *b, uint64_t start, uint64_t end, uint32_t type)
{
	if (start < end)
		b->e820_table[b->e820_entries++] =
			(struct boot_e820_entry){.addr = start, .size = end - start, .type = type};
}

/* The payload's memory is nobody else's: Linux must not even take it for RAM. */
static void fill_memory_map(const struct loader *l, const struct layout *at, struct boot_params *b)
{
	uint64_t free = LOAD_HOLE_END;

	add_range(b, 0, LOAD_LOW_END, TYPE_RAM);
	add_range(b, LOAD_LOW_END, LOAD_LOW_END + ACPI_SIZE, TYPE_ACPI);
	add_range(b, LOAD_HOLE_START, LOAD_HOLE_END, TYPE_RESERVED);
	if (at->payload.end > free) {
		add_range(b, free, at->payload.start, TYPE_RAM);
		add_range(b, at->payload.start, at->payload.end, TYPE_RESERVED);
		free = at->payload.end;
	}
	add_range(b, free, l->ram->size, TYPE_RAM);
}

static int write_boot_params(struct loader *l, const struct layout *at, uint64_t *address)
{
	struct boot_params b = {.hdr = at->header, .acpi_rsdp_addr = at->acpi};
	int r = load_allocate(l, LOAD_LOW_START, sizeof(b), "Linux's boot parameters", address);

	if (r)
		return r;
	b.hdr.type_of_loader = LOADER_UNKNOWN;
	b.hdr.cmd_line_ptr = (uint32_t)at->command_line;
	if (l->request->initrd) {
		b.hdr.ramdisk_image = (uint32_t)at->initrd;
		b.hdr.ramdisk_size = (uint32_t)l->request->initrd->size;
	}
	fill_memory_map(l, at, &b);
	memcpy(l->ram->base + *address, &b, sizeof(b));
	return 0;
}

static int place_all(struct loader *l, struct layout *at)
{
	int r = place_kernel(l, at);

	if (!r)
		r = place_payload(l, at);
	if (!r)
		r = place_acpi(l, at);
	if (!r)
		r = place_initrd(l, at);
	if (!r)
		r = place_command_line(l, at);
	return r;
}

int linux_load(struct loader *l, struct load_result *result)
{
	struct layout at = {0};
	int r;

	read_header(l, &at.header);
	r = check_header(l, &at.header);
	if (!r)
		r = place_all(l, &at);
	if (!r)
		r = long_mode_prepare(l, result);
	if (!r)
		r = write_boot_params(l, &at, &result->boot_params);
	if (r)
		return r;
	result->mode = LOAD_64_BIT;
	result->entry = at.kernel + ENTRY_64;
	if (l->request->vtl1) {
		result->info = result->entry;
		result->entry = at.payload_entry;
	}
	return 0;
}
