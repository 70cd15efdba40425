// SPDX-License-Identifier: MIT
/* The fake KVM: life, errors, configuration, counting and failing calls. */
#include <stdio.h>
#include "fake.h"

const struct kvm_ops fake_ops = {
#define FAKE_OP_MEMBER(name) .name = op_##name,
	FAKE_OPS(FAKE_OP_MEMBER)
#undef FAKE_OP_MEMBER
};

static const char *const op_names[] = {
#define FAKE_OP_NAME(name) #name,
	FAKE_OPS(FAKE_OP_NAME)
#undef FAKE_OP_NAME
};

/* As on a 6.1 host with kvm_amd. */
static const struct cap default_caps[] = {
	{KVM_CAP_IRQCHIP, 1},
	{KVM_CAP_HLT, 1},
	{KVM_CAP_USER_MEMORY, 1},
	{KVM_CAP_EXT_CPUID, 1},
	{KVM_CAP_NR_VCPUS, 8},
	{KVM_CAP_NR_MEMSLOTS, 32764},
	{KVM_CAP_MP_STATE, 1},
	{KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1},
	{KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1},
	{KVM_CAP_SET_GUEST_DEBUG, 1},
	{KVM_CAP_SET_GUEST_DEBUG2, 0x1f0003},
	{KVM_CAP_VCPU_EVENTS, 1},
	{KVM_CAP_DEBUGREGS, 1},
	{KVM_CAP_XSAVE, 1},
	{KVM_CAP_XCRS, 1},
	{KVM_CAP_TSC_CONTROL, 1},
	{KVM_CAP_GET_TSC_KHZ, 1},
	{KVM_CAP_MAX_VCPUS, 1024},
	{KVM_CAP_READONLY_MEM, 1},
	{KVM_CAP_TSC_DEADLINE_TIMER, 1},
	{KVM_CAP_CHECK_EXTENSION_VM, 1},
	{KVM_CAP_ENABLE_CAP_VM, 1},
	{KVM_CAP_VM_ATTRIBUTES, 1},
	{KVM_CAP_DISABLE_QUIRKS, 1},
	{KVM_CAP_SPLIT_IRQCHIP, 1},
	{KVM_CAP_MAX_VCPU_ID, 4096},
	{KVM_CAP_X2APIC_API, 3},
	{KVM_CAP_SIGNAL_MSI, 1},
	{KVM_CAP_IMMEDIATE_EXIT, 1},
	{KVM_CAP_SYNC_REGS, KVM_SYNC_X86_VALID_FIELDS},
	{KVM_CAP_EXCEPTION_PAYLOAD, 1},
	{KVM_CAP_X86_USER_SPACE_MSR, 1},
	{KVM_CAP_X86_MSR_FILTER, 1},
	{KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1},
	{KVM_CAP_XSAVE2, 4096},
	{KVM_CAP_SREGS2, 1},
	{KVM_CAP_VM_TSC_CONTROL, 1},
	{KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1},
};

/* A small 64-bit host with SSE, AVX, SMEP, SMAP and a 48-bit physical address. */
static const struct kvm_cpuid_entry2 default_cpuid[] = {
	{.function = 0, .eax = 0xd, .ebx = 0x68747541, .ecx = 0x444d4163, .edx = 0x69746e65},
	{.function = 1, .eax = 0x00a20f10, .ebx = 0x800, .ecx = 0x9c202203, .edx = 0x078bfbff},
	{.function = 7, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .ebx = 0x00100181, .ecx = 4},
	{.function = 0xd,
	 .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
	 .eax = 7,
	 .ebx = 0x240,
	 .ecx = 0x340},
	{.function = 0xd,
	 .index = 2,
	 .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
	 .eax = 0x100,
	 .ebx = 0x240},
	{.function = 0x40000000,
	 .eax = 0x40000001,
	 .ebx = 0x4b4d564b,
	 .ecx = 0x564b4d56,
	 .edx = 0x4d},
	{.function = 0x40000001, .eax = 0x01007efb},
	{.function = 0x80000000, .eax = 0x80000008},
	{.function = 0x80000001, .eax = 0x00a20f10, .ecx = 0x1, .edx = 0x2c100800},
	{.function = 0x80000008, .eax = 0x3030},
};

void fake_error(struct fake_kvm *f, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(f->last_error, sizeof(f->last_error), format, args);
	va_end(args);
	f->errors++;
	fprintf(stderr, "fake KVM: %s\n", f->last_error);
}

void *fake_grow(void *array, size_t count, size_t size)
{
	void *grown = reallocarray(array, count ? count : 1, size);

	if (!grown)
		abort();
	return grown;
}

struct fake_kvm *fake_kvm_new(void)
{
	struct fake_kvm *f = fake_grow(NULL, 1, sizeof(*f));

	memset(f, 0, sizeof(*f));
	f->host = (struct kvm_host){.ops = &fake_ops, .ctx = f};
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->changed, NULL);
	f->limits[FAKE_LIMIT_FDS] = 1024;
	f->limits[FAKE_LIMIT_VMAS] = 65530;
	f->xcr0_mask = 7;
	f->tsc_khz = 2000000;
	f->clock = 1000000000;
	for (size_t i = 0; i < ARRAY_SIZE(default_caps); i++)
		fake_kvm_set_cap(f, default_caps[i].cap, default_caps[i].value);
	fake_kvm_set_cpuid(f, default_cpuid, ARRAY_SIZE(default_cpuid));
	msr_defaults(f);
	return f;
}

const struct kvm_host *fake_kvm_host(struct fake_kvm *f)
{
	return &f->host;
}

unsigned fake_kvm_free(struct fake_kvm *f)
{
	unsigned errors;

	fd_leaks(f);
	map_leaks(f);
	if (f->loops)
		fake_error(f, "%u event loops were not destroyed", f->loops);
	errors = f->errors;
	free(f->fds);
	free(f->maps);
	free(f->caps);
	free(f->cpuid);
	free(f->msrs);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
	free(f);
	return errors;
}

/* --- accessors of one member under the mutex --- */

#define LOCKED(f, statement)                      \
	do {                                      \
		pthread_mutex_lock(&(f)->lock);   \
		statement;                        \
		pthread_mutex_unlock(&(f)->lock); \
	} while (0)

unsigned fake_kvm_errors(struct fake_kvm *f)
{
	unsigned errors;

	LOCKED(f, errors = f->errors);
	return errors;
}

const char *fake_kvm_last_error(struct fake_kvm *f)
{
	return f->last_error;
}

void fake_kvm_forgive(struct fake_kvm *f)
{
	LOCKED(f, f->errors = 0; f->last_error[0] = 0);
}

void fake_kvm_set_flags(struct fake_kvm *f, unsigned flags)
{
	LOCKED(f, f->flags = flags);
}

void fake_kvm_set_limit(struct fake_kvm *f, enum fake_limit limit, size_t value)
{
	LOCKED(f, f->limits[limit] = value);
}

void fake_kvm_set_xcr0_mask(struct fake_kvm *f, uint64_t mask)
{
	LOCKED(f, f->xcr0_mask = mask);
}

void fake_kvm_set_tsc_khz(struct fake_kvm *f, int khz)
{
	LOCKED(f, f->tsc_khz = khz);
}

void fake_kvm_set_clock(struct fake_kvm *f, uint64_t ns)
{
	LOCKED(f, f->clock = ns; pthread_cond_broadcast(&f->changed));
}

void fake_kvm_advance_clock(struct fake_kvm *f, uint64_t ns)
{
	LOCKED(f, f->clock += ns; pthread_cond_broadcast(&f->changed));
}

void fake_kvm_set_cpuid(struct fake_kvm *f, const struct kvm_cpuid_entry2 *entries, size_t count)
{
	pthread_mutex_lock(&f->lock);
	f->cpuid = fake_grow(f->cpuid, count, sizeof(*entries));
	memcpy(f->cpuid, entries, count * sizeof(*entries));
	f->cpuid_count = count;
	pthread_mutex_unlock(&f->lock);
}

/* --- capabilities --- */

static struct cap *cap_find(struct fake_kvm *f, long cap)
{
	for (size_t i = 0; i < f->cap_count; i++)
		if (f->caps[i].cap == cap)
			return &f->caps[i];
	return NULL;
}

int fake_cap(struct fake_kvm *f, long cap)
{
	const struct cap *c = cap_find(f, cap);

	return c ? c->value : 0;
}

void fake_kvm_set_cap(struct fake_kvm *f, long cap, int value)
{
	struct cap *c;

	pthread_mutex_lock(&f->lock);
	c = cap_find(f, cap);
	if (!c) {
		f->caps = fake_grow(f->caps, f->cap_count + 1, sizeof(*f->caps));
		c = &f->caps[f->cap_count++];
		c->cap = cap;
	}
	c->value = value;
	pthread_mutex_unlock(&f->lock);
}

/* --- calls --- */

/* Releasing is not made to fail by fail_any: nothing could be done about it. */
static bool op_may_fail(enum fake_op op)
{
	switch (op) {
	case FAKE_OP_close_fd:
	case FAKE_OP_unmap_memory:
	case FAKE_OP_current_thread:
	case FAKE_OP_signal_thread:
	case FAKE_OP_clock_ns:
	case FAKE_OP_signal_fd:
	case FAKE_OP_drain_fd:
	case FAKE_OP_wait_fd:
	case FAKE_OP_event_destroy:
	case FAKE_OP_event_fd:
	case FAKE_OP_event_remove_fd:
	case FAKE_OP_event_collect:
		return false;
	default:
		return true;
	}
}

/* Counts down to the failing call: its -errno, or 0. */
static int failure_due(struct failure *failure)
{
	int error = failure->error;

	if (!error)
		return 0;
	if (failure->nth == 0)
		return -error;
	if (--failure->nth)
		return 0;
	if (failure->lasting != FAKE_ALL_LATER)
		failure->error = 0;
	return -error;
}

int fake_enter(const struct kvm_host *h, enum fake_op op, struct fake_kvm **f)
{
	struct fake_kvm *fake = h->ctx;
	int ret;

	pthread_mutex_lock(&fake->lock);
	*f = fake;
	fake->calls[op]++;
	ret = failure_due(&fake->failures[op]);
	if (!ret && op_may_fail(op)) {
		ret = failure_due(&fake->any_failure);
		if (ret && fake->any_failure.lasting == FAKE_SAME_LATER)
			fake->failures[op] = (struct failure){.error = -ret};
	}
	if (ret && !fake->failed)
		fake->failed_op = op_names[op];
	if (ret)
		fake->failed = true;
	return ret;
}

int fake_leave(struct fake_kvm *f, int ret)
{
	pthread_mutex_unlock(&f->lock);
	return ret;
}

void fake_kvm_fail(struct fake_kvm *f, enum fake_op op, unsigned nth, int error)
{
	pthread_mutex_lock(&f->lock);
	if (error < 0 || op == FAKE_OP_clock_ns)
		fake_error(f, "cannot make %s fail with %d", op_names[op], error);
	else
		f->failures[op] = (struct failure){.nth = nth, .error = error};
	f->failed = false;
	pthread_mutex_unlock(&f->lock);
}

static void fail_any(struct fake_kvm *f, const struct failure *failure)
{
	pthread_mutex_lock(&f->lock);
	f->any_failure = *failure;
	f->failed = false;
	f->failed_op = "";
	pthread_mutex_unlock(&f->lock);
}

void fake_kvm_fail_any(struct fake_kvm *f, unsigned nth, int error)
{
	fail_any(f, &(struct failure){.nth = nth, .error = error});
}

void fake_kvm_fail_from(struct fake_kvm *f, unsigned nth, int error, enum fake_lasting lasting)
{
	fail_any(f, &(struct failure){.nth = nth, .error = error, .lasting = lasting});
}

void fake_kvm_relent(struct fake_kvm *f)
{
	pthread_mutex_lock(&f->lock);
	memset(f->failures, 0, sizeof(f->failures));
	f->any_failure = (struct failure){0};
	pthread_mutex_unlock(&f->lock);
}

const char *fake_kvm_failed_op(struct fake_kvm *f)
{
	const char *name;

	LOCKED(f, name = f->failed_op);
	return name;
}

bool fake_kvm_failed(struct fake_kvm *f)
{
	bool failed;

	LOCKED(f, failed = f->failed);
	return failed;
}

unsigned fake_kvm_calls(struct fake_kvm *f, enum fake_op op)
{
	unsigned calls;

	LOCKED(f, calls = f->calls[op]);
	return calls;
}

unsigned fake_kvm_all_calls(struct fake_kvm *f)
{
	unsigned sum = 0;

	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < FAKE_OP_COUNT; i++)
		sum += f->calls[i];
	pthread_mutex_unlock(&f->lock);
	return sum;
}

void fake_kvm_reset_calls(struct fake_kvm *f)
{
	LOCKED(f, memset(f->calls, 0, sizeof(f->calls)));
}
