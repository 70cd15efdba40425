/* SPDX-License-Identifier: MIT */
/* One line to the person who started the program: "vsm-run: ..." on stderr. */
#ifndef VSM_RUN_SAY_H
#define VSM_RUN_SAY_H

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
