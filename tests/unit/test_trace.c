/* SPDX-License-Identifier: MIT */
/* The VMM's trace: one event for each switch, hypercall and intercept, with what it says of it. */
#include "partition_fixture.h"

#include <string.h>
#include "hv/message.h"
#include "hv/register_names.h"
#include "hv/vsm.h"
#include "intercept/io.h"
#include "msr/intercept.h"
#include "msr/synthetic.h"
#include "registers/registers.h"

#define PORT_VMM  0x3f8
#define MSR_LSTAR 0xc0000082
#define EVENTS	  8
#define HERE	  UINT64_C(0x1000) /* VTL0 */
#define CALL	  0x0abc	   /* no hypercall */
#define OUT(at)                                                                     \
	{                                                                           \
		.kind = FAKE_OUT, .port = 0xe7, .size = 1, .length = 2, .rip = (at) \
	}
#define VMM(at)                                                                         \
	{                                                                               \
		.kind = FAKE_OUT, .port = PORT_VMM, .size = 1, .length = 2, .rip = (at) \
	}
#define JUMP(to)                                                \
	{                                                       \
		.kind = FAKE_SET, .reg = FAKE_RIP, .data = (to) \
	}

struct traced {
	struct guest g;
	unsigned count;
	struct vsm_trace_event events[EVENTS];
};

static void on_event(void *ctx, const struct vsm_trace_event *event)
{
	struct traced *t = ctx;

	assert_true(t->count < EVENTS);
	t->events[t->count++] = *event;
}

static void start(struct traced *t, unsigned flags)
{
	struct vsm_partition_options o;

	memset(t, 0, sizeof(*t));
	fixture_start(&t->g.x, RAM_MIB);
	o = guest_options(&t->g);
	o.trace = on_event;
	o.callback_ctx = t;
	guest_start_with(&t->g, &o);
	fake_kvm_set_flags(t->g.x.fake, flags);
	guest_enable_vtl1(&t->g);
	for (unsigned vtl = 0; vtl < 2; vtl++) {
		assert_int_equal(synthetic_write(t->g.vp, vtl, HV_MSR_GUEST_OS_ID, 1), 0);
		assert_int_equal(synthetic_write(t->g.vp, vtl, HV_MSR_HYPERCALL, PAGE_CODE | 1), 0);
	}
}

static int fd(struct traced *t, unsigned vtl)
{
	return vsm_vcpu_fd(t->g.vp, vtl);
}

static void run_to_vmm(struct traced *t)
{
	struct kvm_run *run;

	assert_int_equal(vsm_vcpu_run(t->g.vp, &run), 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_IO);
	assert_true(fake_kvm_script_done(t->g.x.fake));
}

static void expect(const struct vsm_trace_event *e, enum vsm_trace_kind kind, unsigned vtl,
		   unsigned target, uint64_t rip)
{
	assert_int_equal(e->kind, kind);
	assert_int_equal(e->vp, 0);
	assert_int_equal(e->vtl, vtl);
	assert_int_equal(e->target_vtl, target);
	assert_int_equal(e->rip, rip);
}

/* Whatever RIP KVM shows at the exit. */
static void switches_and_hypercalls(void **state)
{
	static const unsigned flags[] = {0, FAKE_PIO_RIP_PAST};
	struct traced t;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		const struct fake_step lower[] = {JUMP(ENTRY_HYPERCALL),
						  OUT(ENTRY_HYPERCALL),
						  /* 32-bit code: the control input */
						  {.kind = FAKE_SET, .reg = FAKE_RAX},
						  JUMP(ENTRY_CALL),
						  OUT(ENTRY_CALL),
						  VMM(0)};
		const struct fake_step higher[] = {JUMP(ENTRY_RETURN), OUT(ENTRY_RETURN)};

		start(&t, flags[i]);
		fake_vcpu_regs(t.g.x.fake, fd(&t, 0))->rax = CALL;
		fake_vcpu_regs(t.g.x.fake, fd(&t, 0))->rdx = 0;
		fake_vcpu_script(t.g.x.fake, fd(&t, 0), lower, ARRAY_SIZE(lower));
		fake_vcpu_script(t.g.x.fake, fd(&t, 1), higher, ARRAY_SIZE(higher));
		run_to_vmm(&t);
		assert_int_equal(t.count, 3);
		expect(&t.events[0], VSM_TRACE_HYPERCALL, 0, 0, ENTRY_HYPERCALL + 2);
		assert_int_equal(t.events[0].code, CALL);
		assert_int_equal(t.events[0].status, 2);
		assert_int_equal(t.events[0].reps, 0);
		expect(&t.events[1], VSM_TRACE_SWITCH, 0, 1, ENTRY_CALL + 2);
		assert_int_equal(t.events[1].code, HV_VTL_ENTRY_CALL);
		expect(&t.events[2], VSM_TRACE_SWITCH, 1, 0, ENTRY_RETURN + 2);
		assert_int_equal(t.events[2].code, 0);
		guest_stop(&t.g);
	}
}

static void interrupts(void **state)
{
	const struct fake_step higher[] = {VMM(VTL1_ENTRY)};
	struct traced t;

	(void)state;
	start(&t, 0);
	fake_vcpu_script(t.g.x.fake, fd(&t, 1), higher, ARRAY_SIZE(higher));
	t.g.vp->vtls[1].entry_pending = true;
	run_to_vmm(&t);
	assert_int_equal(t.count, 1);
	expect(&t.events[0], VSM_TRACE_SWITCH, 0, 1, HERE);
	assert_int_equal(t.events[0].code, HV_VTL_ENTRY_INTERRUPT);
	guest_stop(&t.g);
}

static void memory_intercepts(void **state)
{
	const struct fake_step lower[] = {{.kind = FAKE_LOAD,
					   .gva = PAGE_SECRET,
					   .size = 4,
					   .length = 5,
					   .flags = FAKE_OPTIONAL}};
	const struct fake_step higher[] = {VMM(VTL1_ENTRY)};
	struct traced t;

	(void)state;
	start(&t, 0);
	/* mov eax, [PAGE_SECRET] */
	memcpy(t.g.x.mem + HERE, "\xa1\x00\x00\x02\x00", 5);
	assert_int_equal(memory_limit_default(&t.g.p->memory, 1, PROT_ALL), 0);
	assert_int_equal(
		memory_limit(&t.g.p->memory, 1, 0, PAGE_SECRET >> 12, (PAGE_SECRET >> 12) + 1, 0),
		0);
	fake_vcpu_script(t.g.x.fake, fd(&t, 0), lower, 1);
	fake_vcpu_script(t.g.x.fake, fd(&t, 1), higher, 1);
	run_to_vmm(&t);
	assert_int_equal(t.count, 2);
	expect(&t.events[0], VSM_TRACE_INTERCEPT, 0, 1, HERE);
	assert_int_equal(t.events[0].gpa, PAGE_SECRET);
	assert_int_equal(t.events[0].gva, PAGE_SECRET);
	assert_int_equal(t.events[0].access, 0);
	expect(&t.events[1], VSM_TRACE_SWITCH, 0, 1, HERE);
	guest_stop(&t.g);
}

static void msr_intercepts(void **state)
{
	const struct fake_step lower[] = {
		{.kind = FAKE_WRMSR, .msr = MSR_LSTAR, .data = 7, .length = 2}};
	const struct fake_step higher[] = {VMM(VTL1_ENTRY)};
	struct traced t;

	(void)state;
	start(&t, 0);
	assert_int_equal(msr_intercept_install(t.g.p, 1, MSR_LSTAR, 2), 0);
	fake_vcpu_script(t.g.x.fake, fd(&t, 0), lower, 1);
	fake_vcpu_script(t.g.x.fake, fd(&t, 1), higher, 1);
	run_to_vmm(&t);
	assert_int_equal(t.count, 2);
	expect(&t.events[0], VSM_TRACE_MSR_INTERCEPT, 0, 1, HERE);
	assert_int_equal(t.events[0].number, MSR_LSTAR);
	assert_int_equal(t.events[0].access, 1);
	guest_stop(&t.g);
}

static void io_intercepts(void **state)
{
	const struct fake_step lower[] = {{.kind = FAKE_IN, .port = 0x60, .size = 1, .length = 2}};
	const struct fake_step higher[] = {VMM(VTL1_ENTRY)};
	struct traced t;

	(void)state;
	start(&t, 0);
	assert_int_equal(io_intercept_install(t.g.p, 1, 0x60, 0x60, 1), 0);
	fake_vcpu_script(t.g.x.fake, fd(&t, 0), lower, 1);
	fake_vcpu_script(t.g.x.fake, fd(&t, 1), higher, 1);
	run_to_vmm(&t);
	assert_int_equal(t.count, 2);
	expect(&t.events[0], VSM_TRACE_IO_INTERCEPT, 0, 1, HERE);
	assert_int_equal(t.events[0].number, 0x60);
	assert_int_equal(t.events[0].access, 0);
	guest_stop(&t.g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(switches_and_hypercalls), cmocka_unit_test(interrupts),
		cmocka_unit_test(memory_intercepts),	   cmocka_unit_test(msr_intercepts),
		cmocka_unit_test(io_intercepts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
