/* SPDX-License-Identifier: MIT */
/* HV_X64_MSR_EOI, _ICR and _TPR (TLFS virtual-interrupts.md): rows of the synthetic MSR table. */
#ifndef VSM_LIB_MSR_APIC_MSR_H
#define VSM_LIB_MSR_APIC_MSR_H

#include <stdbool.h>
#include <stdint.h>

struct vsm_partition;
struct vsm_vcpu;

int apic_msr_read(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value);
int apic_msr_write(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value);

/* All VTLs have them: KVM's own local APIC has them only where KVM has Hyper-V's interface. */
bool apic_msr_offered(const struct vsm_partition *p);

#endif
