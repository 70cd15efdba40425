/* SPDX-License-Identifier: MIT */
/* All rows. */
#include "rows.h"

#define HCT_ENTRY(name) {"rows_" #name ".c", hct_rows_##name, &hct_rows_##name##_count},

const struct hct_family hct_families[] = {HCT_FAMILIES(HCT_ENTRY)};
const unsigned hct_family_count = HCT_COUNT(hct_families);
