/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls with registers and input pages that a hostile guest chooses, on a partition of the
 * fake host: a few calls one after the other, so that what one changes meets the next.
 *
 * The input is a list of calls; see struct step. Checked after each: the outcome is one there is,
 * registers are as the outcome says, and no VTL came into being that the partition cannot have.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "fake_kvm.h"
#include "hv/hypercall.h"
#include "hypercall/call.h"
#include "initial_context.h"
#include "registers/places.h"
#include "vcpu/vcpu.h"
#include "vtl/enable.h"

#define MEMORY_SIZE UINT64_C(0x80000)
#define INPUT_PAGE  UINT64_C(0x10000)
#define VPS	    2
#define STEPS	    16

enum step_flag {
	RAW_CONTROL = 1 << 0, /* the control word as it is, else code and reps are made to fit */
	FAST = 1 << 1,
	MODE32 = 1 << 2,
	SELF = 1 << 3, /* the parameters start with this partition's and VP's own names */
	SECOND_VP = 1 << 4,
	RAW_GPA = 1 << 5, /* the GPAs as they are, else input and output are in memory */
	NAMED = 1 << 6,	  /* what should be register names are made ones there are */
};

/* One call, followed by `bytes` bytes of parameters. */
struct step {
	uint8_t flags;
	uint8_t vtl; /* becomes the caller's active one, enabled or not */
	uint8_t bytes;
	uint8_t pad;
	uint16_t reps, start;
	uint64_t control, a, b;
};

struct target {
	struct fake_kvm *fake;
	const struct kvm_host *host;
	int dev_fd, vm_fd, mem_fd;
	uint8_t *mem;
	struct vsm_partition *p;
	struct vsm_vcpu *vps[VPS];
};

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void make_vps(struct target *t)
{
	for (uint32_t i = 0; i < VPS; i++) {
		struct vsm_vcpu_options o = {.size = sizeof(o), .index = i, .apic_id = i};

		check(!vsm_vcpu_create(t->p, &o, &t->vps[i]));
		for (unsigned vtl = 0; vtl < t->p->vtl_count; vtl++)
			fake_vcpu_long_mode(t->fake, t->vps[i]->vtls[vtl].cpu.fd, 0x1000, 0x2000,
					    0x3000);
	}
}

/* VTL1 is up on both VPs, so that a short input already meets what a higher VTL can do. */
static void enable_vtl1(struct target *t)
{
	const struct hv_initial_vp_context c = long_mode_context();

	check(!vtl_enable_partition(t->p, 0, 1, 0));
	check(!vtl_enable_vp(t->vps[0], t->vps[0], 1, &c));
	vcpu_activate(t->vps[0], 1);
	check(!vtl_enable_vp(t->vps[0], t->vps[1], 1, &c));
}

static void start(struct target *t, uint8_t choice)
{
	struct vsm_partition_options o = {
		.size = sizeof(o),
		.max_vtl = 2,
		.max_vps = VPS,
		.kick_signal = SIGUSR1,
		.exec_policy = choice & 1 ? VSM_EXEC_RELAXED : VSM_EXEC_STRICT,
		.enforcement = choice & 2 ? VSM_ENFORCEMENT_SLOTS : VSM_ENFORCEMENT_ALIAS,
		.quirks = choice & 4 ? VSM_QUIRK_UX_IS_EXECUTE : 0,
	};
	struct vsm_memory_region r = {.size = sizeof(r), .bytes = MEMORY_SIZE};
	const struct kvm_host *h;
	void *mem;

	t->fake = fake_kvm_new();
	h = t->host = fake_kvm_host(t->fake);
	o.kvm_fd = t->dev_fd = h->ops->open_device(h, "/dev/kvm");
	o.vm_fd = t->vm_fd = h->ops->create_vm(h, t->dev_fd);
	r.fd = t->mem_fd = h->ops->create_memfd(h, "fuzz", MEMORY_SIZE);
	check(!h->ops->map_memory(h, t->mem_fd, 0, MEMORY_SIZE, KVM_MAP_READ_WRITE, NULL, &mem));
	t->mem = mem;
	/* Keeps a partition small: the fake's default is a host's 32764 memslots. */
	fake_kvm_set_cap(t->fake, KVM_CAP_NR_MEMSLOTS, 512);
	check(!partition_create_on(h, &o, &t->p));
	check(!vsm_partition_map_memory(t->p, &r));
	make_vps(t);
	if (choice & 8)
		enable_vtl1(t);
}

static void stop(struct target *t)
{
	const struct kvm_host *h = t->host;

	vsm_partition_destroy(t->p);
	check(!h->ops->unmap_memory(h, t->mem, MEMORY_SIZE));
	check(!h->ops->close_fd(h, t->mem_fd));
	check(!h->ops->close_fd(h, t->vm_fd));
	check(!h->ops->close_fd(h, t->dev_fd));
	check(!fake_kvm_free(t->fake));
}

static uint64_t control_of(const struct step *s)
{
	const struct hypercall_info *info;
	uint64_t control;

	if (s->flags & RAW_CONTROL)
		return s->control;
	info = &hypercall_table[s->control % hypercall_table_size];
	control = info->code | (s->flags & FAST ? HV_CONTROL_FAST : 0);
	if (info->rep)
		control |= (uint64_t)(s->reps & 0xff) << HV_CONTROL_REP_COUNT_SHIFT |
			   (uint64_t)(s->start & 0x7) << HV_CONTROL_REP_START_SHIFT;
	return control;
}

static void name_registers(uint8_t *list, uint64_t control)
{
	bool set = (control & HV_CONTROL_CODE) == HV_CALL_SET_VP_REGISTERS;
	size_t step = set ? sizeof(struct hv_register_assignment) : sizeof(uint32_t);

	for (size_t at = 0; at + step <= UINT8_MAX; at += step) {
		const struct register_row *row;
		uint32_t name;

		memcpy(&name, list + at, sizeof(name));
		row = &register_table[name % register_table_size];
		name = row->name + name / 256 % row->count;
		memcpy(list + at, &name, sizeof(name));
	}
}

/* The parameters, in memory and in XMM registers: the call decides where it looks. */
static void put_parameters(struct target *t, struct vsm_vcpu *vp, const struct step *s,
			   const uint8_t *bytes)
{
	const struct hv_vp_registers self = {.partition_id = HV_PARTITION_ID_SELF,
					     .vp_index = HV_VP_INDEX_SELF,
					     .target_vtl = (uint8_t)s->b};
	int fd = vcpu_active(vp)->cpu.fd;
	uint8_t *page = t->mem + INPUT_PAGE;
	_Alignas(64) uint8_t image[4096];
	size_t head = s->flags & SELF ? sizeof(self) : 0;

	memcpy(page, &self, head);
	memcpy(page + head, bytes, s->bytes);
	if (s->flags & NAMED)
		name_registers(page + sizeof(self), control_of(s));
	check(!t->host->ops->get_xsave(t->host, fd, image, sizeof(image)));
	memcpy(image + 160, page + 16, 96);
	image[512] |= 2;
	check(!t->host->ops->set_xsave(t->host, fd, image));
}

static void put_registers(struct kvm_regs *r, const struct step *s, const uint8_t *page)
{
	uint64_t control = control_of(s), a = INPUT_PAGE, b = INPUT_PAGE + 0x1000;

	if (s->flags & RAW_GPA) {
		a = s->a;
		b = s->b;
	} else if (control & HV_CONTROL_FAST) {
		memcpy(&a, page, 8);
		memcpy(&b, page + 8, 8);
	}
	r->rcx = s->flags & MODE32 ? (uint32_t)a : control;
	r->rax = s->flags & MODE32 ? (uint32_t)control : s->a;
	r->rdx = s->flags & MODE32 ? control >> 32 : a;
	r->rbx = a >> 32;
	r->rdi = b >> 32;
	r->rsi = (uint32_t)b;
	r->r8 = b;
}

static void check_outcome(const struct target *t, const struct hypercall_result *result,
			  const struct kvm_regs *before, const struct kvm_regs *after)
{
	switch (result->outcome) {
	case HYPERCALL_DONE:
	case HYPERCALL_AGAIN:
		check(result->reps <= 0xfff);
		break;
	case HYPERCALL_FAULT:
		check(result->fault.setter > 0 && result->fault.setter < t->p->vtl_count);
		check(!memcmp(before, after, sizeof(*before)));
		break;
	case HYPERCALL_VTL_CALL:
	case HYPERCALL_VTL_RETURN:
	case HYPERCALL_UD:
		check(!memcmp(before, after, sizeof(*before)));
		break;
	default:
		abort();
	}
	check(!(t->p->enabled_vtls >> t->p->vtl_count));
	for (unsigned i = 0; i < VPS; i++) {
		check(!(t->vps[i]->enabled_vtls & ~t->p->enabled_vtls));
		check(t->vps[i]->holds == 0);
	}
	check(!t->p->dead);
}

static void call(struct target *t, const struct step *s, const uint8_t *bytes)
{
	struct vsm_vcpu *vp = t->vps[s->flags & SECOND_VP ? 1 : 0];
	unsigned vtl = s->vtl % t->p->vtl_count;
	struct hypercall_result result;
	struct kvm_sregs *sregs;
	struct kvm_regs *regs, before;
	uint8_t long_cs;

	if (!(vp->enabled_vtls & 1u << vtl))
		return;
	vcpu_activate(vp, vtl);
	put_parameters(t, vp, s, bytes);
	check(!vtl_cpu_state(&vcpu_active(vp)->cpu, &regs, &sregs));
	put_registers(regs, s, t->mem + INPUT_PAGE);
	vtl_cpu_dirty(&vcpu_active(vp)->cpu, CPU_REGS);
	long_cs = sregs->cs.l;
	if (s->flags & MODE32)
		sregs->cs.l = 0;
	before = *regs;
	check(!hypercall_execute(vp, regs, sregs, &result));
	check(!vtl_cpu_state(&vcpu_active(vp)->cpu, &regs, &sregs));
	check_outcome(t, &result, &before, regs);
	if (s->flags & MODE32)
		sregs->cs.l = long_cs;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct target t;

	if (!size)
		return 0;
	start(&t, data[0]);
	data++;
	size--;
	for (unsigned i = 0; i < STEPS && size >= sizeof(struct step); i++) {
		static const uint8_t zeros[UINT8_MAX];
		struct step s;

		memcpy(&s, data, sizeof(s));
		data += sizeof(s);
		size -= sizeof(s);
		if (s.bytes > size) {
			call(&t, &s, zeros);
			break;
		}
		call(&t, &s, data);
		data += s.bytes;
		size -= s.bytes;
	}
	stop(&t);
	return 0;
}
