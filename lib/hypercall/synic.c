/* SPDX-License-Identifier: MIT */
/* HvCallPostMessage, HvCallSignalEvent. */
#include "hypercall/call.h"

#include <string.h>

#include "synic/port.h"

/* Types with this bit are the hypervisor's. */
#define TYPE_HYPERVISOR UINT32_C(0x80000000)

enum hv_status hypercall_post_message(struct hypercall_call *c)
{
	const struct hv_post_message *in = (const struct hv_post_message *)c->input;
	const struct vsm_port_message message = {
		.sender = c->vp,
		.vtl = c->vtl,
		.connection_id = in->connection_id,
		.type = in->type,
		.payload_size = in->payload_size,
		.payload = in->payload,
	};

	if (!in->type || (in->type & TYPE_HYPERVISOR) || in->payload_size > sizeof(in->payload))
		return HV_INVALID_PARAMETER;
	return port_send_message(c->vp, c->vtl, &message);
}

enum hv_status hypercall_signal_event(struct hypercall_call *c)
{
	struct hv_signal_event in;

	memcpy(&in, c->input, sizeof(in));
	return port_send_event(c->vp, c->vtl, in.connection_id, in.flag);
}
