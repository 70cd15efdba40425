/* SPDX-License-Identifier: MIT */
/* What there is to know of each call: sizes from the TLFS's page of each. */
#include "hct.h"

#define BASE(...)                                                                         \
	.words = HCT_COUNT(((const uint64_t[]){__VA_ARGS__})), .base = (const uint64_t[]) \
	{                                                                                 \
		__VA_ARGS__                                                               \
	}

/* Sorted by code. */
const struct hct_info hct_infos[] = {
	{.code = CALL_FLUSH_SPACE, .header = 24, BASE(0, 1, 0)},
	{.code = CALL_FLUSH_LIST, .rep = true, .header = 24, .element = 8, .reps = 2, BASE(0, 1)},
	{.code = CALL_LONG_SPIN_WAIT, .header = 8, BASE(1)},
	{.code = CALL_CLUSTER_IPI, .header = 16, BASE(0x20)},
	{.code = CALL_PROTECT, .rep = true, .header = 16, .element = 8, .reps = 2, BASE(HCT_SELF)},
	{.code = CALL_ENABLE_PARTITION, .header = 16, BASE(HCT_SELF)},
	{.code = CALL_DISABLE_PARTITION, .header = 16, BASE(HCT_SELF)},
	{.code = CALL_ENABLE_VP, .header = 240, BASE(HCT_SELF, HCT_VP_OWN)},
	{.code = CALL_DISABLE_VP, .header = 16, BASE(HCT_SELF, HCT_VP_OWN)},
	{.code = CALL_VTL_CALL, .code_page = true},
	{.code = CALL_VTL_RETURN, .code_page = true},
	{.code = CALL_FLUSH_SPACE_EX, .variable = true, .header = 32, BASE(0, 1, 1, 0)},
	{.code = CALL_FLUSH_LIST_EX,
	 .rep = true,
	 .variable = true,
	 .header = 32,
	 .element = 8,
	 .reps = 2,
	 BASE(0, 1, 1, 0)},
	{.code = CALL_CLUSTER_IPI_EX, .variable = true, .header = 24, BASE(0x20)},
	{.code = CALL_INSTALL_INTERCEPT, .header = 24, BASE(HCT_SELF)},
	{.code = CALL_GET_REGISTERS,
	 .rep = true,
	 .header = 16,
	 .element = 4,
	 .output_element = 16,
	 .reps = 2,
	 BASE(HCT_SELF, HCT_VP_OWN, PAIR(0x90003, 0x90003))},
	{.code = CALL_SET_REGISTERS,
	 .rep = true,
	 .header = 16,
	 .element = 32,
	 .reps = 2,
	 BASE(HCT_SELF, HCT_VP_OWN)},
	{.code = CALL_TRANSLATE, .header = 32, .output = 16, BASE(HCT_SELF, HCT_VP_OWN)},
	{.code = CALL_POST_MESSAGE, .header = 256, BASE(0x7f)},
	{.code = CALL_SIGNAL_EVENT, .header = 8, BASE(0x7f)},
	{.code = CALL_ASSERT_INTERRUPT, .header = 32, BASE(HCT_SELF)},
	{.code = CALL_START_VP, .header = 240, BASE(HCT_SELF, HCT_VP_OWN)},
	{.code = CALL_VP_INDEX,
	 .rep = true,
	 .header = 16,
	 .element = 8,
	 .output_element = 8,
	 .reps = 2,
	 BASE(HCT_SELF, 0, HCT_APIC(0), HCT_APIC(0))},
	{.code = CALL_TRANSLATE_EX, .header = 32, .output = 64, BASE(HCT_SELF, HCT_VP_OWN)},
	{.code = CALL_CHECK_ACCESS,
	 .rep = true,
	 .header = 16,
	 .element = 8,
	 .output_element = 8,
	 .reps = 2,
	 BASE(HCT_SELF)},
	{.code = CALL_CAPABILITIES, .output = 8},
};
const unsigned hct_info_count = HCT_COUNT(hct_infos);

const struct hct_info *hct_info_of(uint16_t code)
{
	for (unsigned i = 0; i < hct_info_count; i++)
		if (hct_infos[i].code == code)
			return &hct_infos[i];
	return NULL;
}

unsigned hct_input_size(const struct hct_info *info, unsigned reps, unsigned variable)
{
	return info->header + 8 * variable + reps * info->element;
}

unsigned hct_output_size(const struct hct_info *info, unsigned reps)
{
	return info->output + reps * info->output_element;
}

bool hct_fits(const struct hct_info *info, unsigned reps, unsigned variable, enum hct_form form)
{
	unsigned in = hct_input_size(info, reps, variable), out = hct_output_size(info, reps);

	if (info->code_page)
		return !HCT_FORM_FAST(form);
	if (!HCT_FORM_FAST(form))
		return in <= HCT_PAGESIZE && out <= HCT_PAGESIZE;
	/* Output in registers is for 64-bit callers. */
	if (out && HCT_FORM_MODE(form) != HCT_64)
		return false;
	return (in + 15) / 16 * 16 + (out + 15) / 16 * 16 <= HCT_BLOCK;
}
