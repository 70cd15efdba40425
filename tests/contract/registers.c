// SPDX-License-Identifier: MIT
/* Registers through ioctls and through kvm_run: what comes back, and what is refused. */
#include <stdlib.h>
#include "world.h"

#define CR4_PAE	     (UINT64_C(1) << 5)
#define CR4_RESERVED (UINT64_C(1) << 40)
#define EFER_LMA     (UINT64_C(1) << 10)

/* Linux 6.12 refuses what it does not know in the lower half only. */
#define SYNC_UNKNOWN (UINT64_C(1) << 31)

#define MSR_STAR     0xc0000081u
#define MSR_LSTAR    0xc0000082u

#define TSC_OFFSET   UINT64_C(0xfffffff000001234)

/* Where things are in an XSAVE image (Intel SDM volume 1, 13.4). */
#define XSAVE_MXCSR  24
#define XSAVE_XMM0   160
#define XSAVE_HEADER 512

static void test_regs(void **state)
{
	struct world *w = *state;
	struct kvm_regs in, out;

	memset(&in, 0x5a, sizeof(in));
	in.rflags = 0x202;
	in.rip = 0x1234;
	world_set_regs(w, &in);
	out = world_regs(w);
	assert_memory_equal(&out, &in, sizeof(in));
}

static void test_sregs(void **state)
{
	struct world *w = *state;
	struct kvm_sregs in, out;

	assert_int_equal(OP(w, get_sregs, w->vcpu_fd, &in), 0);
	in.cr2 = 0xabc000;
	in.fs.base = 0x123456;
	in.gdt.limit = 0x77;
	assert_int_equal(OP(w, set_sregs, w->vcpu_fd, &in), 0);
	assert_int_equal(OP(w, get_sregs, w->vcpu_fd, &out), 0);
	assert_int_equal(out.cr0, in.cr0);
	assert_int_equal(out.cr2, in.cr2);
	assert_int_equal(out.cr3, in.cr3);
	assert_int_equal(out.cr4, in.cr4);
	assert_int_equal(out.efer, in.efer);
	assert_int_equal(out.fs.base, in.fs.base);
	assert_int_equal(out.gdt.limit, in.gdt.limit);
	assert_int_equal(out.cs.selector, in.cs.selector);
}

/* Refused values leave the vCPU as it was. */
static void test_bad_sregs(void **state)
{
	struct world *w = *state;
	struct kvm_sregs good, bad, after;

	assert_int_equal(OP(w, get_sregs, w->vcpu_fd, &good), 0);
	bad = good;
	bad.cr4 |= CR4_RESERVED;
	assert_int_equal(OP(w, set_sregs, w->vcpu_fd, &bad), -EINVAL);
	bad = good;
	bad.cr4 &= ~CR4_PAE;
	assert_int_equal(OP(w, set_sregs, w->vcpu_fd, &bad), -EINVAL);
	bad = good;
	bad.efer &= ~EFER_LMA;
	assert_int_equal(OP(w, set_sregs, w->vcpu_fd, &bad), -EINVAL);
	bad = good;
	bad.cr0 = 0x33; /* LMA without paging */
	assert_int_equal(OP(w, set_sregs, w->vcpu_fd, &bad), -EINVAL);
	assert_int_equal(OP(w, get_sregs, w->vcpu_fd, &after), 0);
	assert_int_equal(after.cr0, good.cr0);
	assert_int_equal(after.cr4, good.cr4);
	assert_int_equal(after.efer, good.efer);
}

static void test_sync_regs(void **state)
{
	struct world *w = *state;
	int fields = WORLD_NEED(w, KVM_CAP_SYNC_REGS);
	struct kvm_regs *regs = &w->run->s.regs.regs, after;

	world_load(w, &guest_outs);
	world_load(w, &guest_other);
	w->run->kvm_valid_regs = (uint64_t)fields;
	world_expect_out(w, PORT_FIRST);
	after = world_regs(w);
	assert_memory_equal(regs, &after, sizeof(after));
	assert_int_equal(w->run->s.regs.sregs.cr3, GUEST_TABLES);
	assert_int_equal(w->run->s.regs.events.exception.injected, 0);
	/* What is marked goes in, once; nothing else does. */
	regs->rip = GUEST_OTHER;
	regs->rbx = 77;
	w->run->s.regs.sregs.cr2 = 0xdead;
	w->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	world_expect_out(w, PORT_OTHER);
	assert_int_equal(w->run->kvm_dirty_regs, 0);
	assert_int_equal(world_regs(w).rbx, 77);
	assert_int_not_equal(w->run->s.regs.sregs.cr2, 0xdead);
	w->run->kvm_valid_regs = SYNC_UNKNOWN;
	assert_int_equal(world_run(w), -EINVAL);
	w->run->kvm_valid_regs = 0;
	w->run->kvm_dirty_regs = SYNC_UNKNOWN;
	assert_int_equal(world_run(w), -EINVAL);
	w->run->kvm_dirty_regs = 0;
}

static size_t xsave_size(struct world *w)
{
	int size = OP(w, check_extension, w->vm_fd, KVM_CAP_XSAVE2);

	return size > (int)sizeof(struct kvm_xsave) ? (size_t)size : sizeof(struct kvm_xsave);
}

static void test_xsave(void **state)
{
	struct world *w = *state;
	size_t size = xsave_size(w);
	uint8_t *in = calloc(1, size), *out = calloc(1, size);

	assert_true(in && out);
	assert_int_equal(OP(w, get_xsave, w->vcpu_fd, in, size), 0);
	memset(in + XSAVE_XMM0, 0xc3, 16 * 16);
	in[XSAVE_HEADER] |= 3; /* x87 and SSE are not in their initial state */
	assert_int_equal(OP(w, set_xsave, w->vcpu_fd, in), 0);
	assert_int_equal(OP(w, get_xsave, w->vcpu_fd, out, size), 0);
	assert_memory_equal(out + XSAVE_XMM0, in + XSAVE_XMM0, 16 * 16);
	/* What was read can be written and reads the same: "unchanged" may be decided by memcmp. */
	assert_int_equal(OP(w, set_xsave, w->vcpu_fd, out), 0);
	assert_int_equal(OP(w, get_xsave, w->vcpu_fd, in, size), 0);
	assert_memory_equal(in, out, size);
	free(in);
	free(out);
}

static void test_bad_xsave(void **state)
{
	struct world *w = *state;
	size_t size = xsave_size(w);
	uint8_t *good = calloc(1, size), *bad = calloc(1, size), *after = calloc(1, size);

	assert_true(good && bad && after);
	assert_int_equal(OP(w, get_xsave, w->vcpu_fd, good, size), 0);
	memcpy(bad, good, size);
	bad[XSAVE_HEADER] |= 3; /* KVM looks at MXCSR only when SSE is in use */
	bad[XSAVE_MXCSR + 3] = 0x80;
	assert_int_equal(OP(w, set_xsave, w->vcpu_fd, bad), -EINVAL);
	memcpy(bad, good, size);
	bad[XSAVE_HEADER + 6] = 0x10; /* a component no CPU has */
	assert_int_equal(OP(w, set_xsave, w->vcpu_fd, bad), -EINVAL);
	assert_int_equal(OP(w, get_xsave, w->vcpu_fd, after, size), 0);
	assert_memory_equal(after, good, size);
	free(good);
	free(bad);
	free(after);
}

static void test_xcr0(void **state)
{
	struct world *w = *state;
	struct kvm_xcrs xcrs, after;

	assert_int_equal(OP(w, get_xcrs, w->vcpu_fd, &xcrs), 0);
	assert_int_equal(xcrs.nr_xcrs, 1);
	assert_int_equal(xcrs.xcrs[0].xcr, 0);
	xcrs.xcrs[0].value = 3;
	assert_int_equal(OP(w, set_xcrs, w->vcpu_fd, &xcrs), 0);
	assert_int_equal(OP(w, get_xcrs, w->vcpu_fd, &after), 0);
	assert_int_equal(after.xcrs[0].value, 3);
	xcrs.xcrs[0].value = 2; /* x87 is not optional */
	assert_int_equal(OP(w, set_xcrs, w->vcpu_fd, &xcrs), -EINVAL);
	xcrs.xcrs[0].value = 5; /* AVX without SSE */
	assert_int_equal(OP(w, set_xcrs, w->vcpu_fd, &xcrs), -EINVAL);
	assert_int_equal(OP(w, get_xcrs, w->vcpu_fd, &after), 0);
	assert_int_equal(after.xcrs[0].value, 3);
}

static void test_debugregs(void **state)
{
	struct world *w = *state;
	struct kvm_debugregs in, out;

	assert_int_equal(OP(w, get_debugregs, w->vcpu_fd, &in), 0);
	for (unsigned i = 0; i < 4; i++)
		in.db[i] = 0x1000 * (i + 1);
	in.dr6 = 0xffff0ff1;
	assert_int_equal(OP(w, set_debugregs, w->vcpu_fd, &in), 0);
	assert_int_equal(OP(w, get_debugregs, w->vcpu_fd, &out), 0);
	assert_memory_equal(out.db, in.db, sizeof(in.db));
	assert_int_equal(out.dr6, in.dr6);
	in.dr7 = UINT64_C(1) << 32;
	assert_int_equal(OP(w, set_debugregs, w->vcpu_fd, &in), -EINVAL);
}

/* A list is worked on up to the first MSR that is refused, and its index is the answer. */
static void test_msr_counts(void **state)
{
	struct world *w = *state;
	struct kvm_msrs *msrs = calloc(1, sizeof(*msrs) + 3 * sizeof(msrs->entries[0]));

	assert_non_null(msrs);
	msrs->nmsrs = 3;
	msrs->entries[0] = (struct kvm_msr_entry){.index = MSR_STAR, .data = 0x11};
	msrs->entries[1] = (struct kvm_msr_entry){.index = MSR_LSTAR, .data = 0x2000};
	msrs->entries[2] = (struct kvm_msr_entry){.index = MSR_UNKNOWN, .data = 1};
	assert_int_equal(OP(w, set_msrs, w->vcpu_fd, msrs), 2);
	msrs->entries[0].data = msrs->entries[1].data = 0;
	assert_int_equal(OP(w, get_msrs, w->vcpu_fd, msrs), 2);
	assert_int_equal(msrs->entries[0].data, 0x11);
	assert_int_equal(msrs->entries[1].data, 0x2000);
	/* The ones after it are not touched. */
	msrs->entries[1] = (struct kvm_msr_entry){.index = MSR_UNKNOWN, .data = 1};
	msrs->entries[2] = (struct kvm_msr_entry){.index = MSR_LSTAR, .data = 0x3000};
	assert_int_equal(OP(w, set_msrs, w->vcpu_fd, msrs), 1);
	msrs->nmsrs = 1;
	msrs->entries[0].index = MSR_LSTAR;
	assert_int_equal(OP(w, get_msrs, w->vcpu_fd, msrs), 1);
	assert_int_equal(msrs->entries[0].data, 0x2000);
	free(msrs);
}

/* vCPUs given one offset have one TSC: that one, or the host's where a KVM offsets none. */
static void test_tsc(void **state)
{
	struct world *w = *state;
	const uint64_t offset = TSC_OFFSET;
	uint64_t first = 1, second = 2;
	int other = OP(w, create_vcpu, w->vm_fd, 1);

	assert_true(other >= 0);
	assert_true(OP(w, get_tsc_khz, w->vcpu_fd) > 0);
	assert_int_equal(OP(w, get_tsc_khz, other), OP(w, get_tsc_khz, w->vcpu_fd));
	if (OP(w, check_extension, w->vm_fd, KVM_CAP_VCPU_ATTRIBUTES) > 0) {
		assert_int_equal(OP(w, set_tsc_offset, w->vcpu_fd, &offset), 0);
		assert_int_equal(OP(w, set_tsc_offset, other, &offset), 0);
		assert_int_equal(OP(w, get_tsc_offset, w->vcpu_fd, &first), 0);
		assert_int_equal(OP(w, get_tsc_offset, other, &second), 0);
		assert_int_equal(first, second);
		assert_true(first == TSC_OFFSET || first == 0);
	}
	assert_int_equal(OP(w, close_fd, other), 0);
}

/* Without an in-kernel APIC a vCPU is always runnable, and there is no APIC to read or write. */
static void test_no_lapic(void **state)
{
	struct world *w = *state;
	struct kvm_mp_state mp = {.mp_state = KVM_MP_STATE_INIT_RECEIVED};
	struct kvm_lapic_state lapic = {0};

	assert_int_equal(OP(w, set_mp_state, w->vcpu_fd, &mp), -EINVAL);
	assert_int_equal(OP(w, get_mp_state, w->vcpu_fd, &mp), 0);
	assert_int_equal(mp.mp_state, KVM_MP_STATE_RUNNABLE);
	assert_int_equal(OP(w, set_mp_state, w->vcpu_fd, &mp), 0);
	assert_int_equal(OP(w, get_lapic, w->vcpu_fd, &lapic), -EINVAL);
	assert_int_equal(OP(w, set_lapic, w->vcpu_fd, &lapic), -EINVAL);
}

/*
 * Then CR8 is kvm_run's at every entry and exit. Lowering it is an exit of its own, but for a KVM
 * that emulates the guest: there the next exit has to do.
 */
static void test_cr8(void **state)
{
	struct world *w = *state;
	struct kvm_regs regs = world_regs(w);
	struct kvm_sregs sregs;

	w->run->cr8 = 5;
	world_complete(w);
	assert_int_equal(OP(w, get_sregs, w->vcpu_fd, &sregs), 0);
	assert_int_equal(sregs.cr8, 5);
	world_load(w, &guest_move_cr8);
	regs.rax = CR8_HIGH;
	regs.rbx = CR8_LOW;
	world_set_regs(w, &regs);
	world_expect_out(w, PORT_FIRST);
	assert_int_equal(w->run->cr8, CR8_HIGH);
	assert_int_equal(world_run(w), 0);
	assert_int_equal(w->run->cr8, CR8_LOW);
	if (w->run->exit_reason == KVM_EXIT_SET_TPR)
		assert_int_equal(world_run(w), 0);
	world_check_out(w, PORT_SECOND);
	w->run->cr8 = 16;
	assert_int_equal(world_run(w), -EINVAL);
	w->run->cr8 = 0;
}

const struct CMUnitTest register_tests[] = {
	WORLD_TEST(test_regs),	    WORLD_TEST(test_sregs),	WORLD_TEST(test_bad_sregs),
	WORLD_TEST(test_sync_regs), WORLD_TEST(test_xsave),	WORLD_TEST(test_bad_xsave),
	WORLD_TEST(test_xcr0),	    WORLD_TEST(test_debugregs), WORLD_TEST(test_msr_counts),
	WORLD_TEST(test_tsc),	    WORLD_TEST(test_no_lapic),	WORLD_TEST(test_cr8),
};
const size_t register_test_count = ARRAY_SIZE(register_tests);
