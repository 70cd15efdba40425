/* SPDX-License-Identifier: MIT */
/* EFAULT and internal errors -> the access the limits forbid (locate.c). */
#include <errno.h>

#include "intercept_fixture.h"
#include "intercept/intercept.h"

#define READ_ONLY ((prot_t)(PROT_R | PROT_KX | PROT_UX))

static int start(void **state)
{
	static struct scene scene;

	scene_start(&scene, VSM_ENFORCEMENT_ALIAS, VSM_EXEC_STRICT);
	*state = &scene;
	return 0;
}

static int start_relaxed(void **state)
{
	static struct scene scene;

	scene_start(&scene, VSM_ENFORCEMENT_ALIAS, VSM_EXEC_RELAXED);
	*state = &scene;
	return 0;
}

static int stop(void **state)
{
	scene_stop(*state);
	return 0;
}

static struct violation locate(struct scene *s)
{
	struct violation v;

	memset(&v, 0xff, sizeof(v));
	assert_int_equal(intercept_locate(&s->vp, &v), 0);
	return v;
}

static void assert_caught(const struct violation *v, uint8_t setter, enum mem_access access,
			  uint64_t gpa, uint64_t gva)
{
	assert_int_equal(v->setter, setter);
	assert_int_equal(v->access, access);
	assert_int_equal(v->gpa.addr, gpa);
	assert_true(v->gva_valid);
	assert_int_equal(v->gva.addr, gva);
	assert_false(v->allowed_here || v->served || v->overlay);
	assert_int_equal(v->open_count, 0);
}

static void assert_opens(const struct violation *v, const struct violation_page *pages,
			 size_t count)
{
	assert_int_equal(v->setter, 0);
	assert_true(v->allowed_here);
	assert_int_equal(v->open_count, count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(v->open[i].page, pages[i].page);
		assert_int_equal(v->open[i].prot, pages[i].prot);
	}
}

static void assert_nothing(const struct violation *v)
{
	assert_int_equal(v->setter, 0);
	assert_false(v->allowed_here || v->served || v->overlay);
}

static const uint8_t load_rax[] = {0x48, 0x8b, 0x00};  /* mov rax, [rax] */
static const uint8_t store_rax[] = {0x48, 0x89, 0x00}; /* mov [rax], rax */
static const uint8_t movsq[] = {0x48, 0xa5};
static const uint8_t vector_store[] = {0xc5, 0xfe, 0x7f, 0x00}; /* vmovdqu [rax], ymm0 */
static const uint8_t zeros[32];
static const uint8_t gather[] = {0xc4, 0xe2, 0x75, 0x90, 0x04, 0x10};

/* From KVM_RUN to the violation, for both ways a fault surfaces as EFAULT. */
static void test_load(void **state)
{
	static const struct fake_step steps[] = {
		{.kind = FAKE_LOAD, .gva = DATA + 8, .size = 8, .length = 3},
		{.kind = FAKE_HLT},
	};
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE, load_rax, sizeof(load_rax));
	scene_limit(s, DATA, 0);
	scene_script(s, steps, ARRAY_SIZE(steps));
	scene_regs(s)->rax = DATA + 8;
	vtl_cpu_dirty(scene_cpu(s), CPU_REGS);
	assert_int_equal(scene_run(s), -EFAULT);
	v = locate(s);
	assert_caught(&v, 1, MEM_READ, DATA + 8, DATA + 8);
	assert_false(v.walking);
	assert_int_equal(v.insn_length, 3);
	assert_int_equal(v.insn_count, 3);
	assert_memory_equal(v.insn_bytes, load_rax, 3);
	assert_int_equal(v.insn_bytes[3], 0);
	scene_limit(s, DATA, PROT_ALL);
	assert_int_equal(scene_run(s), 0);
}

static void test_store(void **state)
{
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE, store_rax, sizeof(store_rax));
	scene_limit(s, DATA, PROT_R | PROT_KX | PROT_UX);
	v = locate(s);
	assert_caught(&v, 1, MEM_WRITE, DATA, DATA);
}

/* The lowest VTL that forbids the access is told. */
static void test_setters(void **state)
{
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE, store_rax, sizeof(store_rax));
	scene_limit_by(s, 2, DATA, PROT_R | PROT_KX | PROT_UX);
	v = locate(s);
	assert_caught(&v, 2, MEM_WRITE, DATA, DATA);
	scene_limit_by(s, 1, DATA, 0);
	v = locate(s);
	assert_caught(&v, 1, MEM_WRITE, DATA, DATA);
}

/* The source comes before the destination. */
static void test_order(void **state)
{
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE, movsq, sizeof(movsq));
	scene_regs(s)->rsi = DATA;
	scene_regs(s)->rdi = FREE;
	scene_limit(s, FREE, 0);
	v = locate(s);
	assert_caught(&v, 1, MEM_WRITE, FREE, FREE);
	scene_limit(s, DATA, 0);
	v = locate(s);
	assert_caught(&v, 1, MEM_READ, DATA, DATA);
}

/* An access that starts in an open page and ends in a closed one: the first byte that fails. */
static void test_page_crossing(void **state)
{
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE, store_rax, sizeof(store_rax));
	scene_regs(s)->rax = DATA + 0xffc;
	*scene_pte(s, DATA + 0x1000) = FREE | PTE_ALL;
	scene_limit(s, FREE, PROT_R);
	v = locate(s);
	assert_caught(&v, 1, MEM_WRITE, FREE, DATA + 0x1000);
}

/* In 32-bit code under a 64-bit kernel, addresses wrap at 4 GiB. */
static void test_wrap(void **state)
{
	struct scene *s = *state;
	struct kvm_sregs *sregs = scene_sregs(s);
	struct violation v;

	((uint64_t *)(s->x.mem + PDPT))[3] = 0x5000 | PTE_ALL;
	((uint64_t *)(s->x.mem + 0x5000))[511] = 0x6000 | PTE_ALL;
	((uint64_t *)(s->x.mem + 0x6000))[511] = DATA | PTE_ALL;
	sregs->cs.l = 0;
	sregs->cs.db = 1;
	scene_regs(s)->rax = 0xfffffffe;
	scene_code(s, CODE, "\x8b\x00", 2); /* mov eax, [eax] */
	scene_limit(s, 0, 0);
	v = locate(s);
	assert_caught(&v, 1, MEM_READ, 0, 0);
}

static void test_fetch(void **state)
{
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE, store_rax, sizeof(store_rax));
	scene_limit(s, CODE, PROT_R | PROT_W);
	scene_limit(s, DATA, 0);
	v = locate(s);
	assert_caught(&v, 1, MEM_EXECUTE, CODE, CODE);
	assert_int_equal(v.insn_length, 0);
	assert_int_equal(v.insn_count, 0);
	assert_int_equal(v.insn_bytes[0], 0);
}

/* An instruction that ends in a page that may not be executed, and one that does not reach it. */
static void test_fetch_crossing(void **state)
{
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE + 0xffe, store_rax, sizeof(store_rax));
	scene_limit(s, CODE + 0x1000, PROT_R);
	scene_regs(s)->rip = CODE + 0xffe;
	v = locate(s);
	assert_caught(&v, 1, MEM_EXECUTE, CODE + 0x1000, CODE + 0x1000);
	scene_code(s, CODE + 0xffd, store_rax, sizeof(store_rax));
	scene_regs(s)->rip = CODE + 0xffd;
	scene_limit(s, DATA, 0);
	v = locate(s);
	assert_caught(&v, 1, MEM_WRITE, DATA, DATA);
}

/* Table pages: of the fetch first, read before updated. */
static void test_tables(void **state)
{
	struct scene *s = *state;
	uint64_t entry = PT + 8 * (DATA >> 12);
	struct violation v;

	scene_code(s, CODE, store_rax, sizeof(store_rax));
	scene_limit(s, PT, PROT_R | PROT_KX | PROT_UX);
	*scene_pte(s, DATA) &= ~(uint64_t)PTE_D;
	v = locate(s);
	assert_caught(&v, 1, MEM_WRITE, entry, DATA);
	assert_true(v.walking);
	scene_limit(s, PT, 0);
	v = locate(s);
	assert_caught(&v, 1, MEM_READ, PT + 8 * (CODE >> 12), CODE);
	assert_true(v.walking);
}

/* Under the strict policy a page without execute permission is closed: a data access needs it
 * opened, and so do tables in such pages. */
static void test_allowed(void **state)
{
	const prot_t write = PROT_R | PROT_W | PROT_KX | PROT_UX;
	const struct violation_page data[] = {{DATA >> 12, write}};
	const struct violation_page both[] = {{PT >> 12, write}, {DATA >> 12, write}};
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE, store_rax, sizeof(store_rax));
	scene_limit(s, DATA, PROT_R | PROT_W);
	v = locate(s);
	assert_opens(&v, data, 1);
	scene_limit(s, PT, PROT_R | PROT_W);
	v = locate(s);
	assert_opens(&v, both, 2);
	/* Something forbidden as well: nothing is opened. */
	scene_code(s, CODE, movsq, sizeof(movsq));
	scene_regs(s)->rsi = DATA;
	scene_regs(s)->rdi = FREE;
	scene_limit(s, FREE, 0);
	v = locate(s);
	assert_caught(&v, 1, MEM_WRITE, FREE, FREE);
}

/* Code that only one mode may execute is closed to the host's hardware, but not to that mode. */
static void test_allowed_fetch(void **state)
{
	const struct violation_page code[] = {{CODE >> 12, PROT_R | PROT_KX | PROT_UX}};
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE, store_rax, sizeof(store_rax));
	assert_int_equal(memory_limit_default(&s->p.memory, 1, PROT_ALL), 0);
	assert_int_equal(memory_set_mbec(&s->p.memory, 0, true), 0);
	scene_limit(s, CODE, PROT_R | PROT_KX);
	v = locate(s);
	assert_opens(&v, code, 1);
	scene_sregs(s)->ss.dpl = 3;
	v = locate(s);
	assert_caught(&v, 1, MEM_EXECUTE, CODE, CODE);
}

/* The guest's own page fault ends the instruction; pages opened so far are all it needs. */
static void test_guest_fault(void **state)
{
	const struct violation_page code[] = {{PT >> 12, PROT_ALL}};
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE, movsq, sizeof(movsq));
	scene_regs(s)->rsi = DATA;
	scene_regs(s)->rdi = FREE;
	*scene_pte(s, DATA) = 0;
	scene_limit(s, FREE, 0);
	scene_limit(s, PT, PROT_R | PROT_W);
	v = locate(s);
	assert_opens(&v, code, 1);
}

/* The processor may walk tables with write accesses: everything touched is opened for it. */
static void test_unexplained(void **state)
{
	const prot_t read = PROT_R | PROT_KX | PROT_UX, write = read | PROT_W;
	const struct violation_page pages[] = {{PML4 >> 12, write}, {PDPT >> 12, write},
					       {PD >> 12, write},   {PT >> 12, write},
					       {CODE >> 12, read},  {DATA >> 12, write}};
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE, store_rax, sizeof(store_rax));
	scene_limit(s, PT, PROT_R | PROT_KX | PROT_UX);
	v = locate(s);
	assert_opens(&v, pages, ARRAY_SIZE(pages));
}

/* So may it a table whose entry it then finds not to be present, or not to permit the access. */
static void test_guest_fault_of_closed_table(void **state)
{
	const prot_t read = PROT_R | PROT_KX | PROT_UX, write = read | PROT_W;
	const struct violation_page pages[] = {{PML4 >> 12, write}, {PDPT >> 12, write},
					       {PD >> 12, write},   {PT >> 12, write},
					       {CODE >> 12, read},  {FREE >> 12, write}};
	static const uint64_t entries[] = {0, DATA | PTE_P | PTE_A};
	struct scene *s = *state;
	uint64_t *table = (uint64_t *)(s->x.mem + FREE);
	struct violation v;

	scene_code(s, CODE, store_rax, sizeof(store_rax));
	scene_regs(s)->rax = UINT64_C(1) << 21;
	scene_sregs(s)->cr0 |= 1 << 16;
	((uint64_t *)(s->x.mem + PD))[1] = FREE | PTE_ALL;
	for (unsigned i = 0; i < ARRAY_SIZE(entries); i++) {
		table[0] = entries[i];
		scene_limit(s, FREE, PROT_R | PROT_KX | PROT_UX);
		v = locate(s);
		assert_opens(&v, pages, ARRAY_SIZE(pages));
		scene_limit(s, FREE, PROT_R | PROT_W);
		v = locate(s);
		assert_opens(&v, &pages[5], 1);
	}
}

static void test_vmm(void **state)
{
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE, store_rax, sizeof(store_rax));
	/* No VTL restricts anything. */
	v = locate(s);
	assert_nothing(&v);
	scene_limit(s, FREE, 0);
	scene_regs(s)->rax = LINEAR_HOLE;
	v = locate(s);
	assert_nothing(&v);
	scene_regs(s)->rax = LINEAR_ROM;
	v = locate(s);
	assert_nothing(&v);
}

/* An overlay's own permissions. */
static void test_overlay(void **state)
{
	struct scene *s = *state;
	struct overlay *o = overlay_create(&s->p.memory, 0, PROT_R | PROT_KX | PROT_UX);
	struct violation v;

	assert_non_null(o);
	assert_int_equal(overlay_enable(&s->p.memory, o, DATA >> 12), 0);
	scene_code(s, CODE, store_rax, sizeof(store_rax));
	v = locate(s);
	assert_int_equal(v.setter, 0);
	assert_true(v.overlay);
	assert_false(v.allowed_here);
	assert_int_equal(v.gpa.addr, DATA);
}

/* What cannot be decoded is not let through. */
static void test_unknown_operands(void **state)
{
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE, gather, sizeof(gather));
	v = locate(s);
	assert_nothing(&v);
	scene_limit(s, DATA, 0);
	v = locate(s);
	assert_int_equal(v.setter, 1);
	assert_int_equal(v.access, MEM_READ);
	assert_int_equal(v.gpa.addr, CODE);
	assert_false(v.gva_valid);
	assert_int_equal(v.insn_length, sizeof(gather));
}

/* KVM could not emulate the instruction and queued #UD: the guest must not get it. */
static void test_emulation_failure(void **state)
{
	static const struct fake_step steps[] = {
		{.kind = FAKE_STORE,
		 .flags = FAKE_NO_EMULATION,
		 .gva = DATA,
		 .size = 32,
		 .bytes = zeros,
		 .length = 4},
		{.kind = FAKE_HLT},
	};
	struct scene *s = *state;
	struct kvm_vcpu_events *events;
	struct violation v;

	fake_kvm_set_flags(s->x.fake, FAKE_EMULATES);
	scene_code(s, CODE, vector_store, sizeof(vector_store));
	scene_limit(s, DATA, PROT_R | PROT_KX | PROT_UX);
	scene_script(s, steps, ARRAY_SIZE(steps));
	assert_int_equal(scene_run(s), 0);
	assert_int_equal(scene_cpu(s)->run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
	v = locate(s);
	assert_caught(&v, 1, MEM_WRITE, DATA, DATA);
	assert_int_equal(vtl_cpu_events(scene_cpu(s), &events), 0);
	assert_false(events->exception.injected || events->exception.pending);
	scene_limit(s, DATA, PROT_ALL);
	assert_int_equal(scene_run(s), 0);
	assert_int_equal(fake_vcpu_delivered(s->x.fake, scene_cpu(s)->fd, NULL, 0), 0);
}

/* Relaxed: what can be read can be fetched; what cannot is still a fetch that is forbidden. */
static void test_relaxed(void **state)
{
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE, store_rax, sizeof(store_rax));
	scene_limit(s, CODE, PROT_R);
	scene_limit(s, DATA, PROT_R);
	v = locate(s);
	assert_caught(&v, 1, MEM_WRITE, DATA, DATA);
	assert_int_equal(v.insn_length, 3);
	scene_limit(s, CODE, 0);
	v = locate(s);
	assert_caught(&v, 1, MEM_EXECUTE, CODE, CODE);
}

/* --- event delivery --- */

#define IDT	 0x50000u
#define GDT	 0x51000u
#define TSS	 0x52000u
#define LDT	 0x53000u
#define OTHER	 0x60000u /* another stack */
#define VECTOR	 0x80u
#define SELECTOR 8u

static void put(struct scene *s, uint64_t at, uint64_t value, size_t size)
{
	memcpy(s->x.mem + at, &value, size);
}

/* Tables for delivery in the processor's present mode; `ist`: of the gate. */
static void set_up_delivery(struct scene *s, unsigned gate_size, unsigned ist)
{
	struct kvm_sregs *sregs = scene_sregs(s);
	uint64_t gate = IDT + gate_size * VECTOR;

	sregs->idt.base = IDT;
	sregs->gdt.base = GDT;
	sregs->ldt.base = LDT;
	sregs->tr.base = TSS;
	put(s, gate + 2, SELECTOR, 2);
	put(s, gate + 4, ist | 0x8e00, 4);
	/* Code at DPL 0, and a stack segment with a base for 32-bit mode. */
	put(s, GDT + SELECTOR, UINT64_C(0x00af9b000000ffff), 8);
	put(s, LDT + 16, UINT64_C(0x00cf93001000ffff), 8);
	scene_code(s, CODE, "\x90", 1);
	scene_limit(s, FREE, 0);
}

static void inject(struct scene *s)
{
	struct kvm_vcpu_events *events;

	assert_int_equal(vtl_cpu_events(scene_cpu(s), &events), 0);
	memset(events, 0, sizeof(*events));
	events->interrupt.injected = 1;
	events->interrupt.nr = VECTOR;
}

static void assert_frame(struct scene *s, uint64_t page, uint64_t at)
{
	struct violation v;

	scene_limit(s, page, READ_ONLY);
	v = locate(s);
	assert_caught(&v, 1, MEM_WRITE, at, at);
	assert_int_equal(v.insn_length, 0);
	scene_limit(s, page, PROT_ALL);
}

static void assert_reads(struct scene *s, uint64_t at)
{
	struct violation v;

	scene_limit(s, at, 0);
	v = locate(s);
	assert_caught(&v, 1, MEM_READ, at, at);
	scene_limit(s, at, PROT_ALL);
}

static void test_delivery(void **state)
{
	const struct violation_page stack[] = {{(STACK - 1) >> 12, PROT_ALL}};
	struct scene *s = *state;
	struct kvm_vcpu_events *events;
	struct violation v;

	set_up_delivery(s, 16, 0);
	inject(s);
	scene_regs(s)->rsp = STACK - 3;
	assert_reads(s, IDT + 16 * VECTOR);
	assert_reads(s, GDT + SELECTOR);
	assert_frame(s, STACK - 1, STACK - 16 - 40);
	/* Closed for its execute permission only: what every interrupt does under `strict`. */
	scene_limit(s, STACK - 1, PROT_R | PROT_W);
	v = locate(s);
	assert_opens(&v, stack, 1);
	scene_limit(s, STACK - 1, PROT_ALL);
	/* Exceptions come first, some with an error code; NMIs have a vector of their own. */
	assert_int_equal(vtl_cpu_events(scene_cpu(s), &events), 0);
	events->exception.injected = 1;
	events->exception.nr = VECTOR;
	events->exception.has_error_code = 1;
	events->interrupt.nr = 1;
	assert_frame(s, STACK - 1, STACK - 16 - 48);
	events->exception.injected = 0;
	events->nmi.injected = 1;
	assert_reads(s, IDT + 16 * 2);
}

static void test_delivery_stacks(void **state)
{
	struct scene *s = *state;

	set_up_delivery(s, 16, 0);
	inject(s);
	/* From user mode, the stack of the TSS. */
	scene_sregs(s)->ss.dpl = 3;
	put(s, TSS + 4, OTHER + 0x100, 8);
	assert_reads(s, TSS + 4);
	assert_frame(s, OTHER, OTHER + 0x100 - 40);
	/* An interrupt stack table entry, whatever the mode. */
	put(s, IDT + 16 * VECTOR + 4, 3, 1);
	put(s, TSS + 0x24 + 16, OTHER + 0x200, 8);
	assert_reads(s, TSS + 0x24 + 16);
	assert_frame(s, OTHER, OTHER + 0x200 - 40);
	scene_sregs(s)->ss.dpl = 0;
	assert_frame(s, OTHER, OTHER + 0x200 - 40);
}

static void test_delivery_32(void **state)
{
	struct scene *s = *state;
	struct kvm_sregs *sregs = scene_sregs(s);

	sregs->efer = 0;
	sregs->cr0 = 1;
	sregs->cs.l = 0;
	sregs->cs.db = 1;
	set_up_delivery(s, 8, 0);
	inject(s);
	assert_reads(s, IDT + 8 * VECTOR);
	assert_frame(s, STACK - 1, STACK - 12);
	sregs->ss.dpl = 3;
	put(s, TSS + 4, OTHER, 4);
	put(s, TSS + 8, 16 | 4, 4);
	assert_reads(s, TSS + 4);
	assert_reads(s, LDT + 16);
	assert_frame(s, OTHER + 0xfff, OTHER + 0x1000 - 20);
	/* A 16-bit gate, and a task gate, whose frame is nowhere. */
	put(s, IDT + 8 * VECTOR + 5, 0x86, 1);
	assert_frame(s, OTHER + 0xfff, OTHER + 0x1000 - 10);
	put(s, IDT + 8 * VECTOR + 5, 0x85, 1);
	assert_reads(s, IDT + 8 * VECTOR);
}

static void test_delivery_real(void **state)
{
	struct scene *s = *state;
	struct kvm_sregs *sregs = scene_sregs(s);

	sregs->efer = 0;
	sregs->cr0 = 0;
	sregs->cs.l = 0;
	set_up_delivery(s, 4, 0);
	inject(s);
	sregs->ss.base = OTHER;
	scene_regs(s)->rsp = 0xabc0100;
	assert_reads(s, IDT + 4 * VECTOR);
	assert_frame(s, OTHER, OTHER + 0x100 - 6);
}

/* INT n delivers when it is the instruction itself. */
static void test_software_interrupt(void **state)
{
	struct scene *s = *state;
	struct violation v;

	set_up_delivery(s, 16, 0);
	scene_code(s, CODE, "\xcd\x80", 2);
	scene_limit(s, STACK - 1, READ_ONLY);
	v = locate(s);
	assert_caught(&v, 1, MEM_WRITE, STACK - 40, STACK - 40);
	assert_int_equal(v.insn_length, 2);
	scene_code(s, CODE, "\xcc", 1);
	assert_reads(s, IDT + 16 * 3);
	scene_code(s, CODE, "\xf1", 1);
	assert_reads(s, IDT + 16 * 1);
}

static void test_kernel_errors(void **state)
{
	struct scene *s = *state;
	struct violation v;

	vtl_cpu_forget(scene_cpu(s));
	fake_kvm_fail(s->x.fake, FAKE_OP_get_regs, 1, EIO);
	assert_int_equal(intercept_locate(&s->vp, &v), -EIO);
	fake_kvm_fail(s->x.fake, FAKE_OP_get_sregs, 1, EIO);
	assert_int_equal(intercept_locate(&s->vp, &v), -EIO);
	fake_kvm_fail(s->x.fake, FAKE_OP_get_vcpu_events, 1, EIO);
	assert_int_equal(intercept_locate(&s->vp, &v), -EIO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_load),
		TEST(test_store),
		TEST(test_setters),
		TEST(test_order),
		TEST(test_page_crossing),
		TEST(test_wrap),
		TEST(test_fetch),
		TEST(test_fetch_crossing),
		TEST(test_tables),
		TEST(test_allowed),
		TEST(test_allowed_fetch),
		TEST(test_guest_fault),
		TEST(test_unexplained),
		TEST(test_guest_fault_of_closed_table),
		TEST(test_vmm),
		TEST(test_overlay),
		TEST(test_unknown_operands),
		TEST(test_emulation_failure),
		TEST(test_delivery),
		TEST(test_delivery_stacks),
		TEST(test_delivery_32),
		TEST(test_delivery_real),
		TEST(test_software_interrupt),
		TEST(test_kernel_errors),
		cmocka_unit_test_setup_teardown(test_relaxed, start_relaxed, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
