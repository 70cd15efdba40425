/* SPDX-License-Identifier: MIT */
/*
 * How a payload's processors translate addresses, for C and for assembly. GUEST_LA57 has them walk
 * five levels of tables instead of four (tests/live).
 */
#ifndef GUEST_PAGING_H
#define GUEST_PAGING_H

/* PAE, OSFXSR, OSXMMEXCPT, and LA57 */
#ifdef GUEST_LA57
#define GUEST_CR4 0x1620
#else
#define GUEST_CR4 0x620
#endif

#endif
