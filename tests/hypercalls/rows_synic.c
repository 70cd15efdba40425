/* SPDX-License-Identifier: MIT */
/*
 * Rows of HvCallPostMessage and HvCallSignalEvent. A connection of the environment's leads to a
 * SINT of VTL0's: what that says is what the caller is answered.
 */
#include "rows.h"

#define SINT0			0x000a0000
#define SCONTROL		0x000a0010
#define SIEFP			0x000a0012
#define SIMP			0x000a0013

#define ENABLE			1
#define POLLED			(UINT64_C(1) << 18)
#define VECTOR			0x40
#define QUEUE			16 /* messages a SINT holds beside the one in its slot */

#define MESSAGE_ID		0x21
#define EVENT_ID		0x22
#define NO_ID			0x23
#define FAR_ID			(MESSAGE_ID | 1 << 24)
#define SINT			3
#define FULL_SINT		5

#define MESSAGE(id, type, size) (id), PAIR(type, size), UINT64_C(0x1122334455667788)
#define EVENT(id, flag)		PAIR(id, flag)

/* VTL0's SynIC, with nothing that interrupts it. */
static void synic_on(const struct hct_row *row)
{
	hct_set_register(0, SINT0 + SINT, POLLED | VECTOR);
	hct_set_register(0, SINT0 + FULL_SINT, POLLED | VECTOR);
	hct_set_register(0, SIMP, hct_env_gpa(HCT_MESSAGES) | ENABLE);
	hct_set_register(0, SIEFP, hct_env_gpa(HCT_EVENT_FLAGS) | ENABLE);
	hct_set_register(0, SCONTROL, ENABLE);
	(void)row;
}

static void synic_off(const struct hct_row *row)
{
	(void)row;
	hct_set_register(0, SCONTROL, 0);
	hct_set_register(0, SIMP, 0);
	hct_set_register(0, SIEFP, 0);
	hct_env_disconnect(MESSAGE_ID);
	hct_env_disconnect(EVENT_ID);
}

static void connect_both(const struct hct_row *row)
{
	(void)row;
	hct_env_connect(false, MESSAGE_ID, SINT);
	hct_env_connect(true, EVENT_ID, SINT);
}

static void connect_on(const struct hct_row *row)
{
	synic_on(row);
	connect_both(row);
}

static void connect_full(const struct hct_row *row)
{
	synic_on(row);
	hct_env_connect(false, MESSAGE_ID, FULL_SINT);
	for (unsigned i = 0; i < QUEUE + 1; i++)
		HCT_SIMPLE(0, CALL_POST_MESSAGE, 0, MESSAGE(MESSAGE_ID, 1, 8));
}

/* The message, or the flag, is there. */
static void expect_message(const struct hct_row *row)
{
	const uint64_t *slot = (const uint64_t *)hct_env_shown(HCT_MESSAGES) + SINT * 32;

	if ((uint32_t)slot[0] != 1 || slot[2] != UINT64_C(0x1122334455667788))
		hct_env_report(row->name, HCT_SLOW, "the message", slot[0], 1);
	synic_off(row);
}

static void expect_flag(const struct hct_row *row)
{
	const uint64_t *flags = (const uint64_t *)hct_env_shown(HCT_EVENT_FLAGS) + SINT * 32;

	if (flags[EVENT_ID / 64] != UINT64_C(1) << EVENT_ID % 64)
		hct_env_report(row->name, HCT_SLOW, "the flag", flags[EVENT_ID / 64], EVENT_ID);
	synic_off(row);
}

#define CONNECTED .before = connect_both, .after = synic_off
#define POST(n, ...)                                                               \
	{                                                                          \
		.name = "post message: " n, .code = CALL_POST_MESSAGE, __VA_ARGS__ \
	}
#define SIGNAL(n, ...)                                                             \
	{                                                                          \
		.name = "signal event: " n, .code = CALL_SIGNAL_EVENT, __VA_ARGS__ \
	}

const struct hct_row hct_rows_synic[] = {
	POST("8 bytes", IN(MESSAGE(MESSAGE_ID, 1, 8)), .before = connect_on,
	     .after = expect_message),
	POST("240 bytes", IN(MESSAGE(MESSAGE_ID, 1, 240)), .before = connect_on,
	     .after = expect_message),
	POST("by VTL1", IN(MESSAGE(MESSAGE_ID, 1, 8)), .before = connect_on,
	     .after = expect_message, .state = HCT_ON_VP, .caller = 1),
	POST("type 0", IN(MESSAGE(MESSAGE_ID, 0, 8)), .status = ST_INVALID_PARAMETER, CONNECTED),
	POST("the hypervisor's type", IN(MESSAGE(MESSAGE_ID, 0x80000000, 8)),
	     .status = ST_INVALID_PARAMETER, CONNECTED),
	POST("241 bytes", IN(MESSAGE(MESSAGE_ID, 1, 241)), .status = ST_INVALID_PARAMETER,
	     CONNECTED),
	POST("not connected", IN(MESSAGE(NO_ID, 1, 8)), .status = ST_INVALID_CONNECTION_ID,
	     CONNECTED),
	POST("an id past 24 bits", IN(MESSAGE(FAR_ID, 1, 8)), .status = ST_INVALID_CONNECTION_ID,
	     CONNECTED),
	POST("connected for events", IN(MESSAGE(EVENT_ID, 1, 8)), .status = ST_INVALID_PORT_ID,
	     CONNECTED),
	POST("the VMM fails", IN(MESSAGE(MESSAGE_ID, 1, 8)), .status = ST_INVALID_PORT_ID,
	     CONNECTED, .fault = HCT_FAULT_CALLBACK),
	POST("the SynIC is off", IN(MESSAGE(MESSAGE_ID, 1, 8)), .status = ST_INVALID_SYNIC_STATE,
	     CONNECTED),
	POST("one too many", IN(MESSAGE(MESSAGE_ID, 1, 8)), .status = ST_INSUFFICIENT_BUFFERS,
	     .before = connect_full, .after = synic_off),

	SIGNAL("flag 0", IN(EVENT(EVENT_ID, 0)), .before = connect_on, .after = expect_flag),
	SIGNAL("by VTL1", IN(EVENT(EVENT_ID, 0)), .before = connect_on, .after = expect_flag,
	       .state = HCT_ON_VP, .caller = 1),
	SIGNAL("not connected", IN(EVENT(NO_ID, 0)), .status = ST_INVALID_CONNECTION_ID, CONNECTED),
	SIGNAL("connected for messages", IN(EVENT(MESSAGE_ID, 0)), .status = ST_INVALID_PORT_ID,
	       CONNECTED),
	SIGNAL("the VMM fails", IN(EVENT(EVENT_ID, 0)), .status = ST_INVALID_PORT_ID, CONNECTED,
	       .fault = HCT_FAULT_CALLBACK),
	SIGNAL("the VMM has no room", IN(EVENT(EVENT_ID, 0)), .status = ST_INSUFFICIENT_BUFFERS,
	       CONNECTED, .fault = HCT_FAULT_BUSY),
	SIGNAL("a flag it does not have", IN(EVENT(EVENT_ID, 1)), .status = ST_INVALID_PARAMETER,
	       CONNECTED),
	SIGNAL("the SynIC is off", IN(EVENT(EVENT_ID, 0)), .status = ST_INVALID_SYNIC_STATE,
	       CONNECTED),
};
const unsigned hct_rows_synic_count = HCT_COUNT(hct_rows_synic);
