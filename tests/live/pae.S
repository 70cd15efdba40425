/* SPDX-License-Identifier: MIT */
/* The 32-bit code of guest_pae.c. Memory is mapped one to one, below 4 GiB. */

#define HV_MSR_GUEST_OS_ID	0x40000000
#define HV_MSR_HYPERCALL	0x40000001
#define HV_MSR_VP_ASSIST_PAGE	0x40000073
#define HV_ENABLE		1
#define HV_START_VP		0x99
#define RETURN_FAST		1

	.macro WRITE_MSR index, value
	mov	$\index, %ecx
	mov	\value, %eax
	xor	%edx, %edx
	wrmsr
	.endm

	.macro RETURN
	mov	$RETURN_FAST, %eax
	xor	%edx, %edx
	call	*hv_vtl_return_entry
	.endm

	.text
	.code32

	/* VTL1. The second time it starts a processor, while a page of its own lies over the tables of that one's VTL0. */
	.globl pae_vtl1
pae_vtl1:
	WRITE_MSR HV_MSR_GUEST_OS_ID, $1
	WRITE_MSR HV_MSR_HYPERCALL, $(hv_page + HV_ENABLE)
	incl	pae_entries
	RETURN
	WRITE_MSR HV_MSR_VP_ASSIST_PAGE, $(pae_pointers0 + HV_ENABLE)
	mov	$HV_START_VP, %eax
	xor	%edx, %edx
	xor	%ebx, %ebx
	mov	$pae_input, %ecx
	xor	%edi, %edi
	xor	%esi, %esi
	call	*hv_call_entry
	mov	%eax, pae_status
	incl	pae_entries
	RETURN
	ud2

	/* VTL0 of another processor. */
	.globl pae_vtl0
pae_vtl0:
	movl	$1, pae_started
1:	hlt
	jmp	1b

	.section .note.GNU-stack, "", @progbits
