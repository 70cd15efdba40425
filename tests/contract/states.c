// SPDX-License-Identifier: MIT
/*
 * States that no processor is in. KVM refuses some, which the library relies on; of the others it
 * is printed what becomes of the guest, and asserted that KVM_RUN comes back and that the vCPU runs
 * once its state is right again.
 */
#include <signal.h>
#include <sys/time.h>
#include "world.h"

#define CR0_PG	      (UINT64_C(1) << 31)
#define CR0_PE	      UINT64_C(1)
#define CR4_PAE	      (UINT64_C(1) << 5)
#define EFER_LME      (UINT64_C(1) << 8)
#define EFER_LMA      (UINT64_C(1) << 10)
#define NOT_CANONICAL UINT64_C(0x8000000000001000)
#define TABLE_BIT     4 /* of a selector: the LDT's */
#define TYPE_LDT      2
#define TYPE_TSS_16   3
#define TYPE_TSS      11
#define TYPE_DATA     3

struct state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
};

/* --- what is wrong --- */

static void stack_outside(struct state *s)
{
	s->sregs.ss.dpl = 3;
}

static void code_outside(struct state *s)
{
	s->sregs.cs.dpl = 3;
	s->sregs.cs.selector |= 3;
}

static void code_32(struct state *s)
{
	s->sregs.cs.l = 0;
	s->sregs.cs.db = 1;
}

static void rip_beyond_4g(struct state *s)
{
	code_32(s);
	s->regs.rip |= UINT64_C(1) << 32;
}

static void rip_not_canonical(struct state *s)
{
	s->regs.rip = NOT_CANONICAL;
}

static void fs_not_canonical(struct state *s)
{
	s->sregs.fs.base = NOT_CANONICAL;
}

static void gdt_not_canonical(struct state *s)
{
	s->sregs.gdt.base = NOT_CANONICAL;
}

static void tr_not_canonical(struct state *s)
{
	s->sregs.tr.base = NOT_CANONICAL;
}

static void code_beyond_4g(struct state *s)
{
	s->sregs.cs.base = UINT64_C(1) << 32;
}

static void code_both(struct state *s)
{
	s->sregs.cs.db = 1;
}

static void code_data(struct state *s)
{
	s->sregs.cs.type = TYPE_DATA;
}

static void stack_code(struct state *s)
{
	s->sregs.ss.type = 11;
}

static void task_unusable(struct state *s)
{
	s->sregs.tr.present = 0;
	s->sregs.tr.unusable = 1;
}

static void task_16(struct state *s)
{
	s->sregs.tr.type = TYPE_TSS_16;
}

static void task_ldt(struct state *s)
{
	s->sregs.tr.type = TYPE_LDT;
}

static void task_in_ldt(struct state *s)
{
	s->sregs.tr.selector |= TABLE_BIT;
}

static void local(struct state *s, uint8_t type, uint16_t selector)
{
	s->sregs.ldt = (struct kvm_segment){
		.limit = 0xfff, .selector = selector, .type = type, .present = 1};
}

static void ldt_task(struct state *s)
{
	local(s, TYPE_TSS, 0x18);
}

static void ldt_in_ldt(struct state *s)
{
	local(s, TYPE_LDT, 0x18 | TABLE_BIT);
}

static void flags_vm(struct state *s)
{
	s->regs.rflags |= UINT64_C(1) << 17;
}

static void flags_reserved(struct state *s)
{
	s->regs.rflags |= UINT64_C(1) << 40;
}

/* 32-bit code without paging, whose CR3 no processor could have. */
static void cr3_unpaged(struct state *s)
{
	code_32(s);
	s->sregs.cr0 &= ~CR0_PG;
	s->sregs.efer = 0;
	s->sregs.cr3 |= UINT64_C(1) << 51;
}

static void cr3_long(struct state *s)
{
	s->sregs.cr3 |= UINT64_C(1) << 52;
}

static void long_without_pae(struct state *s)
{
	s->sregs.cr4 &= ~CR4_PAE;
}

static void long_without_lma(struct state *s)
{
	s->sregs.efer &= ~EFER_LMA;
}

static void lma_without_lme(struct state *s)
{
	s->sregs.efer &= ~EFER_LME;
}

static void lma_without_paging(struct state *s)
{
	s->sregs.cr0 &= ~CR0_PG;
}

static void paging_unprotected(struct state *s)
{
	code_32(s);
	s->sregs.efer = 0;
	s->sregs.cr0 &= ~CR0_PE;
}

static void code_64_legacy(struct state *s)
{
	s->sregs.cr0 &= ~CR0_PG;
	s->sregs.efer = 0;
}

static const struct {
	const char *name;
	void (*spoil)(struct state *s);
	bool refused; /* by KVM_SET_SREGS, of 6.1 on (kvm_is_valid_sregs()) */
} rows[] = {
	{"long mode, CR4.PAE clear", long_without_pae, true},
	{"long mode, EFER.LMA clear", long_without_lma, true},
	{"EFER.LMA without LME", lma_without_lme, true},
	{"EFER.LMA without CR0.PG", lma_without_paging, true},
	{"CR0.PG without PE", paging_unprotected, true},
	{"CS.L outside long mode", code_64_legacy, true},
	{"long mode, CR3 above 52 bits", cr3_long, true},
	{"no paging, CR3 above the host's", cr3_unpaged, false},
	{"SS.DPL 3, CS.DPL 0", stack_outside, false},
	{"CS.DPL 3, SS.DPL 0", code_outside, false},
	{"RIP above 4 GiB in 32-bit code", rip_beyond_4g, false},
	{"RIP not canonical", rip_not_canonical, false},
	{"FS base not canonical", fs_not_canonical, false},
	{"GDTR base not canonical", gdt_not_canonical, false},
	{"TR base not canonical", tr_not_canonical, false},
	{"CS base above 4 GiB", code_beyond_4g, false},
	{"CS with L and D", code_both, false},
	{"CS a data segment", code_data, false},
	{"SS a code segment", stack_code, false},
	{"TR unusable", task_unusable, false},
	{"TR a 16-bit TSS in long mode", task_16, false},
	{"TR an LDT", task_ldt, false},
	{"TR in the LDT", task_in_ldt, false},
	{"LDTR a TSS", ldt_task, false},
	{"LDTR in the LDT", ldt_in_ldt, false},
	{"RFLAGS.VM in long mode", flags_vm, false},
	{"RFLAGS bit 40", flags_reserved, false},
};

/* --- what becomes of it --- */

static void ignore_signal(int signo)
{
	(void)signo;
}

static void set_alarm(long ms)
{
	const struct itimerval t = {.it_value.tv_usec = ms * 1000,
				    .it_interval.tv_usec = ms * 1000};

	assert_int_equal(setitimer(ITIMER_REAL, &t, NULL), 0);
}

static const char *outcome(struct world *w, int ret)
{
	if (ret == -EINTR)
		return "does not come out";
	if (ret)
		return strerror(-ret);
	switch (w->run->exit_reason) {
	case KVM_EXIT_IO:
		return "runs";
	case KVM_EXIT_FAIL_ENTRY:
		return "KVM_EXIT_FAIL_ENTRY";
	case KVM_EXIT_SHUTDOWN:
		return "KVM_EXIT_SHUTDOWN";
	case KVM_EXIT_INTERNAL_ERROR:
		return "KVM_EXIT_INTERNAL_ERROR";
	default:
		return "another exit";
	}
}

static void set_state(struct world *w, const struct state *s)
{
	const struct kvm_vcpu_events none = {.flags = 0};

	assert_int_equal(OP(w, set_vcpu_events, w->vcpu_fd, &none), 0);
	assert_int_equal(OP(w, set_sregs, w->vcpu_fd, &s->sregs), 0);
	world_set_regs(w, &s->regs);
}

#define TRIES 10

/* On a busy host a signal can come before the exit, which the next KVM_RUN would have then. */
static int run_for_long(struct world *w)
{
	int r = -EINTR;

	for (unsigned i = 0; i < TRIES && r == -EINTR; i++)
		r = world_run_once(w);
	return r;
}

/* The fake has no processor to enter a guest: it only refuses. */
static void run_spoilt(struct world *w, const struct state *good, const struct state *bad,
		       const char *name)
{
	struct sigaction action = {.sa_handler = ignore_signal}, old;

	if (!w->fake) {
		assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
		world_set_regs(w, &bad->regs);
		set_alarm(300);
		print_message("%s: %s\n", name, outcome(w, run_for_long(w)));
		set_alarm(0);
		assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
		w->run->exit_reason = KVM_EXIT_UNKNOWN;
		world_complete(w);
	}
	set_state(w, good);
	world_load(w, &guest_outs);
	world_expect_out(w, PORT_FIRST);
	world_complete(w);
}

static void test_states(void **state)
{
	struct world *w = *state;
	struct state good;

	good.regs = world_regs(w);
	assert_int_equal(OP(w, get_sregs, w->vcpu_fd, &good.sregs), 0);
	good.sregs.tr.type = TYPE_TSS;
	world_load(w, &guest_outs);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct state bad = good;
		int ret;

		rows[i].spoil(&bad);
		ret = OP(w, set_sregs, w->vcpu_fd, &bad.sregs);
		if (rows[i].refused)
			assert_int_equal(ret, -EINVAL);
		else
			assert_true(ret == 0 || ret == -EINVAL);
		if (ret)
			print_message("%s: refused\n", rows[i].name);
		else
			run_spoilt(w, &good, &bad, rows[i].name);
	}
}

const struct CMUnitTest state_tests[] = {
	WORLD_TEST(test_states),
};
const size_t state_test_count = ARRAY_SIZE(state_tests);
