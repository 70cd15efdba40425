/* SPDX-License-Identifier: MIT */
/* Exceptions and interrupts of a guest payload. */
#ifndef GUEST_TRAP_H
#define GUEST_TRAP_H

#include <stdint.h>

#define TRAP_DB 1
#define TRAP_UD 6
#define TRAP_GP 13
#define TRAP_PF 14

/* What trap.S leaves on the stack. */
struct trap_frame {
	uint64_t rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t vector, error_code;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* An exception trap_try() came back with. */
struct trap {
	uint64_t rip, error_code, cs, rflags;
};

typedef void (*trap_handler)(struct trap_frame *frame);

/* Loads GDT, IDT and task state segment of this copy of the library. */
void trap_setup(void);

/* Calls handler for a vector; after it the interrupted code goes on. */
void trap_handle(uint8_t vector, trap_handler handler);

/*
 * With interrupts off: halts until one has been taken, and comes back with them off. One that waits
 * already ends it at once.
 */
void trap_halt(void);

/*
 * Calls fn(arg). Returns -1, or the vector of the exception that ended it (*trap says more, if not
 * NULL).
 */
int trap_try(void (*fn)(void *), void *arg, struct trap *trap);

/* Runs fn at CPL3. It can end only by an exception: use it inside trap_try(). */
void trap_user(void *fn);

#endif
