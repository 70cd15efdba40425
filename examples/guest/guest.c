/* SPDX-License-Identifier: MIT */
/* A payload's end, and the functions the compiler expects to exist. */
#include "console.h"
#include "cpu.h"
#include "guest.h"

#define DEBUG_EXIT_PORT 0xf4
#define PM1A_CONTROL	0x604 /* where QEMU's firmware puts it, too */
#define PM1_SLEEP_S5	0x2000

void guest_exit(unsigned code)
{
	if (code)
		out32(DEBUG_EXIT_PORT, code);
	else
		out16(PM1A_CONTROL, PM1_SLEEP_S5);
	for (;;)
		__asm__ volatile("cli\n\thlt");
}

void guest_failed(const char *file, int line, const char *what)
{
	print("%s:%d: does not hold: %s\n", file, line, what);
	guest_exit(GUEST_EXIT_FAILED);
}

void guest_differs(const char *file, int line, const char *what, uint64_t actual, uint64_t expected)
{
	print("%s:%d: %s is %#lx, expected %#lx\n", file, line, what, actual, expected);
	guest_exit(GUEST_EXIT_FAILED);
}

void *memcpy(void *to, const void *from, size_t n)
{
	return memmove(to, from, n);
}

void *memmove(void *to, const void *from, size_t n)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	if (t < f)
		for (size_t i = 0; i < n; i++)
			t[i] = f[i];
	else
		for (size_t i = n; i > 0; i--)
			t[i - 1] = f[i - 1];
	return to;
}

void *memset(void *to, int c, size_t n)
{
	unsigned char *t = to;

	for (size_t i = 0; i < n; i++)
		t[i] = (unsigned char)c;
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (size_t i = 0; i < n; i++)
		if (x[i] != y[i])
			return x[i] - y[i];
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}
