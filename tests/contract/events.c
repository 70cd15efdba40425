// SPDX-License-Identifier: MIT
/* What user space gives a vCPU: exceptions, interrupts, single steps. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>
#include "world.h"

#define VECTOR	  0x41
#define RFLAGS_IF (UINT64_C(1) << 9)

static void set_interrupts(struct world *w, bool on)
{
	struct kvm_regs regs = world_regs(w);

	regs.rflags = on ? regs.rflags | RFLAGS_IF : regs.rflags & ~RFLAGS_IF;
	world_set_regs(w, &regs);
}

static void test_exception(void **state)
{
	struct world *w = *state;
	struct kvm_vcpu_events events;

	world_load(w, &guest_outs);
	assert_int_equal(OP(w, get_vcpu_events, w->vcpu_fd, &events), 0);
	assert_int_equal(events.exception.injected, 0);
	events.exception.injected = 1;
	events.exception.nr = 13;
	events.exception.has_error_code = 1;
	events.exception.error_code = 0x28;
	assert_int_equal(OP(w, set_vcpu_events, w->vcpu_fd, &events), 0);
	memset(&events, 0, sizeof(events));
	assert_int_equal(OP(w, get_vcpu_events, w->vcpu_fd, &events), 0);
	assert_int_equal(events.exception.injected, 1);
	assert_int_equal(events.exception.nr, 13);
	assert_int_equal(events.exception.error_code, 0x28);
	world_expect_out(w, PORT_HANDLER);
	assert_int_equal(OP(w, get_vcpu_events, w->vcpu_fd, &events), 0);
	assert_int_equal(events.exception.injected, 0);
}

/* An exception that is taken back before the guest runs never was. */
static void test_exception_taken_back(void **state)
{
	struct world *w = *state;
	struct kvm_vcpu_events events;

	world_load(w, &guest_outs);
	assert_int_equal(OP(w, get_vcpu_events, w->vcpu_fd, &events), 0);
	events.exception.injected = 1;
	events.exception.nr = 6;
	assert_int_equal(OP(w, set_vcpu_events, w->vcpu_fd, &events), 0);
	events.exception.injected = 0;
	assert_int_equal(OP(w, set_vcpu_events, w->vcpu_fd, &events), 0);
	world_expect_out(w, PORT_FIRST);
}

static void test_bad_events(void **state)
{
	struct world *w = *state;
	struct kvm_vcpu_events events;

	assert_int_equal(OP(w, get_vcpu_events, w->vcpu_fd, &events), 0);
	events.exception.injected = 1;
	events.exception.nr = 32;
	assert_int_equal(OP(w, set_vcpu_events, w->vcpu_fd, &events), -EINVAL);
	events.exception.nr = 2; /* an NMI is not an exception */
	assert_int_equal(OP(w, set_vcpu_events, w->vcpu_fd, &events), -EINVAL);
	events.exception.injected = 0;
	events.flags |= 1u << 31;
	assert_int_equal(OP(w, set_vcpu_events, w->vcpu_fd, &events), -EINVAL);
	assert_int_equal(OP(w, get_vcpu_events, w->vcpu_fd, &events), 0);
	assert_int_equal(events.exception.injected, 0);
}

static void test_interrupt(void **state)
{
	struct world *w = *state;
	struct kvm_vcpu_events events;

	world_load(w, &guest_outs);
	set_interrupts(w, true);
	world_expect_out(w, PORT_FIRST);
	world_complete(w);
	assert_int_equal(w->run->ready_for_interrupt_injection, 1);
	assert_int_equal(w->run->if_flag, 1);
	assert_int_equal(OP(w, interrupt, w->vcpu_fd, VECTOR), 0);
	assert_int_equal(OP(w, get_vcpu_events, w->vcpu_fd, &events), 0);
	assert_int_equal(events.interrupt.injected, 1);
	assert_int_equal(events.interrupt.nr, VECTOR);
	world_expect_out(w, PORT_HANDLER);
}

/* The exit comes once interrupts are on, at the latest when KVM gets to look. */
static void test_interrupt_window(void **state)
{
	struct world *w = *state;

	world_load(w, &guest_open_window);
	w->run->request_interrupt_window = 1;
	world_complete(w);
	assert_int_equal(w->run->ready_for_interrupt_injection, 0);
	assert_int_equal(w->run->if_flag, 0);
	assert_int_equal(world_run(w), 0);
	assert_int_equal(w->run->exit_reason, KVM_EXIT_IRQ_WINDOW_OPEN);
	assert_int_equal(w->run->ready_for_interrupt_injection, 1);
	assert_int_equal(w->run->if_flag, 1);
	w->run->request_interrupt_window = 0;
	assert_int_equal(OP(w, interrupt, w->vcpu_fd, VECTOR), 0);
	world_expect_out(w, PORT_HANDLER);
}

static void test_interrupt_vector(void **state)
{
	struct world *w = *state;

	assert_int_equal(OP(w, interrupt, w->vcpu_fd, 256), -EINVAL);
}

static void test_nmi(void **state)
{
	struct world *w = *state;

	world_load(w, &guest_outs);
	assert_int_equal(OP(w, nmi, w->vcpu_fd), 0);
	world_expect_out(w, PORT_HANDLER);
}

struct spinner {
	struct world *w;
	atomic_int thread;
	int ret;
};

static void *spin(void *arg)
{
	struct spinner *s = arg;

	atomic_store(&s->thread, OP(s->w, current_thread));
	s->ret = OP(s->w, run, s->w->vcpu_fd);
	return NULL;
}

static void ignore_signal(int signo)
{
	(void)signo;
}

/* A vCPU is kicked by immediate_exit and a signal: before it enters, or while it runs. */
static void kick(struct world *w, unsigned delay_us)
{
	struct sigaction action = {.sa_handler = ignore_signal};
	struct spinner s = {.w = w, .ret = -1};
	pthread_t thread;

	world_load(w, &guest_spin);
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, spin, &s), 0);
	while (!atomic_load(&s.thread))
		sched_yield();
	usleep(delay_us);
	w->run->immediate_exit = 1;
	assert_int_equal(OP(w, signal_thread, s.thread, SIGUSR1), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	w->run->immediate_exit = 0;
	assert_int_equal(s.ret, -EINTR);
}

static void test_kick(void **state)
{
	kick(*state, 20000);
}

static void test_early_kick(void **state)
{
	kick(*state, 0);
}

static void test_single_step(void **state)
{
	struct world *w = *state;
	struct kvm_guest_debug step = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
	struct kvm_guest_debug off = {0};

	WORLD_NEED(w, KVM_CAP_SET_GUEST_DEBUG);
	world_load(w, &guest_nops);
	assert_int_equal(OP(w, set_guest_debug, w->vcpu_fd, &step), 0);
	for (unsigned i = 1; i <= 2; i++) {
		assert_int_equal(world_run(w), 0);
		assert_int_equal(w->run->exit_reason, KVM_EXIT_DEBUG);
		assert_int_equal(w->run->debug.arch.exception, 1);
		assert_int_equal(world_regs(w).rip, GUEST_CODE + i);
		assert_int_equal(world_regs(w).rflags & 0x100, 0); /* the TF is KVM's, not ours */
	}
	assert_int_equal(OP(w, set_guest_debug, w->vcpu_fd, &off), 0);
	world_expect_out(w, PORT_FIRST);
}

const struct CMUnitTest event_tests[] = {
	WORLD_TEST(test_exception),
	WORLD_TEST(test_exception_taken_back),
	WORLD_TEST(test_bad_events),
	WORLD_TEST(test_interrupt),
	WORLD_TEST(test_interrupt_window),
	WORLD_TEST(test_interrupt_vector),
	WORLD_TEST(test_single_step),
	WORLD_TEST(test_nmi),
	WORLD_TEST(test_kick),
	WORLD_TEST(test_early_kick),
};
const size_t event_test_count = ARRAY_SIZE(event_tests);
