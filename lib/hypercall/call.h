/* SPDX-License-Identifier: MIT */
/*
 * What the parts of this folder share: a call's metadata, and a call being executed. A hypercall is
 * a row of the table (table.c) and a handler; the parser and the dispatcher know none of them.
 */
#ifndef VSM_LIB_HYPERCALL_CALL_H
#define VSM_LIB_HYPERCALL_CALL_H

#include "hv/hypercall.h"
#include "hypercall/hypercall.h"
#include "hypercall/vp_set.h"
#include "partition/partition.h"
#include "vcpu/vcpu.h"

struct hypercall_call;

/*
 * HV_SUCCESS with call->rep at the first element not done: before call->reps to have the caller
 * execute the `out` again for the rest; or why element call->rep failed.
 */
typedef enum hv_status (*hypercall_handler)(struct hypercall_call *call);

struct hypercall_info {
	uint16_t code;
	bool rep;		     /* else simple */
	bool variable;		     /* takes a variable sized header */
	uint16_t input, input_rep;   /* bytes of the fixed header, and of one element */
	uint16_t output, output_rep; /* the same; a rep call has only elements */
	uint64_t privileges;	     /* HV_PRIVILEGE_*, all needed */
	const char *name;
	hypercall_handler handle;
	enum hypercall_outcome outcome; /* of a VTL switch; the others are HYPERCALL_DONE */
};

extern const struct hypercall_info hypercall_table[];
extern const size_t hypercall_table_size;

/* NULL: no such call. */
static inline const struct hypercall_info *hypercall_find(const uint8_t rows[HYPERCALL_HASHES],
							  uint16_t code)
{
	const struct hypercall_info *info = &hypercall_table[rows[hypercall_hash(code)]];

	return info->code == code ? info : NULL;
}

struct hypercall_call {
	struct vsm_vcpu *vp; /* the caller */
	struct vsm_partition *partition;
	unsigned vtl;		     /* the caller's */
	struct vp_vtl *caller;	     /* its VTL of the VP */
	const struct kvm_regs *regs; /* its registers, as they are until the call is checked */
	const struct hypercall_info *info;

	/* The control word; from `fast` on by hypercall_check(). */
	uint64_t control;
	bool mode64;
	bool fast;
	uint16_t variable; /* bytes */
	uint16_t reps;	   /* rep count */
	uint16_t rep;	   /* next element; on return, elements done */

	gpa_t input_gpa, output_gpa; /* of a slow call; from hypercall_check() on */
	uint32_t input_size, output_size;
	bool blocked; /* the call has to wait, and is then made again */
	int error;    /* a kernel call failed: its -errno, and the call has no result */
	/* Room for as much as the sizes say, in whole words; not for more. */
	uint8_t *input, *output;
};

static inline const void *hypercall_input_rep(const struct hypercall_call *c)
{
	return c->input + c->info->input + c->variable + (size_t)c->rep * c->info->input_rep;
}

static inline void *hypercall_output_rep(struct hypercall_call *c)
{
	return c->output + (size_t)c->rep * c->info->output_rep;
}

/* --- what many handlers check --- */

/*
 * The VTL that an HV_INPUT_VTL names: the caller's own when it names none. HV_ACCESS_DENIED: above
 * the caller's.
 */
static inline enum hv_status hypercall_target_vtl(const struct hypercall_call *c, uint8_t input_vtl,
						  unsigned *vtl)
{
	*vtl = input_vtl & HV_INPUT_VTL_USE ? input_vtl & HV_INPUT_VTL_MASK : c->vtl;
	return *vtl > c->vtl ? HV_ACCESS_DENIED : HV_SUCCESS;
}

/* A partition has no other name for itself, and no others to name. */
static inline enum hv_status hypercall_target_partition(uint64_t partition_id)
{
	return partition_id == HV_PARTITION_ID_SELF ? HV_SUCCESS : HV_INVALID_PARTITION_ID;
}

/* The partition and VP a call names, both possibly as "self". */
static inline enum hv_status hypercall_target_vp(const struct hypercall_call *c,
						 uint64_t partition_id, uint32_t vp_index,
						 struct vsm_vcpu **target)
{
	enum hv_status status = hypercall_target_partition(partition_id);

	if (status)
		return status;
	*target = partition_vp(c->partition, c->vp, vp_index);
	return *target ? HV_SUCCESS : HV_INVALID_VP_INDEX;
}

/* --- handlers, in the order of the table --- */

enum hv_status hypercall_flush_virtual_address(struct hypercall_call *c);
enum hv_status hypercall_notify_long_spin_wait(struct hypercall_call *c);
enum hv_status hypercall_modify_vtl_protection_mask(struct hypercall_call *c);
enum hv_status hypercall_enable_partition_vtl(struct hypercall_call *c);
enum hv_status hypercall_disable_partition_vtl(struct hypercall_call *c);
enum hv_status hypercall_enable_vp_vtl(struct hypercall_call *c);
enum hv_status hypercall_disable_vp_vtl(struct hypercall_call *c);
enum hv_status hypercall_flush_virtual_address_ex(struct hypercall_call *c);
enum hv_status hypercall_install_intercept(struct hypercall_call *c);
enum hv_status hypercall_get_vp_registers(struct hypercall_call *c);
enum hv_status hypercall_set_vp_registers(struct hypercall_call *c);
enum hv_status hypercall_modify_vtl_protection_mask(struct hypercall_call *c);
enum hv_status hypercall_post_message(struct hypercall_call *c);
enum hv_status hypercall_signal_event(struct hypercall_call *c);
enum hv_status hypercall_get_vp_index_from_apic_id(struct hypercall_call *c);
enum hv_status hypercall_assert_virtual_interrupt(struct hypercall_call *c);
enum hv_status hypercall_start_virtual_processor(struct hypercall_call *c);
enum hv_status hypercall_send_cluster_ipi(struct hypercall_call *c);
enum hv_status hypercall_send_cluster_ipi_ex(struct hypercall_call *c);
enum hv_status hypercall_translate_virtual_address(struct hypercall_call *c);
enum hv_status hypercall_translate_virtual_address_ex(struct hypercall_call *c);
enum hv_status hypercall_check_sparse_gpa_page_vtl_access(struct hypercall_call *c);
enum hv_status hypercall_query_capabilities(struct hypercall_call *c);

#endif
