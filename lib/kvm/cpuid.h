/* SPDX-License-Identifier: MIT */
/* What KVM can give guests of this host (Linux api.rst, KVM_GET_SUPPORTED_CPUID). */
#ifndef VSM_LIB_KVM_CPUID_H
#define VSM_LIB_KVM_CPUID_H

#include "kvm/ops.h"

/* The table, for free(); without entries where the host refuses. NULL: no memory. */
struct kvm_cpuid2 *cpuid_supported(const struct kvm_host *host, int dev_fd);

/* The leaf's entry, of subleaf 0, or NULL. */
const struct kvm_cpuid_entry2 *cpuid_leaf(const struct kvm_cpuid2 *table, uint32_t function);

#endif
