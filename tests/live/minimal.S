/* SPDX-License-Identifier: MIT */
/* A flat 32-bit binary for examples/minimal: prints the hypervisor's interface and ends with 0. */

	.code32
	.globl start
start:
	mov	$0x40000001, %eax
	cpuid
	mov	%eax, interface
	mov	$text, %esi
	mov	$0x3f8, %edx
1:	lodsb
	test	%al, %al
	jz	2f
	outb	%al, %dx
	jmp	1b
2:	xor	%eax, %eax
	outb	%al, $0xf4
	hlt

text:
	.ascii	"interface "
interface:
	.asciz	"....\n"

	.section .note.GNU-stack, "", @progbits
