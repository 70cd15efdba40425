/* SPDX-License-Identifier: MIT */
/* HvCallGetVpRegisters and HvCallSetVpRegisters: whose registers, and where each one is. The VSM
 * registers have a file of their own: test_vsm_registers.c. */
#include "register_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>
#include "registers/places.h"

/* --- whose --- */

static void names_of_vps_and_vtls(void **state)
{
	struct hv_register_value v;
	struct hc h;

	(void)state;
	hc_start(&h);
	assert_int_equal(get_as(&h, 42, 0, 0, HV_REGISTER_RIP, &v), HV_INVALID_PARTITION_ID);
	assert_int_equal(get_as(&h, HC_SELF, HC_VPS, 0, HV_REGISTER_RIP, &v), HV_INVALID_VP_INDEX);
	assert_int_equal(get_as(&h, HC_SELF, UINT32_MAX, 0, HV_REGISTER_RIP, &v),
			 HV_INVALID_VP_INDEX);
	assert_int_equal(get_as(&h, HC_SELF, HV_VP_INDEX_SELF, 0, HV_REGISTER_RIP, &v), HV_SUCCESS);
	assert_int_equal(get_as(&h, HC_SELF, 1, 0, HV_REGISTER_RIP, &v), HV_SUCCESS);
	assert_int_equal(get_as(&h, HC_SELF, 0, HV_INPUT_VTL_USE, HV_REGISTER_RIP, &v), HV_SUCCESS);
	for (uint8_t vtl = 1; vtl < 16; vtl++)
		assert_int_equal(
			get_as(&h, HC_SELF, 0, HV_INPUT_VTL_USE | vtl, HV_REGISTER_RIP, &v),
			HV_ACCESS_DENIED);
	/* Without "use" the number means nothing. */
	assert_int_equal(get_as(&h, HC_SELF, 0, 1, HV_REGISTER_RIP, &v), HV_SUCCESS);
	assert_int_equal(v.low, 0x2000);
	hc_stop(&h);
}

static void a_vtl_the_vp_does_not_have(void **state)
{
	struct hv_register_value v;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 2);
	assert_int_equal(get(&h, VTL(1), HV_REGISTER_RIP, &v), HV_INVALID_VTL_STATE);
	assert_int_equal(get_as(&h, HC_SELF, 1, 0, HV_REGISTER_RIP, &v), HV_INVALID_VTL_STATE);
	assert_int_equal(get_as(&h, HC_SELF, 1, VTL(0), HV_REGISTER_RIP, &v), HV_SUCCESS);
	hc_stop(&h);
}

static void unknown_and_read_only_names(void **state)
{
	static const uint32_t unknown[] = {2,	       0x204,	   0xacacacac, UINT32_MAX,
					   0x00020012, 0x00030020, 0x000a0015, 0x000d001f,
					   0x00040006, 0x00060008, 0x000e0004};
	static const uint32_t read_only[] = {
		HV_REGISTER_TSC,
		HV_REGISTER_INITIAL_APIC_ID,
		HV_REGISTER_MTRR_CAP,
		HV_REGISTER_VP_INDEX,
		HV_REGISTER_VP_RUNTIME,
		HV_REGISTER_SVERSION,
		HV_REGISTER_VSM_CODE_PAGE_OFFSETS,
		HV_REGISTER_VSM_VP_STATUS,
		HV_REGISTER_VSM_PARTITION_STATUS,
		HV_REGISTER_VSM_CAPABILITIES,
	};
	struct hv_register_value v;
	struct hc h;

	(void)state;
	hc_start(&h);
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		assert_int_equal(get(&h, 0, unknown[i], &v), HV_INVALID_PARAMETER);
		assert_int_equal(set(&h, 0, unknown[i], 0), HV_INVALID_PARAMETER);
	}
	for (size_t i = 0; i < ARRAY_SIZE(read_only); i++)
		assert_int_equal(set(&h, 0, read_only[i], 0), HV_INVALID_PARAMETER);
	hc_stop(&h);
}

static void table_is_sorted_and_searchable(void **state)
{
	uint8_t rows[REGISTER_SLOTS];
	uint32_t names = 0;

	(void)state;
	register_index(rows);
	for (size_t i = 0; i < register_table_size; i++) {
		const struct register_row *r = &register_table[i];

		assert_true(r->count);
		assert_true(!i || r[-1].name + r[-1].count <= r->name);
		for (uint32_t n = 0; n < r->count; n++)
			assert_ptr_equal(register_find(rows, r->name + n), r);
		names += r->count;
	}
	/* A search for a name that is not there ends at a free place, which is soon found. */
	assert_in_range(register_table_size, 1, UINT8_MAX - 1);
	assert_in_range(names, 1, REGISTER_SLOTS / 2);
}

/* The names between the table's, and those like them but for a bit no name has. */
static void names_that_are_not_there_are_not_found(void **state)
{
	uint8_t rows[REGISTER_SLOTS];
	uint32_t from = 0;

	(void)state;
	register_index(rows);
	for (size_t i = 0; i < register_table_size; i++) {
		const struct register_row *r = &register_table[i];

		for (uint32_t n = from; n < r->name && n < from + 0x1000; n++)
			assert_null(register_find(rows, n));
		from = r->name + r->count;
		for (unsigned bit = 20; bit < 32; bit++)
			assert_null(register_find(rows, r->name ^ 1u << bit));
	}
	assert_null(register_find(rows, UINT32_MAX));
}

/* Every name, in every VTL it can be asked of: an answer or a refusal, and no kernel error. */
static void every_name_answers(void **state)
{
	struct hv_register_value v;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	for (size_t i = 0; i < register_table_size; i++)
		for (uint32_t n = 0; n < register_table[i].count; n++)
			for (uint8_t vtl = 0; vtl < 2; vtl++) {
				uint32_t name = register_table[i].name + n;
				unsigned status = get(&h, VTL(vtl), name, &v);

				assert_true(status == HV_SUCCESS || status == HV_INVALID_PARAMETER);
				if (register_table[i].place->wide)
					continue;
				assert_int_equal(v.high, 0);
				v.high = 1;
				assert_int_not_equal(set_wide(&h, VTL(vtl), name, &v), HV_SUCCESS);
			}
	hc_stop(&h);
}

/* What was read can be written back, and then reads the same. */
static void every_register_survives_a_round_trip(void **state)
{
	struct hv_register_value before, after;
	unsigned refused = 0;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	for (size_t i = 0; i < register_table_size; i++) {
		const struct register_row *r = &register_table[i];

		if (!r->place->set || (r->flags & REGISTER_READ_ONLY) ||
		    get(&h, VTL(0), r->name, &before))
			continue;
		if (set_wide(&h, VTL(0), r->name, &before)) {
			refused++;
			continue;
		}
		if (r->name == HV_REGISTER_RAX || r->name == HV_REGISTER_RCX ||
		    r->name == HV_REGISTER_RDX || r->name == HV_REGISTER_R8)
			continue; /* the calls' own */
		assert_int_equal(get(&h, VTL(0), r->name, &after), HV_SUCCESS);
		assert_memory_equal(&after, &before, sizeof(after));
	}
	assert_int_equal(refused, 0);
	hc_stop(&h);
}

/* --- general registers --- */

static void general_registers_are_the_active_vtls(void **state)
{
	static const uint32_t names[] = {HV_REGISTER_RBX, HV_REGISTER_RBP,    HV_REGISTER_RSI,
					 HV_REGISTER_RDI, HV_REGISTER_R8 + 1, HV_REGISTER_R8 + 7};
	struct hv_register_value v;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(set(&h, VTL(0), names[i], 0x1234 + i), HV_SUCCESS);
		assert_int_equal(get(&h, VTL(1), names[i], &v), HV_SUCCESS);
		assert_int_equal(v.low, 0x1234 + i);
	}
	assert_int_equal(hc_regs(&h, 0)->rbx, 0x1234);
	assert_int_equal(hc_regs(&h, 0)->r9, 0x1238);
	assert_int_equal(hc_regs(&h, 0)->r15, 0x1239);
	assert_int_equal(fake_vcpu_regs(h.x.fake, hc_cpu(&h, 0, 0)->fd)->rbx, 0);
	hc_stop(&h);
}

static void rip_rsp_and_flags_are_each_vtls(void **state)
{
	const struct kvm_regs *vtl0;
	struct hv_register_value v;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(get(&h, VTL(0), HV_REGISTER_RIP, &v), HV_SUCCESS);
	assert_int_equal(v.low, 0x2000);
	assert_int_equal(get(&h, VTL(1), HV_REGISTER_RIP, &v), HV_SUCCESS);
	assert_int_equal(v.low, 0x2001);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_RIP, 0xffffffff81001234), HV_SUCCESS);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_RSP, 0x7000), HV_SUCCESS);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_RFLAGS, 0x201), HV_SUCCESS);
	assert_int_equal(vtl_cpu_flush(hc_cpu(&h, 0, 0)), 0);
	vtl0 = fake_vcpu_regs(h.x.fake, hc_cpu(&h, 0, 0)->fd);
	assert_int_equal(vtl0->rip, UINT64_C(0xffffffff81001234));
	assert_int_equal(vtl0->rsp, 0x7000);
	assert_int_equal(vtl0->rflags, 0x203);
	assert_int_equal(hc_regs(&h, 0)->rip, 0x2001);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_RIP, UINT64_C(1) << 47),
			 HV_INVALID_REGISTER_VALUE);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_RFLAGS, UINT64_C(1) << 32),
			 HV_INVALID_REGISTER_VALUE);
	hc_stop(&h);
}

/* --- control registers --- */

static void control_registers_are_each_vtls(void **state)
{
	const struct kvm_sregs *vtl0;
	struct hv_register_value v;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_CR3, 0x9000), HV_SUCCESS);
	vtl0 = fake_vcpu_sregs(h.x.fake, hc_cpu(&h, 0, 0)->fd);
	assert_int_equal(vtl0->cr3, 0x9000);
	assert_int_equal(get(&h, VTL(1), HV_REGISTER_CR3, &v), HV_SUCCESS);
	assert_int_equal(v.low, 0x1000);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_CR4, vtl0->cr4 | 0x80), HV_SUCCESS);
	assert_true(vtl0->cr4 & 0x80);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_CR0, vtl0->cr0 | 0x10000), HV_SUCCESS);
	assert_true(vtl0->cr0 & 0x10000);
	hc_stop(&h);
}

/* CR2 is one for all VTLs. */
static void cr2_is_the_active_vtls(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_CR2, 0x4321), HV_SUCCESS);
	assert_int_equal(hc_sregs(&h, 0, 1)->cr2, 0x4321);
	assert_int_equal(hc_sregs(&h, 0, 0)->cr2, 0);
	hc_stop(&h);
}

/* A refused value leaves the register, and everything else that waited to be written. */
static void values_kvm_refuses(void **state)
{
	struct kvm_sregs before;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_RSP, 0x7000), HV_SUCCESS);
	before = *fake_vcpu_sregs(h.x.fake, hc_cpu(&h, 0, 0)->fd);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_CR4, UINT64_C(1) << 40),
			 HV_INVALID_REGISTER_VALUE);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_CR4, 0), HV_INVALID_REGISTER_VALUE);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_CR0, UINT64_C(0x180000011)),
			 HV_INVALID_REGISTER_VALUE);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_CR0, 0x80000010), HV_INVALID_REGISTER_VALUE);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_EFER, UINT64_C(1) << 63),
			 HV_INVALID_REGISTER_VALUE);
	assert_memory_equal(fake_vcpu_sregs(h.x.fake, hc_cpu(&h, 0, 0)->fd), &before,
			    sizeof(before));
	assert_int_equal(fake_vcpu_regs(h.x.fake, hc_cpu(&h, 0, 0)->fd)->rsp, 0x7000);
	hc_stop(&h);
}

/* LMA follows the rest, so that paging can go off and on again a register at a time. */
static void lma_follows(void **state)
{
	struct hv_register_value cs, v;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(get(&h, VTL(0), HV_REGISTER_CS, &cs), HV_SUCCESS);
	cs.high &= ~(UINT64_C(0x2000) << 48); /* not a 64-bit segment */
	assert_int_equal(set_wide(&h, VTL(0), HV_REGISTER_CS, &cs), HV_SUCCESS);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_CR0, 0x11), HV_SUCCESS);
	assert_int_equal(get(&h, VTL(0), HV_REGISTER_EFER, &v), HV_SUCCESS);
	assert_int_equal(v.low & 0x500, 0x100);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_CR0, 0x80000011), HV_SUCCESS);
	assert_int_equal(get(&h, VTL(0), HV_REGISTER_EFER, &v), HV_SUCCESS);
	assert_int_equal(v.low & 0x500, 0x500);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_EFER, 0x101), HV_SUCCESS);
	assert_int_equal(get(&h, VTL(0), HV_REGISTER_EFER, &v), HV_SUCCESS);
	assert_int_equal(v.low & 0x500, 0x500);
	hc_stop(&h);
}

/* "Real mode is not supported for any VTL greater than 0" */
static void real_mode_is_for_vtl0(void **state)
{
	struct hv_register_value cs;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	hc_enter(&h, 0, 2);
	for (uint8_t vtl = 0; vtl < 2; vtl++) {
		assert_int_equal(get(&h, VTL(vtl), HV_REGISTER_CS, &cs), HV_SUCCESS);
		cs.high &= ~(UINT64_C(0x2000) << 48); /* not a 64-bit segment */
		assert_int_equal(set_wide(&h, VTL(vtl), HV_REGISTER_CS, &cs), HV_SUCCESS);
		assert_int_equal(set(&h, VTL(vtl), HV_REGISTER_CR0, 0x10),
				 vtl ? HV_INVALID_REGISTER_VALUE : HV_SUCCESS);
	}
	hc_stop(&h);
}

static void cr8_is_the_apics(void **state)
{
	struct hv_register_value v;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(set(&h, VTL(1), HV_REGISTER_CR8, 5), HV_SUCCESS);
	assert_int_equal(lapic_cr8(&h.vp[0]->vtls[1].lapic), 5);
	assert_int_equal(hc_cpu(&h, 0, 1)->run->cr8, 5);
	assert_int_equal(get(&h, VTL(1), HV_REGISTER_CR8, &v), HV_SUCCESS);
	assert_int_equal(v.low, 5);
	assert_int_equal(get(&h, VTL(0), HV_REGISTER_CR8, &v), HV_SUCCESS);
	assert_int_equal(v.low, 0);
	assert_int_equal(set(&h, VTL(1), HV_REGISTER_CR8, 16), HV_INVALID_REGISTER_VALUE);
	assert_int_equal(get(&h, VTL(1), HV_REGISTER_APIC_BASE, &v), HV_SUCCESS);
	assert_int_equal(v.low, h.vp[0]->vtls[1].lapic.base);
	/* What a VTL may write itself can be set: another mode, none, but not back in one step. */
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_APIC_BASE, 0xfee00d00), HV_SUCCESS);
	assert_int_equal(h.vp[0]->vtls[0].lapic.base, 0xfee00d00);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_APIC_BASE, 0xfee00900),
			 HV_INVALID_REGISTER_VALUE);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_APIC_BASE, 0xfee00100), HV_SUCCESS);
	assert_int_equal(h.vp[0]->vtls[0].lapic.base, 0xfee00100);
	assert_false(fake_vcpu_sregs(h.x.fake, hc_cpu(&h, 0, 0)->fd)->apic_base & 0x800);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_APIC_BASE, 0xfee00900), HV_SUCCESS);
	assert_int_equal(get(&h, VTL(1), HV_REGISTER_INITIAL_APIC_ID, &v), HV_SUCCESS);
	assert_int_equal(v.low, 8);
	/* With an APIC in the kernel VTL0's is there. */
	h.p->kernel_irqchip = true;
	hc_sregs(&h, 0, 0)->apic_base = 0xfee00900;
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_CR8, 7), HV_SUCCESS);
	assert_int_equal(fake_vcpu_sregs(h.x.fake, hc_cpu(&h, 0, 0)->fd)->cr8, 7);
	assert_int_equal(get(&h, VTL(0), HV_REGISTER_CR8, &v), HV_SUCCESS);
	assert_int_equal(v.low, 7);
	assert_int_equal(get(&h, VTL(0), HV_REGISTER_APIC_BASE, &v), HV_SUCCESS);
	assert_int_equal(v.low, 0xfee00900);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_APIC_BASE, 0xfee00100), HV_SUCCESS);
	assert_int_equal(fake_vcpu_sregs(h.x.fake, hc_cpu(&h, 0, 0)->fd)->apic_base, 0xfee00100);
	hc_stop(&h);
}

/* --- segments and tables --- */

static void segments_have_the_tlfs_layout(void **state)
{
	struct hv_segment s = {
		.base = 0x123456789000, .limit = 0xfffff, .selector = 0x33, .attributes = 0xd0f3};
	const struct kvm_segment *kvm;
	struct hv_register_value v;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	memcpy(&v, &s, sizeof(v));
	assert_int_equal(set_wide(&h, VTL(0), HV_REGISTER_FS, &v), HV_SUCCESS);
	kvm = &fake_vcpu_sregs(h.x.fake, hc_cpu(&h, 0, 0)->fd)->fs;
	assert_int_equal(kvm->base, s.base);
	assert_int_equal(kvm->limit, s.limit);
	assert_int_equal(kvm->selector, s.selector);
	assert_int_equal(kvm->type, 3);
	assert_int_equal(kvm->dpl, 3);
	assert_true(kvm->s && kvm->present && kvm->avl && kvm->db && kvm->g);
	assert_false(kvm->l || kvm->unusable);
	assert_int_equal(get(&h, VTL(0), HV_REGISTER_FS, &v), HV_SUCCESS);
	assert_memory_equal(&v, &s, sizeof(s));
	s.attributes |= 0x100;
	memcpy(&v, &s, sizeof(v));
	assert_int_equal(set_wide(&h, VTL(0), HV_REGISTER_FS, &v), HV_INVALID_REGISTER_VALUE);
	s.attributes = 0;
	s.base = UINT64_C(1) << 62;
	memcpy(&v, &s, sizeof(v));
	assert_int_equal(set_wide(&h, VTL(0), HV_REGISTER_FS, &v), HV_INVALID_REGISTER_VALUE);
	hc_stop(&h);
}

static void task_register_is_a_tss(void **state)
{
	struct hv_segment s = {.base = 0x1000, .limit = 0x67, .attributes = 0x89};
	struct hv_register_value v;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	memcpy(&v, &s, sizeof(v));
	assert_int_equal(set_wide(&h, VTL(0), HV_REGISTER_TR, &v), HV_SUCCESS);
	assert_int_equal(fake_vcpu_sregs(h.x.fake, hc_cpu(&h, 0, 0)->fd)->tr.type, 0xb);
	s.attributes = 0x82;
	memcpy(&v, &s, sizeof(v));
	assert_int_equal(set_wide(&h, VTL(0), HV_REGISTER_TR, &v), HV_INVALID_REGISTER_VALUE);
	hc_stop(&h);
}

static void tables_have_the_tlfs_layout(void **state)
{
	struct hv_register_value v = {.low = UINT64_C(0x0fff) << 48, .high = 0xffff800000001000};
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(set_wide(&h, VTL(0), HV_REGISTER_IDTR, &v), HV_SUCCESS);
	assert_int_equal(fake_vcpu_sregs(h.x.fake, hc_cpu(&h, 0, 0)->fd)->idt.limit, 0xfff);
	assert_int_equal(fake_vcpu_sregs(h.x.fake, hc_cpu(&h, 0, 0)->fd)->idt.base, v.high);
	v.high = UINT64_C(1) << 60;
	assert_int_equal(set_wide(&h, VTL(0), HV_REGISTER_GDTR, &v), HV_INVALID_REGISTER_VALUE);
	hc_stop(&h);
}

/* --- debug registers, XCR0, x87 and SSE, MSRs --- */

static struct kvm_debugregs debugregs(struct hc *h, unsigned vtl)
{
	struct kvm_debugregs d;

	assert_int_equal(h->x.host->ops->get_debugregs(h->x.host, hc_cpu(h, 0, vtl)->fd, &d), 0);
	return d;
}

static void debug_addresses_are_shared_dr7_is_not(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	h.vp[0]->vtls[0].debugregs_known = true;
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_DR0 + 3, 0x5000), HV_SUCCESS);
	assert_int_equal(debugregs(&h, 1).db[3], 0x5000);
	assert_int_equal(debugregs(&h, 0).db[3], 0);
	assert_true(h.vp[0]->vtls[0].debugregs_known);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_DR7, 0x401), HV_SUCCESS);
	assert_int_equal(debugregs(&h, 0).dr7, 0x401);
	assert_int_not_equal(debugregs(&h, 1).dr7, 0x401);
	/* A switch must not bring back what it remembers. */
	assert_false(h.vp[0]->vtls[0].debugregs_known);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_DR7, UINT64_C(1) << 32),
			 HV_INVALID_REGISTER_VALUE);
	hc_stop(&h);
}

static void xcr0_is_shared(void **state)
{
	struct hv_register_value v;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	h.vp[0]->vtls[1].xcr0_known = true;
	assert_int_equal(get(&h, VTL(0), HV_REGISTER_XFEM, &v), HV_SUCCESS);
	assert_int_equal(v.low, 1);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_XFEM, 1), HV_SUCCESS);
	assert_false(h.vp[0]->vtls[1].xcr0_known);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_XFEM, 0), HV_INVALID_REGISTER_VALUE);
	hc_stop(&h);
}

static void xmm_and_x87_are_shared(void **state)
{
	const struct hv_register_value xmm = {.low = 0x1122334455667788,
					      .high = 0x99aabbccddeeff00};
	const struct hv_register_value st = {.low = UINT64_C(1) << 63, .high = 0x3fff};
	struct hv_register_value v;
	_Alignas(64) uint8_t image[4096];
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(set_wide(&h, VTL(0), HV_REGISTER_XMM0 + 15, &xmm), HV_SUCCESS);
	hc_get_xmm(&h, 0, 15, &v, sizeof(v));
	assert_memory_equal(&v, &xmm, sizeof(v));
	assert_int_equal(set_wide(&h, VTL(0), HV_REGISTER_FP_MMX0 + 7, &st), HV_SUCCESS);
	assert_int_equal(get(&h, VTL(1), HV_REGISTER_FP_MMX0 + 7, &v), HV_SUCCESS);
	assert_memory_equal(&v, &st, sizeof(v));
	assert_int_equal(h.x.host->ops->get_xsave(h.x.host, hc_cpu(&h, 0, 1)->fd, image, 4096), 0);
	/* Both components are marked as in use, or KVM would not load them. */
	assert_int_equal(image[512] & 3, 3);
	v = st;
	v.high |= 0x10000;
	assert_int_equal(set_wide(&h, VTL(0), HV_REGISTER_FP_MMX0, &v), HV_INVALID_REGISTER_VALUE);
	/* FCW and MXCSR are where the TLFS has them. */
	assert_int_equal(get(&h, VTL(0), HV_REGISTER_FP_CONTROL_STATUS, &v), HV_SUCCESS);
	assert_int_equal(v.low & 0xffff, 0x37f);
	assert_int_equal(get(&h, VTL(0), HV_REGISTER_XMM_CONTROL_STATUS, &v), HV_SUCCESS);
	assert_int_equal(v.high & UINT32_MAX, 0x1f80);
	v.high = 0xffff0000;
	assert_int_equal(set_wide(&h, VTL(0), HV_REGISTER_XMM_CONTROL_STATUS, &v),
			 HV_INVALID_REGISTER_VALUE);
	hc_stop(&h);
}

static void msrs_are_each_vtls(void **state)
{
	static const struct {
		uint32_t name, msr;
	} rows[] = {
		{HV_REGISTER_LSTAR, 0xc0000082},   {HV_REGISTER_STAR, 0xc0000081},
		{HV_REGISTER_SYSENTER_CS, 0x174},  {HV_REGISTER_SYSENTER_ESP, 0x175},
		{HV_REGISTER_SYSENTER_EIP, 0x176}, {HV_REGISTER_KERNEL_GS_BASE, 0xc0000102},
		{HV_REGISTER_SFMASK, 0xc0000084},  {HV_REGISTER_CSTAR, 0xc0000083},
		{HV_REGISTER_TSC_AUX, 0xc0000103},
	};
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(set(&h, VTL(0), rows[i].name, 0x40 + i), HV_SUCCESS);
		assert_int_equal(fake_vcpu_msr(h.x.fake, hc_cpu(&h, 0, 0)->fd, rows[i].msr),
				 0x40 + i);
		assert_int_not_equal(fake_vcpu_msr(h.x.fake, hc_cpu(&h, 0, 1)->fd, rows[i].msr),
				     0x40 + i);
	}
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_PAT, 2), HV_INVALID_REGISTER_VALUE);
	hc_stop(&h);
}

static void mtrrs_go_to_every_vtl(void **state)
{
	struct hv_register_value v;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	fake_kvm_add_msr(h.x.fake, 0x2ff, 0);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_MTRR_DEF_TYPE, 0xc06), HV_SUCCESS);
	for (unsigned vtl = 0; vtl < 3; vtl++)
		assert_int_equal(fake_vcpu_msr(h.x.fake, hc_cpu(&h, 0, vtl)->fd, 0x2ff), 0xc06);
	assert_int_equal(get(&h, VTL(0), HV_REGISTER_MTRR_DEF_TYPE, &v), HV_SUCCESS);
	assert_int_equal(v.low, 0xc06);
	hc_stop(&h);
}

/* What a host does not have is a register that does not exist. */
static void msrs_the_host_lacks(void **state)
{
	struct hv_register_value v;
	struct hc h;

	(void)state;
	hc_start(&h);
	assert_int_equal(get(&h, 0, HV_REGISTER_U_CET, &v), HV_INVALID_PARAMETER);
	assert_int_equal(set(&h, 0, HV_REGISTER_U_CET, 1), HV_INVALID_REGISTER_VALUE);
	hc_stop(&h);
}

static void synthetic_msrs_have_names(void **state)
{
	struct hv_register_value v;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_GUEST_OS_ID, 0x8100), HV_SUCCESS);
	assert_int_equal(h.p->vtls[0].guest_os_id, 0x8100);
	assert_int_equal(h.p->vtls[1].guest_os_id, 0);
	assert_int_equal(get(&h, VTL(0), HV_REGISTER_VP_INDEX, &v), HV_SUCCESS);
	assert_int_equal(v.low, 0);
	assert_int_equal(set(&h, VTL(1), HV_REGISTER_SINT0 + 2, 0x30), HV_SUCCESS);
	assert_int_equal(h.vp[0]->vtls[1].synic.sint[2], 0x30);
	assert_int_equal(set(&h, VTL(1), HV_REGISTER_VP_ASSIST_PAGE, 0x5001), HV_SUCCESS);
	assert_int_equal(h.vp[0]->vtls[1].assist_msr, 0x5001);
	assert_int_equal(set(&h, VTL(1), HV_REGISTER_VP_ASSIST_PAGE, UINT64_MAX),
			 HV_INVALID_REGISTER_VALUE);
	hc_stop(&h);
}

/* --- another VP --- */

static void *leaves_the_guest(void *arg)
{
	struct hc *h = arg;

	usleep(20000);
	pthread_mutex_lock(&h->p->lock);
	assert_int_equal(h->vp[1]->holds, 1);
	h->vp[1]->inside = false;
	pthread_cond_broadcast(&h->p->vcpu_moved);
	pthread_mutex_unlock(&h->p->lock);
	return NULL;
}

static void another_vp_is_brought_out_first(void **state)
{
	struct hv_register_value v;
	pthread_t thread;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	pthread_mutex_lock(&h.p->lock);
	h.vp[1]->inside = true;
	assert_int_equal(pthread_create(&thread, NULL, leaves_the_guest, &h), 0);
	assert_int_equal(get_as(&h, HC_SELF, 1, VTL(0), HV_REGISTER_RIP, &v), HV_SUCCESS);
	assert_false(h.vp[1]->inside);
	assert_int_equal(h.vp[1]->holds, 0);
	pthread_mutex_unlock(&h.p->lock);
	assert_int_equal(pthread_join(thread, NULL), 0);
	/* It is released on failure too. */
	assert_int_equal(get_as(&h, HC_SELF, 1, VTL(1), HV_REGISTER_RIP, &v), HV_INVALID_VTL_STATE);
	assert_int_equal(h.vp[1]->holds, 0);
	hc_stop(&h);
}

static void another_vps_active_vtl_counts(void **state)
{
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	hc_enter(&h, 1, 1);
	assert_int_equal(set_as(&h, 1, VTL(0), HV_REGISTER_RBX, 0x77), HV_SUCCESS);
	assert_int_equal(hc_regs(&h, 1)->rbx, 0x77);
	hc_stop(&h);
}

/* --- lists --- */

static void registers_before_a_bad_one_are_set(void **state)
{
	const struct hv_register_assignment list[] = {
		{.name = HV_REGISTER_RBX, .reserved = {1, 2, 3}, .value = {.low = 1}},
		{.name = HV_REGISTER_RSI, .value = {.low = 2}},
		{.name = HV_REGISTER_RFLAGS, .value = {.low = 0x8000}},
		{.name = HV_REGISTER_RDI, .value = {.low = 3}},
	};
	const struct hv_vp_registers header = {
		.partition_id = HC_SELF, .vp_index = HV_VP_INDEX_SELF, .reserved = {9, 9, 9}};
	struct hc h;

	(void)state;
	hc_start(&h);
	assert_int_equal(hc_slow(&h, 0, HV_CALL_SET_VP_REGISTERS, 4, &header, sizeof(header), list,
				 sizeof(list)),
			 HV_INVALID_REGISTER_VALUE);
	assert_int_equal(h.result.reps, 2);
	assert_int_equal(hc_regs(&h, 0)->rbx, 1);
	assert_int_equal(hc_regs(&h, 0)->rsi, 2);
	assert_int_equal(hc_regs(&h, 0)->rdi, 0);
	hc_stop(&h);
}

/* --- events --- */

#define EVENT(vector, more) (1 | (uint64_t)(vector) << 16 | (more))
#define ERROR_CODE	    (UINT64_C(1) << 8)

static void an_exception_is_queued(void **state)
{
	const struct kvm_vcpu_events *e;
	struct hv_register_value v;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(get(&h, VTL(0), HV_REGISTER_PENDING_EVENT0, &v), HV_SUCCESS);
	assert_int_equal(v.low, 0);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_PENDING_EVENT0,
			     EVENT(13, ERROR_CODE | UINT64_C(0x18) << 32)),
			 HV_SUCCESS);
	assert_int_equal(get(&h, VTL(0), HV_REGISTER_PENDING_EVENT0, &v), HV_SUCCESS);
	assert_int_equal(v.low, EVENT(13, ERROR_CODE | UINT64_C(0x18) << 32));
	/* It outlives other registers, whichever way those are written. */
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_CR3, 0x9000), HV_SUCCESS);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_RIP, 0x8000), HV_SUCCESS);
	assert_int_equal(vtl_cpu_flush(hc_cpu(&h, 0, 0)), 0);
	e = fake_vcpu_events(h.x.fake, hc_cpu(&h, 0, 0)->fd);
	assert_int_equal(e->exception.injected, 1);
	assert_int_equal(e->exception.nr, 13);
	assert_int_equal(e->exception.has_error_code, 1);
	assert_int_equal(e->exception.error_code, 0x18);
	assert_int_equal(get(&h, VTL(1), HV_REGISTER_PENDING_EVENT0, &v), HV_SUCCESS);
	assert_int_equal(v.low, 0);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_PENDING_EVENT0, 0), HV_SUCCESS);
	assert_int_equal(vtl_cpu_flush(hc_cpu(&h, 0, 0)), 0);
	assert_int_equal(e->exception.injected, 0);
	hc_stop(&h);
}

/* A processor refuses #GP without an error code, and #UD with one. */
static void error_codes_fit_the_exception(void **state)
{
	const struct kvm_vcpu_events *e;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_PENDING_EVENT0, EVENT(13, 0)), HV_SUCCESS);
	assert_int_equal(vtl_cpu_flush(hc_cpu(&h, 0, 0)), 0);
	e = fake_vcpu_events(h.x.fake, hc_cpu(&h, 0, 0)->fd);
	assert_int_equal(e->exception.has_error_code, 1);
	assert_int_equal(e->exception.error_code, 0);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_PENDING_EVENT0, EVENT(6, 0)), HV_SUCCESS);
	assert_int_equal(vtl_cpu_flush(hc_cpu(&h, 0, 0)), 0);
	assert_int_equal(e->exception.has_error_code, 0);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_PENDING_EVENT0, EVENT(6, ERROR_CODE)),
			 HV_INVALID_REGISTER_VALUE);
	hc_stop(&h);
}

static void a_page_fault_has_an_address(void **state)
{
	struct hv_register_value v = {.low = EVENT(14, ERROR_CODE | UINT64_C(2) << 32),
				      .high = 0xdead000};
	struct hv_register_value got;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(set_wide(&h, VTL(0), HV_REGISTER_PENDING_EVENT0, &v), HV_SUCCESS);
	assert_int_equal(hc_sregs(&h, 0, 1)->cr2, 0xdead000);
	assert_int_equal(get(&h, VTL(0), HV_REGISTER_PENDING_EVENT0, &got), HV_SUCCESS);
	assert_memory_equal(&got, &v, sizeof(v));
	hc_stop(&h);
}

static void events_that_cannot_be(void **state)
{
	static const struct hv_register_value bad[] = {
		{.low = EVENT(2, 0)},
		{.low = EVENT(32, 0)},
		{.low = EVENT(0x100d, 0)},
		{.low = EVENT(6, 1 << 1)},
		{.low = EVENT(6, 1 << 4)},
		{.low = EVENT(6, 1 << 9)},
		{.low = EVENT(6, 0), .high = 1},
		{.low = UINT64_C(6) << 16},
		{.high = 1},
	};
	struct hv_register_value v = {.low = 1};
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(set_wide(&h, VTL(0), HV_REGISTER_PENDING_EVENT0, &bad[i]),
				 HV_INVALID_REGISTER_VALUE);
	assert_int_equal(set_wide(&h, VTL(0), HV_REGISTER_PENDING_EVENT1, &v),
			 HV_INVALID_REGISTER_VALUE);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_PENDING_EVENT1, 0), HV_SUCCESS);
	assert_int_equal(get(&h, VTL(0), HV_REGISTER_PENDING_EVENT1, &v), HV_SUCCESS);
	assert_int_equal(v.low, 0);
	hc_stop(&h);
}

static void interrupt_state(void **state)
{
	struct hv_register_value v;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_INTERRUPT_STATE, 3), HV_SUCCESS);
	assert_int_equal(vtl_cpu_flush(hc_cpu(&h, 0, 0)), 0);
	assert_int_equal(fake_vcpu_events(h.x.fake, hc_cpu(&h, 0, 0)->fd)->nmi.masked, 1);
	assert_int_not_equal(fake_vcpu_events(h.x.fake, hc_cpu(&h, 0, 0)->fd)->interrupt.shadow, 0);
	assert_int_equal(get(&h, VTL(0), HV_REGISTER_INTERRUPT_STATE, &v), HV_SUCCESS);
	assert_int_equal(v.low, 3);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_INTERRUPT_STATE, 0), HV_SUCCESS);
	assert_int_equal(get(&h, VTL(0), HV_REGISTER_INTERRUPT_STATE, &v), HV_SUCCESS);
	assert_int_equal(v.low, 0);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_INTERRUPT_STATE, 4),
			 HV_INVALID_REGISTER_VALUE);
	hc_stop(&h);
}

/* --- the kernel fails --- */

static void kernel_errors_are_a_status(void **state)
{
	static const struct {
		enum fake_op op;
		bool write;
		uint32_t name;
	} rows[] = {
		{FAKE_OP_get_debugregs, false, HV_REGISTER_DR7},
		{FAKE_OP_get_debugregs, true, HV_REGISTER_DR7},
		{FAKE_OP_get_xcrs, false, HV_REGISTER_XFEM},
		{FAKE_OP_set_xcrs, true, HV_REGISTER_XFEM},
		{FAKE_OP_get_xsave, false, HV_REGISTER_XMM0},
		{FAKE_OP_get_xsave, true, HV_REGISTER_XMM0},
		{FAKE_OP_set_xsave, true, HV_REGISTER_XMM0},
		{FAKE_OP_get_msrs, false, HV_REGISTER_LSTAR},
		{FAKE_OP_set_msrs, true, HV_REGISTER_LSTAR},
		{FAKE_OP_set_sregs, true, HV_REGISTER_CR3},
		{FAKE_OP_get_sregs, false, HV_REGISTER_CR3},
		{FAKE_OP_get_sregs, false, HV_REGISTER_ES},
		{FAKE_OP_get_sregs, false, HV_REGISTER_IDTR},
		{FAKE_OP_get_sregs, true, HV_REGISTER_RIP},
		{FAKE_OP_get_regs, false, HV_REGISTER_RIP},
		{FAKE_OP_get_vcpu_events, false, HV_REGISTER_PENDING_EVENT0},
		{FAKE_OP_get_vcpu_events, true, HV_REGISTER_PENDING_EVENT0},
		{FAKE_OP_get_vcpu_events, false, HV_REGISTER_INTERRUPT_STATE},
		{FAKE_OP_get_vcpu_events, true, HV_REGISTER_INTERRUPT_STATE},
	};
	struct hv_register_value v;
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 0, 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(vtl_cpu_flush(hc_cpu(&h, 0, 0)), 0);
		vtl_cpu_forget(hc_cpu(&h, 0, 0));
		fake_kvm_fail(h.x.fake, rows[i].op, 1, EIO);
		assert_int_equal(rows[i].write ? set(&h, VTL(0), rows[i].name, 0)
					       : get(&h, VTL(0), rows[i].name, &v),
				 HV_INVALID_VP_STATE);
		fake_kvm_fail(h.x.fake, rows[i].op, 1, 0);
	}
	fake_kvm_fail(h.x.fake, FAKE_OP_set_msrs, 1, ENOMEM);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_LSTAR, 0), HV_INSUFFICIENT_MEMORY);
	fake_kvm_fail(h.x.fake, FAKE_OP_set_vcpu_events, 1, EIO);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_INTERRUPT_STATE, 0), HV_SUCCESS);
	assert_int_equal(set(&h, VTL(0), HV_REGISTER_CR3, 0), HV_INVALID_VP_STATE);
	hc_stop(&h);
}

/* KVM takes any EFER from user space: nested virtualization is not for a guest to turn on here. */
static void efer_bits_that_are_not_the_guests(void **state)
{
	static const unsigned bits[] = {1, 9, 12, 16, 32, 63};
	struct hc h;

	(void)state;
	hc_start(&h);
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		uint64_t efer = hc_sregs(&h, 0, 0)->efer;

		assert_int_equal(set(&h, VTL(0), HV_REGISTER_EFER, efer | UINT64_C(1) << bits[i]),
				 HV_INVALID_REGISTER_VALUE);
		assert_int_equal(hc_sregs(&h, 0, 0)->efer, efer);
	}
	hc_stop(&h);
}

/* A VP in VTL1 has VTL1's values in what the VTLs share: VTL0 of another VP neither sees nor sets them. */
static void a_lower_vtl_cannot_reach_a_higher_ones_registers(void **state)
{
	static const uint32_t names[] = {
		HV_REGISTER_RAX, HV_REGISTER_R8 + 7,   HV_REGISTER_CR2,
		HV_REGISTER_DR0, HV_REGISTER_XMM0 + 3, HV_REGISTER_XFEM,
	};
	struct hv_register_value v = {.low = 0xff};
	struct hc h;

	(void)state;
	hc_start(&h);
	hc_enter(&h, 1, 1);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(get_as(&h, HC_SELF, 1, VTL(0), names[i], &v), HV_ACCESS_DENIED);
		assert_int_equal(set_as(&h, 1, VTL(0), names[i], 0x123), HV_ACCESS_DENIED);
	}
	assert_int_not_equal(hc_regs(&h, 1)->rax, 0x123);
	assert_int_equal(get_as(&h, HC_SELF, 1, VTL(0), HV_REGISTER_RIP, &v), HV_SUCCESS);
	/* A page fault's address is CR2. */
	v = (struct hv_register_value){.low = EVENT(14, 0), .high = 0x123};
	assert_int_equal(set_wide_as(&h, 1, VTL(0), HV_REGISTER_PENDING_EVENT0, &v),
			 HV_ACCESS_DENIED);
	assert_int_not_equal(hc_sregs(&h, 1, 1)->cr2, 0x123);
	/* From VTL1 all of it goes. */
	hc_enter(&h, 0, 1);
	assert_int_equal(set_as(&h, 1, VTL(0), HV_REGISTER_RAX, 0x123), HV_SUCCESS);
	hc_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_vps_and_vtls),
		cmocka_unit_test(a_vtl_the_vp_does_not_have),
		cmocka_unit_test(unknown_and_read_only_names),
		cmocka_unit_test(table_is_sorted_and_searchable),
		cmocka_unit_test(names_that_are_not_there_are_not_found),
		cmocka_unit_test(every_name_answers),
		cmocka_unit_test(every_register_survives_a_round_trip),
		cmocka_unit_test(general_registers_are_the_active_vtls),
		cmocka_unit_test(rip_rsp_and_flags_are_each_vtls),
		cmocka_unit_test(control_registers_are_each_vtls),
		cmocka_unit_test(cr2_is_the_active_vtls),
		cmocka_unit_test(values_kvm_refuses),
		cmocka_unit_test(lma_follows),
		cmocka_unit_test(real_mode_is_for_vtl0),
		cmocka_unit_test(cr8_is_the_apics),
		cmocka_unit_test(segments_have_the_tlfs_layout),
		cmocka_unit_test(task_register_is_a_tss),
		cmocka_unit_test(tables_have_the_tlfs_layout),
		cmocka_unit_test(debug_addresses_are_shared_dr7_is_not),
		cmocka_unit_test(xcr0_is_shared),
		cmocka_unit_test(xmm_and_x87_are_shared),
		cmocka_unit_test(msrs_are_each_vtls),
		cmocka_unit_test(mtrrs_go_to_every_vtl),
		cmocka_unit_test(msrs_the_host_lacks),
		cmocka_unit_test(synthetic_msrs_have_names),
		cmocka_unit_test(another_vp_is_brought_out_first),
		cmocka_unit_test(another_vps_active_vtl_counts),
		cmocka_unit_test(a_lower_vtl_cannot_reach_a_higher_ones_registers),
		cmocka_unit_test(efer_bits_that_are_not_the_guests),
		cmocka_unit_test(registers_before_a_bad_one_are_set),
		cmocka_unit_test(an_exception_is_queued),
		cmocka_unit_test(error_codes_fit_the_exception),
		cmocka_unit_test(a_page_fault_has_an_address),
		cmocka_unit_test(events_that_cannot_be),
		cmocka_unit_test(interrupt_state),
		cmocka_unit_test(kernel_errors_are_a_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
