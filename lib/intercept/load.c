/* SPDX-License-Identifier: MIT */
/* Reads of system structures, whose contents say what comes next: descriptors above all. */
#include <string.h>

#include "intercept/search.h"

#define TYPE_OFFSET	   5 /* of the byte with type, S, DPL and P */
#define TYPE_SEGMENT	   0x10
#define TYPE_PRESENT	   0x80
#define TYPE_ACCESSED	   1
#define TYPE_TSS_AVAILABLE 9 /* TSS: 1 in its 16-bit form */

enum verdict search_read(struct search *s, const struct insn_access *a, void *buf)
{
	enum verdict verdict = search_access(s, a);
	struct walk_result result;
	struct piece p;

	/* Other VPs may have changed the tables since: what they lead to now is asked for again. */
	for (size_t offset = 0; offset < a->size && verdict == PASSES; offset += p.len)
		if (viewer_piece(&s->w, a, offset, &p, &result, NULL) ||
		    viewer_load(&s->w, &p, (uint8_t *)buf + offset))
			verdict = OUTSIDE;
	return verdict;
}

static bool sets_bit(uint8_t type, enum insn_marks marks)
{
	if (!(type & TYPE_PRESENT))
		return false;
	if (marks == MARKS_BUSY)
		return !(type & TYPE_SEGMENT) &&
		       ((type & 0xf) == TYPE_TSS_AVAILABLE || (type & 0xf) == 1);
	return marks == MARKS_ACCESSED && (type & TYPE_SEGMENT) && !(type & TYPE_ACCESSED);
}

enum verdict search_descriptor(struct search *s, const struct insn_access *a, enum insn_marks marks,
			       uint8_t bytes[8])
{
	enum verdict verdict = search_read(s, a, bytes);
	struct insn_access mark = {.gva = gva_from(a->gva.addr + TYPE_OFFSET),
				   .size = 1,
				   .access = MEM_WRITE,
				   .supervisor = true};

	if (verdict != PASSES || !sets_bit(bytes[TYPE_OFFSET], marks))
		return verdict;
	return search_access(s, &mark);
}

static enum verdict load(struct search *s, uint16_t selector, enum insn_marks marks)
{
	struct insn_access a;
	uint8_t bytes[8];

	if (!insn_descriptor(&s->w.context, selector, &a))
		return PASSES;
	return search_descriptor(s, &a, marks, bytes);
}

enum verdict search_selectors(struct search *s, const struct insn *insn)
{
	uint16_t selectors[INSN_SELECTORS];
	enum verdict verdict = PASSES;

	for (unsigned i = 0; i < insn->selector_count && verdict == PASSES; i++) {
		const struct insn_access a = {.gva = insn->selectors[i],
					      .size = sizeof(selectors[i]),
					      .access = MEM_READ};

		if (i && insn->outer.size) {
			if ((selectors[0] & 3) <= cpu_cpl(s->w.context.sregs))
				return PASSES;
			verdict = search_access(s, &insn->outer);
		}
		if (verdict == PASSES)
			verdict = search_read(s, &a, &selectors[i]);
		if (verdict == PASSES)
			verdict = load(s, selectors[i], insn->marks);
	}
	return verdict;
}
