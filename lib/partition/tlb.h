/* SPDX-License-Identifier: MIT */
/*
 * Flushing VPs' TLBs, and the lock a higher VTL can put on a lower one's (TLFS vsm.md,
 * "TlbLocked"): while it is there, flush requests from that VTL wait. The partition's lock is held
 * throughout.
 */
#ifndef VSM_LIB_PARTITION_TLB_H
#define VSM_LIB_PARTITION_TLB_H

#include <stdbool.h>
#include <stdint.h>

struct vsm_partition;
struct vsm_vcpu;

/* Does a higher VTL lock what VTL `vtl` has in the VP's TLB? */
bool tlb_locked(const struct vsm_vcpu *vp, unsigned vtl);

/*
 * VTL `holder` of `vp` locks VTL `vtl` of `target` until it unlocks it
 * (HvRegisterVsmVpSecureConfig) or `vp` returns from `holder`.
 */
void tlb_inhibit(struct vsm_vcpu *vp, unsigned holder, struct vsm_vcpu *target, unsigned vtl);

/* VTL `holder` of `vp` is left: what it locked is unlocked. */
void tlb_release(struct vsm_vcpu *vp, unsigned holder);

/* A lock is gone: VPs that wait for one look again. */
void tlb_unlocked(struct vsm_partition *p);

/*
 * The active VTL of the VP has made a request that waits, and makes it again from `rip`. The run
 * loop sleeps for as long as tlb_waiting() says.
 */
void tlb_wait(struct vsm_vcpu *vp, uint64_t rip);

/* Does the active VTL wait, and no lock has gone since? *rip: of its request. */
bool tlb_waiting(const struct vsm_vcpu *vp, uint64_t *rip);

/*
 * Translations of `vtl` and the VTLs below, whose tables it may have changed, are dropped before
 * the VP runs them again.
 */
void tlb_mark(struct vsm_vcpu *vp, unsigned vtl);

/* Returns once a marked VP has left KVM_RUN; the partition's lock may be given up meanwhile. */
void tlb_bring_out(struct vsm_vcpu *vp, unsigned vtl);

#endif
