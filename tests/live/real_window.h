/* SPDX-License-Identifier: MIT */
/* Where things are in guest_real_window.c, for C and assembler. */
#ifndef REAL_WINDOW_H
#define REAL_WINDOW_H

#define REAL_STUB     0x9000
#define REAL_ACCESS   3	    /* offset of the access in it */
#define REAL_EXECUTED 0x201 /* byte of that page */
#define REAL_STACK    0x800
#define REAL_PAGE     0xb000 /* may be read and written, not executed */
#define REAL_HANDLER  0x40   /* offsets in it */
#define REAL_DATA     0x100
#define REAL_IDT      0xcfe0 /* vectors 0 to 7 in one page, the others in the next */

#endif
