/* SPDX-License-Identifier: MIT */
/* What a partition may do (TLFS datatypes/hv_partition_privilege_mask.md): what CPUID leaf
 * 0x40000003 shows in EAX (31:0) and EBX (63:32), and what the hypercall table asks for. */
#ifndef VSM_LIB_HV_PRIVILEGES_H
#define VSM_LIB_HV_PRIVILEGES_H

#include <stdint.h>

#define HV_PRIVILEGE_VP_RUNTIME		 (UINT64_C(1) << 0)
#define HV_PRIVILEGE_REFERENCE_COUNTER	 (UINT64_C(1) << 1)
#define HV_PRIVILEGE_SYNIC_REGS		 (UINT64_C(1) << 2)
#define HV_PRIVILEGE_SYNTHETIC_TIMERS	 (UINT64_C(1) << 3)
#define HV_PRIVILEGE_INTR_CTRL_REGS	 (UINT64_C(1) << 4)
#define HV_PRIVILEGE_HYPERCALL_MSRS	 (UINT64_C(1) << 5)
#define HV_PRIVILEGE_VP_INDEX		 (UINT64_C(1) << 6)
#define HV_PRIVILEGE_RESET		 (UINT64_C(1) << 7)
#define HV_PRIVILEGE_REFERENCE_TSC	 (UINT64_C(1) << 9)
#define HV_PRIVILEGE_FREQUENCY_REGS	 (UINT64_C(1) << 11)
#define HV_PRIVILEGE_POST_MESSAGES	 (UINT64_C(1) << 36)
#define HV_PRIVILEGE_SIGNAL_EVENTS	 (UINT64_C(1) << 37)
#define HV_PRIVILEGE_VSM		 (UINT64_C(1) << 48)
#define HV_PRIVILEGE_VP_REGISTERS	 (UINT64_C(1) << 49)
#define HV_PRIVILEGE_EXTENDED_HYPERCALLS (UINT64_C(1) << 52)
#define HV_PRIVILEGE_START_VP		 (UINT64_C(1) << 53)

/* Every partition of this library has these, and perhaps more (cpuid/compose.c): what is not
 * answered is not granted. */
#define HV_PRIVILEGES_GRANTED                                                                    \
	(HV_PRIVILEGE_VP_RUNTIME | HV_PRIVILEGE_RESET | HV_PRIVILEGE_REFERENCE_COUNTER |         \
	 HV_PRIVILEGE_SYNIC_REGS | HV_PRIVILEGE_SYNTHETIC_TIMERS | HV_PRIVILEGE_HYPERCALL_MSRS | \
	 HV_PRIVILEGE_VP_INDEX | HV_PRIVILEGE_REFERENCE_TSC | HV_PRIVILEGE_POST_MESSAGES |       \
	 HV_PRIVILEGE_SIGNAL_EVENTS | HV_PRIVILEGE_VSM | HV_PRIVILEGE_VP_REGISTERS |             \
	 HV_PRIVILEGE_START_VP | HV_PRIVILEGE_EXTENDED_HYPERCALLS)

#endif
