/* SPDX-License-Identifier: MIT */
/* One VM with one vCPU and some memory, on whichever host the contract is checked. */
#ifndef VSM_TESTS_CONTRACT_WORLD_H
#define VSM_TESTS_CONTRACT_WORLD_H

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "guest.h"

#define PAGE_BYTES 0x1000u

/* Which host: set by main() before the tests run. */
struct contract_host {
	bool fake;
	unsigned fake_flags;
	const char *device;
};
extern struct contract_host contract_host;

struct world {
	const struct kvm_host *host;
	struct fake_kvm *fake; /* NULL on a real host */
	int dev_fd, vm_fd, vcpu_fd, mem_fd;
	size_t run_size;
	struct kvm_run *run;
	uint8_t *mem;	/* the test's own view of guest memory */
	uint8_t *alias; /* the mapping behind slot 0: what the tests protect */
};

/* An op on the world's host. */
#define OP(w, name, ...) ((w)->host->ops->name((w)->host, ##__VA_ARGS__))

/* Every instruction of 64-bit code at CPL 0, interrupts off, at GUEST_CODE. */
int world_setup(void **state);
int world_teardown(void **state);

#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

/* Ends the test: the host has not what it is about. scripts/test.sh says why. */
void world_skip(const char *why);
/* The same unless the VM has the capability. Returns what it says of that. */
int world_need(struct world *w, int capability, const char *why);
#define WORLD_NEED(w, capability) world_need(w, capability, "no " #capability)

/* Puts the guest where it belongs, code and steps. */
void world_load(struct world *w, const struct guest *guest);
/* Backs [gpa, gpa + size) with memory at GUEST_SPARE. Returns what the host does. */
int world_set_slot(struct world *w, uint32_t id, uint64_t gpa, uint64_t size, uint32_t flags,
		   const void *memory);

struct kvm_regs world_regs(struct world *w);
void world_set_regs(struct world *w, const struct kvm_regs *regs);
void world_set_rip(struct world *w, uint64_t rip);

/* KVM_RUN, kvm_run's exit reason poisoned before: what it is after counts. */
int world_run_once(struct world *w);
/* Until it is not -EINTR, which it may be for work that io_uring left to the thread. */
int world_run(struct world *w);
/* KVM_RUN that only finishes what the last exit began. */
void world_complete(struct world *w);
/* Runs and expects `out` to the port. */
void world_expect_out(struct world *w, uint16_t port);
/* As the last run left it. */
void world_check_out(struct world *w, uint16_t port);

/* What the files of tests offer main(). */
extern const struct CMUnitTest memslot_tests[], register_tests[], exit_tests[], protection_tests[],
	event_tests[], reset_tests[], state_tests[], pae_tests[];
extern const size_t memslot_test_count, register_test_count, exit_test_count, protection_test_count,
	event_test_count, reset_test_count, state_test_count, pae_test_count;

#endif
