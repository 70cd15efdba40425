/* SPDX-License-Identifier: MIT */
/*
 * KVM cannot emulate an instruction whose page is closed, and another VP has opened the page when
 * the library looks: it is tried once more, alone. What fails then is the guest's own.
 */
#include "smp_fixture.h"

#define CODE   UINT64_C(0x1000)
#define VALUE  0x11223344
#define LENGTH 2

static struct smp s;
static unsigned failures;
static bool alone; /* at the failure that was looked at last */

static const struct fake_step store = {.kind = FAKE_STORE,
				       .flags = FAKE_NO_EMULATION,
				       .gva = PAGE_SECRET,
				       .size = 4,
				       .data = VALUE,
				       .length = LENGTH};

static void limit(prot_t mask)
{
	const uint64_t page = PAGE_SECRET >> VSM_PAGE_SHIFT;

	assert_int_equal(memory_limit(&s.p->memory, 1, 0, page, page + 1, mask), 0);
}

/* Another VP is faster than the thread that comes back with the failure. */
static int open_behind(struct smp *smp, int vcpu_fd)
{
	int r = smp->real->ops->run(smp->real, vcpu_fd);

	pthread_mutex_lock(&smp->p->lock);
	if (!r && fake_vcpu_run(smp->x.fake, vcpu_fd)->exit_reason == KVM_EXIT_INTERNAL_ERROR) {
		failures++;
		alone = smp->p->stepper == smp->vp[0] && smp->vp[1]->holds;
		limit(PROT_ALL);
	}
	pthread_mutex_unlock(&smp->p->lock);
	return r;
}

static void start(const struct guest_combination *c)
{
	static const uint8_t code[] = {0x89, 0x03}; /* mov %eax, (%rbx) */

	smp_start_with(&s, 2, VSM_VCPU_STARTED,
		       &(struct vsm_partition_options){.topology = c->topology,
						       .enforcement = c->enforcement,
						       .flags = SMP_EMULATES});
	memcpy(s.x.mem + CODE, code, sizeof(code));
	fake_vcpu_regs(s.x.fake, smp_fd(&s, 0, 0))->rbx = PAGE_SECRET;
	assert_int_equal(memory_limit_default(&s.p->memory, 1, PROT_ALL), 0);
	limit(0);
	failures = 0;
	atomic_store(&s.run_hook, open_behind);
}

static void stop(void)
{
	assert_null(s.p->stepper);
	assert_int_equal(s.vp[1]->holds, 0);
	assert_true(fake_kvm_script_done(s.x.fake));
	atomic_store(&s.run_hook, NULL);
	smp_stop(&s);
}

static void opened_meanwhile(const struct guest_combination *c, uint8_t cpl)
{
	uint32_t stored;

	start(c);
	fake_vcpu_sregs(s.x.fake, smp_fd(&s, 0, 0))->ss.dpl = cpl;
	SMP_SCRIPT(&s, 0, 0, store, VMM_OUT);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 0);
	assert_int_equal(failures, 1);
	assert_int_equal(fake_vcpu_delivered(s.x.fake, smp_fd(&s, 0, 0), NULL, 0), 0);
	memcpy(&stored, s.x.mem + PAGE_SECRET, sizeof(stored));
	assert_int_equal(stored, VALUE);
	stop();
}

static void test_opened_meanwhile(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(guest_combinations); i++) {
		opened_meanwhile(&guest_combinations[i], 0);
		opened_meanwhile(&guest_combinations[i], 3);
	}
}

/* For the VMM, after that. */
static void expect_failure(const struct kvm_run *failure, unsigned tries)
{
	const struct fake_step step = {.kind = FAKE_EXIT, .raw = failure, .length = LENGTH};

	start(&guest_combinations[3]);
	alone = false;
	for (unsigned i = 0; i < tries; i++)
		smp_script(&s, 0, 0, &step, 1);
	smp_run(&s, 0);
	assert_int_equal(smp_join(&s, 0), 0);
	assert_int_equal(s.run[0]->exit_reason, KVM_EXIT_INTERNAL_ERROR);
	assert_int_equal(failures, tries);
	assert_int_equal(alone, tries > 1);
	stop();
}

static void test_own(void **state)
{
	const struct kvm_run emulation = {.exit_reason = KVM_EXIT_INTERNAL_ERROR,
					  .internal.suberror = KVM_INTERNAL_ERROR_EMULATION};
	const struct kvm_run delivery = {.exit_reason = KVM_EXIT_INTERNAL_ERROR,
					 .internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV};

	(void)state;
	expect_failure(&emulation, 2);
	expect_failure(&delivery, 2);
}

/* The exit's words of kvm_amd (lib/intercept/failure.c): the exception would be lost. */
static void test_exception(void **state)
{
	const struct kvm_run given_up = {
		.exit_reason = KVM_EXIT_INTERNAL_ERROR,
		.internal = {.suberror = KVM_INTERNAL_ERROR_EMULATION,
			     .ndata = 6,
			     .data = {0, 0x400, 0, 0xd0000000, 1u << 31 | 3 << 8 | 6, 0}}};

	(void)state;
	expect_failure(&given_up, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opened_meanwhile),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_exception),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
