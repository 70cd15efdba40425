/* SPDX-License-Identifier: MIT */
/* The guest's image as a part of the program. GUEST_IMAGE is its path. */
	.section .rodata
	.globl	guest_image, guest_image_end
	.balign	16
guest_image:
	.incbin	GUEST_IMAGE
guest_image_end:
	.byte	0

	.section .note.GNU-stack, "", @progbits
