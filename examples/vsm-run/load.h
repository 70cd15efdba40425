/* SPDX-License-Identifier: MIT */
/*
 * Puts an image into guest memory and says how to start it. The image is not trusted: nothing in it
 * makes the loader read past its end or write outside guest memory.
 */
#ifndef VSM_RUN_LOAD_H
#define VSM_RUN_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Guest memory: [0, size) but for a PC's hole. */
#define LOAD_HOLE_START 0xa0000
#define LOAD_HOLE_END	0x100000

struct ram {
	uint8_t *base;
	uint64_t size;
};

struct blob {
	const uint8_t *data;
	size_t size;
	const char *name;
};

#define LOAD_MODULES_MAX 8

struct load_request {
	struct blob image;
	const struct blob *initrd;  /* of a Linux kernel; NULL: none */
	const struct blob *vtl1;    /* what runs before a Linux kernel; NULL: nothing */
	unsigned cpus;		    /* told to a Linux kernel */
	const struct blob *modules; /* each shown to the guest by name and contents */
	unsigned module_count;	    /* at most LOAD_MODULES_MAX */
	const char *append;
};

enum load_mode {
	LOAD_32_BIT, /* multiboot: flat protected mode, EAX the magic, EBX the information */
	LOAD_64_BIT, /* long mode, first 4 GiB mapped one to one, RDI `info`, RSI `boot_params` */
};

struct load_result {
	enum load_mode mode;
	uint64_t entry;
	uint64_t info;			  /* multiboot information; of a payload, Linux's entry */
	uint64_t boot_params;		  /* Linux's */
	uint64_t gdt, page_tables, stack; /* LOAD_64_BIT; stack: its top */
};

struct load_error {
	const struct blob *file; /* of the request: where it is */
	char text[160];
};

/* 0; -ENOEXEC, or -ENOSPC when guest memory is too small; then error->text says what is wrong. */
int load(const struct load_request *request, const struct ram *ram, struct load_result *result,
	 struct load_error *error);

#define MULTIBOOT_LOADER_MAGIC 0x2badb002
#define LOAD_GDT_CODE	       0x10 /* as Linux's 64-bit boot protocol wants them */
#define LOAD_GDT_DATA	       0x18

#endif
