/* SPDX-License-Identifier: MIT */
/* Text that is written into a caller's buffer, as snprintf(3) does. */
#ifndef VSM_LIB_PROBE_TEXT_H
#define VSM_LIB_PROBE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct text {
	char *at;
	size_t room;
	size_t length; /* of the whole text, whether it fits or not */
};

__attribute__((format(printf, 2, 3))) static inline void text_add(struct text *t,
								  const char *format, ...)
{
	bool full = t->length >= t->room;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(full ? NULL : t->at + t->length, full ? 0 : t->room - t->length, format,
		      args);
	va_end(args);
	if (n > 0)
		t->length += (size_t)n;
}

#endif
