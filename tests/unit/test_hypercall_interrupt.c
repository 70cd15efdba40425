/* SPDX-License-Identifier: MIT */
/* HvCallAssertVirtualInterrupt: who may, what reaches which APIC, and KVM's. */
#include "hypercall_fixture.h"

#include "vcpu/interrupt.h"

#define VECTOR	  0x51
#define APIC_ID	  8 /* of the first VP; the second's is one more */
#define LOGICAL_2 0x2

typedef struct hv_assert_virtual_interrupt input_t;

static void start(struct hc *h)
{
	hc_start(h);
	h->p->enabled_vtls |= 2;
	for (unsigned i = 0; i < HC_VPS; i++) {
		struct lapic *l = &h->vp[i]->vtls[0].lapic;

		l->spiv = 0x1ff;
		l->ldr = UINT32_C(1) << (24 + i);
		h->vp[i]->vtls[1].lapic.ldr = l->ldr;
	}
	h->vp[1]->enabled_vtls |= 2;
}

static unsigned call(struct hc *h, const input_t *in)
{
	return hc_slow(h, 0, HV_CALL_ASSERT_VIRTUAL_INTERRUPT, 0, in, sizeof(*in), NULL, 0);
}

static input_t to(unsigned vtl, uint64_t destination)
{
	return (input_t){.partition_id = HC_SELF,
			 .destination = destination,
			 .vector = VECTOR,
			 .target_vtl = (uint8_t)vtl};
}

/* Which VPs have the vector waiting in that VTL; forgets it. */
static unsigned waiting(struct hc *h, unsigned vtl)
{
	unsigned set = 0;

	for (unsigned i = 0; i < HC_VPS; i++) {
		struct lapic *l = &h->vp[i]->vtls[vtl].lapic;

		set |= (l->irr[VECTOR / 32] >> VECTOR % 32 & 1) << i;
		memset(l->irr, 0, sizeof(l->irr));
	}
	return set;
}

/* The same for events besides vectors. */
static unsigned events(struct hc *h, unsigned vtl, unsigned event)
{
	unsigned set = 0;

	for (unsigned i = 0; i < HC_VPS; i++) {
		set |= (unsigned)(h->vp[i]->vtls[vtl].lapic.events == event) << i;
		h->vp[i]->vtls[vtl].lapic.events = 0;
	}
	return set;
}

static void what_is_refused(void **state)
{
	static const struct {
		input_t in;
		enum hv_status status;
	} rows[] = {
		{{.partition_id = 1, .vector = VECTOR}, HV_INVALID_PARTITION_ID},
		{{.vector = 0x0f}, HV_INVALID_PARAMETER},
		{{.vector = 0x100}, HV_INVALID_PARAMETER},
		{{.vector = 0x0f, .control = LAPIC_LOWEST}, HV_INVALID_PARAMETER},
		{{.vector = VECTOR, .destination = UINT64_C(1) << 32}, HV_INVALID_PARAMETER},
		{{.vector = VECTOR, .reserved = {0, 0, 1}}, HV_INVALID_PARAMETER},
		{{.vector = VECTOR, .control = UINT64_C(1) << 34}, HV_INVALID_PARAMETER},
		{{.vector = VECTOR, .control = UINT64_C(1) << 63}, HV_INVALID_PARAMETER},
		{{.vector = VECTOR, .control = 10}, HV_INVALID_PARAMETER},
		{{.vector = VECTOR, .control = UINT32_MAX}, HV_INVALID_PARAMETER},
		{{.vector = VECTOR, .target_vtl = 3}, HV_INVALID_PARAMETER},
		{{.vector = VECTOR, .target_vtl = 0x10}, HV_INVALID_PARAMETER},
		{{.vector = VECTOR, .target_vtl = 2}, HV_ACCESS_DENIED},
		{{.vector = VECTOR, .control = LAPIC_SMI}, HV_OPERATION_DENIED},
		{{.vector = VECTOR, .control = 3}, HV_OPERATION_DENIED},
		{{.vector = VECTOR, .control = LAPIC_INIT}, HV_OPERATION_DENIED},
		{{.vector = VECTOR, .control = LAPIC_STARTUP}, HV_OPERATION_DENIED},
		{{.vector = VECTOR, .control = LAPIC_EXTINT}, HV_OPERATION_DENIED},
	};
	struct hc h;

	(void)state;
	start(&h);
	hc_enter(&h, 0, 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		input_t in = rows[i].in;

		in.partition_id = in.partition_id ? in.partition_id : HC_SELF;
		in.destination |= LAPIC_BROADCAST;
		assert_int_equal(call(&h, &in), rows[i].status);
		for (unsigned vtl = 0; vtl < 3; vtl++) {
			assert_int_equal(waiting(&h, vtl), 0);
			assert_int_equal(events(&h, vtl, 0), 3);
		}
	}
	hc_stop(&h);
}

/* A higher VTL interrupts a lower one, and itself; a lower one only itself. */
static void between_vtls(void **state)
{
	input_t in;
	struct hc h;

	(void)state;
	start(&h);
	in = to(0, LAPIC_BROADCAST);
	assert_int_equal(call(&h, &in), HV_SUCCESS);
	assert_int_equal(waiting(&h, 0), 3);
	in = to(1, LAPIC_BROADCAST);
	assert_int_equal(call(&h, &in), HV_ACCESS_DENIED);
	hc_enter(&h, 0, 1);
	in = to(0, APIC_ID + 1);
	assert_int_equal(call(&h, &in), HV_SUCCESS);
	assert_int_equal(waiting(&h, 0), 2);
	assert_int_equal(waiting(&h, 1), 0);
	in = to(1, APIC_ID);
	assert_int_equal(call(&h, &in), HV_SUCCESS);
	assert_int_equal(waiting(&h, 0), 0);
	assert_int_equal(waiting(&h, 1), 1);
	/* The second VP does not have the VTL any more. */
	h.vp[1]->enabled_vtls = 1;
	in = to(1, LAPIC_BROADCAST);
	assert_int_equal(call(&h, &in), HV_SUCCESS);
	assert_int_equal(waiting(&h, 1), 1);
	hc_stop(&h);
}

static void destinations(void **state)
{
	input_t in = to(0, APIC_ID);
	struct hc h;

	(void)state;
	start(&h);
	assert_int_equal(call(&h, &in), HV_SUCCESS);
	assert_int_equal(waiting(&h, 0), 1);
	in.destination = 77;
	assert_int_equal(call(&h, &in), HV_SUCCESS);
	assert_int_equal(waiting(&h, 0), 0);
	in.control = HV_INTERRUPT_CONTROL_LOGICAL;
	in.destination = LOGICAL_2;
	assert_int_equal(call(&h, &in), HV_SUCCESS);
	assert_int_equal(waiting(&h, 0), 2);
	in.control |= LAPIC_LOWEST;
	in.destination = 3;
	h.vp[0]->vtls[0].lapic.tpr = 0xf0;
	assert_int_equal(call(&h, &in), HV_SUCCESS);
	assert_int_equal(waiting(&h, 0), 2);
	/* In registers, of which the vector comes in an XMM. */
	hc_put_xmm(&h, 0, 0, &(uint64_t[]){3, VECTOR}, 16);
	assert_int_equal(hc_call(&h, 0, hc_control(HV_CALL_ASSERT_VIRTUAL_INTERRUPT, true, 0, 0),
				 HC_SELF, HV_INTERRUPT_CONTROL_LOGICAL),
			 HV_SUCCESS);
	assert_int_equal(waiting(&h, 0), 3);
	hc_stop(&h);
}

static void trigger_modes(void **state)
{
	input_t in = to(0, APIC_ID);
	struct lapic *l;
	struct hc h;

	(void)state;
	start(&h);
	l = &h.vp[0]->vtls[0].lapic;
	in.control = HV_INTERRUPT_CONTROL_LEVEL;
	assert_int_equal(call(&h, &in), HV_SUCCESS);
	assert_true(l->tmr[VECTOR / 32] >> VECTOR % 32 & 1);
	in.control = 0;
	assert_int_equal(call(&h, &in), HV_SUCCESS);
	assert_false(l->tmr[VECTOR / 32] >> VECTOR % 32 & 1);
	hc_stop(&h);
}

/* An NMI has no vector; a pin does what its entry says, if it may. */
static void events_and_pins(void **state)
{
	input_t in = to(0, APIC_ID + 1);
	struct lapic *l;
	struct hc h;

	(void)state;
	start(&h);
	l = &h.vp[1]->vtls[0].lapic;
	in.vector = 0;
	in.control = LAPIC_NMI;
	assert_int_equal(call(&h, &in), HV_SUCCESS);
	assert_int_equal(events(&h, 0, LAPIC_EVENT_NMI), 2);
	in.control = HV_INTERRUPT_TYPE_LINT0;
	assert_int_equal(call(&h, &in), HV_SUCCESS);
	assert_int_equal(waiting(&h, 0), 0); /* masked */
	l->lvt[LAPIC_LVT_LINT0] = VECTOR;
	assert_int_equal(call(&h, &in), HV_SUCCESS);
	assert_int_equal(waiting(&h, 0), 2);
	in.control = HV_INTERRUPT_TYPE_LINT1;
	l->lvt[LAPIC_LVT_LINT1] = LAPIC_NMI << 8;
	assert_int_equal(call(&h, &in), HV_SUCCESS);
	assert_int_equal(events(&h, 0, LAPIC_EVENT_NMI), 2);
	/* VTL0 cannot reset a VP that has a higher VTL by way of its own pin. */
	l->lvt[LAPIC_LVT_LINT1] = LAPIC_INIT << 8;
	assert_int_equal(call(&h, &in), HV_SUCCESS);
	assert_int_equal(events(&h, 0, 0), 3);
	h.vp[1]->enabled_vtls = 1;
	assert_int_equal(call(&h, &in), HV_SUCCESS);
	assert_int_equal(events(&h, 0, LAPIC_EVENT_INIT), 2);
	hc_stop(&h);
}

static void kernel_apic(void **state)
{
	input_t in = to(0, 0x1fe);
	struct kvm_msi msi = {0};
	struct hc h;

	(void)state;
	hc_start_with(&h, &(struct vsm_partition_options){.max_vtl = 2, .flags = HC_KERNEL_APIC});
	in.control = LAPIC_NMI | HV_INTERRUPT_CONTROL_LOGICAL | HV_INTERRUPT_CONTROL_LEVEL;
	assert_int_equal(call(&h, &in), HV_SUCCESS);
	assert_int_equal(fake_kvm_msis(h.x.fake, h.x.vm_fd, &msi), 1);
	assert_int_equal(msi.address_lo, 0xfeefe004);
	assert_int_equal(msi.address_hi, 0x100);
	assert_int_equal(msi.data, 0xc400);
	in.control = LAPIC_LOWEST;
	assert_int_equal(call(&h, &in), HV_SUCCESS);
	fake_kvm_msis(h.x.fake, h.x.vm_fd, &msi);
	assert_int_equal(msi.address_lo, 0xfeefe000);
	assert_int_equal(msi.data, 0x100 | VECTOR);
	/* Nobody there; and a failure. */
	fake_kvm_fail(h.x.fake, FAKE_OP_signal_msi, 1, EPERM);
	assert_int_equal(call(&h, &in), HV_SUCCESS);
	fake_kvm_fail(h.x.fake, FAKE_OP_signal_msi, 1, EINVAL);
	assert_int_equal(call(&h, &in), HV_INVALID_VP_STATE);
	in.control = HV_INTERRUPT_TYPE_LINT0;
	assert_int_equal(call(&h, &in), HV_OPERATION_DENIED);
	/* VTL1's is the library's. */
	hc_enter(&h, 0, 1);
	in = to(1, APIC_ID);
	in.control = LAPIC_NMI;
	assert_int_equal(call(&h, &in), HV_SUCCESS);
	assert_int_equal(events(&h, 1, LAPIC_EVENT_NMI), 1);
	hc_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_refused), cmocka_unit_test(between_vtls),
		cmocka_unit_test(destinations),	   cmocka_unit_test(trigger_modes),
		cmocka_unit_test(events_and_pins), cmocka_unit_test(kernel_apic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
