/* SPDX-License-Identifier: MIT */
/*
 * VTL1 of the vault: keeps a secret, seals messages with it for VTL0, and answers what VTL0 tries
 * against it. This file and its own copy of the guest library are linked apart from VTL0's; nothing
 * VTL1 runs or trusts lies in memory VTL0 can write.
 */
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "siphash.h"
#include "trap.h"
#include "vault.h"

#define GUARDS	   4
#define GUEST_SIZE UINT64_C(0x2000000) /* what VTL0 may point to: the first 32 MiB */

struct guard {
	uint64_t page;
	enum vault_guard kind;
	bool open;
};

/* The linker's: VTL1's part of the image. */
extern char image_code[], image_code_end[], image_end[];

/* Not static: VTL0 may know where it is. */
struct {
	uint64_t key[2];
	uint8_t rest[PAGE_SIZE - 16];
} secret PAGE_ALIGNED;

static struct guard guards[GUARDS];
static unsigned guard_count;
static uint64_t caught;

static void make_secret(void)
{
	uint64_t seed[2] = {rdtsc(), rdmsr(HV_MSR_TIME_REF_COUNT)};

	secret.key[0] = siphash(seed, "first", 5);
	secret.key[1] = siphash(seed, "second", 6);
	print("made a secret of 16 bytes and keeps it at %#lx\n", (uint64_t)&secret);
}

static void close_to_vtl0(const char *what, const char *from, const char *to, uint32_t mask,
			  const char *meaning)
{
	size_t pages = (size_t)(to - from) / PAGE_SIZE;

	CHECK_EQUAL(HV_STATUS(hv_protect(from, pages, mask)), HV_SUCCESS);
	print("protects its %s at %#lx-%#lx: VTL0 %s\n", what, (uint64_t)from, (uint64_t)to - 1,
	      meaning);
}

void vtl_on_start(void)
{
	console_prefix("VTL1: ");
	print("started, with registers, stack, page tables and interrupts of its own\n");
	hv_protections_on();
	close_to_vtl0("code", image_code, image_code_end, HV_R | HV_X,
		      "may read and run it, not change it");
	close_to_vtl0("data", image_code_end, image_end, HV_NO_ACCESS, "has no access");
	make_secret();
	print("is ready and returns to VTL0\n");
}

/* --- requests --- */

/* VTL0 names the address: it must not make VTL1 read VTL1's memory for it. */
static bool is_vtl0_memory(uint64_t address, uint64_t length)
{
	if (length > GUEST_SIZE || address > GUEST_SIZE - length)
		return false;
	return address + length <= (uint64_t)image_code || address >= (uint64_t)image_end;
}

static enum vault_status seal(struct vtl_frame *f)
{
	static uint8_t message[VAULT_MESSAGE_MAX];

	if (f->r9 > sizeof(message) || !is_vtl0_memory(f->r8, f->r9)) {
		print("refuses to seal %lu bytes at %#lx: not VTL0's memory\n", f->r9, f->r8);
		return VAULT_REFUSED;
	}
	memcpy(message, (const void *)f->r8, f->r9);
	f->r8 = siphash(secret.key, message, f->r9);
	return VAULT_OK;
}

static enum vault_status guard(struct vtl_frame *f)
{
	if (guard_count == GUARDS || f->r8 % PAGE_SIZE || !is_vtl0_memory(f->r8, PAGE_SIZE) ||
	    f->r9 > VAULT_GUARD_SKIP)
		return VAULT_REFUSED;
	if (HV_STATUS(hv_protect((void *)f->r8, 1, HV_R | HV_X)) != HV_SUCCESS)
		return VAULT_REFUSED;
	guards[guard_count++] = (struct guard){f->r8, (enum vault_guard)f->r9, false};
	return VAULT_OK;
}

static enum vault_status count(struct vtl_frame *f)
{
	f->r8 = caught;
	return VAULT_OK;
}

static void close_guards(void)
{
	for (struct guard *g = guards; g < guards + guard_count; g++) {
		if (!g->open)
			continue;
		CHECK_EQUAL(HV_STATUS(hv_protect((void *)g->page, 1, HV_R | HV_X)), HV_SUCCESS);
		g->open = false;
		print("makes the page at %#lx read-only again\n", g->page);
	}
}

void vtl_on_call(struct vtl_frame *f)
{
	static enum vault_status (*const requests[])(struct vtl_frame *) = {
		[VAULT_SEAL] = seal,
		[VAULT_GUARD] = guard,
		[VAULT_COUNT] = count,
	};

	close_guards();
	if (f->rdx < VAULT_SEAL || f->rdx > VAULT_COUNT)
		f->rdx = VAULT_REFUSED;
	else
		f->rdx = requests[f->rdx](f);
}

/* --- intercepts --- */

static struct guard *find_guard(uint64_t gpa)
{
	for (struct guard *g = guards; g < guards + guard_count; g++)
		if (g->page == gpa - gpa % PAGE_SIZE)
			return g;
	return NULL;
}

static void deny(void)
{
	print("  answer: VTL0 gets a general protection fault\n");
	CHECK_EQUAL(hv_inject(HV_VTL(0), TRAP_GP), HV_SUCCESS);
}

static void allow(struct guard *g)
{
	print("  answer: opens the page, the instruction runs again\n");
	CHECK_EQUAL(HV_STATUS(hv_protect((void *)g->page, 1, HV_RWX)), HV_SUCCESS);
	g->open = true;
}

static void skip(const struct hv_intercept *m)
{
	unsigned length = m->instruction_length & 0xf;

	print("  answer: VTL0 goes on after the instruction (%u bytes), which has no effect\n",
	      length);
	CHECK_EQUAL(hv_set_register(HV_VTL(0), HV_REGISTER_RIP, m->rip + length), HV_SUCCESS);
}

void vtl_on_intercept(const struct hv_intercept *m)
{
	static const char *const accesses[] = {"reading", "writing", "executing"};
	struct guard *g = find_guard(m->gpa);

	caught++;
	print("caught VTL0 %s physical address %#lx, at RIP %#lx\n",
	      m->access <= HV_ACCESS_EXECUTE ? accesses[m->access] : "touching", m->gpa, m->rip);
	if (g && g->kind == VAULT_GUARD_ALLOW)
		allow(g);
	else if (g && (m->instruction_length & 0xf))
		skip(m);
	else
		deny();
}
