/* SPDX-License-Identifier: MIT */
/* The synthetic interrupt controller of one VTL of one VP: SINTs, message page, event flags page.
 */
#ifndef VSM_LIB_SYNIC_SYNIC_H
#define VSM_LIB_SYNIC_SYNIC_H

#include "hv/message.h"
#include "memory/memory.h"

struct vsm_vcpu;

#define SYNIC_SINTS 16

struct synic {
	uint64_t control; /* SCONTROL */
	uint64_t siefp, simp;
	uint64_t sint[SYNIC_SINTS];
	struct overlay *message_page, *event_page;
};

/* Reset values; the overlay pages stay reserved and are hidden. */
int synic_reset(struct memory *m, struct synic *s);

/* -EINVAL: #GP. */
int synic_msr_read(const struct synic *s, uint32_t index, uint64_t *value);
int synic_msr_write(struct vsm_vcpu *vp, unsigned vtl, uint32_t index, uint64_t value);

/*
 * Puts a message in the SINT's slot and requests its interrupt. -EBUSY: the slot holds one (its
 * pending flag is set, so that the guest writes EOM); -ENODEV: the SynIC or its message page is
 * off.
 */
int synic_post(struct vsm_vcpu *vp, unsigned vtl, unsigned sint, const struct hv_message *message);

#endif
