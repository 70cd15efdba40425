/* SPDX-License-Identifier: MIT */
/*
 * What a SynIC delivers: messages into slots, event flags, interrupts.
 *
 * A target in the guest may empty a slot while it is looked at. It empties first and then looks at
 * the pending flag; here the flag is set first and then the slot is looked at again: one of the two
 * finds the other.
 */
#include <errno.h>
#include <string.h>

#include "apic/kernel_apic.h"
#include "msr/ref_tsc.h"
#include "partition/hold.h"
#include "synic/synic.h"
#include "vcpu/vcpu.h"

/* HV_TIMER_MESSAGE_PAYLOAD */
struct timer_payload {
	uint32_t timer, reserved;
	uint64_t expiration, delivery;
};
_Static_assert(sizeof(struct timer_payload) == 24, "TLFS hv_timer_message_payload");

bool synic_enabled(const struct synic *s)
{
	return s->control & SYNIC_CONTROL_ENABLE;
}

/* --- interrupts --- */

/*
 * KVM's APIC: as a device's message, physical destination, fixed, edge. KVM wakes the vCPU itself.
 */
static void signal_kernel_apic(struct vsm_vcpu *vp, uint8_t vector, bool auto_eoi)
{
	const struct lapic_ipi message = {.vector = vector, .dest = vp->apic_id};
	int r = auto_eoi ? kernel_apic_signal_auto_eoi(vp, vector)
			 : kernel_apic_signal(vp->partition, &message);

	if (r < 0)
		partition_log(vp->partition, VSM_LOG_WARNING,
			      "VP %u: KVM refuses interrupt %#x for VTL0: %s", vp->index, vector,
			      strerrorname_np(-r));
}

void synic_interrupt(struct vsm_vcpu *vp, unsigned vtl, uint8_t vector, bool auto_eoi)
{
	if (vtl == 0 && vp->partition->kernel_irqchip)
		signal_kernel_apic(vp, vector, auto_eoi);
	else if (lapic_accept(&vp->vtls[vtl].lapic, vector, auto_eoi))
		partition_wake_vp(vp);
}

void synic_raise(struct vsm_vcpu *vp, unsigned vtl, unsigned sint)
{
	uint64_t value = vp->vtls[vtl].synic.sint[sint];

	if (!(value & (SINT_MASKED | SINT_POLLING)))
		synic_interrupt(vp, vtl, (uint8_t)(value & SINT_VECTOR), value & SINT_AUTO_EOI);
}

/* --- messages --- */

static struct hv_message *slot_of(const struct synic *s, unsigned sint)
{
	if (!synic_enabled(s) || !s->message_page->enabled)
		return NULL;
	return (struct hv_message *)s->message_page->host + sint;
}

/* If so, the guest is told to write EOM once it has emptied the slot. */
static bool is_taken(struct hv_message *slot)
{
	if (__atomic_load_n(&slot->type, __ATOMIC_SEQ_CST) == HV_MESSAGE_NONE)
		return false;
	__atomic_fetch_or(&slot->flags, HV_MESSAGE_FLAG_PENDING, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&slot->type, __ATOMIC_SEQ_CST) != HV_MESSAGE_NONE;
}

/* The type says that the slot is full: it is written last. */
static void fill(struct hv_message *slot, const struct hv_message *message)
{
	memcpy((uint8_t *)slot + sizeof(slot->type), (const uint8_t *)message + sizeof(slot->type),
	       sizeof(*slot) - sizeof(slot->type));
	__atomic_store_n(&slot->type, message->type, __ATOMIC_SEQ_CST);
}

static int waiting_timer(const struct synic *s, unsigned sint)
{
	for (int i = 0; i < SYNIC_TIMERS; i++)
		if (s->timers[i].waiting && s->timers[i].sint == sint)
			return i;
	return -1;
}

static bool waits(const struct synic *s, unsigned sint)
{
	return s->queues[sint].count || waiting_timer(s, sint) >= 0;
}

static void timer_message(struct vsm_vcpu *vp, unsigned vtl, unsigned timer,
			  struct hv_message *message)
{
	struct timer_payload payload = {
		.timer = timer,
		.expiration = vp->vtls[vtl].synic.timers[timer].expiration,
	};

	/* Without the time of delivery, that of the expiration is the best there is. */
	if (ref_tsc_now(vp, vtl, &payload.delivery))
		payload.delivery = payload.expiration;
	*message = (struct hv_message){.type = HV_MESSAGE_TIMER_EXPIRED,
				       .payload_size = sizeof(payload)};
	memcpy(message->payload, &payload, sizeof(payload));
}

static void take_queued(struct synic_queue *q, struct hv_message *message)
{
	*message = q->ring[q->head];
	q->head = (uint8_t)((q->head + 1) % SYNIC_QUEUE);
	q->count--;
}

/* The timers first: there are few, and their time is now. */
static void take(struct vsm_vcpu *vp, unsigned vtl, unsigned sint, struct hv_message *message)
{
	struct synic *s = &vp->vtls[vtl].synic;
	int timer = waiting_timer(s, sint);

	if (timer < 0) {
		take_queued(&s->queues[sint], message);
		return;
	}
	timer_message(vp, vtl, (unsigned)timer, message);
	s->timers[timer].waiting = false;
}

/* Moves a message that waits into the slot, if that is free. */
static void deliver(struct vsm_vcpu *vp, unsigned vtl, unsigned sint)
{
	struct synic *s = &vp->vtls[vtl].synic;
	struct hv_message *slot = slot_of(s, sint), message;

	if (!slot || !waits(s, sint) || is_taken(slot))
		return;
	take(vp, vtl, sint, &message);
	if (waits(s, sint))
		message.flags |= HV_MESSAGE_FLAG_PENDING;
	fill(slot, &message);
	vp->stats.messages++;
	synic_raise(vp, vtl, sint);
}

void synic_flush(struct vsm_vcpu *vp, unsigned vtl)
{
	for (unsigned sint = 0; sint < SYNIC_SINTS; sint++)
		deliver(vp, vtl, sint);
}

int synic_post(struct vsm_vcpu *vp, unsigned vtl, unsigned sint, const struct hv_message *message)
{
	struct synic *s = &vp->vtls[vtl].synic;
	struct hv_message *slot = slot_of(s, sint);

	if (!slot)
		return -ENODEV;
	deliver(vp, vtl, sint);
	if (is_taken(slot))
		return -EBUSY;
	fill(slot, message);
	synic_raise(vp, vtl, sint);
	return 0;
}

int synic_queue_message(struct vsm_vcpu *vp, unsigned vtl, unsigned sint,
			const struct hv_message *message)
{
	struct synic *s = &vp->vtls[vtl].synic;
	struct synic_queue *q = &s->queues[sint];

	if (!slot_of(s, sint))
		return -ENODEV;
	/* "Another message buffer is queued" is a reason to try those that wait. */
	deliver(vp, vtl, sint);
	if (q->count == SYNIC_QUEUE)
		return -EAGAIN;
	q->ring[(q->head + q->count++) % SYNIC_QUEUE] = *message;
	deliver(vp, vtl, sint);
	return 0;
}

void synic_post_timer(struct vsm_vcpu *vp, unsigned vtl, unsigned timer, unsigned sint,
		      uint64_t expiration)
{
	struct synic_timer_message *t = &vp->vtls[vtl].synic.timers[timer];

	if (!t->waiting)
		*t = (struct synic_timer_message){
			.waiting = true, .sint = (uint8_t)sint, .expiration = expiration};
	deliver(vp, vtl, t->sint);
}

void synic_cancel_timer(struct vsm_vcpu *vp, unsigned vtl, unsigned timer)
{
	vp->vtls[vtl].synic.timers[timer].waiting = false;
}

/* --- event flags --- */

int synic_signal(struct vsm_vcpu *vp, unsigned vtl, unsigned sint, unsigned flag)
{
	struct synic *s = &vp->vtls[vtl].synic;
	uint8_t *byte, bit = (uint8_t)(1u << flag % 8);

	if (!synic_enabled(s) || !s->event_page->enabled)
		return -ENODEV;
	/* "If the SINTx is masked, HvSignalEvent returns HV_STATUS_INVALID_SYNIC_STATE." */
	if ((s->sint[sint] & (SINT_MASKED | SINT_POLLING)) == SINT_MASKED)
		return -ENODEV;
	byte = s->event_page->host + sint * (SYNIC_EVENT_FLAGS / 8) + flag / 8;
	if (!(__atomic_fetch_or(byte, bit, __ATOMIC_SEQ_CST) & bit))
		synic_raise(vp, vtl, sint);
	return 0;
}
