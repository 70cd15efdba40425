/* SPDX-License-Identifier: MIT */
/*
 * MSR exits: those a higher VTL decides on, the synthetic MSRs, those of the library's local APIC,
 * and the shared ones. What nobody here knows is the VMM's if it asked for that, else #GP, which is
 * what KVM does without user space MSRs.
 */
#include <errno.h>

#include "apic/bus.h"
#include "intercept/viewer.h"
#include "msr/intercept.h"
#include "msr/shared_msr.h"
#include "msr/synthetic.h"
#include "vcpu/exit.h"
#include "vcpu/interrupt.h"
#include "vcpu/trace.h"
#include "vcpu/vcpu.h"

/* r: 0 done, -EINVAL #GP, -ENOENT unknown, else a failed kernel call. */
static int finish(struct vsm_vcpu *vp, int r)
{
	struct vtl_cpu *cpu = &vcpu_active(vp)->cpu;

	cpu->unfinished = true;
	cpu->run->msr.error = 0;
	if (r == -ENOENT && (vp->partition->flags & VSM_PARTITION_MSR_EXITS))
		return EXIT_TO_VMM;
	if (r == -ENOTRECOVERABLE)
		return partition_die(vp->partition,
				     "an overlay page could not be put back: a mapping has a hole");
	/*
	 * Slots or mappings are used up, which is the guest's doing: the write does not take place.
	 */
	if (r == -ENOENT || r == -EINVAL || r == -ENOSPC || r == -ENOMEM)
		cpu->run->msr.error = 1;
	else if (r)
		return r;
	else
		vp->stats.msr_exits++;
	return EXIT_RESUME;
}

static int read_apic(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t *value)
{
	struct lapic_clock clock;

	if (!bus_serves(vp, vtl))
		return -ENOENT;
	bus_clock(vp, vtl, index == LAPIC_MSR_TSC_DEADLINE, &clock);
	return lapic_msr_read(&vp->vtls[vtl].lapic, index, &clock, value);
}

/*
 * CPUID's APIC bit follows the enable bit that KVM knows of (kernel: kvm_update_cpuid_runtime()).
 */
static int show_enabled(struct vp_vtl *v)
{
	struct kvm_sregs *sregs;
	int r = vtl_cpu_sregs(&v->cpu, &sregs);

	if (r || !((sregs->apic_base ^ v->lapic.base) & LAPIC_BASE_ENABLE))
		return r;
	sregs->apic_base ^= LAPIC_BASE_ENABLE;
	vtl_cpu_dirty(&v->cpu, CPU_SREGS);
	return 0;
}

static int write_apic(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value)
{
	struct lapic_effects effects;
	struct lapic_clock clock;
	int r;

	if (!bus_serves(vp, vtl))
		return -ENOENT;
	bus_clock(vp, vtl, index == LAPIC_MSR_TSC_DEADLINE, &clock);
	r = lapic_msr_write(&vp->vtls[vtl].lapic, index, value, &clock, &effects);
	if (!r)
		bus_effects(vp, vtl, &effects);
	return !r && index == LAPIC_MSR_BASE ? show_enabled(&vp->vtls[vtl]) : r;
}

/* RDMSR and WRMSR without prefixes, where the code can no longer be read. */
#define MSR_INSTRUCTION_LENGTH 2

static uint8_t instruction_length(struct vsm_vcpu *vp)
{
	struct viewer viewer;
	struct insn insn = {0};

	if (!viewer_init(&viewer, vp))
		viewer_decode(&viewer, &insn);
	return insn.length ? insn.length : MSR_INSTRUCTION_LENGTH;
}

/* Without TF, lest that be a debug trap too. Its end is also that of an interrupt shadow. */
int exit_take_back(struct vtl_cpu *cpu, bool *stepped)
{
	struct kvm_vcpu_events *events, events_before;
	struct kvm_regs *regs, before;
	int r = vtl_cpu_regs(cpu, &regs);

	if (!r)
		r = vtl_cpu_events(cpu, &events);
	if (r)
		return r;
	before = *regs;
	events_before = *events;
	regs->rflags &= ~CPU_RFLAGS_TF;
	r = vtl_cpu_complete(cpu);
	if (!r)
		r = vtl_cpu_regs(cpu, &regs);
	if (r)
		return r;
	*stepped = regs->rip != before.rip;
	*regs = before;
	vtl_cpu_dirty(cpu, CPU_REGS);
	return vtl_cpu_restore_events(cpu, &events_before);
}

/* VTL `setter` decides: it is told, the register and RIP are as they were. */
static int tell(struct vsm_vcpu *vp, unsigned setter, enum mem_access access)
{
	struct vtl_cpu *cpu = &vcpu_active(vp)->cpu;
	uint8_t length = instruction_length(vp);
	uint32_t index = cpu->run->msr.index;
	struct hv_message message;
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;
	bool stepped;
	int r;

	cpu->run->msr.error = 0;
	r = exit_take_back(cpu, &stepped);

	if (!r)
		r = vtl_cpu_state(cpu, &regs, &sregs);
	if (r)
		return r;
	intercept_msr_message(&message, vp->index, vp->active_vtl,
			      &(struct insn_context){regs, sregs}, access, length, index);
	vp->stats.msr_intercepts++;
	trace_msr_intercept(vp, setter, access, index);
	violation_tell(vp, setter, &message);
	return EXIT_RESUME;
}

int exit_rdmsr(struct vsm_vcpu *vp)
{
	struct kvm_run *run = vcpu_active(vp)->cpu.run;
	unsigned vtl = vp->active_vtl;
	uint32_t index = run->msr.index;
	unsigned setter = msr_intercept_setter(vp, vtl, index, MEM_READ, 0);
	uint64_t value = 0;
	int r;

	if (setter)
		return tell(vp, setter, MEM_READ);
	r = synthetic_read(vp, vtl, index, &value);
	if (r == -ENOENT)
		r = read_apic(vp, vtl, index, &value);
	if (r == -ENOENT && run->msr.reason == KVM_MSR_EXIT_REASON_FILTER)
		r = msr_intercept_read(vp, vtl, index, &value);
	run->msr.data = value;
	return finish(vp, r);
}

int exit_wrmsr(struct vsm_vcpu *vp)
{
	const struct kvm_run *run = vcpu_active(vp)->cpu.run;
	unsigned vtl = vp->active_vtl;
	uint32_t index = run->msr.index;
	uint64_t value = run->msr.data;
	unsigned setter = msr_intercept_setter(vp, vtl, index, MEM_WRITE, value);
	int r;

	if (setter)
		return tell(vp, setter, MEM_WRITE);
	r = synthetic_write(vp, vtl, index, value);
	if (r == -ENOENT)
		r = write_apic(vp, vtl, index, value);
	if (r == -ENOENT)
		r = shared_msr_write(vp, index, value);
	if (r == -ENOENT && run->msr.reason == KVM_MSR_EXIT_REASON_FILTER)
		r = msr_intercept_write(vp, vtl, index, value);
	return finish(vp, r);
}
