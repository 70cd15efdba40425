/* SPDX-License-Identifier: MIT */
/* What the run loop makes of faults that no higher VTL hears of: none of them ends vsm_vcpu_run(). */
#include "partition_fixture.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define PML4  UINT64_C(0x40000)
#define PDPT  UINT64_C(0x41000)
#define PD    UINT64_C(0x42000)
#define FRESH UINT64_C(0x3)  /* present, writable */
#define ENTRY UINT64_C(0x23) /* and accessed */
#define LARGE UINT64_C(0xe3) /* and dirty, 2 MiB */
#define CODE  UINT64_C(0x1000)
#define PAGE  PAGE_SECRET
#define VMM                                                             \
	{                                                               \
		.kind = FAKE_OUT, .port = 0x3f8, .size = 1, .length = 2 \
	}

#define VECTOR_DE 0
#define VECTOR_DF 8

static struct guest g;

static int start(void **state)
{
	(void)state;
	guest_start(&g, VSM_TOPOLOGY_DEFAULT, VSM_ENFORCEMENT_ALIAS);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	guest_stop(&g);
	return 0;
}

static int fd(void)
{
	return vsm_vcpu_fd(g.vp, 0);
}

static void script(const struct fake_step *steps, size_t count)
{
	fake_vcpu_script(g.x.fake, fd(), steps, count);
}

static uint32_t run_to_exit(void)
{
	struct kvm_run *run;

	assert_int_equal(vsm_vcpu_run(g.vp, &run), 0);
	return run->exit_reason;
}

/* KVM_RUN fails while an exception is being delivered; *ctx is its vector, -1: none is. */
static int fault(struct fake_guest *guest, void *ctx)
{
	struct kvm_vcpu_events *e = fake_vcpu_events(guest->f, guest->vcpu_fd);
	int vector = *(const int *)ctx;

	e->exception.injected = vector >= 0;
	e->exception.nr = (uint8_t)vector;
	return -EFAULT;
}

#define FAULT(vector)                                                              \
	{                                                                          \
		.kind = FAKE_CALL, .fn = fault, .ctx = &(int){vector}, .length = 0 \
	}

/* A root table in a page that nobody may write. */
static void start_paging(uint64_t flags)
{
	struct overlay *o = g.p->vtls[0].hypercall_page;
	uint64_t root = PDPT | flags;

	*(uint64_t *)(g.x.mem + PDPT) = PD | ENTRY;
	*(uint64_t *)(g.x.mem + PD) = LARGE;
	assert_int_equal(overlay_enable(&g.p->memory, o, PML4 >> VSM_PAGE_SHIFT), 0);
	memcpy(o->host, &root, sizeof(root));
	fake_vcpu_long_mode(g.x.fake, fd(), PML4, CODE, 0x8000);
}

static void expect_delivered(size_t nth, uint8_t vector)
{
	struct fake_event events[8];

	assert_true(fake_vcpu_delivered(g.x.fake, fd(), events, 8) > nth);
	assert_int_equal(events[nth].vector, vector);
	assert_true(events[nth].has_error_code);
	assert_int_equal(events[nth].error_code, 0);
}

/* The processor would have to set a bit in a table that nobody may write. */
static void test_table_in_overlay(void **state)
{
	const struct fake_step steps[] = {FAULT(-1), VMM};

	(void)state;
	start_paging(FRESH);
	script(steps, ARRAY_SIZE(steps));
	assert_int_equal(run_to_exit(), KVM_EXIT_IO);
	expect_delivered(0, VECTOR_GP);
	assert_int_equal(fake_vcpu_delivered(g.x.fake, fd(), NULL, 0), 1);
}

/* And for an exception's delivery: a second one, a double fault, the end. */
static void test_triple_fault(void **state)
{
	const struct fake_step steps[] = {FAULT(VECTOR_UD), FAULT(VECTOR_GP), FAULT(VECTOR_DF),
					  VMM};

	(void)state;
	start_paging(FRESH);
	script(steps, ARRAY_SIZE(steps));
	assert_int_equal(run_to_exit(), KVM_EXIT_SHUTDOWN);
	expect_delivered(0, VECTOR_GP);
	expect_delivered(1, VECTOR_DF);
	assert_int_equal(run_to_exit(), KVM_EXIT_IO);
	assert_int_equal(fake_vcpu_delivered(g.x.fake, fd(), NULL, 0), 2);
}

/* What becomes of an exception at whose delivery the guest gets #GP. */
static void test_second_fault(void **state)
{
	static const struct {
		int first;
		uint8_t second;
	} rows[] = {{VECTOR_DE, VECTOR_DF}, {1, VECTOR_GP},  {VECTOR_UD, VECTOR_GP},
		    {9, VECTOR_GP},	    {10, VECTOR_DF}, {13, VECTOR_DF},
		    {VECTOR_PF, VECTOR_DF}, {15, VECTOR_GP}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int first = rows[i].first;
		const struct fake_step steps[] = {
			{.kind = FAKE_CALL, .fn = fault, .ctx = &first, .length = 0}, VMM};

		guest_start(&g, VSM_TOPOLOGY_DEFAULT, VSM_ENFORCEMENT_ALIAS);
		start_paging(FRESH);
		script(steps, ARRAY_SIZE(steps));
		assert_int_equal(run_to_exit(), KVM_EXIT_IO);
		expect_delivered(0, rows[i].second);
		guest_stop(&g);
	}
}

/* A host that fails for ever ends it. */
static void test_never_gone(void **state)
{
	const struct fake_step step = FAULT(-1), end = VMM;
	struct kvm_run *run;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		script(&step, 1);
	script(&end, 1);
	assert_int_equal(run_to_exit(), KVM_EXIT_IO);
	for (unsigned i = 0; i < 1001; i++)
		script(&step, 1);
	assert_int_equal(vsm_vcpu_run(g.vp, &run), -EFAULT);
}

/* KVM's failures at an instruction that nobody forbids. */
static void test_kernel_error(void **state)
{
	struct kvm_run raw = {.exit_reason = KVM_EXIT_INTERNAL_ERROR};
	const struct fake_step steps[] = {{.kind = FAKE_EXIT, .raw = &raw}, VMM};
	struct fake_event event;

	(void)state;
	raw.internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
	script(steps, 1);
	assert_int_equal(run_to_exit(), KVM_EXIT_INTERNAL_ERROR);
	raw.internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
	script(steps, 1);
	assert_int_equal(run_to_exit(), KVM_EXIT_INTERNAL_ERROR);
	/* A guest's user process does not stop its VM. */
	fake_vcpu_sregs(g.x.fake, fd())->ss.dpl = 3;
	vtl_cpu_forget(&g.vp->vtls[0].cpu);
	script(steps, 2);
	assert_int_equal(run_to_exit(), KVM_EXIT_IO);
	assert_int_equal(fake_vcpu_delivered(g.x.fake, fd(), &event, 1), 1);
	assert_int_equal(event.vector, VECTOR_UD);
}

/* What was in the way is gone when the library looks: the processor tries again, afresh. */
static void test_gone(void **state)
{
	const struct fake_step steps[] = {FAULT(-1), FAULT(-1), FAULT(-1), VMM};

	(void)state;
	script(steps, ARRAY_SIZE(steps));
	fake_kvm_reset_calls(g.x.fake);
	assert_int_equal(run_to_exit(), KVM_EXIT_IO);
	/* Each try drops the translations. */
	assert_true(fake_kvm_calls(g.x.fake, FAKE_OP_set_sregs) >= 3);
}

/* The same where a VTL restricts VTL0 and its code page cannot be found any more. */
static void test_code_gone(void **state)
{
	const struct fake_step steps[] = {FAULT(-1), FAULT(-1), VMM};

	(void)state;
	*(uint64_t *)(g.x.mem + PML4) = PDPT | ENTRY;
	*(uint64_t *)(g.x.mem + PDPT) = PD | ENTRY;
	fake_vcpu_long_mode(g.x.fake, fd(), PML4, CODE, 0x8000);
	guest_enable_vtl1(&g);
	assert_int_equal(memory_limit_default(&g.p->memory, 1, PROT_ALL), 0);
	script(steps, ARRAY_SIZE(steps));
	assert_int_equal(run_to_exit(), KVM_EXIT_IO);
	assert_int_equal(vsm_vcpu_active_vtl(g.vp), 0);
}

static void close_page(void)
{
	assert_int_equal(memory_limit_default(&g.p->memory, 1, PROT_ALL), 0);
	assert_int_equal(memory_limit(&g.p->memory, 1, 0, PAGE >> VSM_PAGE_SHIFT,
				      (PAGE >> VSM_PAGE_SHIFT) + 1, 0),
			 0);
}

static void load_closed_page(void)
{
	static const uint8_t load[] = {0x8b, 0x03}; /* mov (%rbx), %eax */
	static const struct fake_step steps[] = {
		{.kind = FAKE_LOAD, .gva = PAGE, .size = 4, .length = 2, .flags = FAKE_OPTIONAL},
		{.kind = FAKE_OUT, .port = 0x3f8, .size = 1, .length = 2, .flags = FAKE_OPTIONAL}};

	memcpy(g.x.mem + CODE, load, sizeof(load));
	fake_vcpu_regs(g.x.fake, fd())->rip = CODE;
	fake_vcpu_regs(g.x.fake, fd())->rbx = PAGE;
	script(steps, ARRAY_SIZE(steps));
}

/* Opens the page when the VP waits the third time. */
static unsigned waits;
static struct kvm_ops ops;
static const struct kvm_host *real;

static int counted_wait(const struct kvm_host *h, int wake_fd, uint64_t until_ns)
{
	(void)h;
	(void)wake_fd;
	assert_true(until_ns != KVM_NEVER);
	assert_int_equal(fake_vcpu_regs(g.x.fake, fd())->rip, CODE);
	if (++waits == 3) {
		pthread_mutex_lock(&g.p->lock);
		assert_int_equal(memory_limit(&g.p->memory, 1, 0, PAGE >> VSM_PAGE_SHIFT,
					      (PAGE >> VSM_PAGE_SHIFT) + 1, PROT_ALL),
				 0);
		pthread_mutex_unlock(&g.p->lock);
	}
	return -ETIMEDOUT;
}

static unsigned warnings;

static void count_warnings(void *ctx, enum vsm_log_level level, const char *line)
{
	(void)ctx;
	(void)line;
	warnings += level == VSM_LOG_WARNING;
}

static void start_waiting(uint64_t flags)
{
	static struct kvm_host host;
	struct vsm_partition_options o;

	fixture_start(&g.x, RAM_MIB);
	real = g.x.host;
	ops = *real->ops;
	ops.wait_fd = counted_wait;
	host = (struct kvm_host){&ops, real->ctx};
	o = guest_options(&g);
	o.flags = flags;
	o.log = count_warnings;
	g.x.host = &host;
	guest_start_with(&g, &o);
	g.x.host = real;
	warnings = waits = 0;
	close_page();
	load_closed_page();
}

/* VTL1 forbids it and is not enabled on this VP: it gets no further until VTL1 lets it. */
static void test_setter_not_enabled(void **state)
{
	(void)state;
	start_waiting(0);
	assert_int_equal(run_to_exit(), KVM_EXIT_IO);
	assert_int_equal(waits, 3);
	assert_int_equal(warnings, 1);
	guest_stop(&g);
}

static void test_setter_not_enabled_no_sleep(void **state)
{
	(void)state;
	start_waiting(VSM_PARTITION_HLT_EXITS);
	assert_int_equal(run_to_exit(), KVM_EXIT_HLT);
	assert_int_equal(run_to_exit(), KVM_EXIT_HLT);
	assert_int_equal(waits, 0);
	assert_int_equal(fake_vcpu_regs(g.x.fake, fd())->rip, CODE);
	guest_stop(&g);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_table_in_overlay),
		TEST(test_triple_fault),
		TEST(test_gone),
		TEST(test_code_gone),
		TEST(test_never_gone),
		TEST(test_kernel_error),
		cmocka_unit_test(test_second_fault),
		cmocka_unit_test(test_setter_not_enabled),
		cmocka_unit_test(test_setter_not_enabled_no_sleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
