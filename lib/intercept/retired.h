/* SPDX-License-Identifier: MIT */
/* Between mmio.c, which takes a retired store back, and retired.c. */
#ifndef VSM_LIB_INTERCEPT_RETIRED_H
#define VSM_LIB_INTERCEPT_RETIRED_H

#include "intercept/viewer.h"

/*
 * Finds the instruction of the store in store->fragments; w has the registers past it. Fills
 * before, after and what *v has to say of the instruction. If none is found before equals after,
 * and *v has no instruction.
 */
void retired_find(const struct viewer *w, struct retired_store *store, struct violation *v);

#endif
