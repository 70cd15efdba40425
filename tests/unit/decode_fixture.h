/* SPDX-License-Identifier: MIT */
/* Registers and modes for tests of the decoder. */
#ifndef VSM_TESTS_UNIT_DECODE_FIXTURE_H
#define VSM_TESTS_UNIT_DECODE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "intercept/gpr.h"
#include "intercept/intercept.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define RIP	      UINT64_C(0x401000)
#define DF	      (UINT64_C(1) << 10)
#define ZF	      (UINT64_C(1) << 6)

enum mode {
	M64,
	M32,
	M16,
	REAL
};

/* Every general register holds a value of its own, so that a mix-up shows. */
static inline struct kvm_regs default_regs(void)
{
	return (struct kvm_regs){.rax = 0x10000,
				 .rcx = 0x5,
				 .rdx = 0x20000,
				 .rbx = 0x30000,
				 .rsp = 0x7f000,
				 .rbp = 0x7f800,
				 .rsi = 0x50000,
				 .rdi = 0x60000,
				 .r8 = 0x80000,
				 .r9 = 0x90000,
				 .r10 = 0xa0000,
				 .r11 = 0xb0000,
				 .r12 = UINT64_C(0xffff800000000000),
				 .r13 = 0xd0000,
				 .r14 = 0xe0000,
				 .r15 = UINT64_MAX,
				 .rip = RIP,
				 .rflags = 2};
}

static inline struct kvm_sregs sregs_of(enum mode mode)
{
	struct kvm_sregs s = {.cr0 = mode == REAL ? 0 : 0x80000001,
			      .efer = mode == M64 ? 0x500 : 0,
			      .cs = {.l = mode == M64, .db = mode == M32},
			      .ss = {.db = mode == M32},
			      .fs = {.base = 0x1000000},
			      .gs = {.base = 0x2000000},
			      .gdt = {.base = 0x9000},
			      .ldt = {.base = 0xa000}};

	if (mode == REAL || mode == M16) {
		s.ds.base = 0x100000;
		s.es.base = 0x200000;
		s.ss.base = 0x300000;
		s.cs.base = 0x400000;
	}
	return s;
}

/* Hexadecimal digits, blanks between them allowed. */
static inline size_t bytes_of(const char *text, uint8_t *bytes)
{
	size_t count = 0;
	unsigned value;
	int used;

	while (sscanf(text, " %2x%n", &value, &used) == 1) {
		bytes[count++] = (uint8_t)value;
		text += used;
	}
	return count;
}

#endif
