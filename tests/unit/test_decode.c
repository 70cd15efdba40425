/* SPDX-License-Identifier: MIT */
/* Instructions -> accesses (decode.c, operands.c). */
#include <errno.h>

#include "decode_fixture.h"

#define R(address, bytes)                                           \
	{                                                           \
		.gva = {address}, .size = bytes, .access = MEM_READ \
	}
#define W(address, bytes)                                            \
	{                                                            \
		.gva = {address}, .size = bytes, .access = MEM_WRITE \
	}
#define S(address)                                                                  \
	{                                                                           \
		.gva = {address}, .size = 8, .access = MEM_READ, .supervisor = true \
	}

struct row {
	const char *name;
	enum mode mode;
	const char *bytes;
	int result;
	struct insn_access accesses[4];
	uint64_t rflags;
};

static const struct row rows[] = {
	/* moves */
	{"mov rax, [rax]", M64, "48 8b 00", 0, {R(0x10000, 8)}},
	{"mov [rax], rax", M64, "48 89 00", 0, {W(0x10000, 8)}},
	{"mov eax, [rcx+8]", M64, "8b 41 08", 0, {R(0xd, 4)}},
	{"mov [rdx-8], cx", M64, "66 89 4a f8", 0, {W(0x1fff8, 2)}},
	{"mov [rbx], ah", M64, "88 23", 0, {W(0x30000, 1)}},
	{"mov [rbx+rcx*4+0x10], r9", M64, "4c 89 4c 8b 10", 0, {W(0x30024, 8)}},
	{"mov byte [r8], 5", M64, "41 c6 00 05", 0, {W(0x80000, 1)}},
	{"mov qword [rdi], -1", M64, "48 c7 07 ff ff ff ff", 0, {W(0x60000, 8)}},
	{"mov rax, [rip+0x10]", M64, "48 8b 05 10 00 00 00", 0, {R(RIP + 7 + 0x10, 8)}},
	{"mov [rip-8], eax", M64, "89 05 f8 ff ff ff", 0, {W(RIP + 6 - 8, 4)}},
	{"mov eax, [r12]", M64, "41 8b 04 24", 0, {R(UINT64_C(0xffff800000000000), 4)}},
	{"mov eax, [r12d]", M64, "67 41 8b 04 24", 0, {R(0, 4)}},
	{"mov eax, fs:[0x10]", M64, "64 8b 04 25 10 00 00 00", 0, {R(0x1000010, 4)}},
	{"mov eax, gs:[rax]", M64, "65 8b 00", 0, {R(0x2010000, 4)}},
	{"mov eax, ds:[rax]: no base", M64, "3e 8b 00", 0, {R(0x10000, 4)}},
	{"mov al, [moffs64]",
	 M64,
	 "a0 88 77 66 55 44 33 22 11",
	 0,
	 {R(UINT64_C(0x1122334455667788), 1)}},
	{"mov [moffs32], eax", M64, "67 a3 00 10 00 00", 0, {W(0x1000, 4)}},
	{"mov rax, rbx", M64, "48 89 d8", 0, {{{0}}}},
	{"movzx eax, byte [rsi]", M64, "0f b6 06", 0, {R(0x50000, 1)}},
	{"movsx rax, word [rsi]", M64, "48 0f bf 06", 0, {R(0x50000, 2)}},
	{"movsxd rax, dword [rsi]", M64, "48 63 06", 0, {R(0x50000, 4)}},
	{"movbe [rdi], eax", M64, "0f 38 f1 07", 0, {W(0x60000, 4)}},
	{"movnti [rax], rcx", M64, "48 0f c3 08", 0, {W(0x10000, 8)}},
	{"mov [rax], es", M64, "8c 00", 0, {W(0x10000, 2)}},
	{"mov es, [rax]", M64, "8e 00", 0, {R(0x10000, 2)}},
	{"cmovz eax, [rsi]: reads anyway", M64, "0f 44 06", 0, {R(0x50000, 4)}},
	{"cmp [rsi], eax", M64, "39 06", 0, {R(0x50000, 4)}},
	{"test byte [rsi], 1", M64, "f6 06 01", 0, {R(0x50000, 1)}},
	{"setz [rdi]", M64, "0f 94 07", 0, {W(0x60000, 1)}},
	/* no access */
	{"lea rax, [rbx]", M64, "48 8d 03", 0, {{{0}}}},
	{"nop [rax]", M64, "0f 1f 00", 0, {{{0}}}},
	{"prefetchnta [rax]", M64, "0f 18 00", 0, {{{0}}}},
	{"prefetchw [rax]", M64, "0f 0d 08", 0, {{{0}}}},
	{"invlpg [rax]", M64, "0f 01 38", 0, {{{0}}}},
	{"nop", M64, "90", 0, {{{0}}}},
	{"clflush [rax+7]", M64, "0f ae 78 07", 0, {R(0x10000, 64)}},
	/* stack */
	{"push rax", M64, "50", 0, {W(0x7eff8, 8)}},
	{"push ax", M64, "66 50", 0, {W(0x7effe, 2)}},
	{"push 0x10", M64, "6a 10", 0, {W(0x7eff8, 8)}},
	{"push [rbx]", M64, "ff 33", 0, {R(0x30000, 8), W(0x7eff8, 8)}},
	{"push [rsp+8]", M64, "ff 74 24 08", 0, {R(0x7f008, 8), W(0x7eff8, 8)}},
	{"pushfq", M64, "9c", 0, {W(0x7eff8, 8)}},
	{"push fs", M64, "0f a0", 0, {W(0x7eff8, 8)}},
	{"pop rax", M64, "58", 0, {R(0x7f000, 8)}},
	{"pop [rbx]", M64, "8f 03", 0, {R(0x7f000, 8), W(0x30000, 8)}},
	{"pop [rsp]: base after the pop", M64, "8f 04 24", 0, {R(0x7f000, 8), W(0x7f008, 8)}},
	{"popfq", M64, "9d", 0, {R(0x7f000, 8)}},
	{"call rel", M64, "e8 00 01 00 00", 0, {W(0x7eff8, 8)}},
	{"call rax", M64, "ff d0", 0, {W(0x7eff8, 8)}},
	{"call [rbx]", M64, "ff 13", 0, {R(0x30000, 8), W(0x7eff8, 8)}},
	{"call far [rbx]", M64, "48 ff 1b", 0, {R(0x30000, 10), W(0x7eff0, 16)}},
	{"jmp [rbx]", M64, "ff 23", 0, {R(0x30000, 8)}},
	{"jmp far [rbx]", M64, "ff 2b", 0, {R(0x30000, 6)}},
	{"ret", M64, "c3", 0, {R(0x7f000, 8)}},
	{"ret 8", M64, "c2 08 00", 0, {R(0x7f000, 8)}},
	{"retf", M64, "48 cb", 0, {R(0x7f000, 16)}},
	{"iretq", M64, "48 cf", 0, {R(0x7f000, 40)}},
	{"enter 16, 0", M64, "c8 10 00 00", 0, {W(0x7eff8, 8)}},
	{"enter 16, 1", M64, "c8 10 00 01", 0, {W(0x7eff0, 16)}},
	{"enter 16, 3", M64, "c8 10 00 03", 0, {R(0x7f7f0, 16), W(0x7efe0, 32)}},
	{"leave", M64, "c9", 0, {R(0x7f800, 8)}},
	/* strings */
	{"movsb", M64, "a4", 0, {R(0x50000, 1), W(0x60000, 1)}},
	{"movsq, DF", M64, "48 a5", 0, {R(0x50000, 8), W(0x60000, 8)}, DF},
	{"rep movsq", M64, "f3 48 a5", 0, {R(0x50000, 8), W(0x60000, 8)}},
	{"rep movsd, DF", M64, "f3 a5", 0, {R(0x50000, 4), W(0x60000, 4)}, DF},
	{"movsb gs:", M64, "65 a4", 0, {R(0x2050000, 1), W(0x60000, 1)}},
	{"movsb a32", M64, "67 a4", 0, {R(0x50000, 1), W(0x60000, 1)}},
	{"stosw", M64, "66 ab", 0, {W(0x60000, 2)}},
	{"rep stosb", M64, "f3 aa", 0, {W(0x60000, 1)}},
	{"lodsd", M64, "ad", 0, {R(0x50000, 4)}},
	{"scasb", M64, "ae", 0, {R(0x60000, 1)}},
	{"repne cmpsb", M64, "f2 a6", 0, {R(0x50000, 1), R(0x60000, 1)}},
	{"insb", M64, "6c", 0, {W(0x60000, 1)}},
	{"rep outsd", M64, "f3 6f", 0, {R(0x50000, 4)}},
	{"xlat", M64, "d7", 0, {R(0x30000, 1)}},
	/* read-modify-write */
	{"add [rax], ecx", M64, "01 08", 0, {R(0x10000, 4), W(0x10000, 4)}},
	{"lock inc qword [rax]", M64, "f0 48 ff 00", 0, {R(0x10000, 8), W(0x10000, 8)}},
	{"xchg [rax], cl", M64, "86 08", 0, {R(0x10000, 1), W(0x10000, 1)}},
	{"xadd [rax], ecx", M64, "f0 0f c1 08", 0, {R(0x10000, 4), W(0x10000, 4)}},
	{"cmpxchg [rbx], ecx", M64, "0f b1 0b", 0, {R(0x30000, 4), W(0x30000, 4)}},
	{"cmpxchg8b [rsi]", M64, "0f c7 0e", 0, {R(0x50000, 8), W(0x50000, 8)}},
	{"cmpxchg16b [rsi]", M64, "48 0f c7 0e", 0, {R(0x50000, 16), W(0x50000, 16)}},
	{"shl dword [rax], 3", M64, "c1 20 03", 0, {R(0x10000, 4), W(0x10000, 4)}},
	{"not byte [rax]", M64, "f6 10", 0, {R(0x10000, 1), W(0x10000, 1)}},
	/* bit strings */
	{"bt [rax], ecx (5)", M64, "0f a3 08", 0, {R(0x10000, 4)}},
	{"bt [rcx], eax (0x10000)", M64, "0f a3 01", 0, {R(0x5 + 0x2000, 4)}},
	{"bts [rax], rdx (0x20000)", M64, "48 0f ab 10", 0, {R(0x14000, 8), W(0x14000, 8)}},
	{"btr [rax], r12 (negative)",
	 M64,
	 "4c 0f b3 20",
	 0,
	 {R(UINT64_C(0xfffff00000010000), 8), W(UINT64_C(0xfffff00000010000), 8)}},
	{"bt [rax], r15 (-1): rounds down", M64, "4c 0f a3 38", 0, {R(0xfff8, 8)}},
	{"btc [rax], cx", M64, "66 0f bb 08", 0, {R(0x10000, 2), W(0x10000, 2)}},
	{"bt dword [rax], 100: modulo", M64, "0f ba 20 64", 0, {R(0x10000, 4)}},
	/* vectors and x87 */
	{"movups xmm0, [rax]", M64, "0f 10 00", 0, {R(0x10000, 16)}},
	{"movdqa [rax], xmm1", M64, "66 0f 7f 08", 0, {W(0x10000, 16)}},
	{"movss xmm0, [rax]", M64, "f3 0f 10 00", 0, {R(0x10000, 4)}},
	{"movq [rax], mm7", M64, "0f 7f 38", 0, {W(0x10000, 8)}},
	{"vmovdqu [rax], ymm0", M64, "c5 fe 7f 00", 0, {W(0x10000, 32)}},
	{"vmovdqu64 [rax+0x40], zmm0", M64, "62 f1 fe 48 7f 40 01", 0, {W(0x10040, 64)}},
	{"vaddpd ymm0, ymm1, [rsi]", M64, "c5 f5 58 06", 0, {R(0x50000, 32)}},
	{"maskmovdqu", M64, "66 0f f7 c1", 0, {W(0x60000, 16)}},
	{"fld qword [rax]", M64, "dd 00", 0, {R(0x10000, 8)}},
	{"fstp tbyte [rax]", M64, "db 38", 0, {W(0x10000, 10)}},
	{"fnstcw [rax]", M64, "d9 38", 0, {W(0x10000, 2)}},
	{"fxsave [rax]", M64, "0f ae 00", 0, {W(0x10000, 512)}},
	{"fxrstor [rax]", M64, "0f ae 08", 0, {R(0x10000, 512)}},
	{"xrstor [rax]", M64, "0f ae 28", 0, {R(0x10000, 2696)}},
	{"ldmxcsr [rax]", M64, "0f ae 10", 0, {R(0x10000, 4)}},
	{"vpgatherdd: operands in vectors", M64, "c4 e2 75 90 04 10", -ENOTSUP, {{{0}}}},
	/* system */
	{"lgdt [rax]", M64, "0f 01 10", 0, {R(0x10000, 10)}},
	{"sidt [rax]", M64, "0f 01 08", 0, {W(0x10000, 10)}},
	{"mov ds, eax: descriptor 0x0000", M64, "8e d8", 0, {{{0}}}},
	{"mov ds, ebx: null selector", M64, "8e db", 0, {{{0}}}},
	{"mov fs, ecx: LDT entry", M64, "8e e1", 0, {S(0xa000)}},
	{"ltr cx", M64, "0f 00 d9", 0, {S(0xa000)}},
	{"lar eax, ecx", M64, "0f 02 c1", 0, {S(0xa000)}},
	{"invpcid rax, [rbx]", M64, "66 0f 38 82 03", 0, {R(0x30000, 16)}},
	/* 32-bit */
	{"mov eax, [ebx]", M32, "8b 03", 0, {R(0x30000, 4)}},
	{"mov eax, fs:[0]", M32, "64 a1 00 00 00 00", 0, {R(0x1000000, 4)}},
	{"mov eax, [bx-2]", M32, "67 8b 47 fe", 0, {R(0xfffe, 4)}},
	{"push eax", M32, "50", 0, {W(0x7effc, 4)}},
	{"pushad", M32, "60", 0, {W(0x7efe0, 32)}},
	{"popad", M32, "61", 0, {R(0x7f000, 32)}},
	{"call [ebx]", M32, "ff 13", 0, {R(0x30000, 4), W(0x7effc, 4)}},
	{"call far 0x18:0", M32, "9a 00 00 00 00 18 00", 0, {S(0x9018), W(0x7eff8, 8)}},
	{"jmp far 0x18:0", M32, "ea 00 00 00 00 18 00", 0, {S(0x9018)}},
	{"lds eax, [ebx]", M32, "c5 03", 0, {R(0x30000, 6)}},
	{"bound eax, [ebx]", M32, "62 03", 0, {R(0x30000, 8)}},
	{"iretd", M32, "cf", 0, {R(0x7f000, 12)}},
	{"pop ds", M32, "1f", 0, {R(0x7f000, 4)}},
	{"leave", M32, "c9", 0, {R(0x7f800, 4)}},
	{"enter 0, 2", M32, "c8 00 00 02", 0, {R(0x7f7fc, 4), W(0x7eff4, 12)}},
	{"movsd a16", M32, "67 a5", 0, {R(0x0, 4), W(0x0, 4)}},
	/* 16-bit and real mode: segment bases */
	{"mov ax, [bx]", REAL, "8b 07", 0, {R(0x100000, 2)}},
	{"mov [bx+si+4], al", REAL, "88 40 04", 0, {W(0x100004, 1)}},
	{"mov ax, [bp-2]: SS", REAL, "8b 46 fe", 0, {R(0x30f7fe, 2)}},
	{"mov ax, es:[di]", REAL, "26 8b 05", 0, {R(0x200000, 2)}},
	{"mov ax, cs:[0x10]", REAL, "2e a1 10 00", 0, {R(0x400010, 2)}},
	{"mov eax, [ebx]", REAL, "66 67 8b 03", 0, {R(0x130000, 4)}},
	{"push ax", REAL, "50", 0, {W(0x30effe, 2)}},
	{"push eax", REAL, "66 50", 0, {W(0x30effc, 4)}},
	{"movsw", REAL, "a5", 0, {R(0x100000, 2), W(0x200000, 2)}},
	{"iret", REAL, "cf", 0, {R(0x30f000, 6)}},
	{"call", REAL, "e8 00 00", 0, {W(0x30effe, 2)}},
	{"mov ds, cx: no descriptor", REAL, "8e d9", 0, {{{0}}}},
	{"mov ds, cx", M16, "8e d9", 0, {S(0xa000)}},
	{"ret", M16, "c3", 0, {R(0x30f000, 2)}},
	/* not instructions */
	{"cut short", M64, "48 8b", -EINVAL, {{{0}}}},
	{"nothing", M64, "", -EINVAL, {{{0}}}},
	{"push cs in 64-bit mode", M64, "0e", -EINVAL, {{{0}}}},
	{"15 prefixes", M64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 90", -EINVAL, {{{0}}}},
};

static void assert_accesses(const struct row *row, const struct insn *insn)
{
	for (unsigned i = 0; i < ARRAY_SIZE(row->accesses); i++) {
		const struct insn_access *want = &row->accesses[i], *got = &insn->accesses[i];

		if (!want->size) {
			assert_int_equal(insn->access_count, i);
			return;
		}
		assert_true(i < insn->access_count);
		assert_int_equal(got->gva.addr, want->gva.addr);
		assert_int_equal(got->size, want->size);
		assert_int_equal(got->access, want->access);
		assert_int_equal(got->supervisor, want->supervisor);
	}
}

static void test_accesses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct kvm_regs regs = default_regs();
		struct kvm_sregs sregs = sregs_of(rows[i].mode);
		struct insn_context c = {&regs, &sregs};
		struct insn insn = {0};
		uint8_t bytes[32] = {0};
		size_t count = bytes_of(rows[i].bytes, bytes);

		regs.rflags |= rows[i].rflags;
		print_message("%s\n", rows[i].name);
		assert_int_equal(insn_decode(&c, bytes, count, &insn), rows[i].result);
		if (rows[i].result == -EINVAL)
			continue;
		assert_int_equal(insn.length, count);
		assert_memory_equal(insn.bytes, bytes, count);
		if (!rows[i].result)
			assert_accesses(&rows[i], &insn);
	}
}

/* More bytes than the instruction has change nothing. */
static void test_length(void **state)
{
	struct kvm_regs regs = default_regs();
	struct kvm_sregs sregs = sregs_of(M64);
	struct insn_context c = {&regs, &sregs};
	uint8_t bytes[32];
	struct insn insn;

	(void)state;
	memset(bytes, 0xcc, sizeof(bytes));
	bytes_of("48 8b 00", bytes);
	assert_int_equal(insn_decode(&c, bytes, sizeof(bytes), &insn), 0);
	assert_int_equal(insn.length, 3);
	assert_false(insn.rep);
	assert_false(insn.fpu);
	bytes_of("f3 48 a5", bytes);
	assert_int_equal(insn_decode(&c, bytes, sizeof(bytes), &insn), 0);
	assert_true(insn.rep);
	bytes_of("0f 10 00", bytes);
	assert_int_equal(insn_decode(&c, bytes, sizeof(bytes), &insn), 0);
	assert_true(insn.fpu);
	bytes_of("0f ae 08", bytes);
	assert_int_equal(insn_decode(&c, bytes, sizeof(bytes), &insn), 0);
	assert_true(insn.fpu);
}

/* A repeated string instruction with nothing left to do makes no access; the count is as wide as
 * addresses are. */
static void test_repeat_count(void **state)
{
	static const uint8_t full[] = {0xf3, 0xa4}, narrow[] = {0x67, 0xf3, 0xa4};
	struct kvm_regs regs = default_regs();
	struct kvm_sregs sregs = sregs_of(M64);
	struct insn_context c = {&regs, &sregs};
	struct insn insn;

	(void)state;
	regs.rcx = UINT64_C(0x100000000);
	assert_int_equal(insn_decode(&c, full, sizeof(full), &insn), 0);
	assert_int_equal(insn.access_count, 2);
	assert_int_equal(insn_decode(&c, narrow, sizeof(narrow), &insn), 0);
	assert_int_equal(insn.access_count, 0);
	regs.rcx = 0;
	assert_int_equal(insn_decode(&c, full, sizeof(full), &insn), 0);
	assert_int_equal(insn.access_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accesses),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_repeat_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
