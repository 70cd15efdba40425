/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls with all their registers, by 64-bit code, by 32-bit code under long mode and by 32-bit
 * code without paging. Memory below 4 GiB is mapped one to one, so that nothing changes its address.
 */

#define CODE32		0x38
#define CODE64		0x08
#define DATA		0x10

/* struct registers of guest_hypercalls.c */
#define CONTROL		0
#define SWITCH_INPUT	8
#define RDX		16
#define R8		24
#define XMM		32
#define ENTRY		128
#define RESULT		136

	.macro LOAD_XMM base
	movups	XMM + 0(\base), %xmm0
	movups	XMM + 16(\base), %xmm1
	movups	XMM + 32(\base), %xmm2
	movups	XMM + 48(\base), %xmm3
	movups	XMM + 64(\base), %xmm4
	movups	XMM + 80(\base), %xmm5
	.endm

	.macro STORE_XMM base
	movups	%xmm0, XMM + 0(\base)
	movups	%xmm1, XMM + 16(\base)
	movups	%xmm2, XMM + 32(\base)
	movups	%xmm3, XMM + 48(\base)
	movups	%xmm4, XMM + 64(\base)
	movups	%xmm5, XMM + 80(\base)
	.endm

	.macro SAVE
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	.endm

	.macro RESTORE
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	.endm

	.text
	.code64

	/* void call64(struct registers *r) */
	.globl call64
call64:
	SAVE
	push	%rdi
	LOAD_XMM %rdi
	mov	CONTROL(%rdi), %rcx
	mov	SWITCH_INPUT(%rdi), %rax
	mov	RDX(%rdi), %rdx
	mov	R8(%rdi), %r8
	call	*ENTRY(%rdi)
	pop	%rdi
	mov	%rax, RESULT(%rdi)
	mov	%rdx, RDX(%rdi)
	mov	%r8, R8(%rdi)
	STORE_XMM %rdi
	RESTORE
	ret

	/* void call32(struct registers *r, bool leave_long_mode) */
	.globl call32
call32:
	SAVE
	push	$CODE32
	lea	compatible(%rip), %rax
	push	%rax
	lretq

	.code32
compatible:
	mov	$DATA, %eax
	mov	%eax, %ss
	mov	%eax, %ds
	mov	%eax, %es
	test	%esi, %esi
	jz	1f
	mov	%cr0, %eax
	and	$0x7fffffff, %eax
	mov	%eax, %cr0
	jmp	1f
1:
	push	%esi
	push	%edi
	LOAD_XMM %edi
	mov	%edi, %ebp
	mov	CONTROL(%ebp), %eax
	mov	CONTROL + 4(%ebp), %edx
	mov	RDX + 4(%ebp), %ebx
	mov	RDX(%ebp), %ecx
	mov	R8 + 4(%ebp), %edi
	mov	R8(%ebp), %esi
	call	*ENTRY(%ebp)
	mov	%eax, RESULT(%ebp)
	mov	%edx, RESULT + 4(%ebp)
	mov	%ebx, RDX + 4(%ebp)
	mov	%ecx, RDX(%ebp)
	mov	%edi, R8 + 4(%ebp)
	mov	%esi, R8(%ebp)
	STORE_XMM %ebp
	pop	%edi
	pop	%esi
	test	%esi, %esi
	jz	1f
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0
	jmp	1f
1:
	ljmp	$CODE64, $long_again

	.code64
long_again:
	RESTORE
	ret

	/* What another processor starts with. */
	.globl idle_entry
idle_entry:
	cli
	hlt
	jmp	idle_entry

	.bss
	.align 16
	.skip	256
	.globl idle_stack_top
idle_stack_top:
	.skip	16

	.section .note.GNU-stack, "", @progbits
