/* SPDX-License-Identifier: MIT */
/* vsm_vcpu_text(): what a VP is said to do and to wait for. */
#include "smp_fixture.h"

#include "vsm/synic.h"

#define ROOM 2048

static const char *text_of(struct smp *s, unsigned vp)
{
	static char text[ROOM];
	int length = vsm_vcpu_text(s->vp[vp], text, sizeof(text));

	assert_true(length > 0 && (size_t)length < sizeof(text));
	assert_int_equal(strlen(text), length);
	return text;
}

static void expect(struct smp *s, unsigned vp, const char *part)
{
	const char *text = text_of(s, vp);

	if (!strstr(text, part))
		fail_msg("no \"%s\" in:\n%s", part, text);
}

static void reject(struct smp *s, unsigned vp, const char *part)
{
	const char *text = text_of(s, vp);

	if (strstr(text, part))
		fail_msg("\"%s\" in:\n%s", part, text);
}

static void test_outside(void **state)
{
	struct smp s;

	(void)state;
	smp_start(&s, 1);
	expect(&s, 0,
	       "VP 0 in VTL0 outside vsm_vcpu_run(), 0 entries\n  VTL0 RIP 0x1000 RFLAGS 0x2");
	reject(&s, 0, "VTL1");
	/* The VMM moves it with an ioctl of its own. */
	fake_vcpu_regs(s.x.fake, smp_fd(&s, 0, 0))->rip = 0x1234;
	expect(&s, 0, "RIP 0x1234");
	smp_enable_vtl1(&s, 0);
	expect(&s, 0, "\n  VTL1 RIP ");
	vsm_vcpu_kick(s.vp[0]);
	expect(&s, 0, ", kicked");
	smp_stop(&s);
}

static void test_waits_for_sipi(void **state)
{
	struct smp s;

	(void)state;
	smp_start_with(&s, 2, 0, &(struct vsm_partition_options){0});
	reject(&s, 0, "SIPI");
	expect(&s, 1, "VP 1 in VTL0 outside vsm_vcpu_run(), waits for INIT and SIPI");
	smp_stop(&s);
}

/* One that spins in the guest cannot be read, the VTL below it can. */
static void test_running(void **state)
{
	struct smp s;

	(void)state;
	smp_start(&s, 1);
	smp_enable_vtl1(&s, 0);
	vcpu_activate(s.vp[0], 1);
	SMP_SCRIPT(&s, 0, 1, SPIN);
	smp_run(&s, 0);
	smp_wait_spinning(&s, 0, 1);
	expect(&s, 0, "VP 0 in VTL1 in KVM_RUN, 1 entries\n  VTL0 RIP 0x1000");
	expect(&s, 0, "\n  VTL1 running");
	vsm_vcpu_kick(s.vp[0]);
	assert_int_equal(smp_join(&s, 0), -EINTR);
	smp_stop(&s);
}

/* Halted with interrupts off, with one waiting and another in service. */
static void test_halted(void **state)
{
	struct smp s;

	(void)state;
	smp_start(&s, 1);
	SMP_SCRIPT(&s, 0, 0, HALT);
	smp_run(&s, 0);
	assert_int_equal(smp_join(&s, 0), 0);
	assert_int_equal(s.run[0]->exit_reason, KVM_EXIT_HLT);
	smp_run(&s, 0);
	smp_wait_asleep(&s, 1);
	assert_true(lapic_accept(&s.vp[0]->vtls[0].lapic, 0x91, false));
	assert_int_equal(lapic_ack(&s.vp[0]->vtls[0].lapic), 0x91);
	assert_true(lapic_accept(&s.vp[0]->vtls[0].lapic, 0x61, false));
	expect(&s, 0, "asleep in vsm_vcpu_run(), ");
	expect(&s, 0, "VTL0 RIP 0x1001 RFLAGS 0x2, halted; APIC: TPR 00; IRR 61; ISR 91\n");
	vsm_vcpu_kick(s.vp[0]);
	assert_int_equal(smp_join(&s, 0), -EINTR);
	smp_stop(&s);
}

static void test_kernel_apic(void **state)
{
	struct kvm_lapic_state *apic;
	struct smp s;

	(void)state;
	smp_start_with(&s, 1, 0, &(struct vsm_partition_options){.flags = SMP_KERNEL_APIC});
	apic = fake_vcpu_lapic(s.x.fake, smp_fd(&s, 0, 0));
	apic->regs[0x80] = 0x20;
	apic->regs[0x200 + 0x30] = 2;
	apic->regs[0x100 + 0x20] = 8;
	expect(&s, 0, "KVM's APIC: TPR 20; IRR 61; ISR 43\n");
	/* KVM's to know, and it is not started by the library. */
	reject(&s, 0, "SIPI");
	fake_kvm_fail(s.x.fake, FAKE_OP_get_lapic, 1, EINVAL);
	reject(&s, 0, "KVM's APIC");
	smp_stop(&s);
}

static void test_deadline(void **state)
{
	uint64_t now;
	struct smp s;

	(void)state;
	smp_start(&s, 1);
	now = s.x.host->ops->clock_ns(s.x.host);
	reject(&s, 0, "timer");
	s.vp[0]->deadline = now + 5000;
	expect(&s, 0, ", timer in 5 us,");
	s.vp[0]->deadline = now - 7000;
	expect(&s, 0, ", timer 7 us late,");
	s.vp[0]->deadline = KVM_NEVER;
	reject(&s, 0, "timer");
	smp_stop(&s);
}

/* As snprintf(3). */
static void test_room(void **state)
{
	char whole[ROOM], cut[ROOM];
	struct smp s;
	int length;

	(void)state;
	smp_start(&s, 1);
	length = vsm_vcpu_text(s.vp[0], NULL, 0);
	assert_true(length > 0);
	assert_int_equal(vsm_vcpu_text(s.vp[0], whole, sizeof(whole)), length);
	for (int room = 1; room <= length; room++) {
		memset(cut, 'x', sizeof(cut));
		assert_int_equal(vsm_vcpu_text(s.vp[0], cut, (size_t)room), length);
		assert_int_equal(strlen(cut), room - 1);
		assert_memory_equal(cut, whole, (size_t)room - 1);
		assert_int_equal(cut[room], 'x');
	}
	smp_stop(&s);
}

static void *try(void *arg)
{
	struct smp *s = arg;
	char text[ROOM];

	s->result[0] = vsm_vcpu_text(s->vp[0], text, sizeof(text));
	return NULL;
}

static void test_errors(void **state)
{
	char text[ROOM];
	struct smp s;

	(void)state;
	smp_start(&s, 1);
	assert_int_equal(vsm_vcpu_text(NULL, text, sizeof(text)), -EINVAL);
	assert_int_equal(vsm_vcpu_text(s.vp[0], NULL, 1), -EINVAL);
	pthread_mutex_lock(&s.p->lock);
	assert_int_equal(pthread_create(&s.thread[0], NULL, try, &s), 0);
	pthread_join(s.thread[0], NULL);
	pthread_mutex_unlock(&s.p->lock);
	assert_int_equal(s.result[0], -ETIMEDOUT);
	smp_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outside),	    cmocka_unit_test(test_waits_for_sipi),
		cmocka_unit_test(test_running),	    cmocka_unit_test(test_halted),
		cmocka_unit_test(test_kernel_apic), cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_room),	    cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
