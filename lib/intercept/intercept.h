/* SPDX-License-Identifier: MIT */
/*
 * Memory intercepts. A protected access surfaces as EFAULT from KVM_RUN (state as before the
 * instruction, no address), as an MMIO exit (address known; a store is already retired), or as an
 * internal error (emulation failed; state as before).
 *
 *   decode.c   instruction bytes -> an instruction (Zydis)
 *   operands.c its memory operands and implicit accesses
 *   selectors.c descriptors an instruction reads, by selectors in registers and in memory
 *   reverse.c  a store that was emulated -> the instruction, and the registers before it
 *   viewer.c   a VTL's processor as these see it: modes, code bytes, pages of an access
 *   walk.c     guest page tables -> GPA, and the accesses the walk itself makes
 *   deliver.c  the accesses of an event's delivery
 *   load.c     system structures, and descriptors by selectors in memory
 *   failure.c  an internal error -> the event whose delivery KVM gave up
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

/* What an instruction sets in a descriptor it reads (SDM vol. 3, 3.4.5.1 and 7.2.2). */
enum insn_marks {
	MARKS_NOTHING,
	MARKS_ACCESSED, /* it loads a segment register */
	MARKS_BUSY,	/* LTR */
};

#define INSN_SELECTORS 2

struct insn {
	uint8_t length;
	uint8_t bytes[INSN_MAX];
	bool rep;	/* a repeated string instruction: accesses are the next iteration's */
	bool fpu;	/* x87, MMX, SSE or AVX state takes part */
	bool interrupt; /* delivers `vector` through the IDT: INT n and the like */
	uint8_t vector;
	bool undefined; /* UD2 and its like */
	bool unbounded; /* a debug trap behind it comes too late, or not at all */
	struct insn_access accesses[INSN_ACCESSES];
	uint8_t access_count;
	/*
	 * Where the selectors are whose descriptors it reads when it has made its loads; for one in
	 * a register the descriptor is among the accesses. Of a far return, the second counts if the
	 * first is for an outer ring and `outer` is popped then, or if `outer` has no size.
	 */
	gva_t selectors[INSN_SELECTORS];
	uint8_t selector_count;
	struct insn_access outer;
	enum insn_marks marks;
	/* It loads, or may load, PAE paging's four entries, which are at `pointers`. */
	bool loads_pointers;
	gpa_t pointers;
};

/*
 * Decodes bytes[0, count) at the context's RIP in its mode. -EINVAL: no instruction (or cut short);
 * -ENOTSUP: decoded (length and bytes valid) but its memory operands cannot be told.
 */
int insn_decode(const struct insn_context *c, const uint8_t *bytes, size_t count,
		struct insn *insn);

/* The access to the descriptor that a selector names in protected mode; false: it is null. */
bool insn_descriptor(const struct insn_context *c, uint16_t selector, struct insn_access *a);

/* --- reverse.c: pure --- */

/* A store KVM emulated, registers past it. */
struct retired_query {
	const struct insn_context *after;
	const uint8_t *data; /* stored bytes, `size` of them */
	size_t size;
	/*
	 * Where in an access to [gva, gva + len) the store was seen: a byte offset, or -1 if it was
	 * elsewhere. An access that crosses a page is seen from the second page on if the first one
	 * took it.
	 */
	int (*place)(void *ctx, gva_t gva, size_t len);
	void *ctx;
	/* Does memory hold these bytes now? For what of a store was not seen. NULL: not known. */
	bool (*holds)(void *ctx, gva_t gva, const uint8_t *bytes, size_t len);
};

/* How the instruction relates to the bytes given. */
enum retired_where {
	RETIRED_ENDS,	 /* the bytes are those before RIP */
	RETIRED_CALLS,	 /* a call: the bytes are those before the return address it stored */
	RETIRED_REPEATS, /* a repeated string instruction: the bytes start at RIP */
};

/*
 * Finds the instruction that made the store, by trying each length; of several that fit, the one
 * whose data is known to be that, then a locked one, then the shortest (what is before a shorter
 * one that does the same is a prefix without effect, or another instruction). *before becomes the
 * registers before it, but for what cannot be known: RFLAGS, and RAX and RDX of a failed CMPXCHG.
 * -ENOENT: none fits.
 */
int insn_find_retired_store(const struct retired_query *q, enum retired_where where,
			    const uint8_t *bytes, size_t count, struct insn *insn,
			    struct kvm_regs *before);

/* --- walk.c --- */

#define WALK_LEVELS 5

/* A table entry the walk used: on success and on failure, from the root on. */
struct walk_table {
	gpa_t entry;
	uint64_t value; /* of the entry, as read */
	bool updated;	/* the processor would set its accessed or dirty bit */
};

struct walk_result {
	gpa_t gpa;
	bool writable, user, executable; /* by the guest's page tables */
	struct walk_table tables[WALK_LEVELS];
	uint8_t table_count;
};

/*
 * Translates as VTL `vtl`'s processor in the given mode would, without changing anything. access
 * and user select the guest's own permission checks. *fault may be NULL.
 *
 *   0        *result
 *   -ENOENT  the guest's tables have no (or no permitting) translation: the guest would get #PF
 *   -EACCES  a table page itself is closed to the VTL (*fault: GPA of the entry, MEM_READ, or
 *            MEM_WRITE for an accessed/dirty update)
 *   -EFAULT  a table lies outside memory, or the update hits ROM
 */
int walk(const struct memory *m, unsigned vtl, const struct kvm_sregs *sregs, gva_t gva,
	 enum mem_access access, bool user, struct walk_result *result, struct access_fault *fault);

/*
 * The same without the guest's own rights, which *result has, and without the updates of accessed
 * and dirty bits.
 */
int walk_look(const struct memory *m, unsigned vtl, const struct kvm_sregs *sregs, gva_t gva,
	      struct walk_result *result, struct access_fault *fault);

/* Do the rights that a walk found let an access through, SMAP aside? */
bool walk_permits(const struct walk_result *result, const struct kvm_sregs *sregs,
		  enum mem_access access, bool user);

/*
 * Reads guest-virtual memory as an instruction fetch. *got: bytes read before the first failure
 * (0..len). 0 if all, else walk()'s or guest_read()'s error for the next byte, with *fault.
 */
int walk_fetch(const struct memory *m, unsigned vtl, const struct kvm_sregs *sregs, gva_t gva,
	       void *buf, size_t len, size_t *got, struct access_fault *fault);

/* --- locate.c, mmio.c --- */

#define VIOLATION_PAGES MEMORY_OPENINGS

/* A page to open for one instruction, and the accesses to open it for. */
struct violation_page {
	uint64_t page;
	prot_t prot;
};

/* A violation: everything a message needs. */
struct violation {
	uint8_t setter; /* VTL to tell; 0: no limit is violated, this is the VMM's business */
	enum mem_access access;
	gpa_t gpa; /* first byte of the access that is forbidden */
	gva_t gva;
	bool gva_valid;
	bool walking;	     /* it is the page-table walk's own, for gva: gva does not map to gpa */
	bool shadow;	     /* interrupts wait for the instruction: the one before held them up */
	uint8_t insn_length; /* 0 unknown, or a fetch */
	uint8_t insn_count;
	uint8_t insn_bytes[16];
	/*
	 * With setter 0, at most one of these; `delivers` also with a setter:
	 *
	 * The limits allow the instruction, only the host's protections do not. The pages it needs
	 * opened are named below. While they are open, no other VP may run in the VTL: what is
	 * opened is more than its limits give (a fetch, or a store to a table the processor walks).
	 */
	bool allowed_here;
	bool guessed;	/* allowed_here, and none of the pages is known to be closed */
	bool served;	/* MMIO: memory answered it; re-enter the VTL */
	bool overlay;	/* an overlay page's own permissions forbid it: #GP (TLFS
			 hypercall-interface.md). MMIO: the registers are those before it */
	bool unbounded; /* of the instruction, as in struct insn */
	bool delivers;	/* what needs the pages is the delivery of `vector` */
	uint8_t vector;
	uint8_t open_count;
	struct violation_page open[VIOLATION_PAGES];
};

/* False: nothing was found that would explain the exit. */
static inline bool violation_found(const struct violation *v)
{
	return v->setter || v->overlay || v->served || v->allowed_here;
}

/*
 * What forbade the instruction at the active VTL's RIP (state as before it). 0 with v->setter 0
 * when nothing does; or the errno of a failed kernel call. An exception that KVM queued because it
 * could not emulate the instruction is taken back unless this is the VMM's business.
 *
 * An instruction whose operands cannot be told (vector-indexed gathers, tiles) is laid at the door
 * of the lowest VTL that restricts this one, as a read of its own code page, gva_valid false: it is
 * never let through.
 */
int intercept_locate(struct vsm_vcpu *vp, struct violation *v);

/*
 * After an internal error for which intercept_locate() has found nothing: what KVM queued for it is
 * taken back, so that the instruction can be tried again. *forgotten false: KVM has given up an
 * exception for it, which would be lost. Errors are those of kernel calls.
 */
int intercept_forget_failure(struct vsm_vcpu *vp, bool *forgotten);

/*
 * The VTL to tell of an access that the limits allow and that cannot be carried out: as with an
 * instruction whose operands cannot be told. v->setter 0: nobody restricts the VTL.
 */
int intercept_refuse(struct vsm_vcpu *vp, struct violation *v);

/*
 * The same for the MMIO exit in the active VTL's kvm_run. If it is a violation, the half-done
 * instruction is completed or taken back: the registers are those before it. If memory can answer
 * it (v->served), run->mmio.data has a load's data, or the store is done. Else nothing is touched.
 */
int intercept_mmio(struct vsm_vcpu *vp, struct violation *v);

/* --- retired.c --- */

/* The most that KVM stores at once, 1024 bytes of a repeated INS, in pieces of 8 (Linux
 * arch/x86/kvm/emulate.c, pio_in_emulated()); or 64 bytes over a page boundary. */
#define RETIRED_FRAGMENTS 130

struct retired_fragment {
	gpa_t gpa;
	uint8_t len;
	uint8_t data[8];
	uint8_t old[8]; /* what memory held when the store was taken back */
};

/* The restorable state around a store KVM has already retired, good while `store_waits`. */
struct retired_store {
	struct kvm_regs before; /* as shown to the higher VTL */
	struct kvm_regs after;	/* as KVM left them */
	struct violation shown;
	uint8_t fragment_count;
	struct retired_fragment fragments[RETIRED_FRAGMENTS];
};

/*
 * Before `vp` re-enters its active VTL: a store that KVM retired and the library took back is
 * finished if the higher VTL left the registers alone, queued no exception, and the limits now
 * allow it. Otherwise the registers stand as they are, and the store is forgotten. *v: it is still
 * forbidden (setter != 0): intercept again. Errors are those of kernel calls.
 */
int intercept_resume(struct vsm_vcpu *vp, struct violation *v);

/* --- message.c: pure --- */

void intercept_message(struct hv_message *msg, uint32_t vp_index, unsigned vtl,
		       const struct kvm_regs *regs, const struct kvm_sregs *sregs,
		       const struct violation *v);

/* An access to the MSR `index` by an instruction of `length` bytes. */
void intercept_msr_message(struct hv_message *msg, uint32_t vp_index, unsigned vtl,
			   const struct insn_context *c, enum mem_access access, uint8_t length,
			   uint32_t index);

#endif
