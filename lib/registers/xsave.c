/* SPDX-License-Identifier: MIT */
/* The parts of an XSAVE image that say something. */
#include "registers/xsave.h"
#include "kvm/path.h"

#include <string.h>

#define CPUID_XSAVE 0xd

static void add_component(struct xsave_layout *l, const struct kvm_cpuid_entry2 *e)
{
	uint32_t size = e->eax, offset = e->ebx;

	/* 0 and 1 are about the whole; a component of XSS has no place in this format. */
	if (e->function != CPUID_XSAVE || e->index < 2 || e->index >= XSAVE_COMPONENTS ||
	    offset < XSAVE_HEADER_END || offset > l->size || size > l->size - offset)
		return;
	l->places[e->index].offset = offset;
	l->places[e->index].size = size;
	l->known |= UINT64_C(1) << e->index;
}

void xsave_layout_init(struct xsave_layout *l, const struct kvm_cpuid2 *host, size_t size)
{
	*l = (struct xsave_layout){.size = size, .known = XSAVE_X87 | XSAVE_SSE};
	for (uint32_t i = 0; i < host->nent; i++)
		add_component(l, &host->entries[i]);
}

/* A part that says something, and the components that are still to come. */
struct part {
	const struct xsave_layout *layout;
	uint64_t left;
	size_t offset, size;
};

/* x87, SSE and the header always; where AVX follows them, as it does in practice, with it. */
static struct part first_part(const struct xsave_layout *l, const uint8_t *image)
{
	struct part p = {.layout = l, .size = XSAVE_HEADER_END};
	uint64_t in_use;

	memcpy(&in_use, image + XSAVE_BV_OFFSET, sizeof(in_use));
	if (in_use & ~l->known) {
		p.size = l->size;
		return p;
	}
	p.left = in_use & ~(XSAVE_X87 | XSAVE_SSE);
	if ((p.left & XSAVE_AVX) && l->places[2].offset == XSAVE_HEADER_END) {
		p.size += l->places[2].size;
		p.left &= ~XSAVE_AVX;
	}
	return p;
}

static bool next_part(struct part *p)
{
	unsigned component;

	if (!p->left)
		return false;
	component = (unsigned)__builtin_ctzll(p->left);
	p->left &= p->left - 1;
	p->offset = p->layout->places[component].offset;
	p->size = p->layout->places[component].size;
	return true;
}

/* PKRU is as small as that, and in use everywhere where there is one. */
static bool part_equal(const uint8_t *a, const uint8_t *b, size_t size)
{
	if (size == sizeof(uint64_t))
		return !memcmp(a, b, sizeof(uint64_t));
	return !memcmp(a, b, size);
}

RUN_PATH bool xsave_equal(const struct xsave_layout *l, const void *image, const void *other)
{
	const uint8_t *a = image, *b = other;
	struct part p = first_part(l, a);

	do
		if (!part_equal(a + p.offset, b + p.offset, p.size))
			return false;
	while (next_part(&p));
	return true;
}

void xsave_copy(const struct xsave_layout *l, void *to, const void *image)
{
	struct part p = first_part(l, image);

	do
		memcpy((uint8_t *)to + p.offset, (const uint8_t *)image + p.offset, p.size);
	while (next_part(&p));
}
