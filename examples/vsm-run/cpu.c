/* SPDX-License-Identifier: MIT */
/* A processor's thread: vsm_vcpu_run(), and one row for each exit that comes back. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include "machine.h"
#include "say.h"

typedef void (*exit_handler)(struct cpu *c, struct kvm_run *run);

static void crash(struct cpu *c, const char *what, uint64_t detail)
{
	unsigned vtl = vsm_vcpu_active_vtl(c->vcpu);

	if (atomic_load(&c->machine->ended))
		return;
	say("the guest crashed in VTL%u of processor %u: %s (%#llx)", vtl, c->index, what,
	    (unsigned long long)detail);
	report_state(c);
	machine_end(c->machine, STATUS_CRASHED);
}

static void on_io(struct cpu *c, struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size)
		port_access(c->machine, run->io.port, run->io.size,
			    run->io.direction == KVM_EXIT_IO_OUT, data);
}

/* There is nothing but memory, the I/O APIC and, inside the library or KVM, the local APICs. */
static void on_mmio(struct cpu *c, struct kvm_run *run)
{
	if (!irq_mmio(c->machine, run) && !run->mmio.is_write)
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
}

static void wait_a_little(void)
{
	static const struct timespec pause = {.tv_nsec = 1000000};

	nanosleep(&pause, NULL);
}

static unsigned long long runs(const struct cpu *c)
{
	struct vsm_vcpu_stats stats = {.size = sizeof(stats)};

	return vsm_vcpu_get_stats(c->vcpu, &stats) ? 0 : stats.runs;
}

/*
 * Halted with interrupts off, and no device of this machine raises an NMI. What may still come is
 * another processor's: the machine ends when no processor has run since it halted, or ever.
 */
static void on_halt(struct cpu *c, struct kvm_run *run)
{
	struct machine *m = c->machine;

	(void)run;
	atomic_store(&c->halt_runs, runs(c));
	for (unsigned i = 0; i < m->options->cpus; i++)
		if (atomic_load(&m->cpus[i].halt_runs) != runs(&m->cpus[i]))
			return;
	say("the guest halted");
	machine_end(m, STATUS_OK);
}

static void on_shutdown(struct cpu *c, struct kvm_run *run)
{
	(void)run;
	crash(c, "triple fault", 0);
}

static void on_internal_error(struct cpu *c, struct kvm_run *run)
{
	crash(c, "KVM could not go on, suberror", run->internal.suberror);
}

static void on_fail_entry(struct cpu *c, struct kvm_run *run)
{
	crash(c, "the processor refused its state, reason",
	      run->fail_entry.hardware_entry_failure_reason);
}

static void on_system_event(struct cpu *c, struct kvm_run *run)
{
	const uint64_t *data = (const uint64_t *)run->system_event.data;

	if (run->system_event.type == KVM_SYSTEM_EVENT_CRASH) {
		say("VTL%u reports a crash: %#" PRIx64 " %#" PRIx64 " %#" PRIx64 " %#" PRIx64
		    " %#" PRIx64,
		    (unsigned)data[0], data[2], data[3], data[4], data[5], data[6]);
		return;
	}
	say("the guest asked for a reset");
	machine_end(c->machine, STATUS_OK);
}

static void on_nothing(struct cpu *c, struct kvm_run *run)
{
	(void)c, (void)run;
}

static const exit_handler handlers[] = {
	[KVM_EXIT_IO] = on_io,
	[KVM_EXIT_MMIO] = on_mmio,
	[KVM_EXIT_HLT] = on_halt,
	[KVM_EXIT_SHUTDOWN] = on_shutdown,
	[KVM_EXIT_INTERNAL_ERROR] = on_internal_error,
	[KVM_EXIT_FAIL_ENTRY] = on_fail_entry,
	[KVM_EXIT_SYSTEM_EVENT] = on_system_event,
	[KVM_EXIT_INTR] = on_nothing,
	[KVM_EXIT_IRQ_WINDOW_OPEN] = on_nothing,
};

static void handle(struct cpu *c, struct kvm_run *run)
{
	uint32_t reason = run->exit_reason;

	if (reason < sizeof(handlers) / sizeof(handlers[0]) && handlers[reason])
		handlers[reason](c, run);
	else
		crash(c, "an exit vsm-run does not know, reason", reason);
}

static void fail(struct cpu *c, int error)
{
	const char *death = vsm_partition_death(c->machine->partition);

	if (error == -EIO && death) {
		say("the partition stopped: %s", death);
		machine_end(c->machine, STATUS_HOST);
	} else if (error == -EFAULT) {
		crash(c, "an access to memory that is not there", 0);
	} else {
		say("running processor %u: %s", c->index, strerror(-error));
		machine_end(c->machine, STATUS_HOST);
	}
}

static void report_if_asked(struct cpu *c)
{
	unsigned reports = atomic_load(&c->machine->reports);

	if (c->reported == reports)
		return;
	c->reported = reports;
	report_state(c);
}

void *cpu_thread(void *arg)
{
	struct cpu *c = arg;
	struct kvm_run *run;
	int r;

	while (!atomic_load(&c->machine->ended)) {
		r = vsm_vcpu_run(c->vcpu, &run);
		report_if_asked(c);
		if (r == 0)
			handle(c, run);
		else if (r == -EAGAIN) /* waits for INIT and SIPI */
			wait_a_little();
		else if (r != -EINTR)
			fail(c, r);
	}
	return NULL;
}
