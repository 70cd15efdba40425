/* SPDX-License-Identifier: MIT */
/* Processor 0's registers, as the loaded image wants to be entered. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include "machine.h"
#include "say.h"

#define CR0_PE	      UINT64_C(0x1)
#define CR0_ET	      UINT64_C(0x10)
#define CR0_PG	      UINT64_C(0x80000000)
#define CR4_PAE	      UINT64_C(0x20)
#define EFER_LME_LMA  UINT64_C(0x500)
#define RFLAGS_FIXED  UINT64_C(0x2)
#define TYPE_CODE     0xb
#define TYPE_DATA     0x3
#define TYPE_BUSY_TSS 0xb

static struct kvm_segment flat(uint16_t selector, uint8_t type, bool long_mode)
{
	return (struct kvm_segment){.limit = UINT32_MAX,
				    .selector = selector,
				    .type = type,
				    .present = 1,
				    .s = 1,
				    .g = 1,
				    .db = !long_mode,
				    .l = long_mode};
}

static void set_segments(struct kvm_sregs *s, bool long_mode)
{
	struct kvm_segment data = flat(LOAD_GDT_DATA, TYPE_DATA, false);

	s->cs = flat(LOAD_GDT_CODE, TYPE_CODE, long_mode);
	s->ds = s->es = s->fs = s->gs = s->ss = data;
	s->tr.type = TYPE_BUSY_TSS;
	s->tr.present = 1;
}

static void set_32_bit(const struct load_result *start, struct kvm_sregs *s, struct kvm_regs *r)
{
	set_segments(s, false);
	s->cr0 = CR0_PE | CR0_ET;
	r->rax = MULTIBOOT_LOADER_MAGIC;
	r->rbx = start->info;
}

static void set_64_bit(const struct load_result *start, struct kvm_sregs *s, struct kvm_regs *r)
{
	set_segments(s, true);
	s->gdt.base = start->gdt;
	s->gdt.limit = LOAD_GDT_DATA + 7;
	s->cr0 = CR0_PE | CR0_ET | CR0_PG;
	s->cr3 = start->page_tables;
	s->cr4 = CR4_PAE;
	s->efer = EFER_LME_LMA;
	r->rdi = start->info;
	r->rsi = start->boot_params;
	r->rsp = start->stack - 8; /* as after a call */
}

int boot_setup(struct machine *m)
{
	int fd = vsm_vcpu_fd(m->cpus[0].vcpu, 0);
	struct kvm_regs regs = {.rflags = RFLAGS_FIXED, .rip = m->start.entry};
	struct kvm_sregs sregs;

	if (ioctl(fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	if (m->start.mode == LOAD_64_BIT)
		set_64_bit(&m->start, &sregs, &regs);
	else
		set_32_bit(&m->start, &sregs, &regs);
	if (ioctl(fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(fd, KVM_SET_REGS, &regs) < 0)
		return -errno;
	return 0;
}
