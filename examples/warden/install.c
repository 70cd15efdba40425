/* SPDX-License-Identifier: MIT */
/*
 * Runs in VTL0 before Linux: enables VTL1, tells it which pages Linux's command line wants guarded
 * (vtl1_guard=ADDRESS, any number of times), and leaves Hyper-V's interface as it found it.
 */
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "warden.h"

/* Linux Documentation/arch/x86/boot.rst: cmd_line_ptr. */
#define BOOT_COMMAND_LINE 0x228

#define OPTION		  "vtl1_guard="

extern const struct vtl_image vtl1_vtl_own_image;

void warden_install(const uint8_t *boot_params);

static enum warden_status request(enum warden_request what, uint64_t page)
{
	struct vtl_frame f = {.rdx = what, .r8 = page};

	vtl_call(&f);
	return (enum warden_status)f.rdx;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Hexadecimal, with or without 0x. */
static uint64_t parse_address(const char *text)
{
	uint64_t value = 0;

	if (text[0] == '0' && text[1] == 'x')
		text += 2;
	for (; digit(*text) >= 0; text++)
		value = value << 4 | (uint64_t)digit(*text);
	return value;
}

static void guard_page(uint64_t page)
{
	if (request(WARDEN_GUARD, page) == WARDEN_REFUSED)
		print("VTL1 refuses to guard %#lx\n", page);
}

static void guard_all(const char *command_line)
{
	size_t length = strlen(OPTION);

	for (const char *p = command_line; *p; p++)
		if ((p == command_line || p[-1] == ' ') && memcmp(p, OPTION, length) == 0)
			guard_page(parse_address(p + length));
}

void warden_install(const uint8_t *boot_params)
{
	uint32_t command_line;

	console_prefix("VTL0: ");
	memcpy(&command_line, boot_params + BOOT_COMMAND_LINE, sizeof(command_line));
	vtl_begin(&vtl1_vtl_own_image);
	guard_all((const char *)(uint64_t)command_line);
	CHECK_EQUAL(request(WARDEN_LOCK, 0), WARDEN_OK);
	print("starts Linux\n");
	wrmsr(HV_MSR_HYPERCALL, 0);
	wrmsr(HV_MSR_GUEST_OS_ID, 0);
}
