/* SPDX-License-Identifier: MIT */
/*
 * HvCallInstallIntercept. Of what it names, user space of an unmodified KVM sees accesses to MSRs
 * and to I/O ports.
 */
#include "hypercall/call.h"

#include <errno.h>
#include <string.h>

#include "intercept/io.h"
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

/* One port, or the first in bits 15:0 and the last in bits 31:16. */
static enum hv_status install_ports(const struct hypercall_call *c,
				    const struct hv_install_intercept *in)
{
	uint16_t first = (uint16_t)in->parameter, last = first;

	if (in->type == HV_INTERCEPT_TYPE_IO_PORT_RANGE)
		last = (uint16_t)(in->parameter >> 16);
	else if (in->parameter > UINT16_MAX)
		return HV_INVALID_PARAMETER;
	if (last < first)
		return HV_INVALID_PARAMETER;
	return status_of(
		io_intercept_install(c->partition, c->vtl, first, last, (uint8_t)in->access));
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
	if (in.type != HV_INTERCEPT_TYPE_MSR && in.type != HV_INTERCEPT_TYPE_IO_PORT &&
	    in.type != HV_INTERCEPT_TYPE_IO_PORT_RANGE)
		return HV_OPERATION_DENIED;
	if ((in.access & ~possible) || in.parameter > UINT32_MAX)
		return HV_INVALID_PARAMETER;
	if (in.type != HV_INTERCEPT_TYPE_MSR)
		return install_ports(c, &in);
	return status_of(msr_intercept_install(c->partition, c->vtl, (uint32_t)in.parameter,
					       (uint8_t)in.access));
}
