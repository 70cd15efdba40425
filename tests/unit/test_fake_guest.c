// SPDX-License-Identifier: MIT
/* The fake KVM itself: how its guests run, and what leaves them half-done. */
#include <pthread.h>
#include "fake_cpu.h"

/* --- exits --- */

static void an_out_is_skipped_unless_rip_moved(void **state)
{
	struct cpu c;
	struct fake_step out = {.kind = FAKE_OUT, .port = 0xe7, .size = 1, .data = 3, .length = 2};

	(void)state;
	cpu_start(&c);
	SCRIPT(&c, out, {.kind = FAKE_HLT, .rip = CODE + 2, .length = 1}, out,
	       {.kind = FAKE_HLT, .rip = 0x5000, .length = 1}, out);
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(c.run->io.port, 0xe7);
	assert_int_equal(*((uint8_t *)c.run + c.run->io.data_offset), 3);
	assert_int_equal(c.regs->rip, CODE);
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_HLT);
	assert_int_equal(cpu_run(&c), 0);
	c.regs->rip = 0x5000;
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.regs->rip, 0x5001);
	fake_kvm_set_flags(c.x.fake, FAKE_PIO_RIP_PAST);
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.regs->rip, 0x5003);
	assert_int_equal(cpu_complete(&c), -EINTR);
	assert_int_equal(c.regs->rip, 0x5003);
	cpu_stop(&c);
}

static void an_in_is_answered(void **state)
{
	struct cpu c;

	(void)state;
	cpu_start(&c);
	c.regs->rax = 0x1111111111111111;
	SCRIPT(&c, {.kind = FAKE_IN, .port = 0x60, .size = 2, .length = 2});
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->io.direction, KVM_EXIT_IO_IN);
	memset((uint8_t *)c.run + c.run->io.data_offset, 0xab, 2);
	assert_int_equal(cpu_complete(&c), -EINTR);
	assert_int_equal(c.regs->rax, 0x111111111111abab);
	assert_int_equal(c.regs->rip, CODE + 2);
	cpu_stop(&c);
}

static void closed_pages_fault_and_restart(void **state)
{
	struct cpu c;
	uint64_t value = 0;

	(void)state;
	cpu_start(&c);
	c.run->exit_reason = 77;
	assert_int_equal(cpu_protect(&c, 0x3000, 0x1000, KVM_MAP_READ), 0);
	SCRIPT(&c, {.kind = FAKE_LOAD, .gva = 0x3000, .size = 4, .length = 3},
	       {.kind = FAKE_STORE, .gva = 0x2ffc, .size = 8, .data = -1ll, .length = 4},
	       {.kind = FAKE_MODIFY, .gva = 0x3000, .size = 8, .data = 2, .length = 4},
	       {.kind = FAKE_FETCH, .gva = 0x3000, .size = 4, .length = 2},
	       {.kind = FAKE_HLT, .length = 1});
	assert_int_equal(cpu_run(&c), -EFAULT);
	assert_int_equal(c.run->exit_reason, 77);
	assert_int_equal(c.regs->rip, CODE + 3);
	assert_int_equal(fake_kvm_peek(c.x.fake, c.x.vm_fd, 0x2ffc, &value, 8), 0);
	assert_int_equal(value, 0);
	assert_int_equal(cpu_protect(&c, 0x3000, 0x1000, KVM_MAP_READ_WRITE), 0);
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_HLT);
	assert_int_equal(fake_kvm_peek(c.x.fake, c.x.vm_fd, 0x3000, &value, 8), 0);
	assert_int_equal(value, UINT64_C(0x100000001));
	assert_int_equal(cpu_protect(&c, 0x3000, 0x1000, KVM_MAP_NONE), 0);
	SCRIPT(&c, {.kind = FAKE_FETCH, .gva = 0x3000, .size = 1, .length = 1});
	assert_int_equal(cpu_run(&c), -EFAULT);
	assert_int_equal(cpu_protect(&c, 0x3000, 0x1000, KVM_MAP_READ), 0);
	SCRIPT(&c, {.kind = FAKE_HLT});
	assert_int_equal(cpu_run(&c), 0);
	cpu_stop(&c);
}

static void an_emulating_kvm_makes_closed_pages_mmio(void **state)
{
	struct cpu c;

	(void)state;
	cpu_start(&c);
	fake_kvm_set_flags(c.x.fake, FAKE_EMULATES);
	assert_int_equal(cpu_protect(&c, 0x3000, 0x1000, KVM_MAP_NONE), 0);
	SCRIPT(&c, {.kind = FAKE_STORE, .gva = 0x3008, .size = 4, .data = 5, .length = 4},
	       {.kind = FAKE_FETCH, .gva = 0x3000, .size = 1, .length = 1, .flags = FAKE_OPTIONAL});
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(c.run->mmio.phys_addr, 0x3008);
	assert_int_equal(c.regs->rip, CODE + 4);
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
	cpu_stop(&c);
}

static void a_store_outside_slots_is_retired(void **state)
{
	struct cpu c;
	uint8_t bytes[16];

	(void)state;
	memset(bytes, 0x77, sizeof(bytes));
	cpu_start(&c);
	assert_int_equal(slot(&c.x, 1, 0x200000, 0x1000, 0x5000, KVM_MEM_READONLY), 0);
	SCRIPT(&c,
	       {.kind = FAKE_STORE, .gva = HOLE + 8, .size = 4, .data = 0x01020304, .length = 6},
	       {.kind = FAKE_STORE, .gva = 0x200000, .size = 16, .bytes = bytes, .length = 4},
	       {.kind = FAKE_STORE, .gva = 0xffffc, .size = 8, .bytes = bytes, .length = 4});
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(c.run->mmio.phys_addr, HOLE + 8);
	assert_int_equal(c.run->mmio.len, 4);
	assert_true(c.run->mmio.is_write);
	assert_int_equal(c.run->mmio.data[0], 4);
	assert_int_equal(c.regs->rip, CODE + 6);
	/* 16 bytes to a read-only slot: two exits, retired at the first */
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->mmio.phys_addr, 0x200000);
	assert_int_equal(c.regs->rip, CODE + 10);
	assert_int_equal(cpu_complete(&c), 0);
	assert_int_equal(c.run->mmio.phys_addr, 0x200008);
	/* half in RAM, half outside */
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->mmio.phys_addr, 0x100000);
	assert_int_equal(c.run->mmio.len, 4);
	assert_int_equal(c.x.mem[0xffffc], 0x77);
	assert_int_equal(cpu_complete(&c), -EINTR);
	cpu_stop(&c);
}

static void a_load_outside_slots_completes_on_entry(void **state)
{
	struct cpu c;

	(void)state;
	cpu_start(&c);
	SCRIPT(&c, {.kind = FAKE_LOAD, .gva = HOLE, .size = 8, .reg = FAKE_RBX, .length = 3},
	       {.kind = FAKE_MODIFY, .gva = HOLE, .size = 4, .data = 1, .length = 5},
	       {.kind = FAKE_LOAD,
		.gva = HOLE,
		.size = 32,
		.length = 5,
		.flags = FAKE_NO_EMULATION});
	assert_int_equal(cpu_run(&c), 0);
	assert_false(c.run->mmio.is_write);
	assert_int_equal(c.regs->rip, CODE);
	memset(c.run->mmio.data, 0x42, 8);
	c.regs->rip = 0x9000; /* KVM's emulator puts its own RIP back */
	assert_int_equal(cpu_complete(&c), -EINTR);
	assert_int_equal(c.regs->rip, CODE + 3);
	assert_int_equal(c.regs->rbx, 0x4242424242424242);
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.regs->rip, CODE + 3);
	memset(c.run->mmio.data, 1, 8);
	assert_int_equal(cpu_run(&c), 0);
	assert_true(c.run->mmio.is_write);
	assert_int_equal(c.run->mmio.data[0], 2);
	assert_int_equal(c.regs->rip, CODE + 8);
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
	assert_int_equal(c.run->internal.suberror, KVM_INTERNAL_ERROR_EMULATION);
	assert_int_equal(c.regs->rip, CODE + 8);
	fake_vcpu_events(c.x.fake, c.fd)->exception.pending = 0;
	fixture_add_slot(&c.x, 3, HOLE);
	SCRIPT(&c, {.kind = FAKE_HLT});
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_HLT);
	cpu_stop(&c);
}

static void a_fetch_outside_slots_is_an_internal_error(void **state)
{
	struct cpu c;
	struct kvm_enable_cap cap = {.cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE, .args = {1}};
	struct fake_event ev;

	(void)state;
	cpu_start(&c);
	fake_vcpu_fetch(c.x.fake, c.fd, true);
	SCRIPT(&c, {.kind = FAKE_NOP, .length = 1, .flags = FAKE_OPTIONAL});
	c.regs->rip = HOLE;
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
	assert_int_equal(fake_vcpu_events(c.x.fake, c.fd)->exception.nr, 6);
	/* KVM_SET_REGS drops the pending #UD */
	assert_int_equal(OP(c.x)->set_regs(c.x.host, c.fd, c.regs), 0);
	assert_int_equal(fake_vcpu_events(c.x.fake, c.fd)->exception.pending, 0);
	/* at CPL 3 the guest gets the #UD and user space nothing, unless it asked */
	fake_vcpu_sregs(c.x.fake, c.fd)->ss.dpl = 3;
	assert_int_equal(OP(c.x)->enable_cap(c.x.host, c.x.vm_fd, &cap), 0);
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
	cap.args[0] = 0;
	assert_int_equal(OP(c.x)->enable_cap(c.x.host, c.x.vm_fd, &cap), 0);
	fake_vcpu_fetch(c.x.fake, c.fd, true);
	assert_int_equal(cpu_run(&c), -ENOSYS);
	assert_int_equal(fake_vcpu_delivered(c.x.fake, c.fd, &ev, 1), 1);
	assert_int_equal(ev.vector, 6);
	assert_int_equal(fake_kvm_errors(c.x.fake), 1); /* the script is at its end */
	fake_kvm_forgive(c.x.fake);
	cpu_stop(&c);
}

/* --- MSR exits --- */

static void msr_exits_follow_filter_and_reasons(void **state)
{
	struct cpu c;
	uint64_t deny = ~UINT64_C(2); /* 0x40000001; KVM copies whole longs */
	struct kvm_msr_filter filter = {
		.ranges = {
			{.flags = 3, .base = 0x40000000, .nmsrs = 8, .bitmap = (uint8_t *)&deny}}};
	struct kvm_enable_cap cap = {.cap = KVM_CAP_X86_USER_SPACE_MSR, .args = {7}};
	struct fake_event ev;

	(void)state;
	cpu_start(&c);
	SCRIPT(&c, {.kind = FAKE_RDMSR, .msr = 0x40000001, .length = 2},
	       {.kind = FAKE_RDMSR, .msr = 0x40000001, .length = 2},
	       {.kind = FAKE_WRMSR, .msr = 0x40000000, .data = 5, .length = 2},
	       {.kind = FAKE_RDMSR, .msr = 0x802, .length = 2}, {.kind = FAKE_HLT});
	assert_int_equal(OP(c.x)->set_msr_filter(c.x.host, c.x.vm_fd, &filter), 0);
	cap.args[0] = 8;
	assert_int_equal(OP(c.x)->enable_cap(c.x.host, c.x.vm_fd, &cap), -EINVAL);
	cap.args[0] = KVM_MSR_EXIT_REASON_FILTER | KVM_MSR_EXIT_REASON_UNKNOWN;
	assert_int_equal(OP(c.x)->enable_cap(c.x.host, c.x.vm_fd, &cap), 0);
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_X86_RDMSR);
	assert_int_equal(c.run->msr.reason, KVM_MSR_EXIT_REASON_FILTER);
	c.run->msr.data = UINT64_C(0x200000001);
	assert_int_equal(cpu_complete(&c), -EINTR);
	assert_int_equal(c.regs->rdx, 2);
	assert_int_equal(c.regs->rip, CODE + 2);
	assert_int_equal(cpu_run(&c), 0);
	c.run->msr.error = 1;
	assert_int_equal(cpu_complete(&c), -EINTR);
	assert_int_equal(c.regs->rip, CODE + 2);
	assert_int_equal(cpu_run(&c), 0); /* #GP delivered, then the next */
	assert_int_equal(fake_vcpu_delivered(c.x.fake, c.fd, &ev, 1), 1);
	assert_int_equal(ev.vector, 13);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_X86_WRMSR);
	assert_int_equal(c.run->msr.reason, KVM_MSR_EXIT_REASON_UNKNOWN);
	assert_int_equal(c.run->msr.data, 5);
	assert_int_equal(cpu_run(&c), 0); /* x2APIC: INVAL, which is not enabled: #GP */
	assert_int_equal(c.run->exit_reason, KVM_EXIT_HLT);
	assert_int_equal(fake_vcpu_delivered(c.x.fake, c.fd, &ev, 1), 2);
	cpu_stop(&c);
}

/* --- events, synchronized registers, debugging --- */

static void interrupts_wait_for_their_window(void **state)
{
	struct cpu c;
	struct fake_event ev;

	(void)state;
	cpu_start(&c);
	c.run->request_interrupt_window = 1;
	SCRIPT(&c, {.kind = FAKE_NOP, .length = 1},
	       {.kind = FAKE_SET, .reg = FAKE_RFLAGS, .data = 0x202, .length = 1},
	       {.kind = FAKE_HLT, .length = 1});
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_IRQ_WINDOW_OPEN);
	assert_true(c.run->ready_for_interrupt_injection);
	assert_true(c.run->if_flag);
	assert_int_equal(OP(c.x)->interrupt(c.x.host, c.fd, 0x31), 0);
	c.run->request_interrupt_window = 0;
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_HLT);
	assert_int_equal(fake_vcpu_delivered(c.x.fake, c.fd, &ev, 1), 1);
	assert_int_equal(ev.vector, 0x31);
	assert_int_equal(ev.kind, FAKE_INTERRUPT);
	/* with IF clear it is an error of the caller; so is losing one */
	c.regs->rflags = 2;
	assert_int_equal(OP(c.x)->interrupt(c.x.host, c.fd, 0x32), 0);
	assert_int_equal(OP(c.x)->interrupt(c.x.host, c.fd, 0x33), 0);
	SCRIPT(&c, {.kind = FAKE_HLT});
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(fake_kvm_errors(c.x.fake), 2);
	fake_kvm_forgive(c.x.fake);
	cpu_stop(&c);
}

static void note_event(struct fake_guest *g, const struct fake_event *event, void *ctx)
{
	(void)event;
	g->regs->rip = 0x7000;
	++*(int *)ctx;
}

static void events_are_checked_and_delivered(void **state)
{
	struct cpu c;
	struct kvm_vcpu_events ev;
	struct kvm_enable_cap cap = {.cap = KVM_CAP_EXCEPTION_PAYLOAD, .args = {1}};
	struct fake_event seen;
	int count = 0;

	(void)state;
	cpu_start(&c);
	fake_vcpu_on_event(c.x.fake, c.fd, note_event, &count);
	assert_int_equal(OP(c.x)->get_vcpu_events(c.x.host, c.fd, &ev), 0);
	ev.exception.injected = 1;
	ev.exception.nr = 14;
	ev.exception.has_error_code = 1;
	ev.exception.error_code = 2;
	ev.nmi.pending = 1;
	assert_int_equal(OP(c.x)->set_vcpu_events(c.x.host, c.fd, &ev), 0);
	SCRIPT(&c, {.kind = FAKE_HLT, .rip = 0x7000, .length = 1});
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(count, 2);
	assert_int_equal(fake_vcpu_delivered(c.x.fake, c.fd, &seen, 1), 2);
	assert_int_equal(seen.error_code, 2);
	assert_int_equal(seen.rip, CODE);
	assert_int_equal(OP(c.x)->get_vcpu_events(c.x.host, c.fd, &ev), 0);
	assert_int_equal(ev.exception.injected, 0);
	assert_int_equal(ev.nmi.masked, 1);
	/* what needs a capability, and what nothing allows */
	ev.flags = KVM_VCPUEVENT_VALID_PAYLOAD;
	assert_int_equal(OP(c.x)->set_vcpu_events(c.x.host, c.fd, &ev), -EINVAL);
	assert_int_equal(OP(c.x)->enable_cap(c.x.host, c.x.vm_fd, &cap), 0);
	assert_int_equal(OP(c.x)->set_vcpu_events(c.x.host, c.fd, &ev), 0);
	ev.flags = KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	assert_int_equal(OP(c.x)->set_vcpu_events(c.x.host, c.fd, &ev), -EINVAL);
	cap.cap = KVM_CAP_X86_TRIPLE_FAULT_EVENT;
	assert_int_equal(OP(c.x)->enable_cap(c.x.host, c.x.vm_fd, &cap), 0);
	ev.triple_fault.pending = 1;
	assert_int_equal(OP(c.x)->set_vcpu_events(c.x.host, c.fd, &ev), 0);
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_SHUTDOWN);
	ev.flags = 1 << 20;
	assert_int_equal(OP(c.x)->set_vcpu_events(c.x.host, c.fd, &ev), -EINVAL);
	cpu_stop(&c);
}

static void registers_travel_in_kvm_run(void **state)
{
	struct cpu c;

	(void)state;
	cpu_start(&c);
	SCRIPT(&c, {.kind = FAKE_HLT, .rip = 0x6000, .length = 1});
	c.run->kvm_valid_regs = 1 << 5;
	assert_int_equal(cpu_run(&c), -EINVAL);
	c.run->kvm_valid_regs = KVM_SYNC_X86_VALID_FIELDS;
	c.run->s.regs.regs = *c.regs;
	c.run->s.regs.regs.rip = 0x6000;
	c.run->s.regs.regs.rcx = 12;
	c.run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->kvm_dirty_regs, 0);
	assert_int_equal(c.regs->rcx, 12);
	assert_int_equal(c.run->s.regs.regs.rip, 0x6001);
	assert_int_equal(c.run->s.regs.sregs.cr0, fake_vcpu_sregs(c.x.fake, c.fd)->cr0);
	c.run->s.regs.sregs.cr4 = UINT64_MAX;
	c.run->kvm_dirty_regs = KVM_SYNC_X86_SREGS;
	assert_int_equal(cpu_run(&c), -EINVAL);
	c.run->kvm_dirty_regs = 0;
	c.run->cr8 = 16;
	assert_int_equal(cpu_run(&c), -EINVAL);
	c.run->cr8 = 3;
	assert_int_equal(cpu_complete(&c), -EINTR);
	assert_int_equal(c.run->s.regs.sregs.cr8, 3);
	cpu_stop(&c);
}

static void single_steps_trap(void **state)
{
	struct cpu c;
	struct kvm_guest_debug dbg = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};

	(void)state;
	cpu_start(&c);
	SCRIPT(&c, {.kind = FAKE_NOP, .length = 3},
	       {.kind = FAKE_LOAD, .gva = HOLE, .size = 1, .length = 2}, {.kind = FAKE_HLT});
	assert_int_equal(OP(c.x)->set_guest_debug(c.x.host, c.fd, &dbg), 0);
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_DEBUG);
	assert_int_equal(c.run->debug.arch.pc, CODE + 3);
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_DEBUG);
	dbg.control = 0;
	assert_int_equal(OP(c.x)->set_guest_debug(c.x.host, c.fd, &dbg), 0);
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_HLT);
	cpu_stop(&c);
}

static void a_shutdown_resets(void **state)
{
	struct cpu c;

	(void)state;
	cpu_start(&c);
	SCRIPT(&c, {.kind = FAKE_SHUTDOWN}, {.kind = FAKE_RETURN, .error = EIO},
	       {.kind = FAKE_SHUTDOWN});
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_SHUTDOWN);
	assert_int_equal(c.regs->rip, 0xfff0);
	c.regs->rip = CODE;
	assert_int_equal(cpu_run(&c), -EIO);
	fake_kvm_set_flags(c.x.fake, FAKE_SHUTDOWN_KEEPS_STATE | FAKE_EXIT_REASON_CLEARED);
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.regs->rip, CODE);
	cpu_stop(&c);
}

/* --- programs, callbacks, paging --- */

static int jump_back_twice(struct fake_guest *g, void *ctx)
{
	int *left = ctx;

	if ((*left)-- == 0)
		return FAKE_NEXT;
	g->regs->rip = CODE;
	return FAKE_AGAIN;
}

static void a_program_goes_where_rip_is(void **state)
{
	struct cpu c;
	int left = 2;
	const struct fake_step program[] = {
		{.kind = FAKE_MODIFY,
		 .rip = CODE,
		 .gva = 0x3000,
		 .size = 2,
		 .data = 1,
		 .length = 4},
		{.kind = FAKE_CALL,
		 .rip = CODE + 4,
		 .fn = jump_back_twice,
		 .ctx = &left,
		 .length = 2},
		{.kind = FAKE_NOP,
		 .rip = CODE + 6,
		 .length = 1,
		 .effects = {{FAKE_RSP, -8}, {FAKE_RCX, 1}}},
		{.kind = FAKE_HLT, .rip = CODE + 7, .length = 1},
	};

	(void)state;
	cpu_start(&c);
	fake_vcpu_program(c.x.fake, c.fd, program, ARRAY_SIZE(program));
	assert_false(fake_kvm_script_done(c.x.fake));
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.x.mem[0x3000], 3);
	assert_int_equal(c.regs->rsp, 0x7ff8);
	assert_int_equal(c.regs->rcx, 1);
	assert_true(fake_kvm_script_done(c.x.fake));
	cpu_stop(&c);
}

static void put64(struct cpu *c, uint64_t gpa, uint64_t value)
{
	assert_int_equal(fake_kvm_poke(c->x.fake, c->x.vm_fd, gpa, &value, sizeof(value)), 0);
}

static void paging_is_walked(void **state)
{
	struct cpu c;
	struct fake_event ev;
	uint64_t pte = 0;

	(void)state;
	cpu_start(&c);
	put64(&c, 0x10000, 0x11003);
	put64(&c, 0x11000, 0x12003);
	put64(&c, 0x12000, 0x13003);
	put64(&c, 0x12008, 0x83); /* 2 MiB page at 0 */
	put64(&c, 0x13000 + 5 * 8, 0x20003);
	put64(&c, 0x13000 + 6 * 8, 0x21001);
	put64(&c, 0x20008, 1234);
	fake_vcpu_long_mode(c.x.fake, c.fd, 0x10000, CODE, 0x8000);
	SCRIPT(&c, {.kind = FAKE_LOAD, .gva = 0x5008, .size = 8, .reg = FAKE_RCX, .length = 4},
	       {.kind = FAKE_LOAD, .gva = 0x220008, .size = 8, .reg = FAKE_RDX, .length = 4},
	       {.kind = FAKE_STORE, .gva = 0x5010, .size = 8, .length = 4},
	       {.kind = FAKE_LOAD, .gva = 0x7000, .size = 8, .length = 4}, {.kind = FAKE_HLT});
	/* the walker's own store of the dirty bit needs the page table to be writable */
	assert_int_equal(cpu_protect(&c, 0x13000, 0x1000, KVM_MAP_READ), 0);
	assert_int_equal(cpu_run(&c), -EFAULT);
	assert_int_equal(c.regs->rip, CODE);
	assert_int_equal(cpu_protect(&c, 0x13000, 0x1000, KVM_MAP_READ_WRITE), 0);
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_HLT);
	assert_int_equal(c.regs->rcx, 1234);
	assert_int_equal(c.regs->rdx, 1234);
	assert_int_equal(fake_kvm_peek(c.x.fake, c.x.vm_fd, 0x13028, &pte, 8), 0);
	assert_int_equal(pte, 0x20063);
	assert_int_equal(fake_vcpu_delivered(c.x.fake, c.fd, &ev, 1), 1);
	assert_int_equal(ev.vector, 14);
	assert_int_equal(ev.error_code, 0);
	assert_int_equal(fake_vcpu_sregs(c.x.fake, c.fd)->cr2, 0x7000);
	cpu_stop(&c);
}

static void a_wrong_script_is_an_error(void **state)
{
	struct cpu c;
	struct kvm_enable_cap cap = {.cap = KVM_CAP_X86_DISABLE_EXITS};

	(void)state;
	cpu_start(&c);
	assert_int_equal(cpu_run(&c), -ENOSYS);
	SCRIPT(&c, {.kind = FAKE_NOP, .rip = 0x99, .flags = FAKE_OPTIONAL});
	assert_int_equal(cpu_run(&c), -ENOSYS);
	assert_int_equal(OP(c.x)->enable_cap(c.x.host, c.x.vm_fd, &cap), -EINVAL);
	assert_int_equal(fake_kvm_errors(c.x.fake), 3);
	assert_non_null(strstr(fake_kvm_last_error(c.x.fake), "not modelled"));
	fake_kvm_forgive(c.x.fake);
	cpu_stop(&c);
}

/* --- threads --- */

static void *run_thread(void *arg)
{
	struct cpu *c = arg;

	return (void *)(intptr_t)cpu_run(c);
}

static int note_thread(struct fake_guest *g, void *ctx)
{
	const struct kvm_host *h = fake_kvm_host(g->f);

	*(int *)ctx = h->ops->current_thread(h);
	return FAKE_NEXT;
}

static void a_signal_ends_a_spin(void **state)
{
	struct cpu c;
	pthread_t thread;
	void *ret;
	int tid = 0;
	struct kvm_regs regs;

	(void)state;
	cpu_start(&c);
	SCRIPT(&c, {.kind = FAKE_CALL, .fn = note_thread, .ctx = &tid}, {.kind = FAKE_SPIN},
	       {.kind = FAKE_HLT});
	assert_int_equal(pthread_create(&thread, NULL, run_thread, &c), 0);
	assert_true(fake_vcpu_wait_idle(c.x.fake, c.fd));
	assert_true(fake_vcpu_running(c.x.fake, c.fd));
	assert_int_equal(OP(c.x)->signal_thread(c.x.host, tid, 10), 0);
	/* waits for KVM_RUN to return */
	assert_int_equal(OP(c.x)->get_regs(c.x.host, c.fd, &regs), 0);
	assert_int_equal(pthread_join(thread, &ret), 0);
	assert_int_equal((intptr_t)ret, -EINTR);
	assert_int_equal(c.run->exit_reason, KVM_EXIT_INTR);
	assert_false(fake_vcpu_running(c.x.fake, c.fd));
	/* one that comes while the thread is elsewhere is lost */
	tid = OP(c.x)->current_thread(c.x.host);
	assert_int_equal(OP(c.x)->signal_thread(c.x.host, tid, 10), 0);
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(OP(c.x)->signal_thread(c.x.host, 0, 10), -EINVAL);
	cpu_stop(&c);
}

static void an_irqchip_halts_in_the_kernel(void **state)
{
	struct cpu c;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp;
	int ap;

	(void)state;
	fixture_start(&c.x, 0);
	assert_int_equal(fake_kvm_create_irqchip(c.x.fake, c.x.vm_fd), 0);
	assert_int_equal(fake_kvm_create_irqchip(c.x.fake, c.x.vm_fd), -EEXIST);
	cpu_map(&c);
	ap = OP(c.x)->create_vcpu(c.x.host, c.x.vm_fd, 1);
	assert_int_equal(OP(c.x)->get_mp_state(c.x.host, ap, &mp), 0);
	assert_int_equal(mp.mp_state, KVM_MP_STATE_UNINITIALIZED);
	assert_int_equal(OP(c.x)->get_lapic(c.x.host, c.fd, &lapic), 0);
	assert_int_equal(OP(c.x)->interrupt(c.x.host, c.fd, 32), -ENXIO);
	assert_int_equal(OP(c.x)->nmi(c.x.host, c.fd), 0);
	SCRIPT(&c, {.kind = FAKE_OUT, .port = 1, .size = 1});
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(fake_vcpu_delivered(c.x.fake, c.fd, NULL, 0), 1);
	assert_int_equal(OP(c.x)->close_fd(c.x.host, ap), 0);
	cpu_stop(&c);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_out_is_skipped_unless_rip_moved),
		cmocka_unit_test(an_in_is_answered),
		cmocka_unit_test(closed_pages_fault_and_restart),
		cmocka_unit_test(an_emulating_kvm_makes_closed_pages_mmio),
		cmocka_unit_test(a_store_outside_slots_is_retired),
		cmocka_unit_test(a_load_outside_slots_completes_on_entry),
		cmocka_unit_test(a_fetch_outside_slots_is_an_internal_error),
		cmocka_unit_test(msr_exits_follow_filter_and_reasons),
		cmocka_unit_test(interrupts_wait_for_their_window),
		cmocka_unit_test(events_are_checked_and_delivered),
		cmocka_unit_test(registers_travel_in_kvm_run),
		cmocka_unit_test(single_steps_trap),
		cmocka_unit_test(a_shutdown_resets),
		cmocka_unit_test(a_program_goes_where_rip_is),
		cmocka_unit_test(paging_is_walked),
		cmocka_unit_test(a_wrong_script_is_an_error),
		cmocka_unit_test(a_signal_ends_a_spin),
		cmocka_unit_test(an_irqchip_halts_in_the_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
