/* SPDX-License-Identifier: MIT */
/* Emulated stores -> instructions and the registers before them (reverse.c). */
#include <errno.h>

#include "decode_fixture.h"

struct change {
	unsigned gpr;
	uint64_t before, after;
};

struct store_row {
	const char *name;
	enum mode mode;
	enum retired_where where;
	const char *prior; /* code in front of it */
	const char *bytes;
	uint64_t gva;
	const char *data;
	struct change changes[3]; /* registers the instruction moves */
	int result;
	uint64_t rflags;
	uint64_t target; /* RIP after, where it is not the next instruction */
};

#define STACK_BEFORE UINT64_C(0x7f000)

static const struct store_row stores[] = {
	{"mov [rax], rcx", M64, RETIRED_ENDS, "90", "48 89 08", 0x10000, "05 00 00 00 00 00 00 00"},
	{"mov [rax], ecx", M64, RETIRED_ENDS, "90", "89 08", 0x10000, "05 00 00 00"},
	{"mov [rax], ecx after a byte that looks like REX.W", M64, RETIRED_ENDS, "83 c0 48",
	 "89 08", 0x10000, "05 00 00 00"},
	{"mov [rax], ecx after a byte that would be a prefix without effect", M64, RETIRED_ENDS,
	 "83 c0 40", "89 08", 0x10000, "05 00 00 00"},
	{"mov byte [rbx], 7", M64, RETIRED_ENDS, "cc", "c6 03 07", 0x30000, "07"},
	{"mov qword [rbx], -2", M64, RETIRED_ENDS, "", "48 c7 03 fe ff ff ff", 0x30000,
	 "fe ff ff ff ff ff ff ff"},
	{"mov [rip+0x100], edx", M64, RETIRED_ENDS, "90 90", "89 15 00 01 00 00",
	 RIP + 2 + 6 + 0x100, "00 00 02 00"},
	{"mov gs:[rax], ebx", M64, RETIRED_ENDS, "90", "65 89 18", 0x2010000, "00 00 03 00"},
	{"mov [rdx], ah", M64, RETIRED_ENDS, "90", "88 22", 0x20000, "00"},
	{"movnti [rax], ecx", M64, RETIRED_ENDS, "", "0f c3 08", 0x10000, "05 00 00 00"},
	{"add [rax], ecx", M64, RETIRED_ENDS, "90", "01 08", 0x10000, "15 00 00 00"},
	{"lock add [rax], ecx", M64, RETIRED_ENDS, "90", "f0 01 08", 0x10000, "15 00 00 00"},
	{"add dword [rax], 0x08010101: its end alone would fit too, were it not for the rest", M64,
	 RETIRED_ENDS, "90", "81 00 01 01 01 09", 0x10000, "01 01 01 09"},
	{"bts [rax], ecx", M64, RETIRED_ENDS, "", "0f ab 08", 0x10000, "20 00 00 00"},
	{"setz [rdi]", M64, RETIRED_ENDS, "90", "0f 94 07", 0x60000, "01"},
	{"movups [rax], xmm0", M64, RETIRED_ENDS, "90", "0f 11 00", 0x10000,
	 "00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff"},
	{"xchg [rax], rcx",
	 M64,
	 RETIRED_ENDS,
	 "90",
	 "48 87 08",
	 0x10000,
	 "77 00 00 00 00 00 00 00",
	 {{GPR_RCX, 0x77, 0x1234}}},
	{"xchg [rax], cl",
	 M64,
	 RETIRED_ENDS,
	 "90",
	 "86 08",
	 0x10000,
	 "77",
	 {{GPR_RCX, 0x1277, 0x1234}}},
	{"xchg [rax], rax",
	 M64,
	 RETIRED_ENDS,
	 "90",
	 "48 87 00",
	 0x12340,
	 "40 23 01 00 00 00 00 00",
	 {{GPR_RAX, 0x12340, 0x99}}},
	{"xadd [rax], ecx: 0x10 + 5",
	 M64,
	 RETIRED_ENDS,
	 "90",
	 "0f c1 08",
	 0x10000,
	 "15 00 00 00",
	 {{GPR_RCX, 0x5, 0x10}}},
	{"cmpxchg [rbx], ecx, equal",
	 M64,
	 RETIRED_ENDS,
	 "90",
	 "f0 0f b1 0b",
	 0x30000,
	 "05 00 00 00",
	 {{0}},
	 0,
	 ZF},
	{"cmpxchg [rbx], ecx, not equal", M64, RETIRED_ENDS, "90", "f0 0f b1 0b", 0x30000,
	 "00 00 01 00"},
	{"cmpxchg16b [rsi]",
	 M64,
	 RETIRED_ENDS,
	 "90",
	 "48 0f c7 0e",
	 0x50000,
	 "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00",
	 {{0}},
	 0,
	 ZF},
	{"push rcx",
	 M64,
	 RETIRED_ENDS,
	 "90",
	 "51",
	 STACK_BEFORE - 8,
	 "05 00 00 00 00 00 00 00",
	 {{GPR_RSP, STACK_BEFORE, STACK_BEFORE - 8}}},
	{"push -1",
	 M64,
	 RETIRED_ENDS,
	 "90",
	 "6a ff",
	 STACK_BEFORE - 8,
	 "ff ff ff ff ff ff ff ff",
	 {{GPR_RSP, STACK_BEFORE, STACK_BEFORE - 8}}},
	{"push rsp",
	 M64,
	 RETIRED_ENDS,
	 "90",
	 "54",
	 STACK_BEFORE - 8,
	 "00 f0 07 00 00 00 00 00",
	 {{GPR_RSP, STACK_BEFORE, STACK_BEFORE - 8}}},
	{"push [rbx]",
	 M64,
	 RETIRED_ENDS,
	 "90",
	 "ff 33",
	 STACK_BEFORE - 8,
	 "11 22 33 44 55 66 77 88",
	 {{GPR_RSP, STACK_BEFORE, STACK_BEFORE - 8}}},
	{"pop [rbx]",
	 M64,
	 RETIRED_ENDS,
	 "90",
	 "8f 03",
	 0x30000,
	 "11 22 33 44 55 66 77 88",
	 {{GPR_RSP, STACK_BEFORE, STACK_BEFORE + 8}}},
	{"pop [rsp+8]",
	 M64,
	 RETIRED_ENDS,
	 "90",
	 "8f 44 24 08",
	 STACK_BEFORE + 16,
	 "11 22 33 44 55 66 77 88",
	 {{GPR_RSP, STACK_BEFORE, STACK_BEFORE + 8}}},
	{"enter 32, 0",
	 M64,
	 RETIRED_ENDS,
	 "90",
	 "c8 20 00 00",
	 STACK_BEFORE - 8,
	 "88 77 00 00 00 00 00 00",
	 {{GPR_RSP, STACK_BEFORE, STACK_BEFORE - 40}, {GPR_RBP, 0x7788, STACK_BEFORE - 8}}},
	{"call rel",
	 M64,
	 RETIRED_CALLS,
	 "90",
	 "e8 00 02 00 00",
	 STACK_BEFORE - 8,
	 "06 10 40 00 00 00 00 00",
	 {{GPR_RSP, STACK_BEFORE, STACK_BEFORE - 8}},
	 0,
	 0,
	 RIP + 6 + 0x200},
	{"call rax",
	 M64,
	 RETIRED_CALLS,
	 "90",
	 "ff d0",
	 STACK_BEFORE - 8,
	 "03 10 40 00 00 00 00 00",
	 {{GPR_RSP, STACK_BEFORE, STACK_BEFORE - 8}},
	 0,
	 0,
	 0x10000},
	{"call [rbx]",
	 M64,
	 RETIRED_CALLS,
	 "90",
	 "ff 13",
	 STACK_BEFORE - 8,
	 "03 10 40 00 00 00 00 00",
	 {{GPR_RSP, STACK_BEFORE, STACK_BEFORE - 8}},
	 0,
	 0,
	 0x5555},
	{"call rel, to elsewhere",
	 M64,
	 RETIRED_CALLS,
	 "90",
	 "e8 00 02 00 00",
	 STACK_BEFORE - 8,
	 "06 10 40 00 00 00 00 00",
	 {{GPR_RSP, STACK_BEFORE, STACK_BEFORE - 8}},
	 -ENOENT,
	 0,
	 0x777},
	{"stosd",
	 M64,
	 RETIRED_ENDS,
	 "90",
	 "ab",
	 0x60000,
	 "00 00 01 00",
	 {{GPR_RDI, 0x60000, 0x60004}}},
	{"stosd, DF",
	 M64,
	 RETIRED_ENDS,
	 "90",
	 "ab",
	 0x60000,
	 "00 00 01 00",
	 {{GPR_RDI, 0x60000, 0x5fffc}},
	 0,
	 DF},
	{"movsq",
	 M64,
	 RETIRED_ENDS,
	 "90",
	 "48 a5",
	 0x60000,
	 "11 22 33 44 55 66 77 88",
	 {{GPR_RDI, 0x60000, 0x60008}, {GPR_RSI, 0x50000, 0x50008}}},
	{"rep movsb",
	 M64,
	 RETIRED_REPEATS,
	 "90",
	 "f3 a4",
	 0x60000,
	 "42",
	 {{GPR_RDI, 0x60000, 0x60001}, {GPR_RSI, 0x50000, 0x50001}, {GPR_RCX, 6, 5}}},
	{"rep movsb, DF",
	 M64,
	 RETIRED_REPEATS,
	 "90",
	 "f3 a4",
	 0x60000,
	 "42",
	 {{GPR_RDI, 0x60000, 0x5ffff}, {GPR_RSI, 0x50000, 0x4ffff}, {GPR_RCX, 1, 0}},
	 0,
	 DF},
	{"rep stosq",
	 M64,
	 RETIRED_REPEATS,
	 "90",
	 "f3 48 ab",
	 0x60000,
	 "00 00 01 00 00 00 00 00",
	 {{GPR_RDI, 0x60000, 0x60008}, {GPR_RCX, 0x100, 0xff}}},
	{"stosb is not repeated",
	 M64,
	 RETIRED_REPEATS,
	 "90",
	 "aa",
	 0x60000,
	 "00",
	 {{GPR_RDI, 0x60000, 0x60001}},
	 -ENOENT},
	{"push ecx",
	 M32,
	 RETIRED_ENDS,
	 "90",
	 "51",
	 STACK_BEFORE - 4,
	 "05 00 00 00",
	 {{GPR_RSP, STACK_BEFORE, STACK_BEFORE - 4}}},
	{"call rel, 32-bit",
	 M32,
	 RETIRED_CALLS,
	 "90",
	 "e8 00 02 00 00",
	 STACK_BEFORE - 4,
	 "06 10 40 00",
	 {{GPR_RSP, STACK_BEFORE, STACK_BEFORE - 4}},
	 0,
	 0,
	 RIP + 6 + 0x200},
	{"call rel, 32-bit, below 0",
	 M32,
	 RETIRED_CALLS,
	 "90",
	 "e8 00 00 00 80",
	 STACK_BEFORE - 4,
	 "06 10 40 00",
	 {{GPR_RSP, STACK_BEFORE, STACK_BEFORE - 4}},
	 0,
	 0,
	 (uint32_t)(RIP + 6 + 0x80000000)},
	{"movsd, 32-bit",
	 M32,
	 RETIRED_ENDS,
	 "90",
	 "a5",
	 0x60000,
	 "11 22 33 44",
	 {{GPR_RDI, 0x60000, 0x60004}, {GPR_RSI, 0x50000, 0x50004}}},
	{"mov [bx], cx", REAL, RETIRED_ENDS, "90", "89 0f", 0x100000, "05 00"},
	{"push cx: only SP moves",
	 REAL,
	 RETIRED_ENDS,
	 "90",
	 "51",
	 0x30effe,
	 "05 00",
	 {{GPR_RSP, STACK_BEFORE, STACK_BEFORE - 2}}},
	{"the data is another's",
	 M64,
	 RETIRED_ENDS,
	 "90",
	 "89 08",
	 0x10000,
	 "06 00 00 00",
	 {{0}},
	 -ENOENT},
	{"the address is another's",
	 M64,
	 RETIRED_ENDS,
	 "90",
	 "89 08",
	 0x10004,
	 "05 00 00 00",
	 {{0}},
	 -ENOENT},
	{"the size is another's",
	 M64,
	 RETIRED_ENDS,
	 "90",
	 "89 08",
	 0x10000,
	 "05 00",
	 {{0}},
	 -ENOENT},
	{"a load", M64, RETIRED_ENDS, "90", "8b 08", 0x10000, "05 00 00 00", {{0}}, -ENOENT},
	{"the store is of the instruction before",
	 M64,
	 RETIRED_ENDS,
	 "48 89 08",
	 "90",
	 0x10000,
	 "05 00 00 00 00 00 00 00",
	 {{0}},
	 -ENOENT},
	{"no code", M64, RETIRED_ENDS, "", "", 0x10000, "05 00 00 00", {{0}}, -ENOENT},
};

struct target {
	uint64_t gva;
	size_t size;
};

static int place_whole(void *ctx, gva_t gva, size_t len)
{
	const struct target *t = ctx;

	return gva.addr == t->gva && len == t->size ? 0 : -1;
}

static void check_store(const struct store_row *row)
{
	struct kvm_regs before = default_regs(), after, found;
	struct kvm_sregs sregs = sregs_of(row->mode);
	struct insn_context c = {&after, &sregs};
	uint8_t code[48], data[64];
	size_t prior = bytes_of(row->prior, code), length = bytes_of(row->bytes, code + prior);
	struct target target = {row->gva, bytes_of(row->data, data)};
	struct retired_query q = {&c, data, target.size, place_whole, &target};
	bool repeats = row->where == RETIRED_REPEATS;
	struct insn insn;

	before.rflags |= row->rflags;
	before.rip = RIP + prior;
	after = before;
	for (unsigned i = 0; i < ARRAY_SIZE(row->changes); i++) {
		if (row->changes[i].before == row->changes[i].after)
			continue;
		*gpr_at(&before, row->changes[i].gpr) = row->changes[i].before;
		*gpr_at(&after, row->changes[i].gpr) = row->changes[i].after;
	}
	if (!repeats)
		after.rip = row->target ? row->target : before.rip + length;
	if (row->mode == REAL) {
		before.rip = (uint16_t)before.rip;
		after.rip = (uint16_t)after.rip;
	}
	assert_int_equal(insn_find_retired_store(&q, row->where, repeats ? code + prior : code,
						 repeats ? length : prior + length, &insn, &found),
			 row->result);
	if (row->result)
		return;
	assert_int_equal(insn.length, length);
	assert_memory_equal(insn.bytes, code + prior, length);
	assert_memory_equal(&found, &before, sizeof(before));
}

static void test_retired_stores(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(stores); i++) {
		print_message("%s\n", stores[i].name);
		check_store(&stores[i]);
	}
}

/* The second half of a store that crosses a page, the first half being done. */
static int place_second_half(void *ctx, gva_t gva, size_t len)
{
	(void)ctx;
	return gva.addr == 0x10000 && len == 8 ? 4 : -1;
}

static void test_second_page(void **state)
{
	static const uint8_t code[] = {0x90, 0x48, 0x89, 0x08};
	uint8_t data[4] = {5, 6, 7, 8};
	struct kvm_regs after = default_regs(), before;
	struct kvm_sregs sregs = sregs_of(M64);
	struct insn_context c = {&after, &sregs};
	struct retired_query q = {&c, data, sizeof(data), place_second_half, NULL};
	struct insn insn;

	(void)state;
	after.rcx = UINT64_C(0x0807060504030201);
	assert_int_equal(
		insn_find_retired_store(&q, RETIRED_ENDS, code, sizeof(code), &insn, &before), 0);
	assert_int_equal(insn.length, 3);
	assert_int_equal(before.rip, RIP - 3);
	data[0] = 9;
	assert_int_equal(
		insn_find_retired_store(&q, RETIRED_ENDS, code, sizeof(code), &insn, &before),
		-ENOENT);
}

static int place_half_of_ins(void *ctx, gva_t gva, size_t len)
{
	(void)ctx;
	return gva.addr == 0x60000 && len == 4 ? 2 : -1;
}

/* Half of an iteration is one. */
static void test_half_of_repeated(void **state)
{
	static const uint8_t rep_insd[] = {0xf3, 0x6d}, data[2] = {1, 2};
	struct kvm_regs after = default_regs(), before;
	struct kvm_sregs sregs = sregs_of(M64);
	struct insn_context c = {&after, &sregs};
	struct retired_query q = {&c, data, sizeof(data), place_half_of_ins, NULL};
	struct insn insn;

	(void)state;
	after.rdi = 0x60004;
	after.rcx = 4;
	assert_int_equal(insn_find_retired_store(&q, RETIRED_REPEATS, rep_insd, sizeof(rep_insd),
						 &insn, &before),
			 0);
	assert_int_equal(before.rdi, 0x60000);
	assert_int_equal(before.rcx, 5);
}

/* The page's last three bytes are seen; the rest went to the next page, where memory has it. */
struct cut {
	uint64_t gva;
	const uint8_t *next;
	size_t count;
};

static int place_cut(void *ctx, gva_t gva, size_t len)
{
	const struct cut *cut = ctx;

	return gva.addr == cut->gva && len > 3 ? 0 : -1;
}

static bool cut_holds(void *ctx, gva_t gva, const uint8_t *bytes, size_t len)
{
	const struct cut *cut = ctx;

	return gva.addr == cut->gva + 3 && len <= cut->count && !memcmp(bytes, cut->next, len);
}

/* mov %rax, (%rbx), or the end of something and mov %eax, (%rbx): both store the same there. */
static void operand_size_from_the_next_page(void **state)
{
	static const uint8_t code[] = {0x48, 0x89, 0x03};
	static const uint8_t all[] = {0x55, 0x44, 0x33, 0x22, 0x11}, one[] = {0x55, 1, 2, 3, 4};
	struct kvm_regs after = default_regs(), before;
	struct kvm_sregs sregs = sregs_of(M64);
	struct insn_context c = {&after, &sregs};
	struct cut cut = {0x5ffd, all, sizeof(all)};
	const uint8_t data[] = {0x88, 0x77, 0x66};
	struct retired_query q = {&c, data, sizeof(data), place_cut, &cut, cut_holds};
	struct insn insn;

	(void)state;
	after.rax = UINT64_C(0x1122334455667788);
	after.rbx = cut.gva;
	assert_int_equal(
		insn_find_retired_store(&q, RETIRED_ENDS, code, sizeof(code), &insn, &before), 0);
	assert_int_equal(insn.length, 3);
	cut.next = one;
	assert_int_equal(
		insn_find_retired_store(&q, RETIRED_ENDS, code, sizeof(code), &insn, &before), 0);
	assert_int_equal(insn.length, 2);
	q.holds = NULL;
	assert_int_equal(
		insn_find_retired_store(&q, RETIRED_ENDS, code, sizeof(code), &insn, &before), 0);
	assert_int_equal(insn.length, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operand_size_from_the_next_page),
		cmocka_unit_test(test_retired_stores),
		cmocka_unit_test(test_second_page),
		cmocka_unit_test(test_half_of_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
