/* SPDX-License-Identifier: MIT */
/* A payload's beginning, from boot.S. */
#include "guest.h"
#include "trap.h"

void guest_begin(void);

void guest_begin(void)
{
	trap_setup(1);
	guest_exit((unsigned)guest_main());
}
