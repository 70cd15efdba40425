/* SPDX-License-Identifier: MIT */
/* Making and releasing a partition. */
#include "memory/pages.h"
#include "partition/partition.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "msr/synthetic.h"
#include "intercept/io.h"
#include "kvm/cpuid.h"
#include "partition/options.h"
#include "probe/probe.h"
#include "vcpu/vcpu.h"

/*
 * Overlay pages: per VTL the hypercall and reference TSC page, per VP and VTL assist, SIMP, SIEFP.
 */
#define OVERLAYS_PER_VTL       2
#define OVERLAYS_PER_VP	       3

#define HYPERCALL_PORT_DEFAULT 0xe7

/* KVM advances RIP past an `out` to this port on its own (KVM_X86_QUIRK_OUT_7E_INC_RIP). */
#define HYPERCALL_PORT_QUIRK 0x7e

#define CPUID_ADDRESSES	     UINT32_C(0x80000008)
#define PHYSICAL_BITS_MIN    36 /* where that leaf is missing (Intel SDM 3A 4.1.4) */

#define FLAGS_KNOWN                                                                       \
	(VSM_PARTITION_MSR_EXITS | VSM_PARTITION_VMM_EVENTS | VSM_PARTITION_NO_IO_URING | \
	 VSM_PARTITION_HLT_EXITS | VSM_PARTITION_INTERCEPT_GVA)
#define QUIRKS_KNOWN VSM_QUIRK_UX_IS_EXECUTE

static bool options_valid(const struct vsm_partition_options *o)
{
	return o->kvm_fd >= 0 && o->vm_fd >= 0 && o->topology <= VSM_TOPOLOGY_VM_PER_VTL &&
	       o->enforcement <= VSM_ENFORCEMENT_ALIAS && o->exec_policy <= VSM_EXEC_RELAXED &&
	       o->max_vtl < VSM_VTL_COUNT && o->hypercall_port != HYPERCALL_PORT_QUIRK &&
	       o->kick_signal >= 0 && !(o->flags & ~FLAGS_KNOWN) && !(o->quirks & ~QUIRKS_KNOWN) &&
	       o->unsupported_intercepts <= VSM_UNSUPPORTED_INTERCEPTS_ACCEPT &&
	       (o->max_vps <= 1 || o->kick_signal);
}

static void options_default(struct vsm_partition_options *o)
{
	if (o->topology == VSM_TOPOLOGY_DEFAULT)
		o->topology = VSM_TOPOLOGY_VM_PER_VTL;
	if (o->enforcement == VSM_ENFORCEMENT_DEFAULT)
		o->enforcement = VSM_ENFORCEMENT_ALIAS;
	if (o->exec_policy == VSM_EXEC_DEFAULT)
		o->exec_policy = VSM_EXEC_STRICT;
	if (!o->max_vtl)
		o->max_vtl = 1;
	if (!o->hypercall_port)
		o->hypercall_port = HYPERCALL_PORT_DEFAULT;
	if (!o->max_vps)
		o->max_vps = 1;
}

/* Does what these options ask for need this capability? */
static bool is_needed(const struct vsm_probe_entry *e, const struct vsm_partition_options *o)
{
	if (!strncmp(e->name, "KVM_CAP_SET_GUEST_DEBUG", strlen("KVM_CAP_SET_GUEST_DEBUG")))
		return o->exec_policy == VSM_EXEC_STRICT;
	return e->needed;
}

/* Names every needed capability the host lacks. */
static int check_host(struct vsm_partition *p, const struct vsm_partition_options *o)
{
	struct vsm_probe *probe = calloc(1, sizeof(*probe));
	bool missing = false;
	int r;

	if (!probe)
		return -ENOMEM;
	probe->size = sizeof(*probe);
	r = probe_host_on(p->host, o->kvm_fd, probe);
	for (size_t i = 0; !r && i < probe->entry_count; i++) {
		const struct vsm_probe_entry *e = &probe->entries[i];

		if (e->present || !is_needed(e, o))
			continue;
		missing = true;
		partition_log(p, VSM_LOG_ERROR, "the host lacks %s (Linux %s): %s", e->name,
			      e->since, e->loss);
	}
	if (missing)
		r = -ENOTSUP;
	free(probe);
	return r;
}

/*
 * KVM takes no memslot above the host's physical addresses, and a guest could ask for one
 * (Linux kvm_arch_prepare_memory_region()).
 */
static unsigned physical_bits(const struct kvm_cpuid2 *table)
{
	const struct kvm_cpuid_entry2 *leaf = cpuid_leaf(table, CPUID_ADDRESSES);
	unsigned bits = leaf ? leaf->eax & 0xff : 0;

	return bits < PHYSICAL_BITS_MIN ? PHYSICAL_BITS_MIN : bits;
}

/* Learns what the host's CPUID says. */
static int learn_processor(struct vsm_partition *p, int kvm_fd, size_t xsave_size)
{
	struct kvm_cpuid2 *table = cpuid_supported(p->host, kvm_fd);

	if (!table)
		return -ENOMEM;
	xsave_layout_init(&p->xsave, table, xsave_size);
	p->physical_bits = physical_bits(table);
	free(table);
	return 0;
}

/* Learns sizes and limits from the VMM's VM. */
static int learn_host(struct vsm_partition *p, const struct vsm_partition_options *o)
{
	const struct kvm_host *h = p->host;
	int size = h->ops->get_vcpu_mmap_size(h, o->kvm_fd);
	int xsave = h->ops->check_extension(h, o->vm_fd, KVM_CAP_XSAVE2);
	size_t xsave_size = sizeof(struct kvm_xsave);
	int sync = h->ops->check_extension(h, o->vm_fd, KVM_CAP_SYNC_REGS);
	int vps = h->ops->check_extension(h, o->vm_fd, KVM_CAP_MAX_VCPUS);

	if (size < (int)sizeof(struct kvm_run))
		return size < 0 ? size : -ENOTSUP;
	p->run_size = (size_t)size;
	if (xsave > (int)xsave_size)
		xsave_size = (size_t)xsave;
	p->sync_regs = sync > 0 && (sync & CPU_REGS) && (sync & CPU_SREGS);
	if (!p->sync_regs)
		partition_log(p, VSM_LOG_WARNING,
			      "no KVM_CAP_SYNC_REGS: each exit costs two ioctls more");
	p->sregs2 = h->ops->check_extension(h, o->vm_fd, KVM_CAP_SREGS2) > 0;
	if (vps > 0 && o->max_vps > (uint32_t)vps)
		return -EINVAL;
	p->emulated = h->ops->emulates(h) > 0;
	p->has_rom = h->ops->check_extension(h, o->vm_fd, KVM_CAP_READONLY_MEM) > 0;
	return learn_processor(p, o->kvm_fd, xsave_size);
}

/*
 * An instruction of user mode that KVM cannot emulate gets #UD without an exit, unless this is on:
 * an access to a closed page could then not be told to the VTL that closed it.
 */
static int want_emulation_exits(struct vsm_partition *p, int vm_fd)
{
	const struct kvm_host *h = p->host;
	const struct kvm_enable_cap cap = {.cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE, .args[0] = 1};

	if (h->ops->check_extension(h, vm_fd, KVM_CAP_EXIT_ON_EMULATION_FAILURE) <= 0)
		return 0;
	return h->ops->enable_cap(h, vm_fd, &cap);
}

static int init_spaces(struct vsm_partition *p, const struct vsm_partition_options *o)
{
	const struct kvm_host *h = p->host;
	int slots = h->ops->check_extension(h, o->vm_fd, KVM_CAP_NR_MEMSLOTS);
	unsigned count = o->topology == VSM_TOPOLOGY_SINGLE_VM ? 1 : p->vtl_count;

	if (slots <= (int)o->first_slot)
		return slots < 0 ? slots : -EINVAL;
	for (unsigned i = 0; i < count; i++) {
		int fd = i ? h->ops->create_vm(h, o->kvm_fd) : o->vm_fd;
		int r;

		if (fd < 0)
			return fd;
		r = space_init(&p->spaces[i], fd, i != 0, i ? 0 : o->first_slot, (uint32_t)slots);
		if (r) {
			if (i)
				h->ops->close_fd(h, fd);
			return r;
		}
		p->space_count++;
		/* Whether VTL0 has the library's APIC too shows with its first vCPU. */
		r = msr_filter_install(p, i, i != 0);
		if (!r)
			r = want_emulation_exits(p, fd);
		if (r)
			return r;
	}
	return 0;
}

/* What the VMM's process does not need for itself, or for mapping memory at all. */
static size_t mapping_limit(struct vsm_partition *p, const struct vsm_partition_options *o)
{
	int all = o->max_mappings ? 0 : p->host->ops->max_mappings(p->host);

	if (o->max_mappings)
		return o->max_mappings;
	return all > 3 ? (size_t)all / 4 * 3 : 1;
}

static int init_memory(struct vsm_partition *p, const struct vsm_partition_options *o)
{
	struct memory_options mo = {
		.enforcement = o->enforcement,
		.exec_policy = o->exec_policy,
		.vtl_count = p->vtl_count,
		.overlay_pages =
			p->vtl_count * (OVERLAYS_PER_VTL + OVERLAYS_PER_VP * p->max_vps) +
			p->vtl_count * (p->vtl_count - 1u) / 2, /* TSC pages in lower views */
		.slot_limit = p->spaces[0].slot_limit - p->spaces[0].first_slot,
		.mapping_limit = mapping_limit(p, o),
		.gpa_bits = p->physical_bits,
	};
	int r = memory_init(&p->memory, p->host, &mo);

	if (r)
		return r;
	p->memory.ux_is_execute = o->quirks & VSM_QUIRK_UX_IS_EXECUTE;
	for (unsigned vtl = 0; vtl < p->vtl_count; vtl++) {
		struct vtl_partition *v = &p->vtls[vtl];

		v->hypercall_page = overlay_create(&p->memory, vtl, PROT_R | PROT_KX | PROT_UX);
		v->ref_tsc_page = overlay_create(&p->memory, vtl, PROT_R | PROT_KX | PROT_UX);
		if (!v->hypercall_page || !v->ref_tsc_page)
			return -ENOMEM;
		for (unsigned lower = 0; lower < vtl; lower++) {
			v->ref_tsc_below[lower] =
				overlay_create_below(&p->memory, v->ref_tsc_page, lower);
			if (!v->ref_tsc_below[lower])
				return -ENOMEM;
		}
	}
	return 0;
}

static int init(struct vsm_partition *p, const struct vsm_partition_options *o)
{
	int r = check_host(p, o);

	if (!r)
		r = learn_host(p, o);
	if (!r)
		r = init_spaces(p, o);
	if (!r)
		r = init_memory(p, o);
	if (r)
		return r;
	r = io_intercept_init(p);
	if (r)
		return r;
	p->vps = calloc(p->max_vps, sizeof(struct vsm_vcpu *));
	p->kept = calloc(MEMORY_OPENINGS, sizeof(*p->kept));
	if (!p->vps || !p->kept)
		return -ENOMEM;
	return event_start(p, p->kick_signal && !(o->flags & VSM_PARTITION_VMM_EVENTS),
			   o->flags & VSM_PARTITION_NO_IO_URING);
}

int partition_create_on(const struct kvm_host *host, const struct vsm_partition_options *options,
			struct vsm_partition **out)
{
	struct vsm_partition_options o;
	struct vsm_partition *p;
	int r;

	if (!out || options_copy_in(&o, sizeof(o), options) || !options_valid(&o))
		return -EINVAL;
	options_default(&o);
	p = pages_allocate(sizeof(*p));
	if (!p)
		return -ENOMEM;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->vcpu_moved, NULL);
	p->host = host;
	p->kvm_fd = o.kvm_fd;
	p->topology = o.topology;
	p->vtl_count = (uint8_t)(o.max_vtl + 1);
	p->hypercall_port = o.hypercall_port;
	p->flags = o.flags;
	p->quirks = o.quirks;
	p->kick_signal = o.kick_signal;
	p->accept_unsupported_intercepts =
		o.unsupported_intercepts == VSM_UNSUPPORTED_INTERCEPTS_ACCEPT;
	p->log = o.log;
	p->trace = o.trace;
	p->callback_ctx = o.callback_ctx;
	p->max_vps = o.max_vps;
	hypercall_index(p->hypercall_rows);
	register_index(p->register_rows);
	p->enabled_vtls = 1;
	p->start_ns = host->ops->clock_ns(host);
	r = init(p, &o);
	if (r) {
		vsm_partition_destroy(p);
		return r;
	}
	*out = p;
	return 0;
}

int vsm_partition_create(const struct vsm_partition_options *options, struct vsm_partition **out)
{
	return partition_create_on(&kvm_linux_host, options, out);
}

void vsm_partition_destroy(struct vsm_partition *partition)
{
	struct vsm_partition *p = partition;

	if (!p)
		return;
	event_stop(p);
	for (uint32_t i = 0; p->vps && i < p->max_vps; i++)
		vsm_vcpu_destroy(p->vps[i]);
	free(p->vps);
	free(p->kept);
	port_destroy_all(p);
	io_intercept_free(p);
	for (unsigned i = 0; i < p->space_count; i++)
		space_destroy(p->host, &p->spaces[i]);
	memory_destroy(&p->memory);
	pthread_cond_destroy(&p->vcpu_moved);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
