/* SPDX-License-Identifier: MIT */
/* The attacks, one function each: true when it got nowhere. */
#include "attacks.h"
#include "cpu.h"
#include "guest.h"
#include "trap.h"
#include "vault.h"

/* VTL1's code, secret and page tables: its own symbols, with the prefix its link gave them. */
extern char vtl1_image_code[], vtl1_secret[], vtl1_guest_page_tables[];

static volatile uint8_t loot;

static void read_byte(void *at)
{
	loot = *(volatile uint8_t *)at;
}

static void write_zero(void *at)
{
	*(volatile uint32_t *)at = 0;
}

static void jump_to(void *at)
{
	((void (*)(void))at)();
}

static bool faults(void (*fn)(void *), const void *at)
{
	return trap_try(fn, (void *)at, NULL) == TRAP_GP;
}

static bool read_secret(void)
{
	return faults(read_byte, vtl1_secret);
}

static bool write_code(void)
{
	return faults(write_zero, vtl1_image_code + 64);
}

static bool run_data(void)
{
	return faults(jump_to, vtl1_secret);
}

static bool write_page_tables(void)
{
	return faults(write_zero, vtl1_guest_page_tables);
}

/* The hypervisor reads and writes for its caller: it must not read and write more. */
static void call_with_input(void *at)
{
	hv_call(HV_SET_VP_REGISTERS | HV_REPS(1), (uint64_t)at, 0);
}

static void call_with_output(void *at)
{
	static struct {
		uint64_t partition;
		uint32_t vp, vtl, name, reserved[3];
	} input __attribute__((aligned(64))) = {
		HV_PARTITION_SELF, HV_VP_SELF, HV_OWN_VTL, HV_REGISTER_VP_STATUS, {0}};

	hv_call(HV_GET_VP_REGISTERS | HV_REPS(1), (uint64_t)&input, (uint64_t)at);
}

static bool hypercall_reads_secret(void)
{
	return faults(call_with_input, vtl1_secret);
}

static bool hypercall_writes_code(void)
{
	return faults(call_with_output, vtl1_image_code + 64);
}

static bool lift_protection(void)
{
	return HV_STATUS(hv_protect(vtl1_secret, 1, HV_RWX)) != HV_SUCCESS;
}

static bool read_registers(void)
{
	uint64_t rip;

	return hv_get_register(HV_VTL(1), HV_REGISTER_RIP, &rip) == HV_ACCESS_DENIED;
}

static bool write_registers(void)
{
	return hv_set_register(HV_VTL(1), HV_REGISTER_RIP, 0) == HV_ACCESS_DENIED;
}

static bool seal_secret(void)
{
	struct vtl_frame a = {.rdx = VAULT_SEAL, .r8 = (uint64_t)vtl1_secret, .r9 = 16};

	vtl_call(&a);
	return a.rdx == VAULT_REFUSED;
}

const struct attack attacks[] = {
	{"read the secret", read_secret},
	{"overwrite VTL1's code", write_code},
	{"overwrite VTL1's page tables", write_page_tables},
	{"run what is in VTL1's data", run_data},
	{"have the hypervisor read the secret as a hypercall's input", hypercall_reads_secret},
	{"have the hypervisor write a hypercall's output over VTL1's code", hypercall_writes_code},
	{"lift the protection by hypercall", lift_protection},
	{"read VTL1's registers", read_registers},
	{"change where VTL1 runs", write_registers},
	{"have VTL1 read its own secret as a message", seal_secret},
};
const unsigned attack_count = sizeof(attacks) / sizeof(attacks[0]);

/* The first six are accesses to memory. */
const unsigned attack_intercepts = 6;
