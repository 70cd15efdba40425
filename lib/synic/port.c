/* SPDX-License-Identifier: MIT */
/*
 * Ports: where a guest's PostMessage and SignalEvent arrive.
 *
 * A port whose callback runs is not freed: it leaves the table first, so that no new caller finds
 * it, and its disconnecter waits for the last one. The guest can make neither the table nor a port.
 */
#include "synic/port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "partition/options.h"
#include "vcpu/vcpu.h"

#define CONNECTION_IDS (UINT32_C(1) << 24)
#define ROOM_FIRST     8

struct port {
	uint32_t connection_id, vtls, flag_count;
	vsm_port_message_fn on_message;
	vsm_port_event_fn on_event;
	void *ctx;
	int event_fd;	/* -1: none */
	unsigned users; /* threads in the callback */
};

/* --- the table --- */

/* Index of the first port whose id is not below. */
static size_t lower_bound(const struct port_table *t, uint32_t id)
{
	size_t low = 0, high = t->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->list[middle]->connection_id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct port *find(const struct port_table *t, uint32_t id)
{
	size_t at = lower_bound(t, id);

	return at < t->count && t->list[at]->connection_id == id ? t->list[at] : NULL;
}

static int make_room(struct port_table *t)
{
	size_t room = t->room ? t->room * 2 : ROOM_FIRST;
	struct port **list;

	if (t->count < t->room)
		return 0;
	list = realloc(t->list, room * sizeof(struct port *));
	if (!list)
		return -ENOMEM;
	t->list = list;
	t->room = room;
	return 0;
}

static int insert(struct port_table *t, struct port *port)
{
	size_t at = lower_bound(t, port->connection_id);
	int r = find(t, port->connection_id) ? -EEXIST : make_room(t);

	if (r)
		return r;
	memmove(&t->list[at + 1], &t->list[at], (t->count - at) * sizeof(struct port *));
	t->list[at] = port;
	t->count++;
	return 0;
}

static void take_out(struct port_table *t, const struct port *port)
{
	size_t at = lower_bound(t, port->connection_id);

	t->count--;
	memmove(&t->list[at], &t->list[at + 1], (t->count - at) * sizeof(struct port *));
}

/* --- connecting --- */

static bool options_valid(const struct vsm_port_options *o)
{
	return o->connection_id < CONNECTION_IDS && !(o->on_message && o->on_event) &&
	       o->flag_count <= VSM_EVENT_FLAGS && !(o->on_message && o->flag_count);
}

static void port_free(struct vsm_partition *p, struct port *port)
{
	if (port->event_fd >= 0)
		p->host->ops->close_fd(p->host, port->event_fd);
	free(port);
}

static int port_create(struct vsm_partition *p, const struct vsm_port_options *o, struct port **out)
{
	struct port *port = malloc(sizeof(*port));

	if (!port)
		return -ENOMEM;
	*port = (struct port){
		.connection_id = o->connection_id,
		.vtls = o->vtls ? o->vtls : UINT32_MAX,
		.flag_count = o->flag_count ? o->flag_count : 1,
		.on_message = o->on_message,
		.on_event = o->on_event,
		.ctx = o->ctx,
		.event_fd = -1,
	};
	if (!o->on_message && !o->on_event) {
		port->event_fd = p->host->ops->duplicate_fd(p->host, o->event_fd);
		if (port->event_fd < 0) {
			int r = port->event_fd;

			free(port);
			return r;
		}
	}
	*out = port;
	return 0;
}

int vsm_port_connect(struct vsm_partition *partition, const struct vsm_port_options *options)
{
	struct vsm_port_options o;
	struct port *port;
	int r;

	if (!partition || options_copy_in(&o, sizeof(o), options) || !options_valid(&o))
		return -EINVAL;
	r = port_create(partition, &o, &port);
	if (r)
		return r;
	pthread_mutex_lock(&partition->lock);
	r = insert(&partition->ports, port);
	pthread_mutex_unlock(&partition->lock);
	if (r)
		port_free(partition, port);
	return r;
}

/* Is this thread inside the port's callback? It would wait for itself. */
static bool own_callback(const struct vsm_partition *p, const struct port *port)
{
	int thread = p->host->ops->current_thread(p->host);

	for (uint32_t i = 0; i < p->max_vps; i++)
		if (p->vps[i] && p->vps[i]->in_port == port &&
		    atomic_load(&p->vps[i]->thread) == thread)
			return true;
	return false;
}

static int disconnect(struct vsm_partition *p, uint32_t connection_id)
{
	struct port *port = find(&p->ports, connection_id);

	if (!port)
		return -ENOENT;
	if (own_callback(p, port))
		return -EDEADLK;
	take_out(&p->ports, port);
	while (port->users)
		pthread_cond_wait(&p->vcpu_moved, &p->lock);
	port_free(p, port);
	return 0;
}

int vsm_port_disconnect(struct vsm_partition *partition, uint32_t connection_id)
{
	int r;

	if (!partition)
		return -EINVAL;
	pthread_mutex_lock(&partition->lock);
	r = disconnect(partition, connection_id);
	pthread_mutex_unlock(&partition->lock);
	return r;
}

void port_destroy_all(struct vsm_partition *p)
{
	for (size_t i = 0; i < p->ports.count; i++)
		port_free(p, p->ports.list[i]);
	free(p->ports.list);
	p->ports = (struct port_table){0};
}

/* --- sending --- */

/* For a VTL that may not use it, a connection is not there. */
static enum hv_status look_up(const struct vsm_partition *p, unsigned vtl, uint32_t connection_id,
			      struct port **port)
{
	*port = find(&p->ports, connection_id);
	if (!*port || !((*port)->vtls & (UINT32_C(1) << vtl)))
		return HV_INVALID_CONNECTION_ID;
	return HV_SUCCESS;
}

static enum hv_status status_of(int r)
{
	switch (r) {
	case 0:
		return HV_SUCCESS;
	case -EAGAIN:
		return HV_INSUFFICIENT_BUFFERS;
	case -ENODEV:
		return HV_INVALID_SYNIC_STATE;
	case -EINVAL:
		return HV_INVALID_PARAMETER;
	default:
		return HV_INVALID_PORT_ID;
	}
}

static void enter_callback(struct vsm_vcpu *sender, struct port *port)
{
	port->users++;
	sender->in_port = port;
	pthread_mutex_unlock(&sender->partition->lock);
}

static void leave_callback(struct vsm_vcpu *sender, struct port *port)
{
	pthread_mutex_lock(&sender->partition->lock);
	sender->in_port = NULL;
	if (--port->users == 0)
		pthread_cond_broadcast(&sender->partition->vcpu_moved);
}

enum hv_status port_send_message(struct vsm_vcpu *sender, unsigned vtl,
				 const struct vsm_port_message *message)
{
	struct port *port;
	enum hv_status status = look_up(sender->partition, vtl, message->connection_id, &port);
	int r;

	if (status)
		return status;
	if (!port->on_message)
		return HV_INVALID_PORT_ID;
	enter_callback(sender, port);
	r = port->on_message(port->ctx, message);
	leave_callback(sender, port);
	return status_of(r);
}

enum hv_status port_send_event(struct vsm_vcpu *sender, unsigned vtl, uint32_t connection_id,
			       unsigned flag)
{
	struct vsm_partition *p = sender->partition;
	struct port *port;
	enum hv_status status = look_up(p, vtl, connection_id, &port);
	int r;

	if (status)
		return status;
	if (port->on_message)
		return HV_INVALID_PORT_ID;
	if (flag >= port->flag_count)
		return HV_INVALID_PARAMETER;
	if (port->event_fd >= 0)
		return status_of(p->host->ops->signal_fd(p->host, port->event_fd));
	enter_callback(sender, port);
	r = port->on_event(port->ctx, sender, vtl, connection_id, flag);
	leave_callback(sender, port);
	return status_of(r);
}
