/* SPDX-License-Identifier: MIT */
/* Both sides of a VTL switch: enabling and calling VTL1 from VTL0, being VTL1. */
#ifndef GUEST_VTL_H
#define GUEST_VTL_H

#include <stdbool.h>
#include <stdint.h>
#include "hv.h"

/* The general registers, which the VTLs share. */
struct vtl_frame {
	uint64_t rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
};

/* What VTL0 must know to start VTL1. */
struct vtl_image {
	const void *entry, *stack_top, *page_tables, *gdt, *gdt_end;
};

/* --- VTL0 --- */

/* HvCallEnablePartitionVtl's flags; HV_ENABLE_MBEC or 0, which it is at first. */
extern uint8_t vtl_enable_flags;

/* Enables a VTL for the partition and this VP, to start as `image` says. Return the status. */
uint16_t vtl_enable_at(unsigned vtl, const struct vtl_image *image);
uint16_t vtl_enable(const struct vtl_image *image); /* VTL1 */

/* The initial context of an image. */
void vtl_fill_context(struct hv_context *context, const struct vtl_image *image);

/* Enables a VTL that the partition has on a VP. Returns the status. */
uint16_t vtl_enable_on(uint32_t vp, unsigned vtl, const struct hv_context *context);

/* Checks for VSM, sets up hypercalls, enables VTL1 as `image` says and calls it once. */
void vtl_begin(const struct vtl_image *image);

/*
 * A VTL call. The registers go to VTL1 and are replaced by what VTL1 left in them. RCX is the
 * call's control input, of which all bits are reserved.
 */
void vtl_call(struct vtl_frame *registers);

/* CR3's table is `guest_page_tables`; of four levels of tables that is the fourth (paging.h). */
extern uint64_t guest_page_tables[], guest_level4[], guest_gdt[], guest_gdt_end[];

/* --- VTL1 --- */

/* VTL1 as this copy of the library has it: entry and stack of vtl.S, tables of tables.S. */
extern const struct vtl_image vtl_own_image;

/*
 * Called by vtl.S in VTL1 whenever it is entered, the first time included; the frame is VTL0's
 * registers, and changes to it reach VTL0. vtl_serve(), the default, sets VTL1 up and then calls
 * vtl_on_call() or vtl_on_intercept().
 */
uint64_t vtl_entered(struct vtl_frame *frame); /* returns the VTL return's control input */

/* The payload's VTL1. A payload without one of them gets a default that does nothing. */
void vtl_on_start(void);
void vtl_on_call(struct vtl_frame *frame);
void vtl_on_intercept(const struct hv_intercept *message);
void vtl_on_msr_intercept(const struct hv_msr_intercept *message);
void vtl_on_io_intercept(const struct hv_io_intercept *message);

/* VTL1's VP assist page and its message slot for intercepts. */
extern volatile struct hv_assist vtl_assist;
extern volatile struct hv_intercept vtl_message;

/* --- VTL2, in the same way --- */

extern const struct vtl_image vtl2_own_image;
uint64_t vtl2_entered(struct vtl_frame *frame);
void vtl2_on_start(void);
void vtl2_on_call(struct vtl_frame *frame);
void vtl2_on_intercept(const struct hv_intercept *message);
void vtl2_on_msr_intercept(const struct hv_msr_intercept *message);
void vtl2_on_io_intercept(const struct hv_io_intercept *message);

#define VTL_VECTOR 0xf0 /* of SINT0: where intercepts are announced */

#endif
