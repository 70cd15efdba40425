/* SPDX-License-Identifier: MIT */
/*
 * The table of hypercalls on the fake KVM: its guest is a program of `out`s in the code page, and
 * what stands for the rest of it is here. Calls go through vsm_vcpu_run().
 */
#include "hypercall_table_env.h"

#include <stdio.h>
#include "initial_context.h"
#include "msr/synthetic.h"
#include "vsm/synic.h"

/* Guest pages. */
#define TABLES	     UINT64_C(0x1000) /* four, levels 4 to 1: the first 2 MiB */
#define STUBS	     UINT64_C(0x8000) /* where a VTL is entered; it stops at once */
#define HANDLER	     (STUBS + 0x100)
#define CODE_PAGE    UINT64_C(0x10000)
#define PAGES	     UINT64_C(0x20000)
#define TABLE_ENTRY  UINT64_C(0x67)
#define ENTRY_CALL   0x16
#define ENTRY_RETURN 0x20
#define OUT_BYTES    2

#define VMM_PORT     0x3f8
#define RETURN_FAST  1
#define CODE_MASK    0xffff

static struct {
	struct hc h;
	bool ud;
	int callback_error; /* 0, or -errno for the callbacks to return */
	unsigned reports;
} env;

static int vcpu_fd(unsigned vtl)
{
	return vsm_vcpu_fd(env.h.vp[0], vtl);
}

static struct kvm_regs *regs_of(unsigned vtl)
{
	return fake_vcpu_regs(env.h.x.fake, vcpu_fd(vtl));
}

static void write_tables(void)
{
	uint64_t *t = hc_mem(&env.h, TABLES);

	for (unsigned level = 0; level < 3; level++)
		t[level * 512] = (TABLES + (level + 1) * 0x1000) | TABLE_ENTRY;
	for (uint64_t i = 0; i < 512; i++)
		t[3 * 512 + i] = i << 12 | TABLE_ENTRY;
}

/* The handler stops, too. */
static void on_event(struct fake_guest *g, const struct fake_event *event, void *ctx)
{
	(void)ctx;
	env.ud = event->kind == FAKE_EXCEPTION && event->vector == VECTOR_UD;
	g->regs->rip = HANDLER;
}

static struct fake_step out_step(uint64_t rip, uint16_t port)
{
	return (struct fake_step){.kind = FAKE_OUT,
				  .flags = FAKE_OPTIONAL,
				  .rip = rip,
				  .port = port,
				  .size = 1,
				  .length = OUT_BYTES};
}

static void write_program(unsigned vtl)
{
	static const unsigned entries[] = {0, ENTRY_CALL, ENTRY_RETURN};
	const uint16_t port = env.h.p->hypercall_port;
	struct fake_kvm *f = env.h.x.fake;
	struct fake_step stop = out_step(HANDLER, VMM_PORT);

	fake_vcpu_program(f, vcpu_fd(vtl), &stop, 1);
	stop.rip = STUBS;
	fake_vcpu_program(f, vcpu_fd(vtl), &stop, 1);
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		const struct fake_step steps[] = {
			out_step(CODE_PAGE + entries[i], port),
			out_step(CODE_PAGE + entries[i] + OUT_BYTES, VMM_PORT)};

		fake_vcpu_program(f, vcpu_fd(vtl), steps, ARRAY_SIZE(steps));
	}
	fake_vcpu_on_event(f, vcpu_fd(vtl), on_event, NULL);
}

void hct_env_enabled(unsigned vtl)
{
	assert_int_equal(synthetic_write(env.h.vp[0], vtl, HV_MSR_GUEST_OS_ID, 1), 0);
	assert_int_equal(synthetic_write(env.h.vp[0], vtl, HV_MSR_HYPERCALL, CODE_PAGE | 1), 0);
}

/* With KVM's local APIC only the VP of APIC id 0 runs from the start; the fixture's has another. */
static void make_runnable(void)
{
	const struct kvm_mp_state runnable = {.mp_state = KVM_MP_STATE_RUNNABLE};
	const struct kvm_host *host = env.h.x.host;

	assert_int_equal(host->ops->set_mp_state(host, vcpu_fd(0), &runnable), 0);
}

/* --- running --- */

static void set_mode(unsigned vtl, enum hct_mode mode)
{
	struct fake_kvm *f = env.h.x.fake;
	int fd = vcpu_fd(vtl);

	if (mode == HCT_32) {
		fake_vcpu_flat_mode(f, fd, STUBS, STUBS);
		return;
	}
	fake_vcpu_long_mode(f, fd, TABLES, STUBS, STUBS);
	if (mode == HCT_COMPAT) {
		fake_vcpu_sregs(f, fd)->cs.l = 0;
		fake_vcpu_sregs(f, fd)->cs.db = 1;
	}
}

/* Runs until a VTL stops. A dead partition has run as far as it could. */
static void run(void)
{
	struct kvm_run *run;
	unsigned active = vsm_vcpu_active_vtl(env.h.vp[0]);
	int r;

	for (unsigned vtl = 0; vtl < env.h.p->vtl_count; vtl++)
		if (vtl != active)
			regs_of(vtl)->rip = STUBS;
	r = vsm_vcpu_run(env.h.vp[0], &run);
	if (env.h.p->dead)
		return;
	assert_int_equal(r, 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(run->io.port, VMM_PORT);
}

/* Calls or returns until that VTL is active. */
static void go_to(unsigned vtl)
{
	unsigned active;

	while ((active = vsm_vcpu_active_vtl(env.h.vp[0])) != vtl) {
		bool up = active < vtl;

		set_mode(active, HCT_64);
		regs_of(active)->rcx = up ? 0 : RETURN_FAST;
		regs_of(active)->rip = CODE_PAGE + (up ? ENTRY_CALL : ENTRY_RETURN);
		run();
	}
}

static void put_registers(const struct hct_call *c)
{
	static const unsigned entries[] = {0, ENTRY_CALL, ENTRY_RETURN};
	bool by_code = (c->control & CODE_MASK) == CALL_VTL_CALL ||
		       (c->control & CODE_MASK) == CALL_VTL_RETURN;
	struct kvm_regs *r = regs_of(c->vtl);

	r->rip = CODE_PAGE + entries[c->entry];
	hc_put_xmm(&env.h, 0, 0, c->block + 2, HCT_BLOCK - 16);
	if (c->mode == HCT_64) {
		r->rax = by_code ? c->switch_input : HC_NO_RESULT;
		r->rcx = c->control;
		r->rdx = c->block[0];
		r->r8 = c->block[1];
		return;
	}
	r->rax = (uint32_t)c->control;
	r->rdx = c->control >> 32;
	r->rbx = c->block[0] >> 32;
	r->rcx = by_code ? (uint32_t)c->switch_input : (uint32_t)c->block[0];
	r->rdi = c->block[1] >> 32;
	r->rsi = (uint32_t)c->block[1];
}

static void get_registers(struct hct_call *c)
{
	const struct kvm_regs *r = regs_of(c->vtl);

	hc_get_xmm(&env.h, 0, 0, c->block + 2, HCT_BLOCK - 16);
	if (c->mode == HCT_64) {
		c->result = r->rax;
		c->block[0] = r->rdx;
		c->block[1] = r->r8;
		return;
	}
	c->result = r->rdx << 32 | (uint32_t)r->rax;
	c->block[0] = r->rbx << 32 | (uint32_t)r->rcx;
	c->block[1] = r->rdi << 32 | (uint32_t)r->rsi;
}

/* What VTL1 does about an intercept, and back. The call's own registers are as they were. */
static void serve_intercept(struct hct_call *c)
{
	struct kvm_regs saved = *regs_of(c->vtl);
	struct hct_call open = *c;

	get_registers(&open);
	assert_memory_equal(open.block, c->block, sizeof(open.block));
	c->intercepts++;
	hct_limit_page(HCT_INPUT, 0xf);
	hct_limit_page(HCT_OUTPUT, 0xf);
	go_to(c->vtl);
	*regs_of(c->vtl) = saved;
}

static bool is_switch(const struct hct_call *c)
{
	uint16_t code = (uint16_t)(c->control & CODE_MASK);

	return c->entry || code == CALL_VTL_CALL || code == CALL_VTL_RETURN;
}

void hct_env_call(struct hct_call *c)
{
	if (env.h.p->dead)
		return;
	go_to(c->vtl);
	set_mode(c->vtl, c->mode);
	put_registers(c);
	env.ud = false;
	run();
	c->reached = (uint8_t)vsm_vcpu_active_vtl(env.h.vp[0]);
	if (!is_switch(c) && c->reached != c->vtl) {
		serve_intercept(c);
		set_mode(c->vtl, c->mode);
		put_registers(c);
		run();
		c->reached = (uint8_t)vsm_vcpu_active_vtl(env.h.vp[0]);
	}
	c->ud = env.ud;
	if (!is_switch(c))
		get_registers(c);
	if (!env.h.p->dead)
		go_to(c->vtl);
}

/* --- the rest of an environment --- */

void table_env_start(const struct vsm_partition_options *options)
{
	struct vsm_partition_options o = *options;

	memset(&env, 0, sizeof(env));
	o.max_vtl = 2;
	hc_start_with(&env.h, &o);
	make_runnable();
	write_tables();
	for (unsigned vtl = 0; vtl < env.h.p->vtl_count; vtl++)
		write_program(vtl);
	hct_env_enabled(0);
	/* Once in the guest, so that a call finds all that is looked at first. */
	set_mode(0, HCT_64);
	run();
}

void table_env_stop(void)
{
	hc_stop(&env.h);
}

unsigned table_env_reports(void)
{
	return env.reports;
}

uint64_t hct_env_gpa(unsigned page)
{
	return PAGES + page * (uint64_t)HCT_PAGESIZE;
}

const unsigned hct_env_watched = HCT_PAGESIZE;

void *hct_env_page(unsigned page)
{
	return hc_mem(&env.h, hct_env_gpa(page));
}

const void *hct_env_shown(unsigned page)
{
	const struct overlay *o = overlay_at(&env.h.p->memory, 0, hct_env_gpa(page) / HCT_PAGESIZE);

	return o ? o->host : hct_env_page(page);
}

/* The most there can be, where the VMM did not set the CPUID. */
unsigned hct_env_physical_bits(void)
{
	return 52;
}

uint32_t hct_env_apic_id(unsigned vp)
{
	return env.h.vp[vp]->apic_id;
}

void hct_env_context(unsigned vtl, void *context)
{
	struct hv_initial_vp_context c = flat_context();

	(void)vtl;
	c.rip = STUBS;
	memcpy(context, &c, sizeof(c));
}

static int on_message(void *ctx, const struct vsm_port_message *m)
{
	const struct vsm_message message = {.size = sizeof(message),
					    .type = m->type,
					    .payload_size = m->payload_size,
					    .payload = m->payload};

	if (env.callback_error)
		return env.callback_error;
	return vsm_synic_post_message(env.h.vp[0], 0, (unsigned)(uintptr_t)ctx, &message);
}

static int on_event_port(void *ctx, struct vsm_vcpu *sender, unsigned vtl, uint32_t id,
			 unsigned flag)
{
	(void)sender, (void)vtl, (void)flag;
	if (env.callback_error)
		return env.callback_error;
	return vsm_synic_set_event_flag(env.h.vp[0], 0, (unsigned)(uintptr_t)ctx, id);
}

void hct_env_connect(bool events, uint8_t id, uint8_t sint)
{
	struct vsm_port_options o = {
		.size = sizeof(o), .connection_id = id, .ctx = (void *)(uintptr_t)sint};

	if (events)
		o.on_event = on_event_port;
	else
		o.on_message = on_message;
	vsm_port_disconnect(env.h.p, id);
	assert_int_equal(vsm_port_connect(env.h.p, &o), 0);
}

void hct_env_disconnect(uint8_t id)
{
	vsm_port_disconnect(env.h.p, id);
}

void hct_env_fault(enum hct_fault fault)
{
	static const struct {
		enum fake_op op;
		int error;
	} faults[] = {
		[HCT_FAULT_PROTECT] = {FAKE_OP_protect_memory, ENOMEM},
		[HCT_FAULT_MSR_FILTER] = {FAKE_OP_set_msr_filter, ENOMEM},
		[HCT_FAULT_SET_SREGS] = {FAKE_OP_set_sregs, EIO},
		[HCT_FAULT_OTHER_REGS] = {FAKE_OP_get_sregs, EIO},
		[HCT_FAULT_DEBUGREGS] = {FAKE_OP_get_debugregs, EIO},
		[HCT_FAULT_MSI] = {FAKE_OP_signal_msi, EINVAL},
		[HCT_FAULT_EVENTS] = {FAKE_OP_set_vcpu_events, EIO},
	};

	env.callback_error = 0;
	if (fault == HCT_FAULT_CALLBACK)
		env.callback_error = -EIO;
	if (fault == HCT_FAULT_BUSY)
		env.callback_error = -EAGAIN;
	for (size_t i = 1; i < ARRAY_SIZE(faults); i++)
		if (faults[i].error)
			fake_kvm_fail(env.h.x.fake, faults[i].op, 0,
				      i == fault ? faults[i].error : 0);
}

void hct_env_report(const char *name, enum hct_form form, const char *what, uint64_t got,
		    uint64_t wanted)
{
	static const char *const forms[] = {"slow",	   "fast",    "slow compat",
					    "fast compat", "slow 32", "fast 32"};

	env.reports++;
	fprintf(stderr, "%s (%s): %s is %#llx, wanted %#llx\n", name, forms[form], what,
		(unsigned long long)got, (unsigned long long)wanted);
}
