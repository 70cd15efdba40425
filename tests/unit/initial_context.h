/* SPDX-License-Identifier: MIT */
/* Initial contexts a guest may give a VTL, for tests to use and to spoil. */
#ifndef VSM_TESTS_UNIT_INITIAL_CONTEXT_H
#define VSM_TESTS_UNIT_INITIAL_CONTEXT_H

#include "hv/vsm.h"

/* 64-bit mode at CPL 0, null FS and GS with a base, PAT not filled in. */
static inline struct hv_initial_vp_context long_mode_context(void)
{
	const struct hv_segment data = {
		.limit = UINT32_MAX, .selector = 0x10, .attributes = 0xc093};

	return (struct hv_initial_vp_context){
		.rip = UINT64_C(0xffffffff81000000),
		.rsp = UINT64_C(0xffffc90000004000),
		.rflags = 0x2,
		.cs = {.limit = UINT32_MAX, .selector = 0x8, .attributes = 0xa09b},
		.ds = data,
		.es = data,
		.ss = data,
		.fs = {.base = UINT64_C(0x7000)},
		.gs = {.base = UINT64_C(0xffff888000000000)},
		.tr = {.limit = 0x67, .attributes = 0x8b},
		.ldtr = {.attributes = 0x82},
		.idtr = {.limit = 0xfff, .base = UINT64_C(0xfffffe0000000000)},
		.gdtr = {.limit = 0x7f, .base = UINT64_C(0xfffffe0000001000)},
		.efer = 0x500,
		.cr0 = 0x80010031,
		.cr3 = 0x5000,
		.cr4 = 0x220,
	};
}

/* 32-bit protected mode without paging. */
static inline struct hv_initial_vp_context flat_context(void)
{
	struct hv_initial_vp_context c = {
		.rip = 0x100000,
		.rsp = 0x200000,
		.rflags = 0x2,
		.cs = {.limit = UINT32_MAX, .selector = 0x8, .attributes = 0xc09b},
		.ss = {.limit = UINT32_MAX, .selector = 0x10, .attributes = 0xc093},
		.tr = {.limit = 0x67, .attributes = 0x8b},
		.cr0 = 0x11,
	};

	c.ds = c.es = c.ss;
	return c;
}

/* Real mode, as a SIPI with vector 8 leaves it. */
static inline struct hv_initial_vp_context real_mode_context(void)
{
	const struct hv_segment data = {.limit = 0xffff, .attributes = 0x93};

	return (struct hv_initial_vp_context){
		.rflags = 0x2,
		.cs = {.limit = 0xffff, .selector = 0x800, .base = 0x8000, .attributes = 0x9b},
		.ds = data,
		.es = data,
		.fs = data,
		.gs = data,
		.ss = data,
		.tr = {.limit = 0xffff, .attributes = 0x8b},
		.ldtr = {.limit = 0xffff, .attributes = 0x82},
		.idtr = {.limit = 0xffff},
		.gdtr = {.limit = 0xffff},
		.cr0 = 0x10,
	};
}

#endif
