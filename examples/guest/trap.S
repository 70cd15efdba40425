/* SPDX-License-Identifier: MIT */
/* Interrupt and exception entries, and the way back out of one that was expected. */

	.text
	.code64

	/* 256 entries, 16 bytes apart: all leave an error code and the vector on the stack. */
	.globl trap_entries
	.align 16
trap_entries:
	.set	vector, 0
	.rept	256
	.align	16
	.if	!(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
	push	$0
	.endif
	push	$vector
	jmp	trap_common
	.set	vector, vector + 1
	.endr

trap_common:
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%r11
	push	%r10
	push	%r9
	push	%r8
	push	%rdi
	push	%rsi
	push	%rbp
	push	%rbx
	push	%rdx
	push	%rcx
	push	%rax
	cld
	mov	%rsp, %rdi
	call	trap_dispatch
	pop	%rax
	pop	%rcx
	pop	%rdx
	pop	%rbx
	pop	%rbp
	pop	%rsi
	pop	%rdi
	pop	%r8
	pop	%r9
	pop	%r10
	pop	%r11
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	add	$16, %rsp
	iretq

	/* void trap_halt(void), and where its HLT is: see trap_dispatch(). */
	.globl trap_halt, trap_halt_hlt
trap_halt:
	sti
trap_halt_hlt:
	hlt
	cli
	ret

	/*
	 * int trap_try(void (*fn)(void *), void *arg, struct trap *trap)
	 * What trap_context points to is a struct trap_context.
	 */
	.globl trap_try
trap_try:
	pushfq
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdx
	push	trap_context(%rip)
	mov	%rsp, trap_context(%rip)
	mov	%rdi, %rax
	mov	%rsi, %rdi
	call	*%rax
	mov	$-1, %eax
trap_leave:
	pop	trap_context(%rip)
	add	$8, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	popfq
	ret

	/* void trap_unwind(int vector): the innermost trap_try() returns vector. */
	.globl trap_unwind
trap_unwind:
	mov	trap_context(%rip), %rsp
	mov	%edi, %eax
	jmp	trap_leave

	/* void trap_user(void *fn): runs fn at CPL3; only an exception ends it. */
	.globl trap_user
trap_user:
	push	$0x1b
	lea	user_stack_top - 8(%rip), %rax
	push	%rax
	push	$0x2
	push	$0x23
	push	%rdi
	iretq

	.bss
	.align 16
	.skip	4096
user_stack_top:
	.globl trap_stack_top
	.skip	8192
trap_stack_top:

	.section .note.GNU-stack, "", @progbits
