/* SPDX-License-Identifier: MIT */
/* The virtual machine: what all parts of vsm-run work on. */
#ifndef VSM_RUN_MACHINE_H
#define VSM_RUN_MACHINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <vsm/vsm.h>
#include "fwcfg.h"
#include "hvtest.h"
#include "input.h"
#include "ioapic.h"
#include "load.h"
#include "options.h"
#include "serial.h"

struct machine;

/* A processor and the thread that runs it. */
struct cpu {
	struct machine *machine;
	unsigned index;
	struct vsm_vcpu *vcpu;
	pthread_t thread;
	bool has_thread;
	atomic_ullong halt_runs; /* its count of entries into the guest as it halted for good */
	unsigned reported;	 /* of the machine's reports, those it has given its part to */
};

struct machine {
	const struct options *options;
	int kvm_fd, vm_fd, memory_fd;
	struct ram ram;
	struct load_result start;
	struct vsm_partition *partition;
	struct cpu cpus[CPUS_MAX];
	uint64_t start_ns;

	pthread_mutex_t devices; /* those below, down to hvtest */
	struct serial serial;
	struct ioapic ioapic; /* unless KVM has its own */
	struct fwcfg fwcfg;
	uint8_t cmos_register;
	struct hvtest hvtest;
	struct input input;

	atomic_uint reports; /* asked for so far */
	atomic_bool last_report;
	atomic_bool ended;
	atomic_int status; /* valid once ended */
};

/* 0 with the machine ready to run, or the exit status, everything said. */
int machine_open(struct machine *m, const struct options *o);
int machine_load(struct machine *m);
int machine_create(struct machine *m);

/* Runs all processors until the machine ends; returns the exit status. */
int machine_run(struct machine *m);

/* Ends the machine: the first status stays. Any thread, and signal handlers. */
void machine_end(struct machine *m, int status);

/*
 * Has the input thread tell what every processor is doing, and each processor its registers; last:
 * the machine ends with it. Any thread, and signal handlers.
 */
void machine_report(struct machine *m, bool last);

/* Whatever there is; after it the machine may be closed again. */
void machine_close(struct machine *m);

/* --- its parts --- */

int boot_setup(struct machine *m);		       /* boot.c: registers of processor 0 */
int cpuid_setup(struct machine *m);		       /* cpuid.c: every processor's CPUID */
void *cpu_thread(void *cpu);			       /* cpu.c */
void irq_setup(struct machine *m);		       /* irq.c: COM1's interrupt line */
bool irq_mmio(struct machine *m, struct kvm_run *run); /* false: not the I/O APIC's */
void port_access(struct machine *m, uint16_t port, unsigned size, bool write,
		 void *data);					       /* ports.c */
void report_trace(void *machine, const struct vsm_trace_event *event); /* report.c */
void report_log(void *machine, enum vsm_log_level level, const char *line);
void report_stats(const struct machine *m);
int report_probe(const struct options *o);
void report_missing(int kvm_fd);	    /* the needed capabilities the host lacks */
void report_state(const struct cpu *cpu);   /* registers and code where it is */
void report_waits(const struct machine *m); /* what each processor does and waits for */

/* Opens the KVM device, or says why not. */
int open_kvm(const char *path);

#endif
