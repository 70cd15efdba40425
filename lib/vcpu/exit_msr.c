/* SPDX-License-Identifier: MIT */
/*
 * MSR exits: the synthetic MSRs, those of the library's local APIC, and the shared ones. What
 * nobody here knows is the VMM's if it asked for that, else #GP, which is what KVM does without
 * user space MSRs.
 */
#include <errno.h>

#include "msr/shared_msr.h"
#include "msr/synthetic.h"
#include "vcpu/exit.h"
#include "vcpu/interrupt.h"
#include "vcpu/vcpu.h"

/* r: 0 done, -EINVAL #GP, -ENOENT unknown, else a failed kernel call. */
static int finish(struct vsm_vcpu *vp, int r)
{
	struct vtl_cpu *cpu = &vcpu_active(vp)->cpu;

	cpu->unfinished = true;
	cpu->run->msr.error = 0;
	if (r == -ENOENT && (vp->partition->flags & VSM_PARTITION_MSR_EXITS))
		return EXIT_TO_VMM;
	if (r == -ENOENT || r == -EINVAL)
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

	if (!interrupt_user_apic(vp, vtl))
		return -ENOENT;
	interrupt_clock(vp, vtl, index == LAPIC_MSR_TSC_DEADLINE, &clock);
	return lapic_msr_read(&vp->vtls[vtl].lapic, index, &clock, value);
}

static int write_apic(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value)
{
	struct lapic_effects effects;
	struct lapic_clock clock;
	int r;

	if (!interrupt_user_apic(vp, vtl))
		return -ENOENT;
	interrupt_clock(vp, vtl, index == LAPIC_MSR_TSC_DEADLINE, &clock);
	r = lapic_msr_write(&vp->vtls[vtl].lapic, index, value, &clock, &effects);
	if (!r)
		interrupt_effects(vp, vtl, &effects);
	return r;
}

int exit_rdmsr(struct vsm_vcpu *vp)
{
	struct kvm_run *run = vcpu_active(vp)->cpu.run;
	uint64_t value = 0;
	int r = synthetic_read(vp, vp->active_vtl, run->msr.index, &value);

	if (r == -ENOENT)
		r = read_apic(vp, vp->active_vtl, run->msr.index, &value);
	run->msr.data = value;
	return finish(vp, r);
}

int exit_wrmsr(struct vsm_vcpu *vp)
{
	const struct kvm_run *run = vcpu_active(vp)->cpu.run;
	uint32_t index = run->msr.index;
	uint64_t value = run->msr.data;
	int r = synthetic_write(vp, vp->active_vtl, index, value);

	if (r == -ENOENT)
		r = write_apic(vp, vp->active_vtl, index, value);
	if (r == -ENOENT)
		r = shared_msr_write(vp, index, value);
	return finish(vp, r);
}
