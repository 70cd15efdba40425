/* SPDX-License-Identifier: MIT */
/*
 * MSRs by which a guest speaks of its machine: HV_X64_MSR_VP_RUNTIME, _RESET, and the crash MSRs
 * (TLFS partition-properties.md, "Partition Crash Enlightenment"). Rows of the synthetic MSR table.
 */
#ifndef VSM_LIB_MSR_MACHINE_MSR_H
#define VSM_LIB_MSR_MACHINE_MSR_H

#include <stdint.h>

struct kvm_run;
struct vsm_vcpu;

int runtime_msr_read(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value);
int reset_msr_read(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value);
int reset_msr_write(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value);
int crash_msr_read(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value);
int crash_msr_write(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value);

/* What the guest told, for the VMM: KVM_EXIT_SYSTEM_EVENT. It has been told then. */
void machine_event_show(struct vsm_vcpu *vp, struct kvm_run *run);

#endif
