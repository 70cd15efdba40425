/* SPDX-License-Identifier: MIT */
/* One MSR of one vCPU, past the MSR filter. */
#ifndef VSM_LIB_REGISTERS_MSR_H
#define VSM_LIB_REGISTERS_MSR_H

#include "registers/vtl_cpu.h"

/* -ENOENT: KVM does not have it; else the errno of the failed call. */
int vtl_cpu_read_msr(const struct vtl_cpu *cpu, uint32_t index, uint64_t *value);

/* -EINVAL: KVM does not have it, or refuses the value; else the errno of the failed call. */
int vtl_cpu_write_msr(const struct vtl_cpu *cpu, uint32_t index, uint64_t value);

#endif
