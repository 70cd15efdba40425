/* SPDX-License-Identifier: MIT */
/* Interrupt messages of the VMM's devices: layout, destinations, both kinds of local APIC. */
#include "smp_fixture.h"

#include "vsm/interrupt.h"

#define ADDRESS UINT64_C(0xfee00000)
#define TO(id)	(ADDRESS | (uint64_t)(id) << 12)
#define LOGICAL UINT64_C(4)
#define HINT	UINT64_C(8)
#define VECTOR	0x51
#define LOWEST	0x100
#define NMI	0x400

static bool waits(const struct smp *s, unsigned vp, unsigned vtl)
{
	return s->vp[vp]->vtls[vtl].lapic.irr[VECTOR / 32] >> VECTOR % 32 & 1;
}

static void expect_waits(const struct smp *s, bool first, bool second)
{
	assert_int_equal(waits(s, 0, 0), first);
	assert_int_equal(waits(s, 1, 0), second);
}

static void test_physical_destination(void **state)
{
	struct smp s;

	(void)state;
	smp_start(&s, 2);
	assert_int_equal(vsm_partition_signal_msi(s.p, 0, TO(1), VECTOR), 0);
	expect_waits(&s, false, true);
	assert_int_equal(vsm_partition_signal_msi(s.p, 0, TO(7), VECTOR), 0);
	expect_waits(&s, false, true);
	smp_stop(&s);
}

static void test_broadcast(void **state)
{
	struct smp s;

	(void)state;
	smp_start(&s, 2);
	assert_int_equal(vsm_partition_signal_msi(s.p, 0, TO(0xff), VECTOR), 0);
	expect_waits(&s, true, true);
	smp_stop(&s);
}

/* Bits 63:40 are the id's bits 31:8: this is for APIC 0x1ff and not for everybody. */
static void test_wide_destination(void **state)
{
	struct smp s;

	(void)state;
	smp_start(&s, 2);
	s.vp[1]->vtls[0].lapic.id = 0x1ff;
	assert_int_equal(vsm_partition_signal_msi(s.p, 0, TO(0xff) | UINT64_C(1) << 40, VECTOR), 0);
	expect_waits(&s, false, true);
	smp_stop(&s);
}

static void test_logical_destination(void **state)
{
	struct smp s;

	(void)state;
	smp_start(&s, 2);
	for (unsigned i = 0; i < 2; i++)
		s.vp[i]->vtls[0].lapic.ldr = UINT32_C(1) << (24 + i);
	assert_int_equal(vsm_partition_signal_msi(s.p, 0, TO(2) | LOGICAL, VECTOR), 0);
	expect_waits(&s, false, true);
	s.vp[1]->vtls[0].lapic.irr[VECTOR / 32] = 0;
	assert_int_equal(vsm_partition_signal_msi(s.p, 0, TO(3) | LOGICAL, VECTOR), 0);
	expect_waits(&s, true, true);
	smp_stop(&s);
}

static void test_one_of_several(void **state)
{
	static const struct {
		uint64_t address;
		uint32_t data;
	} ways[] = {{TO(3) | LOGICAL, VECTOR | LOWEST}, {TO(3) | LOGICAL | HINT, VECTOR}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct smp s;

		smp_start(&s, 2);
		for (unsigned v = 0; v < 2; v++)
			s.vp[v]->vtls[0].lapic.ldr = UINT32_C(1) << (24 + v);
		s.vp[0]->vtls[0].lapic.tpr = 0x20;
		assert_int_equal(vsm_partition_signal_msi(s.p, 0, ways[i].address, ways[i].data),
				 0);
		expect_waits(&s, false, true);
		smp_stop(&s);
	}
}

/* Each VTL's APICs are its own. */
static void test_vtl(void **state)
{
	struct smp s;

	(void)state;
	smp_start(&s, 1);
	smp_enable_vtl1(&s, 0);
	s.vp[0]->vtls[1].lapic.spiv = 0x1ff;
	assert_int_equal(vsm_partition_signal_msi(s.p, 1, TO(0), VECTOR), 0);
	assert_false(waits(&s, 0, 0));
	assert_true(waits(&s, 0, 1));
	smp_stop(&s);
}

static void test_nmi(void **state)
{
	struct smp s;

	(void)state;
	smp_start(&s, 2);
	assert_int_equal(vsm_partition_signal_msi(s.p, 0, TO(1), NMI), 0);
	assert_int_equal(s.vp[0]->vtls[0].lapic.events, 0);
	assert_int_equal(s.vp[1]->vtls[0].lapic.events, LAPIC_EVENT_NMI);
	smp_stop(&s);
}

static void test_ends_halt(void **state)
{
	struct smp s;

	(void)state;
	smp_start(&s, 1);
	smp_interrupts_on(&s, 0, 0);
	SMP_SCRIPT(&s, 0, 0, HALT, VMM_OUT);
	smp_run(&s, 0);
	smp_wait_asleep(&s, 1);
	assert_int_equal(vsm_partition_signal_msi(s.p, 0, TO(0), VECTOR), 0);
	smp_expect_vmm(&s, 0, 0);
	smp_stop(&s);
}

static void test_refused(void **state)
{
	struct smp s;

	(void)state;
	smp_start(&s, 1);
	assert_int_equal(vsm_partition_signal_msi(NULL, 0, TO(0), VECTOR), -EINVAL);
	assert_int_equal(vsm_partition_signal_msi(s.p, 2, TO(0), VECTOR), -EINVAL);
	assert_int_equal(vsm_partition_signal_msi(s.p, 0, 0xfec00000, VECTOR), -EINVAL);
	assert_int_equal(vsm_partition_signal_msi(s.p, 0, TO(0), VECTOR | 0x8000), -EINVAL);
	assert_false(waits(&s, 0, 0));
	smp_stop(&s);
}

static void start_kernel_apic(struct smp *s)
{
	struct vsm_partition_options o = {.size = sizeof(o), .max_vps = 1, .kick_signal = SIGUSR1};
	const struct vsm_vcpu_options v = {.size = sizeof(v)};

	memset(s, 0, sizeof(*s));
	fixture_start(&s->x, RAM_MIB);
	assert_int_equal(fake_kvm_create_irqchip(s->x.fake, s->x.vm_fd), 0);
	o.kvm_fd = s->x.dev_fd;
	o.vm_fd = s->x.vm_fd;
	assert_int_equal(partition_create_on(s->x.host, &o, &s->p), 0);
	assert_int_equal(vsm_vcpu_create(s->p, &v, &s->vp[0]), 0);
}

/* KVM's APIC gets the message as it is; VTL1's is the library's as ever. */
static void test_kernel_apic(void **state)
{
	struct kvm_msi last;
	struct smp s;

	(void)state;
	start_kernel_apic(&s);
	assert_int_equal(vsm_partition_signal_msi(s.p, 0, TO(3) | UINT64_C(1) << 40, VECTOR), 0);
	assert_int_equal(fake_kvm_msis(s.x.fake, s.x.vm_fd, &last), 1);
	assert_int_equal(last.address_lo, TO(3));
	assert_int_equal(last.address_hi, 0x100);
	assert_int_equal(last.data, VECTOR);
	assert_int_equal(vsm_partition_signal_msi(s.p, 1, TO(0), VECTOR), 0);
	assert_int_equal(fake_kvm_msis(s.x.fake, s.x.vm_fd, NULL), 1);
	fake_kvm_fail(s.x.fake, FAKE_OP_signal_msi, 1, EIO);
	assert_int_equal(vsm_partition_signal_msi(s.p, 0, TO(0), VECTOR), -EIO);
	smp_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_physical_destination),
		cmocka_unit_test(test_broadcast),
		cmocka_unit_test(test_wide_destination),
		cmocka_unit_test(test_logical_destination),
		cmocka_unit_test(test_one_of_several),
		cmocka_unit_test(test_vtl),
		cmocka_unit_test(test_nmi),
		cmocka_unit_test(test_ends_halt),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_kernel_apic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
