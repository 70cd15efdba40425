/* SPDX-License-Identifier: MIT */
/*
 * A model of KVM, of mmap(2) and of threads, behind struct kvm_ops: what unit tests run the library
 * on. It refuses what the kernel refuses, with the kernel's errno. What it does not model it
 * refuses too, and remembers as an error of the test: fake_kvm_free() returns their number.
 *
 * Life of a test (see ../unit/fixture.h, which does the frame of it):
 *
 *	struct fake_kvm *f = fake_kvm_new();
 *	... fake_kvm_set_cap(), fake_kvm_set_flags(), fake_kvm_set_limit() ...
 *	... the library on fake_kvm_host(f) ...
 *	static const struct fake_step steps[] = {
 *		{.kind = FAKE_OUT, .port = 0xe7, .size = 1, .length = 2},
 *		{.kind = FAKE_STORE, .gva = 0x5000, .size = 8, .data = 42, .length = 4},
 *		{.kind = FAKE_HLT, .length = 1},
 *	};
 *	fake_vcpu_script(f, vcpu_fd, steps, ARRAY_SIZE(steps));
 *	... run ...
 *	assert_true(fake_kvm_script_done(f));
 *	... release what the library and the test hold ...
 *	assert_int_equal(fake_kvm_free(f), 0);
 *
 * Fake fds are numbers from FAKE_FIRST_FD on; they mean nothing to the real kernel. Everything is
 * safe from several threads: one mutex, released while a vCPU spins, halts or calls back.
 */
#ifndef VSM_TESTS_FAKE_KVM_H
#define VSM_TESTS_FAKE_KVM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "kvm/ops.h"

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#endif

#define FAKE_FIRST_FD 0x10000

struct fake_kvm;

/* --- life --- */

struct fake_kvm *fake_kvm_new(void);
const struct kvm_host *fake_kvm_host(struct fake_kvm *f);

/*
 * Frees everything. Returns the number of errors: those recorded (fake_kvm_errors()), plus one for
 * every fd still open, every mapping still there, every script not consumed. Each is printed to
 * stderr. (Slots go with their VM. That the library took its slots out of a VM it does not own is
 * asked with fake_kvm_slot_count() before that VM's fd is closed.)
 */
unsigned fake_kvm_free(struct fake_kvm *f);

/* Errors recorded so far: requests outside the model, misuse that the kernel would not report. */
unsigned fake_kvm_errors(struct fake_kvm *f);
/* The text of the latest, "" if there is none; good until the next one. */
const char *fake_kvm_last_error(struct fake_kvm *f);
/* The test provoked them: forget. */
void fake_kvm_forgive(struct fake_kvm *f);

/* --- configuration --- */

/*
 * What KVM_CHECK_EXTENSION answers; the defaults are those of a 6.1 host. The model itself obeys:
 *   KVM_CAP_NR_MEMSLOTS    slot ids refused from here on
 *   KVM_CAP_MAX_VCPUS, KVM_CAP_MAX_VCPU_ID
 *   KVM_CAP_XSAVE2         bytes of an XSAVE image; 0: no KVM_GET_XSAVE2, images of 4096
 *   KVM_CAP_SYNC_REGS      bits accepted in kvm_valid_regs and kvm_dirty_regs
 *   KVM_CAP_READONLY_MEM, KVM_CAP_X86_USER_SPACE_MSR, KVM_CAP_X86_MSR_FILTER,
 *   KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_EXIT_ON_EMULATION_FAILURE, KVM_CAP_EXCEPTION_PAYLOAD,
 *   KVM_CAP_X86_TRIPLE_FAULT_EVENT, KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_XCRS,
 *   KVM_CAP_SREGS2,
 *   KVM_CAP_TSC_CONTROL    0: the feature is refused as by a kernel without it
 */
void fake_kvm_set_cap(struct fake_kvm *f, long cap, int value);

/* How this host's KVM behaves where hosts differ. Default: a 6.1 kvm_amd. */
enum fake_flag {
	FAKE_EMULATES = 1 << 0,	    /* this KVM emulates guest code: a host page that may not be
				       accessed is an MMIO exit (stores retired), not EFAULT */
	FAKE_PIO_RIP_PAST = 1 << 1, /* RIP is past an `out` at its exit (emulated PIO) */
	FAKE_EXIT_REASON_CLEARED = 1 << 2,  /* KVM_RUN sets exit_reason to 0 first (6.12) */
	FAKE_SHUTDOWN_KEEPS_STATE = 1 << 3, /* a triple fault does not reset the vCPU (kvm_intel) */
};
void fake_kvm_set_flags(struct fake_kvm *f, unsigned flags);

enum fake_limit {
	FAKE_LIMIT_FDS,	 /* open fds: EMFILE. Default 1024 */
	FAKE_LIMIT_VMAS, /* mappings, counted as the kernel does: ENOMEM. Default 65530 */
};
void fake_kvm_set_limit(struct fake_kvm *f, enum fake_limit limit, size_t value);

/* Bits XCR0 may have (default 7: x87, SSE, AVX), and the TSC's frequency (default 2000000 kHz). */
void fake_kvm_set_xcr0_mask(struct fake_kvm *f, uint64_t mask);
void fake_kvm_set_tsc_khz(struct fake_kvm *f, int khz);

/* What get_supported_cpuid() gives; the default is a small table of a 64-bit host with AVX. */
void fake_kvm_set_cpuid(struct fake_kvm *f, const struct kvm_cpuid_entry2 *entries, size_t count);

/*
 * The host's MSRs: makes `index` known, with a value for vCPUs created from now on, or unknown. The
 * default table has what libvsm and a 64-bit guest use; synthetic (0x4000xxxx) MSRs are unknown.
 */
void fake_kvm_add_msr(struct fake_kvm *f, uint32_t index, uint64_t reset_value);
void fake_kvm_remove_msr(struct fake_kvm *f, uint32_t index);

/* clock_ns() stands still but for these, and with it every deadline. It starts at 1 s. */
void fake_kvm_set_clock(struct fake_kvm *f, uint64_t ns);
void fake_kvm_advance_clock(struct fake_kvm *f, uint64_t ns);

/* --- counting and failing calls --- */

/* One per member of struct kvm_ops, in its order: FAKE_OP_<member>. */
#define FAKE_OPS(X)            \
	X(open_device)         \
	X(get_api_version)     \
	X(check_extension)     \
	X(get_vcpu_mmap_size)  \
	X(create_vm)           \
	X(get_supported_cpuid) \
	X(emulates)            \
	X(enable_cap)          \
	X(set_msr_filter)      \
	X(set_memory_region)   \
	X(create_vcpu)         \
	X(signal_msi)          \
	X(map_vcpu)            \
	X(run)                 \
	X(get_regs)            \
	X(set_regs)            \
	X(get_sregs)           \
	X(set_sregs)           \
	X(set_sregs2)          \
	X(get_xsave)           \
	X(set_xsave)           \
	X(get_xcrs)            \
	X(set_xcrs)            \
	X(get_debugregs)       \
	X(set_debugregs)       \
	X(get_vcpu_events)     \
	X(set_vcpu_events)     \
	X(get_msrs)            \
	X(set_msrs)            \
	X(get_lapic)           \
	X(set_lapic)           \
	X(get_mp_state)        \
	X(set_mp_state)        \
	X(set_cpuid2)          \
	X(set_guest_debug)     \
	X(interrupt)           \
	X(nmi)                 \
	X(get_tsc_offset)      \
	X(set_tsc_offset)      \
	X(get_tsc_khz)         \
	X(map_memory)          \
	X(protect_memory)      \
	X(unmap_memory)        \
	X(create_memfd)        \
	X(file_size)           \
	X(max_mappings)        \
	X(duplicate_fd)        \
	X(close_fd)            \
	X(current_thread)      \
	X(signal_thread)       \
	X(thread_time_ns)      \
	X(clock_ns)            \
	X(create_wake_fd)      \
	X(signal_fd)           \
	X(drain_fd)            \
	X(wait_fd)             \
	X(event_create)        \
	X(event_destroy)       \
	X(event_fd)            \
	X(event_set_deadline)  \
	X(event_add_fd)        \
	X(event_remove_fd)     \
	X(event_collect)

enum fake_op {
#define FAKE_OP_ENUM(name) FAKE_OP_##name,
	FAKE_OPS(FAKE_OP_ENUM)
#undef FAKE_OP_ENUM
	FAKE_OP_COUNT,
};

/*
 * The nth call of the op from now on (1: the next) returns -error (`error` positive) and does
 * nothing. nth 0: every call, until told otherwise; error 0: none any more. One failure per op is
 * armed at a time. clock_ns cannot fail.
 */
void fake_kvm_fail(struct fake_kvm *f, enum fake_op op, unsigned nth, int error);

/* The same for the nth call of any op whose failure the kernel can return: for tests that try every
 * point of failure. The return value of fake_kvm_failed() tells whether it was reached. */
void fake_kvm_fail_any(struct fake_kvm *f, unsigned nth, int error);
/* The same, and more calls from the nth on; until fake_kvm_relent(), after which none fails. */
enum fake_lasting {
	FAKE_ONCE,
	FAKE_SAME_LATER, /* of the same op */
	FAKE_ALL_LATER,
};
void fake_kvm_fail_from(struct fake_kvm *f, unsigned nth, int error, enum fake_lasting lasting);
void fake_kvm_relent(struct fake_kvm *f);
/* Which it was, the first if there were more; "": none. */
const char *fake_kvm_failed_op(struct fake_kvm *f);
bool fake_kvm_failed(struct fake_kvm *f);

/* Calls since the start, or since fake_kvm_reset_calls(), the failed ones included. */
unsigned fake_kvm_calls(struct fake_kvm *f, enum fake_op op);
unsigned fake_kvm_all_calls(struct fake_kvm *f);
void fake_kvm_reset_calls(struct fake_kvm *f);

/* --- what the VMM does, or a test looks at --- */

/* KVM_CREATE_IRQCHIP: vCPUs created later have an in-kernel LAPIC. 0 or -errno. */
int fake_kvm_create_irqchip(struct fake_kvm *f, int vm_fd);

/* The host's own view of guest memory, through the VM's slots, whatever the protections. The range
 * must be backed: -EFAULT. */
int fake_kvm_peek(struct fake_kvm *f, int vm_fd, uint64_t gpa, void *buf, size_t len);
int fake_kvm_poke(struct fake_kvm *f, int vm_fd, uint64_t gpa, const void *buf, size_t len);

/* Memslots of a VM; the one that covers gpa (false: none), the one of an id. */
size_t fake_kvm_slot_count(struct fake_kvm *f, int vm_fd);
bool fake_kvm_slot_at(struct fake_kvm *f, int vm_fd, uint64_t gpa,
		      struct kvm_userspace_memory_region *slot);
bool fake_kvm_slot_by_id(struct fake_kvm *f, int vm_fd, uint32_t id,
			 struct kvm_userspace_memory_region *slot);

/*
 * What a guest in that VM can do with a page at this moment: the slot's flags and the mapping's
 * protection together. An enum kvm_map_prot; FAKE_NO_SLOT where there is none. KVM_MAP_NONE in a
 * slot whose host page is closed or not mapped.
 */
#define FAKE_NO_SLOT (-1)
int fake_kvm_guest_access(struct fake_kvm *f, int vm_fd, uint64_t gpa);

/* Protection of a host page the library mapped: enum kvm_map_prot, or -1 if it is not mapped. */
int fake_kvm_host_prot(struct fake_kvm *f, const void *address);

size_t fake_kvm_vma_count(struct fake_kvm *f);
size_t fake_kvm_fd_count(struct fake_kvm *f);
/* The VM of a vCPU: an fd of it that is open, or -EBADF. */
int fake_vcpu_vm(struct fake_kvm *f, int vcpu_fd);
/* Threads that sleep in wait_fd() or in an event_collect() that blocks; the second waits until there are `count`: false
 * after 10 s. */
unsigned fake_kvm_sleepers(struct fake_kvm *f);
bool fake_kvm_wait_sleepers(struct fake_kvm *f, unsigned count);
/* Says which threads wait in the model, and for what time. */
void fake_kvm_report(struct fake_kvm *f, FILE *to);
/* The last message given to signal_msi() on that VM, and how many there were. */
unsigned fake_kvm_msis(struct fake_kvm *f, int vm_fd, struct kvm_msi *last);
/* Is a thread inside KVM_RUN on it? */
bool fake_vcpu_running(struct fake_kvm *f, int vcpu_fd);
/* Waits until a thread is in a FAKE_SPIN or a halt on it; false after 10 s. */
bool fake_vcpu_wait_idle(struct fake_kvm *f, int vcpu_fd);

/* The vCPU's own state, for a test to read or change while the vCPU is outside KVM_RUN. Changing
 * it here has none of the side effects the ioctls have. */
struct kvm_regs *fake_vcpu_regs(struct fake_kvm *f, int vcpu_fd);
struct kvm_sregs *fake_vcpu_sregs(struct fake_kvm *f, int vcpu_fd);
struct kvm_vcpu_events *fake_vcpu_events(struct fake_kvm *f, int vcpu_fd);
struct kvm_lapic_state *fake_vcpu_lapic(struct fake_kvm *f, int vcpu_fd);
/* Its kvm_run, as the kernel sees it. */
struct kvm_run *fake_vcpu_run(struct fake_kvm *f, int vcpu_fd);
/* Value of an MSR, 0 when unknown (and an error is recorded). */
uint64_t fake_vcpu_msr(struct fake_kvm *f, int vcpu_fd, uint32_t index);

/* Sets up 64-bit mode, CPL 0: paging with cr3, flat segments, IF clear, and this RIP and RSP. */
void fake_vcpu_long_mode(struct fake_kvm *f, int vcpu_fd, uint64_t cr3, uint64_t rip, uint64_t rsp);
/*
 * 32-bit mode with PAE paging, CPL 0; the entries CR3 points to are loaded at the next
 * KVM_SET_SREGS or its like.
 */
void fake_vcpu_pae_mode(struct fake_kvm *f, int vcpu_fd, uint64_t cr3, uint64_t rip, uint64_t rsp);
/* Flat 32-bit protected mode without paging, CPL 0: GVA = GPA, which most tests want. */
void fake_vcpu_flat_mode(struct fake_kvm *f, int vcpu_fd, uint64_t rip, uint64_t rsp);

/* --- events that reached the guest --- */

enum fake_event_kind {
	FAKE_INTERRUPT,
	FAKE_EXCEPTION,
	FAKE_NMI
};

struct fake_event {
	enum fake_event_kind kind;
	uint8_t vector;
	bool has_error_code;
	uint32_t error_code;
	uint64_t rip; /* at delivery */
};

/* Events delivered since the start, oldest first: copies at most max, returns how many there were.
 */
size_t fake_vcpu_delivered(struct fake_kvm *f, int vcpu_fd, struct fake_event *events, size_t max);

/*
 * Called at every delivery, as the IDT would be; may change registers (to go to a handler of the
 * program). Without one a delivery is only logged and RIP stays.
 */
struct fake_guest;
typedef void (*fake_event_fn)(struct fake_guest *g, const struct fake_event *event, void *ctx);
void fake_vcpu_on_event(struct fake_kvm *f, int vcpu_fd, fake_event_fn fn, void *ctx);

/* --- what the guest does --- */

enum fake_reg { /* FAKE_RAX.. in instruction encoding order, + 1 */
	FAKE_NO_REG,
	FAKE_RAX,
	FAKE_RCX,
	FAKE_RDX,
	FAKE_RBX,
	FAKE_RSP,
	FAKE_RBP,
	FAKE_RSI,
	FAKE_RDI,
	FAKE_R8,
	FAKE_R9,
	FAKE_R10,
	FAKE_R11,
	FAKE_R12,
	FAKE_R13,
	FAKE_R14,
	FAKE_R15,
	FAKE_RIP,
	FAKE_RFLAGS,
	FAKE_CR0,
	FAKE_CR2,
	FAKE_CR3,
	FAKE_CR4,
	FAKE_CR8,
	FAKE_EFER,
};

enum fake_step_kind {
	FAKE_NOP,  /* retires */
	FAKE_OUT,  /* port, size 1/2/4; the value is `data`, or the register `reg` */
	FAKE_IN,   /* port, size; the answer goes to RAX */
	FAKE_LOAD, /* gva, size 1..1024; a value up to 8 bytes goes to `reg` (none: RAX) */
	FAKE_STORE, /* gva, size 1..1024; the value is `bytes` if not NULL, else `reg`, else `data` */
	FAKE_MODIFY,   /* gva, size 1..8: reads, adds `data`, writes (read-modify-write) */
	FAKE_FETCH,    /* gva, size: fetches code there, and retires. Also what precedes every step
			  of a vCPU with fake_vcpu_fetch(), at its RIP */
	FAKE_RDMSR,    /* msr -> EDX:EAX */
	FAKE_WRMSR,    /* msr, the value is `data` */
	FAKE_HLT,      /* without in-kernel LAPIC an exit, RIP past; with it, waits for a signal */
	FAKE_SHUTDOWN, /* triple fault */
	FAKE_SET,      /* reg = data, as by a mov; with FAKE_RIP a jump */
	FAKE_SPIN, /* runs until a signal reaches the thread: KVM_RUN returns -EINTR. Consumed then.
		    */
	FAKE_EXIT, /* retires, and exits: *raw's exit_reason and exit union go to kvm_run */
	FAKE_RETURN, /* KVM_RUN returns -error (positive), registers as they are */
	FAKE_CALL,   /* fn(guest, ctx) decides; see below */
};

/* step.flags */
enum fake_step_flag {
	FAKE_NO_EMULATION = 1 << 0, /* KVM's emulator cannot do it (AVX): where an MMIO exit is due
				       there is an internal error instead */
	FAKE_OPTIONAL = 1 << 1,	    /* fake_kvm_script_done() does not ask for it */
};

/* What the callback of a FAKE_CALL sees. No lock is held; the fake_* functions may be called. */
struct fake_guest {
	struct fake_kvm *f;
	int vcpu_fd; /* the fd KVM_RUN was called on */
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;
	struct kvm_run *run;
};

/* Returns FAKE_NEXT, FAKE_AGAIN, FAKE_TO_USER or -errno for KVM_RUN to return. */
enum fake_call_result {
	FAKE_NEXT,    /* retires: consumed, RIP += length */
	FAKE_AGAIN,   /* not retired: the step at the (perhaps changed) RIP is next */
	FAKE_TO_USER, /* retires, and KVM_RUN returns 0 with what the callback put in g->run */
};
typedef int (*fake_call_fn)(struct fake_guest *g, void *ctx);

struct fake_effect {
	enum fake_reg reg;
	int64_t add;
};

/*
 * One instruction. It is retired (consumed, RIP += length, effects applied) when it has completed;
 * one that faults stays and is tried again, as an instruction is. Port and MSR accesses are
 * consumed at their exit, loads from outside slots when their exit is completed: if the library
 * then puts RIP back for the guest to repeat them, a script has them twice (a program just comes
 * by again).
 *
 * Memory steps go through the vCPU's paging (long mode with 4 levels, PAE, or none), its VM's slots
 * and the protections of the host mapping, in that order and byte by byte of a page crossing:
 *   - allowed: done, at once;
 *   - slot, host page closed to the access: KVM_RUN returns -EFAULT, state as before (or, with
 *     FAKE_EMULATES, as without a slot);
 *   - store to a read-only slot or outside slots: KVM_EXIT_MMIO, retired; further exits (8 bytes
 *     each) for what is left of it at re-entry;
 *   - load outside slots: KVM_EXIT_MMIO, not retired: at re-entry the register gets run->mmio.data,
 *     and RIP becomes that of the next instruction, whatever user space did to it;
 *   - fetch outside slots: KVM_EXIT_INTERNAL_ERROR, suberror 1, and #UD pending (with
 *     KVM_CAP_EXIT_ON_EMULATION_FAILURE on: none). At CPL > 0 and without that capability #UD is
 *     delivered and there is no exit.
 *   - the guest's own tables forbid it: #PF is delivered (CR2 set).
 */
struct fake_step {
	enum fake_step_kind kind;
	unsigned flags;
	uint64_t rip;	/* where it is; 0: wherever RIP is (script only) */
	uint8_t length; /* bytes of the instruction */
	uint16_t size;	/* of its operand */
	uint16_t port;
	uint32_t msr;
	enum fake_reg reg;
	int error;
	uint64_t gva;
	uint64_t data;
	const void *bytes; /* must outlive the step, as must raw and ctx */
	const struct kvm_run *raw;
	fake_call_fn fn;
	void *ctx;
	struct fake_effect effects[3]; /* registers it moves when it retires: push, rep movs ... */
};

/*
 * Appends steps to the vCPU's script: a queue, each used once. A step with a RIP is an error when
 * the vCPU is elsewhere. KVM_RUN at the end of the script is an error (-ENOSYS).
 */
void fake_vcpu_script(struct fake_kvm *f, int vcpu_fd, const struct fake_step *steps, size_t count);

/*
 * Adds steps to the vCPU's program: a map from RIP to step, each as often as RIP gets there. A
 * program's step at RIP goes before the script's next. Same RIP again replaces.
 */
void fake_vcpu_program(struct fake_kvm *f, int vcpu_fd, const struct fake_step *steps,
		       size_t count);

/* From now on every step is fetched first: `length` bytes (at least 1) at RIP must be readable
 * memory. */
void fake_vcpu_fetch(struct fake_kvm *f, int vcpu_fd, bool on);

/* Every step of every script is consumed, every step of every program was retired once, but for
 * the FAKE_OPTIONAL. */
bool fake_kvm_script_done(struct fake_kvm *f);
bool fake_vcpu_script_done(struct fake_kvm *f, int vcpu_fd);

#endif
