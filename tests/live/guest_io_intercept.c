/* SPDX-License-Identifier: MIT */
/*
 * I/O port intercepts: VTL1 hears of VTL0's access with the registers as they were before the
 * instruction, however KVM carries it out, and steps over it or answers with an exception.
 */
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "trap.h"
#include "vtl.h"

#define TRAP_GP_VECTOR 13

#define TYPE_PORT      0x00
#define TYPE_RANGE     0x11
#define ACCESS_BOTH    3
#define PORT	       0x80 /* in the instruction */
#define RANGE_FIRST    0x5000
#define RANGE_LAST     0x500f
#define PORT_DX	       0x500f /* the range's last: what is wider reaches out of it */
#define PORT_FREE      0x5010

#define STRING	       0x08
#define REP	       0x10

#define RAX_BEFORE     UINT64_C(0x1122334455667788)
#define RCX_BEFORE     3

static struct {
	uint64_t partition;
	uint32_t access, type;
	uint64_t parameter;
} input __attribute__((aligned(32)));

static uint8_t buffer[64];
static volatile uint64_t expected_rip;
static struct hv_io_intercept seen;
static unsigned count;
static bool inject;

static uint64_t install(uint32_t type, uint64_t parameter, uint32_t access)
{
	input.partition = HV_PARTITION_SELF;
	input.type = type;
	input.parameter = parameter;
	input.access = access;
	return hv_call(HV_INSTALL_INTERCEPT, (uint64_t)&input, 0);
}

/* --- VTL1 --- */

void vtl_on_start(void)
{
	CHECK_EQUAL(install(TYPE_PORT, PORT, ACCESS_BOTH), HV_SUCCESS);
	CHECK_EQUAL(install(TYPE_RANGE, RANGE_LAST << 16 | RANGE_FIRST, ACCESS_BOTH), HV_SUCCESS);
	CHECK_EQUAL(install(TYPE_PORT, 0x10000, ACCESS_BOTH), HV_INVALID_PARAMETER);
	CHECK_EQUAL(install(TYPE_RANGE, 4 << 16 | 5, ACCESS_BOTH), HV_INVALID_PARAMETER);
	/* Its own accesses are nobody's to decide on. */
	out8(RANGE_FIRST, 1);
	CHECK_EQUAL(count, 0);
}

void vtl_on_io_intercept(const struct hv_io_intercept *message)
{
	uint64_t value = 0;

	seen = *message;
	count++;
	CHECK_EQUAL(hv_get_register(HV_VTL(0), HV_REGISTER_RIP, &value), HV_SUCCESS);
	CHECK_EQUAL(value, message->rip);
	if (inject)
		CHECK_EQUAL(hv_inject(HV_VTL(0), TRAP_GP_VECTOR), HV_SUCCESS);
	else
		CHECK_EQUAL(hv_set_register(HV_VTL(0), HV_REGISTER_RIP,
					    message->rip + (message->instruction_length & 0xf)),
			    HV_SUCCESS);
}

/* --- VTL0 --- */

static struct {
	uint64_t rax, rcx, rsi, rdi;
} after;

#define ACCESS(name, text)                                                                        \
	static void name(void *unused)                                                            \
	{                                                                                         \
		uint64_t rax = RAX_BEFORE, rcx = RCX_BEFORE;                                      \
		uint64_t rsi = (uint64_t)buffer + 16, rdi = (uint64_t)buffer;                     \
                                                                                                  \
		(void)unused;                                                                     \
		__asm__ volatile("lea 1f(%%rip), %%r8\n\t"                                        \
				 "mov %%r8, %4\n"                                                 \
				 "1:\t" text                                                      \
				 : "+a"(rax), "+c"(rcx), "+S"(rsi), "+D"(rdi), "=m"(expected_rip) \
				 : "d"(PORT_DX)                                                   \
				 : "r8", "memory", "cc");                                         \
		after.rax = rax, after.rcx = rcx, after.rsi = rsi, after.rdi = rdi;               \
	}

ACCESS(out_imm, "outb %%al, $0x80")
ACCESS(out_dx8, "outb %%al, %%dx")
ACCESS(out_dx16, "outw %%ax, %%dx")
ACCESS(out_dx32, "outl %%eax, %%dx")
ACCESS(out_twice, "outb %%al, %%dx\n\toutb %%al, %%dx")
ACCESS(in_imm, "inb $0x80, %%al")
ACCESS(in_dx8, "inb %%dx, %%al")
ACCESS(in_dx16, "inw %%dx, %%ax")
ACCESS(in_dx32, "inl %%dx, %%eax")
ACCESS(outs8, "outsb")
ACCESS(outs32, "outsl")
ACCESS(rep_outs16, "rep outsw")
ACCESS(backward, "std\n\t.byte 0x6e\n\tcld")

static const struct row {
	const char *name;
	void (*access)(void *unused);
	uint16_t port;
	enum hv_access kind;
	uint8_t info, length;
	unsigned skip; /* bytes before the instruction */
	unsigned times;
} rows[] = {
	{"out imm", out_imm, PORT, HV_ACCESS_WRITE, 1, 2, 0, 1},
	{"out dx, 8", out_dx8, PORT_DX, HV_ACCESS_WRITE, 1, 1, 0, 1},
	{"out dx, 16", out_dx16, PORT_DX, HV_ACCESS_WRITE, 2, 2, 0, 1},
	{"out dx, 32", out_dx32, PORT_DX, HV_ACCESS_WRITE, 4, 1, 0, 1},
	{"out twice", out_twice, PORT_DX, HV_ACCESS_WRITE, 1, 1, 1, 2},
	{"in imm", in_imm, PORT, HV_ACCESS_READ, 1, 2, 0, 1},
	{"in dx, 8", in_dx8, PORT_DX, HV_ACCESS_READ, 1, 1, 0, 1},
	{"in dx, 16", in_dx16, PORT_DX, HV_ACCESS_READ, 2, 2, 0, 1},
	{"in dx, 32", in_dx32, PORT_DX, HV_ACCESS_READ, 4, 1, 0, 1},
	{"outs, 8", outs8, PORT_DX, HV_ACCESS_WRITE, 1 | STRING, 1, 0, 1},
	{"outs, 32", outs32, PORT_DX, HV_ACCESS_WRITE, 4 | STRING, 1, 0, 1},
	{"rep outs, 16", rep_outs16, PORT_DX, HV_ACCESS_WRITE, 2 | STRING | REP, 3, 0, 1},
	{"outs backward", backward, PORT_DX, HV_ACCESS_WRITE, 1 | STRING, 1, 1, 1},
};

static void check_message(const struct row *row)
{
	CHECK_EQUAL(seen.payload_size, sizeof(seen) - 16);
	CHECK_EQUAL(seen.access, row->kind);
	CHECK_EQUAL(seen.port, row->port);
	CHECK_EQUAL(seen.access_info, row->info);
	CHECK_EQUAL(seen.instruction_length & 0xf, row->length);
	CHECK_EQUAL(seen.instruction_byte_count, row->length);
	CHECK_EQUAL(memcmp(seen.instruction_bytes, (void *)seen.rip, row->length), 0);
	CHECK_EQUAL(seen.rax, RAX_BEFORE);
	CHECK_EQUAL(seen.rcx, RCX_BEFORE);
	CHECK_EQUAL(seen.rsi, (uint64_t)buffer + 16);
	CHECK_EQUAL(seen.rdi, (uint64_t)buffer);
}

static void stepped_over(const struct row *row)
{
	inject = false;
	count = 0;
	memset(&after, 0, sizeof(after));
	CHECK_EQUAL(trap_try(row->access, NULL, NULL), -1);
	CHECK_EQUAL(count, row->times);
	check_message(row);
	CHECK_EQUAL(seen.rip, expected_rip + row->skip);
	CHECK_EQUAL(after.rax, RAX_BEFORE);
	CHECK_EQUAL(after.rcx, RCX_BEFORE);
	CHECK_EQUAL(after.rsi, (uint64_t)buffer + 16);
	CHECK_EQUAL(after.rdi, (uint64_t)buffer);
}

static void refused(const struct row *row)
{
	struct trap trap;

	inject = true;
	count = 0;
	CHECK_EQUAL(trap_try(row->access, NULL, &trap), TRAP_GP_VECTOR);
	__asm__ volatile("cld");
	CHECK_EQUAL(count, 1);
	check_message(row);
	CHECK_EQUAL(trap.rip, seen.rip);
}

int guest_main(void)
{
	vtl_begin(&vtl_own_image);
	CHECK_EQUAL(install(TYPE_PORT, PORT, 0), HV_ACCESS_DENIED);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print("%s\n", rows[i].name);
		stepped_over(&rows[i]);
		refused(&rows[i]);
	}
	count = 0;
	out8(PORT_FREE, 1);
	in8(PORT_FREE);
	CHECK_EQUAL(count, 0);
	return 0;
}
