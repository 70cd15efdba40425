/* SPDX-License-Identifier: MIT */
/* Connection ids a guest can send to, and the VMM's ends of them. */
#ifndef VSM_LIB_SYNIC_PORT_H
#define VSM_LIB_SYNIC_PORT_H

#include <stddef.h>
#include <stdint.h>
#include "hv/status.h"
#include "vsm/synic.h"

struct port;
struct vsm_partition;

/* Sorted by connection id; ports are allocated one by one, as callbacks hold on to them. */
struct port_table {
	struct port **list;
	size_t count, room;
};

/* Releases all ports. Nobody is in a callback. */
void port_destroy_all(struct vsm_partition *p);

/*
 * What the guest's hypercalls do; the status is the guest's. The partition's lock, held on entry
 * and return, is given up while the VMM's callback runs.
 */
enum hv_status port_send_message(struct vsm_vcpu *sender, unsigned vtl,
				 const struct vsm_port_message *message);
enum hv_status port_send_event(struct vsm_vcpu *sender, unsigned vtl, uint32_t connection_id,
			       unsigned flag);

#endif
