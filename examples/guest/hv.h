/* SPDX-License-Identifier: MIT */
/* Hyper-V as a guest sees it: numbers and layouts of the TLFS, and the calls a payload makes. */
#ifndef GUEST_HV_H
#define GUEST_HV_H

#include <stddef.h>
#include <stdint.h>

/* Synthetic MSRs. */
#define HV_MSR_GUEST_OS_ID	0x40000000
#define HV_MSR_HYPERCALL	0x40000001
#define HV_MSR_VP_INDEX		0x40000002
#define HV_MSR_TIME_REF_COUNT	0x40000020
#define HV_MSR_REFERENCE_TSC	0x40000021
#define HV_MSR_EOI		0x40000070
#define HV_MSR_VP_ASSIST_PAGE	0x40000073
#define HV_MSR_SCONTROL		0x40000080
#define HV_MSR_SIMP		0x40000083
#define HV_MSR_EOM		0x40000084
#define HV_MSR_SINT0		0x40000090
#define HV_MSR_STIMER_CONFIG(n) (0x400000b0 + 2 * (n))
#define HV_MSR_STIMER_COUNT(n)	(0x400000b1 + 2 * (n))

#define HV_ENABLE		1 /* bit 0 of the MSRs that place a page */
#define HV_SINT_AUTO_EOI	(UINT64_C(1) << 17)

/* Bits and fields of a synthetic timer's configuration */
#define HV_STIMER_ENABLE	 1 /* goes when the timer expires, unless that is periodic */
#define HV_STIMER_PERIODIC	 2
#define HV_STIMER_AUTO		 8 /* a count enables it */
#define HV_STIMER_DIRECT(vector) (0x1000 | (vector) << 4)
#define HV_STIMER_SINT(n)	 ((n) << 16)

/* Hypercalls. */
#define HV_FLUSH_SPACE		  0x02
#define HV_FLUSH_LIST		  0x03
#define HV_LONG_SPIN_WAIT	  0x08
#define HV_MODIFY_PROTECTION_MASK 0x0c
#define HV_ENABLE_PARTITION_VTL	  0x0d
#define HV_DISABLE_PARTITION_VTL  0x0e
#define HV_ENABLE_VP_VTL	  0x0f
#define HV_DISABLE_VP_VTL	  0x10
#define HV_FLUSH_SPACE_EX	  0x13
#define HV_FLUSH_LIST_EX	  0x14
#define HV_INSTALL_INTERCEPT	  0x4d
#define HV_GET_VP_REGISTERS	  0x50
#define HV_SET_VP_REGISTERS	  0x51
#define HV_TRANSLATE		  0x52
#define HV_ASSERT_INTERRUPT	  0x94
#define HV_START_VP		  0x99
#define HV_GET_VP_INDEX		  0x9a
#define HV_TRANSLATE_EX		  0xac
#define HV_CHECK_ACCESS		  0xd4
#define HV_QUERY_CAPABILITIES	  0x8001
#define HV_FAST			  (UINT64_C(1) << 16)
#define HV_REPS(n)		  ((uint64_t)(n) << 32)
#define HV_STATUS(result)	  ((uint16_t)(result))
#define HV_REPS_DONE(result)	  ((unsigned)((result) >> 32 & 0xfff))

#define HV_SUCCESS		  0
#define HV_INVALID_CODE		  2
#define HV_INVALID_INPUT	  3
#define HV_INVALID_ALIGNMENT	  4
#define HV_INVALID_PARAMETER	  5
#define HV_ACCESS_DENIED	  6
#define HV_OPERATION_DENIED	  8
#define HV_INSUFFICIENT_MEMORY	  0xb
#define HV_INVALID_VP_INDEX	  0xe
#define HV_INVALID_VTL_STATE	  0x51
#define HV_VARIABLE(words)	  ((uint64_t)(words) << 17)

#define HV_PARTITION_SELF	  UINT64_MAX
#define HV_VP_SELF		  0xfffffffe
#define HV_OWN_VTL		  0
#define HV_VTL(n)		  (0x10 | (n)) /* HV_INPUT_VTL: use this one */

/* Registers of HvCallGetVpRegisters and HvCallSetVpRegisters. */
#define HV_REGISTER_SUSPEND	  0x00000000 /* HvRegisterExplicitSuspend */
#define HV_REGISTER_PENDING_EVENT 0x00010004
#define HV_REGISTER_RAX		  0x00020000
#define HV_REGISTER_RIP		  0x00020010
#define HV_REGISTER_CR0		  0x00040000
#define HV_REGISTER_CR3		  0x00040002
#define HV_REGISTER_XFEM	  0x00040005
#define HV_REGISTER_EFER	  0x00080001
#define HV_REGISTER_LSTAR	  0x00080009
#define HV_REGISTER_VP_ASSIST	  0x00090013
#define HV_REGISTER_SINT0	  0x000a0000
#define HV_REGISTER_SCONTROL	  0x000a0010
#define HV_REGISTER_SIMP	  0x000a0013
#define HV_REGISTER_CODE_OFFSETS  0x000d0002
#define HV_REGISTER_VP_STATUS	  0x000d0003
#define HV_REGISTER_CAPABILITIES  0x000d0006
#define HV_REGISTER_PARTITION_CFG 0x000d0007
#define HV_REGISTER_SECURE_CONFIG 0x000d0010 /* for VTL0 */
#define HV_REGISTER_CR_INTERCEPT  0x000e0000

#define HV_ENABLE_MBEC		  1
#define HV_SECURE_CONFIG_MBEC	  1
#define HV_CAPABILITY_MBEC(vtl)	  (UINT64_C(1) << (47 + (vtl)))
#define HV_VP_STATUS_MBEC	  (1 << 4)

/* HvRegisterVsmPartitionConfig */
#define HV_CONFIG_PROTECTION	  1
#define HV_CONFIG_DEFAULT_MASK(m) ((uint64_t)(m) << 1)

/* HV_MAP_GPA_FLAGS, as protection masks */
#define HV_NO_ACCESS		 0
#define HV_R			 1
#define HV_W			 2
#define HV_KX			 4
#define HV_UX			 8
#define HV_X			 (HV_KX | HV_UX)
#define HV_RWX			 (HV_R | HV_W | HV_X)

#define HV_MESSAGE_GPA_INTERCEPT 0x80000001
#define HV_MESSAGE_IO_INTERCEPT	 0x80010000
#define HV_MESSAGE_MSR_INTERCEPT 0x80010001

enum hv_access {
	HV_ACCESS_READ,
	HV_ACCESS_WRITE,
	HV_ACCESS_EXECUTE,
};

struct hv_segment {
	uint64_t base;
	uint32_t limit;
	uint16_t selector;
	uint16_t attributes;
};

struct hv_table {
	uint16_t pad[3];
	uint16_t limit;
	uint64_t base;
};

/* HV_INITIAL_VP_CONTEXT */
struct hv_context {
	uint64_t rip, rsp, rflags;
	struct hv_segment cs, ds, es, fs, gs, ss, tr, ldtr;
	struct hv_table idtr, gdtr;
	uint64_t efer, cr0, cr3, cr4, pat;
};
_Static_assert(sizeof(struct hv_context) == 224, "HV_INITIAL_VP_CONTEXT");

/* The input of HvCallEnablePartitionVtl */
struct hv_partition_vtl {
	uint64_t partition;
	uint8_t vtl;
	uint8_t flags; /* HV_ENABLE_MBEC */
	uint8_t reserved[6];
};
_Static_assert(sizeof(struct hv_partition_vtl) == 16, "HvCallEnablePartitionVtl");
_Static_assert(offsetof(struct hv_partition_vtl, flags) == 9, "HvCallEnablePartitionVtl");

/* The input of HvCallEnableVpVtl and of HvCallStartVirtualProcessor */
struct hv_vp_vtl {
	uint64_t partition;
	uint32_t vp;
	uint8_t vtl;
	uint8_t reserved[3];
	struct hv_context context;
};
_Static_assert(sizeof(struct hv_vp_vtl) == 240, "HvCallEnableVpVtl");
_Static_assert(offsetof(struct hv_vp_vtl, vtl) == 12, "HvCallEnableVpVtl");
_Static_assert(offsetof(struct hv_vp_vtl, context) == 16, "HvCallEnableVpVtl");

/* The input of HvCallGetVpRegisters and HvCallSetVpRegisters for one register */
struct hv_vp_register {
	uint64_t partition;
	uint32_t vp;
	uint8_t vtl;
	uint8_t reserved[3];
	uint32_t name;
	uint32_t reserved2[3];
	uint64_t value[2]; /* HvCallSetVpRegisters only */
};
_Static_assert(sizeof(struct hv_vp_register) == 48, "HvCallSetVpRegisters");

#define HV_PROTECTION_PAGES 256

/* The input of HvCallModifyVtlProtectionMask, with as many pages as it is used for at most */
struct hv_protection {
	uint64_t partition;
	uint32_t mask;
	uint8_t vtl;
	uint8_t reserved[3];
	uint64_t pages[HV_PROTECTION_PAGES];
};
_Static_assert(offsetof(struct hv_protection, pages) == 16, "HvCallModifyVtlProtectionMask");

#define HV_EXECUTION_LONG_MODE 0x10   /* bit of execution_state */
#define HV_EXECUTION_PENDING   0x40   /* another: an event is being delivered */
#define HV_SEGMENT_LONG	       0x2000 /* bit of a code segment's attributes */

/* What messages of intercepts begin with: that of HV_MESSAGE, and HV_X64_INTERCEPT_MESSAGE_HEADER */
#define HV_INTERCEPT_HEAD                                                 \
	struct {                                                          \
		uint32_t type;                                            \
		uint8_t payload_size;                                     \
		uint8_t flags; /* bit 0: more messages wait, write EOM */ \
		uint16_t reserved;                                        \
		uint64_t origin;                                          \
		uint32_t vp_index;                                        \
		uint8_t instruction_length; /* bits 3:0 */                \
		uint8_t access;		    /* enum hv_access */          \
		uint16_t execution_state;                                 \
		struct hv_segment cs;                                     \
		uint64_t rip, rflags;                                     \
	}

/* HV_MESSAGE with a memory intercept in it */
struct hv_intercept {
	HV_INTERCEPT_HEAD;
	uint32_t cache_type;
	uint8_t instruction_byte_count;
	uint8_t access_info;
	uint16_t reserved2;
	uint64_t gva, gpa;
	uint8_t instruction_bytes[16];
	uint8_t rest[160];
};
_Static_assert(sizeof(struct hv_intercept) == 256, "HV_MESSAGE");
_Static_assert(offsetof(struct hv_intercept, gpa) == 16 + 0x38, "HV_X64_MEMORY_INTERCEPT_MESSAGE");

/* The same with an MSR intercept in it */
struct hv_msr_intercept {
	HV_INTERCEPT_HEAD;
	uint32_t msr, reserved2;
	uint64_t rdx, rax;
};
_Static_assert(offsetof(struct hv_msr_intercept, rdx) == 16 + 0x30, "HV_X64_MSR_INTERCEPT_MESSAGE");

/* The same with an I/O port intercept in it */
struct hv_io_intercept {
	HV_INTERCEPT_HEAD;
	uint16_t port;
	uint8_t access_info; /* size 2:0, string 3, repeat prefix 4 */
	uint8_t instruction_byte_count;
	uint32_t reserved2;
	uint64_t rax;
	uint8_t instruction_bytes[16];
	struct hv_segment ds, es;
	uint64_t rcx, rsi, rdi;
};
_Static_assert(offsetof(struct hv_io_intercept, rax) == 16 + 0x30,
	       "HV_X64_IO_PORT_INTERCEPT_MESSAGE");

/* The start of HV_VP_ASSIST_PAGE */
struct hv_assist {
	uint32_t apic_assist, reserved;
	uint32_t entry_reason;
	uint32_t vina;
	/* What a return that is not `fast` gives back: to 64-bit code, and to other code. */
	union {
		struct {
			uint64_t rax, rcx;
		};
		struct {
			uint32_t eax, ecx, edx, reserved32;
		};
	};
};
_Static_assert(offsetof(struct hv_assist, rax) == 16, "HV_VP_ASSIST_PAGE");

#define HV_ENTRY_NONE	   0 /* not the hypervisor's: what a VTL leaves there */
#define HV_ENTRY_CALL	   1
#define HV_ENTRY_INTERRUPT 2

/* Ends the guest, saying why, unless the hypervisor offers VSM (CPUID). */
void hv_require_vsm(void);

/*
 * Registers the guest OS, shows the hypercall page, asks for the VTL call and return offsets. Each
 * VTL does it for itself.
 */
void hv_setup(void);

/* The hypercall page of this copy of the library, and its three entries. */
extern uint8_t hv_page[4096];
extern void *hv_call_entry, *hv_vtl_call_entry, *hv_vtl_return_entry;

/* A hypercall with its input and output in memory (or, with HV_FAST, in the two arguments). */
uint64_t hv_call(uint64_t control, uint64_t input, uint64_t output);

/* One register of this VP; vtl: HV_OWN_VTL or HV_VTL(n). Return the status. */
uint16_t hv_get_register(uint8_t vtl, uint32_t name, uint64_t *value);
uint16_t hv_set_register(uint8_t vtl, uint32_t name, uint64_t value);

/* The same of any VP. */
uint16_t hv_get_vp_register(uint32_t vp, uint8_t vtl, uint32_t name, uint64_t *value);
uint16_t hv_set_vp_register(uint32_t vp, uint8_t vtl, uint32_t name, uint64_t value);

/* Raises an exception with error code 0 in a lower VTL when it is next entered. */
uint16_t hv_inject(uint8_t vtl, uint8_t vector);

/* Turns this VTL's protections on, with nothing restricted yet. */
void hv_protections_on(void);

/*
 * Restricts a lower VTL (HV_VTL(n), or 0: the one below) on `count` pages from `gpa` on. Returns
 * the result value of the last hypercall.
 */
uint64_t hv_protect_from(uint8_t vtl, const void *gpa, size_t count, uint32_t mask);
uint64_t hv_protect(const void *gpa, size_t count, uint32_t mask); /* VTL0 */

#endif
