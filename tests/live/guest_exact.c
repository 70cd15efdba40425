/* SPDX-License-Identifier: MIT */
/*
 * Memory intercepts are exact, instruction by instruction. Each row of a table runs one instruction
 * with every general register, the flags and a vector register set, on a page VTL1 has closed:
 * VTL1 is told once, the right GPA, GVA, access, RIP and length; if it allows the access, registers,
 * flags and memory end as if nothing had been closed; if it steps over the instruction or answers
 * with #GP, they are as they were before it.
 */
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "trap.h"
#include "vtl.h"
#include "exact_rows.h"

#define WINDOW	    (UINT64_C(1) << 32) /* linear address of `closed` in 4 KiB pages */
#define FLAGS	    UINT64_C(0x8d7)	/* all arithmetic flags, and the bit that is always 1 */
#define FLAG_DF	    UINT64_C(0x400)
#define FLAG_RF	    UINT64_C(0x10000)
#define CR4_OSXSAVE (1 << 18)
#define CPUID_XSAVE (1u << 26)
#define CPUID_AVX   (1u << 28)
#define CPUID_CX16  (1u << 13)
#define XCR0_AVX    7 /* x87, SSE, AVX */

/* --- one instruction in a known state --- */

struct state exact_out;
uint64_t exact_home, exact_target;
uint8_t exact_avx;
extern const uint8_t exact_leave[];
void exact_enter(const struct state *in, const void *code);

__asm__(".text\n"
	"exact_enter:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rsp, exact_home(%rip)\n"
	"	mov %rsi, exact_target(%rip)\n"
	"	cmpb $0, exact_avx(%rip)\n"
	"	jne 1f\n"
	"	movups 136(%rdi), %xmm0\n"
	"	jmp 2f\n"
	"1:	vmovups 136(%rdi), %ymm0\n"
	"2:	mov %cr3, %rax\n"
	"	mov %rax, %cr3\n"
	"	push 128(%rdi); popfq\n"
	"	mov (%rdi), %rax; mov 8(%rdi), %rcx; mov 16(%rdi), %rdx; mov 24(%rdi), %rbx\n"
	"	mov 32(%rdi), %rsp; mov 40(%rdi), %rbp; mov 48(%rdi), %rsi\n"
	"	mov 64(%rdi), %r8; mov 72(%rdi), %r9; mov 80(%rdi), %r10; mov 88(%rdi), %r11\n"
	"	mov 96(%rdi), %r12; mov 104(%rdi), %r13; mov 112(%rdi), %r14; mov 120(%rdi), %r15\n"
	"	mov 56(%rdi), %rdi\n"
	"	jmp *exact_target(%rip)\n"
	"	.globl exact_leave\n"
	"exact_leave:\n"
	"	mov %rsp, exact_out+32(%rip)\n"
	"	mov exact_home(%rip), %rsp\n"
	"	pushfq\n"
	"	mov %rax, exact_out(%rip); mov %rcx, exact_out+8(%rip)\n"
	"	mov %rdx, exact_out+16(%rip); mov %rbx, exact_out+24(%rip)\n"
	"	mov %rbp, exact_out+40(%rip); mov %rsi, exact_out+48(%rip)\n"
	"	mov %rdi, exact_out+56(%rip); mov %r8, exact_out+64(%rip)\n"
	"	mov %r9, exact_out+72(%rip); mov %r10, exact_out+80(%rip)\n"
	"	mov %r11, exact_out+88(%rip); mov %r12, exact_out+96(%rip)\n"
	"	mov %r13, exact_out+104(%rip); mov %r14, exact_out+112(%rip)\n"
	"	mov %r15, exact_out+120(%rip)\n"
	"	pop exact_out+128(%rip)\n"
	"	cld\n"
	"	cmpb $0, exact_avx(%rip)\n"
	"	jne 1f\n"
	"	movups %xmm0, exact_out+136(%rip)\n"
	"	jmp 2f\n"
	"1:	vmovups %ymm0, exact_out+136(%rip)\n"
	"2:	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n");

/* --- memory --- */

static uint8_t area[3 * PAGE_SIZE] PAGE_ALIGNED; /* the page in the middle is closed */
static uint8_t *const closed = area + PAGE_SIZE;
static uint8_t source[PAGE_SIZE] PAGE_ALIGNED;

/* What rows touch of `area`, as offsets from `closed`: a KVM that emulates makes every byte cost. */
static const struct {
	int first, end;
} windows[] = {
	{-0x20, 0x20},
	{AT - 0x20, AT + 0x40},
	{PAGE_SIZE - 0x70, PAGE_SIZE + 0x20},
};

#define WINDOWS	 (sizeof(windows) / sizeof(windows[0]))
#define COPY_MAX 64

/* Memory in the windows, word by word. */
struct copy {
	uint64_t words[COPY_MAX];
};

static struct copy before, reference;
static uint8_t idt_page[PAGE_SIZE] PAGE_ALIGNED, gdt_page[PAGE_SIZE] PAGE_ALIGNED;
static uint64_t table[512] PAGE_ALIGNED, directory[512] PAGE_ALIGNED;
static uint8_t gp_stack[PAGE_SIZE] __attribute__((aligned(16)));

static uint8_t *const pages[PAGES] = {closed, idt_page, gdt_page, (uint8_t *)table};

#define ENTRY 0x63 /* present, writable, accessed, dirty */
#define A_BIT 0x20
#define D_BIT 0x40

/* A KVM that emulates kernel code cannot run AVX there, whatever CPUID says: `avx` asks for it. */
static bool avx_wanted(void)
{
	uint32_t wanted = CPUID_XSAVE | CPUID_AVX;

	return guest_has_option("avx") && (cpuid(1).ecx & wanted) == wanted;
}

/* --- VTL1 --- */

enum answer {
	ALLOW,
	SKIP,
	INJECT,
	ANSWERS,
};

static const char *const answers[] = {"allow", "skip", "inject"};
static const struct row *volatile row;
static volatile enum answer answer;
static struct hv_intercept seen;
static volatile unsigned count;

void vtl_on_start(void)
{
	hv_protections_on();
	/*
	 * XCR0 is one register for all VTLs. By hypercall, because QEMU 7.2 does not intercept a
	 * nested guest's XSETBV: a KVM in it never hears of that, and puts back the value it knows
	 * at the next entry.
	 */
	if (avx_wanted())
		CHECK_EQUAL(hv_set_register(HV_OWN_VTL, HV_REGISTER_XFEM, XCR0_AVX), HV_SUCCESS);
}

/* RDX: the mask of the row's page */
void vtl_on_call(struct vtl_frame *f)
{
	CHECK_EQUAL(HV_STATUS(hv_protect(pages[row->page], 1, (uint32_t)f->rdx)), HV_SUCCESS);
}

static void answer_with(const struct hv_intercept *m)
{
	if (answer == ALLOW)
		CHECK_EQUAL(HV_STATUS(hv_protect(pages[row->page], 1, HV_RWX)), HV_SUCCESS);
	else if (answer == SKIP)
		CHECK_EQUAL(hv_set_register(HV_VTL(0), HV_REGISTER_RIP, (uint64_t)row->next),
			    HV_SUCCESS);
	else
		CHECK_EQUAL(hv_inject(HV_VTL(0), TRAP_GP), HV_SUCCESS);
	(void)m;
}

void vtl_on_intercept(const struct hv_intercept *m)
{
	if (!count)
		memcpy(&seen, m, sizeof(seen));
	count++;
	CHECK(count < 10);
	answer_with(m);
}

/* --- VTL0 --- */

static void set_mask(uint32_t mask)
{
	struct vtl_frame f = {.rdx = mask};

	vtl_call(&f);
}

/* An exception the row was answered with: state and RIP. */
static struct state trapped;
static uint64_t trapped_rip;
static volatile unsigned trap_count;

static void on_gp(struct trap_frame *f)
{
	uint64_t r[REGS] = {f->rax, f->rcx, f->rdx, f->rbx, f->rsp, f->rbp, f->rsi, f->rdi,
			    f->r8,  f->r9,  f->r10, f->r11, f->r12, f->r13, f->r14, f->r15};

	memcpy(trapped.r, r, sizeof(r));
	trapped.rflags = f->rflags;
	trapped_rip = f->rip;
	trap_count++;
	f->rip = (uint64_t)exact_leave;
}

static void on_interrupt(struct trap_frame *f)
{
	(void)f;
}

static void on_fault(struct trap_frame *f)
{
	CHECK_EQUAL(f->rip, (uint64_t)row->code);
	f->rip = (uint64_t)row->next;
	/* In the frame, which is compared: processors set it, KVM does, QEMU does not. */
	f->rflags &= ~FLAG_RF;
}

static uint64_t address(const struct row *r)
{
	return (r->flags & WALKS ? WINDOW : (uint64_t)closed) + (uint64_t)(int64_t)r->at;
}

static uint64_t *word_at(int offset)
{
	return (uint64_t *)(closed + offset);
}

static void copy_memory(struct copy *to)
{
	uint64_t *p = to->words;

	for (unsigned w = 0; w < WINDOWS; w++)
		for (int i = windows[w].first; i < windows[w].end; i += 8)
			*p++ = *word_at(i);
}

static void fill_memory(const struct row *r)
{
	static const uint8_t code[] = {0x48, 0xb8, 1,	2, 3, 4, 5, 6, 7, 8, /* mov to RAX */
				       0x41, 0xff, 0xe7};		     /* jmp *%r15 */
	uint64_t leave = (uint64_t)exact_leave;
	const uint64_t frame[] = {leave, 8, FLAGS, address(r), 0x10};

	for (unsigned w = 0; w < WINDOWS; w++)
		for (int i = windows[w].first; i < windows[w].end; i += 8)
			*word_at(i) = UINT64_C(0x0107050d0b1113ff) * (unsigned)(i + 999);
	if (r->flags & FETCHES)
		memcpy(closed + r->at, code, sizeof(code));
	if (r->flags & RETURNS)
		memcpy(closed + r->at, &leave, sizeof(leave));
	if (r->flags & FRAMED)
		memcpy(closed + r->at, frame, sizeof(frame));
	table[0] = (uint64_t)closed | ENTRY;
	if (r->flags & FRESH)
		table[0] &= ~(uint64_t)A_BIT;
	if (r->flags & CLEAN)
		table[0] &= ~(uint64_t)D_BIT;
}

static struct state initial(const struct row *r)
{
	struct state s = {.rflags = FLAGS | (r->flags & BACKWARD ? FLAG_DF : 0)};
	static uint8_t stack[PAGE_SIZE] __attribute__((aligned(16)));

	for (unsigned i = 0; i < REGS; i++)
		s.r[i] = UINT64_C(0x1122334455667788) * (i + 1);
	for (unsigned i = 0; i < sizeof(s.vector); i++)
		s.vector[i] = (uint8_t)(0xc0 + i);
	s.r[RBX] = s.r[RSI] = s.r[RDI] = (uint64_t)source + 0x800;
	s.r[RSP] = (uint64_t)stack + sizeof(stack);
	s.r[RBP] = 0xfe;
	s.r[RCX] = r->rcx ? r->rcx : UINT64_C(0xcccccccc87654321);
	s.r[R15] = (uint64_t)exact_leave;
	for (unsigned i = 0; i < REGS; i++)
		if (r->use & USE(i))
			s.r[i] = address(r);
	if (r->flags & EQUAL)
		memcpy(&s.r[RAX], closed + r->at, 8);
	if (r->flags & EQUAL)
		memcpy(&s.r[RDX], closed + r->at + (r->code == cmpxchg8 ? 4 : 8), 8);
	if (r->code == cmpxchg8 && (r->flags & EQUAL)) {
		s.r[RAX] = (uint32_t)s.r[RAX];
		s.r[RDX] = (uint32_t)s.r[RDX];
	}
	if (r->flags & SELECTOR)
		s.r[RAX] = 0x10;
	if (r->code == scas8)
		s.r[RAX] = 0;
	return s;
}

/* The state at the iteration that hits. */
static struct state expected_before(const struct row *r, const struct state *in)
{
	int64_t moved = (int64_t)r->done * r->size * (r->flags & BACKWARD ? -1 : 1);
	struct state s = *in;

	s.r[RCX] -= r->done;
	if (!r->done)
		return s;
	if (r->code == rep_lods8)
		memcpy(&s.r[RAX], closed + r->at + moved + (r->flags & BACKWARD ? 1 : -1), 1);
	else
		s.r[RDI] += (uint64_t)moved;
	if (r->code != rep_stos8)
		s.r[RSI] += (uint64_t)moved;
	return s;
}

/* --- comparing --- */

static unsigned failures;

static void say(const char *what, uint64_t got, uint64_t want)
{
	print("%s, %s: %s is %#lx, expected %#lx\n", row->name, answers[answer], what, got, want);
	failures++;
}

static void same(const char *what, uint64_t got, uint64_t want)
{
	if (got != want)
		say(what, got, want);
}

/*
 * Of registers that a retired instruction has overwritten, nothing is left of the halves it
 * cleared, or of what a failed comparison loaded.
 */
static bool lost(unsigned reg, const struct state *got, const struct state *want,
		 const struct state *after)
{
	if (!(row->flags & LOSES) || guest_has_option("restarts") || (reg != RAX && reg != RDX))
		return false;
	return got->r[reg] == after->r[reg] || got->r[reg] == (uint32_t)want->r[reg];
}

static void same_registers(const struct state *got, const struct state *want,
			   const struct state *after)
{
	static const char *const names[REGS] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP",
						"RSI", "RDI", "R8",  "R9",  "R10", "R11",
						"R12", "R13", "R14", "R15"};

	for (unsigned i = 0; i < REGS; i++)
		if (!lost(i, got, want, after))
			same(names[i], got->r[i], want->r[i]);
}

static void same_bytes(const char *what, const uint8_t *got, const uint8_t *want, size_t size)
{
	for (size_t i = 0; i < size; i++)
		same(what, got[i], want[i]);
}

/* The words of [first, end) that lie in a window. */
static void same_memory(int first, int end, const struct copy *want)
{
	const uint64_t *p = want->words;

	for (unsigned w = 0; w < WINDOWS; w++)
		for (int i = windows[w].first; i < windows[w].end; i += 8, p++)
			if (i >= first && i < end && *word_at(i) != *p) {
				print("(at %d) ", i);
				say("memory", *word_at(i), *p);
			}
}

static void same_vector(const struct state *want)
{
	same_bytes("vector register", exact_out.vector, want->vector, exact_avx ? 32 : 16);
}

/*
 * Where KVM has retired a store, the flags from before the instruction are gone: they are shown as
 * the instruction left them.
 */
static void same_flags(const char *what, uint64_t got, uint64_t want, uint64_t after)
{
	got &= ~FLAG_RF;
	if (got != (after & ~FLAG_RF) || row->access != HV_ACCESS_WRITE ||
	    guest_has_option("restarts"))
		same(what, got, want);
}

static uint64_t code_address(const struct row *r)
{
	return r->flags & FETCHES ? address(r) : (uint64_t)r->code;
}

static void check_message(const struct row *r, const struct state *in, const struct state *after)
{
	uint64_t gpa = (uint64_t)pages[r->page] + (uint64_t)r->hit;
	uint64_t gva = r->flags & WALKS ? address(r) : gpa;
	unsigned length = r->access == HV_ACCESS_EXECUTE ? 0 : (unsigned)(r->next - r->code);

	same("number of intercepts", count, 1);
	if (!count)
		return;
	same("access", seen.access, r->access);
	same("RIP told", seen.rip, code_address(r));
	if (r->flags & DELIVERS) {
		if (seen.gpa < gpa || seen.gpa >= gpa + 40)
			say("GPA", seen.gpa, gpa);
		return;
	}
	same("GPA", seen.gpa, gpa);
	same("GVA", seen.gva, gva);
	same("GVA valid", seen.access_info & 1, 1);
	same("length", seen.instruction_length & 0xf, length);
	same_flags("RFLAGS told", seen.rflags, in->rflags, after->rflags);
}

static void run(const struct row *r, const struct state *in)
{
	count = trap_count = 0;
	exact_enter(in, r->code);
}

/* Memory as it must be when the instruction did not happen, or its iterations up to the hit did. */
static void check_untouched(const struct row *r)
{
	bool spilled = (r->flags & SPILLS) && !guest_has_option("restarts");
	const struct copy *around = r->done || spilled ? &reference : &before;

	same_memory(-PAGE_SIZE, 0, around);
	same_memory(0, PAGE_SIZE, &before);
	same_memory(PAGE_SIZE, 2 * PAGE_SIZE, around);
}

static void check_allowed(const struct row *r, const struct state *expected, uint64_t entry)
{
	same_registers(&exact_out, expected, expected);
	same("RFLAGS", exact_out.rflags, expected->rflags);
	same_vector(expected);
	same("page table entry", table[0], entry);
	same("exceptions", trap_count, 0);
	same_memory(r->flags & DELIVERS ? PAGE_SIZE - 64 - 40 : -PAGE_SIZE, 2 * PAGE_SIZE,
		    &reference);
}

static void check_refused(const struct row *r, const struct state *in, const struct state *after)
{
	const struct state *got = answer == INJECT ? &trapped : &exact_out;
	struct state expected = expected_before(r, in);

	same("exceptions", trap_count, answer == INJECT);
	same_registers(got, &expected, after);
	same_flags("RFLAGS", got->rflags, in->rflags, after->rflags);
	same_vector(&expected);
	if (answer == INJECT)
		same("RIP of #GP", trapped_rip, code_address(r));
	check_untouched(r);
}

static void try_answer(const struct row *r)
{
	struct state in, expected;
	uint64_t entry;

	fill_memory(r);
	in = initial(r);
	copy_memory(&before);
	run(r, &in);
	expected = exact_out;
	entry = table[0];
	copy_memory(&reference);
	same("intercepts of an open page", count, 0);
	fill_memory(r);
	set_mask(r->mask);
	run(r, &in);
	set_mask(HV_RWX);
	check_message(r, &in, &expected);
	if (answer == ALLOW)
		check_allowed(r, &expected, entry);
	else
		check_refused(r, &in, &expected);
}

static bool possible(const struct row *r)
{
	if (answer == SKIP && (r->flags & NO_SKIP))
		return false;
	if (answer == INJECT && (r->flags & NO_INJECT))
		return false;
	if ((r->flags & NEED_AVX) && !exact_avx)
		return false;
	if ((r->flags & WALKS) && !guest_has_option("walks"))
		return false;
	if ((r->flags & NEED_NATIVE) && !guest_has_option("native"))
		return false;
	return !(r->flags & NEED_CX16) ||
	       (guest_has_option("native") && (cpuid(1).ecx & CPUID_CX16));
}

/*
 * A table that may only be read, with no bit left to set, is walked as if nothing were closed.
 * AMD's processors walk with write accesses. At a read-only memslot KVM's emulator then takes an
 * operand that has the entry's offset for the entry (tests/stock/slots_limits.c).
 */
static void walk_read_only_table(int at)
{
	static const struct row walk = {.name = "walk, read-only table", .page = TABLE};
	volatile uint64_t *word = (volatile uint64_t *)(WINDOW + (uint64_t)at);

	row = &walk;
	answer = ALLOW;
	count = 0;
	table[0] = (uint64_t)closed | ENTRY;
	*word_at(at) = 1;
	set_mask(HV_R | HV_X);
	same("entry", *(volatile uint64_t *)table, (uint64_t)closed | ENTRY);
	__asm__ volatile("invlpg %0" : : "m"(*word));
	same("word", *word, 1);
	*word = 2;
	set_mask(HV_RWX);
	same("word stored", *word_at(at), 2);
	same("intercepts", count, 0);
}

/* --- setting up --- */

/* What is left out and why. */
static void enable_avx(void)
{
	if (!avx_wanted()) {
		print("no AVX rows: %s\n",
		      guest_has_option("avx") ? "CPUID has no AVX" : "not asked for");
		return;
	}
	write_cr4(read_cr4() | CR4_OSXSAVE);
	__asm__ volatile("xsetbv" : : "c"(0), "a"(XCR0_AVX), "d"(0));
	exact_avx = 1;
}

/* VTL0's own IDT and GDT, in pages that can be closed; #GP on a stack of its own. */
static void move_tables(void)
{
	struct table_pointer idt, gdt;
	uint64_t *descriptor, tss;

	__asm__ volatile("sidt %0\n\tsgdt %1" : "=m"(idt), "=m"(gdt));
	memcpy(idt_page, (const void *)idt.base, sizeof(idt_page));
	memcpy(gdt_page, (const void *)gdt.base, gdt.limit + 1u);
	idt_page[TRAP_GP * 16 + 4] = 1; /* IST */
	descriptor = (uint64_t *)(gdt_page + 0x28);
	tss = (descriptor[0] >> 16 & 0xffffff) | (descriptor[0] >> 56) << 24 | descriptor[1] << 32;
	*(volatile uint64_t *)(tss + 0x24) = (uint64_t)gp_stack + sizeof(gp_stack);
	idt.base = (uint64_t)idt_page;
	gdt.base = (uint64_t)gdt_page;
	__asm__ volatile("lidt %0\n\tlgdt %1" : : "m"(idt), "m"(gdt));
}

static void map_window(void)
{
	uint64_t *level3 = (uint64_t *)(guest_level4[0] & ~UINT64_C(0xfff));

	directory[0] = (uint64_t)table | ENTRY;
	level3[WINDOW >> 30] = (uint64_t)directory | ENTRY;
}

int guest_main(void)
{
	vtl_begin(&vtl_own_image);
	enable_avx();
	move_tables();
	map_window();
	trap_handle(TRAP_GP, on_gp);
	trap_handle(TRAP_UD, on_fault);
	trap_handle(TRAP_PF, on_fault);
	trap_handle(VECTOR, on_interrupt);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		row = &rows[i];
		if (guest_has_option("verbose"))
			print("%s\n", row->name);
		for (answer = ALLOW; answer < ANSWERS; answer++)
			if (possible(row))
				try_answer(row);
	}
	walk_read_only_table(AT);
	walk_read_only_table(0);
	print("%u rows, %u differences\n", (unsigned)(sizeof(rows) / sizeof(rows[0])), failures);
	return failures != 0;
}
