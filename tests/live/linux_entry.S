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

	/*
	 * void reset_vector(void): out of long mode, through 16-bit protected mode, to f000:fff0. The
	 * code that does so runs below 64 KiB.
	 */
	.globl reset_vector
reset_vector:
	mov	$low_code, %esi
	mov	$LOW, %edi
	mov	$low_end - low_code, %ecx
	rep movsb
	lgdt	low_gdt_pointer
	pushq	$0x08
	pushq	$LOW
	lretq

	.set	LOW, 0x8000
low_code:
	.code32					/* compatibility mode */
	mov	%cr0, %eax
	and	$0x7fffffff, %eax
	mov	%eax, %cr0			/* no paging: no long mode */
	ljmp	$0x10, $LOW + (low_16 - low_code)
low_16:
	.code16
	mov	%cr0, %eax
	and	$0xfe, %al
	mov	%eax, %cr0
	ljmp	$0xf000, $0xfff0
low_end:
	.code64

	.data
	.align 8
low_gdt:
	.quad	0
	.quad	0x00cf9b000000ffff		/* 08: 32-bit code */
	.quad	0x00009b000000ffff		/* 10: 16-bit code */
low_gdt_end:
low_gdt_pointer:
	.word	low_gdt_end - low_gdt - 1
	.quad	low_gdt

	.bss
	.align 16
	.skip	16384
stack_top:

	.section .note.GNU-stack, "", @progbits
