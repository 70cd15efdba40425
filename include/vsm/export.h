/* SPDX-License-Identifier: MIT */
#ifndef VSM_EXPORT_H
#define VSM_EXPORT_H

/* Marks what the shared library exports; everything else is hidden. lib/libvsm.map lists the same
 * names. */
#define VSM_API __attribute__((visibility("default")))

#endif
