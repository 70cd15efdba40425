/* SPDX-License-Identifier: MIT */
/*
 * HvCallAssertVirtualInterrupt: what a device's message does, for the caller's VTL or a lower one.
 */
#include "hypercall/call.h"

#include <errno.h>
#include <string.h>

#include "apic/bus.h"
#include "apic/kernel_apic.h"
#include "vcpu/vcpu.h"

#define VECTOR_LOWEST  0x10
#define VECTOR_HIGHEST 0xff

/*
 * The types there are a way for. Processors are started and reset by calls and IPIs of their own,
 * which a higher VTL can deny; system management mode and an 8259 the library does not have.
 */
#define TYPES                                                       \
	(1u << LAPIC_FIXED | 1u << LAPIC_LOWEST | 1u << LAPIC_NMI | \
	 1u << HV_INTERRUPT_TYPE_LINT0 | 1u << HV_INTERRUPT_TYPE_LINT1)

static bool is_pin(uint32_t type)
{
	return type == HV_INTERRUPT_TYPE_LINT0 || type == HV_INTERRUPT_TYPE_LINT1;
}

static bool has_vector(uint32_t type)
{
	return type == LAPIC_FIXED || type == LAPIC_LOWEST;
}

static bool in_kernel(const struct hypercall_call *c, unsigned vtl)
{
	return c->partition->kernel_irqchip && !vtl;
}

/* "Reserved. Must be zero." */
static enum hv_status check(const struct hypercall_call *c,
			    const struct hv_assert_virtual_interrupt *in)
{
	static const uint8_t zero[sizeof(in->reserved)];
	uint32_t type = (uint32_t)in->control;

	if (memcmp(in->reserved, zero, sizeof(zero)) ||
	    (in->control & HV_INTERRUPT_CONTROL_RESERVED) || type > HV_INTERRUPT_TYPE_LINT1 ||
	    in->destination > UINT32_MAX || in->target_vtl >= c->partition->vtl_count)
		return HV_INVALID_PARAMETER;
	if (in->target_vtl > c->vtl)
		return HV_ACCESS_DENIED;
	if (!(TYPES >> type & 1) || (is_pin(type) && in_kernel(c, in->target_vtl)))
		return HV_OPERATION_DENIED;
	if (has_vector(type) && (in->vector < VECTOR_LOWEST || in->vector > VECTOR_HIGHEST))
		return HV_INVALID_PARAMETER;
	return HV_SUCCESS;
}

/* An APIC's pin has a wire to nobody else: of those the destination names, each is asserted. */
static void raise_pins(struct vsm_partition *p, unsigned vtl, enum lapic_lvt lvt,
		       const struct lapic_ipi *to)
{
	for (uint32_t i = 0; i < p->max_vps; i++) {
		struct vsm_vcpu *vp = p->vps[i];

		if (vp && (vp->enabled_vtls & (1u << vtl)) &&
		    lapic_matches(&vp->vtls[vtl].lapic, to, false))
			bus_raise(vp, vtl, lvt);
	}
}

/* A message for nobody is lost, as on a bus. */
static enum hv_status signal_kernel(struct vsm_partition *p, const struct lapic_ipi *message)
{
	int r = kernel_apic_signal(p, message);

	return r >= 0 || r == -EPERM ? HV_SUCCESS : HV_INVALID_VP_STATE;
}

enum hv_status hypercall_assert_virtual_interrupt(struct hypercall_call *c)
{
	struct hv_assert_virtual_interrupt in;
	struct lapic_ipi message;
	enum hv_status status;
	uint32_t type;

	memcpy(&in, c->input, sizeof(in));
	type = (uint32_t)in.control;
	status = hypercall_target_partition(in.partition_id);
	if (!status)
		status = check(c, &in);
	if (status)
		return status;
	message = (struct lapic_ipi){
		.valid = true,
		.logical = in.control & HV_INTERRUPT_CONTROL_LOGICAL,
		.level = in.control & HV_INTERRUPT_CONTROL_LEVEL,
		.vector = has_vector(type) ? (uint8_t)in.vector : 0,
		.mode = (uint8_t)type,
		.dest = (uint32_t)in.destination,
	};
	if (in_kernel(c, in.target_vtl))
		return signal_kernel(c->partition, &message);
	if (is_pin(type))
		raise_pins(c->partition, in.target_vtl,
			   type == HV_INTERRUPT_TYPE_LINT0 ? LAPIC_LVT_LINT0 : LAPIC_LVT_LINT1,
			   &message);
	else
		bus_route(c->partition, NULL, in.target_vtl, &message);
	return HV_SUCCESS;
}
