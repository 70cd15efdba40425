// SPDX-License-Identifier: MIT
/* The guests of the contract, in both languages. */
#include "guest.h"

#define BYTES(...)  .code = {__VA_ARGS__}, .length = sizeof((const uint8_t[]){__VA_ARGS__})
#define LE32(value) (value) & 0xff, (value) >> 8 & 0xff, (value) >> 16 & 0xff, (value) >> 24 & 0xff

/* clang-format off */
#define OUT_AL(number) \
	{BYTES(0xe6, number), \
	 .step = {.kind = FAKE_OUT, .port = number, .size = 1, .reg = FAKE_RAX}}
#define IN_AL(number) \
	{BYTES(0xe4, number), .step = {.kind = FAKE_IN, .port = number, .size = 1}}
#define HLT	{BYTES(0xf4), .step = {.kind = FAKE_HLT}}
#define NOP	{BYTES(0x90), .step = {.kind = FAKE_NOP}}
#define UD2	{BYTES(0x0f, 0x0b), .step = {.kind = FAKE_SHUTDOWN}}
#define RDMSR(index)	{BYTES(0x0f, 0x32), .step = {.kind = FAKE_RDMSR, .msr = index}}
#define WRMSR(index) \
	{BYTES(0x0f, 0x30), .step = {.kind = FAKE_WRMSR, .msr = index, .data = STORED_VALUE}}
#define STORE_RAX(address) \
	{BYTES(0x48, 0x89, 0x04, 0x25, LE32(address)), \
	 .step = {.kind = FAKE_STORE, .gva = address, .size = 8, .reg = FAKE_RAX}}
#define LOAD_RAX(address) \
	{BYTES(0x48, 0x8b, 0x04, 0x25, LE32(address)), \
	 .step = {.kind = FAKE_LOAD, .gva = address, .size = 8, .reg = FAKE_RAX}}
#define STI	{BYTES(0xfb), .step = {.kind = FAKE_CALL, .fn = set_interrupt_flag}}
/* Back by `bytes`, its own 2 included, to `target`. */
#define JUMP_BACK(bytes, target) \
	{BYTES(0xeb, 0x100 - (bytes)), \
	 .step = {.kind = FAKE_SET, .reg = FAKE_RIP, .data = target}}
#define SPIN	{BYTES(0xeb, 0xfe), .step = {.kind = FAKE_SPIN}}
/* modrm: c0 from RAX, c3 from RBX */
#define MOV_TO_CR8(modrm, value) \
	{BYTES(0x44, 0x0f, 0x22, modrm), \
	 .step = {.kind = FAKE_SET, .reg = FAKE_CR8, .data = value}}
/* clang-format on */

#define GUEST(name, address, ...)                                      \
	static const struct guest_insn name##_insns[] = {__VA_ARGS__}; \
	const struct guest name = {                                    \
		.at = address,                                         \
		.count = ARRAY_SIZE(name##_insns),                     \
		.insns = name##_insns,                                 \
	}

static int set_interrupt_flag(struct fake_guest *g, void *ctx)
{
	(void)ctx;
	g->regs->rflags |= 1u << 9;
	return FAKE_NEXT;
}

GUEST(guest_outs, GUEST_CODE, OUT_AL(PORT_FIRST), OUT_AL(PORT_SECOND), HLT);
GUEST(guest_other, GUEST_OTHER, OUT_AL(PORT_OTHER), HLT);
GUEST(guest_handler, GUEST_HANDLER, OUT_AL(PORT_HANDLER), HLT);
GUEST(guest_in, GUEST_CODE, IN_AL(PORT_IN), OUT_AL(PORT_FIRST));
GUEST(guest_store_page, GUEST_CODE, STORE_RAX(GUEST_PAGE), OUT_AL(PORT_FIRST));
GUEST(guest_load_page, GUEST_CODE, LOAD_RAX(GUEST_PAGE), OUT_AL(PORT_FIRST));
GUEST(guest_store_rom, GUEST_CODE, STORE_RAX(GUEST_ROM), OUT_AL(PORT_FIRST));
GUEST(guest_load_rom, GUEST_CODE, LOAD_RAX(GUEST_ROM), OUT_AL(PORT_FIRST));
GUEST(guest_store_hole, GUEST_CODE, STORE_RAX(GUEST_HOLE), OUT_AL(PORT_FIRST));
GUEST(guest_load_hole, GUEST_CODE, LOAD_RAX(GUEST_HOLE), OUT_AL(PORT_FIRST));
GUEST(guest_far_out, GUEST_FAR, OUT_AL(PORT_FIRST), HLT);
GUEST(guest_rdmsr_hyperv, GUEST_CODE, RDMSR(MSR_HYPERV), OUT_AL(PORT_FIRST));
GUEST(guest_wrmsr_hyperv, GUEST_CODE, WRMSR(MSR_HYPERV), OUT_AL(PORT_FIRST));
GUEST(guest_rdmsr_unknown, GUEST_CODE, RDMSR(MSR_UNKNOWN), OUT_AL(PORT_FIRST));
GUEST(guest_wrmsr_unknown, GUEST_CODE, WRMSR(MSR_UNKNOWN), OUT_AL(PORT_FIRST));
GUEST(guest_halt, GUEST_CODE, HLT, OUT_AL(PORT_FIRST));
GUEST(guest_undefined, GUEST_CODE, UD2);
GUEST(guest_open_window, GUEST_CODE, STI, NOP, JUMP_BACK(3, GUEST_CODE + 1));
GUEST(guest_nops, GUEST_CODE, NOP, NOP, OUT_AL(PORT_FIRST));
GUEST(guest_spin, GUEST_CODE, SPIN);
GUEST(guest_move_cr8, GUEST_CODE, MOV_TO_CR8(0xc0, CR8_HIGH), OUT_AL(PORT_FIRST),
      MOV_TO_CR8(0xc3, CR8_LOW), OUT_AL(PORT_SECOND));
GUEST(guest_rdmsr_x2apic, GUEST_CODE, RDMSR(MSR_X2APIC), OUT_AL(PORT_FIRST));
