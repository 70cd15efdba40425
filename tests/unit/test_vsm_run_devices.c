/* SPDX-License-Identifier: MIT */
/* vsm-run's serial port, I/O APIC, clock and fw_cfg, as drivers probe and use them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>
#include "cmos.h"
#include "fwcfg.h"
#include "ioapic.h"
#include "serial.h"

enum {
	DATA,
	IER,
	IIR,
	LCR,
	MCR,
	LSR,
	MSR,
	SCR
};

static int in[2], out[2];
static struct serial com1;

static int setup(void **state)
{
	(void)state;
	if (pipe(in) || pipe(out))
		return -1;
	serial_init(&com1, in[0], out[1]);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(in[0]);
	close(in[1]);
	close(out[0]);
	close(out[1]);
	return 0;
}

static void output_goes_out(void **state)
{
	char byte;

	(void)state;
	assert_int_equal(serial_read(&com1, LSR), 0x60);
	serial_write(&com1, DATA, 'x');
	assert_int_equal(read(out[0], &byte, 1), 1);
	assert_int_equal(byte, 'x');
}

static void input_is_announced_and_read_once(void **state)
{
	(void)state;
	assert_int_equal(write(in[1], "ab", 2), 2);
	assert_int_equal(serial_read(&com1, LSR), 0x61);
	assert_int_equal(serial_read(&com1, LSR), 0x61);
	assert_int_equal(serial_read(&com1, DATA), 'a');
	assert_int_equal(serial_read(&com1, DATA), 'b');
	assert_int_equal(serial_read(&com1, LSR), 0x60);
}

static void end_of_input_is_quiet(void **state)
{
	(void)state;
	close(in[1]);
	in[1] = dup(out[1]);
	assert_int_equal(serial_read(&com1, LSR), 0x60);
	assert_int_equal(com1.in_fd, -1);
}

static void divisor_hides_data(void **state)
{
	(void)state;
	serial_write(&com1, IER, 5);
	serial_write(&com1, LCR, 0x83);
	serial_write(&com1, DATA, 1);
	serial_write(&com1, IER, 2);
	assert_int_equal(serial_read(&com1, DATA), 1);
	assert_int_equal(serial_read(&com1, IER), 2);
	serial_write(&com1, LCR, 3);
	assert_int_equal(serial_read(&com1, IER), 5);
}

/* As Linux's 8250 driver tells a 16550A from nothing, and from what came before it. */
static void probing_finds_a_16550a(void **state)
{
	(void)state;
	serial_write(&com1, IER, 0xff);
	assert_int_equal(serial_read(&com1, IER), 0x0f);
	serial_write(&com1, SCR, 0xa5);
	assert_int_equal(serial_read(&com1, SCR), 0xa5);
	assert_int_equal(serial_read(&com1, IIR), 0x02); /* nothing is being sent */
	assert_int_equal(serial_read(&com1, IIR), 0x01);
	serial_write(&com1, IIR, 1);
	assert_int_equal(serial_read(&com1, IIR), 0xc1);
	serial_write(&com1, MCR, 0x10 | 0x0a); /* loop; RTS and OUT2 */
	assert_int_equal(serial_read(&com1, MSR) & 0xf0, 0x90);
	serial_write(&com1, DATA, 'l');
	assert_int_equal(serial_read(&com1, LSR), 0x61);
	assert_int_equal(serial_read(&com1, DATA), 'l');
}

/* --- COM1's interrupts --- */

static int rises, rooms;

static void on_interrupt(void *ctx, bool high)
{
	(void)ctx;
	rises += high;
}

static void on_room(void *ctx)
{
	(void)ctx;
	rooms++;
}

static void connect_interrupt(uint8_t enable)
{
	rises = rooms = 0;
	com1.on_interrupt = on_interrupt;
	com1.on_room = on_room;
	serial_write(&com1, MCR, 0x08);
	serial_write(&com1, IER, enable);
}

static void received_byte_interrupts_until_read(void **state)
{
	(void)state;
	connect_interrupt(1);
	serial_receive(&com1);
	assert_int_equal(rises, 0);
	assert_int_equal(write(in[1], "ab", 2), 2);
	assert_true(serial_has_room(&com1));
	serial_receive(&com1);
	assert_int_equal(rises, 1);
	assert_false(serial_has_room(&com1));
	assert_int_equal(serial_read(&com1, IIR), 0x04);
	assert_int_equal(serial_read(&com1, IIR), 0x04);
	assert_int_equal(serial_read(&com1, DATA), 'a');
	/* The next is there at once: the line stays high. */
	assert_int_equal(rooms, 0);
	assert_int_equal(serial_read(&com1, IIR), 0x04);
	assert_int_equal(serial_read(&com1, DATA), 'b');
	assert_int_equal(serial_read(&com1, IIR), 0x01);
	assert_int_equal(rises, 1);
	assert_int_equal(rooms, 1);
}

static void empty_transmitter_interrupts_once(void **state)
{
	(void)state;
	connect_interrupt(2);
	assert_int_equal(rises, 1);
	assert_int_equal(serial_read(&com1, IIR), 0x02);
	assert_int_equal(serial_read(&com1, IIR), 0x01);
	serial_write(&com1, DATA, 'x');
	assert_int_equal(rises, 2);
	serial_write(&com1, DATA, 'y');
	assert_int_equal(rises, 2);
	assert_int_equal(serial_read(&com1, IIR), 0x02);
	/* Linux asks whether asking again gives it again. */
	serial_write(&com1, IER, 0);
	assert_int_equal(serial_read(&com1, IIR), 0x01);
	serial_write(&com1, IER, 2);
	assert_int_equal(rises, 3);
}

static void received_comes_before_empty(void **state)
{
	(void)state;
	connect_interrupt(3);
	assert_int_equal(write(in[1], "a", 1), 1);
	serial_receive(&com1);
	assert_int_equal(serial_read(&com1, IIR), 0x04);
	assert_int_equal(serial_read(&com1, DATA), 'a');
	assert_int_equal(serial_read(&com1, IIR), 0x02);
	assert_int_equal(rises, 1);
}

static void interrupts_need_out2(void **state)
{
	(void)state;
	connect_interrupt(0);
	serial_write(&com1, MCR, 0);
	serial_write(&com1, IER, 2);
	assert_int_equal(rises, 0);
	serial_write(&com1, MCR, 0x18); /* nor in the loop */
	assert_int_equal(rises, 0);
	serial_write(&com1, MCR, 0x08);
	assert_int_equal(rises, 1);
}

/* --- I/O APIC --- */

static struct {
	unsigned count;
	uint64_t address;
	uint32_t data;
} message;

static void on_message(void *ctx, uint64_t address, uint32_t data)
{
	(void)ctx;
	message.count++;
	message.address = address;
	message.data = data;
}

static struct ioapic ioapic;

static uint32_t io_get(uint8_t reg)
{
	ioapic_write(&ioapic, 0, 4, reg);
	return ioapic_read(&ioapic, 0x10, 4);
}

static void io_set(uint8_t reg, uint32_t value)
{
	ioapic_write(&ioapic, 0, 4, reg);
	ioapic_write(&ioapic, 0x10, 4, value);
}

static void ioapic_start(void)
{
	message.count = 0;
	ioapic_init(&ioapic, 3, on_message, NULL);
}

static void ioapic_has_its_registers(void **state)
{
	(void)state;
	ioapic_start();
	assert_int_equal(io_get(0), 3u << 24);
	io_set(0, 0xff000000);
	assert_int_equal(io_get(0), 15u << 24);
	assert_int_equal(io_get(1), 0x170011);
	for (uint8_t reg = 0x10; reg < 0x40; reg++)
		assert_int_equal(io_get(reg), reg % 2 ? 0 : 0x10000);
	io_set(0x18, 0xffffffff);
	io_set(0x19, 0xffffffff);
	assert_int_equal(io_get(0x18), 0x1afff); /* but for delivery status, remote IRR */
	assert_int_equal(io_get(0x19), 0xff000000);
	assert_int_equal(io_get(0x1a), 0x10000);
	assert_int_equal(ioapic_read(&ioapic, 0, 4), 0x1a);
}

static void ioapic_ignores_what_is_no_register(void **state)
{
	(void)state;
	ioapic_start();
	io_set(0x40, 1);
	io_set(0xff, 1);
	io_set(1, 1);
	assert_int_equal(io_get(0x40), 0);
	assert_int_equal(io_get(0x3), 0);
	ioapic_write(&ioapic, 0, 1, 1);
	ioapic_write(&ioapic, 4, 4, 1);
	assert_int_equal(ioapic_read(&ioapic, 0, 4), 3);
	assert_int_equal(ioapic_read(&ioapic, 0x10, 2), 0);
	assert_int_equal(ioapic_read(&ioapic, 0x20, 4), 0);
}

static void ioapic_sends_on_a_rise(void **state)
{
	(void)state;
	ioapic_start();
	io_set(0x18, 0x10951); /* masked; logical, lowest priority */
	io_set(0x19, 0x05000000);
	ioapic_set_line(&ioapic, 4, true);
	ioapic_set_line(&ioapic, 4, false);
	assert_int_equal(message.count, 0);
	io_set(0x18, 0x00951);
	ioapic_set_line(&ioapic, 4, true);
	ioapic_set_line(&ioapic, 4, true);
	assert_int_equal(message.count, 1);
	assert_int_equal(message.address, 0xfee05004);
	assert_int_equal(message.data, 0x151);
	ioapic_set_line(&ioapic, 4, false);
	io_set(0x18, 0x08042); /* level-triggered, physical: sent as an edge */
	ioapic_set_line(&ioapic, 4, true);
	assert_int_equal(message.count, 2);
	assert_int_equal(message.address, 0xfee05000);
	assert_int_equal(message.data, 0x42);
}

static void clock_shows_utc(void **state)
{
	/* 2024-02-29 23:58:07, a Thursday */
	static const uint8_t registers[][2] = {
		{0, 7},	    {2, 58}, {4, 23},	  {6, 5},   {7, 29},  {8, 2},	   {9, 24},
		{0x32, 20}, {1, 0},  {0xa, 0x26}, {0xb, 6}, {0xc, 0}, {0xd, 0x80}, {0x7f, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
		assert_int_equal(cmos_read(registers[i][0], 1709251087), registers[i][1]);
}

static uint32_t item(struct fwcfg *f, uint16_t key)
{
	uint32_t value = 0;

	fwcfg_select(f, key);
	for (int i = 0; i < 4; i++)
		value |= (uint32_t)fwcfg_read(f) << 8 * i;
	return value;
}

static void fwcfg_items(void **state)
{
	struct fwcfg f;

	(void)state;
	fwcfg_init(&f, 0x8000000, 3);
	assert_int_equal(item(&f, 0), 0x554d4551); /* "QEMU" */
	assert_int_equal(item(&f, 1), 1);
	assert_int_equal(item(&f, 3), 0x8000000);
	assert_int_equal(item(&f, 5), 3);
	assert_int_equal(item(&f, 0x1234), 0);
	fwcfg_select(&f, 5);
	for (int i = 0; i < 100; i++)
		assert_int_equal(fwcfg_read(&f), i ? 0 : 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(output_goes_out),
		TEST(input_is_announced_and_read_once),
		TEST(end_of_input_is_quiet),
		TEST(divisor_hides_data),
		TEST(probing_finds_a_16550a),
		TEST(fwcfg_items),
		TEST(received_byte_interrupts_until_read),
		TEST(empty_transmitter_interrupts_once),
		TEST(received_comes_before_empty),
		TEST(interrupts_need_out2),
		TEST(ioapic_has_its_registers),
		TEST(ioapic_ignores_what_is_no_register),
		TEST(ioapic_sends_on_a_rise),
		TEST(clock_shows_utc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
