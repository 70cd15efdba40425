/* SPDX-License-Identifier: MIT */
/*
 * A bzImage that checks what vsm-run promises a Linux kernel: boot parameters, ACPI, COM1's
 * interrupt through the I/O APIC, power-off; with "vtl1", that a warden runs beneath it, with
 * "second", on the second processor, too.
 */
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "trap.h"

#define PARAMS_RSDP    0x070
#define PARAMS_E820    0x1e8 /* entries */
#define PARAMS_MAGIC   0x202
#define PARAMS_INITRD  0x218
#define PARAMS_CMDLINE 0x228
#define PARAMS_TABLE   0x2d0
#define E820_RAM       1
#define E820_RESERVED  2

#define SLEEP_CONTROL  0x600
#define SLEEP_S5       (5 << 2 | 0x20)

#define MSR_APIC_BASE  0x1b
#define APIC_X2APIC    0xc00
#define X2APIC_EOI     0x80b
#define X2APIC_SPIV    0x80f
#define X2APIC_ICR     0x830
#define ICR_INIT       0x4500
#define ICR_STARTUP    0x4600
#define STARTUP_PAGE   8 /* SMP_TRAMPOLINE of smp_entry.S */
#define IOAPIC	       0xfec00000
#define COM1	       0x3f8
#define COM1_PIN       4
#define VECTOR	       0x51

/* Where the command line asks the warden to guard. */
#define GUARDED	 0x3000000
#define ANY_PAGE 0x3001000

/* The start of multiboot's information, which begin.c takes the command line from. */
static struct {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
} info = {.flags = 4};

static const uint8_t *params;

void guest_begin(const void *multiboot);
void linux_begin(const uint8_t *boot_params) __attribute__((noreturn));

static uint32_t word(const void *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint64_t quad(const void *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

void linux_begin(const uint8_t *boot_params)
{
	params = boot_params;
	info.cmdline = word(params + PARAMS_CMDLINE);
	guest_begin(&info);
	__builtin_unreachable();
}

/* Address, size, type; packed. */
static const uint8_t *range(unsigned i)
{
	return params + PARAMS_TABLE + (size_t)20 * i;
}

static uint32_t type_of(uint64_t address)
{
	uint32_t type = 0;

	for (unsigned i = 0; i < params[PARAMS_E820]; i++)
		if (address - quad(range(i)) < quad(range(i) + 8))
			type = word(range(i) + 16);
	return type;
}

static void check_parameters(void)
{
	const char *initrd = (const char *)(uint64_t)word(params + PARAMS_INITRD);

	CHECK_EQUAL(word(params + PARAMS_MAGIC), 0x53726448);
	CHECK_EQUAL(type_of(0x8000), E820_RAM);
	CHECK_EQUAL(type_of((uint64_t)check_parameters), E820_RAM);
	CHECK_EQUAL(type_of(0xa0000), E820_RESERVED);
	CHECK(memcmp((const void *)quad(params + PARAMS_RSDP), "RSD PTR ", 8) == 0);
	CHECK_EQUAL(word(params + PARAMS_INITRD + 4), 10);
	CHECK(memcmp(initrd, "initramfs\n", 10) == 0);
}

/* --- COM1 --- */

static volatile char line[16];
static volatile unsigned length, interrupts;

static void on_com1(struct trap_frame *frame)
{
	(void)frame;
	interrupts++;
	while (in8(COM1 + 5) & 1) {
		line[length] = (char)in8(COM1);
		length += length < sizeof(line) - 1;
	}
	wrmsr(X2APIC_EOI, 0);
}

static void ioapic_write(uint32_t reg, uint32_t value)
{
	*(volatile uint32_t *)IOAPIC = reg;
	*(volatile uint32_t *)(IOAPIC + 0x10) = value;
}

static void open_apic(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_X2APIC);
	wrmsr(X2APIC_SPIV, 0x1ff);
}

static void open_com1(void)
{
	open_apic();
	trap_handle(VECTOR, on_com1);
	ioapic_write(0x10 + 2 * COM1_PIN + 1, 0);
	ioapic_write(0x10 + 2 * COM1_PIN, VECTOR);
	out8(COM1 + 4, 8); /* OUT2 */
	out8(COM1 + 1, 1); /* received */
}

/* Asleep until an interrupt brings more; STI takes effect after HLT has begun. */
static void await_line(void)
{
	interrupts_off();
	while (!length || line[length - 1] != '\n')
		trap_halt();
}

static void check_input(void)
{
	open_com1();
	print("reads a line\n");
	await_line();
	CHECK(interrupts);
	CHECK_EQUAL(length, 6);
	CHECK(memcmp((const void *)line, "hello\n", 6) == 0);
}

/* Each byte comes back in angle brackets, for as long as the machine runs. */
static void echo(void)
{
	open_com1();
	print("echoes\n");
	for (;;) {
		interrupts_off();
		while (!length)
			trap_halt();
		for (unsigned i = 0; i < length; i++)
			print("<%x>", (unsigned char)line[i]);
		length = 0;
	}
}

/* --- the warden --- */

static void write_word(void *at)
{
	*(volatile uint32_t *)at = 0x1234;
}

static void read_word(void *at)
{
	(void)*(volatile uint32_t *)at;
}

/* The last page of what the memory map reserves for it is VTL1's. */
static uint64_t warden_end(void)
{
	uint64_t at = 0x200000;

	CHECK_EQUAL(type_of(at), E820_RESERVED);
	while (type_of(at) == E820_RESERVED)
		at += PAGE_SIZE;
	return at;
}

static void check_warden(void)
{
	volatile uint32_t *guarded = (volatile uint32_t *)GUARDED;
	uint32_t before = *guarded;

	CHECK_EQUAL(trap_try(write_word, (void *)GUARDED, NULL), TRAP_GP);
	CHECK_EQUAL(*guarded, before);
	CHECK_EQUAL(trap_try(write_word, (void *)ANY_PAGE, NULL), -1);
	CHECK_EQUAL(*(volatile uint32_t *)ANY_PAGE, 0x1234);
	CHECK_EQUAL(trap_try(read_word, (void *)(warden_end() - 4), NULL), TRAP_GP);
	CHECK_EQUAL(rdmsr(0x40000000), 0); /* the installer's identity is gone */
}

/* --- the second processor --- */

#define TRIES 3

extern char smp_trampoline[], smp_trampoline_end[];
void smp_main(unsigned vp) __attribute__((noreturn));

uint8_t smp_stacks[2][8192] PAGE_ALIGNED;
struct table_pointer smp_idt;

static volatile unsigned tries;
static volatile int traps[TRIES];

/* The first write waits until VTL1 has come to this processor. */
void smp_main(unsigned vp)
{
	(void)vp;
	while (tries < TRIES) {
		traps[tries] = trap_try(write_word, (void *)GUARDED, NULL);
		tries++;
	}
	for (;;)
		__asm__ volatile("cli\n\thlt");
}

static void check_second(void)
{
	uint32_t before = *(volatile uint32_t *)GUARDED;

	open_apic();
	__asm__ volatile("sidt %0" : "=m"(smp_idt));
	memcpy((void *)(uintptr_t)(STARTUP_PAGE * PAGE_SIZE), smp_trampoline,
	       (size_t)(smp_trampoline_end - smp_trampoline));
	wrmsr(X2APIC_ICR, UINT64_C(1) << 32 | ICR_INIT);
	wrmsr(X2APIC_ICR, UINT64_C(1) << 32 | ICR_STARTUP | STARTUP_PAGE);
	while (tries < TRIES)
		pause();
	for (unsigned i = 0; i < TRIES; i++)
		CHECK_EQUAL(traps[i], TRAP_GP);
	CHECK_EQUAL(*(volatile uint32_t *)GUARDED, before);
}

/* linux_entry.S: to the reset vector, as Linux reboots through the BIOS. */
void reset_vector(void);

int guest_main(void)
{
	if (guest_has_option("reboot"))
		reset_vector();
	if (guest_has_option("echo"))
		echo();
	check_parameters();
	if (guest_has_option("input"))
		check_input();
	if (guest_has_option("vtl1"))
		check_warden();
	if (guest_has_option("second"))
		check_second();
	print("powers off\n");
	out8(SLEEP_CONTROL, SLEEP_S5);
	return GUEST_EXIT_FAILED;
}
