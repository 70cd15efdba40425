/* SPDX-License-Identifier: MIT */
/* HvCallInstallIntercept. Of what it names, user space of an unmodified KVM sees MSR accesses. */
#include "hypercall/call.h"

#include <errno.h>
#include <string.h>

#include "msr/intercept.h"

static bool type_exists(uint32_t type)
{
	return type < 32 && (HV_INTERCEPT_TYPES >> type & 1);
}

static enum hv_status status_of(int error)
{
	switch (error) {
	case 0:
		return HV_SUCCESS;
	case -ENOTSUP:
		return HV_OPERATION_DENIED;
	default:
		return HV_INSUFFICIENT_MEMORY;
	}
}

enum hv_status hypercall_install_intercept(struct hypercall_call *c)
{
	const uint32_t possible = HV_INTERCEPT_ACCESS_READ | HV_INTERCEPT_ACCESS_WRITE;
	struct hv_install_intercept in;
	enum hv_status status;

	memcpy(&in, c->input, sizeof(in));
	status = hypercall_target_partition(in.partition_id);
	if (status)
		return status;
	if (!c->vtl)
		return HV_ACCESS_DENIED;
	if (!type_exists(in.type) || (in.access & ~HV_INTERCEPT_ACCESS_ALL))
		return HV_INVALID_PARAMETER;
	if (in.type != HV_INTERCEPT_TYPE_MSR)
		return HV_OPERATION_DENIED;
	if ((in.access & ~possible) || in.parameter > UINT32_MAX)
		return HV_INVALID_PARAMETER;
	return status_of(msr_intercept_install(c->partition, c->vtl, (uint32_t)in.parameter,
					       (uint8_t)in.access));
}
