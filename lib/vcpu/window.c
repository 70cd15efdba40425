/* SPDX-License-Identifier: MIT */
/*
 * A window is open for one instruction only if nothing else can run in it. A single step does not
 * give that: an exception or an interrupt clears TF and runs its handler first, and KVM would not
 * know. So the pages of the IDT are shut: an event's delivery fails, and is done again when the
 * window is closed. SYSCALL, which needs no IDT and can clear TF, gets breakpoints where it goes;
 * whatever the instruction was when it was decoded. Deliveries get no window: deliver.c.
 *
 * KVM holds interrupts back meanwhile (KVM_GUESTDBG_BLOCKIRQ, Linux 5.15).
 */
#include "vcpu/window.h"

#include <errno.h>

#include "intercept/intercept.h"
#include "registers/msr.h"
#include "vcpu/vcpu.h"

#define MSR_LSTAR 0xc0000082
#define MSR_CSTAR 0xc0000083

/* Where SYSCALL is there, and takes away TF. */
#define EFER_SYSCALL (UINT64_C(1) | CPU_EFER_LMA)

#define VECTORS	     256
#define GATE_SIZE    16 /* in long mode */
#define REAL_GATE    4

/* Exact breakpoint on execution, enabled globally (SDM vol. 3, 17.2.4). */
#define DR7_FIXED  UINT64_C(0x400)
#define DR7_USE(n) (UINT64_C(2) << 2 * (n))

static void add_breakpoint(struct kvm_guest_debug *debug, unsigned n, uint64_t address)
{
	debug->control |= KVM_GUESTDBG_USE_HW_BP;
	debug->arch.debugreg[n] = address;
	debug->arch.debugreg[7] |= DR7_FIXED | DR7_USE(n);
}

/*
 * The IDT as far as vectors reach: at most two pages. What is not mapped cannot be delivered
 * through.
 */
static int shut_idt(struct vsm_vcpu *vp, const struct kvm_sregs *sregs)
{
	struct memory *m = &vp->partition->memory;
	uint64_t size = VECTORS * GATE_SIZE, offset = 0;
	int r = 0;

	/* KVM delivers past the limit in real mode (kernel: __emulate_int_real()). */
	if (!cpu_protected(sregs))
		size = VECTORS * REAL_GATE;
	else if (sregs->idt.limit < size)
		size = sregs->idt.limit + 1u;
	/* By offset: its addresses may wrap. */
	for (; !r && offset < size; offset += gpa_span(sregs->idt.base + offset, size - offset)) {
		struct walk_result to;

		if (walk(m, vp->active_vtl, sregs, gva_from(sregs->idt.base + offset), MEM_READ,
			 false, &to, NULL))
			continue;
		r = memory_shut_page(m, vp->active_vtl, gpa_page(to.gpa));
		if (r == -ENXIO)
			r = 0;
	}
	return r;
}

static int watch_syscall(const struct vtl_cpu *cpu, struct kvm_guest_debug *debug)
{
	static const uint32_t targets[] = {MSR_LSTAR, MSR_CSTAR};

	for (unsigned i = 0; i < 2; i++) {
		uint64_t address;
		int r = vtl_cpu_read_msr(cpu, targets[i], &address);

		if (r)
			return r;
		add_breakpoint(debug, i, address);
	}
	return 0;
}

int window_prepare(struct vsm_vcpu *vp, const struct violation *v, struct kvm_guest_debug *debug)
{
	struct vtl_cpu *cpu = &vcpu_active(vp)->cpu;
	struct kvm_sregs *sregs;
	int r = vtl_cpu_sregs(cpu, &sregs);

	if (r)
		return r;
	if (v->unbounded)
		return -EPERM;
	*debug = (struct kvm_guest_debug){.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_BLOCKIRQ};
	debug->control |= KVM_GUESTDBG_SINGLESTEP;
	if ((sregs->efer & EFER_SYSCALL) == EFER_SYSCALL)
		r = watch_syscall(cpu, debug);
	return r ? r : shut_idt(vp, sregs);
}

bool window_hit_by_event(struct vsm_vcpu *vp)
{
	struct kvm_vcpu_events *events;

	if (vtl_cpu_events(&vcpu_active(vp)->cpu, &events))
		return false;
	return events->exception.injected || events->nmi.injected || events->interrupt.injected;
}
