/* SPDX-License-Identifier: MIT */
/* The test device of hvtest.h, on libvsm's public API. */
#include "hvtest.h"

#include "machine.h"

enum command { /* 1 and 2 make and break SINT routes, of which nothing needs to be known here */
	SINT_RAISE = 3,
	MESSAGE_CONNECT = 4,
	MESSAGE_DISCONNECT = 5,
	EVENT_CONNECT = 6,
	EVENT_DISCONNECT = 7,
};

#define COMMAND 0x0f
#define TO_VTL1 0x10

static struct vsm_vcpu *vcpu_of(const struct hvtest_connection *c)
{
	return c->machine->cpus[c->cpu].vcpu;
}

/* On the sender's thread, with no lock of the library's: it may be called back. */
static int on_message(void *ctx, const struct vsm_port_message *m)
{
	const struct hvtest_connection *c = ctx;
	const struct vsm_message message = {.size = sizeof(message),
					    .type = m->type,
					    .payload_size = m->payload_size,
					    .origin = m->connection_id,
					    .payload = m->payload};

	return vsm_synic_post_message(vcpu_of(c), c->vtl, c->sint, &message);
}

/* The flag is the connection's number. */
static int on_event(void *ctx, struct vsm_vcpu *sender, unsigned vtl, uint32_t connection_id,
		    unsigned flag)
{
	const struct hvtest_connection *c = ctx;

	(void)sender, (void)vtl, (void)flag; /* the sender's */
	return vsm_synic_set_event_flag(vcpu_of(c), c->vtl, c->sint, connection_id);
}

static void connect_port(struct machine *m, const struct hvtest_connection *to, uint8_t id,
			 bool event)
{
	struct vsm_port_options o = {.size = sizeof(o), .connection_id = id};

	if (event)
		o.on_event = on_event;
	else
		o.on_message = on_message;
	o.ctx = &m->hvtest.connections[id];
	vsm_port_disconnect(m->partition, id);
	m->hvtest.connections[id] = *to;
	vsm_port_connect(m->partition, &o);
}

void hvtest_write(struct machine *m, uint32_t value)
{
	uint8_t id = (uint8_t)(value >> 24), what = (uint8_t)(value >> 16);
	const struct hvtest_connection to = {.machine = m,
					     .cpu = (uint8_t)(value >> 8),
					     .vtl = what & TO_VTL1 ? 1 : 0,
					     .sint = (uint8_t)value};
	unsigned command = what & COMMAND;

	if (to.cpu >= m->options->cpus)
		return;
	if (command == SINT_RAISE)
		vsm_synic_raise(vcpu_of(&to), to.vtl, to.sint);
	else if (command == MESSAGE_CONNECT || command == EVENT_CONNECT)
		connect_port(m, &to, id, command == EVENT_CONNECT);
	else if (command == MESSAGE_DISCONNECT || command == EVENT_DISCONNECT)
		vsm_port_disconnect(m->partition, id);
}
