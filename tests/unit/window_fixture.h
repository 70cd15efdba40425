/* SPDX-License-Identifier: MIT */
/* A VP of VTL0 in 64-bit mode, and a host that watches what is open in each KVM_RUN. */
#ifndef VSM_TESTS_UNIT_WINDOW_FIXTURE_H
#define VSM_TESTS_UNIT_WINDOW_FIXTURE_H

#include "partition_fixture.h"
#include "registers/msr.h"
#include "vcpu/exit.h"
#include "vcpu/step.h"
#include "vcpu/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PML4	  UINT64_C(0x40000)
#define PDPT	  UINT64_C(0x41000)
#define PD	  UINT64_C(0x42000)
#define PDPT_TOP  UINT64_C(0x43000)
#define PD_TOP	  UINT64_C(0x44000)
#define PT_TOP	  UINT64_C(0x45000)
#define IDT	  UINT64_C(0x46000)
#define GDT	  UINT64_C(0x47000)
#define CODE	  UINT64_C(0x1000)
#define STACK	  UINT64_C(0x8000)
#define HANDLER	  UINT64_C(0xffff800000123456)
#define TOP_PAGE  UINT64_C(0xfffffffffffff000)
#define LSTAR	  UINT64_C(0xffffffff81000000)
#define MSR_LSTAR 0xc0000082
#define ENTRY	  UINT64_C(0x23) /* present, writable, accessed */
#define USER	  UINT64_C(4)
#define LEAF	  UINT64_C(0x63) /* and dirty */
#define LARGE	  UINT64_C(0xe3) /* 2 MiB */
#define PAGE	  PAGE_SECRET
#define READ_ONLY ((prot_t)(PROT_R | PROT_KX | PROT_UX))
#define NO_CODE	  ((prot_t)(PROT_R | PROT_W))

static struct {
	struct guest g;
	struct kvm_ops ops;
	struct kvm_host host;
	unsigned open_runs; /* KVM_RUNs with PAGE open */
	unsigned open_idt;  /* of those, with the IDT reachable */
	struct kvm_guest_debug debug;
	bool fresh; /* translations were dropped since the last KVM_RUN */
	bool stale; /* a KVM_RUN with PAGE open was not fresh */
} t;

static inline int fd(void)
{
	return vsm_vcpu_fd(t.g.vp, 0);
}

static inline int access_to(uint64_t page)
{
	return fake_kvm_guest_access(t.g.x.fake, partition_space(t.g.p, 0)->vm_fd, page);
}

static inline bool is_open(uint64_t page)
{
	return access_to(page) == KVM_MAP_READ || access_to(page) == KVM_MAP_READ_WRITE;
}

static inline int watched_run(const struct kvm_host *h, int vcpu_fd)
{
	if (vcpu_fd == fd() && is_open(PAGE)) {
		t.open_runs++;
		t.open_idt += is_open(IDT);
		t.stale |= !t.fresh;
	}
	t.fresh = false;
	return t.g.x.host->ops->run(h, vcpu_fd);
}

static inline int watched_debug(const struct kvm_host *h, int vcpu_fd,
				const struct kvm_guest_debug *debug)
{
	if (debug->control)
		t.debug = *debug;
	return t.g.x.host->ops->set_guest_debug(h, vcpu_fd, debug);
}

static inline int watched_sregs(const struct kvm_host *h, int vcpu_fd,
				const struct kvm_sregs *sregs)
{
	t.fresh |= sregs->cr3 != fake_vcpu_sregs(t.g.x.fake, vcpu_fd)->cr3;
	return t.g.x.host->ops->set_sregs(h, vcpu_fd, sregs);
}

static inline void put(uint64_t at, uint64_t value)
{
	memcpy(t.g.x.mem + at, &value, sizeof(value));
}

static inline uint64_t word(uint64_t at)
{
	uint64_t value;

	memcpy(&value, t.g.x.mem + at, sizeof(value));
	return value;
}

/* 64-bit mode, the first 2 MiB as they are, the IDT also in the last page of the address space. */
static inline void put_tables(void)
{
	struct kvm_sregs *s = fake_vcpu_sregs(t.g.x.fake, fd());

	put(PML4, PDPT | ENTRY);
	put(PDPT, PD | ENTRY);
	put(PD, LARGE);
	put(PML4 + 511 * 8, PDPT_TOP | ENTRY);
	put(PDPT_TOP + 511 * 8, PD_TOP | ENTRY);
	put(PD_TOP + 511 * 8, PT_TOP | ENTRY);
	put(PT_TOP + 511 * 8, IDT | LEAF);
	fake_vcpu_long_mode(t.g.x.fake, fd(), PML4, CODE, STACK);
	s = fake_vcpu_sregs(t.g.x.fake, fd());
	s->efer |= 1;
	s->idt = (struct kvm_dtable){.base = IDT, .limit = 0xfff};
	s->gdt = (struct kvm_dtable){.base = GDT, .limit = 0xfff};
	put(GDT + 8, UINT64_C(0x00209b0000000000)); /* 64-bit code */
}

static inline int start(void **state)
{
	const struct kvm_host *real;
	struct vsm_partition_options o;

	(void)state;
	memset(&t, 0, sizeof(t));
	fixture_start(&t.g.x, RAM_MIB);
	real = t.g.x.host;
	t.ops = *real->ops;
	t.ops.run = watched_run;
	t.ops.set_guest_debug = watched_debug;
	t.ops.set_sregs = watched_sregs;
	t.host = (struct kvm_host){&t.ops, real->ctx};
	o = guest_options(&t.g);
	o.enforcement = VSM_ENFORCEMENT_ALIAS;
	t.g.x.host = &t.host;
	guest_start_with(&t.g, &o);
	t.g.x.host = real;
	guest_enable_vtl1(&t.g);
	assert_int_equal(memory_limit_default(&t.g.p->memory, 1, PROT_ALL), 0);
	put_tables();
	return 0;
}

static inline int stop(void **state)
{
	(void)state;
	guest_stop(&t.g);
	return 0;
}

static inline void limit(uint64_t at, prot_t mask)
{
	uint64_t page = at >> VSM_PAGE_SHIFT;

	assert_int_equal(memory_limit(&t.g.p->memory, 1, 0, page, page + 1, mask), 0);
}

static inline void script(const struct fake_step *steps, size_t count)
{
	fake_vcpu_script(t.g.x.fake, fd(), steps, count);
}

/* To the VMM, from the VTL that ought to be there. */
static const struct fake_step vmm = {.kind = FAKE_OUT, .port = 0x3f8, .size = 1, .length = 2};

static inline void run_to_vmm(unsigned vtl)
{
	struct kvm_run *run;

	fake_vcpu_script(t.g.x.fake, vsm_vcpu_fd(t.g.vp, vtl), &vmm, 1);
	assert_int_equal(vsm_vcpu_run(t.g.vp, &run), 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(vsm_vcpu_active_vtl(t.g.vp), vtl);
	assert_null(vsm_partition_death(t.g.p));
	assert_false(is_open(PAGE));
	assert_int_equal(t.open_idt, 0);
	assert_false(t.stale);
}

#define STORE                                                                      \
	{                                                                          \
		.kind = FAKE_STORE, .gva = PAGE, .size = 4, .data = 1, .length = 2 \
	}

/* mov %eax, (%rbx), to a page that VTL0 may use but not run. */
static inline void put_store(void)
{
	static const uint8_t code[] = {0x89, 0x03};

	memcpy(t.g.x.mem + CODE, code, sizeof(code));
	fake_vcpu_regs(t.g.x.fake, fd())->rbx = PAGE;
	limit(PAGE, NO_CODE);
}

static inline int walk_fails(struct fake_guest *g, void *ctx)
{
	(void)g;
	(void)ctx;
	return -EFAULT;
}

/* KVM fails at the closed page; with that open, `inside` comes in the instruction's place. */
static inline void script_inside(struct fake_step inside)
{
	const struct fake_step steps[] = {{.kind = FAKE_CALL, .fn = walk_fails}, inside};

	script(steps, ARRAY_SIZE(steps));
}

/* A KVM that cannot deliver what *ctx says, by software. */
static inline int shutdown(struct fake_guest *g, void *ctx)
{
	struct kvm_vcpu_events *e = fake_vcpu_events(g->f, g->vcpu_fd);

	e->exception.nr = *(const uint8_t *)ctx;
	g->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return FAKE_TO_USER;
}

#define SHUTDOWN(vector)                                                                  \
	{                                                                                 \
		.kind = FAKE_CALL, .fn = shutdown, .ctx = &(uint8_t){vector}, .length = 0 \
	}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

#endif
