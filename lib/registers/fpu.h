/* SPDX-License-Identifier: MIT */
/* x87 and SSE registers of a VP, in the legacy region of its active VTL's XSAVE image (Intel SDM 1,
 * 13.4.1). The VTLs share them. */
#ifndef VSM_LIB_REGISTERS_FPU_H
#define VSM_LIB_REGISTERS_FPU_H

#include <stddef.h>
#include <stdint.h>

struct vsm_vcpu;

#define FPU_CONTROL   0 /* FCW, FSW, FTW, FOP, FIP: laid out as HV_X64_FP_CONTROL_STATUS_REGISTER */
#define FPU_MXCSR     16 /* FDP, MXCSR, its mask: as HV_X64_XMM_CONTROL_STATUS_REGISTER */
#define FPU_ST0	      32
#define FPU_XMM0      160
#define FPU_REG_SIZE  16
#define FPU_XMM_COUNT 16

/* [offset, offset+len) of the legacy region, within the registers above. Errno of a failed kernel
 * call; -EINVAL: KVM refuses the value. */
int fpu_read(struct vsm_vcpu *vp, uint32_t offset, void *buf, size_t len);
int fpu_write(struct vsm_vcpu *vp, uint32_t offset, const void *buf, size_t len);

#endif
