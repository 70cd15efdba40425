/* SPDX-License-Identifier: MIT */
/*
 * Runtime of a VP, resets, and crash reports. The last two are the VMM's to act on: the VP returns
 * with KVM_EXIT_SYSTEM_EVENT, as it does with KVM's own Hyper-V interface.
 */
#include "msr/machine_msr.h"

#include <errno.h>
#include <string.h>

#include "msr/synthetic.h"
#include "partition/hold.h"
#include "vcpu/vcpu.h"

#define RESET	    UINT64_C(1)
#define NS_PER_UNIT 100

/* HV_CRASH_CTL_REG_CONTENTS: what can be asked for. */
#define CRASH_MESSAGE (UINT64_C(1) << 62)
#define CRASH_NOTIFY  (UINT64_C(1) << 63)

/*
 * The time its thread has had, as with KVM's own interface (kernel: current_task_runtime_100ns()):
 * in the guest, and for it in the kernel, the library and the VMM. Outside vsm_vcpu_run() it stands
 * still; a VP that changes threads does not go back.
 */
int runtime_msr_read(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value)
{
	const struct kvm_host *h = vp->partition->host;
	int thread = atomic_load(&vp->thread);
	uint64_t ns;

	(void)vtl, (void)index;
	if (thread && !h->ops->thread_time_ns(h, thread, &ns) && ns / NS_PER_UNIT > vp->runtime)
		vp->runtime = ns / NS_PER_UNIT;
	*value = vp->runtime;
	return 0;
}

/* A kick, for which the run loop looks in any case, makes the VP return. */
static void tell_vmm(struct vsm_vcpu *vp, const struct system_event *event)
{
	vp->system_event = *event;
	atomic_store(&vp->kicked, true);
	partition_wake_vp(vp);
}

int reset_msr_read(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value)
{
	(void)vp, (void)vtl, (void)index;
	*value = 0;
	return 0;
}

int reset_msr_write(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value)
{
	(void)index;
	if (value & ~RESET)
		return -EINVAL;
	if (value)
		tell_vmm(vp, &(struct system_event){.type = KVM_SYSTEM_EVENT_RESET,
						    .vtl = (uint8_t)vtl});
	return 0;
}

int crash_msr_read(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value)
{
	if (index == HV_MSR_CRASH_CTL)
		*value = CRASH_NOTIFY | CRASH_MESSAGE;
	else
		*value = vp->partition->vtls[vtl].crash[index - HV_MSR_CRASH_P0];
	return 0;
}

/* What the guest says besides is for who reads the report. */
int crash_msr_write(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value)
{
	if (index != HV_MSR_CRASH_CTL)
		vp->partition->vtls[vtl].crash[index - HV_MSR_CRASH_P0] = value;
	else if (value & CRASH_NOTIFY)
		tell_vmm(vp, &(struct system_event){.type = KVM_SYSTEM_EVENT_CRASH,
						    .vtl = (uint8_t)vtl,
						    .control = value});
	return 0;
}

void machine_event_show(struct vsm_vcpu *vp, struct kvm_run *run)
{
	const struct system_event *e = &vp->system_event;
	const uint64_t *crash = vp->partition->vtls[e->vtl].crash;
	unsigned n = 0;

	run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	run->system_event.type = e->type;
	run->system_event.data[n++] = e->vtl;
	if (e->type == KVM_SYSTEM_EVENT_CRASH) {
		run->system_event.data[n++] = e->control;
		for (unsigned i = 0; i < CRASH_PARAMETERS; i++)
			run->system_event.data[n++] = crash[i];
	}
	run->system_event.ndata = n;
	vp->system_event = (struct system_event){0};
}
