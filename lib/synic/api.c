/* SPDX-License-Identifier: MIT */
/* include/vsm/synic.h: what the VMM delivers to a guest. */
#include <errno.h>
#include <string.h>

#include "partition/options.h"
#include "synic/synic.h"
#include "vcpu/vcpu.h"
#include "vsm/synic.h"

_Static_assert(VSM_MESSAGE_PAYLOAD_MAX == HV_MESSAGE_PAYLOAD_SIZE, "TLFS hv_message");
_Static_assert(VSM_EVENT_FLAGS == SYNIC_EVENT_FLAGS, "TLFS hv_synic_event_flags");

static bool target_valid(const struct vsm_vcpu *vcpu, unsigned vtl, unsigned sint)
{
	return vcpu && vtl < vcpu->partition->vtl_count && sint < SYNIC_SINTS;
}

static bool message_valid(const struct vsm_message *m)
{
	return m->type != HV_MESSAGE_NONE && m->payload_size <= VSM_MESSAGE_PAYLOAD_MAX &&
	       (m->payload || !m->payload_size);
}

int vsm_synic_post_message(struct vsm_vcpu *vcpu, unsigned vtl, unsigned sint,
			   const struct vsm_message *message)
{
	struct hv_message hv;
	struct vsm_message m;
	int r;

	if (!target_valid(vcpu, vtl, sint) || options_copy_in(&m, sizeof(m), message) ||
	    !message_valid(&m))
		return -EINVAL;
	hv = (struct hv_message){
		.type = m.type, .payload_size = (uint8_t)m.payload_size, .origin = m.origin};
	if (m.payload_size)
		memcpy(hv.payload, m.payload, m.payload_size);
	pthread_mutex_lock(&vcpu->partition->lock);
	r = synic_queue_message(vcpu, vtl, sint, &hv);
	pthread_mutex_unlock(&vcpu->partition->lock);
	return r;
}

int vsm_synic_set_event_flag(struct vsm_vcpu *vcpu, unsigned vtl, unsigned sint, unsigned flag)
{
	int r;

	if (!target_valid(vcpu, vtl, sint) || flag >= SYNIC_EVENT_FLAGS)
		return -EINVAL;
	pthread_mutex_lock(&vcpu->partition->lock);
	r = synic_signal(vcpu, vtl, sint, flag);
	pthread_mutex_unlock(&vcpu->partition->lock);
	return r;
}

int vsm_synic_raise(struct vsm_vcpu *vcpu, unsigned vtl, unsigned sint)
{
	int r = 0;

	if (!target_valid(vcpu, vtl, sint))
		return -EINVAL;
	pthread_mutex_lock(&vcpu->partition->lock);
	if (synic_enabled(&vcpu->vtls[vtl].synic))
		synic_raise(vcpu, vtl, sint);
	else
		r = -ENODEV;
	pthread_mutex_unlock(&vcpu->partition->lock);
	return r;
}
