/* SPDX-License-Identifier: MIT */
/*
 * A VP with both VTLs, the SynIC of one switched on: what tests of SynIC, timers and ports start
 * from.
 */
#ifndef VSM_TESTS_UNIT_SYNIC_FIXTURE_H
#define VSM_TESTS_UNIT_SYNIC_FIXTURE_H

#include "partition_fixture.h"

#include <errno.h>
#include <string.h>
#include "msr/synthetic.h"
#include "vsm/synic.h"

#define PAGE_SIEF UINT64_C(0x13000)
#define VTL	  1 /* the one whose SynIC is on */
#define VECTOR	  0x50

static inline uint64_t rd(struct guest *g, unsigned vtl, uint32_t index)
{
	uint64_t value = 0xdead;

	assert_int_equal(synthetic_read(g->vp, vtl, index, &value), 0);
	return value;
}

static inline void wr(struct guest *g, unsigned vtl, uint32_t index, uint64_t value)
{
	assert_int_equal(synthetic_write(g->vp, vtl, index, value), 0);
}

static inline void synic_on(struct guest *g, unsigned vtl)
{
	wr(g, vtl, HV_MSR_SCONTROL, 1);
	wr(g, vtl, HV_MSR_SIMP, PAGE_SIMP | 1);
	wr(g, vtl, HV_MSR_SIEFP, PAGE_SIEF | 1);
}

static inline void synic_start(struct guest *g)
{
	guest_start(g, VSM_TOPOLOGY_DEFAULT, VSM_ENFORCEMENT_DEFAULT);
	guest_enable_vtl1(g);
	synic_on(g, VTL);
}

static inline struct hv_message *synic_slot(struct guest *g, unsigned sint)
{
	return (struct hv_message *)g->vp->vtls[VTL].synic.message_page->host + sint;
}

/* Takes the highest interrupt of the VTL; -1: none. */
static inline int take_interrupt(struct guest *g, unsigned vtl)
{
	return lapic_ack(&g->vp->vtls[vtl].lapic);
}

#endif
