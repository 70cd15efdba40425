/* SPDX-License-Identifier: MIT */
/* What fuzz_delivery.c sets up of an input: a guest's tables, code, registers and events. */
#ifndef VSM_TESTS_FUZZ_DELIVERY_GUEST_H
#define VSM_TESTS_FUZZ_DELIVERY_GUEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fake_kvm.h"
#include "intercept/intercept.h"
#include "naive_delivery.h"
#include "vcpu/exit.h"
#include "vcpu/vcpu.h"

#define PAGES	   NAIVE_PAGES
#define SIZE	   (PAGES * VSM_PAGE_SIZE)
#define VTLS	   NAIVE_VTLS
#define LIMITS	   6
#define READS_MAX  1000 /* entries, pieces and code bytes: an instruction's and its event's */
#define EVENT_LAST 31

/* Where the template has things, in pages; linear addresses are the same. */
enum page {
	ROOT,
	MIDDLE,
	DIRECTORY,
	TABLE,
	ROOT_32,
	TABLE_32,
	ROOT_PAE,
	IDT = 8,
	GDT,
	LDT,
	TSS,
	CODE,
	CODE_2,
	DATA,
	STACK = 18,
	IST = 22,
};

enum mode {
	LONG,
	LONG_32, /* compatibility mode */
	PAE,
	LEGACY,
	UNPAGED,
	REAL,
	MODES,
};

enum how {
	FAULTED,     /* KVM_RUN: EFAULT */
	FAILED,	     /* an emulation */
	UNDELIVERED, /* KVM_INTERNAL_ERROR_DELIVERY_EV */
	AHEAD,	     /* nothing happened yet */
	HOWS,
};

struct limit {
	uint8_t who; /* bit 0: VTL2 is the setter, bit 1: VTL1 the target */
	uint8_t page;
	uint8_t mask;
};

/* What the input begins with; patches of memory follow: u16 address, u8 length, bytes. */
struct input {
	uint8_t partition, mode, how, vtl, cpl, events, vector;
	uint8_t exception, interrupt;
	uint8_t code[17]; /* at RIP */
	uint8_t insn;	  /* of `instructions`, in front of them */
	uint8_t rip, limit_count;
	/* Before the read of that number, that page is mapped to that of a limit. */
	uint8_t race_at, race_page, race_to;
	struct limit limits[LIMITS];
	uint8_t ndata, reason, words_at; /* of the exit's words */
	uint16_t changed;		 /* which of `values` there are */
	uint32_t event;
	uint64_t words[8];
	uint64_t values[16];
};

/* Those that read descriptors, deliver or fail; zeros end the shorter ones. */
static const uint8_t instructions[][4] = {
	{0},
	{0x48, 0xcf},	    /* iretq */
	{0xcf},		    /* iret */
	{0xcb},		    /* retf */
	{0xca, 0x10, 0x00}, /* retf 16 */
	{0x48, 0xcb},	    /* retfq */
	{0x0f, 0xb2, 0x26}, /* lss */
	{0xff, 0x2e},	    /* ljmp */
	{0xff, 0x1e},	    /* lcall */
	{0x8e, 0xc2},	    /* mov %edx, %es */
	{0x8e, 0x06},	    /* mov (%rsi), %es */
	{0x0f, 0xa1},	    /* pop %fs */
	{0x07},		    /* pop %es */
	{0x0f, 0x00, 0xda}, /* ltr %dx */
	{0x0f, 0x00, 0x1e}, /* ltr (%rsi) */
	{0x0f, 0x00, 0xd2}, /* lldt %dx */
	{0x0f, 0x02, 0xc2}, /* lar %edx, %eax */
	{0x0f, 0x00, 0x26}, /* verr (%rsi) */
	{0xcd},		    /* int n */
	{0x0f, 0x0b},	    /* ud2 */
	{0xf3, 0xa4},	    /* rep movsb */
	{0x0f, 0xae, 0x06}, /* fxsave (%rsi) */
};
#define INSTRUCTIONS (sizeof(instructions) / sizeof(instructions[0]))

struct target {
	struct fake_kvm *fake;
	const struct kvm_host *host;
	uint8_t *mem;
	struct vsm_partition *p;
	struct vsm_vcpu *vp;
};

/* Says which of them it was: the compiler joins calls of abort(). */
static void require_at(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "does not hold: %s\n", what);
	abort();
}

#define require(ok) require_at(ok, #ok)

/* --- what a guest set up --- */

static void put(struct target *t, uint64_t at, uint64_t value, size_t size)
{
	memcpy(t->mem + at, &value, size);
}

static void put_tables(struct target *t)
{
	const uint64_t all = 0x67; /* present, writable, user, accessed, dirty */

	put(t, ROOT << 12, MIDDLE << 12 | all, 8);
	put(t, MIDDLE << 12, DIRECTORY << 12 | all, 8);
	put(t, DIRECTORY << 12, TABLE << 12 | all, 8);
	put(t, ROOT_32 << 12, TABLE_32 << 12 | all, 4);
	put(t, ROOT_PAE << 12, DIRECTORY << 12 | 1, 8);
	for (uint64_t page = 0; page < PAGES; page++) {
		put(t, (TABLE << 12) + 8 * page, page << 12 | all, 8);
		put(t, (TABLE_32 << 12) + 4 * page, page << 12 | all, 4);
	}
}

static void put_gates(struct target *t, enum mode mode)
{
	for (uint64_t vector = 0; vector < 256; vector++) {
		uint64_t gate = CODE << 12 | 8 << 16 | UINT64_C(0x8e00) << 32;

		if (mode <= LONG_32) {
			/* Some have a stack of their own. */
			put(t, (IDT << 12) + 16 * vector, gate | (vector & 1) << 32, 8);
			put(t, (IDT << 12) + 16 * vector + 8, 0, 8);
		} else if (mode == REAL) {
			put(t, 4 * vector, CODE << 12, 4);
		} else {
			put(t, (IDT << 12) + 8 * vector, gate, 8);
		}
	}
}

/* 1: 64-bit or 32-bit code, 2: data, 3: code, 4: data for CPL 3, 5: available TSS */
static void put_descriptors(struct target *t, uint64_t table, enum mode mode)
{
	const uint64_t code =
		mode == LONG ? UINT64_C(0x00af9b000000ffff) : UINT64_C(0x00cf9b000000ffff);

	put(t, table + 8, code, 8);
	put(t, table + 16, UINT64_C(0x00cf93000000ffff), 8);
	put(t, table + 24, code | UINT64_C(3) << 45, 8);
	put(t, table + 32, UINT64_C(0x00cff2000000ffff), 8); /* not accessed yet */
	put(t, table + 40, UINT64_C(0x0000890000000067) | (uint64_t)TSS << 28, 8);
}

static void put_template(struct target *t, enum mode mode)
{
	memset(t->mem, 0, SIZE);
	put_tables(t);
	put_gates(t, mode);
	put_descriptors(t, GDT << 12, mode);
	put_descriptors(t, LDT << 12, mode);
	for (unsigned i = 0; i < 10; i++)
		put(t, (TSS << 12) + 4 + 8 * i,
		    mode <= LONG_32 ? (IST << 12) + 0x800 : IST << 12 | UINT64_C(16) << 32, 8);
	for (unsigned i = 0; i < 64; i++)
		put(t, (STACK << 12) + 8 * i, i & 1 ? 0x1b : 0x10, 8);
}

static void set_mode(struct kvm_sregs *s, enum mode mode)
{
	static const struct {
		uint64_t cr0, cr3, cr4, efer;
	} rows[MODES] = {
		[LONG] = {0x80010001, ROOT << 12, 0x20, 0xd00},
		[LONG_32] = {0x80010001, ROOT << 12, 0x20, 0xd00},
		[PAE] = {0x80010001, ROOT_PAE << 12, 0x20, 0},
		[LEGACY] = {0x80010001, ROOT_32 << 12, 0, 0},
		[UNPAGED] = {1, 0, 0, 0},
		[REAL] = {0, 0, 0, 0},
	};

	s->cr0 = rows[mode].cr0;
	s->cr3 = rows[mode].cr3;
	s->cr4 = rows[mode].cr4;
	s->efer = rows[mode].efer;
	s->cs.l = mode == LONG;
	s->cs.db = mode != LONG && mode != REAL;
}

static void set_sregs(struct kvm_sregs *s, const struct input *in, enum mode mode)
{
	set_mode(s, mode);
	s->cs.selector = 8 | (in->cpl & 3);
	s->cs.dpl = s->ss.dpl = in->cpl & 3;
	s->ss.db = s->cs.db;
	s->idt = (struct kvm_dtable){.base = mode == REAL ? 0 : IDT << 12, .limit = 0xfff};
	s->gdt = (struct kvm_dtable){.base = GDT << 12, .limit = 0xfff};
	s->ldt = (struct kvm_segment){.base = LDT << 12, .limit = 0xfff};
	s->tr = (struct kvm_segment){.base = TSS << 12, .limit = 0x67};
}

/* What of the registers is not the template's. */
static void change_registers(const struct input *in, struct kvm_sregs *s, struct kvm_regs *r)
{
	__u64 *const places[] = {&r->rip,      &r->rsp,	     &r->rax,	   &r->rflags,
				 &s->cr0,      &s->cr3,	     &s->cr4,	   &s->efer,
				 &s->idt.base, &s->gdt.base, &s->ldt.base, &s->tr.base,
				 &s->ss.base,  &s->cs.base,  &r->rsi,	   &r->rcx};

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (in->changed >> i & 1)
			*places[i] = in->values[i];
}

#define CHANGED_MODE (0xf << 4) /* of input.changed: the control registers */

static void put_code(struct target *t, const struct input *in)
{
	const uint8_t *insn = instructions[in->insn % INSTRUCTIONS];
	uint8_t *at = t->mem + (CODE << 12) + 0xf80 + (in->rip & 0x7f);

	for (unsigned i = 0; i < sizeof(instructions[0]) && (insn[i] || (i == 1 && insn[2])); i++)
		*at++ = insn[i];
	memcpy(at, in->code, sizeof(in->code));
}

static void set_registers(struct target *t, const struct input *in, enum mode mode)
{
	struct vtl_cpu *cpu = &vcpu_active(t->vp)->cpu;
	struct kvm_sregs *sregs = fake_vcpu_sregs(t->fake, cpu->fd);
	struct kvm_regs *regs = fake_vcpu_regs(t->fake, cpu->fd);

	memset(regs, 0, sizeof(*regs));
	regs->rip = (CODE << 12) + 0xf80 + (in->rip & 0x7f);
	regs->rsp = regs->rdi = (STACK << 12) + 8u * (in->vector & 7);
	regs->rax = regs->rsi = DATA << 12;
	regs->rbx = GDT << 12;
	regs->rcx = 2;
	regs->rdx = 5 << 3;
	regs->rflags = 2;
	set_sregs(sregs, in, mode);
	change_registers(in, sregs, regs);
	put_code(t, in);
	cpu->dirty = 0;
	cpu->valid = 0;
}

static void patch(struct target *t, const uint8_t *data, size_t size)
{
	while (size > 3) {
		size_t at = (data[0] | (size_t)data[1] << 8 | (size_t)(data[2] & 0x80) << 9) % SIZE;
		size_t len = data[2] & 0x7f;

		data += 3;
		size -= 3;
		len = len < size ? len : size;
		len = len < SIZE - at ? len : SIZE - at;
		memcpy(t->mem + at, data, len);
		data += len;
		size -= len;
	}
}

static void set_events(struct target *t, const struct input *in)
{
	struct kvm_vcpu_events *e = fake_vcpu_events(t->fake, vcpu_active(t->vp)->cpu.fd);

	memset(e, 0, sizeof(*e));
	e->exception.injected = in->events & 1;
	e->exception.pending = !(in->events & 1) && (in->events & 2);
	e->exception.nr = in->exception & EVENT_LAST;
	e->exception.nr = (uint8_t)(e->exception.nr == 2 ? VECTOR_UD : e->exception.nr);
	e->exception.has_error_code = in->events >> 2 & 1;
	e->nmi.injected = (in->events & 0x18) == 0x18;
	e->interrupt.injected = in->events >> 5 & 1;
	e->interrupt.nr = in->interrupt;
	/* The library's copy: KVM shows none that is INT n's. */
	require(!vtl_cpu_events(&vcpu_active(t->vp)->cpu, &e));
	e->interrupt.soft = in->events >> 6 & 1;
}

/* What KVM shows of the processor's exit: mostly in the place and form that are looked for. */
static void set_words(struct kvm_run *run, const struct input *in)
{
	static const uint64_t reasons[] = {0x400, 48, 49};
	unsigned first = in->words_at & 1 ? 3 : 1;
	__u64 *words = run->internal.data;

	run->internal.ndata = in->ndata < 8 ? 8 : in->ndata % 16;
	memcpy(words, in->words, sizeof(in->words));
	words[0] = first == 3;
	if (in->words_at & 2)
		return;
	words[first] = reasons[in->reason % 3];
	words[first + (in->reason % 3 ? 2 : 3)] = in->event ^ 0x80000000;
}

static void set_exit(struct target *t, const struct input *in)
{
	struct kvm_run *run = vcpu_active(t->vp)->cpu.run;
	enum how how = in->how % HOWS;

	run->exit_reason = KVM_EXIT_UNKNOWN;
	if (how == FAULTED || how == AHEAD)
		return;
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror =
		how == FAILED ? KVM_INTERNAL_ERROR_EMULATION : KVM_INTERNAL_ERROR_DELIVERY_EV;
	set_words(run, in);
}

static void limit(struct target *t, const struct input *in, bool on)
{
	for (unsigned i = 0; i < in->limit_count % (LIMITS + 1u); i++) {
		const struct limit *l = &in->limits[i];
		unsigned setter = 1 + (l->who & 1), target = setter == 2 ? l->who >> 1 & 1 : 0;
		/* Nothing without read, as HvCallModifyVtlProtectionMask has it. */
		prot_t mask = l->mask & PROT_R ? l->mask & PROT_ALL : 0;
		uint64_t page = l->page % PAGES;

		require(!memory_limit(&t->p->memory, setter, target, page, page + 1,
				      on ? mask : PROT_ALL));
	}
}

#endif
