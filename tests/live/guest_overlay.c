/* SPDX-License-Identifier: MIT */
/*
 * Overlay pages that VTL0 may not write, or not touch at all: stored to, walked through as page
 * tables, and with descriptors in them. Over RAM, and where nothing is beneath. What no VTL may do
 * to such a page is #GP; what VTL1 forbids VTL1 is told.
 */
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "trap.h"
#include "vtl.h"

#define WINDOW	   (UINT64_C(1) << 32) /* linear address of what the tables below map */
#define HOLE	   UINT64_C(0xc0000000)
#define ENTRY	   0x63 /* present, writable, accessed, dirty */
#define ACCESSED   0x20
#define OFFSET	   0x100
#define IN_PAGE(n) (PAGE_SIZE + 8 * (n)) /* selector of the n-th descriptor in the second page */

static uint8_t covered[PAGE_SIZE] PAGE_ALIGNED, data[PAGE_SIZE] PAGE_ALIGNED;
static uint8_t gdt_page[PAGE_SIZE] PAGE_ALIGNED, copied[PAGE_SIZE] PAGE_ALIGNED;
static uint64_t table[512] PAGE_ALIGNED, directory[512] PAGE_ALIGNED;

/* Each function's first instruction makes the access. */
void overlay_load(void *), overlay_es(void *);
void overlay_mov(void *), overlay_add(void *), overlay_xchg(void *), overlay_sse(void *);
void overlay_stos(void *);

__asm__(".text\n"
	"overlay_load:	mov (%rdi), %eax; ret\n"
	"overlay_es:	mov %edi, %es; ret\n"
	"overlay_mov:	movb $1, (%rdi); ret\n"
	"overlay_add:	addq $1, (%rdi); ret\n"
	"overlay_xchg:	xchg %rax, (%rdi); ret\n"
	"overlay_sse:	movups %xmm0, (%rdi); ret\n"
	"overlay_stos:	stosq; ret\n");

static void (*const stores[])(void *) = {overlay_mov, overlay_add, overlay_xchg, overlay_sse,
					 overlay_stos};

#define STORES (sizeof(stores) / sizeof(stores[0]))

/* --- VTL1 --- */

enum {
	PLACE,	 /* VTL1's reference TSC page, which VTL0 sees: RBX is the MSR's value */
	PROTECT, /* RBX is the mask of `covered` */
};

static volatile unsigned told;
static struct hv_intercept seen;

void vtl_on_start(void)
{
	hv_protections_on();
}

static void protect(uint32_t mask)
{
	CHECK_EQUAL(HV_STATUS(hv_protect(covered, 1, mask)), HV_SUCCESS);
}

void vtl_on_call(struct vtl_frame *f)
{
	if (f->rdx == PLACE)
		wrmsr(HV_MSR_REFERENCE_TSC, f->rbx);
	else
		protect((uint32_t)f->rbx);
}

/* Told once, and then it may. */
void vtl_on_intercept(const struct hv_intercept *m)
{
	told++;
	seen = *m;
	protect(HV_RWX);
}

/* --- VTL0 --- */

static void ask(uint64_t what, uint64_t value)
{
	struct vtl_frame f = {.rdx = what, .rbx = value};

	vtl_call(&f);
}

static void expect_trap(void (*fn)(void *), uint64_t arg, int vector, uint64_t error_code)
{
	struct trap trap;

	CHECK_EQUAL(trap_try(fn, (void *)arg, &trap), vector);
	CHECK_EQUAL(trap.rip, (uint64_t)fn);
	CHECK_EQUAL(trap.error_code, error_code);
}

/* VTL1 was told of one access, by the first instruction of fn. */
static void expect_told(enum hv_access access, uint64_t gpa, void (*fn)(void *))
{
	CHECK_EQUAL(told, 1);
	CHECK_EQUAL(seen.access, access);
	CHECK_EQUAL(seen.gpa, gpa);
	CHECK_EQUAL(seen.rip, (uint64_t)fn);
	told = 0;
}

static void map(unsigned page, uint64_t gpa)
{
	table[page] = gpa | ENTRY;
	directory[0] = (uint64_t)table | ENTRY;
	write_cr3(read_cr3());
}

static void stores_are_refused(uint64_t page)
{
	memcpy(copied, (const void *)page, PAGE_SIZE);
	for (unsigned i = 0; i < STORES; i++)
		expect_trap(stores[i], page + OFFSET, TRAP_GP, 0);
	CHECK(memcmp((const void *)page, copied, PAGE_SIZE) == 0);
}

/*
 * Through the page as a page table. An entry that is not present is a page fault like any; one that
 * has yet to be marked as accessed cannot be. A KVM that walks the tables itself makes a page fault
 * of that, too.
 */
static void walk_through(uint64_t page)
{
	const uint64_t *entries = (const uint64_t *)page;
	uint64_t entry = *(volatile const uint64_t *)page;
	bool marks = (entry & 1) && !(entry & ACCESSED) && guest_has_option("walks");

	CHECK(!(entries[511] & 1));
	directory[0] = page | ENTRY;
	write_cr3(read_cr3());
	expect_trap(overlay_load, WINDOW + 511 * PAGE_SIZE, TRAP_PF, 0);
	expect_trap(overlay_mov, WINDOW + 511 * PAGE_SIZE, TRAP_PF, 2);
	CHECK(entry & 1);
	expect_trap(overlay_load, WINDOW, marks ? TRAP_GP : TRAP_PF, 0);
	CHECK_EQUAL(*(volatile const uint64_t *)page, entry);
}

/* A GDT of two pages, the second of which is the page. */
static void load_gdt(uint64_t page)
{
	struct table_pointer gdt;

	__asm__ volatile("sgdt %0" : "=m"(gdt));
	if (gdt.base != WINDOW)
		memcpy(gdt_page, (const void *)gdt.base, gdt.limit + 1u);
	gdt.base = WINDOW;
	gdt.limit = 2 * PAGE_SIZE - 1;
	map(0, (uint64_t)gdt_page);
	map(1, page);
	__asm__ volatile("lgdt %0" : : "m"(gdt));
}

/* What is there is no data segment: its selector is the error code. */
static void load_descriptors(uint64_t page)
{
	struct table_pointer old;

	__asm__ volatile("sgdt %0" : "=m"(old));
	load_gdt(page);
	expect_trap(overlay_es, IN_PAGE(0), TRAP_GP, IN_PAGE(0));
	expect_trap(overlay_es, IN_PAGE(100), TRAP_GP, IN_PAGE(100));
	__asm__ volatile("lgdt %0" : : "m"(old));
}

static void try_page(uint32_t msr, uint64_t page)
{
	uint64_t before = rdmsr(msr);

	wrmsr(msr, page | HV_ENABLE);
	stores_are_refused(page);
	load_descriptors(page);
	if (msr == HV_MSR_REFERENCE_TSC)
		walk_through(page);
	wrmsr(msr, before);
	CHECK_EQUAL(told, 0);
}

/* --- a page that may not be touched --- */

static void closed_to(uint32_t mask)
{
	ask(PROTECT, mask);
	told = 0;
}

static void closed_page_is_told(void)
{
	const uint64_t page = (uint64_t)covered;
	struct table_pointer old;

	ask(PLACE, page | HV_ENABLE);
	closed_to(HV_NO_ACCESS);
	CHECK_EQUAL(trap_try(overlay_load, covered, NULL), -1);
	expect_told(HV_ACCESS_READ, page, overlay_load);
	for (unsigned i = 0; i < STORES; i++) {
		closed_to(HV_NO_ACCESS);
		expect_trap(stores[i], page + OFFSET, TRAP_GP, 0);
		CHECK_EQUAL(told, 1);
		CHECK_EQUAL(seen.gpa, page + OFFSET);
	}
	__asm__ volatile("sgdt %0" : "=m"(old));
	load_gdt(page);
	closed_to(HV_NO_ACCESS);
	expect_trap(overlay_es, IN_PAGE(5), TRAP_GP, IN_PAGE(5));
	expect_told(HV_ACCESS_READ, page + 5 * 8, overlay_es);
	__asm__ volatile("lgdt %0" : : "m"(old));
	directory[0] = page | ENTRY;
	closed_to(HV_NO_ACCESS);
	write_cr3(read_cr3());
	expect_trap(overlay_load, WINDOW + 511 * PAGE_SIZE, TRAP_PF, 0);
	if (guest_has_option("walks"))
		expect_told(HV_ACCESS_READ, page + 511 * 8, overlay_load);
	closed_to(HV_RWX);
	ask(PLACE, 0);
}

/* The same entries in RAM that VTL0 may only read. */
static void read_only_table(void)
{
	memset(covered, 0, sizeof(covered));
	directory[0] = (uint64_t)covered | ENTRY;
	closed_to(HV_R | HV_X);
	write_cr3(read_cr3());
	expect_trap(overlay_load, WINDOW, TRAP_PF, 0);
	expect_trap(overlay_mov, WINDOW, TRAP_PF, 2);
	CHECK_EQUAL(told, 0);
	closed_to(HV_RWX);
}

static void map_window(void)
{
	uint64_t *level3 = (uint64_t *)(guest_page_tables[0] & ~UINT64_C(0xfff));

	level3[WINDOW >> 30] = (uint64_t)directory | ENTRY;
	map(0, (uint64_t)data);
}

int guest_main(void)
{
	static const uint32_t msrs[] = {HV_MSR_HYPERCALL, HV_MSR_REFERENCE_TSC};
	uint64_t pages[] = {(uint64_t)covered, HOLE};

	vtl_begin(&vtl_own_image);
	map_window();
	for (unsigned msr = 0; msr < 2; msr++)
		for (unsigned i = 0; i < 2; i++)
			try_page(msrs[msr], pages[i]);
	closed_page_is_told();
	read_only_table();
	return 0;
}
