/* SPDX-License-Identifier: MIT */
/* Text on COM1, polled. */
#include <stdarg.h>
#include <stdbool.h>
#include "console.h"
#include "cpu.h"

#define COM1	 0x3f8
#define LSR	 5
#define LSR_THRE 0x20

struct spec {
	bool alternate, zero, is_long;
	unsigned width;
};

static const char *line_prefix = "";
static bool inside_line;

static void put_raw(char c)
{
	while (!(in8(COM1 + LSR) & LSR_THRE))
		;
	out8(COM1, (uint8_t)c);
}

static void put(char c)
{
	if (!inside_line)
		for (const char *p = line_prefix; *p; p++)
			put_raw(*p);
	inside_line = c != '\n';
	put_raw(c);
}

void console_prefix(const char *prefix)
{
	line_prefix = prefix;
}

static void put_string(const char *s)
{
	while (*s)
		put(*s++);
}

static void put_number(const struct spec *s, uint64_t value, unsigned base)
{
	char digits[20];
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	if (s->alternate)
		put_string("0x");
	for (unsigned i = n; i < s->width; i++)
		put(s->zero ? '0' : ' ');
	while (n)
		put(digits[--n]);
}

static const char *parse_spec(const char *f, struct spec *s)
{
	*s = (struct spec){0};
	for (;; f++) {
		if (*f == '#')
			s->alternate = true;
		else if (*f == '0' && !s->width)
			s->zero = true;
		else if (*f >= '0' && *f <= '9')
			s->width = s->width * 10 + (unsigned)(*f - '0');
		else if (*f == 'l')
			s->is_long = true;
		else
			return f;
	}
}

static void put_conversion(char kind, const struct spec *s, va_list *args)
{
	uint64_t number = 0;

	switch (kind) {
	case 's':
		put_string(va_arg(*args, const char *));
		return;
	case 'c':
		put((char)va_arg(*args, int));
		return;
	case 'd':
	case 'u':
	case 'x':
		number = s->is_long ? va_arg(*args, unsigned long) : va_arg(*args, unsigned);
		if (kind == 'd' && (s->is_long ? (int64_t)number : (int32_t)number) < 0) {
			put('-');
			number = s->is_long ? -number : -(uint32_t)number;
		}
		put_number(s, number, kind == 'x' ? 16 : 10);
		return;
	default:
		put(kind);
	}
}

void print(const char *format, ...)
{
	struct spec spec;
	va_list args;

	va_start(args, format);
	for (const char *f = format; *f; f++) {
		if (*f != '%') {
			put(*f);
			continue;
		}
		f = parse_spec(f + 1, &spec);
		put_conversion(*f, &spec, &args);
	}
	va_end(args);
}
