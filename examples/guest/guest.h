/* SPDX-License-Identifier: MIT */
/* A guest payload: boot.S brings it to guest_main() in 64-bit mode, the first 4 GiB mapped. */
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes of the library itself. */
#define GUEST_EXIT_FAILED 1  /* a check failed */
#define GUEST_EXIT_TRAP	  16 /* an exception nobody expected */
#define GUEST_EXIT_NO_VSM 17 /* the hypervisor has no VSM */

#define PAGE_SIZE	  4096
#define PAGE_ALIGNED	  __attribute__((aligned(PAGE_SIZE)))

/* The payload. What it returns goes to guest_exit(). Runs with interrupts off. */
int guest_main(void);

/* Is `word` on the command line the loader gave? */
bool guest_has_option(const char *word);

/*
 * Ends the VM: 0 powers it off, any other code goes to the debug-exit port, as QEMU's
 * isa-debug-exit device has it.
 */
void guest_exit(unsigned code) __attribute__((noreturn));

/* Says what was expected and where, and ends the guest, if `condition` does not hold. */
#define CHECK(condition)                                              \
	do {                                                          \
		if (!(condition))                                     \
			guest_failed(__FILE__, __LINE__, #condition); \
	} while (0)

/* The same for two numbers, which are shown. */
#define CHECK_EQUAL(actual, expected)                                                  \
	do {                                                                           \
		uint64_t check_a = (uint64_t)(actual), check_e = (uint64_t)(expected); \
		if (check_a != check_e)                                                \
			guest_differs(__FILE__, __LINE__, #actual, check_a, check_e);  \
	} while (0)

void guest_failed(const char *file, int line, const char *what) __attribute__((noreturn));
void guest_differs(const char *file, int line, const char *what, uint64_t actual, uint64_t expected)
	__attribute__((noreturn));

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);

#endif
