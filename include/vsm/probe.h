/* SPDX-License-Identifier: MIT */
/* What a host's KVM offers libvsm, as data and as text. */
#ifndef VSM_PROBE_H
#define VSM_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include "vsm/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One capability. All strings are constants of the library. */
struct vsm_probe_entry {
	const char *name;    /* e.g. "KVM_CAP_X86_MSR_FILTER" */
	const char *since;   /* kernel release that brought it, e.g. "5.10" */
	const char *purpose; /* what the library does with it */
	const char *loss;    /* what is lost without it */
	bool needed;	     /* nothing works without it */
	bool present;
	int value; /* KVM_CHECK_EXTENSION's answer */
};

#define VSM_PROBE_ENTRIES_MAX 48

struct vsm_probe {
	size_t size;	 /* in: sizeof(struct vsm_probe) of the caller */
	bool usable;	 /* every needed entry is present */
	int api_version; /* KVM_GET_API_VERSION */
	size_t entry_count;
	struct vsm_probe_entry entries[VSM_PROBE_ENTRIES_MAX];
};

/*
 * Asks the host. kvm_fd: /dev/kvm; stays the caller's. Creates and closes a VM for the questions
 * only a VM answers. Any thread.
 *
 * -EINVAL NULL, a wrong size, or kvm_fd is no KVM device; -ENOTSUP the API version is not 12;
 * errors of KVM_CREATE_VM
 */
VSM_API int vsm_probe_host(int kvm_fd, struct vsm_probe *probe);

/*
 * Writes the report as text, a line an entry, NUL-terminated, cut to `room` bytes. Returns the
 * length the whole text has, as snprintf(3). text may be NULL when room is 0.
 */
VSM_API int vsm_probe_text(const struct vsm_probe *probe, char *text, size_t room);

#ifdef __cplusplus
}
#endif

#endif
