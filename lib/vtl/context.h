/* SPDX-License-Identifier: MIT */
/* HV_INITIAL_VP_CONTEXT: what a VTL starts with on a VP. */
#ifndef VSM_LIB_VTL_CONTEXT_H
#define VSM_LIB_VTL_CONTEXT_H

#include <stdbool.h>
#include "hv/vsm.h"
#include "registers/vtl_cpu.h"

/*
 * Could a processor run in this context, in that VTL? Real mode is for VTL0 alone (TLFS vsm.md,
 * "Real Mode"). physical_bits: of its addresses; 0: not known. What else depends on the processor
 * model (reserved bits of CR4) is left to KVM.
 */
bool context_valid(const struct hv_initial_vp_context *c, unsigned vtl, unsigned physical_bits);

/*
 * Writes a valid context to the vCPU, at once. Its local APIC's base and TPR stay. -EINVAL: KVM
 * refuses it; else the errno of the failed call. The vCPU's earlier state is put back on failure.
 */
int context_load(struct vtl_cpu *cpu, const struct hv_initial_vp_context *c);

#endif
