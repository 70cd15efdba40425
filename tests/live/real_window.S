/* SPDX-License-Identifier: MIT */
/*
 * What a processor of guest_real_window.c runs in real mode, at REAL_STUB: FXRSTOR of an image in REAL_PAGE, its data
 * segment, that is not valid; and the handler of the exception, which is in that page.
 */
#include "real_window.h"

	.section .rodata
	.code16
	.globl real_stub, real_stub_end, real_handler, real_handler_end
real_stub:
	mov	$REAL_DATA, %si
	fxrstor	(%si)
1:	hlt
	jmp	1b
real_stub_end:

real_handler:
	movb	$1, %es:REAL_STUB + REAL_EXECUTED
1:	hlt
	jmp	1b
real_handler_end:

	.section .note.GNU-stack, "", @progbits
