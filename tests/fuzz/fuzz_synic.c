/* SPDX-License-Identifier: MIT */
/*
 * A byte stream as what a guest and its VMM do to a SynIC and its timers, on the fake host.
 *
 * Checked: a full slot is not touched but for its flags; messages of a SINT arrive in order, each
 * once, none lost but by a refusal; nothing waits for a slot that is free; timers that are due are
 * dealt with.
 */
#include <stdlib.h>
#include <string.h>

#include "fake_kvm.h"
#include "msr/shared_msr.h"
#include "msr/synthetic.h"
#include "msr/tsc.h"
#include "vcpu/vcpu.h"
#include "vsm/synic.h"

#define MEMORY_SIZE UINT64_C(0x80000)
#define TYPE	    0x1234
#define VTLS	    2

struct stream {
	const uint8_t *at, *end;
};

struct target {
	struct fake_kvm *fake;
	const struct kvm_host *host;
	int dev_fd, vm_fd, mem_fd;
	struct vsm_partition *p;
	struct vsm_vcpu *vp;
	uint32_t posted[VTLS][SYNIC_SINTS], seen[VTLS][SYNIC_SINTS];
};

static void require(bool condition)
{
	if (!condition)
		abort();
}

static uint64_t next(struct stream *s, size_t bytes)
{
	uint64_t value = 0;
	size_t left = (size_t)(s->end - s->at);

	if (bytes > left)
		bytes = left;
	memcpy(&value, s->at, bytes);
	s->at += bytes;
	return value;
}

static void setup(struct target *t)
{
	struct vsm_partition_options o = {.size = sizeof(o)};
	struct vsm_memory_region r = {.size = sizeof(r), .bytes = MEMORY_SIZE};
	struct vsm_vcpu_options v = {.size = sizeof(v)};

	memset(t, 0, sizeof(*t));
	t->fake = fake_kvm_new();
	t->host = fake_kvm_host(t->fake);
	t->dev_fd = t->host->ops->open_device(t->host, "/dev/kvm");
	t->vm_fd = t->host->ops->create_vm(t->host, t->dev_fd);
	t->mem_fd = t->host->ops->create_memfd(t->host, "fuzz", MEMORY_SIZE);
	o.kvm_fd = t->dev_fd;
	o.vm_fd = t->vm_fd;
	r.fd = t->mem_fd;
	require(!partition_create_on(t->host, &o, &t->p));
	require(!vsm_partition_map_memory(t->p, &r));
	require(!vsm_vcpu_create(t->p, &v, &t->vp));
	t->p->enabled_vtls = t->vp->enabled_vtls = 3;
}

/* Making a partition takes longer than what is tested: there is one, brought back to its start. */
static void reset(struct target *t)
{
	memset(t->posted, 0, sizeof(t->posted));
	memset(t->seen, 0, sizeof(t->seen));
	fake_kvm_set_clock(t->fake, 1000000000);
	t->p->start_ns = 1000000000;
	t->p->ref_offset_known = t->p->ref_page_stale = false;
	t->vp->tsc_moved = 0;
	for (unsigned vtl = 0; vtl < VTLS; vtl++) {
		struct vp_vtl *v = &t->vp->vtls[vtl];
		const uint64_t offset = 0;

		require(!synic_reset(&t->p->memory, &v->synic));
		stimer_reset(v->stimers);
		lapic_reset(&v->lapic, 0, true, true);
		t->host->ops->set_tsc_offset(t->host, v->cpu.fd, &offset);
		synthetic_write(t->vp, vtl, HV_MSR_SCONTROL, 1);
		synthetic_write(t->vp, vtl, HV_MSR_SIMP, 0x10001);
		synthetic_write(t->vp, vtl, HV_MSR_SIEFP, 0x11001);
	}
}

static struct hv_message *slot_of(struct target *t, unsigned vtl, unsigned sint)
{
	return (struct hv_message *)t->vp->vtls[vtl].synic.message_page->host + sint;
}

/* The guest reads a slot and empties it. */
static void empty(struct target *t, unsigned vtl, unsigned sint)
{
	struct hv_message *slot = slot_of(t, vtl, sint);
	uint32_t n;

	if (slot->type == TYPE) {
		memcpy(&n, slot->payload, sizeof(n));
		require(n == t->seen[vtl][sint]++);
	}
	slot->type = 0;
}

static void post(struct target *t, unsigned vtl, unsigned sint)
{
	uint32_t n = t->posted[vtl][sint];
	const struct vsm_message m = {
		.size = sizeof(m), .type = TYPE, .payload_size = sizeof(n), .payload = &n};

	if (!vsm_synic_post_message(t->vp, vtl, sint, &m))
		t->posted[vtl][sint]++;
}

static void write_msr(struct target *t, unsigned vtl, struct stream *s)
{
	static const struct {
		uint32_t first, count;
	} msrs[] = {{HV_MSR_SCONTROL, 5},
		    {HV_MSR_SINT0, 16},
		    {HV_MSR_STIMER0_CONFIG, 8},
		    {HV_MSR_EOI, 4},
		    {HV_MSR_REFERENCE_TSC, 1}};
	uint8_t op = (uint8_t)next(s, 1);
	uint32_t row = op % (sizeof(msrs) / sizeof(msrs[0]));
	uint32_t index = msrs[row].first + (uint32_t)next(s, 1) % msrs[row].count;
	uint64_t value = next(s, op & 0x80 ? 8 : 3), got;

	/* Mostly, a page there is. */
	if (index == HV_MSR_SIMP || index == HV_MSR_SIEFP)
		value = op & 0x40 ? value : ((value & 0x7f) << 12 | (value >> 8 & 1));
	synthetic_write(t->vp, vtl, index, value);
	synthetic_read(t->vp, vtl, index, &got);
}

static void step(struct target *t, struct stream *s)
{
	uint8_t op = (uint8_t)next(s, 1);
	unsigned vtl = op >> 7, sint = op >> 3 & 15;

	switch (op & 7) {
	case 0:
		post(t, vtl, sint);
		break;
	case 1:
		empty(t, vtl, sint);
		break;
	case 2:
		synthetic_write(t->vp, vtl, HV_MSR_EOM, 0);
		break;
	case 3:
		write_msr(t, vtl, s);
		break;
	case 4:
		fake_kvm_advance_clock(t->fake, next(s, sint & 7));
		break;
	case 5:
		vsm_synic_set_event_flag(t->vp, vtl, sint, (unsigned)next(s, 2));
		break;
	case 6:
		lapic_ack(&t->vp->vtls[vtl].lapic);
		break;
	default:
		shared_msr_write(t->vp, sint & 1 ? MSR_TSC : MSR_TSC_ADJUST, next(s, 5));
	}
}

static void check_sint(struct target *t, unsigned vtl, unsigned sint)
{
	const struct synic *s = &t->vp->vtls[vtl].synic;
	const struct synic_queue *q = &s->queues[sint];
	const struct hv_message *slot = slot_of(t, vtl, sint);
	bool waits = q->count;

	require(q->count <= SYNIC_QUEUE && q->head < SYNIC_QUEUE);
	require(t->posted[vtl][sint] ==
		t->seen[vtl][sint] + q->count + (slot->type == TYPE ? 1 : 0));
	for (unsigned i = 0; i < SYNIC_TIMERS; i++)
		waits |= s->timers[i].waiting && s->timers[i].sint == sint;
	if (waits && slot->type && (s->control & 1) && s->message_page->enabled)
		require(slot->flags & HV_MESSAGE_FLAG_PENDING);
}

static void check_timers(struct target *t)
{
	uint64_t now = t->host->ops->clock_ns(t->host);

	stimer_expire(t->vp, now);
	for (unsigned vtl = 0; vtl < VTLS; vtl++) {
		const struct vp_vtl *v = &t->vp->vtls[vtl];

		for (unsigned i = 0; i < STIMER_COUNT; i++) {
			const struct stimer *timer = &v->stimers[i];

			require(timer->due_ns == STIMER_NONE ||
				((timer->config & 1) && v->timer_runs));
		}
		require(stimer_deadline(t->vp, vtl) > now);
	}
}

/* A step that is not the guest's emptying leaves full slots full. */
static void checked_step(struct target *t, struct stream *s)
{
	static struct hv_message before[VTLS][SYNIC_SINTS];
	bool emptying = s->at < s->end && (*s->at & 7) == 1;

	for (unsigned vtl = 0; vtl < VTLS; vtl++)
		memcpy(before[vtl], slot_of(t, vtl, 0), sizeof(before[vtl]));
	step(t, s);
	check_timers(t);
	for (unsigned vtl = 0; vtl < VTLS; vtl++) {
		for (unsigned sint = 0; sint < SYNIC_SINTS; sint++) {
			struct hv_message *slot = slot_of(t, vtl, sint), *old = &before[vtl][sint];

			old->flags = slot->flags;
			require(emptying || !old->type || !memcmp(old, slot, sizeof(*slot)));
			check_sint(t, vtl, sint);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stream s = {.at = data, .end = data + size};
	static struct target t;

	if (!t.p)
		setup(&t);
	reset(&t);
	while (s.at < s.end)
		checked_step(&t, &s);
	return 0;
}
