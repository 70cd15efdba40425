/* SPDX-License-Identifier: MIT */
/* HV_REGISTER_NAME -> where the register lives and who may touch it; Get and Set for any VP and
 * VTL. */
#ifndef VSM_LIB_REGISTERS_REGISTERS_H
#define VSM_LIB_REGISTERS_REGISTERS_H

#include "hv/hypercall.h"
#include "hv/status.h"

struct vsm_vcpu;

/*
 * Finding a register by its name: a hash table of where in the table its row is, in which a name
 * that is not at its own place is at the next free one. There are much fewer names than places.
 */
#define REGISTER_SLOT_BITS 10
#define REGISTER_SLOTS	   (1u << REGISTER_SLOT_BITS)

void register_index(uint8_t rows[REGISTER_SLOTS]);

/*
 * Reads or writes one register of `target`'s VTL `vtl` on behalf of VTL `caller`. The caller has
 * been checked to be at least as high as `vtl`; the VP is not in KVM_RUN.
 *
 * HV_INVALID_PARAMETER: unknown name, or read-only when written; HV_ACCESS_DENIED: this register is
 * not for that caller; HV_INVALID_REGISTER_VALUE: the value has reserved bits or KVM refuses it;
 * HV_OPERATION_DENIED: it asks for something that could not be enforced; HV_INVALID_VP_STATE: the
 * kernel failed; HV_INSUFFICIENT_MEMORY: protections could not be applied.
 */
enum hv_status register_get(struct vsm_vcpu *target, unsigned caller, unsigned vtl, uint32_t name,
			    struct hv_register_value *value);
enum hv_status register_set(struct vsm_vcpu *target, unsigned caller, unsigned vtl, uint32_t name,
			    const struct hv_register_value *value);

#endif
