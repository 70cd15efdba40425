/* SPDX-License-Identifier: MIT */
/*
 * A guest of a few instructions in 64-bit mode at CPL 0, on KVM alone: not a line of the library.
 */
#ifndef VSM_TESTS_STOCK_LONG_MODE_H
#define VSM_TESTS_STOCK_LONG_MODE_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096u

/* Guest-physical, and virtual: the first 2 MiB are mapped as they are. */
#define GUEST_BYTES  0x40000u
#define GUEST_GDT    0x6000u
#define GUEST_IDT    0x7000u
#define GUEST_CODE   0xa000u
#define GUEST_STACK  0xb000u
#define GUEST_DATA   0xd000u
#define GUEST_CLOSED 0x10000u /* the page that is taken away */

/* The 2 MiB from here have a table of their own, and the 4 KiB from here are GUEST_DATA. */
#define GUEST_FAR   0x200000u
#define GUEST_TABLE 0x5000u

/* Of a table's entry: present, writable; and what the processor adds when it uses it. */
#define ENTRY_NEW      0x03u
#define ENTRY_ACCESSED 0x20u
#define ENTRY_DIRTY    0x40u
#define ENTRY_USED     (ENTRY_NEW | ENTRY_ACCESSED | ENTRY_DIRTY)

#define GUEST_VECTOR   0x41 /* of the interrupt */
#define GUEST_DONE     0xfe /* the port that says: all done; a handler writes to the port VECTOR */

enum {
	SELECTOR_CODE = 8,
	SELECTOR_DATA = 16,
	SELECTOR_FRESH_CODE = 24, /* accessed bits clear */
	SELECTOR_FRESH_DATA = 32,
};

/* What lies in the page that is taken away, and not at its place above. */
enum guest_part {
	PART_DATA,
	PART_CODE,
	PART_TABLE,
	PART_GDT,
	PART_IDT,
	PART_STACK
};

/* How it is taken away. */
enum guest_closing {
	CLOSED_ABSENT,	  /* no memslot */
	CLOSED_READ_ONLY, /* KVM_MEM_READONLY */
	CLOSED_NONE,	  /* a plain memslot, of memory that is PROT_NONE */
	CLOSED_READ,	  /* the same, PROT_READ */
};

struct guest {
	int kvm, vm, vcpu;
	struct kvm_run *run;
	size_t run_size;
	uint8_t *memory;
	uint8_t *closed; /* the page's second mapping, whose protection says what the guest may */
	bool avx;
	enum guest_part part;
};

/* How KVM_RUN came back, and what the vCPU looks like then. */
struct outcome {
	int error; /* of KVM_RUN; EINTR: it did not come back by itself for STAY_MS */
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
	uint64_t emulated; /* instructions KVM has emulated */
};

#define STAY_MS 300

/* False: no KVM here, or none that has what is needed. */
bool guest_open(struct guest *g, enum guest_part part);
void guest_close(struct guest *g);
/* The slots, with GUEST_CLOSED as `closing` says. */
bool guest_show(struct guest *g, enum guest_closing closing);
/* The page as any other. */
bool guest_show_all(struct guest *g);
uint64_t guest_place(const struct guest *g, enum guest_part part);
uint64_t *guest_words(const struct guest *g, uint64_t gpa);
/* The entry for GUEST_FAR, the first of its table. */
uint64_t *guest_entry(const struct guest *g);
/* Until the next exit; a vCPU that has none is brought out by a signal. */
bool guest_run(struct guest *g, struct outcome *outcome);
/* In words, one line. */
void guest_print(const struct guest *g, const struct outcome *outcome);

#endif
