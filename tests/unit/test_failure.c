/* SPDX-License-Identifier: MIT */
/* Deliveries that KVM gave up: an internal error -> the access of the delivery (failure.c). */
#include "intercept_fixture.h"
#include "intercept/failure.h"
#include "intercept/intercept.h"

#define READ_ONLY ((prot_t)(PROT_R | PROT_KX | PROT_UX))
#define IDT	  0x50000u
#define GDT	  0x51000u
#define HANDLER	  0x60000u
#define IST	  0x70000u /* #DF's stack */
#define TSS	  0x52000u

#define NPF	  UINT64_C(0x400)
#define EPT	  UINT64_C(48)
#define MISCONFIG UINT64_C(49)
#define VALID	  UINT64_C(0x80000000)
#define WITH_CODE UINT64_C(0x800)
#define INTERRUPT UINT64_C(0)
#define NMI	  UINT64_C(0x200)
#define EXCEPTION UINT64_C(0x300)
#define SOFTWARE  UINT64_C(0x400)

static void put(struct scene *s, uint64_t at, uint64_t value)
{
	memcpy(s->x.mem + at, &value, sizeof(value));
}

static void put_gate(struct scene *s, unsigned vector, unsigned ist)
{
	put(s, IDT + 16 * vector,
	    HANDLER % 0x10000 | 8 << 16 | UINT64_C(0x8e00) << 32 | (uint64_t)ist << 32 |
		    (uint64_t)(HANDLER & 0xffff0000) << 32);
}

static int start(void **state)
{
	static struct scene scene;
	struct scene *s = &scene;

	scene_start(s, VSM_ENFORCEMENT_SLOTS, VSM_EXEC_STRICT);
	scene_sregs(s)->idt = (struct kvm_dtable){.base = IDT, .limit = 0xfff};
	scene_sregs(s)->gdt = (struct kvm_dtable){.base = GDT, .limit = 0xfff};
	scene_sregs(s)->tr = (struct kvm_segment){.base = TSS, .limit = 0x67};
	vtl_cpu_dirty(scene_cpu(s), CPU_SREGS);
	put(s, GDT + 8, UINT64_C(0x00af9b000000ffff));
	put(s, TSS + 0x24, IST + 0x1000);
	for (unsigned vector = 0; vector < 256; vector++)
		put_gate(s, vector, vector == 8);
	scene_limit(s, STACK - 8, READ_ONLY);
	*state = s;
	return 0;
}

static int stop(void **state)
{
	scene_stop(*state);
	return 0;
}

static struct kvm_run error(uint32_t suberror, uint64_t reason, uint64_t info_2, uint64_t event)
{
	struct kvm_run run = {.exit_reason = KVM_EXIT_INTERNAL_ERROR};

	run.internal.suberror = suberror;
	run.internal.ndata = 8;
	run.internal.data[0] = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	run.internal.data[3] = reason;
	run.internal.data[5] = info_2;
	run.internal.data[6] = event;
	run.internal.data[7] = 0x1234;
	return run;
}

static struct kvm_run npf(uint64_t event)
{
	return error(KVM_INTERNAL_ERROR_EMULATION, NPF, 0, VALID | event);
}

/* The same without the last word. */
static struct kvm_run cut_short(struct kvm_run run)
{
	run.internal.ndata--;
	return run;
}

/* KVM_RUN ends so at the instruction; what caused it. */
static struct violation locate(struct scene *s, const void *code, size_t size,
			       const struct kvm_run *raw)
{
	const struct fake_step step = {.kind = FAKE_EXIT, .raw = raw};
	struct violation v;

	scene_code(s, CODE, code, size);
	scene_script(s, &step, 1);
	assert_int_equal(scene_run(s), 0);
	assert_int_equal(scene_cpu(s)->run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
	assert_int_equal(intercept_locate(&s->vp, &v), 0);
	return v;
}

static const uint8_t nop[] = {0x90};
static const uint8_t ud2[] = {0x0f, 0x0b};
static const uint8_t no_code[] = {0x06}; /* push %es: not in 64-bit mode */

static struct kvm_vcpu_events *events(struct scene *s)
{
	struct kvm_vcpu_events *e;

	assert_int_equal(vtl_cpu_events(scene_cpu(s), &e), 0);
	return e;
}

static void assert_frame(const struct violation *v, uint64_t at)
{
	assert_int_equal(v->setter, 1);
	assert_int_equal(v->access, MEM_WRITE);
	assert_int_equal(v->gpa.addr, at);
	assert_true(v->gva_valid && v->delivers);
	assert_false(v->allowed_here || v->overlay);
}

static void assert_nothing(const struct violation *v)
{
	assert_false(v->setter || v->allowed_here || v->overlay);
}

/* The exception that KVM dropped is queued again: opened, it is delivered. */
static void test_exception(void **state)
{
	static const struct fake_step hlt = {.kind = FAKE_HLT};
	const struct kvm_run raw = npf(EXCEPTION | WITH_CODE | VECTOR_PF);
	struct scene *s = *state;
	struct fake_event event;
	struct violation v = locate(s, nop, sizeof(nop), &raw);

	assert_frame(&v, STACK - 48);
	assert_int_equal(v.vector, VECTOR_PF);
	assert_int_equal(fake_vcpu_delivered(s->x.fake, scene_cpu(s)->fd, NULL, 0), 0);
	scene_limit(s, STACK - 8, PROT_ALL);
	scene_script(s, &hlt, 1);
	assert_int_equal(scene_run(s), 0);
	assert_int_equal(fake_vcpu_delivered(s->x.fake, scene_cpu(s)->fd, &event, 1), 1);
	assert_int_equal(event.vector, VECTOR_PF);
	assert_true(event.has_error_code);
	assert_int_equal(event.error_code, 0x1234);
	assert_int_equal(event.rip, CODE);
}

/* Nothing is queued that was not: interrupts and NMIs still are. */
static void test_interrupt(void **state)
{
	static const uint64_t kinds[] = {INTERRUPT | 0x80, NMI | 2};
	struct scene *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct kvm_run raw = npf(kinds[i]);
		struct violation v = locate(s, nop, sizeof(nop), &raw);

		assert_frame(&v, STACK - 40);
		assert_false(events(s)->exception.injected);
	}
}

/* Intel's form; the error code of another exit is not taken for the event's. */
static void test_intel(void **state)
{
	const struct kvm_run plain =
		error(KVM_INTERNAL_ERROR_EMULATION, EPT, VALID | EXCEPTION | 5, 0);
	const struct kvm_run coded = error(KVM_INTERNAL_ERROR_EMULATION, EPT,
					   VALID | EXCEPTION | WITH_CODE | VECTOR_GP, 0);
	const struct kvm_run misconfigured =
		error(KVM_INTERNAL_ERROR_EMULATION, MISCONFIG, VALID | EXCEPTION | 6, 0);
	struct scene *s = *state;
	struct violation v = locate(s, nop, sizeof(nop), &coded);

	assert_frame(&v, STACK - 48);
	assert_false(events(s)->exception.injected);
	v = locate(s, nop, sizeof(nop), &plain);
	assert_frame(&v, STACK - 40);
	assert_true(events(s)->exception.injected);
	assert_int_equal(events(s)->exception.nr, 5);
	assert_false(events(s)->exception.has_error_code);
	events(s)->exception.injected = 0;
	v = locate(s, nop, sizeof(nop), &misconfigured);
	assert_frame(&v, STACK - 40);
	assert_int_equal(events(s)->exception.nr, 6);
}

/* What needs no words: an undefined instruction. */
static void test_undefined(void **state)
{
	struct kvm_run raw = npf(0);
	struct scene *s = *state;
	struct violation v;

	raw.internal.ndata = 0;
	v = locate(s, ud2, sizeof(ud2), &raw);
	assert_frame(&v, STACK - 40);
	assert_int_equal(v.vector, VECTOR_UD);
	v = locate(s, no_code, sizeof(no_code), &raw);
	assert_frame(&v, STACK - 40);
	v = locate(s, nop, sizeof(nop), &raw);
	assert_nothing(&v);
}

/*
 * Words that are not true are nobody's reason: another stack, another exit, nothing valid, a word
 * missing.
 */
static void test_not_believed(void **state)
{
	const struct kvm_run raws[] = {
		cut_short(npf(EXCEPTION | WITH_CODE | VECTOR_PF)),
		npf(EXCEPTION | WITH_CODE | 8),
		npf(SOFTWARE | 0x80),
		npf(EXCEPTION | 32),
		npf(EXCEPTION | 2),
		error(KVM_INTERNAL_ERROR_EMULATION, NPF, 0, EXCEPTION | VECTOR_PF),
		error(KVM_INTERNAL_ERROR_EMULATION, 0x60, 0, VALID | EXCEPTION | VECTOR_PF),
	};
	struct scene *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(raws); i++) {
		struct violation v = locate(s, nop, sizeof(nop), &raws[i]);

		assert_nothing(&v);
		assert_false(events(s)->exception.injected);
	}
}

/* The instruction's own access is told where the delivery's are open. */
static void test_instruction(void **state)
{
	static const uint8_t load_rax[] = {0x48, 0x8b, 0x00};
	const struct kvm_run raw = npf(EXCEPTION | WITH_CODE | 8);
	struct scene *s = *state;
	struct violation v;

	scene_limit(s, DATA, 0);
	v = locate(s, load_rax, sizeof(load_rax), &raw);
	assert_int_equal(v.setter, 1);
	assert_int_equal(v.gpa.addr, DATA);
	assert_false(v.delivers);
	assert_int_equal(v.insn_length, 3);
	assert_false(events(s)->exception.injected);
}

/* What is not found by decoding is told as KVM shows it: an access, without a GVA. */
static void test_shown(void **state)
{
	static const struct {
		uint64_t info_1, gpa;
		enum mem_access access;
	} rows[] = {
		{4, DATA + 8, MEM_READ},   {6, DATA + 16, MEM_WRITE},
		{0x14, DATA, MEM_EXECUTE}, {6, FREE, 0},
		{6, SCENE_HOLE << 12, 0},
	};
	struct scene *s = *state;

	scene_limit(s, STACK - 8, PROT_ALL);
	scene_limit(s, DATA, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct kvm_run raw = error(KVM_INTERNAL_ERROR_EMULATION, NPF, 0, 0);
		struct violation v;

		raw.internal.data[4] = rows[i].info_1;
		raw.internal.data[5] = rows[i].gpa;
		v = locate(s, nop, sizeof(nop), &raw);
		assert_false(v.gva_valid || v.allowed_here);
		assert_int_equal(v.setter, rows[i].gpa - DATA < 4096);
		if (!v.setter)
			continue;
		assert_int_equal(v.gpa.addr, rows[i].gpa);
		assert_int_equal(v.access, rows[i].access);
	}
}

/* Page tables that may only be read are walked with write accesses: what met them is stepped. */
static void test_read_only_tables(void **state)
{
	const struct kvm_run none = error(KVM_INTERNAL_ERROR_EMULATION, NPF, 0, 0);
	const struct kvm_run exception = npf(EXCEPTION | VECTOR_UD);
	const struct kvm_run unknown = error(KVM_INTERNAL_ERROR_EMULATION, EPT,
					     VALID | EXCEPTION | WITH_CODE | VECTOR_GP, 0);
	struct scene *s = *state;
	struct violation v;

	scene_limit(s, STACK - 8, PROT_ALL);
	scene_limit(s, PT, READ_ONLY);
	v = locate(s, nop, sizeof(nop), &none);
	assert_true(v.allowed_here);
	assert_false(v.setter || v.delivers || v.guessed);
	v = locate(s, nop, sizeof(nop), &exception);
	assert_true(v.allowed_here && v.delivers);
	assert_false(v.guessed);
	assert_int_equal(v.vector, VECTOR_UD);
	assert_true(events(s)->exception.injected);
	/* Nobody could deliver it right: the instruction comes again. */
	events(s)->exception.injected = 0;
	v = locate(s, nop, sizeof(nop), &unknown);
	assert_true(v.allowed_here);
	assert_false(v.delivers || v.guessed || events(s)->exception.injected);
}

/* Linux 6.14 and kvm_intel: the event is still queued. */
static void test_delivery_error(void **state)
{
	const struct kvm_run raw = error(KVM_INTERNAL_ERROR_DELIVERY_EV, 0, 0, 0);
	struct scene *s = *state;
	struct violation v = locate(s, ud2, sizeof(ud2), &raw);

	/* Not a failed emulation: what is at RIP does not matter. */
	assert_false(v.setter);
	events(s)->exception.injected = 1;
	events(s)->exception.nr = VECTOR_UD;
	assert_int_equal(intercept_locate(&s->vp, &v), 0);
	assert_frame(&v, STACK - 40);
}

/* INT n that KVM has queued is at RIP, as long as nobody moves that. */
static void test_software_interrupt(void **state)
{
	static const uint8_t interrupt[] = {0xcd, 0x80};
	struct scene *s = *state;
	struct violation v;

	scene_code(s, CODE, interrupt, sizeof(interrupt));
	events(s)->interrupt.injected = 1;
	events(s)->interrupt.soft = 1;
	events(s)->interrupt.nr = 0x80;
	assert_int_equal(intercept_locate(&s->vp, &v), 0);
	assert_frame(&v, STACK - 40);
	assert_int_equal(v.insn_length, 2);
	scene_code(s, CODE, nop, sizeof(nop));
	assert_int_equal(intercept_locate(&s->vp, &v), 0);
	assert_frame(&v, STACK - 40);
	assert_int_equal(v.insn_length, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_exception),	   TEST(test_interrupt),
		TEST(test_intel),	   TEST(test_undefined),
		TEST(test_not_believed),   TEST(test_instruction),
		TEST(test_shown),	   TEST(test_read_only_tables),
		TEST(test_delivery_error), TEST(test_software_interrupt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
