/* SPDX-License-Identifier: MIT */
/* A VP in VTL0 on a fake host, with memory, page tables and code: what intercepts look at. */
#ifndef VSM_TESTS_UNIT_INTERCEPT_FIXTURE_H
#define VSM_TESTS_UNIT_INTERCEPT_FIXTURE_H

#include <string.h>

#include "fixture.h"
#include "vcpu/vcpu.h"

#define SCENE_PAGES 1024
#define SCENE_ROM   0x800 /* first page of ROM, one page */
#define SCENE_HOLE  0x900 /* no memory, mapped by the guest */

/* Guest memory, by address; linear addresses are the same below 2 MiB. */
#define PML4  0x1000u
#define PDPT  0x2000u
#define PD    0x3000u
#define PT    0x4000u
#define CODE  0x10000u
#define DATA  0x20000u
#define FREE  0x30000u
#define STACK 0x40000u
/* Linear pages of the ROM and of the hole. */
#define LINEAR_ROM  0x1f0000u
#define LINEAR_HOLE 0x1f1000u

#define PTE_P	    0x1u
#define PTE_W	    0x2u
#define PTE_U	    0x4u
#define PTE_A	    0x20u
#define PTE_D	    0x40u
#define PTE_ALL	    (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)

struct scene {
	struct fixture x;
	struct vsm_partition p;
	struct vsm_vcpu vp;
	struct space space;
	uint8_t xsave[4096];
};

static inline uint64_t *scene_pte(struct scene *s, uint64_t gva)
{
	return (uint64_t *)(s->x.mem + PT) + ((gva >> 12) & 511);
}

static inline void scene_tables(struct scene *s)
{
	*(uint64_t *)(s->x.mem + PML4) = PDPT | PTE_ALL;
	*(uint64_t *)(s->x.mem + PDPT) = PD | PTE_ALL;
	*(uint64_t *)(s->x.mem + PD) = PT | PTE_ALL;
	for (uint64_t page = 0; page < 512; page++)
		*scene_pte(s, page << 12) = (page << 12) | PTE_ALL;
	*scene_pte(s, LINEAR_ROM) = (SCENE_ROM << 12) | PTE_ALL;
	*scene_pte(s, LINEAR_HOLE) = (SCENE_HOLE << 12) | PTE_ALL;
}

static inline void scene_start(struct scene *s, enum vsm_enforcement enforcement,
			       enum vsm_exec_policy policy)
{
	struct memory_options o = {.enforcement = enforcement,
				   .exec_policy = policy,
				   .vtl_count = 3,
				   .overlay_pages = 4,
				   .slot_limit = 64};
	const struct kvm_host *h;
	int fd;

	memset(s, 0, sizeof(*s));
	fixture_start(&s->x, 8);
	h = s->x.host;
	s->p.host = h;
	s->p.xsave.size = sizeof(s->xsave);
	s->p.vtl_count = 3;
	assert_int_equal(memory_init(&s->p.memory, h, &o), 0);
	assert_int_equal(memory_add_region(&s->p.memory, gpa_from(0), SCENE_PAGES << 12,
					   s->x.mem_fd, 0, false),
			 0);
	assert_int_equal(memory_add_region(&s->p.memory, gpa_of_page(SCENE_ROM), 4096, s->x.mem_fd,
					   SCENE_PAGES << 12, true),
			 0);
	assert_int_equal(space_init(&s->space, s->x.vm_fd, false, 0, 64), 0);
	fd = h->ops->create_vcpu(h, s->x.vm_fd, 0);
	assert_true(fd >= 0);
	s->vp.partition = &s->p;
	vcpu_activate(&s->vp, 0);
	s->vp.vtls[0].xsave = s->xsave;
	assert_int_equal(vtl_cpu_init(&s->vp.vtls[0].cpu, h, fd,
				      (size_t)h->ops->get_vcpu_mmap_size(h, s->x.dev_fd), true,
				      true),
			 0);
	scene_tables(s);
	fake_vcpu_long_mode(s->x.fake, fd, PML4, CODE, STACK);
	fake_vcpu_regs(s->x.fake, fd)->rax = DATA;
}

static inline void scene_stop(struct scene *s)
{
	assert_true(fake_kvm_script_done(s->x.fake));
	vtl_cpu_destroy(&s->vp.vtls[0].cpu);
	space_destroy(s->x.host, &s->space);
	memory_destroy(&s->p.memory);
	fixture_stop(&s->x);
}

static inline struct vtl_cpu *scene_cpu(struct scene *s)
{
	return &s->vp.vtls[0].cpu;
}

static inline struct kvm_regs *scene_regs(struct scene *s)
{
	struct kvm_regs *regs;

	assert_int_equal(vtl_cpu_regs(scene_cpu(s), &regs), 0);
	return regs;
}

static inline struct kvm_sregs *scene_sregs(struct scene *s)
{
	struct kvm_sregs *sregs;

	assert_int_equal(vtl_cpu_sregs(scene_cpu(s), &sregs), 0);
	return sregs;
}

static inline void scene_code(struct scene *s, uint64_t at, const void *bytes, size_t count)
{
	memcpy(s->x.mem + at, bytes, count);
}

/* VTL `setter` leaves VTL0 `mask` of the page at that address. */
static inline void scene_limit_by(struct scene *s, unsigned setter, uint64_t at, prot_t mask)
{
	if (!s->p.memory.limits_on[setter])
		assert_int_equal(memory_limit_default(&s->p.memory, setter, PROT_ALL), 0);
	assert_int_equal(memory_limit(&s->p.memory, setter, 0, at >> 12, (at >> 12) + 1, mask), 0);
}

static inline void scene_limit(struct scene *s, uint64_t at, prot_t mask)
{
	scene_limit_by(s, 1, at, mask);
}

/* KVM_RUN with the slots as the limits want them. */
static inline int scene_run(struct scene *s)
{
	assert_int_equal(space_apply(&s->space, &s->p.memory, 0, NULL), 0);
	return vtl_cpu_run(scene_cpu(s));
}

static inline void scene_script(struct scene *s, const struct fake_step *steps, size_t count)
{
	fake_vcpu_script(s->x.fake, scene_cpu(s)->fd, steps, count);
}

#endif
