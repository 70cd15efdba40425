/* SPDX-License-Identifier: MIT */
/* IDT, TSS, and what happens to an exception. */
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "trap.h"

#define CODE_SELECTOR 0x08
#define TSS_SELECTOR  0x28

struct gate {
	uint16_t offset0;
	uint16_t selector;
	uint16_t attributes;
	uint16_t offset16;
	uint32_t offset32;
	uint32_t reserved;
};

/* The I/O map base is 0, so zeros of the segment itself are the map: CPL3 may use the ports below. */
struct tss {
	uint32_t reserved;
	uint64_t rsp0;
	uint8_t rest[92];
} __attribute__((packed));

struct trap_context {
	struct trap_context *previous;
	struct trap *trap;
};

struct trap_context *trap_context;
void trap_dispatch(struct trap_frame *frame);
void trap_unwind(int vector) __attribute__((noreturn));

extern char trap_entries[256][16], trap_halt_hlt[];
extern char trap_stack_top[];
extern uint64_t guest_gdt[], guest_gdt_end[];

/* A page of its own: libvsm shuts it while it steps an access to a closed page. */
static struct gate idt[256] PAGE_ALIGNED;
static struct tss tss;
static trap_handler handlers[256];

static void set_gate(unsigned vector)
{
	uint64_t entry = (uint64_t)trap_entries[vector];

	idt[vector] = (struct gate){
		.offset0 = (uint16_t)entry,
		.selector = CODE_SELECTOR,
		.attributes = 0x8e00, /* present, DPL 0, interrupt gate */
		.offset16 = (uint16_t)(entry >> 16),
		.offset32 = (uint32_t)(entry >> 32),
	};
}

static void load_tss(void)
{
	uint64_t base = (uint64_t)&tss;
	uint64_t *descriptor = &guest_gdt[TSS_SELECTOR / 8];

	tss.rsp0 = (uint64_t)trap_stack_top;
	descriptor[0] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | UINT64_C(0x89) << 40 |
			(base >> 24 & 0xff) << 56;
	descriptor[1] = base >> 32;
	__asm__ volatile("ltr %w0" : : "r"(TSS_SELECTOR));
}

void trap_setup(void)
{
	struct table_pointer gdtr = {(uint16_t)((char *)guest_gdt_end - (char *)guest_gdt - 1),
				     (uint64_t)guest_gdt};
	struct table_pointer idtr = {sizeof(idt) - 1, (uint64_t)idt};

	for (unsigned v = 0; v < 256; v++)
		set_gate(v);
	__asm__ volatile("lgdt %0\n\tlidt %1" : : "m"(gdtr), "m"(idtr));
	load_tss();
}

void trap_handle(uint8_t vector, trap_handler handler)
{
	handlers[vector] = handler;
}

static void die(const struct trap_frame *f)
{
	print("unexpected exception %lu, error code %#lx, at RIP %#lx, CR2 %#lx\n", f->vector,
	      f->error_code, f->rip, read_cr2());
	guest_exit(GUEST_EXIT_TRAP);
}

/*
 * No interrupt comes between STI and HLT on a processor. Some emulators forget that when the VP
 * leaves the guest there (QEMU's SVM: tests/stock/README.md), and the HLT would then wait for the
 * next interrupt, which may never come.
 */
static void end_halt(struct trap_frame *f)
{
	if (f->rip == (uint64_t)trap_halt_hlt)
		f->rip++;
}

void trap_dispatch(struct trap_frame *f)
{
	struct trap *t;

	if (handlers[f->vector]) {
		end_halt(f);
		handlers[f->vector](f);
		return;
	}
	if (f->vector >= 32 || !trap_context)
		die(f);
	t = trap_context->trap;
	if (t)
		*t = (struct trap){f->rip, f->error_code, f->cs, f->rflags};
	trap_unwind((int)f->vector);
}
