/* SPDX-License-Identifier: MIT */
/*
 * Entered as Linux would be (64-bit boot protocol: RSI its boot_params), with Linux's entry in RDI,
 * and enters Linux in the same state.
 */

	.text
	.code64
	.globl guest_start
guest_start:
	mov	%rdi, %rbx
	mov	%rsi, %rbp
	lea	stack_top(%rip), %rsp
	mov	%rsi, %rdi
	call	warden_install
	mov	%rbp, %rsi
	jmp	*%rbx

	.bss
	.align 16
	.skip	16384
stack_top:

	.section .note.GNU-stack, "", @progbits
