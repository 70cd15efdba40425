/* SPDX-License-Identifier: MIT */
/*
 * MSR intercepts: VTL1 hears of VTL0's access before anything has changed, and lets it through by
 * making it itself, steps over it, or answers with an exception (TLFS vsm.md, "Secure Register
 * Intercepts").
 */
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "trap.h"
#include "vtl.h"

#define MSR_TSC_AUX    0xc0000103
#define MSR_CSTAR      0xc0000083
#define MSR_CS	       0x174
#define MSR_ESP	       0x175
#define MSR_EIP	       0x176
#define TRAP_GP_VECTOR 13

#define EFER_SCE       1

/* HV_REGISTER_CR_INTERCEPT_CONTROL */
#define LSTAR_BOTH     (UINT64_C(3) << 5)
#define STAR_BOTH      (UINT64_C(3) << 7)
#define CSTAR_BOTH     (UINT64_C(3) << 9)
#define EFER_BOTH      (UINT64_C(3) << 13)
#define SYSENTER_WRITE (UINT64_C(7) << 19)
#define SFMASK_WRITE   (UINT64_C(1) << 22)
#define CONTROL	       (LSTAR_BOTH | STAR_BOTH | CSTAR_BOTH | EFER_BOTH | SYSENTER_WRITE | SFMASK_WRITE)
#define CR0_WRITE      UINT64_C(1)

enum answer {
	ALLOW,
	SKIP,
	INJECT,
	ANSWERS,
};

static const struct msr {
	uint32_t index, name;
	bool reads; /* are intercepted too */
	uint64_t value, other;
} msrs[] = {
	{MSR_LSTAR, 0x80009, true, 0x1000, 0x2000},
	{MSR_STAR, 0x80008, true, 0x1000, 0x2000},
	{MSR_CSTAR, 0x8000a, true, 0x1000, 0x2000},
	{MSR_SFMASK, 0x8000b, false, 0x1000, 0x2000},
	{MSR_CS, 0x80005, false, 8, 16},
	{MSR_EIP, 0x80006, false, 0x1000, 0x2000},
	{MSR_ESP, 0x80007, false, 0x1000, 0x2000},
};

static const struct msr *current;
static enum answer answer;
static struct hv_msr_intercept seen;
static unsigned count;

/* --- VTL1 --- */

void vtl_on_start(void)
{
	uint64_t value;

	CHECK_EQUAL(hv_set_register(HV_OWN_VTL, HV_REGISTER_CR_INTERCEPT, CR0_WRITE),
		    HV_OPERATION_DENIED);
	CHECK_EQUAL(hv_set_register(HV_OWN_VTL, HV_REGISTER_CR_INTERCEPT, CONTROL), HV_SUCCESS);
	CHECK_EQUAL(hv_get_register(HV_OWN_VTL, HV_REGISTER_CR_INTERCEPT, &value), HV_SUCCESS);
	CHECK_EQUAL(value, CONTROL);
	/* Its own accesses are nobody's to decide on, wherever the filter is. */
	wrmsr(MSR_LSTAR, 0x7777000);
	CHECK_EQUAL(rdmsr(MSR_LSTAR), 0x7777000);
	wrmsr(MSR_CS, 0x28);
	CHECK_EQUAL(rdmsr(MSR_CS), 0x28);
	value = rdmsr(MSR_EFER);
	wrmsr(MSR_EFER, value ^ EFER_SCE);
	CHECK_EQUAL(rdmsr(MSR_EFER), value ^ EFER_SCE);
}

/* Whose bits 15:0 in RAX VTL0 finds, if VTL1 answers the read. */
static void answer_read(void)
{
	uint64_t value = 0;

	CHECK_EQUAL(hv_get_register(HV_VTL(0), current->name, &value), HV_SUCCESS);
	CHECK_EQUAL(value, current->value);
}

static void step_over(void)
{
	CHECK_EQUAL(hv_set_register(HV_VTL(0), HV_REGISTER_RIP,
				    seen.rip + (seen.instruction_length & 0xf)),
		    HV_SUCCESS);
}

void vtl_on_msr_intercept(const struct hv_msr_intercept *message)
{
	uint64_t value = 0;

	seen = *message;
	count++;
	CHECK_EQUAL(hv_get_register(HV_VTL(0), current->name, &value), HV_SUCCESS);
	CHECK_EQUAL(value, current->value);
	CHECK_EQUAL(hv_get_register(HV_VTL(0), HV_REGISTER_RIP, &value), HV_SUCCESS);
	CHECK_EQUAL(value, message->rip);
	if (answer == INJECT) {
		CHECK_EQUAL(hv_inject(HV_VTL(0), TRAP_GP_VECTOR), HV_SUCCESS);
		return;
	}
	if (message->access == HV_ACCESS_READ)
		answer_read();
	else if (answer == ALLOW)
		CHECK_EQUAL(hv_set_register(HV_VTL(0), current->name,
					    message->rdx << 32 | (uint32_t)message->rax),
			    HV_SUCCESS);
	step_over();
}

/* --- VTL0 --- */

static void do_write(void *unused)
{
	(void)unused;
	wrmsr(current->index, current->other);
}

static volatile uint64_t result;

/* RAX and RDX are not VTL1's here to answer with: what they held must come back. */
static void do_read(void *unused)
{
	uint32_t low = 0x12345678, high = 0x9abcdef0;

	(void)unused;
	__asm__ volatile("rdmsr" : "+a"(low), "+d"(high) : "c"(current->index) : "memory");
	result = (uint64_t)high << 32 | low;
}

static uint64_t held(void)
{
	uint64_t value = 0;

	CHECK_EQUAL(hv_get_register(HV_OWN_VTL, current->name, &value), HV_SUCCESS);
	return value;
}

static void check_message(enum hv_access access)
{
	CHECK_EQUAL(count, 1);
	CHECK_EQUAL(seen.access, access);
	CHECK_EQUAL(seen.msr, current->index);
	CHECK_EQUAL(seen.instruction_length & 0xf, 2);
	CHECK_EQUAL(seen.payload_size, 64);
}

static void try_write(void)
{
	int vector;

	CHECK_EQUAL(hv_set_register(HV_OWN_VTL, current->name, current->value), HV_SUCCESS);
	count = 0;
	vector = trap_try(do_write, NULL, NULL);
	check_message(HV_ACCESS_WRITE);
	CHECK_EQUAL(seen.rax, current->other);
	CHECK_EQUAL(vector, answer == INJECT ? TRAP_GP_VECTOR : -1);
	CHECK_EQUAL(held(), answer == ALLOW ? current->other : current->value);
}

static void try_read(void)
{
	int vector;

	CHECK_EQUAL(hv_set_register(HV_OWN_VTL, current->name, current->value), HV_SUCCESS);
	count = 0;
	result = 0;
	vector = trap_try(do_read, NULL, NULL);
	check_message(HV_ACCESS_READ);
	CHECK_EQUAL(vector, answer == INJECT ? TRAP_GP_VECTOR : -1);
	if (answer != INJECT)
		CHECK_EQUAL(result, 0x9abcdef012345678);
}

int guest_main(void)
{
	vtl_begin(&vtl_own_image);
	for (unsigned i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		current = &msrs[i];
		for (answer = ALLOW; answer < ANSWERS; answer++) {
			print("MSR %#x, answer %d\n", current->index, (int)answer);
			try_write();
			if (current->reads)
				try_read();
		}
	}
	return 0;
}
