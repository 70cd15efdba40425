/* SPDX-License-Identifier: MIT */
/* The protected-mode part of a bzImage: 64-bit entry 0x200 bytes in, RSI the boot parameters. */

	.section .multiboot, "ax"		/* what guest.ld puts first */
	.skip	0x200, 0xcc
	.code64
	.globl guest_start
guest_start:
	lea	stack_top(%rip), %rsp
	lgdt	guest_gdt_pointer
	pushq	$0x08
	lea	1f(%rip), %rax
	push	%rax
	lretq
1:	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%rsi, %rdi
	call	linux_begin
	ud2

	.bss
	.align 16
	.skip	16384
stack_top:

	.section .note.GNU-stack, "", @progbits
