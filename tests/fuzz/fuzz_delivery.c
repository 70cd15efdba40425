/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables, TSS, stack, page tables, code and registers that a hostile guest chooses, and
 * limits of the higher VTLs: who is told of a delivery that KVM gave up, of a descriptor's load, of
 * an interrupt on its way (intercept/failure.c, load.c, selectors.c, deliver.c, locate.c).
 *
 * Checked: nothing is read that the VTL may not read, and not much; memory stays as it is; what is
 * told is an access that the VTL named forbids, of memory there is, at the GVA it is made at; what
 * a step would open the limits allow; what is queued KVM takes; in the plain case what is told is
 * what is closed (naive_delivery.h). While it is looked at, another VP may change page tables.
 */
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

/* --- the reads, counted and checked --- */

int __real_host_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len);
int __wrap_host_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len);
int __real_guest_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len,
		      enum mem_access access, bool user, struct access_fault *fault);
int __wrap_guest_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len,
		      enum mem_access access, bool user, struct access_fault *fault);

static unsigned reads;

/* Another VP at work: VTL0's leaf table, in which it changes an entry. */
static struct {
	uint8_t *table;
	unsigned at;
	uint64_t page, to;
} race;

static void count_read(void)
{
	const uint64_t entry = race.to << 12 | 0x67;

	if (++reads == race.at)
		memcpy(race.table + 8 * race.page, &entry, sizeof(entry));
}

int __wrap_host_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len)
{
	uint8_t setter;

	count_read();
	for (uint64_t page = gpa_page(gpa); len && page <= (gpa.addr + len - 1) >> 12; page++)
		require(memory_allows(m, vtl, page, MEM_READ, false, &setter) || !setter);
	return __real_host_read(m, vtl, gpa, buf, len);
}

int __wrap_guest_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len,
		      enum mem_access access, bool user, struct access_fault *fault)
{
	count_read();
	return __real_guest_read(m, vtl, gpa, buf, len, access, user, fault);
}

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

/* --- what has to hold --- */

static bool allows(const struct target *t, uint64_t page, enum mem_access access, uint8_t *setter)
{
	const struct kvm_sregs *s = fake_vcpu_sregs(t->fake, vcpu_active(t->vp)->cpu.fd);

	return memory_allows(&t->p->memory, t->vp->active_vtl, page, access, s->ss.dpl == 3,
			     setter);
}

/* The GVA leads to the GPA; where the walk itself was caught, through it. */
static void check_gva(const struct target *t, const struct violation *v)
{
	const struct kvm_sregs *s = fake_vcpu_sregs(t->fake, vcpu_active(t->vp)->cpu.fd);
	struct access_fault fault;
	struct walk_result result;
	bool met = false;
	int r = walk_look(&t->p->memory, t->vp->active_vtl, s, v->gva, &result, &fault);

	if (!v->walking) {
		require(!r && result.gpa.addr == v->gpa.addr);
		return;
	}
	require(v->access != MEM_EXECUTE);
	for (unsigned i = 0; i < result.table_count; i++)
		met |= result.tables[i].entry.addr == v->gpa.addr;
	require(met);
}

/* What is told is forbidden by the VTL it is told to. */
static void check_told(const struct target *t, const struct violation *v)
{
	uint8_t setter = 0;

	require(v->setter > t->vp->active_vtl && v->setter < VTLS);
	require(!v->overlay && !v->allowed_here && !v->open_count);
	if (v->gva_valid)
		check_gva(t, v);
	/* Laid at the door of the lowest: an access that cannot be told, of the code page. */
	if (!v->gva_valid && v->access == MEM_READ &&
	    (allows(t, gpa_page(v->gpa), MEM_READ, &setter) || setter != v->setter)) {
		require(v->setter == memory_lowest_setter(&t->p->memory, t->vp->active_vtl));
		require(!gpa_offset(v->gpa));
		return;
	}
	require(gpa_page(v->gpa) < PAGES);
	require(!allows(t, gpa_page(v->gpa), v->access, &setter) && setter == v->setter);
}

/* The bytes are those at RIP, and the VTL could fetch them. */
static void check_bytes(const struct target *t, const struct violation *v)
{
	static const uint8_t none[sizeof(v->insn_bytes)];
	const int fd = vcpu_active(t->vp)->cpu.fd;
	const struct kvm_sregs *s = fake_vcpu_sregs(t->fake, fd);
	uint8_t bytes[INSN_MAX];
	size_t got;

	require(v->insn_count == v->insn_length && v->insn_length <= INSN_MAX);
	require(!memcmp(v->insn_bytes + v->insn_count, none, sizeof(none) - v->insn_count));
	walk_fetch(&t->p->memory, t->vp->active_vtl, s,
		   cpu_linear_rip(s, fake_vcpu_regs(t->fake, fd)->rip), bytes, v->insn_count, &got,
		   NULL);
	require(got == v->insn_count && !memcmp(bytes, v->insn_bytes, got));
}

/*
 * Pages that a step opens. Read-only ones for writing are tables, which are told apart in a step.
 */
static void check_open(const struct target *t, const struct violation *v)
{
	require(v->open_count && v->open_count <= VIOLATION_PAGES);
	require(memory_lowest_setter(&t->p->memory, t->vp->active_vtl));
	for (unsigned i = 0; i < v->open_count; i++) {
		require(v->open[i].page < PAGES);
		require(allows(t, v->open[i].page, MEM_READ, NULL));
		for (unsigned j = 0; j < i; j++)
			require(v->open[i].page != v->open[j].page);
	}
}

static void check_message(const struct target *t, const struct violation *v)
{
	const int fd = vcpu_active(t->vp)->cpu.fd;
	struct hv_memory_intercept m;
	struct hv_message message;

	intercept_message(&message, 0, t->vp->active_vtl, fake_vcpu_regs(t->fake, fd),
			  fake_vcpu_sregs(t->fake, fd), v);
	require(message.payload_size == sizeof(m));
	memcpy(&m, message.payload, sizeof(m));
	require(m.gpa == v->gpa.addr && (v->gva_valid || (!m.gva && !m.access_info)));
}

static void check_events(struct target *t, const struct violation *v,
			 const struct kvm_vcpu_events *before)
{
	struct vtl_cpu *cpu = &vcpu_active(t->vp)->cpu;
	const struct kvm_vcpu_events *after = fake_vcpu_events(t->fake, cpu->fd);

	require(!vtl_cpu_flush(cpu));
	if (!violation_found(v))
		require(!memcmp(before, after, sizeof(*before)));
	/* Interrupts and NMIs are where they were. */
	require(before->interrupt.injected == after->interrupt.injected);
	require(before->interrupt.nr == after->interrupt.nr);
	require(before->nmi.injected == after->nmi.injected);
}

static void check(struct target *t, const struct violation *v)
{
	require(!!v->setter + v->overlay + v->served + v->allowed_here <= 1);
	check_bytes(t, v);
	if (v->setter) {
		check_told(t, v);
		check_message(t, v);
	}
	if (v->allowed_here)
		check_open(t, v);
}

/* Masks as the input has them, the last one for a page. */
static void get_masks(const struct input *in, uint8_t masks[VTLS][VTLS][PAGES])
{
	memset(masks, PROT_ALL, sizeof(masks[0]) * VTLS);
	for (unsigned i = 0; i < in->limit_count % (LIMITS + 1u); i++) {
		const struct limit *l = &in->limits[i];
		bool two = l->who & 1;

		masks[two ? 2 : 1][two ? l->who >> 1 & 1 : 0][l->page % PAGES] =
			l->mask & PROT_R ? l->mask & PROT_ALL : 0;
	}
}

/* Not only is what is told true: what is true is told. */
static void check_complete(const struct target *t, const struct input *in,
			   const struct kvm_vcpu_events *events, const struct violation *v)
{
	const int fd = vcpu_active(t->vp)->cpu.fd;
	const struct kvm_sregs *s = fake_vcpu_sregs(t->fake, fd);
	uint8_t masks[VTLS][VTLS][PAGES];
	struct naive n = {.mem = t->mem, .vtl = t->vp->active_vtl, .masks = masks};

	if (in->mode % MODES != LONG || in->how % HOWS != FAULTED || !events->exception.injected ||
	    in->changed & CHANGED_MODE)
		return;
	get_masks(in, masks);
	naive_delivery(&n, fake_vcpu_regs(t->fake, fd), s, events->exception.nr,
		       events->exception.has_error_code);
	if (n.unknown)
		return;
	require(v->setter == n.setter);
	if (!n.setter)
		return;
	require(v->gpa.addr == n.gpa && v->access == (n.write ? MEM_WRITE : MEM_READ));
}

/* --- one input --- */

static void look(struct target *t, const struct input *in)
{
	static uint8_t before[SIZE];
	const int fd = vcpu_active(t->vp)->cpu.fd;
	struct kvm_vcpu_events events = *fake_vcpu_events(t->fake, fd);
	struct kvm_regs regs = *fake_vcpu_regs(t->fake, fd);
	struct violation v = {0};

	memcpy(before, t->mem, SIZE);
	reads = 0;
	race.table = t->mem + (TABLE << 12);
	race.at = in->race_at % 64;
	race.page = in->race_page % PAGES;
	race.to = in->limits[in->race_to % LIMITS].page % PAGES;
	if (in->how % HOWS == AHEAD) {
		t->p->emulated = vcpu_active(t->vp)->ahead = true;
		require(!violation_ahead(t->vp, &v));
		require(!violation_found(&v) || (v.delivers && events.interrupt.injected));
	} else {
		require(!intercept_locate(t->vp, &v));
	}
	require(reads <= READS_MAX);
	check_events(t, &v, &events);
	/* The tables are not what they were when it was found. */
	if (race.at && reads >= race.at)
		return;
	race.at = 0;
	require(!memcmp(before, t->mem, SIZE));
	check(t, &v);
	check_complete(t, in, &events, &v);
	require(!memcmp(&regs, fake_vcpu_regs(t->fake, fd), sizeof(regs)));
}

static void start(struct target *t, unsigned which)
{
	struct vsm_partition_options o = {
		.size = sizeof(o),
		.max_vtl = VTLS - 1,
		.exec_policy = which & 1 ? VSM_EXEC_RELAXED : VSM_EXEC_STRICT,
		.enforcement = which & 2 ? VSM_ENFORCEMENT_SLOTS : VSM_ENFORCEMENT_ALIAS,
	};
	struct vsm_memory_region r = {.size = sizeof(r), .bytes = SIZE};
	struct vsm_vcpu_options v = {.size = sizeof(v)};
	const struct kvm_host *h;
	void *mem;

	t->fake = fake_kvm_new();
	h = t->host = fake_kvm_host(t->fake);
	o.kvm_fd = h->ops->open_device(h, "/dev/kvm");
	o.vm_fd = h->ops->create_vm(h, o.kvm_fd);
	r.fd = h->ops->create_memfd(h, "fuzz", SIZE);
	require(!h->ops->map_memory(h, r.fd, 0, SIZE, KVM_MAP_READ_WRITE, NULL, &mem));
	t->mem = mem;
	require(!partition_create_on(h, &o, &t->p));
	require(!vsm_partition_map_memory(t->p, &r));
	require(!vsm_vcpu_create(t->p, &v, &t->vp));
	for (unsigned setter = 1; setter < VTLS; setter++)
		require(!memory_limit_default(&t->p->memory, setter, PROT_ALL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Making a partition takes longer than what is tested: there is one of each kind. */
	static struct target targets[4];
	struct input in = {0};
	size_t head = size < sizeof(in) ? size : sizeof(in);
	struct target *t;
	enum mode mode;

	memcpy(&in, data, head);
	t = &targets[in.partition & 3];
	if (!t->p)
		start(t, in.partition & 3);
	vcpu_activate(t->vp, in.vtl % VTLS);
	mode = in.mode % MODES;
	put_template(t, mode);
	set_registers(t, &in, mode);
	patch(t, data + head, size - head);
	set_events(t, &in);
	set_exit(t, &in);
	limit(t, &in, true);
	look(t, &in);
	limit(t, &in, false);
	return 0;
}

/* --- what is tried first, every time --- */

int LLVMFuzzerInitialize(int *argc, char ***argv);

/*
 * With a gate at the end of the IDT's page, which a vector may be made to have; for half of them
 * the code segment has not been accessed yet.
 */
static void run(const struct input *in)
{
	static const uint8_t patches[] = {
		0xf8, IDT << 4 | 0xf, 8, 0,    CODE << 4, 8, 0, 0, 0x8e, 0, 0, /* the gate */
		0x0d, GDT << 4,	      1, 0x9a, /* the segment's type */
	};
	uint8_t data[sizeof(*in) + sizeof(patches)];

	memcpy(data, in, sizeof(*in));
	memcpy(data + sizeof(*in), patches, sizeof(patches));
	LLVMFuzzerTestOneInput(data, sizeof(data) - (in->exception & 1 ? 0 : 4));
}

/* Everything as it is, or a structure that crosses a page: the gate, the TSS's slot, the frame. */
static void run_layouts(struct input *in)
{
	const uint64_t slot = in->exception & 1 ? 0x24 : 4;

	in->changed = 0;
	run(in);
	in->changed = 1 << 8;
	in->values[8] = (IDT << 12) + 0xff8 - 16u * in->exception;
	run(in);
	in->changed = 1 << 11;
	in->values[11] = (TSS << 12) + 0xffc - slot;
	run(in);
	in->changed = 1 << 1;
	in->values[1] = (STACK << 12) + 16;
	run(in);
}

/* Deliveries from both rings, to both kinds of stacks, with each page closed or read-only. */
static void run_deliveries(void)
{
	struct input in = {.mode = LONG, .how = FAULTED, .limit_count = 1};

	for (unsigned i = 0; i < 16 * PAGES; i++) {
		in.exception = i & 1 ? 13 : 6;
		in.cpl = i & 2 ? 3 : 0;
		in.events = i & 4 ? 5 : 1;
		in.limits[0].mask = i & 8 ? PROT_R : 0;
		in.limits[0].page = (uint8_t)(i / 16);
		run_layouts(&in);
	}
}

/* Instructions whose pages turn into a closed one at each moment. */
static void run_races(void)
{
	static const uint8_t pages[] = {IDT, GDT, TSS, CODE, DATA, STACK};
	struct input in = {.mode = LONG, .how = FAULTED, .limit_count = 1};

	in.limits[0].page = PAGES - 1;
	for (unsigned i = 0; i < INSTRUCTIONS * sizeof(pages); i++) {
		in.insn = (uint8_t)(i / sizeof(pages));
		in.race_page = pages[i % sizeof(pages)];
		in.race_at = 0;
		do {
			in.race_at++;
			run(&in);
		} while (reads >= in.race_at && in.race_at < 63);
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	run_deliveries();
	run_races();
	return 0;
}
