/* SPDX-License-Identifier: MIT */
/*
 * An interrupt whose delivery needs a page VTL1 has closed: the IDT, the GDT or the stack. VTL1 is
 * told until it opens the page; the interrupt is then delivered, once. Where a page may be used but
 * not run, nobody is told.
 */
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "trap.h"
#include "vtl.h"
#include "x2apic.h"

#define VECTOR	 0x51
#define TOLD	 3 /* messages until VTL1 opens the page */
#define PATIENCE 100000000
#define FRAME	 40

static uint8_t idt_page[PAGE_SIZE] PAGE_ALIGNED, gdt_page[PAGE_SIZE] PAGE_ALIGNED;
static uint8_t stack_page[PAGE_SIZE] PAGE_ALIGNED;

static const struct row {
	const char *name;
	uint8_t *page;
	enum hv_access access;
	unsigned first, size; /* what of the page the delivery needs */
} rows[] = {
	{"IDT", idt_page, HV_ACCESS_READ, VECTOR * 16, 16},
	{"GDT", gdt_page, HV_ACCESS_READ, 8, 8},
	{"stack", stack_page, HV_ACCESS_WRITE, PAGE_SIZE - FRAME, FRAME},
};

static const struct row *volatile row;
static volatile unsigned told;
volatile uint64_t delivery_count, delivery_stack;
extern const uint8_t delivery_begin[], delivery_end[];
/* One interrupt to itself with the stack in stack_page, which nothing else touches meanwhile. */
void delivery_try(uint64_t stack, uint64_t loops);

__asm__(".text\n"
	"delivery_try:\n"
	"	mov %rsp, delivery_stack(%rip)\n"
	"	mov %rdi, %rsp\n"
	"	mov $0x83f, %ecx\n"
	"	mov $0x51, %eax\n"
	"	xor %edx, %edx\n"
	"	wrmsr\n"
	"	sti\n"
	"delivery_begin:\n"
	"	nop\n"
	"1:	pause\n"
	"	dec %rsi\n"
	"	jz 2f\n"
	"	cmpq $0, delivery_count(%rip)\n"
	"	je 1b\n"
	"delivery_end:\n"
	"2:	cli\n"
	"	mov delivery_stack(%rip), %rsp\n"
	"	ret\n");

/* --- VTL1 --- */

void vtl_on_start(void)
{
	hv_protections_on();
}

/* RDX: the mask of the row's page */
void vtl_on_call(struct vtl_frame *f)
{
	CHECK_EQUAL(HV_STATUS(hv_protect(row->page, 1, (uint32_t)f->rdx)), HV_SUCCESS);
}

void vtl_on_intercept(const struct hv_intercept *m)
{
	uint64_t first = (uint64_t)row->page + row->first;

	CHECK_EQUAL(m->access, row->access);
	CHECK(m->execution_state & HV_EXECUTION_PENDING);
	CHECK(m->gpa >= first && m->gpa < first + row->size);
	CHECK(m->rip >= (uint64_t)delivery_begin && m->rip <= (uint64_t)delivery_end);
	CHECK_EQUAL(delivery_count, 0);
	if (++told == TOLD)
		CHECK_EQUAL(HV_STATUS(hv_protect(row->page, 1, HV_RWX)), HV_SUCCESS);
}

/* --- VTL0 --- */

static void on_interrupt(struct trap_frame *f)
{
	CHECK(f->rip >= (uint64_t)delivery_begin && f->rip <= (uint64_t)delivery_end);
	CHECK_EQUAL(f->rsp, (uint64_t)stack_page + PAGE_SIZE);
	delivery_count++;
	x2apic_eoi();
}

static void set_mask(uint32_t mask)
{
	struct vtl_frame f = {.rdx = mask};

	vtl_call(&f);
}

static void move_tables(void)
{
	struct table_pointer idt, gdt;

	__asm__ volatile("sidt %0\n\tsgdt %1" : "=m"(idt), "=m"(gdt));
	memcpy(idt_page, (const void *)idt.base, sizeof(idt_page));
	memcpy(gdt_page, (const void *)gdt.base, gdt.limit + 1u);
	idt.base = (uint64_t)idt_page;
	gdt.base = (uint64_t)gdt_page;
	__asm__ volatile("lidt %0\n\tlgdt %1" : : "m"(idt), "m"(gdt));
}

static void try_mask(uint32_t mask, unsigned expected)
{
	told = 0;
	delivery_count = 0;
	set_mask(mask);
	delivery_try((uint64_t)stack_page + PAGE_SIZE, PATIENCE);
	set_mask(HV_RWX);
	if (delivery_count != 1 || told != expected)
		print("%s, mask %u\n", row->name, mask);
	CHECK_EQUAL(delivery_count, 1);
	CHECK_EQUAL(told, expected);
}

int guest_main(void)
{
	vtl_begin(&vtl_own_image);
	move_tables();
	trap_handle(VECTOR, on_interrupt);
	x2apic_enable();
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		row = &rows[i];
		try_mask(HV_RWX, 0);
		try_mask(HV_NO_ACCESS, TOLD);
		if (row->access == HV_ACCESS_WRITE)
			try_mask(HV_R | HV_X, TOLD);
		/* The handler's IRETQ reads the GDT, too: #GP on a KVM that emulates it. */
		if (row->page != gdt_page)
			try_mask(HV_R | HV_W, 0);
	}
	return 0;
}
