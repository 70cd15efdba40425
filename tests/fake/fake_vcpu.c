// SPDX-License-Identifier: MIT
/* The fake KVM: creation and control of a vCPU (Linux 6.1 arch/x86/kvm/x86.c). */
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "fake.h"

#define PATIENCE_S 10

int vcpu_wait_stopped(struct vcpu *v)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	while (v->running)
		if (pthread_cond_timedwait(&v->f->changed, &v->f->lock, &until)) {
			fake_error(v->f, "vCPU %lu: an ioctl waits for KVM_RUN, which does not end",
				   v->id);
			return -EBUSY;
		}
	return 0;
}

int vcpu_enter(const struct kvm_host *h, enum fake_op op, int fd, struct fake_kvm **f,
	       struct vcpu **v)
{
	void *object = NULL;
	int ret = fake_enter(h, op, f);

	if (!ret)
		ret = fd_get(*f, fd, FD_VCPU, &object);
	*v = object;
	return ret ? ret : vcpu_wait_stopped(*v);
}

struct vcpu *vcpu_of(struct fake_kvm *f, int fd)
{
	void *object;

	if (!fd_get(f, fd, FD_VCPU, &object))
		return object;
	fake_error(f, "fd %#x is no vCPU", (unsigned)fd);
	return NULL;
}

/* --- the state after power-on --- */

static struct kvm_segment segment_reset(uint16_t selector, uint64_t base, uint8_t type, uint8_t s)
{
	return (struct kvm_segment){.base = base,
				    .limit = 0xffff,
				    .selector = selector,
				    .type = type,
				    .present = 1,
				    .s = s};
}

void vcpu_reset(struct vcpu *v)
{
	struct kvm_segment data = segment_reset(0, 0, 3, 1);

	v->regs = (struct kvm_regs){.rip = 0xfff0, .rflags = RFLAGS_FIXED, .rdx = 0x600};
	v->sregs = (struct kvm_sregs){
		.cs = segment_reset(0xf000, 0xffff0000, 0xb, 1),
		.ds = data,
		.es = data,
		.fs = data,
		.gs = data,
		.ss = data,
		.tr = segment_reset(0, 0, 0xb, 0),
		.ldt = segment_reset(0, 0, 2, 0),
		.gdt = {.limit = 0xffff},
		.idt = {.limit = 0xffff},
		.cr0 = CR0_CD | CR0_NW | CR0_ET,
		.apic_base = 0xfee00800 | (v->id == 0 ? 0x100 : 0),
	};
	v->dr = (struct kvm_debugregs){.dr6 = 0xffff0ff0, .dr7 = 0x400};
	memset(&v->events, 0, sizeof(v->events));
}

static void vcpu_init_fpu(struct vcpu *v)
{
	const uint16_t fcw = 0x37f;
	const uint32_t mxcsr = 0x1f80;
	int size = fake_cap(v->f, KVM_CAP_XSAVE2);

	v->xsave_size = size > 4096 ? (size_t)size : 4096;
	v->xsave = fake_grow(NULL, v->xsave_size, 1);
	memset(v->xsave, 0, v->xsave_size);
	memcpy(v->xsave, &fcw, sizeof(fcw));
	memcpy(v->xsave + 24, &mxcsr, sizeof(mxcsr));
	v->xcr0 = 1;
}

static struct vcpu *vcpu_new(struct fake_kvm *f, struct vm *vm, unsigned long id)
{
	struct vcpu *v = fake_grow(NULL, 1, sizeof(*v));

	memset(v, 0, sizeof(*v));
	v->f = f;
	v->vm = vm;
	v->id = id;
	v->has_lapic = vm->irqchip || vm->split_irqchip;
	v->run_file = file_new("kvm_run", 3 * PAGE);
	v->run = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, v->run_file->fd, 0);
	if (v->run == MAP_FAILED)
		abort();
	vcpu_reset(v);
	vcpu_init_fpu(v);
	msr_reset(v);
	/* kvm_arch_vcpu_create(): who waits for SIPI */
	if (v->has_lapic && vm->irqchip && id != 0)
		v->mp.mp_state = KVM_MP_STATE_UNINITIALIZED;
	if (v->has_lapic)
		v->lapic.regs[0x23] = (char)id; /* APIC ID */
	v->next = f->vcpus;
	f->vcpus = v;
	vm->vcpus++;
	return v;
}

void vcpu_free(struct vcpu *v)
{
	struct vcpu **link = &v->f->vcpus;

	if (!script_done(v))
		fake_error(v->f, "vCPU %lu: its script or program was not used up", v->id);
	while (*link != v)
		link = &(*link)->next;
	*link = v->next;
	v->vm->vcpus--;
	munmap(v->run, 3 * PAGE);
	file_put(v->run_file);
	free(v->xsave);
	free(v->cpuid);
	free(v->msrs);
	script_free(&v->queue);
	script_free(&v->program);
	free(v->log);
	free(v);
}

static int vcpu_create(struct fake_kvm *f, struct vm *vm, unsigned long id)
{
	struct vcpu *v;
	int fd;

	if (id >= (unsigned long)fake_cap(f, KVM_CAP_MAX_VCPU_ID) ||
	    vm->vcpus >= (unsigned)fake_cap(f, KVM_CAP_MAX_VCPUS))
		return -EINVAL;
	for (v = f->vcpus; v; v = v->next)
		if (v->vm == vm && v->id == id)
			return -EEXIST;
	v = vcpu_new(f, vm, id);
	fd = fd_new(f, FD_VCPU, v);
	if (fd < 0)
		vcpu_free(v);
	else
		vm->refs++;
	return fd;
}

int op_create_vcpu(const struct kvm_host *h, int vm_fd, unsigned long id)
{
	struct fake_kvm *f;
	void *vm;
	int ret = fake_enter(h, FAKE_OP_create_vcpu, &f);

	if (!ret)
		ret = fd_get(f, vm_fd, FD_VM, &vm);
	return fake_leave(f, ret ? ret : vcpu_create(f, vm, id));
}

int op_map_vcpu(const struct kvm_host *h, int vcpu_fd, size_t size, struct kvm_run **run)
{
	struct fake_kvm *f;
	struct vcpu *v;
	void *map = NULL;
	int ret = vcpu_enter(h, FAKE_OP_map_vcpu, vcpu_fd, &f, &v);

	if (!ret && size != 3 * PAGE) {
		fake_error(f, "kvm_run mapped with %zu bytes", size);
		ret = -EINVAL;
	}
	if (!ret)
		ret = map_add(f, v->run_file, 0, size, KVM_MAP_READ_WRITE, NULL, &map);
	if (!ret)
		*run = map;
	return fake_leave(f, ret);
}

/* --- CPUID --- */

const struct kvm_cpuid_entry2 *cpuid_find(const struct kvm_cpuid_entry2 *table, size_t count,
					  uint32_t function, uint32_t index)
{
	for (size_t i = 0; i < count; i++)
		if (table[i].function == function &&
		    (!(table[i].flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) ||
		     table[i].index == index))
			return &table[i];
	return NULL;
}

const struct kvm_cpuid_entry2 *vcpu_cpuid(const struct vcpu *v, uint32_t function, uint32_t index)
{
	return cpuid_find(v->cpuid, v->cpuid_count, function, index);
}

/* kvm_set_cpuid() and kvm_check_cpuid() */
static int vcpu_set_cpuid(struct vcpu *v, const struct kvm_cpuid2 *cpuid)
{
	size_t bytes = cpuid->nent * sizeof(*v->cpuid);

	if (cpuid->nent > 256)
		return -E2BIG;
	if (v->ran)
		return cpuid->nent == v->cpuid_count && !memcmp(v->cpuid, cpuid->entries, bytes)
			       ? 0
			       : -EINVAL;
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		uint32_t bits = cpuid->entries[i].eax >> 8 & 0xff;

		if (cpuid->entries[i].function == 0x80000008 && bits != 48 && bits != 57 && bits)
			return -EINVAL;
	}
	v->cpuid = fake_grow(v->cpuid, cpuid->nent, sizeof(*v->cpuid));
	memcpy(v->cpuid, cpuid->entries, bytes);
	v->cpuid_count = cpuid->nent;
	return 0;
}

int op_set_cpuid2(const struct kvm_host *h, int vcpu_fd, const struct kvm_cpuid2 *cpuid)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_set_cpuid2, vcpu_fd, &f, &v);

	return fake_leave(f, ret ? ret : vcpu_set_cpuid(v, cpuid));
}

/* --- events asked for, debugging, time --- */

/* kvm_vcpu_ioctl_interrupt() */
static int vcpu_interrupt(struct vcpu *v, uint32_t vector)
{
	if (vector > 255)
		return -EINVAL;
	if (v->vm->irqchip)
		return -ENXIO;
	if (v->events.interrupt.injected) {
		fake_error(v->f, "vCPU %lu: interrupt %u replaces %u, which is not delivered yet",
			   v->id, vector, v->events.interrupt.nr);
		return v->has_lapic ? -EEXIST : 0;
	}
	v->events.interrupt.injected = 1;
	v->events.interrupt.nr = (uint8_t)vector;
	v->events.interrupt.soft = 0;
	return 0;
}

int op_interrupt(const struct kvm_host *h, int vcpu_fd, uint32_t vector)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_interrupt, vcpu_fd, &f, &v);

	return fake_leave(f, ret ? ret : vcpu_interrupt(v, vector));
}

int op_nmi(const struct kvm_host *h, int vcpu_fd)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_nmi, vcpu_fd, &f, &v);

	if (!ret)
		v->events.nmi.pending = 1;
	return fake_leave(f, ret);
}

static int vcpu_set_debug(struct vcpu *v, const struct kvm_guest_debug *dbg)
{
	const uint32_t known = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP |
			       KVM_GUESTDBG_BLOCKIRQ | KVM_GUESTDBG_USE_HW_BP;

	if (dbg->control & ~known) {
		fake_error(v->f, "KVM_SET_GUEST_DEBUG %#x is not modelled", dbg->control);
		return -EINVAL;
	}
	/* The guest's own TF is hidden while KVM steps, and dropped at the end (kvm_get_rflags()).
	 * Breakpoints are taken and never hit. */
	if ((dbg->control | v->debug.control) & KVM_GUESTDBG_SINGLESTEP)
		v->regs.rflags &= ~UINT64_C(0x100);
	v->debug = *dbg;
	if (!(dbg->control & KVM_GUESTDBG_ENABLE))
		v->debug.control = 0;
	return 0;
}

int op_set_guest_debug(const struct kvm_host *h, int vcpu_fd, const struct kvm_guest_debug *dbg)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_set_guest_debug, vcpu_fd, &f, &v);

	return fake_leave(f, ret ? ret : vcpu_set_debug(v, dbg));
}

int op_get_tsc_offset(const struct kvm_host *h, int vcpu_fd, uint64_t *offset)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_get_tsc_offset, vcpu_fd, &f, &v);

	if (!ret)
		*offset = v->tsc_offset;
	return fake_leave(f, ret);
}

int op_set_tsc_offset(const struct kvm_host *h, int vcpu_fd, const uint64_t *offset)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_set_tsc_offset, vcpu_fd, &f, &v);

	if (!ret)
		v->tsc_offset = *offset;
	return fake_leave(f, ret);
}

int op_get_tsc_khz(const struct kvm_host *h, int vcpu_fd)
{
	struct fake_kvm *f;
	struct vcpu *v;
	int ret = vcpu_enter(h, FAKE_OP_get_tsc_khz, vcpu_fd, &f, &v);

	return fake_leave(f, ret ? ret : f->tsc_khz);
}

/* --- threads and time --- */

int op_current_thread(const struct kvm_host *h)
{
	struct fake_kvm *f;
	int ret = fake_enter(h, FAKE_OP_current_thread, &f);

	return fake_leave(f, ret ? ret : gettid());
}

/* As if threads always ran. */
int op_thread_time_ns(const struct kvm_host *h, int tid, uint64_t *ns)
{
	struct fake_kvm *f;
	int ret = fake_enter(h, FAKE_OP_thread_time_ns, &f);

	(void)tid;
	if (!ret)
		*ns = f->clock;
	return fake_leave(f, ret);
}

/* A signal for a thread that is not in KVM_RUN is handled there and then: it ends no later run. */
int op_signal_thread(const struct kvm_host *h, int tid, int signo)
{
	struct fake_kvm *f;
	int ret = fake_enter(h, FAKE_OP_signal_thread, &f);

	if (!ret && (signo < 0 || signo > 64 || tid <= 0))
		ret = -EINVAL;
	if (!ret && tgkill(getpid(), tid, 0))
		ret = -ESRCH;
	if (ret || !signo)
		return fake_leave(f, ret);
	for (struct vcpu *v = f->vcpus; v; v = v->next)
		if (v->running && v->thread == tid)
			v->signalled = true;
	wait_signal_thread(f, tid);
	pthread_cond_broadcast(&f->changed);
	return fake_leave(f, 0);
}

uint64_t op_clock_ns(const struct kvm_host *h)
{
	struct fake_kvm *f;
	uint64_t now;

	fake_enter(h, FAKE_OP_clock_ns, &f);
	now = f->clock;
	fake_leave(f, 0);
	return now;
}

/* --- what a test sees of a vCPU --- */

#define VCPU_MEMBER(name, type, expression)                     \
	type *fake_vcpu_##name(struct fake_kvm *f, int vcpu_fd) \
	{                                                       \
		struct vcpu *v;                                 \
                                                                \
		pthread_mutex_lock(&f->lock);                   \
		v = vcpu_of(f, vcpu_fd);                        \
		pthread_mutex_unlock(&f->lock);                 \
		return v ? expression : NULL;                   \
	}

VCPU_MEMBER(regs, struct kvm_regs, &v->regs)
VCPU_MEMBER(sregs, struct kvm_sregs, &v->sregs)
VCPU_MEMBER(events, struct kvm_vcpu_events, &v->events)
VCPU_MEMBER(lapic, struct kvm_lapic_state, &v->lapic)
VCPU_MEMBER(run, struct kvm_run, v->run)

int fake_vcpu_vm(struct fake_kvm *f, int vcpu_fd)
{
	const struct vcpu *v;

	pthread_mutex_lock(&f->lock);
	v = vcpu_of(f, vcpu_fd);
	return fake_leave(f, v ? fd_of(f, FD_VM, v->vm) : -EBADF);
}

bool fake_vcpu_running(struct fake_kvm *f, int vcpu_fd)
{
	const struct vcpu *v;

	pthread_mutex_lock(&f->lock);
	v = vcpu_of(f, vcpu_fd);
	return fake_leave(f, v && v->running);
}

bool fake_vcpu_wait_idle(struct fake_kvm *f, int vcpu_fd)
{
	struct timespec until;
	const struct vcpu *v;
	int ret = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	pthread_mutex_lock(&f->lock);
	v = vcpu_of(f, vcpu_fd);
	while (v && !v->idle && !ret)
		ret = pthread_cond_timedwait(&f->changed, &f->lock, &until);
	return fake_leave(f, v && v->idle);
}

void fake_vcpu_flat_mode(struct fake_kvm *f, int vcpu_fd, uint64_t rip, uint64_t rsp)
{
	struct vcpu *v;
	struct kvm_segment code = {.limit = 0xffffffff,
				   .selector = 8,
				   .type = 0xb,
				   .present = 1,
				   .db = 1,
				   .s = 1,
				   .g = 1};
	struct kvm_segment data = code;

	data.selector = 16;
	data.type = 3;
	pthread_mutex_lock(&f->lock);
	v = vcpu_of(f, vcpu_fd);
	if (v) {
		v->sregs.cs = code;
		v->sregs.ds = v->sregs.es = v->sregs.fs = v->sregs.gs = v->sregs.ss = data;
		v->sregs.cr0 = CR0_PE | CR0_ET;
		v->sregs.cr4 = v->sregs.efer = 0;
		v->regs.rip = rip;
		v->regs.rsp = rsp;
		v->regs.rflags = RFLAGS_FIXED;
	}
	pthread_mutex_unlock(&f->lock);
}

static void enter_paging(struct fake_kvm *f, int vcpu_fd, uint64_t cr3, bool long_mode)
{
	struct vcpu *v;

	pthread_mutex_lock(&f->lock);
	v = vcpu_of(f, vcpu_fd);
	if (v) {
		v->sregs.cs.l = long_mode;
		v->sregs.cs.db = !long_mode;
		v->sregs.cr0 |= CR0_PG;
		v->sregs.cr3 = cr3;
		v->sregs.cr4 = CR4_PAE;
		v->sregs.efer = long_mode ? EFER_LME | EFER_LMA : 0;
	}
	pthread_mutex_unlock(&f->lock);
}

void fake_vcpu_pae_mode(struct fake_kvm *f, int vcpu_fd, uint64_t cr3, uint64_t rip, uint64_t rsp)
{
	fake_vcpu_flat_mode(f, vcpu_fd, rip, rsp);
	enter_paging(f, vcpu_fd, cr3, false);
}

void fake_vcpu_long_mode(struct fake_kvm *f, int vcpu_fd, uint64_t cr3, uint64_t rip, uint64_t rsp)
{
	fake_vcpu_flat_mode(f, vcpu_fd, rip, rsp);
	enter_paging(f, vcpu_fd, cr3, true);
}
