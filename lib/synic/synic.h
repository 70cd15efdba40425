/* SPDX-License-Identifier: MIT */
/*
 * The synthetic interrupt controller of one VTL of one VP: SINTs, message page, event flags page.
 */
#ifndef VSM_LIB_SYNIC_SYNIC_H
#define VSM_LIB_SYNIC_SYNIC_H

#include "hv/message.h"
#include "memory/memory.h"

struct vsm_vcpu;

#define SYNIC_SINTS	  16
#define SYNIC_QUEUE	  16 /* TLFS: a port has sixteen message buffers */
#define SYNIC_TIMERS	  4
#define SYNIC_EVENT_FLAGS 2048

/* Messages of one SINT that found its slot taken. */
struct synic_queue {
	uint8_t head, count;
	struct hv_message ring[SYNIC_QUEUE];
};

/* A synthetic timer's own message buffer. */
struct synic_timer_message {
	bool waiting;
	uint8_t sint;
	uint64_t expiration; /* reference time */
};

struct synic {
	uint64_t control; /* SCONTROL */
	uint64_t siefp, simp;
	uint64_t sint[SYNIC_SINTS];
	struct overlay *message_page, *event_page;
	struct synic_queue *queues; /* SYNIC_SINTS of them */
	struct synic_timer_message timers[SYNIC_TIMERS];
};

/*
 * Makes everything a VTL's SynIC will ever need, in the reset state; *s is zeroed. -ENOMEM: give
 * what there is to synic_destroy(), which allows for anything left NULL.
 */
int synic_create(struct memory *m, unsigned vtl, struct synic *s);
void synic_destroy(struct memory *m, struct synic *s);

/* Reset values, and nothing waits; the overlay pages stay reserved, are cleared and hidden. */
int synic_reset(struct memory *m, struct synic *s);

/* -EINVAL: #GP. */
int synic_msr_read(const struct synic *s, uint32_t index, uint64_t *value);
int synic_msr_write(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value);

/* --- deliver.c --- */

/*
 * Puts a message in the SINT's slot and requests its interrupt, now or never: for intercepts, whose
 * instruction comes again. -EBUSY: the slot holds one (its pending flag is set, so that the guest
 * writes EOM), or others wait; -ENODEV: the SynIC or its message page is off.
 */
int synic_post(struct vsm_vcpu *vp, unsigned vtl, unsigned sint, const struct hv_message *message);

/* The same, but a message that finds its slot taken waits. -EAGAIN: too many do. */
int synic_queue_message(struct vsm_vcpu *vp, unsigned vtl, unsigned sint,
			const struct hv_message *message);

/*
 * A timer's expiration message; waits in the timer's own buffer until it can be delivered. If one
 * waits there already, that is the one the guest gets.
 */
void synic_post_timer(struct vsm_vcpu *vp, unsigned vtl, unsigned timer, unsigned sint,
		      uint64_t expiration);
void synic_cancel_timer(struct vsm_vcpu *vp, unsigned vtl, unsigned timer);

/* Delivers what waits and can be delivered: EOM, an EOI, a page that was switched on. */
void synic_flush(struct vsm_vcpu *vp, unsigned vtl);

/* Sets an event flag. -ENODEV: the SynIC or its event flags page is off, or the SINT masked. */
int synic_signal(struct vsm_vcpu *vp, unsigned vtl, unsigned sint, unsigned flag);

/* Requests the SINT's interrupt, if it is neither masked nor polled. */
void synic_raise(struct vsm_vcpu *vp, unsigned vtl, unsigned sint);

/*
 * An edge-triggered interrupt for one VTL's local APIC, the library's or KVM's. A VP in the guest
 * comes out for it if it has to. With KVM's APIC auto_eoi is KVM's (kernel_apic.h).
 */
void synic_interrupt(struct vsm_vcpu *vp, unsigned vtl, uint8_t vector, bool auto_eoi);

/* The SynIC takes messages. */
bool synic_enabled(const struct synic *s);

/* Register bits that the parts of this folder share. */
#define SYNIC_CONTROL_ENABLE UINT64_C(1)
#define SYNIC_PAGE_ENABLE    UINT64_C(1)

/* HV_SYNIC_SINT: vector 7:0, masked 16, AutoEOI 17, polling 18. */
#define SINT_VECTOR   UINT64_C(0xff)
#define SINT_MASKED   (UINT64_C(1) << 16)
#define SINT_AUTO_EOI (UINT64_C(1) << 17)
#define SINT_POLLING  (UINT64_C(1) << 18)

#endif
