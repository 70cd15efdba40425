/* SPDX-License-Identifier: MIT */
/* Where registers live: a row of the table (table.c) names a place, and the place knows how to get
 * at it. */
#ifndef VSM_LIB_REGISTERS_PLACES_H
#define VSM_LIB_REGISTERS_PLACES_H

#include "registers/registers.h"
#include "vcpu/vcpu.h"

/* One access: whose register, and where in its place. */
struct register_access {
	struct vsm_vcpu *target;
	unsigned caller; /* VTL that asks */
	unsigned vtl;	 /* VTL whose register it is */
	bool shared;	 /* the VTLs have it in common: the active one's vCPU holds it */
	uint32_t where;	 /* offset, MSR number, ...: the place's own */
};

struct register_place {
	bool wide; /* 128 bits; else the upper half is zero */
	enum hv_status (*get)(const struct register_access *a, struct hv_register_value *value);
	enum hv_status (*set)(const struct register_access *a,
			      const struct hv_register_value *value); /* NULL: read-only */
};

#define REGISTER_SHARED	   1
#define REGISTER_READ_ONLY 2

struct register_row {
	uint32_t name;
	uint16_t count; /* names in the run */
	uint8_t flags;
	uint32_t where, step; /* of the first, and from one to the next */
	const struct register_place *place;
};

/* Sorted by name, disjoint. */
extern const struct register_row register_table[];
extern const size_t register_table_size;

/* NULL: no such register. rows: as register_index() made them. */
const struct register_row *register_find(const uint8_t rows[REGISTER_SLOTS], uint32_t name);

/* The VTL's vCPU that holds the register. */
static inline struct vp_vtl *register_holder(const struct register_access *a)
{
	return a->shared ? vcpu_active(a->target) : &a->target->vtls[a->vtl];
}

/* What an errno of KVM or of the library's own parts means to the guest. -ENOTRECOVERABLE is the
 * end of the partition. */
enum hv_status register_status(const struct register_access *a, int error);

/*
 * Special registers: flushes what waits, applies `change`, and lets KVM judge. On failure the vCPU
 * keeps what it had.
 */
typedef void (*sregs_change)(struct kvm_sregs *sregs, const struct register_access *a,
			     const struct hv_register_value *value);
enum hv_status register_change_sregs(const struct register_access *a,
				     const struct hv_register_value *value, sregs_change change);

/* place_cpu.c */
extern const struct register_place place_gpr, place_rip, place_rflags;
extern const struct register_place place_control, place_cr0, place_efer;
extern const struct register_place place_segment, place_task, place_table;

/* place_state.c */
extern const struct register_place place_debug, place_xcr0, place_fp, place_st;
extern const struct register_place place_msr, place_synthetic;

/* place_apic.c */
extern const struct register_place place_cr8, place_apic_base, place_apic_id, place_apic_msr;

/* place_event.c */
extern const struct register_place place_event0, place_event1, place_interrupt_state;
extern const struct register_place place_interruption, place_zero;

/* place_vp.c */
extern const struct register_place place_suspend, place_activity, place_cpuid_leaf;
extern const struct register_place place_frequency;

/* place_vsm.c */
extern const struct register_place place_code_page_offsets, place_vp_status;
extern const struct register_place place_partition_status, place_capabilities;
extern const struct register_place place_vina, place_partition_config, place_secure_config;
extern const struct register_place place_cr_intercept_control, place_cr_intercept_mask;

#endif
