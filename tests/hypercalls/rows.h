/* SPDX-License-Identifier: MIT */
/* The families of rows. */
#ifndef VSM_TESTS_HYPERCALLS_ROWS_H
#define VSM_TESTS_HYPERCALLS_ROWS_H

#include "hct.h"

#define HCT_FAMILIES(X) X(flush) X(general) X(memory) X(registers) X(synic) X(vtl)

#define HCT_DECLARE(name)                              \
	extern const struct hct_row hct_rows_##name[]; \
	extern const unsigned hct_rows_##name##_count;
HCT_FAMILIES(HCT_DECLARE)

#endif
