/* SPDX-License-Identifier: MIT */
/* Guests of several processors: starting them in either way, VTL1 on each, work for each VTL. */
#ifndef TESTS_LIVE_SMP_H
#define TESTS_LIVE_SMP_H

#include <stdint.h>
#include "trap.h"
#include "vtl.h"

#define SMP_VPS		       4 /* VP index and APIC id are the same */
#define SMP_ALL		       ((1u << SMP_VPS) - 1)
#define SMP_VECTOR(vtl)	       (0xd0 + (vtl)) /* the VTLs share their table of handlers */
#define HV_SEND_CLUSTER_IPI    0x0b
#define HV_SEND_CLUSTER_IPI_EX 0x15
#define HV_INVALID_VP_STATE    0x15

#define MSR_APIC_BASE	       0x1b
#define MSR_X2APIC_EOI	       0x80b
#define MSR_SPIV	       0x80f
#define MSR_ISR		       0x810
#define MSR_ICR		       0x830
#define ICR_INIT	       0x4500
#define ICR_STARTUP	       0x4600

/*
 * Interrupts each VTL of each processor has taken at SMP_VECTOR(vtl). The handler holds registers
 * for a while and ends the guest if another VTL did not leave them alone.
 */
extern volatile unsigned smp_taken[2][SMP_VPS];

/*
 * With `repeats` on the command line: is the interrupt whose handler runs one that no local APIC has
 * in service? QEMU's SVM delivers some twice (tests/stock/README.md); such a handler leaves at once.
 */
bool smp_repeated(const struct trap_frame *f);

/* This processor, from the hypervisor. */
unsigned smp_index(void);

/* What x2APIC mode needs in the caller's VTL. */
void smp_apic(void);

/* The first processor: VSM, VTL1, local APICs. */
void smp_begin(void);

/*
 * Start a processor in VTL0: HvCallStartVirtualProcessor, by the caller's VTL, or INIT and SIPI.
 * Return before it runs. The call takes `vtl`'s context, and gives the status.
 */
uint16_t smp_start(unsigned vp, unsigned vtl);
void smp_send_startup(unsigned vp);
void smp_place_trampoline(void); /* code for real mode, at 0x8000, that goes on to VTL0 */
void smp_wait_started(unsigned vp);
bool smp_started(unsigned vp);

/* HvCallEnableVpVtl for VTL1 of another processor. To be called in VTL1. Returns the status. */
uint16_t smp_enable_vtl1(unsigned vp);

/* Runs fn(arg) in a VTL of a processor that has it; waits for its end. Only from VTL0 of VP 0. */
void smp_run(unsigned vp, unsigned vtl, void (*fn)(uint64_t arg), uint64_t arg);

/* The same in two halves; the first is for other processors only. */
void smp_run_begin(unsigned vp, unsigned vtl, void (*fn)(uint64_t arg), uint64_t arg);
void smp_run_end(unsigned vp);

/* A VTL call: fn(arg) in VTL1 of the caller, which is in VTL0. */
void smp_call(void (*fn)(uint64_t arg), uint64_t arg);

/* Holds registers for a while, and ends the guest if another VTL did not leave them alone. */
void smp_hold_registers(void);

/* Does nothing: the first VTL call of a processor, which sets its VTL1 up. */
void smp_enter(uint64_t arg);

/* VTL1 of a processor was entered for the first time and is set up. By default: nothing. */
void smp_on_first_entry(unsigned vp);

/* Starts all processors with smp_start(), VTL1 on each. */
void smp_begin_all(void);

/* Sends SMP_VECTOR(vtl) to the caller's VTL of a processor by its local APIC. */
void smp_send_icr(unsigned vp, unsigned vtl);

/* HvCallSendSyntheticClusterIpi of SMP_VECTOR(vtl) to that VTL of the processors in `mask`. */
void smp_send_cluster(unsigned vtl, uint64_t mask);

#endif
