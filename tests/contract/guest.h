/* SPDX-License-Identifier: MIT */
/*
 * Guest code for both kinds of host: each instruction is written once as bytes, for a real KVM, and
 * beside them as the step that means the same to the fake.
 */
#ifndef VSM_TESTS_CONTRACT_GUEST_H
#define VSM_TESTS_CONTRACT_GUEST_H

#include "fake_kvm.h"

struct guest_insn {
	uint8_t code[16];
	uint8_t length;
	struct fake_step step; /* its rip and length are filled in when it is loaded */
};

struct guest {
	uint64_t at;
	size_t count;
	const struct guest_insn *insns;
};

/* Where things are: guest virtual = guest physical. */
#define GUEST_CODE    0x1000u
#define GUEST_HANDLER 0x2000u /* every vector of the IDT goes there */
#define GUEST_STACK   0x4000u /* grows down */
#define GUEST_PAGE    0x6000u /* data the tests protect */
#define GUEST_FAR     0x7000u /* code the tests protect */
#define GUEST_OTHER   0x8000u /* code a test goes to by setting RIP */
#define GUEST_TABLES  0x10000u
#define GUEST_IDT     0x14000u
#define GUEST_GDT     0x15000u
#define GUEST_MEMORY  0x100000u /* bytes in slot 0, from 0 on */
#define GUEST_SPARE   0x80000u	/* memory no guest uses: backs the slots a test adds */
#define GUEST_ROM     0x140000u /* where a test puts a read-only slot */
#define GUEST_HOLE    0x180000u /* no slot, but in the guest's page tables */

/* Ports that tell where a guest is. */
#define PORT_FIRST   0x31
#define PORT_SECOND  0x32
#define PORT_OTHER   0x33
#define PORT_HANDLER 0x34
#define PORT_IN	     0x35

/* MSRs the tests use. */
#define MSR_UNKNOWN  0x000d0006u
#define MSR_HYPERV   0x40000001u
#define MSR_X2APIC   0x802u /* APIC id; KVM has none without an in-kernel APIC */
#define STORED_VALUE 0x1122334455667788u

/* What guest_move_cr8 finds in RAX and RBX. */
#define CR8_HIGH 9
#define CR8_LOW	 2

extern const struct guest guest_outs;	      /* FIRST, SECOND, halt */
extern const struct guest guest_other;	      /* at GUEST_OTHER: OTHER, halt */
extern const struct guest guest_handler;      /* at GUEST_HANDLER: HANDLER, halt */
extern const struct guest guest_in;	      /* in from IN, FIRST */
extern const struct guest guest_store_page;   /* RAX to GUEST_PAGE, FIRST */
extern const struct guest guest_load_page;    /* GUEST_PAGE to RAX, FIRST */
extern const struct guest guest_store_rom;    /* RAX to GUEST_ROM, FIRST */
extern const struct guest guest_load_rom;     /* GUEST_ROM to RAX, FIRST */
extern const struct guest guest_store_hole;   /* RAX to GUEST_HOLE, FIRST */
extern const struct guest guest_load_hole;    /* GUEST_HOLE to RAX, FIRST */
extern const struct guest guest_far_out;      /* at GUEST_FAR: FIRST, halt */
extern const struct guest guest_rdmsr_hyperv; /* FIRST after it, as the next three */
extern const struct guest guest_wrmsr_hyperv;
extern const struct guest guest_rdmsr_unknown;
extern const struct guest guest_wrmsr_unknown;
extern const struct guest guest_halt;
extern const struct guest guest_undefined;   /* with an empty IDT: a triple fault */
extern const struct guest guest_open_window; /* sti, then nop for ever */
extern const struct guest guest_nops;	     /* nop, nop, FIRST */
extern const struct guest guest_spin;	     /* jmp to itself */
extern const struct guest guest_move_cr8;    /* RAX to CR8, FIRST, RBX to CR8, SECOND */
extern const struct guest guest_rdmsr_x2apic;

#endif
