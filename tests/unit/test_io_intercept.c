/* SPDX-License-Identifier: MIT */
/* I/O port intercepts: who hears of which access, and VTL0 as before its instruction. */
#include "partition_fixture.h"

#include <errno.h>
#include <string.h>
#include "hv/hypercall.h"
#include "hv/message.h"
#include "hypercall/call.h"
#include "intercept/io.h"
#include "msr/synthetic.h"
#include "vtl/reset.h"

#define PORT_VMM 0x3f8
#define CODE	 UINT64_C(0x1000)
#define READ	 HV_INTERCEPT_ACCESS_READ
#define WRITE	 HV_INTERCEPT_ACCESS_WRITE
#define VMM(at)                                                                         \
	{                                                                               \
		.kind = FAKE_OUT, .port = PORT_VMM, .size = 1, .length = 2, .rip = (at) \
	}

static int fd(struct guest *g, unsigned vtl)
{
	return vsm_vcpu_fd(g->vp, vtl);
}

static void start(struct guest *g, unsigned flags)
{
	guest_start(g, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	fake_kvm_set_flags(g->x.fake, flags);
	guest_enable_vtl1(g);
	assert_int_equal(synthetic_write(g->vp, 1, HV_MSR_SIMP, PAGE_SIMP | 1), 0);
	assert_int_equal(synthetic_write(g->vp, 1, HV_MSR_SCONTROL, 1), 0);
}

static struct kvm_run *expect_vmm(struct guest *g, unsigned vtl)
{
	struct kvm_run *run;

	assert_int_equal(vsm_vcpu_run(g->vp, &run), 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(vsm_vcpu_active_vtl(g->vp), vtl);
	return run;
}

/* --- what is told --- */

struct row {
	uint8_t code[4];
	struct fake_step step;
	uint8_t info;
	/* Of strings: */
	uint8_t length; /* the instruction's, where that is not how far RIP moved */
	uint8_t ahead;	/* the byte before it */
	uint64_t rcx, rflags;
};

#define ROW(io, bytes, count, number)                                                     \
	{                                                                                 \
		bytes, {.kind = io, .port = 0x60, .size = count, .length = number}, count \
	}
#define CODE_BYTES(...)     \
	{                   \
		__VA_ARGS__ \
	}

/* 32-bit code. The first byte is not the instruction's. */
static const struct row rows[] = {
	ROW(FAKE_OUT, CODE_BYTES(0xe6, 0x60), 1, 2), ROW(FAKE_OUT, CODE_BYTES(0xee), 1, 1),
	ROW(FAKE_OUT, CODE_BYTES(0x66, 0xef), 2, 2), ROW(FAKE_OUT, CODE_BYTES(0xef), 4, 1),
	ROW(FAKE_OUT, CODE_BYTES(0xe7, 0x60), 4, 2), ROW(FAKE_IN, CODE_BYTES(0xe4, 0x60), 1, 2),
	ROW(FAKE_IN, CODE_BYTES(0xec), 1, 1),	     ROW(FAKE_IN, CODE_BYTES(0x66, 0xed), 2, 2),
	ROW(FAKE_IN, CODE_BYTES(0xed), 4, 1),
};

/*
 * KVM emulates these, and moves RSI and RCX. A repeated one's RIP moves at its end only; until then
 * it is what a byte in front of one that does not repeat looks like, too.
 */
static const struct row strings[] = {
	{.code = {0x6e}, .step = {.length = 1, .effects = {{FAKE_RSI, 1}}}, .length = 1},
	{.code = {0x6e},
	 .step = {.length = 1, .effects = {{FAKE_RSI, -1}}},
	 .length = 1,
	 .rflags = CPU_RFLAGS_DF},
	{.code = {0xf3, 0x6e},
	 .step = {.effects = {{FAKE_RSI, 1}, {FAKE_RCX, -1}}},
	 .info = HV_IO_ACCESS_REP,
	 .length = 2},
	{.code = {0xf3, 0x6e},
	 .step = {.length = 2, .effects = {{FAKE_RSI, 1}, {FAKE_RCX, -1}}},
	 .info = HV_IO_ACCESS_REP,
	 .length = 2,
	 .rcx = 1},
};

static uint8_t length_of(const struct row *row)
{
	return row->length ? row->length : row->step.length;
}

static void check_message(struct guest *g, const struct row *row, const struct kvm_regs *before)
{
	const struct hv_message *m = (const void *)g->vp->vtls[1].synic.message_page->host;
	const struct hv_io_intercept *io = (const void *)m->payload;

	assert_int_equal(m->type, HV_MESSAGE_IO_INTERCEPT);
	assert_int_equal(m->payload_size, sizeof(*io));
	assert_int_equal(io->port, 0x60);
	assert_int_equal(io->access_info, row->info);
	assert_int_equal(io->header.access, row->step.kind == FAKE_IN ? MEM_READ : MEM_WRITE);
	assert_int_equal(io->header.rip, CODE);
	assert_int_equal(io->header.length_and_cr8 & 0xf, length_of(row));
	assert_int_equal(io->instruction_count, length_of(row));
	assert_memory_equal(io->instruction_bytes, row->code, length_of(row));
	assert_int_equal(io->rax, before->rax);
	assert_int_equal(io->rcx, before->rcx);
	assert_int_equal(io->rsi, before->rsi);
	assert_int_equal(io->rdi, before->rdi);
}

/* The shadow of an STI before the instruction, unless KVM was done with it at the exit. */
static void check_shadow(struct guest *g, bool kept)
{
	assert_int_equal(fake_vcpu_events(g->x.fake, fd(g, 0))->interrupt.shadow,
			 kept ? KVM_X86_SHADOW_INT_STI : 0);
}

static void tell_row(const struct row *row, unsigned flags)
{
	const struct fake_step higher[] = {VMM(VTL1_ENTRY)};
	struct kvm_regs before, *now;
	struct guest g;

	start(&g, flags);
	assert_int_equal(io_intercept_install(g.p, 1, 0x60, 0x60, READ | WRITE), 0);
	g.x.mem[CODE - 1] = row->ahead ? row->ahead : 0x3e;
	memcpy(g.x.mem + CODE, row->code, sizeof(row->code));
	memset(g.x.mem + CODE + length_of(row), row->code[0], 1);
	now = fake_vcpu_regs(g.x.fake, fd(&g, 0));
	now->rdx = 0x60;
	now->rcx = row->rcx ? row->rcx : 7;
	now->rsi = 0x7000;
	now->rflags |= CPU_RFLAGS_TF | row->rflags;
	fake_vcpu_events(g.x.fake, fd(&g, 0))->interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	before = *now;
	fake_vcpu_script(g.x.fake, fd(&g, 0), &row->step, 1);
	fake_vcpu_script(g.x.fake, fd(&g, 1), higher, 1);
	expect_vmm(&g, 1);
	check_message(&g, row, &before);
	assert_memory_equal(now, &before, sizeof(before));
	check_shadow(&g, row->step.kind == FAKE_IN || !(flags & FAKE_PIO_RIP_PAST));
	assert_int_equal(g.vp->stats.io_intercepts, 1);
	guest_stop(&g);
}

/*
 * Whether KVM shows RIP at the instruction or past it; a byte before it that could be its prefix.
 */
static void told_and_not_made(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		tell_row(&rows[i], 0);
		tell_row(&rows[i], FAKE_PIO_RIP_PAST);
	}
}

static void strings_are_taken_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		struct row row = strings[i];

		row.step.kind = FAKE_OUT;
		row.step.port = 0x60;
		row.step.size = 1;
		row.info |= 1 | HV_IO_ACCESS_STRING;
		row.ahead = 0xf3;
		tell_row(&row, FAKE_PIO_RIP_PAST);
	}
}

/* --- who is asked --- */

static unsigned setter(struct guest *g, bool in, uint16_t port, uint8_t size)
{
	return io_intercept_setter(
		g->vp, &(struct io_access){.in = in, .port = port, .size = size, .count = 1});
}

static void which_ports(void **state)
{
	struct guest g;

	(void)state;
	start(&g, 0);
	assert_int_equal(io_intercept_install(g.p, 1, 0x100, 0x107, WRITE), 0);
	assert_int_equal(io_intercept_install(g.p, 1, 0xffff, 0xffff, READ), 0);
	assert_int_equal(setter(&g, false, 0x100, 1), 1);
	assert_int_equal(setter(&g, true, 0x100, 1), 0);
	assert_int_equal(setter(&g, false, 0xff, 1), 0);
	assert_int_equal(setter(&g, false, 0xff, 2), 1);
	assert_int_equal(setter(&g, false, 0x107, 4), 1);
	assert_int_equal(setter(&g, false, 0x108, 4), 0);
	assert_int_equal(setter(&g, true, 0xffff, 4), 1);
	/* One port of a range ends, or changes. */
	assert_int_equal(io_intercept_install(g.p, 1, 0x103, 0x103, 0), 0);
	assert_int_equal(io_intercept_install(g.p, 1, 0x104, 0x104, READ), 0);
	assert_int_equal(setter(&g, false, 0x103, 1), 0);
	assert_int_equal(setter(&g, false, 0x104, 1), 0);
	assert_int_equal(setter(&g, true, 0x104, 1), 1);
	/* Its own are nobody's; and a VP that does not have the VTL is not stopped. */
	vcpu_activate(g.vp, 1);
	assert_int_equal(setter(&g, false, 0x100, 1), 0);
	vcpu_activate(g.vp, 0);
	g.vp->enabled_vtls = 1;
	assert_int_equal(setter(&g, false, 0x100, 1), 0);
	g.vp->enabled_vtls = 3;
	assert_int_equal(vtl_reset_partition(g.p, 1), 0);
	assert_int_equal(setter(&g, false, 0x100, 1), 0);
	guest_stop(&g);
}

static void the_others_reach_the_vmm(void **state)
{
	const struct fake_step steps[] = {VMM(CODE)};
	struct guest g;

	(void)state;
	start(&g, 0);
	assert_int_equal(io_intercept_install(g.p, 1, 0, 0xffff, READ), 0);
	fake_vcpu_script(g.x.fake, fd(&g, 0), steps, 1);
	assert_int_equal(expect_vmm(&g, 0)->io.port, PORT_VMM);
	assert_int_equal(g.vp->stats.io_intercepts, 0);
	guest_stop(&g);
}

/* KVM answers some itself. */
static void kernel_ports(void **state)
{
	static const uint16_t refused[] = {0x20, 0x21, 0x40, 0x43, 0x61, 0xa0, 0xa1, 0x4d0, 0x4d1};
	struct guest g;

	(void)state;
	start(&g, 0);
	assert_int_equal(io_intercept_install(g.p, 1, 0x20, 0x21, WRITE), 0);
	g.p->kernel_irqchip = true;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		assert_int_equal(io_intercept_install(g.p, 1, refused[i], refused[i], WRITE),
				 -ENOTSUP);
	assert_int_equal(io_intercept_install(g.p, 1, 0, 0xffff, READ), -ENOTSUP);
	assert_int_equal(setter(&g, true, 0x60, 1), 0);
	assert_int_equal(io_intercept_install(g.p, 1, 0x20, 0x21, 0), 0);
	assert_int_equal(io_intercept_install(g.p, 1, 0x22, 0x3f, WRITE), 0);
	g.p->kernel_irqchip = false;
	guest_stop(&g);
}

/* --- the hypercall --- */

static enum hv_status install(struct guest *g, uint32_t type, uint64_t parameter, uint32_t access)
{
	const struct hv_install_intercept in = {.partition_id = HV_PARTITION_ID_SELF,
						.access = access,
						.type = type,
						.parameter = parameter};
	struct hypercall_parameters parameters;
	struct hypercall_call c = {
		.vp = g->vp, .partition = g->p, .vtl = 1, .input = parameters.input};

	memcpy(c.input, &in, sizeof(in));
	return hypercall_install_intercept(&c);
}

static void hypercall(void **state)
{
	struct guest g;

	(void)state;
	start(&g, 0);
	assert_int_equal(install(&g, HV_INTERCEPT_TYPE_IO_PORT, 0x10000, WRITE),
			 HV_INVALID_PARAMETER);
	assert_int_equal(install(&g, HV_INTERCEPT_TYPE_IO_PORT, 0x60, 4), HV_INVALID_PARAMETER);
	assert_int_equal(install(&g, HV_INTERCEPT_TYPE_IO_PORT_RANGE, 0x0005 << 16 | 6, WRITE),
			 HV_INVALID_PARAMETER);
	assert_int_equal(install(&g, HV_INTERCEPT_TYPE_IO_PORT_RANGE, UINT64_C(1) << 32, WRITE),
			 HV_INVALID_PARAMETER);
	assert_int_equal(install(&g, HV_INTERCEPT_TYPE_IO_PORT, 0x60, WRITE), HV_SUCCESS);
	assert_int_equal(install(&g, HV_INTERCEPT_TYPE_IO_PORT_RANGE, 0x72 << 16 | 0x70, READ),
			 HV_SUCCESS);
	assert_int_equal(setter(&g, false, 0x60, 1), 1);
	assert_int_equal(setter(&g, true, 0x72, 1), 1);
	assert_int_equal(setter(&g, true, 0x73, 1), 0);
	g.p->kernel_irqchip = true;
	assert_int_equal(install(&g, HV_INTERCEPT_TYPE_IO_PORT, 0x20, WRITE), HV_OPERATION_DENIED);
	g.p->kernel_irqchip = false;
	guest_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(told_and_not_made), cmocka_unit_test(strings_are_taken_back),
		cmocka_unit_test(which_ports),	     cmocka_unit_test(the_others_reach_the_vmm),
		cmocka_unit_test(kernel_ports),	     cmocka_unit_test(hypercall),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
