/* SPDX-License-Identifier: MIT */
/* What run.c has for breach.c and state.c. */
#ifndef VSM_TESTS_HYPERCALLS_RUN_H
#define VSM_TESTS_HYPERCALLS_RUN_H

#include "hct.h"

/* Copies words, those replaced that depend on the environment. */
void hct_put_words(uint64_t *to, const uint64_t *words, unsigned count);

/*
 * Control word, and the input where the form has it; slow output is made to show what is written.
 */
void hct_place(const struct hct_info *info, unsigned reps, unsigned variable, const uint64_t *words,
	       enum hct_form form, struct hct_call *call);

/* Reports a difference. */
bool hct_expect(const char *name, enum hct_form form, const char *what, uint64_t got,
		uint64_t wanted);

#endif
