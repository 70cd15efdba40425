/* SPDX-License-Identifier: MIT */
/* VTL0 of the vault: an ordinary kernel that starts VTL1, uses it, and then turns against it. */
#include "attacks.h"
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "trap.h"
#include "vault.h"

/* VTL1: what its own link and the linker script call it. */
extern const struct vtl_image vtl1_vtl_own_image;
extern char vtl1_image_code[], vtl1_image_code_end[];

static uint8_t open_page[PAGE_SIZE] PAGE_ALIGNED = {'o'};
static uint8_t skipped_page[PAGE_SIZE] PAGE_ALIGNED = {'s'};

static uint64_t seal(const char *message)
{
	struct vtl_frame a = {.rdx = VAULT_SEAL, .r8 = (uint64_t)message, .r9 = strlen(message)};

	vtl_call(&a);
	CHECK_EQUAL(a.rdx, VAULT_OK);
	print("had VTL1 seal \"%s\": %#016lx\n", message, a.r8);
	return a.r8;
}

static uint64_t caught(void)
{
	struct vtl_frame a = {.rdx = VAULT_COUNT};

	vtl_call(&a);
	return a.r8;
}

static void guard(uint8_t *page, enum vault_guard kind)
{
	struct vtl_frame a = {.rdx = VAULT_GUARD, .r8 = (uint64_t)page, .r9 = kind};

	vtl_call(&a);
	CHECK_EQUAL(a.rdx, VAULT_OK);
}

static void write_byte(void *at)
{
	*(volatile uint8_t *)at = 'w';
}

/* VTL1 need not deny: it may let an access happen, or pass over it. */
static void show_other_answers(void)
{
	guard(open_page, VAULT_GUARD_ALLOW);
	guard(skipped_page, VAULT_GUARD_SKIP);
	print("asked VTL1 to guard the pages at %#lx and %#lx, and writes to both\n",
	      (uint64_t)open_page, (uint64_t)skipped_page);
	CHECK_EQUAL(trap_try(write_byte, open_page, NULL), -1);
	CHECK_EQUAL(open_page[0], 'w');
	print("finds the first page changed\n");
	CHECK_EQUAL(trap_try(write_byte, skipped_page, NULL), -1);
	CHECK_EQUAL(skipped_page[0], 's');
	print("finds the second page as it was\n");
}

static uint64_t code_checksum(void)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (const char *p = vtl1_image_code; p < vtl1_image_code_end; p++)
		sum = (sum ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
	return sum;
}

static unsigned attack_all(void)
{
	unsigned stopped = 0;

	for (unsigned i = 0; i < attack_count; i++) {
		print("attack %u: %s\n", i + 1, attacks[i].what);
		if (attacks[i].stopped()) {
			print("  was stopped\n");
			stopped++;
		} else {
			print("  SUCCEEDED\n");
		}
	}
	return stopped;
}

int guest_main(void)
{
	uint64_t first, code;
	unsigned stopped;

	console_prefix("VTL0: ");
	print("booted; this is where an ordinary kernel runs\n");
	print("enables VTL1, a more trusted level on the same processor, and calls it\n");
	vtl_begin(&vtl1_vtl_own_image);
	print("is back\n");
	first = seal("pay 10 to Alice");
	CHECK(seal("pay 99 to Mallory") != first);
	show_other_answers();
	code = code_checksum();
	print("turns hostile: it wants the secret, and to change what VTL1 does\n");
	stopped = attack_all();
	CHECK_EQUAL(seal("pay 10 to Alice"), first);
	CHECK_EQUAL(code_checksum(), code);
	CHECK_EQUAL(caught(), attack_intercepts + 2);
	print("%u attacks, %u stopped; the secret and VTL1's code are unchanged\n", attack_count,
	      stopped);
	return stopped == attack_count ? 0 : GUEST_EXIT_FAILED;
}
