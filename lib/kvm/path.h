/* SPDX-License-Identifier: MIT */
/* Where the linker puts functions: what each VTL switch and hypercall executes is kept together. */
#ifndef VSM_LIB_KVM_PATH_H
#define VSM_LIB_KVM_PATH_H

/*
 * On the way from one KVM_RUN to the next. These functions end up side by side, in few pages,
 * however many files they come from: after an exit most of the processor's (or an emulator's)
 * caches of translations and code have to be filled again.
 */
#define RUN_PATH __attribute__((hot))

/* Not joined with those, which would have to step over its code or make room for its variables. */
#define SIDE_PATH __attribute__((noinline))

#endif
