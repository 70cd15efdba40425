/* SPDX-License-Identifier: MIT */
/* Events a VTL's vCPU takes at its next entry: how a higher VTL answers an intercept with an
 * exception. */
#include "registers/places.h"

#define VECTOR_COUNT 32
#define VECTOR_NMI   2

/* Exceptions that push an error code (Intel SDM 3A, table 6-1; AMD APM 2, table 8-1). */
#define VECTORS_WITH_ERROR_CODE UINT32_C(0x60227d00)

static bool has_error_code(unsigned vector)
{
	return VECTORS_WITH_ERROR_CODE >> vector & 1;
}

/* CR2 is one register for all VTLs: in a VTL above the caller's, it is not for the caller. */
static bool page_fault_reachable(const struct register_access *a)
{
	return a->caller >= a->target->active_vtl;
}

static int page_fault_address(const struct register_access *a, struct kvm_sregs **sregs)
{
	return vtl_cpu_sregs(&vcpu_active(a->target)->cpu, sregs);
}

static enum hv_status get_event0(const struct register_access *a, struct hv_register_value *value)
{
	struct kvm_vcpu_events *events;
	struct kvm_sregs *sregs;
	int r = vtl_cpu_events(&register_holder(a)->cpu, &events);

	if (r || !(events->exception.injected || events->exception.pending))
		return register_status(a, r);
	value->low = HV_EVENT_PENDING | (uint64_t)events->exception.nr << HV_EVENT_VECTOR_SHIFT;
	if (events->exception.has_error_code)
		value->low |= HV_EVENT_DELIVER_ERROR_CODE | (uint64_t)events->exception.error_code
								    << HV_EVENT_ERROR_CODE_SHIFT;
	if (events->exception.nr != VECTOR_PF || !page_fault_reachable(a))
		return HV_SUCCESS;
	r = page_fault_address(a, &sregs);
	if (!r)
		value->high = sregs->cr2;
	return register_status(a, r);
}

static enum hv_status clear_event(const struct register_access *a)
{
	struct vtl_cpu *cpu = &register_holder(a)->cpu;
	struct kvm_vcpu_events *events;
	int r = vtl_cpu_events(cpu, &events);

	if (r)
		return register_status(a, r);
	events->exception.injected = 0;
	events->exception.pending = 0;
	vtl_cpu_dirty(cpu, CPU_EVENTS);
	return HV_SUCCESS;
}

/* Only exceptions can be queued here, with a parameter for the one that has it in a register KVM
 * lets us set. */
static bool event_valid(const struct hv_register_value *value)
{
	unsigned vector = (value->low & HV_EVENT_VECTOR) >> HV_EVENT_VECTOR_SHIFT;

	if ((value->low & ~HV_EVENT_EXCEPTION_VALID) || vector >= VECTOR_COUNT ||
	    vector == VECTOR_NMI)
		return false;
	if ((value->low & HV_EVENT_DELIVER_ERROR_CODE) && !has_error_code(vector))
		return false;
	return !value->high || vector == VECTOR_PF;
}

static enum hv_status set_event0(const struct register_access *a,
				 const struct hv_register_value *value)
{
	uint8_t vector = (value->low & HV_EVENT_VECTOR) >> HV_EVENT_VECTOR_SHIFT & 0xff;
	int64_t error_code = -1;
	struct kvm_sregs *sregs = NULL;
	int r = 0;

	if (!(value->low & HV_EVENT_PENDING))
		return value->low || value->high ? HV_INVALID_REGISTER_VALUE : clear_event(a);
	if (!event_valid(value))
		return HV_INVALID_REGISTER_VALUE;
	/* The processor wants one exactly where the exception has one. */
	if (has_error_code(vector))
		error_code = value->low & HV_EVENT_DELIVER_ERROR_CODE
				     ? (int64_t)(value->low >> HV_EVENT_ERROR_CODE_SHIFT)
				     : 0;
	if (vector == VECTOR_PF) {
		if (!page_fault_reachable(a))
			return HV_ACCESS_DENIED;
		r = page_fault_address(a, &sregs);
		if (r)
			return register_status(a, r);
	}
	r = vtl_cpu_inject(&register_holder(a)->cpu, vector, error_code);
	if (!r && vector == VECTOR_PF) {
		sregs->cr2 = value->high;
		vtl_cpu_dirty(&vcpu_active(a->target)->cpu, CPU_SREGS);
	}
	return register_status(a, r);
}

const struct register_place place_event0 = {.wide = true, .get = get_event0, .set = set_event0};

/* The second half of an event: exceptions have none. */
static enum hv_status get_event1(const struct register_access *a, struct hv_register_value *value)
{
	(void)a, (void)value;
	return HV_SUCCESS;
}

static enum hv_status set_event1(const struct register_access *a,
				 const struct hv_register_value *value)
{
	(void)a;
	return value->low || value->high ? HV_INVALID_REGISTER_VALUE : HV_SUCCESS;
}

const struct register_place place_event1 = {.wide = true, .get = get_event1, .set = set_event1};

/* Registers that are always 0 here. */
const struct register_place place_zero = {.get = get_event1, .set = set_event1};

/* --- interrupt state --- */

/* KVM has two kinds of shadow (after STI, after MOV SS); the TLFS has one. */
static enum hv_status get_interrupt_state(const struct register_access *a,
					  struct hv_register_value *value)
{
	struct kvm_vcpu_events *events;
	int r = vtl_cpu_events(&register_holder(a)->cpu, &events);

	if (r)
		return register_status(a, r);
	if (events->interrupt.shadow)
		value->low |= HV_INTERRUPT_STATE_SHADOW;
	if (events->nmi.masked)
		value->low |= HV_INTERRUPT_STATE_NMI_MASKED;
	return HV_SUCCESS;
}

static enum hv_status set_interrupt_state(const struct register_access *a,
					  const struct hv_register_value *value)
{
	struct vtl_cpu *cpu = &register_holder(a)->cpu;
	bool shadow = value->low & HV_INTERRUPT_STATE_SHADOW;
	struct kvm_vcpu_events *events;
	int r;

	if (value->low & ~(HV_INTERRUPT_STATE_SHADOW | HV_INTERRUPT_STATE_NMI_MASKED))
		return HV_INVALID_REGISTER_VALUE;
	r = vtl_cpu_events(cpu, &events);
	if (r)
		return register_status(a, r);
	if (shadow != !!events->interrupt.shadow)
		events->interrupt.shadow = shadow ? KVM_X86_SHADOW_INT_STI : 0;
	events->nmi.masked = !!(value->low & HV_INTERRUPT_STATE_NMI_MASKED);
	events->flags |= KVM_VCPUEVENT_VALID_SHADOW;
	vtl_cpu_dirty(cpu, CPU_EVENTS);
	return HV_SUCCESS;
}

const struct register_place place_interrupt_state = {.get = get_interrupt_state,
						     .set = set_interrupt_state};

/* --- what KVM is about to deliver, of whatever kind --- */

static void show_interruption(const struct kvm_vcpu_events *e, uint64_t *value)
{
	if (e->exception.injected || e->exception.pending) {
		*value = HV_INTERRUPTION(HV_INTERRUPTION_EXCEPTION, e->exception.nr);
		if (e->exception.has_error_code)
			*value |= HV_INTERRUPTION_DELIVER_ERROR_CODE |
				  (uint64_t)e->exception.error_code << HV_EVENT_ERROR_CODE_SHIFT;
	} else if (e->nmi.injected) {
		*value = HV_INTERRUPTION(HV_INTERRUPTION_NMI, VECTOR_NMI);
	} else if (e->interrupt.injected) {
		*value = HV_INTERRUPTION(e->interrupt.soft ? HV_INTERRUPTION_SOFTWARE
							   : HV_INTERRUPTION_INTERRUPT,
					 e->interrupt.nr);
	}
}

static enum hv_status get_interruption(const struct register_access *a,
				       struct hv_register_value *value)
{
	struct kvm_vcpu_events *events;
	int r = vtl_cpu_events(&register_holder(a)->cpu, &events);

	if (!r)
		show_interruption(events, &value->low);
	return register_status(a, r);
}

/* A software interrupt's length is KVM's to know: none is queued here. */
static bool interruption_valid(uint64_t value)
{
	unsigned type = value >> 1 & 7, vector = value >> HV_EVENT_VECTOR_SHIFT & 0xffff;

	if (!(value & HV_EVENT_PENDING))
		return !value;
	if (value & ~HV_INTERRUPTION_VALID)
		return false;
	if (type == HV_INTERRUPTION_EXCEPTION)
		return vector < VECTOR_COUNT && vector != VECTOR_NMI &&
		       !(value & HV_INTERRUPTION_DELIVER_ERROR_CODE) == !has_error_code(vector);
	if (value >> HV_EVENT_ERROR_CODE_SHIFT || (value & HV_INTERRUPTION_DELIVER_ERROR_CODE))
		return false;
	return (type == HV_INTERRUPTION_NMI && vector == VECTOR_NMI) ||
	       (type == HV_INTERRUPTION_INTERRUPT && vector <= UINT8_MAX);
}

static enum hv_status set_interruption(const struct register_access *a,
				       const struct hv_register_value *value)
{
	struct vtl_cpu *cpu = &register_holder(a)->cpu;
	bool pending = value->low & HV_EVENT_PENDING;
	unsigned type = value->low >> 1 & 7;
	struct kvm_vcpu_events *e;
	struct kvm_regs *regs;
	int r;

	if (!interruption_valid(value->low))
		return HV_INVALID_REGISTER_VALUE;
	r = vtl_cpu_events(cpu, &e);
	if (!r)
		r = vtl_cpu_regs(cpu, &regs);
	if (r)
		return register_status(a, r);
	/* Intel's processors do not enter so (SDM vol. 3, 27.3.1.4). */
	if (pending && type == HV_INTERRUPTION_INTERRUPT && !(regs->rflags & CPU_RFLAGS_IF))
		return HV_INVALID_REGISTER_VALUE;
	e->exception.pending = 0;
	e->exception.injected = pending && type == HV_INTERRUPTION_EXCEPTION;
	e->nmi.injected = pending && type == HV_INTERRUPTION_NMI;
	e->interrupt.injected = pending && type == HV_INTERRUPTION_INTERRUPT;
	if (e->exception.injected) {
		e->exception.nr = (uint8_t)(value->low >> HV_EVENT_VECTOR_SHIFT);
		e->exception.has_error_code = has_error_code(e->exception.nr);
		e->exception.error_code = (uint32_t)(value->low >> HV_EVENT_ERROR_CODE_SHIFT);
	}
	if (e->interrupt.injected) {
		e->interrupt.nr = (uint8_t)(value->low >> HV_EVENT_VECTOR_SHIFT);
		e->interrupt.soft = 0;
	}
	register_holder(a)->ahead = e->interrupt.injected;
	vtl_cpu_dirty(cpu, CPU_EVENTS);
	return HV_SUCCESS;
}

const struct register_place place_interruption = {.get = get_interruption, .set = set_interruption};
