/* SPDX-License-Identifier: MIT */
/* A scene on a KVM that emulates guest code: one step to its MMIO exit, and what becomes of it. */
#ifndef VSM_TESTS_UNIT_MMIO_FIXTURE_H
#define VSM_TESTS_UNIT_MMIO_FIXTURE_H

#include "intercept_fixture.h"
#include "intercept/intercept.h"

#define READ_ONLY  ((prot_t)(PROT_R | PROT_KX | PROT_UX))
#define NO_EXECUTE ((prot_t)(PROT_R | PROT_W))

static struct scene scene;

/* The host with a KVM_RUN that also does what a test wants done inside it. */
static struct kvm_ops hooked_ops;
static struct kvm_host hooked_host;
static void (*run_hook)(struct scene *s, int result);

static inline int hooked_run(const struct kvm_host *h, int fd)
{
	int r = scene.x.host->ops->run(h, fd);

	if (run_hook)
		run_hook(&scene, r);
	return r;
}

static inline int start_with(void **state, enum vsm_enforcement enforcement)
{
	run_hook = NULL;
	scene_start(&scene, enforcement, VSM_EXEC_STRICT);
	/* A KVM that emulates guest code gives MMIO exits for closed host pages. */
	fake_kvm_set_flags(scene.x.fake, FAKE_EMULATES);
	hooked_ops = *scene.x.host->ops;
	hooked_ops.run = hooked_run;
	hooked_host = *scene.x.host;
	hooked_host.ops = &hooked_ops;
	scene_cpu(&scene)->host = &hooked_host;
	*state = &scene;
	return 0;
}

static inline int start(void **state)
{
	return start_with(state, VSM_ENFORCEMENT_SLOTS);
}

static inline int start_alias(void **state)
{
	return start_with(state, VSM_ENFORCEMENT_ALIAS);
}

static inline int stop(void **state)
{
	scene_stop(*state);
	return 0;
}

static inline void set_regs(struct scene *s, const struct kvm_regs *regs)
{
	*scene_regs(s) = *regs;
	vtl_cpu_dirty(scene_cpu(s), CPU_REGS);
}

/* Runs one step to its MMIO exit, and asks. */
static inline struct violation run_to_mmio(struct scene *s, const struct fake_step *step)
{
	struct violation v;

	memset(&v, 0xff, sizeof(v));
	scene_script(s, step, 1);
	assert_int_equal(scene_run(s), 0);
	assert_int_equal(scene_cpu(s)->run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(intercept_mmio(&s->vp, &v), 0);
	return v;
}

static inline void assert_violation(const struct violation *v, enum mem_access access, uint64_t gpa,
				    const void *insn, size_t length)
{
	assert_int_equal(v->setter, 1);
	assert_int_equal(v->access, access);
	assert_int_equal(v->gpa.addr, gpa);
	assert_int_equal(v->gva_valid, length != 0);
	assert_int_equal(v->insn_length, length);
	assert_int_equal(v->insn_count, length);
	assert_memory_equal(v->insn_bytes, insn, length);
	assert_false(v->served || v->overlay || v->allowed_here);
}

static inline uint64_t memory_at(struct scene *s, uint64_t at)
{
	uint64_t value;

	memcpy(&value, s->x.mem + at, sizeof(value));
	return value;
}

/* The guest goes on and halts: what state it has then is KVM's. */
static inline void settle(struct scene *s)
{
	static const struct fake_step halt = {.kind = FAKE_HLT};
	unsigned exits = 0;

	run_hook = NULL;
	scene_script(s, &halt, 1);
	do
		assert_int_equal(scene_run(s), 0);
	while (scene_cpu(s)->run->exit_reason != KVM_EXIT_HLT && ++exits < 4);
	assert_int_equal(scene_cpu(s)->run->exit_reason, KVM_EXIT_HLT);
}

static const uint8_t load_rcx[] = {0x48, 0x8b, 0x08};	  /* mov rcx, [rax] */
static const uint8_t store_rcx[] = {0x48, 0x89, 0x08};	  /* mov [rax], rcx */
static const uint8_t store_vector[] = {0x0f, 0x11, 0x00}; /* movups [rax], xmm0 */
static const uint8_t load_vector[] = {0x0f, 0x10, 0x00};  /* movups xmm0, [rax] */
static const uint8_t push_rcx[] = {0x51};
static const uint8_t call_near[] = {0xe8, 0xfb, 0x00, 0x00, 0x00}; /* call +0x100 from here */
static const uint8_t rep_stosb[] = {0xf3, 0xaa};
static const uint8_t rep_insb[] = {0xf3, 0x6c};
static const uint8_t movsq[] = {0x48, 0xa5};
static const uint8_t add_rcx[] = {0x48, 0x01, 0x08}; /* add [rax], rcx */

/* --- stores --- */

static const struct fake_step store_step = {
	.kind = FAKE_STORE, .gva = DATA, .size = 8, .length = 3, .reg = FAKE_RCX};

#define OLD UINT64_C(0x3c3c3c3c3c3c3c3c) /* what is there before a store */

static inline struct violation store_to_read_only(struct scene *s, const uint8_t *insn)
{
	struct violation v;

	scene_code(s, CODE, insn, 3);
	scene_limit(s, DATA, READ_ONLY);
	scene_regs(s)->rcx = 0x1122334455667788;
	vtl_cpu_dirty(scene_cpu(s), CPU_REGS);
	memset(s->x.mem + DATA, 0x3c, 8);
	v = run_to_mmio(s, &store_step);
	assert_violation(&v, MEM_WRITE, DATA, insn, 3);
	assert_int_equal(v.gva.addr, DATA);
	assert_int_equal(scene_regs(s)->rip, CODE);
	assert_int_equal(memory_at(s, DATA), OLD);
	assert_true(vcpu_active(&s->vp)->store_waits);
	return v;
}

static inline void resume(struct scene *s, uint8_t setter, bool armed, uint64_t rip)
{
	struct violation v;

	memset(&v, 0xff, sizeof(v));
	assert_int_equal(intercept_resume(&s->vp, &v), 0);
	assert_int_equal(v.setter, setter);
	assert_int_equal(vcpu_active(&s->vp)->store_waits, armed);
	assert_int_equal(scene_regs(s)->rip, rip);
}

#define TEST(name)                                            \
	cmocka_unit_test_setup_teardown(name, start, stop),   \
	{                                                     \
#name "_alias", name, start_alias, stop, NULL \
	}
#define TEST_SLOTS(name) cmocka_unit_test_setup_teardown(name, start, stop)

#endif
