/* SPDX-License-Identifier: MIT */
/*
 * Inside the fake KVM; the files are fake_<name>.c:
 *
 *   core.c     life, errors, counting and failing calls, configuration, the ops table
 *   fd.c       file descriptors and what they refer to
 *   map.c      mappings of this process
 *   slot.c     memslots;  vm.c  the device and the VM
 *   vcpu.c     creation and control of a vCPU;  state.c  its registers;  msr.c  its MSRs
 *   script.c   what a guest does;  event.c  what reaches it
 *   wait.c     sleeping threads and event loops
 *   run.c      KVM_RUN;  guest.c  one step;  access.c  its memory accesses
 *
 * Functions whose names begin with op_ are the members of struct kvm_ops. They take the mutex; all
 * others expect it taken.
 */
#ifndef VSM_TESTS_FAKE_H
#define VSM_TESTS_FAKE_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "fake_kvm.h"

#define PAGE	     4096u
#define PAGE_BITS    12

#define CR0_PE	     (1u << 0)
#define CR0_ET	     (1u << 4)
#define CR0_NW	     (1u << 29)
#define CR0_CD	     (1u << 30)
#define CR0_PG	     (1u << 31)
#define CR4_PAE	     (1u << 5)
#define EFER_SCE     (1u << 0)
#define EFER_LME     (1u << 8)
#define EFER_LMA     (1u << 10)
#define EFER_NX	     (1u << 11)
#define RFLAGS_FIXED (1u << 1)
#define RFLAGS_TF    (1u << 8)
#define RFLAGS_IF    (1u << 9)
#define VECTOR_UD    6
#define VECTOR_NMI   2
#define VECTOR_GP    13
#define VECTOR_PF    14

/* A file: memory that can be mapped. References: fds, mappings, vCPUs (their kvm_run). */
struct file {
	unsigned refs;
	int fd;
	uint64_t size;
};

enum fd_kind {
	FD_NONE,
	FD_DEVICE,
	FD_VM,
	FD_VCPU,
	FD_FILE,
	FD_WAKE
};

struct fd_entry {
	enum fd_kind kind;
	void *object; /* struct vm, vcpu or file */
};

/* A run of pages mapped alike: a VMA. */
struct map {
	uintptr_t start, end;
	enum kvm_map_prot prot;
	struct file *file;
	uint64_t offset;
};

/* An eventfd. */
struct wake {
	unsigned refs;
	bool signalled;
};

/* A thread in wait_fd(). */
struct sleeper {
	int thread;
	uint64_t until;
	bool signalled;
	struct sleeper *next;
};

#define LOOP_SOURCES 16

struct kvm_event_loop {
	uint64_t deadline;
	struct loop_source {
		bool used;
		int fd;
		uint64_t cookie;
	} sources[LOOP_SOURCES];
};

/* The filter as KVM keeps it: the bitmaps are copies. */
struct msr_filter {
	bool on, default_allow;
	struct kvm_msr_filter_range ranges[KVM_MSR_FILTER_MAX_RANGES];
	uint8_t bitmaps[KVM_MSR_FILTER_MAX_RANGES][KVM_MSR_FILTER_MAX_BITMAP_SIZE];
};

/* References: its fds and those of its vCPUs. */
struct vm {
	unsigned refs, vcpus;
	struct kvm_userspace_memory_region *slots;
	size_t slot_count;
	bool irqchip, split_irqchip;
	bool exit_on_emulation_failure, exception_payload, triple_fault_event;
	uint32_t msr_exits; /* KVM_MSR_EXIT_REASON_* */
	struct kvm_msi msi;
	unsigned msis;
	struct msr_filter filter;
	struct vm *next;
};

struct msr {
	uint32_t index;
	uint64_t value;
};

struct script_entry {
	struct fake_step step;
	bool done;
};

struct script {
	struct script_entry **entries;
	size_t count, next; /* next: of a queue */
};

/* What an exit left half-done; KVM's complete_userspace_io. */
enum pending_kind {
	PENDING_NONE,
	PENDING_OUT,
	PENDING_IN,
	PENDING_LOAD,
	PENDING_STORE,
	PENDING_RDMSR,
	PENDING_WRMSR,
};

/* What KVM reads ahead for a repeated INS (kernel: struct read_cache) is the longest. */
#define OPERAND_MAX   1024
#define FRAGMENTS_MAX (OPERAND_MAX / 8 + 2)

struct fragment {
	uint64_t gpa;
	uint16_t offset;
	uint8_t len;
};

struct pending {
	enum pending_kind kind;
	struct fake_step step;
	struct script_entry *entry; /* of a load: consumed when it completes */
	uint64_t rip;
	struct fragment fragments[FRAGMENTS_MAX];
	uint8_t count, next;
	uint8_t data[OPERAND_MAX];
};

/* Lives as long as its VM. */
struct vcpu {
	struct fake_kvm *f;
	struct vm *vm;
	unsigned long id;
	struct file *run_file;
	struct kvm_run *run;
	bool has_lapic;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	uint64_t pdptes[4]; /* as loaded with CR3, for PAE paging */
	struct kvm_debugregs dr;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;
	struct kvm_lapic_state lapic;
	struct kvm_guest_debug debug;
	uint64_t xcr0, tsc_offset;
	uint8_t *xsave;
	size_t xsave_size;
	struct kvm_cpuid_entry2 *cpuid;
	size_t cpuid_count;
	struct msr *msrs;
	size_t msr_count;
	/* running */
	bool running, ran, idle, signalled;
	int run_fd, thread;
	struct pending pending;
	struct script queue, program;
	bool fetches;
	bool step_debug;	    /* an instruction was retired: due for a single-step trap */
	struct script_entry *entry; /* the one in hand, */
	struct fake_step step;	    /* and its contents */
	struct fake_event *log;
	size_t log_count;
	fake_event_fn on_event;
	void *event_ctx;
	struct vcpu *next;
};

struct failure {
	unsigned nth; /* 0 with error set: every call */
	int error;
	enum fake_lasting lasting;
};

struct cap {
	long cap;
	int value;
};

struct fake_kvm {
	struct kvm_host host;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a vCPU stopped running, became idle or was signalled */
	unsigned errors;
	char last_error[256];
	unsigned flags;
	size_t limits[2];
	struct cap *caps;
	size_t cap_count;
	uint64_t xcr0_mask;
	int tsc_khz;
	struct kvm_cpuid_entry2 *cpuid;
	size_t cpuid_count;
	struct msr *msrs;
	size_t msr_count;
	uint64_t clock;
	struct failure failures[FAKE_OP_COUNT], any_failure;
	bool failed;
	const char *failed_op; /* the first since one was armed */
	unsigned calls[FAKE_OP_COUNT];
	struct fd_entry *fds;
	size_t fd_count;
	struct map *maps; /* sorted */
	size_t map_count;
	struct vm *vms;
	struct vcpu *vcpus;
	struct sleeper *sleepers;
	unsigned asleep; /* threads in wait_fd() or event_collect() */
	unsigned loops;	 /* not destroyed */
};

/* --- core.c --- */
void fake_error(struct fake_kvm *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Takes the mutex and counts the call: 0, or the injected -errno. fake_leave() follows always. */
int fake_enter(const struct kvm_host *h, enum fake_op op, struct fake_kvm **f);
int fake_leave(struct fake_kvm *f, int ret);
/* realloc() that cannot fail: a test that runs out of memory is over. */
void *fake_grow(void *array, size_t count, size_t size);
int fake_cap(struct fake_kvm *f, long cap);
extern const struct kvm_ops fake_ops;

/* --- fd.c --- */
int fd_new(struct fake_kvm *f, enum fd_kind kind, void *object);
/* The object behind an fd: 0, -EBADF, or -ENOTTY when of another kind. */
int fd_get(struct fake_kvm *f, int fd, enum fd_kind kind, void **object);
int fd_of(struct fake_kvm *f, enum fd_kind kind, const void *object);
void object_put(struct fake_kvm *f, enum fd_kind kind, void *object);
struct file *file_new(const char *name, uint64_t size);
void file_put(struct file *file);
void fd_leaks(struct fake_kvm *f);
size_t fd_open_count(struct fake_kvm *f);

/* --- map.c --- */
/* Protection of the page at a host address, -1 when nothing is mapped. */
int map_prot(struct fake_kvm *f, uintptr_t address);
/* Copies whatever the protections say; false: not mapped. Within a page. */
bool map_copy(struct fake_kvm *f, uintptr_t address, void *buf, size_t len, bool write);
int map_add(struct fake_kvm *f, struct file *file, uint64_t offset, size_t size,
	    enum kvm_map_prot prot, void *at, void **addr);
void map_leaks(struct fake_kvm *f);

/* --- slot.c --- */
const struct kvm_userspace_memory_region *slot_at(const struct vm *vm, uint64_t gpa);
/* What the guest may do: enum kvm_map_prot or FAKE_NO_SLOT. *closed_write: a store would be
 * emulated (read-only slot), not fail. */
struct slot_page {
	bool present, read_only;
	int prot; /* of the host page; -1: unmapped */
	uintptr_t host;
};
struct slot_page slot_page(struct fake_kvm *f, const struct vm *vm, uint64_t gpa);

/* --- vcpu.c --- */
int vcpu_enter(const struct kvm_host *h, enum fake_op op, int fd, struct fake_kvm **f,
	       struct vcpu **v);
/* Waits until no thread is in KVM_RUN on it: -EBUSY and an error if that lasts. */
int vcpu_wait_stopped(struct vcpu *v);
void vcpu_free(struct vcpu *v);
void vcpu_reset(struct vcpu *v);
struct vcpu *vcpu_of(struct fake_kvm *f, int fd);
/* An entry of a CPUID table, or of the guest's; NULL: none. */
const struct kvm_cpuid_entry2 *cpuid_find(const struct kvm_cpuid_entry2 *table, size_t count,
					  uint32_t function, uint32_t index);
const struct kvm_cpuid_entry2 *vcpu_cpuid(const struct vcpu *v, uint32_t function, uint32_t index);

/* --- state.c --- */
void state_set_regs(struct vcpu *v, const struct kvm_regs *regs);
void state_get_sregs(const struct vcpu *v, struct kvm_sregs *sregs);
int state_set_sregs(struct vcpu *v, const struct kvm_sregs *sregs);
void state_get_events(const struct vcpu *v, struct kvm_vcpu_events *ev);
int state_set_events(struct vcpu *v, const struct kvm_vcpu_events *ev);
bool state_valid_apic_base(const struct vcpu *v, uint64_t base);
#define EFER_KNOWN (EFER_SCE | EFER_LME | EFER_LMA | EFER_NX | (1u << 14))

/* --- msr.c --- */
void msr_defaults(struct fake_kvm *f);
void msr_reset(struct vcpu *v);
void msr_add_sints(struct vcpu *v); /* KVM's own SynIC is on */
/* 0; -ENOENT: unknown; -EINVAL: refused. */
int msr_read(struct vcpu *v, uint32_t index, uint64_t *value);
int msr_write(struct vcpu *v, uint32_t index, uint64_t value, bool host);
bool msr_allowed(const struct vm *vm, uint32_t index, uint32_t type);

/* --- script.c --- */
/* The step due at RIP, into v->entry and v->step: 0 or -ENOSYS. */
int script_next(struct vcpu *v);
/* The step in hand has been used. */
void script_consume(struct vcpu *v, struct script_entry *entry);
void script_free(struct script *s);
bool script_from_queue(const struct vcpu *v, const struct script_entry *entry);
bool script_done(const struct vcpu *v);
/* RIP past the instruction, its effects applied. */
void script_advance(struct vcpu *v, const struct fake_step *step, uint64_t rip);
uint64_t reg_get(const struct vcpu *v, enum fake_reg reg);
void reg_set(struct vcpu *v, enum fake_reg reg, uint64_t value);

/* --- event.c --- */
bool event_interrupt_allowed(const struct vcpu *v);
/* Delivers at most one pending event; true if it did. */
bool event_deliver_pending(struct vcpu *v);
/* An exception the processor raises at the instruction in hand. Returns 1: go on. */
int event_raise(struct vcpu *v, uint8_t vector, int64_t error_code);

/* --- wait.c --- */
void wait_signal_thread(struct fake_kvm *f, int thread);
void wake_put(struct wake *w);

/* --- run.c --- */
struct fake_guest run_guest(struct vcpu *v);
/* Sleeps in the guest until a signal comes: -EINTR. */
int run_sleep(struct vcpu *v);

/* --- guest.c: all return 1: go on; 0: exit to user space; -errno --- */
int guest_step(struct vcpu *v);
int guest_complete(struct vcpu *v);
int guest_emulation_failure(struct vcpu *v);

/* Consumes the step in hand and advances past it. */
void guest_retire(struct vcpu *v);

/* --- access.c --- */
int access_step(struct vcpu *v);
/* ACCESS_DONE when the code is there; everything else is the step's result. */
#define ACCESS_DONE 2
int access_fetch(struct vcpu *v, uint64_t gva, size_t len);
int access_complete(struct vcpu *v, struct pending *p);
bool access_pae_paging(const struct kvm_sregs *sregs);
/* load_pdptrs(): what cannot be read, or is no such entry, leaves those from before. */
void access_load_pdptes(struct vcpu *v);

#define FAKE_OP_DECLARE(name) extern __typeof__(*fake_ops.name) op_##name;
FAKE_OPS(FAKE_OP_DECLARE)
#undef FAKE_OP_DECLARE

#endif
