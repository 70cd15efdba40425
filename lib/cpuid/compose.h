/* SPDX-License-Identifier: MIT */
/* The Hyper-V leaves of a partition's CPUID. */
#ifndef VSM_LIB_CPUID_COMPOSE_H
#define VSM_LIB_CPUID_COMPOSE_H

#include <stdbool.h>
#include <linux/kvm.h>

struct vsm_partition;

/* False: there is no such leaf. */
bool cpuid_hyperv_leaf(const struct vsm_partition *p, __u32 function, struct kvm_cpuid_entry2 *e);

#endif
