// SPDX-License-Identifier: MIT
/* The fake KVM: exceptions, NMIs and interrupts reaching the guest. */
#include "fake.h"

bool event_interrupt_allowed(const struct vcpu *v)
{
	return v->regs.rflags & RFLAGS_IF && !v->events.interrupt.shadow;
}

static void event_deliver(struct vcpu *v, struct fake_event event)
{
	event.rip = v->regs.rip;
	v->log = fake_grow(v->log, v->log_count + 1, sizeof(*v->log));
	v->log[v->log_count++] = event;
	if (v->on_event) {
		struct fake_guest g = run_guest(v);
		fake_event_fn fn = v->on_event;
		void *ctx = v->event_ctx;

		pthread_mutex_unlock(&v->f->lock);
		fn(&g, &event, ctx);
		pthread_mutex_lock(&v->f->lock);
	}
}

static void event_deliver_exception(struct vcpu *v)
{
	struct kvm_vcpu_events *e = &v->events;
	struct fake_event event = {.kind = FAKE_EXCEPTION,
				   .vector = e->exception.nr,
				   .has_error_code = e->exception.has_error_code,
				   .error_code = e->exception.error_code};

	if (event.vector == VECTOR_PF && e->exception_has_payload)
		v->sregs.cr2 = e->exception_payload;
	e->exception.injected = e->exception.pending = 0;
	e->exception_has_payload = 0;
	event_deliver(v, event);
}

static void event_deliver_interrupt(struct vcpu *v)
{
	if (!event_interrupt_allowed(v))
		fake_error(v->f, "vCPU %lu: interrupt %u injected while the guest blocks it", v->id,
			   v->events.interrupt.nr);
	v->events.interrupt.injected = 0;
	event_deliver(
		v, (struct fake_event){.kind = FAKE_INTERRUPT, .vector = v->events.interrupt.nr});
}

/* In KVM's order: what is injected already, then what is pending (inject_pending_event()). */
bool event_deliver_pending(struct vcpu *v)
{
	const uint32_t blocked = KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ;
	struct kvm_vcpu_events *e = &v->events;

	if (e->exception.injected || e->exception.pending) {
		event_deliver_exception(v);
	} else if (e->nmi.injected || (e->nmi.pending && !e->nmi.masked && !e->interrupt.shadow &&
				       (v->debug.control & blocked) != blocked)) {
		if (!e->nmi.injected)
			e->nmi.pending = 0;
		e->nmi.injected = 0;
		e->nmi.masked = 1;
		event_deliver(v, (struct fake_event){.kind = FAKE_NMI, .vector = VECTOR_NMI});
	} else if (e->interrupt.injected &&
		   !(v->has_lapic && v->mp.mp_state == KVM_MP_STATE_HALTED)) {
		/* Its own local APIC is what KVM wakes for (kvm_cpu_has_interrupt()). */
		event_deliver_interrupt(v);
	} else {
		return false;
	}
	if (v->mp.mp_state == KVM_MP_STATE_HALTED)
		v->mp.mp_state = KVM_MP_STATE_RUNNABLE;
	return true;
}

int event_raise(struct vcpu *v, uint8_t vector, int64_t error_code)
{
	if (!script_from_queue(v, v->entry) && !v->on_event) {
		fake_error(v->f, "vCPU %lu: exception %u at %#llx of a program without a handler",
			   v->id, vector, v->regs.rip);
		return -ENOSYS;
	}
	if (script_from_queue(v, v->entry))
		script_consume(v, v->entry);
	event_deliver(
		v, (struct fake_event){.kind = FAKE_EXCEPTION,
				       .vector = vector,
				       .has_error_code = error_code >= 0,
				       .error_code = error_code >= 0 ? (uint32_t)error_code : 0});
	return 1;
}

size_t fake_vcpu_delivered(struct fake_kvm *f, int vcpu_fd, struct fake_event *events, size_t max)
{
	const struct vcpu *v;
	size_t count;

	pthread_mutex_lock(&f->lock);
	v = vcpu_of(f, vcpu_fd);
	count = v ? v->log_count : 0;
	for (size_t i = 0; i < count && i < max; i++)
		events[i] = v->log[i];
	pthread_mutex_unlock(&f->lock);
	return count;
}

void fake_vcpu_on_event(struct fake_kvm *f, int vcpu_fd, fake_event_fn fn, void *ctx)
{
	struct vcpu *v;

	pthread_mutex_lock(&f->lock);
	v = vcpu_of(f, vcpu_fd);
	if (v) {
		v->on_event = fn;
		v->event_ctx = ctx;
	}
	pthread_mutex_unlock(&f->lock);
}
