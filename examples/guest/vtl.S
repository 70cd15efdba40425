/* SPDX-License-Identifier: MIT */
/*
 * VTL call, and the entries of VTL1 and VTL2. General registers are shared, RSP and RIP are not: each VTL finds its
 * stack as it left it, and everything else as the other left it.
 */

	.text
	.code64

	/*
	 * void vtl_call(struct vtl_frame *frame): all general registers go to VTL1 and come back.
	 */
	.globl vtl_call
vtl_call:
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdi
	mov	(%rdi), %rax
	mov	8(%rdi), %rcx
	mov	16(%rdi), %rdx
	mov	24(%rdi), %rbx
	mov	32(%rdi), %rbp
	mov	40(%rdi), %rsi
	mov	56(%rdi), %r8
	mov	64(%rdi), %r9
	mov	72(%rdi), %r10
	mov	80(%rdi), %r11
	mov	88(%rdi), %r12
	mov	96(%rdi), %r13
	mov	104(%rdi), %r14
	mov	112(%rdi), %r15
	mov	48(%rdi), %rdi
	call	*hv_vtl_call_entry(%rip)
	xchg	%rdi, (%rsp)			/* the frame's address; RDI waits on the stack */
	mov	%rax, (%rdi)
	mov	%rcx, 8(%rdi)
	mov	%rdx, 16(%rdi)
	mov	%rbx, 24(%rdi)
	mov	%rbp, 32(%rdi)
	mov	%rsi, 40(%rdi)
	mov	%r8, 56(%rdi)
	mov	%r9, 64(%rdi)
	mov	%r10, 72(%rdi)
	mov	%r11, 80(%rdi)
	mov	%r12, 88(%rdi)
	mov	%r13, 96(%rdi)
	mov	%r14, 104(%rdi)
	mov	%r15, 112(%rdi)
	pop	%rax
	mov	%rax, 48(%rdi)
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	ret

	/*
	 * A VTL's first instruction, by its initial context. The frame stays at the stack's top; a
	 * VTL return is a call that comes back at the VTL's next entry.
	 */
	.macro	ENTRY name, entered, started
	.globl \name
\name:
	movb	$0, \started(%rip)
	sub	$15 * 8, %rsp
1:
	mov	%rax, (%rsp)
	mov	%rcx, 8(%rsp)
	mov	%rdx, 16(%rsp)
	mov	%rbx, 24(%rsp)
	mov	%rbp, 32(%rsp)
	mov	%rsi, 40(%rsp)
	mov	%rdi, 48(%rsp)
	mov	%r8, 56(%rsp)
	mov	%r9, 64(%rsp)
	mov	%r10, 72(%rsp)
	mov	%r11, 80(%rsp)
	mov	%r12, 88(%rsp)
	mov	%r13, 96(%rsp)
	mov	%r14, 104(%rsp)
	mov	%r15, 112(%rsp)
	cld
	mov	%rsp, %rdi
	call	\entered
	mov	%rax, %rcx			/* the return's control input */
	mov	(%rsp), %rax
	mov	16(%rsp), %rdx
	mov	24(%rsp), %rbx
	mov	32(%rsp), %rbp
	mov	40(%rsp), %rsi
	mov	48(%rsp), %rdi
	mov	56(%rsp), %r8
	mov	64(%rsp), %r9
	mov	72(%rsp), %r10
	mov	80(%rsp), %r11
	mov	88(%rsp), %r12
	mov	96(%rsp), %r13
	mov	104(%rsp), %r14
	mov	112(%rsp), %r15
	call	*hv_vtl_return_entry(%rip)
	jmp	1b
	.endm

	ENTRY	vtl_entry, vtl_entered, vtl_started
	ENTRY	vtl2_entry, vtl2_entered, vtl2_started

	.bss
	.align 16
	.skip	16384
	.globl vtl_stack_top
vtl_stack_top:
	.skip	16384
	.globl vtl2_stack_top
vtl2_stack_top:
	.skip	16				/* keeps the symbol inside its section */

	.section .note.GNU-stack, "", @progbits
