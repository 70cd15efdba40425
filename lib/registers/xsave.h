/* SPDX-License-Identifier: MIT */
/* XSAVE images in the standard format, as KVM gives and takes them (Intel SDM 1, 13.4). */
#ifndef VSM_LIB_REGISTERS_XSAVE_H
#define VSM_LIB_REGISTERS_XSAVE_H

#include <stddef.h>
#include "kvm/ops.h"

#define XSAVE_BV_OFFSET	 512 /* XSTATE_BV: the components that are not in their initial state */
#define XSAVE_HEADER_END 576
#define XSAVE_X87	 (UINT64_C(1) << 0)
#define XSAVE_SSE	 (UINT64_C(1) << 1)
#define XSAVE_AVX	 (UINT64_C(1) << 2)
#define XSAVE_COMPONENTS 64

/*
 * Where the components past x87 and SSE are. Processors differ in that; one host's are all alike.
 */
struct xsave_layout {
	size_t size;	/* of an image */
	uint64_t known; /* components whose place is known, x87 and SSE included */
	struct {
		uint32_t offset, size;
	} places[XSAVE_COMPONENTS];
};

/*
 * For images of `size` bytes, by leaf 0xd of the host's CPUID. Without it every image that has
 * components past SSE is taken as a whole.
 */
void xsave_layout_init(struct xsave_layout *l, const struct kvm_cpuid2 *host, size_t size);

/*
 * Would loading `image` over `other` change nothing? Of a component that is not in XSTATE_BV
 * nothing is looked at: KVM neither gives nor takes it, its state is the initial one.
 */
bool xsave_equal(const struct xsave_layout *l, const void *image, const void *other);

/* Copies what of `image` says something. */
void xsave_copy(const struct xsave_layout *l, void *to, const void *image);

#endif
