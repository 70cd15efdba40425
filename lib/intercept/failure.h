/* SPDX-License-Identifier: MIT */
/* What the exit of a failed emulation tells of the event KVM gave up for it. */
#ifndef VSM_LIB_INTERCEPT_FAILURE_H
#define VSM_LIB_INTERCEPT_FAILURE_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/kvm.h>
#include "memory/memory.h"

struct failure_event {
	uint8_t vector;
	bool exception; /* KVM has forgotten it; an interrupt or NMI is still queued */
	bool has_error_code;
	bool known; /* an exception with all it takes to queue it again */
	uint32_t error_code;
};

/* False: none is shown. The exit is KVM_EXIT_INTERNAL_ERROR, KVM_INTERNAL_ERROR_EMULATION. */
bool failure_event(const struct kvm_run *run, struct failure_event *event);

/* The access that made KVM emulate; false: it is not shown. For walks of tables it is a store. */
bool failure_access(const struct kvm_run *run, gpa_t *gpa, enum mem_access *access);

#endif
