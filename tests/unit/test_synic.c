/* SPDX-License-Identifier: MIT */
/* The SynIC: register rules, message slots and queues, event flags, and what the VMM can post. */
#include "synic_fixture.h"

#define SINT 2

static struct hv_message numbered(uint32_t n)
{
	return (struct hv_message){.type = 0x100 + n, .payload_size = 4, .payload = {(uint8_t)n}};
}

static void test_register_rules(void **state)
{
	static const struct {
		uint32_t index;
		uint64_t value;
		int r;
		uint64_t after;
	} rows[] = {
		{HV_MSR_SINT0 + 1, 0x10, 0, 0x10},
		{HV_MSR_SINT0 + 1, 0xff, 0, 0xff},
		{HV_MSR_SINT0 + 1, 0x0f, -EINVAL, 0xff},
		{HV_MSR_SINT0 + 1, 0x2000f, -EINVAL, 0xff},
		{HV_MSR_SINT0 + 1, 0x40000, -EINVAL, 0xff}, /* polling wants a vector too */
		{HV_MSR_SINT0 + 1, 0x10000, 0, 0x10000},    /* masked: any, as the reset value */
		{HV_MSR_SINT0 + 1, 0x1000f, 0, 0x1000f},
		{HV_MSR_SINT0 + 1, 0x70030, 0, 0x70030},
		{HV_MSR_SINT0 + 1, UINT64_C(0xff00000000000030), 0, UINT64_C(0xff00000000000030)},
		{HV_MSR_SINT15, 0x31, 0, 0x31},
		{HV_MSR_SCONTROL, UINT64_C(0xf0), 0, 0xf0},
		{HV_MSR_SIMP, PAGE_SIMP | 0xffe, 0, PAGE_SIMP | 0xffe},
		{HV_MSR_SIEFP, UINT64_C(1) << 52 | 1, -EINVAL, PAGE_SIEF | 1},
		{HV_MSR_SVERSION, 1, -EINVAL, 1},
		{HV_MSR_EOM, UINT64_MAX, 0, 0},
	};
	struct guest g;

	(void)state;
	synic_start(&g);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(synthetic_write(g.vp, VTL, rows[i].index, rows[i].value),
				 rows[i].r);
		assert_int_equal(rd(&g, VTL, rows[i].index), rows[i].after);
	}
	assert_int_equal(rd(&g, 0, HV_MSR_SINT0 + 1), 0x10000);
	guest_stop(&g);
}

static void test_reset(void **state)
{
	const struct hv_message m = numbered(1);
	struct guest g;

	(void)state;
	synic_start(&g);
	wr(&g, VTL, HV_MSR_SINT0 + SINT, VECTOR);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(synic_queue_message(g.vp, VTL, SINT, &m), 0);
	synic_post_timer(g.vp, VTL, 0, SINT, 1);
	assert_int_equal(synic_reset(&g.p->memory, &g.vp->vtls[VTL].synic), 0);
	assert_int_equal(rd(&g, VTL, HV_MSR_SINT0 + SINT), 0x10000);
	assert_int_equal(rd(&g, VTL, HV_MSR_SIMP), 0);
	synic_on(&g, VTL);
	assert_int_equal(synic_slot(&g, SINT)->type, 0);
	guest_stop(&g);
}

/* A vector waits in the APIC or not, and ends by itself or not, as the SINT says. */
static void test_sint_modes(void **state)
{
	static const struct {
		uint64_t sint;
		int vector;
		bool in_service;
	} rows[] = {
		{VECTOR, VECTOR, true},	       {VECTOR | 0x20000, VECTOR, false},
		{VECTOR | 0x10000, -1, false}, {VECTOR | 0x40000, -1, false},
		{VECTOR | 0x50000, -1, false},
	};
	const struct hv_message m = numbered(1);
	struct guest g;

	(void)state;
	synic_start(&g);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct lapic *l = &g.vp->vtls[VTL].lapic;

		wr(&g, VTL, HV_MSR_SINT0 + SINT, rows[i].sint);
		assert_int_equal(synic_queue_message(g.vp, VTL, SINT, &m), 0);
		assert_int_equal(synic_slot(&g, SINT)->type, m.type);
		assert_int_equal(take_interrupt(&g, VTL), rows[i].vector);
		assert_int_equal(lapic_ppr(l) != 0, rows[i].in_service);
		lapic_eoi(l);
		synic_slot(&g, SINT)->type = 0;
	}
	guest_stop(&g);
}

/* Queued messages come one by one, in order, and say whether more wait. */
static void test_redelivery(void **state)
{
	static const uint32_t triggers[] = {HV_MSR_EOM, HV_MSR_EOI};
	struct guest g;

	(void)state;
	for (size_t how = 0; how < ARRAY_SIZE(triggers); how++) {
		synic_start(&g);
		wr(&g, VTL, HV_MSR_SINT0 + SINT, VECTOR);
		for (uint32_t n = 0; n < 3; n++) {
			const struct hv_message m = numbered(n);

			assert_int_equal(synic_queue_message(g.vp, VTL, SINT, &m), 0);
		}
		for (uint32_t n = 0; n < 3; n++) {
			struct hv_message *slot = synic_slot(&g, SINT);

			assert_int_equal(slot->type, 0x100 + n);
			assert_int_equal(slot->payload[0], n);
			assert_int_equal(slot->flags, n < 2 ? HV_MESSAGE_FLAG_PENDING : 0);
			assert_int_equal(take_interrupt(&g, VTL), VECTOR);
			/* While the slot is full nothing moves. */
			wr(&g, VTL, HV_MSR_EOM, 0);
			assert_int_equal(slot->type, 0x100 + n);
			slot->type = 0;
			lapic_eoi(&g.vp->vtls[VTL].lapic);
			wr(&g, VTL, triggers[how], 0);
		}
		assert_int_equal(synic_slot(&g, SINT)->type, 0);
		assert_int_equal(take_interrupt(&g, VTL), -1);
		guest_stop(&g);
	}
}

/* The third reason to look again: another message. Order is kept. */
static void test_new_message_moves_the_queue(void **state)
{
	const struct hv_message m[] = {numbered(0), numbered(1), numbered(2)};
	struct guest g;

	(void)state;
	synic_start(&g);
	assert_int_equal(synic_queue_message(g.vp, VTL, SINT, &m[0]), 0);
	assert_int_equal(synic_queue_message(g.vp, VTL, SINT, &m[1]), 0);
	synic_slot(&g, SINT)->type = 0;
	assert_int_equal(synic_queue_message(g.vp, VTL, SINT, &m[2]), 0);
	assert_int_equal(synic_slot(&g, SINT)->type, 0x101);
	assert_int_equal(synic_slot(&g, SINT)->flags, HV_MESSAGE_FLAG_PENDING);
	guest_stop(&g);
}

/* A SINT keeps 16 that wait; other SINTs, the other VTL and timers have room of their own. */
static void test_queue_bound(void **state)
{
	const struct hv_message m = numbered(7);
	struct guest g;

	(void)state;
	synic_start(&g);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < SYNIC_QUEUE + 1 - (round ? 1 : 0); i++)
			assert_int_equal(synic_queue_message(g.vp, VTL, SINT, &m), 0);
		assert_int_equal(synic_queue_message(g.vp, VTL, SINT, &m), -EAGAIN);
		assert_int_equal(synic_queue_message(g.vp, VTL, SINT + 1 + round, &m), 0);
		/* All but one are taken; the ring goes round. */
		for (unsigned i = 0; i < SYNIC_QUEUE; i++) {
			synic_slot(&g, SINT)->type = 0;
			wr(&g, VTL, HV_MSR_EOM, 0);
			assert_int_equal(synic_slot(&g, SINT)->type, m.type);
		}
	}
	for (unsigned i = 0; i < SYNIC_QUEUE; i++)
		assert_int_equal(synic_queue_message(g.vp, VTL, SINT, &m), 0);
	assert_int_equal(synic_queue_message(g.vp, VTL, SINT, &m), -EAGAIN);
	synic_post_timer(g.vp, VTL, 3, SINT, 5);
	synic_slot(&g, SINT)->type = 0;
	wr(&g, VTL, HV_MSR_EOM, 0);
	assert_int_equal(synic_slot(&g, SINT)->type, HV_MESSAGE_TIMER_EXPIRED);
	guest_stop(&g);
}

/* What waits while the message page is off comes when it is switched on. */
static void test_page_off(void **state)
{
	const struct hv_message m = numbered(1);
	struct guest g;

	(void)state;
	synic_start(&g);
	assert_int_equal(synic_queue_message(g.vp, VTL, SINT, &m), 0);
	assert_int_equal(synic_queue_message(g.vp, VTL, SINT, &m), 0);
	synic_slot(&g, SINT)->type = 0;
	wr(&g, VTL, HV_MSR_SIMP, PAGE_SIMP);
	assert_int_equal(synic_queue_message(g.vp, VTL, SINT, &m), -ENODEV);
	assert_int_equal(synic_post(g.vp, VTL, SINT, &m), -ENODEV);
	wr(&g, VTL, HV_MSR_EOM, 0);
	assert_int_equal(synic_slot(&g, SINT)->type, 0);
	wr(&g, VTL, HV_MSR_SIMP, PAGE_SIMP | 1);
	assert_int_equal(synic_slot(&g, SINT)->type, m.type);
	guest_stop(&g);
}

/* Intercepts go into a free slot or nowhere, and do not overtake what waits. */
static void test_intercepts_are_dropped(void **state)
{
	const struct hv_message m = numbered(1), i = {.type = HV_MESSAGE_GPA_INTERCEPT};
	struct guest g;

	(void)state;
	synic_start(&g);
	assert_int_equal(synic_queue_message(g.vp, VTL, 0, &m), 0);
	assert_int_equal(synic_queue_message(g.vp, VTL, 0, &m), 0);
	assert_int_equal(synic_post(g.vp, VTL, 0, &i), -EBUSY);
	synic_slot(&g, 0)->type = 0;
	assert_int_equal(synic_post(g.vp, VTL, 0, &i), -EBUSY);
	assert_int_equal(synic_slot(&g, 0)->type, m.type);
	synic_slot(&g, 0)->type = 0;
	assert_int_equal(synic_post(g.vp, VTL, 0, &i), 0);
	assert_int_equal(synic_slot(&g, 0)->type, i.type);
	guest_stop(&g);
}

/* --- event flags --- */

static void test_event_flags(void **state)
{
	struct guest g;
	uint8_t *page;

	(void)state;
	synic_start(&g);
	page = g.vp->vtls[VTL].synic.event_page->host;
	assert_int_equal(synic_signal(g.vp, VTL, SINT, 5), -ENODEV); /* masked */
	wr(&g, VTL, HV_MSR_SINT0 + SINT, VECTOR);
	assert_int_equal(synic_signal(g.vp, VTL, SINT, 2047), 0);
	assert_int_equal(page[SINT * 256 + 255], 0x80);
	assert_int_equal(take_interrupt(&g, VTL), VECTOR);
	lapic_eoi(&g.vp->vtls[VTL].lapic);
	/* Set already: no interrupt. Another flag: one. */
	assert_int_equal(synic_signal(g.vp, VTL, SINT, 2047), 0);
	assert_int_equal(take_interrupt(&g, VTL), -1);
	assert_int_equal(synic_signal(g.vp, VTL, SINT, 2046), 0);
	assert_int_equal(take_interrupt(&g, VTL), VECTOR);
	/* Polled: the flag, and no interrupt. */
	wr(&g, VTL, HV_MSR_SINT0 + 3, VECTOR | 0x40000);
	assert_int_equal(synic_signal(g.vp, VTL, 3, 0), 0);
	assert_int_equal(page[3 * 256], 1);
	assert_int_equal(take_interrupt(&g, VTL), -1);
	wr(&g, VTL, HV_MSR_SIEFP, 0);
	assert_int_equal(synic_signal(g.vp, VTL, SINT, 1), -ENODEV);
	wr(&g, VTL, HV_MSR_SIEFP, PAGE_SIEF | 1);
	wr(&g, VTL, HV_MSR_SCONTROL, 0);
	assert_int_equal(synic_signal(g.vp, VTL, SINT, 1), -ENODEV);
	guest_stop(&g);
}

/* --- the VMM's side --- */

static void test_api_errors(void **state)
{
	struct vsm_message m = {.size = sizeof(m), .type = 1}, wrong;
	struct guest g;

	(void)state;
	synic_start(&g);
	assert_int_equal(vsm_synic_post_message(NULL, VTL, SINT, &m), -EINVAL);
	assert_int_equal(vsm_synic_post_message(g.vp, VTL, SINT, NULL), -EINVAL);
	assert_int_equal(vsm_synic_post_message(g.vp, 2, SINT, &m), -EINVAL);
	assert_int_equal(vsm_synic_post_message(g.vp, VTL, 16, &m), -EINVAL);
	wrong = m;
	wrong.size = 4;
	assert_int_equal(vsm_synic_post_message(g.vp, VTL, SINT, &wrong), -EINVAL);
	wrong = m;
	wrong.type = 0;
	assert_int_equal(vsm_synic_post_message(g.vp, VTL, SINT, &wrong), -EINVAL);
	wrong = m;
	wrong.payload_size = 241;
	wrong.payload = &m;
	assert_int_equal(vsm_synic_post_message(g.vp, VTL, SINT, &wrong), -EINVAL);
	wrong.payload_size = 1;
	wrong.payload = NULL;
	assert_int_equal(vsm_synic_post_message(g.vp, VTL, SINT, &wrong), -EINVAL);
	assert_int_equal(vsm_synic_post_message(g.vp, 0, SINT, &m), -ENODEV);
	for (unsigned i = 0; i < SYNIC_QUEUE + 1; i++)
		assert_int_equal(vsm_synic_post_message(g.vp, VTL, SINT, &m), 0);
	assert_int_equal(vsm_synic_post_message(g.vp, VTL, SINT, &m), -EAGAIN);

	assert_int_equal(vsm_synic_set_event_flag(NULL, VTL, SINT, 0), -EINVAL);
	assert_int_equal(vsm_synic_set_event_flag(g.vp, 2, SINT, 0), -EINVAL);
	assert_int_equal(vsm_synic_set_event_flag(g.vp, VTL, 16, 0), -EINVAL);
	assert_int_equal(vsm_synic_set_event_flag(g.vp, VTL, SINT, 2048), -EINVAL);
	assert_int_equal(vsm_synic_set_event_flag(g.vp, VTL, SINT, 0), -ENODEV);

	assert_int_equal(vsm_synic_raise(NULL, VTL, SINT), -EINVAL);
	assert_int_equal(vsm_synic_raise(g.vp, 2, SINT), -EINVAL);
	assert_int_equal(vsm_synic_raise(g.vp, VTL, 16), -EINVAL);
	assert_int_equal(vsm_synic_raise(g.vp, 0, SINT), -ENODEV);
	guest_stop(&g);
}

static void test_api(void **state)
{
	const uint8_t payload[3] = {1, 2, 3};
	const struct vsm_message m = {.size = sizeof(m),
				      .type = 0x80000050,
				      .payload_size = sizeof(payload),
				      .origin = 77,
				      .payload = payload};
	struct hv_message *slot;
	struct guest g;

	(void)state;
	synic_start(&g);
	wr(&g, VTL, HV_MSR_SINT0 + SINT, VECTOR);
	assert_int_equal(vsm_synic_post_message(g.vp, VTL, SINT, &m), 0);
	slot = synic_slot(&g, SINT);
	assert_int_equal(slot->type, m.type);
	assert_int_equal(slot->payload_size, 3);
	assert_int_equal(slot->origin, 77);
	assert_memory_equal(slot->payload, payload, sizeof(payload));
	assert_int_equal(slot->payload[3], 0);
	assert_int_equal(take_interrupt(&g, VTL), VECTOR);
	lapic_eoi(&g.vp->vtls[VTL].lapic);
	assert_int_equal(vsm_synic_raise(g.vp, VTL, SINT), 0);
	assert_int_equal(take_interrupt(&g, VTL), VECTOR);
	lapic_eoi(&g.vp->vtls[VTL].lapic);
	assert_int_equal(vsm_synic_raise(g.vp, VTL, SINT + 1), 0); /* masked: lost */
	assert_int_equal(take_interrupt(&g, VTL), -1);
	assert_int_equal(vsm_synic_set_event_flag(g.vp, VTL, SINT, 9), 0);
	assert_int_equal(g.vp->vtls[VTL].synic.event_page->host[SINT * 256 + 1], 2);
	guest_stop(&g);
}

/* VTL0 with KVM's local APIC gets its interrupts as messages of a device. */
static void test_kernel_apic(void **state)
{
	struct vsm_partition_options o;
	struct kvm_msi msi = {0};
	uint64_t value;
	struct guest g;

	(void)state;
	fixture_start(&g.x, RAM_MIB);
	assert_int_equal(fake_kvm_create_irqchip(g.x.fake, g.x.vm_fd), 0);
	o = guest_options(&g);
	guest_start_with(&g, &o);
	synic_on(&g, 0);
	wr(&g, 0, HV_MSR_SINT0 + SINT, VECTOR);
	assert_int_equal(vsm_synic_raise(g.vp, 0, SINT), 0);
	assert_int_equal(fake_kvm_msis(g.x.fake, g.x.vm_fd, &msi), 1);
	assert_int_equal(msi.address_lo, 0xfee00000);
	assert_int_equal(msi.data, VECTOR);
	assert_int_equal(take_interrupt(&g, 0), -1);
	/* That it fails is only worth a line in the log. */
	fake_kvm_fail(g.x.fake, FAKE_OP_signal_msi, 1, EINVAL);
	assert_int_equal(vsm_synic_raise(g.vp, 0, SINT), 0);
	/* KVM's own synthetic MSRs are unknown to this host. */
	assert_int_equal(synthetic_read(g.vp, 0, HV_MSR_TPR, &value), -EINVAL);
	assert_int_equal(synthetic_write(g.vp, 0, HV_MSR_TPR, 0), -EINVAL);
	fake_kvm_add_msr(g.x.fake, HV_MSR_EOI, 0);
	guest_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_register_rules),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_sint_modes),
		cmocka_unit_test(test_redelivery),
		cmocka_unit_test(test_new_message_moves_the_queue),
		cmocka_unit_test(test_queue_bound),
		cmocka_unit_test(test_page_off),
		cmocka_unit_test(test_intercepts_are_dropped),
		cmocka_unit_test(test_event_flags),
		cmocka_unit_test(test_api_errors),
		cmocka_unit_test(test_api),
		cmocka_unit_test(test_kernel_apic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
