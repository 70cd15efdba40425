/* SPDX-License-Identifier: MIT */
/* From a multiboot loader's 32-bit protected mode to 64-bit C. */

#include "paging.h"

#define MAGIC 0x1badb002
#define FLAGS 0x3 /* modules page aligned; memory size wanted */

	.section .multiboot, "a"
	.align 4
	.long MAGIC, FLAGS, -(MAGIC + FLAGS)

	.text
	.code32
	.globl guest_start
guest_start:
	cli
	cld
	mov	%ebx, %edi
	mov	%cr4, %eax
	or	$GUEST_CR4, %eax
	mov	%eax, %cr4
	mov	$guest_page_tables, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x100, %eax			/* EFER.LME */
	wrmsr
	mov	$0x80010033, %eax		/* PG, WP, NE, ET, MP, PE */
	mov	%eax, %cr0
	lgdt	guest_gdt_pointer
	ljmp	$0x08, $boot_long_mode

	.code64
boot_long_mode:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	mov	$boot_stack_top, %rsp
	mov	%edi, %edi
	xor	%ebp, %ebp
	call	guest_begin
	ud2

	.bss
	.align 16
	.skip	16384
boot_stack_top:

	.section .note.GNU-stack, "", @progbits
