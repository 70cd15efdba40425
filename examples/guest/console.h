/* SPDX-License-Identifier: MIT */
/* Text on COM1. */
#ifndef GUEST_CONSOLE_H
#define GUEST_CONSOLE_H

/* Every line starts with this; "" unless set. */
void console_prefix(const char *prefix);

/* printf() with %s %c %d %u %x %lu %lx %% and the # 0 width flags of the numbers. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
