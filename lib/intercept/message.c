/* SPDX-License-Identifier: MIT */
/*
 * The messages of intercepts (HV_X64_MEMORY_INTERCEPT_MESSAGE, HV_X64_MSR_INTERCEPT_MESSAGE). Pure.
 */
#include <string.h>

#include "intercept/gpr.h"
#include "intercept/intercept.h"
#include "intercept/io.h"
#include "registers/architecture.h"

#define CR0_AM (UINT64_C(1) << 18)

static struct hv_segment segment(const struct kvm_segment *from)
{
	struct hv_segment to;

	segment_from_kvm(&to, from);
	return to;
}

static uint16_t execution_state(unsigned vtl, const struct kvm_sregs *s)
{
	unsigned state = cpu_cpl(s) & HV_EXECUTION_CPL_MASK;

	if (cpu_protected(s))
		state |= HV_EXECUTION_CR0_PE;
	if (s->cr0 & CR0_AM)
		state |= HV_EXECUTION_CR0_AM;
	if (s->efer & CPU_EFER_LMA)
		state |= HV_EXECUTION_EFER_LMA;
	return (uint16_t)(state | vtl << HV_EXECUTION_VTL_SHIFT);
}

static uint8_t access_info(const struct violation *v)
{
	if (!v->gva_valid)
		return 0;
	return v->walking ? HV_ACCESS_INFO_GVA_VALID
			  : HV_ACCESS_INFO_GVA_VALID | HV_ACCESS_INFO_GVA_GPA_VALID;
}

static struct hv_intercept_header header(uint32_t vp_index, unsigned vtl,
					 const struct insn_context *c, enum mem_access access,
					 uint8_t length)
{
	return (struct hv_intercept_header){
		.vp_index = vp_index,
		.length_and_cr8 = (uint8_t)((length & 0xf) | (c->sregs->cr8 & 0xf) << 4),
		.access = (uint8_t)access,
		.execution_state = execution_state(vtl, c->sregs),
		.cs = segment(&c->sregs->cs),
		.rip = c->regs->rip,
		/* What a fault would push: the instruction restarts. */
		.rflags = c->regs->rflags | CPU_RFLAGS_RF,
	};
}

static void fill(struct hv_message *msg, enum hv_message_type type, const void *payload,
		 size_t size)
{
	memset(msg, 0, sizeof(*msg));
	msg->type = type;
	msg->payload_size = (uint8_t)size;
	memcpy(msg->payload, payload, size);
}

void intercept_message(struct hv_message *msg, uint32_t vp_index, unsigned vtl,
		       const struct kvm_regs *regs, const struct kvm_sregs *sregs,
		       const struct violation *v)
{
	const struct insn_context c = {regs, sregs};
	struct hv_memory_intercept m = {
		.header = header(vp_index, vtl, &c, v->access, v->insn_length),
		.cache_type = HV_CACHE_TYPE_WRITE_BACK,
		.instruction_count = v->insn_count,
		.access_info = access_info(v),
		.gva = v->gva_valid ? v->gva.addr : 0,
		.gpa = v->gpa.addr,
		.ds = segment(&sregs->ds),
		.ss = segment(&sregs->ss),
	};

	memcpy(m.instruction_bytes, v->insn_bytes, sizeof(m.instruction_bytes));
	m.header.execution_state |= (uint16_t)((v->delivers ? HV_EXECUTION_PENDING : 0) |
					       (v->shadow ? HV_EXECUTION_SHADOW : 0));
	for (unsigned i = 0; i < GPR_COUNT; i++)
		m.gprs[i] = gpr_get(regs, i);
	fill(msg, HV_MESSAGE_GPA_INTERCEPT, &m, sizeof(m));
}

void intercept_msr_message(struct hv_message *msg, uint32_t vp_index, unsigned vtl,
			   const struct insn_context *c, enum mem_access access, uint8_t length,
			   uint32_t index)
{
	const struct hv_msr_intercept m = {
		.header = header(vp_index, vtl, c, access, length),
		.index = index,
		.rdx = c->regs->rdx,
		.rax = c->regs->rax,
	};

	fill(msg, HV_MESSAGE_MSR_INTERCEPT, &m, sizeof(m));
}

void intercept_io_message(struct hv_message *msg, uint32_t vp_index, unsigned vtl,
			  const struct insn_context *c, const struct io_access *io,
			  const struct io_insn *found)
{
	enum mem_access access = io->in ? MEM_READ : MEM_WRITE;
	struct hv_io_intercept m = {
		.header = header(vp_index, vtl, c, access, found->insn.length),
		.port = io->port,
		.access_info = (uint8_t)(io->size | (found->string ? HV_IO_ACCESS_STRING : 0) |
					 (found->insn.rep ? HV_IO_ACCESS_REP : 0)),
		.instruction_count = found->insn.length,
		.rax = c->regs->rax,
		.ds = segment(&c->sregs->ds),
		.es = segment(&c->sregs->es),
		.rcx = c->regs->rcx,
		.rsi = c->regs->rsi,
		.rdi = c->regs->rdi,
	};

	memcpy(m.instruction_bytes, found->insn.bytes, found->insn.length);
	fill(msg, HV_MESSAGE_IO_INTERCEPT, &m, sizeof(m));
}
