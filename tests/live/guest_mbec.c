/* SPDX-License-Identifier: MIT */
/*
 * Mode-based execution control: which of KX and UX governs kernel and user mode, with it and
 * without. What may run runs, what may not is caught. With `relaxed` on the command line it is not
 * offered.
 */
#include "cpu.h"
#include "guest.h"
#include "trap.h"
#include "vtl.h"

/* mov $42, %eax; ud2: how far it came shows in any mode. */
static uint8_t page[PAGE_SIZE] PAGE_ALIGNED = {0xb8, 42, 0, 0, 0, 0x0f, 0x0b};
#define END 5 /* offset of the ud2 */

static volatile unsigned count;
static struct hv_intercept last;

void vtl_on_start(void)
{
	hv_protections_on();
}

/* RDX: the page's new mask; RSI: whether MBEC is on */
void vtl_on_call(struct vtl_frame *f)
{
	CHECK_EQUAL(HV_STATUS(hv_protect(page, 1, (uint32_t)f->rdx)), HV_SUCCESS);
	CHECK_EQUAL(hv_set_register(HV_OWN_VTL, HV_REGISTER_SECURE_CONFIG,
				    f->rsi ? HV_SECURE_CONFIG_MBEC : 0),
		    HV_SUCCESS);
}

void vtl_on_intercept(const struct hv_intercept *m)
{
	memcpy(&last, m, sizeof(last));
	count++;
	CHECK_EQUAL(hv_inject(HV_VTL(0), TRAP_GP), HV_SUCCESS);
}

static void set(uint32_t mask, bool mbec)
{
	struct vtl_frame f = {.rdx = mask, .rsi = mbec};
	uint64_t status;

	vtl_call(&f);
	count = 0;
	CHECK_EQUAL(hv_get_register(HV_OWN_VTL, HV_REGISTER_VP_STATUS, &status), HV_SUCCESS);
	CHECK_EQUAL(!!(status & HV_VP_STATUS_MBEC), mbec);
}

static void run_kernel(void *unused)
{
	(void)unused;
	__asm__ volatile("call *%0" : : "r"(page) : "rax", "memory");
}

static void run_user(void *unused)
{
	(void)unused;
	trap_user(page);
}

static void check_run(bool user, bool allowed)
{
	struct trap trap;
	int vector = trap_try(user ? run_user : run_kernel, NULL, &trap);

	CHECK_EQUAL(vector, allowed ? TRAP_UD : TRAP_GP);
	CHECK_EQUAL(trap.rip, (uint64_t)page + (allowed ? END : 0));
	CHECK_EQUAL(trap.cs & 3, user ? 3 : 0);
	CHECK_EQUAL(count, !allowed);
	if (allowed)
		return;
	CHECK_EQUAL(last.access, HV_ACCESS_EXECUTE);
	CHECK_EQUAL(last.gpa, (uint64_t)page);
	CHECK_EQUAL(last.rip, (uint64_t)page);
	count = 0;
}

static void check_mask(uint32_t mask, bool mbec)
{
	set(mask, mbec);
	check_run(false, mask & HV_KX);
	check_run(true, mask & (mbec ? HV_UX : HV_KX));
	/* Data is as the mask says, whoever may execute. */
	CHECK_EQUAL(*(volatile uint8_t *)page, 0xb8);
	*(volatile uint8_t *)(page + 64) = (uint8_t)mask;
	CHECK_EQUAL(*(volatile uint8_t *)(page + 64), mask);
	CHECK_EQUAL(count, 0);
}

int guest_main(void)
{
	static const uint32_t masks[] = {0, HV_KX, HV_UX, HV_KX | HV_UX};
	bool offered = !guest_has_option("relaxed");
	uint64_t capabilities;

	hv_require_vsm();
	hv_setup();
	CHECK_EQUAL(hv_get_register(HV_OWN_VTL, HV_REGISTER_CAPABILITIES, &capabilities),
		    HV_SUCCESS);
	CHECK_EQUAL(!!(capabilities & HV_CAPABILITY_MBEC(1)), offered);
	vtl_enable_flags = HV_ENABLE_MBEC;
	if (!offered) {
		CHECK_EQUAL(vtl_enable(&vtl_own_image), HV_INVALID_PARAMETER);
		return 0;
	}
	vtl_begin(&vtl_own_image);
	for (unsigned mbec = 0; mbec < 2; mbec++)
		for (unsigned i = 0; i < sizeof(masks) / sizeof(masks[0]); i++)
			check_mask(HV_R | HV_W | masks[i], mbec);
	return 0;
}
