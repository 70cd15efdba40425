/* SPDX-License-Identifier: MIT */
/* What is shut and watched before a window opens, by the state the guest gave its vCPU. */
#include "partition_fixture.h"
#include "vcpu/window.h"

#include <string.h>

#define IDT	 UINT64_C(0x46000)
#define RAM_END	 ((uint64_t)RAM_MIB << 20)
#define EFER_SCE UINT64_C(1)

static struct guest g;

static int start(void **state)
{
	(void)state;
	memset(&g, 0, sizeof(g));
	guest_start(&g, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	guest_stop(&g);
	return 0;
}

/* As window_prepare() leaves *debug, with the pages of the IDT shut: until unprepare(). */
static struct kvm_guest_debug prepare(void)
{
	const struct violation v = {0};
	struct kvm_guest_debug debug;

	vtl_cpu_forget(&g.vp->vtls[0].cpu);
	assert_int_equal(window_prepare(g.vp, &v, &debug), 0);
	return debug;
}

static void unprepare(void)
{
	assert_int_equal(memory_close_openings(&g.p->memory, 0), 0);
}

static bool is_shut(uint64_t at)
{
	const struct memory *m = &g.p->memory;

	for (unsigned i = 0; i < m->opening_count[0]; i++) {
		if (m->openings[0][i].page == at >> VSM_PAGE_SHIFT && m->openings[0][i].shut)
			return true;
	}
	return false;
}

static void shuts(uint64_t base, uint16_t limit, bool first, bool second)
{
	fake_vcpu_sregs(g.x.fake, vsm_vcpu_fd(g.vp, 0))->idt =
		(struct kvm_dtable){.base = base, .limit = limit};
	prepare();
	assert_int_equal(is_shut(IDT), first);
	assert_int_equal(is_shut(IDT + VSM_PAGE_SIZE), second);
	assert_int_equal(g.p->memory.opening_count[0], first + second);
	unprepare();
}

/* To its last byte, as far as vectors reach; one that is not in RAM needs no shutting. */
static void test_idt_pages(void **state)
{
	(void)state;
	shuts(IDT, 0x7ff, true, false);
	shuts(IDT, 0xfff, true, false);
	shuts(IDT, 0xffff, true, false);
	shuts(IDT + 0x800, 0x7ff, true, false);
	shuts(IDT + 0x800, 0xfff, true, true);
	shuts(IDT + 0xff1, 15, true, true);
	shuts(IDT + 0xff0, 15, true, false);
	shuts(IDT + 0xfff, 0, true, false);
	shuts(RAM_END, 0xfff, false, false);
}

/* In real mode KVM's emulator delivers by vectors that are past the limit. */
static void test_real_mode(void **state)
{
	(void)state;
	fake_vcpu_sregs(g.x.fake, vsm_vcpu_fd(g.vp, 0))->cr0 &= ~UINT64_C(1);
	shuts(IDT + 0xc00, 0, true, false);
	shuts(IDT + 0xc01, 0, true, true);
	shuts(IDT + 0xc00, 0xffff, true, false);
}

/* Only 64-bit mode has a SYSCALL that takes TF away, and only where it is turned on. */
static void test_syscall_watched(void **state)
{
	static const struct {
		uint64_t efer;
		bool watched;
	} cases[] = {
		{0, false},
		{EFER_SCE, false},
		{CPU_EFER_LMA, false},
		{EFER_SCE | CPU_EFER_LMA, true},
	};
	struct kvm_guest_debug debug;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_vcpu_sregs(g.x.fake, vsm_vcpu_fd(g.vp, 0))->efer = cases[i].efer;
		debug = prepare();
		assert_int_equal(!!(debug.control & KVM_GUESTDBG_USE_HW_BP), cases[i].watched);
		assert_int_equal(debug.arch.debugreg[7], cases[i].watched ? 0x40a : 0);
		unprepare();
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(test_idt_pages), TEST(test_real_mode),
					   TEST(test_syscall_watched)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
