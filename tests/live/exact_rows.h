/* SPDX-License-Identifier: MIT */
/*
 * The rows of guest_exact.c: one instruction each, with what it touches of a page VTL1 has closed.
 */
#ifndef VSM_TESTS_LIVE_EXACT_ROWS_H
#define VSM_TESTS_LIVE_EXACT_ROWS_H

#include "guest.h"
#include "trap.h"
#include "vtl.h"

#define AT     0x80 /* usual offset of an operand in its page */
#define VECTOR 0x40

enum reg {
	RAX,
	RCX,
	RDX,
	RBX,
	RSP,
	RBP,
	RSI,
	RDI,
	R8,
	R15 = 15,
	REGS,
};

struct state {
	uint64_t r[REGS];
	uint64_t rflags;
	uint8_t vector[32];
};
_Static_assert(offsetof(struct state, rflags) == 128, "exact_enter");

#define CODE(name, text)                                        \
	extern const uint8_t name[], name##_next[];             \
	__asm__(".text\n" #name ": " text "\n" #name "_next:\n" \
		"	jmp exact_leave\n");

CODE(mov_load8, "movb (%rbx), %al")
CODE(mov_load16, "movw (%rbx), %ax")
CODE(mov_load32, "movl (%rbx), %eax")
CODE(mov_load64, "movq (%rbx), %rax")
CODE(movsx_load, "movslq (%rbx), %rax")
CODE(mov_store8, "movb %al, (%rbx)")
CODE(mov_store16, "movw %ax, (%rbx)")
CODE(mov_store32, "movl %eax, (%rbx)")
CODE(mov_store64, "movq %rax, (%rbx)")
CODE(mov_immediate, "movl $0x12345678, 8(%rbx)")
CODE(mov_indexed, "movq %rax, -0x7f0(%rbx,%rbp,8)")
CODE(movnti_store, "movnti %rax, (%rbx)")
CODE(push_reg, "push %rax")
CODE(push_flags, "pushfq")
CODE(push_memory, "push (%rbx)")
CODE(pop_reg, "pop %rax")
CODE(pop_memory, "pop (%rbx)")
CODE(call_near, "call exact_leave")
CODE(ret_near, "ret")
CODE(stos8, "stosb")
CODE(rep_stos64, "rep stosq")
CODE(rep_stos8, "rep stosb")
CODE(movs64, "movsq")
CODE(rep_movs8, "rep movsb")
CODE(rep_movs64, "rep movsq")
CODE(lods64, "lodsq")
CODE(rep_lods8, "rep lodsb")
CODE(scas8, "repne scasb")
CODE(cmps8, "repe cmpsb")
CODE(add_store, "addq %rax, (%rbx)")
CODE(add_load, "addq (%rbx), %rax")
CODE(adc_store, "adcl %eax, (%rbx)")
CODE(inc_store, "incq (%rbx)")
CODE(neg_store, "negl (%rbx)")
CODE(shl_store, "shlq $3, (%rbx)")
CODE(setcc_store, "setc (%rbx)")
CODE(lock_add, "lock addq %rax, (%rbx)")
CODE(lock_inc, "lock incl (%rbx)")
CODE(lock_bts, "lock btsq $5, (%rbx)")
CODE(xadd_store, "xaddq %rax, (%rbx)")
CODE(lock_xadd, "lock xaddl %eax, (%rbx)")
CODE(xchg_store, "xchgq %rax, (%rbx)")
CODE(cmpxchg, "lock cmpxchgq %rdx, (%rbx)")
CODE(cmpxchg32, "cmpxchgl %edx, (%rbx)")
CODE(cmpxchg8, "lock cmpxchg8b (%rsi)")
CODE(cmpxchg16, "lock cmpxchg16b (%rsi)")
CODE(cmp_load, "cmpq %rax, (%rbx)")
CODE(sse_load, "movups (%rbx), %xmm0")
CODE(sse_store, "movups %xmm0, (%rbx)")
CODE(sse_store_low, "movq %xmm0, (%rbx)")
CODE(sse_aligned_store, "movaps %xmm0, (%rbx)")
CODE(sse_add, "paddq (%rbx), %xmm0")
CODE(sse_stream, "movntdq %xmm0, (%rbx)")
CODE(avx_load, "vmovups (%rbx), %ymm0")
CODE(avx_store, "vmovups %ymm0, (%rbx)")
CODE(avx_aligned_load, "vmovaps (%rbx), %ymm0")
CODE(avx_aligned_store, "vmovaps %ymm0, (%rbx)")
CODE(avx_load128, "vmovdqu (%rbx), %xmm0")
CODE(avx_store128, "vmovdqu %xmm0, (%rbx)")
CODE(avx_integer_load, "vmovdqu (%rbx), %ymm0")
CODE(avx_integer_store, "vmovdqu %ymm0, (%rbx)")
CODE(avx_stream, "vmovntdq %ymm0, (%rbx)")
CODE(avx_add, "vpaddq (%rbx), %ymm0, %ymm0")
CODE(jump, "jmp *%rbx")
CODE(interrupt, "int $0x40")
CODE(undefined, "ud2")
CODE(unmapped, "movabs 0x100200000, %rax") /* behind WINDOW */
CODE(iret, "iretq")
CODE(retf, "lretq")
CODE(load_segment, "mov %ax, %es")
CODE(load_fs, "mov %ax, %fs")

enum page {
	CLOSED, /* the page in the middle */
	IDT,
	GDT,
	TABLE, /* the page table of WINDOW */
	PAGES,
};

#define USE(reg) (1u << (reg))

enum row_flag {
	EQUAL = 1 << 0, /* RAX (and RDX) hold what is at the operand */
	NEED_AVX = 1 << 1,
	NEED_NATIVE = 1 << 14, /* a KVM that emulates kernel code cannot do these */
	NEED_CX16 = 1 << 2,
	RETURNS = 1 << 3,   /* the operand is the address of exact_leave */
	NO_SKIP = 1 << 4,   /* there is no instruction to step over */
	NO_INJECT = 1 << 5, /* #GP itself would need what is closed */
	FETCHES = 1 << 6,   /* RIP is the operand */
	WALKS = 1 << 7,	    /* the operand is in WINDOW */
	FRESH = 1 << 8,	    /* the page table entry is not accessed yet */
	CLEAN = 1 << 9,	    /* it is not dirty yet */
	DELIVERS = 1 << 10, /* the access is part of an event's delivery: a range, and no length */
	BACKWARD = 1 << 11,
	SELECTOR = 1 << 12, /* RAX is the selector of data */
	FRAMED = 1 << 16,   /* the operand is an interrupt's frame, back to exact_leave */
	SPILLS = 1 << 15,   /* a store that KVM retired has put a part into the next page */
	LOSES = 1 << 13,    /* RAX and RDX are not known once the store is retired */
};

struct row {
	const char *name;
	const uint8_t *code, *next;
	int at;	      /* of the operand, from the start of `closed` */
	unsigned use; /* the registers that point to it */
	enum page page;
	uint32_t mask;
	enum hv_access access;
	int hit; /* offset in the page of the byte VTL1 is told */
	uint64_t rcx;
	unsigned done; /* iterations before the one that hits */
	unsigned size; /* of an iteration's element */
	unsigned flags;
};

/* Rows named after their instruction: the operand at AT, to which the register points. */
#define STORE_BY(reg, code, offset, ...)                                                        \
	{                                                                                       \
#code, code, code##_next, .at = AT, .use = USE(reg), .mask = HV_R | HV_X,       \
					  .access = HV_ACCESS_WRITE, .hit = offset, __VA_ARGS__ \
	}
#define LOAD_BY(reg, code, ...)                                                            \
	{                                                                                  \
#code, code, code##_next, .at = AT, .use = USE(reg), .mask = HV_NO_ACCESS, \
					  .access = HV_ACCESS_READ, .hit = AT, __VA_ARGS__ \
	}
#define STORE(code, ...) STORE_BY(RBX, code, AT, __VA_ARGS__)
#define LOAD(code, ...)	 LOAD_BY(RBX, code, __VA_ARGS__)
#define ROW(title, code, ...)                         \
	{                                             \
		title, code, code##_next, __VA_ARGS__ \
	}
#define WRITE_TO(p, offset) .page = p, .mask = HV_R | HV_X, .access = HV_ACCESS_WRITE, .hit = offset
#define READ_FROM(p, offset) \
	.page = p, .mask = HV_NO_ACCESS, .access = HV_ACCESS_READ, .hit = offset
#define FETCH_FROM(p, offset) \
	.page = p, .mask = HV_NO_ACCESS, .access = HV_ACCESS_EXECUTE, .hit = offset

static const struct row rows[] = {
	LOAD(mov_load8),
	LOAD(mov_load16),
	LOAD(mov_load32),
	LOAD(mov_load64),
	LOAD(movsx_load),
	LOAD(add_load),
	LOAD(cmp_load),
	STORE(mov_store8),
	STORE(mov_store16),
	STORE(mov_store32),
	STORE(mov_store64),
	STORE_BY(RBX, mov_immediate, AT + 8),
	STORE(mov_indexed),
	STORE(movnti_store),
	STORE(add_store),
	STORE(adc_store),
	STORE(inc_store),
	STORE(neg_store),
	STORE(shl_store),
	STORE(setcc_store),
	STORE(lock_add),
	STORE(lock_inc),
	STORE(lock_bts),
	STORE(xadd_store),
	STORE(lock_xadd, .flags = LOSES),
	STORE(xchg_store),
	ROW("add_store, nothing allowed", add_store, .at = AT, .use = USE(RBX),
	    READ_FROM(CLOSED, AT)),
	ROW("mov_store64, nothing allowed", mov_store64, .at = AT, .use = USE(RBX),
	    .mask = HV_NO_ACCESS, .access = HV_ACCESS_WRITE, .hit = AT),
	STORE(cmpxchg, .flags = EQUAL),
	ROW("cmpxchg, unequal", cmpxchg, .at = AT, .use = USE(RBX), WRITE_TO(CLOSED, AT),
	    .flags = LOSES),
	STORE(cmpxchg32, .flags = EQUAL),
	STORE_BY(RSI, cmpxchg8, AT, .flags = EQUAL),
	ROW("cmpxchg8, unequal", cmpxchg8, .at = AT, .use = USE(RSI), WRITE_TO(CLOSED, AT),
	    .flags = LOSES),
	STORE_BY(RSI, cmpxchg16, AT, .flags = EQUAL | NEED_CX16),
	ROW("cmpxchg16, unequal", cmpxchg16, .at = AT, .use = USE(RSI), WRITE_TO(CLOSED, AT),
	    .flags = NEED_CX16 | LOSES),
	LOAD(sse_load),
	LOAD(sse_add, .flags = NEED_NATIVE),
	STORE(sse_store),
	STORE(sse_store_low, .flags = NEED_NATIVE),
	STORE(sse_aligned_store),
	STORE(sse_stream),
	LOAD(avx_load, .flags = NEED_AVX),
	STORE(avx_store, .flags = NEED_AVX),
	LOAD(avx_aligned_load, .flags = NEED_AVX),
	STORE(avx_aligned_store, .flags = NEED_AVX),
	LOAD(avx_load128, .flags = NEED_AVX),
	STORE(avx_store128, .flags = NEED_AVX),
	LOAD(avx_integer_load, .flags = NEED_AVX),
	STORE(avx_integer_store, .flags = NEED_AVX),
	STORE(avx_stream, .flags = NEED_AVX),
	LOAD(avx_add, .flags = NEED_AVX),
	STORE_BY(RSP, push_reg, AT - 8),
	STORE_BY(RSP, push_flags, AT - 8),
	LOAD(push_memory),
	STORE(pop_memory),
	LOAD_BY(RSP, pop_reg),
	STORE_BY(RSP, call_near, AT - 8),
	LOAD_BY(RSP, ret_near, .flags = RETURNS),
	STORE_BY(RDI, stos8, AT),
	STORE_BY(RDI, movs64, AT),
	LOAD_BY(RSI, lods64),
	ROW("movs64, source", movs64, .at = AT, .use = USE(RSI), READ_FROM(CLOSED, AT)),
	STORE_BY(RDI, rep_stos64, AT, .rcx = 5),
	STORE_BY(RDI, rep_movs8, AT, .rcx = 11),
	STORE_BY(RDI, rep_movs64, AT, .rcx = 3),
	ROW("rep_movs8, source", rep_movs8, .at = AT, .use = USE(RSI), .rcx = 11,
	    READ_FROM(CLOSED, AT)),
	LOAD_BY(RSI, rep_lods8, .rcx = 6),
	LOAD_BY(RDI, scas8, .rcx = 6),
	ROW("cmps8", cmps8, .at = AT, .use = USE(RSI) | USE(RDI), .rcx = 6, READ_FROM(CLOSED, AT)),
	ROW("rep_stos8, into the page", rep_stos8, .at = -5, .use = USE(RDI), .rcx = 12,
	    WRITE_TO(CLOSED, 0), .done = 5, .size = 1),
	ROW("rep_movs64, into the page", rep_movs64, .at = -16, .use = USE(RDI), .rcx = 5,
	    WRITE_TO(CLOSED, 0), .done = 2, .size = 8),
	ROW("rep_movs8, source into the page", rep_movs8, .at = -5, .use = USE(RSI), .rcx = 12,
	    READ_FROM(CLOSED, 0), .done = 5, .size = 1),
	ROW("rep_stos8, backward", rep_stos8, .at = PAGE_SIZE + 3, .use = USE(RDI), .rcx = 9,
	    WRITE_TO(CLOSED, PAGE_SIZE - 1), .done = 4, .size = 1, .flags = BACKWARD),
	ROW("rep_movs64, backward", rep_movs64, .at = PAGE_SIZE + 8, .use = USE(RDI), .rcx = 4,
	    WRITE_TO(CLOSED, PAGE_SIZE - 8), .done = 2, .size = 8, .flags = BACKWARD),
	ROW("rep_lods8, backward", rep_lods8, .at = PAGE_SIZE + 3, .use = USE(RSI), .rcx = 9,
	    READ_FROM(CLOSED, PAGE_SIZE - 1), .done = 4, .size = 1, .flags = BACKWARD),
	ROW("mov_store64, across the start", mov_store64, .at = -3, .use = USE(RBX),
	    WRITE_TO(CLOSED, 0), .flags = SPILLS),
	ROW("mov_store64, across the end", mov_store64, .at = PAGE_SIZE - 3, .use = USE(RBX),
	    WRITE_TO(CLOSED, PAGE_SIZE - 3), .flags = SPILLS),
	ROW("mov_load64, across the start", mov_load64, .at = -3, .use = USE(RBX),
	    READ_FROM(CLOSED, 0)),
	ROW("mov_load64, across the end", mov_load64, .at = PAGE_SIZE - 3, .use = USE(RBX),
	    READ_FROM(CLOSED, PAGE_SIZE - 3)),
	ROW("add_store, across the start", add_store, .at = -3, .use = USE(RBX),
	    WRITE_TO(CLOSED, 0), .flags = SPILLS),
	ROW("sse_store, across the start", sse_store, .at = -7, .use = USE(RBX),
	    WRITE_TO(CLOSED, 0), .flags = SPILLS),
	ROW("avx_load, across the start", avx_load, .at = -7, .use = USE(RBX), READ_FROM(CLOSED, 0),
	    .flags = NEED_AVX),
	ROW("avx_load, across the end", avx_load, .at = PAGE_SIZE - 7, .use = USE(RBX),
	    READ_FROM(CLOSED, PAGE_SIZE - 7), .flags = NEED_AVX),
	ROW("avx_store, across the start", avx_store, .at = -7, .use = USE(RBX),
	    WRITE_TO(CLOSED, 0), .flags = NEED_AVX),
	ROW("avx_store, across the end", avx_store, .at = PAGE_SIZE - 7, .use = USE(RBX),
	    WRITE_TO(CLOSED, PAGE_SIZE - 7), .flags = NEED_AVX),
	/* Not before -7: QEMU makes four stores of it, and the first ones are done when one faults. */
	ROW("avx_integer_store, across the start", avx_integer_store, .at = -5, .use = USE(RBX),
	    WRITE_TO(CLOSED, 0), .flags = NEED_AVX),
	ROW("push_reg, across the start", push_reg, .at = 3, .use = USE(RSP), WRITE_TO(CLOSED, 0),
	    .flags = SPILLS),
	ROW("fetch", jump, .at = AT, .use = USE(RBX), FETCH_FROM(CLOSED, AT),
	    .flags = FETCHES | NO_SKIP),
	ROW("fetch across the start", jump, .at = -4, .use = USE(RBX), FETCH_FROM(CLOSED, 0),
	    .flags = FETCHES | NO_SKIP),
	ROW("walk, accessed bit", mov_load64, .at = AT, .use = USE(RBX), WRITE_TO(TABLE, 0),
	    .flags = WALKS | FRESH),
	ROW("walk, dirty bit", mov_store64, .at = AT, .use = USE(RBX), WRITE_TO(TABLE, 0),
	    .flags = WALKS | CLEAN),
	ROW("walk, load", mov_load64, .at = AT, .use = USE(RBX), READ_FROM(TABLE, 0),
	    .flags = WALKS),
	ROW("walk, store", mov_store64, .at = AT, .use = USE(RBX), READ_FROM(TABLE, 0),
	    .flags = WALKS),
	ROW("delivery, interrupt's frame", interrupt, .at = PAGE_SIZE - 64, .use = USE(RSP),
	    WRITE_TO(CLOSED, PAGE_SIZE - 64 - 40), .flags = DELIVERS | NEED_NATIVE),
	ROW("delivery, exception's frame", undefined, .at = PAGE_SIZE - 64, .use = USE(RSP),
	    WRITE_TO(CLOSED, PAGE_SIZE - 64 - 40),
	    .flags = DELIVERS | NEED_NATIVE | NO_SKIP | NO_INJECT),
	ROW("delivery, page fault's frame", unmapped, .at = PAGE_SIZE - 64, .use = USE(RSP),
	    WRITE_TO(CLOSED, PAGE_SIZE - 64 - 48),
	    .flags = DELIVERS | NEED_NATIVE | NO_SKIP | NO_INJECT),
	ROW("descriptors of an IRET", iret, .at = AT, .use = USE(RSP), READ_FROM(GDT, 8),
	    .flags = FRAMED | NO_INJECT | NEED_NATIVE),
	ROW("descriptors of a far return", retf, .at = AT, .use = USE(RSP), READ_FROM(GDT, 8),
	    .flags = FRAMED | NO_INJECT | NEED_NATIVE),
	ROW("delivery, IDT", interrupt, .at = AT, .use = USE(RBX), READ_FROM(IDT, VECTOR * 16),
	    .flags = DELIVERS | NO_INJECT | NEED_NATIVE),
	ROW("delivery, exception, IDT", undefined, .at = AT, .use = USE(RBX),
	    READ_FROM(IDT, TRAP_UD * 16), .flags = DELIVERS | NO_INJECT | NO_SKIP | NEED_NATIVE),
	ROW("delivery, GDT", interrupt, .at = AT, .use = USE(RBX), READ_FROM(GDT, 8),
	    .flags = DELIVERS | NO_INJECT | NEED_NATIVE),
	ROW("descriptor load", load_segment, .at = AT, .use = USE(RBX), READ_FROM(GDT, 0x10),
	    .flags = NO_INJECT | SELECTOR),
	ROW("descriptor load, FS", load_fs, .at = AT, .use = USE(RBX), READ_FROM(GDT, 0x10),
	    .flags = NO_INJECT | SELECTOR),
};

#endif
