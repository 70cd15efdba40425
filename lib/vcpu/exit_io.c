/* SPDX-License-Identifier: MIT */
/* I/O port exits: hypercalls, those a higher VTL decides on, and the VMM's devices. */
#include "intercept/io.h"
#include "vcpu/exit.h"
#include "vcpu/trace.h"
#include "vcpu/vcpu.h"

/*
 * VTL `setter` decides: it is told, and finds the registers as they were before the instruction. Of
 * an input that KVM was to write to memory (INS), zeros have been.
 */
static int tell(struct vsm_vcpu *vp, unsigned setter, const struct io_access *io)
{
	struct vtl_cpu *cpu = &vcpu_active(vp)->cpu;
	struct hv_message message;
	struct io_insn found;
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;
	bool stepped;
	int r = exit_take_back(cpu, &stepped);

	if (!r)
		r = io_before(vp, io, stepped, &found);
	if (!r)
		r = vtl_cpu_state(cpu, &regs, &sregs);
	if (r)
		return r;
	intercept_io_message(&message, vp->index, vp->active_vtl,
			     &(struct insn_context){regs, sregs}, io, &found);
	vp->stats.io_intercepts++;
	trace_io_intercept(vp, setter, io->in ? MEM_READ : MEM_WRITE, io->port);
	violation_tell(vp, setter, &message);
	return EXIT_RESUME;
}

int exit_io(struct vsm_vcpu *vp)
{
	struct vtl_cpu *cpu = &vcpu_active(vp)->cpu;
	const struct kvm_run *run = cpu->run;
	struct io_access io;
	unsigned setter;

	if (run->io.port == vp->partition->hypercall_port)
		return exit_hypercall(vp, vcpu_active(vp));
	io = (struct io_access){.in = run->io.direction == KVM_EXIT_IO_IN,
				.size = run->io.size,
				.port = run->io.port,
				.count = run->io.count};
	setter = io_intercept_setter(vp, &io);
	if (setter)
		return tell(vp, setter, &io);
	cpu->unfinished = true;
	return EXIT_TO_VMM;
}
