/* SPDX-License-Identifier: MIT */
/*
 * Making partitions and VPs: every documented errno, every point of failure without a leak, two
 * partitions side by side.
 */
#include "failing_malloc.h"
#include "partition_fixture.h"
#include "vsm/memory.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static void expect_create(struct fixture *x, const struct vsm_partition_options *o, int r)
{
	struct vsm_partition *p = NULL;

	assert_int_equal(partition_create_on(x->host, o, &p), r);
	assert_null(p);
}

static void test_bad_options(void **state)
{
	struct {
		struct vsm_partition_options known;
		uint64_t tail;
	} o, good = {.known = {.size = sizeof(good.known)}};
	struct vsm_partition *p = NULL;
	struct fixture x;

	(void)state;
	fixture_start(&x, 0);
	good.known.kvm_fd = x.dev_fd;
	good.known.vm_fd = x.vm_fd;
	expect_create(&x, NULL, -EINVAL);
	assert_int_equal(partition_create_on(x.host, &good.known, NULL), -EINVAL);
#define BAD(member, value, r)                   \
	do {                                    \
		o = good;                       \
		o.known.member = value;         \
		expect_create(&x, &o.known, r); \
	} while (0)
	BAD(size, 0, -EINVAL);
	BAD(size, 4, -EINVAL);
	BAD(size, SIZE_MAX, -EINVAL);
	BAD(kvm_fd, -1, -EINVAL);
	BAD(vm_fd, -1, -EINVAL);
	BAD(topology, 3, -EINVAL);
	BAD(enforcement, 3, -EINVAL);
	BAD(exec_policy, 3, -EINVAL);
	BAD(max_vtl, VSM_VTL_COUNT, -EINVAL);
	BAD(hypercall_port, 0x7e, -EINVAL);
	BAD(max_vps, 2, -EINVAL); /* needs a kick_signal */
	BAD(kick_signal, -1, -EINVAL);
	BAD(flags, 1 << 5, -EINVAL);
	BAD(quirks, 2, -EINVAL);
	BAD(first_slot, 40000, -EINVAL);
#undef BAD
	o = good;
	o.known.size = sizeof(o);
	o.tail = 1;
	expect_create(&x, &o.known, -EINVAL);
	o.tail = 0;
	assert_int_equal(partition_create_on(x.host, &o.known, &p), 0);
	vsm_partition_destroy(p);
	vsm_partition_destroy(NULL);
	fixture_stop(&x);
}

static void remember(void *ctx, enum vsm_log_level level, const char *line)
{
	(void)level;
	strncat(ctx, line, 200);
}

/* What is missing is named. */
static void test_missing_capability(void **state)
{
	char log[1024] = "";
	struct vsm_partition_options o;
	struct vsm_partition *p;
	struct fixture x;

	(void)state;
	fixture_start(&x, 0);
	o = (struct vsm_partition_options){.size = sizeof(o),
					   .kvm_fd = x.dev_fd,
					   .vm_fd = x.vm_fd,
					   .log = remember,
					   .callback_ctx = log};
	fake_kvm_set_cap(x.fake, KVM_CAP_X86_MSR_FILTER, 0);
	expect_create(&x, &o, -ENOTSUP);
	assert_non_null(strstr(log, "KVM_CAP_X86_MSR_FILTER"));
	/* What only a policy needs is asked for with it. */
	fake_kvm_set_cap(x.fake, KVM_CAP_X86_MSR_FILTER, 1);
	fake_kvm_set_cap(x.fake, KVM_CAP_SET_GUEST_DEBUG2, 3);
	expect_create(&x, &o, -ENOTSUP);
	assert_non_null(strstr(log, "KVM_CAP_SET_GUEST_DEBUG2"));
	o.exec_policy = VSM_EXEC_RELAXED;
	assert_int_equal(partition_create_on(x.host, &o, &p), 0);
	vsm_partition_destroy(p);
	fixture_stop(&x);
}

/* Only ROM needs read-only memslots. */
static void test_no_rom(void **state)
{
	static const enum vsm_enforcement each[] = {VSM_ENFORCEMENT_SLOTS, VSM_ENFORCEMENT_ALIAS};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct vsm_memory_region rom = {.size = sizeof(rom),
						.guest_phys = 0x10000000,
						.bytes = 0x1000,
						.flags = VSM_MEMORY_READ_ONLY};
		struct vsm_partition_options o;
		struct guest g;

		fixture_start(&g.x, RAM_MIB);
		fake_kvm_set_cap(g.x.fake, KVM_CAP_READONLY_MEM, 0);
		o = guest_options(&g);
		o.enforcement = each[i];
		guest_start_with(&g, &o);
		rom.fd = g.x.mem_fd;
		assert_int_equal(vsm_partition_map_memory(g.p, &rom), -ENOTSUP);
		rom.flags = 0;
		assert_int_equal(vsm_partition_map_memory(g.p, &rom), 0);
		guest_stop(&g);
	}
}

static void test_bad_regions(void **state)
{
	struct vsm_memory_region good, r;
	struct guest g;

	(void)state;
	guest_start(&g, VSM_TOPOLOGY_DEFAULT, VSM_ENFORCEMENT_DEFAULT);
	good = (struct vsm_memory_region){
		.size = sizeof(good), .guest_phys = 0x10000000, .bytes = 0x1000, .fd = g.x.mem_fd};
	assert_int_equal(vsm_partition_map_memory(NULL, &good), -EINVAL);
	assert_int_equal(vsm_partition_map_memory(g.p, NULL), -EINVAL);
#define BAD(member, value, e)                                           \
	do {                                                            \
		r = good;                                               \
		r.member = value;                                       \
		assert_int_equal(vsm_partition_map_memory(g.p, &r), e); \
	} while (0)
	BAD(size, 1, -EINVAL);
	BAD(guest_phys, 0x10000001, -EINVAL);
	BAD(guest_phys, 0x1000, -EEXIST);
	BAD(guest_phys, UINT64_C(0xfffffffffffff000), -EINVAL);
	BAD(bytes, 0, -EINVAL);
	BAD(bytes, 0x1001, -EINVAL);
	BAD(bytes, (RAM_MIB << 20) + 0x1000, -ERANGE);
	BAD(fd, 9999999, -EBADF);
	BAD(flags, 1 << 5, -EINVAL);
	BAD(fd_offset, 1, -EINVAL);
	BAD(fd_offset, RAM_MIB << 20, -ERANGE);
#undef BAD
	assert_int_equal(vsm_partition_map_memory(g.p, &good), 0);
	guest_stop(&g);
}

static void test_bad_vcpus(void **state)
{
	struct vsm_vcpu_options o = {.size = sizeof(o), .index = 1, .apic_id = 1};
	struct kvm_cpuid2 none = {0};
	struct vsm_vcpu *vp = NULL;
	struct vsm_partition_options po;
	struct guest g;

	(void)state;
	fixture_start(&g.x, RAM_MIB);
	po = guest_options(&g);
	po.max_vps = 2;
	po.kick_signal = SIGUSR1;
	guest_start_with(&g, &po);
	assert_int_equal(vsm_vcpu_create(NULL, &o, &vp), -EINVAL);
	assert_int_equal(vsm_vcpu_create(g.p, NULL, &vp), -EINVAL);
	assert_int_equal(vsm_vcpu_create(g.p, &o, NULL), -EINVAL);
	o.index = 2;
	assert_int_equal(vsm_vcpu_create(g.p, &o, &vp), -EINVAL);
	o.index = 0;
	assert_int_equal(vsm_vcpu_create(g.p, &o, &vp), -EEXIST);
	o = (struct vsm_vcpu_options){.size = sizeof(o), .index = 1, .apic_id = 0};
	assert_int_equal(vsm_vcpu_create(g.p, &o, &vp), -EEXIST);
	o.apic_id = 1;
	assert_int_equal(vsm_vcpu_create(g.p, &o, &vp), 0);
	vsm_vcpu_destroy(vp);
	vsm_vcpu_destroy(NULL);
	assert_int_equal(vsm_vcpu_fd(NULL, 0), -EINVAL);
	assert_int_equal(vsm_vcpu_fd(g.vp, 2), -EINVAL);
	assert_int_equal(vsm_vcpu_set_cpuid(NULL, &none), -EINVAL);
	assert_int_equal(vsm_vcpu_set_cpuid(g.vp, NULL), -EINVAL);
	guest_stop(&g);
}

/* The local APICs of all VTLs offer what CPUID says. */
static void test_cpuid_and_lapics(void **state)
{
	union {
		struct kvm_cpuid2 head;
		uint8_t room[sizeof(struct kvm_cpuid2) + 2 * sizeof(struct kvm_cpuid_entry2)];
	} table = {.head.nent = 2};
	struct kvm_cpuid_entry2 *entries = table.head.entries;
	struct guest g;

	(void)state;
	entries[0] = (struct kvm_cpuid_entry2){.function = 1};
	entries[1] = (struct kvm_cpuid_entry2){.function = 0x80000008};
	guest_start(&g, VSM_TOPOLOGY_DEFAULT, VSM_ENFORCEMENT_DEFAULT);
	for (unsigned round = 0; round < 2; round++) {
		entries[0].ecx = round << 21;
		entries[1].eax = round ? 0x3028 : 0;
		assert_int_equal(vsm_vcpu_set_cpuid(g.vp, &table.head), 0);
		for (unsigned vtl = 0; vtl < 2; vtl++) {
			assert_int_equal(g.vp->vtls[vtl].lapic.no_x2apic, !round);
			assert_int_equal(g.vp->vtls[vtl].lapic.maxphyaddr, round ? 40 : 0);
		}
	}
	guest_stop(&g);
}

/* An in-kernel irqchip would give every VTL of a single VM a local APIC in KVM. */
static void test_irqchip_and_single_vm(void **state)
{
	struct vsm_vcpu_options vo = {.size = sizeof(vo)};
	struct vsm_partition_options o;
	struct vsm_vcpu *vp = NULL;
	struct guest g;

	(void)state;
	fixture_start(&g.x, 0);
	assert_int_equal(fake_kvm_create_irqchip(g.x.fake, g.x.vm_fd), 0);
	o = guest_options(&g);
	o.topology = VSM_TOPOLOGY_SINGLE_VM;
	assert_int_equal(partition_create_on(g.x.host, &o, &g.p), 0);
	assert_int_equal(vsm_vcpu_create(g.p, &vo, &vp), -ENOTSUP);
	guest_stop(&g);
}

/* The library has no other way to KVM's local APIC; a VMM without one is not concerned. */
static void test_irqchip_needs(void **state)
{
	static const long caps[] = {KVM_CAP_SIGNAL_MSI, KVM_CAP_MP_STATE};

	(void)state;
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(caps); i++) {
		struct vsm_vcpu_options vo = {.size = sizeof(vo)};
		struct vsm_partition_options o;
		struct vsm_vcpu *vp = NULL;
		bool irqchip = i % 2;
		struct guest g;

		fixture_start(&g.x, 0);
		fake_kvm_set_cap(g.x.fake, caps[i / 2], 0);
		if (irqchip)
			assert_int_equal(fake_kvm_create_irqchip(g.x.fake, g.x.vm_fd), 0);
		o = guest_options(&g);
		assert_int_equal(partition_create_on(g.x.host, &o, &g.p), 0);
		assert_int_equal(vsm_vcpu_create(g.p, &vo, &vp), irqchip ? -ENOTSUP : 0);
		guest_stop(&g);
	}
}

static int make_all(struct guest *g)
{
	struct vsm_partition_options o = guest_options(g);
	struct vsm_memory_region ram = {
		.size = sizeof(ram), .bytes = g->x.mem_size, .fd = g->x.mem_fd};
	struct vsm_vcpu_options vo = {.size = sizeof(vo)};
	int r;

	o.max_vtl = 2;
	g->p = NULL;
	r = partition_create_on(g->x.host, &o, &g->p);
	if (!r)
		r = vsm_partition_map_memory(g->p, &ram);
	if (!r)
		r = vsm_vcpu_create(g->p, &vo, &g->vp);
	vsm_partition_destroy(g->p);
	return r;
}

/* Each kernel call fails once: whatever could not be made is reported and all the rest released. */
static void test_every_failure(void **state)
{
	unsigned failures = 0;
	bool reached = true;

	(void)state;
	for (unsigned nth = 1; reached; nth++) {
		struct guest g;

		fixture_start(&g.x, 1);
		fake_kvm_fail_any(g.x.fake, nth, ENOMEM);
		make_all(&g);
		reached = fake_kvm_failed(g.x.fake);
		fake_kvm_fail_any(g.x.fake, 0, 0);
		failures += reached;
		fixture_stop(&g.x);
	}
	assert_true(failures > 40);
}

static int make_partition(struct guest *g)
{
	struct vsm_partition_options o = guest_options(g);

	o.max_vtl = 2;
	return partition_create_on(g->x.host, &o, &g->p);
}

static int make_memory(struct guest *g)
{
	struct vsm_memory_region ram = {
		.size = sizeof(ram), .bytes = g->x.mem_size, .fd = g->x.mem_fd};

	return vsm_partition_map_memory(g->p, &ram);
}

static int make_vcpu(struct guest *g)
{
	struct vsm_vcpu_options vo = {.size = sizeof(vo)};

	return vsm_vcpu_create(g->p, &vo, &g->vp);
}

/* Fails each in turn, on the same objects, until none is left; returns how many there are. */
static unsigned fail_each(struct guest *g, int (*make)(struct guest *g))
{
	const size_t fds = fake_kvm_fd_count(g->x.fake), vmas = fake_kvm_vma_count(g->x.fake);

	for (unsigned nth = 1;; nth++) {
		bool failed;
		int r;

		fail_malloc(nth);
		r = make(g);
		failed = malloc_failed();
		fail_malloc(0);
		assert_int_equal(r, failed ? -ENOMEM : 0);
		if (!failed)
			return nth - 1;
		assert_null(g->vp);
		assert_int_equal(fake_kvm_fd_count(g->x.fake), fds);
		assert_int_equal(fake_kvm_vma_count(g->x.fake), vmas);
	}
}

/*
 * Each allocation fails once, whole pages among them. What was there before is as it was: of the
 * overlay pages, say, there are just enough for the VP that is made in the end, which runs.
 */
static void test_every_allocation(void **state)
{
	static const struct fake_step out = {
		.kind = FAKE_OUT, .port = 0x3f8, .size = 1, .length = 2};
	struct kvm_run *run;
	struct guest g = {.p = NULL};

	(void)state;
	fixture_start(&g.x, 1);
	assert_true(fail_each(&g, make_partition) > 4);
	assert_true(fail_each(&g, make_memory) > 0);
	/* The VP, and for each VTL the XSAVE image and the queues of its SynIC. */
	assert_true(fail_each(&g, make_vcpu) >= 7);
	fake_vcpu_flat_mode(g.x.fake, vsm_vcpu_fd(g.vp, 0), 0x1000, 0x8000);
	fake_vcpu_script(g.x.fake, vsm_vcpu_fd(g.vp, 0), &out, 1);
	assert_int_equal(vsm_vcpu_run(g.vp, &run), 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_IO);
	guest_stop(&g);
}

static void test_two_partitions(void **state)
{
	struct guest a, b;

	(void)state;
	guest_start(&a, VSM_TOPOLOGY_SINGLE_VM, VSM_ENFORCEMENT_SLOTS);
	guest_start(&b, VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS);
	assert_int_equal(memory_limit_default(&a.p->memory, 1, PROT_R), 0);
	assert_int_equal(memory_rights(&a.p->memory, 0, 0).prot, PROT_R);
	assert_int_equal(memory_rights(&b.p->memory, 0, 0).prot, PROT_ALL);
	assert_int_equal(vsm_partition_topology(a.p), VSM_TOPOLOGY_SINGLE_VM);
	assert_int_equal(vsm_partition_enforcement(a.p), VSM_ENFORCEMENT_SLOTS);
	assert_int_equal(vsm_partition_topology(b.p), VSM_TOPOLOGY_VM_PER_VTL);
	assert_int_equal(vsm_partition_enforcement(b.p), VSM_ENFORCEMENT_ALIAS);
	assert_int_equal(vsm_partition_exec_policy(b.p), VSM_EXEC_STRICT);
	guest_stop(&a);
	guest_stop(&b);
}

/* An older caller's struct gets what it has room for; a newer one's unknown tail is zeroed. */
static void test_stats_sizes(void **state)
{
	struct {
		struct vsm_partition_stats known;
		uint64_t tail;
	} stats;
	struct guest g;

	(void)state;
	guest_start(&g, VSM_TOPOLOGY_DEFAULT, VSM_ENFORCEMENT_DEFAULT);
	stats.known.size = 8;
	assert_int_equal(vsm_partition_get_stats(g.p, &stats.known), -EINVAL);
	assert_int_equal(vsm_partition_get_stats(NULL, &stats.known), -EINVAL);
	assert_int_equal(vsm_partition_get_stats(g.p, NULL), -EINVAL);
	memset(&stats, 0xff, sizeof(stats));
	stats.known.size = 16;
	assert_int_equal(vsm_partition_get_stats(g.p, &stats.known), 0);
	assert_int_equal(stats.known.regions, 1);
	assert_int_equal(stats.known.protected_ranges, UINT64_MAX);
	stats.known.size = sizeof(stats);
	assert_int_equal(vsm_partition_get_stats(g.p, &stats.known), 0);
	assert_int_equal(stats.known.enabled_vtls, 1);
	assert_int_equal(stats.tail, 0);
	guest_stop(&g);
}

/* Devices have the data rights of the VTL asked for, with either enforcement. */
static void devices_see(enum vsm_enforcement enforcement)
{
	struct vsm_memory_view v = {.size = sizeof(v)}, again = {.size = sizeof(again)};
	const uint8_t *host;
	struct guest g;

	guest_start(&g, VSM_TOPOLOGY_VM_PER_VTL, enforcement);
	assert_int_equal(memory_limit_default(&g.p->memory, 1, PROT_ALL), 0);
	assert_int_equal(memory_limit(&g.p->memory, 1, 0, 1, 2, 0), 0);
	assert_int_equal(vsm_memory_view(g.p, 0, 0x3000, &v), 0);
	assert_int_equal(v.guest_phys, 0);
	assert_int_equal(v.bytes, g.x.mem_size);
	host = v.host;
	assert_int_equal(fake_kvm_host_prot(g.x.fake, host), KVM_MAP_READ_WRITE);
	assert_int_equal(fake_kvm_host_prot(g.x.fake, host + 0x1000), KVM_MAP_NONE);
	assert_int_equal(memory_limit(&g.p->memory, 1, 0, 2, 3, PROT_R), 0);
	assert_int_equal(memory_limit(&g.p->memory, 1, 0, 3, 4, PROT_R | PROT_W), 0);
	assert_int_equal(fake_kvm_host_prot(g.x.fake, host + 0x2000), KVM_MAP_READ);
	assert_int_equal(fake_kvm_host_prot(g.x.fake, host + 0x3000), KVM_MAP_READ_WRITE);
	assert_int_equal(vsm_memory_view(g.p, 0, 0, &again), 0);
	assert_ptr_equal(again.host, host);
	assert_int_equal(vsm_memory_view(g.p, 1, 0, &again), 0);
	assert_int_equal(fake_kvm_host_prot(g.x.fake, (uint8_t *)again.host + 0x1000),
			 KVM_MAP_READ_WRITE);
	guest_stop(&g);
}

static void test_device_views(void **state)
{
	(void)state;
	devices_see(VSM_ENFORCEMENT_ALIAS);
	devices_see(VSM_ENFORCEMENT_SLOTS);
}

static void test_bad_device_views(void **state)
{
	struct vsm_memory_view v = {.size = sizeof(v)};
	struct guest g;

	(void)state;
	guest_start(&g, VSM_TOPOLOGY_DEFAULT, VSM_ENFORCEMENT_DEFAULT);
	assert_int_equal(vsm_memory_view(NULL, 0, 0, &v), -EINVAL);
	assert_int_equal(vsm_memory_view(g.p, 0, 0, NULL), -EINVAL);
	assert_int_equal(vsm_memory_view(g.p, 2, 0, &v), -EINVAL);
	assert_int_equal(vsm_memory_view(g.p, 0, g.x.mem_size, &v), -ENXIO);
	v.size = sizeof(size_t);
	assert_int_equal(vsm_memory_view(g.p, 0, 0, &v), -EINVAL);
	v.size = sizeof(v);
	fake_kvm_fail(g.x.fake, FAKE_OP_map_memory, 1, ENOMEM);
	assert_int_equal(vsm_memory_view(g.p, 0, 0, &v), -ENOMEM);
	fake_kvm_fail(g.x.fake, FAKE_OP_protect_memory, 1, ENOMEM);
	assert_int_equal(vsm_memory_view(g.p, 0, 0, &v), -ENOMEM);
	assert_null(v.host);
	assert_int_equal(vsm_memory_view(g.p, 0, 0, &v), 0);
	guest_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_options),
		cmocka_unit_test(test_missing_capability),
		cmocka_unit_test(test_no_rom),
		cmocka_unit_test(test_bad_regions),
		cmocka_unit_test(test_bad_vcpus),
		cmocka_unit_test(test_cpuid_and_lapics),
		cmocka_unit_test(test_irqchip_and_single_vm),
		cmocka_unit_test(test_irqchip_needs),
		cmocka_unit_test(test_every_failure),
		cmocka_unit_test(test_every_allocation),
		cmocka_unit_test(test_two_partitions),
		cmocka_unit_test(test_stats_sizes),
		cmocka_unit_test(test_device_views),
		cmocka_unit_test(test_bad_device_views),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
