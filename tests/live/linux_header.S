/* SPDX-License-Identifier: MIT */
/* The real-mode part of a bzImage, of which a 64-bit loader looks at the header only. */

#define PROTOCOL 0x020f
#define INIT_SIZE 0x200000

	.globl start
start:
	.org	0x1f1
	.byte	1				/* sectors of set-up code */
	.org	0x1fe
	.word	0xaa55
	.byte	0xeb, header_end - . - 1	/* jumps over the header */
	.ascii	"HdrS"
	.word	PROTOCOL
	.org	0x211
	.byte	1				/* loaded high */
	.org	0x22c
	.long	0x7fffffff			/* highest address of an initrd */
	.org	0x236
	.word	1				/* there is a 64-bit entry */
	.long	255				/* longest command line */
	.org	0x258
	.quad	LINUX_BASE
	.long	INIT_SIZE
header_end:
	.org	0x400
	.incbin LINUX_BODY

	.section .note.GNU-stack, "", @progbits
