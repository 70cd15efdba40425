// SPDX-License-Identifier: MIT
/* Makes the world of a contract test and runs its vCPU. */
#include <stdlib.h>
#include "world.h"

struct contract_host contract_host;

#define CPUID_MAX     256

#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10

static void open_host(struct world *w)
{
	if (contract_host.fake) {
		w->fake = fake_kvm_new();
		fake_kvm_set_flags(w->fake, contract_host.fake_flags);
		w->host = fake_kvm_host(w->fake);
	} else {
		w->host = &kvm_linux_host;
	}
	w->dev_fd = OP(w, open_device, contract_host.device);
	assert_true(w->dev_fd >= 0);
	w->vm_fd = OP(w, create_vm, w->dev_fd);
	assert_true(w->vm_fd >= 0);
}

static void make_memory(struct world *w)
{
	void *view = NULL;

	w->mem_fd = OP(w, create_memfd, "contract", GUEST_MEMORY);
	assert_true(w->mem_fd >= 0);
	assert_int_equal(
		OP(w, map_memory, w->mem_fd, 0, GUEST_MEMORY, KVM_MAP_READ_WRITE, NULL, &view), 0);
	w->mem = view;
	assert_int_equal(
		OP(w, map_memory, w->mem_fd, 0, GUEST_MEMORY, KVM_MAP_READ_WRITE, NULL, &view), 0);
	w->alias = view;
	assert_int_equal(world_set_slot(w, 0, 0, GUEST_MEMORY, 0, w->alias), 0);
}

/* The vCPU gets all the host can do: XCR0 and some MSRs depend on its CPUID. */
static void make_vcpu(struct world *w)
{
	struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof(*cpuid) + CPUID_MAX * sizeof(struct kvm_cpuid_entry2));

	assert_non_null(cpuid);
	w->vcpu_fd = OP(w, create_vcpu, w->vm_fd, 0);
	assert_true(w->vcpu_fd >= 0);
	w->run_size = (size_t)OP(w, get_vcpu_mmap_size, w->dev_fd);
	assert_int_equal(OP(w, map_vcpu, w->vcpu_fd, w->run_size, &w->run), 0);
	cpuid->nent = CPUID_MAX;
	assert_int_equal(OP(w, get_supported_cpuid, w->dev_fd, cpuid), 0);
	assert_int_equal(OP(w, set_cpuid2, w->vcpu_fd, cpuid), 0);
	free(cpuid);
}

/* The first 2 MiB, one to one, in 4 KiB pages that are accessed and dirty already. */
static void make_page_tables(struct world *w)
{
	uint64_t *table = (void *)(w->mem + GUEST_TABLES);

	for (unsigned level = 0; level < 3; level++)
		table[level * 512] = (GUEST_TABLES + (level + 1) * PAGE_BYTES) | 0x63;
	for (unsigned page = 0; page < 512; page++)
		table[3 * 512 + page] = (uint64_t)page * PAGE_BYTES | 0x63;
}

static void make_descriptors(struct world *w)
{
	static const uint64_t gdt[] = {0, 0x00af9b000000ffff, 0x00cf93000000ffff};
	uint64_t *idt = (void *)(w->mem + GUEST_IDT);

	memcpy(w->mem + GUEST_GDT, gdt, sizeof(gdt));
	for (unsigned vector = 0; vector < 256; vector++)
		idt[vector * 2] = GUEST_HANDLER | SELECTOR_CODE << 16 | UINT64_C(0x8e00) << 32;
}

static void enter_long_mode(struct world *w)
{
	struct kvm_regs regs = {.rip = GUEST_CODE, .rsp = GUEST_STACK, .rflags = 2};
	struct kvm_segment code = {.selector = SELECTOR_CODE,
				   .limit = UINT32_MAX,
				   .type = 11,
				   .present = 1,
				   .s = 1,
				   .l = 1,
				   .g = 1};
	struct kvm_segment data = {.selector = SELECTOR_DATA,
				   .limit = UINT32_MAX,
				   .type = 3,
				   .present = 1,
				   .s = 1,
				   .db = 1,
				   .g = 1};
	struct kvm_sregs s;

	assert_int_equal(OP(w, get_sregs, w->vcpu_fd, &s), 0);
	s.cr0 = 0x80050033;
	s.cr3 = GUEST_TABLES;
	s.cr4 = 0x620; /* PAE, OSFXSR, OSXMMEXCPT */
	s.efer = 0x500;
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.gdt.base = GUEST_GDT;
	s.gdt.limit = 3 * 8 - 1;
	s.idt.base = GUEST_IDT;
	s.idt.limit = 256 * 16 - 1;
	assert_int_equal(OP(w, set_sregs, w->vcpu_fd, &s), 0);
	world_set_regs(w, &regs);
}

/* What the IDT does for a real guest. */
static void go_to_handler(struct fake_guest *g, const struct fake_event *event, void *ctx)
{
	(void)event;
	(void)ctx;
	g->regs->rip = GUEST_HANDLER;
	g->regs->rflags &= ~UINT64_C(0x200);
}

int world_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	*state = w;
	open_host(w);
	make_memory(w);
	make_vcpu(w);
	make_page_tables(w);
	make_descriptors(w);
	enter_long_mode(w);
	world_load(w, &guest_handler);
	if (w->fake)
		fake_vcpu_on_event(w->fake, w->vcpu_fd, go_to_handler, NULL);
	return 0;
}

int world_teardown(void **state)
{
	struct world *w = *state;

	assert_int_equal(OP(w, unmap_memory, w->run, w->run_size), 0);
	assert_int_equal(OP(w, close_fd, w->vcpu_fd), 0);
	assert_int_equal(OP(w, unmap_memory, w->alias, GUEST_MEMORY), 0);
	assert_int_equal(OP(w, unmap_memory, w->mem, GUEST_MEMORY), 0);
	assert_int_equal(OP(w, close_fd, w->mem_fd), 0);
	assert_int_equal(OP(w, close_fd, w->vm_fd), 0);
	assert_int_equal(OP(w, close_fd, w->dev_fd), 0);
	if (w->fake)
		assert_int_equal(fake_kvm_free(w->fake), 0);
	free(w);
	return 0;
}

void world_skip(const char *why)
{
	print_message("skipped: %s\n", why);
	skip();
}

int world_need(struct world *w, int capability, const char *why)
{
	int value = OP(w, check_extension, w->vm_fd, capability);

	if (value <= 0)
		world_skip(why);
	return value;
}

/* Not every test runs its guest to the end. */
void world_load(struct world *w, const struct guest *guest)
{
	uint64_t at = guest->at;

	for (size_t i = 0; i < guest->count; i++) {
		const struct guest_insn *insn = &guest->insns[i];
		struct fake_step step = insn->step;

		memcpy(w->mem + at, insn->code, insn->length);
		step.rip = at;
		step.length = insn->length;
		step.flags |= FAKE_OPTIONAL;
		if (w->fake)
			fake_vcpu_program(w->fake, w->vcpu_fd, &step, 1);
		at += insn->length;
	}
}

int world_set_slot(struct world *w, uint32_t id, uint64_t gpa, uint64_t size, uint32_t flags,
		   const void *memory)
{
	struct kvm_userspace_memory_region region = {
		.slot = id,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)memory,
	};

	return OP(w, set_memory_region, w->vm_fd, &region);
}

struct kvm_regs world_regs(struct world *w)
{
	struct kvm_regs regs;

	assert_int_equal(OP(w, get_regs, w->vcpu_fd, &regs), 0);
	return regs;
}

void world_set_regs(struct world *w, const struct kvm_regs *regs)
{
	assert_int_equal(OP(w, set_regs, w->vcpu_fd, regs), 0);
}

void world_set_rip(struct world *w, uint64_t rip)
{
	struct kvm_regs regs = world_regs(w);

	regs.rip = rip;
	world_set_regs(w, &regs);
}

int world_run_once(struct world *w)
{
	w->run->exit_reason = UINT32_MAX;
	return OP(w, run, w->vcpu_fd);
}

int world_run(struct world *w)
{
	int r;

	do
		r = world_run_once(w);
	while (r == -EINTR);
	return r;
}

void world_complete(struct world *w)
{
	w->run->immediate_exit = 1;
	assert_int_equal(OP(w, run, w->vcpu_fd), -EINTR);
	w->run->immediate_exit = 0;
}

void world_check_out(struct world *w, uint16_t port)
{
	assert_int_equal(w->run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(w->run->io.direction, KVM_EXIT_IO_OUT);
	assert_int_equal(w->run->io.port, port);
	assert_int_equal(w->run->io.size, 1);
	assert_int_equal(w->run->io.count, 1);
}

void world_expect_out(struct world *w, uint16_t port)
{
	assert_int_equal(world_run(w), 0);
	world_check_out(w, port);
}
