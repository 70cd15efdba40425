/* SPDX-License-Identifier: MIT */
/*
 * What KVM itself makes impossible where memslots are taken away or read-only: each fact that
 * docs/intercepts.md rests on, shown by one instruction. usage: slots_limits GROUP
 *
 * 0: all facts of the group hold; 1: one does not, and the document is to be corrected; 77: no KVM.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/version.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>

#include "long_mode.h"

#define SP_OFFSET   0x800 /* in the stack's page */
#define FAR_OFFSET  0x100 /* not that of the table's entry */
#define PORT_THERE  0xfd  /* the code at GUEST_FAR + FAR_OFFSET */
#define VALUE	    UINT64_C(0x8877665544332211)
#define COUNT	    2000
#define INS_BYTES   1024
#define INS_PORT    0x42
#define FLAG_RESUME 0x10000u
#define VECTOR_UD   6
#define VECTOR_PF   14

/* EXITINFO2 and EXITINTINFO, as KVM shows them when it failed to emulate
 * (prepare_emulation_failure_exit(), svm_get_exit_info()). */
#define WORD_ADDRESS 5
#define WORD_EVENT   6
#define EVENT_VALID  0x80000000u

enum ending {
	ENDS_PORT,
	ENDS_READ,
	ENDS_WRITE,
	ENDS_INTERNAL,
	ENDS_STAYS,
	ENDS_FAULT
};
enum where {
	ANYWHERE,
	AT,
	PAST
};
enum event {
	NO_EVENT,
	INTERRUPT,
	NMI
};

struct fact {
	const char *name, *says;
	enum guest_part part;
	enum guest_closing closing;
	uint8_t size, code[16];
	uint64_t at; /* RBX and RDI */
	enum event event;
	uint64_t entry; /* bits of GUEST_FAR's; 0: as used */
	bool avx;
	enum ending ends;
	uint64_t what; /* port or GPA; ENDS_STAYS, ENDS_FAULT: the port when the page is back */
	enum where rip;
	unsigned until; /* kernels from here on get to the end instead */
	bool (*also)(const struct guest *g, const struct outcome *o);
};

#define CODE(...) .size = sizeof((uint8_t[]){__VA_ARGS__}), .code = {__VA_ARGS__}

#define LOAD	  CODE(0x48, 0x8b, 0x03)	     /* mov (%rbx), %rax */
#define STORE	  CODE(0x48, 0x89, 0x03)	     /* mov %rax, (%rbx) */
#define JUMP	  CODE(0xff, 0xe3)		     /* jmp *%rbx */
#define PUSH	  CODE(0x50)			     /* push %rax */
#define ADD	  CODE(0x48, 0x01, 0x03)	     /* add %rax, (%rbx) */
#define CMPXCHG	  CODE(0x48, 0x0f, 0xb1, 0x13)	     /* cmpxchg %rdx, (%rbx) */
#define CMPXCHG8B CODE(0x0f, 0xc7, 0x0b)	     /* cmpxchg8b (%rbx) */
#define XADD	  CODE(0x0f, 0xc1, 0x03)	     /* xadd %eax, (%rbx) */
#define AVX_LOAD  CODE(0xc5, 0xfe, 0x6f, 0x03)	     /* vmovdqu (%rbx), %ymm0 */
#define AVX_STORE CODE(0xc5, 0xfe, 0x7f, 0x03)	     /* vmovdqu %ymm0, (%rbx) */
#define REP_INS	  CODE(0xf3, 0x6c)		     /* rep insb */
#define UD2	  CODE(0x0f, 0x0b)		     /* ud2 */
#define INT_80	  CODE(0xcd, 0x80)		     /* int $0x80 */
#define SPIN	  CODE(0x48, 0xff, 0xc1, 0xeb, 0xfb) /* 1: inc %rcx; jmp 1b */
#define MOV_DS	  CODE(0x8e, 0xdb)		     /* mov %ebx, %ds */
#define FAR_RET	  CODE(0x48, 0xcb)		     /* lretq */
#define IRET	  CODE(0x48, 0xcf)		     /* iretq */
/* movabs GUEST_CLOSED, %rax; mov (%rbx), %rax */
#define LOAD_BOTH CODE(0x48, 0xa1, 0, 0, 1, 0, 0, 0, 0, 0, 0x48, 0x8b, 0x03)

/* --- what else holds at the exit --- */

static uint64_t far_data(const struct guest *g)
{
	return *guest_words(g, GUEST_DATA + FAR_OFFSET);
}

/* The handler of #PF has this error code on its stack; the address is GUEST_FAR's. */
static bool page_fault(const struct guest *g, const struct outcome *o, uint64_t code, uint64_t rip)
{
	const uint64_t *frame = guest_words(g, o->regs.rsp);

	return o->sregs.cr2 == GUEST_FAR + FAR_OFFSET && frame[0] == code && frame[1] == rip;
}

static bool fault_of_load(const struct guest *g, const struct outcome *o)
{
	return page_fault(g, o, 0, GUEST_CODE);
}

static bool fault_of_store(const struct guest *g, const struct outcome *o)
{
	return page_fault(g, o, 2, GUEST_CODE);
}

static bool fault_of_fetch(const struct guest *g, const struct outcome *o)
{
	return page_fault(g, o, 0x10, GUEST_FAR + FAR_OFFSET);
}

/* A processor would have set the bit, and KVM would have been asked nothing. */
static bool loaded_by_emulator(const struct guest *g, const struct outcome *o)
{
	return o->regs.rax == far_data(g) && o->emulated && !(*guest_entry(g) & ENTRY_ACCESSED);
}

static bool loaded_all_the_same(const struct guest *g, const struct outcome *o)
{
	return o->regs.rax == far_data(g) && o->emulated;
}

static bool stored_by_emulator(const struct guest *g, const struct outcome *o)
{
	return far_data(g) == VALUE && o->emulated && !(*guest_entry(g) & ENTRY_DIRTY);
}

static bool fetched_by_emulator(const struct guest *g, const struct outcome *o)
{
	return o->emulated && !(*guest_entry(g) & ENTRY_ACCESSED);
}

/* The entry itself, in the place of the memory that it maps. */
static bool loaded_entry(const struct guest *g, const struct outcome *o)
{
	return o->regs.rax == *guest_entry(g) && o->regs.rax != *guest_words(g, GUEST_DATA);
}

static bool shows_walk(const struct guest *g, const struct outcome *o)
{
	(void)o;
	return g->run->internal.ndata > WORD_ADDRESS &&
	       g->run->internal.data[WORD_ADDRESS] == GUEST_CLOSED;
}

static bool store_shown(const struct guest *g, const struct outcome *o)
{
	(void)o;
	return !memcmp(g->run->mmio.data, &(uint64_t){VALUE}, sizeof(uint64_t));
}

static bool moved_stack(const struct guest *g, const struct outcome *o)
{
	return store_shown(g, o) && o->regs.rsp == GUEST_CLOSED + SP_OFFSET - 8;
}

static bool new_flags(const struct guest *g, const struct outcome *o)
{
	(void)g;
	return o->regs.rflags != 0x202;
}

static bool rax_lost(const struct guest *g, const struct outcome *o)
{
	(void)g;
	return o->regs.rax == 0;
}

static bool rax_rdx_lost(const struct guest *g, const struct outcome *o)
{
	return rax_lost(g, o) && o->regs.rdx == 0;
}

static bool first_part_made(const struct guest *g, const struct outcome *o)
{
	(void)o;
	return *(const uint32_t *)(g->memory + GUEST_CLOSED - 4) == (uint32_t)VALUE;
}

static bool last_part_made(const struct guest *g, const struct outcome *o)
{
	(void)o;
	return *(const uint32_t *)(g->memory + GUEST_CLOSED + PAGE) == VALUE >> 32;
}

/* Of %ymm0, which is 0. */
static bool half_made(const struct guest *g, const struct outcome *o)
{
	(void)o;
	return !guest_words(g, GUEST_CLOSED)[-2] && !guest_words(g, GUEST_CLOSED)[-1];
}

static bool read_ahead(const struct guest *g, const struct outcome *o)
{
	(void)o;
	return g->run->io.direction == KVM_EXIT_IO_IN && g->run->io.count == INS_BYTES;
}

static bool shows_event(const struct guest *g, const struct outcome *o, unsigned vector)
{
	/* KVM's own #UD, for what it cannot emulate. */
	return o->events.exception.nr == VECTOR_UD && g->run->internal.ndata > WORD_EVENT &&
	       (g->run->internal.data[WORD_EVENT] & (EVENT_VALID | 0xff)) == (EVENT_VALID | vector);
}

static bool shows_undefined(const struct guest *g, const struct outcome *o)
{
	return shows_event(g, o, VECTOR_UD);
}

static bool shows_interrupt(const struct guest *g, const struct outcome *o)
{
	return shows_event(g, o, 0x80);
}

/* One instruction after the other, or always the same. */
static bool emulates_on(const struct guest *g, const struct outcome *o)
{
	(void)g;
	return o->emulated > 100;
}

static bool interrupt_waits(const struct guest *g, const struct outcome *o)
{
	return emulates_on(g, o) && o->regs.rcx > COUNT && o->events.interrupt.injected &&
	       o->events.interrupt.nr == GUEST_VECTOR;
}

static bool nmi_waits(const struct guest *g, const struct outcome *o)
{
	return emulates_on(g, o) && o->regs.rcx > COUNT && o->events.nmi.injected;
}

static struct kvm_regs registers_for(const struct guest *g, const struct fact *f)
{
	return (struct kvm_regs){
		.rip = guest_place(g, PART_CODE),
		.rflags = 0x202,
		.rsp = guest_place(g, PART_STACK) + SP_OFFSET,
		.rax = VALUE,
		.rbx = f->at,
		.rcx = COUNT,
		.rdx = UINT64_C(0x1234567800000000) | INS_PORT,
		.rdi = f->at,
	};
}

/* --- the facts --- */

/* Under the table, at another offset than its entry has. */
#define BEHIND (GUEST_FAR + FAR_OFFSET)

static const struct fact walk[] = {
	{"absent-load", "#PF in the guest, error code 0", PART_TABLE, CLOSED_ABSENT, LOAD,
	 .at = BEHIND, .what = VECTOR_PF, .also = fault_of_load},
	{"absent-store", "#PF in the guest, error code 2", PART_TABLE, CLOSED_ABSENT, STORE,
	 .at = BEHIND, .what = VECTOR_PF, .also = fault_of_store},
	{"absent-fetch", "#PF in the guest, error code 0x10", PART_TABLE, CLOSED_ABSENT, JUMP,
	 .at = BEHIND, .what = VECTOR_PF, .also = fault_of_fetch},
	{"absent-avx", "an internal error, which shows the walk", PART_TABLE, CLOSED_ABSENT,
	 AVX_LOAD, .avx = true, .at = BEHIND, .ends = ENDS_INTERNAL, .rip = AT, .also = shows_walk},
	{"read-only-load", "emulated, the accessed bit is left clear", PART_TABLE, CLOSED_READ_ONLY,
	 LOAD, .at = BEHIND, .entry = ENTRY_NEW, .what = GUEST_DONE, .also = loaded_by_emulator},
	{"read-only-store", "emulated, the dirty bit is left clear", PART_TABLE, CLOSED_READ_ONLY,
	 STORE, .at = BEHIND, .entry = ENTRY_NEW | ENTRY_ACCESSED, .what = GUEST_DONE,
	 .also = stored_by_emulator},
	{"read-only-fetch", "emulated, the accessed bit is left clear", PART_TABLE,
	 CLOSED_READ_ONLY, JUMP, .at = BEHIND, .entry = ENTRY_NEW, .what = PORT_THERE,
	 .also = fetched_by_emulator},
	{"read-only-used", "emulated, although the bits are set", PART_TABLE, CLOSED_READ_ONLY,
	 LOAD, .at = BEHIND, .what = GUEST_DONE, .also = loaded_all_the_same},
	{"read-only-avx", "an internal error, which shows the walk", PART_TABLE, CLOSED_READ_ONLY,
	 AVX_LOAD, .avx = true, .at = BEHIND, .ends = ENDS_INTERNAL, .rip = AT, .also = shows_walk},
	{"read-only-read", "before 6.12 tried for ever, once the table has been read", PART_TABLE,
	 CLOSED_READ_ONLY, LOAD_BOTH, .at = BEHIND, .ends = ENDS_STAYS, .what = GUEST_DONE,
	 .until = KERNEL_VERSION(6, 12, 0)},
	{"offset-absent-load", "an MMIO read of the table", PART_TABLE, CLOSED_ABSENT, LOAD,
	 .at = GUEST_FAR, .ends = ENDS_READ, .what = GUEST_CLOSED, .rip = AT},
	{"offset-absent-store", "an MMIO write to the table", PART_TABLE, CLOSED_ABSENT, STORE,
	 .at = GUEST_FAR, .ends = ENDS_WRITE, .what = GUEST_CLOSED, .rip = PAST,
	 .also = store_shown},
	{"offset-read-only-load", "loads the table's entry", PART_TABLE, CLOSED_READ_ONLY, LOAD,
	 .at = GUEST_FAR, .what = GUEST_DONE, .also = loaded_entry},
	{"offset-read-only-store", "an MMIO write to the table", PART_TABLE, CLOSED_READ_ONLY,
	 STORE, .at = GUEST_FAR, .ends = ENDS_WRITE, .what = GUEST_CLOSED, .rip = PAST,
	 .also = store_shown},
	{0},
};

static const struct fact store[] = {
	{"read-only", "RIP is behind the store", PART_DATA, CLOSED_READ_ONLY, STORE,
	 .at = GUEST_CLOSED, .ends = ENDS_WRITE, .what = GUEST_CLOSED, .rip = PAST,
	 .also = store_shown},
	{"absent", "RIP is behind the store", PART_DATA, CLOSED_ABSENT, STORE, .at = GUEST_CLOSED,
	 .ends = ENDS_WRITE, .what = GUEST_CLOSED, .rip = PAST, .also = store_shown},
	{"push", "RSP has moved", PART_STACK, CLOSED_READ_ONLY, PUSH, .ends = ENDS_WRITE,
	 .what = GUEST_CLOSED + SP_OFFSET - 8, .rip = PAST, .also = moved_stack},
	{"add", "the flags of before are gone", PART_DATA, CLOSED_READ_ONLY, ADD,
	 .at = GUEST_CLOSED, .ends = ENDS_WRITE, .what = GUEST_CLOSED, .rip = PAST,
	 .also = new_flags},
	{"cmpxchg", "RAX of before is gone", PART_DATA, CLOSED_READ_ONLY, CMPXCHG,
	 .at = GUEST_CLOSED, .ends = ENDS_WRITE, .what = GUEST_CLOSED, .rip = PAST,
	 .also = rax_lost},
	{"cmpxchg8b", "RAX and RDX of before are gone", PART_DATA, CLOSED_READ_ONLY, CMPXCHG8B,
	 .at = GUEST_CLOSED, .ends = ENDS_WRITE, .what = GUEST_CLOSED, .rip = PAST,
	 .also = rax_rdx_lost},
	{"xadd", "the register's upper half is gone", PART_DATA, CLOSED_READ_ONLY, XADD,
	 .at = GUEST_CLOSED, .ends = ENDS_WRITE, .what = GUEST_CLOSED, .rip = PAST,
	 .also = rax_lost},
	{"into", "the part in the open page before is made", PART_DATA, CLOSED_READ_ONLY, STORE,
	 .at = GUEST_CLOSED - 4, .ends = ENDS_WRITE, .what = GUEST_CLOSED, .rip = PAST,
	 .also = first_part_made},
	{"out-of", "the part in the open page behind is made", PART_DATA, CLOSED_READ_ONLY, STORE,
	 .at = GUEST_CLOSED + PAGE - 4, .ends = ENDS_WRITE, .what = GUEST_CLOSED + PAGE - 4,
	 .rip = PAST, .also = last_part_made},
	{"avx", "an internal error, RIP at the store", PART_DATA, CLOSED_READ_ONLY, AVX_STORE,
	 .avx = true, .at = GUEST_CLOSED, .ends = ENDS_INTERNAL, .rip = AT},
	{"avx-into", "this processor makes what is in the open page", PART_DATA, CLOSED_READ_ONLY,
	 AVX_STORE, .avx = true, .at = GUEST_CLOSED - 16, .ends = ENDS_INTERNAL, .rip = AT,
	 .also = half_made},
	{"ins", "the device is asked ahead", PART_DATA, CLOSED_READ_ONLY, REP_INS,
	 .at = GUEST_CLOSED, .what = INS_PORT, .rip = AT, .also = read_ahead},
	{0},
};

#define GIVEN_UP "an internal error that shows the event KVM gave up"
#define AGAIN	 "the exception comes again and again inside KVM_RUN"
#define WAITS	 "the interrupt waits, KVM emulates one instruction after the other"

static const struct fact delivery[] = {
	{"undefined-idt", GIVEN_UP, PART_IDT, CLOSED_ABSENT, UD2, .ends = ENDS_INTERNAL, .rip = AT,
	 .also = shows_undefined},
	{"undefined-gdt", GIVEN_UP, PART_GDT, CLOSED_ABSENT, UD2, .ends = ENDS_INTERNAL, .rip = AT,
	 .also = shows_undefined},
	{"undefined-stack", GIVEN_UP, PART_STACK, CLOSED_ABSENT, UD2, .ends = ENDS_INTERNAL,
	 .rip = AT, .also = shows_undefined},
	{"undefined-read-only", GIVEN_UP, PART_STACK, CLOSED_READ_ONLY, UD2, .ends = ENDS_INTERNAL,
	 .rip = AT, .also = shows_undefined},
	{"int-idt", GIVEN_UP, PART_IDT, CLOSED_ABSENT, INT_80, .ends = ENDS_INTERNAL, .rip = AT,
	 .also = shows_interrupt},
	{"int-stack", GIVEN_UP, PART_STACK, CLOSED_READ_ONLY, INT_80, .ends = ENDS_INTERNAL,
	 .rip = AT, .also = shows_interrupt},
	{"fault-idt", AGAIN, PART_IDT, CLOSED_ABSENT, LOAD, .at = GUEST_FAR + PAGE,
	 .ends = ENDS_STAYS, .what = VECTOR_PF, .rip = AT, .also = emulates_on},
	{"fault-stack", AGAIN, PART_STACK, CLOSED_READ_ONLY, LOAD, .at = GUEST_FAR + PAGE,
	 .ends = ENDS_STAYS, .what = VECTOR_PF, .rip = AT, .also = emulates_on},
	{"interrupt-idt", WAITS, PART_IDT, CLOSED_ABSENT, SPIN, .event = INTERRUPT,
	 .ends = ENDS_STAYS, .what = GUEST_VECTOR, .also = interrupt_waits},
	{"interrupt-gdt", WAITS, PART_GDT, CLOSED_ABSENT, SPIN, .event = INTERRUPT,
	 .ends = ENDS_STAYS, .what = GUEST_VECTOR, .also = interrupt_waits},
	{"interrupt-stack", WAITS, PART_STACK, CLOSED_READ_ONLY, SPIN, .event = INTERRUPT,
	 .ends = ENDS_STAYS, .what = GUEST_VECTOR, .also = interrupt_waits},
	{"nmi-idt", WAITS, PART_IDT, CLOSED_ABSENT, SPIN, .event = NMI, .ends = ENDS_STAYS,
	 .what = 2, .also = nmi_waits},
	{0},
};

#define FOR_EVER "tried for ever inside KVM_RUN"

static const struct fact descriptor[] = {
	{"mov-absent", FOR_EVER, PART_GDT, CLOSED_ABSENT, MOV_DS, .at = SELECTOR_DATA,
	 .ends = ENDS_STAYS, .what = GUEST_DONE, .rip = AT, .also = emulates_on},
	{"mov-accessed", FOR_EVER, PART_GDT, CLOSED_READ_ONLY, MOV_DS, .at = SELECTOR_FRESH_DATA,
	 .ends = ENDS_STAYS, .what = GUEST_DONE, .rip = AT, .also = emulates_on},
	{"far-return", FOR_EVER, PART_GDT, CLOSED_ABSENT, FAR_RET, .ends = ENDS_STAYS,
	 .what = GUEST_DONE, .rip = AT, .also = emulates_on},
	{"iret", "an internal error: KVM's emulator has no IRET", PART_GDT, CLOSED_ABSENT, IRET,
	 .ends = ENDS_INTERNAL, .rip = AT},
	{0},
};

#define RESTARTS "EFAULT with the state of before, and it starts over"

/* The same pages in a slot whose memory the process itself may not use: what both enforcements rest on. */
static const struct fact mapping[] = {
	{"load", RESTARTS, PART_DATA, CLOSED_NONE, LOAD, .at = GUEST_CLOSED, .ends = ENDS_FAULT,
	 .what = GUEST_DONE},
	{"store", RESTARTS, PART_DATA, CLOSED_READ, STORE, .at = GUEST_CLOSED, .ends = ENDS_FAULT,
	 .what = GUEST_DONE},
	{"add", RESTARTS, PART_DATA, CLOSED_READ, ADD, .at = GUEST_CLOSED, .ends = ENDS_FAULT,
	 .what = GUEST_DONE},
	{"avx", RESTARTS, PART_DATA, CLOSED_READ, AVX_STORE, .avx = true, .at = GUEST_CLOSED,
	 .ends = ENDS_FAULT, .what = GUEST_DONE},
	{"walk-none", RESTARTS, PART_TABLE, CLOSED_NONE, LOAD, .at = BEHIND, .ends = ENDS_FAULT,
	 .what = GUEST_DONE},
	{"walk-read", RESTARTS, PART_TABLE, CLOSED_READ, LOAD, .at = BEHIND, .entry = ENTRY_NEW,
	 .ends = ENDS_FAULT, .what = GUEST_DONE},
	{"undefined-idt", RESTARTS, PART_IDT, CLOSED_NONE, UD2, .ends = ENDS_FAULT,
	 .what = VECTOR_UD},
	{"fault-idt", RESTARTS, PART_IDT, CLOSED_NONE, LOAD, .at = GUEST_FAR + PAGE,
	 .ends = ENDS_FAULT, .what = VECTOR_PF},
	{"int-stack", RESTARTS, PART_STACK, CLOSED_READ, INT_80, .ends = ENDS_FAULT, .what = 0x80},
	{"interrupt-idt", RESTARTS, PART_IDT, CLOSED_NONE, SPIN, .event = INTERRUPT,
	 .ends = ENDS_FAULT, .what = GUEST_VECTOR},
	{"mov", RESTARTS, PART_GDT, CLOSED_NONE, MOV_DS, .at = SELECTOR_DATA, .ends = ENDS_FAULT,
	 .what = GUEST_DONE},
	{"mov-accessed", RESTARTS, PART_GDT, CLOSED_READ, MOV_DS, .at = SELECTOR_FRESH_DATA,
	 .ends = ENDS_FAULT, .what = GUEST_DONE},
	{"iret", RESTARTS, PART_GDT, CLOSED_NONE, IRET, .ends = ENDS_FAULT, .what = GUEST_DONE},
	{0},
};

static const struct {
	const char *name;
	const struct fact *facts;
} groups[] = {
	{"walk", walk},	      {"store", store}, {"delivery", delivery}, {"descriptor", descriptor},
	{"mapping", mapping},
};

/* --- trying one --- */

/* The instruction, what comes behind it, and what far returns and IRET take from the stack. */
static void write_code(const struct guest *g, const struct fact *f)
{
	uint64_t code = guest_place(g, PART_CODE), sp = guest_place(g, PART_STACK) + SP_OFFSET;
	const uint64_t frame[] = {code + f->size, SELECTOR_CODE, 0x202, sp, SELECTOR_DATA};
	const uint8_t done[] = {0xe6, GUEST_DONE}, there[] = {0xe6, PORT_THERE};

	memcpy(g->memory + code, f->code, f->size);
	memcpy(g->memory + code + f->size, done, sizeof(done));
	memcpy(g->memory + GUEST_DATA + FAR_OFFSET, there, sizeof(there));
	memcpy(guest_words(g, sp), frame, sizeof(frame));
	memset(guest_words(g, GUEST_CLOSED) - 2, 0xff, 16);
	if (f->entry)
		*guest_entry(g) = GUEST_DATA | f->entry;
}

static bool queue(const struct guest *g, enum event event)
{
	const struct kvm_interrupt interrupt = {.irq = GUEST_VECTOR};

	if (event == INTERRUPT)
		return ioctl(g->vcpu, KVM_INTERRUPT, &interrupt) == 0;
	return event == NO_EVENT || ioctl(g->vcpu, KVM_NMI) == 0;
}

static bool stopped_at(const struct guest *g, const struct outcome *o, uint64_t port)
{
	return !o->error && g->run->exit_reason == KVM_EXIT_IO && g->run->io.port == port;
}

static bool accessed(const struct guest *g, const struct outcome *o, bool write, uint64_t gpa)
{
	return !o->error && g->run->exit_reason == KVM_EXIT_MMIO &&
	       g->run->mmio.is_write == write && g->run->mmio.phys_addr == gpa;
}

static bool emulation_failed(const struct guest *g, const struct outcome *o)
{
	return !o->error && g->run->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
	       g->run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION;
}

static bool state_of_before(const struct guest *g, const struct fact *f, const struct outcome *o)
{
	struct kvm_regs before = registers_for(g, f), now = o->regs;

	now.rflags &= ~(uint64_t)FLAG_RESUME;
	return !memcmp(&before, &now, sizeof(now));
}

static unsigned kernel_version(void)
{
	unsigned major = 0, minor = 0;
	struct utsname name;

	if (uname(&name) == 0)
		sscanf(name.release, "%u.%u", &major, &minor);
	return KERNEL_VERSION(major, minor, 0);
}

static bool ends_so(const struct guest *g, const struct fact *f, const struct outcome *o)
{
	enum ending ends = f->until && kernel_version() >= f->until ? ENDS_PORT : f->ends;

	switch (ends) {
	case ENDS_PORT:
		return stopped_at(g, o, f->what);
	case ENDS_READ:
	case ENDS_WRITE:
		return accessed(g, o, ends == ENDS_WRITE, f->what);
	case ENDS_INTERNAL:
		return emulation_failed(g, o);
	case ENDS_STAYS:
		return o->error == EINTR;
	case ENDS_FAULT:
		return o->error == EFAULT && state_of_before(g, f, o);
	}
	return false;
}

static bool rip_fits(const struct guest *g, const struct fact *f, const struct outcome *o)
{
	uint64_t at = guest_place(g, PART_CODE);

	return f->rip == ANYWHERE || o->regs.rip == at + (f->rip == PAST ? f->size : 0);
}

static bool holds(const struct guest *g, const struct fact *f, const struct outcome *o)
{
	return ends_so(g, f, o) && rip_fits(g, f, o) && (!f->also || f->also(g, o));
}

/* What did not come out by itself goes on when the page is back. */
static bool goes_on(struct guest *g, const struct fact *f)
{
	struct outcome o;

	if (!guest_show_all(g) || !guest_run(g, &o))
		return false;
	if (stopped_at(g, &o, f->what))
		return true;
	printf("# with the page back: ");
	guest_print(g, &o);
	return false;
}

static int try_guest(struct guest *g, const char *group, const struct fact *f)
{
	const struct kvm_regs regs = registers_for(g, f);
	struct outcome o;
	bool ok;

	write_code(g, f);
	if (!guest_show(g, f->closing) || ioctl(g->vcpu, KVM_SET_REGS, &regs) ||
	    !queue(g, f->event) || !guest_run(g, &o)) {
		printf("%s %s: cannot be tried: %s\n", group, f->name, strerror(errno));
		return 1;
	}
	ok = holds(g, f, &o);
	printf("%s %s %s: %s\n", ok ? "holds:" : "DIFFERS from docs/intercepts.md:", group, f->name,
	       f->says);
	printf("# ");
	guest_print(g, &o);
	if (o.error)
		ok &= goes_on(g, f);
	return !ok;
}

static int try_fact(const char *group, const struct fact *f)
{
	struct guest g;
	int r;

	if (!guest_open(&g, f->part)) {
		printf("SKIP: no KVM to try this on: %s\n", strerror(errno));
		return 77;
	}
	if (f->avx && !g.avx) {
		printf("left out, this processor has no AVX: %s %s\n", group, f->name);
		r = 0;
	} else {
		r = try_guest(&g, group, f);
	}
	guest_close(&g);
	return r;
}

static int try_group(const char *group, const struct fact *facts)
{
	int failed = 0;

	for (const struct fact *f = facts; f->name; f++) {
		int r = try_fact(group, f);

		if (r == 77)
			return r;
		failed |= r;
	}
	return failed;
}

int main(int argc, char **argv)
{
	for (unsigned i = 0; argc == 2 && i < sizeof(groups) / sizeof(groups[0]); i++)
		if (!strcmp(argv[1], groups[i].name))
			return try_group(groups[i].name, groups[i].facts);
	fprintf(stderr, "usage: slots_limits walk|store|delivery|descriptor|mapping\n");
	return 2;
}
