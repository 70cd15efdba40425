/* SPDX-License-Identifier: MIT */
/* VTL protection masks, with the bit values of HV_MAP_GPA_FLAGS and DefaultVtlProtectionMask (TLFS
 * vsm.md). */
#ifndef VSM_LIB_MEMORY_PROT_H
#define VSM_LIB_MEMORY_PROT_H

#include <stdint.h>

/* Up to VTL2; what a partition really offers is its options' max_vtl. */
#define VSM_VTL_COUNT 3

typedef uint8_t prot_t;

#define PROT_R	 ((prot_t)0x1)
#define PROT_W	 ((prot_t)0x2)
#define PROT_KX	 ((prot_t)0x4) /* kernel-mode execute */
#define PROT_UX	 ((prot_t)0x8) /* user-mode execute */
#define PROT_ALL ((prot_t)0xf)

/* HV_INTERCEPT_ACCESS_TYPE: an enumeration in the messages, never a mask. */
enum mem_access {
	MEM_READ = 0,
	MEM_WRITE = 1,
	MEM_EXECUTE = 2,
};

#endif
