/* SPDX-License-Identifier: MIT */
/* General registers by their number in instruction encodings, which is also messages' order. */
#ifndef VSM_LIB_INTERCEPT_GPR_H
#define VSM_LIB_INTERCEPT_GPR_H

#include <stddef.h>
#include <stdint.h>
#include <linux/kvm.h>

#define GPR_COUNT 16
#define GPR_RAX	  0
#define GPR_RCX	  1
#define GPR_RBX	  3
#define GPR_RSP	  4
#define GPR_RBP	  5
#define GPR_RSI	  6
#define GPR_RDI	  7

static inline size_t gpr_offset(unsigned index)
{
	static const uint8_t place[8] = {
		offsetof(struct kvm_regs, rax), offsetof(struct kvm_regs, rcx),
		offsetof(struct kvm_regs, rdx), offsetof(struct kvm_regs, rbx),
		offsetof(struct kvm_regs, rsp), offsetof(struct kvm_regs, rbp),
		offsetof(struct kvm_regs, rsi), offsetof(struct kvm_regs, rdi),
	};

	return index < 8 ? place[index] : offsetof(struct kvm_regs, r8) + 8 * (size_t)(index - 8);
}

static inline uint64_t *gpr_at(struct kvm_regs *regs, unsigned index)
{
	return (uint64_t *)((char *)regs + gpr_offset(index));
}

static inline uint64_t gpr_get(const struct kvm_regs *regs, unsigned index)
{
	return *(const uint64_t *)((const char *)regs + gpr_offset(index));
}

#endif
