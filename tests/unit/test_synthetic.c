/* SPDX-License-Identifier: MIT */
/*
 * Synthetic MSRs, the MSR filter, the SynIC's registers and message delivery, and the CPUID leaves
 * that announce them.
 */
#include "partition_fixture.h"

#include <errno.h>
#include <string.h>
#include "hv/privileges.h"
#include "hv/vsm.h"
#include "msr/synthetic.h"

static uint64_t rd(struct guest *g, unsigned vtl, uint32_t index)
{
	uint64_t value = 0xdead;

	assert_int_equal(synthetic_read(g->vp, vtl, index, &value), 0);
	return value;
}

static void wr(struct guest *g, unsigned vtl, uint32_t index, uint64_t value)
{
	assert_int_equal(synthetic_write(g->vp, vtl, index, value), 0);
}

static void start(struct guest *g)
{
	guest_start(g, VSM_TOPOLOGY_DEFAULT, VSM_ENFORCEMENT_DEFAULT);
	guest_enable_vtl1(g);
}

/* MSRs that refuse something, each with #GP. */
static void test_refused(void **state)
{
	static const struct {
		uint32_t index;
		bool write;
		uint64_t value;
		int r;
	} rows[] = {
		{HV_MSR_VP_INDEX, true, 0, -EINVAL},
		{HV_MSR_TIME_REF_COUNT, true, 0, -EINVAL},
		{HV_MSR_TSC_FREQUENCY, true, 0, -EINVAL},
		{HV_MSR_APIC_FREQUENCY, true, 0, -EINVAL},
		{HV_MSR_EOI, false, 0, -EINVAL},
		{HV_MSR_TPR, true, 0x100, -EINVAL},
		{HV_MSR_SVERSION, true, 0, -EINVAL},
		{HV_MSR_VSM_CAPABILITIES, true, 0, -EINVAL},
		{HV_MSR_HYPERCALL, true, UINT64_C(1) << 52 | 1, -EINVAL},
		{HV_MSR_VP_ASSIST_PAGE, true, UINT64_C(1) << 52 | 1, -EINVAL},
		{HV_MSR_SIMP, true, UINT64_C(1) << 63 | 1, -EINVAL},
		{HV_MSR_SIEFP, true, UINT64_C(1) << 63 | 1, -EINVAL},
		{HV_MSR_REFERENCE_TSC, true, UINT64_C(1) << 52 | 1, -EINVAL},
		{HV_MSR_SINT0, true, 15, -EINVAL},
		{0x400000f0, true, 0, -ENOENT},
		{0x400000f0, false, 0, -ENOENT},
		{0x10, false, 0, -ENOENT},
	};
	uint64_t value;
	struct guest g;

	(void)state;
	start(&g);
	wr(&g, 0, HV_MSR_GUEST_OS_ID, 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = rows[i].write ? synthetic_write(g.vp, 0, rows[i].index, rows[i].value)
				      : synthetic_read(g.vp, 0, rows[i].index, &value);

		assert_int_equal(r, rows[i].r);
	}
	guest_stop(&g);
}

static void test_hypercall_page(void **state)
{
	uint8_t byte;
	struct guest g;

	(void)state;
	start(&g);
	g.x.mem[PAGE_CODE] = 0x5a;
	/* Without an identity the enable bit stays clear. */
	wr(&g, 0, HV_MSR_HYPERCALL, PAGE_CODE | 1);
	assert_int_equal(rd(&g, 0, HV_MSR_HYPERCALL), PAGE_CODE);
	wr(&g, 0, HV_MSR_GUEST_OS_ID, 7);
	wr(&g, 0, HV_MSR_HYPERCALL, PAGE_CODE | 1);
	assert_int_equal(rd(&g, 0, HV_MSR_HYPERCALL), PAGE_CODE | 1);
	assert_int_equal(host_read(&g.p->memory, 0, gpa_from(PAGE_CODE), &byte, 1), 0);
	assert_int_equal(byte, 0xe6);
	/* VTL1 sees what VTL0's page covers, and has an identity and a page of its own. */
	assert_int_equal(host_read(&g.p->memory, 1, gpa_from(PAGE_CODE), &byte, 1), 0);
	assert_int_equal(byte, 0x5a);
	assert_int_equal(rd(&g, 1, HV_MSR_GUEST_OS_ID), 0);
	/* It moves, and what it covered comes back. */
	wr(&g, 0, HV_MSR_HYPERCALL, (PAGE_CODE + 0x1000) | 1);
	assert_int_equal(host_read(&g.p->memory, 0, gpa_from(PAGE_CODE), &byte, 1), 0);
	assert_int_equal(byte, 0x5a);
	/* Locked, it does not. */
	wr(&g, 0, HV_MSR_HYPERCALL, PAGE_CODE | 3);
	wr(&g, 0, HV_MSR_HYPERCALL, 0);
	assert_int_equal(rd(&g, 0, HV_MSR_HYPERCALL), PAGE_CODE | 3);
	/* Clearing the identity disables it all the same. */
	wr(&g, 0, HV_MSR_GUEST_OS_ID, 0);
	assert_int_equal(host_read(&g.p->memory, 0, gpa_from(PAGE_CODE), &byte, 1), 0);
	assert_int_equal(byte, 0x5a);
	guest_stop(&g);
}

static void test_assist_page(void **state)
{
	uint8_t zero[64] = {0}, got[64];
	struct guest g;

	(void)state;
	start(&g);
	memset(g.x.mem + PAGE_ASSIST, 0xff, 64);
	wr(&g, 1, HV_MSR_VP_ASSIST_PAGE, PAGE_ASSIST | 1);
	assert_int_equal(rd(&g, 1, HV_MSR_VP_ASSIST_PAGE), PAGE_ASSIST | 1);
	assert_int_equal(host_read(&g.p->memory, 1, gpa_from(PAGE_ASSIST), got, sizeof(got)), 0);
	assert_memory_equal(got, zero, sizeof(got));
	assert_int_equal(rd(&g, 0, HV_MSR_VP_ASSIST_PAGE), 0);
	wr(&g, 1, HV_MSR_VP_ASSIST_PAGE, 0);
	assert_int_equal(host_read(&g.p->memory, 1, gpa_from(PAGE_ASSIST), got, 1), 0);
	assert_int_equal(got[0], 0xff);
	guest_stop(&g);
}

struct ref_page {
	uint32_t sequence, reserved;
	uint64_t scale;
	int64_t offset;
};

/* The page and the MSR tell the same time, in every VTL. */
static void test_reference_time(void **state)
{
	struct ref_page page[2];
	uint64_t count[2], tsc;
	struct guest g;

	(void)state;
	start(&g);
	for (unsigned vtl = 0; vtl < 2; vtl++) {
		wr(&g, vtl, HV_MSR_REFERENCE_TSC, PAGE_ASSIST | 1);
		assert_int_equal(host_read(&g.p->memory, vtl, gpa_from(PAGE_ASSIST), &page[vtl],
					   sizeof(page[vtl])),
				 0);
		tsc = fake_vcpu_msr(g.x.fake, vsm_vcpu_fd(g.vp, vtl), 0x10);
		count[vtl] = rd(&g, vtl, HV_MSR_TIME_REF_COUNT);
		assert_int_equal(page[vtl].sequence, 1);
		assert_int_equal((uint64_t)(((__uint128_t)tsc * page[vtl].scale) >> 64) +
					 (uint64_t)page[vtl].offset,
				 count[vtl]);
	}
	assert_int_equal(page[0].offset, page[1].offset);
	assert_int_equal(rd(&g, 0, HV_MSR_TSC_FREQUENCY), 2000000000);
	guest_stop(&g);
}

/* A host that does not know its TSC's frequency: no page, time from the clock. */
static void test_reference_time_without_tsc(void **state)
{
	struct vsm_partition_options o;
	struct ref_page page;
	uint64_t before, value;
	struct guest g;

	(void)state;
	fixture_start(&g.x, RAM_MIB);
	fake_kvm_fail(g.x.fake, FAKE_OP_get_tsc_khz, 0, EIO);
	o = guest_options(&g);
	guest_start_with(&g, &o);
	before = rd(&g, 0, HV_MSR_TIME_REF_COUNT);
	fake_kvm_advance_clock(g.x.fake, 5000);
	assert_int_equal(rd(&g, 0, HV_MSR_TIME_REF_COUNT), before + 50);
	wr(&g, 0, HV_MSR_REFERENCE_TSC, PAGE_ASSIST | 1);
	assert_int_equal(host_read(&g.p->memory, 0, gpa_from(PAGE_ASSIST), &page, sizeof(page)), 0);
	assert_int_equal(page.sequence, 0);
	assert_int_equal(synthetic_read(g.vp, 0, HV_MSR_TSC_FREQUENCY, &value), -EINVAL);
	guest_stop(&g);
}

static void test_synic_registers(void **state)
{
	struct guest g;

	(void)state;
	start(&g);
	assert_int_equal(rd(&g, 1, HV_MSR_SVERSION), 1);
	for (uint32_t i = HV_MSR_SINT0; i <= HV_MSR_SINT15; i++)
		assert_int_equal(rd(&g, 1, i), 0x10000);
	wr(&g, 1, HV_MSR_SINT0 + 3, 0x20030);
	assert_int_equal(rd(&g, 1, HV_MSR_SINT0 + 3), 0x20030);
	assert_int_equal(rd(&g, 0, HV_MSR_SINT0 + 3), 0x10000);
	wr(&g, 1, HV_MSR_SINT0, 0x10005); /* masked: any vector */
	wr(&g, 1, HV_MSR_SCONTROL, 1);
	assert_int_equal(rd(&g, 1, HV_MSR_SCONTROL), 1);
	assert_int_equal(rd(&g, 0, HV_MSR_SCONTROL), 0);
	guest_stop(&g);
}

/* Delivery: off, then into the slot with its interrupt, then busy. */
static void test_synic_post(void **state)
{
	const struct hv_message m = {
		.type = HV_MESSAGE_GPA_INTERCEPT, .payload_size = 8, .payload = {1, 2, 3}};
	const struct hv_message *slot;
	struct guest g;

	(void)state;
	start(&g);
	slot = (const void *)(g.vp->vtls[1].synic.message_page->host + 2 * sizeof(*slot));
	assert_int_equal(synic_post(g.vp, 1, 2, &m), -ENODEV);
	wr(&g, 1, HV_MSR_SCONTROL, 1);
	assert_int_equal(synic_post(g.vp, 1, 2, &m), -ENODEV);
	wr(&g, 1, HV_MSR_SIMP, PAGE_SIMP | 1);
	assert_int_equal(synic_post(g.vp, 1, 2, &m), 0);
	assert_memory_equal(slot, &m, sizeof(m));
	assert_int_equal(lapic_highest(&g.vp->vtls[1].lapic), -1);
	assert_int_equal(synic_post(g.vp, 1, 2, &m), -EBUSY);
	assert_int_equal(slot->flags, HV_MESSAGE_FLAG_PENDING);
	wr(&g, 1, HV_MSR_SINT0 + 3, 0x30);
	assert_int_equal(synic_post(g.vp, 1, 3, &m), 0);
	assert_int_equal(lapic_highest(&g.vp->vtls[1].lapic), 0x30);
	assert_int_equal(lapic_highest(&g.vp->vtls[0].lapic), -1);
	guest_stop(&g);
}

/* EOI, ICR and TPR of the library's APIC. */
static void test_apic_msrs(void **state)
{
	struct lapic *l;
	struct guest g;

	(void)state;
	start(&g);
	l = &g.vp->vtls[1].lapic;
	assert_int_equal(rd(&g, 1, HV_MSR_APIC_FREQUENCY), 1000000000);
	wr(&g, 1, HV_MSR_TPR, 0x45);
	assert_int_equal(rd(&g, 1, HV_MSR_TPR), 0x45);
	assert_int_equal(l->tpr, 0x45);
	assert_int_equal(rd(&g, 0, HV_MSR_TPR), 0);
	/* A self IPI by the ICR waits for the TPR, is taken, and ended; garbage above is ignored. */
	wr(&g, 1, HV_MSR_ICR, 0x40041);
	assert_true(lapic_irr_pending(l));
	assert_int_equal(lapic_highest(l), -1);
	wr(&g, 1, HV_MSR_TPR, 0);
	assert_int_equal(lapic_ack(l), 0x41);
	assert_int_equal(lapic_ppr(l), 0x40);
	wr(&g, 1, HV_MSR_EOI, UINT64_C(0xdeadbeef00000000));
	assert_int_equal(lapic_ppr(l), 0);
	guest_stop(&g);
}

/* A guest's accesses come out of the filter, are answered, and refused with #GP. */
static void test_msr_exits(void **state)
{
	const struct fake_step steps[] = {
		{.kind = FAKE_WRMSR, .msr = HV_MSR_GUEST_OS_ID, .data = 0x1234, .length = 2},
		{.kind = FAKE_RDMSR, .msr = HV_MSR_GUEST_OS_ID, .length = 2},
		{.kind = FAKE_OUT, .port = 0x80, .size = 1, .length = 2},
		{.kind = FAKE_WRMSR, .msr = HV_MSR_VP_INDEX, .data = 1, .length = 2},
		{.kind = FAKE_OUT, .port = 0x80, .size = 1, .length = 2},
		{.kind = FAKE_WRMSR, .msr = 0x2ff, .data = 0xc00, .length = 2},
		{.kind = FAKE_OUT, .port = 0x80, .size = 1, .length = 2},
	};
	struct fake_event event;
	struct kvm_run *run;
	struct guest g;
	int fd;

	(void)state;
	start(&g);
	fd = vsm_vcpu_fd(g.vp, 0);
	fake_vcpu_script(g.x.fake, fd, steps, ARRAY_SIZE(steps));
	assert_int_equal(vsm_vcpu_run(g.vp, &run), 0);
	assert_int_equal(fake_vcpu_regs(g.x.fake, fd)->rax, 0x1234);
	assert_int_equal(vsm_vcpu_run(g.vp, &run), 0);
	assert_int_equal(fake_vcpu_delivered(g.x.fake, fd, &event, 1), 1);
	assert_int_equal(event.vector, VECTOR_GP);
	/* MTRRs are shared: every VTL's vCPU has the new value. */
	assert_int_equal(vsm_vcpu_run(g.vp, &run), 0);
	assert_int_equal(fake_vcpu_msr(g.x.fake, fd, 0x2ff), 0xc00);
	assert_int_equal(fake_vcpu_msr(g.x.fake, vsm_vcpu_fd(g.vp, 1), 0x2ff), 0xc00);
	assert_true(fake_kvm_script_done(g.x.fake));
	guest_stop(&g);
}

static const struct kvm_cpuid_entry2 *leaf(const struct kvm_cpuid2 *c, uint32_t function)
{
	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entries[i].function == function)
			return &c->entries[i];
	return NULL;
}

union cpuid_table {
	struct kvm_cpuid2 head;
	uint8_t room[sizeof(struct kvm_cpuid2) + 32 * sizeof(struct kvm_cpuid_entry2)];
};

static void test_cpuid(void **state)
{
	union cpuid_table in = {.head.nent = 3}, out = {.head.nent = 4};
	uint64_t privileges;
	struct guest g;

	(void)state;
	start(&g);
	in.head.entries[0] = (struct kvm_cpuid_entry2){.function = 1, .ecx = UINT32_C(1) << 5};
	in.head.entries[1] = (struct kvm_cpuid_entry2){.function = 0x40000000, .ebx = 0x4b4d564b};
	in.head.entries[2] = (struct kvm_cpuid_entry2){.function = 0x80000008, .eax = 48};
	assert_int_equal(vsm_partition_compose_cpuid(NULL, &in.head, &out.head), -EINVAL);
	assert_int_equal(vsm_partition_compose_cpuid(g.p, NULL, &out.head), -EINVAL);
	assert_int_equal(vsm_partition_compose_cpuid(g.p, &in.head, NULL), -EINVAL);
	assert_int_equal(vsm_partition_compose_cpuid(g.p, &in.head, &out.head), -E2BIG);
	assert_int_equal(out.head.nent, 9);
	assert_int_equal(vsm_partition_compose_cpuid(g.p, &in.head, &out.head), 0);
	assert_int_equal(out.head.nent, 9);
	assert_int_equal(leaf(&out.head, 0x40000000)->ebx, 0x7263694d);
	assert_int_equal(leaf(&out.head, 0x40000001)->eax, 0x31237648);
	assert_true(leaf(&out.head, 1)->ecx & UINT32_C(1) << 31);
	assert_false(leaf(&out.head, 1)->ecx & UINT32_C(1) << 5); /* no VMX: nothing is nested */
	assert_int_equal(leaf(&out.head, 0x80000008)->eax, 48);
	privileges = leaf(&out.head, 0x40000003)->eax | (uint64_t)leaf(&out.head, 0x40000003)->ebx
								<< 32;
	assert_int_equal(privileges, HV_PRIVILEGES_GRANTED | HV_PRIVILEGE_FREQUENCY_REGS |
					     HV_PRIVILEGE_INTR_CTRL_REGS);
	guest_stop(&g);
}

/* The capabilities tell the truth of the configured policy. */
static void test_capabilities(void **state)
{
	struct vsm_partition_options o;
	struct guest g;

	(void)state;
	start(&g);
	assert_int_equal(rd(&g, 0, HV_MSR_VSM_CAPABILITIES) >> HV_VSM_CAP_MBEC_SHIFT & 0xffff, 2);
	guest_stop(&g);
	fixture_start(&g.x, RAM_MIB);
	o = guest_options(&g);
	o.exec_policy = VSM_EXEC_RELAXED;
	guest_start_with(&g, &o);
	assert_int_equal(rd(&g, 0, HV_MSR_VSM_CAPABILITIES) >> HV_VSM_CAP_MBEC_SHIFT & 0xffff, 0);
	guest_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_hypercall_page),
		cmocka_unit_test(test_assist_page),
		cmocka_unit_test(test_reference_time),
		cmocka_unit_test(test_reference_time_without_tsc),
		cmocka_unit_test(test_synic_registers),
		cmocka_unit_test(test_synic_post),
		cmocka_unit_test(test_apic_msrs),
		cmocka_unit_test(test_msr_exits),
		cmocka_unit_test(test_cpuid),
		cmocka_unit_test(test_capabilities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
