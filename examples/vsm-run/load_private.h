/* SPDX-License-Identifier: MIT */
/* Between the parts of the loader. */
#ifndef VSM_RUN_LOAD_PRIVATE_H
#define VSM_RUN_LOAD_PRIVATE_H

#include "load.h"

#define PLACES_MAX     96

#define LOAD_LOW_START 0x1000 /* where small things go */
#define LOAD_LOW_END   0x9f000

/* A load under way: where things already are in guest memory. The first is the hole. */
struct loader {
	const struct load_request *request;
	const struct blob *image; /* the one of the request that is being loaded */
	const struct ram *ram;
	struct load_error *error;
	struct place {
		uint64_t start, end;
	} places[PLACES_MAX];
	unsigned place_count;
};

/* Fills error->text. Returns -ENOEXEC. */
int load_bad(struct loader *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Claims [start, start+size) for `what`: inside memory, and nothing else there. Errors as load().
 */
int load_claim(struct loader *l, uint64_t start, uint64_t size, const char *what);

/* Claims the first free `size` bytes at or after `from`, aligned to a page. -ENOSPC: none. */
int load_allocate(struct loader *l, uint64_t from, uint64_t size, const char *what,
		  uint64_t *start);

/* The same at the highest address that ends at or below `end`. */
int load_allocate_high(struct loader *l, uint64_t end, uint64_t size, const char *what,
		       uint64_t *start);

/* Is [offset, offset+size) inside the image? */
bool load_in_image(const struct loader *l, uint64_t offset, uint64_t size);

/* Image bytes at `offset` to `to`, zeroes after them: a segment. It must have been claimed. */
void load_copy(struct loader *l, uint64_t offset, uint64_t file_size, uint64_t to,
	       uint64_t memory_size);

/* load_elf.c: the program headers of either class. */
bool elf_detect(const struct loader *l);
bool elf_is_64_bit(const struct loader *l);
int elf_load(struct loader *l, uint64_t *entry);

/* load_multiboot.c */
struct multiboot_header {
	uint32_t flags;
	size_t offset; /* in the image */
	uint32_t header_address, load_address, load_end, bss_end, entry;
};
bool multiboot_find(const struct loader *l, struct multiboot_header *h);
int multiboot_load_flat(struct loader *l, const struct multiboot_header *h, uint64_t *entry);
int multiboot_write_info(struct loader *l, uint64_t *info);

/* load_linux.c */
bool linux_detect(const struct loader *l);
int linux_load(struct loader *l, struct load_result *result);

/* load_long.c: what a 64-bit entry needs in memory. */
int long_mode_prepare(struct loader *l, struct load_result *result);

#endif
