// SPDX-License-Identifier: MIT
/* The fake KVM: one step of a guest, and finishing what an exit left half-done. */
#include "fake.h"

void guest_retire(struct vcpu *v)
{
	script_consume(v, v->entry);
	script_advance(v, &v->step, v->regs.rip);
}

/* The step in hand is done but for what user space answers. */
static void guest_pend(struct vcpu *v, enum pending_kind kind)
{
	v->pending = (struct pending){.kind = kind, .step = v->step, .rip = v->regs.rip};
	script_consume(v, v->entry);
}

/* --- port I/O: kvm_fast_pio(), or the emulator --- */

static void *guest_pio_data(struct vcpu *v)
{
	return (uint8_t *)v->run + PAGE;
}

static void guest_pio_exit(struct vcpu *v, uint8_t direction)
{
	v->run->exit_reason = KVM_EXIT_IO;
	v->run->io.direction = direction;
	v->run->io.size = v->step.size;
	v->run->io.port = v->step.port;
	v->run->io.count = 1;
	v->run->io.data_offset = PAGE;
}

static bool guest_pio_valid(struct vcpu *v)
{
	if (v->step.size == 1 || v->step.size == 2 || v->step.size == 4)
		return true;
	fake_error(v->f, "port access of %u bytes", v->step.size);
	return false;
}

static int guest_out(struct vcpu *v)
{
	uint64_t value = v->step.reg ? reg_get(v, v->step.reg) : v->step.data;

	if (!guest_pio_valid(v))
		return -ENOSYS;
	guest_pio_exit(v, KVM_EXIT_IO_OUT);
	memcpy(guest_pio_data(v), &value, v->step.size);
	if (v->f->flags & FAKE_PIO_RIP_PAST)
		guest_retire(v);
	else
		guest_pend(v, PENDING_OUT);
	return 0;
}

static int guest_in(struct vcpu *v)
{
	if (!guest_pio_valid(v))
		return -ENOSYS;
	guest_pio_exit(v, KVM_EXIT_IO_IN);
	guest_pend(v, PENDING_IN);
	return 0;
}

/* complete_fast_pio_out(): skips only if nobody moved RIP */
static int guest_out_complete(struct vcpu *v, struct pending *p)
{
	if (v->regs.rip == p->rip)
		script_advance(v, &p->step, p->rip);
	return 1;
}

/* complete_fast_pio_in(): the same; the emulator puts RIP where it wants it */
static int guest_in_complete(struct vcpu *v, struct pending *p)
{
	uint64_t value = p->step.size < 4 ? v->regs.rax : 0;

	if (v->regs.rip != p->rip && !(v->f->flags & FAKE_PIO_RIP_PAST))
		return 1;
	memcpy(&value, guest_pio_data(v), p->step.size);
	v->regs.rax = value;
	script_advance(v, &p->step, p->rip);
	return 1;
}

/* --- MSRs: kvm_emulate_rdmsr(), kvm_msr_user_space() --- */

static int guest_msr_exit(struct vcpu *v, uint32_t exit_reason, uint32_t reason, uint64_t data)
{
	struct kvm_run *run = v->run;
	bool read = exit_reason == KVM_EXIT_X86_RDMSR;

	if (!(v->vm->msr_exits & reason))
		return event_raise(v, VECTOR_GP, 0);
	run->exit_reason = exit_reason;
	memset(&run->msr, 0, sizeof(run->msr));
	run->msr.reason = reason;
	run->msr.index = v->step.msr;
	run->msr.data = data;
	guest_pend(v, read ? PENDING_RDMSR : PENDING_WRMSR);
	return 0;
}

static uint32_t guest_msr_reason(int error)
{
	return error == -ENOENT ? KVM_MSR_EXIT_REASON_UNKNOWN : KVM_MSR_EXIT_REASON_INVAL;
}

static void guest_rdmsr_result(struct vcpu *v, uint64_t value)
{
	v->regs.rax = (uint32_t)value;
	v->regs.rdx = value >> 32;
}

static int guest_rdmsr(struct vcpu *v)
{
	uint64_t value;
	int ret;

	if (!msr_allowed(v->vm, v->step.msr, KVM_MSR_FILTER_READ))
		return guest_msr_exit(v, KVM_EXIT_X86_RDMSR, KVM_MSR_EXIT_REASON_FILTER, 0);
	ret = msr_read(v, v->step.msr, &value);
	if (ret)
		return guest_msr_exit(v, KVM_EXIT_X86_RDMSR, guest_msr_reason(ret), 0);
	guest_rdmsr_result(v, value);
	guest_retire(v);
	return 1;
}

static int guest_wrmsr(struct vcpu *v)
{
	uint64_t value = v->step.data;
	int ret;

	if (!msr_allowed(v->vm, v->step.msr, KVM_MSR_FILTER_WRITE))
		return guest_msr_exit(v, KVM_EXIT_X86_WRMSR, KVM_MSR_EXIT_REASON_FILTER, value);
	ret = msr_write(v, v->step.msr, value, false);
	if (ret)
		return guest_msr_exit(v, KVM_EXIT_X86_WRMSR, guest_msr_reason(ret), value);
	guest_retire(v);
	return 1;
}

/* complete_fast_msr_access(). kvm_amd skips to the address the processor reported, kvm_intel
 * from wherever RIP is: nothing to rely on when it was moved. */
static int guest_msr_complete(struct vcpu *v, struct pending *p)
{
	if (v->run->msr.error) {
		v->events.exception.pending = 1;
		v->events.exception.injected = 0;
		v->events.exception.nr = VECTOR_GP;
		v->events.exception.has_error_code = 1;
		v->events.exception.error_code = 0;
		return 1;
	}
	if (v->regs.rip != p->rip)
		fake_error(v->f, "vCPU %lu: RIP moved from %#llx to %#llx in an MSR exit", v->id,
			   (unsigned long long)p->rip, v->regs.rip);
	if (p->kind == PENDING_RDMSR)
		guest_rdmsr_result(v, v->run->msr.data);
	script_advance(v, &p->step, p->rip);
	return 1;
}

/* --- the rest --- */

/* handle_emulation_failure() */
int guest_emulation_failure(struct vcpu *v)
{
	if (!v->vm->exit_on_emulation_failure) {
		if (v->sregs.ss.dpl)
			return event_raise(v, VECTOR_UD, -1);
		v->events.exception.pending = 1;
		v->events.exception.injected = 0;
		v->events.exception.nr = VECTOR_UD;
		v->events.exception.has_error_code = 0;
	}
	v->run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	v->run->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
	v->run->internal.ndata = 0;
	return 0;
}

static int guest_nop(struct vcpu *v)
{
	guest_retire(v);
	return 1;
}

static int guest_fetch(struct vcpu *v)
{
	int ret = access_fetch(v, v->step.gva, v->step.size ? v->step.size : 1);

	if (ret != ACCESS_DONE)
		return ret;
	guest_retire(v);
	return 1;
}

static int guest_hlt(struct vcpu *v)
{
	guest_retire(v);
	if (v->has_lapic) {
		v->mp.mp_state = KVM_MP_STATE_HALTED;
		return 1;
	}
	v->run->exit_reason = KVM_EXIT_HLT;
	return 0;
}

/* shutdown_interception() of kvm_amd resets the vCPU as INIT does */
static int guest_shutdown(struct vcpu *v)
{
	script_consume(v, v->entry);
	v->run->exit_reason = KVM_EXIT_SHUTDOWN;
	if (!(v->f->flags & FAKE_SHUTDOWN_KEEPS_STATE))
		vcpu_reset(v);
	return 0;
}

static int guest_set(struct vcpu *v)
{
	guest_retire(v);
	reg_set(v, v->step.reg, v->step.data);
	return 1;
}

static int guest_spin(struct vcpu *v)
{
	int ret = run_sleep(v);

	script_consume(v, v->entry);
	return ret;
}

static int guest_exit(struct vcpu *v)
{
	const struct kvm_run *raw = v->step.raw;

	guest_retire(v);
	v->run->exit_reason = raw->exit_reason;
	memcpy(v->run->padding, raw->padding, sizeof(raw->padding));
	return 0;
}

static int guest_return(struct vcpu *v)
{
	script_consume(v, v->entry);
	return -v->step.error;
}

static int guest_call(struct vcpu *v)
{
	struct fake_guest g = run_guest(v);
	struct script_entry *entry = v->entry;
	struct fake_step step = v->step;
	int ret;

	pthread_mutex_unlock(&v->f->lock);
	ret = step.fn(&g, step.ctx);
	pthread_mutex_lock(&v->f->lock);
	if (ret == FAKE_AGAIN)
		return 1;
	script_consume(v, entry);
	if (ret < 0)
		return ret;
	script_advance(v, &step, v->regs.rip);
	return ret == FAKE_TO_USER ? 0 : 1;
}

static int (*const steps[])(struct vcpu *v) = {
	[FAKE_NOP] = guest_nop,	    [FAKE_OUT] = guest_out,	      [FAKE_IN] = guest_in,
	[FAKE_LOAD] = access_step,  [FAKE_STORE] = access_step,	      [FAKE_MODIFY] = access_step,
	[FAKE_FETCH] = guest_fetch, [FAKE_RDMSR] = guest_rdmsr,	      [FAKE_WRMSR] = guest_wrmsr,
	[FAKE_HLT] = guest_hlt,	    [FAKE_SHUTDOWN] = guest_shutdown, [FAKE_SET] = guest_set,
	[FAKE_SPIN] = guest_spin,   [FAKE_EXIT] = guest_exit,	      [FAKE_RETURN] = guest_return,
	[FAKE_CALL] = guest_call,
};

int guest_step(struct vcpu *v)
{
	int ret = script_next(v);

	if (ret)
		return ret;
	if ((size_t)v->step.kind >= ARRAY_SIZE(steps)) {
		fake_error(v->f, "step kind %d", v->step.kind);
		return -ENOSYS;
	}
	if (v->fetches) {
		ret = access_fetch(v, v->sregs.cs.base + v->regs.rip,
				   v->step.length ? v->step.length : 1);
		if (ret != ACCESS_DONE)
			return ret;
	}
	return steps[v->step.kind](v);
}

int guest_complete(struct vcpu *v)
{
	struct pending p = v->pending;

	v->pending.kind = PENDING_NONE;
	switch (p.kind) {
	case PENDING_OUT:
		return guest_out_complete(v, &p);
	case PENDING_IN:
		return guest_in_complete(v, &p);
	case PENDING_LOAD:
	case PENDING_STORE:
		return access_complete(v, &p);
	case PENDING_RDMSR:
	case PENDING_WRMSR:
		return guest_msr_complete(v, &p);
	default:
		return 1;
	}
}
