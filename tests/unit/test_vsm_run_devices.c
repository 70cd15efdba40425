/* SPDX-License-Identifier: MIT */
/* vsm-run's serial port and fw_cfg, as drivers probe and poll them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>
#include "fwcfg.h"
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
	assert_int_equal(serial_read(&com1, IIR), 0x01);
	serial_write(&com1, IIR, 1);
	assert_int_equal(serial_read(&com1, IIR), 0xc1);
	serial_write(&com1, MCR, 0x10 | 0x0a); /* loop; RTS and OUT2 */
	assert_int_equal(serial_read(&com1, MSR) & 0xf0, 0x90);
	serial_write(&com1, DATA, 'l');
	assert_int_equal(serial_read(&com1, LSR), 0x61);
	assert_int_equal(serial_read(&com1, DATA), 'l');
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
		TEST(output_goes_out),	      TEST(input_is_announced_and_read_once),
		TEST(end_of_input_is_quiet),  TEST(divisor_hides_data),
		TEST(probing_finds_a_16550a), TEST(fwcfg_items),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
