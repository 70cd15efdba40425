/* SPDX-License-Identifier: MIT */
/* For the tests of the fake KVM itself: one vCPU, 1 MiB of RAM at 0, and no library. */
#ifndef VSM_TESTS_UNIT_FAKE_CPU_H
#define VSM_TESTS_UNIT_FAKE_CPU_H

#include <errno.h>
#include <string.h>
#include "fixture.h"

#define CODE  0x1000u
#define HOLE  0x40000000u /* a GPA outside its memory */
#define OP(x) ((x).host->ops)

struct cpu {
	struct fixture x;
	int fd;
	struct kvm_run *run;
	struct kvm_regs *regs;
};

#define RUN_SIZE ((size_t)3 * 4096)

static inline void cpu_map(struct cpu *c)
{
	const struct kvm_host *h = c->x.host;

	c->fd = h->ops->create_vcpu(h, c->x.vm_fd, 0);
	assert_true(c->fd >= 0);
	assert_int_equal(h->ops->map_vcpu(h, c->fd, RUN_SIZE, &c->run), 0);
	c->regs = fake_vcpu_regs(c->x.fake, c->fd);
	fake_vcpu_flat_mode(c->x.fake, c->fd, CODE, 0x8000);
}

/* A vCPU in flat mode at CODE, 1 MiB of RAM at 0. */
static inline void cpu_start(struct cpu *c)
{
	fixture_start(&c->x, 1);
	fixture_add_slot(&c->x, 0, 0);
	cpu_map(c);
}

static inline void cpu_stop(struct cpu *c)
{
	const struct kvm_host *h = c->x.host;

	assert_true(fake_vcpu_script_done(c->x.fake, c->fd));
	assert_int_equal(h->ops->unmap_memory(h, c->run, RUN_SIZE), 0);
	assert_int_equal(h->ops->close_fd(h, c->fd), 0);
	fixture_stop_with_slots(&c->x, fake_kvm_slot_count(c->x.fake, c->x.vm_fd));
}

static inline int cpu_run(struct cpu *c)
{
	return OP(c->x)->run(c->x.host, c->fd);
}

static inline void cpu_script(struct cpu *c, const struct fake_step *steps, size_t count)
{
	fake_vcpu_script(c->x.fake, c->fd, steps, count);
}

#define SCRIPT(c, ...)                                            \
	do {                                                      \
		const struct fake_step script_[] = {__VA_ARGS__}; \
		cpu_script(c, script_, ARRAY_SIZE(script_));      \
	} while (0)

static inline int cpu_protect(struct cpu *c, uint64_t gpa, size_t size, enum kvm_map_prot prot)
{
	return OP(c->x)->protect_memory(c->x.host, c->x.mem + gpa, size, prot);
}

/* Completes what is half-done without running. */
static inline int cpu_complete(struct cpu *c)
{
	int ret;

	c->run->immediate_exit = 1;
	ret = cpu_run(c);
	c->run->immediate_exit = 0;
	return ret;
}

static inline int slot(struct fixture *x, uint32_t id, uint64_t gpa, uint64_t size, uint64_t offset,
		       uint32_t flags)
{
	struct kvm_userspace_memory_region r = {.slot = id,
						.flags = flags,
						.guest_phys_addr = gpa,
						.memory_size = size,
						.userspace_addr = (uintptr_t)x->mem + offset};

	return OP(*x)->set_memory_region(x->host, x->vm_fd, &r);
}

#endif
