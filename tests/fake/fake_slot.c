// SPDX-License-Identifier: MIT
/* The fake KVM: memslots (Linux 6.1 virt/kvm/kvm_main.c, __kvm_set_memory_region()). */
#include "fake.h"

#define PAGES_MAX ((UINT64_C(1) << 31) - 1) /* KVM_MEM_MAX_NR_PAGES */
#define USER_END  UINT64_C(0x7ffffffff000)

static struct kvm_userspace_memory_region *slot_find(const struct vm *vm, uint32_t id)
{
	for (size_t i = 0; i < vm->slot_count; i++)
		if (vm->slots[i].slot == id)
			return &vm->slots[i];
	return NULL;
}

const struct kvm_userspace_memory_region *slot_at(const struct vm *vm, uint64_t gpa)
{
	for (size_t i = 0; i < vm->slot_count; i++)
		if (gpa - vm->slots[i].guest_phys_addr < vm->slots[i].memory_size &&
		    gpa >= vm->slots[i].guest_phys_addr)
			return &vm->slots[i];
	return NULL;
}

struct slot_page slot_page(struct fake_kvm *f, const struct vm *vm, uint64_t gpa)
{
	const struct kvm_userspace_memory_region *s = slot_at(vm, gpa);
	struct slot_page page = {.prot = -1};

	if (!s)
		return page;
	page.present = true;
	page.read_only = s->flags & KVM_MEM_READONLY;
	page.host = (uintptr_t)(s->userspace_addr + (gpa - s->guest_phys_addr));
	page.prot = map_prot(f, page.host);
	return page;
}

static bool slot_overlaps(const struct vm *vm, const struct kvm_userspace_memory_region *r)
{
	for (size_t i = 0; i < vm->slot_count; i++) {
		const struct kvm_userspace_memory_region *s = &vm->slots[i];

		if (s->slot != r->slot &&
		    r->guest_phys_addr < s->guest_phys_addr + s->memory_size &&
		    s->guest_phys_addr < r->guest_phys_addr + r->memory_size)
			return true;
	}
	return false;
}

/* Physical address bits of the host: the MMU cannot map above them. */
static uint64_t slot_gpa_end(const struct fake_kvm *f)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(f->cpuid, f->cpuid_count, 0x80000008, 0);

	return UINT64_C(1) << (e ? e->eax & 0x3f : 36);
}

static int slot_check(struct fake_kvm *f, const struct kvm_userspace_memory_region *r)
{
	uint32_t flags = KVM_MEM_LOG_DIRTY_PAGES;

	if ((r->slot & 0xffff) >= (uint32_t)fake_cap(f, KVM_CAP_NR_MEMSLOTS))
		return -EINVAL;
	if (fake_cap(f, KVM_CAP_READONLY_MEM))
		flags |= KVM_MEM_READONLY;
	if (r->flags & ~flags)
		return -EINVAL;
	if (r->memory_size % PAGE || r->guest_phys_addr % PAGE || r->userspace_addr % PAGE)
		return -EINVAL;
	if (r->userspace_addr > USER_END || r->memory_size > USER_END - r->userspace_addr)
		return -EINVAL;
	if (r->slot >> 16) {
		fake_error(f, "slot %#x: address spaces are not modelled", r->slot);
		return -EINVAL;
	}
	if (r->guest_phys_addr + r->memory_size < r->guest_phys_addr)
		return -EINVAL;
	return r->memory_size / PAGE > PAGES_MAX ? -EINVAL : 0;
}

static int slot_delete(struct vm *vm, struct kvm_userspace_memory_region *old)
{
	if (!old)
		return -EINVAL;
	*old = vm->slots[--vm->slot_count];
	return 0;
}

/* Creates the slot or, when `old` is there, moves it. */
static int slot_place(struct fake_kvm *f, struct vm *vm, struct kvm_userspace_memory_region *old,
		      const struct kvm_userspace_memory_region *r)
{
	if (slot_overlaps(vm, r))
		return -EEXIST;
	if (r->guest_phys_addr + r->memory_size > slot_gpa_end(f))
		return -EINVAL;
	if (!old) {
		vm->slots = fake_grow(vm->slots, vm->slot_count + 1, sizeof(*vm->slots));
		old = &vm->slots[vm->slot_count++];
	}
	*old = *r;
	return 0;
}

static int slot_set(struct fake_kvm *f, struct vm *vm, const struct kvm_userspace_memory_region *r)
{
	struct kvm_userspace_memory_region *old = slot_find(vm, r->slot);
	int ret = slot_check(f, r);

	if (ret)
		return ret;
	if (!r->memory_size)
		return slot_delete(vm, old);
	if (!old)
		return slot_place(f, vm, NULL, r);
	if (old->userspace_addr != r->userspace_addr || old->memory_size != r->memory_size ||
	    (old->flags ^ r->flags) & KVM_MEM_READONLY)
		return -EINVAL;
	if (old->guest_phys_addr != r->guest_phys_addr)
		return slot_place(f, vm, old, r);
	old->flags = r->flags;
	return 0;
}

int op_set_memory_region(const struct kvm_host *h, int vm_fd,
			 const struct kvm_userspace_memory_region *r)
{
	struct fake_kvm *f;
	void *vm;
	int ret = fake_enter(h, FAKE_OP_set_memory_region, &f);

	if (!ret)
		ret = fd_get(f, vm_fd, FD_VM, &vm);
	if (!ret)
		ret = slot_set(f, vm, r);
	return fake_leave(f, ret);
}

/* --- questions --- */

/* The VM behind a VM's or a vCPU's fd; a bad fd is an error of the test. */
static struct vm *slot_vm(struct fake_kvm *f, int fd)
{
	void *object;

	if (!fd_get(f, fd, FD_VM, &object))
		return object;
	if (!fd_get(f, fd, FD_VCPU, &object))
		return ((struct vcpu *)object)->vm;
	fake_error(f, "fd %#x is no VM", (unsigned)fd);
	return NULL;
}

static int slot_copy(struct fake_kvm *f, int vm_fd, uint64_t gpa, void *buf, size_t len, bool write)
{
	const struct vm *vm = slot_vm(f, vm_fd);
	uint8_t *p = buf;

	while (vm && len) {
		struct slot_page page = slot_page(f, vm, gpa);
		size_t part = PAGE - gpa % PAGE;

		part = part < len ? part : len;
		if (!page.present || !map_copy(f, page.host, p, part, write))
			return -EFAULT;
		p += part;
		gpa += part;
		len -= part;
	}
	return vm ? 0 : -EBADF;
}

int fake_kvm_peek(struct fake_kvm *f, int vm_fd, uint64_t gpa, void *buf, size_t len)
{
	pthread_mutex_lock(&f->lock);
	return fake_leave(f, slot_copy(f, vm_fd, gpa, buf, len, false));
}

int fake_kvm_poke(struct fake_kvm *f, int vm_fd, uint64_t gpa, const void *buf, size_t len)
{
	pthread_mutex_lock(&f->lock);
	return fake_leave(f, slot_copy(f, vm_fd, gpa, (void *)buf, len, true));
}

size_t fake_kvm_slot_count(struct fake_kvm *f, int vm_fd)
{
	const struct vm *vm;
	size_t count;

	pthread_mutex_lock(&f->lock);
	vm = slot_vm(f, vm_fd);
	count = vm ? vm->slot_count : 0;
	pthread_mutex_unlock(&f->lock);
	return count;
}

bool fake_kvm_slot_at(struct fake_kvm *f, int vm_fd, uint64_t gpa,
		      struct kvm_userspace_memory_region *slot)
{
	const struct kvm_userspace_memory_region *s;
	const struct vm *vm;

	pthread_mutex_lock(&f->lock);
	vm = slot_vm(f, vm_fd);
	s = vm ? slot_at(vm, gpa) : NULL;
	if (s && slot)
		*slot = *s;
	return fake_leave(f, s != NULL);
}

bool fake_kvm_slot_by_id(struct fake_kvm *f, int vm_fd, uint32_t id,
			 struct kvm_userspace_memory_region *slot)
{
	const struct kvm_userspace_memory_region *s;
	const struct vm *vm;

	pthread_mutex_lock(&f->lock);
	vm = slot_vm(f, vm_fd);
	s = vm ? slot_find(vm, id) : NULL;
	if (s && slot)
		*slot = *s;
	return fake_leave(f, s != NULL);
}

int fake_kvm_guest_access(struct fake_kvm *f, int vm_fd, uint64_t gpa)
{
	struct slot_page page = {.present = false};
	const struct vm *vm;
	int prot;

	pthread_mutex_lock(&f->lock);
	vm = slot_vm(f, vm_fd);
	if (vm)
		page = slot_page(f, vm, gpa);
	prot = page.prot < 0 ? KVM_MAP_NONE : page.prot;
	if (page.read_only)
		prot &= KVM_MAP_READ;
	return fake_leave(f, page.present ? prot : FAKE_NO_SLOT);
}
