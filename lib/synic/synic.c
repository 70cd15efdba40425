/* SPDX-License-Identifier: MIT */
/*
 * The SynIC of a VTL: control registers and message delivery (TLFS inter-partition-communication.md).
 *
 * The message and event flag pages are overlay pages: the library writes its own memory, which no other VTL
 * of the guest can see or change.
 */
#include "synic/synic.h"

#include <errno.h>
#include <string.h>

#include "msr/synthetic.h"
#include "vcpu/vcpu.h"

#define SYNIC_VERSION	1

#define SCONTROL_ENABLE UINT64_C(1)
#define PAGE_ENABLE	UINT64_C(1)

/* HV_SYNIC_SINT: vector 7:0, masked 16, AutoEOI 17, polling 18. */
#define SINT_VECTOR	   UINT64_C(0xff)
#define SINT_MASKED	   (UINT64_C(1) << 16)
#define SINT_AUTO_EOI	   (UINT64_C(1) << 17)
#define SINT_POLLING	   (UINT64_C(1) << 18)
#define SINT_VECTOR_LOWEST 16

int synic_reset(struct memory *m, struct synic *s)
{
	int r = overlay_disable(m, s->message_page);

	if (!r)
		r = overlay_disable(m, s->event_page);
	if (r)
		return r;
	s->control = 0;
	s->simp = 0;
	s->siefp = 0;
	for (unsigned i = 0; i < SYNIC_SINTS; i++)
		s->sint[i] = SINT_MASKED;
	return 0;
}

int synic_msr_read(const struct synic *s, uint32_t index, uint64_t *value)
{
	if (index >= HV_MSR_SINT0 && index <= HV_MSR_SINT15) {
		*value = s->sint[index - HV_MSR_SINT0];
		return 0;
	}
	switch (index) {
	case HV_MSR_SCONTROL:
		*value = s->control;
		return 0;
	case HV_MSR_SVERSION:
		*value = SYNIC_VERSION;
		return 0;
	case HV_MSR_SIEFP:
		*value = s->siefp;
		return 0;
	case HV_MSR_SIMP:
		*value = s->simp;
		return 0;
	case HV_MSR_EOM:
		*value = 0;
		return 0;
	default:
		return -EINVAL;
	}
}

static int write_sint(struct synic *s, unsigned sint, uint64_t value)
{
	/* "An attempt to write a vector in the range 0 to 15 generates #GP", unless it is masked. */
	if (!(value & SINT_MASKED) && (value & SINT_VECTOR) < SINT_VECTOR_LOWEST)
		return -EINVAL;
	s->sint[sint] = value;
	return 0;
}

static int write_page(struct memory *m, struct overlay *page, uint64_t *msr, uint64_t value)
{
	int r = synthetic_move_overlay(m, page, value & PAGE_ENABLE, value >> VSM_PAGE_SHIFT);

	if (!r)
		*msr = value;
	return r;
}

int synic_msr_write(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value)
{
	struct memory *m = &vp->partition->memory;
	struct synic *s = &vp->vtls[vtl].synic;

	if (index >= HV_MSR_SINT0 && index <= HV_MSR_SINT15)
		return write_sint(s, index - HV_MSR_SINT0, value);
	switch (index) {
	case HV_MSR_SCONTROL:
		s->control = value;
		return 0;
	case HV_MSR_SIEFP:
		return write_page(m, s->event_page, &s->siefp, value);
	case HV_MSR_SIMP:
		return write_page(m, s->message_page, &s->simp, value);
	case HV_MSR_EOM:
		return 0; /* intercept messages are not queued: there is nothing to deliver */
	default:
		return -EINVAL;
	}
}

static void request_interrupt(struct vsm_vcpu *vp, unsigned vtl, uint64_t sint)
{
	if (sint & (SINT_MASKED | SINT_POLLING))
		return;
	lapic_accept(&vp->vtls[vtl].lapic, (uint8_t)(sint & SINT_VECTOR), sint & SINT_AUTO_EOI);
}

int synic_post(struct vsm_vcpu *vp, unsigned vtl, unsigned sint, const struct hv_message *message)
{
	struct synic *s = &vp->vtls[vtl].synic;
	struct hv_message *slot;

	if (!(s->control & SCONTROL_ENABLE) || !s->message_page->enabled)
		return -ENODEV;
	slot = (struct hv_message *)s->message_page->host + sint;
	if (__atomic_load_n(&slot->type, __ATOMIC_ACQUIRE) != HV_MESSAGE_NONE) {
		__atomic_fetch_or(&slot->flags, HV_MESSAGE_FLAG_PENDING, __ATOMIC_SEQ_CST);
		return -EBUSY;
	}
	/* The type says that the slot is full: it is written last. */
	memcpy((uint8_t *)slot + sizeof(slot->type), (const uint8_t *)message + sizeof(slot->type),
	       sizeof(*slot) - sizeof(slot->type));
	__atomic_store_n(&slot->type, message->type, __ATOMIC_RELEASE);
	request_interrupt(vp, vtl, s->sint[sint]);
	return 0;
}
