/* SPDX-License-Identifier: MIT */
/*
 * Memory intercepts. A protected access surfaces as EFAULT from KVM_RUN (state as before the
 * instruction, no address), as an MMIO exit (address known; a store is already retired), or as an
 * internal error (emulation failed; state as before).
 *
 *   decode.c   instruction bytes -> length, memory operands, implicit accesses (Zydis)
 *   walk.c     guest page tables -> GPA, and the accesses the walk itself makes
 *   locate.c   EFAULT / internal error -> the first access the VTL's limits forbid
 *   mmio.c     MMIO exit -> the same, and the pre-instruction state
 *   retired.c  a store KVM retired: shown as not yet executed, finished later if allowed
 *   message.c  the TLFS memory intercept message
 */
#ifndef VSM_LIB_INTERCEPT_INTERCEPT_H
#define VSM_LIB_INTERCEPT_INTERCEPT_H

#include "hv/message.h"
#include "memory/memory.h"
#include "registers/vtl_cpu.h"

struct vsm_vcpu;

#define INSN_MAX 15

/* --- decode.c: pure --- */

struct insn_context {
	const struct kvm_regs *regs;
	const struct kvm_sregs *sregs;
};

/* One access an instruction makes, in the order the processor makes them as far as it is defined.
 */
struct insn_access {
	gva_t gva;
	uint16_t size; /* bytes; accesses may cross a page */
	enum mem_access
		access;	 /* MEM_READ or MEM_WRITE; a read-modify-write gives both, read first */
	bool supervisor; /* implicit supervisor access (descriptor tables), whatever the CPL */
};

#define INSN_ACCESSES 8

struct insn {
	uint8_t length;
	uint8_t bytes[INSN_MAX];
	bool rep; /* a repeated string instruction: accesses are the next iteration's */
	struct insn_access accesses[INSN_ACCESSES];
	uint8_t access_count;
};

/*
 * Decodes bytes[0, count) at the context's RIP in its mode. -EINVAL: no instruction (or cut short);
 * -ENOTSUP: decoded (length and bytes valid) but its memory operands cannot be told.
 */
int insn_decode(const struct insn_context *c, const uint8_t *bytes, size_t count,
		struct insn *insn);

/*
 * Finds the instruction that ended at RIP with a store of data[0, size) to gva (and whatever
 * registers that tells): tries each length. *before becomes the registers before it. -ENOENT: none
 * fits.
 */
int insn_find_retired_store(const struct insn_context *after, const uint8_t *bytes_before_rip,
			    size_t count, gva_t gva, const void *data, size_t size,
			    struct insn *insn, struct kvm_regs *before);

/* --- walk.c --- */

struct walk_result {
	gpa_t gpa;
	bool writable, user, executable; /* by the guest's page tables */
};

/*
 * Translates as VTL `vtl`'s processor in the given mode would, without changing anything. access
 * and user select the guest's own permission checks. 0        *result -ENOENT  the guest's tables
 * have no (or no permitting) translation: the guest would get #PF -EACCES  a table page itself is
 * closed to the VTL (*fault: GPA of the entry, MEM_READ, or MEM_WRITE for an accessed/dirty update)
 *   -EFAULT  a table lies outside memory
 */
int walk(const struct memory *m, unsigned vtl, const struct kvm_sregs *sregs, gva_t gva,
	 enum mem_access access, bool user, struct walk_result *result, struct access_fault *fault);

/*
 * Reads guest-virtual memory as an instruction fetch. *got: bytes read before the first failure
 * (0..len). 0 if all, else walk()'s or guest_read()'s error for the next byte, with *fault.
 */
int walk_fetch(const struct memory *m, unsigned vtl, const struct kvm_sregs *sregs, gva_t gva,
	       void *buf, size_t len, size_t *got, struct access_fault *fault);

/* --- locate.c, mmio.c --- */

/* A violation: everything a message needs. */
struct violation {
	uint8_t setter; /* VTL to tell; 0: no limit is violated, this is the VMM's business */
	enum mem_access access;
	gpa_t gpa;
	gva_t gva;
	bool gva_valid;
	uint8_t insn_length; /* 0 unknown, or a fetch */
	uint8_t insn_count;
	uint8_t insn_bytes[16];
	bool allowed_here; /* the limit allows this access, only the hardware protection does not
			      (strict execute policy) */
	uint64_t open_pages[4]; /* then: pages to open for one step */
	uint8_t open_count;
};

/*
 * What forbade the instruction at the active VTL's RIP (state as before it). 0 with v->setter 0
 * when nothing does; or the errno of a failed kernel call.
 */
int intercept_locate(struct vsm_vcpu *vp, struct violation *v);

/*
 * The same for the MMIO exit in the active VTL's kvm_run. If it is a violation, the half-done
 * instruction is completed or taken back: the registers are those before it. If not, nothing is
 * touched and v->setter is 0.
 */
int intercept_mmio(struct vsm_vcpu *vp, struct violation *v);

/* --- retired.c --- */

/*
 * Before `vp` re-enters its active VTL: a store that KVM retired and the library took back is
 * finished if RIP still points at it and the limits now allow it. *v: it is still forbidden (setter
 * != 0): intercept again.
 */
int intercept_resume(struct vsm_vcpu *vp, struct violation *v);

/* --- message.c: pure --- */

void intercept_message(struct hv_message *msg, uint32_t vp_index, unsigned vtl,
		       const struct kvm_regs *regs, const struct kvm_sregs *sregs,
		       const struct violation *v);

#endif
