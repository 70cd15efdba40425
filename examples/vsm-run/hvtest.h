/* SPDX-License-Identifier: MIT */
/*
 * A test device: raises SINTs and connects ports on a guest's demand. It is QEMU's hyperv-testdev,
 * for which kvm-unit-tests' SynIC tests are written, with a bit added for VTL1; no operating system
 * knows it.
 */
#ifndef VSM_RUN_HVTEST_H
#define VSM_RUN_HVTEST_H

#include <stdint.h>

struct machine;

#define HVTEST_PORT	   0x3000
#define HVTEST_CONNECTIONS 256

/* Where what is sent to a connection id goes: a SINT of a processor's VTL. */
struct hvtest_connection {
	struct machine *machine;
	uint8_t cpu, vtl, sint;
};

struct hvtest {
	struct hvtest_connection connections[HVTEST_CONNECTIONS];
};

/*
 * A 32-bit write to its port: connection id 31:24, VTL1 instead of VTL0 20, command 19:16,
 * processor 15:8, SINT 7:0. What makes no sense is ignored.
 */
void hvtest_write(struct machine *m, uint32_t value);

#endif
