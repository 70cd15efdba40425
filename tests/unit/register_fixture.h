/* SPDX-License-Identifier: MIT */
/* Getting and setting one register by hypercall, from the active VTL of VP 0. */
#ifndef VSM_TESTS_UNIT_REGISTER_FIXTURE_H
#define VSM_TESTS_UNIT_REGISTER_FIXTURE_H

#include "hypercall_fixture.h"
#include "hv/register_names.h"

#define VTL(n) ((uint8_t)(HV_INPUT_VTL_USE | (n)))

static inline unsigned get_as(struct hc *h, uint64_t partition, uint32_t vp, uint8_t input_vtl,
			      uint32_t name, struct hv_register_value *value)
{
	struct hv_vp_registers in = {
		.partition_id = partition, .vp_index = vp, .target_vtl = input_vtl};
	unsigned status =
		hc_slow(h, 0, HV_CALL_GET_VP_REGISTERS, 1, &in, sizeof(in), &name, sizeof(name));

	memcpy(value, hc_mem(h, HC_OUTPUT), sizeof(*value));
	return status;
}

static inline unsigned set_wide_as(struct hc *h, uint32_t vp, uint8_t input_vtl, uint32_t name,
				   const struct hv_register_value *value)
{
	struct hv_vp_registers in = {
		.partition_id = HC_SELF, .vp_index = vp, .target_vtl = input_vtl};
	struct hv_register_assignment a = {.name = name, .value = *value};

	return hc_slow(h, 0, HV_CALL_SET_VP_REGISTERS, 1, &in, sizeof(in), &a, sizeof(a));
}

static inline unsigned set_as(struct hc *h, uint32_t vp, uint8_t input_vtl, uint32_t name,
			      uint64_t value)
{
	return set_wide_as(h, vp, input_vtl, name, &(struct hv_register_value){.low = value});
}

static inline unsigned get(struct hc *h, uint8_t input_vtl, uint32_t name,
			   struct hv_register_value *value)
{
	return get_as(h, HC_SELF, HV_VP_INDEX_SELF, input_vtl, name, value);
}

static inline unsigned set(struct hc *h, uint8_t input_vtl, uint32_t name, uint64_t value)
{
	return set_as(h, HV_VP_INDEX_SELF, input_vtl, name, value);
}

static inline unsigned set_wide(struct hc *h, uint8_t input_vtl, uint32_t name,
				const struct hv_register_value *value)
{
	return set_wide_as(h, HV_VP_INDEX_SELF, input_vtl, name, value);
}

#endif
