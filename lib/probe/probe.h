/* SPDX-License-Identifier: MIT */
/* The host probe on any host: the partition's and the tests' way in. */
#ifndef VSM_LIB_PROBE_PROBE_H
#define VSM_LIB_PROBE_PROBE_H

#include "kvm/ops.h"
#include "vsm/probe.h"

/* As vsm_probe_host(). */
int probe_host_on(const struct kvm_host *host, int kvm_fd, struct vsm_probe *probe);

/* One row of the table: what is asked of KVM and what the answer means. */
struct capability {
	const char *name;
	long number; /* KVM_CAP_* */
	bool needed;
	int bits; /* all of these must be in the answer; 0: any answer above 0 will do */
	const char *since, *purpose, *loss;
};

/* capability.c */
extern const struct capability capabilities[];
extern const size_t capability_count;

#endif
