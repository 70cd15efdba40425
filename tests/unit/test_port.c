/* SPDX-License-Identifier: MIT */
/* Ports: what PostMessage and SignalEvent of a guest reach, and with which status. */
#include "hypercall_fixture.h"

#include <errno.h>
#include <sched.h>
#include "synic/port.h"

#define MESSAGE_ID 0x10
#define EVENT_ID   0x20
#define FD_ID	   0x30

struct sink {
	struct hc *h;
	int answer;
	unsigned calls;
	unsigned vtl, flag;
	struct vsm_vcpu *sender;
	uint32_t type, size;
	uint8_t payload[240];
	uint32_t disconnect; /* an id to disconnect from inside */
	int disconnected;
	_Atomic bool hold, inside;
};

static int on_message(void *ctx, const struct vsm_port_message *m)
{
	struct sink *s = ctx;

	s->calls++;
	s->sender = m->sender;
	s->vtl = m->vtl;
	s->type = m->type;
	s->size = m->payload_size;
	memcpy(s->payload, m->payload, m->payload_size);
	if (s->disconnect)
		s->disconnected = vsm_port_disconnect(s->h->p, s->disconnect);
	s->inside = true;
	while (s->hold)
		sched_yield();
	return s->answer;
}

static int on_event(void *ctx, struct vsm_vcpu *sender, unsigned vtl, uint32_t id, unsigned flag)
{
	struct sink *s = ctx;

	assert_int_equal(id, EVENT_ID);
	s->calls++;
	s->sender = sender;
	s->vtl = vtl;
	s->flag = flag;
	return s->answer;
}

/* A VP has a thread in vsm_vcpu_run() when it makes hypercalls. */
static void start(struct hc *h, struct sink *s)
{
	const struct vsm_port_options message = {.size = sizeof(message),
						 .connection_id = MESSAGE_ID,
						 .on_message = on_message,
						 .ctx = s};
	const struct vsm_port_options event = {.size = sizeof(event),
					       .connection_id = EVENT_ID,
					       .on_event = on_event,
					       .flag_count = 8,
					       .vtls = 1,
					       .ctx = s};

	hc_start(h);
	*s = (struct sink){.h = h};
	assert_int_equal(vsm_port_connect(h->p, &event), 0);
	assert_int_equal(vsm_port_connect(h->p, &message), 0);
	for (unsigned i = 0; i < HC_VPS; i++)
		h->vp[i]->thread = h->x.host->ops->current_thread(h->x.host);
}

static unsigned post(struct hc *h, const struct hv_post_message *m)
{
	unsigned status;

	pthread_mutex_lock(&h->p->lock);
	status = hc_slow(h, 0, HV_CALL_POST_MESSAGE, 0, m, sizeof(*m), NULL, 0);
	pthread_mutex_unlock(&h->p->lock);
	return status;
}

static unsigned signal_event(struct hc *h, uint32_t id, uint16_t flag, bool fast)
{
	const struct hv_signal_event in = {.connection_id = id, .flag = flag};
	uint64_t first;
	unsigned status;

	pthread_mutex_lock(&h->p->lock);
	memcpy(&first, &in, sizeof(first));
	if (fast)
		status = (unsigned)(hc_call(h, 0, hc_control(HV_CALL_SIGNAL_EVENT, true, 0, 0),
					    first, 0) &
				    0xffff);
	else
		status = hc_slow(h, 0, HV_CALL_SIGNAL_EVENT, 0, &in, sizeof(in), NULL, 0);
	pthread_mutex_unlock(&h->p->lock);
	return status;
}

static void test_message(void **state)
{
	struct hv_post_message m = {.connection_id = MESSAGE_ID,
				    .reserved = 0xffffffff,
				    .type = 0x7fffffff,
				    .payload_size = 240};
	struct sink s;
	struct hc h;

	(void)state;
	start(&h, &s);
	for (unsigned i = 0; i < 240; i++)
		m.payload[i] = (uint8_t)(i + 1);
	hc_enter(&h, 0, 1);
	assert_int_equal(post(&h, &m), HV_SUCCESS);
	assert_int_equal(s.calls, 1);
	assert_ptr_equal(s.sender, h.vp[0]);
	assert_int_equal(s.vtl, 1);
	assert_int_equal(s.type, m.type);
	assert_int_equal(s.size, 240);
	assert_memory_equal(s.payload, m.payload, 240);
	hc_stop(&h);
}

static void test_message_statuses(void **state)
{
	static const struct {
		uint32_t id, type, size;
		unsigned status;
	} rows[] = {
		{MESSAGE_ID, 0, 0, HV_INVALID_PARAMETER},
		{MESSAGE_ID, 0x80000000, 0, HV_INVALID_PARAMETER},
		{MESSAGE_ID, 1, 241, HV_INVALID_PARAMETER},
		{MESSAGE_ID, 1, UINT32_MAX, HV_INVALID_PARAMETER},
		{MESSAGE_ID + 1, 1, 0, HV_INVALID_CONNECTION_ID},
		{0x01000000 | MESSAGE_ID, 1, 0, HV_INVALID_CONNECTION_ID},
		{EVENT_ID, 1, 0, HV_INVALID_PORT_ID},
	};
	struct sink s;
	struct hc h;

	(void)state;
	start(&h, &s);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct hv_post_message m = {.connection_id = rows[i].id,
						  .type = rows[i].type,
						  .payload_size = rows[i].size};

		assert_int_equal(post(&h, &m), rows[i].status);
	}
	assert_int_equal(s.calls, 0);
	hc_stop(&h);
}

static void test_answers(void **state)
{
	static const struct {
		int answer;
		unsigned status;
	} rows[] = {
		{0, HV_SUCCESS},
		{-EAGAIN, HV_INSUFFICIENT_BUFFERS},
		{-ENODEV, HV_INVALID_SYNIC_STATE},
		{-EINVAL, HV_INVALID_PARAMETER},
		{-EIO, HV_INVALID_PORT_ID},
		{1, HV_INVALID_PORT_ID},
	};
	const struct hv_post_message m = {.connection_id = MESSAGE_ID, .type = 1};
	struct sink s;
	struct hc h;

	(void)state;
	start(&h, &s);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		s.answer = rows[i].answer;
		assert_int_equal(post(&h, &m), rows[i].status);
		assert_int_equal(signal_event(&h, EVENT_ID, 0, true), rows[i].status);
	}
	hc_stop(&h);
}

static void test_event(void **state)
{
	struct sink s;
	struct hc h;

	(void)state;
	start(&h, &s);
	for (unsigned fast = 0; fast < 2; fast++) {
		assert_int_equal(signal_event(&h, EVENT_ID, (uint16_t)(6 + fast), fast), 0);
		assert_int_equal(s.calls, fast + 1);
		assert_int_equal(s.flag, 6 + fast);
		assert_ptr_equal(s.sender, h.vp[0]);
		assert_int_equal(s.vtl, 0);
		assert_int_equal(signal_event(&h, EVENT_ID, 8, fast), HV_INVALID_PARAMETER);
		assert_int_equal(signal_event(&h, 0x1234, 0, fast), HV_INVALID_CONNECTION_ID);
		assert_int_equal(signal_event(&h, MESSAGE_ID, 0, fast), HV_INVALID_PORT_ID);
	}
	/* It is connected for VTL0 only. */
	hc_enter(&h, 0, 1);
	assert_int_equal(signal_event(&h, EVENT_ID, 0, true), HV_INVALID_CONNECTION_ID);
	assert_int_equal(s.calls, 2);
	hc_stop(&h);
}

/* An eventfd is signalled; the VMM may close its own copy. */
static void test_eventfd(void **state)
{
	struct vsm_port_options o = {.size = sizeof(o), .connection_id = FD_ID};
	struct sink s;
	struct hc h;
	int fd;

	(void)state;
	start(&h, &s);
	fd = h.x.host->ops->create_wake_fd(h.x.host);
	assert_true(fd >= 0);
	o.event_fd = fd;
	assert_int_equal(vsm_port_connect(h.p, &o), 0);
	assert_int_equal(signal_event(&h, FD_ID, 0, true), HV_SUCCESS);
	assert_int_equal(h.x.host->ops->wait_fd(h.x.host, fd, 0), 0);
	assert_int_equal(signal_event(&h, FD_ID, 1, true), HV_INVALID_PARAMETER);
	assert_int_equal(h.x.host->ops->close_fd(h.x.host, fd), 0);
	assert_int_equal(signal_event(&h, FD_ID, 0, true), HV_SUCCESS);
	assert_int_equal(vsm_port_disconnect(h.p, FD_ID), 0);
	assert_int_equal(signal_event(&h, FD_ID, 0, true), HV_INVALID_CONNECTION_ID);
	hc_stop(&h);
}

static void test_connect_errors(void **state)
{
	struct vsm_port_options good = {.size = sizeof(good),
					.connection_id = 1,
					.on_message = on_message},
				o;
	struct sink s;
	struct hc h;

	(void)state;
	start(&h, &s);
	assert_int_equal(vsm_port_connect(NULL, &good), -EINVAL);
	assert_int_equal(vsm_port_connect(h.p, NULL), -EINVAL);
	o = good;
	o.size = 1;
	assert_int_equal(vsm_port_connect(h.p, &o), -EINVAL);
	o = good;
	o.connection_id = 1u << 24;
	assert_int_equal(vsm_port_connect(h.p, &o), -EINVAL);
	o = good;
	o.on_event = on_event;
	assert_int_equal(vsm_port_connect(h.p, &o), -EINVAL);
	o = good;
	o.flag_count = 1;
	assert_int_equal(vsm_port_connect(h.p, &o), -EINVAL);
	o = good;
	o.on_message = NULL;
	o.flag_count = 2049;
	assert_int_equal(vsm_port_connect(h.p, &o), -EINVAL);
	o.flag_count = 1;
	o.event_fd = -1;
	assert_int_equal(vsm_port_connect(h.p, &o), -EBADF);
	fake_kvm_forgive(h.x.fake);
	o = good;
	o.connection_id = MESSAGE_ID;
	assert_int_equal(vsm_port_connect(h.p, &o), -EEXIST);
	assert_int_equal(vsm_port_disconnect(NULL, MESSAGE_ID), -EINVAL);
	assert_int_equal(vsm_port_disconnect(h.p, 2), -ENOENT);
	hc_stop(&h);
}

/* Many, in any order: each is found, and gone when it is gone. */
static void test_many(void **state)
{
	struct vsm_port_options o = {.size = sizeof(o), .on_message = on_message};
	struct hv_post_message m = {.type = 1};
	struct sink s;
	struct hc h;

	(void)state;
	start(&h, &s);
	o.ctx = &s;
	for (uint32_t i = 0; i < 101; i++) {
		o.connection_id = 0x1000 + i * 37 % 101;
		assert_int_equal(vsm_port_connect(h.p, &o), 0);
	}
	for (uint32_t i = 0; i < 101; i += 2)
		assert_int_equal(vsm_port_disconnect(h.p, 0x1000 + i), 0);
	for (uint32_t i = 0; i < 101; i++) {
		m.connection_id = 0x1000 + i;
		assert_int_equal(post(&h, &m), i % 2 ? HV_SUCCESS : HV_INVALID_CONNECTION_ID);
	}
	hc_stop(&h);
}

/* From inside: another port goes, its own does not. */
static void test_disconnect_inside(void **state)
{
	const struct hv_post_message m = {.connection_id = MESSAGE_ID, .type = 1};
	struct sink s;
	struct hc h;

	(void)state;
	start(&h, &s);
	s.disconnect = MESSAGE_ID;
	assert_int_equal(post(&h, &m), HV_SUCCESS);
	assert_int_equal(s.disconnected, -EDEADLK);
	s.disconnect = EVENT_ID;
	assert_int_equal(post(&h, &m), HV_SUCCESS);
	assert_int_equal(s.disconnected, 0);
	assert_int_equal(signal_event(&h, EVENT_ID, 0, true), HV_INVALID_CONNECTION_ID);
	hc_stop(&h);
}

static void *post_once(void *arg)
{
	const struct hv_post_message m = {.connection_id = MESSAGE_ID, .type = 1};

	assert_int_equal(post(arg, &m), HV_SUCCESS);
	return NULL;
}

static void *disconnect_once(void *arg)
{
	struct sink *s = arg;

	assert_int_equal(vsm_port_disconnect(s->h->p, MESSAGE_ID), 0);
	/* Nobody is in the callback any more. */
	assert_false(s->hold);
	return NULL;
}

/* Is the port still in the table? */
static bool connected(struct hc *h)
{
	bool is;

	pthread_mutex_lock(&h->p->lock);
	is = h->p->ports.count == 2;
	pthread_mutex_unlock(&h->p->lock);
	return is;
}

static void test_disconnect_waits(void **state)
{
	pthread_t sender, other;
	struct sink s;
	struct hc h;

	(void)state;
	start(&h, &s);
	s.hold = true;
	assert_int_equal(pthread_create(&sender, NULL, post_once, &h), 0);
	while (!s.inside)
		sched_yield();
	assert_int_equal(pthread_create(&other, NULL, disconnect_once, &s), 0);
	while (connected(&h))
		sched_yield();
	s.hold = false;
	pthread_join(sender, NULL);
	pthread_join(other, NULL);
	hc_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_message_statuses),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_event),
		cmocka_unit_test(test_eventfd),
		cmocka_unit_test(test_connect_errors),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_disconnect_inside),
		cmocka_unit_test(test_disconnect_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
