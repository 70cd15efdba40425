/* SPDX-License-Identifier: MIT */
/* The tables a processor needs in memory: the first 4 GiB one to one, and the segments. */

/* Present, writable, user, accessed, dirty: the walker never has to write them. */
#define TABLE 0x67
#define LEAF  0xe7 /* a 2 MiB page */

	.data
	.align 4096
	.globl guest_page_tables, guest_level4
guest_page_tables:
#ifdef GUEST_LA57
	.quad	guest_level4 + TABLE
	.skip	4096 - 8
#endif
guest_level4:
	.quad	level3 + TABLE
	.skip	4096 - 8
level3:
	.quad	level2 + TABLE
	.quad	level2 + 0x1000 + TABLE
	.quad	level2 + 0x2000 + TABLE
	.quad	level2 + 0x3000 + TABLE
	.skip	4096 - 32
level2:
	.set	address, 0
	.rept	2048
	.quad	address + LEAF
	.set	address, address + 0x200000
	.endr

	.align 16
	.globl guest_gdt, guest_gdt_end, guest_gdt_pointer
guest_gdt:
	.quad	0
	.quad	0x00af9b000000ffff		/* 08: 64-bit code */
	.quad	0x00cf93000000ffff		/* 10: data */
	.quad	0x00cff3000000ffff		/* 18: data of CPL3 */
	.quad	0x00affb000000ffff		/* 20: 64-bit code of CPL3 */
	.quad	0, 0				/* 28: TSS, filled in at run time */
	.quad	0x00cf9b000000ffff		/* 38: 32-bit code */
guest_gdt_end:

	.align 8
	.skip	6
guest_gdt_pointer:
	.word	guest_gdt_end - guest_gdt - 1
	.quad	guest_gdt

	.section .note.GNU-stack, "", @progbits
