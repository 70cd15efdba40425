/* SPDX-License-Identifier: MIT */
/* Descriptors that instructions read: by selectors in registers and in memory, and their marks. */
#include "intercept_fixture.h"
#include "intercept/intercept.h"

#define READ_ONLY ((prot_t)(PROT_R | PROT_KX | PROT_UX))
#define GDT	  0x50000u
#define LDT	  0x51000u
#define FRAME	  0x60000u
#define FAR_PTR	  0x70000u /* in RAX */

#define CODE_0	  UINT64_C(0x00af9b000000ffff)
#define CODE_3	  UINT64_C(0x00affb000000ffff)
#define DATA_0	  UINT64_C(0x00cf93000000ffff)
#define FRESH	  UINT64_C(0x00cf92000000ffff) /* data, not accessed */
#define ABSENT	  UINT64_C(0x00cf12000000ffff)
#define TSS_64	  UINT64_C(0x0000890000000067)
#define TSS_BUSY  UINT64_C(0x00008b0000000067)

static void put(struct scene *s, uint64_t at, uint64_t value, size_t size)
{
	memcpy(s->x.mem + at, &value, size);
}

static int start(void **state)
{
	static const uint64_t table[] = {0,	 CODE_0,   DATA_0, FRESH,
					 TSS_64, TSS_BUSY, CODE_3, ABSENT};
	static struct scene scene;
	struct scene *s = &scene;

	scene_start(s, VSM_ENFORCEMENT_ALIAS, VSM_EXEC_STRICT);
	scene_sregs(s)->gdt = (struct kvm_dtable){.base = GDT, .limit = 0xfff};
	scene_sregs(s)->ldt = (struct kvm_segment){.base = LDT, .limit = 0xfff};
	memcpy(s->x.mem + GDT, table, sizeof(table));
	memcpy(s->x.mem + LDT, table, sizeof(table));
	scene_regs(s)->rsp = FRAME;
	scene_regs(s)->rax = FAR_PTR;
	/* Something is limited, whatever the test does. */
	scene_limit(s, FREE, 0);
	*state = s;
	return 0;
}

static int start_32(void **state)
{
	struct kvm_sregs *sregs;

	start(state);
	sregs = scene_sregs(*state);
	sregs->efer = 0;
	sregs->cr0 = CPU_CR0_PE;
	sregs->cs.l = 0;
	sregs->cs.db = 1;
	sregs->ss.db = 1;
	return 0;
}

static int stop(void **state)
{
	scene_stop(*state);
	return 0;
}

#define RUN(s, text) scene_code(s, CODE, text, sizeof(text) - 1)

/* 0: with `page` left `mask` the instruction is not in its way; else the GPA told. */
static uint64_t hit(struct scene *s, uint64_t page, prot_t mask, enum mem_access access)
{
	struct violation v;

	scene_limit(s, page, mask);
	assert_int_equal(intercept_locate(&s->vp, &v), 0);
	scene_limit(s, page, PROT_ALL);
	if (!v.setter)
		return 0;
	assert_int_equal(v.access, access);
	assert_true(v.gva_valid);
	assert_int_equal(v.gva.addr, v.gpa.addr);
	return v.gpa.addr;
}

static uint64_t read_of(struct scene *s, uint64_t page)
{
	return hit(s, page, 0, MEM_READ);
}

static uint64_t mark_in(struct scene *s, uint64_t page)
{
	return hit(s, page, READ_ONLY, MEM_WRITE);
}

static void put_frame(struct scene *s, unsigned word, uint16_t cs, unsigned ss_at, uint16_t ss)
{
	memset(s->x.mem + FRAME, 0, 64);
	put(s, FRAME + word, cs, 2);
	put(s, FRAME + ss_at, ss, 2);
}

#define IRETQ "\x48\xcf"
#define IRETD "\xcf"
#define RETFQ "\x48\xcb"
#define RETFD "\xcb"

/* In 64-bit mode both selectors are popped, whatever the ring. */
static void test_iret(void **state)
{
	struct scene *s = *state;

	RUN(s, IRETQ);
	put_frame(s, 8, 8, 32, 0x10 | 4);
	assert_int_equal(read_of(s, FRAME), FRAME);
	assert_int_equal(read_of(s, GDT), GDT + 8);
	assert_int_equal(read_of(s, LDT), LDT + 0x10);
	/* A null SS names none. */
	put_frame(s, 8, 8, 32, 3);
	assert_int_equal(read_of(s, LDT), 0);
	RUN(s, IRETD);
	put_frame(s, 4, 8, 16, 0x10 | 4);
	assert_int_equal(read_of(s, GDT), GDT + 8);
	assert_int_equal(read_of(s, LDT), LDT + 0x10);
}

static void test_retf(void **state)
{
	struct scene *s = *state;

	RUN(s, RETFQ);
	put_frame(s, 8, 8, 24, 0x10 | 4);
	assert_int_equal(read_of(s, GDT), GDT + 8);
	assert_int_equal(read_of(s, LDT), 0);
	/* To an outer ring. */
	put_frame(s, 8, 0x30 | 3, 24, 0x10 | 4);
	assert_int_equal(read_of(s, GDT), GDT + 0x30);
	assert_int_equal(read_of(s, LDT), LDT + 0x10);
	/* What is popped for it lies behind the parameters. */
	RUN(s, "\x48\xca\x00\x10"); /* lretq $0x1000 */
	assert_int_equal(read_of(s, FRAME + 0x1000), FRAME + 0x1010);
	put(s, FRAME + 24, 0, 2);
	put(s, FRAME + 0x1018, 0x10 | 4, 2);
	assert_int_equal(read_of(s, LDT), LDT + 0x10);
	put_frame(s, 8, 8, 24, 0);
	assert_int_equal(read_of(s, FRAME + 0x1000), 0);
}

static void test_return_32(void **state)
{
	struct scene *s = *state;

	/* Three words, and two more only to an outer ring. */
	scene_regs(s)->rsp = FRAME + 0x1000 - 12;
	RUN(s, IRETD);
	put(s, FRAME + 0x1000 - 8, 8, 2);
	put(s, FRAME + 0x1004, 0x10 | 4, 2);
	assert_int_equal(read_of(s, FRAME + 0x1000), 0);
	assert_int_equal(read_of(s, GDT), GDT + 8);
	put(s, FRAME + 0x1000 - 8, 0x30 | 3, 2);
	assert_int_equal(read_of(s, FRAME + 0x1000), FRAME + 0x1000);
	assert_int_equal(read_of(s, LDT), LDT + 0x10);
	scene_regs(s)->rflags |= 1 << 14; /* a task's return */
	assert_int_equal(read_of(s, GDT), 0);
	scene_regs(s)->rsp = FRAME;
	RUN(s, RETFD);
	put_frame(s, 4, 0x30 | 3, 12, 0x10 | 4);
	assert_int_equal(read_of(s, LDT), LDT + 0x10);
	RUN(s, "\x07"); /* pop %es */
	put(s, FRAME, 0x10, 2);
	assert_int_equal(read_of(s, GDT), GDT + 0x10);
	scene_sregs(s)->cr0 = 0;
	assert_int_equal(read_of(s, GDT), 0);
}

static void test_selector_in_memory(void **state)
{
	static const struct {
		const char *code;
		unsigned length, at; /* of the selector, from FAR_PTR */
	} rows[] = {
		{"\x8e\x00", 2, 0},	    /* mov (%rax), %es */
		{"\x48\x0f\xb2\x08", 4, 8}, /* lss (%rax), %rcx */
		{"\x0f\xb4\x08", 3, 4},	    /* lfs (%rax), %ecx */
		{"\xff\x28", 2, 4},	    /* ljmp *(%rax) */
		{"\x48\xff\x28", 3, 8},	    /* rex.w ljmp */
		{"\xff\x18", 2, 4},	    /* lcall *(%rax) */
		{"\x0f\x00\x10", 3, 0},	    /* lldt (%rax) */
		{"\x0f\x00\x18", 3, 0},	    /* ltr (%rax) */
		{"\x0f\x02\x08", 3, 0},	    /* lar (%rax), %ecx */
		{"\x0f\x00\x20", 3, 0},	    /* verr (%rax) */
	};
	struct scene *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		scene_code(s, CODE, rows[i].code, rows[i].length);
		memset(s->x.mem + FAR_PTR, 0, 16);
		put(s, FAR_PTR + rows[i].at, 0x10, 2);
		assert_int_equal(read_of(s, GDT), GDT + 0x10);
		assert_int_equal(read_of(s, FAR_PTR), FAR_PTR);
	}
	RUN(s, "\x0f\xa1"); /* pop %fs */
	put(s, FRAME, 0x10, 2);
	assert_int_equal(read_of(s, GDT), GDT + 0x10);
	/* Not a selector's. */
	RUN(s, "\x8c\x00"); /* mov %es, (%rax) */
	assert_int_equal(read_of(s, GDT), 0);
	RUN(s, "\xff\x20"); /* jmp *(%rax) */
	assert_int_equal(read_of(s, GDT), 0);
	RUN(s, "\xc3");
	assert_int_equal(read_of(s, GDT), 0);
}

/* A call's frame is pushed when its descriptor has been read. */
static void test_order(void **state)
{
	struct scene *s = *state;

	RUN(s, "\xff\x18"); /* lcall *(%rax) */
	put(s, FAR_PTR + 4, 8, 2);
	scene_limit(s, FRAME - 8, READ_ONLY);
	assert_int_equal(read_of(s, GDT), GDT + 8);
	assert_int_equal(mark_in(s, GDT), FRAME - 8);
	scene_limit(s, FRAME - 8, PROT_ALL);
}

/* The accessed bit, and a TSS's busy bit, are set where they are not. */
static void test_marks(void **state)
{
	struct scene *s = *state;

	RUN(s, "\x8e\xc1"); /* mov %ecx, %es */
	scene_regs(s)->rcx = 0x18;
	assert_int_equal(mark_in(s, GDT), GDT + 0x18 + 5);
	scene_regs(s)->rcx = 0x10;
	assert_int_equal(mark_in(s, GDT), 0);
	scene_regs(s)->rcx = 0x38;
	assert_int_equal(mark_in(s, GDT), 0);
	scene_regs(s)->rcx = 0x20;
	assert_int_equal(mark_in(s, GDT), 0);
	RUN(s, "\x0f\x00\xd9"); /* ltr %cx */
	assert_int_equal(mark_in(s, GDT), GDT + 0x20 + 5);
	scene_regs(s)->rcx = 0x28;
	assert_int_equal(mark_in(s, GDT), 0);
	scene_regs(s)->rcx = 0x18;
	RUN(s, "\x0f\x02\xc1"); /* lar %cx, %eax */
	assert_int_equal(mark_in(s, GDT), 0);
	RUN(s, IRETQ);
	put_frame(s, 8, 8, 32, 0x18);
	assert_int_equal(mark_in(s, GDT), GDT + 0x18 + 5);
}

/* And when an event is delivered through a gate. */
static void test_delivery_marks(void **state)
{
	struct scene *s = *state;
	struct kvm_vcpu_events *e;

	scene_sregs(s)->idt = (struct kvm_dtable){.base = DATA, .limit = 0xfff};
	put(s, DATA + 16 * 6, 0x18 << 16 | UINT64_C(0x8e00) << 32, 8);
	RUN(s, "\x90");
	assert_int_equal(vtl_cpu_events(scene_cpu(s), &e), 0);
	e->exception.injected = 1;
	e->exception.nr = VECTOR_UD;
	assert_int_equal(mark_in(s, GDT), GDT + 0x18 + 5);
	put(s, DATA + 16 * 6 + 2, 8, 2);
	assert_int_equal(mark_in(s, GDT), 0);
	/* A gate without a segment is #GP. */
	put(s, DATA + 16 * 6 + 2, 0, 2);
	assert_int_equal(read_of(s, GDT), 0);
}

/* --- another VP changes the tables --- */

int __real_guest_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len,
		      enum mem_access access, bool user, struct access_fault *fault);
int __wrap_guest_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len,
		      enum mem_access access, bool user, struct access_fault *fault);
int __real_host_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len);
int __wrap_host_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len);

#define SECRET 0x80000u

/* Before the read of that number, `pte` leads to the secret. */
static struct {
	unsigned reads, at, read_secret;
	uint64_t *pte;
} race;

static void count_read(void)
{
	if (++race.reads == race.at)
		*race.pte = SECRET | PTE_ALL;
}

int __wrap_guest_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len,
		      enum mem_access access, bool user, struct access_fault *fault)
{
	int r;

	count_read();
	r = __real_guest_read(m, vtl, gpa, buf, len, access, user, fault);
	race.read_secret += !r && gpa_page(gpa) == SECRET >> 12;
	return r;
}

int __wrap_host_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len)
{
	count_read();
	race.read_secret += gpa_page(gpa) == SECRET >> 12;
	return __real_host_read(m, vtl, gpa, buf, len);
}

/* Whenever the page of a descriptor, a selector or the code turns into one that is closed. */
static void test_tables_change(void **state)
{
	static const uint64_t pages[] = {GDT, FAR_PTR, CODE};
	struct scene *s = *state;
	struct violation v;

	RUN(s, "\x8e\x00"); /* mov (%rax), %es */
	put(s, FAR_PTR, 0x10, 2);
	scene_limit(s, SECRET, 0);
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		race.pte = scene_pte(s, pages[i]);
		race.at = 0;
		do {
			race.reads = 0;
			race.at++;
			*race.pte = pages[i] | PTE_ALL;
			assert_int_equal(intercept_locate(&s->vp, &v), 0);
			assert_int_equal(race.read_secret, 0);
		} while (race.reads >= race.at);
		assert_true(race.at > 10);
	}
	race.at = 0;
}

#define TEST(name)    cmocka_unit_test_setup_teardown(name, start, stop)
#define TEST_32(name) cmocka_unit_test_setup_teardown(name, start_32, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_iret),	   TEST(test_retf),	     TEST_32(test_return_32),
		TEST(test_order),	   TEST(test_marks),	     TEST(test_selector_in_memory),
		TEST(test_delivery_marks), TEST(test_tables_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
