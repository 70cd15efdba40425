/* SPDX-License-Identifier: MIT */
/* The search for a forbidden access, between locate.c (instructions) and deliver.c (events). */
#ifndef VSM_LIB_INTERCEPT_SEARCH_H
#define VSM_LIB_INTERCEPT_SEARCH_H

#include "intercept/viewer.h"

enum verdict {
	PASSES,
	CAUGHT,	 /* the violation is filled in */
	ENDS,	 /* the guest gets no further: a fault of its own */
	OUTSIDE, /* it reaches what no VTL limits: the VMM's */
};

struct search {
	struct viewer w;
	struct violation *v;
	const struct kvm_run *failed; /* the exit of a failed emulation; NULL: it is none */
	/* Every page touched, with the access it needs at least. */
	struct violation_page touched[VIOLATION_PAGES];
	uint8_t touched_count;
	bool outside;	/* something no VTL limits is reached as well: the VMM's */
	bool undefined; /* the instruction is #UD, whatever it touches */
};

/* One access, page by page: the walk of the guest's tables, then the access itself. */
enum verdict search_access(struct search *s, const struct insn_access *a);

/* The same for a load that passes, whose bytes go to buf. */
enum verdict search_read(struct search *s, const struct insn_access *a, void *buf);

/* A descriptor's load and its being marked. */
enum verdict search_descriptor(struct search *s, const struct insn_access *a, enum insn_marks marks,
			       uint8_t bytes[8]);

/* The descriptors of the instruction's selectors in memory. */
enum verdict search_selectors(struct search *s, const struct insn *insn);

/* What the processor accesses to deliver an event through the IDT. */
enum verdict search_delivery(struct search *s, uint8_t vector, bool error_code);

#endif
