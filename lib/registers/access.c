/* SPDX-License-Identifier: MIT */
/* Getting and setting a register by name. */
#include "registers/places.h"
#include "kvm/path.h"

#include <errno.h>
#include <string.h>

#define NO_ROW UINT8_MAX

/* Where the search for a name begins (Knuth, The Art of Computer Programming 3, 6.4). */
static unsigned first_slot(uint32_t name)
{
	return name * UINT32_C(2654435769) >> (32 - REGISTER_SLOT_BITS);
}

static unsigned next_slot(unsigned slot)
{
	return (slot + 1) % REGISTER_SLOTS;
}

static void index_name(uint8_t rows[REGISTER_SLOTS], uint32_t name, uint8_t row)
{
	unsigned slot = first_slot(name);

	while (rows[slot] != NO_ROW)
		slot = next_slot(slot);
	rows[slot] = row;
}

void register_index(uint8_t rows[REGISTER_SLOTS])
{
	memset(rows, NO_ROW, REGISTER_SLOTS);
	for (size_t i = 0; i < register_table_size; i++)
		for (uint32_t n = 0; n < register_table[i].count; n++)
			index_name(rows, register_table[i].name + n, (uint8_t)i);
}

const struct register_row *register_find(const uint8_t rows[REGISTER_SLOTS], uint32_t name)
{
	for (unsigned slot = first_slot(name); rows[slot] != NO_ROW; slot = next_slot(slot)) {
		const struct register_row *row = &register_table[rows[slot]];

		if (name - row->name < row->count)
			return row;
	}
	return NULL;
}

static struct register_access access_to(struct vsm_vcpu *target, unsigned caller, unsigned vtl,
					const struct register_row *row, uint32_t name)
{
	return (struct register_access){
		.target = target,
		.caller = caller,
		.vtl = vtl,
		.shared = row->flags & REGISTER_SHARED,
		.where = row->where + (name - row->name) * row->step,
	};
}

/*
 * What the VTLs share is the active one's while it runs: of a VP in a VTL above the caller it holds
 * that VTL's values, which are neither the caller's to see nor to change.
 */
static bool register_reachable(const struct register_access *a)
{
	return !a->shared || a->caller >= a->target->active_vtl;
}

RUN_PATH enum hv_status register_get(struct vsm_vcpu *target, unsigned caller, unsigned vtl,
				     uint32_t name, struct hv_register_value *value)
{
	const struct register_row *row = register_find(target->partition->register_rows, name);
	struct register_access a;

	if (!row)
		return HV_INVALID_PARAMETER;
	a = access_to(target, caller, vtl, row, name);
	*value = (struct hv_register_value){0};
	if (!register_reachable(&a))
		return HV_ACCESS_DENIED;
	return row->place->get(&a, value);
}

enum hv_status register_set(struct vsm_vcpu *target, unsigned caller, unsigned vtl, uint32_t name,
			    const struct hv_register_value *value)
{
	const struct register_row *row = register_find(target->partition->register_rows, name);
	struct register_access a;

	if (!row || !row->place->set || (row->flags & REGISTER_READ_ONLY))
		return HV_INVALID_PARAMETER;
	if (!row->place->wide && value->high)
		return HV_INVALID_REGISTER_VALUE;
	a = access_to(target, caller, vtl, row, name);
	return register_reachable(&a) ? row->place->set(&a, value) : HV_ACCESS_DENIED;
}

enum hv_status register_status(const struct register_access *a, int error)
{
	switch (error) {
	case 0:
		return HV_SUCCESS;
	case -EINVAL:
		return HV_INVALID_REGISTER_VALUE;
	case -ENOENT:
		return HV_INVALID_PARAMETER;
	case -ENOMEM:
	case -ENOSPC:
		return HV_INSUFFICIENT_MEMORY;
	case -ENOTRECOVERABLE:
		partition_die(a->target->partition,
			      "a page could not be closed to a VTL that must not have it");
		return HV_INSUFFICIENT_MEMORY;
	default:
		return HV_INVALID_VP_STATE;
	}
}
