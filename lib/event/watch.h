/* SPDX-License-Identifier: MIT */
/*
 * VPs that KVM does not let go of. Its emulator reads descriptors (a segment register's load, LTR,
 * a far jump) as a kernel would: where no memory is to be had, it neither makes the guest fault nor
 * comes out, and tries the instruction again for ever (Linux arch/x86/kvm/x86.c,
 * x86_emulate_instruction() after X86EMUL_IO_NEEDED without an MMIO access). Such a VP is found by
 * the event loop, brought out, and what it cannot reach is intercepted.
 */
#ifndef VSM_LIB_EVENT_WATCH_H
#define VSM_LIB_EVENT_WATCH_H

#include "partition/partition.h"
#include "vcpu/vcpu.h"

struct violation;

/* How often the event loop looks, while a VP is inside whose VTL is limited. */
#define WATCH_NS UINT64_C(10000000)
/* So many looks at most are left out for a VP that was seen to wait for nothing of ours. */
#define WATCH_PATIENCE 16

/* Before KVM_RUN: has the event loop watch, where KVM can meet closed pages in its emulator. */
int watch_start(struct vsm_vcpu *vp);

static inline int watch_arm(struct vsm_vcpu *vp)
{
	return vp->partition->emulated && !vp->partition->watch_ns ? watch_start(vp) : 0;
}

/*
 * The event loop's deadline: brings out VPs that have been inside for long. Returns when to look
 * again, or KVM_NEVER.
 */
uint64_t watch_tick(struct vsm_partition *p, uint64_t now);

/*
 * The VP is out and `suspect`. *v: what it is stuck at, if it is where it was when it was last
 * looked at; else *v is empty. 0 or the errno of a kernel call.
 */
int watch_look(struct vsm_vcpu *vp, struct violation *v);

#endif
