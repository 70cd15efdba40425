/* SPDX-License-Identifier: MIT */
/* Sleeping in vsm_vcpu_run(). */
#ifndef VSM_LIB_VCPU_KICK_H
#define VSM_LIB_VCPU_KICK_H

#include <stdint.h>

struct vsm_vcpu;

/*
 * The VP's thread sleeps until it is woken or kicked, or the time comes (0; also for no reason), or
 * a signal (-EINTR). The partition's lock is given up meanwhile.
 */
int kick_sleep(struct vsm_vcpu *vp, uint64_t until_ns);

#endif
