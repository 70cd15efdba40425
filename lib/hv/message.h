/* SPDX-License-Identifier: MIT */
/* SynIC messages (TLFS datatypes/hv_message.md, hv_message_type.md) and the memory intercept's
 * payload. */
#ifndef VSM_LIB_HV_MESSAGE_H
#define VSM_LIB_HV_MESSAGE_H

#include <stddef.h>
#include <stdint.h>
#include "hv/vsm.h"

#define HV_MESSAGE_PAYLOAD_SIZE 240

enum hv_message_type {
	HV_MESSAGE_NONE = 0,
	HV_MESSAGE_GPA_INTERCEPT = 0x80000001,
	HV_MESSAGE_TIMER_EXPIRED = 0x80000010,
	HV_MESSAGE_IO_INTERCEPT = 0x80010000,
	HV_MESSAGE_MSR_INTERCEPT = 0x80010001,
	HV_MESSAGE_REGISTER_INTERCEPT = 0x80010006,
};

#define HV_MESSAGE_FLAG_PENDING 0x01

struct hv_message {
	uint32_t type;
	uint8_t payload_size;
	uint8_t flags;
	uint16_t reserved;
	uint64_t origin;
	uint8_t payload[HV_MESSAGE_PAYLOAD_SIZE];
};
_Static_assert(sizeof(struct hv_message) == 256, "TLFS hv_message");

/* HV_X64_INTERCEPT_MESSAGE_HEADER */
struct hv_intercept_header {
	uint32_t vp_index;
	uint8_t length_and_cr8; /* instruction length 3:0, CR8 7:4 */
	uint8_t access;		/* enum mem_access */
	uint16_t execution_state;
	struct hv_segment cs;
	uint64_t rip;
	uint64_t rflags;
};
_Static_assert(sizeof(struct hv_intercept_header) == 40, "hv_x64_intercept_message_header");

/* execution_state */
#define HV_EXECUTION_CPL_MASK	  0x0003
#define HV_EXECUTION_CR0_PE	  0x0004
#define HV_EXECUTION_CR0_AM	  0x0008
#define HV_EXECUTION_EFER_LMA	  0x0010
#define HV_EXECUTION_DEBUG_ACTIVE 0x0020
#define HV_EXECUTION_PENDING	  0x0040
#define HV_EXECUTION_VTL_SHIFT	  7
#define HV_EXECUTION_SHADOW	  0x1000

/* HV_X64_MEMORY_INTERCEPT_MESSAGE; the part after instruction_bytes is what Hyper-V adds to the
 * TLFS's text. */
struct hv_memory_intercept {
	struct hv_intercept_header header;
	uint32_t cache_type;
	uint8_t instruction_count;
	uint8_t access_info;
	uint8_t tpr_priority;
	uint8_t reserved;
	uint64_t gva;
	uint64_t gpa;
	uint8_t instruction_bytes[16];
	struct hv_segment ds, ss;
	uint64_t gprs[16]; /* RAX RCX RDX RBX RSP RBP RSI RDI R8..R15 */
};
_Static_assert(offsetof(struct hv_memory_intercept, instruction_bytes) == 0x40,
	       "hv_x64_memory_intercept_message");
_Static_assert(offsetof(struct hv_memory_intercept, ds) == 0x50, "hv_x64_memory_intercept_message");
_Static_assert(sizeof(struct hv_memory_intercept) == HV_MESSAGE_PAYLOAD_SIZE, "fills the payload");

/* HV_X64_IO_PORT_INTERCEPT_MESSAGE: the TLFS has its name, the layout is Hyper-V's (Linux
 * include/hyperv/hvhdk.h). */
struct hv_io_intercept {
	struct hv_intercept_header header;
	uint16_t port;
	uint8_t access_info; /* size 2:0, string 3, repeat prefix 4 */
	uint8_t instruction_count;
	uint32_t reserved;
	uint64_t rax;
	uint8_t instruction_bytes[16];
	struct hv_segment ds, es;
	uint64_t rcx, rsi, rdi;
};
_Static_assert(sizeof(struct hv_io_intercept) == 0x40 + 2 * 16 + 3 * 8 + 8,
	       "hv_x64_io_port_intercept_message");

#define HV_IO_ACCESS_STRING 0x08
#define HV_IO_ACCESS_REP    0x10

/* HV_X64_MSR_INTERCEPT_MESSAGE */
struct hv_msr_intercept {
	struct hv_intercept_header header;
	uint32_t index, reserved;
	uint64_t rdx, rax;
};
_Static_assert(sizeof(struct hv_msr_intercept) == 64, "hv_x64_msr_intercept_message");

/* access_info */
#define HV_ACCESS_INFO_GVA_VALID     0x01
#define HV_ACCESS_INFO_GVA_GPA_VALID 0x02

#define HV_CACHE_TYPE_WRITE_BACK     6

#endif
