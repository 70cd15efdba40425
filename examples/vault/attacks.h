/* SPDX-License-Identifier: MIT */
/* What VTL0 of the vault tries against VTL1. */
#ifndef VAULT_ATTACKS_H
#define VAULT_ATTACKS_H

#include <stdbool.h>

struct attack {
	const char *what;
	bool (*stopped)(void);
};

extern const struct attack attacks[];
extern const unsigned attack_count;

/* Accesses of all attacks that VTL1 must have caught. */
extern const unsigned attack_intercepts;

#endif
