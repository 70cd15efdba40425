/* SPDX-License-Identifier: MIT */
/*
 * A guest puts its overlay pages where KVM lets the library put no memslot: that is no reason for
 * the partition to die.
 */
#include "partition_fixture.h"

#include <errno.h>
#include <sys/mman.h>

#include "vsm/memory.h"

#define GP	 13
#define PORT	 0x3f8
#define HOST_END (UINT64_C(1) << 48) /* of the model's physical addresses */

#define WRITE(number, value)                                                  \
	{                                                                     \
		.kind = FAKE_WRMSR, .msr = number, .data = value, .length = 2 \
	}
#define VMM_OUT                                                        \
	{                                                              \
		.kind = FAKE_OUT, .port = PORT, .size = 1, .length = 2 \
	}

static const struct {
	enum vsm_topology topology;
	enum vsm_enforcement enforcement;
} combinations[] = {
	{VSM_TOPOLOGY_SINGLE_VM, VSM_ENFORCEMENT_ALIAS},
	{VSM_TOPOLOGY_SINGLE_VM, VSM_ENFORCEMENT_SLOTS},
	{VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS},
	{VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_SLOTS},
};

/* Runs the guest up to its VMM_OUT. */
static void run(struct guest *g, const struct fake_step *steps, size_t count)
{
	struct kvm_run *run;

	fake_vcpu_script(g->x.fake, vsm_vcpu_fd(g->vp, 0), steps, count);
	assert_int_equal(vsm_vcpu_run(g->vp, &run), 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_IO);
	assert_null(vsm_partition_death(g->p));
}

static void test_beyond_addresses(void **state)
{
	/* Hypercall page, reference TSC page, VP assist page, SIMP, SIEFP. */
	static const uint32_t msrs[] = {0x40000001, 0x40000021, 0x40000073, 0x40000083, 0x40000082};
	struct fake_event event = {0};
	struct guest g;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(combinations); i++) {
		guest_start(&g, combinations[i].topology, combinations[i].enforcement);
		run(&g, (struct fake_step[]){WRITE(0x40000000, 1), VMM_OUT}, 2);
		for (unsigned m = 0; m < ARRAY_SIZE(msrs); m++) {
			run(&g, (struct fake_step[]){WRITE(msrs[m], HOST_END | 1), VMM_OUT}, 2);
			assert_int_equal(
				fake_vcpu_delivered(g.x.fake, vsm_vcpu_fd(g.vp, 0), &event, 1),
				m + 1);
			assert_int_equal(event.vector, GP);
			run(&g,
			    (struct fake_step[]){WRITE(msrs[m], (HOST_END - 0x1000) | 1), VMM_OUT},
			    2);
		}
		guest_stop(&g);
	}
}

static void test_memory_beyond_addresses(void **state)
{
	struct vsm_memory_region r = {.size = sizeof(r), .bytes = 0x1000};
	struct guest g;

	(void)state;
	guest_start(&g, VSM_TOPOLOGY_DEFAULT, VSM_ENFORCEMENT_DEFAULT);
	r.fd = g.x.mem_fd;
	r.guest_phys = HOST_END;
	assert_int_equal(vsm_partition_map_memory(g.p, &r), -EINVAL);
	r.guest_phys = HOST_END - 0x1000;
	assert_int_equal(vsm_partition_map_memory(g.p, &r), 0);
	run(&g, (struct fake_step[]){VMM_OUT}, 1);
	guest_stop(&g);
}

#define VMM_PAGE UINT64_C(0xd0000000)

/* A memslot of the VMM's own; there are some of KVM's own, too (its APIC access page). */
static void over_memslot(enum vsm_topology topology, enum vsm_enforcement enforcement)
{
	struct kvm_userspace_memory_region slot = {.guest_phys_addr = VMM_PAGE,
						   .memory_size = 0x1000};
	struct kvm_userspace_memory_region there;
	struct vsm_partition_options o;
	struct guest g;

	fixture_start(&g.x, RAM_MIB);
	slot.userspace_addr = (uintptr_t)g.x.mem;
	assert_int_equal(g.x.host->ops->set_memory_region(g.x.host, g.x.vm_fd, &slot), 0);
	o = guest_options(&g);
	o.topology = topology;
	o.enforcement = enforcement;
	o.first_slot = 1;
	guest_start_with(&g, &o);
	run(&g,
	    (struct fake_step[]){WRITE(0x40000000, 1), WRITE(0x40000001, VMM_PAGE | 1),
				 WRITE(0x40000083, PAGE_SIMP | 1), VMM_OUT},
	    4);
	assert_true(fake_kvm_slot_at(g.x.fake, g.x.vm_fd, VMM_PAGE, &there));
	assert_int_equal(there.slot, 0);
	run(&g, (struct fake_step[]){WRITE(0x40000001, PAGE_CODE | 1), VMM_OUT}, 2);
	/* The same for one that is closed, for it may not be executed. */
	assert_int_equal(memory_limit_default(&g.p->memory, 1, PROT_ALL), 0);
	run(&g, (struct fake_step[]){WRITE(0x40000083, VMM_PAGE | 1), VMM_OUT}, 2);
	run(&g, (struct fake_step[]){WRITE(0x40000083, PAGE_SIMP | 1), VMM_OUT}, 2);
	slot.memory_size = 0;
	assert_int_equal(g.x.host->ops->set_memory_region(g.x.host, g.x.vm_fd, &slot), 0);
	guest_stop(&g);
}

static void test_over_memslot(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(combinations); i++)
		over_memslot(combinations[i].topology, combinations[i].enforcement);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_beyond_addresses),
		cmocka_unit_test(test_memory_beyond_addresses),
		cmocka_unit_test(test_over_memslot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
