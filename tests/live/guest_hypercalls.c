/* SPDX-License-Identifier: MIT */
/*
 * The table of hypercalls (tests/hypercalls), made by a guest: VTL0 drives, and has a higher VTL
 * make its calls by VTL calls. Needs two processors and three VTLs, and says which row differs.
 */
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "hct.h"
#include "trap.h"
#include "vtl.h"

#define TEST_DEVICE	   0x3000 /* vsm-run's: connections to SINTs */
#define DEVICE_MESSAGES	   4
#define DEVICE_NO_MESSAGES 5
#define DEVICE_EVENTS	   6
#define DEVICE_NO_EVENTS   7

#define LEAF_ADDRESS_SIZES 0x80000008

/* As hypercalls_call.S has it. */
struct registers {
	uint64_t control, switch_input;
	uint64_t block[HCT_BLOCK / 8];
	void *entry;
	uint64_t result;
};
_Static_assert(offsetof(struct registers, entry) == 128, "hypercalls_call.S");

extern char idle_entry[], idle_stack_top[];
void call64(struct registers *r);
void call32(struct registers *r, bool leave_long_mode);

static uint8_t pages[HCT_PAGES][HCT_PAGESIZE] PAGE_ALIGNED;

/* What a VTL above 0 is to do; NULL when it is only called. */
static struct hct_call *volatile request;
static volatile bool done;
static volatile uint8_t reached;
static volatile unsigned intercepts, reports;

/* --- making a call, in the VTL that makes it --- */

static struct registers registers;

static void by_mode(void *mode)
{
	if (*(enum hct_mode *)mode == HCT_64)
		call64(&registers);
	else
		call32(&registers, *(enum hct_mode *)mode == HCT_32);
}

static bool is_switch(const struct hct_call *c)
{
	uint16_t code = (uint16_t)c->control;

	return c->entry || code == CALL_VTL_CALL || code == CALL_VTL_RETURN;
}

static void execute(struct hct_call *c)
{
	void *const entries[] = {hv_call_entry, hv_vtl_call_entry, hv_vtl_return_entry};

	registers.control = c->control;
	registers.switch_input = is_switch(c) ? c->switch_input : UINT64_MAX;
	registers.entry = entries[c->entry];
	memcpy(registers.block, c->block, sizeof(c->block));
	if (is_switch(c) && c->mode != HCT_64)
		registers.block[0] = (uint32_t)c->switch_input;
	c->ud = trap_try(by_mode, &c->mode, NULL) == TRAP_UD;
	if (is_switch(c))
		return;
	memcpy(c->block, registers.block, sizeof(c->block));
	c->result = registers.result;
}

/* --- VTL1 and VTL2 --- */

static void serve(unsigned vtl)
{
	struct vtl_frame none = {0};
	struct hct_call *c = request;

	reached = (uint8_t)vtl;
	if (!c || done)
		return;
	if (c->vtl > vtl) {
		vtl_call(&none);
		return;
	}
	request = NULL;
	reached = (uint8_t)vtl;
	execute(c);
	request = c;
	done = true;
}

void vtl_on_call(struct vtl_frame *frame)
{
	(void)frame;
	serve(1);
}

void vtl2_on_call(struct vtl_frame *frame)
{
	(void)frame;
	serve(2);
}

void vtl_on_intercept(const struct hv_intercept *message)
{
	uint8_t *page = (uint8_t *)(message->gpa & ~(HCT_PAGESIZE - 1));

	CHECK(page == pages[HCT_INPUT] || page == pages[HCT_OUTPUT]);
	CHECK_EQUAL(message->access, page == pages[HCT_OUTPUT]);
	CHECK_EQUAL(message->rip, (uint64_t)hv_call_entry);
	intercepts++;
	CHECK_EQUAL(hv_protect(page, 1, HV_RWX), HV_REPS(1));
}

/* --- the environment --- */

/* A VTL that is new comes up first, and does nothing else when it is called. */
static void have_made(struct hct_call *c)
{
	request = c;
	done = false;
	for (unsigned i = 0; i < 4 && !done; i++) {
		struct vtl_frame none = {0};

		vtl_call(&none);
	}
	CHECK(done);
	request = NULL;
}

void hct_env_call(struct hct_call *c)
{
	intercepts = 0;
	reached = c->vtl;
	if (c->vtl)
		have_made(c);
	else
		execute(c);
	c->intercepts = intercepts;
	c->reached = reached;
}

void hct_env_enabled(unsigned vtl)
{
	(void)vtl;
}

void hct_env_context(unsigned vtl, void *context)
{
	static const struct vtl_image idle = {
		.entry = idle_entry,
		.stack_top = idle_stack_top,
		.page_tables = guest_page_tables,
		.gdt = guest_gdt,
		.gdt_end = guest_gdt_end,
	};
	const struct vtl_image *const images[] = {&idle, &vtl_own_image, &vtl2_own_image};

	vtl_fill_context(context, images[vtl]);
}

const unsigned hct_env_watched = 256;

void *hct_env_page(unsigned page)
{
	return pages[page];
}

const void *hct_env_shown(unsigned page)
{
	return pages[page];
}

uint64_t hct_env_gpa(unsigned page)
{
	return (uint64_t)pages[page];
}

uint32_t hct_env_apic_id(unsigned vp)
{
	return vp;
}

static void tell_device(unsigned command, uint8_t id, uint8_t sint)
{
	out32(TEST_DEVICE, (uint32_t)id << 24 | command << 16 | sint);
}

unsigned hct_env_physical_bits(void)
{
	return cpuid(LEAF_ADDRESS_SIZES).eax & 0xff;
}

void hct_env_connect(bool events, uint8_t id, uint8_t sint)
{
	tell_device(events ? DEVICE_EVENTS : DEVICE_MESSAGES, id, sint);
}

void hct_env_disconnect(uint8_t id)
{
	tell_device(DEVICE_NO_MESSAGES, id, 0);
}

void hct_env_fault(enum hct_fault fault)
{
	(void)fault;
}

void hct_env_report(const char *name, enum hct_form form, const char *what, uint64_t got,
		    uint64_t wanted)
{
	static const char *const forms[] = {"slow",	   "fast",    "slow compat",
					    "fast compat", "slow 32", "fast 32"};

	reports++;
	print("%s (%s): %s is %#lx, wanted %#lx\n", name, forms[form], what, got, wanted);
}

/* --- VTL0 --- */

static void breaches(void)
{
	hct_run_unknown_codes();
	for (unsigned i = 0; i < hct_info_count; i++)
		hct_run_breaches(&hct_infos[i]);
}

static void closed_pages(void)
{
	for (unsigned i = 0; i < hct_info_count; i++)
		hct_run_closed(&hct_infos[i]);
}

int guest_main(void)
{
	hv_require_vsm();
	hv_setup();
	breaches();
	for (unsigned s = HCT_NONE; s < HCT_STATES; s++) {
		CHECK(hct_advance((enum hct_state)s));
		hct_run_state((enum hct_state)s, guest_has_option("relaxed"));
		if (s == HCT_PROTECTED)
			closed_pages();
	}
	CHECK_EQUAL(reports, 0);
	return 0;
}
