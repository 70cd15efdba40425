/* SPDX-License-Identifier: MIT */
/* Where other processors begin: in real mode after a SIPI, or in 64-bit mode. */

#include "paging.h"

	/* Copied to SMP_TRAMPOLINE, where its own addresses are. */
#define SMP_TRAMPOLINE 0x8000
#define AT(label) (SMP_TRAMPOLINE + label - smp_trampoline)

	.section .rodata
	.code16
	.globl smp_trampoline, smp_trampoline_end
smp_trampoline:
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	lgdtl	AT(trampoline_gdt)
	mov	%cr4, %eax
	or	$GUEST_CR4, %eax
	mov	%eax, %cr4
	mov	$guest_page_tables, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	$0x80010033, %eax
	mov	%eax, %cr0
	ljmpl	$0x08, $smp_long_mode
trampoline_gdt:
	.word	0x2f
	.long	guest_gdt
smp_trampoline_end:

	.text
	.code64
	/* The stack is found by HV_X64_MSR_VP_INDEX. */
	.globl smp_long_mode
smp_long_mode:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$0x40000002, %ecx
	rdmsr
	mov	%eax, %edi
	inc	%eax
	shl	$13, %eax			/* sizeof(smp_stacks[0][0]) */
	lea	smp_stacks(%rax), %rsp
	lidt	smp_idt(%rip)
	xor	%ebp, %ebp
	call	smp_main
	ud2

	.section .note.GNU-stack, "", @progbits
