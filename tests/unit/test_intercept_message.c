/* SPDX-License-Identifier: MIT */
/* The memory intercept message, byte by byte (message.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "intercept/intercept.h"

static const struct kvm_regs regs = {.rax = 0xa0,
				     .rcx = 0xa1,
				     .rdx = 0xa2,
				     .rbx = 0xa3,
				     .rsp = 0xa4,
				     .rbp = 0xa5,
				     .rsi = 0xa6,
				     .rdi = 0xa7,
				     .r8 = 0xa8,
				     .r9 = 0xa9,
				     .r10 = 0xaa,
				     .r11 = 0xab,
				     .r12 = 0xac,
				     .r13 = 0xad,
				     .r14 = 0xae,
				     .r15 = 0xaf,
				     .rip = 0x401000,
				     .rflags = 0x246};

static struct kvm_sregs long_mode(void)
{
	struct kvm_segment code = {.base = 0,
				   .limit = 0xffffffff,
				   .selector = 0x33,
				   .type = 0xb,
				   .s = 1,
				   .dpl = 3,
				   .present = 1,
				   .l = 1,
				   .g = 1};
	struct kvm_segment data = {.base = 0x1000,
				   .limit = 0xfffff,
				   .selector = 0x2b,
				   .type = 3,
				   .s = 1,
				   .dpl = 3,
				   .present = 1,
				   .avl = 1,
				   .db = 1};

	return (struct kvm_sregs){
		.cs = code, .ds = data, .ss = data, .cr0 = 0x80040001, .cr8 = 9, .efer = 0x500};
}

static struct violation store(void)
{
	struct violation v = {.setter = 1,
			      .access = MEM_WRITE,
			      .gpa = {0x123456},
			      .gva = {0x7fff12345678},
			      .gva_valid = true,
			      .insn_length = 3,
			      .insn_count = 3,
			      .insn_bytes = {0x48, 0x89, 0x08}};

	return v;
}

static uint64_t field(const struct hv_message *m, size_t offset, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, m->payload + offset, size);
	return value;
}

static void test_fields(void **state)
{
	/* Offsets and values of the payload (TLFS HV_X64_MEMORY_INTERCEPT_MESSAGE). */
	static const struct {
		size_t offset, size;
		uint64_t value;
	} fields[] = {
		{0x00, 4, 7},
		{0x04, 1, 0x93},
		{0x05, 1, 1},
		{0x06, 2, 3 | 4 | 8 | 0x10 | 1 << 7},
		{0x08, 8, 0},
		{0x10, 4, 0xffffffff},
		{0x14, 2, 0x33},
		{0x16, 2, 0xa0fb},
		{0x18, 8, 0x401000},
		{0x20, 8, 0x10246},
		{0x28, 4, 6},
		{0x2c, 1, 3},
		{0x2d, 1, 3},
		{0x2e, 2, 0},
		{0x30, 8, 0x7fff12345678},
		{0x38, 8, 0x123456},
		{0x40, 8, 0x088948},
		{0x48, 8, 0},
		{0x50, 8, 0x1000},
		{0x58, 4, 0xfffff},
		{0x5c, 2, 0x2b},
		{0x5e, 2, 0x50f3},
		{0x60, 8, 0x1000},
	};
	struct kvm_sregs sregs = long_mode();
	struct violation v = store();
	struct hv_message m;

	(void)state;
	memset(&m, 0xff, sizeof(m));
	intercept_message(&m, 7, 1, &regs, &sregs, &v);
	assert_int_equal(m.type, HV_MESSAGE_GPA_INTERCEPT);
	assert_int_equal(m.payload_size, 240);
	assert_int_equal(m.flags, 0);
	assert_int_equal(m.reserved, 0);
	assert_int_equal(m.origin, 0);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		assert_int_equal(field(&m, fields[i].offset, fields[i].size), fields[i].value);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(field(&m, 0x70 + 8 * i, 8), 0xa0 + i);
}

/* A fetch has no instruction; a walk's own access has a GVA that does not map to the GPA. */
static void test_variants(void **state)
{
	struct kvm_sregs sregs = long_mode();
	struct violation v = store();
	struct hv_message m;

	(void)state;
	v.walking = true;
	intercept_message(&m, 0, 0, &regs, &sregs, &v);
	assert_int_equal(field(&m, 0x2d, 1), HV_ACCESS_INFO_GVA_VALID);
	v.gva_valid = false;
	intercept_message(&m, 0, 0, &regs, &sregs, &v);
	assert_int_equal(field(&m, 0x2d, 1), 0);
	assert_int_equal(field(&m, 0x30, 8), 0);
	v.delivers = true;
	intercept_message(&m, 0, 0, &regs, &sregs, &v);
	assert_int_equal(field(&m, 0x06, 2), 0x1f | HV_EXECUTION_PENDING);
	v.delivers = false;
	v.shadow = true;
	intercept_message(&m, 0, 0, &regs, &sregs, &v);
	assert_int_equal(field(&m, 0x06, 2), 0x1f | HV_EXECUTION_SHADOW);
	v = (struct violation){.setter = 1, .access = MEM_EXECUTE, .gpa = {0x401000}};
	sregs.cr0 = 0;
	sregs.efer = 0;
	sregs.ss.dpl = 0;
	intercept_message(&m, 0, 0, &regs, &sregs, &v);
	assert_int_equal(field(&m, 0x04, 1), 0x90);
	assert_int_equal(field(&m, 0x05, 1), 2);
	assert_int_equal(field(&m, 0x06, 2), 0);
	assert_int_equal(field(&m, 0x2c, 1), 0);
	assert_int_equal(field(&m, 0x40, 8), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_variants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
