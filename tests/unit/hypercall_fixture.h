/* SPDX-License-Identifier: MIT */
/* A partition on the fake host whose VPs make hypercalls, without a run loop: registers and memory
 * are set, hypercall_execute() is called, registers and memory are looked at. */
#ifndef VSM_TESTS_UNIT_HYPERCALL_FIXTURE_H
#define VSM_TESTS_UNIT_HYPERCALL_FIXTURE_H

#include "fixture.h"

#include <errno.h>
#include <signal.h>
#include <limits.h>
#include <string.h>
#include "hv/hypercall.h"
#include "hypercall/parse.h"
#include "vcpu/vcpu.h"

#define HC_MIB	  4
#define HC_VPS	  2
#define HC_INPUT  UINT64_C(0x10000)
#define HC_OUTPUT UINT64_C(0x11000)

#define HC_SELF	  HV_PARTITION_ID_SELF

/* In the options' flags: VTL0 has KVM's local APIC. */
#define HC_KERNEL_APIC (UINT64_C(1) << 63)

struct hc {
	struct fixture x;
	struct vsm_partition *p;
	struct vsm_vcpu *vp[HC_VPS];
	struct hypercall_result result;
	bool mode32; /* callers are 32-bit */
};

static inline const struct hypercall_info *hc_find(uint16_t code)
{
	uint8_t rows[HYPERCALL_HASHES] = {0};

	hypercall_index(rows);
	return hypercall_find(rows, code);
}

static inline void hc_start_with(struct hc *h, const struct vsm_partition_options *wanted)
{
	struct vsm_partition_options o = *wanted;
	struct vsm_memory_region region = {.size = sizeof(region)};

	memset(h, 0, sizeof(*h));
	fixture_start(&h->x, HC_MIB);
	if (o.flags & HC_KERNEL_APIC)
		assert_int_equal(fake_kvm_create_irqchip(h->x.fake, h->x.vm_fd), 0);
	o.flags &= ~HC_KERNEL_APIC;
	o.size = sizeof(o);
	o.kvm_fd = h->x.dev_fd;
	o.vm_fd = h->x.vm_fd;
	o.max_vps = HC_VPS;
	o.kick_signal = SIGUSR1;
	assert_int_equal(partition_create_on(h->x.host, &o, &h->p), 0);
	region.bytes = h->x.mem_size;
	region.fd = h->x.mem_fd;
	assert_int_equal(vsm_partition_map_memory(h->p, &region), 0);
	for (uint32_t i = 0; i < HC_VPS; i++) {
		struct vsm_vcpu_options v = {.size = sizeof(v), .index = i, .apic_id = 8 + i};

		assert_int_equal(vsm_vcpu_create(h->p, &v, &h->vp[i]), 0);
		for (unsigned vtl = 0; vtl < h->p->vtl_count; vtl++)
			fake_vcpu_long_mode(h->x.fake, h->vp[i]->vtls[vtl].cpu.fd, 0x1000,
					    0x2000 + vtl, 0x3000 + vtl);
	}
}

static inline void hc_start(struct hc *h)
{
	hc_start_with(h, &(struct vsm_partition_options){.max_vtl = 2});
}

static inline void hc_stop(struct hc *h)
{
	vsm_partition_destroy(h->p);
	fixture_stop(&h->x);
}

static inline struct vtl_cpu *hc_cpu(struct hc *h, unsigned vp, unsigned vtl)
{
	return &h->vp[vp]->vtls[vtl].cpu;
}

static inline struct kvm_regs *hc_regs(struct hc *h, unsigned vp)
{
	struct vtl_cpu *cpu = &vcpu_active(h->vp[vp])->cpu;
	struct kvm_regs *regs;

	assert_int_equal(vtl_cpu_regs(cpu, &regs), 0);
	vtl_cpu_dirty(cpu, CPU_REGS);
	return regs;
}

static inline struct kvm_sregs *hc_sregs(struct hc *h, unsigned vp, unsigned vtl)
{
	struct kvm_sregs *sregs;

	assert_int_equal(vtl_cpu_sregs(hc_cpu(h, vp, vtl), &sregs), 0);
	return sregs;
}

/* The VP is in `vtl`, which is enabled, as are those the test named before. */
static inline void hc_enter(struct hc *h, unsigned vp, unsigned vtl)
{
	h->p->enabled_vtls |= (uint16_t)(1u << vtl);
	h->vp[vp]->enabled_vtls |= (uint16_t)(1u << vtl);
	vcpu_activate(h->vp[vp], vtl);
}

/* Callers become 32-bit code. */
static inline void hc_mode32(struct hc *h)
{
	h->mode32 = true;
	for (unsigned i = 0; i < HC_VPS; i++)
		for (unsigned vtl = 0; vtl < h->p->vtl_count; vtl++) {
			assert_int_equal(vtl_cpu_flush(hc_cpu(h, i, vtl)), 0);
			fake_vcpu_flat_mode(h->x.fake, hc_cpu(h, i, vtl)->fd, 0x2000, 0x3000);
			vtl_cpu_forget(hc_cpu(h, i, vtl));
		}
}

static inline uint64_t hc_control(uint16_t code, bool fast, unsigned reps, unsigned start)
{
	return code | (fast ? HV_CONTROL_FAST : 0) | (uint64_t)reps << HV_CONTROL_REP_COUNT_SHIFT |
	       (uint64_t)start << HV_CONTROL_REP_START_SHIFT;
}

#define HC_NO_RESULT UINT64_C(0xabababababababab)

/* Registers of a call: the control word and the two parameters. */
static inline void hc_put(struct hc *h, unsigned vp, uint64_t control, uint64_t a, uint64_t b)
{
	struct kvm_regs *r = hc_regs(h, vp);

	if (h->mode32) {
		r->rdx = control >> 32;
		r->rax = (uint32_t)control;
		r->rbx = a >> 32;
		r->rcx = (uint32_t)a;
		r->rdi = b >> 32;
		r->rsi = (uint32_t)b;
	} else {
		r->rax = HC_NO_RESULT;
		r->rcx = control;
		r->rdx = a;
		r->r8 = b;
	}
}

static inline uint64_t hc_get_result(struct hc *h, unsigned vp)
{
	struct kvm_regs *r = hc_regs(h, vp);

	if (h->mode32)
		return r->rdx << 32 | (uint32_t)r->rax;
	return r->rax;
}

/* As the run loop has it done. */
static inline int hc_parse(struct hypercall_call *c, struct vsm_vcpu *vp)
{
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;
	int r = vtl_cpu_state(&vcpu_active(vp)->cpu, &regs, &sregs);

	if (!r)
		hypercall_parse(c, vp, regs, sregs);
	return r;
}

static inline int hc_execute(struct vsm_vcpu *vp, struct hypercall_result *result)
{
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;
	int r = vtl_cpu_state(&vcpu_active(vp)->cpu, &regs, &sregs);

	return r ? r : hypercall_execute(vp, regs, sregs, result);
}

/* Makes the call: the result value, which must be as h->result says. */
static inline uint64_t hc_call(struct hc *h, unsigned vp, uint64_t control, uint64_t a, uint64_t b)
{
	uint64_t value;

	hc_put(h, vp, control, a, b);
	assert_int_equal(hc_execute(h->vp[vp], &h->result), 0);
	assert_int_equal(h->result.code, control & 0xffff);
	value = hc_get_result(h, vp);
	if (h->result.outcome == HYPERCALL_DONE) {
		assert_int_equal(value & 0xffff, h->result.status);
		assert_int_equal(value >> 32, h->result.reps);
		assert_int_equal(value & 0xffff0000, 0);
	}
	return value;
}

static inline void *hc_mem(struct hc *h, uint64_t gpa)
{
	assert_true(gpa < h->x.mem_size);
	return h->x.mem + gpa;
}

/* The slow form: header and elements at HC_INPUT, output at HC_OUTPUT. Returns the status. */
static inline unsigned hc_slow(struct hc *h, unsigned vp, uint16_t code, unsigned reps,
			       const void *header, size_t header_size, const void *list,
			       size_t list_size)
{
	memcpy(hc_mem(h, HC_INPUT), header, header_size);
	if (list_size)
		memcpy(hc_mem(h, HC_INPUT + header_size), list, list_size);
	return (unsigned)(hc_call(h, vp, hc_control(code, false, reps, 0), HC_INPUT, HC_OUTPUT) &
			  0xffff);
}

#define HC_XMM_OFFSET 160

/* XMM registers of the VP's active VTL, in the vCPU itself. */
static inline void hc_get_xmm(struct hc *h, unsigned vp, unsigned first, void *to, size_t size)
{
	_Alignas(64) uint8_t image[4096];

	assert_int_equal(h->x.host->ops->get_xsave(h->x.host, vcpu_active(h->vp[vp])->cpu.fd, image,
						   sizeof(image)),
			 0);
	memcpy(to, image + HC_XMM_OFFSET + 16 * first, size);
}

static inline void hc_put_xmm(struct hc *h, unsigned vp, unsigned first, const void *from,
			      size_t size)
{
	const struct kvm_host *host = h->x.host;
	int fd = vcpu_active(h->vp[vp])->cpu.fd;
	_Alignas(64) uint8_t image[4096];

	assert_int_equal(host->ops->get_xsave(host, fd, image, sizeof(image)), 0);
	memcpy(image + HC_XMM_OFFSET + 16 * first, from, size);
	image[512] |= 2;
	assert_int_equal(host->ops->set_xsave(host, fd, image), 0);
}

/* --- a host that stops changing mappings for good --- */

static struct {
	struct kvm_ops ops;
	struct kvm_host host;
	const struct kvm_host *real;
	unsigned allowed;
	unsigned refusals; /* after that; then all succeed again */
} hc_stubborn;

static inline int hc_stubborn_protect(const struct kvm_host *h, void *addr, size_t size,
				      enum kvm_map_prot prot)
{
	(void)h;
	if (!hc_stubborn.allowed && hc_stubborn.refusals) {
		hc_stubborn.refusals--;
		return -ENOMEM;
	}
	if (hc_stubborn.allowed)
		hc_stubborn.allowed--;
	return hc_stubborn.real->ops->protect_memory(hc_stubborn.real, addr, size, prot);
}

/* From now on `allowed` changes of protection succeed, and no more until told otherwise. */
static inline void hc_refuse_protect(struct hc *h, unsigned allowed)
{
	hc_stubborn.real = h->x.host;
	hc_stubborn.ops = *h->x.host->ops;
	hc_stubborn.ops.protect_memory = hc_stubborn_protect;
	hc_stubborn.host = (struct kvm_host){&hc_stubborn.ops, h->x.host->ctx};
	hc_stubborn.allowed = allowed;
	hc_stubborn.refusals = UINT_MAX;
	h->p->memory.host = &hc_stubborn.host;
}

static inline void hc_relent(struct hc *h)
{
	h->p->memory.host = h->x.host;
}

#endif
