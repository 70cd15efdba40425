/* SPDX-License-Identifier: MIT */
/* What a VTL has for itself is neither seen nor changed by the other (TLFS vsm.md). */
#include "cpu.h"
#include "guest.h"
#include "vtl.h"

#define CR0_AM	   (UINT64_C(1) << 18)
#define CR4_TSD	   (UINT64_C(1) << 2)
#define EFER_SCE   1
#define RFLAGS_AC  (UINT64_C(1) << 18)
#define MSR_PAT	   0x277
#define MSR_CS	   0x174
#define MSR_ESP	   0x175
#define MSR_EIP	   0x176
#define MSR_CSTAR  0xc0000083
#define MSR_FS	   0xc0000100
#define MSR_GS	   0xc0000101
#define IDT_LIMIT  0x7ff
#define GDT_LIMIT  0x37
#define VTL0_VALUE 0x1000 /* fits, canonical, every MSR below takes it */
#define VTL1_VALUE 0x2000

static const uint32_t msrs[] = {
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK, MSR_CS,
	MSR_ESP,  MSR_EIP,   MSR_FS,	MSR_GS,	    MSR_KERNEL_GS,
};
#define MSRS (sizeof(msrs) / sizeof(msrs[0]))

static uint64_t other_page_table[PAGE_SIZE / 8] PAGE_ALIGNED;

static uint64_t read_flags(void)
{
	uint64_t flags;

	__asm__ volatile("pushfq\n\tpop %0" : "=r"(flags));
	return flags;
}

static void write_flags(uint64_t flags)
{
	__asm__ volatile("push %0\n\tpopfq" : : "r"(flags) : "memory", "cc");
}

static struct table_pointer read_idt(void)
{
	struct table_pointer t;

	__asm__ volatile("sidt %0" : "=m"(t));
	return t;
}

static struct table_pointer read_gdt(void)
{
	struct table_pointer t;

	__asm__ volatile("sgdt %0" : "=m"(t));
	return t;
}

static void set_msrs(uint64_t value)
{
	for (unsigned i = 0; i < MSRS; i++)
		wrmsr(msrs[i], value);
}

static void check_msrs(uint64_t value)
{
	for (unsigned i = 0; i < MSRS; i++)
		CHECK_EQUAL(rdmsr(msrs[i]), value);
}

/* --- VTL1: as its initial context and itself made it, whatever VTL0 has --- */

void vtl_on_start(void)
{
	set_msrs(VTL1_VALUE);
	wrmsr(MSR_PAT, 0x0606060606060606);
}

void vtl_on_call(struct vtl_frame *f)
{
	(void)f;
	check_msrs(VTL1_VALUE);
	CHECK_EQUAL(rdmsr(MSR_PAT), 0x0606060606060606);
	CHECK(!(read_cr0() & CR0_AM));
	CHECK(!(read_cr4() & CR4_TSD));
	CHECK(!(rdmsr(MSR_EFER) & EFER_SCE));
	CHECK(!(read_flags() & RFLAGS_AC));
	CHECK_EQUAL(read_cr3(), (uint64_t)guest_page_tables);
	CHECK_EQUAL(read_idt().limit, 0xfff);
	CHECK(read_gdt().limit != GDT_LIMIT - 8);
}

/* --- VTL0 --- */

static void change_everything(void)
{
	struct table_pointer idt = read_idt(), gdt = read_gdt();

	idt.limit = IDT_LIMIT;
	gdt.limit = GDT_LIMIT - 8;
	__asm__ volatile("lidt %0\n\tlgdt %1" : : "m"(idt), "m"(gdt));
	memcpy(other_page_table, guest_page_tables, PAGE_SIZE);
	write_cr3((uint64_t)other_page_table);
	write_cr0(read_cr0() | CR0_AM);
	write_cr4(read_cr4() | CR4_TSD);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
	write_flags(read_flags() | RFLAGS_AC);
	set_msrs(VTL0_VALUE);
}

static void check_everything(void)
{
	check_msrs(VTL0_VALUE);
	CHECK_EQUAL(rdmsr(MSR_PAT), 0x0007040600070406);
	CHECK(read_cr0() & CR0_AM);
	CHECK(read_cr4() & CR4_TSD);
	CHECK(rdmsr(MSR_EFER) & EFER_SCE);
	CHECK(read_flags() & RFLAGS_AC);
	CHECK_EQUAL(read_cr3(), (uint64_t)other_page_table);
	CHECK_EQUAL(read_idt().limit, IDT_LIMIT);
	CHECK_EQUAL(read_gdt().limit, GDT_LIMIT - 8);
}

int guest_main(void)
{
	struct vtl_frame f = {0};

	vtl_begin(&vtl_own_image);
	change_everything();
	for (int round = 0; round < 3; round++) {
		f.rcx = 0;
		vtl_call(&f);
		check_everything();
	}
	return 0;
}
