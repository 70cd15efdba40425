/* SPDX-License-Identifier: MIT */
/*
 * Where guest_start_real.c starts processors in real mode. ES is where the stub writes down what it finds, and is not
 * where its selector says. Then it goes the way of those that a SIPI starts.
 */

	.section .rodata
	.code16
	.globl real_stub, real_stub_entry, real_stub_end
real_stub:
	ud2				/* RIP is not 0 */
real_stub_entry:
	mov	%cs, %es:0
	mov	%ds, %es:2
	mov	%ss, %es:4
	mov	%sp, %es:6
	pushf
	pop	%es:8
	mov	%ds:0, %ax		/* the data segment's base is its own, too */
	mov	%ax, %es:10
	push	$0x1234			/* the stack's */
	mov	%cr0, %eax
	mov	%eax, %es:12
	ljmp	$0x800, $0
real_stub_end:

	.section .note.GNU-stack, "", @progbits
