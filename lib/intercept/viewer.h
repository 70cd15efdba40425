/* SPDX-License-Identifier: MIT */
/* A VTL's processor at one moment: what locate.c, mmio.c and retired.c look through. */
#ifndef VSM_LIB_INTERCEPT_VIEWER_H
#define VSM_LIB_INTERCEPT_VIEWER_H

#include "intercept/intercept.h"

struct viewer {
	const struct memory *m;
	unsigned vtl;
	bool user; /* CPL 3 */
	struct insn_context context;
};

/* Of vp's active VTL. The registers are good until the VTL runs. 0 or the errno of an ioctl. */
int viewer_init(struct viewer *w, struct vsm_vcpu *vp);

/* RIP as a linear address. */
gva_t viewer_rip(const struct viewer *w);

/*
 * Decodes the instruction at RIP as far as it can be fetched. Returns as insn_decode(); what could
 * not be decoded has length 0.
 */
int viewer_decode(const struct viewer *w, struct insn *insn);

/* Code bytes up to, not including, linear address `end`: as many of `room` as can be fetched. They
 * end at bytes + room; returns how many. */
size_t viewer_code_before(const struct viewer *w, gva_t end, uint8_t *bytes, size_t room);

/* The part of an access that lies in one page. */
struct piece {
	gva_t gva;
	gpa_t gpa;
	size_t len;
};

/* The piece at `offset` of [gva, gva + size). Returns as walk(), whose *result and *fault it
 * fills. */
int viewer_piece(const struct viewer *w, const struct insn_access *a, size_t offset,
		 struct piece *piece, struct walk_result *result, struct access_fault *fault);

/* A piece's bytes, if the VTL may read them. 0, or guest_read()'s error. */
int viewer_load(const struct viewer *w, const struct piece *piece, void *buf);

/* The linear address at which the instruction's accesses of that kind reach gpa; false: none does.
 */
bool viewer_find(const struct viewer *w, const struct insn *insn, enum mem_access access, gpa_t gpa,
		 gva_t *gva);

/* What the host's protections let through to the VTL at a page, openings aside. */
enum kvm_map_prot viewer_hardware(const struct viewer *w, uint64_t page);

/* Length and bytes for the message. */
void violation_describe(struct violation *v, const struct insn *insn);

#endif
