// SPDX-License-Identifier: MIT
/*
 * A reset by the VMM in the middle of an instruction, and the guest run again: what KVM would still
 * have done of the old guest's instruction does not happen to the new one.
 */
#include <errno.h>
#include <stdlib.h>
#include "hv/vsm.h"
#include "registers/architecture.h"
#include "registers/msr.h"
#include "vcpu/vcpu.h"
#include "vsm/partition.h"
#include "vtl/enable.h"
#include "world.h"

#define CPUID_MAX 256
#define RAX_NEW	  0x1234567
#define MSR_LSTAR 0xc0000082u
#define DR7_RESET 0x400

/* A partition in a VM of its own, on the memory and with the registers of the world. */
struct machine {
	struct world *w;
	struct world vcpu[2]; /* the world as each VTL's vCPU sees it */
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct vsm_partition *p;
	struct vsm_vcpu *vp;
	struct kvm_run *run;
	int vm_fd;
};

static void set_cpuid(struct machine *m)
{
	struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof(*cpuid) + CPUID_MAX * sizeof(struct kvm_cpuid_entry2));

	assert_non_null(cpuid);
	cpuid->nent = CPUID_MAX;
	assert_int_equal(OP(m->w, get_supported_cpuid, m->w->dev_fd, cpuid), 0);
	assert_int_equal(vsm_vcpu_set_cpuid(m->vp, cpuid), 0);
	free(cpuid);
}

/* The VMM's reset of VTL0: to where the world started, but at `rip`. */
static void set_vtl0(struct machine *m, uint64_t rip)
{
	struct kvm_regs regs = m->regs;

	regs.rip = rip;
	regs.rax = RAX_NEW;
	assert_int_equal(OP(m->w, set_sregs, m->vcpu[0].vcpu_fd, &m->sregs), 0);
	assert_int_equal(OP(m->w, set_regs, m->vcpu[0].vcpu_fd, &regs), 0);
}

static void start(struct machine *m, struct world *w)
{
	struct vsm_memory_region region = {
		.size = sizeof(region), .bytes = GUEST_MEMORY, .fd = w->mem_fd};
	struct vsm_vcpu_options vo = {.size = sizeof(vo)};
	struct vsm_partition_options o = {.size = sizeof(o), .kvm_fd = w->dev_fd};

	*m = (struct machine){.w = w, .vcpu = {*w, *w}};
	m->vm_fd = o.vm_fd = OP(w, create_vm, w->dev_fd);
	assert_true(m->vm_fd >= 0);
	assert_int_equal(partition_create_on(w->host, &o, &m->p), 0);
	assert_int_equal(vsm_partition_map_memory(m->p, &region), 0);
	assert_int_equal(vsm_vcpu_create(m->p, &vo, &m->vp), 0);
	set_cpuid(m);
	for (unsigned vtl = 0; vtl < 2; vtl++)
		m->vcpu[vtl].vcpu_fd = vsm_vcpu_fd(m->vp, vtl);
	m->regs = world_regs(w);
	assert_int_equal(OP(w, get_sregs, w->vcpu_fd, &m->sregs), 0);
	set_vtl0(m, GUEST_CODE);
}

static void stop(struct machine *m)
{
	vsm_partition_destroy(m->p);
	assert_int_equal(OP(m->w, close_fd, m->vm_fd), 0);
}

/* -EINTR may be spurious. */
static void expect_io(struct machine *m, unsigned vtl, uint16_t port)
{
	int r;

	do
		r = vsm_vcpu_run(m->vp, &m->run);
	while (r == -EINTR);
	assert_int_equal(r, 0);
	assert_int_equal(vsm_vcpu_active_vtl(m->vp), vtl);
	assert_int_equal(m->run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(m->run->io.port, port);
}

/* The guest waits for an answer to its IN, is reset, and is somewhere else. */
static void check_half_done(struct world *w, int (*reset)(struct machine *m), bool vmm_first)
{
	struct machine m;

	start(&m, w);
	world_load(&m.vcpu[0], &guest_in);
	world_load(&m.vcpu[0], &guest_other);
	expect_io(&m, 0, PORT_IN);
	*((uint8_t *)m.run + m.run->io.data_offset) = 0xee;
	if (vmm_first)
		set_vtl0(&m, GUEST_OTHER);
	assert_int_equal(reset(&m), 0);
	if (!vmm_first)
		set_vtl0(&m, GUEST_OTHER);
	expect_io(&m, 0, PORT_OTHER);
	assert_int_equal(world_regs(&m.vcpu[0]).rax, RAX_NEW);
	stop(&m);
}

static int reset_partition(struct machine *m)
{
	return vsm_partition_reset(m->p);
}

static int reset_vp(struct machine *m)
{
	return vsm_vcpu_reset(m->vp);
}

static void test_half_done(void **state)
{
	check_half_done(*state, reset_partition, false);
	check_half_done(*state, reset_partition, true);
	check_half_done(*state, reset_vp, false);
	check_half_done(*state, reset_vp, true);
}

static struct hv_initial_vp_context context_at(const struct machine *m, uint64_t rip)
{
	const struct kvm_sregs *s = &m->sregs;
	struct hv_initial_vp_context c = {.rip = rip,
					  .rsp = GUEST_STACK,
					  .rflags = 2,
					  .efer = s->efer,
					  .cr0 = s->cr0,
					  .cr3 = s->cr3,
					  .cr4 = s->cr4};

	segment_from_kvm(&c.cs, &s->cs);
	segment_from_kvm(&c.ds, &s->ds);
	c.es = c.fs = c.gs = c.ss = c.ds;
	table_from_kvm(&c.gdtr, &s->gdt);
	table_from_kvm(&c.idtr, &s->idt);
	return c;
}

/* As if VTL0 had enabled it and called. Memory is to outlive a reset. */
static void enter_vtl1(struct machine *m, uint64_t rip)
{
	const struct hv_initial_vp_context c = context_at(m, rip);

	if (!(m->p->enabled_vtls & 2))
		assert_int_equal(vtl_enable_partition(m->p, 0, 1, 0), HV_SUCCESS);
	assert_int_equal(vtl_enable_vp(m->vp, m->vp, 1, &c), HV_SUCCESS);
	vcpu_activate(m->vp, 1);
	m->p->vtls[1].config = 0;
}

/* VTL1's vCPU is the library's: nothing of the old guest's is left in it for a new one. */
static void check_vtl1(struct world *w, int (*reset)(struct machine *m))
{
	struct kvm_debugregs dr;
	struct machine m;
	uint64_t lstar;

	start(&m, w);
	enter_vtl1(&m, GUEST_CODE);
	world_load(&m.vcpu[1], &guest_in);
	expect_io(&m, 1, PORT_IN);
	assert_int_equal(vtl_cpu_write_msr(&m.vp->vtls[1].cpu, MSR_LSTAR, 0x5000), 0);
	assert_int_equal(OP(w, get_debugregs, m.vcpu[1].vcpu_fd, &dr), 0);
	dr.dr7 = DR7_RESET | 1;
	assert_int_equal(OP(w, set_debugregs, m.vcpu[1].vcpu_fd, &dr), 0);
	assert_int_equal(reset(&m), 0);
	assert_int_equal(vsm_vcpu_active_vtl(m.vp), 0);
	assert_int_equal(OP(w, get_debugregs, m.vcpu[1].vcpu_fd, &dr), 0);
	assert_int_equal(dr.dr7, DR7_RESET);
	assert_int_equal(vtl_cpu_read_msr(&m.vp->vtls[1].cpu, MSR_LSTAR, &lstar), 0);
	assert_int_equal(lstar, 0);
	/* VTL0 runs, and VTL1 once it is enabled anew. */
	memset(w->mem + GUEST_CODE, 0, PAGE_BYTES);
	set_vtl0(&m, GUEST_OTHER);
	world_load(&m.vcpu[0], &guest_other);
	expect_io(&m, 0, PORT_OTHER);
	enter_vtl1(&m, GUEST_OTHER);
	world_load(&m.vcpu[1], &guest_other);
	expect_io(&m, 1, PORT_OTHER);
	stop(&m);
}

static void test_vtl1(void **state)
{
	check_vtl1(*state, reset_partition);
	check_vtl1(*state, reset_vp);
}

const struct CMUnitTest reset_tests[] = {
	WORLD_TEST(test_half_done),
	WORLD_TEST(test_vtl1),
};
const size_t reset_test_count = ARRAY_SIZE(reset_tests);
