/* SPDX-License-Identifier: MIT */
/*
 * Timers and other events that come while a VP runs or nothing does.
 *
 * A partition has one event loop. With a kick_signal the library runs it on a thread of its own,
 * made with the partition, with all signals blocked. With VSM_PARTITION_VMM_EVENTS, or without a
 * kick_signal, the VMM runs it: it waits for vsm_partition_event_fd() in its own loop and then
 * calls vsm_partition_run_events().
 *
 * The loop is made of io_uring where the host allows it, else of epoll. Both need their system
 * calls for as long as the partition lives: a VMM that will deny io_uring_enter(2) to itself sets
 * VSM_PARTITION_NO_IO_URING.
 */
#ifndef VSM_EVENTS_H
#define VSM_EVENTS_H

#include "vsm/export.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vsm_partition;

/*
 * A file descriptor that is readable (POLLIN) when vsm_partition_run_events() has something to do.
 * It stays the library's. -EBUSY: the library runs the events itself; -EINVAL: NULL. Any thread.
 */
VSM_API int vsm_partition_event_fd(const struct vsm_partition *partition);

/*
 * Does what is due, without waiting: brings VPs out of the guest whose timers have expired. Any
 * thread, one at a time. -EBUSY: the library runs the events itself; -EINVAL: NULL; errors of
 * io_uring_enter(2) and epoll_wait(2)
 */
VSM_API int vsm_partition_run_events(struct vsm_partition *partition);

#ifdef __cplusplus
}
#endif

#endif
