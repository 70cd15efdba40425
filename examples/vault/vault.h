/* SPDX-License-Identifier: MIT */
/* What VTL0 and VTL1 of the vault agreed on. */
#ifndef VAULT_VAULT_H
#define VAULT_VAULT_H

#include <stdint.h>
#include "vtl.h"

/* A VTL call's request in RDX; the answer's status comes back there. */
enum vault_request {
	VAULT_SEAL = 1, /* R8: message, R9: its length; back R8: its seal under VTL1's secret */
	VAULT_GUARD,	/* R8: a page VTL1 is to make read-only, R9: enum vault_guard */
	VAULT_COUNT,	/* back R8: accesses VTL1 caught so far */
};

enum vault_status {
	VAULT_OK,
	VAULT_REFUSED,
};

/* What VTL1 does when VTL0 writes to a guarded page. */
enum vault_guard {
	VAULT_GUARD_ALLOW, /* opens the page until the next VTL call */
	VAULT_GUARD_SKIP,  /* steps over the instruction */
};

#define VAULT_MESSAGE_MAX 1024

#endif
