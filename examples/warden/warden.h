/* SPDX-License-Identifier: MIT */
/* What the warden's installer in VTL0 and the warden in VTL1 agreed on. */
#ifndef WARDEN_WARDEN_H
#define WARDEN_WARDEN_H

#include "vtl.h"

/* A VTL call's request in RDX; the answer comes back there. */
enum warden_request {
	WARDEN_GUARD = 1, /* R8: a page that VTL0 may from now on read, and nothing else */
	WARDEN_LOCK,	  /* no more requests: what comes now is not to be trusted */
};

enum warden_status {
	WARDEN_OK,
	WARDEN_REFUSED,
};

#endif
