/* SPDX-License-Identifier: MIT */
/* When a partition dies every vsm_vcpu_run() returns: of VPs that sleep and of those in the guest. */
#include "smp_fixture.h"

static void test_all_return(void **state)
{
	static struct smp s;

	(void)state;
	smp_start(&s, 2);
	smp_interrupts_on(&s, 0, 0);
	SMP_SCRIPT(&s, 0, 0, HALT);
	SMP_SCRIPT(&s, 1, 0, SPIN);
	smp_run(&s, 0);
	smp_run(&s, 1);
	smp_wait_asleep(&s, 1);
	smp_wait_spinning(&s, 1, 0);
	pthread_mutex_lock(&s.p->lock);
	partition_die(s.p, "a test");
	pthread_mutex_unlock(&s.p->lock);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(smp_join(&s, i), -EIO);
		assert_int_equal(vsm_vcpu_run(s.vp[i], &s.run[i]), -EIO);
	}
	assert_string_equal(vsm_partition_death(s.p), "a test");
	smp_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_return),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
