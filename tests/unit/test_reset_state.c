/* SPDX-License-Identifier: MIT */
/*
 * After a reset everything is as in a partition that was just made: one has whatever can be set
 * set, and is then compared with one that nobody touched, field by field and register by register.
 */
#include "hypercall_fixture.h"

#include "hv/register_names.h"
#include "initial_context.h"
#include "msr/intercept.h"
#include "msr/synthetic.h"
#include "partition/tlb.h"
#include "registers/places.h"
#include "vtl/disable.h"
#include "vtl/enable.h"

#define VTLS	  3
#define MSR_FMASK 0xc0000084

/* Values of which some register or other takes one. */
static const struct hv_register_value values[] = {
	{.low = 0x1},
	{.low = 0x3},
	{.low = 0x5000},
	{.low = 0x9001},
	{.low = 0x10051},
	{.low = 0x1151},
	{.low = 0x40402},
	{.low = 0xffff0ff1},
	{.low = 0x401},
	{.low = 0x700405},
	{.low = UINT64_C(0x0606060606060606)},
	{.low = UINT64_MAX},
};

/* These move with time, or name what the values above would destroy. */
static bool left_alone(uint32_t name)
{
	return name == HV_REGISTER_TSC || name == HV_REGISTER_TIME_REF_COUNT;
}

static void set_registers(struct hc *h, unsigned vp, unsigned vtl)
{
	for (size_t i = 0; i < register_table_size; i++)
		for (uint32_t n = 0; n < register_table[i].count; n++)
			for (size_t v = 0; v < ARRAY_SIZE(values); v++)
				if (!left_alone(register_table[i].name + n))
					register_set(h->vp[vp], VTLS - 1, vtl,
						     register_table[i].name + n, &values[v]);
}

/* What no register reaches. */
static void set_inside(struct hc *h, unsigned vp, unsigned vtl)
{
	struct vp_vtl *v = &h->vp[vp]->vtls[vtl];
	const struct hv_message message = {.type = 5};

	synic_queue_message(h->vp[vp], vtl, 3, &message);
	synic_queue_message(h->vp[vp], vtl, 3, &message);
	synic_post_timer(h->vp[vp], vtl, 1, 3, 99);
	lapic_accept(&v->lapic, 0x51, true);
	v->lapic.events = LAPIC_EVENT_NMI;
	v->lapic.base &= ~LAPIC_BASE_ENABLE;
	v->lapic.tsc_deadline = 5;
	v->stimers[2].due_ns = 7;
	v->entry_pending = true;
	v->halted = true;
	v->halt_rip = 0x1000;
	v->vina_asserted = true;
	memset(v->vina_irr, 0xff, sizeof(v->vina_irr));
	v->store_waits = true;
	h->vp[vp]->rare[vtl].step.failed = true;
	h->vp[vp]->rare[vtl].step.rip = 0x1000;
	tlb_wait(h->vp[vp], 0x1000);
	v->awaits_tlb = true;
	if (vtl)
		tlb_inhibit(h->vp[vp], vtl, h->vp[1 - vp], 0);
}

static void set_everything(struct hc *h)
{
	const struct hv_initial_vp_context c = long_mode_context();

	for (unsigned vtl = 1; vtl < VTLS; vtl++) {
		assert_int_equal(vtl_enable_partition(h->p, vtl - 1, vtl, 0), 0);
		for (unsigned vp = 0; vp < HC_VPS; vp++) {
			assert_int_equal(vtl_enable_vp(h->vp[vp ? 0 : vp], h->vp[vp], vtl, &c), 0);
			vcpu_activate(h->vp[vp], vtl);
		}
	}
	for (unsigned vp = 0; vp < HC_VPS; vp++)
		for (unsigned vtl = 0; vtl < VTLS; vtl++) {
			set_registers(h, vp, vtl);
			set_inside(h, vp, vtl);
		}
	assert_int_equal(msr_intercept_install(h->p, 1, MSR_FMASK, 3), 0);
	for (unsigned vp = 0; vp < HC_VPS; vp++) {
		h->vp[vp]->started = !h->vp[vp]->started;
		h->vp[vp]->nudged = true;
		h->vp[vp]->deadline = 5;
	}
}

/* --- comparing --- */

static void same_synic(const struct synic *a, const struct synic *b)
{
	assert_int_equal(a->control, b->control);
	assert_int_equal(a->siefp, b->siefp);
	assert_int_equal(a->simp, b->simp);
	assert_memory_equal(a->sint, b->sint, sizeof(a->sint));
	assert_memory_equal(a->timers, b->timers, sizeof(a->timers));
	for (unsigned i = 0; i < SYNIC_SINTS; i++)
		assert_int_equal(a->queues[i].count, b->queues[i].count);
	assert_int_equal(a->message_page->enabled, b->message_page->enabled);
	assert_int_equal(a->event_page->enabled, b->event_page->enabled);
	assert_memory_equal(a->message_page->host, b->message_page->host, VSM_PAGE_SIZE);
	assert_memory_equal(a->event_page->host, b->event_page->host, VSM_PAGE_SIZE);
}

/* All there is but what was made with the VP, which differs by nature. */
static void same_vtl(const struct vsm_vcpu *used, const struct vsm_vcpu *new, unsigned vtl)
{
	const struct vp_vtl *a = &used->vtls[vtl], *b = &new->vtls[vtl];
	struct vp_vtl x, y;

	assert_memory_equal(&used->rare[vtl], &new->rare[vtl], sizeof(used->rare[vtl]));
	same_synic(&a->synic, &b->synic);
	assert_int_equal(a->assist_page->enabled, b->assist_page->enabled);
	assert_int_equal(a->cpu.unfinished, b->cpu.unfinished);
	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	memset(&x.cpu, 0, sizeof(x.cpu));
	memset(&y.cpu, 0, sizeof(y.cpu));
	memset(&x.synic, 0, sizeof(x.synic));
	memset(&y.synic, 0, sizeof(y.synic));
	x.space = y.space = NULL;
	x.assist_page = y.assist_page = NULL;
	x.xsave = y.xsave = NULL;
	assert_memory_equal(&x, &y, sizeof(x));
}

static struct hv_register_value read_register(struct hc *h, unsigned vp, unsigned vtl,
					      uint32_t name, enum hv_status *status)
{
	struct hv_register_value value = {0};

	*status = register_get(h->vp[vp], VTLS - 1, vtl, name, &value);
	return value;
}

/*
 * What the VTLs share is VTL0's, and that is the VMM's to reset; VTL0's own registers are too,
 * those of the library excepted.
 */
static bool is_vmms(const struct register_row *row, unsigned vtl)
{
	const struct register_place *place = row->place;

	return (row->flags & REGISTER_SHARED) ||
	       (!vtl && place != &place_synthetic && row->name < HV_REGISTER_HYPERCALL);
}

/* An initial context sets these. */
static bool in_context(uint32_t name)
{
	return name == HV_REGISTER_RSP || name == HV_REGISTER_RIP || name == HV_REGISTER_RFLAGS ||
	       (name >= HV_REGISTER_CR0 && name < HV_REGISTER_XFEM) ||
	       (name >= HV_REGISTER_ES && name <= HV_REGISTER_GDTR) || name == HV_REGISTER_EFER ||
	       name == HV_REGISTER_PAT;
}

/* Of the VTL, not of it on one VP. */
static bool is_partitions(uint32_t name)
{
	return name == HV_REGISTER_HYPERCALL || name == HV_REGISTER_GUEST_OS_ID ||
	       name == HV_REGISTER_REFERENCE_TSC ||
	       (name >= HV_REGISTER_GUEST_CRASH_P0 && name <= HV_REGISTER_GUEST_CRASH_CTL) ||
	       (name >= HV_REGISTER_VSM_CODE_PAGE_OFFSETS &&
		name <= HV_REGISTER_VSM_PARTITION_CONFIG && name != HV_REGISTER_VSM_VINA);
}

static void same_registers(struct hc *a, struct hc *b, unsigned vp, unsigned vtl, bool partition)
{
	for (size_t i = 0; i < register_table_size; i++) {
		const struct register_row *row = &register_table[i];

		for (uint32_t n = 0; n < row->count; n++) {
			uint32_t name = row->name + n;
			enum hv_status sa, sb;
			struct hv_register_value x, y;

			if (left_alone(name) || in_context(name) || is_vmms(row, vtl) ||
			    (!partition && is_partitions(name)))
				continue;
			x = read_register(a, vp, vtl, name, &sa);
			y = read_register(b, vp, vtl, name, &sb);
			if (sa != sb || x.low != y.low || x.high != y.high)
				fail_msg("VP %u VTL%u register %#x: %#x %#llx, as new %#x %#llx",
					 vp, vtl, name, sa, (unsigned long long)x.low, sb,
					 (unsigned long long)y.low);
		}
	}
}

static void same_vp(struct hc *a, struct hc *b, unsigned vp)
{
	assert_int_equal(a->vp[vp]->active_vtl, 0);
	assert_int_equal(a->vp[vp]->enabled_vtls, 1);
	assert_int_equal(a->vp[vp]->started, b->vp[vp]->started);
	assert_false(a->vp[vp]->nudged);
	for (unsigned vtl = 0; vtl < VTLS; vtl++) {
		same_vtl(a->vp[vp], b->vp[vp], vtl);
		same_registers(a, b, vp, vtl, true);
	}
}

static void same_partition(struct hc *a, struct hc *b)
{
	assert_int_equal(a->p->enabled_vtls, 1);
	for (unsigned vtl = 0; vtl < VTLS; vtl++) {
		struct vtl_partition x = a->p->vtls[vtl], y = b->p->vtls[vtl];

		assert_int_equal(x.guest_os_id, y.guest_os_id);
		assert_int_equal(x.hypercall_msr, y.hypercall_msr);
		assert_int_equal(x.ref_tsc_msr, y.ref_tsc_msr);
		assert_int_equal(x.config, y.config);
		assert_int_equal(x.mbec, y.mbec);
		assert_int_equal(x.hypercall_page->enabled, y.hypercall_page->enabled);
		assert_int_equal(x.ref_tsc_page->enabled, y.ref_tsc_page->enabled);
		assert_int_equal(a->p->memory.shown_count[vtl], b->p->memory.shown_count[vtl]);
		for (unsigned setter = vtl + 1; setter < VTLS; setter++)
			assert_int_equal(a->p->memory.limits[setter][vtl].count, 0);
	}
	for (size_t i = 0; i < MSR_INTERCEPTS; i++)
		assert_int_equal(a->p->msr_intercepts[i].setter, 0);
}

static void a_partition(void **state)
{
	struct hc used, new;

	(void)state;
	hc_start(&used);
	hc_start(&new);
	set_everything(&used);
	assert_int_equal(vsm_partition_reset(used.p), 0);
	same_partition(&used, &new);
	for (unsigned vp = 0; vp < HC_VPS; vp++)
		same_vp(&used, &new, vp);
	hc_stop(&new);
	hc_stop(&used);
}

/* One VP, while the other keeps all it has, the partition's share included. */
static void a_vp(void **state)
{
	struct vp_vtl before;
	struct hc used, new;

	(void)state;
	hc_start(&used);
	hc_start(&new);
	set_everything(&used);
	tlb_release(used.vp[0], 1);
	tlb_release(used.vp[0], 2);
	memcpy(&before, &used.vp[0]->vtls[1], sizeof(before));
	assert_int_equal(vsm_vcpu_reset(used.vp[1]), 0);
	assert_int_equal(used.p->enabled_vtls, 7);
	assert_int_equal(used.vp[0]->enabled_vtls, 7);
	assert_int_equal(used.vp[0]->active_vtl, 2);
	for (unsigned vtl = 0; vtl < VTLS; vtl++)
		same_vtl(used.vp[1], new.vp[1], vtl);
	/* Only the second VP's lock on it is gone. */
	assert_ptr_equal(before.inhibitor[0], used.vp[1]);
	before.inhibitor[0] = NULL;
	assert_memory_equal(&before, &used.vp[0]->vtls[1], sizeof(before));
	/* What VTL1 wants to be asked of holds on. */
	assert_int_equal(msr_intercept_setter(used.vp[0], 0, MSR_FMASK, MEM_WRITE, 0), 1);
	hc_stop(&new);
	hc_stop(&used);
}

/* A VTL that is disabled and enabled again is a new one. */
static void a_vtl(void **state)
{
	const struct hv_initial_vp_context c = long_mode_context();
	struct hc used, new;

	(void)state;
	hc_start(&used);
	hc_start(&new);
	set_everything(&used);
	assert_int_equal(vtl_disable_vp(used.vp[0], used.vp[1], 1), HV_SUCCESS);
	same_vtl(used.vp[1], new.vp[1], 1);
	same_registers(&used, &new, 1, 1, false);
	assert_true(used.vp[1]->vtls[1].cpu.flush_tlb);
	assert_int_equal(vtl_enable_vp(used.vp[0], used.vp[1], 1, &c), HV_SUCCESS);
	hc_stop(&new);
	hc_stop(&used);
}

static void errors(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	assert_int_equal(vsm_vcpu_reset(NULL), -EINVAL);
	atomic_store(&h.vp[0]->thread, 1);
	assert_int_equal(vsm_vcpu_reset(h.vp[0]), -EBUSY);
	assert_int_equal(vsm_vcpu_reset(h.vp[1]), 0);
	atomic_store(&h.vp[0]->thread, 0);
	fake_kvm_fail(h.x.fake, FAKE_OP_set_msr_filter, 1, EIO);
	assert_int_equal(vsm_vcpu_reset(h.vp[0]), -EIO);
	assert_non_null(vsm_partition_death(h.p));
	hc_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_partition),
		cmocka_unit_test(a_vp),
		cmocka_unit_test(a_vtl),
		cmocka_unit_test(errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
