// SPDX-License-Identifier: MIT
/* The fake KVM: the device and the VM (Linux 6.1 arch/x86/kvm/x86.c). */
#include "fake.h"

int op_get_api_version(const struct kvm_host *h, int dev_fd)
{
	struct fake_kvm *f;
	int ret = fake_enter(h, FAKE_OP_get_api_version, &f);

	if (!ret)
		ret = fd_get(f, dev_fd, FD_DEVICE, NULL);
	return fake_leave(f, ret ? ret : KVM_API_VERSION);
}

int op_check_extension(const struct kvm_host *h, int fd, long cap)
{
	struct fake_kvm *f;
	int ret = fake_enter(h, FAKE_OP_check_extension, &f);

	if (!ret)
		ret = fd_get(f, fd, FD_DEVICE, NULL);
	if (ret == -ENOTTY)
		ret = fd_get(f, fd, FD_VM, NULL);
	return fake_leave(f, ret ? ret : fake_cap(f, cap));
}

/* kvm_run, the PIO page and the coalesced MMIO ring. */
int op_get_vcpu_mmap_size(const struct kvm_host *h, int dev_fd)
{
	struct fake_kvm *f;
	int ret = fake_enter(h, FAKE_OP_get_vcpu_mmap_size, &f);

	if (!ret)
		ret = fd_get(f, dev_fd, FD_DEVICE, NULL);
	return fake_leave(f, ret ? ret : (int)(3 * PAGE));
}

int op_create_vm(const struct kvm_host *h, int dev_fd)
{
	struct fake_kvm *f;
	struct vm *vm;
	int ret = fake_enter(h, FAKE_OP_create_vm, &f);

	if (!ret)
		ret = fd_get(f, dev_fd, FD_DEVICE, NULL);
	if (ret)
		return fake_leave(f, ret);
	vm = fake_grow(NULL, 1, sizeof(*vm));
	memset(vm, 0, sizeof(*vm));
	ret = fd_new(f, FD_VM, vm);
	if (ret < 0) {
		free(vm);
		return fake_leave(f, ret);
	}
	vm->refs = 1;
	vm->next = f->vms;
	f->vms = vm;
	return fake_leave(f, ret);
}

int op_get_supported_cpuid(const struct kvm_host *h, int dev_fd, struct kvm_cpuid2 *cpuid)
{
	struct fake_kvm *f;
	int ret = fake_enter(h, FAKE_OP_get_supported_cpuid, &f);

	if (!ret)
		ret = fd_get(f, dev_fd, FD_DEVICE, NULL);
	if (!ret && cpuid->nent < f->cpuid_count)
		ret = -E2BIG;
	if (!ret) {
		memcpy(cpuid->entries, f->cpuid, f->cpuid_count * sizeof(*f->cpuid));
		cpuid->nent = (uint32_t)f->cpuid_count;
	}
	return fake_leave(f, ret);
}

int op_emulates(const struct kvm_host *h)
{
	struct fake_kvm *f;
	int ret = fake_enter(h, FAKE_OP_emulates, &f);

	return fake_leave(f, ret ? ret : !!(f->flags & FAKE_EMULATES));
}

/* --- KVM_ENABLE_CAP --- */

static int cap_user_space_msr(struct vm *vm, const struct kvm_enable_cap *cap)
{
	const uint64_t reasons = KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN |
				 KVM_MSR_EXIT_REASON_FILTER;

	if (cap->args[0] & ~reasons)
		return -EINVAL;
	vm->msr_exits = (uint32_t)cap->args[0];
	return 0;
}

static int cap_exit_on_emulation_failure(struct vm *vm, const struct kvm_enable_cap *cap)
{
	if (cap->args[0] & ~UINT64_C(1))
		return -EINVAL;
	vm->exit_on_emulation_failure = cap->args[0];
	return 0;
}

static int cap_exception_payload(struct vm *vm, const struct kvm_enable_cap *cap)
{
	vm->exception_payload = cap->args[0];
	return 0;
}

static int cap_triple_fault_event(struct vm *vm, const struct kvm_enable_cap *cap)
{
	vm->triple_fault_event = cap->args[0];
	return 0;
}

static int cap_split_irqchip(struct vm *vm, const struct kvm_enable_cap *cap)
{
	if (cap->args[0] > 24)
		return -EINVAL;
	if (vm->irqchip || vm->split_irqchip || vm->vcpus)
		return -EEXIST;
	vm->split_irqchip = true;
	return 0;
}

/* What changes nothing that is modelled. */
static int cap_accept(struct vm *vm, const struct kvm_enable_cap *cap)
{
	(void)vm;
	(void)cap;
	return 0;
}

static const struct {
	uint32_t cap;
	int (*enable)(struct vm *vm, const struct kvm_enable_cap *cap);
} enablers[] = {
	{KVM_CAP_X86_USER_SPACE_MSR, cap_user_space_msr},
	{KVM_CAP_EXIT_ON_EMULATION_FAILURE, cap_exit_on_emulation_failure},
	{KVM_CAP_EXCEPTION_PAYLOAD, cap_exception_payload},
	{KVM_CAP_X86_TRIPLE_FAULT_EVENT, cap_triple_fault_event},
	{KVM_CAP_SPLIT_IRQCHIP, cap_split_irqchip},
	{KVM_CAP_X2APIC_API, cap_accept},
};

static int vm_enable_cap(struct fake_kvm *f, struct vm *vm, const struct kvm_enable_cap *cap)
{
	if (cap->flags)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(enablers); i++)
		if (enablers[i].cap == cap->cap)
			return fake_cap(f, cap->cap) ? enablers[i].enable(vm, cap) : -EINVAL;
	fake_error(f, "KVM_ENABLE_CAP %u is not modelled", cap->cap);
	return -EINVAL;
}

/* kvm_vcpu_ioctl_enable_cap(); of KVM's SynIC only the SINTs are modelled, as MSRs. */
static int vcpu_enable_cap(struct fake_kvm *f, struct vcpu *v, const struct kvm_enable_cap *cap)
{
	if (cap->cap != KVM_CAP_HYPERV_SYNIC2) {
		fake_error(f, "KVM_ENABLE_CAP %u of a vCPU is not modelled", cap->cap);
		return -EINVAL;
	}
	if (cap->flags || cap->args[0] || !v->has_lapic || fake_cap(f, cap->cap) <= 0)
		return -EINVAL;
	msr_add_sints(v);
	return 0;
}

int op_enable_cap(const struct kvm_host *h, int fd, const struct kvm_enable_cap *cap)
{
	struct fake_kvm *f;
	void *object;
	int ret = fake_enter(h, FAKE_OP_enable_cap, &f);

	if (ret)
		return fake_leave(f, ret);
	if (!fd_get(f, fd, FD_VCPU, &object))
		ret = vcpu_enable_cap(f, object, cap);
	else
		ret = fd_get(f, fd, FD_VM, &object) ?: vm_enable_cap(f, object, cap);
	return fake_leave(f, ret);
}

/* --- KVM_X86_SET_MSR_FILTER: kvm_vm_ioctl_set_msr_filter(), kvm_add_msr_filter() --- */

static int filter_add(struct msr_filter *filter, unsigned i, const struct kvm_msr_filter_range *r)
{
	size_t bytes = ((size_t)r->nmsrs + 63) / 64 * 8;

	if (!r->nmsrs)
		return 0;
	if (r->flags & ~(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE))
		return -EINVAL;
	if (bytes > KVM_MSR_FILTER_MAX_BITMAP_SIZE)
		return -EINVAL;
	filter->ranges[i] = *r;
	filter->ranges[i].bitmap = NULL;
	memcpy(filter->bitmaps[i], r->bitmap, bytes);
	return 0;
}

static int vm_set_filter(struct vm *vm, const struct kvm_msr_filter *user)
{
	struct msr_filter filter = {.on = true};
	bool empty = true;

	if (user->flags & ~KVM_MSR_FILTER_DEFAULT_DENY)
		return -EINVAL;
	for (unsigned i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++)
		empty &= !user->ranges[i].nmsrs;
	filter.default_allow = !(user->flags & KVM_MSR_FILTER_DEFAULT_DENY);
	if (empty && !filter.default_allow)
		return -EINVAL;
	for (unsigned i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++) {
		int ret = filter_add(&filter, i, &user->ranges[i]);

		if (ret)
			return ret;
	}
	vm->filter = filter;
	return 0;
}

int op_set_msr_filter(const struct kvm_host *h, int vm_fd, const struct kvm_msr_filter *user)
{
	struct fake_kvm *f;
	void *vm;
	int ret = fake_enter(h, FAKE_OP_set_msr_filter, &f);

	if (!ret)
		ret = fd_get(f, vm_fd, FD_VM, &vm);
	if (!ret && !fake_cap(f, KVM_CAP_X86_MSR_FILTER))
		ret = -ENOTTY;
	if (!ret)
		ret = vm_set_filter(vm, user);
	return fake_leave(f, ret);
}

/* x2APIC registers are never filtered (kvm_msr_allowed()). */
bool msr_allowed(const struct vm *vm, uint32_t index, uint32_t type)
{
	const struct msr_filter *filter = &vm->filter;

	if (!filter->on || (index >= 0x800 && index <= 0x8ff))
		return true;
	for (unsigned i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++) {
		const struct kvm_msr_filter_range *r = &filter->ranges[i];
		uint32_t bit = index - r->base;

		if (index >= r->base && bit < r->nmsrs && r->flags & type)
			return filter->bitmaps[i][bit / 8] >> (bit % 8) & 1;
	}
	return filter->default_allow;
}

int fake_kvm_create_irqchip(struct fake_kvm *f, int vm_fd)
{
	void *object;
	struct vm *vm;
	int ret;

	pthread_mutex_lock(&f->lock);
	ret = fd_get(f, vm_fd, FD_VM, &object);
	if (ret)
		return fake_leave(f, ret);
	vm = object;
	if (vm->irqchip || vm->split_irqchip)
		return fake_leave(f, -EEXIST);
	if (vm->vcpus)
		return fake_leave(f, -EINVAL);
	vm->irqchip = true;
	return fake_leave(f, 0);
}

/* Needs an irqchip (kernel: kvm_send_userspace_msi(), -ENXIO without a routing target). */
int op_signal_msi(const struct kvm_host *h, int vm_fd, const struct kvm_msi *msi)
{
	struct fake_kvm *f;
	void *object;
	struct vm *vm;
	int ret = fake_enter(h, FAKE_OP_signal_msi, &f);

	if (!ret)
		ret = fd_get(f, vm_fd, FD_VM, &object);
	if (ret)
		return fake_leave(f, ret);
	vm = object;
	if (!vm->irqchip && !vm->split_irqchip)
		return fake_leave(f, -ENXIO);
	vm->msi = *msi;
	vm->msis++;
	return fake_leave(f, 1);
}

unsigned fake_kvm_msis(struct fake_kvm *f, int vm_fd, struct kvm_msi *last)
{
	unsigned count = 0;
	void *object;

	pthread_mutex_lock(&f->lock);
	if (!fd_get(f, vm_fd, FD_VM, &object)) {
		count = ((struct vm *)object)->msis;
		if (last)
			*last = ((struct vm *)object)->msi;
	}
	pthread_mutex_unlock(&f->lock);
	return count;
}
