/* SPDX-License-Identifier: MIT */
/* 32-bit code of guest_pae_move.c, and the way there. Memory is mapped one to one, below 3 GiB. */
#include "pae_move.h"

#define CODE32	 0x38
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100
#define CR0_PG	 0x80000000
#define GP	 13
#define GATE32	 0x8e00 /* present, of CPL 0, 32-bit interrupt gate */
#define MOV_CR3	 3	/* bytes */

	.macro VTL_CALL request
	mov	$\request, %ebx
	xor	%eax, %eax
	xor	%edx, %edx
	xor	%ecx, %ecx
	call	*hv_vtl_call_entry
	.endm

	.text
	.code64
	.globl pae_run
pae_run:
	mov	%edi, %ebp
	ljmp	*to32(%rip)

	.code32
code32:
	mov	%cr0, %eax
	and	$~CR0_PG, %eax
	mov	%eax, %cr0
	mov	$MSR_EFER, %ecx
	rdmsr
	and	$~EFER_LME, %eax
	wrmsr
	mov	%ebp, %cr3
	mov	%cr0, %eax
	or	$CR0_PG, %eax
	mov	%eax, %cr0
	mov	$general_protection, %eax
	mov	%ax, idt32 + 8 * GP
	shr	$16, %eax
	mov	%ax, idt32 + 8 * GP + 6
	lidt	idt32_pointer
next:	VTL_CALL PAE_NEXT
	mov	pae_move + PAE_TARGET, %eax
	.globl pae_load, pae_behind
pae_load:
	mov	%eax, %cr3
pae_behind:
	mov	PAE_WINDOW, %eax
	mov	%eax, pae_move + PAE_SEEN
	mov	%cr3, %eax
	mov	%eax, pae_move + PAE_CR3
	mov	pae_move + PAE_HOME, %eax
	mov	%eax, %cr3
	jmp	next

	/* On the stack: error code, EIP, CS, EFLAGS. */
general_protection:
	pusha
	incl	pae_move + PAE_FAULTS
	mov	32(%esp), %eax
	mov	%eax, pae_move + PAE_ERROR_CODE
	mov	36(%esp), %eax
	mov	%eax, pae_move + PAE_EIP
	mov	%cr3, %eax
	mov	%eax, pae_move + PAE_FAULT_CR3
	mov	PAE_WINDOW, %eax
	mov	%eax, pae_move + PAE_FAULT_SEEN
	cmpl	$0, pae_move + PAE_RETRIES
	jne	1f
	addl	$MOV_CR3, 36(%esp)
	jmp	2f
1:	VTL_CALL PAE_OPEN
2:	popa
	add	$4, %esp
	iret

	.data
	.align 8
to32:	.long	code32
	.word	CODE32
	.align 8
idt32:	.rept	GP
	.quad	0
	.endr
	.word	0, CODE32, GATE32, 0
idt32_pointer:
	.word	8 * (GP + 1) - 1
	.long	idt32

	.section .note.GNU-stack, "", @progbits
