/* SPDX-License-Identifier: MIT */
/*
 * The registers of a VTL's SynIC (TLFS inter-partition-communication.md).
 *
 * The message and event flag pages are overlay pages: the library writes its own memory, which no
 * other VTL of the guest can see or change.
 */
#include "synic/synic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "apic/kernel_apic.h"
#include "msr/synthetic.h"
#include "vcpu/vcpu.h"

#define SYNIC_VERSION	   1
#define SINT_VECTOR_LOWEST 16

int synic_create(struct memory *m, unsigned vtl, struct synic *s)
{
	prot_t data = PROT_ALL; /* closed under the strict execute policy otherwise */

	s->message_page = overlay_create(m, vtl, data);
	s->event_page = overlay_create(m, vtl, data);
	s->queues = calloc(SYNIC_SINTS, sizeof(*s->queues));
	if (!s->message_page || !s->event_page || !s->queues)
		return -ENOMEM;
	return synic_reset(m, s);
}

void synic_destroy(struct memory *m, struct synic *s)
{
	overlay_destroy(m, s->message_page);
	overlay_destroy(m, s->event_page);
	free(s->queues);
}

int synic_reset(struct memory *m, struct synic *s)
{
	int r = overlay_disable(m, s->message_page);

	if (!r)
		r = overlay_disable(m, s->event_page);
	if (r)
		return r;
	/* "Upon virtual processor creation and reset, the SIM page is cleared to zero." */
	memset(s->message_page->host, 0, VSM_PAGE_SIZE);
	memset(s->event_page->host, 0, VSM_PAGE_SIZE);
	s->control = 0;
	s->simp = 0;
	s->siefp = 0;
	for (unsigned i = 0; i < SYNIC_SINTS; i++) {
		s->sint[i] = SINT_MASKED;
		s->queues[i].count = 0;
	}
	memset(s->timers, 0, sizeof(s->timers));
	return 0;
}

int synic_msr_read(const struct synic *s, uint32_t index, uint64_t *value)
{
	if (index >= HV_MSR_SINT0 && index <= HV_MSR_SINT15) {
		*value = s->sint[index - HV_MSR_SINT0];
		return 0;
	}
	switch (index) {
	case HV_MSR_SCONTROL:
		*value = s->control;
		return 0;
	case HV_MSR_SVERSION:
		*value = SYNIC_VERSION;
		return 0;
	case HV_MSR_SIEFP:
		*value = s->siefp;
		return 0;
	case HV_MSR_SIMP:
		*value = s->simp;
		return 0;
	case HV_MSR_EOM:
		*value = 0;
		return 0;
	default:
		return -EINVAL;
	}
}

/*
 * "Specifying an invalid vector number results in #GP", yet the reset value has one: while masked
 * any goes (kernel: synic_set_sint(), which found a guest that writes it).
 */
static int write_sint(struct vsm_vcpu *vp, unsigned vtl, unsigned sint, uint64_t value)
{
	if (!(value & SINT_MASKED) && (value & SINT_VECTOR) < SINT_VECTOR_LOWEST)
		return -EINVAL;
	vp->vtls[vtl].synic.sint[sint] = value;
	if (!vtl)
		kernel_apic_sints_changed(vp);
	return 0;
}

static int write_page(struct memory *m, struct overlay *page, uint64_t *msr, uint64_t value)
{
	int r = synthetic_move_overlay(m, page, value & SYNIC_PAGE_ENABLE, value >> VSM_PAGE_SHIFT);

	if (!r)
		*msr = value;
	return r;
}

static int write_register(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value)
{
	struct memory *m = &vp->partition->memory;
	struct synic *s = &vp->vtls[vtl].synic;

	switch (index) {
	case HV_MSR_SCONTROL:
		s->control = value;
		return 0;
	case HV_MSR_SIEFP:
		return write_page(m, s->event_page, &s->siefp, value);
	case HV_MSR_SIMP:
		return write_page(m, s->message_page, &s->simp, value);
	case HV_MSR_EOM:
		return 0;
	default:
		return -EINVAL;
	}
}

int synic_msr_write(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value)
{
	int r;

	if (index >= HV_MSR_SINT0 && index <= HV_MSR_SINT15)
		return write_sint(vp, vtl, index - HV_MSR_SINT0, value);
	r = write_register(vp, vtl, index, value);
	if (!r)
		synic_flush(vp, vtl);
	return r;
}
