/* SPDX-License-Identifier: MIT */
/* Calls that only tell or ask something: HvCallNotifyLongSpinWait, HvExtCallQueryCapabilities. */
#include "hypercall/call.h"

/* A hint for a scheduler; VPs are the VMM's threads, and the host's scheduler has them. */
enum hv_status hypercall_notify_long_spin_wait(struct hypercall_call *c)
{
	(void)c;
	return HV_SUCCESS;
}

/* No extended call but this one: the output is zero already. */
enum hv_status hypercall_query_capabilities(struct hypercall_call *c)
{
	(void)c;
	return HV_SUCCESS;
}
