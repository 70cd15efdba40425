/* SPDX-License-Identifier: MIT */
/*
 * Interrupts of VTLs with the library's local APIC: injection, HLT, who preempts whom, VINA, timers
 * through the event loop, and which signals end vsm_vcpu_run().
 */
#include "smp_fixture.h"

#include "apic/bus.h"
#include "hv/vsm.h"
#include "msr/synthetic.h"
#include "partition/hold.h"
#include "vcpu/interrupt.h"
#include "vcpu/switch.h"

#define VECTOR	    0x51
#define VINA_VECTOR 0x61

static void give(struct smp *s, unsigned vp, unsigned vtl, uint8_t vector, enum lapic_mode mode)
{
	const struct lapic_ipi ipi = {.valid = true, .vector = vector, .mode = (uint8_t)mode};

	pthread_mutex_lock(&s->p->lock);
	bus_give(s->vp[vp], vtl, &ipi);
	pthread_mutex_unlock(&s->p->lock);
}

static size_t delivered(struct smp *s, unsigned vp, unsigned vtl, enum fake_event_kind kind,
			uint8_t vector)
{
	struct fake_event events[16];
	size_t n = fake_vcpu_delivered(s->x.fake, smp_fd(s, vp, vtl), events, 16), found = 0;

	for (size_t i = 0; i < n && i < 16; i++)
		found += events[i].kind == kind && events[i].vector == vector;
	return found;
}

#define FRAME_PAGE (0x8000u / 4096 - 1) /* of VTL0's stack */

static int limit(struct smp *s, prot_t mask)
{
	struct memory *m = &s->p->memory;

	return memory_limit(m, 1, 0, FRAME_PAGE, FRAME_PAGE + 1, mask);
}

/* A 32-bit interrupt gate for VECTOR, and the code segment. */
static void put_tables(struct smp *s)
{
	const uint64_t gate = UINT64_C(0x00008e0000081000), code = UINT64_C(0x00cf9b000000ffff);
	struct kvm_sregs *sregs = fake_vcpu_sregs(s->x.fake, smp_fd(s, 0, 0));

	sregs->idt = (struct kvm_dtable){.base = 0x5000, .limit = 0x7ff};
	sregs->gdt = (struct kvm_dtable){.base = 0x6000, .limit = 0xf};
	memcpy(s->x.mem + 0x5000 + 8 * VECTOR, &gate, sizeof(gate));
	memcpy(s->x.mem + 0x6000 + 8, &code, sizeof(code));
}

/* VTL1 has done what it was entered for. */
static void leave_vtl1(struct smp *s)
{
	pthread_mutex_lock(&s->p->lock);
	assert_int_equal(switch_return(s->vp[0], 1), 1);
	pthread_mutex_unlock(&s->p->lock);
}

/* VTL0 takes interrupts, on a stack that VTL1 has closed. */
static void start_closed(struct smp *s, enum vsm_enforcement enforcement, uint64_t flags)
{
	const struct vsm_partition_options o = {.enforcement = enforcement, .flags = flags};

	smp_start_with(s, 1, 0, &o);
	smp_enable_vtl1(s, 0);
	smp_interrupts_on(s, 0, 0);
	put_tables(s);
	assert_int_equal(memory_limit_default(&s->p->memory, 1, PROT_ALL), 0);
	assert_int_equal(limit(s, 0), 0);
}

/* A closed stack is told before KVM meets it, as often as it is in the way. */
static void frame_is_closed(enum vsm_enforcement enforcement, bool halted)
{
	const unsigned times = 2;
	struct smp s;

	start_closed(&s, enforcement, SMP_EMULATES);
	if (halted)
		SMP_SCRIPT(&s, 0, 0, HALT, VMM_OUT);
	else
		SMP_SCRIPT(&s, 0, 0, SPIN, VMM_OUT);
	SMP_SCRIPT(&s, 0, 1, VMM_OUT, VMM_OUT);
	smp_run(&s, 0);
	if (halted)
		smp_wait_asleep(&s, 1);
	else
		smp_wait_spinning(&s, 0, 0);
	give(&s, 0, 0, VECTOR, LAPIC_FIXED);
	for (unsigned i = 0; i < times; i++) {
		smp_expect_vmm(&s, 0, 1);
		assert_int_equal(delivered(&s, 0, 0, FAKE_INTERRUPT, VECTOR), 0);
		assert_int_equal(s.vp[0]->stats.memory_intercepts, i + 1);
		leave_vtl1(&s);
		if (i + 1 == times)
			assert_int_equal(limit(&s, PROT_ALL), 0);
		smp_run(&s, 0);
	}
	smp_expect_vmm(&s, 0, 0);
	assert_int_equal(delivered(&s, 0, 0, FAKE_INTERRUPT, VECTOR), 1);
	smp_stop(&s);
}

/* In the middle of its work; and where its events were looked at before. */
static void test_frame_is_closed(void **state)
{
	static const enum vsm_enforcement each[] = {VSM_ENFORCEMENT_SLOTS, VSM_ENFORCEMENT_ALIAS};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		frame_is_closed(each[i], false);
		frame_is_closed(each[i], true);
	}
}

/* A processor that delivers it itself says what it met: nothing is asked before it goes in. */
static void test_nothing_is_asked_ahead(void **state)
{
	static const enum vsm_enforcement each[] = {VSM_ENFORCEMENT_SLOTS, VSM_ENFORCEMENT_ALIAS};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct smp s;

		start_closed(&s, each[i], 0);
		SMP_SCRIPT(&s, 0, 0, SPIN, VMM_OUT);
		smp_run(&s, 0);
		smp_wait_spinning(&s, 0, 0);
		give(&s, 0, 0, VECTOR, LAPIC_FIXED);
		smp_expect_vmm(&s, 0, 0);
		assert_int_equal(s.vp[0]->stats.memory_intercepts, 0);
		assert_int_equal(delivered(&s, 0, 0, FAKE_INTERRUPT, VECTOR), 1);
		smp_stop(&s);
	}
}

static void test_halt_ends_with_interrupt(void **state)
{
	struct smp s;

	(void)state;
	smp_start(&s, 1);
	smp_interrupts_on(&s, 0, 0);
	SMP_SCRIPT(&s, 0, 0, HALT, VMM_OUT);
	smp_run(&s, 0);
	smp_wait_asleep(&s, 1);
	give(&s, 0, 0, VECTOR, LAPIC_FIXED);
	smp_expect_vmm(&s, 0, 0);
	assert_int_equal(delivered(&s, 0, 0, FAKE_INTERRUPT, VECTOR), 1);
	smp_stop(&s);
}

/* Interrupts off: the VMM is told once; then only an NMI ends it. */
static void test_halt_for_good(void **state)
{
	struct kvm_run *run;
	struct smp s;

	(void)state;
	smp_start(&s, 1);
	SMP_SCRIPT(&s, 0, 0, HALT, VMM_OUT);
	assert_int_equal(vsm_vcpu_run(s.vp[0], &run), 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_HLT);
	smp_run(&s, 0);
	smp_wait_asleep(&s, 1);
	give(&s, 0, 0, VECTOR, LAPIC_FIXED);
	smp_wait_asleep(&s, 1);
	give(&s, 0, 0, 0, LAPIC_NMI);
	smp_expect_vmm(&s, 0, 0);
	assert_int_equal(delivered(&s, 0, 0, FAKE_NMI, 2), 1);
	assert_int_equal(delivered(&s, 0, 0, FAKE_INTERRUPT, VECTOR), 0);
	smp_stop(&s);
}

static void test_halt_exits(void **state)
{
	const struct vsm_partition_options o = {.flags = VSM_PARTITION_HLT_EXITS};
	struct kvm_run *run;
	struct smp s;

	(void)state;
	smp_start_with(&s, 1, 0, &o);
	smp_interrupts_on(&s, 0, 0);
	SMP_SCRIPT(&s, 0, 0, HALT, VMM_OUT);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(vsm_vcpu_run(s.vp[0], &run), 0);
		assert_int_equal(run->exit_reason, KVM_EXIT_HLT);
	}
	give(&s, 0, 0, VECTOR, LAPIC_FIXED);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 0);
	smp_stop(&s);
}

/* A kick and a signal of the VMM's end the sleep; the VP stays halted, until the VMM moves RIP. */
static void test_halt_and_vmm(void **state)
{
	struct smp s;

	(void)state;
	smp_start(&s, 1);
	smp_interrupts_on(&s, 0, 0);
	SMP_SCRIPT(&s, 0, 0, HALT, VMM_OUT);
	for (int i = 0; i < 2; i++) {
		smp_run(&s, 0);
		smp_wait_asleep(&s, 1);
		if (i)
			vsm_vcpu_kick(s.vp[0]);
		else
			s.x.host->ops->signal_thread(s.x.host, atomic_load(&s.vp[0]->thread),
						     SIGUSR2);
		assert_int_equal(smp_join(&s, 0), -EINTR);
	}
	fake_vcpu_regs(s.x.fake, smp_fd(&s, 0, 0))->rip = 0x2000;
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 0);
	smp_stop(&s);
}

/*
 * VTL0 spins with interrupts off and makes no exit; VTL1 has them off too, and is entered all the
 * same.
 */
static void test_preempts_spinning(void **state)
{
	struct smp s;

	(void)state;
	smp_start(&s, 1);
	smp_enable_vtl1(&s, 0);
	SMP_SCRIPT(&s, 0, 0, SPIN);
	SMP_SCRIPT(&s, 0, 1, VMM_OUT);
	smp_run(&s, 0);
	smp_wait_spinning(&s, 0, 0);
	give(&s, 0, 1, VECTOR, LAPIC_FIXED);
	smp_expect_vmm(&s, 0, 1);
	assert_int_equal(delivered(&s, 0, 1, FAKE_INTERRUPT, VECTOR), 0);
	smp_stop(&s);
}

/* VTL1's priority holds it back; it is entered when that no longer does. */
static void test_priority_holds(void **state)
{
	struct smp s;

	(void)state;
	smp_start(&s, 1);
	smp_enable_vtl1(&s, 0);
	lapic_set_tpr(&s.vp[0]->vtls[1].lapic, 0x60);
	SMP_SCRIPT(&s, 0, 0, SPIN, {.kind = FAKE_SPIN, .flags = FAKE_OPTIONAL});
	SMP_SCRIPT(&s, 0, 1, VMM_OUT);
	smp_run(&s, 0);
	smp_wait_spinning(&s, 0, 0);
	give(&s, 0, 1, VECTOR, LAPIC_FIXED);
	smp_wait_spinning(&s, 0, 0);
	assert_int_equal(vsm_vcpu_active_vtl(s.vp[0]), 0);
	give(&s, 0, 1, 0x71, LAPIC_FIXED);
	smp_expect_vmm(&s, 0, 1);
	smp_stop(&s);
}

/* A halted VTL0 is left at once, and is still halted when VTL1 returns to it. */
static void test_preempts_halted(void **state)
{
	struct smp s;

	(void)state;
	smp_start(&s, 1);
	smp_enable_vtl1(&s, 0);
	smp_interrupts_on(&s, 0, 0);
	SMP_SCRIPT(&s, 0, 0, HALT, VMM_OUT);
	SMP_SCRIPT(&s, 0, 1, VMM_OUT);
	smp_run(&s, 0);
	smp_wait_asleep(&s, 1);
	give(&s, 0, 1, VECTOR, LAPIC_FIXED);
	smp_expect_vmm(&s, 0, 1);
	/* VTL1 ends it and goes back. */
	lapic_ack(&s.vp[0]->vtls[1].lapic);
	assert_int_equal(switch_return(s.vp[0], 1), 1);
	smp_run(&s, 0);
	smp_wait_asleep(&s, 1);
	give(&s, 0, 0, VECTOR, LAPIC_FIXED);
	smp_expect_vmm(&s, 0, 0);
	smp_stop(&s);
}

/* What is for VTL0 waits while VTL1 runs, and does not even bring it out. */
static void test_lower_waits(void **state)
{
	struct smp s;

	(void)state;
	smp_start(&s, 1);
	smp_enable_vtl1(&s, 0);
	smp_interrupts_on(&s, 0, 0);
	vcpu_activate(s.vp[0], 1);
	SMP_SCRIPT(&s, 0, 1, SPIN);
	SMP_SCRIPT(&s, 0, 0, VMM_OUT);
	smp_run(&s, 0);
	smp_wait_spinning(&s, 0, 1);
	fake_kvm_reset_calls(s.x.fake);
	give(&s, 0, 0, VECTOR, LAPIC_FIXED);
	assert_int_equal(fake_kvm_calls(s.x.fake, FAKE_OP_signal_thread), 0);
	vsm_vcpu_kick(s.vp[0]);
	assert_int_equal(smp_join(&s, 0), -EINTR);
	assert_int_equal(switch_return(s.vp[0], 1), 1);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 0);
	assert_int_equal(delivered(&s, 0, 0, FAKE_INTERRUPT, VECTOR), 1);
	smp_stop(&s);
}

/* --- VINA --- */

static struct hv_vp_vtl_control *assist(struct smp *s)
{
	return switch_vtl_control(&s->vp[0]->vtls[1]);
}

static void vina_start(struct smp *s, uint64_t more)
{
	smp_start(s, 1);
	smp_enable_vtl1(s, 0);
	smp_interrupts_on(s, 0, 0);
	smp_interrupts_on(s, 0, 1);
	assert_int_equal(synthetic_write(s->vp[0], 1, 0x40000073, PAGE_ASSIST | 1), 0);
	s->vp[0]->vtls[1].vina = VINA_VECTOR | HV_VINA_ENABLED | HV_VINA_AUTO_EOI | more;
	vcpu_activate(s->vp[0], 1);
}

/* Once, whatever follows; after VTL1 cleared the state, for the next new interrupt. */
static void test_vina(void **state)
{
	static const uint8_t vectors[] = {0x41, 0x51, 0x61};
	struct smp s;

	(void)state;
	vina_start(&s, 0);
	SMP_SCRIPT(&s, 0, 1, SPIN, VMM_OUT, VMM_OUT, VMM_OUT, VMM_OUT);
	smp_run(&s, 0);
	smp_wait_spinning(&s, 0, 1);
	give(&s, 0, 0, vectors[0], LAPIC_FIXED);
	smp_expect_vmm(&s, 0, 1);
	assert_int_equal(delivered(&s, 0, 1, FAKE_INTERRUPT, VINA_VECTOR), 1);
	assert_true(assist(&s)->vina_status & HV_VINA_ASSERTED);
	give(&s, 0, 0, vectors[1], LAPIC_FIXED);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 1);
	assert_int_equal(delivered(&s, 0, 1, FAKE_INTERRUPT, VINA_VECTOR), 1);
	assist(&s)->vina_status = 0;
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 1);
	assert_int_equal(delivered(&s, 0, 1, FAKE_INTERRUPT, VINA_VECTOR), 1);
	give(&s, 0, 0, vectors[2], LAPIC_FIXED);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 1);
	assert_int_equal(delivered(&s, 0, 1, FAKE_INTERRUPT, VINA_VECTOR), 2);
	smp_stop(&s);
}

/*
 * Not while VTL0 has interrupts off; and the state goes with the next entry where that is asked
 * for.
 */
static void test_vina_not_ready(void **state)
{
	struct smp s;

	(void)state;
	vina_start(&s, HV_VINA_AUTO_RESET);
	fake_vcpu_regs(s.x.fake, smp_fd(&s, 0, 0))->rflags = 2;
	SMP_SCRIPT(&s, 0, 1, VMM_OUT, VMM_OUT);
	give(&s, 0, 0, VECTOR, LAPIC_FIXED);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 1);
	assert_int_equal(delivered(&s, 0, 1, FAKE_INTERRUPT, VINA_VECTOR), 0);
	assist(&s)->vina_status = HV_VINA_ASSERTED;
	assert_int_equal(switch_return(s.vp[0], 1), 1);
	assert_int_equal(assist(&s)->vina_status, HV_VINA_ASSERTED);
	assert_int_equal(switch_interrupt(s.vp[0], 1), 0);
	assert_int_equal(assist(&s)->vina_status, 0);
	assert_int_equal(vtl_cpu_flush(&s.vp[0]->vtls[0].cpu), 0);
	assert_int_equal(vtl_cpu_flush(&s.vp[0]->vtls[1].cpu), 0);
	smp_interrupts_on(&s, 0, 0);
	vtl_cpu_forget(&s.vp[0]->vtls[0].cpu);
	smp_run(&s, 0);
	smp_expect_vmm(&s, 0, 1);
	assert_int_equal(delivered(&s, 0, 1, FAKE_INTERRUPT, VINA_VECTOR), 1);
	smp_stop(&s);
}

/* --- timers --- */

/* VTL1's timer brings VTL0 out of the guest: by the library's thread, or by the VMM's loop. */
static void timer_preempts(uint64_t flags)
{
	const struct vsm_partition_options o = {.flags = flags};
	struct smp s;

	smp_start_with(&s, 1, 0, &o);
	smp_enable_vtl1(&s, 0);
	smp_arm_timer(&s, 0, 1, 1000000, VECTOR);
	SMP_SCRIPT(&s, 0, 0, SPIN);
	SMP_SCRIPT(&s, 0, 1, VMM_OUT);
	smp_run(&s, 0);
	smp_wait_spinning(&s, 0, 0);
	fake_kvm_advance_clock(s.x.fake, 999999);
	if (flags)
		assert_int_equal(vsm_partition_run_events(s.p), 0);
	assert_int_equal(vsm_vcpu_active_vtl(s.vp[0]), 0);
	fake_kvm_advance_clock(s.x.fake, 1);
	if (flags)
		assert_int_equal(vsm_partition_run_events(s.p), 0);
	smp_expect_vmm(&s, 0, 1);
	smp_stop(&s);
}

static void test_timer_preempts(void **state)
{
	(void)state;
	timer_preempts(0);
	timer_preempts(VSM_PARTITION_VMM_EVENTS);
}

/* A sleeping VP needs no loop. */
static void test_timer_ends_halt(void **state)
{
	const struct vsm_partition_options o = {.flags = VSM_PARTITION_VMM_EVENTS};
	struct smp s;

	(void)state;
	smp_start_with(&s, 1, 0, &o);
	smp_interrupts_on(&s, 0, 0);
	smp_arm_timer(&s, 0, 0, 1000, VECTOR);
	SMP_SCRIPT(&s, 0, 0, HALT, VMM_OUT);
	smp_run(&s, 0);
	assert_true(fake_kvm_wait_sleepers(s.x.fake, 1));
	fake_kvm_advance_clock(s.x.fake, 1000);
	smp_expect_vmm(&s, 0, 0);
	assert_int_equal(delivered(&s, 0, 0, FAKE_INTERRUPT, VECTOR), 1);
	smp_stop(&s);
}

static void test_event_errnos(void **state)
{
	const struct vsm_partition_options o = {.flags = VSM_PARTITION_VMM_EVENTS};
	struct smp s;

	(void)state;
	assert_int_equal(vsm_partition_event_fd(NULL), -EINVAL);
	assert_int_equal(vsm_partition_run_events(NULL), -EINVAL);
	smp_start(&s, 1);
	assert_int_equal(vsm_partition_event_fd(s.p), -EBUSY);
	assert_int_equal(vsm_partition_run_events(s.p), -EBUSY);
	smp_stop(&s);
	smp_start_with(&s, 1, 0, &o);
	assert_int_equal(vsm_partition_event_fd(s.p), FAKE_FIRST_FD - 1);
	assert_int_equal(vsm_partition_run_events(s.p), 0);
	smp_stop(&s);
}

/* --- signals --- */

/* The library's own nudges stay inside; a signal of the VMM's comes back. */
static void test_nudge_is_internal(void **state)
{
	struct smp s;

	(void)state;
	smp_start(&s, 1);
	SMP_SCRIPT(&s, 0, 0, SPIN, SPIN);
	smp_run(&s, 0);
	smp_wait_spinning(&s, 0, 0);
	pthread_mutex_lock(&s.p->lock);
	partition_hold_vp(s.vp[0]);
	assert_false(fake_vcpu_running(s.x.fake, smp_fd(&s, 0, 0)));
	partition_release_vp(s.vp[0]);
	pthread_mutex_unlock(&s.p->lock);
	smp_wait_spinning(&s, 0, 0);
	s.x.host->ops->signal_thread(s.x.host, atomic_load(&s.vp[0]->thread), SIGUSR2);
	assert_int_equal(smp_join(&s, 0), -EINTR);
	smp_stop(&s);
}

static void count_source(struct vsm_partition *p, void *ctx)
{
	(void)p;
	atomic_fetch_add((atomic_int *)ctx, 1);
}

/* An eventfd of a device reaches its callback, once a signal, until it is removed. */
static void test_event_source(void **state)
{
	const struct vsm_partition_options o = {.flags = VSM_PARTITION_VMM_EVENTS};
	atomic_int count = 0;
	struct smp s;
	int fd;

	(void)state;
	smp_start_with(&s, 1, 0, &o);
	fd = s.x.host->ops->create_wake_fd(s.x.host);
	pthread_mutex_lock(&s.p->lock);
	assert_int_equal(event_add(s.p, fd, count_source, &count), 0);
	pthread_mutex_unlock(&s.p->lock);
	for (int i = 0; i < 3; i++) {
		s.x.host->ops->signal_fd(s.x.host, fd);
		assert_int_equal(vsm_partition_run_events(s.p), 0);
		assert_int_equal(vsm_partition_run_events(s.p), 0);
	}
	assert_int_equal(count, 3);
	pthread_mutex_lock(&s.p->lock);
	event_remove(s.p, fd);
	pthread_mutex_unlock(&s.p->lock);
	s.x.host->ops->signal_fd(s.x.host, fd);
	assert_int_equal(vsm_partition_run_events(s.p), 0);
	assert_int_equal(count, 3);
	s.x.host->ops->close_fd(s.x.host, fd);
	smp_stop(&s);
}

/* --- what has been queued in the vCPU stays there, whatever is written to it afterwards --- */

/* As for an exit that ends in #UD, before the guest was entered again. */
static void inject_and_write(struct smp *s)
{
	struct vtl_cpu *cpu = &s->vp[0]->vtls[0].cpu;

	assert_int_equal(vtl_cpu_inject(cpu, VECTOR_UD, -1), 0);
	assert_int_equal(vtl_cpu_flush(cpu), 0);
}

static void test_queued_interrupt_stays(void **state)
{
	struct kvm_vcpu_events *copy, *queued;
	struct smp s;

	(void)state;
	smp_start(&s, 1);
	smp_interrupts_on(&s, 0, 0);
	queued = fake_vcpu_events(s.x.fake, smp_fd(&s, 0, 0));
	s.vp[0]->vtls[0].cpu.run->ready_for_interrupt_injection = 1;
	assert_int_equal(vtl_cpu_events(&s.vp[0]->vtls[0].cpu, &copy), 0);
	assert_true(lapic_accept(&s.vp[0]->vtls[0].lapic, VECTOR, false));
	assert_int_equal(interrupt_deliver(s.vp[0]), 0);
	assert_int_equal(queued->interrupt.injected, 1);
	inject_and_write(&s);
	assert_int_equal(queued->interrupt.injected, 1);
	assert_int_equal(queued->interrupt.nr, VECTOR);
	smp_stop(&s);
}

/* Here also if the exception was there first, not yet written. */
static void test_queued_nmi_stays(void **state)
{
	(void)state;
	for (int dirty = 0; dirty < 2; dirty++) {
		struct kvm_vcpu_events *copy, *queued;
		struct smp s;

		smp_start(&s, 1);
		queued = fake_vcpu_events(s.x.fake, smp_fd(&s, 0, 0));
		assert_int_equal(vtl_cpu_events(&s.vp[0]->vtls[0].cpu, &copy), 0);
		if (dirty)
			vtl_cpu_inject(&s.vp[0]->vtls[0].cpu, VECTOR_UD, -1);
		s.vp[0]->vtls[0].lapic.events = LAPIC_EVENT_NMI;
		assert_int_equal(interrupt_deliver(s.vp[0]), 0);
		assert_int_equal(queued->nmi.pending, 1);
		inject_and_write(&s);
		assert_int_equal(queued->nmi.pending, 1);
		assert_int_equal(queued->exception.injected, 1);
		smp_stop(&s);
	}
}

/* From another processor, to KVM's own local APIC. */
static void test_foreign_nmi_stays(void **state)
{
	struct kvm_vcpu_events *copy, *queued;
	struct smp s;

	(void)state;
	smp_start_with(&s, 1, 0, &(struct vsm_partition_options){.flags = SMP_KERNEL_APIC});
	queued = fake_vcpu_events(s.x.fake, smp_fd(&s, 0, 0));
	assert_int_equal(vtl_cpu_events(&s.vp[0]->vtls[0].cpu, &copy), 0);
	queued->nmi.pending = 1;
	inject_and_write(&s);
	assert_int_equal(queued->nmi.pending, 1);
	smp_stop(&s);
}

/* A VTL that starts anew has none of the old. */
static void test_reset_takes_nmi(void **state)
{
	struct smp s;

	(void)state;
	smp_start(&s, 1);
	smp_enable_vtl1(&s, 0);
	fake_vcpu_events(s.x.fake, smp_fd(&s, 0, 1))->nmi.pending = 1;
	fake_vcpu_events(s.x.fake, smp_fd(&s, 0, 1))->interrupt.injected = 1;
	assert_int_equal(vsm_vcpu_reset(s.vp[0]), 0);
	assert_int_equal(fake_vcpu_events(s.x.fake, smp_fd(&s, 0, 1))->nmi.pending, 0);
	assert_int_equal(fake_vcpu_events(s.x.fake, smp_fd(&s, 0, 1))->interrupt.injected, 0);
	smp_stop(&s);
}

#define WAITS(field, value)                               \
	do {                                              \
		const __typeof__(field) before = (field); \
                                                          \
		(field) = (value);                        \
		assert_false(interrupt_none(vp));         \
		(field) = before;                         \
		assert_true(interrupt_none(vp));          \
	} while (0)

/* All that keeps a VP from going on without being looked at, in each VTL. */
static void test_nothing_waits(void **state)
{
	struct vsm_vcpu *vp;
	struct smp s;

	(void)state;
	smp_start(&s, 1);
	smp_enable_vtl1(&s, 0);
	vp = s.vp[0];
	assert_true(interrupt_none(vp));
	WAITS(vp->started, false);
	WAITS(vp->watch.suspect, true);
	WAITS(vp->kernel_apic.attend, true);
	for (unsigned vtl = 0; vtl < 2; vtl++) {
		struct vp_vtl *v = &vp->vtls[vtl];

		WAITS(v->entry_pending, true);
		WAITS(v->halted, true);
		WAITS(v->awaits_tlb, true);
		WAITS(v->suspended, true);
		WAITS(v->store_waits, true);
		WAITS(v->ahead, true);
		WAITS(v->lapic.events, LAPIC_EVENT_NMI);
		WAITS(v->lapic.tsc_deadline, 1);
		WAITS(v->lapic.expiry_ns, 1);
		WAITS(v->timer_runs, true);
		for (unsigned i = 0; i < ARRAY_SIZE(v->lapic.irr); i++)
			WAITS(v->lapic.irr[i], 1);
	}
	smp_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame_is_closed),
		cmocka_unit_test(test_nothing_is_asked_ahead),
		cmocka_unit_test(test_halt_ends_with_interrupt),
		cmocka_unit_test(test_halt_for_good),
		cmocka_unit_test(test_halt_exits),
		cmocka_unit_test(test_halt_and_vmm),
		cmocka_unit_test(test_preempts_spinning),
		cmocka_unit_test(test_priority_holds),
		cmocka_unit_test(test_preempts_halted),
		cmocka_unit_test(test_lower_waits),
		cmocka_unit_test(test_vina),
		cmocka_unit_test(test_vina_not_ready),
		cmocka_unit_test(test_timer_preempts),
		cmocka_unit_test(test_timer_ends_halt),
		cmocka_unit_test(test_event_errnos),
		cmocka_unit_test(test_nudge_is_internal),
		cmocka_unit_test(test_event_source),
		cmocka_unit_test(test_queued_interrupt_stays),
		cmocka_unit_test(test_queued_nmi_stays),
		cmocka_unit_test(test_foreign_nmi_stays),
		cmocka_unit_test(test_reset_takes_nmi),
		cmocka_unit_test(test_nothing_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
