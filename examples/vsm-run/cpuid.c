/* SPDX-License-Identifier: MIT */
/* What CPUID says: KVM's table, this machine's processors, the library's Hyper-V leaves. */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include "machine.h"

#define ENTRIES_MAX   256
#define LEAF_TOPOLOGY 0xb
#define TOPOLOGY_SMT  0x100 /* ECX: level types */
#define TOPOLOGY_CORE 0x200
#define TSC_DEADLINE  (1u << 24) /* ECX of leaf 1 */
#define X2APIC	      (1u << 21)
#define HTT	      (1u << 28)

static struct kvm_cpuid2 *new_table(void)
{
	struct kvm_cpuid2 *t = calloc(1, sizeof(*t) + ENTRIES_MAX * sizeof(t->entries[0]));

	if (t)
		t->nent = ENTRIES_MAX;
	return t;
}

/* Bits of an APIC id that number `cpus` processors. */
static unsigned id_bits(unsigned cpus)
{
	unsigned bits = 0;

	while (1u << bits < cpus)
		bits++;
	return bits;
}

/* KVM's table leaves it out, because it depends on the local APIC: libvsm's has it. */
static bool has_tsc_deadline(const struct machine *m)
{
	return !m->options->kernel_irqchip ||
	       ioctl(m->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
}

/* Bits of ECX of leaf 1. */
static void set_features(struct kvm_cpuid2 *t, uint32_t mask, bool on)
{
	for (uint32_t i = 0; i < t->nent; i++)
		if (t->entries[i].function == 1)
			t->entries[i].ecx = (t->entries[i].ecx & ~mask) | (on ? mask : 0);
}

/* APIC id = processor index: one socket of single-threaded cores. */
static void set_topology(struct kvm_cpuid_entry2 *e, unsigned cpus)
{
	switch (e->function) {
	case 0x1:
		e->ebx = (e->ebx & 0xff00ffff) | cpus << 16;
		e->edx = cpus > 1 ? e->edx | HTT : e->edx & ~HTT;
		break;
	case 0x4:
		e->eax = (e->eax & 0x3fff) | (e->eax & 0x1f ? (cpus - 1) << 26 : 0);
		break;
	case 0xa: /* no performance counters */
	case 0x1f:
	case 0x8000001e:
		e->eax = e->ebx = e->ecx = e->edx = 0;
		break;
	case 0x80000008:
		e->ecx = id_bits(cpus) << 12 | (cpus - 1);
		break;
	default:
		break;
	}
}

/* Leaf 0xb: subleaf 0 one thread a core, subleaf 1 the cores, subleaf 2 the end. */
static void add_topology_leaf(struct kvm_cpuid2 *t, unsigned cpus)
{
	const struct kvm_cpuid_entry2 leaves[] = {
		{.index = 0, .eax = 0, .ebx = 1, .ecx = TOPOLOGY_SMT | 0},
		{.index = 1, .eax = id_bits(cpus), .ebx = cpus, .ecx = TOPOLOGY_CORE | 1},
		{.index = 2, .ecx = 2},
	};

	for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
		struct kvm_cpuid_entry2 *e = &t->entries[t->nent++];

		*e = leaves[i];
		e->function = LEAF_TOPOLOGY;
		e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	}
}

static void adjust(struct kvm_cpuid2 *t, unsigned cpus)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < t->nent; i++) {
		if (t->entries[i].function == LEAF_TOPOLOGY)
			continue;
		t->entries[kept] = t->entries[i];
		set_topology(&t->entries[kept++], cpus);
	}
	t->nent = kept;
	if (kept + 3 <= ENTRIES_MAX)
		add_topology_leaf(t, cpus);
	for (uint32_t i = 0; i < t->nent; i++)
		if (t->entries[i].function == 0 && t->entries[i].eax < LEAF_TOPOLOGY)
			t->entries[i].eax = LEAF_TOPOLOGY;
}

static int compose(struct machine *m, struct kvm_cpuid2 *supported, struct kvm_cpuid2 *composed)
{
	int r;

	if (ioctl(m->kvm_fd, KVM_GET_SUPPORTED_CPUID, supported) < 0)
		return -errno;
	adjust(supported, m->options->cpus);
	if (has_tsc_deadline(m))
		set_features(supported, TSC_DEADLINE, true);
	if (m->options->no_x2apic)
		set_features(supported, X2APIC, false);
	r = vsm_partition_compose_cpuid(m->partition, supported, composed);
	for (unsigned i = 0; !r && i < m->options->cpus; i++)
		r = vsm_vcpu_set_cpuid(m->cpus[i].vcpu, composed);
	return r;
}

int cpuid_setup(struct machine *m)
{
	struct kvm_cpuid2 *supported = new_table(), *composed = new_table();
	int r = supported && composed ? compose(m, supported, composed) : -ENOMEM;

	free(supported);
	free(composed);
	return r;
}
