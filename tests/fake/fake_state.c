// SPDX-License-Identifier: MIT
/* The fake KVM: a vCPU's registers but its MSRs (Linux 6.1 arch/x86/kvm/x86.c). */
#include "fake.h"

/* --- general registers --- */

/* __set_regs(): an exception that is pending, not yet injected, is dropped. */
void state_set_regs(struct vcpu *v, const struct kvm_regs *regs)
{
	v->regs = *regs;
	v->regs.rflags |= RFLAGS_FIXED;
	v->events.exception.pending = 0;
}

int op_get_regs(const struct kvm_host *h, int vcpu_fd, struct kvm_regs *regs)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_get_regs, vcpu_fd, &f, &v);

	if (!ret)
		*regs = v->regs;
	return fake_leave(f, ret);
}

int op_set_regs(const struct kvm_host *h, int vcpu_fd, const struct kvm_regs *regs)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_set_regs, vcpu_fd, &f, &v);

	if (!ret)
		state_set_regs(v, regs);
	return fake_leave(f, ret);
}

/* --- special registers --- */

/* CR4 bits that need a CPUID bit: the host's, and the guest's once it has a CPUID
 * (__cr4_reserved_bits()). */
static const struct {
	uint32_t cr4, function, reg, bit; /* reg: 1 ebx, 2 ecx */
} cr4_needs[] = {
	{1u << 18, 1, 2, 26}, /* OSXSAVE */
	{1u << 20, 7, 1, 7},  /* SMEP */
	{1u << 21, 7, 1, 20}, /* SMAP */
	{1u << 16, 7, 1, 0},  /* FSGSBASE */
	{1u << 22, 7, 2, 3},  /* PKE */
	{1u << 12, 7, 2, 16}, /* LA57 */
	{1u << 11, 7, 2, 2},  /* UMIP */
	{1u << 13, 1, 2, 5},  /* VMXE */
	{1u << 17, 1, 2, 17}, /* PCIDE */
};

/* VME..VMXE, FSGSBASE, PCIDE, OSXSAVE, SMEP, SMAP, PKE */
#define CR4_KNOWN UINT64_C(0x773fff)

static bool state_cr4_has(const struct kvm_cpuid_entry2 *table, size_t count, size_t need)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(table, count, cr4_needs[need].function, 0);
	uint32_t value = !e ? 0 : cr4_needs[need].reg == 1 ? e->ebx : e->ecx;

	return value >> cr4_needs[need].bit & 1;
}

static bool state_valid_cr4(const struct vcpu *v, uint64_t cr4)
{
	if (cr4 & ~CR4_KNOWN)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(cr4_needs); i++) {
		if (!(cr4 & cr4_needs[i].cr4))
			continue;
		if (!state_cr4_has(v->f->cpuid, v->f->cpuid_count, i))
			return false;
		if (v->cpuid_count && !state_cr4_has(v->cpuid, v->cpuid_count, i))
			return false;
	}
	return true;
}

static bool state_valid_cr0(uint64_t cr0)
{
	if (cr0 >> 32)
		return false;
	if (cr0 & CR0_NW && !(cr0 & CR0_CD))
		return false;
	return !(cr0 & CR0_PG) || cr0 & CR0_PE;
}

/* kvm_is_valid_sregs() */
static bool state_valid_sregs(const struct vcpu *v, const struct kvm_sregs *s)
{
	if (s->efer & EFER_LME && s->cr0 & CR0_PG) {
		if (!(s->cr4 & CR4_PAE) || !(s->efer & EFER_LMA) || s->cr3 >> 52)
			return false;
	} else if (s->efer & EFER_LMA || s->cs.l) {
		return false;
	}
	return state_valid_cr4(v, s->cr4) && state_valid_cr0(s->cr0);
}

/* kvm_set_apic_base(): x2APIC needs xAPIC to be on and a guest that knows it. */
bool state_valid_apic_base(const struct vcpu *v, uint64_t base)
{
	const struct kvm_cpuid_entry2 *e = vcpu_cpuid(v, 1, 0);

	if (base >> 52 || base & 0x2ff)
		return false;
	return !(base & 0x400) || (base & 0x800 && e && e->ecx >> 21 & 1);
}

void state_get_sregs(const struct vcpu *v, struct kvm_sregs *sregs)
{
	*sregs = v->sregs;
	memset(sregs->interrupt_bitmap, 0, sizeof(sregs->interrupt_bitmap));
	if (v->events.interrupt.injected && !v->events.interrupt.soft)
		sregs->interrupt_bitmap[v->events.interrupt.nr / 64] |=
			UINT64_C(1) << (v->events.interrupt.nr % 64);
}

/* __set_sregs() queues the lowest interrupt of the bitmap as injected. */
static void state_set_bitmap(struct vcpu *v, const struct kvm_sregs *sregs)
{
	for (unsigned nr = 0; nr < 256; nr++)
		if (sregs->interrupt_bitmap[nr / 64] >> (nr % 64) & 1) {
			v->events.interrupt.injected = 1;
			v->events.interrupt.nr = (uint8_t)nr;
			v->events.interrupt.soft = 0;
			return;
		}
}

static int state_set_sregs_common(struct vcpu *v, const struct kvm_sregs *sregs)
{
	uint64_t cr8;

	if (!state_valid_sregs(v, sregs) || !state_valid_apic_base(v, sregs->apic_base))
		return -EINVAL;
	cr8 = sregs->cr8 > 15 ? v->sregs.cr8 : sregs->cr8; /* kvm_set_cr8() refuses, unheard */
	v->sregs = *sregs;
	v->sregs.cr8 = cr8;
	return 0;
}

int state_set_sregs(struct vcpu *v, const struct kvm_sregs *sregs)
{
	int ret = state_set_sregs_common(v, sregs);

	if (ret)
		return ret;
	if (access_pae_paging(sregs))
		access_load_pdptes(v);
	state_set_bitmap(v, sregs);
	return 0;
}

/* __set_sregs2() */
static int state_set_sregs2(struct vcpu *v, const struct kvm_sregs2 *sregs2)
{
	struct kvm_sregs sregs = {0};
	int ret;

	memcpy(&sregs, sregs2, offsetof(struct kvm_sregs2, flags));
	if (sregs2->flags & ~(uint64_t)KVM_SREGS2_FLAGS_PDPTRS_VALID)
		return -EINVAL;
	if (sregs2->flags && !access_pae_paging(&sregs))
		return -EINVAL;
	ret = state_set_sregs_common(v, &sregs);
	if (ret)
		return ret;
	if (sregs2->flags)
		memcpy(v->pdptes, sregs2->pdptrs, sizeof(v->pdptes));
	else if (access_pae_paging(&sregs))
		access_load_pdptes(v);
	return 0;
}

int op_get_sregs(const struct kvm_host *h, int vcpu_fd, struct kvm_sregs *sregs)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_get_sregs, vcpu_fd, &f, &v);

	if (!ret)
		state_get_sregs(v, sregs);
	return fake_leave(f, ret);
}

int op_set_sregs(const struct kvm_host *h, int vcpu_fd, const struct kvm_sregs *sregs)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_set_sregs, vcpu_fd, &f, &v);

	return fake_leave(f, ret ? ret : state_set_sregs(v, sregs));
}

int op_set_sregs2(const struct kvm_host *h, int vcpu_fd, const struct kvm_sregs2 *sregs)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_set_sregs2, vcpu_fd, &f, &v);

	if (!ret && !fake_cap(f, KVM_CAP_SREGS2))
		ret = -EINVAL;
	return fake_leave(f, ret ? ret : state_set_sregs2(v, sregs));
}

/* --- events --- */

void state_get_events(const struct vcpu *v, struct kvm_vcpu_events *ev)
{
	*ev = v->events;
	ev->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW |
		    KVM_VCPUEVENT_VALID_SMM;
	ev->interrupt.injected = ev->interrupt.injected && !ev->interrupt.soft;
	if (v->vm->exception_payload) {
		ev->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	} else {
		ev->exception.injected |= ev->exception.pending;
		ev->exception.pending = 0;
	}
	if (v->vm->triple_fault_event)
		ev->flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
}

static int state_check_events(const struct vcpu *v, const struct kvm_vcpu_events *ev, bool payload)
{
	const uint32_t known = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |
			       KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM |
			       KVM_VCPUEVENT_VALID_PAYLOAD | KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	bool exception = ev->exception.injected || (payload && ev->exception.pending);

	if (ev->flags & ~known || (payload && !v->vm->exception_payload))
		return -EINVAL;
	if (exception && (ev->exception.nr > 31 || ev->exception.nr == VECTOR_NMI))
		return -EINVAL;
	if (ev->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT && !v->vm->triple_fault_event)
		return -EINVAL;
	if (ev->flags & KVM_VCPUEVENT_VALID_SMM && (ev->smi.smm || ev->smi.pending)) {
		fake_error(v->f, "SMM is not modelled");
		return -EINVAL;
	}
	return 0;
}

/* kvm_vcpu_ioctl_x86_set_vcpu_events() */
int state_set_events(struct vcpu *v, const struct kvm_vcpu_events *ev)
{
	bool payload = ev->flags & KVM_VCPUEVENT_VALID_PAYLOAD;
	struct kvm_vcpu_events *now = &v->events;
	int ret = state_check_events(v, ev, payload);

	if (ret)
		return ret;
	now->exception = ev->exception;
	if (!payload)
		now->exception.pending = 0;
	else if (now->exception.pending)
		now->exception.injected = 0;
	now->exception_has_payload = payload ? ev->exception_has_payload : 0;
	now->exception_payload = ev->exception_payload;
	now->interrupt.injected = ev->interrupt.injected;
	now->interrupt.nr = ev->interrupt.nr;
	now->interrupt.soft = ev->interrupt.soft;
	if (ev->flags & KVM_VCPUEVENT_VALID_SHADOW)
		now->interrupt.shadow = ev->interrupt.shadow;
	now->nmi.injected = ev->nmi.injected;
	if (ev->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		now->nmi.pending = ev->nmi.pending;
	now->nmi.masked = ev->nmi.masked;
	if (ev->flags & KVM_VCPUEVENT_VALID_SIPI_VECTOR && v->has_lapic)
		now->sipi_vector = ev->sipi_vector;
	if (ev->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT)
		now->triple_fault = ev->triple_fault;
	return 0;
}

int op_get_vcpu_events(const struct kvm_host *h, int vcpu_fd, struct kvm_vcpu_events *ev)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_get_vcpu_events, vcpu_fd, &f, &v);

	if (!ret)
		state_get_events(v, ev);
	return fake_leave(f, ret);
}

int op_set_vcpu_events(const struct kvm_host *h, int vcpu_fd, const struct kvm_vcpu_events *ev)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_set_vcpu_events, vcpu_fd, &f, &v);

	return fake_leave(f, ret ? ret : state_set_events(v, ev));
}

/* --- x87, SSE, AVX and XCR0 --- */

int op_get_xsave(const struct kvm_host *h, int vcpu_fd, void *image, size_t size)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_get_xsave, vcpu_fd, &f, &v);

	/* KVM_GET_XSAVE refuses a guest whose image does not fit it */
	if (!ret && size < v->xsave_size)
		ret = -EINVAL;
	if (!ret && size > v->xsave_size) {
		fake_error(f, "XSAVE image of %zu bytes, it has %zu", size, v->xsave_size);
		ret = -EINVAL;
	}
	if (!ret)
		memcpy(image, v->xsave, size);
	return fake_leave(f, ret);
}

/* fpu_copy_uabi_to_guest_fpstate(): features the host lacks, reserved header bits, and reserved
 * MXCSR bits if the image has a feature that uses MXCSR */
static int state_check_xsave(const struct fake_kvm *f, const uint8_t *image)
{
	uint64_t header[8];
	uint32_t mxcsr;

	memcpy(header, image + 512, sizeof(header));
	memcpy(&mxcsr, image + 24, sizeof(mxcsr));
	if (header[0] & ~f->xcr0_mask || (header[0] & 7 && mxcsr & 0xffff0000))
		return -EINVAL;
	for (unsigned i = 1; i < 8; i++)
		if (header[i])
			return -EINVAL;
	return 0;
}

int op_set_xsave(const struct kvm_host *h, int vcpu_fd, const void *image)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_set_xsave, vcpu_fd, &f, &v);

	if (!ret)
		ret = state_check_xsave(f, image);
	if (!ret)
		memcpy(v->xsave, image, v->xsave_size);
	return fake_leave(f, ret);
}

/* __kvm_set_xcr(): what the guest's CPUID allows of what the host has; x87 always */
static bool state_valid_xcr0(const struct vcpu *v, uint64_t xcr0)
{
	const struct kvm_cpuid_entry2 *e = vcpu_cpuid(v, 0xd, 0);
	uint64_t allowed = e ? (e->eax | (uint64_t)e->edx << 32) & v->f->xcr0_mask : 0;

	if (!(xcr0 & 1) || xcr0 & ~(allowed | 1))
		return false;
	if (xcr0 & 4 && !(xcr0 & 2))
		return false;
	if (!(xcr0 & 8) != !(xcr0 & 0x10))
		return false;
	return !(xcr0 & 0xe0) || ((xcr0 & 0xe0) == 0xe0 && xcr0 & 4);
}

int op_get_xcrs(const struct kvm_host *h, int vcpu_fd, struct kvm_xcrs *xcrs)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_get_xcrs, vcpu_fd, &f, &v);

	if (!ret && !fake_cap(f, KVM_CAP_XCRS))
		ret = -EINVAL;
	if (!ret) {
		memset(xcrs, 0, sizeof(*xcrs));
		xcrs->nr_xcrs = 1;
		xcrs->xcrs[0].value = v->xcr0;
	}
	return fake_leave(f, ret);
}

int op_set_xcrs(const struct kvm_host *h, int vcpu_fd, const struct kvm_xcrs *xcrs)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_set_xcrs, vcpu_fd, &f, &v);

	if (!ret && (!fake_cap(f, KVM_CAP_XCRS) || xcrs->flags || xcrs->nr_xcrs > KVM_MAX_XCRS))
		ret = -EINVAL;
	for (uint32_t i = 0; !ret && i < xcrs->nr_xcrs; i++) {
		if (xcrs->xcrs[i].xcr != 0)
			continue;
		if (state_valid_xcr0(v, xcrs->xcrs[i].value))
			v->xcr0 = xcrs->xcrs[i].value;
		else
			ret = -EINVAL;
		break;
	}
	return fake_leave(f, ret);
}

/* --- debug registers --- */

int op_get_debugregs(const struct kvm_host *h, int vcpu_fd, struct kvm_debugregs *dr)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_get_debugregs, vcpu_fd, &f, &v);

	if (!ret)
		*dr = v->dr;
	return fake_leave(f, ret);
}

int op_set_debugregs(const struct kvm_host *h, int vcpu_fd, const struct kvm_debugregs *dr)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_set_debugregs, vcpu_fd, &f, &v);

	if (!ret && (dr->flags || dr->dr6 >> 32 || dr->dr7 >> 32))
		ret = -EINVAL;
	if (!ret)
		v->dr = *dr;
	return fake_leave(f, ret);
}

/* --- local APIC and run state --- */

int op_get_lapic(const struct kvm_host *h, int vcpu_fd, struct kvm_lapic_state *lapic)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_get_lapic, vcpu_fd, &f, &v);

	if (!ret && !v->has_lapic)
		ret = -EINVAL;
	if (!ret)
		*lapic = v->lapic;
	return fake_leave(f, ret);
}

int op_set_lapic(const struct kvm_host *h, int vcpu_fd, const struct kvm_lapic_state *lapic)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_set_lapic, vcpu_fd, &f, &v);

	if (!ret && !v->has_lapic)
		ret = -EINVAL;
	if (!ret)
		v->lapic = *lapic;
	return fake_leave(f, ret);
}

int op_get_mp_state(const struct kvm_host *h, int vcpu_fd, struct kvm_mp_state *mp)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_get_mp_state, vcpu_fd, &f, &v);

	if (!ret)
		*mp = v->mp;
	return fake_leave(f, ret);
}

/* Without an in-kernel LAPIC a vCPU is always runnable. */
int op_set_mp_state(const struct kvm_host *h, int vcpu_fd, const struct kvm_mp_state *mp)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_set_mp_state, vcpu_fd, &f, &v);

	if (!ret && mp->mp_state != KVM_MP_STATE_RUNNABLE &&
	    (!v->has_lapic || mp->mp_state > KVM_MP_STATE_SIPI_RECEIVED))
		ret = -EINVAL;
	if (!ret)
		v->mp = *mp;
	return fake_leave(f, ret);
}
