/* SPDX-License-Identifier: MIT */
/* VTL1 on each of Linux's processors. */
#ifndef WARDEN_PROCESSORS_H
#define WARDEN_PROCESSORS_H

/*
 * Enables VTL1 on the other processors, each as soon as Linux runs on it in 64-bit mode: an INIT or
 * SIPI that comes after that is dropped. To be called once, in VTL1 of the first processor.
 */
void processors_follow(void);

/* The one that asks. */
unsigned processor_index(void);

#endif
