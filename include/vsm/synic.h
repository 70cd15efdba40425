/* SPDX-License-Identifier: MIT */
/* The SynIC seen from the VMM: messages and events to the guest, and ports for those from it. */
#ifndef VSM_SYNIC_H
#define VSM_SYNIC_H

#include <stddef.h>
#include <stdint.h>
#include "vsm/export.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vsm_partition;
struct vsm_vcpu;

#define VSM_MESSAGE_PAYLOAD_MAX 240
#define VSM_EVENT_FLAGS		2048

struct vsm_message {
	size_t size;	       /* sizeof(struct vsm_message) */
	uint32_t type;	       /* HV_MESSAGE_TYPE, not 0 */
	uint32_t payload_size; /* at most VSM_MESSAGE_PAYLOAD_MAX */
	uint64_t origin;       /* what the header names as its origin: a port id, or 0 */
	const void *payload;   /* copied; may be NULL when payload_size is 0 */
};

/*
 * Appends a message to the queue of a SINT of one VTL of a VP. It reaches the guest's message page
 * at once if its slot is empty, else when the guest has emptied the slot and says so (EOM, or EOI
 * at a local APIC of the library's). A SINT holds 16 messages that wait. Any thread, port callbacks
 * included.
 *
 * -EINVAL a NULL argument, an unknown size, no such VTL or SINT, type 0, a payload too long;
 * -ENODEV the guest has the SynIC or its message page off; -EAGAIN the queue is full
 *
 * Rests on: TLFS inter-partition-communication.md.
 */
VSM_API int vsm_synic_post_message(struct vsm_vcpu *vcpu, unsigned vtl, unsigned sint,
				   const struct vsm_message *message);

/*
 * Sets an event flag of a SINT; the SINT's interrupt is requested if the flag was clear. Any
 * thread, port callbacks included.
 *
 * -EINVAL NULL, no such VTL, SINT or flag; -ENODEV the guest has the SynIC or its event flags page
 * off, or the SINT masked
 */
VSM_API int vsm_synic_set_event_flag(struct vsm_vcpu *vcpu, unsigned vtl, unsigned sint,
				     unsigned flag);

/*
 * Requests a SINT's interrupt, with no message or flag to go with it. Lost if the SINT is masked,
 * or polled. Any thread, port callbacks included.
 *
 * -EINVAL NULL, no such VTL or SINT; -ENODEV the SynIC is off
 */
VSM_API int vsm_synic_raise(struct vsm_vcpu *vcpu, unsigned vtl, unsigned sint);

/* What a guest's HvCallPostMessage sent. The payload is good during the callback only. */
struct vsm_port_message {
	struct vsm_vcpu *sender;
	unsigned vtl; /* the sender's */
	uint32_t connection_id;
	uint32_t type;
	uint32_t payload_size;
	const void *payload;
};

/*
 * Called on the sender's thread, inside its vsm_vcpu_run(), without any lock of the library: it may
 * call back into the library, but not vsm_vcpu_run() or vsm_vcpu_destroy() of the sender,
 * vsm_partition_destroy(), or vsm_port_disconnect() of its own port. Several senders may be in it
 * at once. What it returns is the guest's status: 0 HV_STATUS_SUCCESS, -EAGAIN
 * INSUFFICIENT_BUFFERS, -ENODEV INVALID_SYNIC_STATE, -EINVAL INVALID_PARAMETER, else
 * INVALID_PORT_ID: the answers of the functions above can be passed on.
 */
typedef int (*vsm_port_message_fn)(void *ctx, const struct vsm_port_message *message);

/* A guest's HvCallSignalEvent. Same rules. */
typedef int (*vsm_port_event_fn)(void *ctx, struct vsm_vcpu *sender, unsigned vtl,
				 uint32_t connection_id, unsigned flag);

/*
 * Where what a guest sends to one connection id goes: exactly one of on_message, on_event,
 * event_fd.
 */
struct vsm_port_options {
	size_t size;		/* sizeof(struct vsm_port_options) */
	uint32_t connection_id; /* below 1 << 24 */
	uint32_t vtls; /* bit per VTL that may send; for others the id does not exist. 0: all */
	vsm_port_message_fn on_message; /* makes it a message port */
	vsm_port_event_fn on_event;	/* makes it an event port */
	void *ctx;			/* first argument of both */
	uint32_t flag_count;		/* of an event port: flags below this one; 0 means 1 */
	int event_fd; /* neither callback: an eventfd that each event adds 1 to; duplicated */
};

/*
 * Connects a connection id. Any thread.
 *
 * -EINVAL a NULL argument, unknown size, both callbacks, an id or count out of range; -EEXIST the
 * id is connected; -ENOMEM; -EBADF and other errors of dup(2)
 */
VSM_API int vsm_port_connect(struct vsm_partition *partition,
			     const struct vsm_port_options *options);

/*
 * Takes a connection away, and waits until nobody is in its callback. Any thread.
 *
 * -EINVAL partition is NULL; -ENOENT no such connection; -EDEADLK called from the port's own
 * callback
 */
VSM_API int vsm_port_disconnect(struct vsm_partition *partition, uint32_t connection_id);

#ifdef __cplusplus
}
#endif

#endif
