/* SPDX-License-Identifier: MIT */
/* A partition on the fake host, with RAM at 0 and one VP: what tests of the run loop start from. */
#ifndef VSM_TESTS_UNIT_PARTITION_FIXTURE_H
#define VSM_TESTS_UNIT_PARTITION_FIXTURE_H

#include "fixture.h"
#include "partition/partition.h"
#include "vcpu/vcpu.h"

#define RAM_MIB 4

/* Guest pages with a role in every test. */
#define PAGE_CODE	UINT64_C(0x10000) /* the hypercall page, per VTL the same place */
#define PAGE_ASSIST	UINT64_C(0x11000)
#define PAGE_SIMP	UINT64_C(0x12000)
#define PAGE_SECRET	UINT64_C(0x20000)
#define VTL1_ENTRY	UINT64_C(0x30000)
#define ENTRY_HYPERCALL (PAGE_CODE + 0)
#define ENTRY_CALL	(PAGE_CODE + 0x16)
#define ENTRY_RETURN	(PAGE_CODE + 0x20)
#define OUT_LENGTH_FAKE 2

static const struct guest_combination {
	enum vsm_topology topology;
	enum vsm_enforcement enforcement;
} guest_combinations[] = {
	{VSM_TOPOLOGY_SINGLE_VM, VSM_ENFORCEMENT_SLOTS},
	{VSM_TOPOLOGY_SINGLE_VM, VSM_ENFORCEMENT_ALIAS},
	{VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_SLOTS},
	{VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS},
};

struct guest {
	struct fixture x;
	struct vsm_partition *p;
	struct vsm_vcpu *vp;
};

static inline struct vsm_partition_options guest_options(const struct guest *g)
{
	return (struct vsm_partition_options){
		.size = sizeof(struct vsm_partition_options),
		.kvm_fd = g->x.dev_fd,
		.vm_fd = g->x.vm_fd,
	};
}

static inline void guest_start_with(struct guest *g, const struct vsm_partition_options *o)
{
	struct vsm_memory_region ram = {
		.size = sizeof(ram), .bytes = g->x.mem_size, .fd = g->x.mem_fd};
	struct vsm_vcpu_options vo = {.size = sizeof(vo)};

	assert_int_equal(partition_create_on(g->x.host, o, &g->p), 0);
	assert_int_equal(vsm_partition_map_memory(g->p, &ram), 0);
	assert_int_equal(vsm_vcpu_create(g->p, &vo, &g->vp), 0);
	fake_vcpu_flat_mode(g->x.fake, vsm_vcpu_fd(g->vp, 0), 0x1000, 0x8000);
}

static inline void guest_start(struct guest *g, enum vsm_topology t, enum vsm_enforcement e)
{
	struct vsm_partition_options o;

	fixture_start(&g->x, RAM_MIB);
	o = guest_options(g);
	o.topology = t;
	o.enforcement = e;
	guest_start_with(g, &o);
}

static inline void guest_stop(struct guest *g)
{
	vsm_partition_destroy(g->p);
	fixture_stop(&g->x);
}

/*
 * Enables VTL1 on the VP by the library's own state, in flat mode at VTL1_ENTRY, with all its pages
 * shown.
 */
static inline void guest_enable_vtl1(struct guest *g)
{
	g->p->enabled_vtls |= 2;
	g->vp->enabled_vtls |= 2;
	fake_vcpu_flat_mode(g->x.fake, vsm_vcpu_fd(g->vp, 1), VTL1_ENTRY, 0x9000);
	fake_vcpu_regs(g->x.fake, vsm_vcpu_fd(g->vp, 1))->rflags = 2;
}

#endif
