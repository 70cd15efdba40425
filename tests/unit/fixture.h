/* SPDX-License-Identifier: MIT */
/* What most unit tests start from: a fake host, a device fd, a VM, and perhaps memory. */
#ifndef VSM_TESTS_UNIT_FIXTURE_H
#define VSM_TESTS_UNIT_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "fake_kvm.h"

#define FIXTURE_SIZE(mib) ((uint64_t)(mib) << 20)

struct fixture {
	struct fake_kvm *fake;
	const struct kvm_host *host;
	int dev_fd, vm_fd;
	int mem_fd; /* -1: none */
	uint64_t mem_size;
	uint8_t *mem; /* the test's own mapping of mem_fd, always readable and writable */
};

/* The fds of the VMM, and `mib` MiB of memory in a memfd mapped for the test (0: none). */
static inline void fixture_start(struct fixture *x, unsigned mib)
{
	const struct kvm_host *h;
	void *mem = NULL;

	*x = (struct fixture){.fake = fake_kvm_new(), .mem_fd = -1};
	h = x->host = fake_kvm_host(x->fake);
	x->dev_fd = h->ops->open_device(h, "/dev/kvm");
	assert_true(x->dev_fd >= 0);
	x->vm_fd = h->ops->create_vm(h, x->dev_fd);
	assert_true(x->vm_fd >= 0);
	if (mib) {
		x->mem_size = FIXTURE_SIZE(mib);
		x->mem_fd = h->ops->create_memfd(h, "test", x->mem_size);
		assert_true(x->mem_fd >= 0);
		assert_int_equal(h->ops->map_memory(h, x->mem_fd, 0, x->mem_size,
						    KVM_MAP_READ_WRITE, NULL, &mem),
				 0);
		x->mem = mem;
	}
	fake_kvm_reset_calls(x->fake);
}

/* Shows [0, mem_size) of the test's memory to the VM at gpa, in slot `id`: for tests that have no
 * library between them and the memslots. */
static inline void fixture_add_slot(struct fixture *x, uint32_t id, uint64_t gpa)
{
	struct kvm_userspace_memory_region r = {.slot = id,
						.guest_phys_addr = gpa,
						.memory_size = x->mem_size,
						.userspace_addr = (uintptr_t)x->mem};

	assert_int_equal(x->host->ops->set_memory_region(x->host, x->vm_fd, &r), 0);
}

/* Releases the VMM's share; whatever is left then, the library leaked. `slots`: how many memslots
 * the VM may still have (the test's own). */
static inline void fixture_stop_with_slots(struct fixture *x, size_t slots)
{
	const struct kvm_host *h = x->host;

	assert_int_equal(fake_kvm_slot_count(x->fake, x->vm_fd), slots);
	if (x->mem)
		assert_int_equal(h->ops->unmap_memory(h, x->mem, x->mem_size), 0);
	if (x->mem_fd >= 0)
		assert_int_equal(h->ops->close_fd(h, x->mem_fd), 0);
	assert_int_equal(h->ops->close_fd(h, x->vm_fd), 0);
	assert_int_equal(h->ops->close_fd(h, x->dev_fd), 0);
	assert_int_equal(fake_kvm_free(x->fake), 0);
}

static inline void fixture_stop(struct fixture *x)
{
	fixture_stop_with_slots(x, 0);
}

#endif
