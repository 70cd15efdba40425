/* SPDX-License-Identifier: MIT */
/*
 * vsm-bench: what libvsm costs, as ratios to the same thing done by bare KVM in the same run.
 *
 *   vm.c       a VM with libvsm, its guest waiting for commands
 *   floor.c    bare KVM: no line of the library takes part
 *   measure.c  batches of both in turn, and their medians
 *   rows.c     what is measured
 *   report.c   table and JSON
 */
#ifndef VSM_TESTS_BENCH_BENCH_H
#define VSM_TESTS_BENCH_BENCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/kvm.h>
#include "mailbox.h"
#include "vsm/vsm.h"

struct options {
	const char *json;
	const char *only; /* rows whose name contains it */
	unsigned repetitions;
	double seconds; /* a row takes about this long at most */
};

/* Ends the program. */
#define EXIT_SKIP 77
void die(const char *what, ...) __attribute__((noreturn, format(printf, 1, 2)));
void skip(const char *what, ...) __attribute__((noreturn, format(printf, 1, 2)));

uint64_t now_ns(void);

/* KVM's table, as every vCPU here gets it; the caller frees it. */
struct kvm_cpuid2 *supported_cpuid(int kvm_fd);

/* Long mode, flat, paging by `cr3`, CPL 0. */
void set_long_mode(int vcpu_fd, uint64_t cr3, uint64_t rip, uint64_t rsp);

/* --- vm.c --- */

struct vm_options {
	enum vsm_topology topology;
	enum vsm_enforcement enforcement;
	bool other; /* a second processor spins in VTL0 */
};

struct vm {
	int vm_fd, memory_fd;
	uint8_t *ram;
	struct vsm_partition *partition;
	struct vsm_vcpu *vcpu, *other;
	pthread_t thread;
	atomic_bool ended;
	struct mailbox *mailbox;
	double ns_per_tick; /* of the guest's TSC */
};

/* VTL1 is up and the guest waits for its first command. */
void vm_start(struct vm *vm, int kvm_fd, const struct vm_options *o);
void vm_stop(struct vm *vm);

/* Carries out the command in vm->mailbox; returns what it took. */
uint64_t vm_command(struct vm *vm, enum mailbox_op op, uint64_t count);

/* VTL1 puts the mask on `pages` pages of the arena, every second one or all; once. */
void vm_protect(struct vm *vm, uint64_t pages, uint64_t stride, uint32_t mask);
/* The same from page `first` on. */
void vm_protect_from(struct vm *vm, uint64_t first, uint64_t pages, uint64_t stride, uint32_t mask);

/* Bytes allocated now: nobody but the library allocates while the guest runs. */
uint64_t vm_allocated(void);

/* Memslot ioctls the library made so far. */
uint64_t vm_slot_updates(const struct vm *vm);

/* --- floor.c --- */

/* A VM; a signal, or io_uring's work for the thread, can end the ioctl before there is one. */
int floor_create_vm(int kvm_fd);

/* Two vCPUs, each at an `out` in a loop; in one VM or in two. */
struct floor;
struct floor *floor_open(int kvm_fd, bool one_vm);
void floor_close(struct floor *f);

/*
 * Nanoseconds for `n`: exits of one vCPU; exits of both in turn; the same, slot deleted and made
 * anew before each.
 */
uint64_t floor_exits(struct floor *f, uint64_t n);
uint64_t floor_pairs(struct floor *f, uint64_t n);
uint64_t floor_remapped_pairs(struct floor *f, uint64_t n);

/* What else KVM has to do for a VTL switch, in any combination. */
enum floor_work {
	FLOOR_XSAVE = 1,     /* KVM_GET_XSAVE after each exit */
	FLOOR_XCRS = 2,	     /* KVM_GET_XCRS */
	FLOOR_DEBUGREGS = 4, /* KVM_GET_DEBUGREGS */
	FLOOR_REGS = 8,	     /* general registers set at each entry, through kvm_run */
	FLOOR_SWITCH = 15,
	/*
	 * And the least that any program has to do with it: the general registers go to the other
	 * vCPU, the rest is compared with what that one has, and the exit's page tables with what
	 * they were; a lock is free during KVM_RUN.
	 */
	FLOOR_MOVE = 16,
};
uint64_t floor_working_pairs(struct floor *f, uint64_t n, unsigned work);

/*
 * `n` times: `pages` pages of the VM's memory closed, then opened; contiguous ones at once, others
 * one by one. With mprotect, or with memslots: the one that covers them all becomes one per piece
 * and back.
 */
uint64_t floor_mprotect(struct floor *f, uint64_t n, uint64_t pages, uint64_t stride);
uint64_t floor_slots(struct floor *f, uint64_t n, uint64_t pages, uint64_t stride);

/* --- measure.c --- */

/* One batch: nanoseconds per operation. */
typedef double (*batch_fn)(void *ctx);

struct row {
	const char *group;
	char name[96];
	const char *floor;	 /* what the ratio is to */
	const char *unit;	 /* NULL: a ratio; else the value is in this, and has no floor */
	double target;		 /* 0: none */
	double ratio, low, high; /* median and quartiles of the repetitions' ratios */
	double floor_ns, measured_ns; /* medians */
	double extra;		      /* another figure, and what it is; NULL: none */
	const char *extra_name;
	unsigned repetitions;
};

/* Fills in the row: batches of both alternate. */
void measure(struct row *row, const struct options *o, batch_fn floor, batch_fn measured,
	     void *ctx);

/* --- rows.c, report.c --- */

/* Calls `add` with each row as it is measured. */
void rows_measure(int kvm_fd, const struct options *o, void (*add)(const struct row *row));

void report_head(void);
void report_row(const struct row *row);
/* Writes all rows reported; dies if it cannot. */
void report_json(const char *path);

#endif
