// SPDX-License-Identifier: MIT
/* The fake KVM itself: what it refuses, and that it tells on its users. */
#include "fake_cpu.h"

/* --- fds, leaks, failures --- */

static void fds_are_of_their_kind(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x, 1);
	assert_int_equal(OP(x)->get_api_version(x.host, x.dev_fd), 12);
	assert_int_equal(OP(x)->get_api_version(x.host, x.vm_fd), -ENOTTY);
	assert_int_equal(OP(x)->get_api_version(x.host, 3), -EBADF);
	assert_int_equal(OP(x)->create_vcpu(x.host, x.dev_fd, 0), -ENOTTY);
	assert_int_equal(OP(x)->open_device(x.host, "/dev/other"), -ENOENT);
	assert_int_equal(OP(x)->close_fd(x.host, 3), -EBADF);
	assert_int_equal(fake_kvm_errors(x.fake), 1);
	fake_kvm_forgive(x.fake);
	fixture_stop(&x);
}

static void duplicates_share_and_count(void **state)
{
	struct fixture x;
	uint64_t size = 0;
	int copy;

	(void)state;
	fixture_start(&x, 2);
	copy = OP(x)->duplicate_fd(x.host, x.mem_fd);
	assert_int_equal(OP(x)->close_fd(x.host, x.mem_fd), 0);
	assert_int_equal(OP(x)->file_size(x.host, x.mem_fd, &size), -EBADF);
	x.mem_fd = copy;
	assert_int_equal(OP(x)->file_size(x.host, copy, &size), 0);
	assert_int_equal(size, 2 << 20);
	fake_kvm_set_limit(x.fake, FAKE_LIMIT_FDS, fake_kvm_fd_count(x.fake));
	assert_int_equal(OP(x)->duplicate_fd(x.host, copy), -EMFILE);
	assert_int_equal(OP(x)->create_vm(x.host, x.dev_fd), -EMFILE);
	assert_int_equal(OP(x)->create_vcpu(x.host, x.vm_fd, 0), -EMFILE);
	assert_int_equal(OP(x)->create_memfd(x.host, "m", 4096), -EMFILE);
	fixture_stop(&x);
}

static void leaks_are_errors(void **state)
{
	struct fake_kvm *f = fake_kvm_new();
	const struct kvm_host *h = fake_kvm_host(f);
	const struct fake_step step = {.kind = FAKE_NOP};
	void *map;
	int dev, vm, fd, cpu;

	(void)state;
	dev = h->ops->open_device(h, "/dev/kvm");
	vm = h->ops->create_vm(h, dev);
	cpu = h->ops->create_vcpu(h, vm, 0);
	fd = h->ops->create_memfd(h, "m", 8192);
	fake_vcpu_script(f, cpu, &step, 1);
	assert_int_equal(h->ops->map_memory(h, fd, 0, 8192, KVM_MAP_READ, NULL, &map), 0);
	/* four fds, a mapping, a script */
	assert_int_equal(fake_kvm_free(f), 6);
}

static void calls_are_counted_and_fail(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x, 0);
	fake_kvm_fail(x.fake, FAKE_OP_get_api_version, 2, EIO);
	assert_int_equal(OP(x)->get_api_version(x.host, x.dev_fd), 12);
	assert_false(fake_kvm_failed(x.fake));
	assert_int_equal(OP(x)->get_api_version(x.host, x.dev_fd), -EIO);
	assert_true(fake_kvm_failed(x.fake));
	assert_int_equal(OP(x)->get_api_version(x.host, x.dev_fd), 12);
	assert_int_equal(fake_kvm_calls(x.fake, FAKE_OP_get_api_version), 3);
	fake_kvm_fail(x.fake, FAKE_OP_create_vm, 0, ENOMEM);
	assert_int_equal(OP(x)->create_vm(x.host, x.dev_fd), -ENOMEM);
	assert_int_equal(OP(x)->create_vm(x.host, x.dev_fd), -ENOMEM);
	fake_kvm_fail(x.fake, FAKE_OP_create_vm, 0, 0);
	fake_kvm_fail_any(x.fake, 2, EMFILE);
	assert_int_equal(OP(x)->get_api_version(x.host, x.dev_fd), 12);
	assert_int_equal(OP(x)->create_vm(x.host, x.dev_fd), -EMFILE);
	assert_int_equal(fake_kvm_all_calls(x.fake), 7);
	fake_kvm_advance_clock(x.fake, 5);
	assert_int_equal(OP(x)->clock_ns(x.host), 1000000005);
	fixture_stop(&x);
}

/* --- memslots --- */

static void vcpus_live_as_long_as_their_vm(void **state)
{
	struct fixture x;
	int fd, copy;

	(void)state;
	fixture_start(&x, 0);
	fd = OP(x)->create_vcpu(x.host, x.vm_fd, 1);
	assert_int_equal(OP(x)->close_fd(x.host, fd), 0);
	assert_int_equal(OP(x)->create_vcpu(x.host, x.vm_fd, 1), -EEXIST);
	fake_kvm_set_cap(x.fake, KVM_CAP_MAX_VCPUS, 1);
	assert_int_equal(OP(x)->create_vcpu(x.host, x.vm_fd, 2), -EINVAL);
	/* one that could not have its fd is not there */
	fake_kvm_set_cap(x.fake, KVM_CAP_MAX_VCPUS, 2);
	fake_kvm_set_limit(x.fake, FAKE_LIMIT_FDS, 2);
	assert_int_equal(OP(x)->create_vcpu(x.host, x.vm_fd, 2), -EMFILE);
	fake_kvm_set_limit(x.fake, FAKE_LIMIT_FDS, 3);
	fd = OP(x)->create_vcpu(x.host, x.vm_fd, 2);
	assert_true(fd >= 0);
	/* a vCPU's fd keeps its VM */
	assert_int_equal(OP(x)->close_fd(x.host, x.vm_fd), 0);
	copy = OP(x)->duplicate_fd(x.host, fd);
	assert_int_equal(OP(x)->close_fd(x.host, fd), 0);
	assert_int_equal(fake_kvm_slot_count(x.fake, copy), 0);
	assert_non_null(fake_vcpu_regs(x.fake, copy));
	assert_int_equal(OP(x)->close_fd(x.host, copy), 0);
	x.vm_fd = OP(x)->create_vm(x.host, x.dev_fd);
	fixture_stop(&x);
}

static void slots_refuse_what_kvm_refuses(void **state)
{
	struct fixture x;
	struct kvm_userspace_memory_region found;

	(void)state;
	fixture_start(&x, 1);
	assert_int_equal(slot(&x, 1, 0, 0x4000, 0, 0), 0);
	assert_int_equal(slot(&x, 2, 0x3000, 0x4000, 0, 0), -EEXIST);
	assert_int_equal(slot(&x, 2, 0x4000, 0x1000, 0x4000, KVM_MEM_READONLY), 0);
	/* an existing slot keeps its size, its address and its read-only flag; it may move */
	assert_int_equal(slot(&x, 1, 0, 0x3000, 0, 0), -EINVAL);
	assert_int_equal(slot(&x, 1, 0, 0x4000, 0x1000, 0), -EINVAL);
	assert_int_equal(slot(&x, 1, 0, 0x4000, 0, KVM_MEM_READONLY), -EINVAL);
	assert_int_equal(slot(&x, 1, 0, 0x4000, 0, KVM_MEM_LOG_DIRTY_PAGES), 0);
	assert_int_equal(slot(&x, 1, 0x4000, 0x4000, 0, 0), -EEXIST);
	assert_int_equal(slot(&x, 1, 0x10000, 0x4000, 0, 0), 0);
	/* alignment, flags, ids, ranges */
	assert_int_equal(slot(&x, 3, 0x800, 0x1000, 0, 0), -EINVAL);
	assert_int_equal(slot(&x, 3, 0x20000, 0x1800, 0, 0), -EINVAL);
	assert_int_equal(slot(&x, 3, 0x20000, 0x1000, 0x10, 0), -EINVAL);
	assert_int_equal(slot(&x, 3, 0x20000, 0x1000, 0, 1 << 5), -EINVAL);
	assert_int_equal(slot(&x, 3, UINT64_MAX - 0xfff, 0x2000, 0, 0), -EINVAL);
	assert_int_equal(slot(&x, 3, UINT64_C(1) << 48, 0x1000, 0, 0), -EINVAL);
	assert_int_equal(slot(&x, 32764, 0x20000, 0x1000, 0, 0), -EINVAL);
	fake_kvm_set_cap(x.fake, KVM_CAP_NR_MEMSLOTS, 3);
	assert_int_equal(slot(&x, 3, 0x20000, 0x1000, 0, 0), -EINVAL);
	/* what is there */
	assert_int_equal(fake_kvm_slot_count(x.fake, x.vm_fd), 2);
	assert_true(fake_kvm_slot_at(x.fake, x.vm_fd, 0x4fff, &found));
	assert_int_equal(found.slot, 2);
	assert_false(fake_kvm_slot_at(x.fake, x.vm_fd, 0x5000, NULL));
	assert_int_equal(fake_kvm_guest_access(x.fake, x.vm_fd, 0x4000), KVM_MAP_READ);
	assert_int_equal(fake_kvm_guest_access(x.fake, x.vm_fd, 0x10000), KVM_MAP_READ_WRITE);
	assert_int_equal(fake_kvm_guest_access(x.fake, x.vm_fd, 0), FAKE_NO_SLOT);
	/* deleting */
	assert_int_equal(slot(&x, 0, 0, 0, 0, 0), -EINVAL);
	assert_int_equal(slot(&x, 1, 0, 0, 0, 0), 0);
	assert_int_equal(slot(&x, 1, 0, 0, 0, 0), -EINVAL);
	assert_int_equal(slot(&x, 2, 0, 0, 0, 0), 0);
	fixture_stop(&x);
}

/* --- mappings --- */

static void mappings_count_as_vmas(void **state)
{
	struct fixture x;
	void *map = NULL, *same;
	uint8_t *p;

	(void)state;
	fixture_start(&x, 1);
	assert_int_equal(fake_kvm_vma_count(x.fake), 1);
	assert_int_equal(
		OP(x)->map_memory(x.host, x.mem_fd, 0, 0x5000, KVM_MAP_READ_WRITE, NULL, &map), 0);
	p = map;
	p[0x1234] = 7;
	assert_int_equal(x.mem[0x1234], 7);
	assert_int_equal(fake_kvm_vma_count(x.fake), 2);
	assert_int_equal(OP(x)->protect_memory(x.host, p + 0x1000, 0x1000, KVM_MAP_NONE), 0);
	assert_int_equal(fake_kvm_vma_count(x.fake), 4);
	assert_int_equal(fake_kvm_host_prot(x.fake, p + 0x1fff), KVM_MAP_NONE);
	fake_kvm_set_limit(x.fake, FAKE_LIMIT_VMAS, 5);
	assert_int_equal(OP(x)->protect_memory(x.host, p + 0x3000, 0x1000, KVM_MAP_READ), -ENOMEM);
	assert_int_equal(fake_kvm_host_prot(x.fake, p + 0x3000), KVM_MAP_READ_WRITE);
	assert_int_equal(fake_kvm_vma_count(x.fake), 4);
	assert_int_equal(OP(x)->protect_memory(x.host, p, 0x5000, KVM_MAP_READ_WRITE), 0);
	assert_int_equal(fake_kvm_vma_count(x.fake), 2);
	/* elsewhere in the file: a VMA of its own; back again: joins */
	assert_int_equal(OP(x)->map_memory(x.host, x.mem_fd, 0x80000, 0x1000, KVM_MAP_READ_WRITE,
					   p + 0x1000, &same),
			 0);
	assert_ptr_equal(same, p + 0x1000);
	assert_int_equal(p[0x1234], 0);
	assert_int_equal(fake_kvm_vma_count(x.fake), 4);
	assert_int_equal(OP(x)->map_memory(x.host, x.mem_fd, 0x1000, 0x1000, KVM_MAP_READ_WRITE,
					   p + 0x1000, &same),
			 0);
	assert_int_equal(fake_kvm_vma_count(x.fake), 2);
	assert_int_equal(p[0x1234], 7);
	/* what is not mapped */
	assert_int_equal(OP(x)->protect_memory(x.host, p + 1, 0x1000, KVM_MAP_READ), -EINVAL);
	assert_int_equal(OP(x)->map_memory(x.host, x.dev_fd, 0, 0x1000, 0, NULL, &same), -ENODEV);
	assert_int_equal(OP(x)->unmap_memory(x.host, p + 0x2000, 0x1000), 0);
	assert_int_equal(OP(x)->protect_memory(x.host, p, 0x5000, KVM_MAP_READ), -ENOMEM);
	/* as the kernel: what came before the gap is changed */
	assert_int_equal(fake_kvm_host_prot(x.fake, p), KVM_MAP_READ);
	assert_int_equal(fake_kvm_host_prot(x.fake, p + 0x2000), -1);
	assert_int_equal(OP(x)->unmap_memory(x.host, p, 0x2000), 0);
	assert_int_equal(OP(x)->unmap_memory(x.host, p + 0x3000, 0x2000), 0);
	fixture_stop(&x);
}

/* --- registers --- */

static void registers_refuse_what_kvm_refuses(void **state)
{
	struct cpu c;
	struct kvm_sregs s;
	struct kvm_debugregs dr = {.dr6 = UINT64_C(1) << 32};
	struct kvm_xcrs xcrs = {.nr_xcrs = 1};
	struct kvm_mp_state mp = {KVM_MP_STATE_HALTED};
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events ev = {.exception = {.injected = 1, .nr = 32}};

	(void)state;
	cpu_start(&c);
	assert_int_equal(OP(c.x)->create_vcpu(c.x.host, c.x.vm_fd, 0), -EEXIST);
	assert_int_equal(OP(c.x)->create_vcpu(c.x.host, c.x.vm_fd, 4096), -EINVAL);
	assert_int_equal(OP(c.x)->get_sregs(c.x.host, c.fd, &s), 0);
	s.cr0 |= 1u << 31;
	assert_int_equal(OP(c.x)->set_sregs(c.x.host, c.fd, &s), 0);
	s.efer |= 1 << 8;
	assert_int_equal(OP(c.x)->set_sregs(c.x.host, c.fd, &s), -EINVAL);
	s.cr4 |= 1 << 5;
	assert_int_equal(OP(c.x)->set_sregs(c.x.host, c.fd, &s), -EINVAL);
	s.efer |= 1 << 10;
	assert_int_equal(OP(c.x)->set_sregs(c.x.host, c.fd, &s), 0);
	s.cr4 |= 1 << 15;
	assert_int_equal(OP(c.x)->set_sregs(c.x.host, c.fd, &s), -EINVAL);
	s.cr4 &= ~(1 << 15);
	s.cr0 &= ~1u;
	assert_int_equal(OP(c.x)->set_sregs(c.x.host, c.fd, &s), -EINVAL);
	s.cr0 = UINT64_C(1) << 32 | 1;
	s.efer = 0;
	assert_int_equal(OP(c.x)->set_sregs(c.x.host, c.fd, &s), -EINVAL);
	assert_int_equal(OP(c.x)->set_debugregs(c.x.host, c.fd, &dr), -EINVAL);
	assert_int_equal(OP(c.x)->set_xcrs(c.x.host, c.fd, &xcrs), -EINVAL);
	xcrs.xcrs[0].value = 7; /* no CPUID yet that has it */
	assert_int_equal(OP(c.x)->set_xcrs(c.x.host, c.fd, &xcrs), -EINVAL);
	xcrs.xcrs[0].value = 1;
	assert_int_equal(OP(c.x)->set_xcrs(c.x.host, c.fd, &xcrs), 0);
	assert_int_equal(OP(c.x)->set_mp_state(c.x.host, c.fd, &mp), -EINVAL);
	assert_int_equal(OP(c.x)->get_lapic(c.x.host, c.fd, &lapic), -EINVAL);
	assert_int_equal(OP(c.x)->set_vcpu_events(c.x.host, c.fd, &ev), -EINVAL);
	assert_int_equal(OP(c.x)->interrupt(c.x.host, c.fd, 256), -EINVAL);
	cpu_stop(&c);
}

/* Values KVM changes, or ignores, without a word. */
static void registers_keep_what_kvm_keeps(void **state)
{
	struct cpu c;
	struct kvm_sregs s;
	struct kvm_debugregs dr = {.dr7 = 1};
	uint64_t buffer[8] = {2};
	struct kvm_msrs *m = (struct kvm_msrs *)buffer;

	(void)state;
	cpu_start(&c);
	assert_int_equal(OP(c.x)->get_sregs(c.x.host, c.fd, &s), 0);
	s.cr8 = 17;
	assert_int_equal(OP(c.x)->set_sregs(c.x.host, c.fd, &s), 0);
	assert_int_equal(fake_vcpu_sregs(c.x.fake, c.fd)->cr8, 0);
	assert_int_equal(OP(c.x)->set_debugregs(c.x.host, c.fd, &dr), 0);
	assert_int_equal(OP(c.x)->get_debugregs(c.x.host, c.fd, &dr), 0);
	assert_int_equal(dr.dr7, 1);
	m->entries[0] = (struct kvm_msr_entry){.index = 0x175, .data = UINT64_C(0x800000000000)};
	m->entries[1] = (struct kvm_msr_entry){.index = 0xc0000103, .data = UINT64_C(0x500000001)};
	assert_int_equal(OP(c.x)->set_msrs(c.x.host, c.fd, m), 2);
	assert_int_equal(fake_vcpu_msr(c.x.fake, c.fd, 0x175), UINT64_C(0xffff800000000000));
	assert_int_equal(fake_vcpu_msr(c.x.fake, c.fd, 0xc0000103), 1);
	cpu_stop(&c);
}

static void cpuid_opens_features(void **state)
{
	struct cpu c;
	uint64_t buffer[256] = {0};
	struct kvm_cpuid2 *table = (struct kvm_cpuid2 *)buffer;
	struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.value = 7}}};
	struct kvm_sregs s;

	(void)state;
	cpu_start(&c);
	table->nent = 2;
	assert_int_equal(OP(c.x)->get_supported_cpuid(c.x.host, c.x.dev_fd, table), -E2BIG);
	table->nent = 16;
	assert_int_equal(OP(c.x)->get_supported_cpuid(c.x.host, c.x.dev_fd, table), 0);
	assert_int_equal(OP(c.x)->set_cpuid2(c.x.host, c.fd, table), 0);
	assert_int_equal(OP(c.x)->set_xcrs(c.x.host, c.fd, &xcrs), 0);
	xcrs.xcrs[0].value = 5;
	assert_int_equal(OP(c.x)->set_xcrs(c.x.host, c.fd, &xcrs), -EINVAL);
	assert_int_equal(OP(c.x)->get_sregs(c.x.host, c.fd, &s), 0);
	s.cr4 = 1 << 20;
	assert_int_equal(OP(c.x)->set_sregs(c.x.host, c.fd, &s), 0);
	s.cr4 = 1 << 22; /* PKE, which that CPUID lacks */
	assert_int_equal(OP(c.x)->set_sregs(c.x.host, c.fd, &s), -EINVAL);
	SCRIPT(&c, {.kind = FAKE_HLT, .length = 1});
	assert_int_equal(cpu_run(&c), 0);
	assert_int_equal(OP(c.x)->set_cpuid2(c.x.host, c.fd, table), 0);
	table->nent--;
	assert_int_equal(OP(c.x)->set_cpuid2(c.x.host, c.fd, table), -EINVAL);
	cpu_stop(&c);
}

static void xsave_is_checked(void **state)
{
	struct fixture x;
	struct cpu c;
	uint8_t image[4096];

	(void)state;
	cpu_start(&c);
	assert_int_equal(OP(c.x)->get_xsave(c.x.host, c.fd, image, sizeof(image)), 0);
	image[512] = 7;
	image[100] = 0x55;
	assert_int_equal(OP(c.x)->set_xsave(c.x.host, c.fd, image), 0);
	memset(image, 0, sizeof(image));
	assert_int_equal(OP(c.x)->get_xsave(c.x.host, c.fd, image, sizeof(image)), 0);
	assert_int_equal(image[100], 0x55);
	image[513] = 2; /* a feature the host lacks */
	assert_int_equal(OP(c.x)->set_xsave(c.x.host, c.fd, image), -EINVAL);
	cpu_stop(&c);
	fixture_start(&x, 0);
	fake_kvm_set_cap(x.fake, KVM_CAP_XSAVE2, 8192);
	c.fd = OP(x)->create_vcpu(x.host, x.vm_fd, 0);
	assert_int_equal(OP(x)->get_xsave(x.host, c.fd, image, sizeof(image)), -EINVAL);
	assert_int_equal(OP(x)->close_fd(x.host, c.fd), 0);
	fixture_stop(&x);
}

static void msrs_stop_at_the_first_refused(void **state)
{
	struct cpu c;
	uint64_t buffer[8] = {0};
	struct kvm_msrs *m = (struct kvm_msrs *)buffer;

	(void)state;
	cpu_start(&c);
	m->nmsrs = 3;
	fake_kvm_add_msr(c.x.fake, 0x123456, 9); /* for later vCPUs */
	m->entries[0] = (struct kvm_msr_entry){.index = 0xc0000082, .data = 0x1000};
	m->entries[1] = (struct kvm_msr_entry){.index = 0xc0000083, .data = UINT64_C(1) << 63};
	m->entries[2] = (struct kvm_msr_entry){.index = 0x277};
	assert_int_equal(OP(c.x)->set_msrs(c.x.host, c.fd, m), 1);
	assert_int_equal(fake_vcpu_msr(c.x.fake, c.fd, 0xc0000082), 0x1000);
	m->entries[1].index = 0x40000000;
	assert_int_equal(OP(c.x)->get_msrs(c.x.host, c.fd, m), 1);
	m->entries[1].index = 0x123456;
	assert_int_equal(OP(c.x)->get_msrs(c.x.host, c.fd, m), 1);
	m->entries[1].index = 0x200;
	assert_int_equal(OP(c.x)->get_msrs(c.x.host, c.fd, m), 3);
	assert_int_equal(m->entries[2].data, 0x0007040600070406);
	cpu_stop(&c);
}

static void filters_are_checked(void **state)
{
	static uint8_t bitmap[KVM_MSR_FILTER_MAX_BITMAP_SIZE];
	struct kvm_msr_filter f = {.flags = KVM_MSR_FILTER_DEFAULT_DENY};
	struct kvm_enable_cap cap = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {25}};
	struct fixture x;

	(void)state;
	fixture_start(&x, 0);
	assert_int_equal(OP(x)->set_msr_filter(x.host, x.vm_fd, &f), -EINVAL);
	f.ranges[0] = (struct kvm_msr_filter_range){3, 8 * sizeof(bitmap) + 1, 0, bitmap};
	assert_int_equal(OP(x)->set_msr_filter(x.host, x.vm_fd, &f), -EINVAL);
	f.ranges[0].nmsrs = 8 * sizeof(bitmap);
	assert_int_equal(OP(x)->set_msr_filter(x.host, x.vm_fd, &f), 0);
	f.ranges[0].flags = 4;
	assert_int_equal(OP(x)->set_msr_filter(x.host, x.vm_fd, &f), -EINVAL);
	f.flags = 2;
	assert_int_equal(OP(x)->set_msr_filter(x.host, x.vm_fd, &f), -EINVAL);
	assert_int_equal(OP(x)->enable_cap(x.host, x.vm_fd, &cap), -EINVAL);
	cap.flags = 1;
	cap.args[0] = 24;
	assert_int_equal(OP(x)->enable_cap(x.host, x.vm_fd, &cap), -EINVAL);
	cap.flags = 0;
	assert_int_equal(OP(x)->enable_cap(x.host, x.vm_fd, &cap), 0);
	assert_int_equal(OP(x)->enable_cap(x.host, x.vm_fd, &cap), -EEXIST);
	fake_kvm_set_cap(x.fake, KVM_CAP_X86_MSR_FILTER, 0);
	assert_int_equal(OP(x)->set_msr_filter(x.host, x.vm_fd, &f), -ENOTTY);
	fixture_stop(&x);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(fds_are_of_their_kind),
		cmocka_unit_test(duplicates_share_and_count),
		cmocka_unit_test(leaks_are_errors),
		cmocka_unit_test(calls_are_counted_and_fail),
		cmocka_unit_test(vcpus_live_as_long_as_their_vm),
		cmocka_unit_test(slots_refuse_what_kvm_refuses),
		cmocka_unit_test(mappings_count_as_vmas),
		cmocka_unit_test(registers_refuse_what_kvm_refuses),
		cmocka_unit_test(registers_keep_what_kvm_keeps),
		cmocka_unit_test(cpuid_opens_features),
		cmocka_unit_test(xsave_is_checked),
		cmocka_unit_test(msrs_stop_at_the_first_refused),
		cmocka_unit_test(filters_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
