// SPDX-License-Identifier: MIT
/* The exits the library lives on: port I/O, MMIO, MSRs, halt, shutdown, and how they end. */
#include "world.h"

/* An `out` is at its address or past it, by KVM's vendor module; either way it happens once. */
static void test_out(void **state)
{
	struct world *w = *state;
	struct kvm_regs regs = world_regs(w);

	world_load(w, &guest_outs);
	regs.rax = 0xab;
	world_set_regs(w, &regs);
	world_expect_out(w, PORT_FIRST);
	assert_int_equal(((uint8_t *)w->run)[w->run->io.data_offset], 0xab);
	regs = world_regs(w);
	assert_true(regs.rip == GUEST_CODE || regs.rip == GUEST_CODE + 2);
	world_expect_out(w, PORT_SECOND);
	world_complete(w);
	assert_int_equal(world_regs(w).rip, GUEST_CODE + 4);
}

/* A RIP set at the exit is where the guest goes: nothing is skipped there. */
static void test_out_with_rip_set(void **state)
{
	struct world *w = *state;

	world_load(w, &guest_outs);
	world_load(w, &guest_other);
	world_expect_out(w, PORT_FIRST);
	world_set_rip(w, GUEST_OTHER);
	world_complete(w);
	assert_int_equal(world_regs(w).rip, GUEST_OTHER);
	world_expect_out(w, PORT_OTHER);
}

/* Setting the RIP past the `out`, which is what a hypercall does, does not skip the next one. */
static void test_out_with_rip_past(void **state)
{
	struct world *w = *state;

	world_load(w, &guest_outs);
	world_expect_out(w, PORT_FIRST);
	world_set_rip(w, GUEST_CODE + 2);
	world_expect_out(w, PORT_SECOND);
}

static void test_in(void **state)
{
	struct world *w = *state;

	world_load(w, &guest_in);
	assert_int_equal(world_run(w), 0);
	assert_int_equal(w->run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(w->run->io.direction, KVM_EXIT_IO_IN);
	assert_int_equal(w->run->io.port, PORT_IN);
	((uint8_t *)w->run)[w->run->io.data_offset] = 0x9c;
	world_complete(w);
	assert_int_equal(world_regs(w).rax & 0xff, 0x9c);
	assert_int_equal(world_regs(w).rip, GUEST_CODE + 2);
	world_expect_out(w, PORT_FIRST);
}

/* With nothing to finish, immediate_exit changes nothing. */
static void test_immediate_exit(void **state)
{
	struct world *w = *state;
	struct kvm_regs before = world_regs(w), after;

	world_load(w, &guest_outs);
	world_complete(w);
	after = world_regs(w);
	assert_memory_equal(&after, &before, sizeof(before));
	world_expect_out(w, PORT_FIRST);
}

static void check_mmio(struct world *w, uint64_t gpa, bool write)
{
	assert_int_equal(w->run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(w->run->mmio.phys_addr, gpa);
	assert_int_equal(w->run->mmio.len, 8);
	assert_int_equal(w->run->mmio.is_write, write);
}

static void expect_retired_store(struct world *w, uint64_t gpa)
{
	struct kvm_regs regs = world_regs(w);
	uint64_t value = STORED_VALUE;

	regs.rax = value;
	world_set_regs(w, &regs);
	assert_int_equal(world_run(w), 0);
	check_mmio(w, gpa, true);
	assert_memory_equal(w->run->mmio.data, &value, sizeof(value));
	assert_int_equal(world_regs(w).rip, GUEST_CODE + 8);
	world_expect_out(w, PORT_FIRST);
}

static void test_store_to_hole(void **state)
{
	struct world *w = *state;

	world_load(w, &guest_store_hole);
	expect_retired_store(w, GUEST_HOLE);
}

static void test_store_to_read_only_slot(void **state)
{
	struct world *w = *state;
	uint64_t before = 0;

	WORLD_NEED(w, KVM_CAP_READONLY_MEM);
	world_load(w, &guest_store_rom);
	assert_int_equal(world_set_slot(w, 1, GUEST_ROM, PAGE_BYTES, KVM_MEM_READONLY,
					w->alias + GUEST_SPARE),
			 0);
	expect_retired_store(w, GUEST_ROM);
	assert_memory_equal(w->mem + GUEST_SPARE, &before, sizeof(before));
}

/* Loads from a read-only slot need no exit. */
static void test_load_from_read_only_slot(void **state)
{
	struct world *w = *state;
	uint64_t value = STORED_VALUE;

	WORLD_NEED(w, KVM_CAP_READONLY_MEM);
	world_load(w, &guest_load_rom);
	memcpy(w->mem + GUEST_SPARE, &value, sizeof(value));
	assert_int_equal(world_set_slot(w, 1, GUEST_ROM, PAGE_BYTES, KVM_MEM_READONLY,
					w->alias + GUEST_SPARE),
			 0);
	world_expect_out(w, PORT_FIRST);
	assert_int_equal(world_regs(w).rax, value);
}

static void test_load_from_hole(void **state)
{
	struct world *w = *state;
	uint64_t value = STORED_VALUE;

	world_load(w, &guest_load_hole);
	assert_int_equal(world_run(w), 0);
	check_mmio(w, GUEST_HOLE, false);
	memcpy(w->run->mmio.data, &value, sizeof(value));
	world_complete(w);
	assert_int_equal(world_regs(w).rax, value);
	assert_int_equal(world_regs(w).rip, GUEST_CODE + 8);
	world_expect_out(w, PORT_FIRST);
}

/* The half-done load can be finished and undone: the registers put back, it starts over. */
static void test_load_undone(void **state)
{
	struct world *w = *state;
	struct kvm_regs before = world_regs(w);

	world_load(w, &guest_load_hole);
	assert_int_equal(world_run(w), 0);
	check_mmio(w, GUEST_HOLE, false);
	world_complete(w);
	world_set_regs(w, &before);
	assert_int_equal(world_run(w), 0);
	check_mmio(w, GUEST_HOLE, false);
}

/* A slot that is gone is a hole, also for a guest that has just used it. */
static void test_deleted_slot(void **state)
{
	struct world *w = *state;
	struct kvm_regs before = world_regs(w);
	uint64_t value = STORED_VALUE;

	world_load(w, &guest_load_rom);
	memcpy(w->mem + GUEST_SPARE, &value, sizeof(value));
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(
			world_set_slot(w, 1, GUEST_ROM, PAGE_BYTES, 0, w->alias + GUEST_SPARE), 0);
		world_set_regs(w, &before);
		world_expect_out(w, PORT_FIRST);
		assert_int_equal(world_regs(w).rax, value);
		assert_int_equal(world_set_slot(w, 1, GUEST_ROM, 0, 0, NULL), 0);
		world_complete(w);
		world_set_regs(w, &before);
		assert_int_equal(world_run(w), 0);
		check_mmio(w, GUEST_ROM, false);
		world_complete(w);
	}
}

static void test_halt(void **state)
{
	struct world *w = *state;

	world_load(w, &guest_halt);
	assert_int_equal(world_run(w), 0);
	assert_int_equal(w->run->exit_reason, KVM_EXIT_HLT);
	assert_int_equal(world_regs(w).rip, GUEST_CODE + 1);
	world_expect_out(w, PORT_FIRST);
}

static void test_triple_fault(void **state)
{
	struct world *w = *state;
	struct kvm_sregs s;

	world_load(w, &guest_undefined);
	assert_int_equal(OP(w, get_sregs, w->vcpu_fd, &s), 0);
	s.idt.limit = 0;
	assert_int_equal(OP(w, set_sregs, w->vcpu_fd, &s), 0);
	assert_int_equal(world_run(w), 0);
	assert_int_equal(w->run->exit_reason, KVM_EXIT_SHUTDOWN);
}

static void filter_msrs(struct world *w)
{
	uint8_t deny[8] = {0};
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR,
		.args = {KVM_MSR_EXIT_REASON_FILTER | KVM_MSR_EXIT_REASON_UNKNOWN |
			 KVM_MSR_EXIT_REASON_INVAL},
	};
	struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
		.ranges = {{.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
			    .base = MSR_HYPERV & ~63u,
			    .nmsrs = 64,
			    .bitmap = deny}},
	};

	assert_int_equal(OP(w, enable_cap, w->vm_fd, &cap), 0);
	assert_int_equal(OP(w, set_msr_filter, w->vm_fd, &filter), 0);
}

static void expect_rdmsr(struct world *w, const struct guest *guest, uint32_t msr, uint64_t why)
{
	struct kvm_regs regs = world_regs(w);

	filter_msrs(w);
	world_load(w, guest);
	regs.rcx = msr;
	world_set_regs(w, &regs);
	assert_int_equal(world_run(w), 0);
	assert_int_equal(w->run->exit_reason, KVM_EXIT_X86_RDMSR);
	assert_int_equal(w->run->msr.index, msr);
	assert_int_equal(w->run->msr.reason, why);
	w->run->msr.data = STORED_VALUE;
	w->run->msr.error = 0;
	world_complete(w);
	regs = world_regs(w);
	assert_int_equal(regs.rdx << 32 | regs.rax, STORED_VALUE);
	assert_int_equal(regs.rip, GUEST_CODE + 2);
	world_expect_out(w, PORT_FIRST);
}

static void test_rdmsr_filtered(void **state)
{
	expect_rdmsr(*state, &guest_rdmsr_hyperv, MSR_HYPERV, KVM_MSR_EXIT_REASON_FILTER);
}

static void test_rdmsr_unknown(void **state)
{
	expect_rdmsr(*state, &guest_rdmsr_unknown, MSR_UNKNOWN, KVM_MSR_EXIT_REASON_UNKNOWN);
}

/* The filter cannot have x2APIC's MSRs; without an in-kernel APIC they come all the same. */
static void test_rdmsr_x2apic(void **state)
{
	expect_rdmsr(*state, &guest_rdmsr_x2apic, MSR_X2APIC, KVM_MSR_EXIT_REASON_INVAL);
}

/* Runs to the exit of a wrmsr of STORED_VALUE. */
static void expect_wrmsr(struct world *w, const struct guest *guest, uint32_t msr, uint64_t why)
{
	struct kvm_regs regs = world_regs(w);

	filter_msrs(w);
	world_load(w, guest);
	regs.rcx = msr;
	regs.rax = (uint32_t)STORED_VALUE;
	regs.rdx = STORED_VALUE >> 32;
	world_set_regs(w, &regs);
	assert_int_equal(world_run(w), 0);
	assert_int_equal(w->run->exit_reason, KVM_EXIT_X86_WRMSR);
	assert_int_equal(w->run->msr.index, msr);
	assert_int_equal(w->run->msr.reason, why);
	assert_int_equal(w->run->msr.data, STORED_VALUE);
}

static void test_wrmsr_filtered(void **state)
{
	struct world *w = *state;

	expect_wrmsr(w, &guest_wrmsr_hyperv, MSR_HYPERV, KVM_MSR_EXIT_REASON_FILTER);
	w->run->msr.error = 0;
	world_complete(w);
	assert_int_equal(world_regs(w).rip, GUEST_CODE + 2);
	world_expect_out(w, PORT_FIRST);
}

/* An error makes the instruction fault. */
static void test_wrmsr_refused(void **state)
{
	struct world *w = *state;
	struct kvm_vcpu_events events;

	expect_wrmsr(w, &guest_wrmsr_unknown, MSR_UNKNOWN, KVM_MSR_EXIT_REASON_UNKNOWN);
	w->run->msr.error = 1;
	world_complete(w);
	assert_int_equal(world_regs(w).rip, GUEST_CODE);
	assert_int_equal(OP(w, get_vcpu_events, w->vcpu_fd, &events), 0);
	assert_int_equal(events.exception.injected, 1);
	assert_int_equal(events.exception.nr, 13);
	world_expect_out(w, PORT_HANDLER);
}

const struct CMUnitTest exit_tests[] = {
	WORLD_TEST(test_out),
	WORLD_TEST(test_out_with_rip_set),
	WORLD_TEST(test_out_with_rip_past),
	WORLD_TEST(test_in),
	WORLD_TEST(test_immediate_exit),
	WORLD_TEST(test_store_to_hole),
	WORLD_TEST(test_store_to_read_only_slot),
	WORLD_TEST(test_load_from_read_only_slot),
	WORLD_TEST(test_load_from_hole),
	WORLD_TEST(test_load_undone),
	WORLD_TEST(test_deleted_slot),
	WORLD_TEST(test_halt),
	WORLD_TEST(test_triple_fault),
	WORLD_TEST(test_rdmsr_filtered),
	WORLD_TEST(test_rdmsr_unknown),
	WORLD_TEST(test_rdmsr_x2apic),
	WORLD_TEST(test_wrmsr_filtered),
	WORLD_TEST(test_wrmsr_refused),
};
const size_t exit_test_count = ARRAY_SIZE(exit_tests);
